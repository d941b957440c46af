package auth_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
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

// TestHostileAnswers: each is given in place of the first, second and third
// answer, which is two legs and a message.
func TestHostileAnswers(t *testing.T) {
	huge := strings.Repeat("x", 1<<20)
	for name, answer := range map[string]string{
		"huge header":       "HTTP/1.1 200 OK\r\nX: " + huge + "\r\n\r\n",
		"header flood":      "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 1<<17),
		"1xx flood":         strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 1000),
		"upgrade":           "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
		"bad chunks":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nqq\r\n",
		"endless chunks":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("10000\r\n"+huge[:1<<16]+"\r\n", 40),
		"short body":        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
		"enormous length":   "HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000000\r\n\r\nshort",
		"compressed":        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nxxxx",
		"no length":         "HTTP/1.1 200 OK\r\n\r\nuntil the end",
		"redirect":          "HTTP/1.1 307 Temporary Redirect\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
		"not HTTP":          "220 mail.test ESMTP\r\n",
		"sealed by nobody":  "HTTP/1.1 200 OK\r\nContent-Type: multipart/encrypted;protocol=\"" + toyauth.Protocol + "\";boundary=\"Encrypted Boundary\"\r\nContent-Length: 5\r\n\r\nhello",
		"token no base64":   "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Toy ===!\r\nContent-Length: 0\r\n\r\n",
		"challenge flood":   "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: " + strings.Repeat("A,", 10000) + "\r\nContent-Length: 0\r\n\r\n",
		"nothing":           "drop",
		"half a status":     "HTTP/1.1 2",
		"two answers":       httpAnswer(200, "", "") + httpAnswer(200, "", ""),
		"status 999":        "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
		"continue then end": "HTTP/1.1 100 Continue\r\n\r\n",
	} {
		for nth := 1; nth <= 3; nth++ {
			s := newServer(t, toyauth.TwoLegs)
			s.intercept = func(r *received) string {
				if r.nth != nth {
					return ""
				}
				// A server that waits for more would not let the test end.
				go func() { time.Sleep(50 * time.Millisecond); _ = r.nc.Close() }()
				return answer
			}
			tr := s.transport(func(c *auth.TransportConfig) { c.MaxResponse = 1 << 20 })
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			status, _, err := s.post(tr, t.Context(), "<secret/>")
			runtime.ReadMemStats(&after)
			if err == nil {
				require.Equal(t, "status 999", name, "answer %d gave %d", nth, status)
			} else {
				assert.True(t, typed(err), "%s as answer %d: %T %v", name, nth, err, err)
			}
			assert.LessOrEqual(t, len(s.messages()), 2, name)
			assert.NotContains(t, s.sniff(), "secret")
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20), name)
			_ = tr.Close()
			s.stop()
		}
	}
}

func typed(err error) bool {
	_, a := errors.AsType[*auth.Error](err)
	_, b := errors.AsType[*auth.ConnectionLostError](err)
	_, c := errors.AsType[*auth.ResponseError](err)
	_, d := errors.AsType[*auth.DialError](err)
	return a || b || c || d
}

func TestResponseBeyondTheLimit(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	s.answer = func(*received) reply { return reply{status: 200, body: strings.Repeat("x", 5000)} }
	tr := s.transport(func(c *auth.TransportConfig) { c.MaxResponse = 4000 })
	_, ok := errors.AsType[*auth.ResponseError](second(s.post(tr, t.Context(), "x")))
	assert.True(t, ok)
	tr = s.transport(func(c *auth.TransportConfig) { c.MaxResponse = 6000 })
	require.NoError(t, second(s.post(tr, t.Context(), "x")))
}

