package winrmtest

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/internal/fileagent"
)

// agent does what fileagent.Script does, on a Disk.
type agent struct {
	ctx context.Context //nolint:containedctx // the agent is one command
	d   *Disk
	dir string
	in  *fileagent.Reader
	out io.Writer
	buf []byte
}

// fileAgent runs the stand-in for the script that copies files.
func (r *hostRun) fileAgent(ctx context.Context, stdin io.Reader, stdout io.Writer) uint32 {
	d := r.host.Disk
	if d == nil {
		d = &Disk{}
		if r.proc.server != nil {
			d = &r.proc.server.files
		}
	}
	a := &agent{ctx: ctx, d: d, dir: `C:\Users\` + userPart(r.proc.User), in: fileagent.NewReader(stdin, fileagent.MaxFrame), out: stdout}
	if key, err := diskKey(a.dir); err == nil {
		d.mu.Lock()
		if d.nodes[key] == nil {
			d.makeParents(key+`\x`, a.dir+`\x`)
		}
		d.mu.Unlock()
	}
	return a.serve()
}

func (a *agent) serve() uint32 {
	for {
		k, content, err := a.in.Next()
		switch {
		case err == io.EOF:
			return 0
		case err != nil:
			return 3
		case k != fileagent.Query:
			continue // the rest of a request that has failed
		}
		var q fileagent.Request
		if err := json.Unmarshal(content, &q); err != nil {
			return 4
		}
		err = a.do(&q)
		code, failed := err.(diskError)
		if failed {
			err = a.reply(fileagent.Failure, fileagent.Error{Code: int32(code), Message: diskTexts[code], Type: "System.IO.IOException"})
		}
		switch {
		case err != nil:
			return 3
		case failed && q.Op == fileagent.OpJoin:
			return 5
		}
	}
}

// reply writes a frame.
func (a *agent) reply(k fileagent.Kind, v any) error {
	b, err := fileagent.AppendJSON(nil, k, v)
	if err != nil {
		return err
	}
	_, err = a.out.Write(b)
	return err
}

func (a *agent) do(q *fileagent.Request) error {
	switch q.Op {
	case fileagent.OpHello:
		return a.reply(fileagent.Reply, fileagent.Answer{Version: 2, PowerShell: "5.1.20348.2110", Dir: a.dir})
	case fileagent.OpStat:
		return a.stat(q)
	case fileagent.OpList:
		return a.list(q)
	case fileagent.OpRead:
		return a.read(q)
	case fileagent.OpSum:
		return a.sum(q)
	case fileagent.OpWrite:
		return a.write(q)
	case fileagent.OpJoin:
		return a.join(q)
	case fileagent.OpMkdir:
		return a.mkdir(q)
	case fileagent.OpRemove:
		return a.remove(q)
	}
	return errNotSupported
}

func ticks(t time.Time) int64 {
	return t.Unix()*fileagent.TickSeconds + int64(t.Nanosecond()/100) + fileagent.EpochTicks
}

func fromTicks(n int64) time.Time {
	n -= fileagent.EpochTicks
	return time.Unix(n/fileagent.TickSeconds, n%fileagent.TickSeconds*100)
}

// entry describes a node; the mutex is held.
func (n *diskNode) entry() fileagent.Entry {
	return fileagent.Entry{Name: n.name, Size: n.size, Modified: ticks(n.time), Attributes: n.attrs}
}

// find returns the node of a path that may be looked at.
func (a *agent) find(path string) (string, *diskNode, error) {
	key, err := diskKey(path)
	if err != nil {
		return "", nil, err
	}
	a.d.mu.Lock()
	defer a.d.mu.Unlock()
	n, err := a.d.lookup(key)
	if err == nil && n.denied {
		err = errAccessDenied
	}
	return key, n, err
}

func (a *agent) entryOf(n *diskNode) fileagent.Entry {
	a.d.mu.Lock()
	defer a.d.mu.Unlock()
	return n.entry()
}

func (a *agent) stat(q *fileagent.Request) error {
	_, n, err := a.find(q.Path)
	if err != nil {
		return err
	}
	return a.reply(fileagent.Reply, fileagent.Answer{Entry: a.entryOf(n)})
}

func (a *agent) list(q *fileagent.Request) error {
	key, n, err := a.find(q.Path)
	if err != nil {
		return err
	}
	if !n.isDir() {
		return errDirectoryName
	}
	a.d.mu.Lock()
	entries := []fileagent.Entry{}
	for _, k := range a.d.children(key) {
		entries = append(entries, a.d.nodes[k].entry())
	}
	a.d.mu.Unlock()
	for len(entries) >= 500 { // the last part may have none
		if err := a.reply(fileagent.Part, fileagent.Answer{Entries: entries[:500]}); err != nil {
			return err
		}
		entries = entries[500:]
	}
	return a.reply(fileagent.Reply, fileagent.Answer{Entries: entries})
}

// sums sends the hashes of the blocks of the first bytes of a file.
func (a *agent) sums(n *diskNode, count int64) error {
	const most = 1000 * sha256.Size
	var frame []byte
	buf := make([]byte, fileagent.BlockSize)
	for off := int64(0); off < count; off += fileagent.BlockSize {
		c, err := a.d.readAt(n, buf[:min(int64(len(buf)), count-off)], off)
		if err != nil {
			break
		}
		h := sha256.Sum256(buf[:c])
		if frame = append(frame, h[:]...); len(frame) == most {
			if err := a.frame(fileagent.Sums, frame); err != nil {
				return err
			}
			frame = frame[:0]
		}
	}
	if len(frame) == 0 {
		return nil
	}
	return a.frame(fileagent.Sums, frame)
}

func (a *agent) frame(k fileagent.Kind, content []byte) error {
	a.buf = fileagent.AppendFrame(a.buf[:0], k, content)
	_, err := a.out.Write(a.buf)
	return err
}

// upTo hashes a file from one offset to another, and returns how far it came.
func (a *agent) upTo(h hash.Hash, n *diskNode, from, to int64) int64 {
	buf := make([]byte, fileagent.PieceSize)
	for from < to {
		c, err := a.d.readAt(n, buf[:min(int64(len(buf)), to-from)], from)
		if err != nil {
			break
		}
		h.Write(buf[:c])
		from += int64(c)
	}
	return from
}

func sum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// file is the file of a request that reads.
func (a *agent) file(q *fileagent.Request) (*diskNode, error) {
	_, n, err := a.find(q.Path)
	switch {
	case err != nil:
		return nil, err
	case n.isDir():
		return nil, errAccessDenied
	case n.locked:
		return nil, errSharing
	}
	return n, nil
}

func (a *agent) sum(q *fileagent.Request) error {
	n, err := a.file(q)
	if err != nil {
		return err
	}
	info := a.entryOf(n)
	if q.Blocks {
		if err := a.reply(fileagent.Part, fileagent.Answer{Info: &info}); err != nil {
			return err
		}
		if err := a.sums(n, min(q.Count, info.Size)); err != nil {
			return err
		}
		return a.reply(fileagent.Reply, struct{}{})
	}
	h := sha256.New()
	a.upTo(h, n, 0, q.Count)
	return a.reply(fileagent.Reply, fileagent.Answer{Info: &info, Hash: sum(h)})
}

func (a *agent) read(q *fileagent.Request) error {
	n, err := a.file(q)
	if err != nil {
		return err
	}
	h, off := sha256.New(), q.Offset
	info := a.entryOf(n)
	if err := a.reply(fileagent.Part, fileagent.Answer{Info: &info}); err != nil {
		return err
	}
	buf := make([]byte, fileagent.BlockSize)
	left := q.Count
	if left >= 0 { // what is appended from now on is not promised
		left = max(0, min(left, info.Size-off))
	}
	for left != 0 {
		w := len(buf)
		if left > 0 {
			w = int(min(int64(w), left))
		}
		c, err := a.d.readAt(n, buf[:w], off)
		if err != nil {
			break
		}
		if !q.NoHash {
			h.Write(buf[:c])
		}
		if err := a.piece(buf[:c], q.Compress); err != nil {
			return err
		}
		off += int64(c)
		if left > 0 {
			left -= int64(c)
		}
	}
	return a.reply(fileagent.Reply, fileagent.Answer{Hash: sum(h)})
}

// piece sends content, compressed if that is wanted and pays.
func (a *agent) piece(p []byte, compress bool) error {
	if compress {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, flate.BestSpeed)
		_, _ = w.Write(p)
		_ = w.Close()
		if b.Len() < len(p)*9/10 {
			return a.frame(fileagent.Deflated, b.Bytes())
		}
	}
	return a.frame(fileagent.Data, p)
}

func (a *agent) mkdir(q *fileagent.Request) error {
	key, err := diskKey(q.Path)
	if err != nil {
		return err
	}
	a.d.mu.Lock()
	n := a.d.nodes[key]
	if isRoot(key) && n == nil {
		n, _ = a.d.lookup(key)
	}
	parent := error(nil)
	if !q.Recursive && !isRoot(key) {
		_, parent = a.d.directory(parentKey(key))
	}
	switch {
	case n != nil && (!q.Recursive || !n.isDir()):
		err = errAlreadyExists
	case n != nil:
	case parent != nil:
		err = parent
	case a.d.blocked(key):
		err = errAccessDenied
	default:
		a.d.makeParents(key, q.Path)
		n = a.d.add(key, baseName(q.Path), fileagent.AttrDirectory)
	}
	a.d.mu.Unlock()
	if err != nil {
		return err
	}
	return a.reply(fileagent.Reply, fileagent.Answer{Entry: a.entryOf(n)})
}

// blocked reports whether a directory above is denied or no directory; the mutex
// is held.
func (d *Disk) blocked(key string) bool {
	for !isRoot(key) {
		key = parentKey(key)
		if n := d.nodes[key]; n != nil && (n.denied || !n.isDir()) {
			return true
		}
	}
	return false
}

func (a *agent) remove(q *fileagent.Request) error {
	key, n, err := a.find(q.Path)
	switch {
	case err != nil:
		return err
	case n.locked:
		return errSharing
	case isRoot(key):
		return errAccessDenied
	}
	a.d.mu.Lock()
	kids := a.d.children(key)
	if len(kids) > 0 && !q.Recursive {
		err = errDirNotEmpty
	} else {
		for k, m := range a.d.nodes {
			if k == key || strings.HasPrefix(k, key+`\`) {
				a.d.used -= m.size
				delete(a.d.nodes, k)
			}
		}
	}
	a.d.mu.Unlock()
	if err != nil {
		return err
	}
	return a.reply(fileagent.Reply, struct{}{})
}
