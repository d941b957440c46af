package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/internal/http1"
	"github.com/winrmkit/winrmkit/internal/httpseal"
)

// cannotDecrypt is the code of the fault with which a listener says that it
// could not open a message: the two contexts have parted.
var cannotDecrypt = []byte("2150859001") // ERROR_WSMAN_CANNOT_DECRYPT

// An outcome is what became of a message on one connection.
type outcome struct {
	resp  *http.Response
	err   error
	keep  bool   // the connection is fit for the next message
	again bool   // the message was provably not processed: it may be sent again
	why   string // the connection is not kept
}

// exchange sends a message and verifies the answer.
func (c *conn) exchange(call *call, m *message, info ExchangeInfo) (o outcome) {
	ctx, a := call.ctx, c.attempt
	if c.authorizer != nil {
		start := time.Now()
		var err error
		if a, err = c.begin(call); err != nil {
			return outcome{err: err, keep: true}
		}
		defer a.inconclusive()
		if time.Since(start) > time.Second/10 && !c.http.Alive() {
			return outcome{err: &ConnectionLostError{Host: info.Host, Err: errAgain}, again: true, why: "closed by the server"}
		}
	}
	req := http1.Request{Header: m.fields}
	sealed, err := c.request(call, m, &req)
	if sealed != nil {
		defer sealed.Release()
	}
	if err != nil {
		return outcome{err: err, why: "not sent"} // the sequence may have advanced
	}
	info.Sealed, info.Reused, info.Sent = sealed != nil, c.exchanges > 0, len(req.Body)
	c.t.trace.begin(ctx, info)
	start := time.Now()
	c.exchanges++
	c.gap, c.used = sinceWall(c.used), time.Now().Round(0)
	fresh := c.fresh()
	resp, err := c.http.Exchange(ctx, &req, c.t.cfg.MaxResponse)
	if err != nil {
		o = c.lost(call, err)
		if _, lost := errors.AsType[*ConnectionLostError](o.err); lost && call.ended() == nil {
			c.t.closedHastily(fresh)
		}
		if a != nil && call.ended() == nil && MayBeProcessed(o.err) {
			a.breakOff(c.firstMessage(0).broken(o.err))
		}
	} else {
		info.Status, info.Received = resp.Status, len(resp.Body.Bytes())
		o = c.receive(call, &resp, a)
	}
	info.Duration, info.Err = time.Since(start), o.err
	c.t.trace.end(ctx, info)
	return o
}

// begin is the gate's, for an attempt that consists of one message. It waits, if
// it has to, as long as the call lasts.
func (c *conn) begin(call *call) (*attempt, error) {
	if c.t.account == nil {
		return nil, nil
	}
	wait, err := c.t.account.tryBegin(c.t.endpoint.name(), &call.attempt)
	switch {
	case err != nil:
		return nil, err
	case wait == nil:
		return &call.attempt, nil
	}
	return c.t.account.begin(call.whole(), c.t.endpoint.name())
}

// An immediate RequestAuthorizer tells whether its header is there without
// a wait: nobody is asked for a password.
type immediate interface{ immediately() bool }

// authorization asks the authorizer for its header.
func (c *conn) authorization(call *call) (string, error) {
	if p, ok := c.authorizer.(immediate); ok && p.immediately() {
		return c.authorizer.Authorization(call.ctx)
	}
	return c.authorizer.Authorization(call.whole())
}

// request fills in the HTTP request, sealed where that is needed. The Buffer, if
// any, holds its body.
func (c *conn) request(call *call, m *message, req *http1.Request) (*http1.Buffer, error) {
	req.Method, req.Target, req.Host = m.method, m.target, c.t.endpoint.name()
	req.Body, req.Trace = m.body, m.trace
	contentType := m.contentType
	var buf *http1.Buffer
	if c.sealer != nil && len(req.Body) > 0 {
		buf = http1.NewBuffer(len(req.Body) + 512)
		body, sealedType, err := httpseal.Seal(buf.Bytes(), c.sealer, contentType, req.Body)
		if err != nil {
			return buf, fmt.Errorf("auth: %w", err)
		}
		buf.SetBytes(body)
		req.Body, contentType = body, sealedType
	}
	if contentType != "" {
		req.Header = append(req.Header, http1.Field{Name: "Content-Type", Value: contentType})
	}
	if c.authorizer != nil {
		authorization, err := c.authorization(call)
		if err != nil {
			return buf, err
		}
		if authorization != "" {
			req.Header = append(req.Header, http1.Field{Name: "Authorization", Value: authorization})
		}
	}
	return buf, nil
}

// lost classifies an exchange without an answer.
func (c *conn) lost(call *call, err error) outcome {
	host := c.t.endpoint.name()
	e, ok := errors.AsType[*http1.Error](err)
	if !ok {
		e = &http1.Error{Sent: true, Err: err}
	}
	reason := call.ended()
	switch {
	case reason != nil && !e.Sent:
		return outcome{err: fmt.Errorf("auth: request to %s: %w", host, reason), why: "canceled"}
	case reason != nil:
		return outcome{err: &ConnectionLostError{Host: host, Sent: true, Err: reason}, why: "canceled"}
	case errors.Is(err, http1.ErrInvalidHeader):
		return outcome{err: fmt.Errorf("auth: request to %s: %w", host, e.Err), why: "not sent"}
	case errors.Is(err, http1.ErrClientCertificate):
		return outcome{err: certificateWanted(host, e.Err), why: "lost"}
	case !e.Sent:
		return outcome{err: &ConnectionLostError{Host: host, Err: e.Err}, again: true, why: "lost"}
	case errors.Is(err, http1.ErrTLS):
		return outcome{why: "lost", err: &DialError{
			Stage: "http", Addr: host, Err: e.Err, Remedy: "use https:// (WinRM's port 5986), or http:// with port 5985",
		}}
	case e.Answered:
		return outcome{err: &ResponseError{Host: host, Status: e.Status, Err: e.Err}, why: "bad answer"}
	}
	return outcome{err: &ConnectionLostError{Host: host, Sent: true, Err: e.Err}, why: "lost"}
}

