package krb5

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Code is the error code of a KRB-ERROR. It is an error, so that
// errors.Is(err, krb5.ErrPreAuthFailed) asks for one. See RFC 4120 section 7.5.9.
type Code int32

// The codes that a client meets.
const (
	ErrClientExpired    Code = 1
	ErrServiceExpired   Code = 2
	ErrClientUnknown    Code = 6
	ErrServerUnknown    Code = 7
	ErrNotUnique        Code = 8
	ErrNullKey          Code = 9
	ErrNeverValid       Code = 11
	ErrPolicy           Code = 12
	ErrBadOption        Code = 13
	ErrETypeNoSupport   Code = 14
	ErrPADataNoSupport  Code = 16
	ErrClientRevoked    Code = 18
	ErrServiceRevoked   Code = 19
	ErrTGTRevoked       Code = 20
	ErrClientNotYet     Code = 21
	ErrKeyExpired       Code = 23
	ErrPreAuthFailed    Code = 24
	ErrPreAuthRequired  Code = 25
	ErrServerNoMatch    Code = 26
	ErrMustUseU2U       Code = 27
	ErrSvcUnavailable   Code = 29
	ErrBadIntegrity     Code = 31
	ErrTicketExpired    Code = 32
	ErrTicketNotYet     Code = 33
	ErrRepeat           Code = 34
	ErrNotUs            Code = 35
	ErrBadMatch         Code = 36
	ErrSkew             Code = 37
	ErrBadAddr          Code = 38
	ErrBadVersion       Code = 39
	ErrMsgType          Code = 40
	ErrModified         Code = 41
	ErrBadKeyVersion    Code = 44
	ErrNoKey            Code = 45
	ErrMutualFail       Code = 46
	ErrBadSeq           Code = 49
	ErrInappChecksum    Code = 50
	ErrResponseTooBig   Code = 52
	ErrGeneric          Code = 60
	ErrClientNotTrusted Code = 62
	ErrWrongRealm       Code = 68
	ErrUserToUser       Code = 69
	ErrCantVerifyCert   Code = 70
	ErrInvalidCert      Code = 71
	ErrRevokedCert      Code = 72
	ErrClientNameMatch  Code = 75
	ErrKDCNameMatch     Code = 76
	ErrPreAuthExpired   Code = 90
)

// explanation is what one code means for somebody who sees it.
type explanation struct{ symbol, text, remedy string }

