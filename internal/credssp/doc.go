// Package credssp is both sides of the Credential Security Support Provider
// Protocol, [MS-CSSP], as bytes in and bytes out: no network, no HTTP.
//
// CredSSP hands a user's password to a host that has proved who it is, so that
// the host can log on elsewhere in the user's name. Three things are nested:
//
//	TLS, inside HTTP headers or on any other carrier        pump.go
//	  TSRequest messages, one to a TLS record               request.go
//	    an inner logon (SPNEGO, NTLM, Kerberos), a [Mech]   mech.go
//
// The TLS certificate is usually self-signed and proves nothing by itself. It is
// bound to the inner logon instead: both sides send each other a value made from
// the certificate's public key (pubKeyAuth), sealed by the inner logon. A man in
// the middle, whose certificate has another key, cannot make that value. Only
// when the server's value has been verified do the credentials (authInfo) leave.
//
// An [Initiator] or [Acceptor] is stepped with whole flights until it is done.
// Then its TLS session can go on to seal application messages.
//
//	message or rule                 [MS-CSSP]    file
//	TSRequest                       2.2.1        request.go
//	TSCredentials                   2.2.1.2      credentials.go
//	order of messages               3.1.5        initiator.go, acceptor.go
//	pubKeyAuth, binding hashes      3.1.5        binding.go
//	sealed messages of WinRM        [MS-WSMV] 2.2.9.1.3   record.go
package credssp
