package winrm

import (
	"compress/flate"
	"io"
	"math"

	"github.com/winrmkit/winrmkit/internal/fileagent"
)

// A packer makes frames of content, compressed where it pays. After pieces that
// did not become smaller it tries only now and then.
type packer struct {
	off    bool
	w      *flate.Writer
	buf    shortBuffer
	failed int // pieces in a row
	skip   int // pieces not to try
}

func (k *packer) append(dst, piece []byte) []byte {
	if packed := k.pack(piece); packed != nil {
		return fileagent.AppendFrame(dst, fileagent.Deflated, packed)
	}
	return fileagent.AppendFrame(dst, fileagent.Data, piece)
}

// pack returns nil if it does not pay. What it returns is valid until the next call.
func (k *packer) pack(piece []byte) []byte {
	switch {
	case k.off || len(piece) < 512 || dense(piece):
	case k.skip > 0:
		k.skip--
	default:
		if k.w == nil {
			k.w, _ = flate.NewWriter(nil, flate.BestSpeed)
		}
		k.buf.data, k.buf.limit = k.buf.data[:0], len(piece)/10*9
		k.w.Reset(&k.buf)
		_, err := k.w.Write(piece)
		if err == nil {
			err = k.w.Close()
		}
		if err == nil {
			k.failed = 0
			return k.buf.data
		}
		k.failed++
		if k.skip = 1 << k.failed; k.skip >= 32 {
			k.skip = 32
			k.w, k.buf.data = nil, nil // a megabyte that is not needed for a while
		}
	}
	return nil
}

// dense reports whether a piece looks like one that does not become smaller: random,
// encrypted, compressed already. To find that out is much cheaper than to try.
func dense(piece []byte) bool {
	const sample, full = 16 << 10, 7.95 // bits a byte; of random bytes such a sample has 7.99
	if len(piece) < sample {
		return false
	}
	var counts [256]int
	for _, b := range piece[len(piece)/2-sample/2:][:sample] {
		counts[b]++
	}
	entropy := 0.0
	for _, n := range counts {
		if n > 0 {
			p := float64(n) / sample
			entropy -= p * math.Log2(p)
		}
	}
	return entropy > full
}

// A shortBuffer refuses to become longer than its limit.
type shortBuffer struct {
	data  []byte
	limit int
}

func (b *shortBuffer) Write(p []byte) (int, error) {
	if len(b.data)+len(p) > b.limit {
		return 0, io.ErrShortBuffer
	}
	b.data = append(b.data, p...)
	return len(p), nil
}
