package toyauth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"

	"github.com/winrmkit/winrmkit/internal/authserver"
)

// Server is the accepting side.
type Server struct{ Kind Kind }

var (
	_ authserver.Mechanism  = Server{}
	_ authserver.Recognizer = Server{}
)

// Scheme implements authserver.Mechanism.
func (Server) Scheme() string { return Scheme }

// Challenge implements authserver.Mechanism.
func (Server) Challenge() string { return Scheme }

// Recognizes implements authserver.Recognizer.
func (m Server) Recognizes(token []byte) bool {
	return len(token) > 0 && (token[0] == whole) == (m.Kind == OneLeg)
}

// NewContext implements authserver.Mechanism.
func (m Server) NewContext(p authserver.Peer) authserver.Context {
	c := acceptor{kind: m.Kind, peer: p}
	if m.Kind == OneLeg {
		return &c
	}
	return &sealingAcceptor{acceptor: c}
}

// acceptor is the accepting side of one connection.
type acceptor struct {
	kind    Kind
	peer    authserver.Peer
	account authserver.Account
	domain  string
	user    string
	known   bool
	nonce   []byte
	seal    *sealing
	in      bool // logged on
	failed  bool
}

// sealingAcceptor is an acceptor of a mechanism that can seal.
type sealingAcceptor struct{ acceptor }

var (
	_ authserver.Context = (*acceptor)(nil)
	_ authserver.Sealer  = (*sealingAcceptor)(nil)
)

var errLogon = errors.New("toyauth: wrong account or password")

func (c *acceptor) User() string { return c.account.Name }

// Accept implements authserver.Context. A call without a token is made for a
// sealed message that comes before the logon of Early is accepted.
func (c *acceptor) Accept(_ context.Context, token []byte, hasToken bool) ([]byte, authserver.State, error) {
	switch {
	case c.failed:
		return nil, authserver.Refused, errLogon
	case !hasToken && c.kind == Early && c.seal != nil:
		return nil, authserver.Accepted, nil // Unwrap decides
	case len(token) == 0:
		return nil, authserver.Refused, errToken
	case token[0] == whole && c.kind == OneLeg && len(token) > sha256.Size:
		c.lookup(string(token[1+sha256.Size:]))
		return c.decide(token[1:1+sha256.Size], mac(c.account.Password, "whole", token[1+sha256.Size:]))
	case token[0] == hello && c.kind != OneLeg && c.nonce == nil:
		return c.challenge(string(token[1:]))
	case token[0] == response && c.nonce != nil && c.kind != Early:
		return c.decide(token[1:], mac(c.account.Password, "response", c.nonce))
	}
	return nil, authserver.Refused, errToken
}

func (c *acceptor) lookup(name string) {
	c.domain, c.user = authserver.SplitName(name)
	c.account, c.known = c.peer.Accounts.Lookup(c.domain, c.user)
}

func (c *acceptor) challenge(name string) ([]byte, authserver.State, error) {
	c.lookup(name)
	c.nonce = make([]byte, 16)
	_, _ = rand.Read(c.nonce)
	c.seal = newSealing(c.kind, c.account.Password, c.nonce, false)
	return append([]byte{challenge}, c.nonce...), authserver.Continue, nil
}

func (c *acceptor) decide(got, want []byte) ([]byte, authserver.State, error) {
	if !c.known || !hmac.Equal(got, want) {
		c.fail()
		return nil, authserver.Refused, errLogon
	}
	if !c.peer.Accounts.Passed(c.account) {
		return nil, authserver.Refused, errLogon
	}
	c.in = true
	return append([]byte{proof}, mac(c.account.Password, "proof", c.nonce)...), authserver.Accepted, nil
}

func (c *acceptor) fail() {
	c.failed = true
	c.peer.Accounts.Failed(c.domain, c.user)
}

// Ready implements authserver.Sealer.
func (c *sealingAcceptor) Ready() bool {
	return c.seal != nil && !c.failed && (c.in || c.kind == Early)
}

// Protocol implements authserver.Sealer.
func (c *sealingAcceptor) Protocol() string { return Protocol }

// MaxPlain implements authserver.Sealer.
func (c *sealingAcceptor) MaxPlain() int { return c.seal.MaxPlain() }

// Wrap implements authserver.Sealer.
func (c *sealingAcceptor) Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error) {
	return c.seal.Wrap(dst, plain)
}

// Unwrap implements authserver.Sealer. The first message of Early is the logon.
func (c *sealingAcceptor) Unwrap(buf []byte, tokenLen int) ([]byte, error) {
	plain, err := c.seal.Unwrap(buf, tokenLen)
	switch {
	case err == nil && !c.in:
		if !c.known || !c.peer.Accounts.Passed(c.account) {
			return nil, errLogon
		}
		c.in = true
	case err != nil && !c.in:
		c.fail()
	}
	return plain, err
}
