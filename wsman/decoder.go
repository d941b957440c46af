package wsman

import (
	"bytes"
	"fmt"
	"io"
	"iter"
)

// Name is the expanded name of an element or attribute.
type Name struct{ Space, Local string }

func (n Name) String() string {
	if n.Space == "" {
		return n.Local
	}
	return "{" + n.Space + "}" + n.Local
}

// Limits bound what a [Decoder] accepts. A zero field means its default.
type Limits struct {
	Size  int // bytes of a document, after its conversion to UTF-8; default 32 MiB
	Depth int // nested elements; default 100
	Attrs int // attributes and namespace declarations of one element; default 128
}

func (l Limits) withDefaults() Limits {
	if l.Size <= 0 {
		l.Size = 32 << 20
	}
	if l.Depth <= 0 {
		l.Depth = 100
	}
	if l.Attrs <= 0 {
		l.Attrs = 128
	}
	return l
}

// A Decoder reads an XML document that lies in a byte slice, in place: it owns
// the slice, and what [Decoder.Text] returns points into it.
//
// It knows at every moment one current element. [Decoder.Root] enters the
// document element; iterating over [Decoder.Children] enters one child after
// the other. The body of the loop deals with the child by Text, Value, Base64,
// QName, Raw or a loop over its own Children; what it leaves unread is skipped.
//
//	for name := range d.Children() {
//		switch name {
//		case wsman.Name{Space: wsman.NSShell, Local: "CommandId"}:
//			id, _ = d.Value()
//		}
//	}
//	return d.Err()
//
// Errors are sticky: after the first one every loop ends, and [Decoder.Err]
// tells it. The error is a [*SyntaxError] or a [*LimitError].
//
// The Decoder is stricter than XML in what a SOAP message must not hold
// (SOAP 1.2 part 1, section 5): a document type declaration and references to
// entities other than the five of XML are errors. Processing instructions and
// comments are skipped. Documents in UTF-16 are converted first.
type Decoder struct {
	data []byte
	pos  int
	lim  Limits
	err  error

	open  []element // the current element and those around it, innermost last
	attrs []attr    // attributes of the element just entered
	ns    []binding // namespace declarations in scope, innermost last
	seg   segment   // the character data that token returned last
	empty bool      // the current element was written <x/>: its end is still to come

	rooted   bool // the document element was entered
	bom      bool // the document began with a byte order mark
	declared bool // the document began with an XML declaration
	hasCR    bool // there is a carriage return somewhere

	names    map[string]string // names seen that are not well known
	expected string            // a text that is likely to occur
}

type element struct {
	name     Name
	tag      int // offset of the '<' of the start tag
	from, to int // the name as written
	ns       int // length of Decoder.ns outside
}

type attr struct {
	name   Name
	prefix []byte
	value  []byte
}

type binding struct{ prefix, uri string }

// segment is a run of character data: text up to markup, or a CDATA section.
type segment struct {
	from, to int
	cdata    bool
	refs     bool // holds references
}

// SyntaxError says that a document is not well formed, or that it holds
// something that a SOAP message must not hold.
type SyntaxError struct {
	Offset int    // byte offset in the document
	Msg    string // what is wrong there
	Err    error  // io.ErrUnexpectedEOF for a document that stops short
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("wsman: malformed XML at byte %d: %s", e.Offset, e.Msg)
}

func (e *SyntaxError) Unwrap() error { return e.Err }

// LimitError says that a document exceeds one of the [Limits].
type LimitError struct {
	What  string // "size", "depth", "attributes" or "namespaces"
	Limit int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("wsman: XML document exceeds the limit of %d for its %s", e.Limit, e.What)
}

// NewDecoder returns a Decoder of data with the default [Limits]. The Decoder
// owns data from now on and may change it.
func NewDecoder(data []byte) *Decoder { return NewDecoderLimits(data, Limits{}) }

// NewDecoderLimits returns a Decoder of data with limits of one's own.
func NewDecoderLimits(data []byte, lim Limits) *Decoder {
	d := &Decoder{lim: lim.withDefaults()}
	d.Reset(data)
	return d
}

// Reset makes the Decoder read data, with the limits that it has.
func (d *Decoder) Reset(data []byte) {
	*d = Decoder{
		lim:   d.lim.withDefaults(),
		open:  d.open[:0],
		attrs: d.attrs[:0],
		ns:    d.ns[:0],
		names: d.names,
	}
	d.load(data)
}

// Root enters the document element and returns its name.
func (d *Decoder) Root() (Name, error) {
	if d.err == nil && d.rooted {
		d.fail("Root was called twice")
	}
	d.prolog()
	if d.err != nil {
		return Name{}, d.err
	}
	if d.token() != tokenStart {
		return Name{}, d.err
	}
	d.rooted = true
	return d.current().name, nil
}

// NextChild enters the next child of the current element and returns its name.
// At the end of the element it returns to the parent and reports false.
//
// It is the step of [Decoder.Children], for loops that a range statement does
// not fit: each child must be consumed before NextChild is called again.
func (d *Decoder) NextChild() (Name, bool) {
	for {
		switch d.token() {
		case tokenStart:
			return d.current().name, true
		case tokenText:
		default:
			return Name{}, false
		}
	}
}

