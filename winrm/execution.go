package winrm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/winrmkit/winrmkit/internal/wsmv"
	"github.com/winrmkit/winrmkit/wsman"
)

// An execution is one command on the host, from Command on.
//
// Its goroutines are the receiver, which runs the Receive loop and writes the
// output; with Stdin a reader and a sender; and short ones that signal and clean
// up. Whoever learns first that it is over, the receiver or what gave it up,
// calls finish.
type execution struct {
	client  *Client
	shell   *Shell
	id      string
	console bool
	begun   time.Time

	callerCtx context.Context // the caller's: its end cancels
	ctx       context.Context // its values without its end
	recvCtx   context.Context // ends the receiver
	recvStop  context.CancelCauseFunc
	cancelFn  func() error
	waitDelay time.Duration
	unwatch   []func() bool

	stdout, stderr *output
	stdin          *stdinPump     // nil without Stdin
	script         *scriptStreams // of a script
	strict         bool           // what comes after lost output is of no use
	demand         *outputPipe    // of stdout, if it may be left unread for long
	pipes          []io.Closer

	unconfirmed error // Command was sent, but its answer was lost

	done    chan struct{} // closed by finish
	stopped chan struct{} // closed when the receiver has ended
	cleaned chan struct{} // closed when what an abandoned execution left is cleaned up

	mu          sync.Mutex
	finished    bool
	abandoned   bool
	outcome     outcome
	interrupted error // what ended the context before the command ended
	killed      bool  // terminated because input or output failed
	writeErr    error
	inputErr    error
	lost        int
	lostErr     error
}

// outcome is how a command ended.
type outcome struct {
	done  bool // the host said so
	code  uint32
	known bool  // code is the exit code
	err   error // why it is not known

	detached bool // with its shell: it goes on
}

// start checks the fields and starts the command.
func (c *Cmd) start() (*execution, error) {
	if c.Err != nil {
		return nil, c.Err
	}
	if c.client == nil && c.Shell != nil { // a Cmd of the caller's own making
		c.client = c.Shell.client
	}
	if c.client == nil {
		return nil, ErrNoClient
	}
	if c.ctx == nil {
		c.ctx = context.Background()
	}
	if !c.client.enter() {
		return nil, ErrClosed
	}
	defer c.client.leave()
	var line wsmv.CommandLine
	if c.attach == "" {
		var err error
		if line, err = c.commandLine(); err != nil {
			return nil, fmt.Errorf("winrm: %w", err)
		}
	}
	if _, err := parseEnv(c.Env); err != nil {
		return nil, err
	}
	if c.Shell != nil && (len(c.Env) > 0 || c.Dir != "") {
		return nil, errors.New("winrm: Env and Dir cannot be set for a command in a Shell: they belong to the shell")
	}
	if c.Shell != nil && c.Shell.client != c.client {
		return nil, errors.New("winrm: Shell belongs to another Client")
	}
	// Close ends what waits on behalf of this call, too.
	ctx, cancel := context.WithCancelCause(c.ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.client.ctx, func() { cancel(ErrClosed) })()
	if ctx.Err() != nil {
		return nil, canceled(c.ctx, c.client, nil)
	}
	e, err := c.launch(ctx, line)
	if err != nil {
		if ctx.Err() != nil {
			err = canceled(c.ctx, c.client, err)
		}
		c.client.commandStarted(c.ctx, CommandEvent{Err: err})
		return nil, err
	}
	c.client.commandStarted(c.ctx, CommandEvent{ID: e.id, ShellID: e.shell.id})
	e.begin()
	return e, nil
}

