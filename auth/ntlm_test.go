package auth_test

import (
	"bytes"
	"context"
	"crypto/fips140"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/authserver"
	"github.com/winrmkit/winrmkit/internal/httpseal"
	"github.com/winrmkit/winrmkit/internal/ntlm"
	"github.com/winrmkit/winrmkit/internal/spnego"
	"github.com/winrmkit/winrmkit/internal/toyauth"
)

// An ntlmServer answers as a listener that accepts Negotiate.
type ntlmServer struct {
	*server
	accept  authserver.Mechanism
	binding authserver.ChannelBindingLevel

	// hostile answers in place of the listener; token is what it would have sent.
	hostile func(r *received, token string) string

	mu       sync.Mutex
	contexts map[int]authserver.Context
}

func newNTLMServer(tb testing.TB, cert *tls.Certificate) *ntlmServer {
	tb.Helper()
	s := &ntlmServer{contexts: map[int]authserver.Context{}, accept: authserver.Negotiate{}}
	if cert != nil {
		s.server = newTLSServer(tb, toyauth.TwoLegs, *cert)
	} else {
		s.server = newServer(tb, toyauth.TwoLegs)
	}
	s.server.intercept = func(r *received) string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.respond(r, cert)
	}
	return s
}

func (s *ntlmServer) respond(r *received, cert *tls.Certificate) string {
	word, rest, _ := strings.Cut(r.authorization, " ")
	if word == "" {
		return s.message(r)
	}
	in, _ := base64.StdEncoding.DecodeString(rest)
	c := s.contexts[r.conn]
	if c == nil {
		peer := authserver.Peer{Host: host, Accounts: accounts{s.server}, ChannelBinding: s.binding}
		if cert != nil {
			peer.ServerCertificate = cert.Certificate[0]
		}
		c = s.accept.NewContext(peer)
		s.contexts[r.conn] = c
	}
	out, state, _ := c.Accept(context.Background(), in, true)
	token, status := "", 401
	if len(out) > 0 {
		token = "WWW-Authenticate: Negotiate " + base64.StdEncoding.EncodeToString(out) + "\r\n"
	}
	if s.hostile != nil {
		if answer := s.hostile(r, token); answer != "" {
			return answer
		}
	}
	switch state {
	case authserver.Refused:
		token = "WWW-Authenticate: Negotiate\r\nWWW-Authenticate: Basic realm=\"WSMAN\"\r\n"
	case authserver.Accepted:
		status = 200
	}
	return httpAnswer(status, token, "")
}

func (s *ntlmServer) message(r *received) string {
	if s.hostile != nil {
		if answer := s.hostile(r, ""); answer != "" {
			return answer
		}
	}
	sealer, ok := s.contexts[r.conn].(authserver.Sealer)
	if !ok || !httpseal.IsSealed(r.contentType) {
		if s.tls != nil {
			return httpAnswer(200, "Content-Type: "+soapType+"\r\n", "re: "+string(r.raw))
		}
		return httpAnswer(500, "", "")
	}
	plain, _, err := httpseal.Open(sealer, r.contentType, bytes.Clone(r.raw))
	if err != nil {
		return httpAnswer(400, "", "")
	}
	body, ct, err := httpseal.Format{Tab: true}.Seal(nil, sealer, soapType, append([]byte("re: "), plain...))
	if err != nil {
		return httpAnswer(500, "", "")
	}
	return httpAnswer(200, "Content-Type: "+ct+"\r\n", string(body))
}

// ntlmKinds are the mechanisms under test.
var ntlmKinds = map[string]func(auth.Credentials) auth.Mechanism{
	"NTLM":      auth.NTLM,
	"Negotiate": func(c auth.Credentials) auth.Mechanism { return auth.Negotiate(auth.NTLM(c)) },
}

func use(m auth.Mechanism) func(*auth.TransportConfig) {
	return func(c *auth.TransportConfig) { c.Mechanism = m }
}

func TestNTLMSealsOverHTTP(t *testing.T) {
	for name, mech := range ntlmKinds {
		t.Run(name, func(t *testing.T) {
			s := newNTLMServer(t, nil)
			var logons []auth.LogonInfo
			tr := s.transport(func(c *auth.TransportConfig) {
				c.Mechanism = mech(creds())
				c.Trace = &auth.Trace{Logon: func(_ context.Context, i auth.LogonInfo) { logons = append(logons, i) }}
			})
			for _, text := range []string{"first", "second", strings.Repeat("long ", 50000)} {
				status, body, err := s.post(tr, t.Context(), text)
				require.NoError(t, err)
				assert.Equal(t, 200, status)
				assert.Equal(t, "re: "+text, body)
			}
			conns, requests, failed := s.counts()
			assert.Equal(t, []int{1, 5, 0}, []int{conns, requests, failed}, "two exchanges of the logon and three messages")
			assert.NotContains(t, s.sniff(), "long long")
			require.Len(t, logons, 1)
			assert.Equal(t, name, logons[0].Mechanism)
			assert.Equal(t, "user", logons[0].Account)
			assert.Equal(t, map[string]string{"NTLM": "", "Negotiate": "NTLM"}[name], logons[0].Chosen)
		})
	}
}

