package winrm

import (
	"sync"

	"github.com/winrmkit/winrmkit/internal/fileagent"
)

// pieces hands out what is left to copy of a file, from its beginning on, to the
// streams of the copy. What is handed out lies close together, so that the part file
// has no large holes: NTFS would fill them with zeros.
type pieces struct {
	size int64

	mu   sync.Mutex
	cond *sync.Cond
	have []uint64 // bits of the blocks that an earlier copy has left
	kept int64    // bytes of those
	next int64    // all before is handed out or there
	open []*piece // handed out and not done, with those that wait for ones before them
	back []*piece // of those, the ones whose streams have lost them
	stop bool     // hand out nothing more
}

// A piece is what one stream copies at a time.
type piece struct {
	off, n int64
	got    int64 // of a download: how much has come
	done   bool
}

func newPieces(size int64) *pieces {
	p := &pieces{size: size}
	p.cond = sync.NewCond(&p.mu)
	return p
}

const bits = 64

// keep says that a block is there.
func (p *pieces) keep(block int64) {
	for int64(len(p.have)) <= block/bits {
		p.have = append(p.have, 0)
	}
	p.have[block/bits] |= 1 << (block % bits)
	p.kept += min(fileagent.BlockSize, p.size-block*fileagent.BlockSize)
}

func (p *pieces) has(off int64) bool {
	block := off / fileagent.BlockSize
	return block/bits < int64(len(p.have)) && p.have[block/bits]&(1<<(block%bits)) != 0
}

// left is how many bytes are to be copied.
func (p *pieces) left() int64 { return p.size - p.kept }

// take hands out at most so many bytes, in whole blocks, nil at the end. With
// streams, it leaves something for so many of them.
func (p *pieces) take(most int64, streams int) *piece {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop {
		return nil
	}
	if len(p.back) > 0 {
		pc := p.back[0]
		p.back = p.back[1:]
		return pc
	}
	for p.next < p.size && p.has(p.next) {
		p.next += fileagent.BlockSize
	}
	if p.next >= p.size {
		p.next = p.size
		p.cond.Broadcast()
		return nil
	}
	if streams > 1 {
		share := (p.size - p.next) / int64(2*streams)
		most = max(min(most, share/fileagent.PieceSize*fileagent.PieceSize), fileagent.PieceSize)
	}
	pc := &piece{off: p.next}
	for pc.n < most && p.next < p.size && !p.has(p.next) {
		p.next = min(p.next+fileagent.BlockSize, p.size)
		pc.n = p.next - pc.off
	}
	p.open = append(p.open, pc)
	return pc
}

// finish says that a piece has been copied.
func (p *pieces) finish(pc *piece) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finishLocked(pc)
}

func (p *pieces) finishLocked(pc *piece) {
	pc.done = true
	for len(p.open) > 0 && p.open[0].done {
		p.open = p.open[1:]
	}
	p.cond.Broadcast()
}

// giveBack says that of a piece only so many bytes have been copied. The rest is for
// another stream.
func (p *pieces) giveBack(pc *piece, copied int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pc.off += copied
	pc.n -= copied
	if pc.n == 0 {
		p.finishLocked(pc)
		return
	}
	p.back = append(p.back, pc)
	p.cond.Broadcast()
}

// more waits until there is something to hand out that was given back. It reports false
// when all has been copied, or will not be.
func (p *pieces) more() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.stop && len(p.back) == 0 && p.knownLocked() < p.size {
		p.cond.Wait()
	}
	return !p.stop && len(p.back) > 0
}

// halt ends the handing out.
func (p *pieces) halt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop = true
	p.cond.Broadcast()
}

func (p *pieces) halted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stop
}

// known is up to where everything has been copied.
func (p *pieces) known() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.knownLocked()
}

func (p *pieces) knownLocked() int64 {
	if len(p.open) > 0 {
		return p.open[0].off
	}
	return p.next
}

// awaitAll waits until everything has been copied. It reports false when it will not be.
func (p *pieces) awaitAll() bool {
	known, ok := int64(0), true
	for ok && known < p.size {
		known, ok = p.await(known)
	}
	return ok
}

// await waits until more is known than from, and returns it. It reports false when
// there will be no more.
func (p *pieces) await(from int64) (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.stop && p.knownLocked() <= from && from < p.size {
		p.cond.Wait()
	}
	return p.knownLocked(), !p.stop
}
