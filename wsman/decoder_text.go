package wsman

import (
	"bytes"
	"unicode/utf8"
)

// reference reads the reference at the start of b, which is an ampersand. A
// width of 0 says that it is none that is allowed.
func reference(b []byte) (r rune, width int) {
	const longest = len("&#x0010FFFF;")
	end := bytes.IndexByte(b[:min(len(b), longest)], ';')
	if end < 2 {
		return 0, 0
	}
	name := b[1:end]
	width = end + 1
	switch string(name) {
	case "lt":
		return '<', width
	case "gt":
		return '>', width
	case "amp":
		return '&', width
	case "quot":
		return '"', width
	case "apos":
		return '\'', width
	}
	if name[0] != '#' || len(name) < 2 {
		return 0, 0
	}
	base, digits := rune(10), name[1:]
	if digits[0] == 'x' {
		base, digits = 16, digits[1:]
	}
	if len(digits) == 0 {
		return 0, 0
	}
	for _, c := range digits {
		v := digit(c)
		if v >= base || r > utf8.MaxRune {
			return 0, 0
		}
		r = r*base + v
	}
	if !validChar(r) {
		return 0, 0
	}
	return r, width
}

// digit is the value of a hexadecimal digit, or a large number.
func digit(c byte) rune {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0')
	case c >= 'a' && c <= 'f':
		return rune(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return rune(c-'A') + 10
	}
	return 255
}

// resolve writes the characters that src stands for to dst and returns their
// number of bytes. No reference is shorter than its character, so dst may be
// the same memory as src, or lie before it. The references of src have been
// checked; a CDATA section has none.
func (d *Decoder) resolve(dst, src []byte, cdata bool) int {
	special := "&\r"
	if cdata {
		special = "\r"
	}
	n := 0
	for {
		i := len(src)
		if !cdata || d.hasCR {
			if j := bytes.IndexAny(src, special); j >= 0 {
				i = j
			}
		}
		n += copy(dst[n:], src[:i])
		src = src[i:]
		if len(src) == 0 {
			return n
		}
		if src[0] == '\r' { // XML 1.0, 2.11: CR LF and CR alone are LF
			src = src[1:]
			if len(src) > 0 && src[0] == '\n' {
				src = src[1:]
			}
			dst[n] = '\n'
			n++
			continue
		}
		r, width := reference(src)
		src = src[width:]
		var char [utf8.UTFMax]byte
		n += copy(dst[n:], char[:utf8.EncodeRune(char[:], r)])
	}
}

// attrValue normalizes an attribute value (XML 1.0, 3.3.3). The document is
// left as it is, for Raw.
func (d *Decoder) attrValue(raw []byte) ([]byte, bool) {
	if i := bytes.IndexByte(raw, '<'); i >= 0 {
		d.failAt(d.pos+i, "< in an attribute value")
		return nil, false
	}
	if !bytes.ContainsAny(raw, "&\t\r\n") {
		return raw, true
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		switch c := raw[i]; c {
		case '&':
			r, width := reference(raw[i:])
			if width == 0 {
				d.failAt(d.pos+i, "a reference to no character that a SOAP message may name")
				return nil, false
			}
			out = utf8.AppendRune(out, r)
			i += width
		case '\r':
			if i+1 < len(raw) && raw[i+1] == '\n' {
				i++
			}
			fallthrough
		case '\t', '\n':
			out = append(out, ' ')
			i++
		default:
			out = append(out, c)
			i++
		}
	}
	return out, true
}

// segment returns the character data that token returned last, resolved. The
// document is left as it is.
func (d *Decoder) segment() []byte {
	raw := d.data[d.seg.from:d.seg.to]
	if !d.seg.refs && !d.hasCR {
		return raw
	}
	text := make([]byte, len(raw))
	return text[:d.resolve(text, raw, d.seg.cdata)]
}
