package wsman

import (
	"encoding/base64"
	"encoding/binary"
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
// nearly all base64, so two quanta are looked up at a time; the end, line ends
// and whatever is wrong are left to encoding/base64.
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
	rest, err := base64.StdEncoding.Decode(src[n:], src[at:])
	if bad, ok := err.(base64.CorruptInputError); ok { //nolint:errorlint // returned as it is
		err = bad + base64.CorruptInputError(at)
	}
	return n + rest, err
}
