package winrmtest

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/internal/authserver"
	"github.com/winrmkit/winrmkit/internal/httpseal"
)

// defaultContextIdle is how long Windows keeps the security context of a silent
// connection.
const defaultContextIdle = 2 * time.Minute

// A logon is the state of a connection's authentication.
type logon struct {
	mech    *Mechanism // whose context it is; nil without one
	ctx     authserver.Context
	done    bool
	lastUse time.Time
	counted bool // a logon by a per-request mechanism was counted
}

// A verdict is what a request's Authorization header, or the lack of one, led to.
type verdict struct {
	ok     bool
	user   string
	scheme string
	mech   *Mechanism
	sealer authserver.Sealer // non-nil when the context can seal
	early  bool              // the logon is done when the body has been opened, and not before
	token  string            // value of WWW-Authenticate to send with the answer
	refuse *answer           // the 401, when not ok
}

// authenticate decides who sends the request.
func (c *conn) authenticate(ctx context.Context, req *http.Request) verdict {
	word, rest, _ := strings.Cut(strings.TrimSpace(req.Header.Get("Authorization")), " ")
	if word == "" {
		return c.continued(ctx)
	}
	token, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	if err != nil {
		return c.unauthorized("", true)
	}
	if l := &c.logon; l.ctx != nil && !l.done && strings.EqualFold(l.mech.accept.Scheme(), word) {
		return c.step(ctx, l.mech, l.ctx, token, rest != "")
	}
	mech := c.srv.mechanismFor(word, token)
	if mech == nil {
		c.endLogon()
		return c.unauthorized("", true)
	}
	if p, ok := mech.accept.(authserver.PerRequest); ok && p.PerRequest() {
		return c.stepOnce(ctx, mech, token)
	}
	c.endLogon()
	c.logon = logon{mech: mech, ctx: mech.accept.NewContext(c.peer())}
	return c.step(ctx, mech, c.logon.ctx, token, rest != "")
}

// endLogon forgets the connection's logon.
func (c *conn) endLogon() {
	if closer, ok := c.logon.ctx.(io.Closer); ok {
		_ = closer.Close()
	}
	c.logon = logon{}
}

// continued is the verdict on a request without Authorization: the context of
// the connection speaks for it while it is alive. A context that can seal
// before its logon is accepted takes the first sealed message for the rest of
// the logon.
func (c *conn) continued(ctx context.Context) verdict {
	l := &c.logon
	if l.ctx == nil {
		return c.unauthorized("", false)
	}
	if time.Since(l.lastUse) > c.srv.contextIdle() {
		c.endLogon()
		return c.unauthorized("", false)
	}
	sealer := readySealer(l.ctx)
	if !l.done {
		if sealer == nil {
			return c.unauthorized("", false)
		}
		if _, state, _ := l.ctx.Accept(ctx, nil, false); state != authserver.Accepted {
			c.endLogon()
			return c.unauthorized("", true)
		}
	}
	l.lastUse = time.Now()
	return verdict{
		ok: true, user: l.ctx.User(), scheme: l.mech.accept.Scheme(), mech: l.mech,
		sealer: sealer, early: !l.done,
	}
}

// opened is called when the first sealed message of an early logon was opened.
func (c *conn) opened() {
	c.logon.done = true
	c.srv.counters.update(func(s *Stats) { s.Logons++ })
}

// step hands one token to a context that is bound to the connection.
func (c *conn) step(ctx context.Context, mech *Mechanism, actx authserver.Context, token []byte, hasToken bool) verdict {
	c.srv.counters.update(func(s *Stats) { s.HandshakeLegs++ })
	out, state, err := actx.Accept(ctx, token, hasToken)
	value := ""
	if out != nil {
		value = mech.accept.Scheme() + " " + base64.StdEncoding.EncodeToString(out)
	}
	switch state {
	case authserver.Accepted:
		c.logon.done, c.logon.lastUse = true, time.Now()
		c.srv.counters.update(func(s *Stats) { s.Logons++ })
		return verdict{
			ok: true, user: actx.User(), scheme: mech.accept.Scheme(), mech: mech,
			sealer: readySealer(actx), token: value,
		}
	case authserver.Continue:
		c.logon.lastUse = time.Now()
		v := c.unauthorized(value, false)
		v.scheme = mech.accept.Scheme()
		return v
	default:
		c.srv.logf("connection %d: %s logon refused: %v", c.id, mech.accept.Scheme(), err)
		c.endLogon()
		return c.unauthorized(value, true)
	}
}

