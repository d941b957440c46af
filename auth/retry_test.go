package auth_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/toyauth"
)

// tlsServer is a server behind TLS, of which a 401 is the word.
func tlsServer(t *testing.T) *server {
	s := newServer(t, toyauth.TwoLegs)
	s.tls = newTLSConfig(newCertificate(t, host))
	return s
}

func TestContextLostIsRenewedOnce(t *testing.T) {
	s := tlsServer(t)
	lose := true
	s.intercept = func(r *received) string {
		if r.message && r.conn == 1 && r.nth == 4 && lose {
			return httpAnswer(401, "WWW-Authenticate: Negotiate\r\nWWW-Authenticate: Toy\r\n", "")
		}
		return ""
	}
	var reasons []error
	tr := s.transport(func(c *auth.TransportConfig) {
		c.Trace = &auth.Trace{Retry: func(_ context.Context, i auth.RetryInfo) { reasons = append(reasons, i.Reason) }}
	})
	for _, body := range []string{"one", "two"} {
		_, got, err := s.post(tr, t.Context(), body)
		require.NoError(t, err)
		assert.Equal(t, "re: "+body, got)
	}
	conns, _, failed := s.counts()
	assert.Equal(t, 2, conns)
	assert.Zero(t, failed)
	require.Len(t, reasons, 1)
	last := s.last()
	assert.Equal(t, "two", last.plain)
}

func TestContextLostTwiceIsAnError(t *testing.T) {
	s := tlsServer(t)
	s.intercept = func(r *received) string {
		if r.message {
			return httpAnswer(401, "WWW-Authenticate: Toy\r\n", "")
		}
		return ""
	}
	tr := s.transport(nil)
	_, _, err := s.post(tr, t.Context(), "one")
	e, ok := errors.AsType[*auth.Error](err)
	require.True(t, ok, "%v", err)
	assert.False(t, e.Refused, "the logon was accepted")
	assert.Equal(t, "connection-shared", e.Causes[0].ID)
	assert.Len(t, s.messages(), 2)
	// It is not remembered as a refusal.
	s.intercept = nil
	_, _, err = s.post(tr, t.Context(), "two")
	require.NoError(t, err)
}

// Over http anybody on the way can let a sealed request through, keep its answer
// back and write a 401 instead: it does not show that nothing was done.
func TestClearDenialOfASealedMessageIsNoProof(t *testing.T) {
	for _, kind := range []toyauth.Kind{toyauth.TwoLegs, toyauth.Splitting} {
		s := newServer(t, kind)
		s.answer = func(r *received) reply {
			if r.plain == "run once" {
				return reply{status: 401, clear: true, header: "WWW-Authenticate: Toy\r\n", contentType: "text/html"}
			}
			return reply{status: 200, body: "fine"}
		}
		tr := s.transport(nil)
		_, _, err := s.post(tr, t.Context(), "run once")
		assert.Equal(t, []string{"run once"}, s.messages(), "processed once")
		require.True(t, auth.MayBeProcessed(err), "%v", err)
		e, ok := errors.AsType[*auth.Error](err)
		require.True(t, ok, "%v", err)
		assert.False(t, e.Refused)
		assert.Equal(t, "connection-shared", e.Causes[0].ID)
		_, got, err := s.post(tr, t.Context(), "next")
		require.NoError(t, err)
		assert.Equal(t, "fine", got)
	}
}

// A host that drops contexts early shows it once. After that none is left idle
// for so long.
func TestShortLivedContextsAreLearnt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, toyauth.TwoLegs)
		var last time.Time
		s.intercept = func(r *received) string {
			idle := time.Since(last)
			last = time.Now()
			return on(r.message && r.nth > 3 && idle > 20*time.Second, httpAnswer(401, "WWW-Authenticate: Toy\r\n", ""))
		}
		tr := s.transport(nil)
		require.NoError(t, second(s.post(tr, t.Context(), "x")))
		time.Sleep(30 * time.Second)
		require.True(t, auth.MayBeProcessed(second(s.post(tr, t.Context(), "x"))))
		for range 4 {
			require.NoError(t, second(s.post(tr, t.Context(), "x")))
			time.Sleep(30 * time.Second)
		}
		_ = tr.Close()
		s.stop()
	})
}

