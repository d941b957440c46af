package authserver_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/authserver"
)

// db knows bob of the server itself and CORP\alice.
type db struct {
	failed []string
	locked bool
}

func (d *db) Lookup(domain, user string) (authserver.Account, bool) {
	for _, a := range []authserver.Account{
		{Name: `HOST\bob`, User: "bob", Password: "secret"},
		{Name: `CORP\alice`, Domain: "CORP", User: "alice", Password: "secret"},
	} {
		if strings.EqualFold(a.Domain, domain) && strings.EqualFold(a.User, user) {
			return a, true
		}
	}
	return authserver.Account{}, false
}

func (d *db) Failed(domain, user string)     { d.failed = append(d.failed, domain+`\`+user) }
func (d *db) Passed(authserver.Account) bool { return !d.locked }
func (d *db) Certificate(*tls.ConnectionState) (authserver.Account, bool) {
	return authserver.Account{}, false
}

// logon runs our initiator against the acceptor.
func logon(t *testing.T, accept authserver.Context, mech auth.Mechanism) (authserver.State, error) {
	t.Helper()
	session, err := mech.NewSession(auth.Peer{Scheme: "http", Host: "host", Port: "5985", Seal: true})
	require.NoError(t, err)
	in := auth.Leg{First: true}
	for {
		out, _, err := session.Step(t.Context(), in)
		require.NoError(t, err)
		token, state, err := accept.Accept(t.Context(), out, true)
		if state != authserver.Continue {
			return state, err
		}
		in = auth.Leg{Status: 401, HasToken: true, Token: token}
	}
}

func TestNTLMAccounts(t *testing.T) {
	tests := map[string]struct {
		cred   auth.Credentials
		locked bool
		user   string // "" for a refusal
		failed string
	}{
		"domain account":         {cred: auth.Credentials{Domain: "CORP", User: "alice"}, user: `CORP\alice`},
		"own account":            {cred: auth.Credentials{User: "bob"}, user: `HOST\bob`},
		"own account, by dot":    {cred: auth.Credentials{User: `.\bob`}, user: `HOST\bob`},
		"own account, by name":   {cred: auth.Credentials{User: `host\BOB`}, user: `HOST\bob`},
		"wrong password":         {cred: auth.Credentials{Domain: "CORP", User: "alice", Password: "x"}, failed: `CORP\alice`},
		"wrong password, by dot": {cred: auth.Credentials{User: `.\bob`, Password: "x"}, failed: `\bob`},
		"unknown":                {cred: auth.Credentials{Domain: "CORP", User: "eve"}, failed: `CORP\eve`},
		"locked out":             {cred: auth.Credentials{User: "bob"}, locked: true},
	}
	for name, tt := range tests {
		for kind, wrap := range map[string]func(auth.Mechanism) auth.Mechanism{
			"bare": func(m auth.Mechanism) auth.Mechanism { return m }, "in SPNEGO": func(m auth.Mechanism) auth.Mechanism { return auth.Negotiate(m) },
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				if tt.cred.Password == "" {
					tt.cred.Password = "secret"
				}
				tt.cred.Gate = new(auth.Gate)
				accounts := &db{locked: tt.locked}
				ctx := authserver.Negotiate{}.NewContext(authserver.Peer{Host: "host.corp.example", Accounts: accounts})
				state, err := logon(t, ctx, wrap(auth.NTLM(tt.cred)))
				assert.Equal(t, tt.user, ctx.User())
				assert.Equal(t, tt.failed, strings.Join(accounts.failed, " "))
				if tt.user == "" {
					require.Error(t, err)
					assert.Equal(t, authserver.Refused, state)
					assert.False(t, ctx.(authserver.Sealer).Ready())
					return
				}
				require.NoError(t, err)
				assert.Equal(t, authserver.Accepted, state)
				assert.True(t, ctx.(authserver.Sealer).Ready())
			})
		}
	}
}

func TestNTLMRecognizesItsTokens(t *testing.T) {
	assert.True(t, authserver.NTLM{}.Recognizes([]byte("NTLMSSP\x00\x01")))
	assert.False(t, authserver.NTLM{}.Recognizes([]byte("\x60\x48")))
	assert.False(t, authserver.NTLM{}.Recognizes(nil))
}
