package ntlm

import (
	"crypto/fips140"
	"errors"
	"fmt"
)

// ErrFIPS is returned by everything that would need MD4, MD5 or RC4 in a program
// that enforces FIPS 140.
var ErrFIPS error = fipsError{}

type fipsError struct{}

func (fipsError) Error() string {
	return "ntlm: needs MD4, MD5 and RC4, which FIPS 140 mode forbids; " +
		"use Kerberos with AES-SHA2 keys, or Basic or a certificate over TLS"
}

// Unavailable lets SPNEGO go on to another mechanism.
func (fipsError) Unavailable() bool { return true }

// checkFIPS is asked before a hash is touched: under enforcement the standard
// library's MD5 and HMAC panic.
func checkFIPS() error {
	if fips140.Enforced() {
		return ErrFIPS
	}
	return nil
}

// Errors of a session.
var (
	// ErrSignature says that a message was changed on its way, or was sealed
	// with other keys.
	ErrSignature = errors.New("ntlm: wrong signature")
	// ErrNoSession is returned by the methods of a Session before the logon has
	// been done.
	ErrNoSession = errors.New("ntlm: no session yet")
	// ErrNotNegotiated says that signing or sealing was wanted from a session
	// that negotiated neither.
	ErrNotNegotiated = errors.New("ntlm: protection was not negotiated")
	// ErrOutOfTurn is returned for a message that nobody expects any more.
	ErrOutOfTurn = errors.New("ntlm: message out of turn")
)

// Reasons for which an acceptor refuses, and an initiator where noted.
var (
	ErrNoUser     = errors.New("ntlm: unknown user")
	ErrPassword   = errors.New("ntlm: wrong password")
	ErrMIC        = errors.New("ntlm: wrong message integrity code")
	ErrBinding    = errors.New("ntlm: wrong channel binding")
	ErrNoBinding  = errors.New("ntlm: no channel binding")
	ErrVersion1   = errors.New("ntlm: not an NTLMv2 response")
	ErrAnonymous  = errors.New("ntlm: anonymous logon")
	ErrClock      = errors.New("ntlm: response is too old")
	ErrEncoding   = errors.New("ntlm: text is not valid UTF-8")
	ErrServerName = errors.New("ntlm: challenge without the server's computer and domain name") // initiator
)

// A FlagsError says that the peer left out abilities without which there would
// be no protection. Somebody in between may have done so.
type FlagsError struct {
	Missing Flags
	Offered Flags
}

func (e *FlagsError) Error() string {
	return fmt.Sprintf("ntlm: peer does not negotiate %v", e.Missing)
}

// A MessageError says that a message cannot be read.
type MessageError struct {
	Message string // "NEGOTIATE", "CHALLENGE" or "AUTHENTICATE"
	Reason  string
}

func (e *MessageError) Error() string {
	return "ntlm: " + e.Message + " message: " + e.Reason
}

// A SequenceError says that a sealed message is not the one that comes next: it
// was repeated, dropped or moved.
type SequenceError struct {
	Got, Want uint32
}

func (e *SequenceError) Error() string {
	return fmt.Sprintf("ntlm: message %d where %d comes next", e.Got, e.Want)
}
