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
	patient  bool // rather waits for a control request's connection than dials
	granted  chan struct{}
	slot     *slot
}

// A slot is the right to one connection.
type slot struct {
	pool     *pool
	priority Priority
	conn     *conn // nil: to be made
}

// acquire waits for a slot, first come first served within a priority.
func (p *pool) acquire(ctx context.Context, priority Priority) (*slot, error) {
	w := &waiter{priority: priority, patient: true, granted: make(chan struct{})}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, ErrClosed
	}
	p.queue[priority] = append(p.queue[priority], w)
	p.dispatch()
	if w.slot != nil {
		p.mu.Unlock()
		return w.slot, nil
	}
	p.mu.Unlock()

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
			return nil, contextError(ctx)
		}
	}
}

// leave takes a waiter out of the queue, or gives back what it was granted in
// the same moment.
func (p *pool) leave(w *waiter) {
	p.mu.Lock()
	if s := w.slot; s != nil {
		p.mu.Unlock()
		s.release(true)
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
	s := &slot{pool: p, priority: w.priority, conn: p.popIdle()}
	p.count(s, 1)
	w.slot = s
	close(w.granted)
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
		c.timer = time.AfterFunc(p.renew, func() { p.expire(c) })
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
	s := Stats{MaxConns: p.max, Open: p.inUse + len(p.idle), InUse: p.inUse, Polls: p.polls}
	for _, q := range p.queue {
		s.Waiting += len(q)
	}
	return s
}
