package ntlm

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"hash"
	"slices"

	"github.com/winrmkit/winrmkit/internal/rc4"
	"github.com/winrmkit/winrmkit/internal/twopass"
)

// signatureSize is the length of NTLMSSP_MESSAGE_SIGNATURE, section 2.2.2.9:
// version 1, eight bytes of checksum, sequence number.
const signatureSize = 16

// A Session signs and seals with extended session security (section 3.4). Its
// two directions are independent; each counts its messages, and a message that
// is not the next one is refused. It is used by one goroutine at a time.
type Session struct {
	flags    Flags
	exported [16]byte
	out, in  direction
	broken   error // once a message was wrong, the keystreams are out of step
}

// A direction is the state of what goes one way.
type direction struct {
	seal [16]byte // SealKey
	rc4  *rc4.Cipher
	mac  hash.Hash // HMAC-MD5 with SignKey
	seq  uint32
	mic  bool // a MIC went this way that the keystream shall forget

	passes *twopass.Runner

	// Scratch space, here so that calling through the hash interface does not
	// allocate.
	head [4]byte
	sum  [md5.Size]byte
	sig  [signatureSize]byte
}

// The magic constants of section 3.4.5.2 and 3.4.5.3 end with a zero byte.
const (
	clientSigning = "session key to client-to-server signing key magic constant\x00"
	serverSigning = "session key to server-to-client signing key magic constant\x00"
	clientSealing = "session key to client-to-server sealing key magic constant\x00"
	serverSealing = "session key to server-to-client sealing key magic constant\x00"
)

// signKey is SIGNKEY of section 3.4.5.2.
func signKey(exported [16]byte, magic string) [16]byte {
	return md5.Sum(append(exported[:], magic...))
}

// sealKey is SEALKEY of section 3.4.5.3 with extended session security.
func sealKey(flags Flags, exported [16]byte, magic string) [16]byte {
	key := exported[:]
	switch {
	case flags.Has(Flag128):
	case flags.Has(Flag56):
		key = key[:7]
	default:
		key = key[:5]
	}
	return md5.Sum(append(bytes.Clone(key), magic...))
}

// start makes the keys of both directions; the acceptor's are the other way
// round.
func (s *Session) start(flags Flags, exported [16]byte, acceptor bool) {
	client := newDirection(flags, exported, clientSigning, clientSealing)
	server := newDirection(flags, exported, serverSigning, serverSealing)
	*s = Session{flags: flags, exported: exported, out: client, in: server}
	if acceptor {
		s.out, s.in = server, client
	}
}

func newDirection(flags Flags, exported [16]byte, signing, sealing string) direction {
	sign := signKey(exported, signing)
	seal := sealKey(flags, exported, sealing)
	return direction{seal: seal, rc4: newRC4(seal[:]), mac: hmac.New(md5.New, sign[:]), passes: new(twopass.Runner)}
}

// Flags returns what was negotiated, 0 before the logon is done.
func (s *Session) Flags() Flags { return s.flags }

// Key returns the exported session key.
func (s *Session) Key() []byte { return bytes.Clone(s.exported[:]) }

// CanSign reports whether messages can be signed, with MIC and VerifyMIC.
func (s *Session) CanSign() bool { return s.flags.Has(FlagSign) || s.flags.Has(FlagSeal) }

// CanSeal reports whether messages can be sealed, with Wrap and Unwrap.
func (s *Session) CanSeal() bool { return s.flags.Has(FlagSeal) }

func (s *Session) check(can bool) error {
	switch {
	case s.broken != nil:
		return s.broken
	case s.flags == 0:
		return ErrNoSession
	case !can:
		return ErrNotNegotiated
	}
	return nil
}

// Wrap appends the sealed form of plain to dst: the signature of 16 bytes, and a
// ciphertext as long as plain. That is both the framing of WinRM and the token
// of GSS_Wrap. plain must not lie in the spare room of dst.
func (s *Session) Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error) {
	if err := s.check(s.CanSeal()); err != nil {
		return nil, 0, 0, err
	}
	at := len(dst)
	dst = slices.Grow(dst, signatureSize+len(plain))[:at+signatureSize+len(plain)]
	s.out.encrypt(dst[at+signatureSize:], plain)
	copy(dst[at:], s.out.sign(s.flags))
	return dst, signatureSize, len(plain), nil
}