// launch finds a shell and sends Command. A shell that the host has forgotten,
// or that has no more commands to give, is replaced once: then Command provably
// did nothing.
func (c *Cmd) launch(ctx context.Context, line wsmv.CommandLine) (*execution, error) {
	if c.Shell != nil {
		if err := c.Shell.acquire(ctx); err != nil {
			return nil, err
		}
		if c.attach != "" {
			return c.join(ctx, c.Shell)
		}
		e, err := c.command(ctx, c.Shell, line)
		switch {
		case err == nil:
			return e, nil
		case e != nil:
			e.abandonShell()
		default:
			<-c.Shell.turn
		}
		return nil, err
	}
	opts := c.client.cfg.Shell
	opts.Env = append(opts.Env[:len(opts.Env):len(opts.Env)], c.Env...)
	if c.Dir != "" {
		opts.Dir = c.Dir
	}
	p := c.client.pool
	for attempt := 0; ; attempt++ {
		s, err := p.lease(ctx, poolKey(c.Env, c.Dir), opts)
		if err != nil {
			return nil, err
		}
		e, err := c.command(ctx, s, line)
		switch code := faultCode(err); {
		case err == nil:
			return e, nil
		case e != nil:
			e.abandonShell()
			return nil, err
		case code == codeUnknownID || code == codeProfileGone:
			p.discard(s, "broken")
		case code == codeMaxOperations || code == codeOperationsPPQ || code == codeCommandsPPQ:
			if s.ran() < 2 {
				attempt = 1 // a new one would not be better off
			}
			p.discard(s, "recycled")
		default:
			p.put(s)
			return nil, err
		}
		if attempt > 0 {
			return nil, err
		}
	}
}

// ran returns how many commands were started in the shell.
func (s *Shell) ran() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commands
}

// command sends Command. Its id is our choice: when the answer is lost, the
// Receive loop asks the host about it, and Command is not sent again. With an
// error, the execution is returned only if the command may be running.
func (c *Cmd) command(ctx context.Context, s *Shell, line wsmv.CommandLine) (*execution, error) {
	e := c.newExecution(s)
	line.ID = e.id
	s.mu.Lock()
	s.commands++
	s.mu.Unlock()
	var sent atomic.Bool
	var answer wsmv.CommandResponse
	err := s.do(ctx, &wsman.Request{
		Action: wsmv.ActionCommand,
		Resource: wsman.Resource{Options: []wsman.Option{
			{Name: wsmv.OptionConsole, Value: boolOption(e.console)},
			{Name: wsmv.OptionSkipCmd, Value: boolOption(c.NoShell)},
		}},
		Body: line.Encode,
		Sent: func() { sent.Store(true) },
	}, answer.DecodeBody)
	switch {
	case err == nil:
		e.id = answer.ID
		return e, nil
	case ctx.Err() != nil && (sent.Load() || c.client.unsure(err)):
		return e, fmt.Errorf("winrm: start command: %w", err)
	case c.client.unsure(err), faultCode(err) == wsman.ErrTimedOut:
		e.unconfirmed = err
		return e, nil
	}
	if _, answered := errors.AsType[*wsmv.ValueError](err); answered {
		e.unconfirmed = err // an answer without an id: ours is as good
		return e, nil
	}
	return nil, fmt.Errorf("winrm: start command: %w", err)
}

func (c *Cmd) newExecution(s *Shell) *execution {
	e := &execution{
		client: c.client, shell: s, id: wsman.NewGUID(), begun: time.Now(),
		callerCtx: c.ctx, ctx: context.WithoutCancel(c.ctx),
		strict: c.strict, cancelFn: c.Cancel, waitDelay: c.WaitDelay, pipes: c.pipes,
		done: make(chan struct{}), stopped: make(chan struct{}), cleaned: make(chan struct{}),
	}
	stdin, stdout, stderr := c.Stdin, c.Stdout, c.Stderr
	if c.Script != nil {
		e.script = c.scriptStreams()
		stdin, stdout, stderr = c.scriptStdin(), e.script.out(), e.script.err()
	}
	e.console = c.Console == ConsoleOn || c.Console == ConsoleAuto && stdin == nil
	if e.waitDelay == 0 {
		e.waitDelay = DefaultWaitDelay
	}
	e.recvCtx, e.recvStop = context.WithCancelCause(e.ctx)
	utf8 := s.codepage == DefaultCodepage
	e.stdout, e.stderr = newOutput(stdout, utf8), newOutput(stderr, utf8)
	switch {
	case c.messages:
		e.demand, _ = c.Stdout.(*outputPipe)
		e.stdin = newStdinPump(e, nil)
		_ = e.stdin.add(c.frameHead, nil) // it has not ended yet
	case stdin != nil:
		e.stdin = newStdinPump(e, stdin)
	}
	return e
}

