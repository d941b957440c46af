package interop_test

import (
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// The account of every listener that names none. Basic has no common encoding
// for letters outside of ASCII (requests sends Latin-1, Go programs send UTF-8),
// so the password for it keeps to what all clients send alike.
const (
	user          = "alice"
	basicPassword = `p@ss: /%w&rd"<'>`
	password      = `pÄss @:/%wörd`
)

// A listener is one configuration of the server under test.
type listener struct {
	name       string
	tls        bool
	mechanisms []winrmtest.Mechanism
	settings   map[string]string
	account    string // "" is user
	password   string // "" is password
}

// endpoint is a running server as its clients are told of it.
type endpoint struct {
	srv            *winrmtest.Server
	url            string
	host           string
	port           int
	tls            bool
	user, password string
	caFile         string // PEM, "" without TLS
	caPEM          []byte
}

// start runs the listener for the time of the test, and checks at its end that
// the clients have left nothing behind.
func (l listener) start(t *testing.T) endpoint {
	t.Helper()
	ep := l.startUnchecked(t)
	t.Cleanup(func() {
		stats := ep.srv.Stats()
		assert.Zero(t, stats.Shells, "shells left open")
		assert.Zero(t, stats.Commands, "commands left running")
		assert.Empty(t, stats.FailedLogons, "failed logons")
	})
	return ep
}

func (l listener) startUnchecked(t *testing.T) endpoint {
	t.Helper()
	ep := endpoint{tls: l.tls, user: user, password: password}
	if l.account != "" {
		ep.user = l.account
	}
	if l.password != "" {
		ep.password = l.password
	}

	srv := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(serve))
	srv.Users = map[string]string{ep.user: ep.password}
	srv.Mechanisms = l.mechanisms
	srv.Settings = l.settings
	srv.Record = true
	if l.tls {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)

	ep.srv, ep.url = srv, srv.URL
	u, err := url.Parse(srv.URL)
	require.NoError(t, err)
	host, port, err := net.SplitHostPort(u.Host)
	require.NoError(t, err)
	ep.host = host
	ep.port, err = strconv.Atoi(port)
	require.NoError(t, err)
	if l.tls {
		ep.caPEM = authority(t, u.Host)
		ep.caFile = filepath.Join(t.TempDir(), "ca.pem")
		require.NoError(t, os.WriteFile(ep.caFile, ep.caPEM, 0o600))
	}
	return ep
}

// authority returns the certificate that heads the server's chain. Go takes the
// server's own certificate for an anchor, OpenSSL does not.
func authority(t *testing.T, addr string) []byte {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true}) // it tells whom to trust
	require.NoError(t, err)
	defer conn.Close()
	chain := conn.ConnectionState().PeerCertificates
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain[len(chain)-1].Raw})
}

// basicListeners are the listeners without message encryption.
func basicListeners() []listener {
	basic := []winrmtest.Mechanism{winrmtest.Basic()}
	return []listener{
		{name: "basic http", mechanisms: basic, password: basicPassword},
		{name: "basic https", mechanisms: basic, password: basicPassword, tls: true},
	}
}

// check compares what a client saw with what the command produced.
func check(t *testing.T, want, got result) {
	t.Helper()
	assert.Equal(t, want.code, got.code, "exit code")
	checkBytes(t, "stdout", want.stdout, got.stdout)
	checkBytes(t, "stderr", want.stderr, got.stderr)
}

// checkBytes spares the reader megabytes of differences.
func checkBytes(t *testing.T, what string, want, got []byte) {
	t.Helper()
	if len(want) < 1000 && len(got) < 1000 {
		assert.Equal(t, string(want), string(got), what)
		return
	}
	assert.Equal(t, len(want), len(got), "length of %s", what)
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			t.Errorf("%s differs from byte %d on", what, i)
			return
		}
	}
}
