// Package ntlm is NTLM version 2 of [MS-NLMP], both sides: an [Initiator] logs
// on, an [Acceptor] lets in, and each becomes a [Session] that signs and seals.
//
//	initiator                     acceptor
//	NEGOTIATE     ------------>              what I can do
//	              <------------  CHALLENGE   what we do, a nonce, who I am
//	AUTHENTICATE  ------------>              proof of the password, session key
//
// Where to find what:
//
//	messages, flags, AV pairs    section 2.2
//	initiator                    section 3.1.5
//	acceptor                     section 3.2.5
//	NTLMv2 responses             section 3.3.2
//	signing, sealing, keys       section 3.4
//
// Version 1 and LM responses are neither sent nor accepted. Extended session
// security is required, for without it there are no usable session keys.
//
// NTLM is built from MD4, MD5 and RC4, which FIPS 140 forbids: where the program
// enforces that standard, everything here fails with [ErrFIPS].
package ntlm
