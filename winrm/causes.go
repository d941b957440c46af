package winrm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/wsman"
	"github.com/winrmkit/winrmkit/wsman/config"
)

// A Cause is why something does not work: an identifier that stays the same, a
// text, how to check it and what to do, as a rule a line for PowerShell on the
// host.
type Cause = auth.Cause

// Explain tells why a call of this client failed. One cause that is Certain is
// the one; otherwise they are candidates, the likely ones first. It returns nil
// for an error that it knows nothing about, such as an [*ExitError].
func (c *Client) Explain(err error) []Cause {
	x := explainer{endpoint: c.endpoint, encryption: c.cfg.Encryption}
	if c.cfg.Auth != nil {
		x.mechanism, x.scheme = c.cfg.Auth.Name(), c.cfg.Auth.Scheme()
		if a, ok := c.cfg.Auth.(auth.Accounter); ok && a.Logon() != nil {
			x.account = a.Logon().Name()
		}
	}
	return x.explain(err)
}

// Explain is [Client.Explain] for an error whose client is not at hand, such as
// that of [New].
func Explain(err error) []Cause { return (&explainer{}).explain(err) }

// An explainer knows what one client does.
type explainer struct {
	endpoint          string
	mechanism, scheme string
	account           string
	encryption        auth.Encryption
}

// explain asks by the type of the error, the ones that know most first.
func (x *explainer) explain(err error) []Cause {
	if err == nil {
		return nil
	}
	if causes := x.local(err); len(causes) > 0 {
		return causes
	}
	for _, ask := range []func(error) []Cause{x.logon, x.connection, x.status, x.fault, x.time, x.script} {
		if causes := ask(err); len(causes) > 0 {
			return x.named(causes)
		}
	}
	return nil
}

// named puts the host's name before texts that do not hold it: whoever asks many
// hosts must see which one it is about.
func (x *explainer) named(causes []Cause) []Cause {
	u, err := url.Parse(x.endpoint)
	if err != nil || u.Host == "" {
		return causes
	}
	causes = slices.Clone(causes)
	for i := range causes {
		if !strings.Contains(causes[i].Text, u.Hostname()) {
			causes[i].Text = u.Host + ": " + causes[i].Text
		}
	}
	return causes
}

func certain(id, text, check, remedy string) []Cause {
	return []Cause{{ID: id, Text: text, Check: check, Remedy: remedy, Certain: true}}
}

// host is the endpoint's, for texts.
func (x *explainer) host() string {
	if u, err := url.Parse(x.endpoint); err == nil && u.Host != "" {
		return u.Host
	}
	return "the host"
}

func (x *explainer) isClear() bool { return strings.HasPrefix(x.endpoint, "http://") }

// local is for what was refused before anything was sent.
func (x *explainer) local(err error) []Cause {
	if e, ok := errors.AsType[*auth.ClearTextError](err); ok {
		id, text := "clear-messages", "messages would go over the network in clear"
		if e.Credentials {
			id, text = "clear-credentials", "the password would go over the network in clear"
		}
		return certain(id, text, "", e.Remedy)
	}
	if e, ok := errors.AsType[*auth.FileModeError](err); ok {
		return certain("file-mode", e.Path+" can be read or written by others", "", e.Remedy)
	}
	if e, ok := errors.AsType[*config.PolicyError](err); ok {
		return certain("policy", e.Item+" comes from group policy", "gpresult /scope computer /h report.html", e.Remedy())
	}
	if e, ok := errors.AsType[*config.LockoutError](err); ok {
		return certain("lockout", e.Error(), "", "log on another way first, or use config.AllowLockout")
	}
	if e, ok := errors.AsType[*CredSSPRestoreError](err); ok {
		return certain("credssp-left-on", `Service\Auth\CredSSP may still be on at `+e.Endpoint+", for "+e.Within.String()+" at most: "+strip(e.Err),
			`Get-Item WSMan:\localhost\Service\Auth\CredSSP`, `Client.RestoreCredSSP, or wsmanconfig credssp restore; on the host: schtasks /run /tn \winrmkit\credssp-`+e.ID)
	}
	if _, ok := errors.AsType[*EndpointError](err); ok {
		return certain("endpoint", strip(err), "", "write host, host:port or a URL such as https://host:5986/wsman")
	}
	// Mechanisms that live elsewhere bring their causes along.
	if e, ok := errors.AsType[interface {
		error
		Causes() []Cause
	}](err); ok {
		return e.Causes()
	}
	return nil
}

