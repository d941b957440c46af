package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/winrmkit/winrmkit/winrm"
)

// A console shows the streams of a script on a terminal.
type console struct {
	w        io.Writer
	terminal bool
	width    int // of the line of progress
}

func newConsole(w io.Writer) *console {
	c := &console{w: w}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		c.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return c
}

// Colours of PowerShell's own console, as escape sequences of ECMA-48.
const (
	red    = "\x1b[91m"
	yellow = "\x1b[93m"
	cyan   = "\x1b[96m"
	plain  = "\x1b[0m"
)

// record shows progress; everything else comes by Write, in its place among the
// words of other programs.
func (c *console) record(r winrm.Record) {
	if r.Progress != nil {
		c.progress(r)
	}
}

// Write shows what went to the standard error, in the colour of its stream.
func (c *console) Write(p []byte) (int, error) {
	c.clear()
	for line := range strings.Lines(string(p)) {
		colour := red
		for _, prefix := range []string{"WARNING: ", "VERBOSE: ", "DEBUG: "} {
			if strings.HasPrefix(line, prefix) {
				colour = yellow
			}
		}
		if _, err := fmt.Fprint(c.w, colour+harmless(line)+plain); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// harmless takes what would steer the terminal out of a text of the host's.
func harmless(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' && r != '\t' || r >= 0x7F && r < 0xA0 {
			return -1
		}
		return r
	}, s)
}

func (c *console) progress(r winrm.Record) {
	c.clear()
	if r.Progress.Completed {
		return
	}
	line := harmless(r.Text)
	if p := r.Progress.Percent; p >= 0 {
		line = fmt.Sprintf("%s %d%%", line, p)
	}
	c.width = utf8.RuneCountInString(line)
	fmt.Fprintf(c.w, cyan+"%s"+plain, line)
}

func (c *console) clear() {
	if c.width > 0 {
		fmt.Fprint(c.w, "\r\x1b[K")
		c.width = 0
	}
}

func (c *console) end() { c.clear() }
