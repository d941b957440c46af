package winrm

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/wsman"
)

// cleanupTimeout bounds what is done after the caller's context has ended:
// signals, the deletion of shells.
const cleanupTimeout = 5 * time.Second

// A Client runs commands on one host. It is safe for concurrent use. It must be
// closed, or shells stay behind on the host until their idle timeout (2 hours
// by default).
type Client struct {
	cfg       Config
	endpoint  string
	transport *auth.Transport
	wsman     *wsman.Client
	pool      *pool

	ctx    context.Context // ends with Close
	cancel context.CancelCauseFunc

	polls  atomic.Int64 // Receives under way or waiting for a connection
	send   sendLimit    // how large a Send may be
	agents fileAgents   // of the file functions

	reached atomic.Bool // the host has answered at least once

	mu     sync.Mutex
	closed bool
	tasks  int                 // goroutines of this Client
	idle   chan struct{}       // closed when a closed Client has no tasks
	left   map[*Shell]error    // shells whose deletion failed, and why
	shells map[*Shell]struct{} // explicit ones, for Close
	own    map[string]struct{} // ids of all shells that this Client has open

	closeOnce sync.Once
	closeErr  error
}

// New returns a Client for the endpoint: "host", "host:port", a URL with or
// without port and path, an IPv6 address in brackets or alone. Without a scheme
// it is http on port 5985, on which messages are sealed; port 5986 means https.
// New does no network I/O.
func New(endpoint string, cfg *Config) (*Client, error) {
	c := &Client{shells: make(map[*Shell]struct{}), own: make(map[string]struct{}), idle: make(chan struct{})}
	if cfg != nil {
		c.cfg = *cfg
	}
	c.cfg.setDefaults()
	var err error
	if c.endpoint, err = parseEndpoint(endpoint); err != nil {
		return nil, err
	}
	if err := c.cfg.Shell.check(); err != nil {
		return nil, err
	}
	tc := &auth.TransportConfig{
		Mechanism:        c.cfg.Auth,
		Encryption:       c.cfg.Encryption,
		TLS:              c.cfg.TLS,
		CAFile:           c.cfg.CAFile,
		Pins:             c.cfg.Pins,
		PinReplacesChain: c.cfg.PinReplacesChain,
		Dial:             c.cfg.Dial,
		Proxy:            c.cfg.Proxy,
		ProxyAuth:        c.cfg.ProxyAuth,
		MaxConns:         c.cfg.MaxConns,
		ConnectTimeout:   c.cfg.ConnectTimeout,
		MaxResponse:      c.cfg.MaxResponse,
		UserAgent:        c.cfg.UserAgent,
		Logger:           c.cfg.Logger,
	}
	if c.cfg.Trace != nil {
		tc.Trace = c.cfg.Trace.Auth
	}
	if c.transport, err = auth.NewTransport(c.endpoint, tc); err != nil {
		return nil, err
	}
	scheme := ""
	if c.cfg.Auth != nil {
		scheme = c.cfg.Auth.Scheme()
	}
	c.wsman, err = wsman.NewClient(c.endpoint, &wsman.Config{
		AuthScheme:       scheme,
		HTTPClient:       &http.Client{Transport: c.transport},
		OperationTimeout: c.cfg.OperationTimeout,
		MaxEnvelopeSize:  c.cfg.MaxEnvelopeSize,
		MaxResponse:      c.cfg.MaxResponse,
		Locale:           c.cfg.Locale,
		Trace:            c.wsmanTrace(),
	})
	if err != nil {
		_ = c.transport.Close()
		return nil, err
	}
	c.send.init(c.cfg.MaxEnvelopeSize, c.forgeable())
	c.pool = newPool(c, c.cfg.MaxShells)
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	return c, nil
}

// WSMan returns the Client's WS-Management client: the door to everything on the
// host that is not a command. It shares the connections and ends with Close.
func (c *Client) WSMan() *wsman.Client { return c.wsman }

// Endpoint returns the URL of the listener.
func (c *Client) Endpoint() string { return c.endpoint }

// Close ends running commands, deletes the shells on the host and closes the
// connections. It waits for all of this, at most about ten seconds. The error
// says that a shell may be left behind.
func (c *Client) Close() error {
	c.closeOnce.Do(c.close)
	return c.closeErr
}

