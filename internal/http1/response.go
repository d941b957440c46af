package http1

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
)

const (
	// MaxHead bounds status line and header of a response.
	MaxHead = 64 << 10
	// MaxInterim bounds the 1xx responses before the final one.
	MaxInterim = 5

	maxMaxBody = 1 << 50 // keeps sums from overflowing
)

// A Response is a response that was read to its end.
type Response struct {
	Status int
	Reason string // the status line's text after the code
	Header http.Header
	Body   *Buffer // never nil
	// Close says that the peer ends the connection after it.
	Close bool
}

// limited hands out bytes of r while n lasts.
type limited struct {
	r    io.Reader
	n    int64
	err  error // given when n is used up
	last error // of r
}

func (l *limited) Read(p []byte) (int, error) {
	if l.n <= 0 {
		return 0, l.err
	}
	if int64(len(p)) > l.n {
		p = p[:l.n]
	}
	n, err := l.r.Read(p)
	l.n -= int64(n)
	l.last = err
	return n, err
}

// readResponse reads the final response to a request of the given method. A
// failure is told with the status, if a head came.
func (c *Conn) readResponse(method string, maxBody int64) (Response, int, error) {
	c.in.n, c.in.err = MaxHead, ErrHeadTooLong
	if err := sniff(c.br); err != nil {
		return Response{}, 0, err
	}
	c.asked.Method = method
	for range MaxInterim + 1 {
		resp, err := http.ReadResponse(c.br, &c.asked)
		if err != nil {
			// The parser may complain of a line that was cut: by the bound, or by
			// the end of the connection.
			if c.in.n == 0 {
				return Response{}, 0, ErrHeadTooLong
			}
			if c.in.last != nil {
				err = c.in.last
			}
			return Response{}, 0, unexpected(err)
		}
		switch {
		case resp.StatusCode == http.StatusSwitchingProtocols:
			return Response{}, resp.StatusCode, ErrUpgrade
		case resp.StatusCode < 200:
			continue
		case method == http.MethodConnect && resp.StatusCode < 300:
			// The tunnel begins here: no body ([RFC 9110] section 9.3.6).
			r := newResponse(resp)
			r.Body = getBuffer()
			r.Close = false // said of a body that would end with the connection
			return r, resp.StatusCode, nil
		}
		r, err := c.readBody(resp, maxBody)
		return r, resp.StatusCode, err
	}
	return Response{}, 0, ErrInterim
}

// sniff looks at the first bytes, for the two mistakes that people make: a TLS
// port addressed in clear, and a port that does not speak HTTP.
func sniff(br *bufio.Reader) error {
	for range maxBreaks { // that came late
		if b, err := br.Peek(1); err != nil || b[0] != '\r' && b[0] != '\n' {
			break
		}
		_, _ = br.Discard(1)
	}
	first, err := br.Peek(5)
	if len(first) >= 2 && (first[0] == 0x15 || first[0] == 0x16) && first[1] == 0x03 {
		return ErrTLS
	}
	if err != nil {
		return unexpected(err)
	}
	if string(first) != "HTTP/" {
		return ErrNotHTTP
	}
	return nil
}

// unexpected turns the end of the stream into one that no reader takes for a
// regular end.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func newResponse(resp *http.Response) Response {
	_, reason, _ := strings.Cut(resp.Status, " ")
	return Response{Status: resp.StatusCode, Reason: reason, Header: resp.Header, Close: resp.Close}
}

// readBody reads the body whole, or refuses it.
func (c *Conn) readBody(resp *http.Response, maxBody int64) (Response, error) {
	r := newResponse(resp)
	if e := resp.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return Response{}, ErrCompressed
	}
	chunked := len(resp.TransferEncoding) > 0
	switch {
	case resp.ContentLength == 0:
		r.Body = getBuffer()
		return r, nil
	case resp.ContentLength < 0 && !chunked:
		if resp.StatusCode < 400 {
			return Response{}, ErrNoLength
		}
		// Nobody can tell whether the text is complete, but the status is: it
		// is handed on without the body.
		r.Body, r.Close = getBuffer(), true
		return r, nil
	case resp.ContentLength > maxBody:
		return Response{}, ErrBodyTooLong
	}
	// Chunks of one byte cost six; net/http bounds what they cost beyond.
	c.in.n, c.in.err = 8*min(maxBody, maxMaxBody)+MaxHead, ErrBodyTooLong
	r.Body = getBuffer()
	if err := r.Body.Fill(resp.Body, resp.ContentLength, maxBody); err != nil {
		r.Body.Release()
		return Response{}, err
	}
	return r, nil
}
