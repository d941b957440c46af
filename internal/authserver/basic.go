package authserver

import (
	"context"
	"crypto/subtle"
	"errors"
	"strings"
)

// Basic accepts user name and password. Accounts are local ones: a name with a
// domain is refused as Windows refuses it.
type Basic struct{}

var (
	_ Mechanism  = Basic{}
	_ PerRequest = Basic{}
)

// Scheme implements [Mechanism].
func (Basic) Scheme() string { return "Basic" }

// Challenge implements [Mechanism].
func (Basic) Challenge() string { return `Basic realm="WSMAN"` }

// PerRequest implements [PerRequest].
func (Basic) PerRequest() bool { return true }

// NewContext implements [Mechanism].
func (Basic) NewContext(p Peer) Context { return &basicContext{peer: p} }

type basicContext struct {
	peer Peer
	user string
}

var (
	errBasicToken    = errors.New("authserver: Basic token without colon")
	errWrongPassword = errors.New("authserver: wrong account or password")
	errLockedOut     = errors.New("authserver: account is locked out")
)

func (c *basicContext) Accept(_ context.Context, token []byte, _ bool) ([]byte, State, error) {
	name, password, ok := strings.Cut(string(token), ":")
	if !ok {
		return nil, Refused, errBasicToken
	}
	domain, user := SplitName(name)
	account, ok := c.peer.Accounts.Lookup(domain, user)
	if !ok || subtle.ConstantTimeCompare([]byte(account.Password), []byte(password)) != 1 {
		c.peer.Accounts.Failed(domain, user)
		return nil, Refused, errWrongPassword
	}
	if !c.peer.Accounts.Passed(account) {
		return nil, Refused, errLockedOut
	}
	c.user = account.Name
	return nil, Accepted, nil
}

func (c *basicContext) User() string { return c.user }

// SplitName takes DOMAIN\user apart. A name without backslash, user@realm
// among them, has no domain; "." means this computer, which is none either.
func SplitName(name string) (domain, user string) {
	domain, user, ok := strings.Cut(name, `\`)
	if !ok {
		return "", name
	}
	if domain == "." {
		domain = ""
	}
	return domain, user
}
