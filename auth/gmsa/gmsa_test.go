//go:build unix

package gmsa_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/gmsa"
	"github.com/winrmkit/winrmkit/auth/kerberos"
	"github.com/winrmkit/winrmkit/internal/krb5"
	"github.com/winrmkit/winrmkit/internal/realmtest"
)

// TestSambaAD reads the password over sealed LDAP and over LDAPS, finds the keys
// that the domain controller exports, and logs on with them.
func TestSambaAD(t *testing.T) {
	s := realmtest.StartSamba(t)
	pem, err := os.ReadFile(s.CA)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	toDC := func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, _ := net.SplitHostPort(addr)
		var d net.Dialer
		return d.DialContext(ctx, network, net.JoinHostPort(s.IP, port))
	}
	computer := func(name string) *kerberos.Mechanism {
		m, err := kerberos.New(&kerberos.Config{
			Keytab: s.Keytab(name), Credentials: auth.Credentials{Domain: "corp.test", User: name + "$"}, ConfigFile: s.Path("krb5.conf"),
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, m.Close()) })
		return m
	}
	base := gmsa.Config{Account: "gmsa1", Domain: "corp.test", Server: "dc1.corp.test", Dial: toDC, TLS: &tls.Config{RootCAs: roots}}
	sealed, ldaps := base, base
	sealed.Kerberos = computer("web1")
	ldaps.Credentials = auth.Credentials{User: "web1$@corp.test", Password: realmtest.SambaMachine + "web1"}
	exported, err := krb5.ReadKeytab(s.Keytab("gmsa1"))
	require.NoError(t, err)
	principal := krb5.Principal{Parts: []string{"gmsa1$"}, Realm: realmtest.SambaRealm}

	for name, cfg := range map[string]gmsa.Config{"sealed LDAP": sealed, "LDAPS": ldaps} {
		t.Run(name, func(t *testing.T) {
			blob, err := gmsa.New(cfg).ManagedPassword(t.Context())
			require.NoError(t, err)
			password, err := krb5.ParseManagedPassword(blob)
			require.NoError(t, err)
			for _, e := range []krb5.EType{krb5.AES256SHA1, krb5.AES128SHA1} {
				keys, err := password.Keys(e, "gmsa1$", realmtest.SambaRealm, "", nil)
				require.NoError(t, err)
				want := exported.Keys(principal, e)
				require.NotEmpty(t, want)
				assert.True(t, keys[0].Equal(want[0]), e)
			}
			m, err := kerberos.New(&kerberos.Config{
				Managed:    &kerberos.ManagedAccount{Name: "gmsa1", Realm: realmtest.SambaRealm, Password: gmsa.New(cfg)},
				ConfigFile: s.Path("krb5.conf"),
			})
			require.NoError(t, err)
			defer m.Close()
			session, err := m.NewSession(auth.Peer{Scheme: "http", Host: "web1.corp.test", Port: "5985"})
			require.NoError(t, err)
			defer session.Close()
			token, _, err := session.Step(t.Context(), auth.Leg{First: true})
			require.NoError(t, err)
			assert.NotEmpty(t, token)
		})
	}
	t.Run("not allowed", func(t *testing.T) {
		cfg := base
		cfg.Kerberos = computer("web2")
		_, err := gmsa.New(cfg).ManagedPassword(t.Context())
		var refused *gmsa.NotReadableError
		require.ErrorAs(t, err, &refused)
		cfg.Account = "nobody"
		_, err = gmsa.New(cfg).ManagedPassword(t.Context())
		require.ErrorIs(t, err, gmsa.ErrNotFound)
	})
}
