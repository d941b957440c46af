package winrm

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/winrmkit/winrmkit/internal/fileagent"
	"github.com/winrmkit/winrmkit/internal/winpath"
)

// firstRead is how much of a file is asked for before its size is known.
const firstRead = 22 * fileagent.PieceSize

// Download copies a file from the host. If dst ends with a separator, the name
// of src is appended. It keeps the promises of [Client.Upload] on this side:
// under the name dst there is the old file or the whole new one, and an interrupted
// download is taken up by the next one to the same dst, which asks for nothing again
// but what was in one answer to each of its streams and the block of 120 kB that this
// had begun: 512000 bytes together. Of two downloads to one dst at the same time, the
// second begins anew and leaves nothing if it is interrupted.
func (c *Client) Download(ctx context.Context, src, dst string, opt *CopyOptions) (*CopyResult, error) {
	if opt == nil {
		opt = &CopyOptions{}
	}
	if strings.HasSuffix(dst, "/") || strings.HasSuffix(dst, string(filepath.Separator)) {
		dst += base(src)
	}
	var out *CopyResult
	err := c.withAgent(ctx, src, func(a *fileAgent, p winpath.Path) error {
		d := &download{a: a, src: src, dst: dst, opt: opt, path: p.Full}
		run := d.toPart
		if opt.Target != nil {
			run = d.toTarget
		}
		err := run(ctx)
		out = d.result
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// A download is one under way.
type download struct {
	a        *fileAgent
	src, dst string
	path     string // of src on the host
	opt      *CopyOptions
	progress *progress
	info     fileInfo
	result   *CopyResult

	// Of a download to a file.
	part  *os.File
	alone bool // the part file is of no use to later downloads
	todo  *pieces
	want  atomic.Pointer[string] // the hash that the host has computed
}

// toTarget copies in order, to a writer.
func (d *download) toTarget(context.Context) error {
	if err := d.ask(d.a, 0, -1, false); err != nil {
		return err
	}
	if err := d.begin(d.a); err != nil {
		return err
	}
	d.progress = newProgress(d.src, d.info.Size(), d.opt.Progress)
	defer d.progress.end()
	h := sha256.New()
	size := int64(0)
	want, err := d.a.receive(func(p []byte) error {
		h.Write(p)
		size += int64(len(p))
		n, err := d.opt.Target.Write(p)
		if err == nil && n < len(p) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return &localError{err: fmt.Errorf("winrm: download: %w", err)}
		}
		d.progress.add(int64(n))
		return nil
	}, "download", d.path)
	if err != nil {
		return err
	}
	return d.verify(h, want, size)
}

// ask asks an agent for a range.
func (d *download) ask(a *fileAgent, off, n int64, noHash bool) error {
	return a.query(&fileagent.Request{
		Op: fileagent.OpRead, Path: d.path, Offset: off, Count: n, NoHash: noHash, Compress: !d.opt.NoCompression,
	})
}

// begin takes the first part of a reply: what the host has.
func (d *download) begin(a *fileAgent) error {
	k, content, err := a.next("download", d.path)
	if err != nil {
		return err
	}
	var first fileagent.Answer
	if err := a.answer(content, &first); err != nil {
		return err
	}
	if k != fileagent.Part || first.Info == nil {
		a.kill()
		return &AgentError{Err: errors.New("it sends something else")}
	}
	d.info = fileInfo{*first.Info}
	return nil
}

// verify compares the hashes of both sides.
func (d *download) verify(h hash.Hash, want string, size int64) error {
	if hex.EncodeToString(h.Sum(nil)) != want {
		return &FileError{Op: "download", Path: d.src, Code: 0x80070017, Message: "the SHA-256 of what arrived is not that of what was sent"}
	}
	d.result = &CopyResult{Size: size, Resumed: d.progress.p.Resumed}
	h.Sum(d.result.SHA256[:0])
	if d.part != nil {
		if err := d.finish(); err != nil {
			d.result = nil
			return &localError{err: fmt.Errorf("winrm: download: %w", err), intact: true}
		}
	}
	d.progress.done(size)
	return nil
}

// finish puts the part file in the place of the target. Where that is possible, it
// stays locked until then.
func (d *download) finish() error {
	name := d.part.Name()
	if err := d.part.Sync(); err != nil {
		return err
	}
	if runtime.GOOS == "windows" {
		if err := d.part.Close(); err != nil {
			return err
		}
	}
	if !d.opt.NoTimes {
		if t := d.info.ModTime(); t.Unix() > 0 {
			if err := os.Chtimes(name, t, t); err != nil {
				return err
			}
		}
		if d.info.Mode()&0o200 == 0 {
			if err := os.Chmod(name, 0o444); err != nil {
				return err
			}
		}
	}
	return os.Rename(name, d.dst)
}

// receive reads the content of a file and returns the hash that the host has
// computed.
func (a *fileAgent) receive(write func([]byte) error, op, path string) (string, error) {
	var unpack unpacker
	for {
		k, content, err := a.next(op, path)
		if err != nil {
			return "", err
		}
		switch k {
		case fileagent.Data:
		case fileagent.Deflated:
			if content, err = unpack.piece(content); err != nil {
				a.kill()
				return "", &AgentError{Err: err}
			}
		case fileagent.Reply:
			var end fileagent.Answer
			err := a.answer(content, &end)
			return end.Hash, err
		default:
			a.kill()
			return "", &AgentError{Err: &fileagent.FrameError{Kind: k, Length: uint32(len(content))}}
		}
		if err := write(content); err != nil {
			return "", err
		}
	}
}

// An unpacker unpacks pieces.
type unpacker struct {
	in  bytes.Reader
	r   io.ReadCloser
	buf bytes.Buffer
}

func (u *unpacker) piece(content []byte) ([]byte, error) {
	u.in.Reset(content)
	if u.r == nil {
		u.r = flate.NewReader(&u.in)
	} else if err := u.r.(flate.Resetter).Reset(&u.in, nil); err != nil {
		return nil, err
	}
	u.buf.Reset()
	n, err := io.Copy(&u.buf, io.LimitReader(u.r, fileagent.PieceSize+1))
	if err == nil && n > fileagent.PieceSize {
		err = fmt.Errorf("a piece unpacks to more than %d bytes", fileagent.PieceSize)
	}
	return u.buf.Bytes(), err
}