var explanations = map[Code]explanation{
	ErrClientExpired:    {"KDC_ERR_NAME_EXP", "the account has expired", "look at the account's end date"},
	ErrServiceExpired:   {"KDC_ERR_SERVICE_EXP", "the service's account has expired", "look at the end date of the account that has the service name"},
	ErrNullKey:          {"KDC_ERR_NULL_KEY", "the account of the user or the service has no key", "set its password"},
	ErrClientUnknown:    {"KDC_ERR_C_PRINCIPAL_UNKNOWN", "the KDC does not know this user", "check the spelling of the user and the realm; a UPN whose suffix is not a realm needs the realm named beside it"},
	ErrServerUnknown:    {"KDC_ERR_S_PRINCIPAL_UNKNOWN", "the KDC knows no service of this name", "use the host's full DNS name, not an alias or an address; check with 'setspn -Q HTTP/host' that HTTP/host or HOST/host is registered, and that the realm is right"},
	ErrNotUnique:        {"KDC_ERR_PRINCIPAL_NOT_UNIQUE", "the service name is registered on several accounts", "find the duplicate with 'setspn -X' and remove it"},
	ErrNeverValid:       {"KDC_ERR_NEVER_VALID", "the requested lifetime ends before it begins", "compare the clocks of this machine and the KDC"},
	ErrPolicy:           {"KDC_ERR_POLICY", "a policy of the KDC refuses the request", "look at logon restrictions, authentication policies and silos of the account"},
	ErrBadOption:        {"KDC_ERR_BADOPTION", "the KDC refuses a ticket with these options; for delegation: the account may not delegate to this service, or this user", "check msDS-AllowedToDelegateTo of the delegating account or msDS-AllowedToActOnBehalfOfOtherIdentity of the target, and that the user is neither in Protected Users nor marked sensitive"},
	ErrETypeNoSupport:   {"KDC_ERR_ETYPE_NOSUPP", "no encryption type that both sides allow", "give the account AES keys: allow AES in msDS-SupportedEncryptionTypes and set its password anew; RC4 is used only when asked for"},
	ErrPADataNoSupport:  {"KDC_ERR_PADATA_TYPE_NOSUPP", "the KDC does not support this kind of pre-authentication, or S4U", "use a password, keytab or credential cache; for S4U a domain controller of Windows 2012 or later"},
	ErrClientRevoked:    {"KDC_ERR_CLIENT_REVOKED", "the account is disabled, locked out, expired or outside its logon hours", "look at the account in the directory; a lock-out ends by itself or with Unlock-ADAccount"},
	ErrServiceRevoked:   {"KDC_ERR_SERVICE_REVOKED", "the service's account is disabled", "enable the computer or service account"},
	ErrTGTRevoked:       {"KDC_ERR_TGT_REVOKED", "the ticket-granting ticket was revoked", "log on again"},
	ErrClientNotYet:     {"KDC_ERR_CLIENT_NOTYET", "the account is not valid yet", "look at the account's start date"},
	ErrKeyExpired:       {"KDC_ERR_KEY_EXPIRED", "the password has expired or must be changed", "change the password, then log on with the new one"},
	ErrPreAuthFailed:    {"KDC_ERR_PREAUTH_FAILED", "wrong password or key", "check the password; for a keytab, make it anew: the account's password was changed after it was written"},
	ErrPreAuthRequired:  {"KDC_ERR_PREAUTH_REQUIRED", "the KDC wants a pre-authentication that is not supported here", "use a credential cache made by kinit (smart card, FAST)"},
	ErrServerNoMatch:    {"KDC_ERR_SERVER_NOMATCH", "the ticket is for another server", "log on again"},
	ErrMustUseU2U:       {"KDC_ERR_MUST_USE_USER2USER", "the service name belongs to an account that takes user-to-user tickets only", "register the service name on the computer account"},
	ErrSvcUnavailable:   {"KDC_ERR_SVC_UNAVAILABLE", "the KDC cannot answer now", "try another domain controller"},
	ErrBadIntegrity:     {"KRB_AP_ERR_BAD_INTEGRITY", "a message was encrypted with another key", "check the password or keytab"},
	ErrTicketExpired:    {"KRB_AP_ERR_TKT_EXPIRED", "the ticket has expired", "renew it or log on again; compare the clocks"},
	ErrTicketNotYet:     {"KRB_AP_ERR_TKT_NYV", "the ticket is not valid yet", "compare the clocks of this machine, the KDC and the server"},
	ErrRepeat:           {"KRB_AP_ERR_REPEAT", "the server has seen this authenticator before", "find what sends the request twice: a proxy, or a cloned machine"},
	ErrNotUs:            {"KRB_AP_ERR_NOT_US", "the ticket is not for this server", "check which account has the service name"},
	ErrBadMatch:         {"KRB_AP_ERR_BADMATCH", "ticket and authenticator do not belong together", "log on again"},
	ErrSkew:             {"KRB_AP_ERR_SKEW", "the clocks differ too much", "set this machine's clock; domain controllers serve the time by NTP"},
	ErrBadAddr:          {"KRB_AP_ERR_BADADDR", "the ticket is bound to another network address", "ask for a ticket without addresses"},
	ErrBadVersion:       {"KRB_AP_ERR_BADVERSION", "protocol version not supported", "check that the port belongs to a KDC"},
	ErrMsgType:          {"KRB_AP_ERR_MSG_TYPE", "message type not supported", "check that the port belongs to a KDC"},
	ErrModified:         {"KRB_AP_ERR_MODIFIED", "the server cannot decrypt the ticket: it was made for another account", "the service name is registered on another account than the one that answers (HTTP/host on a service user, for example), the DNS name leads to another machine, or the server's keytab is old; find the account with 'setspn -Q'"},
	ErrBadKeyVersion:    {"KRB_AP_ERR_BADKEYVER", "the server has no key of this version", "renew the server's keytab"},
	ErrNoKey:            {"KRB_AP_ERR_NOKEY", "the server has no key for this ticket", "add the service name to the server's keytab"},
	ErrMutualFail:       {"KRB_AP_ERR_MUT_FAIL", "the server could not prove its identity", "check that the host name leads to the right machine"},
	ErrBadSeq:           {"KRB_AP_ERR_BADSEQ", "wrong sequence number", "connect again"},
	ErrInappChecksum:    {"KRB_AP_ERR_INAPP_CKSUM", "a checksum is of an unsuitable kind", "check the encryption types of the account"},
	ErrResponseTooBig:   {"KRB_ERR_RESPONSE_TOO_BIG", "the answer is too big for UDP", "let TCP to port 88 through"},
	ErrGeneric:          {"KRB_ERR_GENERIC", "the KDC had an error of its own", "look at the KDC's log"},
	ErrClientNotTrusted: {"KDC_ERR_CLIENT_NOT_TRUSTED", "the client's certificate is not trusted", "check the certificate chain on the domain controller"},
	ErrWrongRealm:       {"KDC_ERR_WRONG_REALM", "the user belongs to another realm", "name the user's own realm"},
	ErrUserToUser:       {"KRB_AP_ERR_USER_TO_USER_REQUIRED", "the service takes user-to-user tickets only", "register the service name on the computer account"},
	ErrCantVerifyCert:   {"KDC_ERR_CANT_VERIFY_CERTIFICATE", "a certificate cannot be verified", "check the certificate chain on the domain controller"},
	ErrInvalidCert:      {"KDC_ERR_INVALID_CERTIFICATE", "a certificate is invalid", "renew the certificate"},
	ErrRevokedCert:      {"KDC_ERR_REVOKED_CERTIFICATE", "a certificate was revoked", "renew the certificate"},
	ErrClientNameMatch:  {"KDC_ERR_CLIENT_NAME_MISMATCH", "the certificate names another user", "check the certificate's UPN and the account's mapping"},
	ErrKDCNameMatch:     {"KDC_ERR_KDC_NAME_MISMATCH", "the KDC's certificate names another host", "check the domain controller's certificate"},
	ErrPreAuthExpired:   {"KDC_ERR_PREAUTH_EXPIRED", "the pre-authentication took too long", "log on again"},
}

