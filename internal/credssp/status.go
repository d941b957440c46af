package credssp

import "fmt"

// Status is an NTSTATUS (or an SSPI code, which shares its numbers) from the
// errorCode of a TSRequest. It is an error.
type Status uint32

// The codes that CredSSP servers answer with. Names as in [MS-ERREF].
const (
	StatusNoLogonServers         Status = 0xc000005e // STATUS_NO_LOGON_SERVERS
	StatusNoSuchUser             Status = 0xc0000064 // STATUS_NO_SUCH_USER
	StatusWrongPassword          Status = 0xc000006a // STATUS_WRONG_PASSWORD
	StatusLogonFailure           Status = 0xc000006d // STATUS_LOGON_FAILURE
	StatusAccountRestriction     Status = 0xc000006e // STATUS_ACCOUNT_RESTRICTION
	StatusInvalidLogonHours      Status = 0xc000006f // STATUS_INVALID_LOGON_HOURS
	StatusInvalidWorkstation     Status = 0xc0000070 // STATUS_INVALID_WORKSTATION
	StatusPasswordExpired        Status = 0xc0000071 // STATUS_PASSWORD_EXPIRED
	StatusAccountDisabled        Status = 0xc0000072 // STATUS_ACCOUNT_DISABLED
	StatusAccessDenied           Status = 0xc0000022 // STATUS_ACCESS_DENIED
	StatusNotSupported           Status = 0xc00000bb // STATUS_NOT_SUPPORTED
	StatusTimeDifferenceAtDC     Status = 0xc0000133 // STATUS_TIME_DIFFERENCE_AT_DC
	StatusLogonTypeNotGranted    Status = 0xc000015b // STATUS_LOGON_TYPE_NOT_GRANTED
	StatusTrustFailure           Status = 0xc000018d // STATUS_TRUSTED_RELATIONSHIP_FAILURE
	StatusAccountExpired         Status = 0xc0000193 // STATUS_ACCOUNT_EXPIRED
	StatusPasswordMustChange     Status = 0xc0000224 // STATUS_PASSWORD_MUST_CHANGE
	StatusAccountLockedOut       Status = 0xc0000234 // STATUS_ACCOUNT_LOCKED_OUT
	StatusAuthenticationFirewall Status = 0xc0000413 // STATUS_AUTHENTICATION_FIREWALL_FAILED
	StatusNTLMBlocked            Status = 0xc0000418 // STATUS_NTLM_BLOCKED
	SecUnsupportedFunction       Status = 0x80090302 // SEC_E_UNSUPPORTED_FUNCTION
	SecTargetUnknown             Status = 0x80090303 // SEC_E_TARGET_UNKNOWN
	SecInternalError             Status = 0x80090304 // SEC_E_INTERNAL_ERROR
	SecInvalidToken              Status = 0x80090308 // SEC_E_INVALID_TOKEN
	SecLogonDenied               Status = 0x8009030c // SEC_E_LOGON_DENIED
	SecNoCredentials             Status = 0x8009030e // SEC_E_NO_CREDENTIALS
	SecMessageAltered            Status = 0x8009030f // SEC_E_MESSAGE_ALTERED
	SecNoAuthority               Status = 0x80090311 // SEC_E_NO_AUTHENTICATING_AUTHORITY
	SecWrongPrincipal            Status = 0x80090322 // SEC_E_WRONG_PRINCIPAL
	SecTimeSkew                  Status = 0x80090324 // SEC_E_TIME_SKEW
	SecBadBindings               Status = 0x80090346 // SEC_E_BAD_BINDINGS
)

type statusInfo struct{ symbol, text, remedy string }

