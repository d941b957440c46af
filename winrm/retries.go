package winrm

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// DefaultRetries is CopyOptions.Retries when that is zero. With the pauses between
// them, they last about a minute.
const DefaultRetries = 5

// A CopyRetriesError is a copy that has lost its connection again and again, see
// CopyOptions.Retries. What it has left is taken up by the next copy.
type CopyRetriesError struct {
	Attempts int   // how often the copy was begun or taken up
	Err      error // of the last attempt
}

func (e *CopyRetriesError) Error() string {
	return fmt.Sprintf("winrm: copy given up after %d attempts: %s", e.Attempts, strip(e.Err))
}

// Unwrap returns the error of the last attempt.
func (e *CopyRetriesError) Unwrap() error { return e.Err }

// retryPause is how long to wait before a retry, the first one being 1.
func retryPause(retry int) time.Duration {
	const first, longest = 250 * time.Millisecond, 30 * time.Second
	return min(first<<(2*min(retry-1, 10)), longest)
}

// retries is how often in a row a copy is taken up without having come further.
func (o *CopyOptions) retries() int {
	if o.Retries == 0 {
		return DefaultRetries
	}
	return max(o.Retries, 0)
}

// A persistence takes a copy up again that has lost its connection.
type persistence struct {
	c    *Client
	path string // for those who are told
	most int
	// rewind makes ready for another attempt, and reports false if there can be none.
	rewind func() bool
	// told is the progress to tell, nil if there is none.
	told func() *progress

	mu       sync.Mutex
	failed   int // attempts in a row that did not come further
	attempts int
}

// moved is told that the copy has come further than ever before: bytes that the other
// side was found to have.
func (p *persistence) moved() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = 0
}

// farthest returns what is told of each verified position, and calls moved when it is
// farther than all before.
func (p *persistence) farthest() func(int64) {
	best := int64(0)
	return func(at int64) {
		if at > best {
			best = at
			p.moved()
		}
	}
}

// run calls attempt until it succeeds, is refused something, or has lost the connection
// too often.
func (p *persistence) run(ctx context.Context, attempt func() error) error {
	for {
		err := attempt()
		for {
			if err == nil {
				return nil
			}
			retry, ok := p.again(ctx, err)
			if !ok {
				return p.last(ctx, err)
			}
			if !p.pause(ctx, retry, err) {
				return canceled(ctx, p.c, err)
			}
			// Shells that are still there would hold the quota and the part file.
			if err = p.c.deleteLeft(ctx); err == nil {
				break
			}
		}
	}
}

// again reports whether there is to be another attempt, and which one in a row it is.
func (p *persistence) again(ctx context.Context, err error) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempts++
	if ctx.Err() != nil || !p.c.canRetry(err) || p.failed >= p.most {
		return 0, false
	}
	if p.rewind != nil && !p.rewind() {
		return 0, false
	}
	p.failed++
	return p.failed, true
}

// last is the error of a copy that is given up.
func (p *persistence) last(ctx context.Context, err error) error {
	if ctx.Err() == nil && p.attempts > 1 && interrupted(err) {
		return &CopyRetriesError{Attempts: p.attempts, Err: err}
	}
	return err
}

// canRetry reports whether what failed so may be tried again. A host that was never
// reached is none that was lost: its name may be wrong, or its port closed, and whoever
// has asked for it wants to know at once.
func (c *Client) canRetry(err error) bool {
	return c.reached.Load() && !c.isClosed() && interrupted(err)
}

// pause waits before a retry, until what the attempt before has left is cleaned up, too.
// It reports false when there will be no retry.
func (p *persistence) pause(ctx context.Context, retry int, err error) bool {
	d := retryPause(retry)
	p.c.copyRetried(ctx, CopyRetryEvent{Path: p.path, Retry: retry, Pause: d, Err: err})
	if p.told != nil {
		if told := p.told(); told != nil {
			told.lost(retry, err)
		}
	}
	p.c.agents.retireIdle() // they may be gone, too, and not know it
	return p.c.sleep(ctx, d) && p.c.settle(ctx)
}

// sleep is sleepContext that Close ends, too.
func (c *Client) sleep(ctx context.Context, d time.Duration) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	return sleepContext(ctx, d)
}
