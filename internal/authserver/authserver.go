// Package authserver declares how the accepting side of an HTTP authentication
// plugs into winrmtest. It is the mirror of auth.Mechanism and auth.Session:
// a [Mechanism] is immutable and shared, a [Context] belongs to one connection.
package authserver

import (
	"context"
	"crypto/tls"
	"net"
)

// A Mechanism accepts logons of one HTTP authentication scheme.
//
// Several mechanisms may share a scheme word, as bare NTLM and SPNEGO share
// "Negotiate": then [Recognizer] tells whose first token it is.
type Mechanism interface {
	// Scheme is the word in the Authorization header.
	Scheme() string
	// Challenge is the value of the WWW-Authenticate header that offers the
	// mechanism in a 401; "" when it is not listed, as client certificates are not.
	Challenge() string
	// NewContext starts the logon of one connection.
	NewContext(Peer) Context
}

// A Recognizer is a Mechanism that shares its scheme word with others.
type Recognizer interface {
	// Recognizes reports whether the first token of a logon is meant for it.
	Recognizes(token []byte) bool
}

// Peer tells a Mechanism about the connection whose logon it accepts.
type Peer struct {
	// TLS is nil over clear http. ServerCertificate is then nil too.
	TLS *tls.ConnectionState
	// ServerCertificate is the DER of the certificate that we presented: the
	// channel binding tls-server-end-point is made from it.
	ServerCertificate []byte
	Local, Remote     net.Addr
	// Host is the server's computer name, as a target name is made from it.
	Host string
	// ChannelBinding is Service\Auth\CbtHardeningLevel. It matters over TLS only.
	ChannelBinding ChannelBindingLevel
	Accounts       Accounts
}

// ChannelBindingLevel says what happens to channel bindings
// ([MS-WSMV] section 2.2.4.34).
type ChannelBindingLevel int

// The levels: ignored; a present one must be right; must be present and right.
const (
	BindingRelaxed ChannelBindingLevel = iota // Relaxed, the default
	BindingNone                               // None
	BindingStrict                             // Strict
)

// State is what one token led to.
type State int

// The states of a logon.
const (
	Continue State = iota // another token is expected
	Accepted              // the client is logged on
	Refused               // the logon has failed; the connection keeps no context
)

// A Context is the logon of one connection and then its security context. One
// goroutine at a time uses it.
//
// A Context that can open and seal messages is a [Sealer] too.
type Context interface {
	// Accept takes the client's token. hasToken tells an empty token from none.
	// out is sent whatever the state; with Refused it accompanies the 401. err
	// says why a logon was refused, for the log of the test.
	Accept(ctx context.Context, token []byte, hasToken bool) (out []byte, state State, err error)
	// User is the account that logged on, as [Account.Name] has it.
	User() string
}

// A Sealer is a Context that encrypts messages. The shape is that of
// httpseal.Sealer, with Ready: it may become true before the logon is accepted.
type Sealer interface {
	Ready() bool
	Protocol() string
	MaxPlain() int
	Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error)
	Unwrap(buf []byte, tokenLen int) ([]byte, error)
}

// A PerRequest is a Mechanism whose Authorization header accompanies every
// request (Basic, client certificates): a new Context takes each.
type PerRequest interface {
	PerRequest() bool
}

// Accounts is the account database of a server.
type Accounts interface {
	// Lookup finds an account. Comparison ignores case; domain may be empty.
	Lookup(domain, user string) (Account, bool)
	// Failed counts a failed logon of the account by its name as the client gave
	// it, and Passed a good one: an account that was locked out meanwhile does
	// not pass.
	Failed(domain, user string)
	Passed(a Account) bool
	// Certificate finds the account that a verified client certificate is
	// mapped to.
	Certificate(*tls.ConnectionState) (Account, bool)
}

// Account is one entry of the database.
type Account struct {
	// Name is the canonical name: what whoami prints, counters are kept under it.
	Name     string
	Domain   string
	User     string
	Password string
}