// Unwrap verifies and decrypts what Wrap of the other side made, in place.
func (s *Session) Unwrap(buf []byte, tokenLen int) ([]byte, error) {
	if err := s.check(s.CanSeal()); err != nil {
		return nil, err
	}
	if tokenLen != signatureSize || len(buf) < signatureSize {
		return nil, s.fail(ErrSignature)
	}
	if err := s.in.expect(buf[:signatureSize]); err != nil {
		return nil, s.fail(err)
	}
	plain := buf[signatureSize:]
	s.in.decrypt(plain)
	if !hmac.Equal(s.in.sign(s.flags), buf[:signatureSize]) {
		clear(plain)
		return nil, s.fail(ErrSignature)
	}
	return plain, nil
}

// MIC appends the signature of message to dst.
func (s *Session) MIC(dst, message []byte) ([]byte, error) {
	if err := s.check(s.CanSign()); err != nil {
		return nil, err
	}
	s.out.begin()
	s.out.mac.Write(message)
	s.out.mic = true
	return append(dst, s.out.sign(s.flags)...), nil
}

// VerifyMIC checks the signature that the other side made of message.
func (s *Session) VerifyMIC(message, mic []byte) error {
	if err := s.check(s.CanSign()); err != nil {
		return err
	}
	if len(mic) != signatureSize {
		return s.fail(ErrSignature)
	}
	if err := s.in.expect(mic); err != nil {
		return s.fail(err)
	}
	s.in.begin()
	s.in.mac.Write(message)
	if !hmac.Equal(s.in.sign(s.flags), mic) {
		return s.fail(ErrSignature)
	}
	s.in.mic = true
	return nil
}

// ResetAfterMIC puts the keystream back to its beginning, as SPNEGO wants it
// after each mechListMIC ([MS-SPNG] section 3.2.5.1). That is a matter of the
// direction that the MIC went: the other may have sealed messages already, as
// in CredSSP. The sequence numbers go on.
func (s *Session) ResetAfterMIC() {
	for _, d := range []*direction{&s.out, &s.in} {
		if d.mic {
			d.rc4, d.mic = newRC4(d.seal[:]), false
		}
	}
}

// fail ends the session: after a wrong message nothing that follows can be
// right.
func (s *Session) fail(err error) error {
	s.broken = err
	return err
}

// parallel is the size from which RC4 and MD5 go side by side: where the two take
// the time that package twopass names.
const parallel = 88 << 10

// encrypt encrypts plain into dst and begins the checksum, over the plaintext.
func (d *direction) encrypt(dst, plain []byte) {
	d.begin()
	d.passes.Apart(d.mac, plain, parallel, func(from, to int) { d.rc4.XORKeyStream(dst[from:to], plain[from:to]) })
}

// decrypt decrypts p in place and begins the checksum.
func (d *direction) decrypt(p []byte) {
	d.begin()
	d.passes.Behind(d.mac, p, parallel, twopass.Page, func(from, to int) { d.rc4.XORKeyStream(p[from:to], p[from:to]) })
}

// begin starts the checksum of the next message with its sequence number.
func (d *direction) begin() {
	binary.LittleEndian.PutUint32(d.head[:], d.seq)
	d.mac.Reset()
	d.mac.Write(d.head[:])
}

// sign ends the checksum and returns the signature, valid until the next one.
// With KEY_EXCH the checksum is encrypted, with the keystream that follows the
// data's (section 3.4.4.2).
func (d *direction) sign(flags Flags) []byte {
	sum := d.mac.Sum(d.sum[:0])
	d.sig = [signatureSize]byte{0: 1}
	copy(d.sig[4:12], sum)
	if flags.Has(FlagKeyExchange) {
		d.rc4.XORKeyStream(d.sig[4:12], d.sig[4:12])
	}
	binary.LittleEndian.PutUint32(d.sig[12:], d.seq)
	d.seq++
	return d.sig[:]
}

// expect checks what of a signature can be told before the message is touched.
func (d *direction) expect(sig []byte) error {
	if binary.LittleEndian.Uint32(sig) != 1 {
		return ErrSignature
	}
	if got := binary.LittleEndian.Uint32(sig[12:]); got != d.seq {
		return &SequenceError{Got: got, Want: d.seq}
	}
	return nil
}
