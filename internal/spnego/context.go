package spnego

import (
	"context"
	"errors"
)

// A Context is the logon of one connection with one mechanism, initiating or
// accepting.
type Context interface {
	// OIDs returns the mechanism's object identifiers in dotted form, in the
	// order in which an initiator lists them.
	OIDs() []string
	// Step takes the peer's token, nothing at the initiator's start, and
	// returns the next one to send. With done nothing more is expected from the
	// peer. A token may accompany an error: it tells the peer about it.
	Step(ctx context.Context, in []byte) (out []byte, done bool, err error)
	// CanSign reports, once Step said done, whether MIC and VerifyMIC work.
	CanSign() bool
	// MIC appends the signature of message to dst.
	MIC(dst, message []byte) ([]byte, error)
	// VerifyMIC checks the peer's signature of message.
	VerifyMIC(message, mic []byte) error
	// ResetAfterMIC is called after each of the two: NTLM then starts the
	// keystream of that direction anew ([MS-SPNG] section 3.2.5.1).
	ResetAfterMIC()
	// Wrap appends the sealed form of plain to dst: tokenLen bytes of token and
	// the ciphertext. length is that of plain with what the mechanism pads it
	// with.
	Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error)
	// Unwrap verifies and decrypts buf in place.
	Unwrap(buf []byte, tokenLen int) ([]byte, error)
}

// A MICWanter is a Context whose mechanism wants the list signed even where RFC
// 4178 does not ask for it: NTLM with a MIC in its messages, by [MS-SPNG]
// section 3.1.5.1.
type MICWanter interface {
	// MessageMIC reports whether the mechanism's own messages carried a MIC.
	MessageMIC() bool
}

func wantsMIC(c Context) bool {
	w, ok := c.(MICWanter)
	return ok && w.MessageMIC()
}

// Unavailable is implemented by errors of a Context's first Step that say that
// the mechanism cannot be used here at all, for nobody was asked to judge the
// credentials: no KDC can be reached, the server is not known to it. Only then
// an initiator goes on to its next mechanism.
type Unavailable interface {
	error
	Unavailable() bool
}

func isUnavailable(err error) bool {
	u, ok := errors.AsType[Unavailable](err)
	return ok && u.Unavailable()
}

// Object identifiers of mechanisms, in dotted form.
const (
	OIDSPNEGO     = "1.3.6.1.5.5.2"
	OIDKerberos   = "1.2.840.113554.1.2.2"
	OIDMSKerberos = "1.2.840.48018.1.2.2" // a wrong encoding in Windows 2000, kept by all since
	OIDNTLM       = "1.3.6.1.4.1.311.2.2.10"
	OIDNegoEx     = "1.3.6.1.4.1.311.2.2.30"
)

// sameMech reports whether two object identifiers name the same mechanism.
func sameMech(a, b string) bool { return canonical(a) == canonical(b) }

func canonical(oid string) string {
	if oid == OIDMSKerberos {
		return OIDKerberos
	}
	return oid
}

// MechName returns what people call the mechanism.
func MechName(oid string) string {
	switch canonical(oid) {
	case OIDKerberos:
		return "Kerberos"
	case OIDNTLM:
		return "NTLM"
	case OIDNegoEx:
		return "NegoEx"
	case OIDSPNEGO:
		return "SPNEGO"
	default:
		return oid
	}
}
