package authserver

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/winrmkit/winrmkit/internal/credssp"
)

// CredSSP accepts [MS-CSSP]: an inner logon, and then the credentials with which
// the host may act for the user elsewhere. The zero value is how a current
// Windows behaves, with NTLM inside.
type CredSSP struct {
	// Inner is the logon inside, nil is Negotiate{}. Its contexts have to be
	// Sealers.
	Inner Mechanism
	// Version is the protocol version to announce, 0 is the newest (6).
	// MinVersion is the least that clients may speak, 0 is 2.
	Version, MinVersion int
	// TLS has the inner certificate, exactly one, and the TLS versions. Without
	// a certificate one is made for the process, as Windows does.
	TLS *tls.Config
	// Protected are accounts, as [Account.Name] has them, that log on but
	// cannot be delegated: members of Protected Users.
	Protected []string
}

// Delegated are the credentials that a client has handed over.
type Delegated struct {
	Domain, User, Password string
}

// A Delegate is a Context whose client may have handed over credentials.
type Delegate interface {
	// Delegated returns nil when there are none.
	Delegated() *Delegated
}

var (
	_ Mechanism = CredSSP{}
	_ Sealer    = (*credSSPContext)(nil)
	_ Delegate  = (*credSSPContext)(nil)
)

// Scheme implements [Mechanism].
func (CredSSP) Scheme() string { return "CredSSP" }

// Challenge implements [Mechanism].
func (CredSSP) Challenge() string { return "CredSSP" }

// NewContext implements [Mechanism]. The inner logon is bound to the inner TLS,
// by pubKeyAuth, and knows nothing of the outer.
func (m CredSSP) NewContext(p Peer) Context {
	inner := m.Inner
	if inner == nil {
		inner = Negotiate{}
	}
	p.TLS, p.ServerCertificate, p.ChannelBinding = nil, nil, BindingNone
	c := &credSSPContext{protected: m.Protected, accounts: p.Accounts}
	c.inner.ctx = inner.NewContext(p)
	cfg := &tls.Config{}
	if m.TLS != nil {
		cfg = m.TLS.Clone()
	}
	if len(cfg.Certificates) == 0 {
		cert, err := processCertificate()
		if err != nil {
			c.failed = err
			return c
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	c.Acceptor, c.failed = credssp.NewAcceptor(credssp.AcceptorConfig{
		Mech: &c.inner, TLS: cfg, Version: uint32(m.Version), MinVersion: uint32(m.MinVersion),
	})
	return c
}

// A credSSPContext is the logon of one connection. The lock lets it be closed
// from outside while the connection's goroutine uses it.
type credSSPContext struct {
	mu sync.Mutex
	*credssp.Acceptor
	inner     credSSPInner
	accounts  Accounts
	protected []string
	delegated *Delegated
	failed    error
	stop      func() bool
}

func (c *credSSPContext) Accept(ctx context.Context, token []byte, _ bool) ([]byte, State, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return nil, Refused, c.failed
	}
	if c.stop == nil {
		// An abandoned handshake has a goroutine; it ends with the server at
		// the latest.
		c.stop = context.AfterFunc(ctx, func() { _ = c.Close() })
	}
	out, done, err := c.Step(ctx, token)
	if err == nil && done {
		err = c.take()
	}
	switch {
	case err != nil:
		c.failed = err
		_ = c.Acceptor.Close()
		return out, Refused, err
	case done:
		return nil, Accepted, nil
	case out == nil:
		out = []byte{} // a token, though an empty one
	}
	return out, Continue, nil
}

// take logs on with the credentials that were handed over, as Windows does to
// have a token for them.
func (c *credSSPContext) take() error {
	p := c.Credentials().Password
	if p == nil {
		return errors.New("authserver: only passwords can be delegated")
	}
	d := &Delegated{Domain: credssp.Text(p.Domain), User: credssp.Text(p.User), Password: credssp.Text(p.Password)}
	domain := d.Domain
	if domain == "." {
		domain = ""
	}
	account, ok := c.accounts.Lookup(domain, d.User)
	switch {
	case !ok || subtle.ConstantTimeCompare([]byte(account.Password), []byte(d.Password)) != 1:
		c.accounts.Failed(domain, d.User)
		return fmt.Errorf("authserver: delegated credentials of %s: %w", d.User, credssp.StatusLogonFailure)
	case slices.ContainsFunc(c.protected, func(name string) bool { return strings.EqualFold(name, account.Name) }):
		return fmt.Errorf("authserver: delegated credentials of %s: %w", d.User, credssp.StatusAccountRestriction)
	case !c.accounts.Passed(account):
		return fmt.Errorf("authserver: delegated credentials of %s: %w", d.User, credssp.StatusAccountLockedOut)
	}
	c.delegated = d
	return nil
}

// User is the account of the inner logon.
func (c *credSSPContext) User() string {
	if c.delegated == nil {
		return ""
	}
	return c.inner.ctx.User()
}

// Delegated implements [Delegate].
func (c *credSSPContext) Delegated() *Delegated { return c.delegated }

// Ready implements [Sealer].
func (c *credSSPContext) Ready() bool { return c.delegated != nil }

// Wrap implements [Sealer].
func (c *credSSPContext) Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Acceptor.Wrap(dst, plain)
}

// Unwrap implements [Sealer].
func (c *credSSPContext) Unwrap(buf []byte, tokenLen int) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Acceptor.Unwrap(buf, tokenLen)
}

// Close ends the logon of a connection that has ended. It may be called again.
func (c *credSSPContext) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop != nil {
		c.stop()
	}
	if c.Acceptor == nil {
		return nil
	}
	return c.Acceptor.Close()
}

// credSSPInner carries the inner logon's tokens in TSRequests.
type credSSPInner struct {
	ctx  Context
	done bool
}

var _ credssp.Mech = (*credSSPInner)(nil)

func (i *credSSPInner) Step(ctx context.Context, token []byte) ([]byte, error) {
	out, state, err := i.ctx.Accept(ctx, token, token != nil)
	i.done = state == Accepted
	switch {
	case state != Refused:
		return out, nil
	case errors.Is(err, errLockedOut):
		err = fmt.Errorf("%w: %w", err, credssp.StatusAccountLockedOut)
	case err == nil:
		err = credssp.StatusLogonFailure
	}
	return out, err
}

func (i *credSSPInner) sealer() (Sealer, error) {
	s, ok := i.ctx.(Sealer)
	if !ok || !s.Ready() {
		return nil, errors.New("authserver: the inner logon of CredSSP cannot seal")
	}
	return s, nil
}

func (i *credSSPInner) Ready() bool                  { return i.done }
func (i *credSSPInner) Done() bool                   { return i.done }
func (i *credSSPInner) Finish(context.Context) error { return nil }
func (i *credSSPInner) Close() error                 { return nil }

func (i *credSSPInner) Wrap(dst, plain []byte) ([]byte, error) {
	s, err := i.sealer()
	if err != nil {
		return nil, err
	}
	out, _, _, err := s.Wrap(dst, plain)
	return out, err
}

// Unwrap comes before the first Wrap, so the length of the token is taken from
// what NTLM has; Kerberos finds its own.
func (i *credSSPInner) Unwrap(buf []byte) ([]byte, error) {
	s, err := i.sealer()
	if err != nil {
		return nil, err
	}
	const ntlmSignature = 16
	return s.Unwrap(buf, ntlmSignature)
}

// processCertificate is made once: RSA, because that is what Windows makes and
// all that some clients can bind to.
var processCertificate = sync.OnceValues(func() (tls.Certificate, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "CREDSSP"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
})