func TestLostAnswerIsNeverSentAgain(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	s.answer = func(r *received) reply { return reply{drop: true} }
	_, _, err := s.post(s.transport(nil), t.Context(), "create")
	lost, ok := errors.AsType[*auth.ConnectionLostError](err)
	require.True(t, ok, "%v", err)
	assert.True(t, lost.Sent)
	assert.True(t, auth.MayBeProcessed(err))
	assert.Equal(t, []string{"create"}, s.messages())
}

func TestClosedIdleConnectionIsReplaced(t *testing.T) {
	for _, reset := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, toyauth.TwoLegs)
			var closed []string
			tr := s.transport(func(c *auth.TransportConfig) {
				c.Trace = &auth.Trace{
					ConnClosed: func(i auth.ConnInfo) { closed = append(closed, i.Reason) },
					Retry:      func(context.Context, auth.RetryInfo) { t.Error("nothing was sent to send again") },
				}
			})
			require.NoError(t, second(s.post(tr, t.Context(), "one")))
			if reset {
				s.eachConn(func(nc net.Conn) { nc.(interface{ Reset() }).Reset() })
			} else {
				s.closeConns()
			}
			require.NoError(t, second(s.post(tr, t.Context(), "two")))
			assert.Equal(t, []string{"one", "two"}, s.messages())
			assert.Equal(t, []string{"closed by the server"}, closed)
			_ = tr.Close()
			s.stop()
		})
	}
}

// cutConn fails a write after a number of bytes, counted over its life.
type cutConn struct {
	net.Conn
	left *atomic.Int64
}

var errCut = errors.New("cut")

func (c *cutConn) Write(p []byte) (int, error) {
	left := c.left.Add(-int64(len(p))) + int64(len(p))
	if left >= int64(len(p)) {
		return c.Conn.Write(p)
	}
	n, _ := c.Conn.Write(p[:max(0, left)])
	_ = c.Conn.Close()
	return n, errCut
}

// TestCutAtEveryByteSent cuts the first connection after each number of bytes
// that the client sends. Whatever happens, no message is processed twice, and
// no error claims that it was not processed when it was.
func TestCutAtEveryByteSent(t *testing.T) {
	total := cutRun(t, toyauth.TwoLegs, 1<<40)
	for cut := range total + 1 {
		cutRun(t, toyauth.TwoLegs, cut)
	}
}

// cutRun makes one exchange with the first connection cut, and returns how many
// bytes the client sent on it.
func cutRun(t *testing.T, kind toyauth.Kind, cut int64) int64 {
	t.Helper()
	s := newServer(t, kind)
	defer s.stop()
	var first atomic.Int64
	first.Store(cut)
	dials := 0
	tr := s.transport(func(c *auth.TransportConfig) {
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := s.dial(ctx, network, addr)
			if dials++; dials == 1 && err == nil {
				nc = &cutConn{Conn: nc, left: &first}
			}
			return nc, err
		}
	})
	defer tr.Close()
	_, got, err := s.post(tr, t.Context(), "run once")
	processed := len(s.messages())
	if err == nil {
		require.Equal(t, "re: run once", got)
		require.Equal(t, 1, processed, "cut at %d", cut)
	} else {
		require.LessOrEqual(t, processed, 1, "cut at %d", cut)
		if processed == 1 {
			require.True(t, auth.MayBeProcessed(err), "cut at %d: %v", cut, err)
		}
	}
	return cut - first.Load()
}

// shortConn ends after a number of bytes read.
type shortConn struct {
	net.Conn
	left int
}

