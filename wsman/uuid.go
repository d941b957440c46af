package wsman

import "crypto/rand"

// NewUUID returns a random identifier as messages use it: "uuid:" and a GUID
// of version 4 in capitals.
func NewUUID() string {
	const prefix = "uuid:"
	var text [len(prefix) + 36]byte
	writeGUID(text[copy(text[:], prefix):])
	return string(text[:])
}

// NewGUID returns a random GUID of version 4 in capitals, as shells and
// commands are named.
func NewGUID() string {
	var text [36]byte
	writeGUID(text[:])
	return string(text[:])
}

// writeGUID fills 36 bytes with a GUID.
func writeGUID(text []byte) {
	const digits = "0123456789ABCDEF"
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	b[6] = b[6]&0x0F | 0x40
	b[8] = b[8]&0x3F | 0x80
	at := 0
	for i, c := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			text[at] = '-'
			at++
		}
		text[at], text[at+1] = digits[c>>4], digits[c&0x0F]
		at += 2
	}
}