// logon is for what the authentication said.
func (x *explainer) logon(err error) []Cause {
	e, ok := errors.AsType[*auth.Error](err)
	if !ok {
		return nil
	}
	causes := slices.Clone(e.Causes)
	switch {
	case e.Remembered:
		return append([]Cause{{
			ID: "logon-remembered", Text: "these credentials were refused before, by " + e.RefusedBy + ", and are not sent again", Certain: true,
			Remedy: "correct them, or let them be tried again: Gate.Forget",
		}}, causes...)
	case e.Status == http.StatusUnauthorized && strings.EqualFold(e.Scheme, "Basic") && x.isClear() && e.Refused && (len(causes) == 0 || !causes[0].Certain):
		causes = append([]Cause{unencryptedOff}, causes...)
	case len(causes) == 0 && e.Status != 0 && e.Status != http.StatusUnauthorized:
		return x.status(&wsman.StatusError{Status: e.Status})
	}
	return causes
}

var unencryptedOff = Cause{
	ID:     "unencrypted-off",
	Text:   `Service\AllowUnencrypted is false, and the logon does not encrypt`,
	Check:  `Get-Item WSMan:\localhost\Service\AllowUnencrypted`,
	Remedy: `use https, or a logon that encrypts (Negotiate, Kerberos, CredSSP); not: Set-Item WSMan:\localhost\Service\AllowUnencrypted $true`,
}

// connection is for sockets and TLS.
func (x *explainer) connection(err error) []Cause {
	if e, ok := errors.AsType[*auth.PinError](err); ok {
		return certain("certificate-pin", "the certificate is not the one that is pinned: "+e.Certificate,
			`Get-ChildItem Cert:\LocalMachine\My`, "compare it on the host; pin the new one if it was replaced")
	}
	if e, ok := errors.AsType[*auth.DialError](err); ok {
		return x.dial(e)
	}
	if e, ok := errors.AsType[*auth.ResponseError](err); ok {
		return x.response(e)
	}
	if _, ok := errors.AsType[*auth.ConnectionLostError](err); ok {
		return []Cause{
			{
				ID: "connection-lost", Text: "the connection broke", Check: "Get-WinEvent Microsoft-Windows-WinRM/Operational -MaxEvents 20",
				Remedy: "try again; a firewall or proxy in between may cut connections",
			},
			{ID: "tls-wanted", Text: "the port speaks TLS only", Check: "winrm enumerate winrm/config/listener", Remedy: "use https:// (port 5986)"},
		}
	}
	return nil
}

func (x *explainer) dial(e *auth.DialError) []Cause {
	switch {
	case e.Stage == "proxy", e.Stage == "dial" && x.endpoint != "" && e.Addr != x.host():
		return certain("proxy", "the proxy did not let the connection through: "+e.Err.Error(), "", "check the proxy's address and rules")
	case e.Stage == "http":
		return certain("tls-expected", e.Addr+" speaks TLS, and http was asked of it", "", "use https:// (WinRM's port is 5986)")
	case e.Stage == "tls":
		return x.handshake(e)
	}
	if dns, ok := errors.AsType[*net.DNSError](e.Err); ok {
		if dns.IsNotFound {
			return certain("name-unknown", "the name "+dns.Name+" is unknown", "Resolve-DnsName "+dns.Name, "write the full name, or repair its DNS record")
		}
		return certain("dns", "the name server does not answer: "+dns.Error(), "Resolve-DnsName "+dns.Name, "repair the name server's address here")
	}
	switch {
	case errors.Is(e.Err, syscall.ECONNREFUSED):
		return []Cause{
			{
				ID: "port-closed", Text: "nothing listens on " + e.Addr, Certain: true,
				Check: "Get-Service WinRM; winrm enumerate winrm/config/listener", Remedy: "Enable-PSRemoting -Force",
			},
		}
	case errors.Is(e.Err, syscall.EHOSTUNREACH), errors.Is(e.Err, syscall.ENETUNREACH):
		return certain("unreachable", "there is no route to "+e.Addr, "Test-NetConnection", "check network, VPN and address")
	case e.Timeout(), errors.Is(e.Err, context.DeadlineExceeded):
		return []Cause{
			{
				ID: "no-answer", Text: e.Addr + " does not answer: a firewall drops the packets, or the host is off",
				Check:  "Get-NetFirewallRule -Name WINRM-* | Select Name, Enabled, Profile",
				Remedy: "Enable-NetFirewallRule -Name WINRM-HTTP-In-TCP; on a public network also allow remote addresses",
			},
		}
	}
	return []Cause{{ID: "dial", Text: e.Err.Error(), Remedy: e.Remedy}}
}

