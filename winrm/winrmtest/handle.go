package winrmtest

import (
	"bytes"
	"compress/gzip"
	"context"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/internal/httpseal"
	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/soap"
)

// handle answers one HTTP request. ok is false when the connection must be
// reset instead.
func (c *conn) handle(ctx context.Context, req *http.Request, x *Exchange) (a *answer, ok bool) {
	if c.refusedUnread(req) {
		a := c.unauthorized("", true).refuse
		x.Time = time.Now()
		return a, true
	}
	limit := c.srv.maxEnvelope()
	body, tooLarge, err := c.readBody(req, wireLimit(limit, req.Header.Get("Content-Type")))
	x.Time = time.Now()
	c.srv.counters.update(func(s *Stats) { s.BytesIn += int64(len(body)) })
	switch {
	case err != nil:
		return nil, false
	case !isEndpoint(req):
		return &answer{status: http.StatusNotFound}, true
	case req.Method != http.MethodPost:
		return &answer{status: http.StatusMethodNotAllowed, header: http.Header{"Allow": {"POST"}}}, true
	case tooLarge:
		return &answer{status: http.StatusRequestEntityTooLarge, close: req.ContentLength > drainLimit}, true
	case len(body) == 0:
		return c.handleLogon(ctx, req, x)
	}
	// Who seals is somebody, whatever he says.
	if strings.EqualFold(req.Header.Get("WSMANIDENTIFY"), "unauthenticated") && !httpseal.IsSealed(req.Header.Get("Content-Type")) {
		return c.handleEnvelope(ctx, req, body, x, verdict{})
	}
	v := c.authenticate(ctx, req)
	x.Scheme, x.User = v.scheme, v.user
	if !v.ok {
		// Windows refuses without a look at the body, and http.sys ends a
		// connection on which a body is left. A logon that goes on is http.sys's own.
		v.refuse.close = v.refuse.close || v.scheme == ""
		return v.refuse, true
	}
	return c.handleBody(ctx, req, body, x, v)
}

// isEndpoint looks at the path; http.sys reserves a prefix.
func isEndpoint(req *http.Request) bool {
	return strings.EqualFold(strings.TrimSuffix(req.URL.Path, "/"), endpointPath)
}

// refusedUnread reports whether a request is refused before its body has been
// asked for: nobody has logged on, and the client waits for leave to send.
func (c *conn) refusedUnread(req *http.Request) bool {
	return expectsContinue(req) && isEndpoint(req) && req.Method == http.MethodPost && c.logon.ctx == nil &&
		req.Header.Get("Authorization") == "" && req.Header.Get("WSMANIDENTIFY") == ""
}

// wireLimit is how long a body may be whose envelope has at most limit bytes:
// sealing adds its frames, 16 KiB pieces of CredSSP the most.
func wireLimit(limit int64, contentType string) int64 {
	if httpseal.IsSealed(contentType) {
		return limit + limit/16 + 4096
	}
	return limit
}

// handleLogon takes a request without body: nothing but authentication.
func (c *conn) handleLogon(ctx context.Context, req *http.Request, x *Exchange) (*answer, bool) {
	x.Action = ActionLogon
	f, ok := c.order(ctx, x)
	if !ok {
		return nil, false
	}
	if f != nil && f.replaces() && !f.Processed {
		return c.ordered(f, x), true
	}
	v := c.authenticate(ctx, req)
	x.Scheme, x.User = v.scheme, v.user
	a := v.refuse
	switch {
	case v.early:
		a = c.unauthorized("", false).refuse
	case v.ok:
		a = &answer{status: http.StatusOK, header: tokenHeader(v.token)}
	}
	if f != nil && f.replaces() {
		a = c.ordered(f, x)
	}
	return c.applied(a, f), true
}

// handleBody takes an authenticated request with a body: opens it when it is
// sealed, and refuses it when it should have been.
func (c *conn) handleBody(ctx context.Context, req *http.Request, body []byte, x *Exchange, v verdict) (*answer, bool) {
	contentType := req.Header.Get("Content-Type")
	if !httpseal.IsSealed(contentType) {
		if v.early {
			return c.unauthorized("", true).refuse, true
		}
		if c.tls == nil && !c.srv.config.isTrue(itemAllowUnencrypted) {
			c.srv.logf("connection %d: clear message where it must be sealed", c.id)
			return &answer{status: http.StatusInternalServerError, header: tokenHeader(v.token)}, true
		}
		v.sealer = nil
		return c.handleEnvelope(ctx, req, body, x, v)
	}
	if v.sealer == nil {
		return &answer{status: http.StatusInternalServerError}, true
	}
	plain, innerType, err := openBody(v.sealer, contentType, body)
	if err != nil {
		c.srv.logf("connection %d: cannot open the message: %v", c.id, err)
		c.endLogon()
		if v.early {
			return c.unauthorized("", true).refuse, true
		}
		return &answer{status: http.StatusInternalServerError, close: true}, true
	}
	if v.early {
		c.opened()
	}
	x.Sealed = true
	if int64(len(plain)) > c.srv.maxEnvelope() {
		return &answer{status: http.StatusRequestEntityTooLarge}, true
	}
	req.Header.Set("Content-Type", innerType)
	return c.handleEnvelope(ctx, req, plain, x, v)
}

