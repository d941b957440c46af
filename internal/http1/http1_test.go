package http1_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/http1"
	"github.com/winrmkit/winrmkit/internal/memconn"
)

func TestMain(m *testing.M) {
	code := m.Run()
	for i := 0; runtime.NumGoroutine() > 2 && code == 0; i++ {
		if i == 100 {
			_, _ = fmt.Fprintln(os.Stderr, "goroutines left behind:", runtime.NumGoroutine())
			code = 1
		}
		time.Sleep(10 * time.Millisecond)
	}
	os.Exit(code)
}

func pair() (client, server *memconn.Conn) {
	return memconn.Pipe(memconn.Addr("client"), memconn.Addr("server"))
}

func post(body string) *http1.Request {
	return &http1.Request{
		Method: "POST", Target: "/wsman", Host: "srv:5985",
		Header: []http1.Field{{Name: "X-Test", Value: "1"}}, Body: []byte(body),
	}
}

// serve answers each request on nc with the next of the answers, and closes.
func serve(nc net.Conn, answers ...string) <-chan []string {
	seen := make(chan []string, 1)
	go func() {
		defer nc.Close()
		var got []string
		br := bufio.NewReader(nc)
		for _, a := range answers {
			var raw bytes.Buffer
			req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(br, &raw)))
			if err != nil {
				break
			}
			_, _ = io.Copy(io.Discard, req.Body)
			got = append(got, raw.String())
			if _, err := io.WriteString(nc, a); err != nil {
				break
			}
		}
		seen <- got
	}()
	return seen
}

const okHello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

func TestRequestBytes(t *testing.T) {
	a, b := pair()
	seen := serve(b, okHello, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: x\r\n\r\n")
	c := http1.NewConn(a)
	wrote := 0
	req := post("<body/>")
	req.Trace = &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { wrote++ }}
	resp, err := c.Exchange(t.Context(), req, 100)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(resp.Body.Bytes()))
	assert.Equal(t, "OK", resp.Reason)
	resp.Body.Release()
	resp, err = c.Exchange(t.Context(), post(""), 100)
	require.NoError(t, err)
	assert.Equal(t, "abcde", string(resp.Body.Bytes()))
	_ = c.Close()
	assert.Equal(t, 1, wrote)
	assert.Equal(t, []string{
		"POST /wsman HTTP/1.1\r\nHost: srv:5985\r\nX-Test: 1\r\nContent-Length: 7\r\nConnection: Keep-Alive\r\n" +
			"Accept-Encoding: identity\r\n\r\n<body/>",
		"POST /wsman HTTP/1.1\r\nHost: srv:5985\r\nX-Test: 1\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n" +
			"Accept-Encoding: identity\r\n\r\n",
	}, <-seen)
}

func TestAnswersThatAreRefused(t *testing.T) {
	long := strings.Repeat("x", 70<<10)
	for _, c := range []struct {
		name, answer string
		want         error
	}{
		{"head too long", "HTTP/1.1 200 OK\r\nX: " + long + "\r\n\r\n", http1.ErrHeadTooLong},
		{"head without end", "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 20000), http1.ErrHeadTooLong},
		{"many interim", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 6) + okHello, http1.ErrInterim},
		{"upgrade", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", http1.ErrUpgrade},
		{"compressed", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", http1.ErrCompressed},
		{"no length", "HTTP/1.1 200 OK\r\n\r\nhello", http1.ErrNoLength},
		{"HTTP/1.0 no length", "HTTP/1.0 200 OK\r\n\r\nhello", http1.ErrNoLength},
		{"body too long", "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + long, http1.ErrBodyTooLong},
		{"chunks too long", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + long[:255] + "\r\n0\r\n\r\n", http1.ErrBodyTooLong},
		{"one chunk of many", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n" + long, http1.ErrBodyTooLong},
		{"chunk size no number", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", nil},
		{"chunk extension flood", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+long[:3000]+"\r\nx\r\n", 50), nil},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", nil},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", nil},
		{"status no number", "HTTP/1.1 abc OK\r\n\r\n", nil},
		{"no header", "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n", nil},
		{"SSH", "SSH-2.0-OpenSSH_9.6\r\n", http1.ErrNotHTTP},
		{"TLS alert", "\x15\x03\x01\x00\x02\x02\x46", http1.ErrTLS},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := pair()
			seen := serve(b, c.answer)
			conn := http1.NewConn(a)
			resp, err := conn.Exchange(t.Context(), post("x"), 100)
			require.Zero(t, resp)
			e, ok := errors.AsType[*http1.Error](err)
			require.True(t, ok, "%v", err)
			assert.True(t, e.Sent)
			assert.True(t, e.Answered)
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
			}
			assert.Len(t, <-seen, 1)
			_, err = a.Write([]byte("x"))
			require.Error(t, err, "the connection is closed")
		})
	}
}

