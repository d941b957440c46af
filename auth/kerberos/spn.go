package kerberos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/winrmkit/winrmkit/internal/krb5"
)

// DefaultSPNs is the order in which service names are asked for. HTTP/host is
// what Windows' own client takes: every domain member has it through its HOST
// name. WSMAN/host is what the WinRM service registers at its start. A name
// with the port is for services that share a host.
func DefaultSPNs() []string {
	return []string{"HTTP/{host}", "WSMAN/{host}", "HOST/{host}", "HTTP/{host}:{port}"}
}

// An SPNError is a host for which the KDC knows no service name.
type SPNError struct {
	Host  string
	Tried []SPNAttempt
}

// An SPNAttempt is a service name and the KDC's answer.
type SPNAttempt struct {
	SPN string
	Err error
}

func (e *SPNError) Error() string {
	if len(e.Tried) == 0 {
		return fmt.Sprintf("kerberos: %s is an address: Kerberos needs the host's DNS name", e.Host)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "kerberos: no service name of %s is known:", e.Host)
	for i, t := range e.Tried {
		if i > 0 {
			b.WriteByte(';')
		}
		fmt.Fprintf(&b, " %s: %v", t.SPN, t.Err)
	}
	return b.String()
}

// Unwrap returns the KDC's answers.
func (e *SPNError) Unwrap() []error {
	list := make([]error, len(e.Tried))
	for i, t := range e.Tried {
		list[i] = t.Err
	}
	return list
}

// checkSPNs refuses templates that make no service name.
func checkSPNs(spns []string) error {
	for _, s := range spns {
		class, host, ok := strings.Cut(s, "/")
		if !ok || class == "" || host == "" || strings.Contains(host, "/") {
			return fmt.Errorf("kerberos: SPN %q is not of the form class/host", s)
		}
	}
	return nil
}

const (
	spnForget    = time.Minute // for how long an unknown name is not asked for again
	maxSPNMemory = 4096
)

// spnMemory keeps the names that the KDC does not know, so that each of many
// connections does not ask again.
type spnMemory struct {
	mu      sync.Mutex
	unknown map[string]unknownSPN
}

type unknownSPN struct {
	err  error
	when time.Time
}

func newSPNMemory() *spnMemory { return &spnMemory{unknown: map[string]unknownSPN{}} }

func (s *spnMemory) get(spn string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.unknown[spn]
	if !ok || time.Since(u.when) > spnForget {
		delete(s.unknown, spn)
		return nil
	}
	return u.err
}

func (s *spnMemory) put(spn string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.unknown) >= maxSPNMemory {
		clear(s.unknown)
	}
	s.unknown[spn] = unknownSPN{err, time.Now()}
}

// ticket gets a ticket for the host by the first name that the KDC knows, and
// returns that name as it was asked for.
func (m *Mechanism) ticket(ctx context.Context, host, port string) (*krb5.Ticket, krb5.Principal, error) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	_, err := netip.ParseAddr(host)
	isAddress := err == nil
	failure := &SPNError{Host: host}
	var noTicket error
	for _, template := range m.cfg.SPNs {
		if isAddress && strings.Contains(template, "{host}") {
			continue
		}
		spn, err := m.expandSPN(ctx, template, host, port)
		if err != nil {
			return nil, krb5.Principal{}, err
		}
		if err := m.spns.get(spn); err != nil {
			failure.Tried = append(failure.Tried, SPNAttempt{spn, err})
			continue
		}
		class, name, _ := strings.Cut(spn, "/")
		service := krb5.Service(class, name, "")
		t, err := m.serviceTicket(ctx, service)
		if err == nil {
			return t, service, nil
		}
		if _, ok := errors.AsType[*krb5.NoTicketError](err); ok {
			noTicket = err // a cache of service tickets may have one by another name
			continue
		}
		if !errors.Is(err, krb5.ErrServerUnknown) {
			return nil, krb5.Principal{}, err
		}
		m.spns.put(spn, err)
		failure.Tried = append(failure.Tried, SPNAttempt{spn, err})
	}
	if noTicket != nil {
		return nil, krb5.Principal{}, noTicket
	}
	return nil, krb5.Principal{}, failure
}

// serviceTicket gets a ticket of the account, or of the user it acts for.
func (m *Mechanism) serviceTicket(ctx context.Context, service krb5.Principal) (*krb5.Ticket, error) {
	if m.cfg.Impersonate == "" {
		return m.client.Ticket(ctx, service)
	}
	evidence, err := m.client.ForUser(ctx, m.imperson)
	if err != nil {
		return nil, err
	}
	return m.client.Proxy(ctx, evidence, service)
}

func (m *Mechanism) expandSPN(ctx context.Context, template, host, port string) (string, error) {
	spn := strings.NewReplacer("{host}", host, "{port}", port).Replace(template)
	if !strings.Contains(spn, "{canonical}") {
		return spn, nil
	}
	var r any = net.DefaultResolver
	if m.cfg.Resolver != nil {
		r = m.cfg.Resolver
	}
	lookup, ok := r.(interface {
		LookupCNAME(ctx context.Context, host string) (string, error)
	})
	if !ok {
		return "", errors.New("kerberos: {canonical} in SPNs, but the Resolver has no LookupCNAME")
	}
	name, err := lookup.LookupCNAME(ctx, host)
	if err != nil {
		return "", fmt.Errorf("kerberos: canonical name of %s: %w", host, err)
	}
	return strings.ReplaceAll(spn, "{canonical}", strings.ToLower(strings.TrimSuffix(name, "."))), nil
}
