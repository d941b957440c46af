package wsman

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Trace is a set of hooks in the manner of [net/http/httptrace]. Any hook may
// be nil; they may be called by several goroutines at once.
type Trace struct {
	// ExchangeStart is called before a request is sent. The context that it
	// returns, if not nil, is used for the request and given to ExchangeDone.
	ExchangeStart func(context.Context, ExchangeStart) context.Context
	// ExchangeDone is called when the answer has been read, or there is none.
	ExchangeDone func(context.Context, ExchangeDone)
}

// ExchangeStart describes a request that is about to be sent.
type ExchangeStart struct {
	Endpoint  string
	Action    string // "" for Identify
	MessageID string
	Bytes     int // size of the envelope
}

// ExchangeDone describes how an exchange ended.
type ExchangeDone struct {
	Action   string
	Sent     int           // bytes of the request's envelope
	Received int           // bytes of the answer
	Status   int           // HTTP status, 0 without an answer
	Duration time.Duration // from the start to here
	Err      error         // what Do returns
}

// TimeoutError says that no answer came in time: the server kept silent for
// longer than the operation timeout and the margin.
type TimeoutError struct {
	Action string
	Wait   time.Duration // counted from the moment the request was on the wire
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("wsman: no answer to %s within %v of sending it", shortAction(e.Action), e.Wait)
}

// Timeout makes the error one of net.Error's time-outs.
func (e *TimeoutError) Timeout() bool { return true }

// Temporary reports true: another try may get an answer.
func (e *TimeoutError) Temporary() bool { return true }

// exchange is one request and its answer.
type exchange struct {
	client    *Client
	action    string
	messageID string
	wait      time.Duration // for the answer, from the moment the request is on the wire
	anonymous bool          // ask for Identify without credentials
	sent      func()        // Request.Sent

	copyAnswer func([]byte) // sees the answer before it is decoded in place; nil for nobody
}

// run sends an envelope. The buffer belongs to it.
func (x *exchange) run(ctx context.Context, envelope []byte) (*Response, error) {
	started := time.Now()
	done := ExchangeDone{Action: x.action, Sent: len(envelope)}
	trace := x.client.cfg.Trace
	if trace != nil && trace.ExchangeStart != nil {
		start := ExchangeStart{Endpoint: x.client.endpoint, Action: x.action, MessageID: x.messageID, Bytes: len(envelope)}
		if c := trace.ExchangeStart(ctx, start); c != nil {
			ctx = c
		}
	}
	resp, err := x.roundTrip(ctx, envelope, &done)
	if trace != nil && trace.ExchangeDone != nil {
		done.Duration, done.Err = time.Since(started), err
		trace.ExchangeDone(ctx, done)
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

func (x *exchange) roundTrip(ctx context.Context, envelope []byte, done *ExchangeDone) (*Response, error) {
	reqCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c := x.newCarrier(envelope)
	c.watch.cancel = cancel
	httpResp, raw, err := x.fetch(c.request(reqCtx, x.client), &c.watch, done)
	inTime := c.watch.stop()
	if err != nil {
		return nil, x.failed(ctx, reqCtx, &c.watch.late, err)
	}
	if !raw.borrowed || !inTime {
		// net/http's transport may still be reading the request; one of ours has let
		// go of it when the body of the answer is closed.
		c = nil
	}
	if x.copyAnswer != nil {
		x.copyAnswer(raw.data)
	}
	return x.parse(httpResp, raw, c)
}

// fetch sends the request and reads the answer.
func (x *exchange) fetch(req *http.Request, w *watch, done *ExchangeDone) (*http.Response, rawBody, error) {
	httpResp, err := x.client.send(req)
	if err != nil {
		return nil, rawBody{}, err
	}
	done.Status = httpResp.StatusCode
	w.start() // for transports that know no httptrace
	x.client.keepCookie(httpResp)

	raw, err := readBody(httpResp, x.client.cfg.MaxResponse)
	done.Received = len(raw.data)
	if err != nil || !raw.borrowed {
		httpResp.Body.Close()
	}
	return httpResp, raw, err
}

// send is the HTTP client's Do. Of what that does beyond its Transport nothing
// is needed, unless it has a Timeout or a cookie jar: redirects are not followed.
func (c *Client) send(req *http.Request) (*http.Response, error) {
	if c.http.Timeout != 0 || c.http.Jar != nil || c.http.Transport == nil {
		return c.http.Do(req)
	}
	return c.http.Transport.RoundTrip(req)
}

// failed names the reason of a failed exchange: whose time ran out, or what the
// transport says. parent is the caller's context, ctx the one of the exchange.
func (x *exchange) failed(parent, ctx context.Context, late *TimeoutError, err error) error {
	if context.Cause(ctx) == error(late) {
		return late
	}
	err = fmt.Errorf("wsman: %s: %w", shortAction(x.action), err)
	// A transport tells either of the two, and callers look for both.
	for _, reason := range []error{parent.Err(), context.Cause(parent)} {
		if reason != nil && !errors.Is(err, reason) {
			err = fmt.Errorf("%w (%w)", err, reason)
		}
	}
	return err
}

// cookieName is the cookie that load-balanced listeners set and want back.
// See [MS-WSMV] section 3.1.4.1.31.4.
const cookieName = "MS-WSMAN"

func (c *Client) keepCookie(resp *http.Response) {
	if len(resp.Header["Set-Cookie"]) == 0 || c.http.Jar != nil {
		return
	}
	for _, cookie := range resp.Cookies() {
		if cookie.Name != cookieName {
			continue
		}
		if cookie.MaxAge < 0 {
			c.cookie.Store(nil)
			continue
		}
		value := cookie.Value
		c.cookie.Store(&value)
	}
}

func (c *Client) sendCookie(req *http.Request) {
	if value := c.cookie.Load(); value != nil && c.http.Jar == nil {
		req.AddCookie(&http.Cookie{Name: cookieName, Value: *value})
	}
}

// rawBody is an answer as it came.
type rawBody struct {
	data     []byte
	borrowed bool // data belongs to the transport, until its body is closed
}

// readBody reads an answer whole.
func readBody(resp *http.Response, limit int64) (rawBody, error) {
	if whole, ok := resp.Body.(interface{ Bytes() []byte }); ok {
		data := whole.Bytes()
		if int64(len(data)) > limit {
			return rawBody{}, &LimitError{What: "size", Limit: int(limit)}
		}
		return rawBody{data: data, borrowed: true}, nil
	}
	buf := getBuffer()
	if n := resp.ContentLength; n > 0 && n <= limit && int64(cap(buf)) <= n {
		buf = make([]byte, 0, n+1)
	}
	r := io.LimitReader(resp.Body, limit+1)
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > limit {
			putBuffer(buf)
			return rawBody{}, &LimitError{What: "size", Limit: int(limit)}
		}
		switch {
		case err == io.EOF:
			return rawBody{data: buf}, nil
		case err != nil:
			return rawBody{data: buf}, err
		case len(buf) == cap(buf):
			buf = append(buf, 0)[:len(buf)]
		}
	}
}