// TestCancelInEachPhase ends the context while the client is in each phase. The
// call returns at once, and the next one works.
func TestCancelInEachPhase(t *testing.T) {
	cert := newCertificate(t, host)
	for name, hang := range map[string]func(*server, *hanging){
		"dial":    func(_ *server, h *hanging) { h.dial = true },
		"TLS":     func(s *server, h *hanging) { s.tls.GetConfigForClient = h.hello },
		"leg 1":   func(s *server, h *hanging) { s.intercept = h.at(1) },
		"leg 2":   func(s *server, h *hanging) { s.intercept = h.at(2) },
		"message": func(s *server, h *hanging) { s.intercept = h.at(3) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTLSServer(t, toyauth.TwoLegs, cert)
				h := newHanging()
				hang(s, h)
				tr := s.transport(func(c *auth.TransportConfig) {
					c.ConnectTimeout = time.Hour
					c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
						if h.dial && h.on.Load() {
							<-ctx.Done()
							return nil, ctx.Err()
						}
						return s.dial(ctx, network, addr)
					}
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				err := second(s.post(tr, ctx, "x"))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Equal(t, time.Minute, time.Since(start))
				assert.Equal(t, name == "message", auth.MayBeProcessed(err), "%v", err)
				h.on.Store(false)
				require.NoError(t, second(s.post(tr, t.Context(), "x")))
				_ = tr.Close()
				time.Sleep(time.Hour)
				s.stop()
			})
		})
	}
}

func TestConnectTimeout(t *testing.T) {
	cert := newCertificate(t, host)
	for name, hang := range map[string]func(*server, *hanging){
		"TLS":   func(s *server, h *hanging) { s.tls.GetConfigForClient = h.hello },
		"leg 1": func(s *server, h *hanging) { s.intercept = h.at(1) },
		"leg 2": func(s *server, h *hanging) { s.intercept = h.at(2) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTLSServer(t, toyauth.TwoLegs, cert)
				hang(s, newHanging())
				tr := s.transport(nil)
				start := time.Now()
				err := second(s.post(tr, t.Context(), "x"))
				require.ErrorContains(t, err, "no connection within 10s")
				assert.Equal(t, 10*time.Second, time.Since(start))
				_ = tr.Close()
				time.Sleep(time.Hour)
				s.stop()
			})
		})
	}
}

// hanging makes a server wait for half an hour.
type hanging struct {
	on   atomic.Bool
	dial bool
}

func newHanging() *hanging {
	h := &hanging{}
	h.on.Store(true)
	return h
}

func (h *hanging) hello(*tls.ClientHelloInfo) (*tls.Config, error) {
	if h.on.Load() {
		time.Sleep(30 * time.Minute)
	}
	return nil, nil
}

func (h *hanging) at(nth int) func(*received) string {
	return func(r *received) string {
		if h.on.Load() && r.nth == nth {
			time.Sleep(30 * time.Minute)
			return "drop"
		}
		return ""
	}
}

func TestSlowDripIsBoundedByTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, toyauth.TwoLegs)
		s.intercept = func(r *received) string {
			if !r.message {
				return ""
			}
			for range 10_000 {
				time.Sleep(time.Second)
				if _, err := io.WriteString(r.nc, "H"); err != nil {
					break
				}
			}
			return "drop"
		}
		tr := s.transport(nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		err := second(s.post(tr, ctx, "x"))
		require.Error(t, err)
		assert.LessOrEqual(t, time.Since(start), time.Minute)
		_ = tr.Close()
		s.stop()
	})
}

func TestRequestsThatCannotBeSent(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	tr := s.transport(nil)
	req := newRequest(t.Context(), false, "x")
	req.Header.Set("X-Evil", "a\r\nAuthorization: stolen")
	_, err := tr.RoundTrip(req)
	require.Error(t, err)
	assert.False(t, auth.MayBeProcessed(err))

	req = newRequest(t.Context(), false, "x")
	req.Body, req.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader("x"), broken{})), -1
	_, err = tr.RoundTrip(req)
	require.ErrorIs(t, err, errBroken)

	req = newRequest(t.Context(), false, "x")
	req.ContentLength = 7
	_, err = tr.RoundTrip(req)
	require.ErrorContains(t, err, "ContentLength says 7")
	assert.Empty(t, s.messages())

	// Headers that belong to the connection are not the caller's to set.
	req = newRequest(t.Context(), false, "x")
	for _, h := range []string{"Authorization", "Connection", "Expect", "Transfer-Encoding", "Accept-Encoding"} {
		req.Header.Set(h, "evil")
	}
	req.Header.Set("WSMANIDENTIFY", "unauthenticated")
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	_ = resp.Body.Close()
	last := s.last().header
	for name, values := range last {
		assert.NotContains(t, values, "evil", name)
	}
	assert.Equal(t, []string{"unauthenticated"}, last[http.CanonicalHeaderKey("WSMANIDENTIFY")])
	assert.Equal(t, auth.DefaultUserAgent, last.Get("User-Agent"))
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }
