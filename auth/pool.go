package auth

import (
	"context"
	"slices"
	"sync"
	"time"
)

// patience is how long a request waits for a control request under way to give
// its connection back before another one is dialled. A logon costs more than
// the end of a Signal.
const patience = 300 * time.Millisecond

// order is who gets a connection first.
var order = [...]Priority{Control, Normal, LongPoll}

// A pool hands out slots: the right to use one connection, idle or yet to be
// made. It keeps no connection that is in use.
type pool struct {
	max    int
	renew  time.Duration
	onIdle func(c *conn, reason string) // closes a connection that leaves the pool unused

	mu     sync.Mutex
	idle   []*conn // the one used last is at the end
	inUse  int
	polls  int // long polls of those
	brief  int // control requests of those
	queue  [len(order)][]*waiter
	closed bool
}

// A waiter is a request without a slot.
type waiter struct {
	priority Priority
	patient  bool          // rather waits for a control request's connection than dials
	granted  chan struct{} // closed when slot is its
	slot     slot
}

// A slot is the right to one connection.
type slot struct {
	pool     *pool
	priority Priority
	conn     *conn // nil: to be made
}

// take gives a slot to a request that need not wait for it: nobody does.
func (p *pool) take(priority Priority) (s slot, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.waiting() > 0 || !p.room(priority) || len(p.idle) == 0 && p.brief > 0 {
		return slot{}, false
	}
	return p.give(priority), true
}

// acquire waits for a slot, first come first served within a priority.
func (p *pool) acquire(ctx context.Context, priority Priority) (slot, error) {
	w := &waiter{priority: priority, patient: true, granted: make(chan struct{})}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return slot{}, ErrClosed
	}
	p.queue[priority] = append(p.queue[priority], w)
	p.dispatch()
	granted := w.slot.pool != nil
	p.mu.Unlock()
	if granted {
		return w.slot, nil
	}

	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case <-w.granted:
			return w.slot, nil
		case <-timer.C:
			p.mu.Lock()
			w.patient = false
			p.dispatch()
			p.mu.Unlock()
		case <-ctx.Done():
			p.leave(w)
			return slot{}, contextError(ctx)
		}
	}
}

// leave takes a waiter out of the queue, or gives back what it was granted in
// the same moment.
func (p *pool) leave(w *waiter) {
	p.mu.Lock()
	if w.slot.pool != nil {
		p.mu.Unlock()
		w.slot.release(true)
		return
	}
	defer p.mu.Unlock()
	q := p.queue[w.priority]
	if i := slices.Index(q, w); i >= 0 {
		p.queue[w.priority] = slices.Delete(q, i, i+1)
	}
	p.dispatch()
}

// dispatch grants what can be granted. p.mu is held.
func (p *pool) dispatch() {
	returning := p.brief // connections that will soon be back
	for _, class := range order {
		q := p.queue[class]
		for i := 0; i < len(q) && p.room(class); {
			if len(p.idle) == 0 && q[i].patient && returning > 0 {
				returning--
				i++
				continue
			}
			p.grant(q[i])
			q = slices.Delete(q, i, i+1)
		}
		p.queue[class] = q
	}
}

// room reports whether a request of this priority may have a slot. Long polls
// leave one to the others. p.mu is held.
func (p *pool) room(class Priority) bool {
	return p.inUse < p.max && (class != LongPoll || p.polls < p.max-1)
}

// grant gives w a slot. p.mu is held.
func (p *pool) grant(w *waiter) {
	w.slot = p.give(w.priority)
	close(w.granted)
}

// give makes a slot. p.mu is held.
func (p *pool) give(priority Priority) slot {
	s := slot{pool: p, priority: priority, conn: p.popIdle()}
	p.count(&s, 1)
	return s
}

func (p *pool) count(s *slot, n int) {
	p.inUse += n
	switch s.priority {
	case LongPoll:
		p.polls += n
	case Control:
		p.brief += n
	}
}

// popIdle returns the idle connection that was used last, nil when there is
// none. p.mu is held.
func (p *pool) popIdle() *conn {
	if len(p.idle) == 0 {
		return nil
	}
	last := len(p.idle) - 1
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	c.timer.Stop()
	return c
}

// another returns a further idle connection for a slot whose own was stale.
func (s *slot) another() *conn {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	return s.pool.popIdle()
}

// release gives the slot back, and its connection to whoever comes next if keep
// says that it is fit.
func (s *slot) release(keep bool) {
	p := s.pool
	p.mu.Lock()
	unfit := p.free(s, keep)
	p.mu.Unlock()
	if unfit != nil {
		p.onIdle(unfit, "closed")
	}
}

// free gives the slot back and returns the connection that the pool did not
// take. p.mu is held.
func (p *pool) free(s *slot, keep bool) *conn {
	p.count(s, -1)
	c := s.conn
	s.conn = nil
	if c != nil && keep && !p.closed {
		c.idleSince = time.Now().Round(0) // the wall clock goes on while a computer sleeps
		if c.timer == nil {
			c.timer = time.AfterFunc(p.renew, func() { p.expire(c) })
		} else {
			c.timer.Reset(p.renew) // it was stopped when c left
		}
		p.idle = append(p.idle, c)
		p.dispatch()
		return nil
	}
	p.dispatch()
	return c
}

// expire closes a connection that was idle too long.
func (p *pool) expire(c *conn) {
	p.mu.Lock()
	i := slices.Index(p.idle, c)
	if i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
	}
	p.mu.Unlock()
	if i >= 0 {
		p.onIdle(c, "idle")
	}
}

// closeIdle closes what is idle, and with forever lets nothing in any more.
func (p *pool) closeIdle(forever bool) {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.closed = p.closed || forever
	p.mu.Unlock()
	for _, c := range idle {
		c.timer.Stop()
		p.onIdle(c, "closed")
	}
}

// stats returns a snapshot.
func (p *pool) stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{MaxConns: p.max, Open: p.inUse + len(p.idle), InUse: p.inUse, Polls: p.polls, Waiting: p.waiting()}
}

// waiting is how many wait for a slot. p.mu is held.
func (p *pool) waiting() (n int) {
	for _, q := range p.queue {
		n += len(q)
	}
	return n
}
