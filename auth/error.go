package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrClosed is returned by a [Transport] after Close.
var ErrClosed = errors.New("auth: transport closed")

// Reasons that a [ResponseError] wraps.
var (
	// ErrUnsealed: the answer came in clear where message encryption is required.
	ErrUnsealed = errors.New("answer in clear where message encryption is required")
	// ErrRedirected: the server redirects. Redirects are never followed: the
	// credentials are for the endpoint that was named.
	ErrRedirected = errors.New("redirects are not followed")
)

// A Cause is one candidate explanation of an error, with the check that tells
// whether it is the one and the remedy if it is.
type Cause struct {
	ID     string // stable, such as "wrong-password"
	Text   string
	Check  string
	Remedy string
	// Certain says that it is no candidate: the wire, or a check, has shown it.
	Certain bool
}

// An Error is a logon that did not succeed.
type Error struct {
	Mechanism string   // such as "NTLM"
	Scheme    string   // the HTTP scheme word that was used
	Account   string   // never the secret
	Host      string   // host:port of the listener, or of the proxy
	Proxy     bool     // the logon was to a proxy
	Offered   []string // the schemes that the server offered, if it said
	Leg       int      // requests of this logon that were answered
	Status    int      // HTTP status of the last answer, 0 when there was none

	// Refused says that the credentials were put before the server, or a
	// directory, and not accepted: it counts as a failed logon there.
	Refused bool
	// Remembered says that nothing was sent this time: the refusal is the one
	// that RefusedBy gave at RefusedAt. [Gate.Forget] lets it be tried again.
	Remembered bool
	RefusedBy  string
	RefusedAt  time.Time
	// Broken says that what is remembered is no refusal but logons that broke
	// off after the credentials had been put before the server, twice in a row.
	// They are tried again after a while; see [Logon].
	Broken bool

	// Causes are candidates in order of likelihood: a bare 401 has no reason.
	Causes []Cause
	Err    error // what the mechanism said, may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "auth: %s logon", e.Mechanism)
	if e.Account != "" {
		fmt.Fprintf(&b, " of %s", e.Account)
	}
	if e.Proxy {
		b.WriteString(" to the proxy")
	}
	fmt.Fprintf(&b, " at %s ", e.Host)
	switch {
	case e.Remembered && e.Broken:
		fmt.Fprintf(&b, "not tried: logons with these credentials, the last one to %s at %s, broke off without a word, "+
			"which may count as failed ones", e.RefusedBy, e.RefusedAt.Format(time.TimeOnly))
	case e.Remembered:
		fmt.Fprintf(&b, "not tried: %s refused these credentials at %s", e.RefusedBy, e.RefusedAt.Format(time.TimeOnly))
	case e.Refused:
		b.WriteString("refused")
	default:
		b.WriteString("did not succeed")
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d in answer to leg %d)", e.Status, e.Leg)
	}
	if len(e.Offered) > 0 {
		fmt.Fprintf(&b, "; offered: %s", strings.Join(e.Offered, ", "))
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	for i, c := range e.Causes {
		word := []string{"possible cause:", "or"}[min(i, 1)]
		if c.Certain {
			word = "cause:"
		}
		fmt.Fprintf(&b, "; %s %s", word, c.Text)
		if c.Remedy != "" {
			fmt.Fprintf(&b, " (%s)", c.Remedy)
		}
	}
	return b.String()
}

// Unwrap returns what the mechanism said.
func (e *Error) Unwrap() error { return e.Err }

// A Verdict is an error of a [Session] that knows whether the server judged the
// credentials. Without one, any failure after the credentials were put before
// the server counts as a refusal.
type Verdict interface {
	error
	Refused() bool
}

// A ConnectionLostError is an exchange that ended without an answer.
type ConnectionLostError struct {
	// Sent says that the whole request was handed to the network: the server
	// may have processed it. Otherwise it provably has not.
	Sent   bool
	Host   string
	Remedy string // may be empty
	Err    error
}

func (e *ConnectionLostError) Error() string {
	state := "before the request was sent"
	if e.Sent {
		state = "after the request was sent, it may have been processed"
	}
	text := fmt.Sprintf("auth: connection to %s lost %s: %v", e.Host, state, e.Err)
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	return text
}

// Unwrap returns the reason.
func (e *ConnectionLostError) Unwrap() error { return e.Err }

// A ResponseError is an answer that is not accepted: in clear where it had to be
// sealed, with a wrong signature, malformed, too long, compressed, a redirect.
// The server may have processed the request.
type ResponseError struct {
	Host        string
	Status      int // 0 when not even a status line was read
	ContentType string
	Location    string // of a redirect
	Err         error
}

func (e *ResponseError) Error() string {
	status := ""
	if e.Status != 0 {
		status = fmt.Sprintf(" (HTTP %d)", e.Status)
	}
	return fmt.Sprintf("auth: answer of %s%s not accepted: %v", e.Host, status, e.Err)
}

// Unwrap returns the reason, such as [ErrUnsealed].
func (e *ResponseError) Unwrap() error { return e.Err }

// A ClearTextError says that something secret would have left in clear over
// http. Nothing was sent.
type ClearTextError struct {
	Mechanism   string
	Host        string
	Credentials bool // the credentials themselves; otherwise the messages
	Remedy      string
}

func (e *ClearTextError) Error() string {
	what := "messages"
	if e.Credentials {
		what = "credentials"
	}
	return fmt.Sprintf("auth: %s would send %s to %s in clear; %s", e.Mechanism, what, e.Host, e.Remedy)
}

// A DialError is a connection that could not be made.
type DialError struct {
	Stage  string // "dial", "proxy", "tls"
	Addr   string
	Remedy string // may be empty
	Err    error
}

func (e *DialError) Error() string {
	text := fmt.Sprintf("auth: %s %s: %v", e.Stage, e.Addr, e.Err)
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	return text
}

// Unwrap returns the reason.
func (e *DialError) Unwrap() error { return e.Err }

// Timeout reports whether time ran out.
func (e *DialError) Timeout() bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](e.Err)
	return ok && t.Timeout()
}

// MayBeProcessed reports whether the server may have processed the request that
// RoundTrip returned err for. It is false only where that is proven.
func MayBeProcessed(err error) bool {
	if _, answered := errors.AsType[*ResponseError](err); answered {
		return true
	}
	lost, ok := errors.AsType[*ConnectionLostError](err)
	return ok && lost.Sent // a logon comes before the message, or is refused with it
}

// contextError tells why ctx ended. The result matches ctx.Err() and the cause.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}
