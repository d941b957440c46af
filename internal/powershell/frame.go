package powershell

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A Mode is how a script travels.
type Mode string

const (
	Inline Mode = "inline"
	Object Mode = "object"
	Lines  Mode = "lines"
	Raw    Mode = "raw"
)

// A Frame is a script with what it is run with.
type Frame struct {
	Script      string
	Args        json.RawMessage // an object or array, nil for none
	Input       bool            // stdin is the script's, apart from what the frame needs
	Progress    bool            // let progress records through
	ErrorAction string          // of $ErrorActionPreference, "" for the default
	Depth       int             // write the output as JSON of this depth; 0 writes it as PowerShell does

	Mode   Mode   // chosen by Build
	Marker string // begins the lines of the frame's own; made by Build
}

// MarkerPrefix begins the frame's own lines, the marker follows.
const MarkerPrefix = "#< winrmkit "

// maxUnits is what fits into a command line of cmd.exe, which has 8191
// characters, besides the program and its options: base64 of UTF-16.
const maxUnits = (8191 - 200) / 4 * 3 / 2

// usesInput finds scripts that read their pipeline input.
var usesInput = regexp.MustCompile(`(?i)\$(\{\s*)?input\b`)

// Build chooses the mode. It returns the text for -EncodedCommand and what has to
// come first on stdin, nil for nothing.
func (f *Frame) Build() (command string, stdin []byte, err error) {
	if f.Marker == "" {
		f.Marker = rand.Text()[:12]
	}
	reads := f.Input && usesInput.MatchString(f.Script)
	text := f.text(Inline, reads)
	switch {
	case f.Args == nil && len(utf16.Encode([]rune(text))) <= maxUnits:
		f.Mode = Inline
		return encode(text), nil, nil
	case !f.Input:
		f.Mode = Object
	case reads:
		f.Mode = Lines
	default:
		f.Mode = Raw
	}
	head, err := f.header()
	if err != nil {
		return "", nil, err
	}
	if f.Mode == Raw {
		head = fmt.Appendf(nil, "%08d%s", len(head), head)
	} else {
		head = append(head, "\r\n"...)
	}
	return encode(f.text(f.Mode, reads)), head, nil
}

// header is what travels on stdin.
type header struct {
	Script string          `json:"s"`
	Args   json.RawMessage `json:"a,omitempty"`
	Dates  bool            `json:"d,omitempty"` // strings have a "=" in front
}

func (f *Frame) header() ([]byte, error) {
	h := header{Script: f.Script, Args: f.Args}
	if f.Args != nil && dateLike.Match(f.Args) {
		var err error
		if h.Args, err = protect(f.Args); err != nil {
			return nil, err
		}
		h.Dates = true
	}
	raw, err := marshal(h)
	return ascii(raw), err
}

// dateLike finds strings that ConvertFrom-Json of PowerShell 6 and later, or of
// Windows PowerShell, would turn into dates.
var dateLike = regexp.MustCompile(`"(\d{4}-\d\d-\d\dT|\\*/Date\()`)

// Encode returns a script as -EncodedCommand takes it.
func encode(script string) string {
	units := utf16.Encode([]rune(script))
	raw := make([]byte, 0, 2*len(units))
	for _, u := range units {
		raw = binary.LittleEndian.AppendUint16(raw, u)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// Quote returns a string as a literal of PowerShell. Its tokenizer takes the
// typographic quotes for the plain one.
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range s {
		if isQuote(r) {
			b.WriteRune(r)
		}
		b.WriteRune(r)
	}
	b.WriteByte('\'')
	return b.String()
}

func isQuote(r rune) bool {
	switch r {
	case '\'', '\u2018', '\u2019', '\u201A', '\u201B':
		return true
	}
	return false
}

// Check returns why a script cannot travel, or nil.
func Check(script string) error {
	if !utf8.ValidString(script) {
		return fmt.Errorf("script is not valid UTF-8")
	}
	return nil
}

// ascii writes what is not ASCII in JSON as escapes: the encoding of stdin does
// not matter then.
func ascii(raw []byte) []byte {
	i := 0
	for i < len(raw) && raw[i] < utf8.RuneSelf && raw[i] != 0x7F {
		i++
	}
	if i == len(raw) {
		return raw
	}
	out := append(make([]byte, 0, len(raw)+len(raw)/2), raw[:i]...)
	for _, r := range string(raw[i:]) {
		switch {
		case r > 0xFFFF:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		case r >= 0x7F:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = append(out, byte(r))
		}
	}
	return out
}

// marshal is json.Marshal without escapes for HTML.
func marshal(v any) ([]byte, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return []byte(strings.TrimSuffix(b.String(), "\n")), nil
}

// protect puts "=" in front of every string value. Names stay as they are.
func protect(args json.RawMessage) (json.RawMessage, error) {
	d := json.NewDecoder(strings.NewReader(string(args)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return marshal(mapStrings(v, func(s string) string { return "=" + s }))
}

func mapStrings(v any, fn func(string) string) any {
	switch v := v.(type) {
	case string:
		return fn(v)
	case []any:
		for i := range v {
			v[i] = mapStrings(v[i], fn)
		}
	case map[string]any:
		for k := range v {
			v[k] = mapStrings(v[k], fn)
		}
	}
	return v
}