// stepOnce is the verdict of a mechanism whose header comes with every request.
func (c *conn) stepOnce(ctx context.Context, mech *Mechanism, token []byte) verdict {
	if _, basic := mech.accept.(authserver.Basic); basic && c.tls == nil && !c.srv.config.isTrue(itemAllowUnencrypted) {
		return c.unauthorized("", true)
	}
	actx := mech.accept.NewContext(c.peer())
	_, state, err := actx.Accept(ctx, token, true)
	if state != authserver.Accepted {
		c.srv.logf("connection %d: %s logon refused: %v", c.id, mech.accept.Scheme(), err)
		return c.unauthorized("", true)
	}
	if !c.logon.counted {
		c.logon = logon{counted: true}
		c.srv.counters.update(func(s *Stats) { s.Logons++ })
	}
	return verdict{ok: true, user: actx.User(), scheme: mech.accept.Scheme(), mech: mech}
}

// unauthorized makes the 401: with the token of a logon that goes on, or with
// one header for each scheme that is switched on.
func (c *conn) unauthorized(token string, closing bool) verdict {
	a := &answer{status: http.StatusUnauthorized, header: http.Header{}, close: closing}
	switch {
	case token != "":
		a.header["WWW-Authenticate"] = []string{token}
	default:
		a.header["WWW-Authenticate"] = c.srv.challenges()
	}
	return verdict{refuse: a}
}

func (c *conn) peer() authserver.Peer {
	return authserver.Peer{
		TLS: c.tls, ServerCertificate: c.srv.leafDER(c.tls),
		Local: c.net.LocalAddr(), Remote: c.net.RemoteAddr(), Host: c.srv.Name,
		ChannelBinding: c.srv.bindingLevel(), Accounts: &c.srv.accounts,
	}
}

func readySealer(ctx authserver.Context) authserver.Sealer {
	if s, ok := ctx.(authserver.Sealer); ok && s.Ready() {
		return s
	}
	return nil
}

// windowsFormat writes sealed bodies as Windows does and opens what any client
// sends, OMI's padded messages and WinRb's bare ends among them.
var windowsFormat = httpseal.Format{Tab: true, TrimNUL: true, BareEnd: true}

func sealBody(dst []byte, s authserver.Sealer, contentType string, plain []byte) ([]byte, string, error) {
	return windowsFormat.Seal(dst, s, contentType, plain)
}

func openBody(s authserver.Sealer, contentType string, body []byte) ([]byte, string, error) {
	return windowsFormat.Open(s, contentType, body)
}

// mechanismFor finds the mechanism that is switched on and takes the token.
func (s *Server) mechanismFor(scheme string, token []byte) *Mechanism {
	for i := range s.mechanisms {
		m := &s.mechanisms[i]
		if !strings.EqualFold(m.accept.Scheme(), scheme) || m.setting != "" && !s.config.isTrue(m.setting) {
			continue
		}
		if r, ok := m.accept.(authserver.Recognizer); ok && !r.Recognizes(token) {
			continue
		}
		return m
	}
	return nil
}

// challenges lists the schemes that are switched on, each once.
func (s *Server) challenges() []string {
	var list []string
	seen := make(map[string]bool)
	for _, m := range s.mechanisms {
		value := m.accept.Challenge()
		if value == "" || seen[value] || m.setting != "" && !s.config.isTrue(m.setting) {
			continue
		}
		seen[value] = true
		list = append(list, value)
	}
	return list
}