func (c *shortConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		_ = c.Conn.Close()
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// TestCutAtEveryByteReceived ends what the server says after each number of
// bytes: never a wrong success, never a second run.
func TestCutAtEveryByteReceived(t *testing.T) {
	for cut := 0; ; cut++ {
		s := newServer(t, toyauth.TwoLegs)
		s.answer = func(r *received) reply { return reply{status: 200, body: "the whole answer"} }
		tr := s.transport(func(c *auth.TransportConfig) {
			c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := s.dial(ctx, network, addr)
				return &shortConn{Conn: nc, left: cut}, err
			}
		})
		_, got, err := s.post(tr, t.Context(), "run once")
		processed := len(s.messages())
		_ = tr.Close()
		s.stop()
		if err == nil {
			require.Equal(t, "the whole answer", got)
			require.Greater(t, cut, 300)
			return
		}
		require.LessOrEqual(t, processed, 1, "cut at %d", cut)
		if processed == 1 {
			require.True(t, auth.MayBeProcessed(err), "cut at %d: %v", cut, err)
		}
	}
}

func TestUnsentIsSentAgain(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	total := cutRun(t, toyauth.TwoLegs, 1<<40)
	var left atomic.Int64
	left.Store(total - 1) // all of the message but its last byte
	dials := 0
	tr := s.transport(func(c *auth.TransportConfig) {
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := s.dial(ctx, network, addr)
			if dials++; dials == 1 {
				nc = &cutConn{Conn: nc, left: &left}
			}
			return nc, err
		}
	})
	_, got, err := s.post(tr, t.Context(), "run once")
	require.NoError(t, err)
	assert.Equal(t, "re: run once", got)
	assert.Equal(t, 2, dials)
	assert.Equal(t, []string{"run once"}, s.messages())
}

func TestIdleContextIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, toyauth.TwoLegs)
		tr := s.transport(nil)
		for _, pause := range []time.Duration{0, 90 * time.Second, 101 * time.Second} {
			time.Sleep(pause)
			_, _, err := s.post(tr, t.Context(), "x")
			require.NoError(t, err)
		}
		conns, _, _ := s.counts()
		assert.Equal(t, 2, conns, "90 s are reused, 101 s are not")
		time.Sleep(101 * time.Second)
		assert.Equal(t, auth.Stats{MaxConns: 4}, tr.Stats(), "nothing stays open on an idle client")
		_ = tr.Close()
		s.stop()
	})
}

func TestContextsAreDiscarded(t *testing.T) {
	for name, c := range map[string]struct {
		answer reply
		status int
		never  bool // messages are not sealed
	}{
		"400 without body":                 {reply{status: 400, clear: true, contentType: "text/html"}, 400, false},
		"400 without body, nothing sealed": {reply{status: 400, contentType: "text/html"}, 400, true},
		"fault: cannot decrypt":            {reply{status: 500, body: `<f:WSManFault Code="2150859001"/>`}, 500, false},
		"413 in clear":                     {reply{status: 413, clear: true, body: "too long", contentType: "text/html"}, 413, false},
		"503 in clear":                     {reply{status: 503, clear: true}, 503, false},
		"500 in clear, no body":            {reply{status: 500, clear: true, contentType: "text/html"}, 500, false},
		"sealed, but it is over":           {reply{status: 200, body: "bye", header: "Connection: close\r\n"}, 200, false},
	} {
		t.Run(name, func(t *testing.T) {
			if c.status == 503 {
				c.answer.contentType = "text/plain"
			}
			s := newServer(t, toyauth.TwoLegs)
			s.answer = func(r *received) reply {
				if r.plain == "bad" {
					return c.answer
				}
				return reply{status: 200, body: "good"}
			}
			tr := s.transport(func(cfg *auth.TransportConfig) {
				if c.never {
					cfg.Encryption = auth.EncryptNever
				}
			})
			status, body, err := s.post(tr, t.Context(), "bad")
			require.NoError(t, err)
			assert.Equal(t, c.status, status)
			if c.answer.clear {
				assert.Empty(t, body, "what comes in clear is a status and no more")
			}
			status, _, err = s.post(tr, t.Context(), "next")
			require.NoError(t, err)
			assert.Equal(t, 200, status)
			conns, _, _ := s.counts()
			assert.Equal(t, 2, conns)
		})
	}
}

