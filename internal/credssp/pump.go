package credssp

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// maxFlight bounds the TLS bytes taken in one step. HTTP headers end long
// before; certificates chains of a handshake fit.
const maxFlight = 256 << 10

// A pump runs a crypto/tls connection over memory. Bytes from the peer are put
// in, and what the TLS layer answers is taken out when it asks for more peer
// data: that is where a flight ends, known without any timer.
//
// During the handshake crypto/tls keeps every read error for good, so its Read
// has to block; the handshake therefore runs in a goroutine of its own, which
// alternates with the caller and never runs beside it:
//
//  1. handshake appends the peer's bytes and lets the goroutine go on;
//  2. the goroutine's Read finds the memory empty and reports on pause;
//  3. handshake returns, the goroutine waits on resume or closed.
//
// After the handshake there is no goroutine. Reads and writes are calls; a Read
// that finds the memory empty returns errEmpty, which crypto/tls does not keep
// because it is a temporary net.Error.
//
// A pump is used by one goroutine at a time.
type pump struct {
	conn *tls.Conn
	in   []byte // from the peer, not yet read by crypto/tls
	out  []byte // from crypto/tls, not yet taken

	running bool          // the handshake goroutine exists
	blocks  bool          // Read waits for more instead of returning errEmpty
	pause   chan struct{} // goroutine to caller: the memory is empty
	resume  chan struct{} // caller to goroutine: there is more
	closed  chan struct{} // caller to goroutine: give up
	result  chan error    // goroutine to caller: the handshake is over

	done bool  // the handshake succeeded
	err  error // the session is beyond use
}

// newPump makes a pump around tls.Client or tls.Server.
func newPump(layer func(net.Conn, *tls.Config) *tls.Conn, cfg *tls.Config) *pump {
	p := &pump{
		pause:  make(chan struct{}),
		resume: make(chan struct{}),
		closed: make(chan struct{}),
		result: make(chan error, 1),
	}
	p.conn = layer((*memory)(p), cfg)
	return p
}

// handshake takes the peer's bytes, nil for the client's first flight, and
// returns our flight. done says that the handshake is complete on our side. A
// flight may accompany an error: an alert.
func (p *pump) handshake(in []byte) (out []byte, done bool, err error) {
	if err := p.put(in); err != nil {
		return nil, false, err
	}
	if !p.running {
		p.running, p.blocks = true, true
		go func() { p.result <- p.conn.Handshake() }()
	} else {
		p.resume <- struct{}{}
	}
	select {
	case <-p.pause:
		return p.take(), false, nil
	case err := <-p.result:
		p.running, p.blocks = false, false
		p.done, p.err = err == nil, err
		return p.take(), p.done, err
	}
}

// put appends the peer's bytes.
func (p *pump) put(in []byte) error {
	switch {
	case p.err != nil:
		return p.err
	case p.isClosed():
		return ErrClosed
	case len(in) > maxFlight || len(p.in)+len(in) > 2*maxFlight:
		p.err = ErrTooLarge
		return p.err
	}
	p.in = append(p.in, in...)
	return nil
}

// take returns what is to be sent.
func (p *pump) take() []byte {
	out := p.out
	p.out = nil
	return out
}

// read decrypts into dst. more is false when the peer's bytes are used up. One
// Read of crypto/tls never returns the data of two records, so that, with room
// for the largest one, the boundaries of records can be seen.
func (p *pump) read(dst []byte) (n int, more bool, err error) {
	if p.err != nil {
		return 0, false, p.err
	}
	n, err = p.conn.Read(dst)
	switch {
	case errors.Is(err, errEmpty):
		return n, false, nil
	case errors.Is(err, io.EOF):
		p.err = ErrClosed
		return n, false, p.err
	case err != nil:
		p.err = err
		return n, false, err
	}
	return n, true, nil
}

// write encrypts plain, which appears in out.
func (p *pump) write(plain []byte) error {
	if p.err != nil {
		return p.err
	}
	if _, err := p.conn.Write(plain); err != nil {
		p.err = err
		return err
	}
	return nil
}

func (p *pump) isClosed() bool {
	select {
	case <-p.closed:
		return true
	default:
		return false
	}
}

// close ends the pump and waits for its goroutine. It may be called again.
func (p *pump) close() {
	if p.isClosed() {
		return
	}
	close(p.closed)
	if p.running {
		<-p.result
		p.running = false
	}
	if p.err == nil {
		p.err = ErrClosed
	}
}

// errEmpty says that the peer's bytes are used up. Being a temporary net.Error
// keeps crypto/tls from remembering it.
var errEmpty net.Error = emptyError{}

type emptyError struct{}

func (emptyError) Error() string   { return "credssp: no more data from the peer" }
func (emptyError) Timeout() bool   { return true }
func (emptyError) Temporary() bool { return true }

// memory is the pump as crypto/tls sees it.
type memory pump

var _ net.Conn = (*memory)(nil)

func (m *memory) Read(b []byte) (int, error) {
	for len(m.in) == 0 {
		if !m.blocks {
			return 0, errEmpty
		}
		select {
		case m.pause <- struct{}{}:
		case <-m.closed:
			return 0, net.ErrClosed
		}
		select {
		case <-m.resume:
		case <-m.closed:
			return 0, net.ErrClosed
		}
	}
	n := copy(b, m.in)
	m.in = m.in[n:]
	return n, nil
}

func (m *memory) Write(b []byte) (int, error) {
	m.out = append(m.out, b...)
	return len(b), nil
}

func (m *memory) Close() error                     { return nil }
func (m *memory) LocalAddr() net.Addr              { return memoryAddr{} }
func (m *memory) RemoteAddr() net.Addr             { return memoryAddr{} }
func (m *memory) SetDeadline(time.Time) error      { return nil }
func (m *memory) SetReadDeadline(time.Time) error  { return nil }
func (m *memory) SetWriteDeadline(time.Time) error { return nil }

type memoryAddr struct{}

func (memoryAddr) Network() string { return "credssp" }
func (memoryAddr) String() string  { return "memory" }
