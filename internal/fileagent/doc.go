// Package fileagent is the protocol between package winrm and the script that it
// runs on a host to work with files there, and that script.
//
// Both sides write frames: a byte that says what it is, the length of the content
// as a little-endian uint32, the content. The client sends
//
//	Q  a request, JSON
//	D  content of a file that is being written
//	Z  the same, compressed (RFC 1951)
//	T  what was written so far is wrong: begin again at 0
//	E  the end of the content; its SHA-256 in hexadecimal
//
// and the agent, which does one request after the other,
//
//	L  a part of the reply, JSON; more follows
//	D  content of a file that is being read
//	Z  the same, compressed
//	R  the reply, or its end, JSON
//	X  why there is none, JSON
//
// After X the agent skips what is left of the request's content, so that a client
// need not wait for the reply to one request before it sends the next.
//
// An upload goes to a part file beside its target and is renamed when its hash is
// right. A part file that an interrupted upload has left is taken over, and its
// hash is told to the client. While the agent of the earlier upload still has it
// open, because its client has gone without a word or is another one that is
// still at it, a copy is taken instead: no two agents ever write to one file, and
// of two uploads to one target at the same time none can end in a mixture.
package fileagent