var statuses = map[Status]statusInfo{
	StatusNoLogonServers:         {"STATUS_NO_LOGON_SERVERS", "the host reaches no domain controller", "check the host's network path and DNS towards its domain"},
	StatusNoSuchUser:             {"STATUS_NO_SUCH_USER", "there is no such account", "check the user and domain name; a local account needs the host's name or . as its domain"},
	StatusWrongPassword:          {"STATUS_WRONG_PASSWORD", "the password is wrong", "check the password before trying again: failures count towards the account's lock-out"},
	StatusLogonFailure:           {"STATUS_LOGON_FAILURE", "the user name or the password is wrong", "check both before trying again: failures count towards the account's lock-out"},
	StatusAccountRestriction:     {"STATUS_ACCOUNT_RESTRICTION", "the account is restricted", "members of Protected Users and accounts marked sensitive cannot be delegated by CredSSP, and an empty password is good for the console only; use resource-based constrained delegation instead"},
	StatusInvalidLogonHours:      {"STATUS_INVALID_LOGON_HOURS", "the account may not log on at this hour", "see the account's logon hours in the directory"},
	StatusInvalidWorkstation:     {"STATUS_INVALID_WORKSTATION", "the account may not log on from this computer", "see the account's list of workstations in the directory"},
	StatusPasswordExpired:        {"STATUS_PASSWORD_EXPIRED", "the password has expired", "change the password"},
	StatusAccountDisabled:        {"STATUS_ACCOUNT_DISABLED", "the account is disabled", "enable the account"},
	StatusAccessDenied:           {"STATUS_ACCESS_DENIED", "the host denies access", "the account must be an administrator of the host or a member of Remote Management Users"},
	StatusNotSupported:           {"STATUS_NOT_SUPPORTED", "the host does not take this version of CredSSP or this kind of logon", "update the host (CVE-2018-0886), or see its policy Encryption Oracle Remediation"},
	StatusTimeDifferenceAtDC:     {"STATUS_TIME_DIFFERENCE_AT_DC", "the clocks differ", "set the clocks of host and domain controller"},
	StatusLogonTypeNotGranted:    {"STATUS_LOGON_TYPE_NOT_GRANTED", "the account lacks the right for this kind of logon", "see the host's policies Access this computer from the network and its Deny counterpart"},
	StatusTrustFailure:           {"STATUS_TRUSTED_RELATIONSHIP_FAILURE", "the host's trust in its domain is broken", "repair it on the host with Test-ComputerSecureChannel -Repair"},
	StatusAccountExpired:         {"STATUS_ACCOUNT_EXPIRED", "the account has expired", "extend the account in the directory"},
	StatusPasswordMustChange:     {"STATUS_PASSWORD_MUST_CHANGE", "the password must be changed at the first logon", "log on once interactively and change it"},
	StatusAccountLockedOut:       {"STATUS_ACCOUNT_LOCKED_OUT", "the account is locked out", "unlock it in the directory and find what uses an old password"},
	StatusAuthenticationFirewall: {"STATUS_AUTHENTICATION_FIREWALL_FAILED", "selective authentication of the trust forbids this host", "grant Allowed to Authenticate on the host's computer account"},
	StatusNTLMBlocked:            {"STATUS_NTLM_BLOCKED", "NTLM is blocked by policy", "log on with Kerberos inside CredSSP"},
	SecUnsupportedFunction:       {"SEC_E_UNSUPPORTED_FUNCTION", "the host cannot do what was asked", "check that CredSSP is switched on (winrm/config/service/auth) and that the host is up to date"},
	SecTargetUnknown:             {"SEC_E_TARGET_UNKNOWN", "the service name is not known in the domain", "use the host's name as the domain knows it, or register the service name with setspn"},
	SecInternalError:             {"SEC_E_INTERNAL_ERROR", "the host's security package failed", "see the host's event log System, source LsaSrv or Schannel"},
	SecInvalidToken:              {"SEC_E_INVALID_TOKEN", "the host could not read our token", "check that nothing between client and host changes the headers; try the other inner mechanism"},
	SecLogonDenied:               {"SEC_E_LOGON_DENIED", "the logon was denied", "check user name and password before trying again: failures count towards the account's lock-out"},
	SecNoCredentials:             {"SEC_E_NO_CREDENTIALS", "the host has no credentials for its side of the logon", "restart the WinRM service; see winrm/config/service CertificateThumbprint"},
	SecMessageAltered:            {"SEC_E_MESSAGE_ALTERED", "a message was altered on the way, or its keys differ", "check what lies between client and host"},
	SecNoAuthority:               {"SEC_E_NO_AUTHENTICATING_AUTHORITY", "the host reaches no domain controller for this account", "check the account's domain name and the host's network path towards it"},
	SecWrongPrincipal:            {"SEC_E_WRONG_PRINCIPAL", "the service name belongs to another account", "look for HTTP/host registered on a service account (setspn -Q); ask for WSMAN/host instead"},
	SecTimeSkew:                  {"SEC_E_TIME_SKEW", "the clocks differ", "set the clocks of client, host and domain controller"},
	SecBadBindings:               {"SEC_E_BAD_BINDINGS", "the channel bindings do not match", "check for something that ends TLS between client and host"},
}

// Symbol is the code's name, "" when it is none that CredSSP is known to send.
func (s Status) Symbol() string { return statuses[s].symbol }

// Remedy says what to do about it, "" when nothing is known.
func (s Status) Remedy() string { return statuses[s].remedy }

// Error implements error.
func (s Status) Error() string {
	if info, ok := statuses[s]; ok {
		return fmt.Sprintf("%s (0x%08x %s)", info.text, uint32(s), info.symbol)
	}
	return fmt.Sprintf("status 0x%08x", uint32(s))
}

// WrongSecret reports that the server judged user name or password: a failed
// logon that counts towards a lock-out.
func (s Status) WrongSecret() bool {
	switch s {
	case StatusLogonFailure, StatusWrongPassword, StatusNoSuchUser, SecLogonDenied, StatusAccountLockedOut:
		return true
	}
	return false
}
