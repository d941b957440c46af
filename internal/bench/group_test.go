package bench_test

import (
	"runtime"
	"slices"
	"testing"
	"time"
)

// cost is what one operation of one contestant took.
type cost struct {
	cpu           time.Duration
	allocs, bytes float64
	size          int64 // of the work of op, where contestants differ
	op            func() error
}

// A group is a set of contestants that do the same work.
type group struct {
	names []string
	costs map[string]cost
}

// run measures one contestant: op b.N times, after one round that warms it up.
func (g *group) run(b *testing.B, name string, size int64, op func() error) {
	b.Helper()
	b.Run(name, func(b *testing.B) {
		if err := op(); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(size)
		b.ReportAllocs()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		cpu := processTime()
		b.ResetTimer()
		for range b.N {
			if err := op(); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		cpu = processTime() - cpu
		runtime.ReadMemStats(&after)
		n := float64(b.N)
		b.ReportMetric(float64(cpu)/n, "cpu-ns/op")
		g.add(name, cost{
			op:     op,
			cpu:    cpu / time.Duration(b.N),
			allocs: float64(after.Mallocs-before.Mallocs) / n,
			bytes:  float64(after.TotalAlloc-before.TotalAlloc) / n,
		})
	})
}

func (g *group) add(name string, c cost) {
	if g.costs == nil {
		g.costs = make(map[string]cost)
	}
	if _, again := g.costs[name]; !again { // the framework repeats a run with a larger b.N
		g.names = append(g.names, name)
	}
	g.costs[name] = c
}

// floor fails the benchmark when another contestant allocates less than so many
// times what the base does. Allocations are the same on a busy machine; times,
// which are not, are only reported.
func (g *group) floor(b *testing.B, base, other string, allocs float64) {
	b.Helper()
	ours, theirs := g.costs[base], g.costs[other]
	if ours.allocs == 0 || theirs.allocs == 0 {
		return // filtered out by -bench, or nothing to compare
	}
	if ratio := theirs.allocs / ours.allocs; ratio < allocs {
		b.Errorf("%s allocates only %.2f times as often as %s, not %.2f times", other, ratio, base, allocs)
	}
}

// ratios reports every other contestant as a multiple of the base.
func (g *group) ratios(b *testing.B, base string) {
	b.Helper()
	ours, measured := g.costs[base]
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
				times = compare(b, other.op, ours.op)
				if other.size != ours.size {
					times *= float64(ours.size) / float64(other.size)
				}
			}
			b.ReportMetric(times, "x-time")
			if other.allocs == 0 {
				return // not measured
			}
			b.ReportMetric(other.allocs/max(ours.allocs, 1), "x-allocs")
			b.ReportMetric(other.bytes/max(ours.bytes, 1), "x-bytes")
			if ours.cpu > 0 && other.cpu > 0 {
				b.ReportMetric(float64(other.cpu)/float64(ours.cpu), "x-cpu")
			}
		})
	}
}

// compare returns how many times as long as the base the other operation takes.
// They take turns, so that what else the machine does slows both, and the medians
// count: the fastest round of a contestant is one in which its garbage was not
// collected.
func compare(b *testing.B, other, base func() error) float64 {
	b.Helper()
	const most, limit = 100, 2 * time.Second
	var slow, fast []time.Duration
	began := time.Now()
	for len(fast) < most && time.Since(began) < limit {
		slow = append(slow, duration(b, other))
		fast = append(fast, duration(b, base))
	}
	return float64(median(slow)) / float64(median(fast))
}

func median(d []time.Duration) time.Duration {
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
