package winrmtest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/internal/authserver"
)

const (
	// headerLimit is what http.sys takes for a request's header at most, with
	// room for the large tokens that some tests send.
	headerLimit = 128 << 10
	// drainLimit is how much of a refused body is read so that the client gets
	// to see the refusal instead of a reset.
	drainLimit = 64 << 20
)

// A conn is one TCP connection: the loop that reads requests, and the logon
// that belongs to it. net/http.Server is not used because the logon is bound to
// the connection and because faults break it in the middle of an answer.
type conn struct {
	srv  *Server
	id   int
	raw  net.Conn // as accepted, below TLS
	net  net.Conn // what is read and written
	tls  *tls.ConnectionState
	in   limitReader
	br   *bufio.Reader
	out  []byte // head of the answer; reused
	body []byte // the request's body; reused
	seal []byte // the sealed answer; reused
	env  []byte // the answer in clear; reused
	segs []segment

	logon logon
}

// limitReader reads up to n bytes; the loop sets n anew for each header.
type limitReader struct {
	r io.Reader
	n int64
}

var errHeaderTooLong = errors.New("winrmtest: request header too long")

func (l *limitReader) Read(p []byte) (int, error) {
	if l.n <= 0 {
		return 0, errHeaderTooLong
	}
	if int64(len(p)) > l.n {
		p = p[:l.n]
	}
	n, err := l.r.Read(p)
	l.n -= int64(n)
	return n, err
}

// An answer is what goes back for one request.
type answer struct {
	status      int
	header      http.Header
	contentType string
	body        []byte
	close       bool
	sealer      authserver.Sealer // seals the body; nil leaves it clear
	fault       *Fault            // applied while it is written
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{srv: s, raw: nc, net: nc}
	if s.tls != nil {
		c.net = tls.Server(nc, s.tls)
	}
	c.in = limitReader{r: c.net}
	c.br = bufio.NewReaderSize(&c.in, 8<<10)
	return c
}

// serve runs until the connection ends. It returns when nothing of it is left.
func (c *conn) serve(ctx context.Context) {
	defer c.net.Close()
	defer c.endLogon()
	if !c.handshake(ctx) {
		return
	}
	for {
		c.in.n = headerLimit
		req, err := http.ReadRequest(c.br)
		if err != nil {
			c.refuseHeader(err)
			return
		}
		c.in.n = 1 << 62
		if !c.exchange(ctx, req) {
			return
		}
	}
}

func (c *conn) handshake(ctx context.Context) bool {
	tc, ok := c.net.(*tls.Conn)
	if !ok {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := tc.HandshakeContext(ctx); err != nil {
		c.srv.logf("connection %d: TLS: %v", c.id, err)
		return false
	}
	state := tc.ConnectionState()
	c.tls = &state
	return true
}

// refuseHeader answers what is no request, the way http.sys does.
func (c *conn) refuseHeader(err error) {
	var ne net.Error
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &ne) {
		return
	}
	a := answer{status: http.StatusBadRequest, close: true}
	if errors.Is(err, errHeaderTooLong) {
		a.contentType = "text/html; charset=us-ascii"
		a.body = []byte("<HTML><HEAD><TITLE>Bad Request</TITLE></HEAD><BODY><h2>Bad Request - Request Too Long</h2></BODY></HTML>")
	}
	_ = c.write(&a)
}

// exchange handles one request. It reports whether the connection goes on.
func (c *conn) exchange(ctx context.Context, req *http.Request) bool {
	x := &Exchange{Conn: c.id, Path: req.URL.Path}
	a, ok := c.handle(ctx, req, x)
	if !ok {
		c.srv.note(x) // first: whoever sees the reset may ask for the counts
		c.reset()
		return false
	}
	if req.Close {
		a.close = true
	}
	x.Status = a.status
	if f := a.fault; f != nil && f.Drop != DropNone {
		x.Status = 0
	}
	c.srv.note(x)
	return c.write(a) && !a.close
}

// expectsContinue reports whether the client waits with its body.
func expectsContinue(req *http.Request) bool {
	return strings.EqualFold(req.Header.Get("Expect"), "100-continue") && req.ContentLength != 0
}

