package krb5

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4" //nolint:gosec // RC4 is spoken only when the caller asks for it
	"encoding/binary"
	"errors"
	"hash"
)

// A usageCipher encrypts and decrypts under one key and key usage. The derived
// keys and the hash are made once. It is used by one goroutine at a time.
type usageCipher struct {
	p   *profile
	cts *cts
	mac hash.Hash
	sum [64]byte // scratch for the MAC
	// tail is the end of a ciphertext in two pieces, see openSplit.
	tail [16]byte

	rc4Usage []byte // RC4 only: HMAC(K, usage)
}

func newUsageCipher(k Key, usage uint32) (*usageCipher, error) {
	if err := k.valid(); err != nil {
		return nil, err
	}
	c := &usageCipher{p: profiles[k.EType]}
	if k.EType == RC4 {
		c.rc4Usage = hmacMD5(k.Value, rc4UsageBytes(usage))
		return c, nil
	}
	ke, err := k.derive(usage, deriveKe)
	if err != nil {
		return nil, err
	}
	ki, err := k.derive(usage, deriveKi)
	if err != nil {
		return nil, err
	}
	c.mac = hmac.New(k.EType.newHash(), ki)
	c.cts, err = newCTS(ke)
	clear(ke)
	clear(ki)
	return c, err
}

// overhead is what encryption adds: confounder and MAC.
func (c *usageCipher) overhead() int { return c.p.confounder + c.p.macSize }

// sealAES encrypts b, which begins with the confounder, in place and returns
// the MAC, which lives until the next call.
func (c *usageCipher) sealAES(b []byte) []byte {
	c.mac.Reset()
	if !c.p.sha2 {
		c.mac.Write(b)
		mac := sumInto(c.mac, c.sum[:], c.p.macSize)
		c.cts.encrypt(b)
		return mac
	}
	c.cts.encrypt(b)
	c.mac.Write(zeroIV[:])
	c.mac.Write(b)
	return sumInto(c.mac, c.sum[:], c.p.macSize)
}

// openAES is the reverse of sealAES; b is garbage when the MAC is wrong.
func (c *usageCipher) openAES(b, mac []byte) error {
	if len(b) < c.p.confounder || len(mac) != c.p.macSize {
		return ErrIntegrity
	}
	c.mac.Reset()
	if c.p.sha2 {
		c.mac.Write(zeroIV[:])
		c.mac.Write(b)
		if !hmac.Equal(sumInto(c.mac, c.sum[:], c.p.macSize), mac) {
			return ErrIntegrity
		}
		c.cts.decrypt(b)
		return nil
	}
	c.cts.decrypt(b)
	c.mac.Write(b)
	if !hmac.Equal(sumInto(c.mac, c.sum[:], c.p.macSize), mac) {
		return ErrIntegrity
	}
	return nil
}

// openSplit is openAES for a ciphertext in two pieces, the second in c.tail.
func (c *usageCipher) openSplit(head, mac []byte) error {
	c.mac.Reset()
	if c.p.sha2 {
		c.mac.Write(zeroIV[:])
		c.mac.Write(head)
		c.mac.Write(c.tail[:])
		if !hmac.Equal(sumInto(c.mac, c.sum[:], c.p.macSize), mac) {
			return ErrIntegrity
		}
		c.cts.decryptSplit(head, &c.tail)
		return nil
	}
	c.cts.decryptSplit(head, &c.tail)
	c.mac.Write(head)
	c.mac.Write(c.tail[:])
	if !hmac.Equal(sumInto(c.mac, c.sum[:], c.p.macSize), mac) {
		return ErrIntegrity
	}
	return nil
}

// encrypt returns plain encrypted as an EncryptedData holds it.
func (c *usageCipher) encrypt(plain []byte) []byte {
	return c.encryptWith(randomBytes(c.p.confounder), plain)
}

func (c *usageCipher) encryptWith(confounder, plain []byte) []byte {
	if c.rc4Usage != nil {
		return c.encryptRC4(confounder, plain)
	}
	b := make([]byte, 0, len(plain)+c.overhead())
	b = append(append(b, confounder...), plain...)
	return append(b, c.sealAES(b)...)
}

