package credssp

import (
	"crypto/tls"
	"errors"
	"slices"
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

// causeOf explains what we do not accept of a host.
func causeOf(err error) (auth.Cause, bool) {
	if v, ok := errors.AsType[*VersionError](err); ok {
		if v.Got >= credssp.SafeVersion {
			return belowMinimum, v.First == 0
		}
		return oldVersion, v.First == 0
	}
	phase, ok := errors.AsType[*PhaseError](err)
	if !ok || phase.Phase != credssp.PhaseTLS {
		return auth.Cause{}, false
	}
	if _, ok := errors.AsType[*auth.PinError](err); ok {
		return otherCertificate, true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return unverified, true
	}
	// What is not ours are errors and alerts of TLS itself.
	ours := []error{
		ErrUnexpected, ErrMalformed, credssp.ErrTruncated, credssp.ErrTooLarge, credssp.ErrClosed, credssp.ErrRecordSplit,
	}
	return tlsRefused, !slices.ContainsFunc(ours, func(e error) bool { return errors.Is(err, e) })
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
	belowMinimum = auth.Cause{
		ID: "credssp-version", Text: "the host speaks an older version of CredSSP than MinVersion asks for", Certain: true,
		Remedy: "update the host, or set a lower MinVersion",
	}
	otherCertificate = auth.Cause{
		ID: "inner-pin", Text: "the host has another certificate than the pinned one: it was replaced, or somebody is in between",
		Check:  "compare its digest at the host: the certificate of CertificateThumbprint in winrm/config/service",
		Remedy: "if it is the host's own, change Pins",
	}
	unverified = auth.Cause{
		ID: "inner-certificate", Text: "the host's inner certificate cannot be verified; most hosts have made theirs themselves", Certain: true,
		Check:  "winrm get winrm/config/service (CertificateThumbprint)",
		Remedy: "set Pins instead, or TLS.RootCAs, or give the host a certificate that can be verified",
	}
	tlsRefused = auth.Cause{
		ID: "inner-tls", Text: "the host shares no TLS version or cipher suite with us",
		Check:  "see the host's event log System, source Schannel",
		Remedy: "for 2008 R2 to 2012 R2 set TLS.CipherSuites to LegacySuites()",
	}
	innerRefused = auth.Cause{
		ID: "inner-mechanism", Text: "the host does not take the inner logon, or not its token",
		Check:  "try the other inner mechanism, NTLM or Kerberos",
		Remedy: "set Config.Inner to the one that works",
	}
	wrongLogon = auth.Cause{
		ID: "wrong-password", Text: "user name or password of the inner logon is wrong, expired, or the account is locked or disabled",
		Check:  "see event 4625 in the host's log Security",
		Remedy: "correct it before the next try: each one counts towards the lock-out of the account",
	}
	keyRefused = auth.Cause{
		ID: "key-refused", Text: "the host did not find its own TLS key in our proof",
		Check:  "look for something that ends TLS between client and host",
		Remedy: "reach the host without it",
	}
	ntlmRefused = auth.Cause{
		ID: "ntlm-refused", Text: "the host refuses NTLM",
		Check:  "see the host's policy Network security: Restrict NTLM",
		Remedy: "use Kerberos as the inner mechanism",
	}
	wrongDelegated = auth.Cause{
		ID: "wrong-delegated-password", Text: "domain, user name or password of the delegated credentials is wrong",
		Check:  "see event 4625 in the host's log Security",
		Remedy: "correct Config.Credentials, which is what the host receives",
	}
	protectedUser = auth.Cause{
		ID: "account-protected", Text: "the account is in Protected Users or marked sensitive, so it cannot be delegated",
		Check:  "Get-ADUser -Properties MemberOf, AccountNotDelegated",
		Remedy: "use resource-based constrained delegation",
	}
	logonRight = auth.Cause{
		ID: "logon-right", Text: "the account may not log on to the host this way",
		Check:  "see the host's user rights: Access this computer from the network, Allow log on locally",
		Remedy: "grant it both rights on the host",
	}
)
