package credssp

import (
	"strings"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/credssp"
)

// Explain implements auth.Explainer. A host that sends an errorCode has said
// why; for a bare 401 there are candidates, by how far the logon had come.
func (s *session) Explain(_ int, _ bool) []auth.Cause {
	if s.status != 0 {
		id := strings.ToLower(strings.ReplaceAll(s.status.Symbol(), "_", "-"))
		if id == "" {
			id = "ntstatus"
		}
		return []auth.Cause{{ID: id, Text: s.status.Error(), Remedy: s.status.Remedy()}}
	}
	switch s.Phase() {
	case credssp.PhaseKey:
		wrong := wrongLogon
		if s.account != "" {
			wrong.Text += " (" + s.account + " logs on)"
		}
		return []auth.Cause{wrong, keyRefused, ntlmRefused}
	case credssp.PhaseCredentials:
		return []auth.Cause{wrongDelegated, protectedUser, logonRight}
	case credssp.PhaseTLS:
		return []auth.Cause{tlsRefused, credSSPOff}
	}
	return []auth.Cause{innerRefused, credSSPOff}
}

// The causes, in the order of a logon.
var (
	credSSPOff = auth.Cause{
		ID: "scheme-off", Text: "the service does not accept CredSSP",
		Check:  "winrm get winrm/config/service/auth",
		Remedy: "Enable-WSManCredSSP -Role Server -Force",
	}
	oldVersion = auth.Cause{
		ID: "credssp-version", Text: "the host speaks a version of CredSSP that is open to CVE-2018-0886", Certain: true,
		Check:  "Get-HotFix; tspkg.dll of 2018 and later has version 6",
		Remedy: "update the host; until then MinVersion allows its version by name",
	}
	tlsRefused = auth.Cause{
		ID: "inner-tls", Text: "the host shares no TLS version or cipher suite with us",
		Check:  "see the host's event log System, source Schannel",
		Remedy: "for 2008 R2 to 2012 R2 set TLS.CipherSuites to LegacySuites()",
	}
	innerRefused = auth.Cause{
		ID: "inner-mechanism", Text: "the host does not take the inner logon, or not its token",
		Check: "try the other inner mechanism, NTLM or Kerberos",
	}
	wrongLogon = auth.Cause{
		ID: "wrong-password", Text: "user name or password of the inner logon is wrong, expired, or the account is locked or disabled",
		Check: "see event 4625 in the host's log Security",
	}
	keyRefused = auth.Cause{
		ID: "key-refused", Text: "the host did not find its own TLS key in our proof",
		Check: "look for something that ends TLS between client and host",
	}
	ntlmRefused = auth.Cause{
		ID: "ntlm-refused", Text: "the host refuses NTLM",
		Check:  "see the host's policy Network security: Restrict NTLM",
		Remedy: "use Kerberos as the inner mechanism",
	}
	wrongDelegated = auth.Cause{
		ID: "wrong-delegated-password", Text: "domain, user name or password of the delegated credentials is wrong",
		Check: "see event 4625 in the host's log Security",
	}
	protectedUser = auth.Cause{
		ID: "account-protected", Text: "the account is in Protected Users or marked sensitive, so it cannot be delegated",
		Check:  "Get-ADUser -Properties MemberOf, AccountNotDelegated",
		Remedy: "use resource-based constrained delegation",
	}
	logonRight = auth.Cause{
		ID: "logon-right", Text: "the account may not log on to the host this way",
		Check: "see the host's user rights: Access this computer from the network, Allow log on locally",
	}
)
