package wsman

import (
	"bytes"
)

type token uint8

const (
	tokenNone  token = iota // an error
	tokenStart              // an element was entered
	tokenEnd                // the current element was left
	tokenText               // character data, in Decoder.seg
)

var (
	commentOpen  = []byte("<!--")
	cdataOpen    = []byte("<![CDATA[")
	cdataClose   = []byte("]]>")
	doctypeOpen  = []byte("<!DOCTYPE")
	commentClose = []byte("--")
	piClose      = []byte("?>")
)

// token reads the next piece of the current element's content, or the document
// element when none is open.
func (d *Decoder) token() token {
	d.attrs = d.attrs[:0]
	if d.err != nil {
		return tokenNone
	}
	if d.empty {
		d.empty = false
		d.pop()
		return tokenEnd
	}
	if len(d.open) == 0 && d.rooted {
		d.fail("read past the end of the document element")
		return tokenNone
	}
	for {
		if d.pos >= len(d.data) {
			d.failEOF("element " + d.where())
			return tokenNone
		}
		rest := d.data[d.pos:]
		if rest[0] != '<' {
			return d.text(rest)
		}
		if len(rest) < 2 {
			d.failEOF("a tag")
			return tokenNone
		}
		switch rest[1] {
		case '/':
			return d.endTag()
		case '?':
			d.instruction()
		case '!':
			if bytes.HasPrefix(rest, cdataOpen) {
				return d.cdata()
			}
			d.comment()
		default:
			return d.startTag()
		}
		if d.err != nil {
			return tokenNone
		}
	}
}

func (d *Decoder) where() string {
	if len(d.open) == 0 {
		return "(none)"
	}
	return d.current().name.Local
}

func (d *Decoder) pop() {
	n := len(d.open) - 1
	d.ns = d.ns[:d.open[n].ns]
	d.open = d.open[:n]
}

// text delimits character data up to the next markup.
func (d *Decoder) text(rest []byte) token {
	n := bytes.IndexByte(rest, '<')
	if n < 0 {
		d.failEOF("the text of element " + d.where())
		return tokenNone
	}
	run := rest[:n]
	if i := bytes.Index(run, cdataClose); i >= 0 {
		d.failAt(d.pos+i, "]]> outside a CDATA section")
		return tokenNone
	}
	d.seg = segment{from: d.pos, to: d.pos + n}
	for i := bytes.IndexByte(run, '&'); i >= 0; {
		d.seg.refs = true
		_, width := reference(run[i:])
		if width == 0 {
			d.failAt(d.pos+i, "a reference to no character that a SOAP message may name")
			return tokenNone
		}
		next := bytes.IndexByte(run[i+width:], '&')
		if next < 0 {
			break
		}
		i += width + next
	}
	d.pos += n
	return tokenText
}

func (d *Decoder) cdata() token {
	from := d.pos + len(cdataOpen)
	n := bytes.Index(d.data[from:], cdataClose)
	if n < 0 {
		d.failEOF("a CDATA section")
		return tokenNone
	}
	d.seg = segment{from: from, to: from + n, cdata: true}
	d.pos = from + n + len(cdataClose)
	return tokenText
}

// comment skips a comment. Whatever else begins with "<!" is refused.
func (d *Decoder) comment() {
	rest := d.data[d.pos:]
	switch {
	case bytes.HasPrefix(rest, commentOpen):
	case bytes.HasPrefix(rest, doctypeOpen):
		d.fail("a document type declaration")
		return
	case bytes.HasPrefix(commentOpen, rest), bytes.HasPrefix(cdataOpen, rest):
		d.failEOF("markup")
		return
	default:
		d.fail("unknown markup")
		return
	}
	body := rest[len(commentOpen):]
	n := bytes.Index(body, commentClose)
	if n < 0 || n+2 >= len(body) {
		d.failEOF("a comment")
		return
	}
	if body[n+2] != '>' {
		d.failAt(d.pos+len(commentOpen)+n, "-- inside a comment")
		return
	}
	d.pos += len(commentOpen) + n + 3
}

