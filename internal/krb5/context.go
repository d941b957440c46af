package krb5

import (
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
)

// Flags of a per-message token. See RFC 4121 section 4.2.2.
const (
	tokSentByAcceptor = 1
	tokSealed         = 2
	tokAcceptorSubkey = 4

	tokHeader = 16
)

// A SequenceError is a message that came twice, late or after a lost one.
// WinRM's connections deliver in order, so none of it happens by itself.
type SequenceError struct{ Got, Want uint64 }

func (e *SequenceError) Error() string {
	return fmt.Sprintf("krb5: message number %d, want %d: replayed, or one was lost", e.Got, e.Want)
}

// A Context is an established security context. It seals, opens and signs
// messages (RFC 4121 section 4.2; RC4: RFC 4757 section 7.3). It is used by one
// goroutine at a time.
type Context struct {
	initiator      bool
	acceptorSubkey bool
	key            Key
	sendSeq        uint64
	recvSeq        uint64

	seal, open     *usageCipher // ours and the peer's direction; nil with RC4
	sign, verify   *signer
	confounderFunc func([]byte) // random bytes; replaced by tests with vectors
}

// signer makes the checksums of one direction: of MIC tokens, and of Wrap
// tokens without encryption, which use the key usage of sealing.
type signer struct {
	key   Key
	usage uint32
}

func newContext(initiator bool, key Key, acceptorSubkey bool, sendSeq, recvSeq uint64) (*Context, error) {
	c := &Context{
		initiator: initiator, acceptorSubkey: acceptorSubkey,
		key: key, sendSeq: sendSeq, recvSeq: recvSeq, confounderFunc: randomFill,
	}
	if err := key.valid(); err != nil {
		return nil, err
	}
	sealUsage, openUsage := uint32(usageInitiatorSeal), uint32(usageAcceptorSeal)
	signUsage, verifyUsage := uint32(usageInitiatorSign), uint32(usageAcceptorSign)
	if !initiator {
		sealUsage, openUsage = openUsage, sealUsage
		signUsage, verifyUsage = verifyUsage, signUsage
	}
	c.sign, c.verify = &signer{key, signUsage}, &signer{key, verifyUsage}
	if key.EType == RC4 {
		return c, nil
	}
	var err error
	if c.seal, err = newUsageCipher(key, sealUsage); err != nil {
		return nil, err
	}
	c.open, err = newUsageCipher(key, openUsage)
	return c, err
}

// EType is the encryption type of the per-message tokens.
func (c *Context) EType() EType { return c.key.EType }

// Wipe overwrites the key; the context is of no use afterwards.
func (c *Context) Wipe() { c.key.Wipe() }

// Initiator reports which side of the context this is.
func (c *Context) Initiator() bool { return c.initiator }

func (c *Context) flags(extra byte) byte {
	f := extra
	if !c.initiator {
		f |= tokSentByAcceptor
	}
	if c.acceptorSubkey {
		f |= tokAcceptorSubkey
	}
	return f
}

// Wrap seals plain and appends the token to dst: first tokenLen bytes of
// header, then the data. The two one after the other are a whole GSS-API
// token. length is what the HTTP part's OriginalContent states. plain must not
// lie in the spare room of dst.
//
// For AES the header is, as SSPI and GSS_Wrap_iov lay it out without a trailer:
// 16 bytes of token, 16 + MAC bytes rotated to the front (EC 0, RRC 16 + MAC),
// and the encrypted confounder; the data is as long as the plaintext.
func (c *Context) Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error) {
	if c.key.EType == RC4 {
		return c.wrapRC4(dst, plain)
	}
	p := c.seal.p
	rrc := tokHeader + p.macSize
	tokenLen = tokHeader + rrc + p.confounder

	// The header's copy is encrypted last. It is built behind the data, where
	// the cipher wants it, and moved to the front afterwards; hence the 16
	// bytes that out does not keep.
	head, t := grow(dst, tokenLen+len(plain)+tokHeader)
	token, body := t[:tokHeader], t[tokHeader+rrc:]
	c.confounderFunc(body[:p.confounder])
	tail := body[p.confounder+len(plain):]
	c.putHeader(tail, c.flags(tokSealed), 0, 0)
	copy(token, tail)
	binary.BigEndian.PutUint16(token[6:], uint16(rrc))

	mac := c.seal.seal(body, plain)
	copy(t[tokHeader:], tail)
	copy(t[2*tokHeader:], mac)
	c.sendSeq++
	return head[:len(head)-tokHeader], tokenLen, len(plain), nil
}

