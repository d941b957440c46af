// Package directory talks LDAP to domain controllers, only ever encrypted:
// sealed with Kerberos, or over TLS. It is the one that knows the LDAP library.
package directory

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/kerberos"
)

const (
	timeout = 30 * time.Second // of one request
	page    = 500              // entries; a domain controller gives at most 1000 at once
)

// Config tells how the directory is reached, and who asks.
type Config struct {
	Domain      string              // DNS name
	Server      string              // host or host:port; empty: found by DNS
	Kerberos    *kerberos.Mechanism // LDAP, sealed
	Credentials auth.Credentials    // LDAPS with a simple bind, where Kerberos is nil
	TLS         *tls.Config         // nil: the system's roots
	Dial        func(ctx context.Context, network, addr string) (net.Conn, error)
	Resolver    kerberos.Resolver
}

// A Conn is a logged-on connection. The end of the context it was made with
// closes it.
type Conn struct {
	ldap *ldap.Conn
	base string
	stop func() bool
}

// Connect finds a domain controller and logs on.
func Connect(ctx context.Context, c Config) (*Conn, error) {
	host, addr, err := c.server(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := c.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	bind := c.bindTLS
	if c.Kerberos != nil {
		bind = c.bindSealed
	}
	l, err := bind(ctx, conn, host)
	if err != nil {
		stop()
		_ = conn.Close()
		return nil, err
	}
	l.SetTimeout(timeout)
	base := "DC=" + strings.ReplaceAll(ldap.EscapeDN(strings.Trim(c.Domain, ".")), ".", ",DC=")
	return &Conn{ldap: l, base: base, stop: stop}, nil
}

// Close ends the connection.
func (c *Conn) Close() {
	c.stop()
	_ = c.ldap.Close()
}

// server finds a domain controller: its name and address.
func (c *Config) server(ctx context.Context) (host, addr string, err error) {
	port := "636"
	if c.Kerberos != nil {
		port = "389"
	}
	if c.Server != "" {
		if host, p, err := net.SplitHostPort(c.Server); err == nil {
			return host, net.JoinHostPort(host, p), nil
		}
		return c.Server, net.JoinHostPort(c.Server, port), nil
	}
	var resolver kerberos.Resolver = net.DefaultResolver
	if c.Resolver != nil {
		resolver = c.Resolver
	}
	// See [MS-ADTS] section 6.3.2.3: the names of domain controllers.
	_, records, err := resolver.LookupSRV(ctx, "ldap", "tcp", "dc._msdcs."+strings.TrimSuffix(c.Domain, ".")+".")
	if err != nil {
		return "", "", fmt.Errorf("domain controllers of %s: %w", c.Domain, err)
	}
	if len(records) == 0 {
		return "", "", fmt.Errorf("DNS names no domain controller of %s", c.Domain)
	}
	host = strings.TrimSuffix(records[0].Target, ".")
	return host, net.JoinHostPort(host, port), nil
}

func (c *Config) dial(ctx context.Context, addr string) (net.Conn, error) {
	if c.Dial != nil {
		return c.Dial(ctx, "tcp", addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// bindTLS logs on by name and password, over TLS only.
func (c *Config) bindTLS(ctx context.Context, conn net.Conn, host string) (*ldap.Conn, error) {
	cfg := &tls.Config{}
	if c.TLS != nil {
		cfg = c.TLS.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	secure := tls.Client(conn, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("LDAPS: %w", err)
	}
	password, err := c.Credentials.Secret(ctx)
	if err != nil {
		return nil, err
	}
	if password == "" {
		return nil, errors.New("neither Kerberos nor Credentials with a password")
	}
	l := ldap.NewConn(secure, true)
	l.Start()
	if err := l.Bind(c.Credentials.AccountName(), password); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("logon of %s to the directory: %w", c.Credentials.AccountName(), err)
	}
	return l, nil
}

// An Entry is what a search found.
type Entry struct {
	DN    string
	entry *ldap.Entry
}

// Value is the only value of an attribute, nil without one. Names are compared
// as LDAP does.
func (e Entry) Value(attribute string) []byte {
	if v := e.Values(attribute); len(v) > 0 {
		return v[0]
	}
	return nil
}

// Values are all of an attribute.
func (e Entry) Values(attribute string) [][]byte {
	for _, a := range e.entry.Attributes {
		if strings.EqualFold(a.Name, attribute) {
			return a.ByteValues
		}
	}
	return nil
}

// Escape makes text, or bytes, a literal of a filter.
func Escape(s string) string { return ldap.EscapeFilter(s) }

// Search looks for entries in the whole domain.
func (c *Conn) Search(filter string, attributes ...string) ([]Entry, error) {
	request := ldap.NewSearchRequest(c.base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
		0, int(timeout/time.Second), false, filter, attributes, nil)
	result, err := c.ldap.SearchWithPaging(request, page)
	if err != nil {
		return nil, resultError(err)
	}
	entries := make([]Entry, len(result.Entries))
	for i, e := range result.Entries {
		entries[i] = Entry{DN: e.DN, entry: e}
	}
	return entries, nil
}

// An Op is what a change does with the values of an attribute.
type Op int

// The operations. See RFC 4511 section 4.6.
const (
	Add     Op = ldap.AddAttribute
	Delete  Op = ldap.DeleteAttribute // without values: all
	Replace Op = ldap.ReplaceAttribute
)

// A Change is one attribute's.
type Change struct {
	Op        Op
	Attribute string
	Values    []string
}

// Modify makes all the changes or none.
func (c *Conn) Modify(dn string, changes []Change) error {
	request := ldap.NewModifyRequest(dn, nil)
	for _, ch := range changes {
		switch ch.Op {
		case Add:
			request.Add(ch.Attribute, ch.Values)
		case Delete:
			request.Delete(ch.Attribute, ch.Values)
		case Replace:
			request.Replace(ch.Attribute, ch.Values)
		}
	}
	return resultError(c.ldap.Modify(request))
}

// Result codes that mean a refusal. See RFC 4511 section 4.1.9.
const (
	ConstraintViolation = ldap.LDAPResultConstraintViolation
	InsufficientRights  = ldap.LDAPResultInsufficientAccessRights
	UnwillingToPerform  = ldap.LDAPResultUnwillingToPerform
)

// A ResultError is the server's answer that something was not done.
type ResultError struct {
	Code uint16
	Err  error // with the server's words
}

func (e *ResultError) Error() string { return e.Err.Error() }
func (e *ResultError) Unwrap() error { return e.Err }

// resultError sets the server's answers apart from what the library itself
// reports, whose codes begin at 200.
func resultError(err error) error {
	var answer *ldap.Error
	if errors.As(err, &answer) && answer.ResultCode < ldap.ErrorNetwork {
		return &ResultError{Code: answer.ResultCode, Err: err}
	}
	return err
}
