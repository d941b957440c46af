package winrm

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"unicode/utf8"
)

// output is one stream of a command on its way to a writer. It keeps the first
// bytes of a character back until the rest has come.
type output struct {
	w    io.Writer // nil discards
	utf8 bool
	held [utf8.UTFMax]byte
	n    int // bytes held
	err  error
}

func newOutput(w io.Writer, isUTF8 bool) *output { return &output{w: w, utf8: isUTF8} }

// write passes p on, except for a character that is cut at its end.
func (o *output) write(p []byte) {
	if o.w == nil || o.err != nil || len(p) == 0 {
		return
	}
	if !o.utf8 {
		o.pass(p)
		return
	}
	for o.n > 0 && len(p) > 0 {
		if b := p[0]; !utf8.RuneStart(b) {
			o.held[o.n] = b
			o.n++
			p = p[1:]
		}
		if utf8.FullRune(o.held[:o.n]) || len(p) > 0 && utf8.RuneStart(p[0]) {
			o.flush()
		}
	}
	cut := len(p)
	for i := len(p) - 1; i >= 0 && i >= len(p)-utf8.UTFMax+1; i-- {
		if utf8.RuneStart(p[i]) {
			if !utf8.FullRune(p[i:]) {
				cut = i
			}
			break
		}
	}
	if cut > 0 {
		o.pass(p[:cut])
	}
	o.n += copy(o.held[o.n:], p[cut:])
}

// flush passes on what is held, complete or not.
func (o *output) flush() {
	if o.n > 0 && o.w != nil && o.err == nil {
		o.pass(o.held[:o.n])
	}
	o.n = 0
}

// close flushes, and ends what stands between the stream and the writer.
func (o *output) close() {
	o.flush()
	if f, ok := o.w.(flusher); ok {
		if err := f.end(); o.err == nil {
			o.err = err
		}
	}
}

func (o *output) pass(p []byte) {
	n, err := o.w.Write(p)
	if err == nil && n != len(p) {
		err = io.ErrShortWrite
	}
	o.err = err
}

// lockedBuffer collects output. The receiver of an abandoned command may still
// be writing to it when it is read.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// Bytes returns what was written so far.
func (b *lockedBuffer) Bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Bytes()[:b.buf.Len():b.buf.Len()]
}

// edgeSize is how much edges keeps at either end.
const edgeSize = 32 << 10

// edges keeps the beginning and the end of what is written to it.
type edges struct {
	mu      sync.Mutex
	head    []byte
	tail    []byte // a ring once it is full
	at      int    // where the ring begins
	skipped int64
}

func (e *edges) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	total := len(p)
	n := min(edgeSize-len(e.head), len(p))
	e.head = append(e.head, p[:n]...)
	p = p[n:]
	if over := len(p) - edgeSize; over > 0 {
		e.skipped += int64(over)
		p = p[over:]
	}
	n = min(edgeSize-len(e.tail), len(p))
	e.tail = append(e.tail, p[:n]...)
	p = p[n:]
	for len(p) > 0 {
		n = copy(e.tail[e.at:], p)
		p = p[n:]
		e.skipped += int64(n)
		e.at = (e.at + n) % edgeSize
	}
	return total, nil
}

// Bytes returns the beginning, a note of what is left out, and the end.
func (e *edges) Bytes() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := append([]byte(nil), e.head...)
	if e.skipped > 0 {
		out = fmt.Appendf(out, "\n... omitting %d bytes ...\n", e.skipped)
	}
	out = append(out, e.tail[e.at:]...)
	return append(out, e.tail[:e.at]...)
}
