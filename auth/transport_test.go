package auth_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/toyauth"
)

func TestSealedOverHTTP(t *testing.T) {
	for _, c := range []struct {
		kind toyauth.Kind
		legs int // requests before the first message
	}{
		{toyauth.TwoLegs, 2},
		{toyauth.Splitting, 2},
		{toyauth.Early, 1},
	} {
		t.Run(c.kind.String(), func(t *testing.T) {
			s := newServer(t, c.kind)
			tr := s.transport(nil)
			for _, body := range []string{"first", strings.Repeat("long ", 5000), "third"} {
				status, got, err := s.post(tr, t.Context(), body)
				require.NoError(t, err)
				assert.Equal(t, 200, status)
				assert.Equal(t, "re: "+body, got)
			}
			conns, requests, _ := s.counts()
			assert.Equal(t, 1, conns)
			assert.Equal(t, c.legs+3, requests, "a warm message costs one exchange")
			for i, r := range s.got() {
				assert.Equal(t, i < c.legs, !r.message, "payload leaves when the logon allows, not before")
				assert.Equal(t, i < c.legs, r.authorization != "", "the first token goes unasked, later ones not at all")
			}
			assert.NotContains(t, s.sniff(), "first")
			assert.NotContains(t, s.sniff(), "long long")
		})
	}
}

func TestSplitBodiesAreMulti(t *testing.T) {
	s := newServer(t, toyauth.Splitting)
	tr := s.transport(nil)
	_, _, err := s.post(tr, t.Context(), strings.Repeat("x", 3000))
	require.NoError(t, err)
	last := s.last()
	assert.Contains(t, last.contentType, "multipart/x-multi-encrypted")
}

func TestMechanismThatCannotSealIsRefusedBeforeTheDial(t *testing.T) {
	s := newServer(t, toyauth.OneLeg)
	for _, e := range []auth.Encryption{auth.EncryptAuto, auth.EncryptAlways} {
		tr := s.transport(func(c *auth.TransportConfig) { c.Encryption = e })
		_, _, err := s.post(tr, t.Context(), "secret")
		clear, ok := errors.AsType[*auth.ClearTextError](err)
		require.True(t, ok, "%v", err)
		assert.False(t, clear.Credentials)
		assert.False(t, auth.MayBeProcessed(err))
	}
	conns, _, _ := s.counts()
	assert.Zero(t, conns)

	tr := s.transport(func(c *auth.TransportConfig) { c.Encryption = auth.EncryptNever })
	_, got, err := s.post(tr, t.Context(), "said by name")
	require.NoError(t, err)
	assert.Equal(t, "re: said by name", got)
}

func TestServerWithoutProofIsRefused(t *testing.T) {
	// A 200 without token ends the logon only if the session says done.
	s := newServer(t, toyauth.TwoLegs)
	s.intercept = func(r *received) string {
		if r.nth == 2 {
			return httpAnswer(200, "", "")
		}
		return ""
	}
	_, _, err := s.post(s.transport(nil), t.Context(), "secret")
	e, ok := errors.AsType[*auth.Error](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, 200, e.Status)
	assert.False(t, e.Refused)
	assert.Empty(t, s.messages())
}

func TestWrongProofIsRefused(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	s.intercept = func(r *received) string {
		if r.nth == 2 {
			return httpAnswer(200, "WWW-Authenticate: Toy cHdyb25n\r\n", "")
		}
		return ""
	}
	_, _, err := s.post(s.transport(nil), t.Context(), "secret")
	require.ErrorContains(t, err, "did not prove")
	assert.Empty(t, s.messages())
}

func TestEndlessLegs(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	s.intercept = func(r *received) string { return httpAnswer(401, "WWW-Authenticate: Toy eA==\r\n", "") }
	tr := s.transport(func(c *auth.TransportConfig) { c.Mechanism = babbler{} })
	_, _, err := s.post(tr, t.Context(), "secret")
	require.ErrorContains(t, err, "no end after 20 legs")
	_, requests, _ := s.counts()
	assert.Equal(t, 20, requests)
}

// babbler never comes to an end.
type babbler struct{}

func (babbler) Name() string                                 { return "babbler" }
func (babbler) Scheme() string                               { return toyauth.Scheme }
func (b babbler) NewSession(auth.Peer) (auth.Session, error) { return b, nil }
func (babbler) Close() error                                 { return nil }
func (babbler) Ready() bool                                  { return false }
func (babbler) Protocol() string                             { return "" }
func (babbler) MaxPlain() int                                { return 0 }
func (babbler) Presented() bool                              { return false }
func (babbler) Step(context.Context, auth.Leg) ([]byte, bool, error) {
	return []byte("more"), false, nil
}

func (babbler) Wrap([]byte, []byte) ([]byte, int, int, error) {
	return nil, 0, 0, errors.ErrUnsupported
}
func (babbler) Unwrap([]byte, int) ([]byte, error) { return nil, errors.ErrUnsupported }