func TestInterimAndStatusOnly(t *testing.T) {
	a, b := pair()
	serve(b, strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 5)+okHello,
		"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\n\r\nwho knows where this ends")
	c := http1.NewConn(a)
	resp, err := c.Exchange(t.Context(), post("x"), 100)
	require.NoError(t, err)
	assert.Equal(t, 200, resp.Status)
	assert.False(t, resp.Close)
	resp, err = c.Exchange(t.Context(), post("x"), 100)
	require.NoError(t, err)
	assert.Equal(t, 401, resp.Status)
	assert.Empty(t, resp.Body.Bytes())
	assert.True(t, resp.Close)
	_ = c.Close()
}

func TestTruncatedEverywhere(t *testing.T) {
	for _, whole := range []string{okHello, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"} {
		for n := range len(whole) {
			a, b := pair()
			seen := serve(b, whole[:n])
			_, err := http1.NewConn(a).Exchange(t.Context(), post("x"), 100)
			e, ok := errors.AsType[*http1.Error](err)
			require.True(t, ok, "%q", whole[:n])
			require.True(t, e.Sent)
			<-seen
		}
	}
}

// What came after an answer is not the answer to the next request.
func TestUnaskedAnswerIsNotTaken(t *testing.T) {
	a, b := pair()
	serve(b, okHello+"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", okHello)
	c := http1.NewConn(a)
	resp, err := c.Exchange(t.Context(), post("x"), 100)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(resp.Body.Bytes()))
	assert.False(t, c.Alive())
	_, err = c.Exchange(t.Context(), post("y"), 100)
	require.ErrorIs(t, err, http1.ErrUnsolicited)
	e, _ := errors.AsType[*http1.Error](err)
	assert.False(t, e.Sent)
}

// A line break after an answer that its length does not count, whenever it comes,
// is no answer and costs no connection.
func TestBreaksBetweenAnswers(t *testing.T) {
	a, b := pair()
	seen := serve(b, okHello+"\r\n", okHello, "\r\n"+okHello, "\n"+okHello+"\r\n\r\n", okHello+"\r\n\r\n\r\n")
	c := http1.NewConn(a)
	for i := range 5 {
		resp, err := c.Exchange(t.Context(), post("x"), 100)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(resp.Body.Bytes()))
		assert.Equal(t, i < 4, c.Alive(), "after answer %d", i)
	}
	_ = c.Close()
	assert.Len(t, <-seen, 5)
}

