package auth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/authserver"
	"github.com/winrmkit/winrmkit/internal/httpseal"
	"github.com/winrmkit/winrmkit/internal/spnego"
)

// Servers, and what stands before them, write the same answers in many ways.
func TestNTLMWithOddServers(t *testing.T) {
	rewrite := func(header string) func(*received, string) string {
		return func(r *received, token string) string {
			token = strings.TrimSpace(strings.TrimPrefix(token, "WWW-Authenticate: Negotiate "))
			if r.nth != 1 {
				return ""
			}
			return httpAnswer(401, strings.ReplaceAll(header, "%T", token), "")
		}
	}
	last := func(rewritten func(token string) string) func(*received, string) string {
		return func(r *received, token string) string {
			if r.nth != 2 {
				return ""
			}
			return httpAnswer(200, rewritten(token), "")
		}
	}
	for name, hostile := range map[string]func(*received, string) string{
		"joined":        rewrite("WWW-Authenticate: Basic realm=\"WSMAN\", Negotiate %T, Kerberos\r\n"),
		"joined, first": rewrite("WWW-Authenticate: Negotiate %T,Basic realm=\"a, b\"\r\n"),
		"bare first":    rewrite("WWW-Authenticate: Negotiate\r\nWWW-Authenticate: Negotiate %T\r\n"),
		"among others":  rewrite("WWW-Authenticate: Kerberos\r\nWWW-Authenticate: Negotiate %T\r\nWWW-Authenticate: Basic realm=\"WSMAN\"\r\n"),
		"small letters": rewrite("www-authenticate: negotiate %T\r\n"),
		"capitals":      rewrite("WWW-AUTHENTICATE: NEGOTIATE %T\r\n"),
		"blanks after":  rewrite("WWW-Authenticate: Negotiate %T  \t \r\n"),
		"blanks before": rewrite("WWW-Authenticate:   Negotiate   %T\r\n"),
		"tab between":   rewrite("WWW-Authenticate: Negotiate\t%T\r\n"),
		"with a body": func(r *received, token string) string {
			return on(r.nth == 1, httpAnswer(401, token, "<html>no</html>"))
		},
		"keep-alive named": rewrite("WWW-Authenticate: Negotiate %T\r\nConnection: Keep-Alive\r\n"),
		"no padding": func(r *received, token string) string {
			return on(r.nth == 1, httpAnswer(401, strings.ReplaceAll(token, "=", ""), ""))
		},
		"interim answer": func(r *received, token string) string {
			return on(r.nth == 1, "HTTP/1.1 100 Continue\r\n\r\n"+httpAnswer(401, token, ""))
		},
		"chunked": func(r *received, token string) string {
			return on(r.nth == 1, "HTTP/1.1 401 Unauthorized\r\n"+token+"Transfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n")
		},
		"HTTP/1.0": func(r *received, token string) string {
			return on(r.nth == 1, strings.Replace(httpAnswer(401, token+"Connection: keep-alive\r\n", ""), "HTTP/1.1", "HTTP/1.0", 1))
		},
		"no last token": last(func(string) string { return "" }),
		"bare last":     last(func(string) string { return "WWW-Authenticate: Negotiate\r\n" }),
		"last status 204": func(r *received, token string) string {
			return on(r.nth == 2, "HTTP/1.1 204 No Content\r\n"+token+"\r\n")
		},
	} {
		for kind, mech := range ntlmKinds {
			if kind == "Negotiate" && (name == "no last token" || name == "bare last") {
				continue // its last token has a signature, which takes a sequence number
			}
			t.Run(name+"/"+kind, func(t *testing.T) {
				s := newNTLMServer(t, nil)
				s.hostile = hostile
				_, body, err := s.post(s.transport(use(mech(creds()))), t.Context(), "x")
				require.NoError(t, err)
				assert.Equal(t, "re: x", body)
				conns, requests, failed := s.counts()
				assert.Equal(t, []int{1, 3, 0}, []int{conns, requests, failed})
			})
		}
	}
}

