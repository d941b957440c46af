package credssp_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/credssp"
	"github.com/winrmkit/winrmkit/internal/authserver"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// counted counts the contexts of a mechanism that are open.
type counted struct {
	authserver.CredSSP
	made, open *atomic.Int32
}

func (m counted) NewContext(p authserver.Peer) authserver.Context {
	m.made.Add(1)
	m.open.Add(1)
	c := m.CredSSP.NewContext(p)
	return &countedContext{c, c.(authserver.Sealer), c.(interface{ Close() error }), m.open, atomic.Bool{}}
}

type countedContext struct {
	authserver.Context
	authserver.Sealer
	closer interface{ Close() error }
	open   *atomic.Int32
	closed atomic.Bool
}

func (c *countedContext) Close() error {
	if !c.closed.Swap(true) {
		c.open.Add(-1)
	}
	return c.closer.Close()
}

// forging changes a byte of every sealed message on its way to the server.
type forging struct{ net.Conn }

func (c forging) Write(b []byte) (int, error) {
	if i := bytes.Index(b, []byte("application/octet-stream\r\n")); i > 0 && i+200 < len(b) {
		b = bytes.Clone(b)
		b[i+150] ^= 1
	}
	return c.Conn.Write(b)
}

// TestContextsAreClosed: a server has nothing left of a logon once its connection
// is gone, whatever ended it.
func TestContextsAreClosed(t *testing.T) {
	for name, tc := range map[string]struct {
		fault winrmtest.Fault
		wrap  func(net.Conn) net.Conn
	}{
		"401 within the logon":             {winrmtest.Fault{Action: winrmtest.ActionLogon, After: 2, Status: http.StatusUnauthorized}, nil},
		"401 after the logon":              {winrmtest.Fault{Action: "Create", Status: http.StatusUnauthorized}, nil},
		"a message that does not open":     {winrmtest.Fault{Action: "none"}, func(c net.Conn) net.Conn { return forging{c} }},
		"the connection ends in the logon": {winrmtest.Fault{Action: winrmtest.ActionLogon, After: 2, Drop: winrmtest.DropBefore}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var made, open atomic.Int32
			s := newServer(t, echo, winrmtest.NewMechanism(counted{made: &made, open: &open}, "Service/Auth/CredSSP", true, nil))
			s.AddFaults(tc.fault)
			c, err := winrm.New(s.URL, &winrm.Config{
				Auth: credssp.New(credssp.Config{Credentials: fresh("CORP", "svc", password)}),
				Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
					var d net.Dialer
					conn, err := d.DialContext(ctx, network, addr)
					if err == nil && tc.wrap != nil {
						conn = tc.wrap(conn)
					}
					return conn, err
				},
			})
			require.NoError(t, err)
			_, _ = c.CommandContext(t.Context(), "hi").Output()
			require.NoError(t, c.Close())
			assert.NotZero(t, made.Load())
			assert.Eventually(t, func() bool { return open.Load() == 0 }, 30*time.Second, 10*time.Millisecond)
		})
	}
}
