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

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/kerberos"
	"github.com/winrmkit/winrmkit/internal/directory"
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
	conn, err := directory.Connect(ctx, directory.Config{
		Domain: r.cfg.Domain, Server: r.cfg.Server, Kerberos: r.cfg.Kerberos, Credentials: r.cfg.Credentials,
		TLS: r.cfg.TLS, Dial: r.cfg.Dial, Resolver: r.cfg.Resolver,
	})
	if err != nil {
		return nil, fmt.Errorf("gmsa: %w", err)
	}
	defer conn.Close()
	// The attribute is not among "all".
	name := strings.TrimSuffix(r.cfg.Account, "$") + "$"
	filter := fmt.Sprintf("(&(objectClass=msDS-GroupManagedServiceAccount)(sAMAccountName=%s))", directory.Escape(name))
	entries, err := conn.Search(filter, attribute)
	if err != nil {
		return nil, fmt.Errorf("gmsa: read %s of %s: %w", attribute, name, err)
	}
	if len(entries) != 1 {
		return nil, fmt.Errorf("%w: %s in %s", ErrNotFound, name, r.cfg.Domain)
	}
	blob := entries[0].Value(attribute)
	if len(blob) == 0 {
		return nil, &NotReadableError{Account: name}
	}
	return blob, nil
}
