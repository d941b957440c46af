package winrm

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/hostscript"
	"github.com/winrmkit/winrmkit/wsman/config"
)

const (
	defaultLease     = 30 * time.Minute
	minLease         = 2 * time.Minute
	defaultHandshake = 30 * time.Second
	restoreTimeout   = 90 * time.Second
)

// TemporaryCredSSP says how [Client.WithCredSSP] works. Auth is required.
type TemporaryCredSSP struct {
	// Auth is the mechanism of the new session: CredSSP, as package credssp makes
	// it. Its password reaches the host.
	Auth auth.Mechanism
	// Store keeps a note while CredSSP may be on, for [Client.RestoreCredSSP] in a
	// later process. nil keeps none; the lease on the host remains.
	Store CredSSPStore
	// Lease is after how long the host puts the old value back by itself when
	// nothing is heard of this process. It is extended while the function runs.
	// 0 is 30 minutes, less than 2 minutes are 2.
	Lease time.Duration
	// Handshake is how long the new session may take to be accepted: a host needs
	// a moment until the switch works. 0 is 30 s.
	Handshake time.Duration
	// NoSignals leaves os.Interrupt, SIGTERM and SIGHUP alone. Otherwise the first
	// one ends the function's context, so that the old value is put back before
	// the process ends; a second one does to the process what it always does.
	// Signals that the process ignores stay ignored.
	NoSignals bool
	// Progress, if not nil, is told after each step.
	Progress func(CredSSPStep)
}

// A CredSSPStep is a step of [Client.WithCredSSP].
type CredSSPStep string

// The steps in order. A host where CredSSP is on anyway skips all but
// CredSSPUntouched, CredSSPConnected, CredSSPCalled and CredSSPClosed.
const (
	CredSSPNoted     CredSSPStep = "noted"     // the store has the note
	CredSSPLeased    CredSSPStep = "leased"    // the host has the lease, and CredSSP is on
	CredSSPUntouched CredSSPStep = "untouched" // it was on; the note is gone
	CredSSPConnected CredSSPStep = "connected" // the new session is accepted
	CredSSPCalled    CredSSPStep = "called"    // the function has returned
	CredSSPClosed    CredSSPStep = "closed"    // the new session is closed
	CredSSPReleased  CredSSPStep = "released"  // the host has put the value back, unless others need it
	CredSSPVerified  CredSSPStep = "verified"  // read back
	CredSSPForgotten CredSSPStep = "forgotten" // the store has no note any more
)

// A SignalError is a signal that came during [Client.WithCredSSP] and ended the
// function's context. The process is expected to end.
type SignalError struct{ Signal os.Signal }

func (e *SignalError) Error() string { return "winrm: ended by signal: " + e.Signal.String() }

// A CredSSPRestoreError says that the old value of Service\Auth\CredSSP may not
// be back yet. The host puts it back by itself.
type CredSSPRestoreError struct {
	Endpoint string
	ID       string        // of the lease
	Within   time.Duration // at the latest then the host does it
	Err      error
}

func (e *CredSSPRestoreError) Error() string {
	return fmt.Sprintf(`winrm: Service\Auth\CredSSP may still be on at %s (lease %s): %s; `+
		"the host puts it back within %s, RestoreCredSSP at once", e.Endpoint, e.ID, strip(e.Err), e.Within)
}

// Unwrap returns the reason.
func (e *CredSSPRestoreError) Unwrap() error { return e.Err }

