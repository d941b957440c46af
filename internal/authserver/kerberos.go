package authserver

import (
	"context"
	"errors"

	"github.com/winrmkit/winrmkit/internal/chanbind"
	"github.com/winrmkit/winrmkit/internal/krb5"
)

const (
	kerberosScheme   = "Kerberos"
	kerberosProtocol = "application/HTTP-Kerberos-session-encrypted"
)

// Kerberos accepts tickets for a service whose keys it has: under the scheme
// Kerberos, and as one of the mechanisms of [Negotiate]. It needs no KDC.
type Kerberos struct {
	// Keys are the service's, such as a keytab.
	Keys krb5.ServiceKeys
	// Replay remembers authenticators; nil does not.
	Replay *krb5.ReplayCache
	// AllowRC4 takes RC4 tickets too.
	AllowRC4 bool
}

var (
	_ Mechanism       = Kerberos{}
	_ SPNEGOMechanism = Kerberos{}
	_ SPNEGOContext   = (*KerberosContext)(nil)
	_ Sealer          = (*bareKerberos)(nil)
)

// Scheme implements [Mechanism].
func (Kerberos) Scheme() string { return kerberosScheme }

// Challenge implements [Mechanism].
func (Kerberos) Challenge() string { return kerberosScheme }

// NewContext implements [Mechanism].
func (m Kerberos) NewContext(p Peer) Context {
	c, err := m.newContext(p)
	return &bareKerberos{KerberosContext: c, err: err}
}

// NewSPNEGO implements [SPNEGOMechanism].
func (m Kerberos) NewSPNEGO(p Peer) (SPNEGOContext, error) { return m.newContext(p) }

var kerberosLevels = map[ChannelBindingLevel]krb5.BindingLevel{
	BindingRelaxed: krb5.BindingRelaxed, BindingNone: krb5.BindingNone, BindingStrict: krb5.BindingStrict,
}

func (m Kerberos) newContext(p Peer) (*KerberosContext, error) {
	c := &KerberosContext{cfg: krb5.AcceptorConfig{
		Keys: m.Keys, Replay: m.Replay, AllowRC4: m.AllowRC4, BindingLevel: kerberosLevels[p.ChannelBinding],
	}}
	if p.ServerCertificate != nil {
		var err error
		if c.cfg.Binding, err = chanbind.ServerEndPoint(p.ServerCertificate); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// A KerberosContext is the accepting side of one context.
type KerberosContext struct {
	cfg krb5.AcceptorConfig
	acc *krb5.Accepted
}

var errKerberosTurn = errors.New("authserver: Kerberos token out of turn")

// OIDs implements spnego.Context.
func (c *KerberosContext) OIDs() []string { return []string{krb5.OIDMSKRB5, krb5.OIDKRB5} }

// Step implements spnego.Context.
func (c *KerberosContext) Step(_ context.Context, in []byte) (out []byte, done bool, err error) {
	if c.acc != nil {
		return nil, false, errKerberosTurn
	}
	out, c.acc, err = krb5.Accept(c.cfg, in)
	return out, err == nil, err
}

// CanSign implements spnego.Context.
func (c *KerberosContext) CanSign() bool { return c.acc != nil }

// CanSeal implements [SPNEGOContext].
func (c *KerberosContext) CanSeal() bool { return c.acc != nil }

// MIC implements spnego.Context.
func (c *KerberosContext) MIC(dst, message []byte) ([]byte, error) {
	mic, err := c.acc.Context.MIC(message)
	return append(dst, mic...), err
}

// VerifyMIC implements spnego.Context.
func (c *KerberosContext) VerifyMIC(message, mic []byte) error {
	return c.acc.Context.VerifyMIC(message, mic)
}

// ResetAfterMIC implements spnego.Context.
func (*KerberosContext) ResetAfterMIC() {}

// Wrap implements [Sealer].
func (c *KerberosContext) Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error) {
	return c.acc.Context.Wrap(dst, plain)
}

// Unwrap implements [Sealer].
func (c *KerberosContext) Unwrap(buf []byte, tokenLen int) ([]byte, error) {
	return c.acc.Context.Unwrap(buf, tokenLen)
}

// User is the client's principal.
func (c *KerberosContext) User() string {
	if c.acc == nil {
		return ""
	}
	return c.acc.Client.String()
}

// Accepted is what the acceptor learned, nil before the logon is complete.
func (c *KerberosContext) Accepted() *krb5.Accepted { return c.acc }

// bareKerberos is Kerberos without SPNEGO.
type bareKerberos struct {
	*KerberosContext
	err error
}

func (c *bareKerberos) Accept(ctx context.Context, token []byte, _ bool) ([]byte, State, error) {
	if c.err != nil {
		return nil, Refused, c.err
	}
	out, done, err := c.Step(ctx, token)
	if err != nil || !done {
		return out, Refused, err
	}
	return out, Accepted, nil
}

func (c *bareKerberos) Ready() bool    { return c.CanSeal() }
func (*bareKerberos) Protocol() string { return kerberosProtocol }
func (*bareKerberos) MaxPlain() int    { return 0 }

// A TicketDelegate is a Context whose client may have forwarded a Kerberos
// ticket.
type TicketDelegate interface {
	// DelegatedCCache is the content of a credential cache with it, nil when there
	// is none.
	DelegatedCCache() []byte
}

var (
	_ TicketDelegate = (*KerberosContext)(nil)
	_ TicketDelegate = (*negotiateContext)(nil)
)

// DelegatedCCache implements [TicketDelegate].
func (c *KerberosContext) DelegatedCCache() []byte {
	if c.acc == nil || len(c.acc.Delegated) == 0 {
		return nil
	}
	cache := krb5.CCache{Client: c.acc.Delegated[0].Client, Tickets: c.acc.Delegated}
	return cache.Marshal()
}

// DelegatedCCache implements [TicketDelegate] for the mechanism in use.
func (c *negotiateContext) DelegatedCCache() []byte {
	if !c.done {
		return nil
	}
	if d, ok := c.Mech().(TicketDelegate); ok {
		return d.DelegatedCCache()
	}
	return nil
}
