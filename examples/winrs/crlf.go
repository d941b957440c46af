package main

import (
	"bytes"
	"io"
)

// crlf is a reader that ends lines as Windows does, however the terminal does.
type crlf struct {
	r    io.Reader
	last byte   // the last byte taken from r
	rest []byte // converted and not yet handed out
	buf  [512]byte
}

func (c *crlf) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		n, err := c.r.Read(c.buf[:])
		c.rest = c.convert(c.buf[:n])
		if err != nil && len(c.rest) == 0 {
			return 0, err // a second Read gives the same error
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *crlf) convert(in []byte) []byte {
	var out bytes.Buffer
	for _, b := range in {
		if b == '\n' && c.last != '\r' {
			out.WriteByte('\r')
		}
		out.WriteByte(b)
		c.last = b
	}
	return out.Bytes()
}
