package winrm

import (
	"errors"
	"strings"

	"github.com/winrmkit/winrmkit/wsman"
)

// fault is for what the service understood and refused.
func (x *explainer) fault(err error) []Cause {
	f, ok := errors.AsType[*wsman.Fault](err)
	if !ok {
		return nil
	}
	if secondHopCode(f.Message) || secondHopCode(f.Reason) {
		return x.secondHop()
	}
	if errors.Is(f, wsman.ErrAccessDenied) {
		return x.accessDenied()
	}
	if c, ok := faultCauses[f.Code]; ok {
		return []Cause{c}
	}
	if remedy := f.Code.Remedy(); remedy != "" {
		return []Cause{{ID: strings.ToLower(f.Code.Symbol()), Text: f.Code.Text(), Remedy: remedy}}
	}
	return nil
}

// accessDenied are the reasons why an account that is logged on may not do
// something. An account of the host itself is the usual victim of the token
// filter; one of a domain never is.
func (x *explainer) accessDenied() []Cause {
	filter := Cause{
		ID:     "token-filter",
		Text:   "the account is one of the host's own, and remote logons of such administrators get a token without their rights (UAC)",
		Check:  `Get-ItemProperty HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System LocalAccountTokenFilterPolicy`,
		Remedy: `Set-ItemProperty HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System LocalAccountTokenFilterPolicy 1 -Type DWord`,
	}
	rights := Cause{
		ID:     "no-right",
		Text:   "the account may not use WinRM here: it is no administrator and RootSDDL does not name it",
		Check:  `Get-Item WSMan:\localhost\Service\RootSDDL; Get-LocalGroupMember Administrators`,
		Remedy: `Add-LocalGroupMember Administrators <account>; for PowerShell alone: Add-LocalGroupMember "Remote Management Users" <account>; for the cmd shell: winrm configSDDL default`,
	}
	if !x.isLocalAccount() {
		return []Cause{rights}
	}
	return []Cause{filter, rights}
}

