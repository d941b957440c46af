package kerberos_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/kerberos"
	"github.com/winrmkit/winrmkit/internal/realmtest"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

const oddPassword = `pÄss @:/%wörd "quoted" '비밀번호' 🔑`

func mitRealm(t *testing.T) *realmtest.MIT {
	t.Helper()
	return realmtest.StartMIT(t, realmtest.MITConfig{LDAP: true, KAdmin: []string{
		`addprinc -clearpolicy -pw "pÄss @:/%wörd ""quoted"" '비밀번호' 🔑" alice`,
		`addprinc -clearpolicy -randkey robot`, `ktadd -norandkey -k $DIR/robot.keytab robot`,
		`addprinc -clearpolicy -randkey +ok_as_delegate HTTP/` + host, `ktadd -norandkey -k $DIR/server.keytab HTTP/` + host,
		`addprinc -clearpolicy -randkey HTTP/second.example.test`,
		`addprinc -clearpolicy -randkey +ok_to_auth_as_delegate HTTP/front.example.test`,
		`ktadd -norandkey -k $DIR/front.keytab HTTP/front.example.test`,
	}, DelegateTo: map[string][]string{"HTTP/front.example.test": {"HTTP/" + host}}})
}

// TestMITLogons runs a command with every kind of credential, over SPNEGO and
// without, on a server that has the keytab of a real KDC.
func TestMITLogons(t *testing.T) {
	m := mitRealm(t)
	cache := "FILE:" + m.Path("alice.cc")
	m.KInit(t, "alice", oddPassword, cache)
	kinds := map[string]struct {
		cfg  kerberos.Config
		user string
	}{
		"password": {kerberos.Config{Credentials: auth.Credentials{User: "alice@example.test", Password: oddPassword}}, "alice"},
		"keytab":   {kerberos.Config{Keytab: m.Path("robot.keytab")}, "robot"},
		"ccache":   {kerberos.Config{CCache: cache}, "alice"},
		"S4U":      {kerberos.Config{Keytab: m.Path("front.keytab"), Impersonate: "alice"}, "alice"},
	}
	keytab, err := os.ReadFile(m.Path("server.keytab"))
	require.NoError(t, err)
	for name, kind := range kinds {
		for _, spnego := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				accept := winrmtest.Kerberos
				if spnego {
					accept = winrmtest.NegotiateKerberos
				}
				mech, err := accept(keytab)
				require.NoError(t, err)
				s := start(t, mech, false, map[string]string{"Service/Auth/Kerberos": "true"})
				kind.cfg.ConfigFile = m.Conf
				var a auth.Mechanism = open(t, &kind.cfg)
				if spnego {
					a = auth.Negotiate(a)
				}
				client, err := winrm.New("http://"+host, &winrm.Config{Auth: a, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
					var d net.Dialer
					return d.DialContext(ctx, network, s.Listener.Addr().String())
				}})
				require.NoError(t, err)
				defer client.Close()
				out, _ := client.CommandContext(t.Context(), "whoami").Output()
				user, _, _ := bytes.Cut(out, []byte(" "))
				assert.Equal(t, kind.user+"@EXAMPLE.TEST", string(user))
			})
		}
	}
}

// TestMITAcceptsSession has MIT's GSS-API in the place of the server: through
// SPNEGO with a fall-back offered, and without it; messages both ways, and the
// second hop with what was delegated.
func TestMITAcceptsSession(t *testing.T) {
	m := mitRealm(t)
	cred := auth.Credentials{User: "alice@EXAMPLE.TEST", Password: oddPassword}
	kerb := open(t, &kerberos.Config{Credentials: cred, ConfigFile: m.Conf, Delegate: kerberos.DelegateIfTrusted})
	for mech, a := range map[string]auth.Mechanism{"krb5": kerb, "spnego": auth.Negotiate(kerb, auth.NTLM(cred))} {
		t.Run(mech, func(t *testing.T) {
			g := realmtest.StartGSS(t, append(m.Env, "KRB5_KTNAME=FILE:"+m.Path("server.keytab")),
				"accept", "--mech", mech, "--second-hop", "HTTP@second.example.test")
			s, err := a.NewSession(auth.Peer{Scheme: "http", Host: host, Port: "5985", Seal: true})
			require.NoError(t, err)
			defer s.Close()
			answer := logOn(t, s, g)
			assert.Equal(t, "alice@EXAMPLE.TEST", answer.Name)
			assert.Equal(t, "alice@EXAMPLE.TEST", answer.Deleg)
			assert.NotEmpty(t, answer.Ticket, "the second hop")

			sealer, ok := s.(auth.Sealer)
			require.True(t, ok)
			require.True(t, sealer.Ready())
			for _, size := range []int{0, 1, 1000, 150_000} {
				plain := bytes.Repeat([]byte("x"), size)
				out, n, _, err := sealer.Wrap(nil, plain)
				require.NoError(t, err)
				got := g.Do(realmtest.GSSRequest{Op: "unwrapiov", Header: out[:n], Data: out[n:]})
				assert.True(t, bytes.Equal(plain, got.Data))
				sealed := g.Do(realmtest.GSSRequest{Op: "wrapiov", Data: plain})
				back, err := sealer.Unwrap(slices.Concat(sealed.Header, sealed.Data), len(sealed.Header))
				require.NoError(t, err)
				assert.True(t, bytes.Equal(plain, back))
			}
		})
	}
}

// logOn carries tokens between a session and the peer until both are content.
func logOn(t *testing.T, s auth.Session, g *realmtest.GSS) realmtest.GSSAnswer {
	t.Helper()
	leg := auth.Leg{First: true}
	var answer realmtest.GSSAnswer
	for range 5 {
		out, done, err := s.Step(t.Context(), leg)
		require.NoError(t, err)
		if done && len(out) == 0 {
			return answer
		}
		answer = g.Do(realmtest.GSSRequest{Op: "step", Data: out})
		leg = auth.Leg{Status: 401, HasToken: len(answer.Data) > 0, Token: answer.Data}
		if answer.Done {
			leg.Status = 200
		}
		if done {
			return answer
		}
	}
	t.Fatal("no end")
	return answer
}