// decrypt opens data in place and returns the part that is the plaintext.
func (c *usageCipher) decrypt(data []byte) ([]byte, error) {
	if len(data) < c.overhead() {
		return nil, ErrIntegrity
	}
	if c.rc4Usage != nil {
		return c.decryptRC4(data)
	}
	n := len(data) - c.p.macSize
	if err := c.openAES(data[:n], data[n:]); err != nil {
		return nil, err
	}
	return data[c.p.confounder:n], nil
}

// RC4 encryption: HMAC ‖ RC4(confounder ‖ plaintext). See RFC 4757 section 5.
func (c *usageCipher) encryptRC4(confounder, plain []byte) []byte {
	out := make([]byte, md5.Size, md5.Size+len(confounder)+len(plain))
	out = append(append(out, confounder...), plain...)
	copy(out, hmacMD5(c.rc4Usage, out[md5.Size:]))
	rc4XOR(hmacMD5(c.rc4Usage, out[:md5.Size]), out[md5.Size:])
	return out
}

func (c *usageCipher) decryptRC4(data []byte) ([]byte, error) {
	body := data[md5.Size:]
	rc4XOR(hmacMD5(c.rc4Usage, data[:md5.Size]), body)
	if !hmac.Equal(hmacMD5(c.rc4Usage, body), data[:md5.Size]) {
		return nil, ErrIntegrity
	}
	return body[c.p.confounder:], nil
}

// rc4UsageBytes renames the usages that RC4 has its own numbers for.
// See RFC 4757 section 3.
func rc4UsageBytes(usage uint32) []byte {
	switch usage {
	case usageASRep:
		usage = usageTGSRepSessionKey
	case usageAcceptorSign:
		usage = 13
	}
	return binary.LittleEndian.AppendUint32(nil, usage)
}

func rc4XOR(key, b []byte) {
	c, err := rc4.NewCipher(key)
	if err != nil {
		panic(err) // only a key of more than 256 or no bytes
	}
	c.XORKeyStream(b, b)
}

func hmacMD5(key []byte, parts ...[]byte) []byte {
	h := hmac.New(md5.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// encryptOnce and decryptOnce are for single messages of a handshake.
func encryptOnce(k Key, usage uint32, plain []byte) ([]byte, error) {
	c, err := newUsageCipher(k, usage)
	if err != nil {
		return nil, err
	}
	return c.encrypt(plain), nil
}

// decryptOnce leaves data as it is.
func decryptOnce(k Key, usage uint32, data []byte) ([]byte, error) {
	c, err := newUsageCipher(k, usage)
	if err != nil {
		return nil, err
	}
	return c.decrypt(append([]byte(nil), data...))
}

// checksum is the keyed checksum that belongs to the key's encryption type.
func checksum(k Key, usage uint32, data []byte) (sumType int32, sum []byte, err error) {
	if err := k.valid(); err != nil {
		return 0, nil, err
	}
	p := profiles[k.EType]
	if k.EType == RC4 {
		return p.cksumType, hmacMD5Checksum(k.Value, usage, data), nil
	}
	kc, err := k.derive(usage, deriveKc)
	if err != nil {
		return 0, nil, err
	}
	h := hmac.New(k.EType.newHash(), kc)
	h.Write(data)
	return p.cksumType, h.Sum(nil)[:p.macSize], nil
}

// hmacMD5Checksum is KERB_CHECKSUM_HMAC_MD5; it takes a key of any type.
// See RFC 4757 section 4.
func hmacMD5Checksum(key []byte, usage uint32, data []byte) []byte {
	sign := hmacMD5(key, []byte("signaturekey\x00"))
	h := md5.New()
	h.Write(rc4UsageBytes(usage))
	h.Write(data)
	return hmacMD5(sign, h.Sum(nil))
}

var errChecksumType = errors.New("krb5: checksum of a type that does not belong to the key")

// verifyChecksum compares a received checksum.
func verifyChecksum(k Key, usage uint32, data []byte, sumType int32, sum []byte) error {
	wantType, want, err := checksum(k, usage, data)
	if err != nil {
		return err
	}
	if sumType != wantType {
		return errChecksumType
	}
	if !hmac.Equal(want, sum) {
		return ErrIntegrity
	}
	return nil
}
