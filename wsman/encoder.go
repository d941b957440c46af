package wsman

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// An Encoder appends XML to a byte slice. It writes what it is told in the
// order it is told, so that the same calls give the same bytes.
//
//	e.Start("rsp:Shell")
//	e.Namespace("rsp", wsman.NSShell)
//	e.Element("rsp:InputStreams", "stdin")
//	e.End()
//
// Errors are sticky: the first one is kept for [Encoder.Err] and nothing is
// appended after it. The zero Encoder appends to a slice of its own.
type Encoder struct {
	buf  []byte
	open []string // names of the open elements, outermost first
	tag  bool     // the start tag of the innermost element lacks its '>'
	err  error
}

// CharError says that a text holds something that XML cannot carry: a control
// character, an unpaired surrogate or bytes that are not UTF-8. There is no
// escape for these in XML 1.0.
type CharError struct {
	Text   string // the text, cut to a readable length
	Offset int    // byte offset of the character in the text
	Rune   rune   // the character, utf8.RuneError for an invalid byte
}

func (e *CharError) Error() string {
	if e.Rune == utf8.RuneError {
		return fmt.Sprintf("wsman: byte %d of %q is not valid UTF-8", e.Offset, e.Text)
	}
	return fmt.Sprintf("wsman: XML cannot carry the character %U at byte %d of %q", e.Rune, e.Offset, e.Text)
}

// NameError says that a string cannot be the name of an element or attribute.
type NameError struct{ Name string }

func (e *NameError) Error() string { return fmt.Sprintf("wsman: %q is not an XML name", e.Name) }

// NewEncoder returns an Encoder that appends to dst.
func NewEncoder(dst []byte) *Encoder { return &Encoder{buf: dst} }

// Reset makes the Encoder append to dst and forget everything else.
func (e *Encoder) Reset(dst []byte) {
	*e = Encoder{buf: dst, open: e.open[:0]}
}

// Start begins an element. Its start tag stays open for [Encoder.Attr] and
// [Encoder.Namespace] until content follows.
func (e *Encoder) Start(name string) {
	if !e.content() {
		return
	}
	if !validQName(name) {
		e.err = &NameError{Name: name}
		return
	}
	e.buf = append(e.buf, '<')
	e.buf = append(e.buf, name...)
	e.open = append(e.open, name)
	e.tag = true
}

// Namespace declares a prefix on the element just started. An empty prefix
// declares the default namespace.
func (e *Encoder) Namespace(prefix, uri string) {
	if prefix == "" {
		e.Attr("xmlns", uri)
		return
	}
	e.attr("xmlns:", prefix, uri)
}

// Attr adds an attribute to the element just started.
func (e *Encoder) Attr(name, value string) { e.attr("", name, value) }

// attr is Attr for a name that begins with "xmlns:", or with nothing.
func (e *Encoder) attr(before, name, value string) {
	switch {
	case e.err != nil:
		return
	case !e.tag:
		e.err = fmt.Errorf("wsman: attribute %q outside a start tag", before+name)
		return
	case !validQName(name), before != "" && strings.Contains(name, ":"):
		e.err = &NameError{Name: before + name}
		return
	}
	e.buf = append(e.buf, ' ')
	e.buf = append(e.buf, before...)
	e.buf = append(e.buf, name...)
	e.buf = append(e.buf, '=', '"')
	e.escape(value, true)
	e.buf = append(e.buf, '"')
}

// Text appends character data, escaped. A character that XML cannot carry is a
// [CharError].
func (e *Encoder) Text(s string) {
	if s != "" && e.content() {
		e.escape(s, false)
	}
}

// Base64 appends p as base64 text.
func (e *Encoder) Base64(p []byte) {
	if len(p) > 0 && e.content() {
		e.buf = appendBase64(e.buf, p)
	}
}

// Uint appends a decimal number.
func (e *Encoder) Uint(n uint64) {
	if e.content() {
		e.buf = strconv.AppendUint(e.buf, n, 10)
	}
}

