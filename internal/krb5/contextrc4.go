package krb5

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"encoding/binary"
	"math"
)

// The tokens of RC4. See RFC 4757 section 7 and [MS-KILE] section 4.5.
const (
	rc4Token       = 32 // of Wrap: 24 bytes and the encrypted confounder
	rc4Confounder  = 8
	rc4MICToken    = 24
	rc4SealAlg     = 0x1000
	rc4SealNone    = 0xffff
	rc4SignHMAC    = 0x1100
	rc4WrapID      = 0x0201
	rc4MICID       = 0x0101
	rc4WrapSignNum = 13 // the number in the checksum of Wrap, a usage in disguise
	rc4MICSignNum  = 15
)

func randomFill(b []byte) {
	rand.Read(b) //nolint:errcheck // crypto/rand.Read never returns an error
}

// wrapRC4 seals with RC4. The pad byte 01 is part of the data and of the
// length: the frame's length covers both, so its size grows with the data.
func (c *Context) wrapRC4(dst, plain []byte) (out []byte, tokenLen, length int, err error) {
	if len(plain) >= math.MaxInt32-rc4Token || c.sendSeq > math.MaxUint32 {
		return nil, 0, 0, errToken
	}
	start := len(dst)
	out = appendFrame(dst, rc4Token+len(plain)+1)
	tokenLen = len(out) - start + rc4Token
	out, t := grow(out, rc4Token+len(plain)+1)
	binary.BigEndian.PutUint16(t, rc4WrapID)
	binary.BigEndian.PutUint16(t[2:], rc4SignHMAC)
	binary.BigEndian.PutUint16(t[4:], rc4SealAlg)
	binary.BigEndian.PutUint16(t[6:], 0xffff)
	body := t[rc4MICToken:]
	c.confounderFunc(body[:rc4Confounder])
	copy(body[rc4Confounder:], plain)
	body[len(body)-1] = 1

	c.signRC4(t, rc4WrapSignNum, body)
	rc4XOR(c.sealKeyRC4(uint32(c.sendSeq)), body)
	c.sendSeq++
	return out, tokenLen, len(plain) + 1, nil
}

// signRC4 fills SND_SEQ and SGN_CKSUM of the token t.
func (c *Context) signRC4(t []byte, number uint32, body []byte) {
	copy(t[16:], c.checksumRC4(t[:8], number, body))
	binary.BigEndian.PutUint32(t[8:], uint32(c.sendSeq))
	var side byte // 00 from the initiator, ff from the acceptor
	if !c.initiator {
		side = 0xff
	}
	t[12], t[13], t[14], t[15] = side, side, side, side
	rc4XOR(c.seqKeyRC4(t[16:24]), t[8:16])
}

func (c *Context) checksumRC4(head []byte, number uint32, body []byte) []byte {
	h := md5.New()
	h.Write(binary.LittleEndian.AppendUint32(nil, number))
	h.Write(head)
	h.Write(body)
	return hmacMD5(hmacMD5(c.key.Value, []byte("signaturekey\x00")), h.Sum(nil))[:8]
}

func (c *Context) seqKeyRC4(sum []byte) []byte {
	return hmacMD5(hmacMD5(c.key.Value, make([]byte, 4)), sum)
}

func (c *Context) sealKeyRC4(seq uint32) []byte {
	local := make([]byte, len(c.key.Value))
	for i, b := range c.key.Value {
		local[i] = b ^ 0xf0
	}
	return hmacMD5(hmacMD5(local, make([]byte, 4)), binary.BigEndian.AppendUint32(nil, seq))
}

// openSeqRC4 decrypts SND_SEQ and checks its direction.
func (c *Context) openSeqRC4(t []byte) (uint32, error) {
	var seq [8]byte
	copy(seq[:], t[8:16])
	rc4XOR(c.seqKeyRC4(t[16:24]), seq[:])
	var want byte
	if c.initiator {
		want = 0xff
	}
	for _, b := range seq[4:] {
		if b != want {
			return 0, ErrIntegrity
		}
	}
	return binary.BigEndian.Uint32(seq[:]), nil
}

func (c *Context) unwrapRC4(buf []byte) (plain []byte, sealed bool, err error) {
	_, t, err := unframe(buf)
	if err != nil || len(t) < rc4Token+1 || binary.BigEndian.Uint16(t) != rc4WrapID ||
		binary.BigEndian.Uint16(t[2:]) != rc4SignHMAC || binary.BigEndian.Uint16(t[6:]) != 0xffff {
		return nil, false, errToken
	}
	seq, err := c.openSeqRC4(t)
	if err != nil {
		return nil, false, err
	}
	body := t[rc4MICToken:]
	switch binary.BigEndian.Uint16(t[4:]) {
	case rc4SealAlg:
		sealed = true
		rc4XOR(c.sealKeyRC4(seq), body)
	case rc4SealNone:
	default:
		return nil, false, errToken
	}
	if !hmac.Equal(c.checksumRC4(t[:8], rc4WrapSignNum, body), t[16:24]) {
		return nil, false, ErrIntegrity
	}
	pad := int(body[len(body)-1])
	if pad == 0 || pad > 8 || pad > len(body)-rc4Confounder {
		return nil, false, ErrIntegrity
	}
	if err := c.receive(uint64(seq)); err != nil {
		return nil, false, err
	}
	return body[rc4Confounder : len(body)-pad], sealed, nil
}

func (c *Context) micRC4(data []byte) ([]byte, error) {
	out := appendFrame(nil, rc4MICToken)
	out, t := grow(out, rc4MICToken)
	binary.BigEndian.PutUint16(t, rc4MICID)
	binary.BigEndian.PutUint16(t[2:], rc4SignHMAC)
	binary.BigEndian.PutUint32(t[4:], 0xffffffff)
	c.signRC4(t, rc4MICSignNum, data)
	c.sendSeq++
	return out, nil
}

func (c *Context) verifyMICRC4(data, mic []byte) error {
	_, t, err := unframe(mic)
	if err != nil || len(t) != rc4MICToken || binary.BigEndian.Uint16(t) != rc4MICID ||
		binary.BigEndian.Uint16(t[2:]) != rc4SignHMAC {
		return errToken
	}
	if !hmac.Equal(c.checksumRC4(t[:8], rc4MICSignNum, data), t[16:24]) {
		return ErrIntegrity
	}
	seq, err := c.openSeqRC4(t)
	if err != nil {
		return err
	}
	return c.receive(uint64(seq))
}
