package krb5

import (
	"crypto/aes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"hash"

	"github.com/winrmkit/winrmkit/internal/rc4"
	"github.com/winrmkit/winrmkit/internal/twopass"
)

// A usageCipher encrypts and decrypts under one key and key usage. The derived
// keys and the hash are made once. It is used by one goroutine at a time.
type usageCipher struct {
	p      *profile
	cts    *cts
	mac    hash.Hash
	sum    [64]byte            // scratch for the MAC
	tail   [aes.BlockSize]byte // the end of what is opened, see open
	passes twopass.Runner

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

const (
	// inPieces is the size from which a message goes through cipher and MAC in
	// pieces. Below it the copying that this spares costs less than the calls that
	// it takes.
	inPieces = 16 << 10
	// From these sizes on, cipher and MAC go side by side. To decrypt is twice as
	// fast as to encrypt: the blocks do not wait for each other.
	parallelSeal = 96 << 10
	parallelOpen = 128 << 10
	// openGap is more than for sealing: the standard library decrypts CBC backwards.
	openGap = 2 * twopass.Page
)

// seal encrypts a message in b and returns the MAC, which lives until the next
// call. b begins with the confounder; plain, which stands elsewhere, comes behind
// it, and then what b has behind the room for plain.
//
// The MAC of AES-SHA1 covers the plaintext, so that it need not wait for the
// cipher; that of AES-SHA2 covers the ciphertext and keeps behind it.
func (c *usageCipher) seal(b, plain []byte) []byte {
	c.mac.Reset()
	c.cts.beginEncrypt()
	if c.p.sha2 {
		c.mac.Write(zeroIV[:])
	}
	var rest []byte
	if len(plain) < inPieces {
		copy(b[aes.BlockSize:], plain)
		rest = b
	} else {
		rest = c.sealBulk(b, plain)
	}
	if c.p.sha2 {
		c.cts.encryptEnd(rest)
		c.mac.Write(rest)
	} else {
		c.mac.Write(rest)
		c.cts.encryptEnd(rest)
	}
	return sumInto(c.mac, c.sum[:], c.p.macSize)
}

// sealBulk seals the confounder and most of plain, and returns what of b is left:
// more than the two last blocks, which change places.
func (c *usageCipher) sealBulk(b, plain []byte) (rest []byte) {
	confounder := b[:aes.BlockSize]
	bulk := (len(plain) - 2*aes.BlockSize) &^ (aes.BlockSize - 1)
	src, dst := plain[:bulk], b[aes.BlockSize:aes.BlockSize+bulk]
	encrypt := func(from, to int) { c.cts.enc.CryptBlocks(dst[from:to], src[from:to]) }
	if c.p.sha2 {
		c.cts.enc.CryptBlocks(confounder, confounder)
		c.mac.Write(confounder)
		c.passes.Behind(c.mac, dst, parallelSeal, twopass.Page, encrypt)
	} else {
		c.mac.Write(confounder)
		c.cts.enc.CryptBlocks(confounder, confounder)
		c.passes.Apart(c.mac, src, parallelSeal, encrypt)
	}
	rest = b[aes.BlockSize+bulk:]
	copy(rest, plain[bulk:])
	return rest
}

// open is the reverse of seal, in place, for a ciphertext that ends in c.tail.
// AES-SHA1 finds out after decrypting whether the MAC is right; what was decrypted
// in vain is overwritten.
func (c *usageCipher) open(head, mac []byte) error {
	c.mac.Reset()
	n := c.cts.beginDecrypt(head)
	bulk, rest := head[:n], head[n:]
	if c.p.sha2 {
		c.mac.Write(zeroIV[:])
		c.mac.Write(head)
		c.mac.Write(c.tail[:])
		if !hmac.Equal(sumInto(c.mac, c.sum[:], c.p.macSize), mac) {
			return ErrIntegrity
		}
		c.cts.decryptEnd(rest, &c.tail)
		c.cts.dec.CryptBlocks(bulk, bulk)
		return nil
	}
	c.cts.decryptEnd(rest, &c.tail)
	c.passes.Behind(c.mac, bulk, parallelOpen, openGap, func(from, to int) {
		c.cts.dec.CryptBlocks(bulk[from:to], bulk[from:to])
	})
	c.mac.Write(rest)
	c.mac.Write(c.tail[:])
	if !hmac.Equal(sumInto(c.mac, c.sum[:], c.p.macSize), mac) {
		clear(head)
		clear(c.tail[:])
		return ErrIntegrity
	}
	return nil
}

// openWhole is open for a ciphertext in one piece.
func (c *usageCipher) openWhole(b, mac []byte) error {
	head := len(b) - len(c.tail)
	if head < 0 || len(mac) != c.p.macSize {
		return ErrIntegrity
	}
	copy(c.tail[:], b[head:])
	err := c.open(b[:head], mac)
	copy(b[head:], c.tail[:])
	return err
}

// encrypt returns plain encrypted as an EncryptedData holds it.
func (c *usageCipher) encrypt(plain []byte) []byte {
	return c.encryptWith(randomBytes(c.p.confounder), plain)
}

func (c *usageCipher) encryptWith(confounder, plain []byte) []byte {
	if c.rc4Usage != nil {
		return c.encryptRC4(confounder, plain)
	}
	b := make([]byte, len(confounder)+len(plain), len(plain)+c.overhead())
	copy(b, confounder)
	return append(b, c.seal(b, plain)...)
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
	if err := c.openWhole(data[:n], data[n:]); err != nil {
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
