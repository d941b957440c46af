package kerberos_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/kerberos"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	"github.com/winrmkit/winrmkit/wsman"
)

const many = 500

// meeting lets exchanges go on when as many as were invited have come, so that
// each of them must have had a connection of its own.
type meeting struct {
	mu   sync.Mutex
	left int
	all  chan struct{}
}

func (m *meeting) hook(x *winrmtest.Exchange) *winrmtest.Fault {
	if x.Action == winrmtest.ActionIdentify {
		m.mu.Lock()
		if m.left--; m.left == 0 {
			close(m.all)
		}
		m.mu.Unlock()
		select {
		case <-m.all:
		case <-time.After(time.Minute):
		}
	}
	return nil
}

// openMany makes one client open many connections to a server that has this
// keytab, all at once, each with a logon of its own.
func openMany(t *testing.T, keytab []byte, m auth.Mechanism) {
	t.Helper()
	mech, err := winrmtest.NegotiateKerberos(keytab)
	require.NoError(t, err)
	together := &meeting{left: many, all: make(chan struct{})}
	s := winrmtest.NewUnstartedServer(whoami)
	s.Mechanisms = []winrmtest.Mechanism{mech}
	s.Hook = together.hook
	s.Start()
	defer s.Close()
	transport, err := auth.NewTransport("http://"+host, &auth.TransportConfig{
		Mechanism: m, MaxConns: many,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, s.Listener.Addr().String())
		},
	})
	require.NoError(t, err)
	client, err := wsman.NewClient("http://"+host+":5985/wsman", &wsman.Config{HTTPClient: &http.Client{Transport: transport}})
	require.NoError(t, err)
	var wait sync.WaitGroup
	for range many {
		wait.Go(func() {
			_, err := client.Identify(t.Context())
			assert.NoError(t, err)
		})
	}
	wait.Wait()
	stats := s.Stats()
	assert.Equal(t, many, stats.Logons)
	assert.Equal(t, many, stats.HandshakeLegs, "one round trip for each")
	assert.Empty(t, stats.FailedLogons)
	require.NoError(t, transport.Close())
}

// noneLeft fails when goroutines are left of what fn did and closed.
func noneLeft(t *testing.T, fn func()) {
	t.Helper()
	before := runtime.NumGoroutine()
	fn()
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, 30*time.Second, 10*time.Millisecond)
}

// TestManyConnections: however many connections a client opens at once, the KDC
// is asked for one ticket-granting ticket and one service ticket.
func TestManyConnections(t *testing.T) {
	d := newDomain(t, "HTTP/"+host)
	noneLeft(t, func() {
		m, err := kerberos.New(d.config(d.credentials(secret)))
		require.NoError(t, err)
		openMany(t, d.keytab, auth.Negotiate(m))
		require.NoError(t, m.Close())
	})
	counts := d.kdc.Counts()
	assert.Equal(t, 1, counts.Bare, "asked for what pre-authentication wants")
	assert.Equal(t, 1, counts.AS)
	assert.Equal(t, 1, counts.TGS)
}

// TestMITManyConnections counts the same in the log of a real KDC.
func TestMITManyConnections(t *testing.T) {
	m := mitRealm(t)
	keytab, err := os.ReadFile(m.Path("server.keytab"))
	require.NoError(t, err)
	noneLeft(t, func() {
		kerb, err := kerberos.New(&kerberos.Config{
			Credentials: auth.Credentials{User: "alice@EXAMPLE.TEST", Password: oddPassword}, ConfigFile: m.Conf,
		})
		require.NoError(t, err)
		openMany(t, keytab, auth.Negotiate(kerb))
		require.NoError(t, kerb.Close())
	})
	log := m.Log(t)
	for exchange, want := range map[string]int{"AS_REQ": 1, "TGS_REQ": 1} {
		n := 0
		for line := range strings.Lines(log) {
			if strings.Contains(line, exchange+" (") && strings.Contains(line, " ISSUE: ") {
				n++
			}
		}
		assert.Equal(t, want, n, "%s in %s", exchange, log)
	}
}
