// Package spnego negotiates which mechanism two sides log on with (RFC 4178,
// [MS-SPNG]), as initiator and as acceptor, and protects the choice.
//
// The initiator lists its mechanisms, with the first token of the one that it
// prefers; the acceptor takes one:
//
//	NegTokenInit  mechTypes, mechToken           ->
//	                                             <-  NegTokenResp  state, supportedMech, responseToken
//	NegTokenResp  responseToken, mechListMIC     ->
//	                                             <-  NegTokenResp  accept-completed, mechListMIC
//
// Somebody in between could shorten the list to the weakest mechanism. So both
// sides sign it (mechListMIC) with the mechanism that was chosen, at least when
// that is not the one preferred by both.
//
// A mechanism takes part as a [Context].
package spnego
