package winrm

import (
	"sync"
	"time"
)

// progress calls CopyOptions.Progress, for one goroutine at a time.
type progress struct {
	fn    func(CopyProgress)
	begun time.Time

	mu    sync.Mutex
	p     CopyProgress
	told  time.Time
	count int64 // bytes
	ended bool  // nothing is told any more
}

const progressEvery = 100 * time.Millisecond

func newProgress(path string, total int64, fn func(CopyProgress)) *progress {
	return &progress{fn: fn, p: CopyProgress{Path: path, Total: total}, begun: time.Now()}
}

// resume is told how much was there.
func (p *progress) resume(n int64) { p.p.Resumed, p.count = n, n }

// at is told how far a copy is that goes from the beginning to the end.
func (p *progress) at(n int64) { p.add(n - p.count) }

// add is told of further bytes.
func (p *progress) add(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count += n
	if p.fn != nil && !p.ended && time.Since(p.told) >= progressEvery {
		p.tell()
	}
}

// done ends it: what is told later comes too late.
func (p *progress) done(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count, p.p.Done, p.ended = n, true, true
	if p.fn != nil {
		p.tell()
	}
}

// end lets nothing be told after it, whatever other goroutines are still about.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
}

// inTurn is a function of CopyOptions.Progress for several copies at once.
func inTurn(fn func(CopyProgress)) func(CopyProgress) {
	if fn == nil {
		return nil
	}
	var mu sync.Mutex
	return func(p CopyProgress) {
		mu.Lock()
		defer mu.Unlock()
		fn(p)
	}
}

func (p *progress) tell() {
	p.told = time.Now()
	p.p.Bytes = p.count
	if d := p.told.Sub(p.begun).Seconds(); d > 0 {
		p.p.Rate = float64(p.count-p.p.Resumed) / d
	}
	p.fn(p.p)
}
