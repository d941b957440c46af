package credssp

import (
	"errors"
	"fmt"
)

var (
	// ErrPeerKey reports that the server's pubKeyAuth does not belong to the
	// certificate of its TLS: somebody sits between us and the host, or the
	// value is from another handshake. The credentials were not sent.
	ErrPeerKey = errors.New("credssp: the server could not prove that the TLS certificate is its own; there may be a man in the middle")
	// ErrSplit reports a TSRequest cut into more TLS records than it needs.
	ErrSplit = errors.New("credssp: TSRequest split over TLS records")
	// ErrUnexpected is wrapped by errors about messages that do not belong where
	// they came.
	ErrUnexpected = errors.New("credssp: unexpected message")
	// ErrClosed reports that the peer ended the TLS session, or that we did.
	ErrClosed = errors.New("credssp: TLS session closed")
	// ErrTruncated reports sealed data that is not a whole number of TLS records.
	ErrTruncated = errors.New("credssp: truncated TLS record")
	// ErrTooLarge reports a flight or message beyond the limits.
	ErrTooLarge = errors.New("credssp: message too large")
	// ErrRecordSplit reports a TLS session whose records cannot carry a message
	// in one piece.
	ErrRecordSplit = errors.New("credssp: TLS 1.0 with a CBC suite cuts every message in two, which hosts refuse; switch TLS 1.2 on at the host")
)

// A VersionError reports a peer whose protocol version cannot be accepted.
type VersionError struct {
	Got   uint32 // what the peer announced
	Min   uint32 // the least that we accept; 0 when Earlier is meant
	First uint32 // what it had announced earlier in the same logon
}

// Error implements error.
func (e *VersionError) Error() string {
	if e.First != 0 {
		return fmt.Sprintf("credssp: the peer changed its version from %d to %d midway", e.First, e.Got)
	}
	text := fmt.Sprintf("credssp: the peer speaks version %d, at least %d is required", e.Got, e.Min)
	if e.Got < SafeVersion && e.Min >= SafeVersion {
		text += " (older ones are open to CVE-2018-0886: update the host, or allow its version by name)"
	}
	return text
}

// A PhaseError tells how far the logon had come when it failed.
type PhaseError struct {
	Phase Phase
	Err   error

	unheard bool // nothing of the inner logon has reached the peer
}

// Error implements error.
func (e *PhaseError) Error() string {
	return fmt.Sprintf("credssp: %s: %s", e.Phase, withoutPrefix(e.Err))
}

// Refused reports whether the peer may have judged the credentials. A proof that
// does not fit, or a message that cannot be read, is no judgement.
func (e *PhaseError) Refused() bool {
	if _, old := errors.AsType[*VersionError](e.Err); old {
		return false
	}
	for _, ours := range []error{
		ErrPeerKey, ErrMalformed, ErrUnexpected, ErrSplit, ErrTruncated, ErrClosed, ErrTooLarge, ErrRecordSplit,
	} {
		if errors.Is(e.Err, ours) {
			return false
		}
	}
	return e.Phase > PhaseTLS && !e.unheard
}

// Unwrap returns the cause.
func (e *PhaseError) Unwrap() error { return e.Err }

func withoutPrefix(err error) string {
	const prefix = "credssp: "
	text := err.Error()
	if len(text) > len(prefix) && text[:len(prefix)] == prefix {
		return text[len(prefix):]
	}
	return text
}

// Phase is a part of the logon.
type Phase int

// The phases, in order.
const (
	PhaseTLS         Phase = iota // TLS handshake
	PhaseNegotiate                // inner logon
	PhaseKey                      // exchange of pubKeyAuth
	PhaseCredentials              // authInfo has been sent, or is expected
	PhaseDone
)

// String implements fmt.Stringer.
func (p Phase) String() string {
	switch p {
	case PhaseTLS:
		return "TLS handshake"
	case PhaseNegotiate:
		return "inner logon"
	case PhaseKey:
		return "proof of the server's key"
	case PhaseCredentials:
		return "delegation of the credentials"
	}
	return "done"
}