// instruction skips a processing instruction.
func (d *Decoder) instruction() {
	rest := d.data[d.pos+2:]
	n := bytes.Index(rest, piClose)
	if n < 0 {
		d.failEOF("a processing instruction")
		return
	}
	target := rest[:n]
	if i := bytes.IndexAny(target, " \t\r\n"); i >= 0 {
		target = target[:i]
	}
	if !validNCName(target) || bytes.EqualFold(target, []byte("xml")) {
		d.fail("a processing instruction with a bad target")
		return
	}
	d.pos += 2 + n + 2
}

func (d *Decoder) endTag() token {
	rest := d.data[d.pos+2:]
	if len(d.open) == 0 {
		d.fail("an end tag without a start tag")
		return tokenNone
	}
	cur := d.current()
	name := d.data[cur.from:cur.to]
	if !bytes.HasPrefix(rest, name) {
		if len(rest) <= len(name) && bytes.HasPrefix(name, rest) {
			d.failEOF("an end tag")
		} else {
			d.fail("the end tag does not match the start tag of " + cur.name.Local)
		}
		return tokenNone
	}
	i := len(name)
	for i < len(rest) && isSpace(rest[i]) {
		i++
	}
	if i == len(rest) {
		d.failEOF("an end tag")
		return tokenNone
	}
	if rest[i] != '>' {
		d.fail("the end tag does not match the start tag of " + cur.name.Local)
		return tokenNone
	}
	d.pos += 2 + i + 1
	d.pop()
	return tokenEnd
}

func (d *Decoder) startTag() token {
	if len(d.open) >= d.lim.Depth {
		d.setErr(&LimitError{What: "depth", Limit: d.lim.Depth})
		return tokenNone
	}
	tag := d.pos
	from := tag + 1
	to := d.nameEnd(from)
	el := element{tag: tag, from: from, to: to, ns: len(d.ns)}
	d.pos = to
	if !d.attributes() {
		return tokenNone
	}

	prefix, local, ok := splitQName(d.data[from:to])
	if !ok {
		d.failAt(from, "a bad element name")
		return tokenNone
	}
	uri, ok := lookup(d.ns, prefix)
	if !ok {
		d.failAt(from, "an element name with a prefix that is not declared")
		return tokenNone
	}
	el.name = Name{Space: uri, Local: d.intern(local)}
	d.open = append(d.open, el)
	if !d.resolveAttrs() {
		return tokenNone
	}
	return tokenStart
}

// attributes reads the attributes of a start tag and its end.
func (d *Decoder) attributes() bool {
	declarations := 0
	for {
		spaced := d.space()
		if d.pos >= len(d.data) {
			d.failEOF("a start tag")
			return false
		}
		switch d.data[d.pos] {
		case '>':
			d.pos++
			return true
		case '/':
			if d.pos+1 >= len(d.data) {
				d.failEOF("a start tag")
				return false
			}
			if d.data[d.pos+1] != '>' {
				d.fail("a slash inside a start tag")
				return false
			}
			d.pos += 2
			d.empty = true
			return true
		}
		if !spaced {
			d.fail("no space before an attribute")
			return false
		}
		name, value, ok := d.attribute()
		if !ok {
			return false
		}
		if declared, isDecl := declaredPrefix(name); isDecl {
			declarations++
			if !d.declare(declared, value, declarations) {
				return false
			}
		} else {
			d.attrs = append(d.attrs, attr{prefix: name, value: value})
		}
		if declarations+len(d.attrs) > d.lim.Attrs {
			d.setErr(&LimitError{What: "attributes", Limit: d.lim.Attrs})
			return false
		}
	}
}

// attribute reads name="value".
func (d *Decoder) attribute() (name, value []byte, ok bool) {
	from := d.pos
	d.pos = d.nameEnd(from)
	name = d.data[from:d.pos]
	d.space()
	if d.pos >= len(d.data) {
		d.failEOF("an attribute")
		return nil, nil, false
	}
	if len(name) == 0 || d.data[d.pos] != '=' {
		d.fail("an attribute without a value")
		return nil, nil, false
	}
	d.pos++
	d.space()
	if d.pos >= len(d.data) {
		d.failEOF("an attribute")
		return nil, nil, false
	}
	quote := d.data[d.pos]
	if quote != '"' && quote != '\'' {
		d.fail("an attribute value without quotes")
		return nil, nil, false
	}
	d.pos++
	n := bytes.IndexByte(d.data[d.pos:], quote)
	if n < 0 {
		d.failEOF("an attribute value")
		return nil, nil, false
	}
	value, ok = d.attrValue(d.data[d.pos : d.pos+n])
	d.pos += n + 1
	return name, value, ok
}