func (c Code) Error() string { return "krb5: " + c.describe() }

func (c Code) describe() string {
	if e, ok := explanations[c]; ok {
		return e.symbol + " (" + e.text + ")"
	}
	return fmt.Sprintf("Kerberos error %d", int32(c))
}

// Symbol is the code's name in RFC 4120, "" if it has none here.
func (c Code) Symbol() string { return explanations[c].symbol }

// An Error is a KRB-ERROR: what a KDC or a server answered.
type Error struct {
	Code     Code
	Op       string // what was asked for: "logon", "ticket for HTTP/host", ...
	KDC      string // who answered, "" for a server
	Realm    string
	Client   string
	Server   string
	Text     string        // e-text
	NTStatus uint32        // of Windows, 0 if it gave none
	Skew     time.Duration // the peer's clock minus ours, at ErrSkew

	crealm  string
	data    []byte
	stime   time.Time
	methods []types.PAData
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("krb5: ")
	if e.Op != "" {
		b.WriteString(e.Op + ": ")
	}
	b.WriteString(e.Code.describe())
	if e.Code == ErrSkew && e.Skew != 0 {
		ahead := "ahead of"
		if e.Skew < 0 {
			ahead = "behind"
		}
		fmt.Fprintf(&b, "; the peer's clock is %v %s ours", e.Skew.Abs().Round(time.Second), ahead)
	}
	if e.NTStatus != 0 {
		fmt.Fprintf(&b, "; status 0x%08x", e.NTStatus)
		if t := statusText[e.NTStatus]; t != "" {
			b.WriteString(" " + t)
		}
	}
	if e.Text != "" {
		fmt.Fprintf(&b, "; %q", e.Text)
	}
	if e.KDC != "" {
		fmt.Fprintf(&b, "; KDC %s of %s", e.KDC, e.Realm)
	}
	return b.String()
}

// Is matches the code.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

// Cause says what the code means.
func (e *Error) Cause() string { return explanations[e.Code].text }

// Remedy says what can be done about it.
func (e *Error) Remedy() string {
	if t := statusRemedy[e.NTStatus]; t != "" {
		return t
	}
	return explanations[e.Code].remedy
}

// RefusesAccount reports that the KDC knows the account and refuses its secret
// or the account itself: trying again costs a failed logon and helps nobody.
func (e *Error) RefusesAccount() bool {
	switch e.Code {
	case ErrPreAuthFailed, ErrClientRevoked, ErrKeyExpired, ErrPolicy, ErrClientNotYet, ErrClientExpired:
		return true
	}
	return false
}

