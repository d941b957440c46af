package winrm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync/atomic"

	"github.com/winrmkit/winrmkit/internal/fileagent"
	"github.com/winrmkit/winrmkit/internal/winpath"
)

// CopyFS copies a tree to the directory dst on the host, which is made with those
// above it if need be. Small files do not wait for each other. It ends with the
// first error; what has been copied by then stays, as whole files, and goes
// faster the next time only for large files. One that loses its connection goes on by
// itself, see CopyOptions.Retries: with the first file that the host has not confirmed.
// Symbolic links and other special files are errors, as in os.CopyFS, and so are names
// that Windows does not have.
func (c *Client) CopyFS(ctx context.Context, dst string, fsys fs.FS, opt *CopyOptions) error {
	if opt == nil {
		opt = &CopyOptions{}
	}
	if opt.Source != nil || opt.Target != nil {
		return errors.New("winrm: CopyFS takes no Source or Target")
	}
	own := *opt
	own.Progress = inTurn(opt.Progress) // one file is done while the next one is under way
	tree := newTree(fsys)
	defer tree.end()
	p := &persistence{c: c, path: dst, most: own.retries(), told: tree.progress}
	return p.run(ctx, func() error {
		return c.withAgent(ctx, dst, func(a *fileAgent, at winpath.Path) error {
			t := &treeCopy{
				a: a, ctx: ctx, tree: tree, opt: &own, root: at.Full, confirmed: p.moved,
				pending: make(chan pendingReply, maxPending), ended: make(chan struct{}),
			}
			return t.run()
		})
	})
}

// maxPending bounds how many requests go out before their replies are in.
const maxPending = 128

// A treeCopy is one attempt at a CopyFS. One goroutine walks and sends, another takes
// the replies; all requests and replies are in the same order.
type treeCopy struct {
	a         *fileAgent
	ctx       context.Context //nolint:containedctx // lives as long as the call
	tree      *tree
	opt       *CopyOptions
	root      string
	confirmed func() // called for each reply that is no error

	pending chan pendingReply
	ended   chan struct{}
	failed  atomic.Bool // the walk is to end
	err     error       // of the first reply that is one; valid after ended
}

// A pendingReply is a request that was sent.
type pendingReply struct {
	op, path string
	item     *treeItem     // nil for the removal of what may be there
	size     int64         // of a file
	turn     chan struct{} // closed when all replies before are in; then nothing is read for it
	back     chan struct{} // closed by the walk when it has read its own replies
}

func (t *treeCopy) run() error {
	t.a.client.goTask(t.replies)
	err := t.tree.walk(t.visit)
	if local, ok := errors.AsType[*localError](err); err != nil && !isFileError(err) && (!ok || !local.intact) {
		t.a.kill() // it would wait for the rest of a file
	}
	close(t.pending)
	<-t.ended
	if t.err != nil {
		err = t.err // what the walk has run into follows from it
	}
	return err
}

func (t *treeCopy) replies() {
	defer close(t.ended)
	for p := range t.pending {
		if p.turn != nil {
			close(p.turn)
			<-p.back
			continue
		}
		if t.err != nil && !isFileError(t.err) {
			continue // the agent is gone
		}
		r := t.a.uploadReply(p.path)
		if p.item == nil && isFileError(r.err) {
			continue
		}
		if e, ok := errors.AsType[*FileError](r.err); ok {
			e.Op = p.op
		}
		switch {
		case r.err != nil && t.err == nil:
			t.err = r.err
			t.failed.Store(true)
		case r.err == nil && p.item != nil:
			t.confirm(p.item, p.size)
		}
	}
}

func (t *treeCopy) confirm(item *treeItem, size int64) {
	t.tree.confirm(item)
	t.confirmed()
	if item.progress != nil {
		item.progress.done(size)
	}
}

func isFileError(err error) bool {
	_, ok := errors.AsType[*FileError](err)
	return ok
}

// visit copies one item of the tree.
func (t *treeCopy) visit(item *treeItem) error {
	name, d := item.name, item.entry
	switch {
	case item.err != nil:
		return t.local(item.err)
	case t.failed.Load():
		return fs.SkipAll
	case t.ctx.Err() != nil:
		return t.ctx.Err()
	}
	target := t.root
	if name != "." {
		target = strings.TrimRight(t.root, `\/`)
		for part := range strings.SplitSeq(name, "/") {
			if !winpath.ValidName(part) {
				return t.local(&fs.PathError{Op: "copy", Path: name, Err: ErrInvalidName})
			}
			target += t.separator() + part
		}
	}
	p := winpath.Parse("", target)
	switch {
	case d.IsDir():
		q := fileagent.Request{Op: fileagent.OpMkdir, Path: p.Full, Dir: p.Dir, Recursive: true}
		t.pending <- pendingReply{op: "mkdir", path: p.Full, item: item}
		return t.a.query(&q)
	case !d.Type().IsRegular():
		return t.local(&fs.PathError{Op: "copy", Path: name, Err: fs.ErrInvalid})
	}
	return t.file(item, p)
}

func (t *treeCopy) separator() string {
	if strings.HasPrefix(t.root, "/") {
		return "/"
	}
	return `\`
}

// local is an error of this side, between two requests.
func (t *treeCopy) local(err error) error {
	return &localError{err: fmt.Errorf("winrm: copy: %w", err), intact: true}
}

func (t *treeCopy) file(item *treeItem, p winpath.Path) error {
	f, err := t.tree.fsys.Open(item.name)
	if err != nil {
		return t.local(err)
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return t.local(err)
	}
	s := &source{
		r: f, size: info.Size(), progress: item.progress, begun: item.begun, part: item.part, sent: item.sent,
		verified: t.farthest(item),
		rewound:  func() bool { return true }, // it is opened again
	}
	s.at, _ = f.(io.ReaderAt)
	if !t.opt.NoTimes {
		// Trees without times, such as those of package embed, have no
		// permissions that mean anything either.
		s.modified = info.ModTime()
		s.readOnly = info.Mode().Perm()&0o200 == 0 && !s.modified.IsZero()
	}
	s.prepare(item.name, t.opt)
	item.progress = s.progress
	defer func() { item.begun, item.part, item.sent = s.begun, s.part, s.sent }()
	if s.size > smallFile || s.sent != nil && s.readOnly {
		return t.alone(item, s, p)
	}
	if s.part != "" {
		t.pending <- pendingReply{op: "remove", path: s.part}
		if err := t.a.query(removePart(s.part)); err != nil {
			return err
		}
	}
	t.pending <- pendingReply{op: "upload", path: p.Full, item: item, size: s.size}
	if err := t.a.query(s.inOneGo(p)); err != nil {
		return err
	}
	s.progress.resume(0)
	_, err = t.a.sendContent(s, sha256.New(), nil)
	return err
}

// farthest returns what is told how much of a file the host has.
func (t *treeCopy) farthest(item *treeItem) func(int64) {
	return func(n int64) {
		if n > item.verified {
			item.verified = n
			t.confirmed()
		}
	}
}

// alone waits for all replies that are due and copies a file as Upload does: one that
// is large, or that may have come over already and could not be replaced then.
func (t *treeCopy) alone(item *treeItem, s *source, p winpath.Path) error {
	turn := pendingReply{turn: make(chan struct{}), back: make(chan struct{})}
	t.pending <- turn
	<-turn.turn
	defer close(turn.back)
	if t.failed.Load() {
		return fs.SkipAll
	}
	_, err := t.a.upload(t.ctx, s, p)
	if err == nil {
		t.tree.confirm(item)
		t.confirmed()
	}
	return err
}