// begin starts the goroutines.
func (e *execution) begin() {
	e.client.goTask(e.receiver)
	if e.stdin != nil {
		e.stdin.begin()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.finished {
		e.unwatch = append(e.unwatch,
			context.AfterFunc(e.callerCtx, func() { e.client.goTask(e.interrupt) }),
			context.AfterFunc(e.client.ctx, func() { e.abandon(ErrClosed) }))
	}
}

// receiver receives until the command is over, then puts the shell away.
func (e *execution) receiver() {
	defer close(e.stopped)
	o := e.receive()
	e.stdout.close()
	e.stderr.close()
	e.noteWriteErrors()
	pooled := e.shell.pooled
	if !o.done && e.client.isClosed() {
		o.err = both(ErrClosed, o.err) // Close has deleted the shell under it
	}
	again := pooled && o.done && e.shell.ran() < e.client.cfg.CommandsPerShell
	won := e.finish(o, func() {
		if again {
			e.client.pool.settle(e.shell)
		}
	})
	switch {
	case !won: // given up meanwhile: the shell is not ours any more
	case again:
		e.settle(o)
		e.client.pool.settled(e.shell)
	case pooled && o.done:
		e.client.pool.discard(e.shell, "recycled")
	case pooled:
		e.client.pool.discard(e.shell, "broken")
	default:
		e.settle(o)
	}
}

// settle frees the command on the host and makes the shell available. The
// Signal goes on the connection that carried the end of the command: the next
// command waits for the shell instead of dialling.
func (e *execution) settle(o outcome) {
	s := e.shell
	ctx, cancel := e.client.cleanupContext(e.ctx)
	defer cancel()
	var err error
	// A command whose shell was detached lives on, and the shell may have been
	// attached again since its receiver ended.
	if !o.detached && !s.isDetached() {
		err = s.signal(ctx, e.id, wsmv.SignalTerminate)
	}
	switch {
	case !s.pooled:
		<-s.turn
	case err != nil:
		e.client.pool.discard(s, "broken")
	default:
		e.client.pool.put(s)
	}
}

// finish records the outcome, once. It reports whether the caller was first;
// before, if not nil, is called before anybody learns of the end.
func (e *execution) finish(o outcome, before func()) bool {
	e.mu.Lock()
	if e.finished {
		e.mu.Unlock()
		return false
	}
	e.finished = true
	e.outcome = o
	unwatch := e.unwatch
	if before != nil {
		before()
	}
	e.mu.Unlock()
	for _, stop := range unwatch {
		stop()
	}
	if e.stdin != nil {
		e.stdin.stop()
	}
	for _, p := range e.pipes {
		_ = p.Close()
	}
	close(e.done)
	return true
}

func (e *execution) isDone() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

// grace is how long Wait lets the clean-up of an abandoned command take.
const grace = 500 * time.Millisecond

// wait returns what Cmd.Wait returns.
func (e *execution) wait() error {
	<-e.done
	e.mu.Lock()
	abandoned := e.abandoned
	e.mu.Unlock()
	if abandoned {
		t := time.NewTimer(grace)
		defer t.Stop()
		for _, ch := range []chan struct{}{e.stopped, e.cleaned} {
			select {
			case <-ch:
			case <-t.C:
				t.Reset(0)
			}
		}
	} else if e.stdin != nil {
		<-e.stdin.ended // the last Send tells, soon, whether its bytes arrived
	}
	err := e.result()
	e.client.commandDone(e.ctx, CommandEvent{
		ID: e.id, ShellID: e.shell.id, ExitCode: e.outcome.code, Duration: time.Since(e.begun), Err: err,
	})
	return err
}

// result puts together all that happened.
func (e *execution) result() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var err error
	switch o := e.outcome; {
	case o.known && o.code != 0:
		exit := &ExitError{Code: o.code}
		if err = exit; e.script != nil {
			err = e.script.explain(exit)
		}
	case o.known:
	case e.abandoned:
		err = o.err
	default:
		if _, ok := errors.AsType[*CommandLostError](o.err); ok {
			err = o.err
			break
		}
		err = &ExitMissingError{Err: o.err}
	}
	if e.inputErr != nil {
		err = both(e.inputErr, err)
	}
	if e.writeErr != nil {
		err = both(fmt.Errorf("winrm: write output: %w", e.writeErr), err)
	}
	if e.lost > 0 {
		err = &OutputLostError{Answers: e.lost, Err: e.lostErr, Result: err}
		e.client.cfg.Logger.Warn("winrm: output lost", "command", e.id, "answers", e.lost, "error", e.lostErr)
	}
	if e.interrupted != nil && !errors.Is(err, e.interrupted) {
		err = both(e.interrupted, err)
	}
	return err
}
