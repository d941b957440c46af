package krb5

import (
	"crypto/aes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"unicode/utf16"
)

// Constants of key derivation: the last byte of the usage string.
// See RFC 3961 section 5.3.
const (
	deriveKc = 0x99 // checksum
	deriveKe = 0xaa // encryption
	deriveKi = 0x55 // integrity
)

// maxIterations bounds what an unauthenticated KDC can make a client compute.
// Windows and MIT use 4096 and 32768; MIT's own bound is 2^24.
const maxIterations = 1 << 22

// nfold stretches or folds in to n bytes. See RFC 3961 section 5.1: copies of
// in, each rotated right by 13 bits more, are laid end to end until they fill a
// whole number of n-byte pieces; the pieces are added in ones' complement.
func nfold(in []byte, n int) []byte {
	total := len(in) * n / gcd(len(in), n)
	laid := make([]byte, 0, total)
	for turn := append([]byte(nil), in...); len(laid) < total; turn = rotateRight13(turn) {
		laid = append(laid, turn...)
	}
	sum := make([]byte, n)
	for ; len(laid) > 0; laid = laid[n:] {
		carry := addBytes(sum, laid[:n], 0)
		for carry != 0 { // ones' complement: the carry comes back in at the end
			carry = addBytes(sum, nil, carry)
		}
	}
	return sum
}

func rotateRight13(in []byte) []byte {
	bits := len(in) * 8
	out := make([]byte, len(in))
	for i := range bits {
		if in[i/8]&(0x80>>(i%8)) != 0 {
			to := (i + 13) % bits
			out[to/8] |= 0x80 >> (to % 8)
		}
	}
	return out
}

// addBytes adds b and carry to the big-endian number sum and returns the carry.
func addBytes(sum, b []byte, carry int) int {
	for i := len(sum) - 1; i >= 0; i-- {
		carry += int(sum[i])
		if b != nil {
			carry += int(b[i])
		}
		sum[i] = byte(carry)
		carry >>= 8
	}
	return carry
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// deriveRandom is DR of RFC 3961 section 5.1 for AES: key and random bytes are
// the same there, so it is DK too.
func deriveRandom(key, constant []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	in := constant
	if len(in) != aes.BlockSize {
		in = nfold(constant, aes.BlockSize)
	}
	out := make([]byte, 0, len(key)+aes.BlockSize)
	var b [aes.BlockSize]byte
	copy(b[:], in)
	for len(out) < len(key) {
		block.Encrypt(b[:], b[:])
		out = append(out, b[:]...)
	}
	return out[:len(key)], nil
}

// kdfHMACSHA2 is KDF-HMAC-SHA2 of RFC 8009 section 3; all our outputs fit in
// one block of the hash.
func kdfHMACSHA2(newHash func() hash.Hash, key, label, context []byte, n int) []byte {
	h := hmac.New(newHash, key)
	h.Write([]byte{0, 0, 0, 1})
	h.Write(label)
	h.Write([]byte{0})
	h.Write(context)
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(n*8)))
	return h.Sum(nil)[:n]
}

func (e EType) newHash() func() hash.Hash {
	switch e {
	case AES128SHA256:
		return sha256.New
	case AES256SHA384:
		return sha512.New384
	case RC4:
		return md5.New
	default:
		return sha1.New
	}
}

// derive makes the key of one usage and purpose.
func (k Key) derive(usage uint32, purpose byte) ([]byte, error) {
	p, err := k.EType.profile()
	if err != nil {
		return nil, err
	}
	constant := append(binary.BigEndian.AppendUint32(nil, usage), purpose)
	if !p.sha2 {
		return deriveRandom(k.Value, constant)
	}
	n := p.macSize // Kc and Ki are as long as the truncated HMAC
	if purpose == deriveKe {
		n = p.keySize
	}
	return kdfHMACSHA2(k.EType.newHash(), k.Value, constant, nil, n), nil
}

// StringToKey turns a password into a key. params is the KDC's s2kparams, nil
// for the default number of rounds. See RFC 3962 section 4, RFC 8009 section 4;
// RC4 takes the NT hash.
func StringToKey(e EType, password, salt string, params []byte) (Key, error) {
	p, err := e.profile()
	if err != nil {
		return Key{}, err
	}
	if e == RC4 {
		return Key{EType: e, Value: NTHash(password)}, nil
	}
	rounds := p.iterations
	if params != nil {
		if len(params) != 4 {
			return Key{}, errors.New("krb5: string-to-key parameters are not 4 bytes long")
		}
		rounds = binary.BigEndian.Uint32(params)
	}
	if rounds == 0 || rounds > maxIterations {
		return Key{}, fmt.Errorf("krb5: KDC wants %d string-to-key rounds, the limit is %d", rounds, maxIterations)
	}
	saltBytes := []byte(salt)
	if p.sha2 {
		saltBytes = append(append([]byte(p.name), 0), saltBytes...)
	}
	tkey, err := pbkdf2.Key(e.newHash(), password, saltBytes, int(rounds), p.keySize)
	if err != nil {
		return Key{}, fmt.Errorf("krb5: string-to-key: %w", err)
	}
	var value []byte
	if p.sha2 {
		value = kdfHMACSHA2(e.newHash(), tkey, []byte("kerberos"), nil, p.keySize)
	} else {
		value, err = deriveRandom(tkey, nfold([]byte("kerberos"), aes.BlockSize))
	}
	clear(tkey)
	return Key{EType: e, Value: value}, err
}

// NTHash is MD4 of the password in UTF-16LE: the RC4 key of an account.
func NTHash(password string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(password)) {
		b = append(b, byte(u), byte(u>>8))
	}
	defer clear(b)
	return md4Sum(b)
}

// PRF is the pseudo-random function of the key's profile.
// See RFC 3961 section 5.3, RFC 8009 section 5.
func (k Key) PRF(in []byte) ([]byte, error) {
	p, err := k.EType.profile()
	if err != nil {
		return nil, err
	}
	switch {
	case k.EType == RC4:
		h := hmac.New(sha1.New, k.Value)
		h.Write(in)
		return h.Sum(nil), nil
	case p.sha2:
		n := k.EType.newHash()().Size()
		return kdfHMACSHA2(k.EType.newHash(), k.Value, []byte("prf"), in, n), nil
	}
	dk, err := deriveRandom(k.Value, nfold([]byte("prf"), aes.BlockSize))
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(dk)
	if err != nil {
		return nil, err
	}
	sum := sha1.Sum(in)
	out := make([]byte, aes.BlockSize)
	block.Encrypt(out, sum[:aes.BlockSize])
	return out, nil
}
