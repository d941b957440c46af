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
//
// A download that loses its connection goes on by itself, see CopyOptions.Retries. What
// CopyOptions.Target has been given is never given again: its hash is compared with that
// of the beginning of the file, and what follows is fetched. A file that is another one
// by then ends the download with [ErrChecksum].
func (c *Client) Download(ctx context.Context, src, dst string, opt *CopyOptions) (*CopyResult, error) {
	if opt == nil {
		opt = &CopyOptions{}
	}
	if strings.HasSuffix(dst, "/") || strings.HasSuffix(dst, string(filepath.Separator)) {
		dst += base(src)
	}
	d := &download{src: src, dst: dst, opt: opt, h: sha256.New()}
	run := d.toPart
	if opt.Target != nil {
		run = d.toTarget
	}
	p := &persistence{c: c, path: src, most: opt.retries(), told: func() *progress { return d.progress }}
	d.verified = p.farthest()
	defer d.end()
	err := p.run(ctx, func() error {
		return c.withAgent(ctx, src, func(a *fileAgent, p winpath.Path) error {
			d.a, d.path = a, p.Full
			return run(ctx)
		})
	})
	if err != nil {
		return nil, err
	}
	return d.result, nil
}

// A download is one under way.
type download struct {
	a        *fileAgent
	src, dst string
	path     string // of src on the host
	opt      *CopyOptions
	progress *progress
	verified func(int64) // told how much of it is here
	info     fileInfo
	result   *CopyResult

	// Of a download to a writer.
	h    hash.Hash // of what it has been given
	size int64

	// Of a download to a file.
	part    *os.File
	alone   bool // the part file is of no use to later downloads
	dropped bool // it is gone
	todo    *pieces
	want    atomic.Pointer[string] // the hash that the host has computed
}

// end ends what is told, and leaves nothing that is of no use.
func (d *download) end() {
	if d.progress != nil {
		d.progress.end()
	}
	if d.part == nil {
		return
	}
	if d.result == nil {
		if size, err := d.part.Seek(0, io.SeekEnd); d.alone || err == nil && size == 0 {
			d.drop()
		}
	}
	_ = d.part.Close() // it was synced with its error checked on success
}

// begun is told how large the file is, and how much of it is here.
func (d *download) begun(kept int64) {
	if d.progress == nil {
		d.progress = newProgress(d.src, d.info.Size(), d.opt.Progress)
	}
	d.progress.resume(kept)
	d.verified(kept)
}

// toTarget copies in order, to a writer. What that has got it gets no second time.
func (d *download) toTarget(context.Context) error {
	if d.size > 0 {
		if err := d.compareGiven(); err != nil {
			return err
		}
	}
	if err := d.ask(d.a, d.size, -1, false); err != nil {
		return err
	}
	if err := d.begin(d.a); err != nil {
		return err
	}
	if d.size == 0 {
		d.begun(0)
	}
	rest := sha256.New()
	want, err := d.a.receive(func(p []byte) error {
		n, err := d.opt.Target.Write(p)
		d.size += int64(n)
		d.h.Write(p[:n])
		rest.Write(p[:n])
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
		d.verified(d.size)
		return err
	}
	return d.verify(rest, want, d.size)
}

// compareGiven finds out whether what the writer has been given is what the file begins
// with.
func (d *download) compareGiven() error {
	if err := d.a.query(&fileagent.Request{Op: fileagent.OpSum, Path: d.path, Count: d.size}); err != nil {
		return err
	}
	_, content, err := d.a.next("download", d.path)
	if err != nil {
		return err
	}
	var there fileagent.Answer
	if err := d.a.answer(content, &there); err != nil {
		return err
	}
	if there.Hash != hex.EncodeToString(d.h.Sum(nil)) {
		return d.changed()
	}
	d.progress.resume(d.size)
	return nil
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
	d.result = &CopyResult{Size: size, Resumed: d.progress.resumed()}
	if d.part == nil {
		h = d.h // of all, not of the last attempt
	}
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