// Sign wraps plain without encrypting it, as the negotiation of a SASL security
// layer wants it (RFC 4752 section 3.1). RC4 has no use for it here.
func (c *Context) Sign(plain []byte) ([]byte, error) {
	if c.key.EType == RC4 {
		return nil, &ETypeError{EType: RC4}
	}
	var header [tokHeader]byte
	c.putHeader(header[:], c.flags(0), 0, 0)
	usage := uint32(usageInitiatorSeal)
	if !c.initiator {
		usage = usageAcceptorSeal
	}
	_, sum, err := checksum(c.key, usage, append(append([]byte(nil), plain...), header[:]...))
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint16(header[4:], uint16(len(sum)))
	c.sendSeq++
	return append(append(header[:], plain...), sum...), nil
}

func (c *Context) putHeader(b []byte, flags byte, ec, rrc int) {
	b[0], b[1], b[2], b[3] = 0x05, 0x04, flags, 0xff
	binary.BigEndian.PutUint16(b[4:], uint16(ec))
	binary.BigEndian.PutUint16(b[6:], uint16(rrc))
	binary.BigEndian.PutUint64(b[8:], c.sendSeq)
}

// Unwrap verifies and opens a sealed token in place; the result is a part of
// buf, which is header and data one after the other. Where the sender cut them
// does not matter. A token that is signed only is refused.
func (c *Context) Unwrap(buf []byte, _ int) ([]byte, error) {
	plain, sealed, err := c.UnwrapToken(buf)
	if err == nil && !sealed {
		return nil, ErrNotSealed
	}
	return plain, err
}

// ErrNotSealed is a message that is signed where an encrypted one was expected.
var ErrNotSealed = errors.New("krb5: message is signed but not encrypted")

// UnwrapToken opens a Wrap token, sealed or signed only, in place.
func (c *Context) UnwrapToken(buf []byte) (plain []byte, sealed bool, err error) {
	if c.key.EType == RC4 {
		return c.unwrapRC4(buf)
	}
	if len(buf) < tokHeader || buf[0] != 0x05 || buf[1] != 0x04 || buf[3] != 0xff {
		return nil, false, errToken
	}
	flags := buf[2]
	if err := c.checkFlags(flags); err != nil {
		return nil, false, err
	}
	var header [tokHeader]byte
	copy(header[:], buf)
	ec, rrc := int(binary.BigEndian.Uint16(buf[4:])), int(binary.BigEndian.Uint16(buf[6:]))
	binary.BigEndian.PutUint16(header[6:], 0)
	if flags&tokSealed == 0 {
		plain, err = c.openSigned(buf[tokHeader:], header, ec, rrc)
	} else {
		plain, err = c.openSealed(buf[tokHeader:], header, ec, rrc)
	}
	if err != nil {
		return nil, false, err
	}
	if err := c.receive(binary.BigEndian.Uint64(header[8:])); err != nil {
		return nil, false, err
	}
	return plain, flags&tokSealed != 0, nil
}

// checkFlags refuses our own tokens sent back to us, and the wrong key.
func (c *Context) checkFlags(flags byte) error {
	fromAcceptor := flags&tokSentByAcceptor != 0
	if fromAcceptor != c.initiator || flags&tokAcceptorSubkey != 0 != c.acceptorSubkey {
		return errToken
	}
	return nil
}

func (c *Context) receive(seq uint64) error {
	if seq != c.recvSeq {
		return &SequenceError{Got: seq, Want: c.recvSeq}
	}
	c.recvSeq++
	return nil
}

// openSealed opens the encrypted part b of a token, rotated right by rrc. Windows
// in DCE style rotates by rrc+ec and says rrc ([MS-KILE] section 3.4.5.4.1); which
// of the two it is, the MAC tells, and since opening destroys b there is a copy.
func (c *Context) openSealed(b []byte, header [tokHeader]byte, ec, rrc int) ([]byte, error) {
	mac := c.open.p.macSize
	if len(b) < c.open.p.confounder+ec+tokHeader+mac {
		return nil, errToken
	}
	if ec == 0 && rrc == tokHeader+mac {
		return c.openUsual(b, header)
	}
	var saved []byte
	if ec != 0 {
		saved = append(saved, b...)
	}
	plain, err := c.openRotated(b, header, ec, rrc)
	if err != nil && ec != 0 {
		copy(b, saved)
		plain, err = c.openRotated(b, header, ec, rrc+ec)
	}
	return plain, err
}

