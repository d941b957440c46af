package auth

// ntlmCauses are the reasons for which a server answers a bare 401 to a proof of
// the password, the likely ones first. The wire has nothing that tells them
// apart; the server's security log has.
func ntlmCauses(p Peer) []Cause {
	const event = `event 4625 in the host's security log, field SubStatus: `
	causes := []Cause{
		{
			ID: "wrong-password", Text: "user name or password is wrong",
			Check:  event + "0xC000006A (password), 0xC0000064 (user)",
			Remedy: "correct it before the next try: each one counts towards the lock-out of the account",
		},
		{
			ID: "account-form", Text: "the account is looked for in the wrong place",
			Check:  event + "0xC0000064",
			Remedy: `write DOMAIN\user or user@realm for a domain account, .\user for one of the host's own`,
		},
		{
			ID: "account-state", Text: "the account is locked, disabled or expired, or its password is",
			Check: event + "0xC0000234 (locked), 0xC0000072 (disabled), 0xC0000193 (expired), " +
				"0xC0000071 or 0xC0000224 (password)",
			Remedy: "for a domain account Unlock-ADAccount, Enable-ADAccount, Set-ADAccountExpiration or Set-ADAccountPassword; " +
				"for one of the host's own Enable-LocalUser or Set-LocalUser there",
		},
	}
	if p.TLS != nil {
		causes = append(causes, Cause{
			ID: "channel-binding",
			Text: "the certificate that arrives here is not the one that the host presents: " +
				"a proxy inspects TLS, or a load balancer ends it",
			Check: event + "0xC000035B; compare the thumbprint of the certificate on " + p.Host +
				" with the one that arrives here; winrm get winrm/config/service/auth shows CbtHardeningLevel",
			Remedy: "reach the host without the proxy",
		})
	}
	return append(causes,
		Cause{
			ID: "ntlm-restricted", Text: "a policy blocks NTLM, or the account is in Protected Users",
			Check:  "event 4625, 0xC0000418; events 4002 and 8004 in Microsoft-Windows-NTLM/Operational",
			Remedy: `use Kerberos, or exempt the host from "Network security: Restrict NTLM"`,
		},
		Cause{
			ID: "logon-right", Text: "the account may not log on over the network, at this time or from here",
			Check: event + "0xC000015B (right), 0xC000006F (hours), 0xC0000070 (workstation)",
			Remedy: `grant it "Access this computer from the network" on the host and take it out of "Deny access ..."; ` +
				"Set-ADUser -Clear logonHours, userWorkstations",
		},
		Cause{
			ID: "clock", Text: "the clocks of the host and of its domain controller are too far apart",
			Check:  event + "0xC0000133; w32tm /query /status",
			Remedy: "w32tm /resync",
		},
	)
}

// noChallengeCauses are the reasons for which a server does not even begin.
func noChallengeCauses() []Cause {
	return []Cause{
		{
			ID: "scheme-off", Text: "the service does not accept Negotiate",
			Check:  "winrm get winrm/config/service/auth",
			Remedy: `Set-Item WSMan:\localhost\Service\Auth\Negotiate $true`,
		},
		{
			ID: "mechanism-refused", Text: "the service accepts Negotiate but not this mechanism, by policy",
			Check: `"Network security: Restrict NTLM" in the host's security policy`,
		},
	}
}
