package toyauth

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"

	"github.com/winrmkit/winrmkit/auth"
)

// New returns the initiating side.
func New(kind Kind, c auth.Credentials) auth.Mechanism {
	return &mechanism{kind: kind, cred: func() auth.Credentials { return c }, logon: c.Logon()}
}

type mechanism struct {
	kind  Kind
	cred  func() auth.Credentials
	logon *auth.Logon
}

func (m *mechanism) Name() string       { return "Toy " + m.kind.String() }
func (m *mechanism) Scheme() string     { return Scheme }
func (m *mechanism) Logon() *auth.Logon { return m.logon }

func (m *mechanism) NewSession(auth.Peer) (auth.Session, error) {
	s := session{m: m}
	if m.kind == OneLeg {
		return &s, nil
	}
	return &sealingSession{session: s}, nil
}

// session is the initiating side of one connection.
type session struct {
	m         *mechanism
	password  string
	nonce     []byte
	presented bool
	seal      *sealing
}

// sealingSession is a session of a mechanism that can seal.
type sealingSession struct{ session }

var (
	_ auth.Presenter = (*session)(nil)
	_ auth.Sealer    = (*sealingSession)(nil)
	_ auth.Accounter = (*mechanism)(nil)
)

func (s *session) Presented() bool { return s.presented }
func (s *session) Close() error    { return nil }

var (
	errToken = errors.New("toyauth: unexpected token")
	errProof = errors.New("toyauth: the server did not prove that it knows the password")
)

// Step implements auth.Session.
func (s *session) Step(ctx context.Context, in auth.Leg) (out []byte, done bool, err error) {
	switch {
	case in.First:
		return s.first(ctx)
	case in.Status == 401 && in.HasToken && len(in.Token) > 1 && in.Token[0] == challenge && s.nonce == nil:
		return s.challenged(in.Token[1:])
	case in.Status == 200 && s.m.kind == Early:
		// Whoever sealed the answer knows the password.
		return nil, s.seal != nil, nil
	case in.Status == 200 && in.HasToken && len(in.Token) > 1 && in.Token[0] == proof:
		if !s.presented || !hmac.Equal(in.Token[1:], mac(s.password, "proof", s.nonce)) {
			return nil, false, errProof
		}
		return nil, true, nil
	case in.Status == 200:
		return nil, false, nil // the transport knows what that means
	}
	return nil, false, fmt.Errorf("%w with status %d", errToken, in.Status)
}

func (s *session) first(ctx context.Context) ([]byte, bool, error) {
	password, err := s.m.cred().Secret(ctx)
	if err != nil {
		return nil, false, err
	}
	s.password = password
	account := []byte(s.m.cred().AccountName())
	if s.m.kind == OneLeg {
		s.presented = true
		return append(append([]byte{whole}, mac(password, "whole", account)...), account...), false, nil
	}
	return append([]byte{hello}, account...), false, nil
}

func (s *session) challenged(nonce []byte) ([]byte, bool, error) {
	s.nonce = append([]byte{}, nonce...)
	s.presented = true
	s.seal = newSealing(s.m.kind, s.password, s.nonce, true)
	if s.m.kind == Early {
		return nil, false, nil
	}
	return append([]byte{response}, mac(s.password, "response", s.nonce)...), false, nil
}

// Ready implements auth.Sealer: as soon as there is a key, for all kinds.
func (s *sealingSession) Ready() bool      { return s.seal != nil }
func (s *sealingSession) Protocol() string { return Protocol }
func (s *sealingSession) MaxPlain() int {
	if s.m.kind == Splitting {
		return splitAt
	}
	return 0
}

func (s *sealingSession) Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error) {
	return s.seal.Wrap(dst, plain)
}

func (s *sealingSession) Unwrap(buf []byte, tokenLen int) ([]byte, error) {
	return s.seal.Unwrap(buf, tokenLen)
}
