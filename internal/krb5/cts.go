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
//
// All but the end of a message is plain CBC and can be had piece by piece: begin,
// then enc or dec, then the end.
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

func (c *cts) beginEncrypt() { c.enc = reuse(c.enc, c.block, cipher.NewCBCEncrypter) }

// encryptEnd encrypts b in place, the end of a message or all of it; what c.enc
// has encrypted stands before it. A message has 16 bytes or more; of the end of a
// larger one, b has more than 16.
func (c *cts) encryptEnd(b []byte) {
	n := len(b)
	if n == aes.BlockSize {
		c.block.Encrypt(b, b)
		return
	}
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

// beginDecrypt begins with a ciphertext whose last 16 bytes stand elsewhere: so
// it is in a rotated token, and moving a big message to decrypt it would cost a
// tenth of the time. The first bulk bytes of head are plain CBC, for c.dec; the
// rest is for decryptEnd, which may come before or after them.
func (c *cts) beginDecrypt(head []byte) (bulk int) {
	c.dec = reuse(c.dec, c.block, cipher.NewCBCDecrypter)
	clear(c.before[:])
	bulk = max(0, (len(head)-1)/aes.BlockSize*aes.BlockSize) // C(n) begins there
	if bulk > 0 {
		copy(c.before[:], head[bulk-aes.BlockSize:bulk])
	}
	return bulk
}

// decryptEnd decrypts in place what follows the bulk, up to 16 bytes of the head,
// and the tail.
func (c *cts) decryptEnd(rest []byte, tail *[aes.BlockSize]byte) {
	r := len(rest) // of C(n-1), as much is left
	if r == 0 {
		c.block.Decrypt(tail[:], tail[:])
		return
	}
	// The end is C(n) and the first r bytes of C(n-1). What D(C(n)) has beyond r is
	// C(n-1)'s own tail, since P(n) was padded with zeros.
	copy(c.split[:], rest)
	copy(c.split[r:], tail[:])
	c.block.Decrypt(c.last[:], c.split[:aes.BlockSize])
	copy(c.prev[:], c.last[:])
	copy(c.prev[:r], c.split[aes.BlockSize:])
	subtle.XORBytes(c.last[:r], c.last[:r], c.prev[:r])
	c.block.Decrypt(c.split[:aes.BlockSize], c.prev[:])
	subtle.XORBytes(c.split[:aes.BlockSize], c.split[:aes.BlockSize], c.before[:])
	copy(c.split[aes.BlockSize:], c.last[:r])
	copy(rest, c.split[:r])
	copy(tail[:], c.split[r:])
}
