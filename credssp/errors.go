package credssp

import (
	"fmt"

	"github.com/winrmkit/winrmkit/internal/credssp"
)

type (
	// Status is the NTSTATUS with which a host refused (errorCode). It is an
	// error with Symbol and Remedy.
	Status = credssp.Status
	// VersionError is a host whose protocol version is not accepted.
	VersionError = credssp.VersionError
	// PhaseError tells how far the logon had come when it failed.
	PhaseError = credssp.PhaseError
	// Phase is a part of the logon.
	Phase = credssp.Phase
)

// The phases of a logon, in order.
const (
	PhaseTLS         = credssp.PhaseTLS         // TLS handshake
	PhaseNegotiate   = credssp.PhaseNegotiate   // inner logon
	PhaseKey         = credssp.PhaseKey         // proof of the host's key
	PhaseCredentials = credssp.PhaseCredentials // the credentials were sent
)

var (
	// ErrPeerKey: the host could not prove that the TLS certificate is its own.
	// There may be a man in the middle. The credentials were not sent.
	ErrPeerKey = credssp.ErrPeerKey
	// ErrMalformed is wrapped by errors about messages that cannot be read.
	ErrMalformed = credssp.ErrMalformed
	// ErrUnexpected is wrapped by errors about messages in the wrong place.
	ErrUnexpected = credssp.ErrUnexpected
)

// A RefusedError is a logon that the host ended with a bare 401, without saying
// why. Versions 2 and 5 of the protocol cannot say it.
type RefusedError struct {
	Phase Phase // how far the logon had come
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("credssp: the host refused without a reason at the %s", e.Phase)
}
