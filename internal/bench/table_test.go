package bench_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// unitRatio is the time of a contestant as a multiple of ours, both taking turns.
// It goes beside the time, not in a row of its own.
const unitRatio = "x-time"

// figures are those of this run.
var figures collector

// A collector keeps what was measured, in the order in which it came.
type collector struct {
	mu    sync.Mutex
	cells []*cell
}

// A cell is one figure of one contestant, once for each run of the benchmarks.
type cell struct {
	section, row, unit, name string
	values                   []float64
}

func (c *collector) add(section, row, unit, name string, value float64) {
	if section == "" {
		return // not in the table
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.find(section, row, unit, name)
	if x == nil {
		x = &cell{section: section, row: row, unit: unit, name: name}
		c.cells = append(c.cells, x)
	}
	x.values = append(x.values, value)
}

func (c *collector) find(section, row, unit, name string) *cell {
	for _, x := range c.cells {
		if x.section == section && x.row == row && x.unit == unit && x.name == name {
			return x
		}
	}
	return nil
}

// columns are the contestants, ours first.
var columns = []string{ours, oneStream, "masterzen", "pywinrm", "pypsrp", "winrmcp", "encoding-xml", boundName}

// boundName is no contestant but what none can do without: it is not beaten.
const boundName = "bound"

// units are the rows within a row, in this order, and whether less is better.
var units = []struct {
	name  string
	title string
	less  bool
	text  func(float64) string
}{
	{unitTime, "time", true, func(v float64) string { return time.Duration(v).Round(roundTo(v)).String() }},
	{unitRate, "MB/s", false, short},
	{unitCommands, "commands/s", false, short},
	{unitCPU, "processor time", true, func(v float64) string { return time.Duration(v).Round(roundTo(v)).String() }},
	{unitCPUPerMB, "processor time/MB", true, func(v float64) string { return time.Duration(v).Round(roundTo(v)).String() }},
	{unitAllocs, "allocations", true, short},
	{unitExchanges, "exchanges", true, short},
	{unitKDC, "exchanges with the KDC", true, short},
	{unitPerMB, "exchanges/MB", true, short},
	{unitWire, "bytes on the wire/byte", true, short},
	{unitMemory, "KiB of memory/idle host", true, short},
	{unitRunning, "KiB of memory/running host", true, short},
	{unitRoutines, "goroutines or threads/running host", true, short},
	{unitSockets, "open sockets", true, short},
}

func roundTo(ns float64) time.Duration {
	unit := time.Nanosecond
	for ns >= 1000 {
		ns /= 10
		unit *= 10
	}
	return unit
}

// short writes three digits.
func short(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
	default:
		return strings.TrimSuffix(fmt.Sprintf("%.2f", v), ".00")
	}
}

// hidden are figures that say nothing in a section: a stream's time is its rate.
func hidden(rates bool, unit string) bool {
	return rates && (unit == unitTime || unit == unitAllocs || unit == unitExchanges)
}

// markdown is the table.
func (c *collector) markdown() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out strings.Builder
	behind := false
	for _, section := range c.list(func(x *cell) string { return x.section }, "", "") {
		names := slices.DeleteFunc(slices.Clone(columns), func(n string) bool {
			return !slices.ContainsFunc(c.cells, func(x *cell) bool { return x.section == section && x.name == n })
		})
		fmt.Fprintf(&out, "\n## %s\n\n| | | %s |\n|---|---|%s\n", section, strings.Join(names, " | "), strings.Repeat("---|", len(names)))
		for _, row := range c.list(func(x *cell) string { return x.row }, section, "") {
			behind = c.rows(&out, section, row, names) || behind
		}
		if note := notes[section]; note != "" {
			fmt.Fprintf(&out, "\n%s\n", note)
		}
	}
	if behind {
		out.WriteString("\n(!) marks what another does better.\n")
	}
	return out.String()
}

// rows writes what there is of one row, a line for each unit.
func (c *collector) rows(out *strings.Builder, section, row string, names []string) (behind bool) {
	rates := c.find(section, row, unitRate, ours) != nil
	title := row
	for _, u := range units {
		mine := c.find(section, row, u.name, ours)
		if mine == nil || hidden(rates, u.name) {
			continue
		}
		fmt.Fprintf(out, "| %s | %s |", title, u.title)
		title = ""
		for _, name := range names {
			x := c.find(section, row, u.name, name)
			if x == nil {
				out.WriteString(" – |")
				continue
			}
			fmt.Fprintf(out, " %s", u.text(middle(x.values)))
			if name == ours {
				fmt.Fprintf(out, "%s |", spread(x.values, u.text))
				continue
			}
			ratios := relative(mine.values, x.values, u.less)
			if ratios == nil {
				out.WriteString(" |") // ours is nothing at all
				continue
			}
			if t := c.find(section, row, unitRatio, name); t != nil && (u.name == unitTime || u.name == unitRate) {
				ratios = t.values
			}
			mark := ""
			if middle(ratios) < 0.995 && name != boundName {
				mark, behind = " (!)", true
			}
			fmt.Fprintf(out, " · %s×%s%s |", short(middle(ratios)), spread(ratios, short), mark)
		}
		out.WriteString("\n")
	}
	return behind
}