// handshake is for TLS that did not come about.
func (x *explainer) handshake(e *auth.DialError) []Cause {
	const list = `Get-ChildItem WSMan:\localhost\Listener; Get-ChildItem Cert:\LocalMachine\My`
	if r, ok := errors.AsType[tls.RecordHeaderError](e.Err); ok {
		_ = r
		return certain("tls-on-clear-port", e.Addr+" does not speak TLS", "winrm enumerate winrm/config/listener",
			"use http:// (port 5985), or make a listener: New-Item WSMan:\\localhost\\Listener -Transport HTTPS -Address * -CertificateThumbPrint <thumbprint> -Force")
	}
	if h, ok := errors.AsType[x509.HostnameError](e.Err); ok {
		return certain("certificate-name", "the certificate is for "+strings.Join(namesOf(h.Certificate), ", ")+", not for "+h.Host, list,
			"connect by a name that it holds, or give the listener a certificate with the name "+h.Host)
	}
	if inv, ok := errors.AsType[x509.CertificateInvalidError](e.Err); ok {
		if inv.Reason == x509.Expired {
			return certain("certificate-expired", fmt.Sprintf("the certificate is valid from %s to %s only", inv.Cert.NotBefore.Format("2006-01-02"), inv.Cert.NotAfter.Format("2006-01-02")),
				list, "renew it, then Set-Item WSMan:\\localhost\\Listener\\<listener>\\CertificateThumbprint <thumbprint>; if the dates are right, set the clock here")
		}
		return certain("certificate-invalid", "the certificate is not acceptable: "+inv.Error(), list, "issue one for server authentication")
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](e.Err); ok {
		return certain("certificate-untrusted", "the certificate comes from an authority that is not trusted here, or from itself", list,
			"name the authority in CAFile, or pin the certificate: Pins with PinReplacesChain")
	}
	if errors.Is(e.Err, syscall.ECONNRESET) || strings.Contains(e.Err.Error(), "EOF") {
		return []Cause{
			{ID: "tls-aborted", Text: "the host ended the TLS handshake: its listener has no usable certificate, or no version in common", Check: list, Remedy: "bind a certificate with its private key to the listener"},
			{ID: "tls-on-clear-port", Text: e.Addr + " does not speak TLS", Remedy: "use http:// (port 5985)"},
		}
	}
	return []Cause{{
		ID: "tls", Text: "TLS did not come about: " + e.Err.Error(), Check: "Get-WinEvent -ProviderName Schannel -MaxEvents 5",
		Remedy: "hosts before Windows Server 2012 R2 may need older versions: Config.TLS",
	}}
}

func namesOf(c *x509.Certificate) []string {
	if c == nil {
		return nil
	}
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		names = append(names, c.Subject.CommonName)
	}
	return names
}

func (x *explainer) response(e *auth.ResponseError) []Cause {
	switch {
	case errors.Is(e.Err, auth.ErrRedirected):
		return certain("redirected", x.host()+" redirects to "+e.Location, "", "connect to that address if you trust it; redirects are not followed")
	case errors.Is(e.Err, auth.ErrUnsealed):
		return certain("unsealed", "the answer came in clear where it must be encrypted", "", "something in between answers in the host's place; reach the host directly")
	}
	return []Cause{{ID: "bad-response", Text: e.Err.Error(), Check: "look for a proxy or gateway in between", Remedy: "reach the host directly"}}
}