// handleEnvelope takes the envelope in clear.
func (c *conn) handleEnvelope(ctx context.Context, req *http.Request, env []byte, x *Exchange, v verdict) (*answer, bool) {
	if c.srv.Record {
		x.Request = bytes.Clone(env)
	}
	if !isSOAP(req.Header.Get("Content-Type")) {
		return &answer{status: http.StatusUnsupportedMediaType, header: tokenHeader(v.token)}, true
	}
	p := c.parse(env, x)
	if v.user == "" && !p.identify() {
		return c.unauthorized("", false).refuse, true
	}
	if c.srv.forgotCookie(req, x.SessionID) {
		return &answer{status: http.StatusBadRequest, header: tokenHeader(v.token)}, true
	}
	f, ok := c.order(ctx, x)
	if !ok {
		return nil, false
	}
	var a *answer
	switch {
	case f != nil && f.replaces() && !f.Processed:
		a = c.ordered(f, x)
	default:
		if req.ContentLength < 0 {
			p.fault = soap.New(soap.NotSupported, "Chunked requests are not supported.")
		}
		a = p.answer(ctx, v, x)
		if f != nil && f.replaces() {
			a = c.ordered(f, x)
		}
	}
	c.addHeaders(a, v.token)
	if a.status != http.StatusUnauthorized && (f == nil || f.Status == 0 || f.Code != 0) {
		a.sealer = v.sealer
	}
	if c.srv.Record {
		x.Response = bytes.Clone(a.body)
	}
	return c.applied(a, f), true
}

// isSOAP goes by the media type alone: clients leave out the quotes of action.
func isSOAP(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), "application/soap+xml")
}

// addHeaders puts the token of a logon and the cookie on an answer.
func (c *conn) addHeaders(a *answer, token string) {
	if a.header == nil {
		a.header = http.Header{}
	}
	if token != "" && a.status != http.StatusUnauthorized {
		a.header["WWW-Authenticate"] = []string{token}
	}
	if c.srv.Cookie {
		a.header["Set-Cookie"] = []string{cookieName + "=" + c.srv.cookie}
	}
}

// forgotCookie reports whether a session that was given the cookie comes without
// it: a balancer in between would not know where to send the request.
func (s *Server) forgotCookie(req *http.Request, session string) bool {
	if !s.Cookie || session == "" {
		return false
	}
	cookie, err := req.Cookie(cookieName)
	_, known := s.sessions.LoadOrStore(session, true)
	return known && (err != nil || cookie.Value != s.cookie)
}

func tokenHeader(token string) http.Header {
	if token == "" {
		return nil
	}
	return http.Header{"WWW-Authenticate": {token}}
}

// order finds the fault for an exchange and does what comes before processing.
// ok is false when the connection is to be reset.
func (c *conn) order(ctx context.Context, x *Exchange) (f *Fault, ok bool) {
	f = c.srv.orders.take(x)
	if f == nil && c.srv.Hook != nil {
		f = c.srv.Hook(x)
	}
	if f == nil {
		return nil, true
	}
	x.Fault = f
	if f.Delay > 0 || f.Drop == Silence {
		watched, stop := c.watch(ctx)
		var after <-chan time.Time
		if f.Drop != Silence {
			timer := time.NewTimer(f.Delay)
			defer timer.Stop()
			after = timer.C
		}
		select {
		case <-after:
			stop()
		case <-watched.Done():
			stop()
			return f, false
		}
	}
	return f, f.Drop != DropBefore
}

// ordered is the answer that a fault gives in place of the server's.
func (c *conn) ordered(f *Fault, x *Exchange) *answer {
	a := &answer{status: f.Status, header: http.Header{}}
	if f.Code != 0 {
		x.Code = f.Code
		a = c.srv.faultAnswer(soap.New(f.Code, ""), x.MessageID, "")
		a.header = http.Header{}
		if f.Status != 0 {
			a.status = f.Status
		}
	}
	if f.Body != nil {
		a.body = f.Body
		if a.contentType == "" {
			a.contentType = http.DetectContentType(f.Body)
		}
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if a.status == http.StatusUnauthorized {
		c.endLogon()
		a.header["WWW-Authenticate"] = c.srv.challenges()
	}
	maps.Copy(a.header, f.Header)
	return a
}

// applied lets a fault change an answer.
func (c *conn) applied(a *answer, f *Fault) *answer {
	if f == nil {
		return a
	}
	a.fault = f
	a.close = a.close || f.Close
	if f.Edit != nil {
		a.body = f.Edit(bytes.Clone(a.body))
	}
	if f.Gzip {
		var buf bytes.Buffer
		w := gzip.NewWriter(&buf)
		_, _ = w.Write(a.body)
		_ = w.Close()
		a.body = buf.Bytes()
		if a.header == nil {
			a.header = http.Header{}
		}
		a.header["Content-Encoding"] = []string{"gzip"}
	}
	return a
}
