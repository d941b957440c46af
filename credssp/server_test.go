package credssp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/credssp"
	"github.com/winrmkit/winrmkit/internal/authserver"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

const user = `CORP\svc`

func negotiate() winrmtest.Mechanism {
	return winrmtest.NewMechanism(authserver.Negotiate{}, "Service/Auth/Negotiate", true, nil)
}

// newServer starts a server over http that takes the mechanisms.
func newServer(t testing.TB, h winrmtest.Handler, mechs ...winrmtest.Mechanism) *winrmtest.Server {
	t.Helper()
	s := winrmtest.NewUnstartedServer(h)
	s.Users = map[string]string{user: password, `CORP\other`: "other"}
	s.Mechanisms = mechs
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func newClient(t testing.TB, s *winrmtest.Server, m auth.Mechanism) *winrm.Client {
	t.Helper()
	return newClientAt(t, s.URL, m)
}

func newClientAt(t testing.TB, url string, m auth.Mechanism) *winrm.Client {
	t.Helper()
	c, err := winrm.New(url, &winrm.Config{Auth: m})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// fresh makes credentials with a gate of their own.
func fresh(domain, user, password string) auth.Credentials {
	return auth.Credentials{Domain: domain, User: user, Password: password, Gate: &auth.Gate{}}
}

// echo answers with what it gets.
var echo = winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
	_, _ = fmt.Fprintf(p.Stdout, "%s|%s|", p.User, p.Line)
	if !p.Console { // a console never ends
		_, _ = io.Copy(p.Stdout, p.Stdin)
	}
	return 0
})

func TestServer(t *testing.T) {
	for _, tlsVersion := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for version := 2; version <= 6; version++ {
			t.Run(fmt.Sprintf("%s, version %d", tls.VersionName(tlsVersion), version), func(t *testing.T) {
				s := newServer(t, echo, winrmtest.CredSSP(winrmtest.CredSSPOptions{
					Version: version, TLS: &tls.Config{MaxVersion: tlsVersion},
				}))
				c := newClient(t, s, credssp.New(credssp.Config{Credentials: fresh("CORP", "svc", password), MinVersion: 2}))
				big := bytes.Repeat([]byte("0123456789abcdef"), 20_000) // more than 16 KiB both ways
				cmd := c.CommandContext(t.Context(), "echo", "hello")
				cmd.Stdin = bytes.NewReader(big)
				out, err := cmd.Output()
				require.NoError(t, err)
				assert.Equal(t, user+"|echo hello|"+string(big), string(out))
				stats := s.Stats()
				assert.Empty(t, stats.FailedLogons)
				assert.Equal(t, 5*stats.Logons, stats.HandshakeLegs)
			})
		}
	}
}

func TestServerOverHTTPS(t *testing.T) {
	for _, encryption := range []auth.Encryption{auth.EncryptAuto, auth.EncryptAlways} {
		s := winrmtest.NewUnstartedServer(echo)
		s.Users = map[string]string{user: password}
		s.Mechanisms = []winrmtest.Mechanism{winrmtest.CredSSP(winrmtest.CredSSPOptions{})}
		s.StartTLS()
		defer s.Close()
		c, err := winrm.New(s.URL, &winrm.Config{
			Auth:       credssp.New(credssp.Config{Credentials: fresh("CORP", "svc", password)}),
			Encryption: encryption,
			TLS:        &tls.Config{InsecureSkipVerify: true},
		})
		require.NoError(t, err)
		defer c.Close()
		out, err := c.CommandContext(t.Context(), "hi").Output()
		require.NoError(t, err)
		assert.Equal(t, user+"|hi|", string(out))
	}
}

