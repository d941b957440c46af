package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/winrmkit/winrmkit/internal/http1"
)

const (
	maxLegs    = 20      // the longest real logon, CredSSP with Kerberos inside, has about seven
	maxLegBody = 1 << 20 // bytes of a 401's body, which nobody reads
)

var (
	errUnproven = errors.New("the server ended the logon before it proved its identity")
	errLegs     = fmt.Errorf("no end after %d legs", maxLegs)
	errClosing  = errors.New("the server closes the connection that it is being asked to authenticate")
	errMore     = errors.New("the server wants more after the logon was complete")
	errNoSeal   = errors.New("the logon succeeded without a key to encrypt messages with")
)

// sendLeg makes one exchange without a body, with this Authorization.
type sendLeg func(ctx context.Context, authorization string) (http1.Response, error)

// A logon runs the legs of one mechanism over one connection, to a listener or
// to a proxy.
type logon struct {
	trace   *tracer
	mech    Mechanism
	session Session
	account *Logon
	attempt *attempt
	host    string
	proxy   bool
	alias   *atomic.Bool // the peer knows the mechanism by its other scheme word; may be nil
	seal    bool         // messages will be sealed
	tls     bool
	send    sendLeg

	leg     int
	status  int
	offered []string
	sent    bool // a token has left
	closing bool // the server closes after its last answer, which may tell why
	heard   bool // a token has come
	silent  bool // the credentials were presented, and nothing was said about them

	// open says that the first sealed message finishes the logon. The attempt's
	// verdict is then left to whoever sends it.
	open bool
	done bool
}

// run logs on and tells the gate.
func (l *logon) run(ctx context.Context) error {
	start := time.Now()
	err := l.legs(ctx)
	refused, _ := errors.AsType[*Error](err)
	switch {
	case err == nil && l.open:
		// not known yet
	case err == nil:
		l.attempt.prove()
	case refused != nil && refused.Refused && !refused.Remembered:
		l.attempt.refuse(refused)
	case l.silent:
		l.attempt.breakOff(l.broken(err))
	default:
		l.attempt.inconclusive()
	}
	info := LogonInfo{
		Host: l.host, Proxy: l.proxy, Mechanism: l.mech.Name(), Scheme: l.scheme(),
		Legs: l.leg, Duration: time.Since(start), Err: err,
	}
	if l.account != nil {
		info.Account = l.account.Name()
	}
	if c, ok := l.session.(Chooser); ok {
		info.Chosen = c.Chosen()
	}
	l.trace.logon(ctx, info)
	return err
}

// legs steps the session until it is done.
func (l *logon) legs(ctx context.Context) error {
	if ra, ok := l.session.(RequestAuthorizer); ok {
		return l.authorize(ctx, ra)
	}
	in := Leg{First: true}
	for {
		presented := l.presented()
		out, done, err := l.session.Step(ctx, in)
		l.done = done
		switch {
		case ctx.Err() != nil:
			return contextError(ctx)
		case len(out) > 0 || err == nil && !done && !l.ready() && !isSuccess(in.Status):
			// There is something to send: a token, or the bare scheme word.
		case err != nil:
			return l.failure(err, presented && isUnauthorized(in.Status))
		case done:
			l.open = isUnauthorized(in.Status) // the server has not said yes yet
			return nil
		case l.ready() && !isSuccess(in.Status):
			l.open = true
			return nil
		default:
			return l.failure(errUnproven, false)
		}
		if l.leg == maxLegs {
			return l.failure(errLegs, false)
		}
		if l.closing {
			if err == nil {
				err = errClosing
			}
			return l.failure(err, presented && isUnauthorized(in.Status))
		}
		o, sendErr := l.exchange(ctx, out)
		switch {
		case err != nil: // the mechanism had given up: the token told the server why
			return l.failure(err, presented && isUnauthorized(in.Status))
		case sendErr != nil:
			return sendErr
		}
		if isSuccess(l.status) && done {
			return nil
		}
		if in, err = l.next(o); err != nil {
			return err
		}
	}
}

// An aliased mechanism goes by two scheme words. Some proxies know NTLM by its
// own name only.
type aliased interface {
	Mechanism
	alias() string
}

// scheme is the word that the logon goes under.
func (l *logon) scheme() string {
	if m, ok := l.mech.(aliased); ok && l.alias != nil && l.alias.Load() {
		return m.alias()
	}
	return l.mech.Scheme()
}

// renamed reports whether the peer offers the mechanism by its other word only,
// which is then used from the next connection on.
func (l *logon) renamed(o offers) bool {
	m, ok := l.mech.(aliased)
	return ok && l.alias != nil && l.leg == 1 && !o.found && !o.bare &&
		containsFold(o.schemes, m.alias()) && !l.alias.Swap(true)
}

// next makes of the server's answer what the session is told, unless it already
// is the end.
func (l *logon) next(o offers) (Leg, error) {
	switch {
	case !isSuccess(l.status) && !isUnauthorized(l.status):
		l.silent = l.presented()
		return Leg{}, l.failure(nil, false)
	case o.err != nil:
		return Leg{}, l.failure(fmt.Errorf("token: %w", o.err), isUnauthorized(l.status) && l.presented())
	case isUnauthorized(l.status) && l.done:
		if o.found {
			return Leg{}, l.failure(errMore, l.presented())
		}
		return Leg{}, l.failure(nil, l.presented())
	case isUnauthorized(l.status) && l.renamed(o):
		return Leg{}, errAgain
	case isUnauthorized(l.status) && !o.found && l.presented():
		// The credentials are never put before a server twice, so the session
		// is not asked what to do.
		return Leg{}, l.failure(nil, true)
	}
	in := Leg{Status: l.status, HasToken: o.found, Token: o.token}
	if l.proxy && isUnauthorized(l.status) {
		in.Status = http.StatusUnauthorized // sessions need not know of proxies
	}
	if !o.found && o.bare && l.heard && len(o.schemes) == 1 {
		in.HasToken = true // an empty one: a refusal lists all schemes
	}
	l.heard = l.heard || o.found
	return in, nil
}

