package memconn

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// backlog is how many connections wait for Accept before a dial waits too.
const backlog = 128

// A Listener accepts the connections that its DialContext makes.
type Listener struct {
	addr      Addr
	queue     chan *Conn
	closed    chan struct{}
	closeOnce sync.Once
	ports     atomic.Int64
}

var _ net.Listener = (*Listener)(nil)

// Addr is the name of one end.
type Addr string

// Network implements net.Addr.
func (Addr) Network() string { return "mem" }

// String implements net.Addr.
func (a Addr) String() string { return string(a) }

// Listen returns a listener with the given name, such as "host:5985".
func Listen(name string) *Listener {
	return &Listener{addr: Addr(name), queue: make(chan *Conn, backlog), closed: make(chan struct{})}
}

// DialContext has the shape that net.Dialer and http.Transport use. Network and
// address are not looked at: there is one listener to reach.
func (l *Listener) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, l.refused()
	default:
	}
	name := Addr(fmt.Sprintf("192.0.2.1:%d", 49152+l.ports.Add(1)%16000))
	near, far := Pipe(name, l.addr)
	select {
	case l.queue <- far:
		return near, nil
	case <-l.closed:
		return nil, l.refused()
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: "mem", Addr: l.addr, Err: ctx.Err()}
	}
}

func (l *Listener) refused() error {
	return &net.OpError{Op: "dial", Net: "mem", Addr: l.addr, Err: syscall.ECONNREFUSED}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener; connections that nobody accepted are reset.
func (l *Listener) Close() error {
	err := net.ErrClosed
	l.closeOnce.Do(func() {
		close(l.closed)
		err = nil
	})
	for {
		select {
		case c := <-l.queue:
			c.Reset()
		default:
			return err
		}
	}
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return l.addr }
