package krb5

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
)

var zeroIV [aes.BlockSize]byte

// cts is AES in CBC mode with ciphertext stealing and a zero IV, the last two
// blocks always swapped. It works in place and allocates nothing per message.
// See RFC 3962 section 5.
type cts struct {
	block    cipher.Block
	enc, dec cipher.BlockMode
	last     [aes.BlockSize]byte // scratch; here so that it does not escape per message
	prev     [aes.BlockSize]byte
	before   [aes.BlockSize]byte
	split    [2 * aes.BlockSize]byte
}

func newCTS(key []byte) (*cts, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &cts{block: block}, nil
}

// ivSetter is what the block modes of crypto/aes offer: the IV is set anew
// instead of making a new mode for each message.
type ivSetter interface{ SetIV([]byte) }

func reuse(mode cipher.BlockMode, block cipher.Block, newMode func(cipher.Block, []byte) cipher.BlockMode) cipher.BlockMode {
	if s, ok := mode.(ivSetter); ok {
		s.SetIV(zeroIV[:])
		return mode
	}
	return newMode(block, zeroIV[:])
}

// encrypt encrypts b in place; len(b) ≥ 16.
func (c *cts) encrypt(b []byte) {
	n := len(b)
	if n == aes.BlockSize {
		c.block.Encrypt(b, b)
		return
	}
	c.enc = reuse(c.enc, c.block, cipher.NewCBCEncrypter)
	r := (n-1)%aes.BlockSize + 1 // length of the last block, 1..16
	full := b[:n-r]
	c.enc.CryptBlocks(full, full)

	// C(n) = E(P(n) padded with zeros xor C(n-1)); it takes the place of C(n-1),
	// of which only the first r bytes are kept, at the end.
	prev := full[len(full)-aes.BlockSize:]
	copy(c.prev[:], prev)
	clear(c.last[:])
	copy(c.last[:], b[n-r:])
	subtle.XORBytes(c.last[:], c.last[:], c.prev[:])
	c.block.Encrypt(c.last[:], c.last[:])
	copy(prev, c.last[:])
	copy(b[n-r:], c.prev[:r])
}

// decrypt is the reverse of encrypt.
func (c *cts) decrypt(b []byte) {
	n := len(b)
	if n == aes.BlockSize {
		c.block.Decrypt(b, b)
		return
	}
	c.dec = reuse(c.dec, c.block, cipher.NewCBCDecrypter)
	r := (n-1)%aes.BlockSize + 1
	full := b[:n-r]
	prev := full[len(full)-aes.BlockSize:]

	// prev holds C(n), the end of b the first r bytes of C(n-1). What D(C(n))
	// has beyond r is C(n-1)'s own tail, since P(n) was padded with zeros.
	c.block.Decrypt(c.last[:], prev)
	copy(c.prev[:], c.last[:])
	copy(c.prev[:r], b[n-r:])
	subtle.XORBytes(c.last[:r], c.last[:r], c.prev[:r])
	copy(prev, c.prev[:])
	copy(b[n-r:], c.last[:r])
	c.dec.CryptBlocks(full, full)
}

// decryptSplit decrypts a ciphertext whose last 16 bytes stand elsewhere, both
// parts in place: so it is in a rotated token, and moving a big message to
// decrypt it would cost a tenth of the time.
func (c *cts) decryptSplit(head []byte, tail *[aes.BlockSize]byte) {
	n := len(head) + len(tail)
	r := (n-1)%aes.BlockSize + 1
	whole := n - r - aes.BlockSize // where C(n) begins; all before it is plain CBC
	clear(c.before[:])
	if whole > 0 {
		copy(c.before[:], head[whole-aes.BlockSize:whole])
	}
	// The end is C(n) and the first r bytes of C(n-1); see decrypt.
	k := copy(c.split[:], head[whole:])
	copy(c.split[k:], tail[:])
	c.block.Decrypt(c.last[:], c.split[:aes.BlockSize])
	copy(c.prev[:], c.last[:])
	copy(c.prev[:r], c.split[aes.BlockSize:])
	subtle.XORBytes(c.last[:r], c.last[:r], c.prev[:r])
	c.block.Decrypt(c.split[:aes.BlockSize], c.prev[:])
	subtle.XORBytes(c.split[:aes.BlockSize], c.split[:aes.BlockSize], c.before[:])
	copy(c.split[aes.BlockSize:], c.last[:r])
	if whole > 0 {
		c.dec = reuse(c.dec, c.block, cipher.NewCBCDecrypter)
		c.dec.CryptBlocks(head[:whole], head[:whole])
	}
	copy(head[whole:], c.split[:k])
	copy(tail[:], c.split[k:])
}
