package bench_test

import (
	"runtime"
	"slices"
	"testing"
	"time"
)

// ours is the name of this library among the contestants.
const ours = "winrmkit"

// A contestant does the work that a group measures.
type contestant struct {
	name string
	op   func() error
	// cpu is the processor time that its process has used; nil is this process,
	// of which the allocations count too.
	cpu func() time.Duration
	// counts are further figures per operation, as totals so far; with perByte
	// per byte of so many an operation, those per MB per million.
	counts  map[string]func() int
	perByte int64
}

// cost is what one operation took, by unit.
type cost struct {
	figures map[string]float64
	op      func() error
}

// A group is a set of contestants that do the same work. section and row name it
// in the table.
type group struct {
	section, row string
	names        []string
	costs        map[string]cost
}

// Units of figures.
const (
	unitTime     = "time/op"
	unitCPU      = "cpu-ns/op"
	unitAllocs   = "allocs/op"
	unitBytes    = "B/op"
	unitRate     = "MB/s"
	unitPerMB    = "exchanges/MB"
	unitCPUPerMB = "cpu-ns/MB"
	unitWire     = "wire-bytes/byte"
)

// run measures op in this process.
func (g *group) run(b *testing.B, name string, size int64, op func() error) {
	b.Helper()
	g.measure(b, contestant{name: name, op: op}, size)
}

// measure does the operation b.N times, after one round that warms it up.
func (g *group) measure(b *testing.B, c contestant, size int64) {
	b.Helper()
	var last cost
	b.Run(c.name, func(b *testing.B) {
		last = c.measured(b, size)
		for unit, v := range last.figures {
			if unit != unitTime && unit != unitAllocs && unit != unitBytes && unit != unitRate { // those are the framework's
				b.ReportMetric(v, unit)
			}
		}
	})
	if last.op == nil {
		return // filtered out by -bench, or failed
	}
	if g.costs == nil {
		g.costs = make(map[string]cost)
	}
	g.names = append(g.names, c.name)
	g.costs[c.name] = last
	for unit, v := range last.figures {
		figures.add(g.section, g.row, unit, c.name, v)
	}
}

func (c contestant) measured(b *testing.B, size int64) cost {
	if err := c.op(); err != nil {
		b.Fatal(err)
	}
	inside := c.cpu == nil
	if inside {
		c.cpu = processTime
		b.ReportAllocs()
	}
	b.SetBytes(size)
	counted := make(map[string]int, len(c.counts))
	for unit, total := range c.counts {
		counted[unit] = total()
	}
	times := make([]time.Duration, 0, b.N)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpu := c.cpu()
	b.ResetTimer()
	for range b.N {
		began := time.Now()
		if err := c.op(); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
	}
	b.StopTimer()
	cpu = c.cpu() - cpu
	runtime.ReadMemStats(&after)
	n := float64(b.N)
	usual := median(times)
	f := map[string]float64{unitTime: float64(usual)}
	switch {
	case cpu <= 0:
	case c.perByte > 0:
		f[unitCPUPerMB] = float64(cpu) / n / float64(c.perByte) * 1e6
	default:
		f[unitCPU] = float64(cpu) / n
	}
	if inside {
		f[unitAllocs] = float64(after.Mallocs-before.Mallocs) / n
		f[unitBytes] = float64(after.TotalAlloc-before.TotalAlloc) / n
	}
	if size > 0 {
		f[unitRate] = float64(size) / usual.Seconds() / 1e6
	}
	for unit, total := range c.counts {
		f[unit] = float64(total()-counted[unit]) / n / float64(max(c.perByte, 1))
		if unit == unitPerMB {
			f[unit] *= 1e6
		}
	}
	return cost{figures: f, op: c.op}
}

// floor fails the benchmark when another contestant allocates less than so many
// times what the base does. Allocations are the same on a busy machine; times,
// which are not, are only reported.
func (g *group) floor(b *testing.B, base, other string, allocs float64) {
	b.Helper()
	mine, theirs := g.costs[base].figures[unitAllocs], g.costs[other].figures[unitAllocs]
	if mine == 0 || theirs == 0 {
		return // filtered out by -bench, or nothing to compare
	}
	if ratio := theirs / mine; ratio < allocs {
		b.Errorf("%s allocates only %.2f times as often as %s, not %.2f times", other, ratio, base, allocs)
	}
}

// ratios reports every other contestant as a multiple of the base.
func (g *group) ratios(b *testing.B, base string) {
	b.Helper()
	mine, measured := g.costs[base]
	if !measured {
		return // filtered out by -bench
	}
	for _, name := range g.names {
		if name == base {
			continue
		}
		other := g.costs[name]
		var times float64 // measured once: the framework calls again with a larger b.N
		b.Run("ratio/"+name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op") // not shown
			if times == 0 {
				times = compare(b, other.op, mine.op)
			}
			b.ReportMetric(times, "x-time")
			for _, unit := range []string{unitAllocs, unitBytes, unitCPU} {
				if v, ok := other.figures[unit]; ok {
					b.ReportMetric(v/max(mine.figures[unit], 1), "x-"+unit)
				}
			}
		})
		if times > 0 {
			figures.add(g.section, g.row, unitRatio, name, times)
		}
	}
}

// rates is ratios for contestants whose operations are of different sizes.
func (g *group) rates(b *testing.B) {
	b.Helper()
	mine := g.costs[ours].figures[unitRate]
	for _, name := range g.names {
		if name == ours || mine == 0 {
			continue
		}
		b.Run("ratio/"+name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op") // not shown
			b.ReportMetric(mine/g.costs[name].figures[unitRate], "x-time")
		})
	}
}

// compare returns how many times as long as the base the other operation takes.
// They take turns, so that what else the machine does slows both, and the medians
// count: the fastest round of a contestant is one in which its garbage was not
// collected.
func compare(b *testing.B, other, base func() error) float64 {
	b.Helper()
	const most = 100
	limit := 500 * time.Millisecond
	if testing.Short() {
		limit = 100 * time.Millisecond
	}
	var slow, fast []time.Duration
	began := time.Now()
	for len(fast) < most && time.Since(began) < limit {
		slow = append(slow, duration(b, other))
		fast = append(fast, duration(b, base))
	}
	return float64(median(slow)) / float64(median(fast))
}

func median[T float64 | time.Duration](d []T) T {
	slices.Sort(d)
	return d[len(d)/2]
}

func duration(b *testing.B, op func() error) time.Duration {
	b.Helper()
	began := time.Now()
	if err := op(); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}
