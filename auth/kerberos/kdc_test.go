package kerberos_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/kerberos"
	"github.com/winrmkit/winrmkit/internal/krb5"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

const (
	host    = "srv1.example.test"
	secret  = "pÄss @:/%wörd"
	account = "alice"
)

// domain is a KDC with a server that has the keys of host.
type domain struct {
	kdc    *krb5.KDC
	addr   string
	keytab []byte // of the host
	server *winrmtest.Server
}

// newDomain starts a KDC that knows these service names of the host, and a
// server that accepts their tickets through SPNEGO.
func newDomain(t *testing.T, spns ...string) *domain {
	t.Helper()
	key, err := krb5.NewKey(krb5.AES256SHA1)
	require.NoError(t, err)
	d := &domain{kdc: &krb5.KDC{Realm: testRealm, Users: map[string]string{account: secret}, Services: map[string]krb5.Key{}}}
	for _, spn := range spns {
		d.kdc.Services[spn] = key
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d.addr = l.Addr().String()
	var wg sync.WaitGroup
	wg.Go(func() { d.kdc.Serve(l) })
	t.Cleanup(func() { l.Close(); wg.Wait() })

	d.keytab = krb5.KeytabFor(krb5.Service("HTTP", host, testRealm), 1, key).Marshal()
	mech, err := winrmtest.NegotiateKerberos(d.keytab)
	require.NoError(t, err)
	d.server = winrmtest.NewUnstartedServer(whoami)
	d.server.Mechanisms = []winrmtest.Mechanism{mech}
	d.server.Users = map[string]string{testRealm + `\` + account: secret}
	d.server.Start()
	t.Cleanup(d.server.Close)
	return d
}

func (d *domain) credentials(password string) auth.Credentials {
	return auth.Credentials{Domain: testRealm, User: account, Password: password, Gate: &auth.Gate{}}
}

func (d *domain) config(c auth.Credentials) *kerberos.Config {
	return &kerberos.Config{Credentials: c, ConfigFile: "-", KDCs: []string{d.addr}, Realm: testRealm}
}

func open(t *testing.T, cfg *kerberos.Config) *kerberos.Mechanism {
	t.Helper()
	m, err := kerberos.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

// client is a client of the server under the host's name.
func (d *domain) client(t *testing.T, m auth.Mechanism) *winrm.Client {
	t.Helper()
	c, err := winrm.New("http://"+host, &winrm.Config{
		Auth: m, MaxConns: 2,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, network, d.server.Listener.Addr().String())
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// whoami runs one command.
func (d *domain) whoami(t *testing.T, m auth.Mechanism) (string, error) {
	t.Helper()
	out, err := d.client(t, m).CommandContext(t.Context(), "whoami").Output()
	var exit *winrm.ExitError
	if errors.As(err, &exit) {
		err = nil
	}
	var user string
	fmt.Sscan(string(out), &user)
	return user, err
}

func TestServiceNamesInOrder(t *testing.T) {
	d := newDomain(t, "HOST/"+host)
	m := open(t, d.config(d.credentials(secret)))
	for range 2 {
		_, err := d.whoami(t, auth.Negotiate(m))
		require.NoError(t, err)
	}
	// What is not known is asked for once.
	assert.Equal(t, map[string]int{"HTTP/" + host: 1, "WSMAN/" + host: 1, "HOST/" + host: 1}, d.kdc.Counts().ByService)

	d = newDomain(t)
	_, err := d.whoami(t, auth.Negotiate(open(t, d.config(d.credentials(secret)))))
	spn, ok := errors.AsType[*kerberos.SPNError](err)
	require.True(t, ok, "%v", err)
	var tried []string
	for _, a := range spn.Tried {
		tried = append(tried, a.SPN)
		require.ErrorIs(t, a.Err, kerberos.ErrServerUnknown)
	}
	assert.Equal(t, []string{"HTTP/" + host, "WSMAN/" + host, "HOST/" + host, "HTTP/" + host + ":5985"}, tried)
	assert.Contains(t, err.Error(), "setspn")
}

func TestAddressHasNoServiceName(t *testing.T) {
	d := newDomain(t, "HTTP/"+host)
	client, err := winrm.New(d.server.URL, &winrm.Config{Auth: open(t, d.config(d.credentials(secret)))})
	require.NoError(t, err)
	defer client.Close()
	err = client.CommandContext(t.Context(), "whoami").Run()
	_, ok := errors.AsType[*kerberos.SPNError](err)
	require.True(t, ok)
	assert.Contains(t, err.Error(), "DNS name")
	assert.Zero(t, d.kdc.Counts().AS)
}

func TestWrongPasswordIsTriedOnce(t *testing.T) {
	d := newDomain(t, "HTTP/"+host)
	cred := d.credentials("wrong")
	m := auth.Negotiate(open(t, d.config(cred)), auth.NTLM(cred))
	for range 3 {
		_, err := d.whoami(t, m)
		require.ErrorIs(t, err, kerberos.ErrPreAuthFailed)
		refused, ok := errors.AsType[*auth.Error](err)
		require.True(t, ok)
		assert.True(t, refused.Refused)
		assert.Contains(t, err.Error(), "wrong password")
	}
	// Another mechanism made of the same credentials knows it too.
	_, err := d.whoami(t, open(t, d.config(cred)))
	require.Error(t, err)
	assert.Equal(t, 1, d.kdc.Counts().Failed)
	assert.Empty(t, d.server.Stats().FailedLogons, "NTLM was not tried")
}

func TestWrongKeytabIsTriedOnce(t *testing.T) {
	d := newDomain(t, "HTTP/"+host)
	key, err := krb5.NewKey(krb5.AES256SHA1)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "keytab")
	kt := krb5.KeytabFor(krb5.Principal{Type: krb5.NTPrincipal, Parts: []string{account}, Realm: testRealm}, 1, key)
	require.NoError(t, os.WriteFile(path, kt.Marshal(), 0o600))
	m := open(t, &kerberos.Config{Keytab: path, ConfigFile: "-", KDCs: []string{d.addr}})
	for range 3 {
		_, err := d.whoami(t, auth.Negotiate(m))
		require.ErrorIs(t, err, kerberos.ErrPreAuthFailed)
	}
	assert.Equal(t, 1, d.kdc.Counts().Failed)

	require.NoError(t, os.Chmod(path, 0o644))
	_, err = kerberos.New(&kerberos.Config{Keytab: path, ConfigFile: "-"})
	_, ok := errors.AsType[*auth.FileModeError](err)
	assert.True(t, ok, "%v", err)
}

// TestFallBackToNTLM: only where nobody has judged the credentials.
// losesSecond makes connections to a KDC, of which the second takes a request,
// the one with the proof of the password, and ends.
func losesSecond() func(context.Context, string, string) (net.Conn, error) {
	var dials atomic.Int32
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials.Add(1) != 2 {
			var d net.Dialer
			return d.DialContext(ctx, network, addr)
		}
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			var length [4]byte
			_, _ = io.ReadFull(theirs, length[:])
			_, _ = io.CopyN(io.Discard, theirs, int64(binary.BigEndian.Uint32(length[:])))
		}()
		return ours, nil
	}
}

func TestFallBackToNTLM(t *testing.T) {
	unreachable := []string{"127.0.0.1:1"}
	cases := map[string]struct {
		change func(*domain, *kerberos.Config)
		falls  bool
	}{
		"no KDC answers": {func(_ *domain, c *kerberos.Config) { c.KDCs = unreachable }, true},
		"server unknown": {func(d *domain, _ *kerberos.Config) { clear(d.kdc.Services) }, true},
		"client unknown": {func(d *domain, _ *kerberos.Config) { clear(d.kdc.Users) }, true},
		"account locked": {func(d *domain, _ *kerberos.Config) {
			d.kdc.Errors = map[string]krb5.Code{account: krb5.ErrClientRevoked}
		}, false},
		"password expired": {func(d *domain, _ *kerberos.Config) { d.kdc.Errors = map[string]krb5.Code{account: krb5.ErrKeyExpired} }, false},
		"clock": {func(d *domain, _ *kerberos.Config) {
			d.kdc.Now = func() time.Time { return time.Now().Add(time.Hour) }
		}, false},
		"answer to the proof lost": {func(_ *domain, c *kerberos.Config) { c.Dial = losesSecond() }, false},
		"impersonating":            {func(_ *domain, c *kerberos.Config) { c.KDCs, c.Impersonate = unreachable, "bob" }, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := newDomain(t, "HTTP/"+host)
			cred := d.credentials(secret)
			cfg := d.config(cred)
			c.change(d, cfg)
			user, err := d.whoami(t, auth.Negotiate(open(t, cfg), auth.NTLM(cred)))
			if c.falls {
				require.NoError(t, err)
				assert.NotContains(t, user, "@")
				return
			}
			require.Error(t, err)
			assert.Zero(t, d.server.Stats().HandshakeLegs, "nothing was sent")
		})
	}
}

func TestDelegation(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		for policy, want := range map[kerberos.Delegation]bool{
			kerberos.DelegateNever: false, kerberos.DelegateIfTrusted: trusted, kerberos.DelegateAlways: true,
		} {
			t.Run(fmt.Sprintf("%v/trusted=%v", policy, trusted), func(t *testing.T) {
				d := newDomain(t, "HTTP/"+host)
				if trusted {
					d.kdc.Trusted = []string{"HTTP/" + host}
				}
				cfg := d.config(d.credentials(secret))
				cfg.Delegate = policy
				s, err := open(t, cfg).NewSession(auth.Peer{Scheme: "http", Host: host, Port: "5985"})
				require.NoError(t, err)
				defer s.Close()
				token, _, err := s.Step(t.Context(), auth.Leg{First: true})
				require.NoError(t, err)
				keys := krb5.KeytabFor(krb5.Service("HTTP", host, testRealm), 1, d.kdc.Services["HTTP/"+host])
				_, acc, err := krb5.Accept(krb5.AcceptorConfig{Keys: keys}, token)
				require.NoError(t, err)
				assert.Equal(t, want, len(acc.Delegated) == 1)
			})
		}
	}
}

// TestSecondHop has the command on the server go on with the forwarded ticket.
func TestSecondHop(t *testing.T) {
	d := newDomain(t, "HTTP/"+host, "HTTP/second.example.test")
	hops := make(chan error, 1)
	d.server.Handler = winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		if p.Delegated == nil {
			hops <- errors.New("nothing was delegated")
			return 1
		}
		m, err := kerberos.New(&kerberos.Config{CCacheData: p.Delegated.CCache, ConfigFile: "-", KDCs: []string{d.addr}})
		if err == nil {
			var s auth.Session
			s, err = m.NewSession(auth.Peer{Scheme: "http", Host: "second.example.test", Port: "5985"})
			if err == nil {
				_, _, err = s.Step(p.Context(), auth.Leg{First: true})
			}
			m.Close()
		}
		hops <- err
		return 0
	})
	cfg := d.config(d.credentials(secret))
	cfg.Delegate = kerberos.DelegateAlways
	require.NoError(t, d.client(t, auth.Negotiate(open(t, cfg))).Command("hop").Run())
	require.NoError(t, <-hops)
	assert.Equal(t, 1, d.kdc.Counts().ByService["HTTP/second.example.test"])
}

func TestNames(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "krb5.conf")
	require.NoError(t, os.WriteFile(conf, []byte("[libdefaults]\ndefault_realm = HOME.TEST\n[realms]\nOTHER.TEST = {\n kdc = x\n}\n"), 0o600))
	cases := []struct {
		cred  auth.Credentials
		realm string
		conf  string
		want  string
	}{
		{auth.Credentials{User: `corp.example\alice`}, "", "-", "alice@CORP.EXAMPLE"},
		{auth.Credentials{Domain: "corp.example", User: "alice"}, "", conf, "alice@CORP.EXAMPLE"},
		{auth.Credentials{Domain: "HOME", User: "alice"}, "", conf, "alice@HOME.TEST"},
		{auth.Credentials{Domain: "corp", User: "alice"}, "", "-", "alice@CORP"},
		{auth.Credentials{User: "alice@corp.example"}, "", "-", "alice@CORP.EXAMPLE"},
		{auth.Credentials{User: "alice@corp.example"}, "CORP.EXAMPLE", "-", "alice@CORP.EXAMPLE"},
		{auth.Credentials{User: "alice@mail.example"}, "CORP.EXAMPLE", "-", `alice\@mail.example@CORP.EXAMPLE`},
		{auth.Credentials{User: "alice@other.test"}, "", conf, "alice@OTHER.TEST"},
		{auth.Credentials{User: "alice@mail.example"}, "", conf, `alice\@mail.example@HOME.TEST`},
		{auth.Credentials{User: "alice"}, "", conf, "alice@HOME.TEST"},
		{auth.Credentials{User: "alice/admin"}, "R", "-", "alice/admin@R"},
	}
	for _, c := range cases {
		c.cred.Password = "x"
		m, err := kerberos.New(&kerberos.Config{Credentials: c.cred, Realm: c.realm, ConfigFile: c.conf})
		require.NoError(t, err, c.want)
		assert.Equal(t, c.want, m.Account())
		require.NoError(t, m.Close())
	}
	for _, cred := range []auth.Credentials{{User: "alice", Password: "x"}, {User: `.\alice`, Password: "x"}, {Domain: "D", User: "alice"}, {User: "alice@", Password: "x"}} {
		_, err := kerberos.New(&kerberos.Config{Credentials: cred, ConfigFile: "-"})
		require.Error(t, err)
	}
}
