package wsman

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// A carrier is what a transport gets to see of one exchange: the HTTP request's
// header and body, and the clock that its answer is held to. It is used again when
// the transport has let go of it, see [Response.Close].
type carrier struct {
	header http.Header
	values [2]string // in header
	body   requestBody
	again  func() (io.ReadCloser, error) // for http.Request.GetBody
	watch  watch
}

var carrierPool = sync.Pool{New: func() any {
	c := &carrier{header: make(http.Header, 4)}
	c.again = func() (io.ReadCloser, error) { return newRequestBody(c.body.envelope), nil }
	c.watch.onWrote, c.watch.onLate = c.watch.wrote, c.watch.expire
	return c
}}

// newCarrier returns a carrier of the envelope, whose memory then belongs to it.
func (x *exchange) newCarrier(envelope []byte) *carrier {
	c := carrierPool.Get().(*carrier)
	c.body.envelope = envelope
	c.body.Reset(envelope)
	c.values = [...]string{ContentType, "identity"}
	c.header["Content-Type"] = c.values[:1:1]
	// Said aloud, because net/http asks for gzip otherwise.
	c.header["Accept-Encoding"] = c.values[1:]
	if x.anonymous {
		c.header["WSMANIDENTIFY"] = []string{"unauthenticated"} // spelt so by Windows, whatever HTTP says of case
	}
	c.watch.set(x)
	return c
}

// request makes the HTTP request. It is a new one each time: net/http binds it to
// its context.
func (c *carrier) request(ctx context.Context, client *Client) *http.Request {
	req := client.request.WithContext(httptrace.WithClientTrace(ctx, &c.watch.trace))
	req.Header, req.ContentLength = c.header, int64(len(c.body.envelope))
	req.Body, req.GetBody = &c.body, c.again
	client.sendCookie(req)
	return req
}

// free gives the carrier and the memory of its envelope back. Nobody may use the
// request any more, and the clock has been stopped in time.
func (c *carrier) free() {
	putBuffer(c.body.envelope)
	c.body = requestBody{}
	clear(c.header)
	c.watch.forget()
	carrierPool.Put(c)
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

// A watch ends an exchange that has waited too long for its answer, counted from
// when the request was sent.
type watch struct {
	trace  httptrace.ClientTrace
	late   TimeoutError
	cancel context.CancelCauseFunc
	sent   func()

	onWrote func(httptrace.WroteRequestInfo) // the methods below, made into functions once
	onLate  func()

	mu      sync.Mutex
	timer   *time.Timer // a new one each time: it belongs to one bubble of testing/synctest
	stopped bool
}

// set prepares the watch for an exchange.
func (w *watch) set(x *exchange) {
	w.late, w.sent = TimeoutError{Action: x.action, Wait: x.wait}, x.sent
	w.trace = httptrace.ClientTrace{WroteRequest: w.onWrote} // the hooks of an outer trace are added to it
	w.timer, w.stopped = nil, false
}

// forget lets go of the exchange.
func (w *watch) forget() {
	w.trace, w.late, w.cancel, w.sent, w.timer = httptrace.ClientTrace{}, TimeoutError{}, nil, nil, nil
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
		w.timer = time.AfterFunc(w.late.Wait, w.onLate)
	}
}

func (w *watch) expire() { w.cancel(&w.late) }

// stop stops the clock. It reports whether the time had not run out: otherwise
// expire may be about to be called.
func (w *watch) stop() (inTime bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	return w.timer == nil || w.timer.Stop()
}
