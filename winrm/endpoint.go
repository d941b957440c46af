package winrm

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// An EndpointError says that a text does not name an endpoint.
type EndpointError struct {
	Endpoint string // without credentials
	Reason   string
}

func (e *EndpointError) Error() string {
	return fmt.Sprintf("winrm: endpoint %q: %s", e.Endpoint, e.Reason)
}

// parseEndpoint makes a URL of "host", "host:port", "[v6]:port", a bare IPv6
// address or a URL. Ports are 5985 for http and 5986 for https, and 5986 alone
// means https; the path is /wsman.
func parseEndpoint(s string) (string, error) {
	text := strings.TrimSpace(s)
	if !strings.Contains(text, "://") {
		host := text
		if ip := net.ParseIP(strings.SplitN(text, "%", 2)[0]); ip != nil && strings.Contains(text, ":") {
			host = "[" + text + "]"
		}
		scheme := "http"
		if strings.HasSuffix(host, ":5986") {
			scheme = "https"
		}
		text = scheme + "://" + host
	}
	// A zone is written %25eth0 in a URL; people write %eth0.
	if i := strings.IndexByte(text, '%'); i >= 0 && strings.Contains(text, "[") && !strings.HasPrefix(text[i:], "%25") {
		text = text[:i] + "%25" + text[i+1:]
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", &EndpointError{Endpoint: redactURL(text), Reason: "not a URL"}
	case u.User != nil:
		return "", &EndpointError{Endpoint: u.Redacted(), Reason: "credentials belong into Config.Auth"}
	case u.Scheme != "http" && u.Scheme != "https":
		return "", &EndpointError{Endpoint: redactURL(text), Reason: "the scheme is neither http nor https"}
	case u.Hostname() == "" || strings.ContainsAny(u.Hostname(), " \t"):
		return "", &EndpointError{Endpoint: redactURL(text), Reason: "no host"}
	case u.RawQuery != "" || u.Fragment != "":
		return "", &EndpointError{Endpoint: text, Reason: "a query or fragment means nothing here"}
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", &EndpointError{Endpoint: text, Reason: "the port does not exist"}
		}
	} else {
		port := "5985"
		if u.Scheme == "https" {
			port = "5986"
		}
		u.Host = strings.TrimSuffix(u.Host, ":") + ":" + port
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/wsman"
	}
	return u.String(), nil
}

// redactURL cuts what may be a password out of a text that is no URL.
func redactURL(s string) string {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		return "***" + s[i:]
	}
	return s
}
