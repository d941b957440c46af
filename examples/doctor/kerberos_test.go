package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/krb5"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// What the KDC refuses is found at the logon, and the exit status tells.
func TestKerberos(t *testing.T) {
	const realm = "EXAMPLE.TEST"
	key, err := krb5.NewKey(krb5.AES256SHA1)
	require.NoError(t, err)
	var ahead time.Duration
	var mu sync.Mutex
	kdc := &krb5.KDC{
		Realm: realm, Users: map[string]string{"alice": "secret"}, Services: map[string]krb5.Key{"HTTP/localhost": key},
		Now: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Add(ahead)
		},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wait sync.WaitGroup
	wait.Go(func() { kdc.Serve(l) })
	t.Cleanup(func() { _ = l.Close(); wait.Wait() })
	accept, err := winrmtest.NegotiateKerberos(krb5.KeytabFor(krb5.Service("HTTP", "localhost", realm), 1, key).Marshal())
	require.NoError(t, err)
	srv := winrmtest.NewUnstartedServer(&winrmtest.Host{})
	srv.Mechanisms = []winrmtest.Mechanism{accept}
	srv.Start()
	t.Cleanup(srv.Close)
	conf := filepath.Join(t.TempDir(), "krb5.conf")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, "[libdefaults]\n default_realm = %[1]s\n[realms]\n %[1]s = {\n  kdc = %[2]s\n }\n", realm, l.Addr()), 0o600))
	t.Setenv("KRB5_CONFIG", conf)
	t.Setenv("WINRM_PASSWORD", "secret")
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	require.NoError(t, err)

	args := []string{"-r", "http://localhost:" + port, "-u", "alice@" + realm, "-auth", "kerberos"}
	out, stderr, code := call(args...)
	require.Zero(t, code, out+stderr)
	assert.Contains(t, out, "Kerberos inside, as alice@"+realm)

	mu.Lock()
	ahead = time.Hour
	mu.Unlock()
	out, _, code = call(args...)
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "failed   logon")
	assert.Contains(t, out, "[krb-ap-err-skew]")
}