// statusText names the NTSTATUS values of [MS-KILE] and [MS-SFU].
var statusText = map[uint32]string{
	0xc000006d: "STATUS_LOGON_FAILURE",
	0xc0000064: "STATUS_NO_SUCH_USER",
	0xc000006a: "STATUS_WRONG_PASSWORD",
	0xc000006e: "STATUS_ACCOUNT_RESTRICTION",
	0xc000006f: "STATUS_INVALID_LOGON_HOURS",
	0xc0000070: "STATUS_INVALID_WORKSTATION",
	0xc0000071: "STATUS_PASSWORD_EXPIRED",
	0xc0000072: "STATUS_ACCOUNT_DISABLED",
	0xc0000193: "STATUS_ACCOUNT_EXPIRED",
	0xc0000224: "STATUS_PASSWORD_MUST_CHANGE",
	0xc0000234: "STATUS_ACCOUNT_LOCKED_OUT",
	0xc00000bb: "STATUS_NOT_SUPPORTED",
	0xc0000272: "STATUS_NO_MATCH",
	0xc0000225: "STATUS_NOT_FOUND",
	0xc000018b: "STATUS_NO_TRUST_SAM_ACCOUNT",
	0xc0000413: "STATUS_AUTHENTICATION_FIREWALL_FAILED",
}

var statusRemedy = map[uint32]string{
	0xc000006e: "the user is in Protected Users, is marked sensitive, or the ticket is not forwardable: choose another user, or allow protocol transition (TRUSTED_TO_AUTH_FOR_DELEGATION)",
	0xc000006f: "the account may not log on at this hour",
	0xc0000070: "the account may not log on from this machine",
	0xc0000071: "change the password, then log on with the new one",
	0xc0000072: "enable the account",
	0xc0000193: "the account has expired: extend it",
	0xc0000224: "change the password, then log on with the new one",
	0xc0000234: "wait until the lock-out ends, or unlock the account",
	0xc00000bb: "the delegating account has an empty msDS-AllowedToDelegateTo: list the service there, or use resource-based delegation",
	0xc0000272: "the service is not in msDS-AllowedToDelegateTo of the delegating account, or the user's ticket is not forwardable",
	0xc0000225: "msDS-AllowedToActOnBehalfOfOtherIdentity of the target does not list the delegating account",
}

// parseError reads a KRB-ERROR; now is our clock, for the skew.
func parseError(b []byte, now time.Time) (*Error, error) {
	var m krbError
	if err := unmarshalApp(b, &m, tagKRBError, "KRB-ERROR"); err != nil {
		return nil, err
	}
	e := &Error{
		Code: Code(m.Code), Realm: m.Realm, Text: strings.ToValidUTF8(m.EText, "?"), data: m.EData, stime: m.STime, crealm: m.CRealm,
	}
	if len(m.CName.NameString) > 0 {
		e.Client = fromWire(m.CName, m.CRealm).String()
	}
	if len(m.SName.NameString) > 0 {
		e.Server = fromWire(m.SName, m.Realm).String()
	}
	e.Skew = m.STime.Add(time.Duration(m.Susec) * time.Microsecond).Sub(now)
	e.parseData()
	return e, nil
}

// parseData reads the e-data: METHOD-DATA, or the KERB-ERROR-DATA of Windows,
// which has the shape of a single PA-DATA ([MS-KILE] section 2.2.1). Whatever
// it is beyond these is left alone.
func (e *Error) parseData() {
	if len(e.data) == 0 {
		return
	}
	if rest, err := asn1.Unmarshal(e.data, &e.methods); err != nil || len(rest) > 0 {
		e.methods = nil
		var one types.PAData
		if rest, err := asn1.Unmarshal(e.data, &one); err != nil || len(rest) > 0 {
			return
		}
		e.methods = []types.PAData{one}
	}
	for _, m := range e.methods {
		// KERB_ERR_TYPE_EXTENDED: status, reserved, flags.
		if m.PADataType == 3 && len(m.PADataValue) == 12 {
			e.NTStatus = binary.LittleEndian.Uint32(m.PADataValue)
		}
	}
}

// errorMessage makes a KRB-ERROR, for the accepting side.
func errorMessage(code Code, server Principal, now time.Time) ([]byte, error) {
	stime, susec := timestamp(now)
	if len(server.Parts) == 0 {
		server = Principal{Type: NTSrvInst, Parts: []string{"HTTP"}, Realm: "UNKNOWN"}
	}
	return marshalApp(krbError{
		PVNO: pvno, MsgType: tagKRBError, STime: stime, Susec: susec,
		Code: int32(code), Realm: server.Realm, SName: server.wire(),
	}, tagKRBError)
}
