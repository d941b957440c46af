package winrm

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"

	"github.com/winrmkit/winrmkit/internal/fileagent"
)

// toPart copies to a part file, which takes the place of dst in the end.
func (d *download) toPart(ctx context.Context) error {
	if d.part == nil {
		if err := d.openPart(); err != nil {
			return &localError{err: fmt.Errorf("winrm: download: %w", err), intact: true}
		}
	}
	left, err := d.part.Seek(0, io.SeekEnd)
	if err != nil {
		return &localError{err: fmt.Errorf("winrm: download: %w", err), intact: true}
	}
	if left > 0 {
		err = d.compare(left)
	} else if err = d.ask(d.a, 0, firstRead, false); err == nil {
		err = d.begin(d.a)
	}
	if err != nil {
		return err
	}
	size := d.info.Size()
	var first *piece
	if left == 0 {
		d.todo = newPieces(size)
		first = d.todo.take(firstRead, 1)
	} else if err := d.part.Truncate(min(left, size)); err != nil {
		return &localError{err: fmt.Errorf("winrm: download: %w", err), intact: true}
	}
	d.begun(d.todo.kept)
	d.want.Store(nil)
	h, err := d.pieces(ctx, left == 0, first)
	if err != nil {
		return err
	}
	err = d.verify(h, *d.want.Load(), size)
	if errors.Is(err, ErrChecksum) {
		d.drop()
	}
	return err
}

// drop removes the part file.
func (d *download) drop() {
	if d.dropped {
		return
	}
	d.dropped = true
	if os.Remove(d.part.Name()) != nil { // Windows wants it closed
		_ = d.part.Close()
		_ = os.Remove(d.part.Name())
	}
}

// openPart opens the part file and locks it. While another download to the same file
// has it, this one begins anew in one of its own: two in one file could end in a
// mixture.
func (d *download) openPart() error {
	if info, err := os.Stat(d.dst); err == nil && info.IsDir() {
		return &os.PathError{Op: "write", Path: d.dst, Err: errors.New("is a directory")}
	}
	abs, err := filepath.Abs(d.dst)
	if err != nil {
		return err
	}
	path := filepath.Join(filepath.Dir(abs), partKey(abs))
	var held bool
	switch d.part, held, err = lockPart(path + ".part"); {
	case held:
		d.alone = true
		d.part, err = os.OpenFile(path+"-"+rand.Text()[:8]+".part", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		return err
	case err == nil && d.opt.NoResume:
		return d.part.Truncate(0)
	}
	return err
}

// lockPart opens a part file, and locks it where locks are to be had. held says that
// another download has it.
func lockPart(path string) (f *os.File, held bool, err error) {
	const tries = 10
	for range tries {
		if runtime.GOOS != "windows" { // a scanner of viruses might look at it and seem to hold it
			if plain, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666); err == nil { // the permissions that it is to have
				_ = plain.Close()
			}
		}
		f, held, err = lockFile(path)
		switch {
		case held:
			return nil, true, nil
		case err != nil: // perhaps there are no locks in this file system
			f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
			return f, false, err
		}
		// Has it become the target of another download meanwhile?
		mine, err := f.Stat()
		there, gone := os.Stat(path)
		if err == nil && gone == nil && os.SameFile(mine, there) {
			return f, false, nil
		}
		_ = f.Close()
	}
	return nil, true, nil
}

// compare finds out which blocks an earlier download has left.
func (d *download) compare(left int64) error {
	if err := d.a.query(&fileagent.Request{Op: fileagent.OpSum, Path: d.path, Count: left, Blocks: true}); err != nil {
		return err
	}
	if err := d.begin(d.a); err != nil {
		return err
	}
	d.todo = newPieces(d.info.Size())
	buf := make([]byte, fileagent.BlockSize)
	for block := int64(0); ; {
		k, content, err := d.a.next("download", d.path)
		if err != nil || k == fileagent.Reply {
			return err
		}
		if block, err = d.todo.compare(d.a, k, content, d.part, buf, block); err != nil {
			return err
		}
	}
}

// pieces fetches what is missing and returns the hash of the whole. When asked, the
// first piece has been asked for already.
//
// The content comes over several agents. One more hashes the file meanwhile, and if
// there is none, ours does in the end.
func (d *download) pieces(ctx context.Context, asked bool, first *piece) (hash.Hash, error) {
	t := d.a.client.newTeam(ctx, d.opt, d.todo.halt)
	small := asked && (first == nil || first.n == d.todo.size)
	if helpers := d.a.client.helpers(d.opt, d.todo.left()); !small && helpers > 0 {
		t.recruit(helpers+1, func(*fileAgent) error { return nil }, d.help(new(atomic.Bool)))
	}
	hashed := make(chan hashedPart, 1)
	d.a.client.goTask(func() { hashed <- d.hashPart() })
	var err error
	if asked {
		err = d.first(first, small)
	}
	for more := true; err == nil && more; more = err == nil && d.todo.more() {
		_, err = d.stream(d.a)
	}
	if err != nil {
		d.todo.halt()
	}
	if lost := t.wait(); err == nil {
		err = lost
	}
	if err == nil && d.want.Load() == nil {
		err = d.sum(d.a, false)
	}
	if err != nil {
		d.todo.halt()
	}
	part := <-hashed
	if err == nil && part.err != nil {
		err = &localError{err: fmt.Errorf("winrm: download: %w", part.err), intact: true}
	}
	return part.h, err
}

