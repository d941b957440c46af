package config

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/winrmkit/winrmkit/wsman"
)

type lockoutKey struct{}

// AllowLockout returns a context under which changes are made that may shut the
// caller, or everybody, out of the host.
func AllowLockout(ctx context.Context) context.Context {
	return context.WithValue(ctx, lockoutKey{}, true)
}

func lockoutAllowed(ctx context.Context) bool { return ctx.Value(lockoutKey{}) != nil }

// schemes are the switches of Service\Auth by which one can log on.
var schemes = []string{"Basic", "Kerberos", "Negotiate", "Certificate", "CredSSP"}

// switchOf is the switch under Service\Auth for an HTTP authentication scheme,
// "" for none.
func switchOf(scheme string) string {
	for _, s := range schemes {
		if strings.EqualFold(s, scheme) {
			return s
		}
	}
	if strings.Contains(scheme, "secprofile/https/mutual") { // [MS-WSMV] section 2.2.9.1.4
		return "Certificate"
	}
	return ""
}

// guard refuses changes after which the caller could not log on again.
func (s section) guard(c *wsman.Client, before []Item, changes []change) error {
	for _, ch := range changes {
		path := strings.ToLower(s.at(ch.rel))
		if s.path == "" {
			path = strings.Replace(path, `winrs\`, `shell\`, 1)
		}
		reason := ""
		switch name, isAuth := strings.CutPrefix(path, `service\auth\`); {
		case isAuth && ch.value == "false":
			reason = s.guardScheme(c, name, before, changes, ch.rel)
		case path == `service\allowunencrypted` && ch.value == "false" && switchOf(c.AuthScheme()) == "Basic" && isClear(c):
			reason = "this client logs on with Basic over http, which needs it"
		case path == `shell\allowremoteshellaccess` && ch.value == "false":
			reason = "no command could be run over WinRM any more, not even one to turn it on again"
		case path == `service\rootsddl` && !admitsAnybody(ch.value):
			reason = "it allows nobody anything"
		case (path == `service\ipv4filter` || path == `service\ipv6filter`) && ch.value == "":
			reason = "no address could connect any more"
		}
		if reason != "" {
			return &LockoutError{Item: s.at(ch.rel), Value: ch.value, Reason: reason}
		}
	}
	return nil
}

// guardScheme tells what speaks against turning a mechanism off.
func (s section) guardScheme(c *wsman.Client, name string, before []Item, changes []change, rel string) string {
	if own := switchOf(c.AuthScheme()); strings.EqualFold(own, name) {
		return fmt.Sprintf("this client logs on with %s", own)
	}
	dir := rel[:strings.LastIndexByte(rel, '\\')+1]
	for _, scheme := range schemes {
		on := false
		if it := find(before, dir+scheme); it != nil {
			on = it.Value == "true"
		}
		for _, ch := range changes {
			if strings.EqualFold(ch.rel, dir+scheme) {
				on = ch.value == "true"
			}
		}
		if on {
			return ""
		}
	}
	if find(before, dir+name) == nil {
		return "" // not a switch that exists: the host will say so
	}
	return "it is the last way to log on"
}

func isClear(c *wsman.Client) bool {
	u, err := url.Parse(c.Endpoint())
	return err == nil && u.Scheme == "http"
}

// admitsAnybody reports whether a descriptor has an entry that allows something.
func admitsAnybody(text string) bool {
	d, err := ParseSDDL(text)
	return err == nil && d.DACL != nil && slices.ContainsFunc(d.DACL.ACEs, func(a ACE) bool { return strings.HasSuffix(strings.ToUpper(a.Type), "A") })
}
