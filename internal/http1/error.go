package http1

import (
	"errors"
	"fmt"
)

// Reasons that an [Error] wraps.
var (
	ErrTLS           = errors.New("the peer answers with a TLS record: it expects TLS")
	ErrNotHTTP       = errors.New("the peer does not answer in HTTP/1")
	ErrHeadTooLong   = errors.New("response head too long")
	ErrInterim       = errors.New("too many interim responses")
	ErrUpgrade       = errors.New("peer switches protocols")
	ErrCompressed    = errors.New("response is compressed though identity was asked for")
	ErrNoLength      = errors.New("response without length")
	ErrBodyTooLong   = errors.New("response body too long")
	ErrUnsolicited   = errors.New("peer sent more than was asked for")
	ErrInvalidHeader = errors.New("invalid character in request header")

	// ErrClientCertificate is the end of a TLS 1.3 handshake that the peer
	// tells of after its first message was sent: it has not read that.
	ErrClientCertificate = errors.New("the peer requires a client certificate, or another one")
)

// An Error is an exchange that gave no response. The connection is not usable
// after it.
type Error struct {
	// Sent says that the last byte of the request was handed over: the peer may
	// have processed it. Otherwise it provably has not.
	Sent bool
	// Answered says that the peer answered something that is not accepted.
	Answered bool
	// Status is that of the answer, 0 when no head was read.
	Status int
	Err    error
}

func (e *Error) Error() string {
	doing := "write request"
	if e.Sent {
		doing = "read response"
	}
	return fmt.Sprintf("http1: %s: %v", doing, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }
