package credssp

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"github.com/winrmkit/winrmkit/auth"
)

// A NotAllowedError is a host that [Config.Allow] does not name. Nothing was
// sent to it.
type NotAllowedError struct {
	Host  string
	Allow []string
}

// Error implements error.
func (e *NotAllowedError) Error() string {
	return fmt.Sprintf("credssp: %s may not receive the credentials: Allow lists %s; add wsman/%[1]s if it may",
		e.Host, cmp.Or(strings.Join(e.Allow, ", "), "none"))
}

// Causes tells what to do, in the way of a logon's.
func (e *NotAllowedError) Causes() []auth.Cause {
	return []auth.Cause{{
		ID: "credssp-not-allowed", Text: e.Host + " is not among the hosts that may receive the credentials", Certain: true,
		Check: "Config.Allow: " + cmp.Or(strings.Join(e.Allow, ", "), "none"), Remedy: "add wsman/" + e.Host + " if it may",
	}}
}

// A pattern is one entry of Allow.
type pattern struct {
	any    bool   // *
	suffix string // ".corp.example" of *.corp.example
	host   string // else
}

// parsePatterns reads the forms that the Windows policy has: service/host,
// where the host may begin with a wildcard for any number of labels.
func parsePatterns(texts []string) ([]pattern, error) {
	var patterns []pattern
	for _, text := range texts {
		host := strings.ToLower(strings.TrimSpace(text))
		if service, rest, ok := strings.Cut(host, "/"); ok {
			if service != "wsman" && service != "http" {
				return nil, fmt.Errorf("credssp: Allow entry %q: the service is WSMAN", text)
			}
			host = rest
		}
		var p pattern
		p.any = host == "*"
		host = canonical(host)
		switch {
		case p.any:
		case strings.HasPrefix(host, "*."):
			p.suffix = host[1:]
		default:
			p.host = host
		}
		if !p.any && (len(p.suffix) == 1 || p.suffix == "" && p.host == "" ||
			strings.ContainsAny(p.suffix+p.host, "*/?\\ ")) {
			return nil, fmt.Errorf("credssp: Allow entry %q is none of wsman/host, wsman/*.domain and *", text)
		}
		patterns = append(patterns, p)
	}
	return patterns, nil
}

// allowed reports whether host may receive the credentials.
func allowed(patterns []pattern, host string) bool {
	host = canonical(strings.ToLower(host))
	_, err := netip.ParseAddr(host)
	isAddress := err == nil
	for _, p := range patterns {
		switch {
		case p.any, p.host != "" && p.host == host:
			return true
		case p.suffix != "" && !isAddress && len(host) > len(p.suffix) && strings.HasSuffix(host, p.suffix):
			return true
		}
	}
	return false
}

// canonical takes the brackets off an IPv6 literal and the final dot off a name.
func canonical(host string) string {
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.String()
	}
	return strings.TrimSuffix(host, ".")
}
