// Package httpseal writes and reads the sealed HTTP bodies of WinRM,
// multipart/encrypted and multipart/x-multi-encrypted ([MS-WSMV] section
// 2.2.9.1).
//
// A sealed body looks like MIME and is none: its boundary holds a blank, its
// parts have no blank line after their headers, and its data is binary:
//
//	--Encrypted Boundary
//	Content-Type: application/HTTP-SPNEGO-session-encrypted
//	OriginalContent: type=application/soap+xml;charset=UTF-8;Length=1234
//	--Encrypted Boundary
//	Content-Type: application/octet-stream
//	<length of the token, 4 bytes little-endian><token><ciphertext>--Encrypted Boundary--
//
// Ciphertext may hold anything, the boundary too. So a body is read by position
// and by the lengths that it states, and what was sealed is never searched.
package httpseal
