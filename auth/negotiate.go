package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/winrmkit/winrmkit/internal/spnego"
)

// contexter is a Mechanism that can be one of those that [Negotiate] chooses
// from: NTLM, and Kerberos in package auth/kerberos.
type contexter interface {
	NewContext(Peer) (spnego.Context, error)
}

// Negotiate logs on with the first of the mechanisms that both sides can use,
// in the order given (SPNEGO, RFC 4178):
//
//	auth.Negotiate(kerberosMechanism, auth.NTLM(credentials))
//
// The next one is tried when nobody judged the credentials of the one before:
// no KDC could be reached, it does not know the server, or the server does not
// take the mechanism. A refusal is final, so that a wrong password is not tried
// twice.
//
// With several accounts the gate of the first one watches over all. A mechanism
// that SPNEGO cannot carry, such as Basic, makes each logon fail.
func Negotiate(mechs ...Mechanism) Mechanism {
	return &negotiate{mechs: append([]Mechanism(nil), mechs...)}
}

type negotiate struct{ mechs []Mechanism }

func (m *negotiate) Name() string   { return "Negotiate" }
func (m *negotiate) Scheme() string { return schemeNegotiate }

func (m *negotiate) Logon() *Logon {
	for _, mech := range m.mechs {
		if l := accountOf(mech); l != nil {
			return l
		}
	}
	return nil
}

func (m *negotiate) NewSession(p Peer) (Session, error) {
	initiator, err := m.initiator(p)
	if err != nil {
		return nil, err
	}
	return &negotiateSession{Initiator: initiator, peer: p}, nil
}

func (m *negotiate) initiator(p Peer) (*spnego.Initiator, error) {
	var contexts []spnego.Context
	var unavailable error
	for _, mech := range m.mechs {
		inner, ok := mech.(contexter)
		if !ok {
			return nil, fmt.Errorf("auth: Negotiate cannot carry %s", mech.Name())
		}
		c, err := inner.NewContext(p)
		if u, ok := errors.AsType[spnego.Unavailable](err); ok && u.Unavailable() {
			unavailable = errors.Join(unavailable, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		contexts = append(contexts, c)
	}
	switch {
	case len(contexts) > 0:
		return spnego.NewInitiator(contexts...), nil
	case unavailable != nil:
		return nil, unavailable
	default:
		return nil, errors.New("auth: Negotiate without mechanisms")
	}
}

// negotiateSession is a logon through SPNEGO.
type negotiateSession struct {
	*spnego.Initiator
	peer Peer
}

func (s *negotiateSession) Step(ctx context.Context, in Leg) (out []byte, done bool, err error) {
	switch {
	case in.First, in.HasToken && len(in.Token) > 0:
		out, done, err = s.Initiator.Step(ctx, in.Token)
	case isSuccess(in.Status):
		// The server is content. Whether we are depends on what was proven.
		err = s.Finish()
		done = err == nil
	default:
		return nil, false, &Error{Err: errNoChallenge, Causes: noChallengeCauses()}
	}
	return out, done, s.withSkipped(err)
}

// withSkipped adds to an error why better mechanisms were not even offered:
// often that is what has to be repaired. They are text only: what they say about
// the logon must not be taken for this one's outcome.
func (s *negotiateSession) withSkipped(err error) error {
	if err == nil {
		return nil
	}
	for _, skipped := range s.Skipped() {
		err = fmt.Errorf("%w (not offered: %v)", err, skipped)
	}
	return err
}

func (s *negotiateSession) Close() error {
	if c, ok := s.Mech().(interface{ Close() error }); ok {
		return c.Close()
	}
	return nil
}

// Presented asks the mechanism in use; of one that does not say, any token
// counts.
func (s *negotiateSession) Presented() bool {
	switch mech := s.Mech().(type) {
	case nil:
		return false
	case Presenter:
		return mech.Presented()
	default:
		return true
	}
}

func (s *negotiateSession) Ready() bool {
	if !s.Initiator.Ready() {
		return false
	}
	c, ok := s.Mech().(interface{ CanSeal() bool })
	return !ok || c.CanSeal()
}

func (s *negotiateSession) Protocol() string { return sealedSPNEGO }
func (s *negotiateSession) MaxPlain() int    { return 0 }

// Explain asks the mechanism in use, and speaks for NTLM, which is a guest here.
func (s *negotiateSession) Explain(status int, presented bool) []Cause {
	if !presented {
		return noChallengeCauses()
	}
	if e, ok := s.Mech().(Explainer); ok {
		return e.Explain(status, presented)
	}
	if mech := s.Mech(); mech != nil && mech.OIDs()[0] == spnego.OIDNTLM {
		return ntlmCauses(s.peer)
	}
	return nil
}

var (
	_ Accounter = (*negotiate)(nil)
	_ Sealer    = (*negotiateSession)(nil)
	_ Presenter = (*negotiateSession)(nil)
	_ Explainer = (*negotiateSession)(nil)
	_ Chooser   = (*negotiateSession)(nil)
)
