package authserver

import (
	"context"

	"github.com/winrmkit/winrmkit/internal/spnego"
)

const (
	negotiateScheme   = "Negotiate"
	negotiateProtocol = "application/HTTP-SPNEGO-session-encrypted"
)

// A SPNEGOMechanism can be one of those that [Negotiate] accepts.
type SPNEGOMechanism interface {
	NewSPNEGO(Peer) (SPNEGOContext, error)
}

// A SPNEGOContext is the logon of one connection with one of the mechanisms.
type SPNEGOContext interface {
	spnego.Context
	// CanSeal reports, after the logon, whether Wrap and Unwrap work.
	CanSeal() bool
	// User is the account that logged on.
	User() string
}

// Negotiate accepts SPNEGO, and tokens of its mechanisms without SPNEGO around
// them. Without Mechs it accepts NTLM.
type Negotiate struct {
	Mechs []SPNEGOMechanism
}

var _ Mechanism = Negotiate{}

// Scheme implements [Mechanism].
func (Negotiate) Scheme() string { return negotiateScheme }

// Challenge implements [Mechanism].
func (Negotiate) Challenge() string { return negotiateScheme }

// NewContext implements [Mechanism].
func (m Negotiate) NewContext(p Peer) Context {
	mechs := m.Mechs
	if len(mechs) == 0 {
		mechs = []SPNEGOMechanism{NTLM{}}
	}
	contexts := make([]spnego.Context, 0, len(mechs))
	var failed error
	for _, mech := range mechs {
		c, err := mech.NewSPNEGO(p)
		if err != nil {
			failed = err // NTLM in FIPS mode: the others remain
			continue
		}
		contexts = append(contexts, c)
	}
	if len(contexts) == 0 {
		return &negotiateContext{err: failed}
	}
	return &negotiateContext{Acceptor: spnego.NewAcceptor(contexts...)}
}

type negotiateContext struct {
	*spnego.Acceptor
	err  error
	done bool
}

var _ Sealer = (*negotiateContext)(nil)

func (c *negotiateContext) Accept(ctx context.Context, token []byte, _ bool) ([]byte, State, error) {
	if c.err != nil {
		return nil, Refused, c.err
	}
	out, done, err := c.Step(ctx, token)
	switch {
	case err != nil:
		return out, Refused, err
	case done:
		c.done = true
		return out, Accepted, nil
	default:
		return out, Continue, nil
	}
}

func (c *negotiateContext) User() string {
	if !c.done {
		return ""
	}
	return c.mech().User()
}

func (c *negotiateContext) mech() SPNEGOContext { return c.Mech().(SPNEGOContext) }

func (c *negotiateContext) Ready() bool    { return c.done && c.mech().CanSeal() }
func (*negotiateContext) Protocol() string { return negotiateProtocol }
func (*negotiateContext) MaxPlain() int    { return 0 }
