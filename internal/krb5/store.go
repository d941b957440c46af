package krb5

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The tickets that a client holds, and how many callers share one fetch of each.

func ticketID(p Principal) string { return p.String() }

// keep stores a ticket; c.mu is held, or c is not shared yet. Of too many the
// oldest service's goes. Ticket-granting tickets stay: there are as many as
// realms, and the one of a credential cache cannot be had again.
func (c *Client) keep(id string, t *Ticket) {
	if old := c.tickets[id]; old == nil {
		c.order = append(c.order, id)
	} else if old != t {
		old.wipe()
	}
	c.tickets[id] = t
	for len(c.order) > maxTickets {
		oldest := slices.IndexFunc(c.order, func(id string) bool { return !c.tickets[id].Server.isTGS() })
		if oldest < 0 {
			return
		}
		c.tickets[c.order[oldest]].wipe()
		delete(c.tickets, c.order[oldest])
		c.order = slices.Delete(c.order, oldest, oldest+1)
	}
}

// drop removes a ticket; c.mu is held.
func (c *Client) drop(id string) {
	if t := c.tickets[id]; t != nil {
		t.wipe()
		delete(c.tickets, id)
		c.order = slices.DeleteFunc(c.order, func(s string) bool { return s == id })
	}
}

// forget drops a ticket that a KDC did not take.
func (c *Client) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(id)
}

// Forget drops the tickets for a service, the client's own and those of users
// that it acts for, so that the next caller fetches a new one: after the server
// said that it cannot decrypt it. The service is named as it was asked for,
// which need not be the name in the ticket.
func (c *Client) Forget(server Principal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, t := range c.tickets {
		if id == serviceID(server) || strings.HasPrefix(id, "proxy ") && strings.HasSuffix(id, " "+ticketID(server)) ||
			isImported(id, t, server) {
			c.drop(id)
		}
	}
}

func serviceID(server Principal) string { return "service " + ticketID(server) }

// isImported reports whether t is a ticket for the server that the client was
// made with.
func isImported(id string, t *Ticket, server Principal) bool {
	return sameParts(t.Server.Parts, server.Parts) && (server.Realm == "" || server.Realm == t.Server.Realm) &&
		id == ticketID(t.Server)
}

// shared returns the ticket of an id, or lets one caller fetch it while the
// others wait. A caller whose ctx ends leaves; if it was the one that fetched,
// the next takes over.
func (c *Client) shared(ctx context.Context, id string, fetch func(context.Context, *Ticket) (*Ticket, error)) (*Ticket, error) {
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return nil, ErrClosed
		}
		now := c.cfg.Now().Add(c.offset)
		old := c.tickets[id]
		if old != nil && old.valid(now, margin(old)) {
			t := old.clone()
			c.mu.Unlock()
			return t, nil
		}
		f := c.flights[id]
		if f == nil {
			f = &flight{done: make(chan struct{})}
			c.flights[id] = f
			if old != nil {
				old = old.clone()
			}
			c.mu.Unlock()
			return c.lead(ctx, id, f, old, fetch)
		}
		c.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, fmt.Errorf("krb5: %w", context.Cause(ctx))
		}
		if f.err == nil {
			return f.ticket.clone(), nil
		}
		if !f.abandoned() {
			return nil, f.err
		}
	}
}

// margin is how long before its end a ticket is renewed: less for short ones.
func margin(t *Ticket) time.Duration {
	if tenth := t.EndTime.Sub(t.StartTime) / 10; tenth < renewMargin {
		return max(tenth, minLeft)
	}
	return renewMargin
}

// abandoned reports that the fetch ended because its caller left.
func (f *flight) abandoned() bool {
	return errors.Is(f.err, context.Canceled) || errors.Is(f.err, context.DeadlineExceeded) || errors.Is(f.err, errLeft)
}

// errLeft marks a fetch whose caller's context ended with a cause of its own.
var errLeft = errors.New("caller left")

// lead fetches for all that wait. An old ticket that still lives is used when it
// cannot be replaced.
func (c *Client) lead(ctx context.Context, id string, f *flight, old *Ticket, fetch func(context.Context, *Ticket) (*Ticket, error)) (*Ticket, error) {
	t, err := fetch(ctx, old)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && old != nil && old.valid(c.cfg.Now().Add(c.offset), minLeft) {
		t, err = old, nil
	}
	delete(c.flights, id)
	if err == nil && c.closed {
		err = ErrClosed
	}
	if err == nil {
		c.keep(id, t)
		f.ticket = t.clone()
	} else if ctx.Err() != nil {
		f.err = fmt.Errorf("%w: %w", errLeft, err)
	} else {
		f.err = err
	}
	close(f.done)
	if err != nil {
		return nil, err
	}
	return t.clone(), nil
}