// WithCredSSP runs fn with a client that has delegated its credentials to the
// host, so that commands there can reach other hosts. Where the host does not
// accept CredSSP it is switched on for that time and then put back: when fn
// returns, fails or panics, when the context ends, and on SIGINT, SIGTERM and
// SIGHUP.
//
// The client c is the one that switches; it must not be logged on by CredSSP
// itself. What happens:
//
//  1. The store notes what is about to happen.
//  2. One script on the host, under a lock that all such scripts share, takes a
//     lease: a scheduled task that puts the old value back when it is due or the
//     host starts. Then it switches on. Where CredSSP is on and no lease of ours
//     explains it, or where group policy decides, nothing is touched.
//  3. A new session logs on by CredSSP, and fn runs. The lease is extended.
//  4. The session is closed. One script gives the lease back. The one that gives
//     back the last lease puts the old value back, so that programs that do this
//     at the same time do not disturb each other.
//  5. The value is read back, and the note is removed.
//
// A process that is killed leaves the task on the host, and the note. Whatever
// comes first puts the value back: the task, or [Client.RestoreCredSSP].
func (c *Client) WithCredSSP(ctx context.Context, t TemporaryCredSSP, fn func(context.Context, *Client) error) (err error) {
	s, err := newSwitch(c, t)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if !t.NoSignals {
		defer func() { err = withSignal(ctx, err) }()
		defer catchSignals(cancel)()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := s.note(ctx); err != nil {
		return err
	}
	// From here on the host may have changed, whatever we have heard of it.
	defer func() { err = errors.Join(err, s.finish(ctx)) }()
	if err := s.acquire(ctx); err != nil {
		return err
	}
	stop := s.extend(ctx)
	defer stop()
	return s.run(ctx, fn)
}

// withSignal adds the signal that ended a context, if one did, to an error. It was
// taken from the process, which must hear of it although all went well.
func withSignal(ctx context.Context, err error) error {
	cause, ok := errors.AsType[*SignalError](context.Cause(ctx))
	switch _, told := errors.AsType[*SignalError](err); {
	case !ok || told:
		return err
	case err == nil:
		return cause
	}
	return fmt.Errorf("%w: %w", cause, err)
}

// catchSignals makes the first signal end a context. The function returned gives
// the signals back.
func catchSignals(cancel context.CancelCauseFunc) (stop func()) {
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	for _, s := range endSignals {
		if !signal.Ignored(s) { // as by nohup, or in the background of a script
			signal.Notify(signals, s)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(&SignalError{Signal: s})
		case <-done:
		}
	})
	return func() {
		signal.Stop(signals)
		close(done)
		wg.Wait()
	}
}

// A credSSPSwitch is one call of WithCredSSP.
type credSSPSwitch struct {
	TemporaryCredSSP
	c      *Client
	intent CredSSPIntent
	leased bool // the host has said so
	was    bool // the value before the first lease, when leased
	clean  bool // the host has said that there is nothing of us
}

func newSwitch(c *Client, t TemporaryCredSSP) (*credSSPSwitch, error) {
	const scheme = "CredSSP"
	switch {
	case t.Auth == nil || !strings.EqualFold(t.Auth.Scheme(), scheme):
		return nil, errors.New("winrm: TemporaryCredSSP.Auth must be CredSSP, see package credssp")
	case c.cfg.Auth != nil && strings.EqualFold(c.cfg.Auth.Scheme(), scheme):
		return nil, errors.New("winrm: WithCredSSP on a client that is logged on by CredSSP: it could not switch it off again")
	}
	if t.Lease == 0 {
		t.Lease = defaultLease
	}
	t.Lease = max(t.Lease, minLease)
	if t.Handshake <= 0 {
		t.Handshake = defaultHandshake
	}
	if t.Progress == nil {
		t.Progress = func(CredSSPStep) {}
	}
	return &credSSPSwitch{TemporaryCredSSP: t, c: c, intent: CredSSPIntent{
		ID: newLeaseID(), Endpoint: c.endpoint, Created: time.Now().UTC().Round(time.Second), Lease: t.Lease,
	}}, nil
}

func newLeaseID() string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails, see crypto/rand
	return hex.EncodeToString(raw)
}

func (s *credSSPSwitch) note(ctx context.Context) error {
	if s.Store != nil {
		if err := s.Store.Put(ctx, s.intent); err != nil {
			return err
		}
	}
	s.Progress(CredSSPNoted)
	return nil
}

// acquire takes the lease and switches on.
func (s *credSSPSwitch) acquire(ctx context.Context) error {
	st, err := s.c.lease(ctx, hostscript.OpAcquire, s.intent.ID, s.Lease)
	if err != nil {
		_, s.clean = errors.AsType[*notBegunError](err)
		return err
	}
	switch st.State {
	case "leased":
		s.leased, s.was = true, st.Was
		s.Progress(CredSSPLeased)
		return nil
	case "on", "policy":
		s.clean = true
		if !st.On {
			return &config.PolicyError{Item: `Service\Auth\CredSSP`, Value: "false", Want: "true"}
		}
		s.Progress(CredSSPUntouched)
		return nil
	}
	return &HostScriptError{Script: string(hostscript.OpAcquire), Output: "unknown state " + st.State}
}