// The challenge of a server without clock or DNS names.
func TestNTLMWithPlainChallenges(t *testing.T) {
	for name, accept := range map[string]authserver.NTLM{
		"no timestamp": {WithoutTimestamp: true},
		"a domain":     {Domain: "CORP"},
	} {
		for kind, mech := range ntlmKinds {
			t.Run(name+"/"+kind, func(t *testing.T) {
				s := newNTLMServer(t, nil)
				s.accept = authserver.Negotiate{Mechs: []authserver.SPNEGOMechanism{accept}}
				_, body, err := s.post(s.transport(use(mech(creds()))), t.Context(), "x")
				require.NoError(t, err)
				assert.Equal(t, "re: x", body)
			})
		}
	}
}

// rewrapped changes the tokens of a mechanism on their way in and out.
type rewrapped struct {
	authserver.Mechanism
	in, out func([]byte) []byte
}

func (m rewrapped) NewContext(p authserver.Peer) authserver.Context {
	return &rewrappedContext{m.Mechanism.NewContext(p), m}
}

type rewrappedContext struct {
	authserver.Context
	m rewrapped
}

func (c *rewrappedContext) Accept(ctx context.Context, token []byte, has bool) ([]byte, authserver.State, error) {
	out, state, err := c.Context.Accept(ctx, c.m.in(token), has)
	if len(out) > 0 {
		out = c.m.out(out)
	}
	return out, state, err
}

// sealer gives the server the context's abilities back.
func (c *rewrappedContext) sealer() authserver.Sealer { return c.Context.(authserver.Sealer) }

func (c *rewrappedContext) Ready() bool      { return c.sealer().Ready() }
func (c *rewrappedContext) Protocol() string { return c.sealer().Protocol() }
func (c *rewrappedContext) MaxPlain() int    { return c.sealer().MaxPlain() }
func (c *rewrappedContext) Wrap(dst, plain []byte) ([]byte, int, int, error) {
	return c.sealer().Wrap(dst, plain)
}

func (c *rewrappedContext) Unwrap(buf []byte, n int) ([]byte, error) {
	return c.sealer().Unwrap(buf, n)
}

func same(p []byte) []byte { return p }

// A server takes NTLM out of SPNEGO and answers without: the client follows.
func TestNegotiateAnsweredWithRawNTLM(t *testing.T) {
	s := newNTLMServer(t, nil)
	s.accept = rewrapped{authserver.NTLM{}, func(in []byte) []byte {
		if i := bytes.Index(in, []byte("NTLMSSP\x00\x01")); i > 0 {
			in = in[i:]
		}
		return in
	}, same}
	tr := s.transport(use(auth.Negotiate(auth.NTLM(creds()))))
	for range 2 {
		_, body, err := s.post(tr, t.Context(), "x")
		require.NoError(t, err)
		assert.Equal(t, "re: x", body)
	}
	conns, requests, _ := s.counts()
	assert.Equal(t, []int{1, 4}, []int{conns, requests})

	// Not where something better was offered: it could have been taken away.
	s = newNTLMServer(t, nil)
	s.hostile = func(r *received, _ string) string {
		return on(r.nth == 1, httpAnswer(401, "WWW-Authenticate: Negotiate TlRMTVNTUAACAAAA\r\n", ""))
	}
	_, _, err := s.post(s.transport(use(auth.Negotiate(krb{}, auth.NTLM(creds())))), t.Context(), "x")
	require.ErrorContains(t, err, "no NegTokenResp")
}

// A server puts SPNEGO around NTLM that came without: it is told apart from a
// refusal, and what to do about it.
func TestNTLMAnsweredWithSPNEGO(t *testing.T) {
	s := newNTLMServer(t, nil)
	s.accept = rewrapped{authserver.NTLM{}, same, func(out []byte) []byte {
		n := len(out)
		token := append([]byte{0xa2, 0x82, byte((n + 4) >> 8), byte(n + 4), 0x04, 0x82, byte(n >> 8), byte(n)}, out...)
		m := len(token)
		return append([]byte{0xa1, 0x82, byte((m + 4) >> 8), byte(m + 4), 0x30, 0x82, byte(m >> 8), byte(m)}, token...)
	}}
	_, _, err := s.post(s.transport(use(auth.NTLM(creds()))), t.Context(), "x")
	e, ok := errors.AsType[*auth.Error](err)
	require.True(t, ok, "%v", err)
	assert.False(t, e.Refused)
	assert.Equal(t, []string{"spnego-only"}, causeIDs(e))
	assert.Contains(t, err.Error(), "Negotiate(NTLM(credentials))")
}