// help returns what a helper does: one of them hashes, the others fetch.
func (d *download) help(summing *atomic.Bool) func(*fileAgent) (bool, error) {
	return func(a *fileAgent) (bool, error) {
		if !summing.CompareAndSwap(false, true) {
			return d.stream(a)
		}
		err := d.sum(a, true)
		if err != nil {
			summing.Store(false) // somebody else may
		}
		return false, err
	}
}

// first takes the rest of the reply to the first question.
func (d *download) first(pc *piece, small bool) error {
	if pc == nil {
		pc = &piece{}
	}
	want, err := d.fetch(d.a, pc)
	if small {
		d.want.Store(&want)
	}
	return err
}

// sum lets an agent hash the whole file, as long as it was in the beginning: what is
// appended meanwhile, to a log for example, is none of ours. With meanwhile, no
// connection waits for the hash before the content is there.
func (d *download) sum(a *fileAgent, meanwhile bool) error {
	if err := a.query(&fileagent.Request{Op: fileagent.OpSum, Path: d.path, Count: d.todo.size}); err != nil {
		return err
	}
	if meanwhile && !d.todo.awaitAll() {
		a.spent = true
		return nil // whoever has halted it has the error
	}
	_, content, err := a.next("download", d.path)
	if err != nil {
		return err
	}
	var end fileagent.Answer
	if err := a.answer(content, &end); err != nil {
		return err
	}
	d.want.Store(&end.Hash)
	return nil
}

// A stream has at most two ranges asked for, so that the next one begins when one ends.
const (
	rangesAhead  = 2
	largestRange = 22 * fileagent.PieceSize
)

// stream fetches ranges over one agent until there are no more. What it has not got when
// it fails is for others. It reports whether it has got anything.
func (d *download) stream(a *fileAgent) (moved bool, err error) {
	var ahead []*piece
	defer func() {
		if err == nil {
			return
		}
		a.spent = true // more may have been asked for
		for _, pc := range ahead {
			moved = moved || pc.got > 0
			d.todo.giveBack(pc, pc.got)
		}
	}()
	streams := d.a.client.streams(d.opt)
	for {
		for len(ahead) < rangesAhead {
			pc := d.todo.take(largestRange, streams)
			if pc == nil {
				break
			}
			ahead = append(ahead, pc)
			pc.got = 0
			if err := d.ask(a, pc.off, pc.n, true); err != nil {
				return moved, err
			}
		}
		if len(ahead) == 0 {
			return moved, nil
		}
		if k, content, err := a.next("download", d.path); err != nil {
			return moved, err
		} else if k != fileagent.Part {
			a.kill()
			return moved, &AgentError{Err: &fileagent.FrameError{Kind: k, Length: uint32(len(content))}}
		}
		if _, err := d.fetch(a, ahead[0]); err != nil {
			return moved, err
		}
		ahead, moved = ahead[1:], true
	}
}

// fetch writes what an agent sends of a range to its place.
func (d *download) fetch(a *fileAgent, pc *piece) (string, error) {
	want, err := a.receive(func(p []byte) error {
		if pc.got+int64(len(p)) > pc.n {
			a.spent = true
			return d.changed()
		}
		if _, err := d.part.WriteAt(p, pc.off+pc.got); err != nil {
			return &localError{err: fmt.Errorf("winrm: download: %w", err)}
		}
		pc.got += int64(len(p))
		d.progress.add(int64(len(p)))
		return nil
	}, "download", d.path)
	if err == nil && pc.got < pc.n {
		err = d.changed()
	}
	if err == nil {
		d.todo.finish(pc)
	}
	return want, err
}

func (d *download) changed() error {
	return &FileError{Op: "download", Path: d.src, Code: 0x80070017, Message: "the file has changed meanwhile"}
}

// A hashedPart is what hashPart returns.
type hashedPart struct {
	h   hash.Hash
	err error
}

// hashPart hashes the part file while it grows.
func (d *download) hashPart() hashedPart {
	h := sha256.New()
	buf := make([]byte, fileagent.BlockSize)
	for at := int64(0); at < d.todo.size; {
		known, ok := d.todo.await(at)
		if !ok {
			return hashedPart{h: h}
		}
		for at < known {
			n, err := d.part.ReadAt(buf[:min(int64(len(buf)), known-at)], at)
			if n == 0 && err != nil {
				return hashedPart{h, err}
			}
			h.Write(buf[:n])
			at += int64(n)
		}
	}
	return hashedPart{h: h}
}
