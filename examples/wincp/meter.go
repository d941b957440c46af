package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/winrmkit/winrmkit/winrm"
)

// A meter shows how far copies are: on a terminal in one line that is written
// again and again, otherwise in one line a file and one a lost connection.
type meter struct {
	w        io.Writer
	terminal bool
	width    int // of what stands in the line
}

func newMeter(w io.Writer) *meter {
	m := &meter{w: w}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		m.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return m
}

const nameWidth = 32

func (m *meter) show(p winrm.CopyProgress) {
	if !p.Done && p.Lost == nil && !m.terminal {
		return
	}
	line := fmt.Sprintf("%-*s %s", nameWidth, shorten(p.Path, nameWidth), amount(p.Bytes))
	if p.Total > 0 && !p.Done {
		line += fmt.Sprintf(" of %s %s %3d%%", amount(p.Total), bar(p.Bytes, p.Total), p.Bytes*100/p.Total)
	}
	switch {
	case p.Lost != nil:
		line += fmt.Sprintf("  connection lost, reconnecting (retry %d)", p.Retry)
		if !m.terminal {
			line += ": " + p.Lost.Error()
		}
	case p.Rate > 0:
		line += "  " + amount(int64(p.Rate)) + "/s"
		if p.Total > p.Bytes {
			left := time.Duration(float64(p.Total-p.Bytes) / p.Rate * float64(time.Second))
			line += "  " + left.Round(time.Second).String() + " left"
		}
	}
	if p.Resumed > 0 {
		line += fmt.Sprintf("  (%s were there)", amount(p.Resumed))
	}
	if !m.terminal {
		fmt.Fprintln(m.w, line)
		return
	}
	width := utf8.RuneCountInString(line)
	fmt.Fprint(m.w, "\r"+line+strings.Repeat(" ", max(0, m.width-width)))
	m.width = width
	if p.Done {
		m.end()
	}
}

// end leaves the line.
func (m *meter) end() {
	if m != nil && m.width > 0 {
		fmt.Fprintln(m.w)
		m.width = 0
	}
}

// shorten keeps the end of a path, where the name is.
func shorten(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	return "…" + string(r[len(r)-width+1:])
}

func bar(n, total int64) string {
	const width = 20
	done := int(n * width / total)
	return "[" + strings.Repeat("#", done) + strings.Repeat("-", width-done) + "]"
}

func amount(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d B", n)
	case n < 10_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 10_000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2f GB", float64(n)/1e9)
}