// readBody reads the request's body into the connection's buffer. A body of
// more than limit bytes is read to its end and reported as too large.
func (c *conn) readBody(req *http.Request, limit int64) (body []byte, tooLarge bool, err error) {
	if expectsContinue(req) {
		if _, err := io.WriteString(c.net, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return nil, false, err
		}
	}
	if req.ContentLength > limit {
		if req.ContentLength > drainLimit {
			return nil, true, nil
		}
		_, err := io.Copy(io.Discard, req.Body)
		return nil, true, err
	}
	c.body = c.body[:0]
	if n := req.ContentLength; n > int64(cap(c.body)) {
		c.body = make([]byte, 0, n)
	}
	if req.ContentLength >= 0 {
		c.body = c.body[:req.ContentLength]
		_, err = io.ReadFull(req.Body, c.body)
		return c.body, false, err
	}
	c.body, err = io.ReadAll(io.LimitReader(req.Body, limit+1))
	if err == nil && int64(len(c.body)) > limit {
		_, err = io.Copy(io.Discard, io.LimitReader(req.Body, drainLimit))
		return nil, true, err
	}
	return c.body, false, err
}

// watch returns a context that ends when the client goes away, for operations
// that are held. stop must be called before the connection is used again.
func (c *conn) watch(ctx context.Context) (watched context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := c.br.Peek(1); err != nil {
			cancel()
		}
	}()
	return ctx, func() {
		// A deadline in the past ends the Peek; its error is not kept by the
		// buffered reader, and a TLS connection survives a read time-out.
		_ = c.net.SetReadDeadline(time.Unix(1, 0))
		<-done
		_ = c.net.SetReadDeadline(time.Time{})
		cancel()
	}
}

// write sends the answer. It reports whether all of it went out.
func (c *conn) write(a *answer) bool {
	body, contentType := a.body, a.contentType
	if a.sealer != nil && len(body) > 0 {
		sealed, ct, err := sealBody(c.seal[:0], a.sealer, contentType, body)
		if err != nil {
			c.srv.logf("connection %d: seal: %v", c.id, err)
			return false
		}
		c.seal, body, contentType = sealed, sealed, ct
	}
	f := a.fault
	if f != nil && f.EditSealed != nil {
		body = f.EditSealed(append([]byte(nil), body...))
	}
	c.out = appendHead(c.out[:0], a, contentType, len(body))
	c.srv.counters.update(func(s *Stats) { s.BytesOut += int64(len(body)) })
	if f != nil {
		switch f.Drop {
		case DropAfter:
			return false
		case DropAt, HalfCloseAt:
			return c.cutShort(f, body)
		}
	}
	// Both in one call where the kernel can: one segment, one wake-up.
	bufs := net.Buffers{c.out, body}
	if _, plain := c.net.(*net.TCPConn); !plain {
		c.out = append(c.out, body...)
		bufs = net.Buffers{c.out}
	}
	_, err := bufs.WriteTo(c.net)
	return err == nil
}

// cutShort sends the first f.At bytes of the answer and ends our half.
func (c *conn) cutShort(f *Fault, body []byte) bool {
	all := append(c.out, body...)
	_, _ = c.net.Write(all[:min(max(f.At, 0), len(all))])
	if f.Drop != HalfCloseAt {
		return false
	}
	if half, ok := c.net.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, c.br)
	return false
}

// reset ends the connection so that the peer sees a reset where that exists.
func (c *conn) reset() {
	switch raw := c.raw.(type) {
	case *net.TCPConn:
		_ = raw.SetLinger(0)
	case interface{ Reset() }:
		raw.Reset()
		return
	}
	_ = c.raw.Close()
}

func appendHead(dst []byte, a *answer, contentType string, length int) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(a.status), 10)
	dst = append(dst, ' ')
	text := http.StatusText(a.status)
	if text == "" {
		text = "Status"
	}
	dst = append(dst, text...)
	dst = append(dst, "\r\n"...)
	line := func(name, value string) {
		dst = append(dst, name...)
		dst = append(dst, ": "...)
		dst = append(dst, value...)
		dst = append(dst, "\r\n"...)
	}
	if contentType != "" && a.header.Get("Content-Type") == "" {
		line("Content-Type", contentType)
	}
	if a.header.Get("Server") == "" {
		line("Server", "Microsoft-HTTPAPI/2.0")
	}
	for name, values := range a.header {
		for _, v := range values {
			line(name, v)
		}
	}
	line("Date", time.Now().UTC().Format(http.TimeFormat))
	if a.close {
		line("Connection", "close")
	}
	line("Content-Length", strconv.Itoa(length))
	return append(dst, "\r\n"...)
}
