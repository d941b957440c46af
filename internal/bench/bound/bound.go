// Package bound is the work that no client and server can do without to carry an
// output: what benchmarks of sealed streams are compared with. It is done by Go's own
// packages, one thing after the other.
package bound

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4"
	"crypto/sha1"
	"encoding/base64"
)

// Stream does no more than both ends must for an output of this size: base64, and
// the cipher and MAC of bare, once sealed and once opened.
func Stream(size int, bare func([]byte)) {
	const piece = 370_000 // of output in one answer
	plain, text := make([]byte, piece), make([]byte, base64.StdEncoding.EncodedLen(piece))
	for ; size > 0; size -= piece {
		base64.StdEncoding.Encode(text, plain)
		bare(text)
		if _, err := base64.StdEncoding.Decode(plain, text); err != nil {
			panic(err) // what was sealed was not opened
		}
	}
}

// RC4 is NTLM's: RC4 and HMAC-MD5. The same key twice gives the text back.
func RC4(text []byte) {
	key := make([]byte, 16)
	for range 2 {
		c, _ := rc4.NewCipher(key)
		mac := hmac.New(md5.New, key)
		mac.Write(text)
		mac.Sum(nil)
		c.XORKeyStream(text, text)
	}
}

// AES is Kerberos's aes256-cts-hmac-sha1-96.
func AES(text []byte) {
	block, _ := aes.NewCipher(make([]byte, 32))
	whole := text[:len(text)/aes.BlockSize*aes.BlockSize]
	for _, mode := range []cipher.BlockMode{
		cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)), cipher.NewCBCDecrypter(block, make([]byte, aes.BlockSize)),
	} {
		mac := hmac.New(sha1.New, make([]byte, 32))
		mac.Write(text)
		mac.Sum(nil)
		mode.CryptBlocks(whole, whole)
	}
}

// GCM is TLS's: AES-GCM, in records.
func GCM(text []byte) {
	const record = 16384
	block, _ := aes.NewCipher(make([]byte, 16))
	aead, _ := cipher.NewGCM(block)
	nonce, sealed := make([]byte, aead.NonceSize()), make([]byte, 0, record+aead.Overhead())
	for rest := text; len(rest) > 0; {
		n := min(len(rest), record)
		if _, err := aead.Open(rest[:0], nonce, aead.Seal(sealed, nonce, rest[:n], nil), nil); err != nil {
			panic(err)
		}
		rest = rest[n:]
	}
}

// None is the bare of a stream in clear.
func None([]byte) {}
