// Package fileagent is the protocol between package winrm and the script that it
// runs on a host to work with files there, and that script.
//
// Both sides write frames: a byte that says what it is, the length of the content
// as a little-endian uint32, the content. The client sends
//
//	Q  a request, JSON
//	D  content of a file that is being written, in order
//	Z  the same, compressed (RFC 1951)
//	W  content with its place: offset, known (int64, little-endian), content
//	V  the same, compressed
//	T  the upload is given up; with any content its part file goes
//	E  the end of the content; its SHA-256 in hexadecimal
//
// and the agent, which does one request after the other,
//
//	L  a part of the reply, JSON; more follows
//	D  content of a file that is being read
//	Z  the same, compressed
//	S  SHA-256 of one block of a file after the other, 32 bytes each
//	R  the reply, or its end, JSON
//	X  why there is none, JSON
//
// After X the agent skips what is left of the request's content, so that a client
// need not wait for the reply to one request before it sends the next.
//
// An upload goes to a part file beside its target and is renamed when its hash is
// right. If it may be taken up again, its content comes as W and V, and may come
// through several agents: one that writes and others that have joined it. Without a
// size it is as long as the part file is in the end. They end
// at their first failure, because nobody may be listening to them. The part file
// may have holes, and needs no record of them: it is the hashes of its blocks that
// tell the client what the next upload need not send.
//
// The agent that writes hashes the part file as it grows, up to known, before which
// the client believes everything to be written. It may be mistaken about what other
// agents do. Therefore a hash that is wrong in the end is computed again.
//
// A part file that an interrupted upload has left is taken over. While the agents
// of the earlier upload still have it open, because its client has gone without a
// word or is another one that is still at it, a copy is taken instead: only agents
// of one upload ever write to one file, and of two uploads to one target at the
// same time none can end in a mixture.
package fileagent
