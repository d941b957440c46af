package auth

// ntlmCauses are the reasons for which a server answers a bare 401 to a proof of
// the password. The wire has nothing that tells them apart; the server's
// security log has.
func ntlmCauses(host string) []Cause {
	const event = `event 4625 in the host's security log, field SubStatus: `
	return []Cause{
		{
			ID: "wrong-password", Text: "user name or password is wrong",
			Check: event + "0xC000006A (password), 0xC0000064 (user)",
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
		},
		{
			ID: "channel-binding", Text: "the host wants a channel binding, and sees another certificate than this program " +
				"(CbtHardeningLevel, a proxy that inspects TLS)",
			Check: `winrm get winrm/config/service/auth; compare the certificate's thumbprint on ` + host +
				` with the one that arrives here`,
			Remedy: "go around the proxy, or use https instead of http where Strict is set",
		},
		{
			ID: "ntlm-restricted", Text: "a policy blocks NTLM, or the account is in Protected Users",
			Check:  `event 4003 or 8004 in Microsoft-Windows-NTLM/Operational; 0xC0000418 in event 4625`,
			Remedy: "use Kerberos, or exempt the host from \"Network security: Restrict NTLM\"",
		},
		{
			ID: "logon-right", Text: "the account may not log on over the network or at this time",
			Check: event + "0xC000015B (right), 0xC000006F (hours), 0xC0000070 (workstation)",
		},
		{
			ID: "clock", Text: "the clocks of host and domain controller are too far apart",
			Check: event + "0xC0000133; w32tm /query /status",
		},
	}
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