// certificateWanted is the end of TLS because of the client's certificate.
func certificateWanted(host string, err error) error {
	return &DialError{
		Stage: "tls", Addr: host, Err: err,
		Remedy: "give TLS.Certificates one that the server, or what stands before it, accepts",
	}
}

// receive decides what an answer means. The body is handed on or released.
func (c *conn) receive(call *call, r *http1.Response, a *attempt) outcome {
	o := c.judge(call, r, a)
	if o.resp == nil {
		r.Body.Release()
		return o
	}
	if r.Close || r.Status == http.StatusBadRequest && len(r.Body.Bytes()) == 0 {
		o.keep, o.why = false, "closed by the server"
	}
	return o
}

func (c *conn) judge(call *call, r *http1.Response, a *attempt) outcome {
	contentType := r.Header.Get("Content-Type")
	refuse := func(err error) outcome {
		return outcome{why: "bad answer", err: &ResponseError{
			Host: c.t.endpoint.name(), Status: r.Status, ContentType: contentType, Location: r.Header.Get("Location"), Err: err,
		}}
	}
	if r.Status == http.StatusUnauthorized {
		return c.unauthorized(r, a)
	}
	if r.Status/100 == 3 {
		return refuse(ErrRedirected)
	}
	if c.open {
		if err := c.finish(call.whole(), r, a); err != nil {
			return outcome{err: err, why: "logon"}
		}
	}
	if c.authorizer != nil && (isSuccess(r.Status) || isXML(contentType)) {
		a.prove()
	}
	if c.sealer == nil {
		return outcome{resp: c.response(r, contentType, r.Body.Bytes()), keep: true}
	}
	if httpseal.IsSealed(contentType) {
		plain, innerType, err := httpseal.Open(c.sealer, contentType, r.Body.Bytes())
		if err != nil {
			return refuse(err)
		}
		o := outcome{resp: c.response(r, innerType, plain), keep: true}
		if r.Status == http.StatusInternalServerError && bytes.Contains(plain, cannotDecrypt) {
			o.keep, o.why = false, "context lost"
		}
		return o
	}
	if isSuccess(r.Status) || isXML(contentType) {
		return refuse(ErrUnsealed)
	}
	// Anybody on the wire can have written this. Only the status is worth
	// telling; and whether the server's sequence numbers have moved, nobody knows.
	r.Body.SetBytes(r.Body.Bytes()[:0])
	return outcome{resp: c.response(r, "", nil), why: "answered in clear"}
}

// firstMessage describes a message that is part of the logon, or all of it.
func (c *conn) firstMessage(status int) *logon {
	return &logon{
		mech: c.t.cfg.Mechanism, session: c.session, account: c.t.account, host: c.t.endpoint.name(),
		leg: min(status, 1), status: status, sent: true,
	}
}

// unauthorized tells a refused logon from a context that the server has lost.
func (c *conn) unauthorized(r *http1.Response, a *attempt) outcome {
	l := c.firstMessage(r.Status)
	l.offered = readOffers(r.Header.Values("WWW-Authenticate"), c.t.cfg.Mechanism.Scheme()).schemes
	if c.authorizer == nil && !c.open {
		e := l.failure(nil, false)
		e.Causes = []Cause{proxyDropsContext}
		if c.sealer != nil {
			// Anybody on the wire can have written this, with the answer to what
			// the server did in his hands.
			c.t.contextLost(c.gap)
			return outcome{err: &ConnectionLostError{Host: l.host, Sent: true, Err: e}, why: "context lost"}
		}
		return outcome{err: e, again: true, why: "context lost"}
	}
	e := l.failure(nil, l.presented() && c.t.cfg.Mechanism.Scheme() != "")
	if e.Refused {
		a.refuse(e)
	}
	return outcome{err: e, why: "refused"}
}

// finish ends a logon whose last word comes with the first answer.
func (c *conn) finish(ctx context.Context, r *http1.Response, a *attempt) error {
	if !isSuccess(r.Status) && !httpseal.IsSealed(r.Header.Get("Content-Type")) {
		return nil // nothing is decided; the answer is judged by its status
	}
	if !c.done {
		o := readOffers(r.Header.Values("WWW-Authenticate"), c.t.cfg.Mechanism.Scheme())
		_, done, err := c.session.Step(ctx, Leg{Status: r.Status, HasToken: o.found, Token: o.token})
		if err == nil && !done {
			err = errUnproven
		}
		if err != nil {
			return &ResponseError{
				Host: c.t.endpoint.name(), Status: r.Status, Err: c.firstMessage(r.Status).failure(err, false),
			}
		}
	}
	c.open, c.done = false, true
	a.prove()
	c.attempt = nil
	return nil
}

// isXML reports whether a media type is SOAP or other XML.
func isXML(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		media, _, _ = strings.Cut(strings.ToLower(contentType), ";")
	}
	return strings.Contains(media, "xml") || strings.Contains(media, "soap")
}

func containsFold(list []string, s string) bool {
	for _, one := range list {
		if strings.EqualFold(one, s) {
			return true
		}
	}
	return false
}
