package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/winrmkit/winrmkit/internal/http1"
)

// A conn is socket, security context and sequence numbers in one: none outlives
// the others.
type conn struct {
	t          *Transport
	http       *http1.Conn
	peer       Peer
	session    Session
	authorizer RequestAuthorizer // the session, if it is one
	sealer     Sealer            // the session, if messages are sealed
	attempt    *attempt          // of a logon that the first message finishes
	open       bool              // the first message finishes the logon
	done       bool              // the session said done

	born      time.Time
	idleSince time.Time     // wall clock
	used      time.Time     // when the last message began to leave, wall clock
	gap       time.Duration // between that and the message before
	timer     *time.Timer   // of the pool
	exchanges int
	closed    atomic.Bool
	unhook    func() bool // from the end of the Transport's life
}

// errConnectTimeout is the cause when ConnectTimeout ends a connection attempt.
type errConnectTimeout time.Duration

func (e errConnectTimeout) Error() string {
	return fmt.Sprintf("no connection within %v", time.Duration(e))
}

func (e errConnectTimeout) Timeout() bool { return true }

// A budget is the time that is left to connect. Waiting for others is not
// charged to it.
type budget struct {
	total, left time.Duration
}

func (b *budget) spend(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, b.left, errConnectTimeout(b.total))
	defer cancel()
	start := time.Now()
	err := f(ctx)
	b.left -= time.Since(start)
	return err
}

const connectTries = 3

// errAgain says that a socket was used up before credentials were presented, and
// that another one may do.
var errAgain = errors.New("the server did not take the logon on this connection")

// connect makes a connection and logs on.
func (t *Transport) connect(ctx context.Context) (*conn, error) {
	if refused := t.account.Refused(t.endpoint.name()); refused != nil {
		return nil, refused
	}
	if t.endpoint.scheme == "http" {
		// What this session cannot do is found out before anything is dialled.
		s, err := t.newSession(t.endpoint.peer())
		if err != nil {
			return nil, err
		}
		_ = s.Close()
	}
	left := &budget{total: t.cfg.ConnectTimeout, left: t.cfg.ConnectTimeout}
	var err error
	for range connectTries {
		var c *conn
		if c, err = t.connectOnce(ctx, left); !errors.Is(err, errAgain) {
			return c, err
		}
	}
	return nil, &ConnectionLostError{Host: t.endpoint.name(), Err: err}
}

// connectOnce makes a connection that ends with the Transport.
func (t *Transport) connectOnce(ctx context.Context, left *budget) (*conn, error) {
	c, err := t.openAndLogon(ctx, left)
	if err != nil {
		return nil, err
	}
	// From now on Close ends what the connection carries.
	c.unhook = context.AfterFunc(t.life, func() { _ = c.http.Close() })
	return c, nil
}

// openAndLogon dials outside of the gate, so that a dead host holds up nobody,
// then waits for its turn to log on.
func (t *Transport) openAndLogon(ctx context.Context, left *budget) (*conn, error) {
	var c *conn
	err := left.spend(ctx, func(ctx context.Context) (err error) {
		if c, err = t.open(ctx); err != nil {
			return err
		}
		return t.ask(ctx, c)
	})
	if err != nil {
		c.close("not asked")
		return nil, err
	}
	if c.authorizer != nil {
		return c, nil // each message carries the logon
	}
	start := time.Now()
	a, err := t.account.begin(ctx, t.endpoint.name())
	if err != nil {
		c.close("logon not tried")
		return nil, err
	}
	defer func() {
		if c == nil || !c.open {
			a.inconclusive()
		}
	}()
	if time.Since(start) > time.Second/10 && !c.http.Alive() {
		c.close("closed by the server while waiting")
		c = nil
		return nil, errAgain
	}
	if err := left.spend(ctx, func(ctx context.Context) error { return c.logon(ctx, a) }); err != nil {
		c.close("logon")
		c = nil
		return nil, err
	}
	return c, nil
}

// open dials and starts a session.
func (t *Transport) open(ctx context.Context) (*conn, error) {
	nc, state, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &conn{t: t, http: http1.NewConn(nc), peer: t.endpoint.peer(), born: time.Now()}
	c.peer.TLS = state
	if c.session, err = t.newSession(c.peer); err != nil {
		c.close("no session")
		return nil, err
	}
	c.authorizer, _ = c.session.(RequestAuthorizer)
	if t.seal {
		c.sealer, _ = c.session.(Sealer)
	}
	return c, nil
}

// newSession starts a session that can do what the encryption setting wants.
func (t *Transport) newSession(p Peer) (Session, error) {
	p.Seal = t.seal
	s, err := t.cfg.Mechanism.NewSession(p)
	if err != nil {
		return nil, err
	}
	if _, ok := s.(Sealer); ok || !t.seal {
		return s, nil
	}
	_ = s.Close()
	return nil, &ClearTextError{
		Mechanism: t.cfg.Mechanism.Name(), Host: t.endpoint.name(),
		Remedy: "it cannot encrypt messages: use https, another mechanism, or say EncryptNever",
	}
}

