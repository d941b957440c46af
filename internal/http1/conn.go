package http1

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"reflect"
	"time"
)

const (
	readBuffer = 8 << 10

	// probeTime is how long Alive waits for a sign that the peer is gone, where
	// the connection cannot be asked without waiting.
	probeTime = time.Millisecond
	maxProbes = 10

	// lastWords is how long a peer that stopped reading is given to say why.
	lastWords = time.Second
)

var past = time.Unix(1, 0)

// A Conn is a connection that carries one exchange at a time.
type Conn struct {
	nc  net.Conn
	raw net.Conn // below TLS
	in  *limited
	br  *bufio.Reader

	cut   func()       // makes what is under way fail
	asked http.Request // what net/http needs to know of a request to read its response

	answered bool // a response was read
}

// NewConn returns a Conn on nc, whose TLS handshake, if any, is done.
func NewConn(nc net.Conn) *Conn {
	in := &limited{r: nc}
	c := &Conn{nc: nc, raw: nc, in: in, br: bufio.NewReaderSize(in, readBuffer)}
	for {
		t, ok := c.raw.(*tls.Conn)
		if !ok {
			break
		}
		c.raw = t.NetConn()
	}
	c.cut = func() { _ = c.raw.SetDeadline(past) }
	return c
}

// NetConn returns the connection underneath. Bytes that the peer sent unasked
// are lost to it: see Buffered.
func (c *Conn) NetConn() net.Conn { return c.nc }

// Buffered returns the number of bytes that were read and belong to no response.
func (c *Conn) Buffered() int { return c.br.Buffered() }

// Close closes the socket at once. TLS says no good-bye: it could block on a
// peer that does not read, and the lengths of HTTP already tell what is whole.
func (c *Conn) Close() error { return c.raw.Close() }

// Exchange sends req and reads the response, whose body has at most maxBody
// bytes. It returns an [*Error]. When ctx ends, or on any error, the connection
// is closed: what it still carries cannot be told apart.
//
// Close may be called meanwhile, and ends it like any loss of the connection.
func (c *Conn) Exchange(ctx context.Context, req *Request, maxBody int64) (Response, error) {
	if err := ctx.Err(); err != nil {
		return Response{}, &Error{Err: err}
	}
	if err := c.nc.SetDeadline(time.Time{}); err != nil {
		return Response{}, c.fail(ctx, &Error{Err: err})
	}
	stop := context.AfterFunc(ctx, c.cut)
	resp, failure := c.exchange(ctx, req, maxBody)
	if !stop() {
		// The deadline is, or is about to be, in the past: this was the last
		// exchange, even if it succeeded.
		_ = c.Close()
		if failure == nil {
			resp.Close = true
		}
	}
	if failure != nil {
		return Response{}, c.fail(ctx, failure)
	}
	return resp, nil
}

func (c *Conn) exchange(ctx context.Context, req *Request, maxBody int64) (Response, *Error) {
	if skipBreaks(c.br); c.br.Buffered() > 0 {
		return Response{}, &Error{Err: ErrUnsolicited}
	}
	sent, err := req.write(c.nc)
	if !sent && err != nil {
		return c.early(ctx, req.Method, maxBody, err)
	}
	if req.Trace != nil && req.Trace.WroteRequest != nil {
		req.Trace.WroteRequest(httptrace.WroteRequestInfo{})
	}
	resp, status, err := c.readResponse(req.Method, maxBody)
	if err != nil && !c.answered && refusesCertificate(err) {
		return Response{}, &Error{Err: fmt.Errorf("%w: %w", ErrClientCertificate, err)}
	}
	if err != nil {
		return Response{}, &Error{Sent: true, Answered: answered(err, status), Status: status, Err: err}
	}
	c.answered = true
	return resp, nil
}

// refusesCertificate reports whether err is an alert of TLS about what we had
// for a client certificate ([RFC 8446] section 6.2). Package tls keeps the type
// of alerts to itself.
func refusesCertificate(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || reflect.ValueOf(op.Err).Kind() != reflect.Uint8 {
		return false
	}
	switch reflect.ValueOf(op.Err).Uint() {
	case 42, 43, 44, 45, 46, 48, 116: // bad, unsupported, revoked, expired, unknown; unknown_ca; certificate_required
		return true
	}
	return false
}

// early looks for the answer of a peer that stopped reading in the middle of
// the request, such as 413, before it gives up. Without one the request was
// provably not processed.
func (c *Conn) early(ctx context.Context, method string, maxBody int64, cause error) (Response, *Error) {
	if ctx.Err() != nil || errors.Is(cause, ErrInvalidHeader) || errors.Is(cause, os.ErrDeadlineExceeded) {
		return Response{}, &Error{Err: cause}
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(lastWords))
	if ctx.Err() != nil { // the deadline that ended ctx may just have been overwritten
		return Response{}, &Error{Err: cause}
	}
	resp, _, err := c.readResponse(method, maxBody)
	if err == nil && resp.Status < 400 {
		resp.Body.Release()
	}
	if err != nil && !c.answered && refusesCertificate(err) {
		cause = fmt.Errorf("%w: %w", ErrClientCertificate, err)
	}
	if err != nil || resp.Status < 400 {
		return Response{}, &Error{Err: cause}
	}
	resp.Close = true
	return resp, nil
}

// answered reports whether err is about what the peer sent, rather than about
// the connection.
func answered(err error, status int) bool {
	if status != 0 {
		return !isNetwork(err)
	}
	for _, sentinel := range []error{ErrTLS, ErrNotHTTP, ErrHeadTooLong, ErrInterim} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return !isNetwork(err)
}

// fail closes the connection and lets ctx speak first: a deadline in the past
// is only how its end reached the socket.
func (c *Conn) fail(ctx context.Context, e *Error) error {
	_ = c.Close()
	if err := ctx.Err(); err != nil {
		e.Err, e.Answered = err, false
	}
	return e
}
