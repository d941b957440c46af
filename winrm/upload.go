package winrm

import (
	"compress/flate"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/internal/fileagent"
	"github.com/winrmkit/winrmkit/internal/winpath"
)

// smallFile is up to which size a file is sent in one go: it is not taken up again.
const smallFile = 1 << 20

// Upload copies a file to the host. dst is a path there; if it ends with a
// separator, the name of src is appended. The directory must exist.
//
// The content goes to a part file beside dst and takes its place when its
// SHA-256 is right: under the name dst there is the old file or the whole new
// one at any time. An upload that was interrupted leaves the part file, and the
// next one to the same dst sends what that does not have yet: the hashes of its
// blocks of 120 kB are compared with those of src. However the earlier upload ended,
// by the death of its process too, at most what was in one message of each of its
// streams is sent again: 368640 bytes of content, or what that many compressed bytes
// hold. Files up to 1 MB, and what cannot be read at any offset, begin anew.
//
// Large files go over several streams, see CopyOptions.Streams. Time of modification
// and read-only attribute are kept.
func (c *Client) Upload(ctx context.Context, src, dst string, opt *CopyOptions) (*CopyResult, error) {
	s, err := openSource(src, opt)
	if err != nil {
		return nil, err
	}
	defer s.close()
	defer s.progress.end()
	if strings.HasSuffix(dst, `\`) || strings.HasSuffix(dst, "/") {
		dst += base(src)
	}
	var out *CopyResult
	err = c.withAgent(ctx, dst, func(a *fileAgent, p winpath.Path) error {
		var err error
		out, err = a.upload(ctx, s, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// A source is what is uploaded.
type source struct {
	r        io.Reader
	at       io.ReaderAt // nil if it cannot be taken up again
	close    func()
	size     int64 // -1 when not known
	modified time.Time
	readOnly bool
	opt      *CopyOptions
	progress *progress
}

func openSource(src string, opt *CopyOptions) (*source, error) {
	if opt == nil {
		opt = &CopyOptions{}
	}
	s := &source{r: opt.Source, size: -1, close: func() {}}
	if s.r == nil {
		f, err := os.Open(src)
		if err != nil {
			return nil, fmt.Errorf("winrm: upload: %w", err)
		}
		s.r, s.close = f, func() { _ = f.Close() }
	}
	if f, ok := s.r.(interface{ Stat() (os.FileInfo, error) }); ok {
		info, err := f.Stat()
		switch {
		case err != nil:
		case info.IsDir():
			s.close()
			return nil, fmt.Errorf("winrm: upload: %w", &os.PathError{Op: "read", Path: src, Err: errors.New("is a directory")})
		case info.Mode().IsRegular():
			s.size = info.Size()
			s.at, _ = s.r.(io.ReaderAt)
			if opt.Source != nil {
				s.rest()
			}
			if !opt.NoTimes && opt.Source == nil {
				s.modified, s.readOnly = info.ModTime(), info.Mode().Perm()&0o200 == 0
			}
		}
	}
	s.prepare(src, opt)
	return s, nil
}

// rest leaves out what somebody has read of a file before.
func (s *source) rest() {
	seeker, ok := s.r.(io.Seeker)
	if !ok {
		s.at, s.size = nil, -1
		return
	}
	off, err := seeker.Seek(0, io.SeekCurrent)
	switch {
	case err != nil:
		s.at, s.size = nil, -1
	case off > 0:
		s.size = max(s.size-off, 0)
		if s.at != nil {
			s.at = io.NewSectionReader(s.at, off, s.size)
		}
	}
}

func (s *source) prepare(name string, opt *CopyOptions) {
	if s.size <= smallFile {
		s.at = nil
	}
	s.opt = opt
	s.progress = newProgress(name, s.size, opt.Progress)
}

// partKey begins the names of part files of a target.
func partKey(full string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(full)))
	return "~wk-" + hex.EncodeToString(sum[:8])
}

// request is the request to write a file.
func (s *source) request(p winpath.Path) *fileagent.Request {
	key, unique := partKey(p.Full), rand.Text()[:8]
	q := &fileagent.Request{
		Op: fileagent.OpWrite, Path: p.Full, Dir: p.DirFor(len(key + "-" + unique + ".part")), Key: key, Unique: unique,
		Size: s.size, Modified: ticks(s.modified), ReadOnly: s.readOnly, Recursive: s.at != nil, Anew: s.opt.NoResume,
	}
	if s.size >= 0 {
		q.Volume = p.Root
	}
	return q
}

// An uploadReply is the end of an upload.
type uploadReply struct {
	entry fileagent.Entry
	err   error
}

// upload sends one file and waits for the reply.
func (a *fileAgent) upload(ctx context.Context, s *source, p winpath.Path) (*CopyResult, error) {
	if s.at != nil {
		return a.uploadPieces(ctx, s, p)
	}
	if err := a.query(s.request(p)); err != nil {
		return nil, err
	}
	replies := make(chan uploadReply, 1)
	a.client.goTask(func() { replies <- a.uploadReply(p.Full) })
	h := sha256.New()
	size, err := a.sendContent(s, h, replies)
	if err != nil {
		return nil, err
	}
	return s.result(<-replies, size, 0, h)
}

// result is what the reply to an upload makes of it.
func (s *source) result(r uploadReply, size, resumed int64, h hash.Hash) (*CopyResult, error) {
	if r.err != nil {
		return nil, r.err
	}
	if r.entry.Size != size {
		return nil, &AgentError{Err: fmt.Errorf("it says that %d bytes arrived of %d", r.entry.Size, size)}
	}
	out := &CopyResult{Size: size, Resumed: resumed}
	h.Sum(out.SHA256[:0])
	s.progress.done(size)
	return out, nil
}

func (a *fileAgent) uploadReply(path string) (r uploadReply) {
	_, content, err := a.next("upload", path)
	var answer fileagent.Answer
	if err == nil {
		err = a.answer(content, &answer)
	}
	return uploadReply{answer.Entry, err}
}

// sendContent sends what s has to read. It stops when the agent has replied, which it
// does early only if it fails.
func (a *fileAgent) sendContent(s *source, h hash.Hash, replies chan uploadReply) (int64, error) {
	room := int64(fileagent.PieceSize)
	if s.size >= 0 {
		room = min(room, s.size+1) // to see the end with the last piece
	}
	piece := make([]byte, room)
	pack := packer{off: s.opt.NoCompression}
	for at := int64(0); ; {
		n, err := io.ReadFull(s.r, piece)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return 0, &localError{err: fmt.Errorf("winrm: upload: %w", err)}
		}
		select {
		case r := <-replies:
			if r.err == nil {
				r.err = &AgentError{Err: errors.New("it replied before the end of the file")}
			}
			return 0, r.err
		default:
		}
		if n > 0 {
			h.Write(piece[:n])
			a.buf = pack.append(a.buf[:0], piece[:n])
			if err := a.write(a.buf); err != nil {
				return 0, err
			}
			at += int64(n)
			s.progress.at(at)
		}
		if err != nil {
			end := fileagent.AppendFrame(a.buf[:0], fileagent.End, hex.AppendEncode(nil, h.Sum(nil)))
			return at, a.write(end)
		}
	}
}

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
