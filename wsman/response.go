package wsman

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
)

// Response is the server's answer to one request. It must be closed.
type Response struct {
	// Header is what the SOAP header of the answer says.
	Header Header

	action string // of the request
	dec    *Decoder
	raw    rawBody
	body   io.Closer // of the transport, if raw is borrowed
	sent   *carrier  // of the request, to be freed with body; nil for none
}

// ResponseError says that an answer is SOAP, or claims to be, but is not an
// answer to the request: it is not well formed, or answers something else.
// What the server did is unknown.
type ResponseError struct {
	Action string // action of the request
	Err    error  // a [*SyntaxError], [*LimitError], [*EnvelopeError] or [*RelatesToError]
}

func (e *ResponseError) Error() string {
	return fmt.Sprintf("wsman: answer to %s: %s", shortAction(e.Action), strings.TrimPrefix(e.Err.Error(), "wsman: "))
}

func (e *ResponseError) Unwrap() error { return e.Err }

// RelatesToError says that an answer belongs to another request.
type RelatesToError struct{ Want, Got string }

func (e *RelatesToError) Error() string {
	if e.Got == "" {
		return "wsman: the answer does not say which request it belongs to"
	}
	return fmt.Sprintf("wsman: the answer belongs to message %.60q, not to %q", e.Got, e.Want)
}

// Body calls fn with a decoder whose current element is the s:Body, so that
// [Decoder.Children] are its children. Afterwards the document is verified to
// its end: when Body returns nil the answer was well formed as a whole. Before
// that, nothing that fn saw should be passed on. Body can be called once.
func (r *Response) Body(fn func(*Decoder) error) error {
	if r.dec == nil {
		return fmt.Errorf("wsman: Body called twice or after Close")
	}
	d := r.dec
	r.dec = nil
	defer putDecoder(d)
	err := fn(d)
	if derr := d.Finish(); derr != nil {
		return &ResponseError{Action: r.action, Err: derr}
	}
	return err
}

// Close gives the buffers of the answer, and of its request, back. What
// [Decoder.Text] and its like returned dies here.
func (r *Response) Close() {
	if r.dec != nil {
		putDecoder(r.dec)
		r.dec = nil
	}
	if r.body != nil {
		r.body.Close()
		r.body = nil
		if r.sent != nil {
			r.sent.free()
			r.sent = nil
		}
	} else if r.raw.data != nil {
		putBuffer(r.raw.data)
	}
	r.raw = rawBody{}
}

// parse makes a Response of an answer, or the error that it stands for.
func (x *exchange) parse(httpResp *http.Response, raw rawBody, sent *carrier) (*Response, error) {
	r := &Response{action: x.action, raw: raw, sent: sent}
	if raw.borrowed {
		r.body = httpResp.Body
	}
	if err := x.checkHTTP(httpResp, raw.data); err != nil {
		r.Close()
		return nil, err
	}
	r.dec = getDecoder(document(raw.data), Limits{Size: int(x.client.cfg.MaxResponse)})
	r.dec.expected = x.messageID
	var err error
	if r.Header, err = readEnvelope(r.dec, true); err == nil {
		var fault *Fault
		if fault, err = x.fault(r.dec, &r.Header, httpResp.StatusCode); fault != nil {
			r.Close()
			return nil, fault
		}
	}
	if err == nil && httpResp.StatusCode/100 != 2 {
		err = &EnvelopeError{Msg: fmt.Sprintf("an answer that is no fault came with HTTP status %d", httpResp.StatusCode)}
	}
	// An answer without a:RelatesTo is paired with its request by HTTP; one that
	// names another request is a mix-up.
	if err == nil && !x.answeredBy(&r.Header) {
		err = &RelatesToError{Want: x.messageID, Got: r.Header.RelatesTo}
	}
	if err != nil {
		r.Close()
		return nil, &ResponseError{Action: x.action, Err: err}
	}
	return r, nil
}

// answeredBy reports whether an answer may be the one to this request. Its id may
// be spelt as a URN.
func (x *exchange) answeredBy(h *Header) bool {
	return x.messageID == "" || h.RelatesTo == "" || equalFold(bareID(h.RelatesTo), bareID(x.messageID))
}

func bareID(id string) string {
	if len(id) > 4 && equalFold(id[:4], "urn:") {
		id = id[4:]
	}
	if len(id) > 5 && equalFold(id[:5], "uuid:") {
		id = id[5:]
	}
	return id
}

