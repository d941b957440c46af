package target

import (
	"net"
	"net/netip"
	"strings"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/kerberos"
)

// Negotiate is how an account with a password logs on at an endpoint: with Kerberos
// when the account names its realm and the endpoint a host, and with NTLM otherwise,
// or when there is no KDC that knows them. end frees what it holds.
func Negotiate(cred auth.Credentials, endpoint string) (m auth.Mechanism, end func() error, err error) {
	ntlm := auth.NTLM(cred)
	if !namesRealm(cred.User) || !namesHost(endpoint) {
		return auth.Negotiate(ntlm), func() error { return nil }, nil
	}
	kerb, err := kerberos.New(&kerberos.Config{Credentials: cred})
	if err != nil {
		return nil, nil, err
	}
	return auth.Negotiate(kerb, ntlm), kerb.Close, nil
}

// namesRealm reports whether an account is written user@realm or REALM.EXAMPLE\user.
// The short name of a domain is none: nothing says which realm it belongs to.
func namesRealm(user string) bool {
	if domain, _, ok := strings.Cut(user, `\`); ok {
		return strings.Contains(strings.Trim(domain, "."), ".")
	}
	_, realm, _ := strings.Cut(user, "@")
	return strings.Contains(strings.Trim(realm, "."), ".")
}

// namesHost reports whether an endpoint, a host, host:port or a URL, has a name:
// there are no tickets for addresses.
func namesHost(endpoint string) bool {
	if _, rest, ok := strings.Cut(endpoint, "://"); ok {
		endpoint = rest
	}
	endpoint, _, _ = strings.Cut(endpoint, "/")
	host := endpoint
	if h, _, err := net.SplitHostPort(endpoint); err == nil {
		host = h
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err != nil
}
