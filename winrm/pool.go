package winrm

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/winrmkit/winrmkit/auth"
)

// A pool keeps the shells that commands run in. A shell is leased to one command
// at a time and is in one of these states:
//
//	leased    a command runs in it
//	settling  the command is done, its terminate Signal is under way
//	idle      waits for a command
//
// and is gone once its Delete is answered. All of them, and those being opened,
// take one of max slots.
type pool struct {
	client *Client

	limit int // Config.MaxShells

	mu       sync.Mutex
	max      int            // of slots; less than limit after the host has refused a shell
	shrunk   time.Time      // when max was last changed
	slots    int            // taken
	opening  int            // of those, shells that are being opened
	idle     []*Shell       // longest idle first
	settling map[string]int // shells that will be idle in a moment, by key
	waiters  []*leaseWaiter // first come first
	closed   bool
}

// leaseWaiter is a command that waits for a shell or for room to open one.
type leaseWaiter struct {
	key    string
	ready  chan lease // buffered: the giver does not wait
	passed int        // how many that came later were served before
}

// lease is a shell, or without one a slot to open it, or an error.
type lease struct {
	shell *Shell
	err   error
}

// maxPassed is how often a command that waits for room lets others, for which a
// shell is there, go first.
const maxPassed = 10

// shrunkFor is how long the host's refusal of a further shell is heeded. The
// shells that took the room may be another client's, and gone by then.
const shrunkFor = 30 * time.Second

func newPool(c *Client, maxShells int) *pool {
	return &pool{client: c, limit: maxShells, max: maxShells, settling: make(map[string]int)}
}

// poolKey tells shells apart that differ in what a command can ask for.
func poolKey(env []string, dir string) string {
	if len(env) == 0 && dir == "" {
		return ""
	}
	return dir + "\x00" + strings.Join(env, "\x00")
}

// lease returns a shell for one command: an idle one, or one that is about to
// be, or a new one.
func (p *pool) lease(ctx context.Context, key string, opts ShellOptions) (*Shell, error) {
	for {
		l, err := p.take(ctx, key)
		if err != nil || l.shell != nil {
			return l.shell, err
		}
		s, err := p.client.openShell(ctx, opts, true)
		p.opened()
		if err == nil {
			s.key = key
			return s, nil
		}
		if _, dead := errors.AsType[*auth.DialError](err); dead && ctx.Err() == nil {
			p.unreachable(err)
		}
		if !p.shrink(err) {
			return nil, err
		}
	}
}

// take returns an idle shell, or a slot.
func (p *pool) take(ctx context.Context, key string) (lease, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return lease{}, ErrClosed
	}
	for i := len(p.idle) - 1; i >= 0; i-- {
		if s := p.idle[i]; s.key == key {
			p.idle = slices.Delete(p.idle, i, i+1)
			p.mu.Unlock()
			return lease{shell: s}, nil
		}
	}
	// A shell that is settling is ready after one exchange, which is less than
	// opening one takes.
	soon := p.settling[key] > p.waiting(key)
	if p.max < p.limit && time.Since(p.shrunk) >= shrunkFor {
		p.max++ // one at a time: no more than one command in so long finds out in vain
		p.shrunk = time.Now()
	}
	if !soon && p.slots < p.max {
		p.slots++
		p.opening++
		p.mu.Unlock()
		return lease{}, nil
	}
	w := &leaseWaiter{key: key, ready: make(chan lease, 1)}
	p.waiters = append(p.waiters, w)
	var evicted *Shell
	if !soon && len(p.idle) > 0 {
		evicted = p.idle[0]
		p.idle = slices.Delete(p.idle, 0, 1)
	}
	p.mu.Unlock()
	if evicted != nil {
		p.discard(evicted, "evicted")
	}
	return p.wait(ctx, w)
}

