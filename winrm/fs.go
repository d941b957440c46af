package winrm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/winrmkit/winrmkit/internal/fileagent"
	"github.com/winrmkit/winrmkit/internal/winpath"
)

// FS is a directory of a host as an fs.FS, to be read. Its files are also
// io.Seeker and io.ReaderAt; what is read is verified by its SHA-256, a megabyte
// at a time. A tree is walked by fs.WalkDir.
type FS struct {
	c    *Client
	ctx  context.Context //nolint:containedctx // io/fs has none
	root string
}

var (
	_ fs.StatFS     = (*FS)(nil)
	_ fs.ReadDirFS  = (*FS)(nil)
	_ fs.ReadFileFS = (*FS)(nil)
)

// FS returns the directory root of the host, whether or not it exists. The
// context is that of everything that is done with it.
func (c *Client) FS(ctx context.Context, root string) *FS { return &FS{c: c, ctx: ctx, root: root} }

// target returns the path of a name on the host.
func (f *FS) target(op, name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if name == "." {
		return f.root, nil
	}
	sep := `\`
	if strings.HasPrefix(f.root, "/") {
		sep = "/"
	}
	var p strings.Builder
	p.WriteString(strings.TrimRight(f.root, `\/`))
	for part := range strings.SplitSeq(name, "/") {
		if !winpath.ValidName(part) {
			return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist} // Windows has no such names
		}
		p.WriteString(sep + part)
	}
	return p.String(), nil
}

// pathError is an error as package fs wants it.
func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// Stat implements fs.StatFS.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	info, err := f.stat("stat", name)
	if err != nil {
		return nil, err
	}
	return info, nil
}

func (f *FS) stat(op, name string) (fileInfo, error) {
	p, err := f.target(op, name)
	if err != nil {
		return fileInfo{}, err
	}
	info, err := f.c.Stat(f.ctx, p)
	if err != nil {
		return fileInfo{}, pathError(op, name, err)
	}
	i := info.(fileInfo)
	i.e.Name = path.Base(name) // Windows may write it in another case
	return i, nil
}

// ReadDir implements fs.ReadDirFS.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	p, err := f.target("readdir", name)
	if err != nil {
		return nil, err
	}
	var out []fs.DirEntry
	err = f.c.withAgent(f.ctx, p, func(a *fileAgent, p winpath.Path) error {
		if err := a.query(&fileagent.Request{Op: fileagent.OpList, Path: p.Full}); err != nil {
			return err
		}
		for {
			k, content, err := a.next("readdir", p.Full)
			if err != nil {
				return err
			}
			var page fileagent.Answer
			if err := a.answer(content, &page); err != nil {
				return err
			}
			for _, e := range page.Entries {
				if winpath.ValidName(e.Name) {
					out = append(out, fileInfo{e})
				}
			}
			if k == fileagent.Reply {
				return nil
			}
		}
	})
	slices.SortFunc(out, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return out, pathError("readdir", name, err)
}

// ReadFile implements fs.ReadFileFS.
func (f *FS) ReadFile(name string) ([]byte, error) {
	p, err := f.target("open", name)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	if _, err = f.c.Download(f.ctx, p, "", &CopyOptions{Target: &b}); err != nil {
		return nil, pathError("open", name, err)
	}
	return []byte(b.String()), nil
}

// Open implements fs.FS.
func (f *FS) Open(name string) (fs.File, error) {
	info, err := f.stat("open", name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return &openDir{fs: f, name: name, info: info}, nil
	}
	p, err := f.target("open", name)
	if err != nil {
		return nil, err
	}
	return &openFile{fs: f, name: name, path: p, info: info}, nil
}

// openDir is a directory that is open.
type openDir struct {
	fs      *FS
	name    string
	info    fileInfo
	entries []fs.DirEntry
	read    bool
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("is a directory")}
}

// ReadDir implements fs.ReadDirFile.
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.read {
		var err error
		if d.entries, err = d.fs.ReadDir(d.name); err != nil {
			return nil, err
		}
		d.read = true
	}
	if n <= 0 {
		out := d.entries
		d.entries = nil
		return out, nil
	}
	if len(d.entries) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.entries))
	out := d.entries[:n:n]
	d.entries = d.entries[n:]
	return out, nil
}

// Fetches grow from minAhead to maxAhead as long as they follow each other.
const (
	minAhead = 128 << 10
	maxAhead = 2 << 20
)

// openFile is a file that is open. It holds nothing on the host.
type openFile struct {
	fs   *FS
	name string
	path string
	info fileInfo

	mu     sync.Mutex
	off    int64
	closed bool
	buf    []byte // of the file, from at on
	at     int64
	ahead  int64
}

func (o *openFile) Stat() (fs.FileInfo, error) { return o.info, nil }

func (o *openFile) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return pathError("close", o.name, fs.ErrClosed)
	}
	o.closed, o.buf = true, nil
	return nil
}

// Read implements io.Reader.
func (o *openFile) Read(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.read(p, o.off)
	o.off += int64(n)
	return n, err
}

// ReadAt implements io.ReaderAt.
func (o *openFile) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, pathError("read", o.name, fs.ErrInvalid)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	done := 0
	for done < len(p) {
		n, err := o.read(p[done:], off+int64(done))
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// read copies from the buffer, which it fills first if it has to.
func (o *openFile) read(p []byte, off int64) (int, error) {
	switch {
	case o.closed:
		return 0, pathError("read", o.name, fs.ErrClosed)
	case len(p) == 0:
		return 0, nil
	}
	end := o.at + int64(len(o.buf))
	if off < o.at || off >= end {
		if off == end && end > 0 {
			o.ahead = min(2*o.ahead, maxAhead)
		} else {
			o.ahead = minAhead
		}
		buf, err := o.fetch(off, o.ahead)
		if err != nil {
			return 0, err
		}
		if len(buf) == 0 {
			return 0, io.EOF
		}
		o.buf, o.at = buf, off
	}
	return copy(p, o.buf[off-o.at:]), nil
}

// Seek implements io.Seeker.
func (o *openFile) Seek(offset int64, whence int) (int64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += o.off
	case io.SeekEnd:
		offset += o.info.Size()
	case io.SeekStart:
	default:
		return 0, pathError("seek", o.name, fs.ErrInvalid)
	}
	if offset < 0 || o.closed {
		return 0, pathError("seek", o.name, fs.ErrInvalid)
	}
	o.off = offset
	return offset, nil
}

// fetch reads a range from the host.
func (o *openFile) fetch(off, n int64) ([]byte, error) {
	var out []byte
	err := o.fs.c.withAgent(o.fs.ctx, o.path, func(a *fileAgent, p winpath.Path) error {
		q := &fileagent.Request{Op: fileagent.OpRead, Path: p.Full, Offset: off, Count: n, Compress: true}
		if err := a.query(q); err != nil {
			return err
		}
		if _, _, err := a.next("read", p.Full); err != nil {
			return err
		}
		h := sha256.New()
		want, err := a.receive(func(piece []byte) error {
			h.Write(piece)
			if int64(len(out)+len(piece)) > n {
				return &AgentError{Err: errors.New("it sends more than was asked for")}
			}
			out = append(out, piece...)
			return nil
		}, "read", p.Full)
		if err == nil && hex.EncodeToString(h.Sum(nil)) != want {
			err = &FileError{Op: "read", Path: o.path, Code: 0x80070017, Message: "the SHA-256 of what arrived is not that of what was sent"}
		}
		return err
	})
	return out, pathError("read", o.name, err)
}
