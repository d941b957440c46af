package kerberos_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/kerberos"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

const testRealm = "EXAMPLE.TEST"

// whoami answers with the user that logged on, and a text of its own.
var whoami = winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
	fmt.Fprintf(p.Stdout, "%s %s", p.User, strings.Repeat("x", 100_000))
	return 3
})

// start starts a server with this way to log on.
func start(t *testing.T, m winrmtest.Mechanism, withTLS bool, settings map[string]string) *winrmtest.Server {
	t.Helper()
	s := winrmtest.NewUnstartedServer(whoami)
	s.Mechanisms = []winrmtest.Mechanism{m}
	s.Settings = settings
	if withTLS {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// run runs whoami and returns the user.
func run(ctx context.Context, t *testing.T, s *winrmtest.Server, cfg *winrm.Config) (string, error) {
	t.Helper()
	client, err := winrm.New(s.URL, cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	out, err := client.CommandContext(ctx, "whoami").Output()
	var exit *winrm.ExitError
	if errors.As(err, &exit) {
		require.EqualValues(t, 3, exit.Code)
		err = nil
	}
	user, rest, _ := strings.Cut(string(out), " ")
	if err == nil {
		require.Len(t, rest, 100_000)
	}
	return user, err
}

func TestLogonWithoutKDC(t *testing.T) {
	for _, withTLS := range []bool{false, true} {
		for _, spnego := range []bool{false, true} {
			for _, encrypt := range []auth.Encryption{auth.EncryptAuto, auth.EncryptAlways} {
				t.Run(fmt.Sprintf("tls=%v/spnego=%v/%v", withTLS, spnego, encrypt), func(t *testing.T) {
					realm := winrmtest.NewRealm(testRealm)
					accept := realm.Kerberos()
					if spnego {
						accept = realm.Negotiate()
					}
					s := start(t, accept, withTLS, map[string]string{
						"Service/Auth/Kerberos": "true", "Service/Auth/CbtHardeningLevel": "Strict",
					})
					kerb, err := realm.Client("alice")
					require.NoError(t, err)
					defer kerb.Close()
					cfg := &winrm.Config{Auth: kerb, Encryption: encrypt}
					if spnego {
						cfg.Auth = auth.Negotiate(kerb)
					}
					if withTLS {
						cfg.TLS = &tls.Config{RootCAs: s.RootCAs()}
					}
					user, err := run(t.Context(), t, s, cfg)
					require.NoError(t, err)
					assert.Equal(t, "alice@"+testRealm, user)
					assert.Empty(t, s.Stats().FailedLogons)
					if st := s.Stats(); assert.NotZero(t, st.Logons) {
						assert.Equal(t, st.Logons, st.HandshakeLegs, "one round trip for each connection")
					}
				})
			}
		}
	}
}

// TestWrongChannelBinding has somebody in between who ends the TLS and opens
// another to the server: the client sees his certificate.
func TestWrongChannelBinding(t *testing.T) {
	realm := winrmtest.NewRealm(testRealm)
	behind := start(t, realm.Kerberos(), true, map[string]string{"Service/Auth/Kerberos": "true"})
	between := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer between.Close()
	roots := x509.NewCertPool()
	roots.AddCert(between.Certificate())
	l := relay(t, between.TLS.Certificates, behind)

	kerb, err := realm.Client("alice")
	require.NoError(t, err)
	defer kerb.Close()
	client, err := winrm.New("https://"+l, &winrm.Config{Auth: kerb, TLS: &tls.Config{RootCAs: roots}})
	require.NoError(t, err)
	defer client.Close()
	err = client.CommandContext(t.Context(), "whoami").Run()
	refused, ok := errors.AsType[*auth.Error](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, "Kerberos", refused.Mechanism)
	assert.Contains(t, err.Error(), "TLS-inspecting proxy")
	assert.Zero(t, behind.Stats().Logons)
}

// relay forwards what comes over TLS with a certificate of its own to a server.
func relay(t *testing.T, certs []tls.Certificate, to *winrmtest.Server) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certs})
	require.NoError(t, err)
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := tls.Dial("tcp", to.Listener.Addr().String(), &tls.Config{RootCAs: to.RootCAs()})
			if err != nil {
				in.Close()
				continue
			}
			pipe := func(dst, src net.Conn) func() {
				return func() { _, _ = io.Copy(dst, src); dst.Close(); src.Close() }
			}
			wg.Go(pipe(in, out))
			wg.Go(pipe(out, in))
		}
	})
	return l.Addr().String()
}

func TestAnotherServersTicket(t *testing.T) {
	s := start(t, winrmtest.NewRealm(testRealm).Kerberos(), false, map[string]string{"Service/Auth/Kerberos": "true"})
	kerb, err := winrmtest.NewRealm(testRealm).Client("alice")
	require.NoError(t, err)
	defer kerb.Close()
	_, err = run(t.Context(), t, s, &winrm.Config{Auth: kerb})
	require.ErrorIs(t, err, kerberos.ErrModified)
	refused, ok := errors.AsType[*auth.Error](err)
	require.True(t, ok)
	assert.False(t, refused.Refused, "no failed logon of the account")
	assert.Contains(t, refused.Causes[0].Remedy, "setspn -Q")
}

func TestNothingSecretIsPrinted(t *testing.T) {
	cfg := kerberos.Config{
		Credentials: auth.Credentials{Domain: "EXAMPLE.TEST", User: "alice", Password: "hunter2"}, ConfigFile: "-",
	}
	kerb, err := kerberos.New(&cfg)
	require.NoError(t, err)
	defer kerb.Close()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		assert.NotContains(t, fmt.Sprintf(verb, kerb), "hunter2", verb)
		assert.NotContains(t, fmt.Sprintf(verb, cfg), "hunter2", verb)
	}
	assert.Equal(t, "alice@EXAMPLE.TEST", kerb.Account())
}

// A host that says yes without its token has proved nothing, over TLS neither.
func TestSuccessWithoutToken(t *testing.T) {
	kerb, err := winrmtest.NewRealm(testRealm).Client("alice")
	require.NoError(t, err)
	defer kerb.Close()
	for name, m := range map[string]auth.Mechanism{"bare": kerb, "SPNEGO": auth.Negotiate(kerb)} {
		t.Run(name, func(t *testing.T) {
			s, err := m.NewSession(auth.Peer{Scheme: "https", Host: host, Port: "5986"})
			require.NoError(t, err)
			defer s.Close()
			out, done, err := s.Step(t.Context(), auth.Leg{First: true})
			require.NoError(t, err)
			require.NotEmpty(t, out)
			require.False(t, done)
			_, done, err = s.Step(t.Context(), auth.Leg{Status: http.StatusOK})
			require.Error(t, err)
			assert.False(t, done)
			if name == "bare" {
				var mutual *kerberos.MutualAuthError
				assert.ErrorAs(t, err, &mutual)
			}
		})
	}
}
