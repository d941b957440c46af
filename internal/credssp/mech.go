package credssp

import "context"

// A Mech is the inner logon of one connection, initiating or accepting: SPNEGO,
// bare NTLM, bare Kerberos. It must prove both sides to each other.
type Mech interface {
	// Step takes the peer's token (nil when there is none) and returns ours,
	// empty when there is none to send. An error ends the logon; a token that
	// comes with it is sent.
	Step(ctx context.Context, token []byte) (out []byte, err error)
	// Ready reports that messages can be wrapped. The logon as a whole may
	// still wait for the peer's last token, which comes with its pubKeyAuth:
	// NTLM in SPNEGO ends with the server's mechListMIC.
	Ready() bool
	// Done reports that nothing more is expected from the peer.
	Done() bool
	// Finish is called when the peer has proved that it shares the session's
	// keys and sent no last token. It fails if the mechanism cannot do without.
	Finish(ctx context.Context) error
	// Wrap appends plain, signed and encrypted, to dst.
	Wrap(dst, plain []byte) ([]byte, error)
	// Unwrap verifies and decrypts what the peer's Wrap made; it may use buf.
	Unwrap(buf []byte) ([]byte, error)
	// Close frees the logon.
	Close() error
}
