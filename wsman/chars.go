package wsman

import (
	"strings"
	"unicode/utf8"
)

// validChar says whether XML 1.0 allows r in a document (production 2, Char).
func validChar(r rune) bool {
	return r >= 0x20 && r <= 0xD7FF || r == '\t' || r == '\n' || r == '\r' ||
		r >= 0xE000 && r <= 0xFFFD || r >= 0x10000 && r <= 0x10FFFF
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// nameByte classes the ASCII bytes of a name: 1 may begin it, 2 may only
// follow. The colon is left out: qualified names are split at it.
var nameByte = func() (t [utf8.RuneSelf]byte) {
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = 1, 1
	}
	t['_'] = 1
	for c := '0'; c <= '9'; c++ {
		t[c] = 2
	}
	t['-'], t['.'] = 2, 2
	return t
}()

// validNCName says whether b is a name without a colon (Namespaces in XML,
// production 4).
func validNCName[T string | []byte](b T) bool {
	if len(b) == 0 {
		return false
	}
	for i := 0; i < len(b); i++ {
		if b[i] >= utf8.RuneSelf {
			return validWideName(string(b))
		}
		if class := nameByte[b[i]]; class == 0 || class == 2 && i == 0 {
			return false
		}
	}
	return true
}

// validWideName is validNCName for names with characters beyond ASCII
// (XML 1.0 fifth edition, productions 4 and 4a).
func validWideName(s string) bool {
	for i, r := range s {
		switch {
		case r < utf8.RuneSelf:
			if class := nameByte[r]; class == 0 || class == 2 && i == 0 {
				return false
			}
		case r >= 0xC0 && r <= 0x2FF && r != 0xD7 && r != 0xF7,
			r >= 0x370 && r <= 0x1FFF && r != 0x37E,
			r == 0x200C, r == 0x200D,
			r >= 0x2070 && r <= 0x218F,
			r >= 0x2C00 && r <= 0x2FEF,
			r >= 0x3001 && r <= 0xD7FF,
			r >= 0xF900 && r <= 0xFDCF,
			r >= 0xFDF0 && r <= 0xFFFC,
			r >= 0x10000 && r <= 0xEFFFF:
		case i > 0 && (r == 0xB7 || r >= 0x300 && r <= 0x36F || r == 0x203F || r == 0x2040):
		default:
			return false
		}
	}
	return true
}

// validQName says whether s is a name with at most one prefix.
func validQName(s string) bool {
	prefix, local, ok := strings.Cut(s, ":")
	if !ok {
		return validNCName(s)
	}
	return validNCName(prefix) && validNCName(local)
}
