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

// Page is how far the MAC stays behind a cipher that overwrites the message from its
// beginning to its end: a processor reads on in the page that it is in, and the other
// would have to fetch back what it is about to write.
const Page = 4 << 10

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
	r.run(true, mac, data, parallel, 0, cipher)
}

// Behind is like Apart, but cipher changes data, and what it leaves is written. gap
// is how far that stays behind, see [Page]; more, if cipher does not go through what
// it is given from its beginning.
func (r *Runner) Behind(mac hash.Hash, data []byte, parallel, gap int, cipher func(from, to int)) {
	r.run(false, mac, data, parallel, gap, cipher)
}

func (r *Runner) run(apart bool, mac hash.Hash, data []byte, parallel, gap int, cipher func(from, to int)) {
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
			r.cipher.reach(to, len(data), gap)
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
	r.cipher.at.Store(0)
	if apart {
		r.cipher.reach(len(data), len(data), 0)
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
		to := r.cipher.wait(r.wrote)
		r.mac.Write(r.data[r.wrote:to])
		r.wrote = to
	}
	r.done <- struct{}{}
}

// progress is how far the MAC may go behind the cipher.
type progress struct {
	at     atomic.Int64
	asleep atomic.Bool // the MAC wants to be woken
	wake   chan struct{}
}

// patience is how often the MAC looks for more before it sleeps: about as long as
// the cipher needs for a piece. To be woken may take longer, and the end of the
// message would wait for that. While it looks, other goroutines go first.
const patience = 200

// reach says that the cipher is done up to at. Of the two that may see that there is
// more, the one that takes asleep away acts on it.
func (p *progress) reach(at, size, gap int) {
	if at < size {
		at -= gap
	}
	p.at.Store(int64(at))
	if p.asleep.Load() && p.asleep.CompareAndSwap(true, false) {
		p.wake <- struct{}{}
	}
}

// wait returns how far the MAC may go, which is done up to at, and that is further
// than at.
func (p *progress) wait(at int) int {
	for {
		for range patience {
			if now := int(p.at.Load()); now > at {
				return now
			}
			runtime.Gosched()
		}
		p.asleep.Store(true)
		if int(p.at.Load()) <= at || !p.asleep.CompareAndSwap(true, false) {
			<-p.wake
		}
	}
}
