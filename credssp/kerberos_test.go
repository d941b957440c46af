package credssp_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/kerberos"
	"github.com/winrmkit/winrmkit/credssp"
	"github.com/winrmkit/winrmkit/internal/krb5"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

const (
	realm     = "CORP.EXAMPLE"
	kerbHost  = "srv1.corp.example"
	kerbAlice = "alice"
)

// newRealm starts a KDC that knows alice and HTTP/srv1, and returns her
// mechanism and the host's keys.
func newRealm(t *testing.T, e krb5.EType) (m *kerberos.Mechanism, keytab []byte) {
	t.Helper()
	key, err := krb5.NewKey(e)
	require.NoError(t, err)
	kdc := &krb5.KDC{
		Realm: realm, Users: map[string]string{kerbAlice: password},
		Services: map[string]krb5.Key{"HTTP/" + kerbHost: key},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wait sync.WaitGroup
	wait.Go(func() { kdc.Serve(l) })
	t.Cleanup(func() { _ = l.Close(); wait.Wait() })
	m, err = kerberos.New(&kerberos.Config{
		Credentials: fresh(realm, kerbAlice, password),
		ConfigFile:  "-", KDCs: []string{l.Addr().String()}, Realm: realm,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Close() })
	return m, krb5.KeytabFor(krb5.Service("HTTP", kerbHost, realm), 1, key).Marshal()
}

// TestKerberosInside logs on with Kerberos, by itself and in SPNEGO, and hands
// the password over.
func TestKerberosInside(t *testing.T) {
	kerb, keytab := newRealm(t, krb5.AES256SHA384)
	accept, err := winrmtest.NegotiateKerberos(keytab)
	require.NoError(t, err)
	bare, err := winrmtest.Kerberos(keytab)
	require.NoError(t, err)
	cred := fresh(realm, kerbAlice, password)
	for name, tc := range map[string]struct {
		inner  auth.Mechanism
		accept winrmtest.Mechanism
	}{
		"in SPNEGO": {auth.Negotiate(kerb, auth.NTLM(cred)), accept},
		"bare":      {kerb, bare},
	} {
		t.Run(name, func(t *testing.T) {
			s := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
				_, _ = fmt.Fprintf(p.Stdout, "%s|%s|%s|%s", p.User, p.Delegated.Domain, p.Delegated.User, p.Delegated.Password)
				return 0
			}))
			s.Users = map[string]string{realm + `\` + kerbAlice: password}
			s.Mechanisms = []winrmtest.Mechanism{winrmtest.CredSSP(winrmtest.CredSSPOptions{Inner: tc.accept})}
			s.Start()
			defer s.Close()
			c, err := winrm.New("http://"+kerbHost, &winrm.Config{
				Auth: credssp.New(credssp.Config{Credentials: cred, Inner: tc.inner, Allow: []string{"wsman/*.corp.example"}}),
				Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
					var d net.Dialer
					return d.DialContext(ctx, network, s.Listener.Addr().String())
				},
			})
			require.NoError(t, err)
			defer c.Close()
			out, err := c.CommandContext(t.Context(), "whoami").Output()
			require.NoError(t, err)
			assert.Contains(t, string(out), "|"+realm+"|"+kerbAlice+"|"+password)
			stats := s.Stats()
			assert.Equal(t, 5*stats.Logons, stats.HandshakeLegs)
		})
	}
}

// TestPyspnegoKerberos does the same with MIT's GSSAPI on the other side.
func TestPyspnegoKerberos(t *testing.T) {
	python(t)
	for _, e := range []krb5.EType{krb5.AES256SHA1, krb5.AES128SHA256} {
		kerb, keytab := newRealm(t, e)
		dir := t.TempDir()
		file, conf := filepath.Join(dir, "keytab"), filepath.Join(dir, "krb5.conf")
		require.NoError(t, os.WriteFile(file, keytab, 0o600))
		require.NoError(t, os.WriteFile(conf, []byte("[libdefaults]\n default_realm = "+realm+
			"\n dns_lookup_kdc = false\n dns_canonicalize_hostname = false\n"), 0o600))
		env := []string{"KRB5_KTNAME=" + file, "KRB5_CONFIG=" + conf, "KRB5RCACHENAME=none:"}
		for inner, mech := range map[string]auth.Mechanism{"kerberos": kerb, "negotiate": auth.Negotiate(kerb)} {
			for _, tlsVersion := range []string{"1.2", "1.3"} {
				for _, version := range []int{2, 6} {
					if e != krb5.AES256SHA1 && (version != 6 || tlsVersion != "1.3") {
						continue // the encryption type matters to the inner logon alone
					}
					t.Run(fmt.Sprintf("%v, %s, TLS %s, version %d", e, inner, tlsVersion, version), func(t *testing.T) {
						peer := startPyspnego(t, inner, version, tlsVersion, env...)
						m := credssp.New(credssp.Config{Credentials: fresh(realm, kerbAlice, odd[version]), Inner: mech, MinVersion: 2})
						s, err := m.NewSession(auth.Peer{Scheme: "http", Host: kerbHost, Port: "5985", Seal: true})
						require.NoError(t, err)
						defer s.Close()
						got, legs, err := peer.logon(s)
						require.NoError(t, err)
						assert.Equal(t, 5, legs)
						assert.Equal(t, version, got.Version)
						assert.Equal(t, []string{realm, kerbAlice, odd[version]}, []string{got.Domain, got.User, got.Password})
						sealBothWays(t, peer, s.(auth.Sealer))
					})
				}
			}
		}
	}
}
