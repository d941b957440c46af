package main_test

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

	"github.com/winrmkit/winrmkit/internal/krb5"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// TestKerberos logs on with a password, a keytab and a credential cache, by a KDC
// that krb5.conf names.
func TestKerberos(t *testing.T) {
	const realm, robot = "EXAMPLE.TEST", "robot"
	key, err := krb5.NewKey(krb5.AES256SHA1)
	require.NoError(t, err)
	kdc := &krb5.KDC{
		Realm: realm, Users: map[string]string{user: password, robot: "r2"},
		Services: map[string]krb5.Key{"HTTP/localhost": key},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wait sync.WaitGroup
	wait.Go(func() { kdc.Serve(l) })
	t.Cleanup(func() { l.Close(); wait.Wait() })

	accept, err := winrmtest.NegotiateKerberos(krb5.KeytabFor(krb5.Service("HTTP", "localhost", realm), 1, key).Marshal())
	require.NoError(t, err)
	srv := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		fmt.Fprintf(p.Stdout, "%s, delegated: %v", p.User, p.Delegated != nil)
		return 0
	}))
	srv.Mechanisms = []winrmtest.Mechanism{accept}
	srv.Start()
	t.Cleanup(srv.Close)

	dir := t.TempDir()
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, b, 0o600))
		return path
	}
	conf := file("krb5.conf", fmt.Appendf(nil, "[libdefaults]\n default_realm = %[1]s\n[realms]\n %[1]s = {\n  kdc = %[2]s\n }\n", realm, l.Addr()))
	robotKey, err := krb5.StringToKey(krb5.AES256SHA1, "r2", realm+"/"+robot, nil)
	require.NoError(t, err)
	keytab := file("keytab", krb5.KeytabFor(krb5.Principal{Type: krb5.NTPrincipal, Parts: []string{robot}, Realm: realm}, 1, robotKey).Marshal())
	ccache := file("ccache", kinit(t, realm, l.Addr().String()))

	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		args, env []string
		want      string
	}{
		"password":             {args: []string{"-auth", "kerberos", "-u", user + "@" + realm}, want: user + "@" + realm + ", delegated: false"},
		"negotiate":            {args: []string{"-u", user + "@" + realm}, want: user + "@" + realm + ", delegated: false"},
		"keytab":               {args: []string{"-keytab", keytab}, want: robot + "@" + realm + ", delegated: false"},
		"keytab and delegated": {args: []string{"-keytab", keytab, "-u", robot, "-delegate"}, want: robot + "@" + realm + ", delegated: true"},
		"cache":                {args: []string{"-ccache", "FILE:" + ccache}, want: user + "@" + realm + ", delegated: false"},
		"cache of kinit": {
			args: []string{"-delegate"}, env: []string{"KRB5CCNAME=" + ccache},
			want: user + "@" + realm + ", delegated: true",
		},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"-r", "http://localhost:" + port, "-n"}, tc.args...)
			got := finish(t, command(t, append(tc.env, "KRB5_CONFIG="+conf), append(args, "whoami")...))
			assert.Equal(t, outcome{stdout: tc.want}, got)
		})
	}
	for flags, says := range map[string][]string{
		"-auth kerberos": {"-r", "localhost", "-auth", "ntlm", "-u", user, "-delegate", "x"},
		"not both":       {"-r", "localhost", "-keytab", keytab, "-ccache", ccache, "x"},
		"-r is missing":  {"-delegate", "x"},
	} {
		got := finish(t, command(t, nil, says...))
		assert.Equal(t, 255, got.code)
		assert.Contains(t, got.stderr, flags)
	}
}

// TestNoRealm logs on with NTLM where nobody knows the realm's KDCs, and where the
// host has no name.
func TestNoRealm(t *testing.T) {
	const account = user + "@corp.example"
	srv := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		fmt.Fprint(p.Stdout, p.User)
		return 0
	}))
	srv.Users = map[string]string{account: password}
	srv.Mechanisms = []winrmtest.Mechanism{winrmtest.Negotiate(), winrmtest.CredSSP(winrmtest.CredSSPOptions{})}
	srv.Start()
	t.Cleanup(srv.Close)
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	require.NoError(t, err)
	conf := filepath.Join(t.TempDir(), "krb5.conf")
	require.NoError(t, os.WriteFile(conf, []byte("[libdefaults]\n dns_lookup_kdc = false\n"), 0o600))
	for _, host := range []string{"localhost", "127.0.0.1"} {
		for _, auth := range []string{"negotiate", "credssp"} {
			t.Run(host+"/"+auth, func(t *testing.T) {
				got := finish(t, command(t, []string{"KRB5_CONFIG=" + conf}, "-r", "http://"+host+":"+port, "-auth", auth, "-u", account, "-n", "whoami"))
				assert.Equal(t, outcome{stdout: account}, got)
			})
		}
	}
}

// kinit is a credential cache with the user's ticket-granting ticket.
func kinit(t *testing.T, realm, kdc string) []byte {
	t.Helper()
	c, err := krb5.NewClient(krb5.ClientConfig{
		Network:   &krb5.Network{KDCs: map[string][]string{realm: {kdc}}},
		Principal: krb5.Principal{Type: krb5.NTPrincipal, Parts: []string{user}, Realm: realm},
		Secret:    krb5.Password(func(context.Context) (string, error) { return password, nil }),
	})
	require.NoError(t, err)
	defer c.Close()
	tgt, err := c.TGT(t.Context())
	require.NoError(t, err)
	cache := krb5.CCache{Client: tgt.Client, Tickets: []*krb5.Ticket{tgt}}
	return cache.Marshal()
}
