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
	"strings"

	"github.com/winrmkit/winrmkit/internal/fileagent"
	"github.com/winrmkit/winrmkit/internal/winpath"
)

// Download copies a file from the host. If dst ends with a separator, the name
// of src is appended. It keeps the promises of [Client.Upload] on this side:
// under the name dst there is the old file or the whole new one, and an
// interrupted download is taken up by the next one to the same dst.
func (c *Client) Download(ctx context.Context, src, dst string, opt *CopyOptions) (*CopyResult, error) {
	if opt == nil {
		opt = &CopyOptions{}
	}
	if strings.HasSuffix(dst, "/") || strings.HasSuffix(dst, string(filepath.Separator)) {
		dst += base(src)
	}
	var out *CopyResult
	err := c.withAgent(ctx, src, func(a *fileAgent, p winpath.Path) error {
		d := &download{a: a, src: src, dst: dst, opt: opt, h: sha256.New()}
		err := d.run(p)
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
	opt      *CopyOptions
	w        io.Writer
	part     *os.File // nil with opt.Target
	h        hash.Hash
	at       int64
	progress *progress
	info     fileInfo
	result   *CopyResult
}

func (d *download) run(p winpath.Path) error {
	q := &fileagent.Request{Op: fileagent.OpRead, Path: p.Full, Count: -1, Compress: !d.opt.NoCompression}
	d.w = d.opt.Target
	if d.w == nil {
		if err := d.openPart(q); err != nil {
			return &localError{err: fmt.Errorf("winrm: download: %w", err), intact: true}
		}
		d.w = d.part
		defer d.part.Close() //nolint:errcheck // closed with its error checked on success
	}
	if err := d.a.query(q); err != nil {
		return err
	}
	if err := d.begin(p, q.Offset); err != nil {
		if d.part != nil && q.Offset == 0 {
			_ = os.Remove(d.part.Name()) // nothing in it
		}
		return err
	}
	want, err := d.a.receive(d.h, d.write, "download", p.Full)
	if err != nil {
		return err
	}
	if hex.EncodeToString(d.h.Sum(nil)) != want {
		if d.part != nil {
			_ = os.Remove(d.part.Name())
		}
		return &FileError{Op: "download", Path: d.src, Code: 0x80070017, Message: "the SHA-256 of what arrived is not that of what was sent"}
	}
	if d.part != nil {
		if err := d.finish(); err != nil {
			return &localError{err: fmt.Errorf("winrm: download: %w", err), intact: true}
		}
	}
	d.result = &CopyResult{Size: d.at, Resumed: d.progress.p.Resumed}
	d.h.Sum(d.result.SHA256[:0])
	d.progress.done(d.at)
	return nil
}

// openPart opens the part file and asks for what it does not have.
func (d *download) openPart(q *fileagent.Request) error {
	if info, err := os.Stat(d.dst); err == nil && info.IsDir() {
		return &os.PathError{Op: "write", Path: d.dst, Err: errors.New("is a directory")}
	}
	abs, err := filepath.Abs(d.dst)
	if err != nil {
		return err
	}
	flags := os.O_RDWR | os.O_CREATE
	if d.opt.NoResume {
		flags |= os.O_TRUNC
	}
	d.part, err = os.OpenFile(filepath.Join(filepath.Dir(abs), partKey(abs)+".part"), flags, 0o666)
	if err != nil {
		return err
	}
	h := sha256.New()
	n, err := io.Copy(h, d.part)
	if err != nil {
		return errors.Join(err, d.part.Close())
	}
	if n > 0 {
		q.Offset, q.Prefix = n, hex.EncodeToString(h.Sum(nil))
		d.h = h
	}
	return nil
}

// begin takes the first part of the reply: what the host has, and from where on
// it sends.
func (d *download) begin(p winpath.Path, asked int64) error {
	_, content, err := d.a.next("download", p.Full)
	if err != nil {
		return err
	}
	var first fileagent.Answer
	if err := d.a.answer(content, &first); err != nil {
		return err
	}
	if first.Info == nil || first.Offset != 0 && first.Offset != asked {
		return &AgentError{Err: errors.New("it sends something else")}
	}
	d.info = fileInfo{*first.Info}
	d.progress = newProgress(d.src, d.info.Size(), d.opt.Progress)
	d.progress.resume(first.Offset)
	if d.at = first.Offset; asked > 0 && first.Offset == 0 {
		d.h.Reset()
		_, err = d.part.Seek(0, io.SeekStart)
		if err == nil {
			err = d.part.Truncate(0)
		}
		if err != nil {
			return &localError{err: fmt.Errorf("winrm: download: %w", err)}
		}
	}
	return nil
}

func (d *download) write(p []byte) error {
	n, err := d.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return &localError{err: fmt.Errorf("winrm: download: %w", err)}
	}
	d.at += int64(n)
	d.progress.at(d.at)
	return nil
}

// finish puts the part file in the place of the target.
func (d *download) finish() error {
	name := d.part.Name()
	if err := d.part.Sync(); err != nil {
		return err
	}
	if err := d.part.Close(); err != nil {
		return err
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
func (a *fileAgent) receive(h hash.Hash, write func([]byte) error, op, path string) (string, error) {
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
		h.Write(content)
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
