package wsman

import (
	"crypto/rand"
	"fmt"
)

// NewUUID returns a random identifier as messages use it: "uuid:" and a GUID
// of version 4 in capitals.
func NewUUID() string { return "uuid:" + NewGUID() }

// NewGUID returns a random GUID of version 4 in capitals, as shells and
// commands are named.
func NewGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	b[6] = b[6]&0x0F | 0x40
	b[8] = b[8]&0x3F | 0x80
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