// extend renews the lease until the function returned has been called. A renewal
// that fails is tried again after a while: the lease has two more thirds to go.
func (s *credSSPSwitch) extend(ctx context.Context) (stop func()) {
	if !s.leased {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(s.Lease / 3)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			st, err := s.c.lease(ctx, hostscript.OpRenew, s.intent.ID, s.Lease)
			if ctx.Err() == nil && (err != nil || st.State != "leased") {
				s.c.cfg.Logger.Warn("winrm: the lease of CredSSP was not extended", "endpoint", s.c.endpoint, "state", st.State, "error", err)
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// run opens the new session and calls the function.
func (s *credSSPSwitch) run(ctx context.Context, fn func(context.Context, *Client) error) (err error) {
	session, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, session.Close())
		s.Progress(CredSSPClosed)
	}()
	s.Progress(CredSSPConnected)
	err = fn(ctx, session)
	s.Progress(CredSSPCalled)
	return err
}

// connect logs on by CredSSP. A host that does not offer it yet, or whose
// connections break while it takes up its new configuration, is asked again for a
// while; a refusal of the credentials is final.
func (s *credSSPSwitch) connect(ctx context.Context) (*Client, error) {
	cfg := s.c.cfg
	cfg.Auth = s.Auth
	deadline := time.Now().Add(s.Handshake)
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 3*time.Second) {
		session, err := New(s.c.endpoint, &cfg)
		if err != nil {
			return nil, err
		}
		_, err = session.WSMan().Identify(ctx)
		if err == nil {
			return session, nil
		}
		_ = session.Close()
		if ctx.Err() != nil || !passing(err) || time.Now().Add(pause).After(deadline) {
			return nil, err
		}
		if !sleepContext(ctx, pause) {
			return nil, context.Cause(ctx)
		}
	}
}

// passing reports whether a logon that failed so may succeed in a moment.
func passing(err error) bool {
	if refused, ok := errors.AsType[*auth.Error](err); ok {
		return !refused.Refused && !offers(refused.Offered, "CredSSP")
	}
	if dial, ok := errors.AsType[*auth.DialError](err); ok {
		return dial.Stage == "dial"
	}
	_, lost := errors.AsType[*auth.ConnectionLostError](err)
	return lost
}

func offers(offered []string, scheme string) bool {
	for _, o := range offered {
		if strings.EqualFold(o, scheme) {
			return true
		}
	}
	return false
}

func sleepContext(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// finish gives the lease back, verifies and forgets. It does so after the
// caller's context has ended, too.
func (s *credSSPSwitch) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoreTimeout)
	defer cancel()
	if !s.clean {
		st, err := s.c.giveBack(ctx, s.intent.ID, !s.leased)
		if err == nil {
			s.Progress(CredSSPReleased)
			err = s.verify(ctx, st)
		}
		if err != nil {
			if a, ok := s.Store.(interface{ Abandon(id string) error }); ok {
				err = errors.Join(err, a.Abandon(s.intent.ID))
			}
			err = &CredSSPRestoreError{Endpoint: s.c.endpoint, ID: s.intent.ID, Within: s.Lease, Err: err}
			s.c.cfg.Logger.Warn(err.Error())
			return err
		}
		s.Progress(CredSSPVerified)
	}
	if s.Store != nil {
		if err := s.Store.Delete(ctx, s.intent.ID); err != nil {
			return err
		}
	}
	s.Progress(CredSSPForgotten)
	return nil
}

// verify reads the value back over WS-Management, unless others still need it. A
// lease that is gone was ended by the host itself, or by somebody's RestoreCredSSP.
func (s *credSSPSwitch) verify(ctx context.Context, st leaseState) error {
	switch {
	case st.State == "restored":
	case st.State == "gone" && s.leased:
		st.Was = s.was
	default:
		return nil
	}
	now, err := config.GetServiceAuth(ctx, s.c.wsman)
	if err != nil {
		return err
	}
	// Somebody else's lease may have begun since; then the value is theirs.
	if now.CredSSP.V != st.Was && now.CredSSP.Source != config.Policy && !s.c.leasedByOthers(ctx) {
		return &config.NotAppliedError{Item: `Service\Auth\CredSSP`, Want: fmt.Sprint(st.Was), Got: now.CredSSP.String()}
	}
	return nil
}

func (c *Client) leasedByOthers(ctx context.Context) bool {
	lines, err := c.script(ctx, hostscript.Call{Op: hostscript.OpLeases})
	return err == nil && len(lines) > 0
}

// giveBack runs the script that gives a lease back, and again if it is not heard
// of: the second time it finds nothing, or does what the first one could not.
func (c *Client) giveBack(ctx context.Context, id string, late bool) (leaseState, error) {
	var first error
	for pause := 500 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		st, err := c.release(ctx, id, late)
		if err == nil {
			return st, nil
		}
		if first == nil {
			first = err
		}
		refused, _ := errors.AsType[*auth.Error](err)
		if errors.Is(err, ErrClosed) || refused != nil && refused.Refused || !sleepContext(ctx, pause) {
			return leaseState{}, first
		}
	}
}
