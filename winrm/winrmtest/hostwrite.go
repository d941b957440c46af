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
	a    *agent
	q    *fileagent.Request
	part string // path of the part file
	n    *diskNode
	pos  int64 // next byte to write
	h    hash.Hash
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
		if sum(u.h) != q.Prefix {
			keep, err = false, errCRC
		} else {
			e, err = u.finish()
		}
	}
	u.close(keep && err != errDiskFull)
	if err != nil {
		return err
	}
	return a.reply(fileagent.Reply, fileagent.Answer{Entry: e})
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
	u.n.writer = true
	u.pos = u.n.size
	if q.Size >= 0 && u.pos > q.Size {
		u.pos = 0
		d.resize(u.n, 0)
	}
	if q.Volume != "" && d.Capacity > 0 && q.Size-u.pos > d.Capacity-d.used {
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
	case largest == nil:
		return nil
	case largest.writer:
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
		u.h = a.prefix(u.n, u.pos)
		if err := a.reply(fileagent.Part, fileagent.Answer{Offset: u.pos, Hash: sum(clone(u.h))}); err != nil {
			return err
		}
	}
	for {
		k, content, err := a.in.Next()
		if err != nil {
			return err
		}
		switch k {
		case fileagent.Data:
		case fileagent.Deflated:
			content, err = io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(content)), fileagent.PieceSize+1))
			if err != nil || len(content) > fileagent.PieceSize {
				return errCRC
			}
		case fileagent.Again:
			a.d.mu.Lock()
			a.d.resize(u.n, 0)
			a.d.mu.Unlock()
			u.pos, u.h = 0, sha256.New()
			continue
		case fileagent.End:
			u.q.Prefix = string(content) // what it has to be
			return nil
		default:
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
	u.n.writer = false
	partKey, err := diskKey(u.part)
	if err == nil && !keep && d.nodes[partKey] == u.n {
		d.used -= u.n.size
		delete(d.nodes, partKey)
	}
}
