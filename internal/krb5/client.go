package krb5

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Tickets are renewed this long before they end, and no ticket is handed out
// that ends sooner than minLeft.
const (
	renewMargin = 5 * time.Minute
	minLeft     = 30 * time.Second
	maxTickets  = 16 << 10 // of services, a few KiB each
)

// ClientConfig is what a client logs on with: a secret, tickets, or both.
type ClientConfig struct {
	Network   *Network
	Principal Principal
	Secret    Secret    // nil: only the tickets
	Tickets   []*Ticket // of a credential cache; copied
	ETypes    []EType   // nil: DefaultETypes

	// FollowKDCClock uses the KDC's clock where it differs from ours by more
	// than half of what is allowed, instead of failing.
	FollowKDCClock bool
	ClockOffset    time.Duration // the KDC's clock minus ours, where it is known

	TicketLifetime, RenewLifetime time.Duration    // 0: 10 h, 7 days
	Now                           func() time.Time // nil: time.Now

	// Reload, if set, reads the credential cache again: when its ticket-granting
	// ticket has ended, somebody may have run kinit meanwhile.
	Reload func() ([]*Ticket, error)

	// Guard, if set, runs each logon with the secret: it can hold others back,
	// and refuse to let a secret be tried that was refused before.
	Guard func(ctx context.Context, logon func(context.Context) error) error
}

// A Client owns a principal's credentials and tickets. It is safe for concurrent
// use. A ticket is fetched once, however many callers wait for it. There is no
// background work: tickets are renewed when they are asked for.
type Client struct {
	cfg ClientConfig

	mu      sync.Mutex
	offset  time.Duration
	tickets map[string]*Ticket
	order   []string // of insertion, for eviction
	flights map[string]*flight
	unasked error // tickets of the cache that were left out for their type
	closed  bool
}

// flight is a ticket being fetched.
type flight struct {
	done   chan struct{}
	ticket *Ticket
	err    error
}

// ErrClosed is returned by a closed Client.
var ErrClosed = errors.New("krb5: client closed")

// A NoTicketError is a client without a secret whose ticket-granting ticket is
// missing or has ended.
type NoTicketError struct {
	Client  Principal
	Expired time.Time // zero: there was none
}

func (e *NoTicketError) Error() string {
	if e.Expired.IsZero() {
		return fmt.Sprintf("krb5: no ticket-granting ticket of %v: run kinit", e.Client)
	}
	return fmt.Sprintf("krb5: the ticket-granting ticket of %v ended at %s: run kinit again", e.Client, e.Expired.Format(time.RFC3339))
}

// NewClient makes a client; it does no I/O.
func NewClient(cfg ClientConfig) (*Client, error) {
	if cfg.Network == nil {
		cfg.Network = &Network{}
	}
	if cfg.ETypes == nil {
		cfg.ETypes = DefaultETypes()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	for _, e := range cfg.ETypes {
		if _, err := e.profile(); err != nil {
			return nil, err
		}
	}
	if len(cfg.Principal.Parts) == 0 {
		return nil, ErrPrincipal
	}
	c := &Client{cfg: cfg, offset: cfg.ClockOffset, tickets: map[string]*Ticket{}, flights: map[string]*flight{}}
	c.take(cfg.Tickets)
	c.cfg.Tickets = nil
	return c, nil
}

// take copies the client's own tickets, as far as their types are allowed; c.mu is
// held, or c is not shared yet.
func (c *Client) take(tickets []*Ticket) {
	for _, t := range tickets {
		if !t.Client.Equal(c.cfg.Principal) {
			continue
		}
		if err := c.allowed(t); err != nil {
			c.unasked = err
			continue
		}
		c.keep(ticketID(t.Server), t.clone())
	}
}

// allowed refuses a ticket whose session key is of a type that was not asked for.
func (c *Client) allowed(t *Ticket) error {
	if slices.Contains(c.cfg.ETypes, t.Key.EType) {
		return nil
	}
	return unasked(t.Key.EType)
}

// noTicket says why a client without a secret has nothing to log on with.
func (c *Client) noTicket() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unasked != nil {
		return c.unasked
	}
	return &NoTicketError{Client: c.cfg.Principal}
}

// reload reads the credential cache again.
func (c *Client) reload() {
	if c.cfg.Reload == nil {
		return
	}
	tickets, err := c.cfg.Reload()
	if err != nil {
		return // what is missing is reported by whoever misses it
	}
	c.mu.Lock()
	c.take(tickets)
	c.mu.Unlock()
	for _, t := range tickets {
		t.wipe()
	}
}

// Principal is the client's name as it was configured.
func (c *Client) Principal() Principal { return c.cfg.Principal }

// Now is the time as the KDC sees it.
func (c *Client) Now() time.Time { return c.now() }