// Something before the host knows NTLM by its own name.
func TestListenerOffersNTLMByName(t *testing.T) {
	s := newNTLMServer(t, nil)
	s.hostile = func(r *received, token string) string {
		switch {
		case strings.HasPrefix(r.authorization, "Negotiate "):
			return httpAnswer(401, "WWW-Authenticate: NTLM\r\nWWW-Authenticate: Basic realm=\"x\"\r\n", "")
		case r.message:
			return ""
		}
		status := 401
		if token == "" {
			status = 200
		}
		return httpAnswer(status, strings.Replace(token, "Negotiate", "NTLM", 1), "")
	}
	tr := s.transport(use(auth.NTLM(creds())))
	for range 2 {
		_, body, err := s.post(tr, t.Context(), "x")
		require.NoError(t, err)
		assert.Equal(t, "re: x", body)
		s.closeConns()
	}
	var words []string
	for _, r := range s.got() {
		if !r.message {
			words = append(words, strings.Fields(r.authorization)[0])
		}
	}
	assert.Equal(t, []string{"Negotiate", "NTLM", "NTLM", "NTLM", "NTLM"}, words)
}

// Sealed answers in the forms that are about.
func TestSealedAnswersInOddForms(t *testing.T) {
	indent := regexp.MustCompile(`\n(Content-Type|\tContent-Type|OriginalContent|\tOriginalContent)`)
	for name, change := range map[string]func(header, body string) (string, string){
		"no tabs":             func(h, b string) (string, string) { return h, strings.ReplaceAll(b, "\n\t", "\n") },
		"two tabs":            func(h, b string) (string, string) { return h, indent.ReplaceAllString(b, "\n\t$1") },
		"blank after dashes":  func(h, b string) (string, string) { return h, strings.ReplaceAll(b, "--Encrypted", "-- Encrypted") },
		"no break at the end": func(h, b string) (string, string) { return h, strings.TrimSuffix(b, "\r\n") },
		"more after the end":  func(h, b string) (string, string) { return h, b + "\r\n" },
		"protocol not quoted": func(h, b string) (string, string) {
			return strings.ReplaceAll(h, `"application/HTTP-SPNEGO-session-encrypted"`, "application/HTTP-SPNEGO-session-encrypted"), b
		},
		"blanks in the header": func(h, b string) (string, string) { return strings.ReplaceAll(h, ";", " ; "), b },
	} {
		for kind, mech := range ntlmKinds {
			t.Run(name+"/"+kind, func(t *testing.T) {
				s := newNTLMServer(t, nil)
				s.hostile = func(r *received, _ string) string {
					if !r.message {
						return ""
					}
					s.hostile = nil
					answer := s.message(r)
					header, body, _ := strings.Cut(answer, "\r\n\r\n")
					_, header, _ = strings.Cut(header, "Content-Type: ")
					contentType, _, _ := strings.Cut(header, "\r\n")
					contentType, body = change(contentType, body)
					return httpAnswer(200, "Content-Type: "+contentType+"\r\n", body)
				}
				_, got, err := s.post(s.transport(use(mech(creds()))), t.Context(), "x")
				require.NoError(t, err)
				assert.Equal(t, "re: x", got)
			})
		}
	}
}