// isLocalAccount reports whether the account may be one of the host's own: it has
// no domain, or the host's name for one.
func (x *explainer) isLocalAccount() bool {
	domain, _, ok := strings.Cut(x.account, `\`)
	switch {
	case strings.Contains(x.account, "@"):
		return false
	case !ok, domain == ".", domain == "":
		return true
	}
	host, _, _ := strings.Cut(x.host(), ":")
	short, _, _ := strings.Cut(host, ".")
	return strings.EqualFold(domain, short)
}

// faultCauses are the faults whose code says what is wrong.
var faultCauses = map[wsman.FaultCode]Cause{
	wsman.ErrTooManyShells: {
		ID: "quota-shells", Text: "the account has as many shells open as MaxShellsPerUser allows", Certain: true,
		Check: "winrm enumerate shell", Remedy: `end old ones, or Set-Item WSMan:\localhost\Shell\MaxShellsPerUser 30`,
	},
	wsman.ErrTooManyOperations: {
		ID: "quota-operations", Text: "the account has as many operations as MaxConcurrentOperationsPerUser allows", Certain: true,
		Check: `Get-Item WSMan:\localhost\Service\MaxConcurrentOperationsPerUser`, Remedy: `Set-Item WSMan:\localhost\Service\MaxConcurrentOperationsPerUser 1500`,
	},
	wsman.ErrTooManyShellUsers: {
		ID: "quota-users", Text: "as many accounts have shells open as MaxConcurrentUsers allows", Certain: true,
		Check: "winrm enumerate shell", Remedy: `Set-Item WSMan:\localhost\Shell\MaxConcurrentUsers 100`,
	},
	wsman.ErrQuotaLimit: {
		ID: "quota-service", Text: "the service is busy: MaxConnections or MaxConcurrentOperations is reached", Certain: true,
		Check: `Get-Item WSMan:\localhost\Service\MaxConnections`, Remedy: `wait and repeat, or Set-Item WSMan:\localhost\Service\MaxConnections 300`,
	},
	wsman.ErrTooManyCommands: {
		ID: "quota-commands", Text: "the shell has run as many commands as it may", Certain: true,
		Check: `Get-ChildItem WSMan:\localhost\Plugin\*\Quotas`, Remedy: "open a new shell; Config.CommandsPerShell lower than the quota does",
	},
	wsman.ErrUserThrottled: {
		ID: "throttled-user", Text: "the load of the account is throttled", Check: "look at what else runs under the account", Remedy: "wait a minute, with fewer hosts or requests at once", Certain: true,
	},
	wsman.ErrSystemThrottled: {
		ID: "throttled-host", Text: "the host throttles all requests", Check: "look at the load of the host", Remedy: "wait until the load of the host is lower", Certain: true,
	},
	wsman.ErrShellsNotAllowed: {
		ID: "shells-off", Text: `Shell\AllowRemoteShellAccess is false`, Certain: true,
		Check: `Get-Item WSMan:\localhost\Shell\AllowRemoteShellAccess`, Remedy: `Set-Item WSMan:\localhost\Shell\AllowRemoteShellAccess $true`,
	},
	wsman.ErrSetByPolicy: {
		ID: "policy", Text: "group policy owns the setting", Certain: true,
		Check: "gpresult /scope computer /h report.html", Remedy: `change the policy under Windows Components\Windows Remote Management (WinRM)`,
	},
	wsman.ErrReadOnlyProperty: {
		ID: "read-only", Text: "the setting can only be read", Remedy: "leave it out of the change", Certain: true,
	},
	wsman.ErrDeprecatedSetting: {
		ID: "deprecated", Text: "the setting has no meaning any more and cannot be changed", Remedy: "leave it alone", Certain: true,
	},
	wsman.ErrShellNotStarted: {
		ID: "shell-not-started", Text: "winrshost.exe did not start", Check: "Get-WinEvent Microsoft-Windows-WinRM/Operational -MaxEvents 20",
		Remedy: "free memory on the host, or restart it", Certain: true,
	},
	wsman.ErrCodepage: {
		ID: "codepage", Text: "the host does not have the code page", Check: "chcp", Remedy: "use Codepage 437 or 65001", Certain: true,
	},
	wsman.ErrIdleTimeout: {
		ID: "idle-timeout", Text: "IdleTimeOut is less than a minute or more than the host allows", Check: `Get-Item WSMan:\localhost\Shell\IdleTimeout`,
		Remedy: "choose between one minute and MaxIdleTimeoutms", Certain: true,
	},
	wsman.ErrInvalidResourceURI: {
		ID: "resource-unknown", Text: "the host knows no such resource, such as a PowerShell configuration of that name", Check: "Get-PSSessionConfiguration",
		Remedy: "Enable-PSRemoting -Force registers the usual ones", Certain: true,
	},
	wsman.ErrResponseTooLarge: {
		ID: "response-too-large", Text: "the answer is longer than was asked for", Remedy: "a larger Config.MaxEnvelopeSize", Certain: true,
	},
	wsman.ErrCannotDecrypt: {
		ID: "cannot-decrypt", Text: "the host could not decrypt the message: its security context is another one", Remedy: "connect anew; look for a proxy that shares connections", Certain: true,
	},
	2150858757: {
		ID: "config-corrupted", Text: "the WinRM configuration of the host is damaged", Remedy: "winrm invoke restore winrm/config '@{}'; Enable-PSRemoting -Force", Certain: true,
	},
	2150859229: {
		ID: "remote-access-off", Text: "policy allows connections from the host itself only", Check: `Get-Item WSMan:\localhost\Service\AllowRemoteAccess`,
		Remedy: `the policy "Allow remote server management through WinRM"`, Certain: true,
	},
}

// secondHopMarks are what programs print when the next host refuses an identity
// that did not come along. They are codes, not words: words differ by language.
var secondHopMarks = []string{
	"0x8009030e", // SEC_E_NO_CREDENTIALS
	"0x80090322", // SEC_E_WRONG_PRINCIPAL, of a nested WinRM call
	"0x80070520", // ERROR_NO_SUCH_LOGON_SESSION
	"(1312)", "error 1312",
	"system error 5 ", "system error 5\r", "system error 5\n", "system error 1312",
	"anonymous logon",
}

func secondHopCode(text string) bool {
	lower := strings.ToLower(text)
	for _, mark := range secondHopMarks {
		if strings.Contains(lower, mark) {
			return true
		}
	}
	return false
}

// ExplainOutput tells why a command that reached for another host was refused,
// by what it wrote. nil: nothing is recognised. It cannot know that another host
// was meant; the caller should.
func (c *Client) ExplainOutput(output string) []Cause {
	lower := strings.ToLower(output)
	denied := strings.Contains(lower, "access is denied") || strings.Contains(lower, "access to the path") && strings.Contains(lower, "is denied") ||
		strings.Contains(lower, "unauthorizedaccess") || strings.Contains(lower, "permissiondenied") || strings.Contains(lower, "0x80070005")
	if !denied && !secondHopCode(output) {
		return nil
	}
	x := explainer{endpoint: c.endpoint}
	if c.cfg.Auth != nil {
		x.scheme, x.mechanism = c.cfg.Auth.Scheme(), c.cfg.Auth.Name()
	}
	return x.secondHop()
}

// secondHop are the ways out when an identity ends at the first hop, the safest
// first.
func (x *explainer) secondHop() []Cause {
	const what = "the second hop: the host has no credentials to show to the next one"
	if strings.EqualFold(x.scheme, "CredSSP") {
		return []Cause{{
			ID: "second-hop-rights", Text: "the credentials came along by CredSSP, so the account itself has no right on the next host, or may not be delegated",
			Check: "Get-ADUser <account> -Properties MemberOf, AccountNotDelegated", Remedy: "grant the right there",
		}}
	}
	ways := []Cause{
		{
			ID: "second-hop-avoid", Text: what, Check: "klist",
			Remedy: "do without: copy the file over this connection, or let a task under SYSTEM read the share as the computer account (share right for Domain Computers)",
		},
		{
			ID: "second-hop-rbcd", Text: what, Check: "Get-ADComputer <next> -Properties PrincipalsAllowedToDelegateToAccount",
			Remedy: "resource-based delegation: Set-ADComputer <next> -PrincipalsAllowedToDelegateToAccount (Get-ADComputer <host>); klist purge -li 0x3e7 on the host. Not for WinRM as the second hop",
		},
	}
	if x.mechanism == "Kerberos" || strings.EqualFold(x.scheme, "Kerberos") || x.mechanism == "Negotiate" {
		ways = append(ways, Cause{
			ID: "second-hop-forward", Text: what, Check: "Get-ADComputer <host> -Properties TrustedForDelegation",
			Remedy: "Kerberos with a forwarded ticket, on a host that is trusted for delegation",
		})
	}
	return append(ways, Cause{
		ID: "second-hop-credssp", Text: what, Check: `Get-Item WSMan:\localhost\Service\Auth\CredSSP`,
		Remedy: "CredSSP for the moment: Client.WithCredSSP. The host then has the password in clear",
	})
}
