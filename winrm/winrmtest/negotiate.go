package winrmtest

import (
	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/authserver"
)

// NTLM accepts NTLMv2 without SPNEGO around it, under the scheme word Negotiate.
func NTLM() Mechanism {
	return Mechanism{
		accept: authserver.NTLM{}, setting: "Service/Auth/Negotiate", seals: true,
		client: auth.NTLM,
	}
}

// Negotiate accepts SPNEGO with NTLM in it, and bare NTLM: what a Windows host
// outside a domain does.
func Negotiate() Mechanism {
	return Mechanism{
		accept: authserver.Negotiate{}, setting: "Service/Auth/Negotiate", seals: true,
		client: func(c auth.Credentials) auth.Mechanism { return auth.Negotiate(auth.NTLM(c)) },
	}
}