func TestMemoryGrowsWithWhatArrives(t *testing.T) {
	a, b := pair()
	serve(b, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nhello")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := http1.NewConn(a).Exchange(t.Context(), post("x"), 1<<30)
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func TestInvalidRequestsAreNotSent(t *testing.T) {
	for _, r := range []*http1.Request{
		{Method: "POST", Target: "/x HTTP/1.1\r\nEvil: 1", Host: "h"},
		{Method: "POST", Target: "/x", Host: "h\r\nEvil: 1"},
		{Method: "POST", Target: "/x", Host: "h", Header: []http1.Field{{Name: "A", Value: "b\r\nEvil: 1"}}},
		{Method: "POST", Target: "/x", Host: "h", Header: []http1.Field{{Name: "A\r\nEvil", Value: "b"}}},
		{Method: "POST", Target: "/x", Host: "h", Header: []http1.Field{{Name: "Content-Length", Value: "7"}}},
		{Method: "", Target: "/x", Host: "h"},
	} {
		a, b := pair()
		_, err := http1.NewConn(a).Exchange(t.Context(), r, 10)
		require.ErrorIs(t, err, http1.ErrInvalidHeader)
		e, _ := errors.AsType[*http1.Error](err)
		assert.False(t, e.Sent)
		got, _ := io.ReadAll(b)
		assert.Empty(t, got)
	}
}

// brokenAfter fails writes after n bytes, as a reset does.
type brokenAfter struct {
	net.Conn
	n int
}

func (c *brokenAfter) Write(p []byte) (int, error) {
	if len(p) <= c.n {
		c.n -= len(p)
		return c.Conn.Write(p)
	}
	n, _ := c.Conn.Write(p[:c.n])
	c.n = 0
	return n, errors.New("reset")
}

func TestSentTellsWhetherTheLastByteWasAccepted(t *testing.T) {
	for _, size := range []int{10, 100_000} { // one write, and head and body apart
		body := strings.Repeat("x", size)
		for _, missing := range []int{0, 1, size, size + 1} {
			a, b := pair()
			go func() { _, _ = io.Copy(io.Discard, b); _ = b.Close() }()
			head := len("POST /wsman HTTP/1.1\r\nHost: srv:5985\r\nX-Test: 1\r\nContent-Length: \r\nConnection: Keep-Alive\r\nAccept-Encoding: identity\r\n\r\n") + len(fmt.Sprint(size))
			nc := &brokenAfter{Conn: a, n: head + size - missing}
			if missing == 0 {
				go func() { time.Sleep(20 * time.Millisecond); _ = b.Close() }()
			} else {
				_ = b.CloseWrite()
			}
			_, err := http1.NewConn(nc).Exchange(t.Context(), post(body), 100)
			e, ok := errors.AsType[*http1.Error](err)
			require.True(t, ok)
			assert.Equal(t, missing == 0, e.Sent, "size %d, missing %d", size, missing)
		}
	}
}

func TestAnswerBeforeTheEndOfTheRequest(t *testing.T) {
	a, b := pair()
	go func() {
		_, _ = io.ReadFull(b, make([]byte, 1000))
		_, _ = io.WriteString(b, "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\n\r\n")
	}()
	resp, err := http1.NewConn(&brokenAfter{Conn: a, n: 2000}).Exchange(t.Context(), post(strings.Repeat("x", 100_000)), 100)
	require.NoError(t, err)
	assert.Equal(t, 413, resp.Status)
	assert.True(t, resp.Close)
	_ = a.Close()
	_ = b.Close()
}

func TestContextBoundsSlowDrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair()
		go func() {
			_, _ = b.Read(make([]byte, 1000))
			for _, c := range okHello {
				time.Sleep(10 * time.Second)
				if _, err := b.Write([]byte{byte(c)}); err != nil {
					return
				}
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := http1.NewConn(a).Exchange(ctx, post("x"), 100)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Minute, time.Since(start))
		e, _ := errors.AsType[*http1.Error](err)
		assert.True(t, e.Sent)
		time.Sleep(time.Minute)
		_ = b.Close()
	})
}

func TestContextEndsABlockedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair() // nobody reads b
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := http1.NewConn(a).Exchange(ctx, post(strings.Repeat("x", 1<<20)), 100)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		e, _ := errors.AsType[*http1.Error](err)
		assert.False(t, e.Sent)
		_ = b.Close()
	})
}

