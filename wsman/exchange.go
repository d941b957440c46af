package wsman

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
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
	w := &watch{late: TimeoutError{Action: x.action, Wait: x.wait}, cancel: cancel, sent: x.sent}
	defer w.stop()
	w.trace.WroteRequest = w.wrote
	reqCtx = httptrace.WithClientTrace(reqCtx, &w.trace)

	httpResp, err := x.client.send(x.request(reqCtx, envelope))
	if err != nil {
		return nil, x.failed(ctx, reqCtx, &w.late, err)
	}
	done.Status = httpResp.StatusCode
	w.start() // for transports that know no httptrace
	x.client.keepCookie(httpResp)

	raw, err := readBody(httpResp, x.client.cfg.MaxResponse)
	done.Received = len(raw.data)
	if err != nil || !raw.borrowed {
		httpResp.Body.Close()
	}
	if err != nil {
		return nil, x.failed(ctx, reqCtx, &w.late, err)
	}
	if raw.borrowed {
		// A transport of ours: it has let go of the request when it answers.
		// net/http's may still be reading it.
		putBuffer(envelope)
	}
	if x.copyAnswer != nil {
		x.copyAnswer(raw.data)
	}
	return x.parse(httpResp, raw)
}

// request makes the HTTP request; the URL was parsed with the client.
func (x *exchange) request(ctx context.Context, envelope []byte) *http.Request {
	req := (&http.Request{
		Method: http.MethodPost, URL: x.client.url, Host: x.client.url.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header, 4), ContentLength: int64(len(envelope)), Body: newRequestBody(envelope),
		GetBody: func() (io.ReadCloser, error) { return newRequestBody(envelope), nil },
	}).WithContext(ctx)
	values := [...]string{ContentType, "identity"}
	req.Header["Content-Type"] = values[:1:1]
	// Said aloud, because net/http asks for gzip otherwise.
	req.Header["Accept-Encoding"] = values[1:]
	if x.anonymous {
		req.Header["WSMANIDENTIFY"] = []string{"unauthenticated"} // spelt so by Windows, whatever HTTP says of case
	}
	x.client.sendCookie(req)
	return req
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

// A watch ends an exchange that has waited too long for its answer, counted from
// when the request was sent.
type watch struct {
	trace  httptrace.ClientTrace
	late   TimeoutError
	cancel context.CancelCauseFunc
	sent   func()

	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
}

// wrote is called by the transport when the request is on the wire.
func (w *watch) wrote(info httptrace.WroteRequestInfo) {
	if info.Err != nil {
		return
	}
	w.start()
	if w.sent != nil {
		w.sent()
	}
}

// start starts the clock, once.
func (w *watch) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer == nil && !w.stopped {
		w.timer = time.AfterFunc(w.late.Wait, w.expire)
	}
}

func (w *watch) expire() { w.cancel(&w.late) }

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if w.timer != nil {
		w.timer.Stop()
	}
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

// A requestBody is an envelope to send. A transport that finds its Bytes need not copy
// them: they stay as they are until it returns.
type requestBody struct {
	bytes.Reader
	envelope []byte
}

func newRequestBody(envelope []byte) *requestBody {
	b := &requestBody{envelope: envelope}
	b.Reset(envelope)
	return b
}

// Bytes returns all of it, read or not.
func (b *requestBody) Bytes() []byte { return b.envelope }

func (b *requestBody) Close() error { return nil }
