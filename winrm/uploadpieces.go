package winrm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"sync/atomic"

	"github.com/winrmkit/winrmkit/internal/fileagent"
	"github.com/winrmkit/winrmkit/internal/winpath"
)

// A pieceUpload is the upload of a file in pieces, which may come in any order and
// over several agents: the one that writes, and its helpers.
type pieceUpload struct {
	a    *fileAgent // the one that writes
	s    *source
	q    *fileagent.Request
	path string
	todo *pieces

	mu     sync.Mutex
	h      hash.Hash // of the bytes before hashed
	hashed int64
	buf    []byte

	packing sync.Mutex
	pack    packer // one for all streams: it takes a megabyte

	doubt atomic.Bool // a helper was lost, and perhaps more with it than it seems; or it still lives
}

// helpedRounds is how often helpers may take part in one upload over one agent. After
// that no more of them can be lost.
const helpedRounds = 3

// uploadPieces uploads in rounds. In the first one everything is sent. When a helper was
// lost meanwhile, it is not known what the host has of what was on its way: there is
// another round, which looks, as that of the next upload would.
func (a *fileAgent) uploadPieces(ctx context.Context, s *source, p winpath.Path) (*CopyResult, error) {
	for round := 1; ; round++ {
		u := &pieceUpload{
			a: a, s: s, q: s.request(p), path: p.Full, todo: newPieces(s.size),
			h: sha256.New(), buf: make([]byte, fileagent.BlockSize), pack: packer{off: s.opt.NoCompression},
		}
		u.q.Anew = u.q.Anew && !s.begun
		out, err := u.round(ctx, round <= helpedRounds)
		if out != nil || err != nil {
			return out, err
		}
		if !a.client.settle(ctx) { // the lost helper would keep the part file open
			return nil, canceled(ctx, a.client, nil)
		}
		_ = a.client.deleteLeft(ctx)
	}
}

// round returns nil without an error when there is to be another one.
func (u *pieceUpload) round(ctx context.Context, helped bool) (*CopyResult, error) {
	a, s := u.a, u.s
	if err := a.query(u.q); err != nil {
		return nil, err
	}
	if err := u.compare(); err != nil {
		return nil, err
	}
	s.begun = true // from here on, what is there is what this upload has left
	s.progress.resume(u.todo.kept)
	s.verified(u.todo.kept)
	replies := make(chan uploadReply, 1)
	a.client.goTask(func() {
		replies <- a.uploadReply(u.path)
		u.todo.halt() // it replies early only if it fails
	})
	t := a.client.newTeam(ctx, s.opt, u.todo.halt)
	if helped {
		t.recruit(a.client.helpers(s.opt, u.todo.left()), u.ready, u.help)
	}
	mine := &handed{u: u}
	defer mine.stop()
	err := u.stream(a, mine)
	for err == nil && u.todo.more() {
		err = u.stream(a, mine)
	}
	lost := t.wait()
	select {
	case r := <-replies:
		if r.err == nil {
			r.err = &AgentError{Err: errors.New("it replied before the end of the file")}
		}
		return nil, r.err
	default:
	}
	switch {
	case err != nil:
		return nil, err
	case lost != nil:
		return nil, u.giveUp(lost, replies)
	case u.doubt.Load():
		return nil, u.stop(nil, replies)
	}
	s.ending(s.size, u.h)
	if err := a.write(fileagent.AppendFrame(a.buf[:0], fileagent.End, hex.AppendEncode(nil, u.h.Sum(nil)))); err != nil {
		return nil, err
	}
	return s.result(<-replies, s.size, u.h)
}

// compare finds out which blocks an earlier upload has left.
func (u *pieceUpload) compare() error {
	for block := int64(0); ; {
		k, content, err := u.a.next("upload", u.path)
		if err != nil || k == fileagent.Part {
			return err
		}
		if block, err = u.todo.compare(u.a, k, content, u.s.at, u.buf, block); err != nil {
			return err
		}
	}
}

