// Package twopass takes large messages through a cipher and a MAC on two
// processors at once.
//
// Ciphers and MACs that go byte after byte leave no other way to make one message
// faster than to run the one beside the other. The caller begins with both, piece
// by piece in turns, and starts a goroutine. As soon as that runs it takes the MAC
// over; where all processors are busy it does not run, and nothing was lost by
// waiting for it.
//
// Only a MAC over what the cipher leaves alone goes beside it. Where the cipher
// overwrites what has just been read on the other processor, each line of the
// cache is fetched back first, and that costs more than is won.
package twopass

import (
	"hash"
	"runtime"
	"sync/atomic"
)

const (
	// minTaken is what must be left of a message for the MAC to be taken over.
	minTaken = 32 << 10
	// piece is what goes through cipher and MAC at a time: little enough to be still
	// in the cache for the MAC.
	piece = 8 << 10
)

// A Runner runs cipher and MAC over one message at a time. Its zero value is
// ready; it keeps what it needs, so that a message costs no allocation. Its
// goroutine ends with the call.
//
// The start of the goroutine, and to wait for its end, cost as much as some tens of
// kilobytes. From which size on that is worth it depends on the cipher and the MAC:
// they should take a fifth of a millisecond.
type Runner struct {
	mac    hash.Hash
	data   []byte
	cipher progress

	owner atomic.Int32 // who may use mac and wrote
	wrote int          // how much of data mac has
	held  bool         // the caller is the owner

	goroutine func()        // made once: a go statement with arguments allocates
	given     chan struct{} // to the goroutine that waits for the MAC
	done      chan struct{}
}

// Owners of the MAC.
const (
	nobody int32 = iota
	caller
	callerAwaited // and the goroutine waits
	goroutine     // until the end of the message
)

// Apart runs cipher over as many bytes as data has, and writes data, which that
// does not change, to mac. A message of size parallel or larger may be worth a
// goroutine.
func (r *Runner) Apart(mac hash.Hash, data []byte, parallel int, cipher func(from, to int)) {
	r.run(true, mac, data, parallel, cipher)
}

// Behind is like Apart, but cipher changes data, and what it leaves is written.
func (r *Runner) Behind(mac hash.Hash, data []byte, parallel int, cipher func(from, to int)) {
	r.run(false, mac, data, parallel, cipher)
}

func (r *Runner) run(apart bool, mac hash.Hash, data []byte, parallel int, cipher func(from, to int)) {
	if len(data) < parallel || runtime.GOMAXPROCS(0) == 1 {
		for at := 0; at < len(data); at += piece {
			to := min(at+piece, len(data))
			cipher(at, to)
			mac.Write(data[at:to])
		}
		return
	}
	r.start(apart, mac, data)
	for at := 0; at < len(data); at += piece {
		to := min(at+piece, len(data))
		cipher(at, to)
		if !apart {
			r.cipher.reach(to)
		}
		r.write(to)
	}
	r.release()
	<-r.done
	r.mac, r.data = nil, nil
}

func (r *Runner) start(apart bool, mac hash.Hash, data []byte) {
	if r.goroutine == nil {
		r.goroutine = r.takeOver
		r.given, r.done = make(chan struct{}, 1), make(chan struct{}, 1)
		r.cipher.wake = make(chan struct{}, 1)
	}
	r.mac, r.data, r.wrote = mac, data, 0
	r.cipher.reset()
	if apart {
		r.cipher.reach(len(data))
	}
	r.owner.Store(nobody)
	go r.goroutine()
}

// write writes data up to to, unless the goroutine has the MAC.
func (r *Runner) write(to int) {
	if !r.held && !r.owner.CompareAndSwap(nobody, caller) {
		return
	}
	r.held = true
	r.mac.Write(r.data[r.wrote:to])
	r.wrote = to
	if len(r.data)-to >= minTaken {
		r.release()
	}
}

// release lets the goroutine have the MAC.
func (r *Runner) release() {
	if r.held && !r.owner.CompareAndSwap(caller, nobody) {
		r.owner.Store(goroutine)
		r.given <- struct{}{}
	}
	r.held = false
}

// takeOver is the goroutine.
func (r *Runner) takeOver() {
	for !r.owner.CompareAndSwap(nobody, goroutine) {
		if r.owner.CompareAndSwap(caller, callerAwaited) {
			<-r.given
			break
		}
	}
	for r.wrote < len(r.data) {
		to := r.cipher.wait(r.wrote, len(r.data))
		r.mac.Write(r.data[r.wrote:to])
		r.wrote = to
	}
	r.done <- struct{}{}
}

// progress is how far the cipher is, for the MAC behind it.
type progress struct {
	at   atomic.Int64
	want atomic.Int64 // where the MAC wants to be woken; 0 while it is awake
	wake chan struct{}

	patience int // how many more times the MAC looks again before it sleeps
	nap      int // for how many bytes
}

const (
	patience = 200
	minNap   = 16 << 10
)

func (p *progress) reset() {
	p.at.Store(0)
	p.patience, p.nap = patience, minNap
}

// reach says that the cipher is done up to at. Of the two that may see that the
// wanted place is reached, the one that takes want away acts on it.
func (p *progress) reach(at int) {
	p.at.Store(int64(at))
	if want := p.want.Load(); want != 0 && int64(at) >= want && p.want.CompareAndSwap(want, 0) {
		p.wake <- struct{}{}
	}
}

// wait returns how far the MAC may go, which is done up to at, and that is further
// than at.
//
// To be woken costs as much as to go through a piece. So a MAC that is as fast as
// the cipher looks again for a while. One that is faster sleeps for longer each
// time; but not until all is there, which would then be waited for in turn.
func (p *progress) wait(at, size int) int {
	for {
		if now := int(p.at.Load()); now > at {
			return now
		}
		if p.patience == 0 {
			break
		}
		p.patience--
		runtime.Gosched()
	}
	want := int64(min(size, at+max(minNap, min(p.nap, (size-at)/2))))
	p.nap *= 2
	p.want.Store(want)
	if p.at.Load() < want || !p.want.CompareAndSwap(want, 0) {
		<-p.wake
	}
	return int(p.at.Load())
}