// Children enters the children of the current element one after the other.
// What the loop body leaves unread of a child is skipped. The current element
// has been consumed when the loop is over, also when it was left early.
func (d *Decoder) Children() iter.Seq[Name] {
	return func(yield func(Name) bool) {
		depth := len(d.open)
		for len(d.open) == depth {
			name, ok := d.NextChild()
			if !ok {
				return
			}
			if !yield(name) {
				d.leave(depth - 1)
				return
			}
			d.leave(depth)
		}
	}
}

// leave consumes until only depth elements are open.
func (d *Decoder) leave(depth int) {
	for d.err == nil && len(d.open) > depth {
		d.token()
	}
}

// Attr returns an attribute of the element just entered. It must be called
// before the content of the element is read.
func (d *Decoder) Attr(space, local string) (string, bool) {
	for i := range d.attrs {
		if a := &d.attrs[i]; a.name.Local == local && a.name.Space == space {
			return d.intern(a.value), true
		}
	}
	return "", false
}

// Attrs returns all attributes of the element just entered, without namespace
// declarations.
func (d *Decoder) Attrs() iter.Seq2[Name, string] {
	return func(yield func(Name, string) bool) {
		for _, a := range d.attrs {
			if !yield(a.name, d.intern(a.value)) {
				return
			}
		}
	}
}

// Text returns the character data of the current element and consumes it. It
// is an error if the element has child elements. The bytes are part of the
// document: they hold until the slice given to the Decoder is used again.
func (d *Decoder) Text() ([]byte, error) {
	from, to := d.pos, d.pos // the text so far, packed at its beginning
	for first := true; ; {
		switch d.token() {
		case tokenText:
			seg := d.seg
			if first && !seg.refs && !d.hasCR {
				from, to = seg.from, seg.to
				first = false
				continue
			}
			if first {
				from, to, first = seg.from, seg.from, false
			}
			to += d.resolve(d.data[to:], d.data[seg.from:seg.to], seg.cdata)
		case tokenStart:
			d.fail("element " + d.current().name.Local + " where only text may stand")
			return nil, d.err
		case tokenEnd:
			return d.data[from:to:to], nil
		default:
			return nil, d.err
		}
	}
}

// Value is Text as a string without white space around it.
func (d *Decoder) Value() (string, error) {
	b, err := d.Text()
	return d.intern(bytes.TrimSpace(b)), err
}

// Base64 is Text decoded from base64, in place.
func (d *Decoder) Base64() ([]byte, error) {
	at := d.pos
	src, err := d.Text()
	if err != nil {
		return nil, err
	}
	n, err := decodeBase64(src)
	if err != nil {
		d.failAt(at, "bad base64: "+err.Error())
		return nil, d.err
	}
	return src[:n:n], nil
}

// QName is Text as a qualified name, its prefix resolved where it stands. A
// text that is no such name does not spoil the Decoder.
func (d *Decoder) QName() (Name, error) {
	scope := d.ns // the element's own declarations go out of scope with its end
	text, err := d.Text()
	if err != nil {
		return Name{}, err
	}
	text = bytes.TrimSpace(text)
	prefix, local, ok := bytes.Cut(text, []byte(":"))
	if !ok {
		prefix, local = nil, text
	}
	uri, ok := lookup(scope, prefix)
	if !ok || !validNCName(local) {
		return Name{}, &qnameError{text: string(text), local: string(local)}
	}
	return Name{Space: uri, Local: d.intern(local)}, nil
}

// qnameError says that a text is not a qualified name, or has a prefix that is
// not declared.
type qnameError struct{ text, local string }

func (e *qnameError) Error() string {
	return fmt.Sprintf("wsman: %.80q is not a qualified name where it stands", e.text)
}

// Raw returns the current element as it was written, its tags included, and
// consumes it. Prefixes declared outside of it are not declared again.
func (d *Decoder) Raw() ([]byte, error) {
	if d.err != nil || len(d.open) == 0 {
		return nil, d.err
	}
	tag := d.current().tag
	d.leave(len(d.open) - 1)
	return d.data[tag:d.pos:d.pos], d.err
}

// Skip consumes the rest of the current element.
func (d *Decoder) Skip() error {
	d.leave(len(d.open) - 1)
	return d.err
}

// Err returns the first error.
func (d *Decoder) Err() error { return d.err }

// Finish reads the rest of the document. Anything but comments, processing
// instructions and white space after the document element is an error.
func (d *Decoder) Finish() error {
	if d.err == nil && !d.rooted {
		d.Root()
	}
	d.leave(0)
	d.misc()
	if d.err == nil && d.pos < len(d.data) {
		d.fail("content after the document element")
	}
	return d.err
}

func (d *Decoder) current() *element { return &d.open[len(d.open)-1] }

func (d *Decoder) fail(msg string) { d.failAt(d.pos, msg) }

func (d *Decoder) failAt(offset int, msg string) {
	d.setErr(&SyntaxError{Offset: offset, Msg: msg})
}

func (d *Decoder) failEOF(where string) {
	d.setErr(&SyntaxError{Offset: len(d.data), Msg: "the document ends in " + where, Err: io.ErrUnexpectedEOF})
}

func (d *Decoder) setErr(err error) {
	if d.err == nil {
		d.err = err
	}
	d.attrs = d.attrs[:0]
}

// peekChild reports whether the next child of the current element, before any
// other, has this name. If it has, it is entered; if not, nothing was read.
func (d *Decoder) peekChild(want Name) bool {
	if d.err != nil || d.empty {
		return false
	}
	saved := *d
	if got, ok := d.NextChild(); ok && got == want {
		return true
	}
	err := d.err
	*d = saved
	d.err = err
	return false
}
