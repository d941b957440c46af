package auth

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strconv"
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
	body        []byte
	buf         *http1.Buffer // of body; nil if that is the caller's
	trace       *httptrace.ClientTrace

	few [8]http1.Field // the memory of fields, mostly, and of what each try adds
}

// release gives the memory of the body back.
func (m *message) release() {
	if m.buf != nil {
		m.buf.Release()
	}
}

// readMessage takes a request apart. It does not close the body.
func (t *Transport) readMessage(m *message, req *http.Request) error {
	m.method, m.target, m.contentType = req.Method, req.URL.RequestURI(), req.Header.Get("Content-Type")
	if m.method == "" {
		m.method = http.MethodGet
	}
	m.trace = httptrace.ContextClientTrace(req.Context())
	agent := t.cfg.UserAgent
	m.fields = m.few[:0]
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
	return m.readBody(req)
}

// readBody takes the body over, or reads it.
func (m *message) readBody(req *http.Request) error {
	if whole, ok := req.Body.(interface{ Bytes() []byte }); ok && int64(len(whole.Bytes())) == req.ContentLength && req.ContentLength <= maxRequest {
		m.body = whole.Bytes() // in the memory of whoever waits for the answer
		return nil
	}
	if req.Body == nil || req.Body == http.NoBody {
		return nil
	}
	m.buf = http1.NewBuffer(int(max(0, min(req.ContentLength, maxRequest))) + 1)
	err := m.buf.Fill(req.Body, req.ContentLength, maxRequest)
	m.body = m.buf.Bytes()
	if n := int64(len(m.body)); err == nil && req.ContentLength > 0 && n != req.ContentLength {
		m.release()
		return fmt.Errorf("auth: request body has %d bytes, ContentLength says %d", n, req.ContentLength)
	}
	if err != nil {
		m.release()
		return fmt.Errorf("auth: request body: %w", err)
	}
	return nil
}

// responseBody is a body that was read whole and verified. It gives its memory
// back when it is closed.
type responseBody struct {
	bytes.Reader
	data []byte
	buf  *http1.Buffer
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

// An answer is what RoundTrip returns and its body.
type answer struct {
	http.Response
	body responseBody
}

// response turns a verified answer into what net/http hands around.
func (c *conn) response(r *http1.Response, contentType string, data []byte) *http.Response {
	header := r.Header
	delete(header, "Content-Length")
	switch values := header["Content-Type"]; {
	case contentType == "":
		delete(header, "Content-Type")
	case len(values) == 1:
		values[0] = contentType
	default:
		header.Set("Content-Type", contentType)
	}
	a := &answer{
		Response: http.Response{
			Status: statusLine(r.Status, r.Reason), StatusCode: r.Status,
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: header, ContentLength: int64(len(data)), TLS: c.peer.TLS,
		},
		body: responseBody{data: data, buf: r.Body},
	}
	a.body.Reset(data)
	a.Body = &a.body
	return &a.Response
}

// statusLine is the text of a status.
func statusLine(status int, reason string) string {
	if status == http.StatusOK && reason == "OK" {
		return "200 OK" // nearly always
	}
	return strconv.Itoa(status) + " " + reason
}
