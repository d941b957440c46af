package winrmtest

import (
	"crypto/sha1" //nolint:gosec // Windows names certificates by their SHA-1 thumbprint
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"sync"

	"github.com/winrmkit/winrmkit/internal/authserver"
)

// accounts is Server.Users as a database for the mechanisms.
type accounts struct {
	srv *Server

	mu      sync.Mutex
	inARow  map[string]int  // failed logons since the last good one
	blocked map[string]bool // locked out
}

var _ authserver.Accounts = (*accounts)(nil)

// Lookup implements [authserver.Accounts]. A name without domain also finds
// user@realm as it is listed.
func (a *accounts) Lookup(domain, user string) (authserver.Account, bool) {
	for name, password := range a.srv.Users {
		d, u := authserver.SplitName(name)
		sameDomain := strings.EqualFold(d, domain) || strings.EqualFold(domain, a.srv.Name) && d == ""
		if strings.EqualFold(u, user) && sameDomain {
			return authserver.Account{Name: a.fullName(d, u), Domain: d, User: u, Password: password}, true
		}
	}
	return authserver.Account{}, false
}

// fullName is the name that whoami prints.
func (a *accounts) fullName(domain, user string) string {
	if domain == "" && !strings.Contains(user, "@") {
		domain = a.srv.Name
	}
	if domain == "" {
		return user
	}
	return domain + `\` + user
}

// counterKey is the name under which failures of an account are counted,
// whichever way it was written.
func (a *accounts) counterKey(domain, user string) string {
	if domain != "" && !strings.EqualFold(domain, a.srv.Name) {
		user = domain + `\` + user
	}
	return strings.ToLower(user)
}

// Failed implements [authserver.Accounts].
func (a *accounts) Failed(domain, user string) {
	key := a.counterKey(domain, user)
	a.mu.Lock()
	if a.inARow == nil {
		a.inARow, a.blocked = make(map[string]int), make(map[string]bool)
	}
	a.inARow[key]++
	if n := a.srv.LockoutThreshold; n > 0 && a.inARow[key] >= n {
		a.blocked[key] = true
	}
	a.mu.Unlock()
	a.srv.counters.update(func(s *Stats) { s.FailedLogons[key]++ })
}

// Passed implements [authserver.Accounts].
func (a *accounts) Passed(acc authserver.Account) bool {
	key := a.counterKey(acc.Domain, acc.User)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.blocked[key] {
		return false
	}
	delete(a.inARow, key)
	return true
}

// check is the logon of a certificate mapping.
func (a *accounts) check(user, password string) bool {
	acc, ok := a.Lookup(authserver.SplitName(user))
	return ok && acc.Password == password
}

// Certificate implements [authserver.Accounts]: issuer and subject have to
// match, the longest subject wins, and no or two candidates are no logon
// ([MS-WSMV] section 3.1.4.1.29). The resource URI of a mapping is not looked
// at here: the logon comes before the resource is known.
func (a *accounts) Certificate(state *tls.ConnectionState) (authserver.Account, bool) {
	issuers := make(map[string]bool)
	for _, chain := range state.VerifiedChains {
		for _, cert := range chain[1:] {
			issuers[thumbprint(cert)] = true
		}
	}
	names := subjectNames(state.PeerCertificates[0])
	best, found, user := -1, 0, ""
	for _, m := range a.srv.config.Mappings() {
		if !m.Enabled || !issuers[strings.ToUpper(m.Issuer)] || !matchesAny(m.Subject, names) {
			continue
		}
		switch {
		case len(m.Subject) > best:
			best, found, user = len(m.Subject), 1, m.User
		case len(m.Subject) == best && !strings.EqualFold(m.User, user):
			found++
		}
	}
	if found != 1 {
		return authserver.Account{}, false
	}
	return a.Lookup(authserver.SplitName(user))
}

func matchesAny(pattern string, names []string) bool {
	suffix, wild := strings.CutPrefix(pattern, "*")
	for _, n := range names {
		if strings.EqualFold(n, pattern) || wild && hasSuffixFold(n, suffix) {
			return true
		}
	}
	return false
}

// subjectNames are the UPNs and DNS names of a certificate.
func subjectNames(cert *x509.Certificate) []string {
	return append(upns(cert), cert.DNSNames...)
}

func thumbprint(cert *x509.Certificate) string {
	sum := sha1.Sum(cert.Raw) //nolint:gosec // as above
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}