// compare keeps the blocks of r that have the hashes of a frame, which begins with the
// one of this block. It returns the one after.
func (p *pieces) compare(a *fileAgent, k fileagent.Kind, sums []byte, r io.ReaderAt, buf []byte, block int64) (int64, error) {
	if k != fileagent.Sums || len(sums)%sha256.Size != 0 {
		a.kill()
		return 0, &AgentError{Err: &fileagent.FrameError{Kind: k, Length: uint32(len(sums))}}
	}
	for ; len(sums) > 0; sums = sums[sha256.Size:] {
		off := block * fileagent.BlockSize
		n := min(fileagent.BlockSize, p.size-off)
		if n <= 0 {
			return block, nil
		}
		got, err := r.ReadAt(buf[:n], off)
		if int64(got) < n && err != io.EOF {
			return 0, &localError{err: fmt.Errorf("winrm: copy: %w", err)}
		}
		if int64(got) == n && sha256.Sum256(buf[:n]) == [sha256.Size]byte(sums) {
			p.keep(block)
		}
		block++
	}
	return block, nil
}

// next reads a piece. What is read is hashed, and what is skipped too, once.
func (u *pieceUpload) next(content []byte) (*piece, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	pc := u.todo.take(fileagent.PieceSize, 1)
	switch {
	case pc != nil:
		if err := u.hashTo(pc.off); err != nil {
			return nil, err
		}
	case u.todo.halted():
		return nil, nil
	default:
		return nil, u.hashTo(u.s.size)
	}
	if err := u.read(content[:pc.n], pc.off); err != nil {
		return nil, err
	}
	if pc.off == u.hashed { // otherwise it was given back
		u.h.Write(content[:pc.n])
		u.hashed = pc.off + pc.n
	}
	return pc, nil
}

func (u *pieceUpload) hashTo(off int64) error {
	for u.hashed < off {
		b := u.buf[:min(int64(len(u.buf)), off-u.hashed)]
		if err := u.read(b, u.hashed); err != nil {
			return err
		}
		u.h.Write(b)
		u.hashed += int64(len(b))
	}
	return nil
}

func (u *pieceUpload) read(b []byte, off int64) error {
	if n, err := u.s.at.ReadAt(b, off); n < len(b) {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // it has become shorter
		}
		return &localError{err: fmt.Errorf("winrm: upload: %w", err)}
	}
	return nil
}

// handed is what a stream was handed, in the order in which it sends it.
//
// The agent that writes is told up to where everything is written. It knows best about
// its own pieces, which it gets in order. Those of a helper count as written when the
// host has taken the helper's next one, too: not for certain, but all but always.
type handed struct {
	u *pieceUpload

	mu   sync.Mutex
	open []*piece // not known to be written
	sent *piece   // the one that the host has taken last
	over bool     // the stream has ended
}

func (w *handed) take(pc *piece) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = append(w.open, pc)
}

// taken is told that the host has taken a piece.
func (w *handed) taken(pc *piece) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	w.sent = pc
	w.u.s.progress.add(pc.n)
	for len(w.open) > 0 && w.open[0] != pc {
		w.u.todo.finish(w.open[0])
		w.open = w.open[1:]
	}
}

// stop lets taken do nothing any more.
func (w *handed) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
}

// end is told that the stream has ended: the host has written everything, or, if it was
// lost, nobody knows.
func (w *handed) end(lost bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	for _, pc := range w.open {
		if !lost {
			w.u.todo.finish(pc)
			continue
		}
		if pc == w.sent {
			w.u.s.progress.add(-pc.n)
		}
		w.u.todo.giveBack(pc, 0)
	}
	w.open = nil
}

