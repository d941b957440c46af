package winrm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/winrmkit/winrmkit/internal/fileagent"
	"github.com/winrmkit/winrmkit/internal/winpath"
)

// heldPieces is how much of a source that cannot be read again is held, in pieces: what
// is on its way, and what the host has taken and may lose with the agent. It comes to 6
// MB.
const heldPieces = 16

// A pipeSource is a source that can be read only once. It holds the end of what was
// read, and knows the hashes of all of it.
type pipeSource struct {
	r    io.Reader
	h    hash.Hash
	sums [][sha256.Size]byte // of the whole blocks
	held [][]byte            // pieces; all but the last one of the source are of the same size
	from int64               // where held begins
	read int64               // where it ends
	err  error               // of r; nothing more comes
}

func newPipeSource(r io.Reader) *pipeSource { return &pipeSource{r: r, h: sha256.New()} }

// errSourceLost is why an upload of such a source cannot go on.
var errSourceLost = errors.New("the host has lost more of a source that cannot be read again than is held of it")

// more reads a piece. Without one it returns an error, io.EOF at the end.
func (p *pipeSource) more() error {
	if p.err != nil {
		return p.err
	}
	var piece []byte
	if len(p.held) == heldPieces {
		piece = p.held[0][:fileagent.PieceSize]
		p.held = append(p.held[:0], p.held[1:]...)
		p.from += fileagent.PieceSize
	} else {
		piece = make([]byte, fileagent.PieceSize)
	}
	n, err := io.ReadFull(p.r, piece)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	p.err = err
	if n == 0 {
		return p.err
	}
	piece = piece[:n]
	p.h.Write(piece)
	for b := piece; len(b) >= fileagent.BlockSize; b = b[fileagent.BlockSize:] {
		p.sums = append(p.sums, sha256.Sum256(b[:fileagent.BlockSize]))
	}
	p.held = append(p.held, piece)
	p.read += int64(n)
	return nil
}

// at returns what there is at an offset from from on, and reads it if it was not read
// yet.
func (p *pipeSource) at(off int64) ([]byte, error) {
	if off == p.read {
		if err := p.more(); err != nil {
			return nil, err
		}
	}
	i := (off - p.from) / fileagent.PieceSize
	return p.held[i][off-p.from-i*fileagent.PieceSize:], nil
}

// begin reads as much as a small file has. It returns all of the source if that is all.
func (p *pipeSource) begin() ([]byte, error) {
	for p.read <= smallFile {
		switch err := p.more(); err {
		case nil:
		case io.EOF:
			return bytes.Join(p.held, nil), nil
		default:
			return nil, &localError{err: fmt.Errorf("winrm: upload: %w", err), intact: true}
		}
	}
	return nil, nil
}

// same is told the hashes that the host has of the blocks from a block on, and returns
// up to which block all are those that were read.
func (p *pipeSource) same(sums []byte, block int64) int64 {
	for ; len(sums) >= sha256.Size && block < int64(len(p.sums)) && p.sums[block] == [sha256.Size]byte(sums); sums = sums[sha256.Size:] {
		block++
	}
	return block
}

// uploadPipe sends what can be read only once, in order. It is taken up again at the
// first block that the host does not have, if that is still held.
func (a *fileAgent) uploadPipe(ctx context.Context, s *source, p winpath.Path) (*CopyResult, error) {
	q := s.request(p)
	q.Recursive, q.Anew = true, !s.begun
	if err := a.query(q); err != nil {
		return nil, err
	}
	there, err := a.comparePipe(s.pipe, p.Full)
	if err != nil {
		return nil, err
	}
	s.begun = true
	s.progress.resume(there)
	s.verified(there)
	replies := make(chan uploadReply, 1)
	a.client.goTask(func() { replies <- a.uploadReply(p.Full) })
	if there < s.pipe.from {
		return nil, a.dropPipe(replies, &InputLostError{Err: errSourceLost})
	}
	if err := a.sendPipe(s, there, replies); err != nil {
		if local, ok := errors.AsType[*localError](err); ok {
			err = a.dropPipe(replies, local)
		}
		return nil, err
	}
	return s.result(<-replies, s.pipe.read, s.pipe.h)
}

// comparePipe finds out how much of what was read the host has.
func (a *fileAgent) comparePipe(s *pipeSource, path string) (int64, error) {
	same, told := int64(0), int64(0)
	for {
		k, content, err := a.next("upload", path)
		switch {
		case err != nil:
			return 0, err
		case k == fileagent.Part:
			return same * fileagent.BlockSize, nil
		case k != fileagent.Sums || len(content)%sha256.Size != 0:
			a.kill()
			return 0, &AgentError{Err: &fileagent.FrameError{Kind: k, Length: uint32(len(content))}}
		case same == told: // none was another one before
			same = s.same(content, same)
		}
		told += int64(len(content) / sha256.Size)
	}
}

// sendPipe sends all from an offset on.
func (a *fileAgent) sendPipe(s *source, off int64, replies chan uploadReply) error {
	pack := packer{off: s.opt.NoCompression}
	for {
		content, err := s.pipe.at(off)
		if err != nil && err != io.EOF {
			return &localError{err: fmt.Errorf("winrm: upload: %w", err)}
		}
		select {
		case r := <-replies:
			if r.err == nil {
				r.err = &AgentError{Err: errors.New("it replied before the end of the file")}
			}
			return r.err
		default:
		}
		if err == io.EOF {
			s.ending(off, s.pipe.h)
			return a.write(fileagent.AppendFrame(a.buf[:0], fileagent.End, hex.AppendEncode(nil, s.sent.SHA256[:])))
		}
		if packed := pack.pack(content); packed != nil {
			a.buf = fileagent.AppendPiece(a.buf[:0], fileagent.Packed, off, off, packed)
		} else {
			a.buf = fileagent.AppendPiece(a.buf[:0], fileagent.Piece, off, off, content)
		}
		if err := a.write(a.buf); err != nil {
			return err
		}
		off += int64(len(content))
		s.progress.add(int64(len(content)))
	}
}

// dropPipe gives an upload up for a reason of this side: nobody can take up what the
// host has of it.
func (a *fileAgent) dropPipe(replies chan uploadReply, reason error) error {
	if a.write(fileagent.AppendFrame(a.buf[:0], fileagent.GiveUp, []byte{1})) == nil {
		<-replies
	}
	return reason
}
