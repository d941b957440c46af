package winrm

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/winrmkit/winrmkit/internal/hostscript"
	"github.com/winrmkit/winrmkit/wsman/config"
)

// A CredSSPStatus is what Get-WSManCredSSP tells, and where it comes from.
type CredSSPStatus struct {
	Server config.Value[bool] // Service\Auth\CredSSP: the host receives credentials
	Client config.Value[bool] // Client\Auth\CredSSP: the host may hand credentials on

	// Fresh are the services that the host may hand freshly entered credentials
	// to, such as "wsman/*.corp.example", by the policy AllowFreshCredentials.
	// FreshNTLM are those of AllowFreshCredentialsWhenNTLMOnly, which counts when
	// only NTLM vouches for the other host.
	Fresh, FreshNTLM []string
}

// Delegates reports whether the host can hand on credentials: the switch alone
// is not enough.
func (s *CredSSPStatus) Delegates() bool {
	isWSMan := func(n string) bool { return strings.HasPrefix(strings.ToLower(n), "wsman/") || n == "*" }
	return s.Client.V && (slices.ContainsFunc(s.Fresh, isWSMan) || slices.ContainsFunc(s.FreshNTLM, isWSMan))
}

// String is in the words of Get-WSManCredSSP.
func (s *CredSSPStatus) String() string {
	first := "The machine is not configured to allow delegating fresh credentials."
	if s.Delegates() {
		first = "The machine is configured to allow delegating fresh credentials to the following target(s): " + strings.Join(s.Fresh, ",")
	}
	not := " not"
	if s.Server.V {
		not = ""
	}
	return first + "\nThis computer is" + not + " configured to receive credentials from a remote client computer."
}

// CredSSPStatus reads both roles of the host.
func (c *Client) CredSSPStatus(ctx context.Context) (*CredSSPStatus, error) {
	service, err := config.GetServiceAuth(ctx, c.wsman)
	if err != nil {
		return nil, err
	}
	client, err := config.GetClientAuth(ctx, c.wsman)
	if err != nil {
		return nil, err
	}
	s := &CredSSPStatus{Server: service.CredSSP, Client: client.CredSSP}
	s.Fresh, s.FreshNTLM, err = c.delegation(ctx, hostscript.Call{Lists: []string{hostscript.ListFresh, hostscript.ListNTLM}})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// EnableCredSSPClient lets the host hand credentials on to hosts, such as
// "srv2.corp.example" or "*.corp.example": it switches Client\Auth\CredSSP on and
// adds to the policy AllowFreshCredentials what is not there yet. It is
// Enable-WSManCredSSP -Role Client from afar, but for two things: the names do
// not pile up, and the policy is written into the registry, not into the local
// group policy object. Where a domain's policy owns the list, it wins at its next
// refresh.
//
// Name only hosts as trustworthy as the accounts whose passwords they will see.
// A host that only NTLM vouches for needs ntlm too. The lists are read back: a
// [*config.NotAppliedError] says that a name is not there.
func (c *Client) EnableCredSSPClient(ctx context.Context, ntlm bool, hosts ...string) error {
	names, err := delegateNames(hosts)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return &config.ValueError{Item: "CredentialsDelegation", Err: errors.New("no host is named")}
	}
	if err := config.SetClientAuth(ctx, c.wsman, config.ClientAuth{CredSSP: config.Bool(true)}); err != nil {
		return err
	}
	lists := []string{hostscript.ListFresh}
	if ntlm {
		lists = append(lists, hostscript.ListNTLM)
	}
	fresh, onlyNTLM, err := c.delegation(ctx, hostscript.Call{Lists: lists, Add: names})
	if err != nil {
		return err
	}
	for i, have := range [][]string{fresh, onlyNTLM}[:len(lists)] {
		for _, n := range names {
			if !containsName(have, n) {
				return &config.NotAppliedError{Item: "CredentialsDelegation\\" + lists[i], Want: n, Got: strings.Join(have, ",")}
			}
		}
	}
	return nil
}

// containsName compares names as Windows does.
func containsName(list []string, name string) bool {
	return slices.ContainsFunc(list, func(n string) bool { return strings.EqualFold(n, name) })
}

// DisableCredSSPClient takes hosts off the policy. Without hosts it is
// Disable-WSManCredSSP -Role Client: every name of WinRM goes, and
// Client\Auth\CredSSP is switched off.
func (c *Client) DisableCredSSPClient(ctx context.Context, hosts ...string) error {
	names, err := delegateNames(hosts)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		if err := config.SetClientAuth(ctx, c.wsman, config.ClientAuth{CredSSP: config.Bool(false)}); err != nil {
			return err
		}
	}
	fresh, onlyNTLM, err := c.delegation(ctx, hostscript.Call{
		Lists: []string{hostscript.ListFresh, hostscript.ListNTLM}, Remove: names, All: len(names) == 0,
	})
	if err != nil {
		return err
	}
	for _, n := range names {
		if containsName(fresh, n) || containsName(onlyNTLM, n) {
			return &config.NotAppliedError{Item: "CredentialsDelegation", Want: "no " + n, Got: n}
		}
	}
	return nil
}

// delegateNames are names as the policy has them.
func delegateNames(hosts []string) ([]string, error) {
	var names []string
	for _, h := range hosts {
		name := h
		if !strings.Contains(h, "/") {
			name = "wsman/" + h
		}
		if !hostscript.ValidName(name) {
			return nil, &config.ValueError{Item: "CredentialsDelegation", Text: h, Err: errors.New("it is no host, such as srv2.corp.example or *.corp.example")}
		}
		names = append(names, name)
	}
	return names, nil
}

// delegation runs the script about the policy and returns the lists after it.
func (c *Client) delegation(ctx context.Context, call hostscript.Call) (fresh, ntlm []string, err error) {
	call.Op = hostscript.OpDelegation
	lines, err := c.script(ctx, call)
	if err != nil {
		return nil, nil, err
	}
	complete := false
	for _, l := range lines {
		_, end := l["end"]
		complete = complete || end
		switch l["list"] {
		case hostscript.ListFresh:
			fresh = append(fresh, l["name"])
		case hostscript.ListNTLM:
			ntlm = append(ntlm, l["name"])
		}
	}
	if !complete {
		return nil, nil, &HostScriptError{Script: string(call.Op), Output: "the answer has no end"}
	}
	return fresh, ntlm, nil
}

// PurgeTickets makes the host forget the Kerberos tickets of its computer
// account, so that a change of delegation in the directory counts at once and
// not after 15 minutes to 10 hours.
func (c *Client) PurgeTickets(ctx context.Context) error {
	// 0x3e7 is the logon session of the computer account.
	return c.CommandContext(ctx, "klist", "-li", "0x3e7", "purge").Run()
}