func (c *Client) close() {
	c.mu.Lock()
	c.closed = true
	open := make([]*Shell, 0, len(c.shells))
	for s := range c.shells {
		open = append(open, s)
	}
	again := c.left
	c.left = nil
	c.mu.Unlock()

	// Commands end first: each abandons its own shell.
	c.cancel(ErrClosed)
	var pending []*Shell
	for s := range again {
		s.forgetRemoval()
		pending = append(pending, s)
	}
	for _, s := range append(open, c.pool.close()...) {
		if s.claim() {
			pending = append(pending, s)
		}
	}
	c.deleteAll(pending)

	c.mu.Lock()
	busy := c.tasks > 0
	c.mu.Unlock()
	if busy {
		t := time.NewTimer(2 * cleanupTimeout)
		defer t.Stop()
		select {
		case <-c.idle:
		case <-t.C:
			// What is left hangs in a writer of the caller's.
		}
	}
	_ = c.transport.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for s, err := range c.left {
		if !s.unsure {
			c.closeErr = err // one says enough
		}
	}
}

// maxLeft bounds what is remembered of shells that could not be deleted; the
// host's idle timeout takes those that are forgotten.
const maxLeft = 100

// deleteShell deletes a shell and notes how that went. A Delete that was lost, or
// met a busy host, can be repeated; after Close there is nobody who would do it
// later.
func (c *Client) deleteShell(ctx context.Context, s *Shell, reason string) {
	err := s.remove(ctx, reason)
	if err != nil && faultCode(err) == 0 && c.isClosed() && ctx.Err() == nil {
		s.forgetRemoval()
		err = s.remove(ctx, reason)
	}
	c.noteDeleted(s, err)
}

// noteDeleted is told how the deletion of a shell went. One that failed is tried
// once more by Close; Close returns the error when that fails, too.
func (c *Client) noteDeleted(s *Shell, err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == nil {
		c.left = make(map[*Shell]error)
	}
	if len(c.left) < maxLeft {
		c.left[s] = err
	}
}

// deleteLeft deletes the shells whose deletion failed. It returns an error if that fails
// again because of the connection.
func (c *Client) deleteLeft(ctx context.Context) error {
	if !c.enter() {
		return ErrClosed
	}
	defer c.leave()
	c.mu.Lock()
	left := c.left
	c.left = nil
	c.mu.Unlock()
	var lost error
	for s := range left {
		err := lost
		if err == nil {
			s.forgetRemoval()
			if err = s.remove(ctx, "broken"); err != nil {
				err = fmt.Errorf("winrm: close shell: %w", err)
			}
		}
		if interrupted(err) {
			lost = err
		}
		c.noteDeleted(s, err)
	}
	return lost // a refusal is for Close to tell
}

// deleteAll deletes shells in parallel, as many at a time as there are
// connections.
func (c *Client) deleteAll(shells []*Shell) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, c.cfg.MaxConns)
	for _, s := range shells {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := c.cleanupContext(context.Background())
			defer cancel()
			c.deleteShell(ctx, s, "close")
		})
	}
	wg.Wait()
}

// goTask runs fn on a goroutine that Close waits for. It is called by what Close
// waits for already, or before Close.
func (c *Client) goTask(fn func()) {
	c.mu.Lock()
	c.tasks++
	c.mu.Unlock()
	go func() {
		defer c.leave()
		fn()
	}()
}

// enter begins a call that Close waits for. It reports false when the Client is
// closed.
func (c *Client) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.tasks++
	return true
}

// leave ends what enter or goTask began.
func (c *Client) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tasks--; c.tasks == 0 && c.closed {
		select {
		case <-c.idle:
		default:
			close(c.idle)
		}
	}
}

// cleanupContext is for what must be done although ctx may have ended.
func (c *Client) cleanupContext(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = auth.WithPriority(context.WithoutCancel(ctx), auth.Control)
	return context.WithTimeout(ctx, cleanupTimeout)
}

// setOwn notes that a shell is open, or not any more.
func (c *Client) setOwn(id string, open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if open {
		c.own[strings.ToUpper(id)] = struct{}{}
	} else {
		delete(c.own, strings.ToUpper(id))
	}
}

// owns reports whether this Client has the shell open.
func (c *Client) owns(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.own[strings.ToUpper(id)]
	return ok
}

// isClosed reports whether Close was called.
func (c *Client) isClosed() bool { return c.ctx.Err() != nil }
