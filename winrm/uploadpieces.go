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
}

func (a *fileAgent) uploadPieces(ctx context.Context, s *source, p winpath.Path) (*CopyResult, error) {
	u := &pieceUpload{
		a: a, s: s, q: s.request(p), path: p.Full, todo: newPieces(s.size),
		h: sha256.New(), buf: make([]byte, fileagent.BlockSize), pack: packer{off: s.opt.NoCompression},
	}
	if err := a.query(u.q); err != nil {
		return nil, err
	}
	if err := u.compare(); err != nil {
		return nil, err
	}
	s.progress.resume(u.todo.kept)
	replies := make(chan uploadReply, 1)
	a.client.goTask(func() {
		replies <- a.uploadReply(p.Full)
		u.todo.halt() // it replies early only if it fails
	})
	t := a.client.newTeam(ctx, u.todo.halt)
	t.recruit(a.client.helpers(s.opt, u.todo.left()), u.ready, u.help)
	err := u.stream(a)
	helped := t.wait()
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
	case helped != nil:
		return nil, u.giveUp(helped, replies)
	}
	if err := a.write(fileagent.AppendFrame(a.buf[:0], fileagent.End, hex.AppendEncode(nil, u.h.Sum(nil)))); err != nil {
		return nil, err
	}
	return s.result(<-replies, s.size, u.todo.kept, u.h)
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

// next reads a piece. What is read is hashed, and what is skipped too.
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
	u.h.Write(content[:pc.n])
	u.hashed = pc.off + pc.n
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

// stream sends pieces until there are no more.
//
// The agent that writes is told up to where everything is written. It knows best about
// its own pieces, which it gets in order. Those of a helper count as written when the
// host has taken the helper's next one, too: not for certain, but all but always.
func (u *pieceUpload) stream(a *fileAgent) error {
	in := a.cmd.run.stdin
	const frameSize = 5 + fileagent.MaxFrame
	free := make(chan []byte, 2) // one is on its way while the other one is made
	free <- make([]byte, frameSize)
	free <- make([]byte, frameSize)
	var before *piece
	for {
		var frame []byte
		select {
		case frame = <-free:
		case <-in.ended:
			u.todo.halt()
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
		var known int64
		if a == u.a {
			known = u.todo.known()
		}
		message := u.appendPiece(frame[:0], pc, known, content[:pc.n])
		earlier := before
		sent := func() {
			u.s.progress.add(pc.n)
			if earlier != nil {
				u.todo.finish(earlier)
			}
		}
		if len(message) < frameSize/2 { // several may go in one Send
			err = in.put(message, sent)
			free <- frame
		} else {
			err = in.lend(message, func() {
				free <- frame
				sent()
			})
		}
		switch {
		case err != nil:
			u.todo.halt()
			return u.unheard(a, err)
		case a == u.a:
			u.todo.finish(pc)
		default:
			before = pc
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

// help is what a helper does.
func (u *pieceUpload) help(a *fileAgent) error {
	if err := u.join(a); err != nil {
		a.client.cfg.Logger.Debug("winrm: copy goes on without a further stream", "error", err)
		return nil
	}
	if err := u.stream(a); err != nil {
		return err
	}
	if err := a.write(fileagent.AppendFrame(a.buf[:0], fileagent.End, nil)); err != nil {
		return err
	}
	_, _, err := a.next("upload", u.path)
	a.spent = err != nil
	return err
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
	if gone := u.a.write(fileagent.AppendFrame(u.a.buf[:0], fileagent.GiveUp, drop)); gone != nil {
		return gone
	}
	if r := <-replies; !isFileError(r.err) {
		return &AgentError{Err: errors.Join(errors.New("it does not give up"), r.err)}
	}
	return err
}
