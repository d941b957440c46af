package winrm

import (
	"context"
	"sync"
	"time"
)

// perHelper is how much there has to be to copy for each helper.
const perHelper = 4 << 20

// A team is the agents that help with one copy. They come when they are ready, and
// those that do not come, because the host allows no more shells for example, are not
// missed.
type team struct {
	c      *Client
	ctx    context.Context //nolint:containedctx // that of the copy
	most   int             // see CopyOptions.Retries
	failed func()          // called at the first error of a helper
	over   chan struct{}   // closed when nobody may join any more

	mu     sync.Mutex
	cond   *sync.Cond
	active int
	closed bool
	err    error
}

func (c *Client) newTeam(ctx context.Context, opt *CopyOptions, failed func()) *team {
	t := &team{c: c, ctx: ctx, most: opt.retries(), failed: failed, over: make(chan struct{})}
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
// goes on then, works. What prepare returns ends the helper, not the copy. One that has
// lost its connection is replaced: work has put back what it had to do. work reports
// whether it has got anything done.
func (t *team) recruit(n int, prepare func(*fileAgent) error, work func(*fileAgent) (bool, error)) {
	for range n {
		if !t.c.enter() {
			return
		}
		t.c.goTask(func() { t.help(prepare, work) })
		t.c.leave()
	}
}

func (t *team) help(prepare func(*fileAgent) error, work func(*fileAgent) (bool, error)) {
	for failed := 0; ; {
		moved, err := t.helpOnce(prepare, work)
		if err == nil || t.ctx.Err() != nil || !t.c.canRetry(err) {
			return
		}
		t.c.cfg.Logger.Debug("winrm: copy has lost a stream", "error", err)
		if moved {
			failed = 0
		}
		if failed++; failed > t.most || !t.pause(retryPause(failed)) {
			return
		}
		t.c.agents.retireIdle()
	}
}

// pause reports false when there is nobody to help any more.
func (t *team) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.over:
	case <-t.ctx.Done():
	case <-t.c.ctx.Done():
	}
	return false
}

func (t *team) helpOnce(prepare func(*fileAgent) error, work func(*fileAgent) (bool, error)) (moved bool, err error) {
	a := t.c.agents.take(true)
	if a == nil {
		// An agent that comes too late is there for the next copy.
		ctx, cancel := context.WithCancel(t.ctx)
		defer context.AfterFunc(t.c.ctx, cancel)()
		defer cancel()
		if a, err = t.c.startAgent(ctx, true); err != nil {
			t.c.cfg.Logger.Debug("winrm: copy goes on without a further stream", "error", err)
			return false, err
		}
	}
	joined := false
	err = a.work(t.ctx, func() error {
		if !t.isOpen() {
			return nil
		}
		if err := prepare(a); err != nil {
			return err
		}
		if joined = t.join(); !joined {
			return nil
		}
		var err error
		moved, err = work(a)
		return err
	})
	if joined {
		t.leave(err)
	}
	return moved, err
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

// leave is told how a helper has ended. The copy goes on without one that was lost.
func (t *team) leave(err error) {
	if t.most > 0 && t.ctx.Err() == nil && t.c.canRetry(err) {
		err = nil
	}
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
	close(t.over)
	for t.active > 0 {
		t.cond.Wait()
	}
	return t.err
}
