package auth

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// explain returns candidate causes for a logon that was answered with status.
// The mechanism knows best; what is general stands here.
func explain(session Session, scheme string, status int, presented bool, offered []string) []Cause {
	if status != http.StatusUnauthorized && status != http.StatusProxyAuthRequired {
		return statusCauses[status]
	}
	if e, ok := session.(Explainer); ok {
		if causes := e.Explain(status, presented); len(causes) > 0 {
			return causes
		}
	}
	if !presented {
		return []Cause{schemeOff(scheme)}
	}
	return []Cause{
		{
			ID: "wrong-password", Text: "user name or password is wrong, expired or the account is locked or disabled",
			Check:  "event 4625 in the host's security log, field SubStatus",
			Remedy: "correct it before the next try: each one counts towards the lock-out of the account",
		},
		schemeOff(scheme),
	}
}

// NotOffered explains a logon with a scheme that the server's 401 does not list,
// nil for one that it does. The list is the switches of Service\Auth that are on
// ([MS-WSMV] section 3.1.4.1.28), so the cause is known; Kerberos, though, is
// also missing on hosts that belong to no domain.
func NotOffered(scheme, host string, offered []string) []Cause {
	listed := slices.ContainsFunc(offered, func(s string) bool { return strings.EqualFold(s, scheme) })
	if len(offered) == 0 || listed || strings.Contains(scheme, "/") {
		return nil
	}
	switches := []string{"Basic", "Kerberos", "Negotiate", "CredSSP"}
	i := slices.IndexFunc(switches, func(s string) bool { return strings.EqualFold(s, scheme) })
	if i < 0 {
		return []Cause{schemeOff(scheme)}
	}
	item := `Service\Auth\` + switches[i]
	c := Cause{
		ID: strings.ToLower(switches[i]) + "-off", Text: fmt.Sprintf("%s is false on %s", item, host), Certain: true,
		Check:  `Get-Item WSMan:\localhost\` + item,
		Remedy: fmt.Sprintf(`Set-Item -Path WSMan:\localhost\%s -Value $true -Force`, item),
	}
	switch switches[i] {
	case "CredSSP":
		c.Remedy += `, or Enable-WSManCredSSP -Role Server -Force`
	case "Kerberos":
		c.Certain = false
		return []Cause{c, {
			ID: "no-domain", Text: host + " belongs to no domain", Check: "(Get-CimInstance Win32_ComputerSystem).PartOfDomain",
			Remedy: "use Negotiate with NTLM, over https",
		}}
	}
	return []Cause{c}
}

// proxyCauses are why a proxy does not let a logon through.
func proxyCauses(e *Error, presented bool) []Cause {
	scheme := Cause{
		ID: "scheme-off", Text: fmt.Sprintf("the proxy does not accept %s", e.Scheme),
		Remedy: "set ProxyAuth to a mechanism that it offers",
	}
	if !presented || len(e.Offered) > 0 && !containsFold(e.Offered, e.Scheme) {
		return []Cause{scheme}
	}
	return []Cause{
		{
			ID: "wrong-password", Text: "user name or password is wrong",
			Check:  "the proxy's log, and that of the directory it asks",
			Remedy: "correct it in ProxyAuth or in the proxy's URL",
		},
		scheme,
	}
}

func schemeOff(scheme string) Cause {
	if scheme == "" {
		return Cause{ID: "logon-wanted", Text: "the service wants a logon", Remedy: "set a Mechanism"}
	}
	return Cause{
		ID: "scheme-off", Text: fmt.Sprintf("the service does not accept %s", scheme),
		Check:  "winrm get winrm/config/service/auth",
		Remedy: fmt.Sprintf(`Set-Item WSMan:\localhost\Service\Auth\%s $true`, scheme),
	}
}

// proxyDropsContext explains a 401 after a logon that had just succeeded.
var proxyDropsContext = Cause{
	ID:     "connection-shared",
	Text:   "something between puts requests on other connections than the one that was logged on",
	Check:  "look for a proxy or load balancer",
	Remedy: "reach the host directly or by CONNECT",
}

// brokenCauses explain logons that break off after the credentials were presented.
var brokenCauses = []Cause{
	{
		ID: "wrong-password", Text: "user name or password is wrong, and the server hangs up instead of saying so",
		Check: "event 4625 in the host's security log",
	},
	{
		ID: "interrupted", Text: "host or network failed during the logons",
		Check:  "winrm id -r:HOST from another computer",
		Remedy: "it is tried again after a quarter of an hour, or after Gate.Forget",
	},
}

// statusCauses are what a listener's other answers mean.
var statusCauses = map[int][]Cause{
	http.StatusBadRequest: {{
		ID: "header-too-long", Text: "the logon token is longer than http.sys takes (many groups in the ticket)",
		Remedy: `raise MaxFieldLength and MaxRequestBytes in HKLM\SYSTEM\CurrentControlSet\Services\HTTP\Parameters`,
	}},
	http.StatusForbidden: {{
		ID: "not-mapped", Text: "the client certificate is not accepted or not mapped to an account",
		Check: `Get-ChildItem WSMan:\localhost\ClientCertificate`,
	}},
	http.StatusNotFound: {{
		ID: "url", Text: "no listener for this path", Check: "winrm enumerate winrm/config/listener",
		Remedy: "the default path is /wsman",
	}},
	http.StatusServiceUnavailable: {{
		ID: "service-stopped", Text: "the WinRM service is stopped or its queue is full",
		Check: "Get-Service WinRM", Remedy: "Start-Service WinRM",
	}},
}
