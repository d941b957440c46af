package memconn

import (
	"fmt"
	"io"
	"sync"
	"syscall"
)

var errReset = fmt.Errorf("memconn: %w", syscall.ECONNRESET)

// A pipe carries bytes in one direction.
type pipe struct {
	mu       sync.Mutex
	buf      []byte // unread bytes are buf[head:]
	head     int
	readErr  error // what a reader gets when the buffer is empty
	writeErr error
	changed  chan struct{} // closed and replaced at each change
}

func newPipe() *pipe { return &pipe{changed: make(chan struct{})} }

// read takes what is there. With nothing there and no error, changed tells
// when to look again.
func (p *pipe) read(dst []byte) (n int, changed <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.head == len(p.buf) {
		return 0, p.changed, p.readErr
	}
	n = copy(dst, p.buf[p.head:])
	p.head += n
	if p.head == len(p.buf) {
		p.buf, p.head = p.buf[:0], 0
	}
	p.notify()
	return n, nil, nil
}

func (p *pipe) write(src []byte) (n int, changed <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writeErr != nil {
		return 0, nil, p.writeErr
	}
	n = min(len(src), bufferSize-(len(p.buf)-p.head))
	if n == 0 {
		return 0, p.changed, nil
	}
	if p.head > 0 && len(p.buf)+n > cap(p.buf) {
		p.buf = p.buf[:copy(p.buf, p.buf[p.head:])]
		p.head = 0
	}
	p.buf = append(p.buf, src[:n]...)
	p.notify()
	return n, p.changed, nil
}

// notify wakes all who wait; the caller holds the lock.
func (p *pipe) notify() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// closeWrite is called by the writing side.
func (p *pipe) closeWrite(readErr error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readErr == nil {
		p.readErr = readErr
	}
	if p.writeErr == nil {
		p.writeErr = io.ErrClosedPipe
	}
	p.notify()
}

// closeRead is called by the reading side: nobody will take the bytes.
func (p *pipe) closeRead() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writeErr == nil {
		p.writeErr = fmt.Errorf("memconn: %w", syscall.EPIPE)
	}
	p.buf, p.head = nil, 0
	p.notify()
}

func (p *pipe) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.buf, p.head = nil, 0
	p.readErr, p.writeErr = err, err
	p.notify()
}
