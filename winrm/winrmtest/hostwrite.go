package winrmtest

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/internal/fileagent"
)

// upload is a write request under way.
type upload struct {
	a      *agent
	q      *fileagent.Request
	part   string // path of the part file
	n      *diskNode
	pos    int64     // next byte to write in order
	h      hash.Hash // of the bytes before hashed
	hashed int64
	want   string // what it has to be
	drop   bool   // given up for good
}

// write is WkWrite of the script.
func (a *agent) write(q *fileagent.Request) error {
	u := &upload{a: a, q: q, part: q.Dir + q.Key + "-" + q.Unique + ".part", h: sha256.New()}
	err := u.begin()
	keep := false
	if err == nil {
		keep = q.Recursive
		err = u.receive()
	}
	var e fileagent.Entry
	if err == nil {
		if !u.verify() {
			keep, err = false, errCRC
		} else {
			e, err = u.finish()
		}
	}
	u.close(keep && !u.drop && err != errDiskFull)
	if err != nil {
		return err
	}
	return a.reply(fileagent.Reply, fileagent.Answer{Entry: e})
}

// verify reports whether what is in the part file is what was sent.
func (u *upload) verify() bool {
	if !u.q.Recursive {
		return sum(u.h) == u.want
	}
	size := u.q.Size
	if size < 0 {
		size = u.a.entryOf(u.n).Size
	}
	u.a.upTo(u.h, u.n, u.hashed, size)
	if sum(u.h) == u.want {
		return true
	}
	// Perhaps it was read before another agent had written it.
	h := sha256.New()
	u.a.upTo(h, u.n, 0, size)
	return sum(h) == u.want
}

// join is WkJoin of the script.
func (a *agent) join(q *fileagent.Request) error {
	key, err := diskKey(q.Dir + q.Key + "-" + q.Unique + ".part")
	if err != nil {
		return err
	}
	n, err := a.d.openWriter(key)
	if err != nil {
		return err
	}
	err = a.help(n)
	a.d.closeWriter(n)
	if err != nil {
		return err
	}
	return a.reply(fileagent.Reply, struct{}{})
}

// help writes pieces to a part file until there are no more.
func (a *agent) help(n *diskNode) error {
	if err := a.reply(fileagent.Part, fileagent.Answer{}); err != nil {
		return err
	}
	for {
		k, content, err := a.in.Next()
		switch {
		case err != nil:
			return err
		case k == fileagent.Piece || k == fileagent.Packed:
			if _, err := a.place(n, k, content); err != nil {
				return err
			}
		case k == fileagent.End:
			return nil
		default:
			return errAborted
		}
	}
}

// place writes a piece to its place.
func (a *agent) place(n *diskNode, k fileagent.Kind, frame []byte) (known int64, err error) {
	off, known, content, ok := fileagent.ParsePiece(frame)
	if !ok {
		return 0, io.ErrUnexpectedEOF
	}
	if k == fileagent.Packed {
		if content, err = unpack(content); err != nil {
			return 0, err
		}
	}
	return known, a.d.writeAt(n, content, off)
}

func unpack(content []byte) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(content)), fileagent.PieceSize+1))
	if err != nil || len(content) > fileagent.PieceSize {
		return nil, errCRC
	}
	return content, nil
}

// begin checks the target and opens the part file.
func (u *upload) begin() error {
	d, q := u.a.d, u.q
	key, err := diskKey(q.Path)
	if err != nil {
		return err
	}
	partKey, err := diskKey(u.part)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.nodes[key]; n != nil || isRoot(key) {
		switch {
		case isRoot(key) || n.isDir() || n.denied || n.attrs&fileagent.AttrReadOnly != 0:
			return errAccessDenied
		case n.locked:
			return errSharing
		}
	}
	if _, err := d.directory(parentKey(partKey)); err != nil {
		return err
	}
	if d.blocked(partKey) {
		return errAccessDenied
	}
	u.n = d.takeOver(q, partKey)
	if u.n == nil {
		u.n = d.add(partKey, baseName(u.part), fileagent.AttrArchive)
	}
	u.n.writers++
	if q.Size >= 0 && u.n.size > q.Size {
		d.resize(u.n, q.Size)
	}
	if q.Volume != "" && d.Capacity > 0 && q.Size-u.n.size > d.Capacity-d.used {
		return errDiskFull
	}
	return nil
}