// openUsual opens the layout that everybody sends over HTTP: rotated by header
// and MAC, so that these come first. Nothing needs to be moved.
func (c *Context) openUsual(b []byte, header [tokHeader]byte) ([]byte, error) {
	mac := c.open.p.macSize
	copy(c.open.tail[:], b)
	head := b[tokHeader+mac:]
	if err := c.open.open(head, b[tokHeader:tokHeader+mac]); err != nil {
		return nil, err
	}
	if !hmac.Equal(c.open.tail[:], header[:]) {
		return nil, ErrIntegrity
	}
	return head[c.open.p.confounder:], nil
}

func (c *Context) openRotated(b []byte, header [tokHeader]byte, ec, rrc int) ([]byte, error) {
	rotateLeft(b, rrc)
	n := len(b) - c.open.p.macSize
	if err := c.open.openWhole(b[:n], b[n:]); err != nil {
		return nil, err
	}
	if !hmac.Equal(b[n-tokHeader:n], header[:]) {
		return nil, ErrIntegrity
	}
	return b[c.open.p.confounder : n-tokHeader-ec], nil
}

// openSigned verifies a token that is not encrypted: data, and the checksum of
// data and header with EC and RRC zero.
func (c *Context) openSigned(b []byte, header [tokHeader]byte, ec, rrc int) ([]byte, error) {
	if ec != c.open.p.macSize || len(b) < ec {
		return nil, errToken
	}
	rotateLeft(b, rrc)
	binary.BigEndian.PutUint16(header[4:], 0)
	n := len(b) - ec
	usage := uint32(usageAcceptorSeal)
	if !c.initiator {
		usage = usageInitiatorSeal
	}
	signed := append(append(make([]byte, 0, n+tokHeader), b[:n]...), header[:]...)
	return b[:n], verifyChecksum(c.key, usage, signed, c.open.p.cksumType, b[n:])
}

// rotateLeft undoes the rotation of a token. Its cost does not depend on n,
// which the sender chooses.
func rotateLeft(b []byte, n int) {
	if len(b) == 0 {
		return
	}
	n %= len(b)
	var small [96]byte
	if n <= len(small) {
		copy(small[:n], b)
		copy(b, b[n:])
		copy(b[len(b)-n:], small[:n])
		return
	}
	reverse(b[:n])
	reverse(b[n:])
	reverse(b)
}

func reverse(b []byte) {
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
}

// MIC signs data. See RFC 4121 section 4.2.6.1.
func (c *Context) MIC(data []byte) ([]byte, error) {
	if c.key.EType == RC4 {
		return c.micRC4(data)
	}
	b := make([]byte, tokHeader, tokHeader+32)
	b[0], b[1], b[2] = 0x04, 0x04, c.flags(0)
	b[3], b[4], b[5], b[6], b[7] = 0xff, 0xff, 0xff, 0xff, 0xff
	binary.BigEndian.PutUint64(b[8:], c.sendSeq)
	_, sum, err := checksum(c.key, c.sign.usage, append(append([]byte(nil), data...), b...))
	if err != nil {
		return nil, err
	}
	c.sendSeq++
	return append(b, sum...), nil
}

// VerifyMIC verifies the peer's signature of data.
func (c *Context) VerifyMIC(data, mic []byte) error {
	if c.key.EType == RC4 {
		return c.verifyMICRC4(data, mic)
	}
	if len(mic) < tokHeader || mic[0] != 0x04 || mic[1] != 0x04 || mic[3] != 0xff {
		return errToken
	}
	if err := c.checkFlags(mic[2] &^ tokSealed); err != nil {
		return err
	}
	signed := append(append([]byte(nil), data...), mic[:tokHeader]...)
	if err := verifyChecksum(c.key, c.verify.usage, signed, profiles[c.key.EType].cksumType, mic[tokHeader:]); err != nil {
		return err
	}
	return c.receive(binary.BigEndian.Uint64(mic[8:]))
}
