// Package auth authenticates and seals the HTTP connections to a WinRM listener.
//
// A [Mechanism] (Basic, client certificates, NTLM, Negotiate, Kerberos, CredSSP)
// knows how to log on; it is immutable and shared. A [Session] is one logon on
// one connection and, after it, that connection's security context. A
// [Transport] is an http.RoundTripper that brings the two together: it dials,
// logs on with requests that carry nothing, and only then sends messages, sealed
// where that is needed.
//
//	t, err := auth.NewTransport("http://srv1.corp.example:5985/wsman", &auth.TransportConfig{
//		Mechanism: auth.NTLM(auth.Credentials{Domain: "CORP", User: "svc", Password: pw}),
//	})
//	defer t.Close()
//	client := &http.Client{Transport: t}
//
// # What never happens
//
//   - A message or a password leaves in clear, unless that was asked for by name
//     ([EncryptNever], [BasicInsecure]).
//   - A message is sent a second time that the server may have processed: see
//     [ConnectionLostError] and [MayBeProcessed].
//   - A wrong password is tried again, by another connection, to another host,
//     with another mechanism: see [Gate] and, for servers that hang up on one, [Logon].
//   - An answer that is unsealed, forged, cut short, compressed or too long
//     reaches the caller: see [ResponseError].
//
// # Where it is specified
//
//	[MS-WSMV] 2.2.9.1, 3.1.4.1.28   sealed messages, authentication of a connection
//	[RFC 9110] 11, [RFC 9112]       challenges and credentials, HTTP/1.1
//	[RFC 4559], [RFC 7617]          Negotiate, Basic
//	[RFC 1928], [RFC 1929]          SOCKS5 and its logon
//	[RFC 5958], [RFC 8018]          encrypted private keys
package auth
