package http1

import (
	"net"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
)

// A Request is one request with its whole body.
type Request struct {
	Method string
	Target string // "/wsman", or "host:port" for CONNECT
	Host   string
	Header []Field
	Body   []byte

	// Trace, if set, is told by its WroteRequest when the whole request is handed
	// over. Its other hooks are not called.
	Trace *httptrace.ClientTrace
}

// A Field is one header line.
type Field struct{ Name, Value string }

// smallBody is the size up to which a body is copied behind the head, so that
// both leave in one packet or TLS record.
const smallBody = 16 << 10

var heads = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// appendHead writes request line and header.
func (r *Request) appendHead(dst []byte) ([]byte, error) {
	for _, s := range []string{r.Method, r.Target, r.Host} {
		if s == "" || strings.ContainsAny(s, " \r\n\t\x00") {
			return dst, ErrInvalidHeader
		}
	}
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = append(dst, r.Target...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, r.Host...)
	dst = append(dst, "\r\n"...)
	for _, f := range r.Header {
		if !validName(f.Name) || strings.ContainsAny(f.Value, "\r\n\x00") {
			return dst, ErrInvalidHeader
		}
		dst = append(dst, f.Name...)
		dst = append(dst, ": "...)
		dst = append(dst, f.Value...)
		dst = append(dst, "\r\n"...)
	}
	if r.Method != "CONNECT" {
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(len(r.Body)), 10)
		dst = append(dst, "\r\nConnection: Keep-Alive\r\nAccept-Encoding: identity\r\n"...)
	}
	return append(dst, "\r\n"...), nil
}

// validName reports whether name is a token ([RFC 9110] section 5.6.2) and not
// one of the fields that this package writes itself.
func validName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	for _, own := range ownFields {
		if strings.EqualFold(name, own) {
			return false
		}
	}
	return name != ""
}

// ownFields are what this package writes itself, or must not be written.
var ownFields = [...]string{
	"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect", "te", "trailer", "upgrade",
}

// write hands the request to nc and reports whether its last byte was accepted.
func (r *Request) write(nc net.Conn) (sent bool, err error) {
	buf := heads.Get().(*[]byte)
	head, err := r.appendHead((*buf)[:0])
	defer func() {
		if cap(head) <= 64<<10 {
			*buf = head[:0]
			heads.Put(buf)
		}
	}()
	if err != nil {
		return false, err
	}
	if len(r.Body) <= smallBody {
		head = append(head, r.Body...)
		n, err := nc.Write(head)
		return n == len(head), err
	}
	parts := net.Buffers{head, r.Body} // one system call on TCP
	want := int64(len(head) + len(r.Body))
	n, err := parts.WriteTo(nc)
	return n == want, err
}
