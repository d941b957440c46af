// Package gmsa reads the password of a group managed service account from the
// directory, so that a program logs on as the account:
//
//	machine, err := kerberos.New(&kerberos.Config{Keytab: "/etc/krb5.keytab"})
//	reader := gmsa.New(gmsa.Config{Account: "svc1", Domain: "corp.example", Kerberos: machine})
//	kerb, err := kerberos.New(&kerberos.Config{Managed: &kerberos.ManagedAccount{
//		Name: "svc1", Realm: "CORP.EXAMPLE", Password: reader,
//	}})
//
// Domain controllers give the password only over encrypted connections: LDAP
// sealed with Kerberos, or LDAPS. Who may read it is in the account's
// msDS-GroupMSAMembership. See [MS-ADTS] sections 2.2.19 and 3.1.1.4.4.
package gmsa

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
	attribute = "msDS-ManagedPassword"
	timeout   = 30 * time.Second
)

// Config tells how the directory is reached, and who reads.
type Config struct {
	// Account is the gMSA, with or without its '$'; Domain its DNS domain.
	Account, Domain string
	// Server is a domain controller, host or host:port. Empty: found by DNS.
	Server string
	// Kerberos logs on to the directory with LDAP sealed. It has to be a principal
	// that may read the password.
	Kerberos *kerberos.Mechanism
	// Credentials log on by a simple bind over LDAPS, where Kerberos is nil.
	Credentials auth.Credentials
	// TLS is for LDAPS. nil: the system's roots.
	TLS *tls.Config
	// Dial connects to the server. nil: net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Resolver finds domain controllers. nil: net.DefaultResolver.
	Resolver kerberos.Resolver
}

// A Reader reads the password; it is a [kerberos.PasswordBlob].
type Reader struct{ cfg Config }

var _ kerberos.PasswordBlob = (*Reader)(nil)

// New makes a Reader; it does no I/O.
func New(cfg Config) *Reader { return &Reader{cfg} }

// String names the account.
func (r *Reader) String() string { return "password of " + r.cfg.Account + " in " + r.cfg.Domain }

// A NotReadableError is an account that is found without its password: whoever
// reads is not allowed to, or it is no managed account.
type NotReadableError struct{ Account string }

func (e *NotReadableError) Error() string {
	return fmt.Sprintf("gmsa: the password of %s may not be read; add the reader to PrincipalsAllowedToRetrieveManagedPassword, and after a change of groups log it on again", e.Account)
}

// ErrNotFound is an account that the directory does not have.
var ErrNotFound = errors.New("gmsa: no such managed service account")

// ManagedPassword reads the attribute.
func (r *Reader) ManagedPassword(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("gmsa: no answer within %v", timeout))
	defer cancel()
	blob, err := r.read(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("gmsa: %w", context.Cause(ctx))
	}
	return blob, err
}

func (r *Reader) read(ctx context.Context) ([]byte, error) {
	host, addr, err := r.server(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := r.dial(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("gmsa: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	var directory *ldap.Conn
	if r.cfg.Kerberos != nil {
		directory, err = r.bindSealed(ctx, conn, host)
	} else {
		directory, err = r.bindTLS(ctx, conn, host)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	defer directory.Close()
	return r.search(directory)
}

// server finds a domain controller: its name and address.
func (r *Reader) server(ctx context.Context) (host, addr string, err error) {
	port := "636"
	if r.cfg.Kerberos != nil {
		port = "389"
	}
	if r.cfg.Server != "" {
		if host, p, err := net.SplitHostPort(r.cfg.Server); err == nil {
			return host, net.JoinHostPort(host, p), nil
		}
		return r.cfg.Server, net.JoinHostPort(r.cfg.Server, port), nil
	}
	var resolver kerberos.Resolver = net.DefaultResolver
	if r.cfg.Resolver != nil {
		resolver = r.cfg.Resolver
	}
	// See [MS-ADTS] section 6.3.2.3: the names of domain controllers.
	_, records, err := resolver.LookupSRV(ctx, "ldap", "tcp", "dc._msdcs."+strings.TrimSuffix(r.cfg.Domain, ".")+".")
	if err != nil {
		return "", "", fmt.Errorf("gmsa: domain controllers of %s: %w", r.cfg.Domain, err)
	}
	if len(records) == 0 {
		return "", "", fmt.Errorf("gmsa: DNS names no domain controller of %s", r.cfg.Domain)
	}
	host = strings.TrimSuffix(records[0].Target, ".")
	return host, net.JoinHostPort(host, port), nil
}

func (r *Reader) dial(ctx context.Context, addr string) (net.Conn, error) {
	if r.cfg.Dial != nil {
		return r.cfg.Dial(ctx, "tcp", addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// bindTLS logs on by name and password, over TLS only.
func (r *Reader) bindTLS(ctx context.Context, conn net.Conn, host string) (*ldap.Conn, error) {
	cfg := &tls.Config{}
	if r.cfg.TLS != nil {
		cfg = r.cfg.TLS.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	secure := tls.Client(conn, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("gmsa: LDAPS: %w", err)
	}
	password, err := r.cfg.Credentials.Secret(ctx)
	if err != nil {
		return nil, err
	}
	if password == "" {
		return nil, errors.New("gmsa: neither Kerberos nor Credentials with a password")
	}
	directory := ldap.NewConn(secure, true)
	directory.Start()
	if err := directory.Bind(r.cfg.Credentials.AccountName(), password); err != nil {
		directory.Close()
		return nil, fmt.Errorf("gmsa: logon of %s to the directory: %w", r.cfg.Credentials.AccountName(), err)
	}
	return directory, nil
}

// search asks for the one attribute; it is not among "all".
func (r *Reader) search(directory *ldap.Conn) ([]byte, error) {
	name := strings.TrimSuffix(r.cfg.Account, "$") + "$"
	base := "DC=" + strings.ReplaceAll(ldap.EscapeDN(strings.Trim(r.cfg.Domain, ".")), ".", ",DC=")
	filter := fmt.Sprintf("(&(objectClass=msDS-GroupManagedServiceAccount)(sAMAccountName=%s))", ldap.EscapeFilter(name))
	result, err := directory.Search(ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
		2, int(timeout/time.Second), false, filter, []string{attribute}, nil))
	if err != nil {
		return nil, fmt.Errorf("gmsa: read %s of %s: %w", attribute, name, err)
	}
	if len(result.Entries) != 1 {
		return nil, fmt.Errorf("%w: %s in %s", ErrNotFound, name, r.cfg.Domain)
	}
	blob := result.Entries[0].GetRawAttributeValue(attribute)
	if len(blob) == 0 {
		return nil, &NotReadableError{Account: name}
	}
	return blob, nil
}