// parting gives up, with a token that tells the server why.
type parting struct{ babbler }

var errParting = errors.New("parting")

func (p parting) NewSession(auth.Peer) (auth.Session, error) { return p, nil }

func (parting) Step(context.Context, auth.Leg) ([]byte, bool, error) {
	return []byte("bye"), false, errParting
}

func TestTokenThatComesWithAnErrorIsSent(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	tr := s.transport(func(c *auth.TransportConfig) { c.Mechanism = parting{} })
	_, _, err := s.post(tr, t.Context(), "secret")
	require.ErrorIs(t, err, errParting)
	require.Len(t, s.got(), 1)
	assert.Equal(t, "Toy Ynll", s.got()[0].authorization)
}

// asker is a toy that must ask first.
type asker struct{ auth.Mechanism }

func (asker) AskFirst() bool { return true }

func TestAskerAsksOnce(t *testing.T) {
	for _, closing := range []bool{false, true} {
		s := newServer(t, toyauth.TwoLegs)
		s.intercept = func(r *received) string {
			if r.authorization == "" && !r.message && closing {
				return "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Toy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
			}
			return ""
		}
		tr := s.transport(func(c *auth.TransportConfig) { c.Mechanism = asker{toyauth.New(toyauth.TwoLegs, creds())} })
		for range 2 {
			_, _, err := s.post(tr, t.Context(), "x")
			require.NoError(t, err)
			s.closeConns()
		}
		anonymous := 0
		for _, r := range s.got() {
			if r.authorization == "" && !r.message {
				anonymous++
			}
		}
		assert.Equal(t, 1, anonymous, "asked once per host, remembered")
	}
}

func TestAskerIsToldWhatIsOffered(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	s.offers = []string{"Negotiate", "Kerberos"}
	tr := s.transport(func(c *auth.TransportConfig) { c.Mechanism = asker{toyauth.New(toyauth.TwoLegs, creds())} })
	_, _, err := s.post(tr, t.Context(), "x")
	e, ok := errors.AsType[*auth.Error](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, []string{"Negotiate", "Kerberos"}, e.Offered)
	require.NotEmpty(t, e.Causes)
	assert.Equal(t, "scheme-off", e.Causes[0].ID)
	assert.False(t, e.Refused)
	_, _, failed := s.counts()
	assert.Zero(t, failed)
}

func TestRoundTripperEtiquette(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	tr := s.transport(nil)
	body := &closeCounter{Reader: strings.NewReader("hello")}
	wrote := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { wrote++ },
	})
	req := newRequest(ctx, false, "")
	req.Body, req.ContentLength = body, 5
	header := req.Header.Clone()
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	assert.Equal(t, 1, body.closed)
	assert.Equal(t, header, req.Header)
	assert.Equal(t, 1, wrote, "for the message, not for the legs")
	assert.Same(t, req, resp.Request)
	assert.Equal(t, soapType, resp.Header.Get("Content-Type"))

	whole := resp.Body.(interface{ Bytes() []byte }).Bytes()
	assert.Equal(t, "re: hello", string(whole))
	read, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "re: hello", string(read))
	require.NoError(t, resp.Body.Close())
	require.NoError(t, resp.Body.Close())

	// Also when nothing can be sent.
	require.NoError(t, tr.Close())
	body = &closeCounter{Reader: strings.NewReader("hello")}
	req.Body = body
	_, err = tr.RoundTrip(req)
	require.ErrorIs(t, err, auth.ErrClosed)
	assert.Equal(t, 1, body.closed)
}

type closeCounter struct {
	io.Reader
	closed int
}

func (c *closeCounter) Close() error { c.closed++; return nil }

func TestOtherHostsAreRefused(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	tr := s.transport(nil)
	for _, url := range []string{"http://other.test:5985/wsman", "https://" + host + ":5985/wsman", "http://" + host + ":5986/"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("x"))
		require.NoError(t, err)
		_, err = tr.RoundTrip(req)
		require.ErrorContains(t, err, "transport to "+host)
	}
	conns, _, _ := s.counts()
	assert.Zero(t, conns)
}

func TestHTTPClientDoesNotFollowRedirects(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	s.answer = func(*received) reply {
		return reply{status: 307, clear: true, header: "Location: http://" + host + ":5985/elsewhere\r\n"}
	}
	c := &http.Client{Transport: s.transport(nil)}
	_, err := c.Do(newRequest(t.Context(), false, "secret"))
	e, ok := errors.AsType[*auth.ResponseError](err)
	require.True(t, ok, "%v", err)
	require.ErrorIs(t, err, auth.ErrRedirected)
	assert.Contains(t, e.Location, "elsewhere")
	assert.Len(t, s.messages(), 1)
}
