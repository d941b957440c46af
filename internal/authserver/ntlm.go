package authserver

import (
	"context"
	"errors"
	"strings"

	"github.com/winrmkit/winrmkit/internal/chanbind"
	"github.com/winrmkit/winrmkit/internal/ntlm"
)

// NTLM accepts NTLMv2: by itself without SPNEGO around it, and as one of the
// mechanisms of [Negotiate]. The zero value is how a current Windows behaves.
type NTLM struct {
	// Domain is the NetBIOS name of the server's domain; "" means that the
	// server belongs to none and so is its own.
	Domain string
	// Without leaves abilities out, as servers do that are misconfigured or
	// hostile, or have somebody in between.
	Without ntlm.Flags
	// WithoutTimestamp leaves the time out of the challenge, as servers before
	// Windows Vista did. Then clients send no MIC.
	WithoutTimestamp bool
}

var (
	_ Mechanism       = NTLM{}
	_ Recognizer      = NTLM{}
	_ SPNEGOMechanism = NTLM{}
)

// Scheme implements [Mechanism].
func (NTLM) Scheme() string { return negotiateScheme }

// Challenge implements [Mechanism].
func (NTLM) Challenge() string { return negotiateScheme }

// Recognizes implements [Recognizer].
func (NTLM) Recognizes(token []byte) bool { return ntlm.IsMessage(token) }

// NewContext implements [Mechanism].
func (m NTLM) NewContext(p Peer) Context { return Negotiate{Mechs: []SPNEGOMechanism{m}}.NewContext(p) }

// NewSPNEGO implements [SPNEGOMechanism].
func (m NTLM) NewSPNEGO(p Peer) (SPNEGOContext, error) {
	c := &ntlmContext{peer: p}
	cfg := ntlm.AcceptorConfig{
		Lookup:           c.lookup,
		ComputerName:     computerName(p.Host),
		DomainName:       m.Domain,
		DNSComputerName:  strings.ToLower(p.Host),
		BindingLevel:     bindingLevels[p.ChannelBinding],
		Without:          m.Without,
		WithoutTimestamp: m.WithoutTimestamp,
	}
	if cfg.DomainName == "" {
		cfg.DomainName = cfg.ComputerName
	}
	var err error
	if p.ServerCertificate != nil {
		if cfg.ChannelBinding, err = chanbind.ServerEndPoint(p.ServerCertificate); err != nil {
			return nil, err
		}
	}
	c.computer = cfg.ComputerName
	c.Acceptor, err = ntlm.NewAcceptor(cfg)
	return c, err
}

var bindingLevels = map[ChannelBindingLevel]ntlm.BindingLevel{
	BindingNone: ntlm.BindingNone, BindingRelaxed: ntlm.BindingRelaxed, BindingStrict: ntlm.BindingStrict,
}

// computerName is the NetBIOS name that goes with a host name.
func computerName(host string) string {
	name, _, _ := strings.Cut(host, ".")
	if name == "" {
		name = "WINRMTEST"
	}
	return strings.ToUpper(name[:min(len(name), 15)])
}

// ntlmContext is an acceptor with the account database behind it.
type ntlmContext struct {
	*ntlm.Acceptor
	peer     Peer
	computer string
	account  Account
}

// lookup finds an account. The server's own name as a domain means the accounts
// that it keeps itself.
func (c *ntlmContext) lookup(_ context.Context, domain, user string) (ntlm.Hash, error) {
	if strings.EqualFold(domain, c.computer) || domain == "." {
		domain = ""
	}
	account, ok := c.peer.Accounts.Lookup(domain, user)
	if !ok {
		return ntlm.Hash{}, ntlm.ErrNoUser
	}
	c.account = account
	return ntlm.PasswordHash(account.Password)
}

// Step reports what the logon came to. A wrong channel binding or a MIC that
// does not fit is a failed logon too, but no failed guess at the password: the
// account's counter, by which it is locked out, does not see it.
func (c *ntlmContext) Step(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	out, done, err = c.Acceptor.Step(ctx, in)
	if errors.Is(err, ntlm.ErrPassword) || errors.Is(err, ntlm.ErrNoUser) {
		client := c.Client()
		domain := client.Domain
		if strings.EqualFold(domain, c.computer) || domain == "." {
			domain = ""
		}
		c.peer.Accounts.Failed(domain, client.User)
	}
	if err == nil && done && !c.peer.Accounts.Passed(c.account) {
		return nil, false, errLockedOut
	}
	return out, done, err
}

// User returns the account that logged on.
func (c *ntlmContext) User() string { return c.account.Name }
