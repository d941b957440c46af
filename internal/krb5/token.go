package krb5

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// Token ids. See RFC 4121 section 4.1.
const (
	tokAPReq = 0x0100
	tokAPRep = 0x0200
	tokError = 0x0300
)

// Mechanism OIDs, as the content of their DER encoding.
var (
	oidKRB5   = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02} // 1.2.840.113554.1.2.2
	oidMSKRB5 = []byte{0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 0x01, 0x02, 0x02} // 1.2.840.48018.1.2.2
)

// OIDKRB5 and OIDMSKRB5 are the mechanism's two names: the standard one, and
// the one that Windows 2000 sent by mistake and every Windows still prefers.
const (
	OIDKRB5   = "1.2.840.113554.1.2.2"
	OIDMSKRB5 = "1.2.840.48018.1.2.2"
)

var errToken = errors.New("krb5: malformed GSS-API token")

// appendDERLength appends the length octets of DER.
func appendDERLength(dst []byte, n int) []byte {
	switch {
	case n < 0x80:
		return append(dst, byte(n))
	case n < 0x100:
		return append(dst, 0x81, byte(n))
	case n < 0x10000:
		return append(dst, 0x82, byte(n>>8), byte(n))
	case n < 0x1000000:
		return append(dst, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	return append(dst, 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// derLength reads length octets and returns what follows them.
func derLength(b []byte) (n int, rest []byte, err error) {
	if len(b) == 0 {
		return 0, nil, errToken
	}
	first, b := int(b[0]), b[1:]
	if first < 0x80 {
		return first, b, nil
	}
	count := first & 0x7f
	if count == 0 || count > 4 || count > len(b) {
		return 0, nil, errToken
	}
	for _, c := range b[:count] {
		n = n<<8 | int(c)
	}
	if n < 0 {
		return 0, nil, errToken
	}
	return n, b[count:], nil
}

// appendFrame appends 60 len 06 09 oid, the frame of RFC 2743 section 3.1,
// for an inner token of n bytes.
func appendFrame(dst []byte, n int) []byte {
	dst = append(dst, 0x60)
	dst = appendDERLength(dst, n+2+len(oidKRB5))
	dst = append(dst, 0x06, byte(len(oidKRB5)))
	return append(dst, oidKRB5...)
}

// frame puts an inner token of the context's establishment into the frame.
func frame(id uint16, inner []byte) []byte {
	out := appendFrame(nil, 2+len(inner))
	out = binary.BigEndian.AppendUint16(out, id)
	return append(out, inner...)
}

// unframe takes the frame off. The rest may be shorter than the stated length
// says: the frame of an RC4 token covers data that travels beside it.
func unframe(b []byte) (length int, rest []byte, err error) {
	if len(b) < 2 || b[0] != 0x60 {
		return 0, nil, errToken
	}
	length, b, err = derLength(b[1:])
	if err != nil || len(b) < 2+len(oidKRB5) || length < 2+len(oidKRB5) || b[0] != 0x06 || int(b[1]) != len(oidKRB5) {
		return 0, nil, errToken
	}
	oid := b[2 : 2+len(oidKRB5)]
	if !bytes.Equal(oid, oidKRB5) && !bytes.Equal(oid, oidMSKRB5) {
		return 0, nil, errToken
	}
	return length - 2 - len(oidKRB5), b[2+len(oidKRB5):], nil
}

// parseContextToken reads a token of the context's establishment.
func parseContextToken(b []byte) (id uint16, inner []byte, err error) {
	n, rest, err := unframe(b)
	if err != nil {
		return 0, nil, err
	}
	if n != len(rest) || n < 2 {
		return 0, nil, errToken
	}
	return binary.BigEndian.Uint16(rest), rest[2:], nil
}

// Flags of the context. See RFC 4121 section 4.1.1.1.
const (
	ContextDeleg    uint32 = 1
	ContextMutual   uint32 = 2
	ContextReplay   uint32 = 4
	ContextSequence uint32 = 8
	ContextConf     uint32 = 0x10
	ContextInteg    uint32 = 0x20

	// contextWinRM is what the other side is always asked for.
	contextWinRM = ContextMutual | ContextReplay | ContextSequence | ContextConf | ContextInteg
)

// gssChecksum is the body of the authenticator's checksum 0x8003.
// See RFC 4121 section 4.1.1.
type gssChecksum struct {
	Bindings [16]byte
	Flags    uint32
	Cred     []byte // KRB-CRED, with ContextDeleg
}

func (c gssChecksum) marshal() []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(c.Bindings)))
	b = append(b, c.Bindings[:]...)
	b = binary.LittleEndian.AppendUint32(b, c.Flags)
	if c.Flags&ContextDeleg != 0 {
		b = binary.LittleEndian.AppendUint16(b, 1)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(c.Cred)))
		b = append(b, c.Cred...)
	}
	return b
}

func parseGSSChecksum(b []byte) (c gssChecksum, err error) {
	if len(b) < 24 || binary.LittleEndian.Uint32(b) != 16 {
		return c, &FormatError{What: "GSS-API checksum of the authenticator"}
	}
	copy(c.Bindings[:], b[4:20])
	c.Flags = binary.LittleEndian.Uint32(b[20:])
	if c.Flags&ContextDeleg == 0 {
		return c, nil
	}
	if len(b) < 28 || binary.LittleEndian.Uint16(b[24:]) != 1 || len(b)-28 < int(binary.LittleEndian.Uint16(b[26:])) {
		return c, &FormatError{What: "delegation part of the authenticator's checksum"}
	}
	c.Cred = b[28 : 28+int(binary.LittleEndian.Uint16(b[26:]))]
	return c, nil
}
