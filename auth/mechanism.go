package auth

import (
	"context"
	"crypto/tls"
)

// A Mechanism is one way to log on to a listener: Basic, NTLM, Negotiate, ...
// It is immutable, safe for concurrent use and does no I/O; what belongs to one
// connection lives in the [Session] that it makes.
//
// A Mechanism may have further abilities, found by type assertion:
// [TLSConfigurer], [Asker], [Accounter].
type Mechanism interface {
	// Name is the mechanism's name in errors and traces, such as "NTLM".
	Name() string
	// Scheme is the HTTP authentication scheme word, such as "Negotiate".
	Scheme() string
	// NewSession starts the logon of one connection.
	NewSession(Peer) (Session, error)
}

// Peer tells a Mechanism about the connection that it authenticates.
type Peer struct {
	Scheme string // "http" or "https"
	Host   string // host name or address of the listener, without brackets and port
	Port   string

	// TLS is the state of the connection's TLS, nil over clear http. Its leaf
	// certificate feeds the channel binding.
	TLS *tls.ConnectionState

	// Seal says that message encryption will be needed on this connection.
	Seal bool
}

// A Session is the logon of one connection, and after it the security context
// of that connection. It is used by one goroutine at a time.
//
// A Session may have further abilities, found by type assertion: [Sealer],
// [RequestAuthorizer], [Presenter].
type Session interface {
	// Step takes what the server answered and returns the token for the next
	// request. done says that nothing more is expected from the server: its
	// identity, where the mechanism proves it, has been verified. A token that
	// comes with done is sent all the same, unless it is empty. A token that
	// comes with an error is sent, and then the logon fails with that error.
	Step(ctx context.Context, in Leg) (out []byte, done bool, err error)
	// Close frees the session; it is called exactly once.
	Close() error
}

// Leg is what the server said in one exchange of the logon.
type Leg struct {
	First    bool   // nothing was exchanged yet; the other fields are zero
	Status   int    // HTTP status of the answer; a proxy's 407 is told as 401
	HasToken bool   // the answer named our scheme with a token, perhaps an empty one
	Token    []byte // the token, base64 decoded
}

// A Sealer is a Session that can encrypt messages ([MS-WSMV] section 2.2.9.1).
type Sealer interface {
	// Ready reports whether messages can be sealed. It may become true before
	// Step says done: then the first sealed message finishes the logon.
	Ready() bool
	// Protocol is the media type of the sealed messages, such as
	// "application/HTTP-SPNEGO-session-encrypted".
	Protocol() string
	// MaxPlain is the largest message in bytes that one Wrap takes; longer
	// bodies are cut and sent as multipart/x-multi-encrypted. 0 means no limit.
	MaxPlain() int
	// Wrap seals plain and appends the result to dst. The first tokenLen
	// appended bytes are the token (signature or header) and the rest is the
	// ciphertext. length is what the part's OriginalContent header states.
	Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error)
	// Unwrap verifies and decrypts buf in place. buf is token and ciphertext
	// one after the other; tokenLen is the token's length as the sender gave it.
	// The result is a part of buf.
	Unwrap(buf []byte, tokenLen int) ([]byte, error)
}

// A RequestAuthorizer is a Session that needs no exchange of its own: its
// Authorization header accompanies every request. Basic and client certificates
// are such. Step is never called.
type RequestAuthorizer interface {
	// Authorization returns the value of the header, "" for none.
	Authorization(ctx context.Context) (string, error)
}

// A Presenter tells whether the credentials have been put before a server
// (which then counts a failed logon when it refuses).
type Presenter interface {
	Presented() bool
}

// A TLSConfigurer is a Mechanism that changes the TLS configuration before the
// dial, as client certificates do. It is given a clone.
type TLSConfigurer interface {
	ConfigureTLS(*tls.Config) error
}

// An Asker is a Mechanism that must not send its first token unasked: each host
// is first asked, once, which schemes it offers.
type Asker interface {
	AskFirst() bool
}

// An Accounter is a Mechanism that logs on with an account that can be locked
// out. The [Logon] keeps a refused credential from being sent again.
type Accounter interface {
	Logon() *Logon
}