// exchange sends one token and reads what the server makes of it.
func (l *logon) exchange(ctx context.Context, token []byte) (offers, error) {
	authorization := l.scheme()
	if len(token) > 0 {
		authorization += " " + base64.StdEncoding.EncodeToString(token)
		l.sent = true
	}
	return l.exchangeHeader(ctx, authorization, len(token))
}

func (l *logon) exchangeHeader(ctx context.Context, authorization string, sent int) (offers, error) {
	resp, err := l.send(ctx, authorization)
	info := LegInfo{
		Host: l.host, Proxy: l.proxy, Mechanism: l.mech.Name(), Scheme: l.scheme(),
		Leg: l.leg + 1, Sent: sent,
	}
	if err != nil {
		info.Err = err
		l.trace.leg(ctx, info)
		return offers{}, l.lost(ctx, err)
	}
	resp.Body.Release()
	l.leg++
	l.status = resp.Status
	header := "WWW-Authenticate"
	if l.proxy {
		header = "Proxy-Authenticate"
	}
	o := readOffers(resp.Header.Values(header), l.scheme())
	if len(o.schemes) > 0 {
		l.offered = o.schemes
	}
	info.Status, info.Offered, info.Received = resp.Status, o.schemes, len(o.token)
	l.trace.leg(ctx, info)
	if resp.Close && isSuccess(resp.Status) {
		return o, l.failure(errClosing, false)
	}
	l.closing = resp.Close
	return o, nil
}

// authorize logs on to a proxy with a mechanism that needs no exchange of its
// own.
func (l *logon) authorize(ctx context.Context, ra RequestAuthorizer) error {
	header, err := ra.Authorization(ctx)
	if err != nil {
		return err
	}
	l.sent = header != ""
	if _, err := l.exchangeHeader(ctx, header, 0); err != nil {
		return err
	}
	if isSuccess(l.status) {
		return nil
	}
	return l.failure(nil, isUnauthorized(l.status) && l.presented())
}

// lost tells of an exchange of the logon without an answer.
func (l *logon) lost(ctx context.Context, err error) error {
	e, ok := errors.AsType[*http1.Error](err)
	l.silent = l.presented() && (!ok || e.Sent)
	if ctx.Err() != nil {
		return contextError(ctx)
	}
	switch {
	case ok && errors.Is(err, http1.ErrTLS):
		return &DialError{
			Stage: "http", Addr: l.host, Err: e.Err,
			Remedy: "use https:// (WinRM's port 5986), or http:// with port 5985",
		}
	case ok && errors.Is(err, http1.ErrClientCertificate):
		return certificateWanted(l.host, e.Err)
	case ok && e.Answered:
		l.status = e.Status
		return l.failure(e.Err, false)
	case ok:
		err = e.Err
	}
	gone := &ConnectionLostError{Host: l.host, Err: fmt.Errorf("during the logon: %w", err)}
	if l.leg == 0 && !l.tls && errors.Is(err, io.ErrUnexpectedEOF) {
		gone.Remedy = "if the port expects TLS, use https:// (WinRM's port 5986)"
	}
	return gone
}

// errNoAnswer stands for the end of a caller's context, which is not that of
// those who are told about it later.
var errNoAnswer = errors.New("no answer came in the time given")

// broken is what is remembered of a logon that broke off after the credentials
// had been presented.
func (l *logon) broken(err error) *Error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = errNoAnswer
	}
	e := l.failure(err, false)
	e.Causes = brokenCauses
	return e
}

// failure makes the error of this logon.
func (l *logon) failure(err error, refused bool) *Error {
	if v, ok := errors.AsType[Verdict](err); ok {
		refused = v.Refused()
	}
	e := &Error{Err: err, Refused: refused}
	if inner, ok := errors.AsType[*Error](err); ok {
		// The mechanism knows more, such as what a directory said.
		kept := *inner
		e = &kept
		e.Refused = e.Refused || refused
	}
	if e.Mechanism == "" {
		e.Mechanism = l.mech.Name()
	}
	if e.Account == "" && l.account != nil {
		e.Account = l.account.Name()
	}
	e.Scheme, e.Host, e.Proxy = l.scheme(), l.host, l.proxy
	e.Offered, e.Leg, e.Status = l.offered, l.leg, l.status
	off := NotOffered(e.Scheme, e.Host, e.Offered)
	switch {
	case off != nil && !l.proxy && isUnauthorized(l.status):
		e.Causes = off
	case len(e.Causes) > 0 && !l.proxy || err != nil && !refused && len(e.Causes) == 0:
	case l.proxy:
		e.Causes = proxyCauses(e, l.presented())
	default:
		e.Causes = explain(l.session, e.Scheme, e.Status, l.presented(), e.Offered)
	}
	return e
}

// presented reports whether the credentials may have been put before the
// server. Of a session that does not say, any token counts.
func (l *logon) presented() bool {
	if p, ok := l.session.(Presenter); ok {
		return l.sent && p.Presented()
	}
	return l.sent
}

func (l *logon) ready() bool {
	s, ok := l.session.(Sealer)
	return ok && l.seal && s.Ready()
}

func isSuccess(status int) bool { return status/100 == 2 }

func isUnauthorized(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusProxyAuthRequired
}
