package powershell

import "bytes"

// A LineFilter takes the frame's own lines out of a stream. They may come in the
// middle of anything: PowerShell keeps some of its own output back.
type LineFilter struct {
	prefix []byte
	rest   func([]byte) error
	line   func([]byte)
	limit  int // of a line

	held   []byte // maybe the beginning of a line
	inLine bool
}

// NewLineFilter returns a filter for the lines that begin with the frame's
// marker. The functions get what is between them, and the lines without marker
// and end.
func (f *Frame) NewLineFilter(limit int, rest func([]byte) error, line func([]byte)) *LineFilter {
	return &LineFilter{prefix: []byte(f.line()), rest: rest, line: line, limit: limit}
}

// Write implements io.Writer.
func (l *LineFilter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if l.inLine {
			p = l.finishLine(p)
			continue
		}
		if len(l.held) > 0 {
			p = append(l.held, p...)
			l.held = nil
		}
		i := bytes.Index(p, l.prefix)
		if i < 0 {
			keep := overlap(p, l.prefix)
			err := l.pass(p[:len(p)-keep])
			l.held = append([]byte(nil), p[len(p)-keep:]...)
			return n, err
		}
		if err := l.pass(p[:i]); err != nil {
			return n, err
		}
		l.inLine = true
		p = p[i+len(l.prefix):]
	}
	return n, nil
}

// finishLine takes what belongs to the line and returns the rest of p. A line
// beyond the limit is cut.
func (l *LineFilter) finishLine(p []byte) []byte {
	before, after, ok := bytes.Cut(p, []byte{'\n'})
	if !ok {
		l.held = append(l.held, p[:max(0, min(len(p), l.limit-len(l.held)))]...)
		return nil
	}
	line := before
	if len(l.held) > 0 {
		line = append(l.held, line...)
	}
	l.held, l.inLine = nil, false
	l.line(bytes.TrimSuffix(line, []byte("\r")))
	return after
}

// Close hands on what was held.
func (l *LineFilter) Close() error {
	held, inLine := l.held, l.inLine
	l.held, l.inLine = nil, false
	if inLine {
		l.line(held)

		return nil
	}
	return l.pass(held)
}

func (l *LineFilter) pass(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	return l.rest(p)
}

// overlap returns how many bytes at the end of p may begin the prefix.
func overlap(p, prefix []byte) int {
	for n := min(len(p), len(prefix)-1); n > 0; n-- {
		if bytes.HasPrefix(prefix, p[len(p)-n:]) {
			return n
		}
	}
	return 0
}