func (p *pool) wait(ctx context.Context, w *leaseWaiter) (lease, error) {
	select {
	case l := <-w.ready:
		return l, l.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	if i := slices.Index(p.waiters, w); i >= 0 {
		p.waiters = slices.Delete(p.waiters, i, i+1)
	}
	p.mu.Unlock()
	// What came at the same moment goes on to the next one.
	select {
	case l := <-w.ready:
		switch {
		case l.shell != nil:
			p.put(l.shell)
		case l.err == nil:
			p.opened()
			p.freeSlot()
		}
	default:
	}
	return lease{}, context.Cause(ctx)
}

// waiting counts the commands that wait for a shell with this key.
func (p *pool) waiting(key string) int {
	n := 0
	for _, w := range p.waiters {
		if w.key == key {
			n++
		}
	}
	return n
}

// settle says that the shell will be put back, or discarded, in a moment.
func (p *pool) settle(s *Shell) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settling[s.key]++
}

func (p *pool) settled(s *Shell) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.settling[s.key]--; p.settling[s.key] == 0 {
		delete(p.settling, s.key)
	}
}

// put makes a shell idle, or hands it to the first command that waits for one
// like it. One that waits for room gets the shell's slot.
func (p *pool) put(s *Shell) {
	p.mu.Lock()
	for i, w := range p.waiters {
		if w.key == s.key {
			p.waiters = slices.Delete(p.waiters, i, i+1)
			p.mu.Unlock()
			w.ready <- lease{shell: s}
			return
		}
		if w.passed++; w.passed > maxPassed {
			break // it has been patient enough
		}
	}
	if !p.closed && len(p.waiters) == 0 {
		p.idle = append(p.idle, s)
		p.mu.Unlock()
		return
	}
	reason := "evicted"
	if p.closed {
		reason = "close"
	}
	p.mu.Unlock()
	p.discard(s, reason)
}

// discard deletes a shell in the background and then frees its slot.
func (p *pool) discard(s *Shell, reason string) {
	if !s.claim() {
		p.freeSlot() // somebody else has deleted it
		return
	}
	p.client.goTask(func() {
		ctx, cancel := p.client.cleanupContext(context.Background())
		defer cancel()
		p.client.deleteShell(ctx, s, reason)
		p.freeSlot()
	})
}

// freeSlot gives a slot back, or on to the first command that waits.
func (p *pool) freeSlot() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiters) > 0 && p.slots <= p.max {
		w := p.waiters[0]
		p.waiters = slices.Delete(p.waiters, 0, 1)
		p.opening++
		w.ready <- lease{}
		return
	}
	p.slots--
}

// opened ends what a lease without a shell has begun, whatever came of it.
func (p *pool) opened() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opening--
}

// unreachable is told that no connection to the host could be made. When there
// is no shell whose end the waiting commands could wait for, the attempt was
// made for all of them: otherwise each would wait its turn to find out for
// itself. Whoever comes later tries anew.
func (p *pool) unreachable(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.slots > p.opening+1 { // the caller's slot is still taken
		return
	}
	for _, w := range p.waiters {
		w.ready <- lease{err: err}
	}
	p.waiters = nil
}

// shrink deals with the error of opening a shell. When the host does not allow
// as many shells as there are slots, those that there are will have to do: then
// it reports true, and the command waits for one.
func (p *pool) shrink(err error) bool {
	code := faultCode(err)
	p.mu.Lock()
	quota := (code == codeMaxShells || code == codeShellsPPQ) && p.slots > 1 && !p.closed
	if quota {
		p.max = max(min(p.max, p.slots-1), 1)
		p.shrunk = time.Now()
		p.slots--
	}
	p.mu.Unlock()
	if !quota {
		p.freeSlot()
	}
	return quota
}

// close ends the pool and returns the idle shells. Those that are leased are
// deleted by whoever has them.
func (p *pool) close() []*Shell {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, w := range p.waiters {
		w.ready <- lease{err: ErrClosed}
	}
	p.waiters = nil
	idle := p.idle
	p.idle = nil
	return idle
}
