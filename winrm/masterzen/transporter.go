package masterzen

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/masterzen/winrm"
	"github.com/masterzen/winrm/soap"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/wsman"
)

const (
	// cleanupTimeout bounds the messages that go out although Options.Context
	// has ended.
	cleanupTimeout = 5 * time.Second
	// A Receive that takes the last connection that polls may have gives it up
	// after lastPoll, and after sharedPoll when others wait for it already.
	lastPoll   = "PT2S"
	sharedPoll = "PT1S"
	// A host that says "nothing yet" within hasty has not waited: the answer is
	// kept back for pace, or masterzen's loop would ask thousands of times a
	// second.
	hasty = 100 * time.Millisecond
	pace  = 250 * time.Millisecond
)

// A transporter carries the messages of one masterzen client, any number at once.
type transporter struct {
	owner *Transports
	link  *link // nil before Transport

	mu     sync.Mutex
	client *wsman.Client // nil before the first message
}

var (
	_ winrm.Transporter = (*transporter)(nil)
	_ io.Closer         = (*transporter)(nil)
)

// Transport reads the endpoint. masterzen calls it once, in
// NewClientWithParameters.
func (t *transporter) Transport(ep *winrm.Endpoint) error {
	if t.link != nil {
		return errors.New("masterzen: the transport belongs to another client already")
	}
	l, err := newLink(ep, t.owner.mech, &t.owner.opts)
	if err != nil {
		return err
	}
	if err := t.owner.adopt(t, l); err != nil {
		return err
	}
	t.link = l
	return nil
}

// Post sends a message and returns the answer. A fault is an error.
func (t *transporter) Post(client *winrm.Client, message *soap.SoapMessage) (string, error) {
	defer runtime.KeepAlive(t)
	m := readMessage(message.String())
	if t.link == nil {
		return "", newError(m.action, errors.New("masterzen: Post before Transport"))
	}
	var params winrm.Parameters
	if client != nil {
		params = client.Parameters
	}
	c, err := t.wsman(&params)
	if err != nil {
		return "", newError(m.action, err)
	}
	ctx, cancel := t.context(m.action)
	defer cancel()

	var answer []byte
	switch m.action {
	case wsman.ActionReceive:
		answer, err = t.receive(ctx, c, m)
	case wsman.ActionSend:
		for _, part := range m.split(params.EnvelopeSize) {
			if answer, err = c.Forward(ctx, []byte(part)); err != nil {
				break
			}
		}
	case wsman.ActionCreate:
		if answer, err = c.Forward(ctx, []byte(m.text)); err == nil {
			answer, err = withShellID(answer)
		}
	default:
		answer, err = c.Forward(ctx, []byte(m.text))
	}
	if err != nil {
		return "", newError(m.action, err)
	}
	return string(answer), nil
}

// Close closes the connections of this one client.
func (t *transporter) Close() error {
	if t.link == nil {
		return nil
	}
	t.owner.drop(t.link)
	return nil
}

// wsman is the client under the transport.
func (t *transporter) wsman(params *winrm.Parameters) (*wsman.Client, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.client != nil {
		return t.client, nil
	}
	c, err := t.link.use(params)
	if err != nil {
		return nil, err
	}
	t.client = c
	return c, nil
}

// context is that of one message. What ends a command goes out in any case.
func (t *transporter) context(action string) (context.Context, context.CancelFunc) {
	ctx := t.owner.opts.Context
	switch action {
	case wsman.ActionReceive:
		ctx = auth.WithPriority(ctx, auth.LongPoll)
	case wsman.ActionSend:
		ctx = auth.WithPriority(ctx, auth.Control)
	case wsman.ActionSignal, wsman.ActionDelete:
		return outlive(auth.WithPriority(ctx, auth.Control), cleanupTimeout)
	}
	return context.WithCancel(ctx)
}

// outlive returns a context that ends a while after its parent.
func outlive(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(context.Cause(parent))
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// receive is one turn of masterzen's loop.
func (t *transporter) receive(ctx context.Context, c *wsman.Client, m message) ([]byte, error) {
	// Long polls leave one connection to the others. More polls than the rest
	// have to take turns.
	spare := t.link.maxConns - 1 - int(t.link.polls.Add(1))
	defer t.link.polls.Add(-1)
	text := m.text
	switch {
	case spare == 0:
		text = m.withTimeout(lastPoll)
	case spare < 0:
		text = m.withTimeout(sharedPoll)
	}
	began := time.Now()
	answer, err := c.Forward(ctx, []byte(text))
	if nothingYet(err) && time.Since(began) < hasty {
		timer := time.NewTimer(pace)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return answer, err
}

// nothingYet reports whether a Receive found neither output nor an end.
func nothingYet(err error) bool { return errors.Is(err, wsman.ErrTimedOut) }

// An Error is a message without an answer that could be handed on. It wraps the
// reason: [*wsman.Fault], [*wsman.StatusError], [*wsman.TimeoutError],
// [*auth.Error], [*auth.ConnectionLostError] and others.
//
// It shows no *url.Error: masterzen takes those that are time-outs for a host
// that has nothing to say, and asks it again for ever.
type Error struct {
	Action string // the last word of the message's action, such as "Receive"
	Err    error
	text   string
}

// newError tells a reason so that masterzen does the right thing. Its loop
// matches words of the text.
func newError(action string, err error) *Error {
	e := &Error{Action: action[strings.LastIndexByte(action, '/')+1:], Err: err}
	text := strings.ReplaceAll(err.Error(), "OperationTimeout", "operation timeout")
	switch {
	case action != wsman.ActionReceive:
	case nothingYet(err):
		text = "OperationTimeout: " + text
	default:
		// Without this word the exit code, which nobody knows, would be 0.
		text += " (unexpected EOF of the output: the exit code is not known)"
	}
	e.text = text
	return e
}

func (e *Error) Error() string { return e.text }

// Is looks at the reason.
func (e *Error) Is(target error) bool { return errors.Is(e.Err, target) }

// As looks at the reason, for anything but a *url.Error.
func (e *Error) As(target any) bool {
	if hidden(target) {
		return false
	}
	return errors.As(e.Err, target)
}