// relative is how many times better than the other's our value is, run by run. It is
// nil where ours is zero.
func relative(mine, other []float64, less bool) []float64 {
	var r []float64
	for i := range min(len(mine), len(other)) {
		a, b := other[i], mine[i]
		if !less {
			a, b = b, a
		}
		if b != 0 {
			r = append(r, a/b)
		}
	}
	return r
}

func middle(v []float64) float64 { return median(slices.Clone(v)) }

// spread is the least and the greatest of several runs, if they differ as written.
func spread(v []float64, text func(float64) string) string {
	least, most := text(slices.Min(v)), text(slices.Max(v))
	if least == most {
		return ""
	}
	return " (" + least + "–" + most + ")"
}

func (c *collector) list(field func(*cell) string, section, row string) []string {
	var out []string
	for _, x := range c.cells {
		if section != "" && x.section != section || row != "" && x.row != row {
			continue
		}
		if f := field(x); !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}

const tableHead = `# Benchmarks

Written by ` + "`./internal/bench/peers.sh`" + `, not by hand. Each figure is the median of %d rounds,
in brackets the least and the greatest. After the dot: how many times ours is better,
of times and rates with both taking turns. All clients talk to the same servers of
winrmtest in child processes on the loopback, whose work is in the times of all but
in no processor time; each command of a client runs in a shell that is open already
unless the row says otherwise. A dash: the client cannot do it, or the row was not
run for it.

Machine: %s. Date: %s.
Versions: %s.
`

func (c *collector) write(name string) error {
	text := fmt.Sprintf(tableHead, *rounds, machine(), time.Now().Format(time.DateOnly), versions()) + c.markdown()
	return os.WriteFile(name, []byte(text), 0o644) //nolint:gosec // a document
}

func machine() string {
	s := fmt.Sprintf("%s/%s, %d processors", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return s
	}
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return s + ", " + strings.TrimSpace(value)
		}
	}
	return s
}

// versions are those of the compiler and of the other clients.
func versions() string {
	v := []string{runtime.Version()}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Path}} {{.Version}}", "github.com/masterzen/winrm").Output()
	if err == nil {
		v = append(v, string(bytes.TrimSpace(out)))
	}
	if python := interpreter(); python != "" {
		const script = "import sys\nfrom importlib.metadata import version\n" +
			"print('Python', sys.version.split()[0], *(', ' + n + ' ' + version(n) for n in ('pywinrm', 'pypsrp', 'pyspnego')))"
		if out, err := exec.Command(python, "-c", script).Output(); err == nil { //nolint:gosec // the peers' Python
			v = append(v, strings.ReplaceAll(string(bytes.TrimSpace(out)), " ,", ","))
		}
	}
	return strings.Join(v, ", ")
}

func TestTable(t *testing.T) {
	var c collector
	for _, ms := range []float64{1, 2, 4} {
		c.add("Commands", "warm", unitTime, ours, ms*1e6)
		c.add("Commands", "warm", unitTime, "masterzen", ms*5e6)
		c.add("Commands", "warm", unitRatio, "masterzen", ms+2)
		c.add("Commands", "warm", unitAllocs, ours, 100)
		c.add("Commands", "warm", unitAllocs, "masterzen", 50)
		c.add("Pipes", "out", unitRate, ours, 200)
		c.add("Pipes", "out", unitTime, ours, 1)
		c.add("Pipes", "out", unitRate, "pypsrp", 20)
		c.add("", "none", unitTime, ours, 1)
	}
	assert.Equal(t, `
## Commands

| | | winrmkit | masterzen |
|---|---|---|---|
| warm | time | 2ms (1ms–4ms) | 10ms · 4× (3–6) |
|  | allocations | 100 | 50 · 0.50× (!) |

## Pipes

| | | winrmkit | pypsrp |
|---|---|---|---|
| out | MB/s | 200 | 20 · 10× |

(!) marks what another does better.
`, c.markdown())
}
