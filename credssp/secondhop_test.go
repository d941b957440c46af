package credssp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
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

// fileHost is the second hop.
const fileHost = "files.corp.example"

// errNoCredentials is what a host says on the second hop that holds nothing of
// the user's: SEC_E_NO_CREDENTIALS.
var errNoCredentials = errors.New("access is denied (0x8009030e)")

// story is a domain with a host that runs commands and a file server that takes
// nobody without a logon of his own.
type story struct {
	kdc         *krb5.KDC
	kdcAddr     string
	host, files *winrmtest.Server
}

func newStory(t *testing.T) *story {
	t.Helper()
	s := &story{kdc: &krb5.KDC{
		Realm: realm, Users: map[string]string{kerbAlice: password}, Services: map[string]krb5.Key{},
		Trusted: []string{"HTTP/" + kerbHost},
	}}
	accept := map[string]winrmtest.Mechanism{}
	for _, name := range []string{kerbHost, fileHost} {
		key, err := krb5.NewKey(krb5.AES256SHA1)
		require.NoError(t, err)
		s.kdc.Services["HTTP/"+name] = key
		keytab := krb5.KeytabFor(krb5.Service("HTTP", name, realm), 1, key)
		accept[name], err = winrmtest.NegotiateKerberos(keytab.Marshal())
		require.NoError(t, err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.kdcAddr = l.Addr().String()
	var wait sync.WaitGroup
	wait.Go(func() { s.kdc.Serve(l) })
	t.Cleanup(func() { _ = l.Close(); wait.Wait() })

	start := func(h winrmtest.HandlerFunc, mechs ...winrmtest.Mechanism) *winrmtest.Server {
		srv := winrmtest.NewUnstartedServer(h)
		srv.Users = map[string]string{realm + `\` + kerbAlice: password, realm + `\robot`: "r2"}
		srv.Mechanisms = mechs
		srv.Start()
		t.Cleanup(srv.Close)
		return srv
	}
	s.files = start(func(p *winrmtest.Proc) uint32 {
		_, _ = fmt.Fprintf(p.Stdout, "secret.txt, read by %s", p.User)
		return 0
	}, accept[fileHost])
	s.host = start(s.copyFile, accept[kerbHost], winrmtest.CredSSP(winrmtest.CredSSPOptions{Inner: accept[kerbHost]}))
	return s
}

// copyFile is the command: it goes on to the file server with what the user has
// handed over, and with nothing else.
func (s *story) copyFile(p *winrmtest.Proc) uint32 {
	out, err := s.readShare(p.Context(), p.Delegated)
	if err != nil {
		_, _ = fmt.Fprint(p.Stderr, err)
		return 5 // ERROR_ACCESS_DENIED
	}
	_, _ = p.Stdout.Write(out)
	return 0
}

func (s *story) readShare(ctx context.Context, d *winrmtest.Delegated) ([]byte, error) {
	if d == nil {
		return nil, errNoCredentials
	}
	cfg := &kerberos.Config{ConfigFile: "-", KDCs: []string{s.kdcAddr}, Realm: realm, CCacheData: d.CCache}
	if d.Password != "" {
		cfg.Credentials = fresh(d.Domain, d.User, d.Password)
	}
	kerb, err := kerberos.New(cfg)
	if err != nil {
		return nil, err
	}
	defer kerb.Close()
	c, err := dialled("http://"+fileHost, s.files, auth.Negotiate(kerb))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.CommandContext(ctx, "type", `\\files\secret.txt`).Output()
}

// dialled is a client of a server under another name than its address.
func dialled(url string, to *winrmtest.Server, m auth.Mechanism) (*winrm.Client, error) {
	return winrm.New(url, &winrm.Config{
		Auth: m,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, to.Listener.Addr().String())
		},
	})
}

// TestSecondHop is the whole story: one command on one host, which asks a file
// server for a file in the user's name. It gets it with CredSSP and with a
// forwarded ticket, and not with a plain logon.
func TestSecondHop(t *testing.T) {
	s := newStory(t)
	cred := fresh(realm, kerbAlice, password)
	kerb := func(d kerberos.Delegation) auth.Mechanism {
		m, err := kerberos.New(&kerberos.Config{
			Credentials: cred, ConfigFile: "-", KDCs: []string{s.kdcAddr}, Realm: realm, Delegate: d,
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, m.Close()) })
		return auth.Negotiate(m)
	}
	for name, tc := range map[string]struct {
		mechanism auth.Mechanism
		reaches   bool
	}{
		"NTLM":                             {auth.NTLM(cred), false},
		"Kerberos":                         {kerb(kerberos.DelegateNever), false},
		"Kerberos, ticket forwarded":       {kerb(kerberos.DelegateAlways), true},
		"Kerberos, forwarded to trusted":   {kerb(kerberos.DelegateIfTrusted), true},
		"CredSSP, NTLM inside":             {credssp.New(credssp.Config{Credentials: cred}), true},
		"CredSSP, Kerberos inside":         {credssp.New(credssp.Config{Credentials: cred, Inner: kerb(kerberos.DelegateNever)}), true},
		"CredSSP, another account logs on": {credssp.New(credssp.Config{Credentials: cred, Inner: auth.NTLM(fresh(realm, "robot", "r2"))}), true},
	} {
		t.Run(name, func(t *testing.T) {
			before := s.files.Stats()
			c, err := dialled("http://"+kerbHost, s.host, tc.mechanism)
			require.NoError(t, err)
			defer c.Close()
			out, err := c.CommandContext(t.Context(), "copy", `\\files\secret.txt`).Output()
			if !tc.reaches {
				exit, ok := errors.AsType[*winrm.ExitError](err)
				require.True(t, ok, "%v", err)
				assert.Equal(t, uint32(5), exit.Code)
				assert.Empty(t, out)
				assert.Equal(t, errNoCredentials.Error(), string(exit.Stderr))
				assert.Equal(t, before.Logons, s.files.Stats().Logons)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, "secret.txt, read by "+kerbAlice+"@"+realm, string(out))
			assert.Greater(t, s.files.Stats().Logons, before.Logons)
		})
	}
}
