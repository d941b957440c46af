package winrm

import (
	"sync"
	"time"
)

// progress calls CopyOptions.Progress, for one goroutine at a time.
type progress struct {
	fn    func(CopyProgress)
	start time.Time

	mu    sync.Mutex
	p     CopyProgress
	told  time.Time
	count int64 // bytes
	begun bool  // resume was called
	ended bool  // nothing is told any more
}

const progressEvery = 100 * time.Millisecond

func newProgress(path string, total int64, fn func(CopyProgress)) *progress {
	return &progress{fn: fn, p: CopyProgress{Path: path, Total: total}, start: time.Now()}
}

// resume is told how much is there, at the beginning and whenever the copy is taken up
// again after that.
func (p *progress) resume(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.begun {
		p.begun, p.p.Resumed = true, n
	}
	p.count, p.p.Retry, p.p.Lost = n, 0, nil
}

// resumed is how much an earlier copy had done.
func (p *progress) resumed() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.p.Resumed
}

// lost is told that the copy has lost its connection, and of which retry it is.
func (p *progress) lost(retry int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.p.Retry, p.p.Lost = retry, err
	if p.fn != nil && !p.ended {
		p.tell()
	}
}

// add is told of further bytes, or of bytes that were told of and are lost.
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
	p.p.Retry, p.p.Lost = 0, nil
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
	p.p.Bytes = max(p.p.Bytes, p.count) // what is sent again does not count twice
	if d := p.told.Sub(p.start).Seconds(); d > 0 {
		p.p.Rate = float64(p.p.Bytes-p.p.Resumed) / d
	}
	p.fn(p.p)
}