// takeOver returns the largest part file that earlier uploads have left, under its
// new name, or a copy of it if its upload still has it open; it removes the
// others. The mutex is held.
func (d *Disk) takeOver(q *fileagent.Request, partKey string) *diskNode {
	if !q.Recursive {
		return nil
	}
	prefix := parentKey(partKey) + `\` + strings.ToLower(q.Key) + "-"
	var largest *diskNode
	for k, n := range d.nodes {
		if strings.HasPrefix(k, prefix) && strings.HasSuffix(k, ".part") {
			if largest == nil || n.size > largest.size {
				largest = n
			}
			d.used -= n.size
			delete(d.nodes, k)
		}
	}
	switch {
	case largest == nil || q.Anew:
		return nil
	case largest.writers > 0:
		c := &diskNode{attrs: largest.attrs, time: largest.time, size: largest.size}
		for _, b := range largest.blocks {
			c.blocks = append(c.blocks, bytes.Clone(b))
		}
		largest = c
	}
	largest.name = baseName(partKey)
	d.nodes[partKey] = largest
	d.used += largest.size
	return largest
}

// receive takes the content.
func (u *upload) receive() error {
	a := u.a
	if u.q.Recursive {
		size := a.entryOf(u.n).Size
		if err := a.sums(u.n, size); err != nil {
			return err
		}
		if err := a.reply(fileagent.Part, fileagent.Answer{Offset: size}); err != nil {
			return err
		}
	}
	for {
		k, content, err := a.in.Next()
		if err != nil {
			return err
		}
		switch k {
		case fileagent.Piece, fileagent.Packed:
			known, err := a.place(u.n, k, content)
			if err != nil {
				return err
			}
			u.hashed = a.upTo(u.h, u.n, u.hashed, known)
			continue
		case fileagent.Data:
		case fileagent.Deflated:
			if content, err = unpack(content); err != nil {
				return err
			}
		case fileagent.End:
			u.want = string(content)
			return nil
		default:
			u.drop = k == fileagent.GiveUp && len(content) > 0
			return errAborted
		}
		u.h.Write(content)
		if err := a.d.writeAt(u.n, content, u.pos); err != nil {
			return err
		}
		u.pos += int64(len(content))
	}
}

// finish puts the part file in the place of the target.
func (u *upload) finish() (fileagent.Entry, error) {
	d, q := u.a.d, u.q
	key, _ := diskKey(q.Path)
	partKey, _ := diskKey(u.part)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.nodes[partKey] != u.n {
		return fileagent.Entry{}, errFileNotFound // taken over
	}
	old := d.nodes[key]
	switch {
	case old != nil && old.locked:
		return fileagent.Entry{}, errSharing
	case old != nil && (old.denied || old.attrs&fileagent.AttrReadOnly != 0):
		return fileagent.Entry{}, errAccessDenied
	case old != nil && u.n.writers > 1:
		return fileagent.Entry{}, errSharing // ReplaceFile shares it with nobody
	case old != nil:
		d.used -= old.size
	}
	delete(d.nodes, partKey)
	d.nodes[key] = u.n
	u.n.name = baseName(q.Path)
	u.n.time = time.Now()
	if q.Modified != 0 {
		u.n.time = fromTicks(q.Modified)
	}
	if q.ReadOnly {
		u.n.attrs |= fileagent.AttrReadOnly
	}
	return u.n.entry(), nil
}

// close closes the part file, and deletes it if it is not to be kept.
func (u *upload) close(keep bool) {
	if u.n == nil {
		return
	}
	d := u.a.d
	d.mu.Lock()
	defer d.mu.Unlock()
	u.n.writers--
	partKey, err := diskKey(u.part)
	if err == nil && !keep && d.nodes[partKey] == u.n {
		d.used -= u.n.size
		delete(d.nodes, partKey)
	}
}

// openWriter opens a file to write to it, closeWriter closes it.
func (d *Disk) openWriter(key string) (*diskNode, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.lookup(key)
	if err == nil {
		n.writers++
	}
	return n, err
}

func (d *Disk) closeWriter(n *diskNode) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n.writers--
}
