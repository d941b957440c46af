package kerberos

import (
	"context"
	"errors"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/chanbind"
	"github.com/winrmkit/winrmkit/internal/krb5"
	"github.com/winrmkit/winrmkit/internal/spnego"
)

// Name is "Kerberos".
func (m *Mechanism) Name() string { return "Kerberos" }

// Scheme is the scheme word for Kerberos without SPNEGO, "Kerberos".
func (m *Mechanism) Scheme() string { return "Kerberos" }

// Logon is the account's state in its credentials' gate. It is nil for keytabs
// and caches: what the KDC refuses of those, the Mechanism remembers itself.
func (m *Mechanism) Logon() *auth.Logon { return m.logon }

// NewSession starts the logon of one connection under the scheme Kerberos.
func (m *Mechanism) NewSession(p auth.Peer) (auth.Session, error) {
	c, err := m.newContext(p)
	if err != nil {
		return nil, err
	}
	return &session{c}, nil
}

// NewContext makes the mechanism one of those that auth.Negotiate chooses from.
func (m *Mechanism) NewContext(p auth.Peer) (spnego.Context, error) { return m.newContext(p) }

func (m *Mechanism) newContext(p auth.Peer) (*securityContext, error) {
	c := &securityContext{m: m, host: p.Host, port: p.Port}
	if p.TLS != nil && len(p.TLS.PeerCertificates) > 0 {
		var err error
		if c.binding, err = chanbind.ServerEndPoint(p.TLS.PeerCertificates[0].Raw); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// ServiceContext starts a context with a service that is not a listener, such as
// ldap on a host: for what asks the directory.
func (m *Mechanism) ServiceContext(class, host string) (spnego.Context, error) {
	return &securityContext{m: m, host: host, class: class}, nil
}

// securityContext is the security context of one connection: one token out, one
// in, then messages.
type securityContext struct {
	m          *Mechanism
	class      string // of a fixed service name; "" takes the configured ones
	host, port string
	binding    []byte

	service   krb5.Principal // as it was asked for
	initiator *krb5.Initiator
	gss       *krb5.Context
}

// OIDs lists Microsoft's name of the mechanism first, as Windows does.
func (c *securityContext) OIDs() []string { return []string{krb5.OIDMSKRB5, krb5.OIDKRB5} }

func (c *securityContext) Step(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	switch {
	case c.initiator == nil && len(in) == 0:
		out, err = c.first(ctx)
		return out, false, c.explain(err)
	case c.initiator == nil || c.gss != nil:
		return nil, false, errTurn
	}
	c.gss, err = c.initiator.Finish(in)
	if errors.Is(err, krb5.ErrModified) || errors.Is(err, krb5.ErrTicketExpired) ||
		errors.Is(err, krb5.ErrBadKeyVersion) || errors.Is(err, krb5.ErrNoKey) {
		// The service's password may have changed: the next connection asks for a
		// new ticket.
		c.m.client.Forget(c.service)
	}
	return nil, err == nil, c.explain(err)
}

var (
	errTurn  = errors.New("kerberos: token out of turn")
	errEarly = errors.New("kerberos: message before the logon is complete")
)

// first gets the tickets and makes the first token.
func (c *securityContext) first(ctx context.Context) ([]byte, error) {
	var t *krb5.Ticket
	var err error
	if c.class != "" {
		c.service = krb5.Service(c.class, c.host, "")
		t, err = c.m.client.Ticket(ctx, c.service)
	} else {
		t, c.service, err = c.m.ticket(ctx, c.host, c.port)
	}
	if err != nil {
		return nil, err
	}
	forwarded, err := c.m.forwarded(ctx, t)
	if err != nil {
		return nil, err
	}
	c.initiator, err = krb5.NewInitiator(krb5.InitiatorConfig{
		Ticket: t, Binding: c.binding, Delegate: forwarded, Now: c.m.client.Now,
	})
	if err != nil {
		return nil, err
	}
	return c.initiator.Token()
}

// forwarded gets the ticket-granting ticket that the server shall have.
func (m *Mechanism) forwarded(ctx context.Context, t *krb5.Ticket) (*krb5.Ticket, error) {
	trusted := t.Flags&krb5.FlagOKAsDelegate != 0
	if m.cfg.Delegate == DelegateNever || m.cfg.Delegate == DelegateIfTrusted && !trusted || m.cfg.Impersonate != "" {
		return nil, nil
	}
	f, err := m.client.Forward(ctx)
	if err != nil && m.cfg.Delegate == DelegateIfTrusted &&
		(errors.Is(err, krb5.ErrNotForwardable) || errors.Is(err, krb5.ErrBadOption) || errors.Is(err, krb5.ErrPolicy)) {
		return nil, nil // a user whose tickets are not forwarded
	}
	return f, err
}

// CanSign reports whether the context is established.
func (c *securityContext) CanSign() bool { return c.gss != nil }

// CanSeal reports the same: Kerberos always negotiates a key.
func (c *securityContext) CanSeal() bool { return c.gss != nil }

func (c *securityContext) MIC(dst, message []byte) ([]byte, error) {
	if c.gss == nil {
		return nil, errEarly
	}
	mic, err := c.gss.MIC(message)
	return append(dst, mic...), err
}

func (c *securityContext) VerifyMIC(message, mic []byte) error {
	if c.gss == nil {
		return errEarly
	}
	return c.gss.VerifyMIC(message, mic)
}

// ResetAfterMIC does nothing: signatures and messages share one sequence.
func (c *securityContext) ResetAfterMIC() {}

func (c *securityContext) Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error) {
	if c.gss == nil {
		return nil, 0, 0, errEarly
	}
	return c.gss.Wrap(dst, plain)
}

func (c *securityContext) Unwrap(buf []byte, tokenLen int) ([]byte, error) {
	if c.gss == nil {
		return nil, errEarly
	}
	return c.gss.Unwrap(buf, tokenLen)
}

// Sign wraps a message without encrypting it.
func (c *securityContext) Sign(plain []byte) ([]byte, error) {
	if c.gss == nil {
		return nil, errEarly
	}
	return c.gss.Sign(plain)
}

// Verify opens a message that may be signed only.
func (c *securityContext) Verify(token []byte) ([]byte, error) {
	if c.gss == nil {
		return nil, errEarly
	}
	plain, _, err := c.gss.UnwrapToken(token)
	return plain, err
}

// Presented is false: a server is given a ticket, and no account is locked by
// tickets. What the KDC says of the password is in the error.
func (c *securityContext) Presented() bool { return false }

// Explain lists why a server refuses a ticket that the KDC has made for it.
func (c *securityContext) Explain(int, bool) []auth.Cause { return serverCauses(c.service.Name()) }

// Close wipes the keys.
func (c *securityContext) Close() error {
	if c.initiator != nil {
		c.initiator.Wipe()
	}
	if c.gss != nil {
		c.gss.Wipe()
	}
	return nil
}

// session is the logon under the scheme Kerberos, without SPNEGO.
type session struct{ *securityContext }

func (s *session) Step(ctx context.Context, in auth.Leg) (out []byte, done bool, err error) {
	switch {
	case in.First, in.HasToken && len(in.Token) > 0:
		return s.securityContext.Step(ctx, in.Token)
	case in.Status/100 == 2:
		return nil, false, &auth.Error{Err: &krb5.MutualAuthError{Err: errNoAnswer}}
	default:
		return nil, false, &auth.Error{Causes: serverCauses(s.service.Name())}
	}
}

var errNoAnswer = errors.New("it accepted the logon without a token")

func (s *session) Ready() bool      { return s.gss != nil }
func (s *session) Protocol() string { return "application/HTTP-Kerberos-session-encrypted" }
func (s *session) MaxPlain() int    { return 0 }

var (
	_ auth.Mechanism = (*Mechanism)(nil)
	_ auth.Accounter = (*Mechanism)(nil)
	_ auth.Sealer    = (*session)(nil)
	_ auth.Presenter = (*session)(nil)
	_ spnego.Context = (*securityContext)(nil)
)
