package ntlm

import (
	"encoding/binary"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// utf16LE encodes s as Windows stores text. Text that is not UTF-8 has no such
// form: replacing what is wrong in a password would cost a failed logon.
func utf16LE(s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, ErrEncoding
	}
	out := make([]byte, 0, 2*len(s))
	for _, r := range s {
		if r1, r2 := utf16.EncodeRune(r); r1 != unicode.ReplacementChar {
			out = binary.LittleEndian.AppendUint16(out, uint16(r1))
			r = r2
		}
		out = binary.LittleEndian.AppendUint16(out, uint16(r))
	}
	return out, nil
}

// fromUTF16LE decodes p; an odd byte at the end is ignored.
func fromUTF16LE(p []byte) string {
	units := make([]uint16, len(p)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(p[2*i:])
	}
	return string(utf16.Decode(units))
}

// encodeText encodes a name in the character set that was negotiated. Of the OEM
// sets only what they share is known, which is ASCII.
func encodeText(flags Flags, s string) ([]byte, error) {
	if !flags.oem() {
		return utf16LE(s)
	}
	out := make([]byte, 0, len(s))
	for _, r := range s {
		if r > unicode.MaxASCII {
			r = '?'
		}
		out = append(out, byte(r))
	}
	return out, nil
}

// decodeText is the reverse of encodeText.
func decodeText(flags Flags, p []byte) string {
	if !flags.oem() {
		return fromUTF16LE(p)
	}
	out := make([]rune, len(p))
	for i, b := range p {
		out[i] = rune(b)
		if b > unicode.MaxASCII {
			out[i] = unicode.ReplacementChar
		}
	}
	return string(out)
}

// upper turns a user name into the capitals that NTOWFv2 wants.
//
// Windows has a table for it, of single UTF-16 units and without regard to the
// language. It agrees with Unicode's simple mapping in letters of the basic
// plane whose capital turns back into them, and in the final sigma; all others
// stay: the micro sign, the long s, the dotless i, and anything that would
// become longer, such as the sharp s.
func upper(s string) string {
	out := make([]rune, 0, len(s))
	for _, r := range s {
		u := unicode.ToUpper(r)
		if r <= 0xffff && (unicode.ToLower(u) == r || r == 'ς') {
			r = u
		}
		out = append(out, r)
	}
	return string(out)
}