// stream sends pieces until there are no more.
func (u *pieceUpload) stream(a *fileAgent, w *handed) error {
	in := a.cmd.run.stdin
	const frameSize = 5 + fileagent.MaxFrame
	free := make(chan []byte, 2) // one is on its way while the other one is made
	free <- make([]byte, frameSize)
	free <- make([]byte, frameSize)
	for {
		var frame []byte
		select {
		case frame = <-free:
		case <-in.ended:
			return u.unheard(a, io.ErrClosedPipe)
		}
		content := frame[5+fileagent.PieceHead:] // it is read to its place
		pc, err := u.next(content)
		if err != nil {
			u.todo.halt()
			return err
		}
		if pc == nil {
			return nil
		}
		w.take(pc)
		var known int64
		if a == u.a {
			known = u.todo.known()
		}
		message := u.appendPiece(frame[:0], pc, known, content[:pc.n])
		if len(message) < frameSize/2 { // several may go in one Send
			err = in.put(message, func() { w.taken(pc) })
			free <- frame
		} else {
			err = in.lend(message, func() {
				free <- frame
				w.taken(pc)
			})
		}
		if err != nil {
			return u.unheard(a, err)
		}
		if a == u.a {
			u.todo.finish(pc)
		}
	}
}

// appendPiece makes a frame of a piece. dst is where content already has its place.
func (u *pieceUpload) appendPiece(dst []byte, pc *piece, known int64, content []byte) []byte {
	u.packing.Lock()
	defer u.packing.Unlock()
	if packed := u.pack.pack(content); packed != nil {
		return fileagent.AppendPiece(dst, fileagent.Packed, pc.off, known, packed)
	}
	return fileagent.AppendPiece(dst, fileagent.Piece, pc.off, known, content)
}

// unheard explains why an agent takes no more.
func (u *pieceUpload) unheard(a *fileAgent, err error) error {
	if a == u.a {
		u.todo.halt()
		return a.broken(err) // somebody else reads its replies
	}
	k, content, err := a.next("upload", u.path)
	if err == nil {
		err = &AgentError{Err: &fileagent.FrameError{Kind: k, Length: uint32(len(content))}}
	}
	return err
}

// ready waits until a helper can begin at once. It does not join yet: the upload does
// not wait for those that are not ready, and it could not end while one that nobody
// knows of has the part file open.
func (u *pieceUpload) ready(a *fileAgent) error {
	a.spent = true
	err := a.hello(u.path)
	a.spent = err != nil
	return err
}

// join makes an agent a helper.
func (u *pieceUpload) join(a *fileAgent) error {
	a.spent = true // until it has come through
	if err := a.query(&fileagent.Request{Op: fileagent.OpJoin, Path: u.path, Dir: u.q.Dir, Key: u.q.Key, Unique: u.q.Unique}); err != nil {
		return err
	}
	_, _, err := a.next("upload", u.path)
	return err
}

// help is what a helper does. It reports whether it was of any help.
func (u *pieceUpload) help(a *fileAgent) (bool, error) {
	if err := u.join(a); err != nil {
		if interrupted(err) {
			u.doubt.Store(true) // it may have the part file open
			return false, err
		}
		a.client.cfg.Logger.Debug("winrm: copy goes on without a further stream", "error", err)
		return false, nil
	}
	w := &handed{u: u}
	err := u.stream(a, w)
	if err == nil {
		err = a.write(fileagent.AppendFrame(a.buf[:0], fileagent.End, nil))
	}
	if err == nil {
		_, _, err = a.next("upload", u.path)
	}
	a.spent = err != nil
	if a.spent && interrupted(err) {
		u.doubt.Store(true)
	}
	w.end(err != nil)
	return w.sent != nil, err
}

// giveUp ends an upload that a helper has ended with err.
func (u *pieceUpload) giveUp(err error, replies chan uploadReply) error {
	if !isFileError(err) {
		return err // the agent is killed
	}
	var drop []byte
	if errors.Is(err, ErrDiskFull) {
		drop = []byte{1} // it is only in the way
	}
	if gone := u.stop(drop, replies); gone != nil {
		return gone
	}
	return err
}

// stop lets the agent give up the upload. It keeps the part file, unless drop is
// anything.
func (u *pieceUpload) stop(drop []byte, replies chan uploadReply) error {
	if gone := u.a.write(fileagent.AppendFrame(u.a.buf[:0], fileagent.GiveUp, drop)); gone != nil {
		return gone
	}
	if r := <-replies; !isFileError(r.err) {
		return &AgentError{Err: errors.Join(errors.New("it does not give up"), r.err)}
	}
	return nil
}
