package winrmtest

import (
	"context"
	"io"
	"sync"
)

// An inbox is the stdin of one command.
type inbox struct {
	limit int

	mu      sync.Mutex
	buf     []byte
	head    int
	eof     bool
	closed  bool          // the command has ended
	changed chan struct{} // closed and replaced at each change
}

func newInbox(limit int) *inbox { return &inbox{limit: limit, changed: make(chan struct{})} }

func (b *inbox) notify() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// Read gives the command what was sent.
func (b *inbox) Read(p []byte) (int, error) {
	for {
		b.mu.Lock()
		if n := copy(p, b.buf[b.head:]); n > 0 || len(p) == 0 {
			b.head += n
			if b.head == len(b.buf) {
				b.buf, b.head = b.buf[:0], 0
			}
			b.notify()
			b.mu.Unlock()
			return n, nil
		}
		switch {
		case b.closed:
			b.mu.Unlock()
			return 0, errEnded
		case b.eof:
			b.mu.Unlock()
			return 0, io.EOF
		}
		changed := b.changed
		b.mu.Unlock()
		<-changed
	}
}

// put adds data and reports false when the command takes no more: it has ended,
// or stdin was closed before.
func (b *inbox) put(data []byte, end bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.eof {
		return false
	}
	if b.head > 0 {
		b.buf = b.buf[:copy(b.buf, b.buf[b.head:])]
		b.head = 0
	}
	b.buf = append(b.buf, data...)
	b.eof = end
	b.notify()
	return true
}

// full reports whether more waits than the limit allows.
func (b *inbox) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.closed && len(b.buf)-b.head > b.limit
}

// wait returns when the buffer is not over its limit any more. It reports false
// when ctx ended first.
func (b *inbox) wait(ctx context.Context) bool {
	for {
		b.mu.Lock()
		ok := b.closed || len(b.buf)-b.head <= b.limit
		changed := b.changed
		b.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// close is called when the command has ended: reads fail, what is left is
// dropped.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.buf, b.head = nil, 0
	b.notify()
}
