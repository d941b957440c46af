package credssp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/credssp"
)

// A session is the logon of one connection and, after it, the TLS session that
// seals its messages.
type session struct {
	*credssp.Initiator // Protocol, MaxPlain, Wrap, Unwrap
	inner              *inner
	account            string // that of the inner logon, if it is not the delegated one
	done               bool
	status             Status // the host's errorCode
}

var (
	_ auth.Session   = (*session)(nil)
	_ auth.Sealer    = (*session)(nil)
	_ auth.Presenter = (*session)(nil)
	_ auth.Explainer = (*session)(nil)
	_ auth.Chooser   = (*session)(nil)
)

// NewSession starts the logon of one connection. Hosts that Allow does not name
// are refused here.
func (m *Mechanism) NewSession(p auth.Peer) (auth.Session, error) {
	if m.err != nil {
		return nil, m.err
	}
	if m.cfg.Allow != nil && !allowed(m.allow, p.Host) {
		return nil, &NotAllowedError{Host: p.Host, Allow: m.cfg.Allow}
	}
	in, err := newInner(m.inner, p)
	if err != nil {
		return nil, err
	}
	return &session{
		inner:   in,
		account: m.innerAccount(),
		Initiator: credssp.NewInitiator(credssp.InitiatorConfig{
			Mech:              in,
			Credentials:       m.delegated,
			TLS:               m.innerTLS(),
			VerifyCertificate: m.verifier(p.Host),
			MinVersion:        uint32(m.cfg.MinVersion),
		}),
	}, nil
}

// innerTLS takes from the caller's configuration what makes sense inside.
func (m *Mechanism) innerTLS() *tls.Config {
	base := m.cfg.TLS
	if base == nil {
		return nil
	}
	return &tls.Config{
		MinVersion: base.MinVersion, MaxVersion: base.MaxVersion,
		CipherSuites: base.CipherSuites, CurvePreferences: base.CurvePreferences,
		Time: base.Time, Rand: base.Rand, KeyLogWriter: base.KeyLogWriter,
	}
}

// delegated is called when the host has proved itself, and not before.
func (m *Mechanism) delegated(ctx context.Context) (*credssp.Credentials, error) {
	password, err := m.cfg.Credentials.Secret(ctx)
	if err != nil {
		return nil, err
	}
	domain, user := m.cfg.Credentials.Account()
	return &credssp.Credentials{
		Type: credssp.CredPassword,
		Password: &credssp.PasswordCreds{
			Domain: credssp.UTF16(domain), User: credssp.UTF16(user), Password: credssp.UTF16(password),
		},
	}, nil
}

// Step implements auth.Session. The leg that delegates the credentials is
// answered by 200 alone.
func (s *session) Step(ctx context.Context, in auth.Leg) (out []byte, done bool, err error) {
	switch {
	case in.First:
		out, err = s.Initiator.Step(ctx, nil)
	case s.Phase() == credssp.PhaseCredentials && in.Status/100 == 2 && len(in.Token) == 0:
		err = s.Finish()
		s.done = err == nil
		return nil, s.done, err
	case in.Status != http.StatusUnauthorized:
		return nil, false, &PhaseError{Phase: s.Phase(), Err: fmt.Errorf("%w: HTTP status %d", ErrUnexpected, in.Status)}
	case in.HasToken || s.Settling():
		out, err = s.Initiator.Step(ctx, in.Token)
	default:
		return nil, false, &auth.Error{Err: &RefusedError{Phase: s.Phase()}, Causes: s.Explain(in.Status, s.Presented())}
	}
	s.status, _ = errors.AsType[Status](err)
	if cause, ok := causeOf(err); ok {
		err = &auth.Error{Err: err, Causes: []auth.Cause{cause}}
	}
	return out, false, err
}

// Ready implements auth.Sealer: messages are sealed once the host has taken the
// credentials.
func (s *session) Ready() bool { return s.done }

// Presented implements auth.Presenter.
func (s *session) Presented() bool {
	return s.Phase() >= credssp.PhaseCredentials || s.Phase() > credssp.PhaseTLS && s.inner.presented()
}

// Chosen implements auth.Chooser: what the inner logon chose.
func (s *session) Chosen() string {
	if c, ok := s.inner.session.(auth.Chooser); ok {
		return c.Chosen()
	}
	return ""
}