func TestServerRefuses(t *testing.T) {
	options := winrmtest.CredSSPOptions{Protected: []string{`CORP\other`}}
	for name, tc := range map[string]struct {
		delegated, logon auth.Credentials
		cause            string
		status           credssp.Status // 0: a bare 401
	}{
		"wrong password":           {fresh("CORP", "svc", "x"), fresh("CORP", "svc", "x"), "status-logon-failure", 0xc000006d},
		"wrong delegated password": {fresh("CORP", "svc", "x"), fresh("CORP", "svc", password), "wrong-delegated-password", 0},
		"protected user":           {fresh("CORP", "other", "other"), fresh("CORP", "other", "other"), "wrong-delegated-password", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, echo, winrmtest.CredSSP(options))
			c := newClient(t, s, credssp.New(credssp.Config{Credentials: tc.delegated, Inner: auth.NTLM(tc.logon)}))
			// Many at once, and again: one failed logon.
			var wait sync.WaitGroup
			for range 20 {
				wait.Go(func() {
					_, err := c.CommandContext(t.Context(), "hi").Output()
					refused, ok := errors.AsType[*auth.Error](err)
					if assert.True(t, ok, "%v", err) {
						assert.True(t, refused.Refused)
						assert.Equal(t, tc.cause, refused.Causes[0].ID)
						if tc.status != 0 {
							assert.ErrorIs(t, err, tc.status)
						}
						assert.NotContains(t, err.Error(), password)
					}
				})
			}
			wait.Wait()
			total := 0
			for _, n := range s.Stats().FailedLogons {
				total += n
			}
			assert.LessOrEqual(t, total, 1)
		})
	}
	t.Run("CredSSP is off", func(t *testing.T) {
		s := newServer(t, echo, negotiate())
		c := newClient(t, s, credssp.New(credssp.Config{Credentials: fresh("CORP", "svc", password)}))
		_, err := c.CommandContext(t.Context(), "hi").Output()
		refused, ok := errors.AsType[*auth.Error](err)
		require.True(t, ok, "%v", err)
		assert.False(t, refused.Refused)
		assert.Equal(t, []string{"Negotiate"}, refused.Offered)
		assert.Contains(t, err.Error(), "CredSSP")
		assert.Zero(t, s.Stats().HandshakeLegs)
	})
	t.Run("host not allowed", func(t *testing.T) {
		s := newServer(t, echo, winrmtest.CredSSP(winrmtest.CredSSPOptions{}))
		c := newClient(t, s, credssp.New(credssp.Config{
			Credentials: fresh("CORP", "svc", password), Allow: []string{"wsman/*.corp.example"},
		}))
		_, err := c.CommandContext(t.Context(), "hi").Output()
		_, ok := errors.AsType[*credssp.NotAllowedError](err)
		require.True(t, ok, "%v", err)
		assert.Zero(t, s.Stats().HandshakeLegs)
	})
	t.Run("old host", func(t *testing.T) {
		s := newServer(t, echo, winrmtest.CredSSP(winrmtest.CredSSPOptions{Version: 4}))
		c := newClient(t, s, credssp.New(credssp.Config{Credentials: fresh("CORP", "svc", password)}))
		_, err := c.CommandContext(t.Context(), "hi").Output()
		old, ok := errors.AsType[*credssp.VersionError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, uint32(4), old.Got)
		assert.Zero(t, s.Stats().Logons)
		assert.Empty(t, s.Stats().FailedLogons)
	})
}

// 50 commands at once on one client share at most MaxConns logons.
func TestParallel(t *testing.T) {
	s := newServer(t, echo, winrmtest.CredSSP(winrmtest.CredSSPOptions{}))
	c := newClient(t, s, credssp.New(credssp.Config{Credentials: fresh("CORP", "svc", password)}))
	var wait sync.WaitGroup
	for i := range 50 {
		wait.Go(func() {
			text := strings.Repeat(fmt.Sprint(i), 5000)
			cmd := c.CommandContext(context.Background(), "n", fmt.Sprint(i))
			cmd.Stdin = strings.NewReader(text)
			out, err := cmd.Output()
			assert.NoError(t, err)
			assert.Equal(t, fmt.Sprintf("%s|n %d|%s", user, i, text), string(out))
		})
	}
	wait.Wait()
	stats := s.Stats()
	assert.LessOrEqual(t, stats.Logons, winrm.DefaultMaxConns)
	assert.Equal(t, 1+stats.HandshakeLegs, stats.Exchanges[winrmtest.ActionLogon], "asked once")
	assert.Equal(t, 5*stats.Logons, stats.HandshakeLegs)
}

// The delegated password is wrong, the account that logs on is right and was
// proven before: still one failed logon, on however many hosts.
func TestFanOut(t *testing.T) {
	logon := fresh("CORP", "svc", password)
	m := credssp.New(credssp.Config{Credentials: fresh("CORP", "other", "x"), Inner: auth.NTLM(logon)})
	failed := 0
	for range 10 {
		s := newServer(t, echo, negotiate(), winrmtest.CredSSP(winrmtest.CredSSPOptions{}))
		_, err := newClient(t, s, auth.NTLM(logon)).CommandContext(t.Context(), "hi").Output()
		require.NoError(t, err)
		_, err = newClient(t, s, m).CommandContext(t.Context(), "hi").Output()
		require.Error(t, err)
		for _, n := range s.Stats().FailedLogons {
			failed += n
		}
	}
	assert.Equal(t, 1, failed)
}
