package winrmtest

import (
	"errors"
	"io"
	"sync"
)

const (
	streamStdout = iota
	streamStderr
	streamCount
)

var streamNames = [streamCount]string{"stdout", "stderr"}

// segmentSize is the most that one Stream element carries: shells of Windows
// hand output on in pieces of about this size.
const segmentSize = 32 << 10

var segmentPool = sync.Pool{New: func() any {
	b := make([]byte, 0, segmentSize)
	return &b
}}

// A segment is a piece of output of one stream.
type segment struct {
	stream int
	buf    *[]byte // what the pool gets back
	data   []byte
	begun  bool // a part was taken, and may still be read: if the rest is thrown away, the pool gets nothing
}

// An outbox holds the output of one command, in the order in which it was
// produced, until it is received. It is bounded: who writes more waits.
type outbox struct {
	limit int

	mu     sync.Mutex
	queue  []segment
	size   int
	drop   bool  // throw the oldest away instead of waiting: BufferMode Drop
	closed error // writers get it

	ready chan struct{} // cap 1: something changed for the receiver
	space chan struct{} // closed and replaced when there is room again; nil: nobody waits
}

func newOutbox(limit int) *outbox {
	return &outbox{limit: limit, ready: make(chan struct{}, 1)}
}

// errEnded is what a command gets that writes after it was ended.
var errEnded = errors.New("winrmtest: the command has been ended")

// outWriter is Proc.Stdout or Proc.Stderr.
type outWriter struct {
	box    *outbox
	stream int
}

var _ io.Writer = outWriter{}

func (w outWriter) Write(p []byte) (int, error) { return w.box.write(w.stream, p) }

func (o *outbox) write(stream int, p []byte) (int, error) {
	written := 0
	for {
		o.mu.Lock()
		if o.closed != nil {
			err := o.closed
			o.mu.Unlock()
			return written, err
		}
		n := min(len(p)-written, o.limit-o.size)
		if o.drop && n < len(p)-written {
			o.discard(len(p) - written)
			n = min(len(p)-written, o.limit-o.size)
		}
		o.append(stream, p[written:written+n])
		written += n
		if written == len(p) {
			o.mu.Unlock()
			return written, nil
		}
		if o.space == nil {
			o.space = make(chan struct{})
		}
		space := o.space
		o.mu.Unlock()
		<-space
	}
}

// append adds to the last segment when it is of the same stream and has room.
func (o *outbox) append(stream int, p []byte) {
	for len(p) > 0 {
		last := len(o.queue) - 1
		if last < 0 || o.queue[last].stream != stream || len(o.queue[last].data) == cap(o.queue[last].data) {
			buf := segmentPool.Get().(*[]byte)
			o.queue = append(o.queue, segment{stream: stream, buf: buf, data: (*buf)[:0]})
			last++
		}
		seg := &o.queue[last]
		n := min(len(p), cap(seg.data)-len(seg.data))
		seg.data = append(seg.data, p[:n]...)
		o.size += n
		p = p[n:]
	}
	o.signal()
}

// discard drops the oldest output to make room for n bytes.
func (o *outbox) discard(n int) {
	for len(o.queue) > 0 && o.limit-o.size < n {
		o.size -= len(o.queue[0].data)
		release(o.queue[:1])
		o.queue = o.queue[1:]
	}
}

func (o *outbox) signal() {
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// wake lets waiting writers look again.
func (o *outbox) wake() {
	if o.space != nil {
		close(o.space)
		o.space = nil
	}
}

func (o *outbox) setDrop(drop bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop = drop
	o.wake()
}

// close makes writers fail. discard throws away what was not received.
func (o *outbox) close(discard bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed == nil {
		o.closed = errEnded
	}
	if discard {
		release(o.queue)
		o.queue, o.size = nil, 0
	}
	o.wake()
	o.signal()
}

// pending is how many bytes of the wanted streams wait.
func (o *outbox) pending(want [streamCount]bool) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, s := range o.queue {
		if want[s.stream] {
			n += len(s.data)
		}
	}
	return n
}

// take removes output of the wanted streams whose encoded form fits in budget
// bytes: cost tells what n bytes of output cost. more says that output of these
// streams is left. The segments must be released after use.
func (o *outbox) take(dst []segment, want [streamCount]bool, budget, chunk int) (taken []segment, more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept := o.queue[:0]
	for i := range o.queue {
		seg := o.queue[i]
		if !want[seg.stream] || more {
			kept = append(kept, seg)
			more = more || want[seg.stream]
			continue
		}
		for len(seg.data) > 0 && !more {
			n := min(len(seg.data), chunk, rawBudget(budget))
			if n <= 0 {
				more = true
				break
			}
			piece := segment{stream: seg.stream, data: seg.data[:n:n]}
			seg.data, seg.begun = seg.data[n:], true
			if len(seg.data) == 0 {
				piece.buf = seg.buf // the last piece carries the buffer back
			}
			dst = append(dst, piece)
			budget -= encodedCost(n)
			o.size -= n
		}
		if len(seg.data) > 0 {
			kept = append(kept, seg)
		}
	}
	clear(o.queue[len(kept):])
	o.queue = kept
	o.wake()
	return dst, more
}

// streamOverhead bounds the tags of one Stream element.
const streamOverhead = 160

func encodedCost(n int) int { return streamOverhead + (n+2)/3*4 }

// rawBudget is how many bytes of output fit in budget bytes of envelope.
func rawBudget(budget int) int { return (budget - streamOverhead) / 4 * 3 }

func release(segs []segment) {
	for _, s := range segs {
		if s.buf != nil && !s.begun {
			*s.buf = (*s.buf)[:0]
			segmentPool.Put(s.buf)
		}
	}
}
