package auth

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strings"

	"github.com/winrmkit/winrmkit/internal/http1"
)

// maxRequest bounds a request's body, which is read whole before it is sent.
const maxRequest = 64 << 20

// A message is a request as its caller gave it: in clear, to be sealed anew for
// each connection that it is sent on.
type message struct {
	method      string
	target      string
	fields      []http1.Field
	contentType string
	body        *http1.Buffer
	wrote       func()
}

// readMessage takes a request apart. It does not close the body.
func (t *Transport) readMessage(req *http.Request) (*message, error) {
	m := &message{method: req.Method, target: req.URL.RequestURI(), contentType: req.Header.Get("Content-Type")}
	if m.method == "" {
		m.method = http.MethodGet
	}
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.WroteRequest != nil {
		m.wrote = func() { trace.WroteRequest(httptrace.WroteRequestInfo{}) }
	}
	agent := t.cfg.UserAgent
	for name, values := range req.Header {
		switch http.CanonicalHeaderKey(name) {
		case "User-Agent":
			agent = strings.Join(values, " ")
		case "Content-Type", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Host",
			"Accept-Encoding", "Expect", "Te", "Trailer", "Upgrade", "Authorization", "Proxy-Authorization":
			// Ours to say: they belong to the connection.
		default:
			for _, v := range values {
				m.fields = append(m.fields, http1.Field{Name: name, Value: v})
			}
		}
	}
	m.fields = append(m.fields, http1.Field{Name: "User-Agent", Value: agent})
	if whole, ok := req.Body.(interface{ Bytes() []byte }); ok && int64(len(whole.Bytes())) == req.ContentLength && req.ContentLength <= maxRequest {
		m.body = new(http1.Buffer) // in the memory of whoever waits for the answer
		m.body.SetBytes(whole.Bytes())
		return m, nil
	}
	m.body = http1.NewBuffer(int(max(0, min(req.ContentLength, maxRequest))) + 1)
	if req.Body == nil || req.Body == http.NoBody {
		return m, nil
	}
	err := m.body.Fill(req.Body, req.ContentLength, maxRequest)
	if err != nil {
		m.body.Release()
		return nil, fmt.Errorf("auth: request body: %w", err)
	}
	if n := int64(len(m.body.Bytes())); req.ContentLength > 0 && n != req.ContentLength {
		m.body.Release()
		return nil, fmt.Errorf("auth: request body has %d bytes, ContentLength says %d", n, req.ContentLength)
	}
	return m, nil
}

// responseBody is a body that was read whole and verified. It gives its memory
// back when it is closed.
type responseBody struct {
	bytes.Reader
	data []byte
	buf  *http1.Buffer
}

func newResponseBody(buf *http1.Buffer, data []byte) *responseBody {
	b := &responseBody{data: data, buf: buf}
	b.Reset(data)
	return b
}

// Bytes returns the whole body. It is valid until Close.
func (b *responseBody) Bytes() []byte { return b.data }

// Close gives the memory back.
func (b *responseBody) Close() error {
	if b.buf != nil {
		b.buf.Release()
	}
	b.buf, b.data = nil, nil
	b.Reset(nil)
	return nil
}

// response turns a verified answer into what net/http hands around.
func (c *conn) response(r *http1.Response, contentType string, data []byte) *http.Response {
	header := r.Header
	header.Del("Content-Length")
	header.Del("Content-Type")
	if contentType != "" {
		header.Set("Content-Type", contentType)
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", r.Status, r.Reason), StatusCode: r.Status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: newResponseBody(r.Body, data), ContentLength: int64(len(data)),
		TLS: c.peer.TLS,
	}
}
