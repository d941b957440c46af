package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// A Transport is an http.RoundTripper for one endpoint: it logs on, seals, and
// keeps a few authenticated connections. Every connection is one object of
// socket, security context and sequence numbers.
//
// A request is sent a second time only when it provably was not processed: the
// connection failed before its last byte was accepted, or the server answered
// 401 on a connection that was logged on, inside TLS. (Where messages are sealed,
// a 401 in clear may be a forgery, and proves nothing.) Otherwise RoundTrip
// returns a [*ConnectionLostError]. Answers are read whole and verified before RoundTrip
// returns; their body has a method Bytes() []byte, valid until Close.
type Transport struct {
	cfg      TransportConfig
	endpoint endpoint
	scheme   string // as in the URL that NewTransport was given
	hostPort string // as there
	path     string
	tls      *tls.Config
	pins     []pin
	seal     bool
	account  *Logon // nil: the mechanism has none
	trace    *tracer
	pool     *pool

	// The listener, and the proxy, know the mechanism by its other scheme word.
	alias, proxyAlias atomic.Bool

	contextLife atomic.Int64 // a time.Duration: contexts unused for so long are not relied on; 0: not known
	hasty       atomic.Int32 // how many messages more are not sent before the server had its time to close

	asking chan struct{} // holds one: the right to read and set asked
	asked  bool

	life context.Context // ends with Close
	end  context.CancelCauseFunc
}

var _ http.RoundTripper = (*Transport)(nil)

// NewTransport returns a Transport for the endpoint, such as
// https://host:5986/wsman. It does no network I/O.
func NewTransport(rawURL string, cfg *TransportConfig) (*Transport, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("auth: endpoint: " + notURL)
	}
	if u.User != nil {
		return nil, fmt.Errorf("auth: endpoint %s holds credentials: they belong to the Mechanism", u.Redacted())
	}
	t := &Transport{cfg: *cfg, scheme: u.Scheme, hostPort: u.Host, path: u.RequestURI(), asking: make(chan struct{}, 1)}
	if t.endpoint, err = parseEndpoint(u); err != nil {
		return nil, err
	}
	if t.path == "/" {
		t.path = "/wsman"
	}
	if err := t.cfg.complete(); err != nil {
		return nil, err
	}
	if t.tls, err = newTLS(&t.cfg); err != nil {
		return nil, err
	}
	if t.pins, err = parsePins(cfg.Pins); err != nil {
		return nil, err
	}
	t.seal = cfg.Encryption.needed(t.endpoint.scheme)
	t.account = accountOf(cfg.Mechanism)
	t.trace = newTracer(cfg.Trace, cfg.Logger)
	t.life, t.end = context.WithCancelCause(context.Background())
	t.pool = &pool{max: t.cfg.MaxConns, renew: t.cfg.IdleRenewal, onIdle: (*conn).close}
	return t, nil
}

// complete puts the defaults in.
func (cfg *TransportConfig) complete() error {
	switch {
	case cfg.Mechanism == nil:
		return errors.New("auth: no Mechanism; Anonymous is one")
	case cfg.MaxConns == 1 || cfg.MaxConns < 0:
		return errors.New("auth: MaxConns is less than 2: a long poll would block everything else")
	case cfg.PinReplacesChain && len(cfg.Pins) == 0:
		return errors.New("auth: PinReplacesChain without Pins")
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = DefaultMaxConns
	}
	if cfg.ConnectTimeout <= 0 {
		cfg.ConnectTimeout = DefaultConnectTimeout
	}
	if cfg.IdleRenewal <= 0 {
		cfg.IdleRenewal = DefaultIdleRenewal
	}
	if cfg.MaxResponse <= 0 {
		cfg.MaxResponse = DefaultMaxResponse
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = DefaultUserAgent
	}
	return nil
}

// accountOf returns what is known about the account of a mechanism, nil when
// it has none.
func accountOf(m Mechanism) *Logon {
	if a, ok := m.(Accounter); ok {
		return a.Logon()
	}
	return nil
}

// RoundTrip sends one request to the endpoint and returns the verified answer.
// It waits for a connection as long as the request's context lets it.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer func() { _ = req.Body.Close() }()
	}
	if err := t.isOurs(req.URL); err != nil {
		return nil, err
	}
	var m message
	if err := t.readMessage(&m, req); err != nil {
		return nil, err
	}
	defer m.release()
	c := call{t: t, ctx: req.Context()}
	defer c.end()

	resp, err := t.send(&c, &m)
	if err != nil {
		if t.life.Err() != nil && req.Context().Err() == nil && !errors.Is(err, ErrClosed) {
			err = fmt.Errorf("%w: %w", ErrClosed, err)
		}
		return nil, err
	}
	resp.Request = req
	return resp, nil
}

