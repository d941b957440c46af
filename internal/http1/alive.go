package http1

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// Alive reports whether an idle connection can carry another exchange: the peer
// has not closed it and has sent nothing unasked. A TCP socket is asked without
// waiting; others are read for a millisecond.
func (c *Conn) Alive() bool { return c.AliveFor(0) }

// AliveFor is like [Conn.Alive] and gives the peer some time to close.
func (c *Conn) AliveFor(wait time.Duration) bool {
	if skipBreaks(c.br); c.br.Buffered() > 0 {
		return false
	}
	if err := c.nc.SetReadDeadline(time.Time{}); err != nil || wait > 0 && !c.silent(wait) {
		return false
	}
	// Over TLS what there is to read may be no data, such as session tickets:
	// it is read until the socket has no more.
	for range maxProbes {
		pending, known := readable(c.raw)
		if known && !pending {
			return true
		}
		if !c.silent(probeTime) {
			return false
		}
		if !known {
			return true
		}
	}
	return false
}

// silent reports whether nothing comes in the time given, line breaks aside, not
// even the end.
func (c *Conn) silent(wait time.Duration) (yes bool) {
	if err := c.nc.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return false
	}
	// With a deadline in the past the socket could not be asked any more.
	defer func() { yes = c.nc.SetReadDeadline(time.Time{}) == nil && yes }()
	for range maxBreaks + 1 {
		c.in.n, c.in.err = 1, ErrUnsolicited
		if _, err := c.br.Peek(1); err != nil {
			return errors.Is(err, os.ErrDeadlineExceeded)
		}
		if skipBreaks(c.br); c.br.Buffered() > 0 {
			return false
		}
	}
	return false
}

// maxBreaks is how many characters of line breaks may stand between answers.
const maxBreaks = 4

// skipBreaks drops line breaks that have been read already. Servers write one
// after the closing boundary of a sealed message and do not count it; it is no
// answer to anything.
func skipBreaks(br *bufio.Reader) {
	for range min(maxBreaks, br.Buffered()) {
		if b, err := br.Peek(1); err != nil || b[0] != '\r' && b[0] != '\n' {
			return
		}
		_, _ = br.Discard(1)
	}
}

// readable asks the socket whether a read would return at once, with bytes or
// the end of the stream. known is false where it cannot be asked.
func readable(nc net.Conn) (pending, known bool) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false, false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return true, true
	}
	return peekSocket(rc)
}

// isNetwork reports whether err is about the connection and not about what came
// over it.
func isNetwork(err error) bool {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		// A TLS alert comes as an OpError, a bad record MAC as a plain error.
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	_, ok := errors.AsType[syscall.Errno](err)
	return ok
}