func TestAnswerInClearIsRefused(t *testing.T) {
	for name, a := range map[string]reply{
		"success":          {status: 200, clear: true, body: "<ok/>"},
		"success, no body": {status: 200, clear: true},
		"accepted":         {status: 202, clear: true, contentType: "text/plain"},
		"fault":            {status: 500, clear: true, body: "<fault/>"},
		"fault on 400":     {status: 400, clear: true, body: "<fault/>", contentType: "text/xml"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, toyauth.TwoLegs)
			s.answer = func(*received) reply { return a }
			_, _, err := s.post(s.transport(nil), t.Context(), "x")
			require.ErrorIs(t, err, auth.ErrUnsealed)
			assert.True(t, auth.MayBeProcessed(err))
			assert.Len(t, s.messages(), 1)
		})
	}
}

func TestForgedAnswerIsRefused(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	honest := ""
	s.intercept = func(r *received) string {
		if r.message && r.nth == 4 {
			return honest // replayed
		}
		return ""
	}
	tr := s.transport(func(c *auth.TransportConfig) {
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := s.dial(ctx, network, addr)
			return &tap{Conn: nc, to: &honest}, err
		}
	})
	_, _, err := s.post(tr, t.Context(), "one")
	require.NoError(t, err)
	honest = honest[strings.LastIndex(honest, "HTTP/1.1"):]
	_, _, err = s.post(tr, t.Context(), "two")
	_, ok := errors.AsType[*auth.ResponseError](err)
	require.True(t, ok, "%v", err)
	assert.Zero(t, tr.Stats().Open)
}

// tap keeps what is read.
type tap struct {
	net.Conn
	to *string
}

func (c *tap) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	*c.to += string(p[:n])
	return n, err
}

// TestNothingLeavesInClear looks at all bytes while everything that can go wrong
// goes wrong.
func TestNothingLeavesInClear(t *testing.T) {
	const secret = "s:Envelope"
	clear200 := httpAnswer(200, "Content-Type: "+soapType+"\r\n", "<x/>")
	for name, intercept := range map[string]func(r *received) string{
		"503 on the first leg":  func(r *received) string { return httpAnswer(503, "", "") },
		"503 on the second leg": func(r *received) string { return on(r.nth == 2, httpAnswer(503, "", "")) },
		"dropped":               func(r *received) string { return on(r.nth == 2, "drop") },
		"200 at once":           func(r *received) string { return httpAnswer(200, "", "") },
		"clear 200":             func(r *received) string { return on(r.nth == 3, clear200) },
		"401 for ever":          func(r *received) string { return httpAnswer(401, "WWW-Authenticate: Toy\r\n", "") },
		"Basic wanted":          func(r *received) string { return httpAnswer(401, "WWW-Authenticate: Basic\r\n", "") },
		"401 on the message":    func(r *received) string { return on(r.message, httpAnswer(401, "", "")) },
		"redirect":              func(r *received) string { return httpAnswer(302, "Location: http://x/\r\n", "") },
		"500 on the message":    func(r *received) string { return on(r.message, httpAnswer(500, "", "")) },
	} {
		for _, kind := range []toyauth.Kind{toyauth.TwoLegs, toyauth.Splitting, toyauth.Early} {
			t.Run(name+"/"+kind.String(), func(t *testing.T) {
				s := newServer(t, kind)
				s.intercept = intercept
				tr := s.transport(nil)
				for range 2 {
					_, _, _ = s.post(tr, t.Context(), secret)
				}
				assert.NotEmpty(t, s.sniff())
				assert.NotContains(t, s.sniff(), secret)
				assert.NotContains(t, s.sniff(), goodPass)
			})
		}
	}
}

func on(cond bool, answer string) string {
	if cond {
		return answer
	}
	return ""
}
