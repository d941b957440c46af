package wsman

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// load takes a document: it converts UTF-16, checks that every character is
// one that XML allows, and steps over a byte order mark.
func (d *Decoder) load(data []byte) {
	if len(data) > d.lim.Size {
		d.setErr(&LimitError{What: "size", Limit: d.lim.Size})
		return
	}
	wide := false
	if order := utf16Order(data); order != nil {
		wide = true
		var ok bool
		if data, ok = fromUTF16(data, order); !ok {
			d.fail("bad UTF-16")
			return
		}
		if len(data) > d.lim.Size {
			d.setErr(&LimitError{What: "size", Limit: d.lim.Size})
			return
		}
	}
	d.data = data
	if bytes.HasPrefix(data, []byte("\xEF\xBB\xBF")) {
		d.bom = true
		d.pos = 3
	}
	bad := d.checkChars()
	if bad >= 0 {
		d.failAt(bad, "a byte or character that XML does not allow")
		return
	}
	d.declaration(wide)
}

// checkChars returns the offset of the first byte that is not part of a valid
// character, or -1. It also notes whether there is a carriage return.
//
// Bulk data is ASCII without control characters (base64): that is passed over
// eight bytes at a time.
func (d *Decoder) checkChars() int {
	const (
		high  = 0x8080808080808080
		space = 0x2020202020202020
	)
	data := d.data
	for i := 0; i < len(data); {
		for len(data)-i >= 32 {
			a, b := binary.LittleEndian.Uint64(data[i:]), binary.LittleEndian.Uint64(data[i+8:])
			c, e := binary.LittleEndian.Uint64(data[i+16:]), binary.LittleEndian.Uint64(data[i+24:])
			// Where no byte has its high bit, subtracting 0x20 from each borrows
			// into a high bit exactly if one of the bytes is a control character.
			if (a|b|c|e|(a-space)|(b-space)|(c-space)|(e-space))&high != 0 {
				break
			}
			i += 32
		}
		// A character at a time, until the next stretch of 32 bytes.
		for end := min(i+32, len(data)); i < end; {
			c := data[i]
			if c >= ' ' && c < utf8.RuneSelf || c == '\n' || c == '\t' {
				i++
				continue
			}
			if c == '\r' {
				d.hasCR = true
				i++
				continue
			}
			r, width := utf8.DecodeRune(data[i:])
			if r == utf8.RuneError && width == 1 || !validChar(r) {
				return i
			}
			i += width
		}
	}
	return -1
}

// utf16Order tells the byte order of a UTF-16 document, from its byte order
// mark or its first character, nil if it is none.
func utf16Order(data []byte) binary.ByteOrder {
	if len(data) < 2 {
		return nil
	}
	switch {
	case data[0] == 0xFF && data[1] == 0xFE, data[0] == '<' && data[1] == 0:
		return binary.LittleEndian
	case data[0] == 0xFE && data[1] == 0xFF, data[0] == 0 && data[1] == '<':
		return binary.BigEndian
	}
	return nil
}

// fromUTF16 converts to UTF-8; the byte order mark becomes one of UTF-8.
func fromUTF16(data []byte, order binary.ByteOrder) ([]byte, bool) {
	if len(data)%2 != 0 {
		return nil, false
	}
	out := make([]byte, 0, len(data)/2+len(data)/8)
	for i := 0; i < len(data); i += 2 {
		r := rune(order.Uint16(data[i:]))
		if utf16.IsSurrogate(r) {
			if i+4 > len(data) {
				return nil, false
			}
			r = utf16.DecodeRune(r, rune(order.Uint16(data[i+2:])))
			if r == utf8.RuneError {
				return nil, false
			}
			i += 2
		}
		out = utf8.AppendRune(out, r)
	}
	return out, true
}

// declaration reads the XML declaration, if there is one. wide says that the
// document came as UTF-16.
func (d *Decoder) declaration(wide bool) {
	rest := d.data[d.pos:]
	if !bytes.HasPrefix(rest, []byte("<?xml")) || len(rest) > 5 && !isSpace(rest[5]) {
		return
	}
	end := bytes.Index(rest, piClose)
	if end < 0 {
		d.failEOF("the XML declaration")
		return
	}
	// The declaration looks like the attributes of a start tag.
	from, stop := d.pos, d.pos+end
	d.pos += len("<?xml")
	for {
		d.space()
		if d.pos >= stop {
			break
		}
		name, value, ok := d.attribute()
		if !ok || d.pos > stop {
			d.failAt(from, "a bad XML declaration")
			return
		}
		switch string(name) {
		case "version":
			ok = string(value) == "1.0"
		case "encoding":
			// What was written as UTF-16 may have been recoded on its way, by who did
			// not look inside: .NET's StringWriter makes such documents.
			ok = hasFoldPrefix(value, "utf-16")
			for _, name := range []string{"utf-8", "utf8", "us-ascii"} {
				ok = ok || !wide && hasFoldPrefix(value, name)
			}
		case "standalone":
			ok = string(value) == "yes" || string(value) == "no"
		default:
			ok = false
		}
		if !ok {
			d.failAt(from, "an XML declaration with a version, encoding or attribute that is not supported")
			return
		}
	}
	d.declared = true
	d.pos = stop + len(piClose)
}

func hasFoldPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && bytes.EqualFold(b[:len(prefix)], []byte(prefix))
}

// prolog reads what may stand before the document element.
func (d *Decoder) prolog() {
	d.misc()
	if d.err == nil && d.pos >= len(d.data) {
		d.failEOF("its prolog: there is no element")
	}
	if d.err == nil && (d.data[d.pos] != '<' || d.pos+1 < len(d.data) && d.data[d.pos+1] == '/') {
		d.fail("the document does not begin with an element")
	}
}

// misc passes over white space, comments and processing instructions.
func (d *Decoder) misc() {
	for d.err == nil {
		d.space()
		rest := d.data[d.pos:]
		switch {
		case len(rest) > 1 && rest[0] == '<' && rest[1] == '?':
			d.instruction()
		case len(rest) > 1 && rest[0] == '<' && rest[1] == '!':
			d.comment()
		default:
			return
		}
	}
}
