package winrm

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/internal/fileagent"
	"github.com/winrmkit/winrmkit/internal/winpath"
)

// smallFile is up to which size a file is sent without asking first what an
// earlier copy has left.
const smallFile = 1 << 20

// Upload copies a file to the host. dst is a path there; if it ends with a
// separator, the name of src is appended. The directory must exist.
//
// The content goes to a part file beside dst and takes its place when its
// SHA-256 is right: under the name dst there is the old file or the whole new
// one at any time. An upload that was interrupted leaves the part file, and the
// next one to the same dst goes on from there, after it has compared what is
// there with what it would send. Time of modification and read-only attribute
// are kept.
func (c *Client) Upload(ctx context.Context, src, dst string, opt *CopyOptions) (*CopyResult, error) {
	s, err := openSource(src, opt)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if strings.HasSuffix(dst, `\`) || strings.HasSuffix(dst, "/") {
		dst += base(src)
	}
	var out *CopyResult
	err = c.withAgent(ctx, dst, func(a *fileAgent, p winpath.Path) error {
		var err error
		out, err = a.upload(s, p)
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
	seek     io.Seeker // nil if it cannot
	close    func()
	size     int64 // -1 when not known
	modified time.Time
	readOnly bool
	resume   bool
	pack     *packer
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
			s.seek, _ = s.r.(io.Seeker)
			if !opt.NoTimes && opt.Source == nil {
				s.modified, s.readOnly = info.ModTime(), info.Mode().Perm()&0o200 == 0
			}
		}
	}
	s.resume = !opt.NoResume && s.seek != nil && s.size > smallFile
	s.prepare(src, opt)
	return s, nil
}

func (s *source) prepare(name string, opt *CopyOptions) {
	s.pack = &packer{off: opt.NoCompression}
	s.progress = newProgress(name, s.size, opt.Progress)
}

// partKey begins the names of part files of a target.
func partKey(full string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(full)))
	return "~wk-" + hex.EncodeToString(sum[:8])
}

// request is the request to write a file.
func (s *source) request(p winpath.Path) *fileagent.Request {
	q := &fileagent.Request{
		Op: fileagent.OpWrite, Path: p.Full, Dir: p.Dir, Key: partKey(p.Full), Unique: rand.Text()[:8],
		Size: s.size, Modified: ticks(s.modified), ReadOnly: s.readOnly, Recursive: s.resume,
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
func (a *fileAgent) upload(s *source, p winpath.Path) (*CopyResult, error) {
	if err := a.query(s.request(p)); err != nil {
		return nil, err
	}
	h := sha256.New()
	var resumed int64
	if s.resume {
		_, content, err := a.next("upload", p.Full)
		if err != nil {
			return nil, err
		}
		var left fileagent.Answer
		if err := a.answer(content, &left); err != nil {
			return nil, err
		}
		if resumed, err = a.takeUp(s, h, &left); err != nil {
			return nil, err
		}
	}
	replies := make(chan uploadReply, 1)
	a.client.goTask(func() { replies <- a.uploadReply(p.Full) })
	size, err := a.sendContent(s, h, resumed, replies)
	if err != nil {
		return nil, err
	}
	r := <-replies
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

// takeUp goes on where an earlier upload ended, if that sent the same bytes.
func (a *fileAgent) takeUp(s *source, h hash.Hash, left *fileagent.Answer) (int64, error) {
	if left.Offset <= 0 {
		return 0, nil
	}
	n, err := io.CopyN(h, s.r, left.Offset)
	if err != nil && err != io.EOF {
		return 0, &localError{err: fmt.Errorf("winrm: upload: %w", err)}
	}
	if n == left.Offset && hex.EncodeToString(h.Sum(nil)) == left.Hash {
		s.progress.resume(n)
		return n, nil
	}
	h.Reset()
	if _, err := s.seek.Seek(0, io.SeekStart); err != nil {
		return 0, &localError{err: fmt.Errorf("winrm: upload: %w", err)}
	}
	return 0, a.write(fileagent.AppendFrame(a.buf[:0], fileagent.Again, nil))
}

// sendContent sends what s has left to read. It stops when the agent has
// replied, which it does early only if it fails.
func (a *fileAgent) sendContent(s *source, h hash.Hash, at int64, replies chan uploadReply) (int64, error) {
	piece := make([]byte, fileagent.PieceSize)
	for {
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
			a.buf = s.pack.append(a.buf[:0], piece[:n])
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
	buf    bytes.Buffer
	failed int // pieces in a row
	skip   int // pieces not to try
}

func (k *packer) append(dst, piece []byte) []byte {
	switch {
	case k.off || len(piece) < 512:
	case k.skip > 0:
		k.skip--
	default:
		if k.w == nil {
			k.w, _ = flate.NewWriter(nil, flate.BestSpeed)
		}
		k.buf.Reset()
		k.w.Reset(&k.buf)
		_, _ = k.w.Write(piece) // a bytes.Buffer does not fail
		_ = k.w.Close()
		if k.buf.Len() < len(piece)/10*9 {
			k.failed = 0
			return fileagent.AppendFrame(dst, fileagent.Deflated, k.buf.Bytes())
		}
		k.failed++
		k.skip = min(1<<k.failed, 32)
	}
	return fileagent.AppendFrame(dst, fileagent.Data, piece)
}

// progress calls CopyOptions.Progress.
type progress struct {
	fn    func(CopyProgress)
	p     CopyProgress
	begun time.Time
	told  time.Time
}

const progressEvery = 100 * time.Millisecond

func newProgress(path string, total int64, fn func(CopyProgress)) *progress {
	return &progress{fn: fn, p: CopyProgress{Path: path, Total: total}, begun: time.Now()}
}

func (p *progress) resume(n int64) { p.p.Resumed = n }

func (p *progress) at(n int64) {
	if p.fn == nil || time.Since(p.told) < progressEvery {
		return
	}
	p.tell(n)
}

func (p *progress) done(n int64) {
	if p.fn != nil {
		p.p.Done = true
		p.tell(n)
	}
}

func (p *progress) tell(n int64) {
	p.told = time.Now()
	p.p.Bytes = n
	if d := p.told.Sub(p.begun).Seconds(); d > 0 {
		p.p.Rate = float64(n-p.p.Resumed) / d
	}
	p.fn(p.p)
}
