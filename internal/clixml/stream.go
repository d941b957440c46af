package clixml

import "bytes"

const (
	// MaxElement bounds one top-level element. A longer one is handed on as text.
	MaxElement = 4 << 20
	maxNesting = 4 // blocks inside of the text of an error record
)

var (
	header  = []byte("#< CLIXML")
	objs    = []byte("<Objs Version=")
	endObjs = []byte("</Objs>")
)

// A Decoder takes apart what powershell.exe writes to its error stream. It is an
// io.Writer.
type Decoder struct {
	record func(*Record)
	text   func([]byte)
	level  int // of blocks inside of error texts

	buf   []byte // not yet understood
	depth int    // open blocks
	mid   bool   // the last thing was text: white space is part of it
	refs  *refs
	scan  elementScan
	inner *Decoder // of the blocks in the text of error records
}

// NewDecoder returns a Decoder. The functions get the records, and what is not
// CLIXML, in their order. Text is only valid during the call.
func NewDecoder(record func(*Record), text func([]byte)) *Decoder {
	return &Decoder{record: record, text: text, refs: newRefs()}
}

// Write decodes what p completes. It never fails.
func (d *Decoder) Write(p []byte) (int, error) {
	d.buf = append(d.buf, p...)
	for d.step() {
	}
	return len(p), nil
}

// Close hands on what is left, which is text.
func (d *Decoder) Close() error {
	if len(d.buf) > 0 {
		d.emit(len(d.buf))
	}
	if d.inner != nil {
		_ = d.inner.Close()
	}
	return nil
}

// emit hands the first n bytes on as text.
func (d *Decoder) emit(n int) {
	if n > 0 {
		d.text(d.buf[:n])
		d.drop(n)
		d.mid = true
	}
}

func (d *Decoder) drop(n int) {
	d.buf = d.buf[n:] // append moves what is left when it needs room
	d.scan = elementScan{}
	d.mid = false
}

// step does one thing and reports whether there may be another.
func (d *Decoder) step() bool {
	if len(d.buf) == 0 {
		return false
	}
	if d.scan.at > 0 {
		return d.element()
	}
	i := 0
	if d.depth > 0 && !d.mid {
		i = spaces(d.buf) // between elements: of no meaning, unless text follows
	}
	if i == len(d.buf) {
		if i > MaxElement {
			d.emit(i)
		}
		return false
	}
	switch rest := d.buf[i:]; {
	case bytes.HasPrefix(rest, header):
		return d.skipHeader(i + len(header))
	case bytes.HasPrefix(rest, objs):
		return d.open(i)
	case d.depth > 0 && bytes.HasPrefix(rest, endObjs):
		d.drop(i + len(endObjs))
		if d.depth--; d.depth == 0 {
			d.refs = newRefs()
		}
		return true
	case partial(rest, header), partial(rest, objs), d.depth > 0 && partial(rest, endObjs):
		return false
	case d.depth > 0 && startsElement(rest):
		d.drop(i)
		return d.element()
	case d.depth > 0 && rest[0] == '<' && len(rest) < 2:
		return false
	}
	d.plain(i)
	return true
}

// plain hands on text up to where something else may begin.
func (d *Decoder) plain(from int) {
	for i := from + 1; i < len(d.buf); i++ {
		if c := d.buf[i]; c != '#' && c != '<' {
			continue
		}
		rest := d.buf[i:]
		if d.depth > 0 && rest[0] == '<' || partial(rest, header) || partial(rest, objs) ||
			bytes.HasPrefix(rest, header) || bytes.HasPrefix(rest, objs) {
			d.emit(i)
			return
		}
	}
	d.emit(len(d.buf))
}

// partial reports whether b may become what begins with prefix.
func partial(b, prefix []byte) bool {
	return len(b) < len(prefix) && bytes.HasPrefix(prefix, b)
}

func spaces(b []byte) int {
	for i, c := range b {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return i
		}
	}
	return len(b)
}

// skipHeader drops the line of the header.
func (d *Decoder) skipHeader(n int) bool {
	rest := d.buf[n:]
	switch {
	case len(rest) == 0, len(rest) == 1 && rest[0] == '\r':
		return false
	case rest[0] == '\n':
		n++
	case rest[0] == '\r' && rest[1] == '\n':
		n += 2
	case rest[0] == '<', rest[0] == '\r': // as programs leave it that strip line ends
	default:
		d.emit(n) // no header, a text about one
		return true
	}
	d.drop(n)
	return true
}

// maxTag bounds the tag Objs.
const maxTag = 1024

// open enters a block at i.
func (d *Decoder) open(i int) bool {
	end := bytes.IndexByte(d.buf[i:], '>')
	switch {
	case end < 0 && len(d.buf)-i <= maxTag:
		return false
	case end < 0 || end > maxTag:
		d.emit(i + len(objs))
		return true
	}
	empty := d.buf[i+end-1] == '/'
	d.drop(i + end + 1)
	if !empty {
		d.depth++
	}
	return true
}

// element decodes the element at the beginning of the buffer, if it is whole.
func (d *Decoder) element() bool {
	n, state := d.scan.next(d.buf)
	switch {
	case state == scanMore && len(d.buf) <= MaxElement:
		return false
	case state != scanDone:
		d.emit(max(d.scan.at, 1)) // no element after all, or none that ends
		return true
	}
	d.refs.reset()
	element := append([]byte(nil), d.buf[:n]...) // decoded in place
	stream, v, err := d.refs.decode(element)
	if err != nil {
		d.emit(n)
		return true
	}
	d.drop(n)
	if stream == "" {
		stream = "output"
	}
	d.deliver(&Record{Stream: stream, Value: v})
	return true
}

// deliver hands a record on. The text of an error may itself be CLIXML: that of
// a powershell.exe that the script has started. It may come a line at a time.
func (d *Decoder) deliver(r *Record) {
	s, ok := r.Value.(string)
	if !ok || r.Stream != "error" || d.level >= maxNesting {
		d.record(r)
		return
	}
	if d.inner == nil || !d.inner.busy() {
		if !bytes.Contains([]byte(s), header) && !bytes.Contains([]byte(s), objs) {
			d.record(r)
			return
		}
		if d.inner == nil {
			d.inner = NewDecoder(d.record, func(p []byte) { d.record(&Record{Stream: "error", Value: string(p)}) })
			d.inner.level = d.level + 1
		}
	}
	_, _ = d.inner.Write([]byte(s))
}

// busy reports whether the Decoder is inside of a block.
func (d *Decoder) busy() bool {
	return len(d.buf) > 0 || d.depth > 0 || d.inner != nil && d.inner.busy()
}
