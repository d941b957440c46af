package peertest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/spnego"
)

// A foreign mechanism is one that the peers do not take. Its token is in the
// frame of GSSAPI and says nothing.
type foreign struct{ oid string }

func (f foreign) Name() string                                 { return spnego.MechName(f.oid) }
func (foreign) Scheme() string                                 { return "Negotiate" }
func (foreign) NewSession(auth.Peer) (auth.Session, error)     { return nil, errors.ErrUnsupported }
func (f foreign) NewContext(auth.Peer) (spnego.Context, error) { return f, nil }
func (f foreign) OIDs() []string                               { return []string{f.oid} }
func (foreign) CanSign() bool                                  { return true }
func (foreign) MIC([]byte, []byte) ([]byte, error)             { return nil, errors.ErrUnsupported }
func (foreign) VerifyMIC([]byte, []byte) error                 { return errors.ErrUnsupported }
func (foreign) ResetAfterMIC()                                 {}
func (foreign) Unwrap([]byte, int) ([]byte, error)             { return nil, errors.ErrUnsupported }
func (foreign) Wrap([]byte, []byte) (out []byte, tokenLen, length int, err error) {
	return nil, 0, 0, errors.ErrUnsupported
}

func (foreign) Step(context.Context, []byte) (out []byte, done bool, err error) {
	return []byte("optimistic"), false, nil
}

// The acceptor passes over what we prefer and takes NTLM, which begins one round
// trip later; then both have to sign the list. Only MIT's can do it: pyspnego's
// hands the token of the one mechanism to the other.
func TestFallbackToNTLM(t *testing.T) {
	t.Parallel()
	theirs := gss.start(t, peerConfig{
		role: "accept", mech: "negotiate", accounts: strings.Join([]string{domain, user, password}, ":"),
	})
	cred := auth.Credentials{Domain: domain, User: user, Password: password, Gate: new(auth.Gate)}
	mech := auth.Negotiate(foreign{spnego.OIDNegoEx}, auth.NTLM(cred))
	session, resp, err := logon(t, mech, auth.Peer{Scheme: "http", Host: "host", Port: "5985", Seal: true}, theirs)
	require.NoError(t, err)
	require.Empty(t, resp.Error)
	assert.True(t, resp.Done)
	assert.Equal(t, "NTLM", session.(auth.Chooser).Chosen())
	exchange(t, session.(auth.Sealer), theirs)
}
