package wsman

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"slices"
)

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// base64Twelve holds the twelve bits that two characters stand for, of which the first
// one is in the low byte, and base64None for what is not of the alphabet. Of its
// 128 KB, text of the alphabet touches 12: they stay in the nearest cache.
var base64Twelve = func() *[1 << 16]uint16 {
	var t [1 << 16]uint16
	for i := range t {
		t[i] = base64None
	}
	for first, c := range []byte(base64Alphabet) {
		for second, d := range []byte(base64Alphabet) {
			t[int(c)|int(d)<<8] = uint16(first<<6 | second)
		}
	}
	return &t
}()

const base64None = 1 << 15

// decodeBase64 decodes src in place and returns the number of bytes. Output is
// nearly all base64, so four quanta are looked up at a time; the end, white space
// and whatever is wrong are left to encoding/base64. That passes over line ends;
// blanks, by which xs:base64Binary may be broken too, are taken out for it.
func decodeBase64(src []byte) (int, error) {
	t := base64Twelve
	n, at := 0, 0
	for len(src)-at >= 16 {
		in, out := src[at:at+16:at+16], src[n:n+14:n+14]
		v, w := binary.LittleEndian.Uint64(in), binary.LittleEndian.Uint64(in[8:])
		a, b, c, d := t[uint16(v)], t[uint16(v>>16)], t[uint16(v>>32)], t[uint16(v>>48)]
		e, f, g, h := t[uint16(w)], t[uint16(w>>16)], t[uint16(w>>32)], t[uint16(w>>48)]
		if (a|b|c|d|e|f|g|h)&base64None != 0 {
			break
		}
		// Fourteen bytes are stored, of which twelve count. All sixteen characters were
		// read, and the store ends before the next ones: 12k+14 <= 16(k+1).
		binary.BigEndian.PutUint64(out, uint64(a)<<52|uint64(b)<<40|uint64(c)<<28|uint64(d)<<16)
		binary.BigEndian.PutUint64(out[6:], uint64(e)<<52|uint64(f)<<40|uint64(g)<<28|uint64(h)<<16)
		n += 12
		at += 16
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
	for bits := range t {
		t[bits] = uint16(base64Alphabet[bits>>6]) | uint16(base64Alphabet[bits&63])<<8
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
