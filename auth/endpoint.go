package auth

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// An endpoint is where a listener is.
type endpoint struct {
	scheme string
	host   string // without brackets and zone: what certificates and principals name
	dial   string // host:port for the dialer, with the zone
	port   string
	text   string // host:port
}

// notURL is all that is said of a text that is no URL: it, and what package url
// says about it, may hold a password.
const notURL = "the text is not a URL"

// parseEndpoint reads scheme, host and port. A missing port is WinRM's: 5985 for
// http, 5986 for https.
func parseEndpoint(u *url.URL) (endpoint, error) {
	e := endpoint{scheme: strings.ToLower(u.Scheme), port: u.Port()}
	if e.scheme != "http" && e.scheme != "https" {
		return e, fmt.Errorf("auth: endpoint: scheme %q is neither http nor https", u.Scheme)
	}
	host := strings.ToLower(u.Hostname())
	if host == "" {
		return e, errors.New("auth: endpoint: no host")
	}
	if e.port == "" {
		e.port = map[string]string{"http": "5985", "https": "5986"}[e.scheme]
	}
	if n, err := strconv.ParseUint(e.port, 10, 16); err != nil || n == 0 {
		return e, fmt.Errorf("auth: endpoint: port %s does not exist", e.port)
	}
	e.dial = net.JoinHostPort(u.Hostname(), e.port)
	e.host, _, _ = strings.Cut(host, "%")
	if addr, err := netip.ParseAddr(host); err == nil {
		e.host = addr.WithZone("").String()
	}
	e.text = net.JoinHostPort(e.host, e.port)
	return e, nil
}

// name is the endpoint in errors, traces and the Host header.
func (e endpoint) name() string { return e.text }

// peer is the endpoint as a Mechanism sees it.
func (e endpoint) peer() Peer { return Peer{Scheme: e.scheme, Host: e.host, Port: e.port} }
