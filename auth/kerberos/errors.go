package kerberos

import (
	"errors"
	"fmt"
	"strings"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/krb5"
)

// Errors of the protocol, found with errors.As in what a logon returns.
type (
	// KDCError is what a KDC, or a server, answered: its code with cause and
	// remedy, the NTSTATUS of a Windows KDC, and the clocks' difference.
	KDCError = krb5.Error
	// Code is the code of a KDCError. errors.Is finds it.
	Code = krb5.Code
	// NoKDCError is a realm whose KDCs are unknown or do not answer.
	NoKDCError = krb5.NoKDCError
	// NoTicketError is a credential cache whose tickets are missing or ended.
	NoTicketError = krb5.NoTicketError
	// NoKeyError is a keytab without a key that can be used.
	NoKeyError = krb5.NoKeyError
	// ReplyError is a KDC's answer that does not belong to the request.
	ReplyError = krb5.ReplyError
	// MutualAuthError is a server that did not prove its identity.
	MutualAuthError = krb5.MutualAuthError
	// DelegationError is an S4U request that was refused.
	DelegationError = krb5.DelegationError
	// ETypeError is an encryption type that cannot be used.
	ETypeError = krb5.ETypeError
	// SequenceError is a message that came twice or out of order.
	SequenceError = krb5.SequenceError
	// FormatError is a file or message that cannot be read.
	FormatError = krb5.FormatError
)

// Codes that programs decide on.
const (
	ErrClientUnknown = krb5.ErrClientUnknown
	ErrServerUnknown = krb5.ErrServerUnknown
	ErrPolicy        = krb5.ErrPolicy
	ErrBadOption     = krb5.ErrBadOption
	ErrETypeNoSupp   = krb5.ErrETypeNoSupport
	ErrClientRevoked = krb5.ErrClientRevoked
	ErrClientExpired = krb5.ErrClientExpired
	ErrKeyExpired    = krb5.ErrKeyExpired
	ErrPreAuthFailed = krb5.ErrPreAuthFailed
	ErrSkew          = krb5.ErrSkew
	ErrModified      = krb5.ErrModified
)

// Sentinels without fields.
var (
	ErrNotForwardable = krb5.ErrNotForwardable
	ErrS4UIgnored     = krb5.ErrS4UIgnored
	ErrCCacheType     = krb5.ErrCCacheType
	ErrIntegrity      = krb5.ErrIntegrity
)

// An OtherAccountError is a keytab or credential cache that is not the named
// user's. Nobody was asked anything.
type OtherAccountError struct {
	Where string   // which keytab or cache
	User  string   // who was named
	Holds []string // the principals that are in it
}

// Error implements error.
func (e *OtherAccountError) Error() string {
	return fmt.Sprintf("%s has nothing of %s but of %s: write the user as it is there, or leave the user empty",
		e.Where, e.User, strings.Join(e.Holds, ", "))
}

// unavailable marks errors after which auth.Negotiate may go on to its next
// mechanism: nobody has judged the credentials. It is no *auth.Error: that would
// be taken for the verdict on whatever comes after it.
type unavailable struct{ err error }

func (u unavailable) Error() string {
	if e, ok := errors.AsType[*krb5.Error](u.err); ok && e.Remedy() != "" {
		return u.err.Error() + "; " + e.Remedy()
	}
	return u.err.Error()
}

func (u unavailable) Unwrap() error { return u.err }

// Causes tells what to do, in the way of a logon's.
func (u unavailable) Causes() []auth.Cause {
	if e, ok := errors.AsType[*krb5.Error](u.err); ok {
		return []auth.Cause{causeOf(e)}
	}
	if e, ok := errors.AsType[*krb5.NoKDCError](u.err); ok {
		return []auth.Cause{{
			ID: "no-kdc", Text: e.Error(), Check: "nslookup -type=srv _kerberos._tcp.<realm>",
			Remedy: "name the realm's KDC in krb5.conf, or repair its DNS records",
		}}
	}
	return []auth.Cause{{ID: "no-ticket", Text: u.err.Error(), Remedy: "connect by the host's full DNS name"}}
}

// causeOf is what a code of the protocol means.
func causeOf(e *krb5.Error) auth.Cause {
	return auth.Cause{
		ID: strings.ToLower(strings.ReplaceAll(e.Code.Symbol(), "_", "-")), Text: e.Cause(), Remedy: e.Remedy(), Certain: true,
	}
}

func (u unavailable) Unavailable() bool { return true }

// isUnavailable says whether err leaves another mechanism possible: no KDC can
// be reached, or the server, the client or the realm is unknown. Never a refusal
// (codes 18, 23, 24) nor clocks that differ (37), and never after a proof of the
// password may have arrived somewhere.
func isUnavailable(err error) bool {
	if e, ok := errors.AsType[*krb5.NoKDCError](err); ok {
		return !e.Sent
	}
	if _, ok := errors.AsType[*SPNError](err); ok {
		return true
	}
	return errors.Is(err, krb5.ErrClientUnknown) || errors.Is(err, krb5.ErrServerUnknown)
}

// explain makes of an error what auth tells and decides by.
func (c *securityContext) explain(err error) error {
	if err == nil {
		return nil
	}
	// An account that acts for another is not replaced by itself, and what was
	// sent to the server is not taken back.
	if c.initiator == nil && c.m.cfg.Impersonate == "" && isUnavailable(err) {
		return unavailable{err}
	}
	out := &auth.Error{Mechanism: "Kerberos", Account: c.m.account, Err: err}
	if e, ok := errors.AsType[*krb5.Error](err); ok {
		// Of a KDC's refusal the account is the subject; a server's is not.
		out.Refused = e.KDC != "" && e.RefusesAccount()
		if e.Remedy() != "" {
			out.Causes = []auth.Cause{causeOf(e)}
		}
	}
	return out
}

// serverCauses are candidates for a bare 401 after a ticket, which has no reason.
func serverCauses(spn string) []auth.Cause {
	if spn == "" {
		spn = "HTTP/host"
	}
	return []auth.Cause{
		{
			ID: "scheme-off", Text: "the service does not accept Kerberos",
			Check: "winrm get winrm/config/service/auth", Remedy: `Set-Item WSMan:\localhost\Service\Auth\Kerberos $true`,
		},
		{
			ID: "spn-account", Text: fmt.Sprintf("%s is registered on another account than the one that answers", spn),
			Check: "setspn -Q " + spn, Remedy: `take another name first in SPNs, such as "WSMAN/{host}"`,
		},
		{
			ID: "channel-binding", Text: "the server sees another certificate than we do (a TLS-inspecting proxy)",
			Check: `Get-Item WSMan:\localhost\Service\Auth\CbtHardeningLevel`, Remedy: "reach the host directly",
		},
		{
			ID: "clock", Text: "the server's clock differs from the domain's by more than five minutes", Check: "w32tm /query /status",
			Remedy: "w32tm /resync",
		},
		{
			ID: "logon-right", Text: "the account may not log on to this host over the network",
			Check:  `the right "Access this computer from the network" and authentication policies of the host`,
			Remedy: `grant it that right on the host and take it out of "Deny access to this computer from the network"`,
		},
	}
}
