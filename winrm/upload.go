package winrm

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/winrmkit/winrmkit/internal/fileagent"
	"github.com/winrmkit/winrmkit/internal/winpath"
)

// smallFile is up to which size a file is sent in one go: it is not taken up again.
const smallFile = 1 << 20

// Upload copies a file to the host. dst is a path there; if it ends with a
// separator, the name of src is appended. The directory must exist.
//
// The content goes to a part file beside dst and takes its place when its
// SHA-256 is right: under the name dst there is the old file or the whole new
// one at any time. An upload that was interrupted leaves the part file, and the
// next one to the same dst sends what that does not have yet: the hashes of its
// blocks of 120 kB are compared with those of src. However the earlier upload ended,
// by the death of its process too, at most what was in one message of each of its
// streams is sent again: 368640 bytes of content, or what that many compressed bytes
// hold. Files up to 1 MB, and what cannot be read at any offset, begin anew.
//
// An upload that loses its connection does the same by itself, see
// CopyOptions.Retries.
//
// Large files go over several streams, see CopyOptions.Streams. Time of modification
// and read-only attribute are kept.
func (c *Client) Upload(ctx context.Context, src, dst string, opt *CopyOptions) (*CopyResult, error) {
	s, err := openSource(src, opt)
	if err != nil {
		return nil, err
	}
	defer s.close()
	defer s.progress.end()
	if strings.HasSuffix(dst, `\`) || strings.HasSuffix(dst, "/") {
		dst += base(src)
	}
	var out *CopyResult
	told := func() *progress { return s.progress }
	p := &persistence{c: c, path: src, most: s.opt.retries(), rewind: s.rewind, told: told}
	s.verified = p.farthest()
	err = p.run(ctx, func() error {
		return c.withAgent(ctx, dst, func(a *fileAgent, p winpath.Path) (err error) {
			out, err = a.upload(ctx, s, p)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// partKey begins the names of part files of a target.
func partKey(full string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(full)))
	return "~wk-" + hex.EncodeToString(sum[:8])
}

// request is the request to write a file.
func (s *source) request(p winpath.Path) *fileagent.Request {
	key, unique := partKey(p.Full), rand.Text()[:8]
	q := &fileagent.Request{
		Op: fileagent.OpWrite, Path: p.Full, Dir: p.DirFor(len(key + "-" + unique + ".part")), Key: key, Unique: unique,
		Size: s.size, Modified: ticks(s.modified), ReadOnly: s.readOnly, Recursive: s.at != nil, Anew: s.opt.NoResume,
	}
	if s.size >= 0 {
		q.Volume = p.Root
	}
	return q
}

// inOneGo is the request to write a file that is not taken up again. An agent that is
// killed leaves its part file: the next attempt, which knows its name, removes it.
func (s *source) inOneGo(p winpath.Path) *fileagent.Request {
	q := s.request(p)
	s.part = q.Dir + q.Key + "-" + q.Unique + ".part"
	return q
}

// removePart is the request to remove a part file, if there is one.
func removePart(path string) *fileagent.Request {
	return &fileagent.Request{Op: fileagent.OpRemove, Path: path}
}

// An uploadReply is the end of an upload.
type uploadReply struct {
	entry fileagent.Entry
	err   error
}

// upload sends one file and waits for the reply.
func (a *fileAgent) upload(ctx context.Context, s *source, p winpath.Path) (*CopyResult, error) {
	if s.sent != nil {
		if out, err := a.landed(s, p); out != nil || err != nil {
			return out, err
		}
	}
	if s.at != nil {
		return a.uploadPieces(ctx, s, p)
	}
	if s.pipe != nil {
		all, err := s.pipe.begin()
		switch {
		case err != nil:
			return nil, err
		case s.pipe.read > smallFile:
			return a.uploadPipe(ctx, s, p)
		}
		small := bytes.NewReader(all)
		s.r, s.pipe = small, nil
		s.rewound = func() bool { small.Reset(all); return true }
	}
	s.progress.resume(0)
	if s.part != "" {
		if err := a.query(removePart(s.part)); err != nil {
			return nil, err
		}
		if r := a.uploadReply(s.part); r.err != nil && !isFileError(r.err) {
			return nil, r.err
		}
	}
	if err := a.query(s.inOneGo(p)); err != nil {
		return nil, err
	}
	replies := make(chan uploadReply, 1)
	a.client.goTask(func() { replies <- a.uploadReply(p.Full) })
	h := sha256.New()
	size, err := a.sendContent(s, h, replies)
	if err != nil {
		return nil, err
	}
	return s.result(<-replies, size, h)
}

// landed finds out whether an upload is complete whose end was sent and of which nothing
// was heard then. It returns nil if it is not.
func (a *fileAgent) landed(s *source, p winpath.Path) (*CopyResult, error) {
	if err := a.query(&fileagent.Request{Op: fileagent.OpSum, Path: p.Full, Count: s.sent.Size}); err != nil {
		return nil, err
	}
	_, content, err := a.next("upload", p.Full)
	if isFileError(err) {
		return nil, nil // such as one that is not there: the upload tells
	}
	if err != nil {
		return nil, err
	}
	var there fileagent.Answer
	if err := a.answer(content, &there); err != nil {
		return nil, err
	}
	i := there.Info
	if i == nil || i.Size != s.sent.Size || there.Hash != hex.EncodeToString(s.sent.SHA256[:]) ||
		s.readOnly && i.Attributes&fileagent.AttrReadOnly == 0 {
		return nil, nil
	}
	out := *s.sent
	out.Resumed = s.progress.resumed()
	s.progress.done(out.Size)
	return &out, nil
}

// ending is told that the end of the content is about to be sent, and its hash.
func (s *source) ending(size int64, h hash.Hash) {
	s.sent = &CopyResult{Size: size}
	h.Sum(s.sent.SHA256[:0])
}

// result is what the reply to an upload makes of it.
func (s *source) result(r uploadReply, size int64, h hash.Hash) (*CopyResult, error) {
	if r.err != nil {
		return nil, r.err
	}
	if r.entry.Size != size {
		return nil, &AgentError{Err: fmt.Errorf("it says that %d bytes arrived of %d", r.entry.Size, size)}
	}
	out := &CopyResult{Size: size, Resumed: s.progress.resumed()}
	h.Sum(out.SHA256[:0])
	s.progress.done(size)
	return out, nil
}

func (a *fileAgent) uploadReply(path string) (r uploadReply) {
	_, content, err := a.next("upload", path)
	var answer fileagent.Answer
	if err == nil {
		err = a.answer(content, &answer)
	}
	return uploadReply{answer.Entry, err}
}

// sendContent sends what s has to read. It stops when the agent has replied, which it
// does early only if it fails.
func (a *fileAgent) sendContent(s *source, h hash.Hash, replies chan uploadReply) (int64, error) {
	room := int64(fileagent.PieceSize)
	if s.size >= 0 {
		room = min(room, s.size+1) // to see the end with the last piece
	}
	piece := make([]byte, room)
	pack := packer{off: s.opt.NoCompression}
	for at := int64(0); ; {
		n, err := io.ReadFull(s.r, piece)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return 0, &localError{err: fmt.Errorf("winrm: upload: %w", err)}
		}
		select {
		case r := <-replies:
			if r.err == nil {
				r.err = &AgentError{Err: errors.New("it replied before the end of the file")}
			}
			return 0, r.err
		default:
		}
		if n > 0 {
			h.Write(piece[:n])
			a.buf = pack.append(a.buf[:0], piece[:n])
			if err := a.write(a.buf); err != nil {
				return 0, err
			}
			at += int64(n)
			s.progress.add(int64(n))
		}
		if err != nil {
			s.ending(at, h)
			end := fileagent.AppendFrame(a.buf[:0], fileagent.End, hex.AppendEncode(nil, h.Sum(nil)))
			return at, a.write(end)
		}
	}
}