// A host, or somebody in between, that does not play by the rules after a good
// logon: each answer is refused with a typed error, and the connection is gone.
func TestHostileSealedAnswers(t *testing.T) {
	seal := func(s authserver.Sealer, text string) string {
		body, _, err := httpseal.Seal(nil, s, soapType, []byte(text))
		if err != nil {
			panic(err)
		}
		return string(body)
	}
	const contentType = `multipart/encrypted;protocol="application/HTTP-SPNEGO-session-encrypted";boundary="Encrypted Boundary"`
	sig := func(body string) int { return strings.Index(body, "octet-stream\r\n") + len("octet-stream\r\n") }
	for name, answer := range map[string]func(s authserver.Sealer, before string) string{
		"replayed": func(_ authserver.Sealer, before string) string { return before },
		"skipped":  func(s authserver.Sealer, _ string) string { seal(s, "lost"); return seal(s, "hello") },
		"short signature": func(s authserver.Sealer, _ string) string {
			body := seal(s, "hello")
			at := sig(body)
			return body[:at] + "\x08\x00\x00\x00" + body[at+4:]
		},
		"no signature": func(s authserver.Sealer, _ string) string {
			body := seal(s, "hello")
			at := sig(body)
			return body[:at] + "\x00\x00\x00\x00" + body[at+20:]
		},
		"huge signature": func(s authserver.Sealer, _ string) string {
			body := seal(s, "hello")
			at := sig(body)
			return body[:at] + "\xff\xff\xff\x7f" + body[at+4:]
		},
		"dummy signature": func(s authserver.Sealer, _ string) string {
			body := seal(s, "hello")
			at := sig(body) + 4
			return body[:at] + "\x01\x00\x00\x00" + strings.Repeat("\x00", 12) + body[at+16:]
		},
		"changed text": func(s authserver.Sealer, _ string) string {
			body := seal(s, "hello")
			at := sig(body) + 20
			return body[:at] + string([]byte{body[at] ^ 1}) + body[at+1:]
		},
		"cut text": func(s authserver.Sealer, _ string) string {
			b := seal(s, "hello")
			at := sig(b) + 22
			return b[:at] + b[at+1:]
		},
		"longer length": func(s authserver.Sealer, _ string) string {
			return strings.Replace(seal(s, "hello"), "Length=5", "Length=9", 1)
		},
		"huge length": func(s authserver.Sealer, _ string) string {
			return strings.Replace(seal(s, "hello"), "Length=5", "Length=2147483647", 1)
		},
		"no length": func(s authserver.Sealer, _ string) string {
			return strings.Replace(seal(s, "hello"), ";Length=5", "", 1)
		},
		"no end": func(s authserver.Sealer, _ string) string {
			return strings.TrimSuffix(seal(s, "hello"), "--Encrypted Boundary--\r\n")
		},
		"boundary alone": func(authserver.Sealer, string) string { return "--Encrypted Boundary--\r\n" },
		"nothing":        func(authserver.Sealer, string) string { return "" },
		"reflected":      func(authserver.Sealer, string) string { return "reflect" },
	} {
		for kind, mech := range ntlmKinds {
			t.Run(name+"/"+kind, func(t *testing.T) {
				s := newNTLMServer(t, nil)
				before := ""
				s.hostile = func(r *received, _ string) string {
					sealer, ok := s.contexts[r.conn].(authserver.Sealer)
					if !r.message || !ok || r.conn > 1 {
						return ""
					}
					if before == "" {
						before = seal(sealer, "fine")
						return httpAnswer(200, "Content-Type: "+contentType+"\r\n", before)
					}
					body := answer(sealer, before)
					if body == "reflect" {
						body = string(r.raw)
					}
					return httpAnswer(200, "Content-Type: "+contentType+"\r\n", body)
				}
				tr := s.transport(use(mech(creds())))
				_, body, err := s.post(tr, t.Context(), "first")
				require.NoError(t, err)
				assert.Equal(t, "fine", body)
				_, body, err = s.post(tr, t.Context(), "second")
				refused, ok := errors.AsType[*auth.ResponseError](err)
				require.True(t, ok, "%v", err)
				assert.Equal(t, 200, refused.Status)
				assert.Empty(t, body)
				assert.True(t, auth.MayBeProcessed(err))
				_, body, err = s.post(tr, t.Context(), "third")
				require.NoError(t, err)
				assert.Equal(t, "re: third", body, "on a new connection")
				conns, _, failed := s.counts()
				assert.Equal(t, []int{2, 0}, []int{conns, failed})
			})
		}
	}
}

// The server's signature of the mechanism list is wrong: somebody has changed
// it, or the server does not know the key. No message leaves.
func TestWrongMechListMIC(t *testing.T) {
	s := newNTLMServer(t, nil)
	s.hostile = func(r *received, token string) string {
		if r.nth != 2 {
			return ""
		}
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(strings.TrimPrefix(token, "WWW-Authenticate: Negotiate ")))
		require.NoError(t, err)
		raw[len(raw)-8] ^= 1
		return httpAnswer(200, "WWW-Authenticate: Negotiate "+base64.StdEncoding.EncodeToString(raw)+"\r\n", "")
	}
	_, _, err := s.post(s.transport(use(auth.Negotiate(auth.NTLM(creds())))), t.Context(), "x")
	require.ErrorIs(t, err, spnego.ErrMIC)
	e, ok := errors.AsType[*auth.Error](err)
	require.True(t, ok, "%v", err)
	assert.False(t, e.Refused, "the server did not refuse anything")
	assert.Empty(t, s.messages())
}