func TestNTLMBindsOverHTTPS(t *testing.T) {
	cert := newCertificate(t, host)
	other := newCertificate(t, host)
	for name, mech := range ntlmKinds {
		for _, tt := range []struct {
			what  string
			level authserver.ChannelBindingLevel
			seen  tls.Certificate // by the client, as a proxy that inspects TLS would show it
			ok    bool
		}{
			{"strict", authserver.BindingStrict, cert, true},
			{"strict, inspected", authserver.BindingStrict, other, false},
			{"relaxed, inspected", authserver.BindingRelaxed, other, false},
			{"none, inspected", authserver.BindingNone, other, true},
		} {
			t.Run(name+"/"+tt.what, func(t *testing.T) {
				s := newNTLMServer(t, &cert)
				s.tls.Certificates = []tls.Certificate{tt.seen}
				s.binding = tt.level
				tr := s.transport(use(mech(creds())))
				_, body, err := s.post(tr, t.Context(), "hello")
				_, requests, failed := s.counts()
				assert.Zero(t, failed, "no password was guessed")
				if tt.ok {
					require.NoError(t, err)
					assert.Equal(t, "re: hello", body)
					assert.Equal(t, 3, requests)
					return
				}
				e, ok := errors.AsType[*auth.Error](err)
				require.True(t, ok, "%v", err)
				assert.True(t, e.Refused)
				assert.Contains(t, causeIDs(e), "channel-binding")
			})
		}
	}
}

func causeIDs(e *auth.Error) []string {
	var ids []string
	for _, c := range e.Causes {
		ids = append(ids, c.ID)
	}
	return ids
}

// A refusal names account and mechanism, lists what may be wrong, each with its
// check, and is remembered.
func TestNTLMWrongPassword(t *testing.T) {
	for name, mech := range ntlmKinds {
		t.Run(name, func(t *testing.T) {
			s := newNTLMServer(t, nil)
			bad := creds()
			bad.Domain, bad.Password = "CORP", "wrong"
			tr := s.transport(use(mech(bad)))
			_, _, err := s.post(tr, t.Context(), "hello")
			e, ok := errors.AsType[*auth.Error](err)
			require.True(t, ok, "%v", err)
			assert.True(t, e.Refused)
			assert.False(t, e.Remembered)
			assert.Equal(t, name, e.Mechanism)
			assert.Equal(t, `CORP\user`, e.Account)
			assert.Equal(t, []string{"Negotiate", "Basic"}, e.Offered)
			assert.Equal(t, []int{401, 2}, []int{e.Status, e.Leg})
			assert.Equal(t, "wrong-password", causeIDs(e)[0])
			for _, c := range e.Causes {
				assert.NotEmpty(t, c.Check+c.Remedy, c.ID)
			}
			assert.NotContains(t, err.Error(), `"wrong"`)

			tr = s.transport(use(mech(bad)))
			_, _, err = s.post(tr, t.Context(), "hello")
			e, ok = errors.AsType[*auth.Error](err)
			require.True(t, ok, "%v", err)
			assert.True(t, e.Remembered)
			_, _, failed := s.counts()
			assert.Equal(t, 1, failed)
		})
	}
}

// One credential under both mechanisms and on many hosts is one guess.
func TestNTLMWrongPasswordCostsOneFailedLogon(t *testing.T) {
	bad := creds()
	bad.Password = "wrong"
	servers := make([]*ntlmServer, 20)
	var wg sync.WaitGroup
	for i := range servers {
		s := newNTLMServer(t, nil)
		servers[i] = s
		mech := auth.NTLM(bad)
		if i%2 == 1 {
			mech = auth.Negotiate(auth.NTLM(bad))
		}
		tr := s.transport(use(mech))
		for range 10 {
			wg.Go(func() {
				_, _, err := s.post(tr, t.Context(), "hello")
				assert.Error(t, err)
			})
		}
	}
	wg.Wait()
	total := 0
	for _, s := range servers {
		_, _, failed := s.counts()
		total += failed
	}
	assert.Equal(t, 1, total)
}

