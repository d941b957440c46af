package clixml

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Unescape resolves _xHHHH_ escapes. They stand for UTF-16 code units; half of
// a surrogate pair that has lost the other becomes U+FFFD. See [MS-PSRP] section
// 2.2.5.3.2.
func Unescape(s string) string {
	i := nextEscape(s, 0)
	if i < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	from := 0
	for ; i >= 0; i = nextEscape(s, from) {
		b.WriteString(s[from:i])
		r := rune(unit(s[i:]))
		from = i + escapeLen
		if utf16.IsSurrogate(r) {
			low := rune(-1)
			if isEscape(s[from:]) {
				low = rune(unit(s[from:]))
			}
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				from += escapeLen
			}
		}
		b.WriteRune(r)
	}
	b.WriteString(s[from:])
	return b.String()
}

const escapeLen = len("_x000A_")

// nextEscape returns where the first escape at or after from begins, or -1.
func nextEscape(s string, from int) int {
	for i := from; i+escapeLen <= len(s); i++ {
		j := strings.IndexByte(s[i:], '_')
		if j < 0 {
			return -1
		}
		if i += j; isEscape(s[i:]) {
			return i
		}
	}
	return -1
}

func isEscape(s string) bool {
	if len(s) < escapeLen || s[0] != '_' || s[1]|0x20 != 'x' || s[6] != '_' {
		return false
	}
	for _, c := range []byte(s[2:6]) {
		if hexValue(c) < 0 {
			return false
		}
	}
	return true
}

func unit(s string) uint16 {
	var u uint16
	for _, c := range []byte(s[2:6]) {
		u = u<<4 | uint16(hexValue(c))
	}
	return u
}

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// Escape is the reverse of Unescape, as PowerShell writes it: control characters,
// characters beyond the basic plane, and an underscore that would begin an
// escape. What XML itself escapes is left to whoever writes the XML.
func Escape(s string) string {
	if !needsEscape(s) {
		return s
	}
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	write := func(u uint16) {
		b.WriteString("_x")
		for shift := 12; shift >= 0; shift -= 4 {
			b.WriteByte(digits[u>>shift&15])
		}
		b.WriteByte('_')
	}
	for i, r := range s {
		switch {
		case mustEscape(s, i, r) && r > 0xFFFF:
			hi, lo := utf16.EncodeRune(r)
			write(uint16(hi))
			write(uint16(lo))
		case mustEscape(s, i, r):
			write(uint16(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func needsEscape(s string) bool {
	for i, r := range s {
		if mustEscape(s, i, r) {
			return true
		}
	}
	return false
}

func mustEscape(s string, i int, r rune) bool {
	switch {
	case r < 0x20, r >= 0x7F && r <= 0x9F, r > 0xFFFF:
		return true
	case r == '_':
		return i+1 < len(s) && s[i+1]|0x20 == 'x'
	}
	return false
}
