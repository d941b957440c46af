// Package kerberos logs on to Windows hosts with Kerberos: sealed, with the
// server's identity proven, without any system library.
//
//	kerb, err := kerberos.New(&kerberos.Config{Credentials: auth.Credentials{
//		Domain: "corp.example", User: "alice", Password: password,
//	}})
//	defer kerb.Close()
//	client, err := winrm.New("srv1.corp.example", &winrm.Config{Auth: kerb})
//
// A [Mechanism] serves any number of clients, hosts and connections: they share
// one ticket-granting ticket and one ticket for each host. Alone it speaks the
// scheme Kerberos; auth.Negotiate(kerb, auth.NTLM(cred)) falls back to NTLM
// where no KDC can be reached or the host is not known to it, and for no other
// reason.
//
// Credentials are, in this order: what a group managed service account's
// password yields, a keytab, a user's password, a credential cache as kinit
// writes it.
//
// No krb5.conf is needed: with a realm the KDCs are found by DNS. One that
// exists is read, its include and includedir lines too; of it are used
// default_realm, dns_lookup_kdc, the lifetimes, default_ccache_name,
// default_client_keytab_name, the KDCs of [realms], and [domain_realm].
//
//	RFC 4120, 4121, 6806, 8009   the protocol, its GSS-API tokens, referrals, AES with SHA-2
//	MS-KILE, MS-SFU              Windows' additions, acting for a user
//	MS-WSMV 2.2.9.1              the messages' encryption over HTTP
package kerberos
