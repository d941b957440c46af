package httpseal

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
)

// A Sealer encrypts and decrypts the messages of one security context.
type Sealer interface {
	// Protocol is the media type of the sealed messages, such as
	// "application/HTTP-SPNEGO-session-encrypted".
	Protocol() string
	// MaxPlain is the largest message that one Wrap takes; 0 means no limit.
	MaxPlain() int
	// Wrap seals plain and appends the result to dst: tokenLen bytes of token,
	// then ciphertext. length is what OriginalContent has to state.
	Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error)
	// Unwrap verifies and decrypts buf, token and ciphertext, in place.
	Unwrap(buf []byte, tokenLen int) ([]byte, error)
}

// A Measurer is a Sealer whose sealed messages show their own length, as TLS
// records do. It is wanted where a body holds several messages and a
// ciphertext's length differs from the length that OriginalContent states.
type Measurer interface {
	// SealedLen returns how many bytes at the start of buf, token included, are
	// the message whose token length and OriginalContent length are given.
	SealedLen(buf []byte, tokenLen, length int) (int, error)
}

// Format is how sealed bodies are written and read. Its zero value is what a
// client wants.
type Format struct {
	// Tab writes a tab before each header of a part. The grammar of [MS-WSMV]
	// asks for it and its own sample has none; Windows reads both and writes
	// it, OMI's server refuses it. Reading takes both in any case.
	Tab bool

	// TrimNUL takes NULs from the end of an opened message, for servers: OMI's
	// client pads its messages with them before sealing.
	TrimNUL bool

	// BareEnd reads bodies whose last delimiter lacks the dashes at its end, for
	// servers: WinRM's client for Ruby and txwinrm write it so with Kerberos, and
	// Windows takes it.
	BareEnd bool
}

const (
	boundary    = "Encrypted Boundary"
	delimiter   = "--" + boundary + "\r\n"
	closing     = "--" + boundary + "--\r\n"
	octetStream = "Content-Type: application/octet-stream\r\n"

	mediaSingle = "multipart/encrypted"
	mediaMulti  = "multipart/x-multi-encrypted"

	spnegoProtocol = "application/HTTP-SPNEGO-session-encrypted"

	// tokenRoom is the space reserved for a token before its length is known.
	tokenRoom = 96
)

// Seal appends the sealed form of plain to dst and returns it with the value of
// its Content-Type header. innerType is the media type of plain.
func Seal(dst []byte, s Sealer, innerType string, plain []byte) (body []byte, contentType string, err error) {
	return Format{}.Seal(dst, s, innerType, plain)
}

// Seal is like the function [Seal], in the format f.
func (f Format) Seal(dst []byte, s Sealer, innerType string, plain []byte) (body []byte, contentType string, err error) {
	protocol := s.Protocol()
	if strings.ContainsAny(innerType, "\r\n") {
		return nil, "", &Error{Op: "seal", Reason: "media type with a line break"}
	}
	piece := s.MaxPlain()
	if piece <= 0 || piece > len(plain) {
		piece = max(len(plain), 1)
	}
	pieces := max(1, (len(plain)+piece-1)/piece)
	head := len(delimiter)*2 + len(octetStream) + len(protocol) + len(innerType) + 80
	dst = slices.Grow(dst, len(plain)+pieces*(head+tokenRoom)+len(closing))

	rest := plain
	for range pieces {
		n := min(piece, len(rest))
		if dst, err = f.sealPiece(dst, s, protocol, innerType, rest[:n]); err != nil {
			return nil, "", &Error{Op: "seal", Reason: "message", Err: err}
		}
		rest = rest[n:]
	}
	dst = append(dst, closing...)
	return dst, contentTypeOf(protocol, pieces > 1), nil
}

// sealPiece appends one pair of parts. The stated length comes before the
// ciphertext but is known only after it; it is the plaintext's length except
// for mechanisms that pad.
func (f Format) sealPiece(dst []byte, s Sealer, protocol, innerType string, plain []byte) ([]byte, error) {
	dst = append(dst, delimiter...)
	dst = f.indent(dst)
	dst = append(dst, "Content-Type: "...)
	dst = append(dst, protocol...)
	dst = append(dst, "\r\n"...)
	dst = f.indent(dst)
	dst = append(dst, "OriginalContent: type="...)
	dst = append(dst, innerType...)
	dst = append(dst, ";Length="...)
	digitsAt := len(dst)
	dst = strconv.AppendInt(dst, int64(len(plain)), 10)
	digitsEnd := len(dst)
	dst = append(dst, "\r\n"+delimiter...)
	dst = f.indent(dst)
	dst = append(dst, octetStream...)
	sizeAt := len(dst)
	dst = append(dst, 0, 0, 0, 0)

	dst, tokenLen, length, err := s.Wrap(dst, plain)
	if err != nil {
		return nil, err
	}
	if tokenLen < 0 || tokenLen > len(dst)-sizeAt-4 {
		return nil, &Error{Op: "seal", Reason: "token longer than the sealed message"}
	}
	binary.LittleEndian.PutUint32(dst[sizeAt:], uint32(tokenLen))
	if length == len(plain) {
		return dst, nil
	}
	var digits [20]byte
	return slices.Replace(dst, digitsAt, digitsEnd, strconv.AppendInt(digits[:0], int64(length), 10)...), nil
}

func (f Format) indent(dst []byte) []byte {
	if f.Tab {
		return append(dst, '\t')
	}
	return dst
}

func contentTypeOf(protocol string, multi bool) string {
	const middle, end = `;protocol="`, `";boundary="` + boundary + `"`
	if multi {
		return mediaMulti + middle + protocol + end
	}
	if protocol == spnegoProtocol { // the usual one, without an allocation
		return mediaSingle + middle + spnegoProtocol + end
	}
	return mediaSingle + middle + protocol + end
}

// IsSealed reports whether a Content-Type header announces a sealed body.
func IsSealed(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.TrimSpace(media)
	return strings.EqualFold(media, mediaSingle) || strings.EqualFold(media, mediaMulti)
}