func TestNTLMSecrets(t *testing.T) {
	hash, err := ntlm.PasswordHash(goodPass)
	require.NoError(t, err)
	noTerminal := errors.New("no terminal")
	tests := map[string]struct {
		change func(*auth.Credentials)
		want   string // "" for a logon
	}{
		"hash":       {func(c *auth.Credentials) { c.Password, c.NTHash = "", hash[:] }, ""},
		"short hash": {func(c *auth.Credentials) { c.Password, c.NTHash = "", hash[:15] }, "NTHash has 15 bytes"},
		"function": {func(c *auth.Credentials) {
			c.Password, c.PasswordFunc = "", func(context.Context) (string, error) { return goodPass, nil }
		}, ""},
		"function err": {func(c *auth.Credentials) {
			c.PasswordFunc = func(context.Context) (string, error) { return "", noTerminal }
		}, "no terminal"},
		"domain\\user":  {func(c *auth.Credentials) { c.User = `CORP\user` }, ""},
		"local account": {func(c *auth.Credentials) { c.User = `.\user` }, ""},
		"no user":       {func(c *auth.Credentials) { c.User = "" }, "without a user name"},
		"not UTF-8":     {func(c *auth.Credentials) { c.Password = "a\xff" }, "not valid UTF-8"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newNTLMServer(t, nil)
			c := creds()
			tt.change(&c)
			_, _, err := s.post(s.transport(use(auth.NTLM(c))), t.Context(), "hello")
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
			assert.NotContains(t, err.Error(), hex.EncodeToString(hash[:8]))
			_, _, failed := s.counts()
			assert.Zero(t, failed)
		})
	}
}

// TestNTLMNothingInClear: whatever goes wrong over http, neither a message nor
// anything that the password can be computed from in the clear leaves.
func TestNTLMNothingInClear(t *testing.T) {
	const message = "s:Envelope"
	clear200 := httpAnswer(200, "Content-Type: "+soapType+"\r\n", "<x/>")
	onLeg := func(n int, answer string) func(*received, string) string {
		return func(r *received, _ string) string { return on(r.nth == n, answer) }
	}
	tests := map[string]struct {
		without ntlm.Flags
		hostile func(r *received, token string) string
		want    string
	}{
		"503 on the first leg":  {hostile: onLeg(1, httpAnswer(503, "", "")), want: "503"},
		"503 on the second leg": {hostile: onLeg(2, httpAnswer(503, "", "")), want: "503"},
		"dropped":               {hostile: onLeg(2, "drop"), want: "lost"},
		"200 at once":           {hostile: onLeg(1, httpAnswer(200, "", "")), want: ""},
		"answer in clear":       {hostile: onLeg(3, clear200), want: "in clear"},
		"Basic offered alone":   {hostile: onLeg(1, httpAnswer(401, "WWW-Authenticate: Basic\r\n", "")), want: "offered: Basic"},
		"sealing taken away":    {without: ntlm.FlagSeal, want: "does not negotiate SEAL"},
		"128 bits taken away":   {without: ntlm.Flag128, want: "does not negotiate 128"},
		"signing taken away":    {without: ntlm.FlagSign, want: "does not negotiate SIGN"},
		"key taken away":        {without: ntlm.FlagKeyExchange, want: "does not negotiate KEY_EXCH"},
		"challenge of garbage": {
			hostile: onLeg(1, httpAnswer(401, "WWW-Authenticate: Negotiate TlRMTVNTUAACAAAA\r\n", "")), want: "",
		},
	}
	for name, tt := range tests {
		for kind, mech := range ntlmKinds {
			t.Run(name+"/"+kind, func(t *testing.T) {
				s := newNTLMServer(t, nil)
				s.hostile = tt.hostile
				s.accept = authserver.Negotiate{Mechs: []authserver.SPNEGOMechanism{authserver.NTLM{Without: tt.without}}}
				tr := s.transport(use(mech(creds())))
				_, _, err := s.post(tr, t.Context(), message)
				require.ErrorContains(t, err, tt.want)
				assert.NotEmpty(t, s.sniff())
				assert.NotContains(t, s.sniff(), message)
				assert.NotContains(t, s.sniff(), goodPass)
			})
		}
	}
}

// A krb stands for Kerberos in a negotiation; its first step fails.
type krb struct {
	fail error
}