// ask finds out once per endpoint which schemes are offered, for a mechanism
// that does not send its first token unasked ([MS-WSMV] section 3.1.4.1.28).
func (t *Transport) ask(ctx context.Context, c *conn) error {
	m, ok := t.cfg.Mechanism.(Asker)
	if !ok || !m.AskFirst() {
		return nil
	}
	select {
	case t.asking <- struct{}{}:
		defer func() { <-t.asking }()
	case <-ctx.Done():
		return contextError(ctx)
	}
	if t.asked {
		return nil
	}
	l := &logon{trace: t.trace, mech: t.cfg.Mechanism, session: c.session, account: t.account, host: t.endpoint.name()}
	resp, err := c.leg(ctx, "")
	if err != nil {
		return l.lost(ctx, err)
	}
	resp.Body.Release()
	l.status, l.leg = resp.Status, 1
	l.offered = readOffers(resp.Header.Values("WWW-Authenticate"), l.mech.Scheme()).schemes
	if resp.Status != http.StatusUnauthorized || !containsFold(l.offered, l.mech.Scheme()) {
		return l.failure(nil, false)
	}
	t.asked = true
	if resp.Close {
		return errAgain
	}
	return nil
}

// leg sends an empty POST ([MS-WSMV] section 3.1.4.1.28): what is to be
// protected does not leave before it can be.
func (c *conn) leg(ctx context.Context, authorization string) (http1.Response, error) {
	req := &http1.Request{
		Method: http.MethodPost, Target: c.t.path, Host: c.t.endpoint.name(),
		Header: []http1.Field{
			{Name: "User-Agent", Value: c.t.cfg.UserAgent},
			{Name: "Content-Type", Value: "application/soap+xml;charset=UTF-8"},
		},
	}
	if authorization != "" {
		req.Header = append(req.Header, http1.Field{Name: "Authorization", Value: authorization})
	}
	return c.http.Exchange(ctx, req, maxLegBody)
}

// logon authenticates the connection.
func (c *conn) logon(ctx context.Context, a *attempt) error {
	l := &logon{
		trace: c.t.trace, mech: c.t.cfg.Mechanism, session: c.session, account: c.t.account,
		attempt: a, host: c.t.endpoint.name(), seal: c.sealer != nil,
		tls: c.peer.TLS != nil, send: c.leg, alias: &c.t.alias,
	}
	if err := l.run(ctx); err != nil {
		return err
	}
	if c.sealer != nil && !c.sealer.Ready() {
		return l.failure(errNoSeal, false)
	}
	c.open, c.done = l.open, l.done
	if c.open {
		c.attempt = a
	}
	return nil
}

// stale reports whether the context of an idle connection may have been
// dropped, or the peer is gone.
func (c *conn) stale() (reason string) {
	if sinceWall(c.idleSince) >= c.t.cfg.IdleRenewal {
		return "idle"
	}
	if limit := time.Duration(c.t.contextLife.Load()); limit > 0 && sinceWall(c.used) >= limit {
		return "idle"
	}
	var wait time.Duration
	if c.t.hasty.Load() > 0 && c.fresh() {
		c.t.hasty.Add(-1)
		wait = hastyWait
	}
	if !c.http.AliveFor(wait) {
		c.t.closedHastily(c.fresh())
		return "closed by the server"
	}
	return ""
}

// A server that closes right after an answer, and does not say so, may do it when
// the next message is already on its way, and whether that was processed nobody
// knows. Once it is seen, such a server is given time to close.
const (
	hastyGap   = time.Second // closed so soon, it was not for being idle
	hastyWait  = 20 * time.Millisecond
	hastyTimes = 5 // messages in a row that it did not close before: the habit is forgotten
)

// fresh reports whether the connection has carried an answer just now.
func (c *conn) fresh() bool { return !c.idleSince.IsZero() && sinceWall(c.idleSince) < hastyGap }

// closedHastily is told that a connection was closed without a word, and whether
// it had carried an answer just before.
func (t *Transport) closedHastily(fresh bool) {
	if fresh {
		t.hasty.Store(hastyTimes)
	}
}

// sinceWall is how long ago t was by the wall clock, which goes on while a
// computer sleeps; 0 for no time at all.
func sinceWall(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return time.Now().Round(0).Sub(t)
}

// minContextLife keeps a forged 401 from making every message log on anew.
const minContextLife = 5 * time.Second

// contextLost learns from a context that the server dropped, perhaps because
// nothing was sent in it for the time given: the message that finds out is not
// sent again, so that another one should not have to.
func (t *Transport) contextLost(unused time.Duration) {
	life := max(unused/2, minContextLife)
	if known := t.contextLife.Load(); unused > minContextLife && (known == 0 || int64(life) < known) {
		t.contextLife.Store(int64(life))
	}
}

// close ends the connection and its session, once.
func (c *conn) close(reason string) {
	if c == nil || c.closed.Swap(true) {
		return
	}
	if c.unhook != nil {
		c.unhook()
	}
	_ = c.http.Close()
	if c.session != nil {
		_ = c.session.Close()
	}
	c.attempt.inconclusive()
	c.t.trace.closed(ConnInfo{
		Host: c.t.endpoint.name(), Reason: reason, Age: time.Since(c.born), Exchanges: c.exchanges,
	})
}
