package peertest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/authserver"
	"github.com/winrmkit/winrmkit/internal/chanbind"
)

const (
	domain   = "CORP"
	user     = "alice"
	password = "pÄss @/%wörd"
)

// certificate is a server's, with its channel binding.
func certificate(t *testing.T) (tls.ConnectionState, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "host"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	binding, err := chanbind.ServerEndPoint(der)
	require.NoError(t, err)
	return tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}, binding
}

func mechanism(name string, c auth.Credentials) auth.Mechanism {
	c.Gate = new(auth.Gate)
	if name == "negotiate" {
		return auth.Negotiate(auth.NTLM(c))
	}
	return auth.NTLM(c)
}

// logon runs our initiator against their acceptor, as it would go over HTTP.
func logon(t *testing.T, mech auth.Mechanism, p auth.Peer, theirs *peer) (auth.Session, header, error) {
	t.Helper()
	session, err := mech.NewSession(p)
	require.NoError(t, err)
	t.Cleanup(func() { _ = session.Close() })
	in := auth.Leg{First: true}
	for {
		out, done, err := session.Step(t.Context(), in)
		if err != nil {
			return session, header{}, err
		}
		if len(out) == 0 {
			require.True(t, done)
			return session, header{Done: true}, nil
		}
		resp, token := theirs.step(out)
		if resp.Error != "" || done {
			return session, resp, nil
		}
		in = auth.Leg{Status: http.StatusUnauthorized, HasToken: resp.Token, Token: token}
		if resp.Done {
			in.Status = http.StatusOK
			_, done, err := session.Step(t.Context(), in)
			assert.True(t, done || err != nil)
			return session, resp, err
		}
	}
}

var kinds = []kind{gss, pyspnego}

func TestNTLMInitiator(t *testing.T) {
	for _, k := range kinds {
		for _, mech := range []string{"ntlm", "negotiate"} {
			t.Run(k.name+"/"+mech, func(t *testing.T) {
				t.Parallel()
				accounts := strings.Join([]string{domain, user, password}, ":")
				start := func(t *testing.T, binding []byte) *peer {
					return k.start(t, peerConfig{role: "accept", mech: mech, accounts: accounts, binding: binding})
				}
				cred := auth.Credentials{Domain: domain, User: user, Password: password}
				clear := auth.Peer{Scheme: "http", Host: "host", Port: "5985", Seal: true}

				t.Run("seal", func(t *testing.T) {
					theirs := start(t, nil)
					session, resp, err := logon(t, mechanism(mech, cred), clear, theirs)
					require.NoError(t, err)
					require.Empty(t, resp.Error)
					assert.True(t, resp.Done)
					assert.Contains(t, strings.ToLower(resp.User), user)
					require.True(t, session.(auth.Sealer).Ready())
					exchange(t, session.(auth.Sealer), theirs)
				})
				t.Run("wrong password", func(t *testing.T) {
					wrong := cred
					wrong.Password = "wrong"
					session, resp, err := logon(t, mechanism(mech, wrong), clear, start(t, nil))
					assert.True(t, resp.Error != "" || err != nil, "was let in")
					assert.True(t, session.(auth.Presenter).Presented())
				})
				t.Run("channel binding", func(t *testing.T) {
					state, binding := certificate(t)
					secure := auth.Peer{Scheme: "https", Host: "host", Port: "5986", TLS: &state}
					_, resp, err := logon(t, mechanism(mech, cred), secure, start(t, binding))
					require.NoError(t, err)
					require.Empty(t, resp.Error)
					assert.True(t, resp.Done)
					if k == gss { // which takes a logon without a binding, too
						assert.Contains(t, resp.Flags, "channel_bound")
					}
				})
				t.Run("wrong channel binding", func(t *testing.T) {
					state, _ := certificate(t)
					_, other := certificate(t)
					secure := auth.Peer{Scheme: "https", Host: "host", Port: "5986", TLS: &state}
					_, resp, err := logon(t, mechanism(mech, cred), secure, start(t, other))
					assert.True(t, resp.Error != "" || err != nil, "was let in")
				})
			})
		}
	}
}