// A call is one RoundTrip. Two things end it: the request's context and Close.
// What uses a connection that is there needs only the former, for the connection
// itself ends with Close. All else gets the context that whole makes.
type call struct {
	t      *Transport
	ctx    context.Context // the request's
	both   context.Context // nil before it is asked for
	cancel context.CancelCauseFunc
	unhook func() bool

	attempt attempt // of a message that carries the logon
}

// whole returns a context that ends with the request's and with Close.
func (c *call) whole() context.Context {
	if c.both == nil {
		ctx, cancel := context.WithCancelCause(c.ctx)
		c.both, c.cancel = ctx, cancel
		c.unhook = context.AfterFunc(c.t.life, func() { cancel(ErrClosed) })
	}
	return c.both
}

// end frees what whole has made.
func (c *call) end() {
	if c.both != nil {
		c.unhook()
		c.cancel(nil)
	}
}

// ended tells why the call is over before its time, nil when it is not.
func (c *call) ended() error {
	for _, ctx := range [...]context.Context{c.ctx, c.t.life} {
		if ctx.Err() != nil {
			return contextError(ctx)
		}
	}
	return nil
}

// send waits for a connection and uses it, and a second one if the message
// provably was not processed on the first.
func (t *Transport) send(c *call, m *message) (*http.Response, error) {
	info := ExchangeInfo{Host: t.endpoint.name(), Priority: priorityOf(c.ctx)}
	s, ok := t.pool.take(info.Priority)
	if !ok {
		start := time.Now()
		var err error
		if s, err = t.pool.acquire(c.whole(), info.Priority); err != nil {
			return nil, err
		}
		info.Waited = time.Since(start)
	}
	keep := false
	defer func() { s.release(keep) }()

	if err := t.ready(c, &s); err != nil {
		return nil, err
	}
	for first := true; ; first = false {
		o := s.conn.exchange(c, m, info)
		if keep = o.keep; !keep {
			s.conn.close(o.why)
			s.conn = nil
		}
		if !o.again || !first {
			return o.resp, o.err
		}
		t.trace.retry(c.ctx, RetryInfo{Host: info.Host, Reason: o.err})
		var err error
		if s.conn, err = t.connect(c.whole()); err != nil {
			return nil, err
		}
	}
}

// ready gives the slot a connection that is logged on and alive.
func (t *Transport) ready(c *call, s *slot) error {
	for s.conn != nil {
		reason := s.conn.stale()
		if reason == "" {
			return nil
		}
		s.conn.close(reason)
		s.conn = s.another()
	}
	var err error
	s.conn, err = t.connect(c.whole())
	return err
}

// isOurs refuses requests for other hosts: the credentials are for one.
func (t *Transport) isOurs(u *url.URL) error {
	if t.life.Err() != nil {
		return ErrClosed
	}
	if u.Scheme == t.scheme && u.Host == t.hostPort {
		return nil // as it was given to NewTransport
	}
	to, err := parseEndpoint(u)
	if err != nil {
		return err
	}
	if to != t.endpoint {
		return fmt.Errorf("auth: request for %s over a transport to %s", to.name(), t.endpoint.name())
	}
	return nil
}

// CloseIdleConnections closes the connections that carry nothing.
func (t *Transport) CloseIdleConnections() { t.pool.closeIdle(false) }

// Close closes all connections, at once. Calls under way return, with errors
// that match [ErrClosed].
func (t *Transport) Close() error {
	t.end(ErrClosed)
	t.pool.closeIdle(true)
	return nil
}

// Waiting returns how many requests wait for a connection. A long poll that is
// about to be sent while others wait should ask to be answered soon.
func (t *Transport) Waiting() int { return t.pool.stats().Waiting }

// Stats is a snapshot of a Transport's connections.
type Stats struct {
	MaxConns int
	Open     int // connections, with those being made
	InUse    int
	Polls    int // of those in use, long polls
	Waiting  int // requests that wait for a connection
}

// Stats returns a snapshot.
func (t *Transport) Stats() Stats { return t.pool.stats() }
