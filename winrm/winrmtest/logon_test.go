package winrmtest_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/authserver"
	"github.com/winrmkit/winrmkit/internal/toyauth"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

func toy(kind toyauth.Kind) winrmtest.Mechanism {
	return winrmtest.NewMechanism(toyauth.Server{Kind: kind}, "", kind != toyauth.OneLeg,
		func(c auth.Credentials) auth.Mechanism { return toyauth.New(kind, c) })
}

func echo(p *winrmtest.Proc) uint32 {
	fmt.Fprintf(p.Stdout, "%s as %s", p.Line, p.User)
	return 5
}

// TestSealingMechanisms runs a command through our own client with each kind of
// mechanism and looks at what the server saw.
func TestSealingMechanisms(t *testing.T) {
	for _, kind := range []toyauth.Kind{toyauth.TwoLegs, toyauth.Splitting, toyauth.Early} {
		t.Run(kind.String(), func(t *testing.T) {
			srv := start(t, winrmtest.HandlerFunc(echo), func(s *winrmtest.Server) {
				s.Mechanisms = []winrmtest.Mechanism{toy(kind)}
				s.Record = true
			})
			client := srv.Client()
			cmd := client.CommandContext(t.Context(), "hello")
			var out bytes.Buffer
			cmd.Stdout = &out
			require.Error(t, cmd.Run())
			require.NoError(t, client.Close())
			assert.Equal(t, `hello as WINRMTEST\user`, out.String())
			for _, x := range srv.Exchanges() {
				if len(x.Request) > 0 {
					assert.True(t, x.Sealed, x.Action)
				}
			}
			assert.Positive(t, srv.Stats().Logons)
			assert.Zero(t, srv.Stats().Shells)
		})
	}
}

// TestClearMessageAfterSealingLogon: 500 without body is what Windows answers.
func TestClearMessageAfterSealingLogon(t *testing.T) {
	srv := start(t, nil, func(s *winrmtest.Server) {
		s.Mechanisms = []winrmtest.Mechanism{winrmtest.NewMechanism(alwaysIn{}, "", true, nil)}
	})
	c := dial(t, srv)
	c.auth = "Always aGk="
	c.send("POST", "/wsman", "")
	resp, _ := c.answer()
	require.Equal(t, 200, resp.StatusCode)
	c.auth = ""
	c.send("POST", "/wsman", request{action: transfer + "/Get", uri: nsConfig}.String())
	resp, body := c.answer()
	assert.Equal(t, 500, resp.StatusCode)
	assert.Empty(t, body)

	require.NoError(t, srv.Set("Service/AllowUnencrypted", "true"))
	assert.Contains(t, c.ok(request{action: transfer + "/Get", uri: nsConfig}), "cfg:Config")

	c.send("POST", "/wsman", "not sealed at all", `Content-Type: multipart/encrypted;protocol="application/x";boundary="Encrypted Boundary"`)
	resp, _ = c.answer()
	assert.Equal(t, 500, resp.StatusCode)
}

// TestContextDiesWhenIdle: two minutes, in virtual time.
func TestContextDiesWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := start(t, nil, func(s *winrmtest.Server) {
			s.Mechanisms = []winrmtest.Mechanism{winrmtest.NewMechanism(alwaysIn{}, "", true, nil)}
			s.AllowUnencrypted = true
		})
		c := dial(t, srv)
		c.auth = "Always aGk="
		c.send("POST", "/wsman", "")
		c.answer()
		c.auth = ""
		get := request{action: transfer + "/Get", uri: nsConfig}
		time.Sleep(119 * time.Second)
		c.ok(get)
		time.Sleep(119 * time.Second)
		c.ok(get)
		time.Sleep(121 * time.Second)
		status, _ := c.do(get)
		assert.Equal(t, 401, status)
	})
}

// alwaysIn logs everybody on with one leg and seals with nothing.
type alwaysIn struct{}

func (alwaysIn) Scheme() string                                { return "Always" }
func (alwaysIn) Challenge() string                             { return "Always" }
func (alwaysIn) NewContext(authserver.Peer) authserver.Context { return &alwaysContext{} }

type alwaysContext struct{ toyauthContext }

func TestClientCertificate(t *testing.T) {
	for _, tt := range []struct {
		name, subject string
		disabled      bool
		want          int
	}{
		{"mapped", "user@host", false, 200},
		{"mapped by pattern", "*@host", false, 200},
		{"other subject", "else@host", false, 401},
		{"disabled", "user@host", true, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := winrmtest.NewUnstartedServer(nil)
			cert := srv.ClientCertificate("user@host")
			srv.Mechanisms = []winrmtest.Mechanism{winrmtest.Certificate()}
			srv.CertMappings = []winrmtest.CertMapping{{Subject: tt.subject, User: "user", Disabled: tt.disabled}}
			srv.TLS = &tls.Config{}
			srv.StartMemory()
			t.Cleanup(srv.Close)
			c := dial(t, srv)
			tc := tls.Client(c.conn, &tls.Config{RootCAs: srv.RootCAs(), ServerName: "winrmtest.invalid", Certificates: []tls.Certificate{cert}})
			c.conn = tc
			c.br.Reset(tc)
			c.auth = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"
			c.send("POST", "/wsman", request{action: transfer + "/Get", uri: nsConfig}.String())
			resp, body := c.answer()
			assert.Equal(t, tt.want, resp.StatusCode)
			if tt.want == 200 {
				assert.True(t, strings.Contains(body, "cfg:Config"))
			}
		})
	}
}