func (c *Client) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cfg.Now().Add(c.offset)
}

func (c *Client) lifetime() time.Duration {
	if c.cfg.TicketLifetime > 0 {
		return c.cfg.TicketLifetime
	}
	return defaultLifetime
}

func (c *Client) renewLife() time.Duration {
	if c.cfg.RenewLifetime > 0 {
		return c.cfg.RenewLifetime
	}
	return defaultRenewLife
}

// Close wipes all keys. Tickets that were handed out are copies and stay.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, t := range c.tickets {
		t.wipe()
	}
	clear(c.tickets)
	c.order = nil
	if c.cfg.Secret != nil {
		c.cfg.Secret.Wipe()
	}
	return nil
}

// TGT returns the ticket-granting ticket of the client's own realm: from the
// cache, by renewal, or by logging on.
func (c *Client) TGT(ctx context.Context) (*Ticket, error) {
	return c.shared(ctx, "tgt", func(ctx context.Context, old *Ticket) (*Ticket, error) {
		if old == nil {
			old = c.importedTGT()
		}
		now := c.now()
		if old != nil && old.valid(now, margin(old)) {
			return old, nil
		}
		if c.cfg.Secret == nil && c.cfg.Reload != nil {
			c.reload()
			if t := c.importedTGT(); t != nil {
				old = t
			}
			if old != nil && old.valid(now, margin(old)) {
				return old, nil
			}
		}
		if old != nil && c.cfg.Secret == nil && old.Flags&FlagRenewable != 0 && old.valid(now, 0) && now.Before(old.RenewTill) {
			if t, err := c.renew(ctx, old); err == nil || !old.valid(now, minLeft) {
				return t, err
			}
		}
		if c.cfg.Secret != nil {
			return c.guardedLogon(ctx)
		}
		if old == nil {
			return nil, c.noTicket()
		}
		if !old.valid(now, minLeft) {
			return nil, &NoTicketError{Client: c.cfg.Principal, Expired: old.EndTime}
		}
		return old, nil
	})
}

// importedTGT looks among the tickets that the client was made with: for that
// of its realm, or the only ticket-granting ticket there is.
func (c *Client) importedTGT() *Ticket {
	c.mu.Lock()
	defer c.mu.Unlock()
	realm := c.cfg.Principal.Realm
	if t := c.tickets[ticketID(tgsName(realm, realm))]; t != nil {
		return t.clone()
	}
	for _, t := range c.tickets {
		if t.Server.isTGS() && t.Server.Parts[1] == t.Server.Realm && t.Client.Equal(c.cfg.Principal) {
			return t.clone()
		}
	}
	return nil
}

func (c *Client) guardedLogon(ctx context.Context) (*Ticket, error) {
	if c.cfg.Guard == nil {
		return c.logon(ctx)
	}
	var t *Ticket
	err := c.cfg.Guard(ctx, func(ctx context.Context) error {
		var err error
		t, err = c.logon(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Ticket returns a ticket for a service, following referrals. With an empty
// realm the service is looked for from the client's own realm, unless the
// configuration's domain_realm section knows better.
func (c *Client) Ticket(ctx context.Context, server Principal) (*Ticket, error) {
	return c.shared(ctx, serviceID(server), func(ctx context.Context, _ *Ticket) (*Ticket, error) {
		if t := c.imported(server); t != nil {
			return t, nil
		}
		var t *Ticket
		err := c.withTGT(ctx, func(tgt *Ticket) error {
			var err error
			t, err = c.serviceTicket(ctx, tgt, server)
			return err
		})
		return t, err
	})
}

// imported finds a service ticket among those that the client was made with.
func (c *Client) imported(server Principal) *Ticket {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.cfg.Now().Add(c.offset)
	for _, id := range c.order {
		if t := c.tickets[id]; isImported(id, t, server) && t.valid(now, minLeft) {
			return t.clone()
		}
	}
	return nil
}

// withTGT runs fn with the ticket-granting ticket. Where the KDC says that the
// ticket has ended or the clocks differ, it is done once more: with a new
// ticket, or with the KDC's time if that is wanted.
func (c *Client) withTGT(ctx context.Context, fn func(*Ticket) error) error {
	tgt, err := c.TGT(ctx)
	if err != nil {
		return err
	}
	err = fn(tgt)
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case (e.Code == ErrTicketExpired || e.Code == ErrTGTRevoked) && c.cfg.Secret != nil:
		c.forget("tgt")
	case e.Code == ErrSkew && c.cfg.FollowKDCClock:
		c.mu.Lock()
		c.offset = e.stime.Sub(c.cfg.Now())
		c.mu.Unlock()
	default:
		return err
	}
	if tgt, err = c.TGT(ctx); err != nil {
		return err
	}
	return fn(tgt)
}