// certificate makes a self-signed one.
func certificate(tb testing.TB) tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"srv"}}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, key.Public(), key)
	require.NoError(tb, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestAlive(t *testing.T) {
	cert := certificate(t)
	tcp := func(t *testing.T) (net.Conn, net.Conn) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer ln.Close()
		a, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		b, err := ln.Accept()
		require.NoError(t, err)
		return a, b
	}
	mem := func(*testing.T) (net.Conn, net.Conn) {
		a, b := pair()
		return a, b
	}
	over := func(pair func(*testing.T) (net.Conn, net.Conn), version uint16) func(*testing.T) (net.Conn, net.Conn) {
		return func(t *testing.T) (net.Conn, net.Conn) {
			a, b := pair(t)
			cfg := &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: version}
			server := tls.Server(b, cfg)
			client := tls.Client(a, &tls.Config{InsecureSkipVerify: true})
			done := make(chan error, 1)
			go func() { done <- server.Handshake() }()
			require.NoError(t, client.Handshake())
			require.NoError(t, <-done)
			return client, server
		}
	}
	for name, dial := range map[string]func(*testing.T) (net.Conn, net.Conn){
		"tcp": tcp, "memory": mem,
		"TLS 1.2 over tcp": over(tcp, tls.VersionTLS12), "TLS 1.3 over tcp": over(tcp, tls.VersionTLS13),
		"TLS 1.2 over memory": over(mem, tls.VersionTLS12), "TLS 1.3 over memory": over(mem, tls.VersionTLS13),
	} {
		t.Run(name, func(t *testing.T) {
			for _, end := range []func(net.Conn){
				func(c net.Conn) { _ = c.Close() },
				func(c net.Conn) { _, _ = c.Write([]byte("unasked")) },
			} {
				a, b := dial(t)
				defer a.Close()
				defer b.Close()
				c := http1.NewConn(a)
				// TLS 1.3 sends session tickets that are no answer.
				assert.True(t, c.Alive())
				assert.True(t, c.Alive())
				go func() {
					_, _ = b.Read(make([]byte, 4096))
					_, _ = io.WriteString(b, okHello)
				}()
				resp, err := c.Exchange(t.Context(), post("x"), 100)
				require.NoError(t, err)
				assert.Equal(t, "hello", string(resp.Body.Bytes()))
				assert.True(t, c.Alive(), "asking does no harm")
				end(b)
				assert.Eventually(t, func() bool { return !c.Alive() }, 30*time.Second, time.Millisecond)
			}
		})
	}
}

func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		okHello, "HTTP/1.1 100 C\r\n\r\n" + okHello, "HTTP/1.1 500 E\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "\x15\x03\x01", "HTTP/1.0 401 U\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		const limit = 1000
		nc := &scripted{Reader: bytes.NewReader(answer)}
		resp, err := http1.NewConn(nc).Exchange(context.Background(), post("x"), limit)
		if err != nil {
			if _, ok := errors.AsType[*http1.Error](err); !ok {
				t.Fatalf("%T", err)
			}
			return
		}
		if len(resp.Body.Bytes()) > limit || resp.Status < 200 || resp.Status > 999 {
			t.Fatalf("status %d with %d bytes", resp.Status, len(resp.Body.Bytes()))
		}
		if !bytes.Contains(answer, []byte("HTTP/")) {
			t.Fatal("made of nothing")
		}
		resp.Body.Release()
	})
}

// scripted is a connection that takes everything and says one thing.
type scripted struct {
	net.Conn
	*bytes.Reader
}

func (*scripted) Write(p []byte) (int, error)      { return len(p), nil }
func (c *scripted) Read(p []byte) (int, error)     { return c.Reader.Read(p) }
func (*scripted) SetDeadline(time.Time) error      { return nil }
func (*scripted) SetReadDeadline(time.Time) error  { return nil }
func (*scripted) SetWriteDeadline(time.Time) error { return nil }
func (*scripted) Close() error                     { return nil }
