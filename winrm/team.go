package winrm

import (
	"context"
	"sync"
)

// perHelper is how much there has to be to copy for each helper.
const perHelper = 4 << 20

// A team is the agents that help with one copy. They come when they are ready, and
// those that do not come, because the host allows no more shells for example, are not
// missed.
type team struct {
	c      *Client
	ctx    context.Context //nolint:containedctx // that of the copy
	failed func()          // called at the first error of a helper

	mu     sync.Mutex
	cond   *sync.Cond
	active int
	closed bool
	err    error
}

func (c *Client) newTeam(ctx context.Context, failed func()) *team {
	t := &team{c: c, ctx: ctx, failed: failed}
	t.cond = sync.NewCond(&t.mu)
	return t
}

// streams is over how many streams a copy goes.
func (c *Client) streams(opt *CopyOptions) int {
	n := opt.Streams
	if n <= 0 {
		n = DefaultStreams
	}
	return max(min(n, c.cfg.MaxConns-1, c.cfg.MaxShells-1), 1)
}

// helpers is how many agents may help to copy so many bytes.
func (c *Client) helpers(opt *CopyOptions, left int64) int {
	return int(min(int64(c.streams(opt)-1), max(left-1, 0)/perHelper))
}

// recruit looks for n helpers in the background. Each prepares, and if the copy still
// goes on then, works. What prepare returns ends the helper, not the copy.
func (t *team) recruit(n int, prepare func(*fileAgent) error, work func(*fileAgent) error) {
	for range n {
		if !t.c.enter() {
			return
		}
		t.c.goTask(func() { t.help(prepare, work) })
		t.c.leave()
	}
}

func (t *team) help(prepare func(*fileAgent) error, work func(*fileAgent) error) {
	a := t.c.agents.take(true)
	if a == nil {
		// An agent that comes too late is there for the next copy.
		ctx, cancel := context.WithCancel(t.ctx)
		defer context.AfterFunc(t.c.ctx, cancel)()
		defer cancel()
		var err error
		if a, err = t.c.startAgent(ctx, true); err != nil {
			t.c.cfg.Logger.Debug("winrm: copy goes on without a further stream", "error", err)
			return
		}
	}
	joined := false
	err := a.work(t.ctx, func() error {
		if !t.isOpen() {
			return nil
		}
		if err := prepare(a); err != nil {
			return err
		}
		if joined = t.join(); !joined {
			return nil
		}
		return work(a)
	})
	if joined {
		t.leave(err)
	}
}

func (t *team) isOpen() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.closed
}

func (t *team) join() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.active++
	return true
}

func (t *team) leave(err error) {
	t.mu.Lock()
	first := err != nil && t.err == nil
	if first {
		t.err = err
	}
	t.active--
	t.cond.Broadcast()
	t.mu.Unlock()
	if first {
		t.failed()
	}
}

// wait lets nobody join any more and waits for those that have.
func (t *team) wait() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for t.active > 0 {
		t.cond.Wait()
	}
	return t.err
}
