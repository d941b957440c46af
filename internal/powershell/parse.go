package powershell

import (
	"bufio"
	"bytes"
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
// frame to the last character is refused with ErrNoFrame. Any other error is one
// that ends the frame before its script runs; the Frame is returned with it.
func Parse(command string, stdin io.Reader) (*Frame, io.Reader, error) {
	first, _, _ := strings.Cut(command, "\n")
	words := strings.Fields(strings.TrimPrefix(first, signature))
	if !strings.HasPrefix(first, signature) || len(words) != 2 {
		return nil, nil, ErrNoFrame
	}
	f := &Frame{Mode: Mode(words[0]), Marker: words[1]}
	// The script of inline stands in the middle, and may look like any of this.
	before, _, _ := strings.Cut(command, begin)
	after := command[max(0, strings.LastIndex(command, block)):]
	f.Progress = strings.Contains(before, "\n$ProgressPreference='Continue'\n")
	f.ErrorAction, _ = literalAfter(before, "\n$ErrorActionPreference=")
	if strings.Contains(before, "\n$ErrorActionPreference="+ignore+"\n") {
		f.ErrorAction = "Ignore"
	}
	if f.Mode == Inline {
		f.Script, _ = literalAfter(command, "\n$wks=")
	}
	reads := strings.Contains(after, "$input|&")
	if _, rest, ok := strings.Cut(after, " -Depth "); ok {
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
	if first, second, ok := duplicate(h.Args); ok {
		return nil, &DuplicateError{first, second}
	}
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

// A DuplicateError is what ConvertFrom-Json says to an object with two names that
// PowerShell takes for the same.
type DuplicateError struct{ First, Second string }

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("Cannot convert the JSON string because a dictionary that was converted from the string contains the duplicated keys '%s' and '%s'.", e.First, e.Second)
}

// duplicate finds such names.
func duplicate(raw json.RawMessage) (first, second string, ok bool) {
	type object struct {
		names map[string]string // by what they are compared by, nil for an array
		value bool              // comes next
	}
	var open []object
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	for {
		t, err := d.Token()
		if err != nil {
			return "", "", false
		}
		if n := len(open) - 1; n >= 0 && open[n].names != nil && t != json.Delim('}') {
			if name, isName := t.(string); isName && !open[n].value {
				key := strings.ToLower(name)
				if other, there := open[n].names[key]; there {
					return other, name, true
				}
				open[n].names[key] = name
			}
			open[n].value = !open[n].value
		}
		switch t {
		case json.Delim('{'):
			open = append(open, object{names: map[string]string{}})
		case json.Delim('['):
			open = append(open, object{})
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		}
	}
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
