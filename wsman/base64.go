package wsman

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"slices"
)

// base64Sextets holds, for each of the four characters of a base64 quantum,
// their six bits at their place in the 24 that a quantum gives. What is not of
// the alphabet has a bit above those.
var base64Sextets = func() (t [4][256]uint32) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for place := range t {
		for c := range t[place] {
			t[place][c] = 1 << 24
		}
		for bits, c := range []byte(alphabet) {
			t[place][c] = uint32(bits) << (18 - 6*place)
		}
	}
	return t
}()

// decodeBase64 decodes src in place and returns the number of bytes. Output is
// nearly all base64, so two quanta are looked up at a time; the end, white space
// and whatever is wrong are left to encoding/base64. That passes over line ends;
// blanks, by which xs:base64Binary may be broken too, are taken out for it.
func decodeBase64(src []byte) (int, error) {
	t := &base64Sextets
	n, at := 0, 0
	for len(src)-at >= 8 {
		q := src[at : at+8 : at+8]
		first := t[0][q[0]] | t[1][q[1]] | t[2][q[2]] | t[3][q[3]]
		second := t[0][q[4]] | t[1][q[5]] | t[2][q[6]] | t[3][q[7]]
		if (first|second)>>24 != 0 {
			break
		}
		// Eight bytes are stored, of which six count. All eight characters were
		// read, and the store ends before the next ones: 6k+8 <= 8(k+1).
		binary.BigEndian.PutUint64(src[n:n+8:n+8], uint64(first)<<40|uint64(second)<<16)
		n += 6
		at += 8
	}
	// In place: three bytes are written after the four that they came from were
	// read.
	rest, err := base64.StdEncoding.Decode(src[n:], withoutBlanks(src[at:]))
	if bad, ok := err.(base64.CorruptInputError); ok { //nolint:errorlint // returned as it is
		err = bad + base64.CorruptInputError(at)
	}
	return n + rest, err
}

// withoutBlanks takes blanks and tabs out of text, in place.
func withoutBlanks(text []byte) []byte {
	if !bytes.ContainsAny(text, " \t") {
		return text
	}
	return slices.DeleteFunc(text, func(c byte) bool { return c == ' ' || c == '\t' })
}

// base64Pairs holds the two characters that stand for each value of twelve bits,
// the first in the low byte.
var base64Pairs = func() (t [1 << 12]uint16) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for bits := range t {
		t[bits] = uint16(alphabet[bits>>6]) | uint16(alphabet[bits&63])<<8
	}
	return t
}()

// appendBase64 appends src as base64 text: 24 bytes at a time, the end by
// encoding/base64.
func appendBase64(dst, src []byte) []byte {
	const group, text = 24, 32
	dst = slices.Grow(dst, base64.StdEncoding.EncodedLen(len(src)))
	n := len(dst)
	dst = dst[:cap(dst)]
	for len(src) >= group+2 { // two more are read than count
		in, out := src[:group+2:group+2], dst[n:n+text:n+text]
		binary.LittleEndian.PutUint64(out, eightOf(binary.BigEndian.Uint64(in)))
		binary.LittleEndian.PutUint64(out[8:], eightOf(binary.BigEndian.Uint64(in[6:])))
		binary.LittleEndian.PutUint64(out[16:], eightOf(binary.BigEndian.Uint64(in[12:])))
		binary.LittleEndian.PutUint64(out[24:], eightOf(binary.BigEndian.Uint64(in[18:])))
		src = src[group:]
		n += text
	}
	return base64.StdEncoding.AppendEncode(dst[:n], src)
}

// eightOf returns the characters for the upper six bytes of v, the first in the
// low byte.
func eightOf(v uint64) uint64 {
	t := &base64Pairs
	return uint64(t[v>>52]) | uint64(t[v>>40&0xfff])<<16 | uint64(t[v>>28&0xfff])<<32 | uint64(t[v>>16&0xfff])<<48
}
