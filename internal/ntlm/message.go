package ntlm

import (
	"encoding/binary"
	"math"
)

const (
	signature = "NTLMSSP\x00"

	typeNegotiate    uint32 = 1
	typeChallenge    uint32 = 2
	typeAuthenticate uint32 = 3

	micOffset = 72 // of the MIC in an AUTHENTICATE message
	micSize   = 16
)

// version is the VERSION structure that we send, [MS-NLMP] section 2.2.2.10.
// It is for debugging; only the last byte, NTLMSSP_REVISION_W2K3, has a meaning.
var version = [8]byte{10, 0, 0x63, 0x45, 0, 0, 0, 15}

var zeros [24]byte

// IsMessage reports whether token begins like a message of NTLM, as tokens do
// that come without SPNEGO around them.
func IsMessage(token []byte) bool {
	return len(token) >= len(signature) && string(token[:len(signature)]) == signature
}

// negotiateMessage is NEGOTIATE_MESSAGE, section 2.2.1.1.
type negotiateMessage struct {
	flags Flags
}

func (m *negotiateMessage) append(dst []byte) []byte {
	dst = appendHeader(dst, typeNegotiate)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(m.flags))
	dst = append(dst, zeros[:16]...) // DomainName, Workstation: not supplied
	return append(dst, version[:]...)
}

func parseNegotiate(p []byte) (*negotiateMessage, error) {
	r := reader{p: p, name: "NEGOTIATE"}
	r.header(typeNegotiate, 16)
	m := &negotiateMessage{flags: r.flags(12)}
	// Old peers leave out the rest, and nothing here has use for it.
	return m, r.err
}

// challengeMessage is CHALLENGE_MESSAGE, section 2.2.1.2.
type challengeMessage struct {
	targetName []byte
	flags      Flags
	challenge  [8]byte
	version    [8]byte
	targetInfo []byte
}

func (m *challengeMessage) append(dst []byte) []byte {
	const payload = 56
	dst = appendHeader(dst, typeChallenge)
	dst = appendField(dst, m.targetName, payload)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(m.flags))
	dst = append(dst, m.challenge[:]...)
	dst = append(dst, zeros[:8]...)
	if m.flags&FlagTargetInfo != 0 {
		dst = appendField(dst, m.targetInfo, payload+len(m.targetName))
	} else {
		dst = append(dst, zeros[:8]...)
	}
	dst = append(dst, m.version[:]...)
	return append(append(dst, m.targetName...), m.targetInfo...)
}

func parseChallenge(p []byte) (*challengeMessage, error) {
	r := reader{p: p, name: "CHALLENGE"}
	r.header(typeChallenge, 32)
	m := &challengeMessage{flags: r.flags(20), targetName: r.field("TargetName", 12)}
	if r.err == nil {
		copy(m.challenge[:], p[24:32])
	}
	if m.flags&FlagTargetInfo != 0 {
		m.targetInfo = r.field("TargetInfo", 40)
	}
	return m, r.err
}

// authenticateMessage is AUTHENTICATE_MESSAGE, section 2.2.1.3. Text is in the
// character set of the wire.
type authenticateMessage struct {
	lmResponse, ntResponse    []byte
	domain, user, workstation []byte
	sessionKey                []byte // EncryptedRandomSessionKey
	flags                     Flags
	version                   [8]byte
	withMIC                   bool // whether there is a field for the MIC
}

// append writes the message, with zeros for the MIC. Its payload has the order
// of Windows: the text before the responses.
func (m *authenticateMessage) append(dst []byte) []byte {
	domain := micOffset
	if m.withMIC {
		domain += micSize
	}
	user := domain + len(m.domain)
	workstation := user + len(m.user)
	lm := workstation + len(m.workstation)
	nt := lm + len(m.lmResponse)
	key := nt + len(m.ntResponse)

	dst = appendHeader(dst, typeAuthenticate)
	dst = appendField(dst, m.lmResponse, lm)
	dst = appendField(dst, m.ntResponse, nt)
	dst = appendField(dst, m.domain, domain)
	dst = appendField(dst, m.user, user)
	dst = appendField(dst, m.workstation, workstation)
	dst = appendField(dst, m.sessionKey, key)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(m.flags))
	dst = append(dst, m.version[:]...)
	if m.withMIC {
		dst = append(dst, zeros[:micSize]...)
	}
	for _, value := range [][]byte{m.domain, m.user, m.workstation, m.lmResponse, m.ntResponse, m.sessionKey} {
		dst = append(dst, value...)
	}
	return dst
}

func parseAuthenticate(p []byte) (*authenticateMessage, error) {
	r := reader{p: p, name: "AUTHENTICATE"}
	r.header(typeAuthenticate, 64)
	m := &authenticateMessage{
		lmResponse:  r.field("LmChallengeResponse", 12),
		ntResponse:  r.field("NtChallengeResponse", 20),
		domain:      r.field("DomainName", 28),
		user:        r.field("UserName", 36),
		workstation: r.field("Workstation", 44),
		sessionKey:  r.field("EncryptedRandomSessionKey", 52),
		flags:       r.flags(60),
	}
	// Whether a MIC is meant is said by MsvAvFlags; here only whether no field
	// lies where it would be.
	m.withMIC = r.err == nil && r.lowest >= micOffset+micSize && len(p) >= micOffset+micSize
	return m, r.err
}

func appendHeader(dst []byte, kind uint32) []byte {
	dst = append(dst, signature...)
	return binary.LittleEndian.AppendUint32(dst, kind)
}

// appendField appends the descriptor of a field whose content is at offset. The
// callers keep the content below 64 KiB.
func appendField(dst, value []byte, offset int) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(value)))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(value)))
	return binary.LittleEndian.AppendUint32(dst, uint32(offset))
}

// fits tells whether a field can hold the values.
func fits(values ...[]byte) bool {
	for _, value := range values {
		if len(value) > math.MaxUint16 {
			return false
		}
	}
	return true
}

// A reader reads the fields of a message; its first error sticks. lowest is the
// smallest offset of any field with content.
type reader struct {
	p      []byte
	name   string
	lowest int
	err    error
}

func (r *reader) fail(reason string) {
	if r.err == nil {
		r.err = &MessageError{Message: r.name, Reason: reason}
	}
}

func (r *reader) header(kind uint32, size int) {
	r.lowest = math.MaxInt
	switch {
	case !IsMessage(r.p):
		r.fail("no NTLMSSP signature")
	case len(r.p) < size:
		r.fail("truncated")
	case binary.LittleEndian.Uint32(r.p[8:]) != kind:
		r.fail("of another type")
	}
}

func (r *reader) flags(at int) Flags {
	if r.err != nil {
		return 0
	}
	return Flags(binary.LittleEndian.Uint32(r.p[at:]))
}

// field returns the content that the descriptor at points to.
func (r *reader) field(name string, at int) []byte {
	if r.err != nil {
		return nil
	}
	if len(r.p) < at+8 {
		r.fail("truncated before " + name)
		return nil
	}
	n := int(binary.LittleEndian.Uint16(r.p[at:]))
	if n == 0 {
		return nil
	}
	offset := uint64(binary.LittleEndian.Uint32(r.p[at+4:]))
	if offset+uint64(n) > uint64(len(r.p)) {
		r.fail(name + " reaches beyond the end")
		return nil
	}
	r.lowest = min(r.lowest, int(offset))
	return r.p[offset : offset+uint64(n)]
}
