package winrm

import (
	"context"
	"io"
	"sync"
)

// pipeSize is how much a pipe of output holds: some answers to Receive, so that
// a program that reads one stream to its end before the other gets along when
// that one is short.
const pipeSize = 1 << 20

// outputPipe is a pipe with a limited memory. Closing the reading side makes
// writes fail; closing the writing side lets the rest be read.
type outputPipe struct {
	size int // at most

	mu     sync.Mutex
	cond   *sync.Cond
	buf    []byte
	off    int
	ended  bool // by the writer
	closed bool // by the reader

	onDemand bool // the writer is to wait for somebody who wants to read
	readers  int  // who wait for data
}

func newOutputPipe(size int) *outputPipe {
	p := &outputPipe{size: size}
	p.cond = sync.NewCond(&p.mu)
	return p
}

// Write appends to the pipe. While it is full, it waits.
func (p *outputPipe) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	written := 0
	for len(data) > 0 {
		for len(p.buf)-p.off >= p.size && !p.closed && !p.ended {
			p.cond.Wait()
		}
		if p.closed || p.ended {
			return written, io.ErrClosedPipe
		}
		if p.off > 0 {
			p.buf = p.buf[:copy(p.buf, p.buf[p.off:])]
			p.off = 0
		}
		n := min(p.size-len(p.buf), len(data))
		p.buf = append(p.buf, data[:n]...)
		data = data[n:]
		written += n
		p.cond.Broadcast()
	}
	return written, nil
}

// Read returns what the command has written, io.EOF after its end.
func (p *outputPipe) Read(dst []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readers++
	p.cond.Broadcast()
	for p.off == len(p.buf) && !p.ended && !p.closed && len(dst) > 0 {
		p.cond.Wait()
	}
	p.readers--
	switch {
	case p.closed:
		return 0, io.ErrClosedPipe
	case p.off < len(p.buf) || len(dst) == 0:
		n := copy(dst, p.buf[p.off:])
		p.off += n
		p.cond.Broadcast()
		return n, nil
	}
	return 0, io.EOF
}

// setOnDemand says whether the output is fetched only when somebody waits for it.
func (p *outputPipe) setOnDemand(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onDemand = on
	p.cond.Broadcast()
}

// demand waits until output is to be fetched. It reports false when ctx ended
// before that.
func (p *outputPipe) demand(ctx context.Context) bool {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.cond.Broadcast()
	})
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.onDemand && (p.readers == 0 || p.off < len(p.buf)) && !p.closed && ctx.Err() == nil {
		p.cond.Wait()
	}
	return ctx.Err() == nil
}

// Close ends reading.
func (p *outputPipe) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.buf, p.off = nil, 0
	p.cond.Broadcast()
	return nil
}

// writer returns what ends writing.
func (p *outputPipe) writer() io.Closer { return pipeEnd{p} }

type pipeEnd struct{ p *outputPipe }

func (e pipeEnd) Close() error {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	e.p.ended = true
	e.p.cond.Broadcast()
	return nil
}
