// Package memconn is a network inside one process: a listener, a dialer and
// buffered connections with deadlines and half-close.
//
// Real sockets do not advance the virtual time of testing/synctest, because a
// goroutine that waits in a system call counts as busy. Here everything waits
// on channels, so time-outs of minutes are tested in microseconds. net.Pipe
// would do that too, but it has no buffer and no half-close: two peers that
// both write first would stand still, which they do not over TCP.
package memconn

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// bufferSize is how much one side can write before the other reads; about what
// a TCP connection over the loopback holds.
const bufferSize = 64 << 10

// A Conn is one end of a connection. It is safe for concurrent use like any
// net.Conn.
type Conn struct {
	in, out       *pipe
	local, remote net.Addr
	readDeadline  *deadline
	writeDeadline *deadline
	closed        chan struct{}
	closeOnce     sync.Once
}

var _ net.Conn = (*Conn)(nil)

// Pipe returns both ends of a new connection.
func Pipe(a, b net.Addr) (*Conn, *Conn) {
	ab, ba := newPipe(), newPipe()
	return newConn(ba, ab, a, b), newConn(ab, ba, b, a)
}

func newConn(in, out *pipe, local, remote net.Addr) *Conn {
	return &Conn{
		in: in, out: out, local: local, remote: remote,
		readDeadline: newDeadline(), writeDeadline: newDeadline(),
		closed: make(chan struct{}),
	}
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		select {
		case <-c.closed:
			return 0, net.ErrClosed
		case <-c.readDeadline.wait():
			return 0, os.ErrDeadlineExceeded
		default:
		}
		n, changed, err := c.in.read(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		select {
		case <-changed:
		case <-c.closed:
		case <-c.readDeadline.wait():
		}
	}
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	written := 0
	for {
		select {
		case <-c.closed:
			return written, net.ErrClosed
		case <-c.writeDeadline.wait():
			return written, os.ErrDeadlineExceeded
		default:
		}
		n, changed, err := c.out.write(p[written:])
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
		select {
		case <-changed:
		case <-c.closed:
		case <-c.writeDeadline.wait():
		}
	}
}

// CloseWrite ends our half: the peer reads what was written and then io.EOF.
func (c *Conn) CloseWrite() error {
	c.out.closeWrite(io.EOF)
	return nil
}

// Reset closes the connection as a TCP reset does: what the peer has not read
// yet is lost, and its calls fail.
func (c *Conn) Reset() {
	c.closeOnce.Do(func() { close(c.closed) })
	c.out.fail(errReset)
	c.in.fail(errReset)
}

// Close implements net.Conn. The peer reads what was written and then io.EOF;
// its writes fail.
func (c *Conn) Close() error {
	err := net.ErrClosed
	c.closeOnce.Do(func() {
		close(c.closed)
		err = nil
	})
	c.out.closeWrite(io.EOF)
	c.in.closeRead()
	c.readDeadline.stop()
	c.writeDeadline.stop()
	return err
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errorsFirst(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(c.readDeadline, t) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(c.writeDeadline, t) }

func (c *Conn) setDeadline(d *deadline, t time.Time) error {
	select {
	case <-c.closed:
		return net.ErrClosed
	default:
	}
	d.set(t)
	return nil
}

func errorsFirst(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
