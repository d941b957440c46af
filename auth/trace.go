package auth

import (
	"context"
	"crypto/tls"
	"time"
)

// A Trace is a set of hooks that see what a [Transport] does, in the manner of
// net/http/httptrace. Any may be nil. They are called on the goroutine that does
// the work, must not block, and get neither tokens nor bodies.
type Trace struct {
	Dialed        func(context.Context, DialInfo)
	TLS           func(context.Context, TLSInfo)
	LogonLeg      func(context.Context, LegInfo)
	Logon         func(context.Context, LogonInfo)
	ExchangeBegin func(context.Context, ExchangeInfo)
	ExchangeEnd   func(context.Context, ExchangeInfo)
	Retry         func(context.Context, RetryInfo)
	ConnClosed    func(ConnInfo)
}

// DialInfo is a connection made, or not, to the listener or its proxy.
type DialInfo struct {
	Addr     string // the listener
	Proxy    string // scheme and host of the proxy, "" for none
	Duration time.Duration
	Err      error
}

// TLSInfo is a TLS handshake with the listener or with a proxy.
type TLSInfo struct {
	Addr     string
	Proxy    bool
	State    tls.ConnectionState
	Duration time.Duration
	Err      error
}

// LegInfo is one exchange of a logon.
type LegInfo struct {
	Host      string
	Proxy     bool
	Mechanism string
	Scheme    string
	Leg       int
	Sent      int // bytes of the token that was sent
	Received  int // bytes of the token that came back
	Status    int
	Offered   []string
	Err       error
}

// LogonInfo is a logon that ended.
type LogonInfo struct {
	Host      string
	Proxy     bool
	Mechanism string
	Chosen    string // the mechanism inside the mechanism, where there is one; see [Chooser]
	Scheme    string
	Account   string
	Legs      int
	Duration  time.Duration
	Err       error
}

// ExchangeInfo is one request that carries a message. Status, Received,
// Duration and Err are set at its end only.
type ExchangeInfo struct {
	Host     string
	Priority Priority
	Sealed   bool
	Reused   bool          // the connection has carried a message before
	Waited   time.Duration // for a connection
	Sent     int           // bytes of the body as it left
	Received int           // bytes of the body as it came
	Status   int
	Duration time.Duration
	Err      error
}

// RetryInfo is a request that is sent again because it provably was not
// processed.
type RetryInfo struct {
	Host   string
	Reason error
}

// ConnInfo is a connection that was closed.
type ConnInfo struct {
	Host      string
	Reason    string
	Age       time.Duration
	Exchanges int
}

// A Chooser is a Session that picks one of several mechanisms, as SPNEGO does.
type Chooser interface {
	// Chosen returns the mechanism's name, "" while none is chosen.
	Chosen() string
}

// An Explainer is a Session that knows why its logon may have been refused.
type Explainer interface {
	// Explain returns candidate causes in order. presented says that the
	// credentials were put before the server.
	Explain(status int, presented bool) []Cause
}
