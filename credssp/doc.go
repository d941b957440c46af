// Package credssp logs on to a Windows host and hands it the user's password, so
// that commands there can reach further hosts in the user's name: the "second
// hop" that Kerberos without delegation and NTLM do not allow.
//
//	cs := credssp.New(credssp.Config{
//		Credentials: cred,
//		Allow:       []string{"wsman/*.corp.example"},
//	})
//	client, err := winrm.New("https://srv1.corp.example:5986", &winrm.Config{Auth: cs})
//
// # What the host gets
//
// The password, in clear, for as long as the session lasts. Whoever controls the
// host can take it. Prefer resource-based constrained delegation where it
// reaches; use CredSSP for hosts as trustworthy as the account. [Config.Allow]
// names them.
//
// # What protects it on the way
//
// Three layers: TLS inside the HTTP headers, an inner logon that proves client
// and host to each other (Negotiate: Kerberos or NTLM), and a proof, sealed by
// the inner logon, that the TLS certificate is that host's. The credentials
// leave after the proof has been verified. The certificate is self-signed on
// most hosts and need not be trusted for that.
//
// NTLM as the inner logon proves no more about the host than that it knows, or
// can ask for, the user's password hash; Kerberos names the host. Windows calls
// the former "NTLM-only server authentication" and keeps a policy list of its
// own for it.
//
// Protocol versions below 5 are refused (CVE-2018-0886) unless
// [Config.MinVersion] allows them by name.
//
// # At the host
//
// CredSSP is off by default: Enable-WSManCredSSP -Role Server, that is
// winrm/config/service/auth CredSSP=true. Members of Protected Users and
// accounts marked "sensitive and cannot be delegated" cannot use it.
//
//	topic                    source
//	the protocol             [MS-CSSP]
//	CredSSP in HTTP headers  [MS-WSMV] 3.1.4.1.28
//	sealed messages          [MS-WSMV] 2.2.9.1.3
package credssp
