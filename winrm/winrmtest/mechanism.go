package winrmtest

import (
	"crypto/x509"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/authserver"
)

// A Mechanism is a way to log on that a [Server] accepts.
type Mechanism struct {
	accept authserver.Mechanism
	// setting is the switch in the configuration that turns it on, such as
	// "Service/Auth/Basic"; "" is always on.
	setting string
	// seals says that messages are encrypted over clear http.
	seals bool
	// client makes the initiating side.
	client func(auth.Credentials) auth.Mechanism
}

// DefaultMechanisms are those of a server whose [Server.Mechanisms] is nil:
// Negotiate, as every Windows host accepts it, and Basic, which is refused over
// clear http unless AllowUnencrypted is set.
func DefaultMechanisms() []Mechanism { return []Mechanism{Negotiate(), Basic()} }

// Basic accepts user name and password in clear. Over http it works only while
// Service/AllowUnencrypted is true.
func Basic() Mechanism {
	return Mechanism{accept: authserver.Basic{}, setting: "Service/Auth/Basic"}
}

// NewMechanism makes a Mechanism of an accepting side of one's own. setting is
// the switch of the configuration that turns it on, such as
// "Service/Auth/Negotiate", or "" for none; seals says that it encrypts
// messages; client makes the initiating side for [Server.Config].
func NewMechanism(accept authserver.Mechanism, setting string, seals bool, client func(auth.Credentials) auth.Mechanism) Mechanism {
	return Mechanism{accept: accept, setting: setting, seals: seals, client: client}
}

// Certificate accepts TLS client certificates that one of the roots has issued
// and that [Server.CertMappings] or the configuration maps to an account.
// Without roots, those of [Server.ClientCertificate] are taken.
//
// Windows asks for the certificate by renegotiation; crypto/tls has none on the
// server's side, so this one asks in the handshake.
func Certificate(roots ...*x509.Certificate) Mechanism {
	return Mechanism{
		accept: certificateMechanism{roots: roots}, setting: "Service/Auth/Certificate",
	}
}

// certificateMechanism carries the roots to the TLS configuration.
type certificateMechanism struct {
	authserver.Certificate
	roots []*x509.Certificate
}