// accounts is the database of our acceptor.
type accounts struct{ failed int }

func (a *accounts) Lookup(d, u string) (authserver.Account, bool) {
	if !strings.EqualFold(d, domain) || !strings.EqualFold(u, user) {
		return authserver.Account{}, false
	}
	return authserver.Account{Name: domain + `\` + user, Domain: domain, User: user, Password: password}, true
}

func (a *accounts) Failed(string, string)          { a.failed++ }
func (a *accounts) Passed(authserver.Account) bool { return true }
func (a *accounts) Certificate(*tls.ConnectionState) (authserver.Account, bool) {
	return authserver.Account{}, false
}

// acceptLogon runs their initiator against our acceptor.
func acceptLogon(t *testing.T, ours authserver.Context, theirs *peer) (state authserver.State, theirErr string, err error) {
	t.Helper()
	var token []byte
	for {
		resp, out := theirs.step(token)
		if resp.Error != "" || len(out) == 0 {
			return state, resp.Error, err
		}
		if state != authserver.Continue {
			require.Fail(t, "the peer goes on after the end")
		}
		token, state, err = ours.Accept(context.Background(), out, true)
		if resp.Done && len(token) == 0 || state == authserver.Refused {
			return state, "", err
		}
	}
}

func TestNTLMAcceptor(t *testing.T) {
	for _, k := range kinds {
		for _, mech := range []string{"ntlm", "negotiate"} {
			t.Run(k.name+"/"+mech, func(t *testing.T) {
				t.Parallel()
				name := domain + `\` + user
				start := func(t *testing.T, pass string, binding []byte) *peer {
					return k.start(t, peerConfig{role: "init", mech: mech, user: name, pass: pass, binding: binding, host: "host"})
				}
				accept := func(db *accounts, cert []byte) authserver.Context {
					p := authserver.Peer{Host: "host", Accounts: db, ServerCertificate: cert, ChannelBinding: authserver.BindingStrict}
					return authserver.Negotiate{}.NewContext(p)
				}

				t.Run("seal", func(t *testing.T) {
					theirs := start(t, password, nil)
					ours := accept(&accounts{}, nil)
					state, theirErr, err := acceptLogon(t, ours, theirs)
					require.NoError(t, err)
					require.Empty(t, theirErr)
					require.Equal(t, authserver.Accepted, state)
					assert.Equal(t, domain+`\`+user, ours.User())
					require.True(t, ours.(authserver.Sealer).Ready())
					exchange(t, ours.(authserver.Sealer), theirs)
				})
				t.Run("wrong password", func(t *testing.T) {
					db := &accounts{}
					state, _, err := acceptLogon(t, accept(db, nil), start(t, "wrong", nil))
					require.Error(t, err)
					assert.Equal(t, authserver.Refused, state)
					assert.Equal(t, 1, db.failed)
				})
				t.Run("channel binding", func(t *testing.T) {
					tlsState, binding := certificate(t)
					ours := accept(&accounts{}, tlsState.PeerCertificates[0].Raw)
					state, theirErr, err := acceptLogon(t, ours, start(t, password, binding))
					require.NoError(t, err)
					require.Empty(t, theirErr)
					assert.Equal(t, authserver.Accepted, state)
				})
				for what, binding := range map[string][]byte{"wrong channel binding": []byte("tls-server-end-point:x"), "no channel binding": nil} {
					t.Run(what, func(t *testing.T) {
						tlsState, _ := certificate(t)
						db := &accounts{}
						state, _, err := acceptLogon(t, accept(db, tlsState.PeerCertificates[0].Raw), start(t, password, binding))
						require.Error(t, err)
						assert.Equal(t, authserver.Refused, state)
						assert.Zero(t, db.failed, "no guess at the password was wrong")
					})
				}
			})
		}
	}
}
