package authserver

import (
	"context"
	"errors"
)

// CertificateScheme is the scheme word of logons by client certificate; the
// header carries it alone ([MS-WSMV] section 2.2.9.1 names it as a profile).
const CertificateScheme = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"

// Certificate accepts the client certificate of the TLS connection.
type Certificate struct{}

var (
	_ Mechanism  = Certificate{}
	_ PerRequest = Certificate{}
)

// Scheme implements [Mechanism].
func (Certificate) Scheme() string { return CertificateScheme }

// Challenge implements [Mechanism].
func (Certificate) Challenge() string { return "" }

// PerRequest implements [PerRequest].
func (Certificate) PerRequest() bool { return true }

// NewContext implements [Mechanism].
func (Certificate) NewContext(p Peer) Context { return &certificateContext{peer: p} }

type certificateContext struct {
	peer Peer
	user string
}

var errNoMapping = errors.New("authserver: no mapping for the client certificate")

func (c *certificateContext) Accept(context.Context, []byte, bool) ([]byte, State, error) {
	if c.peer.TLS == nil || len(c.peer.TLS.PeerCertificates) == 0 {
		return nil, Refused, errors.New("authserver: no client certificate")
	}
	account, ok := c.peer.Accounts.Certificate(c.peer.TLS)
	if !ok || !c.peer.Accounts.Passed(account) {
		return nil, Refused, errNoMapping
	}
	c.user = account.Name
	return nil, Accepted, nil
}

func (c *certificateContext) User() string { return c.user }
