package krb5

import (
	"crypto/sha256"
	"sync"
	"time"
)

// A ReplayCache remembers the authenticators that a server has accepted, for as
// long as they would be accepted again. It holds at most a fixed number; under
// a flood the oldest leave first. The zero value is ready and holds 65536.
type ReplayCache struct {
	Max int

	mu    sync.Mutex
	seen  map[[32]byte]struct{}
	queue []replayEntry // in the order of arrival
	head  int
}

type replayEntry struct {
	sum  [32]byte
	when time.Time
}

// add reports whether the authenticator is new, and remembers it.
func (r *ReplayCache) add(authenticator []byte, now time.Time) bool {
	sum := sha256.Sum256(authenticator)
	r.mu.Lock()
	defer r.mu.Unlock()
	limit := r.Max
	if limit <= 0 {
		limit = 1 << 16
	}
	if r.seen == nil {
		r.seen = make(map[[32]byte]struct{})
	}
	// An authenticator is accepted from maxSkew before to maxSkew after its time.
	for r.head < len(r.queue) && (now.Sub(r.queue[r.head].when) > 2*maxSkew || len(r.seen) >= limit) {
		delete(r.seen, r.queue[r.head].sum)
		r.head++
	}
	if r.head > len(r.queue)/2 {
		r.queue = append(r.queue[:0], r.queue[r.head:]...)
		r.head = 0
	}
	if _, ok := r.seen[sum]; ok {
		return false
	}
	r.seen[sum] = struct{}{}
	r.queue = append(r.queue, replayEntry{sum, now})
	return true
}
