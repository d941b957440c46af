package http1

import (
	"errors"
	"io"
	"slices"
	"sync"
)

const (
	firstRead = 32 << 10 // bytes reserved before the peer has sent any
	maxPooled = 2 << 20  // larger buffers are left to the collector
)

var buffers = sync.Pool{New: func() any { return new(Buffer) }}

// A Buffer holds bytes in memory that is used again after Release.
type Buffer struct {
	b      []byte
	pooled bool
}

func getBuffer() *Buffer {
	b := buffers.Get().(*Buffer)
	b.b, b.pooled = b.b[:0], true
	return b
}

// NewBuffer returns an empty Buffer with room for n bytes.
func NewBuffer(n int) *Buffer {
	b := getBuffer()
	b.b = slices.Grow(b.b, n)
	return b
}

// Bytes returns the content. It is valid until Release.
func (b *Buffer) Bytes() []byte { return b.b }

// SetBytes replaces the content by p, most often a part of Bytes or an appended
// form of it. The memory of p then belongs to the Buffer.
func (b *Buffer) SetBytes(p []byte) { b.b = p }

// Write appends p.
func (b *Buffer) Write(p []byte) (int, error) {
	b.b = append(b.b, p...)
	return len(p), nil
}

// Release gives the memory back. The Buffer must not be used after it.
func (b *Buffer) Release() {
	if !b.pooled {
		return
	}
	b.pooled = false
	if cap(b.b) > maxPooled {
		b.b = nil
	}
	buffers.Put(b)
}

// Fill appends what r holds, at most limit bytes in all. The size that a peer
// announces is believed only as far as bytes arrive: memory grows with them.
func (b *Buffer) Fill(r io.Reader, announced, limit int64) error {
	b.b = slices.Grow(b.b, int(max(512, min(announced, firstRead))))
	for {
		if len(b.b) == cap(b.b) {
			// Not slices.Grow, which takes up to a quarter more.
			grown := make([]byte, len(b.b), len(b.b)+b.next(announced))
			copy(grown, b.b)
			b.b = grown
		}
		n, err := r.Read(b.b[len(b.b):cap(b.b)])
		b.b = b.b[:len(b.b)+n]
		if int64(len(b.b)) > limit {
			return ErrBodyTooLong
		}
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// next returns how much to grow: double, or what is announced and one byte for
// the read that finds the end.
func (b *Buffer) next(announced int64) int {
	double := len(b.b)
	if rest := announced - int64(len(b.b)) + 1; rest > 0 && rest < int64(double) {
		return int(rest)
	}
	return double
}