// declare brings a namespace declaration into scope; count is its number in
// its start tag.
func (d *Decoder) declare(prefix, uri []byte, count int) bool {
	switch {
	case string(prefix) == "xmlns", string(uri) == nsXMLNS:
		d.fail("xmlns declared as a prefix or bound to a prefix")
		return false
	case (string(prefix) == "xml") != (string(uri) == NSXML):
		d.fail("the prefix xml and its namespace belong to each other")
		return false
	case len(prefix) > 0 && (len(uri) == 0 || !validNCName(prefix)):
		d.fail("a bad namespace declaration")
		return false
	}
	for _, b := range d.ns[len(d.ns)-count+1:] {
		if b.prefix == string(prefix) {
			d.fail("a prefix declared twice")
			return false
		}
	}
	// Each name is looked up among all declarations in scope.
	if len(d.ns) >= maxNamespaces {
		d.setErr(&LimitError{What: "namespaces", Limit: maxNamespaces})
		return false
	}
	d.ns = append(d.ns, binding{prefix: d.intern(prefix), uri: d.intern(uri)})
	return true
}

// maxNamespaces bounds the declarations in scope. Messages have about ten.
const maxNamespaces = 256

const nsXMLNS = "http://www.w3.org/2000/xmlns/"

// declaredPrefix returns the prefix that an attribute of this name declares.
func declaredPrefix(name []byte) (prefix []byte, ok bool) {
	if !bytes.HasPrefix(name, []byte("xmlns")) {
		return nil, false
	}
	if len(name) == len("xmlns") {
		return nil, true
	}
	if name[len("xmlns")] != ':' {
		return nil, false
	}
	prefix = name[len("xmlns:"):]
	if len(prefix) == 0 {
		return []byte("xmlns"), true // refused by declare
	}
	return prefix, true
}

// resolveAttrs expands the names of the attributes; none may occur twice.
func (d *Decoder) resolveAttrs() bool {
	for i := range d.attrs {
		a := &d.attrs[i]
		prefix, local, ok := splitQName(a.prefix)
		if !ok {
			d.fail("a bad attribute name")
			return false
		}
		var uri string
		if len(prefix) > 0 { // the default namespace is not for attributes
			if uri, ok = lookup(d.ns, prefix); !ok {
				d.fail("an attribute name with a prefix that is not declared")
				return false
			}
		}
		a.name = Name{Space: uri, Local: d.intern(local)}
		for _, b := range d.attrs[:i] {
			if b.name == a.name {
				d.fail("attribute " + a.name.Local + " occurs twice")
				return false
			}
		}
	}
	return true
}

// nameEnd returns the end of a name that begins at i. Whether it is a good
// name is seen later.
func (d *Decoder) nameEnd(i int) int {
	for i < len(d.data) {
		switch c := d.data[i]; {
		case c > '?', c >= '-' && c != '/' && c < '<': // letters, digits, '-' '.' ':' '_', beyond ASCII
			i++
		default:
			return i
		}
	}
	return i
}

// space passes over white space and reports whether there was any.
func (d *Decoder) space() bool {
	from := d.pos
	for d.pos < len(d.data) && isSpace(d.data[d.pos]) {
		d.pos++
	}
	return d.pos > from
}

func splitQName(name []byte) (prefix, local []byte, ok bool) {
	prefix, local, found := bytes.Cut(name, []byte(":"))
	if !found {
		return nil, name, validNCName(name)
	}
	return prefix, local, validNCName(prefix) && validNCName(local)
}

// lookup finds what a prefix is bound to. No prefix and no default namespace
// is no namespace.
func lookup(scope []binding, prefix []byte) (uri string, ok bool) {
	for i := len(scope) - 1; i >= 0; i-- {
		if scope[i].prefix == string(prefix) {
			return scope[i].uri, true
		}
	}
	if string(prefix) == "xml" {
		return NSXML, true
	}
	return "", len(prefix) == 0
}
