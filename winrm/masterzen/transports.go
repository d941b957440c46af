package masterzen

import (
	"errors"
	"runtime"
	"sync"

	"github.com/masterzen/winrm"

	"github.com/winrmkit/winrmkit/auth"
)

// Decorator returns a value for the TransportDecorator of masterzen's Parameters.
// It may serve any number of clients. mech may be nil when the endpoint has a
// client certificate to log on with; opts may be nil.
//
// masterzen's Client has no Close. The connections of one that is no longer
// referred to are closed by the garbage collector; [New] lets the program close
// them itself.
func Decorator(mech auth.Mechanism, opts *Options) func() winrm.Transporter {
	return New(mech, opts).Decorate
}

// Transports own the connections of the masterzen clients that are made with
// their method Decorate. They are safe for concurrent use.
//
//	transports := masterzen.New(mech, nil)
//	defer transports.Close()
//	params.TransportDecorator = transports.Decorate
type Transports struct {
	mech auth.Mechanism
	opts Options

	mu     sync.Mutex
	closed bool
	open   map[*link]struct{}
}

// New returns Transports that log on with the mechanism. It does no network I/O.
// For mech and opts see [Decorator].
func New(mech auth.Mechanism, opts *Options) *Transports {
	t := &Transports{mech: mech, open: make(map[*link]struct{})}
	if opts != nil {
		t.opts = *opts
	}
	t.opts.setDefaults()
	return t
}

// Decorate makes the transport of one client: it is the TransportDecorator. The
// transport is an io.Closer too, for programs that wrap this method to close the
// connections of one client and not of all.
func (t *Transports) Decorate() winrm.Transporter { return &transporter{owner: t} }

// Close closes all connections, at once. Calls under way return, with errors
// that match auth.ErrClosed, and so do all later ones. Shells that are still open
// stay on the host until their idle timeout.
func (t *Transports) Close() error {
	t.mu.Lock()
	t.closed = true
	open := t.open
	t.open = nil
	t.mu.Unlock()
	var errs []error
	for l := range open {
		errs = append(errs, l.conns.Close())
	}
	return errors.Join(errs...)
}

// adopt takes charge of a link, as long as somebody holds its transporter.
func (t *Transports) adopt(tr *transporter, l *link) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		_ = l.conns.Close()
		return auth.ErrClosed
	}
	t.open[l] = struct{}{}
	runtime.AddCleanup(tr, t.drop, l)
	return nil
}

// drop closes the connections of a client that is gone.
func (t *Transports) drop(l *link) {
	t.mu.Lock()
	delete(t.open, l)
	t.mu.Unlock()
	_ = l.conns.Close()
}