// document is an answer without what may stand around it: empty lines before the
// XML declaration, and NULs behind, the end of a string in C or padding.
func document(data []byte) []byte {
	if utf16Order(data) != nil {
		return data
	}
	return bytes.TrimRight(bytes.TrimLeft(data, " \t\r\n"), "\x00")
}

// fault reads the fault that an answer consists of, if it does.
func (x *exchange) fault(d *Decoder, h *Header, status int) (*Fault, error) {
	if !d.peekChild(Name{NSEnvelope, "Fault"}) {
		return nil, d.Err()
	}
	f, err := ReadFault(d)
	if err == nil {
		err = d.Finish()
	}
	if err != nil {
		return nil, err
	}
	if !x.answeredBy(h) {
		return nil, &RelatesToError{Want: x.messageID, Got: h.RelatesTo}
	}
	f.Action, f.FaultAction, f.HTTPStatus, f.ActivityID = x.action, h.Action, status, h.ActivityID
	return f, nil
}

// checkHTTP returns a StatusError for an answer that is not SOAP.
func (x *exchange) checkHTTP(resp *http.Response, data []byte) error {
	if resp.StatusCode >= 200 && len(data) > 0 && isSOAP(resp, data) && plainEncoding(resp) {
		return nil
	}
	return newStatusError(resp, data)
}

// isSOAP goes by the media type. Without one, or with a general one, the
// content must look like XML; with any other, which is what servers send that
// set none and have it guessed, it must begin as an envelope.
func isSOAP(resp *http.Response, data []byte) bool {
	if media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";"); media == "application/soap+xml" {
		return true // nearly always
	}
	mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil && resp.Header.Get("Content-Type") != "" && mediaType == "" {
		mediaType, _, _ = strings.Cut(strings.ToLower(resp.Header.Get("Content-Type")), ";")
	}
	switch strings.TrimSpace(mediaType) {
	case "application/soap+xml":
		return true
	case "", "text/xml", "application/xml":
		return looksLikeXML(data)
	}
	return looksLikeXML(data) && bytes.Contains(data[:min(len(data), 512)], []byte(NSEnvelope))
}

func looksLikeXML(data []byte) bool {
	for _, c := range data[:min(len(data), 64)] {
		switch {
		case c == '<':
			return true
		case isSpace(c), c == 0, c >= 0xEF: // byte order marks, UTF-16
		default:
			return false
		}
	}
	return false
}

func plainEncoding(resp *http.Response) bool {
	enc := resp.Header.Get("Content-Encoding")
	return enc == "" || equalFold(enc, "identity")
}

// maxPooled keeps one huge answer from staying in memory for good.
const maxPooled = 1 << 20

// The pools hold buffers and decoders between exchanges.
var (
	bufferPool  = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}
	boxPool     = sync.Pool{New: func() any { return new([]byte) }} // of the buffers in use
	decoderPool = sync.Pool{New: func() any { return new(Decoder) }}
	encoderPool = sync.Pool{New: func() any { return new(Encoder) }}
)

func getBuffer() []byte {
	box := bufferPool.Get().(*[]byte)
	b := *box
	*box = nil
	boxPool.Put(box)
	return b[:0]
}

func putBuffer(b []byte) {
	if cap(b) <= maxPooled {
		box := boxPool.Get().(*[]byte)
		*box = b
		bufferPool.Put(box)
	}
}

// getEncoder returns an Encoder that appends to a buffer of the pool.
func getEncoder() *Encoder {
	e := encoderPool.Get().(*Encoder)
	e.Reset(getBuffer())
	return e
}

// putEncoder gives the Encoder back, without its buffer.
func putEncoder(e *Encoder) {
	e.Reset(nil)
	encoderPool.Put(e)
}

func getDecoder(data []byte, lim Limits) *Decoder {
	d := decoderPool.Get().(*Decoder)
	d.lim = lim
	d.Reset(data)
	return d
}

func putDecoder(d *Decoder) {
	d.Reset(nil)
	clear(d.attrs[:cap(d.attrs)]) // they point into the answer
	decoderPool.Put(d)
}

// shortAction is the last part of an action URI, for error texts.
func shortAction(action string) string {
	if action == "" {
		return "Identify"
	}
	return action[strings.LastIndexByte(action, '/')+1:]
}
