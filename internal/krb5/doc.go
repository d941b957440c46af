// Package krb5 is Kerberos V5 as WinRM needs it, both sides: the crypto
// profiles, the exchanges with the KDC, the GSS-API security context and its
// per-message tokens, and the files that hold keys and tickets.
//
// A [Client] owns a credential and its tickets. [Client.Ticket] fetches a
// service ticket once, however many connections wait for it. [NewInitiator]
// and [NewAcceptor] start the security context of one connection; a finished
// one is a [Context], which seals, opens and signs messages.
//
// The ASN.1 types come from gokrb5; the exchange with the KDC, the ticket
// cache, the crypto and the GSS-API tokens are our own, because they need a
// context, bounded reads, a dialer of the caller's, one attempt at a password,
// and sealing in place.
//
//	RFC 3961, 3962   encryption framework, AES with HMAC-SHA1
//	RFC 4120         messages
//	RFC 4121, 4757   GSS-API mechanism and tokens, those of RC4
//	RFC 6806         canonicalization and referrals
//	RFC 8009         AES with HMAC-SHA2
//	MS-KILE, MS-SFU  what Windows does, S4U2Self and S4U2Proxy
//
// The package imports nothing of the module's others.
package krb5
