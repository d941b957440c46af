package winrmtest

import (
	"crypto/tls"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/credssp"
	"github.com/winrmkit/winrmkit/internal/authserver"
)

// CredSSPOptions say how a server accepts CredSSP. The zero value is how a
// current Windows does.
type CredSSPOptions struct {
	// Inner is the logon inside, made by [Negotiate] or its like; its zero value
	// is Negotiate with NTLM.
	Inner Mechanism
	// Version is the protocol version that the server announces, 2 to 6; 0 is 6.
	Version int
	// MinVersion is the least that clients may speak; 0 takes all.
	MinVersion int
	// TLS is the inner TLS: its one certificate and its versions. Without a
	// certificate a self-signed one is made.
	TLS *tls.Config
	// Protected are accounts that log on but cannot be delegated, as members of
	// Protected Users.
	Protected []string
}

// CredSSP accepts CredSSP. What the client hands over is in [Proc.Delegated].
func CredSSP(o CredSSPOptions) Mechanism {
	return Mechanism{
		accept: authserver.CredSSP{
			Inner: o.Inner.accept, Version: o.Version, MinVersion: o.MinVersion,
			TLS: o.TLS, Protected: o.Protected,
		},
		setting: "Service/Auth/CredSSP", seals: true,
		client: func(c auth.Credentials) auth.Mechanism {
			cfg := credssp.Config{Credentials: c}
			if o.Version < 5 { // what clients refuse unless it is named
				cfg.MinVersion = o.Version
			}
			if o.Inner.client != nil {
				cfg.Inner = o.Inner.client(c)
			}
			return credssp.New(cfg)
		},
	}
}

// Delegated are the credentials that a client has handed over, so that the host
// can log on elsewhere in the user's name.
type Delegated struct {
	Domain, User, Password string
	// CCache is the content of a Kerberos credential cache with the ticket that
	// the client has forwarded; then the other fields are empty.
	CCache []byte
}

// delegated returns what the client of the connection has handed over, nil when
// nothing.
func (c *conn) delegated() *Delegated {
	if d, ok := c.logon.ctx.(authserver.TicketDelegate); ok {
		if cache := d.DelegatedCCache(); cache != nil {
			return &Delegated{CCache: cache}
		}
	}
	d, ok := c.logon.ctx.(authserver.Delegate)
	if !ok {
		return nil
	}
	got := d.Delegated()
	if got == nil {
		return nil
	}
	return &Delegated{Domain: got.Domain, User: got.User, Password: got.Password}
}
