// Package toyauth holds authentication mechanisms for tests, both sides of each.
// They have the shapes that real mechanisms have and no more, so that transports
// and servers are tested before, and apart from, NTLM, Kerberos and CredSSP.
//
// They are NOT for production: nothing here was designed to withstand anybody.
//
//	OneLeg     a token with the request, a proof with the 200 (as Kerberos)
//	TwoLegs    hello, challenge, response, proof (as NTLM in SPNEGO)
//	Splitting  TwoLegs whose sealing takes 1000 bytes at a time (as CredSSP)
//	Early      hello, challenge, and the first sealed message is the response
//
// All seal but OneLeg.
package toyauth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// A Kind is one of the mechanisms.
type Kind int

// The mechanisms; see the package comment.
const (
	OneLeg Kind = iota
	TwoLegs
	Splitting
	Early
)

// Scheme is the HTTP scheme word of all.
const Scheme = "Toy"

// Protocol is the media type of sealed messages.
const Protocol = "application/HTTP-Toy-session-encrypted"

// splitAt is the MaxPlain of Splitting.
const splitAt = 1000

func (k Kind) String() string {
	return [...]string{"OneLeg", "TwoLegs", "Splitting", "Early"}[k]
}

// Tokens begin with a byte that tells what they are.
const (
	hello     = 'h' // account
	whole     = 'w' // MAC, account (OneLeg)
	challenge = 'c' // nonce
	response  = 'r' // MAC
	proof     = 'p' // MAC
)

// mac keys everything with the password.
func mac(password, purpose string, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, []byte(password))
	h.Write([]byte(purpose))
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

var errSealed = errors.New("toyauth: sealed message out of sequence or not authentic")

const tagLen = 16

// sealing encrypts in both directions with strict sequence numbers.
type sealing struct {
	kind      Kind
	aead      cipher.AEAD
	out, in   byte // directions
	sent, got uint64
}

func newSealing(kind Kind, password string, nonce []byte, initiator bool) *sealing {
	block, err := aes.NewCipher(mac(password, "seal", nonce))
	if err != nil {
		panic(err) // a SHA-256 is a valid key
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	s := &sealing{kind: kind, aead: aead, out: 'c', in: 's'}
	if !initiator {
		s.out, s.in = s.in, s.out
	}
	return s
}

func nonceOf(direction byte, seq uint64) []byte {
	n := make([]byte, 12)
	n[0] = direction
	binary.BigEndian.PutUint64(n[4:], seq)
	return n
}

// Protocol implements the sealer interfaces.
func (s *sealing) Protocol() string { return Protocol }

// MaxPlain implements the sealer interfaces.
func (s *sealing) MaxPlain() int {
	if s.kind == Splitting {
		return splitAt
	}
	return 0
}

// Wrap writes the tag, as the token, before the ciphertext.
func (s *sealing) Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error) {
	at := len(dst)
	dst = append(dst, make([]byte, tagLen)...)
	dst = s.aead.Seal(dst, nonceOf(s.out, s.sent), plain, nil)
	s.sent++
	end := len(dst) - tagLen
	copy(dst[at:at+tagLen], dst[end:])
	return dst[:end], tagLen, len(plain), nil
}

// Unwrap verifies and decrypts.
func (s *sealing) Unwrap(buf []byte, tokenLen int) ([]byte, error) {
	if tokenLen != tagLen || len(buf) < tagLen {
		return nil, errSealed
	}
	sealed := append(append([]byte{}, buf[tagLen:]...), buf[:tagLen]...)
	plain, err := s.aead.Open(buf[tagLen:tagLen], nonceOf(s.in, s.got), sealed, nil)
	if err != nil {
		return nil, errSealed
	}
	s.got++
	return plain, nil
}