// status is for answers that are not SOAP.
func (x *explainer) status(err error) []Cause {
	e, ok := errors.AsType[*wsman.StatusError](err)
	if !ok {
		return nil
	}
	sealing := !strings.EqualFold(x.scheme, "Basic") && x.scheme != ""
	switch {
	case e.Status == http.StatusInternalServerError && e.Empty && x.isClear() && x.encryption == auth.EncryptNever && sealing:
		c := unencryptedOff
		c.Certain, c.ID = true, "messages-must-be-encrypted"
		c.Text = `Service\AllowUnencrypted is false on ` + x.host() + ", and the message was not encrypted"
		c.Remedy = "leave Encryption at EncryptAuto"
		return []Cause{c}
	case e.Status >= 300 && e.Status < 400:
		return certain("redirected", x.host()+" redirects"+to(e.Location), "", "connect to that address if you trust it; redirects are not followed")
	case e.Status == http.StatusOK, e.Status == http.StatusMethodNotAllowed, e.Status == http.StatusUnsupportedMediaType:
		return certain("not-winrm", "what answers is no WinRM service ("+strings.TrimSpace(e.Server+" "+e.ContentType)+")", "winrm enumerate winrm/config/listener", "check host, port and proxy")
	}
	if c, ok := statusCauses[e.Status]; ok {
		return []Cause{c}
	}
	return []Cause{{ID: "http-status", Text: fmt.Sprintf("HTTP status %d", e.Status), Remedy: e.Remedy()}}
}

func to(location string) string {
	if location == "" {
		return ""
	}
	return " to " + location
}

var statusCauses = map[int]Cause{
	http.StatusUnauthorized: {
		ID: "logon-wanted", Text: "the service wants a logon that it was not given", Remedy: "set Config.Auth",
	},
	http.StatusNotFound: {
		ID: "wrong-path", Text: "no listener has this path", Check: `Get-ChildItem WSMan:\localhost\Listener -Recurse | Where Name -eq URLPrefix`,
		Remedy: "use the path /wsman, or the listener's URLPrefix", Certain: true,
	},
	http.StatusForbidden: {
		ID: "forbidden", Text: "the listener refuses this client: an address filter, or a certificate that is not mapped",
		Check: `Get-Item WSMan:\localhost\Service\IPv4Filter; Get-ChildItem WSMan:\localhost\ClientCertificate`, Remedy: `Set-Item WSMan:\localhost\Service\IPv4Filter *`,
	},
	http.StatusRequestEntityTooLarge: {
		ID: "message-too-large", Text: "the message is longer than MaxEnvelopeSizekb", Check: `Get-Item WSMan:\localhost\MaxEnvelopeSizekb`,
		Remedy: `Set-Item WSMan:\localhost\MaxEnvelopeSizekb 8192`, Certain: true,
	},
	http.StatusServiceUnavailable: {
		ID: "service-stopped", Text: "the WinRM service is stopped, or its queue is full", Check: "Get-Service WinRM", Remedy: "Start-Service WinRM",
	},
	http.StatusBadRequest: {
		ID: "header-too-long", Text: "the logon token is longer than http.sys takes: many groups in the Kerberos ticket",
		Check: "whoami /groups", Remedy: `Set-ItemProperty HKLM:\SYSTEM\CurrentControlSet\Services\HTTP\Parameters MaxFieldLength 65534; the same for MaxRequestBytes; restart the host`,
	},
	http.StatusInternalServerError: {
		ID: "server-error", Text: "the service failed without saying why", Check: "Get-WinEvent Microsoft-Windows-WinRM/Operational -MaxEvents 20", Remedy: "Restart-Service WinRM",
	},
	http.StatusProxyAuthRequired: {ID: "proxy-logon", Text: "the proxy wants a logon", Remedy: "set ProxyAuth", Certain: true},
}

// script is for scripts of ours on the host, and for changes that did not last.
func (x *explainer) script(err error) []Cause {
	if _, ok := errors.AsType[*LanguageModeError](err); ok {
		return certain("language-mode", "PowerShell runs in constrained language mode there, by AppLocker or Windows Defender Application Control, and our scripts do not",
			"$ExecutionContext.SessionState.LanguageMode", "use an account for which that policy allows scripts")
	}
	if e, ok := errors.AsType[*config.NotAppliedError](err); ok {
		return []Cause{{
			ID: "not-applied", Text: e.Item + " was changed by somebody else in that moment, or the host cannot have the value",
			Check: "gpresult /scope computer /r", Remedy: "set it again, when nobody else does",
		}}
	}
	if e, ok := errors.AsType[*HostScriptError](err); ok {
		return []Cause{{
			ID: "host-script", Text: "the script " + e.Script + " did not succeed: " + e.Output,
			Check: "Get-Service Schedule, WinRM", Remedy: "use an administrator's account, whose rights are whole; start both services",
		}}
	}
	return nil
}

// time is for what took too long.
func (x *explainer) time(err error) []Cause {
	if _, ok := errors.AsType[*wsman.TimeoutError](err); ok {
		return []Cause{slowHost(x.host(), "took the request and did not answer in time")}
	}
	return nil
}
