package powershell

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ErrNoFrame says that a command is none that Build has made.
var ErrNoFrame = errors.New("powershell: not a frame of this version")

// maxHeader bounds what a frame reads from stdin.
const maxHeader = 64 << 20

// Parse takes a command apart that Build has made: the decoded text of
// -EncodedCommand. It reads the frame's part of stdin and returns the rest as
// the script's. It is for those who imitate PowerShell: anything that is not a
// frame to the last character is refused with ErrNoFrame.
func Parse(command string, stdin io.Reader) (*Frame, io.Reader, error) {
	first, _, _ := strings.Cut(command, "\n")
	words := strings.Fields(strings.TrimPrefix(first, signature))
	if !strings.HasPrefix(first, signature) || len(words) != 2 {
		return nil, nil, ErrNoFrame
	}
	f := &Frame{Mode: Mode(words[0]), Marker: words[1]}
	f.Progress = strings.Contains(command, "\n$ProgressPreference='Continue'\n")
	f.ErrorAction, _ = literalAfter(command, "\n$ErrorActionPreference=")
	if f.Mode == Inline {
		f.Script, _ = literalAfter(command, "\n$wks=")
	}
	tail := command[max(0, len(command)-len(body)-len(runJSON)-100):]
	reads := strings.Contains(tail, "$input|&")
	if _, rest, ok := strings.Cut(tail, " -Depth "); ok {
		digits, _, _ := strings.Cut(rest, " ")
		f.Depth, _ = strconv.Atoi(digits)
	}
	if f.text(f.Mode, reads) != command {
		return nil, nil, ErrNoFrame
	}
	f.Input = reads || f.Mode == Raw
	if f.Mode == Inline {
		return f, stdin, nil
	}
	rest, err := f.readHeader(stdin)
	return f, rest, err
}

// literalAfter returns the literal that follows what is before it.
func literalAfter(command, before string) (string, bool) {
	_, rest, ok := strings.Cut(command, before)
	if !ok || !strings.HasPrefix(rest, "'") {
		return "", false
	}
	var b strings.Builder
	runes := []rune(rest[1:])
	for i := 0; i < len(runes); i++ {
		if isQuote(runes[i]) {
			if i++; i == len(runes) || !isQuote(runes[i]) {
				return b.String(), true
			}
		}
		b.WriteRune(runes[i])
	}
	return "", false
}

// readHeader reads what travels on stdin.
func (f *Frame) readHeader(stdin io.Reader) (io.Reader, error) {
	var raw []byte
	rest := stdin
	switch f.Mode {
	case Raw:
		var length [8]byte
		if _, err := io.ReadFull(stdin, length[:]); err != nil {
			return nil, fmt.Errorf("powershell: %w", err)
		}
		n, err := strconv.Atoi(string(length[:]))
		if err != nil || n < 0 || n > maxHeader {
			return nil, fmt.Errorf("powershell: length %q of the frame", length)
		}
		raw = make([]byte, n)
		if _, err := io.ReadFull(stdin, raw); err != nil {
			return nil, fmt.Errorf("powershell: %w", err)
		}
	case Object, Lines:
		r := bufio.NewReader(io.LimitReader(stdin, maxHeader))
		line, err := r.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("powershell: %w", err)
		}
		raw, rest = line, io.MultiReader(r, stdin)
	default:
		return nil, ErrNoFrame
	}
	var h header
	if err := json.Unmarshal(raw, &h); err != nil {
		return nil, fmt.Errorf("powershell: %w", err)
	}
	f.Script, f.Args = h.Script, h.Args
	if h.Dates {
		var v any
		d := json.NewDecoder(strings.NewReader(string(h.Args)))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			return nil, fmt.Errorf("powershell: %w", err)
		}
		var err error
		if f.Args, err = marshal(mapStrings(v, func(s string) string { return strings.TrimPrefix(s, "=") })); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// Report writes the line that tells of the error that ended the script.
func (f *Frame) Report(w io.Writer, r *ErrorReport) error {
	raw, err := marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\r\n", f.line(), raw)
	return err
}

// Result writes the line that carries the output as JSON: an array.
func (f *Frame) Result(w io.Writer, values []any) error {
	if values == nil {
		values = []any{}
	}
	raw, err := marshal(values)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n%s%s\n", f.line(), raw)
	return err
}