func (krb) Name() string                                   { return "Kerberos" }
func (krb) Scheme() string                                 { return "Kerberos" }
func (krb) NewSession(auth.Peer) (auth.Session, error)     { return nil, errors.ErrUnsupported }
func (k krb) NewContext(auth.Peer) (spnego.Context, error) { return k, nil }
func (krb) OIDs() []string                                 { return []string{spnego.OIDKerberos} }
func (krb) CanSign() bool                                  { return true }
func (krb) MIC(dst, _ []byte) ([]byte, error)              { return dst, errors.ErrUnsupported }
func (krb) VerifyMIC(_, _ []byte) error                    { return errors.ErrUnsupported }
func (krb) ResetAfterMIC()                                 {}
func (krb) Unwrap([]byte, int) ([]byte, error)             { return nil, errors.ErrUnsupported }
func (krb) Wrap(_, _ []byte) (out []byte, tokenLen, length int, err error) {
	return nil, 0, 0, errors.ErrUnsupported
}

func (k krb) Step(context.Context, []byte) (out []byte, done bool, err error) {
	return []byte("ticket"), false, k.fail
}

type unavailable struct{ error }

func (unavailable) Unavailable() bool { return true }

func TestNegotiateFallsBack(t *testing.T) {
	noKDC := unavailable{errors.New("no KDC answers")}
	judged := errors.New("KDC_ERR_PREAUTH_FAILED")
	t.Run("to the next, when nobody judged", func(t *testing.T) {
		s := newNTLMServer(t, nil)
		_, body, err := s.post(s.transport(use(auth.Negotiate(krb{noKDC}, auth.NTLM(creds())))), t.Context(), "x")
		require.NoError(t, err)
		assert.Equal(t, "re: x", body)
	})
	t.Run("to what the server takes", func(t *testing.T) {
		s := newNTLMServer(t, nil)
		_, body, err := s.post(s.transport(use(auth.Negotiate(krb{}, auth.NTLM(creds())))), t.Context(), "x")
		require.NoError(t, err)
		assert.Equal(t, "re: x", body)
		conns, requests, _ := s.counts()
		assert.Equal(t, []int{1, 4}, []int{conns, requests})
	})
	t.Run("not after a judgement", func(t *testing.T) {
		s := newNTLMServer(t, nil)
		_, _, err := s.post(s.transport(use(auth.Negotiate(krb{judged}, auth.NTLM(creds())))), t.Context(), "x")
		require.ErrorIs(t, err, judged)
		_, requests, _ := s.counts()
		assert.Zero(t, requests, "nothing was sent")
	})
	t.Run("nothing left", func(t *testing.T) {
		s := newNTLMServer(t, nil)
		_, _, err := s.post(s.transport(use(auth.Negotiate(krb{noKDC}))), t.Context(), "x")
		require.ErrorIs(t, err, noKDC)
	})
	t.Run("and says so when that fails too", func(t *testing.T) {
		s := newNTLMServer(t, nil)
		s.accept = authserver.Negotiate{Mechs: []authserver.SPNEGOMechanism{authserver.NTLM{Without: ntlm.FlagSeal}}}
		_, _, err := s.post(s.transport(use(auth.Negotiate(krb{noKDC}, auth.NTLM(creds())))), t.Context(), "x")
		require.ErrorContains(t, err, "SEAL")
		require.ErrorContains(t, err, "no KDC answers")
	})
}

func TestNegotiateConfiguration(t *testing.T) {
	peer := auth.Peer{Scheme: "http", Host: host, Port: "5985", Seal: true}
	_, err := auth.Negotiate().NewSession(peer)
	require.ErrorContains(t, err, "without mechanisms")
	_, err = auth.Negotiate(auth.Basic(creds())).NewSession(peer)
	require.ErrorContains(t, err, "cannot carry Basic")
	assert.NotContains(t, fmt.Sprintf("%+v %#v", auth.NTLM(creds()), auth.Negotiate(auth.NTLM(creds()))), goodPass)
}

// In a program that enforces FIPS 140, NTLM steps aside and says why.
func TestNTLMUnderFIPS(t *testing.T) {
	if !fips140.Enforced() {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNTLMUnderFIPS$", "-test.v")
		cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Contains(t, string(out), "--- PASS: TestNTLMUnderFIPS")
		return
	}
	peer := auth.Peer{Scheme: "http", Host: host, Port: "5985", Seal: true}
	for name, mech := range ntlmKinds {
		_, err := mech(creds()).NewSession(peer)
		require.ErrorIs(t, err, ntlm.ErrFIPS, name)
	}
	_, err := auth.Negotiate(krb{}, auth.NTLM(creds())).NewSession(peer)
	require.NoError(t, err, "Kerberos is left")
}