// duration appends what [FormatDuration] returns.
func (e *Encoder) duration(d time.Duration) {
	if e.content() {
		e.buf = appendDuration(e.buf, d)
	}
}

// Raw appends one element that is XML already. It must be well formed and
// declare the prefixes that it uses itself, so that it means the same wherever
// it stands; what is not becomes the Encoder's error.
func (e *Encoder) Raw(xml []byte) {
	if !e.content() {
		return
	}
	d := NewDecoder(xml)
	_, _ = d.Root() // the Decoder keeps the first error of the three
	_ = d.Skip()
	_ = d.Finish()
	// What is for the start of a document only, or is converted there.
	if d.err == nil && (d.bom || d.declared || utf16Order(xml) != nil) {
		d.fail("a byte order mark, XML declaration or UTF-16 inside a document")
	}
	e.buf = append(e.buf, xml...)
	e.err = d.err
}

// End ends the innermost open element.
func (e *Encoder) End() {
	if e.err != nil {
		return
	}
	n := len(e.open) - 1
	if n < 0 {
		e.err = fmt.Errorf("wsman: End without Start")
		return
	}
	if e.tag {
		e.buf = append(e.buf, '/', '>')
		e.tag = false
	} else {
		e.buf = append(e.buf, '<', '/')
		e.buf = append(e.buf, e.open[n]...)
		e.buf = append(e.buf, '>')
	}
	e.open = e.open[:n]
}

// Element appends an element that holds text only.
func (e *Encoder) Element(name, text string) {
	e.Start(name)
	e.Text(text)
	e.End()
}

// Empty appends an element without content.
func (e *Encoder) Empty(name string) {
	e.Start(name)
	e.End()
}

// Bytes returns what was appended, together with what was there before.
func (e *Encoder) Bytes() []byte { return e.buf }

// Len is the length of [Encoder.Bytes].
func (e *Encoder) Len() int { return len(e.buf) }

// Err returns the first error.
func (e *Encoder) Err() error { return e.err }

// setErr keeps the first error.
func (e *Encoder) setErr(err error) {
	if e.err == nil {
		e.err = err
	}
}

// content closes an open start tag. It reports whether appending may go on.
func (e *Encoder) content() bool {
	if e.err != nil {
		return false
	}
	if e.tag {
		e.buf = append(e.buf, '>')
		e.tag = false
	}
	return true
}

// escape appends s with the characters escaped that mean something to XML.
// Carriage returns, and in attributes all line ends and tabs, are written as
// references because parsers replace them otherwise (XML 1.0, 2.11 and 3.3.3).
func (e *Encoder) escape(s string, attr bool) {
	last := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '&' && c != '<' && c != '>' && c != '"' {
			i++
			continue
		}
		ref, width := "", 1
		switch {
		case c == '&':
			ref = "&amp;"
		case c == '<':
			ref = "&lt;"
		case c == '>':
			ref = "&gt;"
		case c == '"' && attr:
			ref = "&quot;"
		case c == '\r':
			ref = "&#xD;"
		case c == '\n' && attr:
			ref = "&#xA;"
		case c == '\t' && attr:
			ref = "&#x9;"
		case c == '\n', c == '\t', c == '"':
		default:
			var r rune
			r, width = utf8.DecodeRuneInString(s[i:])
			if !validChar(r) || r == utf8.RuneError && width == 1 {
				e.err = newCharError(s, i, r)
				return
			}
		}
		if ref != "" {
			e.buf = append(e.buf, s[last:i]...)
			e.buf = append(e.buf, ref...)
			last = i + 1
		}
		i += width
	}
	e.buf = append(e.buf, s[last:]...)
}

func newCharError(s string, at int, r rune) *CharError {
	const around = 24
	from, to := max(0, at-around), min(len(s), at+around)
	return &CharError{Text: s[from:to], Offset: at, Rune: r}
}
