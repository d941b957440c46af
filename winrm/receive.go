package winrm

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/wsmv"
	"github.com/winrmkit/winrmkit/wsman"
)

// Time-outs of Receive. A poll that takes the last connection that polls may
// have gives it up after a while, and soon when somebody waits for it.
const (
	lastPollTimeout   = 2 * time.Second
	sharedPollTimeout = time.Second
)

// maxLost is how many answers in a row may be lost before receiving ends.
const maxLost = 2

// receive runs the Receive loop until the command is done or something other
// than "nothing yet" comes of it.
func (e *execution) receive() outcome {
	var (
		answer wsmv.ReceiveResponse
		poll   = e.newPoll()
		lost   int // answers in a row
		idle   int // faults in a row that came too soon
		out    outage
		heard  bool
	)
	for {
		wanted := e.awaitDemand()
		began := time.Now()
		done, o, err := e.receiveOnce(poll, &answer, wanted)
		switch {
		case err == nil:
			lost, idle, heard, out = 0, 0, true, outage{}
			if done {
				return o
			}
		case e.recvCtx.Err() != nil:
			return outcome{err: context.Cause(e.recvCtx)}
		case e.shell.isDetached():
			return outcome{detached: true, err: both(ErrDisconnected, err)}
		case faultCode(err) == wsman.ErrTimedOut:
			lost, heard, out = 0, true, outage{}
			idle = e.pace(began, idle)
		case unanswered(err):
			// The host has let go of what the answer held. Nothing brings it
			// back, but the rest, and the exit code, are still to be had.
			e.noteLost(err)
			if lost++; lost > maxLost || e.strict {
				return e.unheard(err, heard)
			}
		case out.endure(e.client, err, e.recvCtx.Done()):
			// Nothing was asked, so nothing is lost: the host keeps what the
			// command writes.
		case e.recvCtx.Err() != nil:
			return outcome{err: context.Cause(e.recvCtx)}
		default:
			return e.unheard(err, heard)
		}
	}
}

// unheard is the outcome of a command that is given up because of err. When the
// host has never confirmed that it began, that is told too.
func (e *execution) unheard(err error, heard bool) outcome {
	switch {
	case e.unconfirmed == nil || heard:
		return outcome{err: err}
	case faultCode(err) == codeUnknownID:
		return outcome{err: &CommandLostError{Err: e.unconfirmed, Asked: err}}
	}
	return outcome{err: both(e.unconfirmed, err)}
}

// pace keeps a host that says "nothing yet" without waiting from being asked
// thousands of times a second. It returns the new count of such answers.
func (e *execution) pace(began time.Time, idle int) int {
	if time.Since(began) > 250*time.Millisecond {
		return 0
	}
	delay := min(20*time.Millisecond<<min(idle, 6), time.Second)
	if idle == 0 {
		delay = 0 // once may be the end of a long operation
	}
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-e.recvCtx.Done():
	}
	return idle + 1
}

// keepAlive is how long output that nobody wants yet is not asked for: a request now
// and then keeps the host from deleting the shell as idle.
const keepAlive = time.Minute

// awaitDemand waits until somebody wants the output, or it is time to show the host
// that there is somebody at all: then it reports false.
func (e *execution) awaitDemand() (wanted bool) {
	if e.demand == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(e.recvCtx, keepAlive)
	defer cancel()
	return e.demand.demand(ctx)
}

// A poll is what all Receives of a command have in common.
type poll struct {
	ctx     context.Context
	request wsman.Request
}

func (e *execution) newPoll() *poll {
	body := wsmv.Receive{CommandID: e.id, Streams: wsmv.Stdout + " " + wsmv.Stderr}
	return &poll{
		ctx: auth.WithPriority(e.recvCtx, auth.LongPoll),
		request: wsman.Request{
			Action: wsmv.ActionReceive,
			Resource: wsman.Resource{
				URI:       wsmv.URICmd,
				Selectors: shellSelector(e.shell.id),
				Options:   []wsman.Option{{Name: wsmv.OptionKeepAlive, Value: "TRUE"}},
			},
			Patience: e.client.cfg.OperationTimeout,
			Body:     body.Encode,
		},
	}
}

// receiveOnce is one Receive, and the delivery of what it brought.
func (e *execution) receiveOnce(p *poll, answer *wsmv.ReceiveResponse, wanted bool) (done bool, o outcome, err error) {
	p.request.OperationTimeout = e.client.pollTimeout(e.client.polls.Add(1))
	if !wanted {
		p.request.OperationTimeout = min(p.request.OperationTimeout, sharedPollTimeout)
	}
	resp, err := e.client.wsman.Do(p.ctx, &p.request)
	e.client.polls.Add(-1)
	if err != nil {
		return false, o, err
	}
	defer resp.Close() // the data lies in its buffer
	answer.Reset()
	// The answer is read to its end before anything of it is passed on.
	if err := resp.Body(func(d *wsman.Decoder) error {
		return wsmv.Find(d, "ReceiveResponse", answer.Decode)
	}); err != nil {
		if _, ok := errors.AsType[*wsmv.ValueError](err); ok {
			err = &wsman.ResponseError{Action: wsmv.ActionReceive, Err: err}
		}
		return false, o, err
	}
	e.deliver(answer.Streams)
	// Of several states, one with the exit code counts.
	for i := range answer.States {
		if s := &answer.States[i]; e.concerns(s.CommandID) && s.Done() && !o.known {
			done, o = true, outcome{done: true, code: s.ExitCode, known: s.HasExitCode, err: s.BadExitCode}
		}
	}
	return done, o, nil
}

// deliver writes output in the order in which it came.
func (e *execution) deliver(streams []wsmv.Stream) {
	for i := range streams {
		s := &streams[i]
		if !e.concerns(s.CommandID) || e.isDone() {
			continue
		}
		out := e.stdout
		switch s.Name {
		case wsmv.Stdout:
		case wsmv.Stderr:
			out = e.stderr
		default:
			continue
		}
		out.write(s.Data)
		if s.End {
			out.flush()
		}
		if e.noteWriteErrors() {
			// Go on receiving, so that the command does not hang in its output
			// while it is being ended.
			e.kill()
		}
	}
}

// concerns reports whether a part of an answer is about this command. Its id may
// be left out.
func (e *execution) concerns(id string) bool {
	return id == "" || strings.EqualFold(id, e.id)
}

// noteWriteErrors remembers the first error of a writer. It reports whether
// there is one.
func (e *execution) noteWriteErrors() bool {
	err := e.stdout.err
	if err == nil {
		err = e.stderr.err
	}
	if err == nil {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.writeErr == nil {
		e.writeErr = err
	}
	return true
}

func (e *execution) noteLost(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lost == 0 {
		e.lostErr = err
	}
	e.lost++
}

// pollTimeout is the OperationTimeout of a Receive, when there are so many under
// way with it.
func (c *Client) pollTimeout(polls int64) time.Duration {
	room := int64(c.cfg.MaxConns - 1)
	switch {
	case polls > room || c.transport.Waiting() > 0:
		return min(sharedPollTimeout, c.cfg.OperationTimeout)
	case polls == room:
		return min(lastPollTimeout, c.cfg.OperationTimeout)
	}
	return c.cfg.OperationTimeout
}
