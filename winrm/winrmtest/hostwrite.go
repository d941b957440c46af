package winrmtest

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"hash"
	"io"
	"slices"
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
	took int64 // bytes of an earlier upload that are kept
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
		if err = u.verify(); err != nil {
			keep = false
		} else {
			e, err = u.finish()
		}
	}
	if err != nil {
		if !keep || err == errDiskFull {
			u.drop()
		}
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

// takeOver renames the largest part file that earlier uploads have left, and
// removes the others; the mutex is held.
func (d *Disk) takeOver(q *fileagent.Request, partKey string) *diskNode {
	if !q.Recursive {
		return nil
	}
	prefix := parentKey(partKey) + `\` + strings.ToLower(q.Key) + "-"
	var old []string
	for k := range d.nodes {
		if strings.HasPrefix(k, prefix) && strings.HasSuffix(k, ".part") {
			old = append(old, k)
		}
	}
	slices.SortFunc(old, func(a, b string) int { return int(d.nodes[a].size - d.nodes[b].size) })
	for i, k := range old {
		n := d.nodes[k]
		delete(d.nodes, k)
		if i == len(old)-1 {
			n.name = baseName(partKey)
			d.nodes[partKey] = n
			return n
		}
		d.used -= n.size
	}
	return nil
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
	u.took = u.pos
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
			u.pos, u.took, u.h = 0, 0, sha256.New()
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

// verify compares what arrived, and with a part file that was taken over what is
// on the disk, with what was sent.
func (u *upload) verify() error {
	ok := sum(u.h) == u.q.Prefix
	if ok && u.took > 0 {
		ok = sum(u.a.prefix(u.n, u.a.entryOf(u.n).Size)) == u.q.Prefix
	}
	if !ok {
		return errCRC
	}
	return nil
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

// drop deletes the part file.
func (u *upload) drop() {
	partKey, err := diskKey(u.part)
	if err != nil || u.n == nil {
		return
	}
	d := u.a.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.nodes[partKey] == u.n {
		d.used -= u.n.size
		delete(d.nodes, partKey)
	}
}
