package winrm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/winrmkit/winrmkit/internal/fileagent"
	"github.com/winrmkit/winrmkit/internal/winpath"
)

const (
	// agentLinger is how long an agent waits for the next request of a Client.
	agentLinger = 10 * time.Second
	// agentIdle is after how long the host ends an agent whose client has gone.
	agentIdle = 3 * time.Minute
	maxIdle   = 4
)

// A fileAgent is the script of package fileagent, running on the host in a shell
// of its own. It does one request at a time.
type fileAgent struct {
	client *Client
	shell  *Shell
	cmd    *Cmd
	kill   context.CancelFunc
	out    *outputPipe
	frames *fileagent.Reader
	buf    []byte // for frames to send
	helper bool   // what it says is fetched only when somebody waits for it
	spent  bool   // it ends by itself

	home  string // asked for when needed
	timer *time.Timer

	waitOnce sync.Once
	waitErr  error
}

// fileAgents are those that wait for a request.
type fileAgents struct {
	mu   sync.Mutex
	idle []*fileAgent

	endings endings
}

// endings counts the agents that are being ended.
type endings struct {
	mu      sync.Mutex
	count   int
	settled chan struct{} // closed when there are none; nil before the first one
}

func (e *endings) begin() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.count++; e.count == 1 {
		e.settled = make(chan struct{})
	}
}

func (e *endings) done() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.count--; e.count == 0 {
		close(e.settled)
	}
}

func (e *endings) wait() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.count == 0 {
		settled := make(chan struct{})
		close(settled)
		return settled
	}
	return e.settled
}

// An AgentError is the failure of the script that works with files on the host.
// Err says what ended it, such as a [*LanguageModeError] or a lost connection.
type AgentError struct{ Err error }

func (e *AgentError) Error() string { return "winrm: file agent on the host: " + strip(e.Err) }

func (e *AgentError) Unwrap() error { return e.Err }

// withAgent calls fn with an agent and the path that name means. The agent goes
// on living if fn succeeds or fails with a FileError.
func (c *Client) withAgent(ctx context.Context, name string, fn func(*fileAgent, winpath.Path) error) error {
	if !c.enter() {
		return ErrClosed
	}
	defer c.leave()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	a := c.agents.take(false)
	if a == nil {
		var err error
		if a, err = c.startAgent(ctx, false); err != nil {
			return err
		}
	}
	return a.work(ctx, func() error {
		p, err := a.resolve(name)
		if err == nil {
			err = fn(a, p)
		}
		return err
	})
}

// work calls fn, which uses the agent, and puts the agent away.
func (a *fileAgent) work(ctx context.Context, fn func() error) error {
	stop := context.AfterFunc(ctx, a.kill)
	err := fn()
	intact := stop()
	var file *FileError
	var local *localError
	switch {
	case !intact && err == nil:
		a.discard() // done just before the context ended
	case !intact:
		a.discard()
		return both(ctx.Err(), err)
	case err == nil, errors.As(err, &file):
		a.client.agents.put(a)
	case errors.As(err, &local) && local.intact:
		a.client.agents.put(a)
		return local.err
	default:
		a.discard()
		if local != nil {
			return local.err
		}
	}
	return err
}

// A localError is an error of this side. When the agent is in the middle of a
// request it is of no more use.
type localError struct {
	err    error
	intact bool
}

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }

func (c *Client) startAgent(ctx context.Context, helper bool) (*fileAgent, error) {
	opts := c.cfg.Shell
	if opts.IdleTimeout == 0 {
		opts.IdleTimeout = agentIdle
	}
	shell, err := c.OpenShell(ctx, opts)
	if err != nil {
		return nil, err
	}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	out := newOutputPipe(2 * fileagent.BlockSize)
	kill := func() {
		cancel()
		out.setOnDemand(false) // its end is wanted
	}
	a := &fileAgent{client: c, shell: shell, kill: kill, out: out}
	a.frames = fileagent.NewReader(a.out, fileagent.MaxReply)
	a.setHelper(helper)
	a.cmd = c.PowerShell(own, fileagent.Script)
	a.cmd.Shell, a.cmd.strict, a.cmd.messages = shell, true, true
	a.cmd.Stdin, a.cmd.Stdout, a.cmd.pipes = http.NoBody, a.out, []io.Closer{a.out.writer()}
	if err := a.cmd.Start(); err != nil {
		cancel()
		return nil, errors.Join(err, shell.Close())
	}
	return a, nil
}

// setHelper says whether the agent helps another one: then no request waits for what
// it says as long as nobody reads it.
func (a *fileAgent) setHelper(on bool) {
	a.helper = on
	a.out.setOnDemand(on)
}

// take returns an idle agent that still runs, nil if there is none. As a helper only
// one will do that was one before: a request may still be waiting for what others
// say, and would take a connection from the copy.
func (p *fileAgents) take(helper bool) *fileAgent {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, kind := range []bool{helper, true} {
		for i := len(p.idle) - 1; i >= 0; i-- {
			a := p.idle[i]
			if a.helper != kind {
				continue
			}
			p.idle = slices.Delete(p.idle, i, i+1)
			if a.timer.Stop() && !a.cmd.run.isDone() {
				a.setHelper(helper)
				return a
			}
			a.discard()
		}
	}
	return nil
}

// put keeps an agent for the next request, for a while.
func (p *fileAgents) put(a *fileAgent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case a.spent:
		a.discard()
		return
	case len(p.idle) >= maxIdle:
		a.retire()
		return
	}
	a.timer = time.AfterFunc(agentLinger, func() {
		p.mu.Lock()
		for i, x := range p.idle {
			if x == a {
				p.idle = append(p.idle[:i], p.idle[i+1:]...)
				break
			}
		}
		p.mu.Unlock()
		a.retire()
	})
	a.buf = nil
	a.cmd.run.stdin.rest()
	p.idle = append(p.idle, a)
}

// retire lets the agent end, in the background.
func (a *fileAgent) retire() { a.end(a.hangUp) }

// hangUp ends the input of the agent, and with that the agent. What it still says is
// fetched.
func (a *fileAgent) hangUp() {
	a.cmd.run.stdin.end()
	a.out.setOnDemand(false)
}

// discard ends the agent at once, in the background.
func (a *fileAgent) discard() { a.end(a.kill) }

func (a *fileAgent) end(begin func()) {
	if !a.client.enter() {
		return // Close ends it
	}
	a.client.agents.endings.begin()
	a.client.goTask(func() {
		defer a.client.agents.endings.done()
		begin()
		_ = a.wait()
		a.kill()
		a.client.noteDeleted(a.shell, a.shell.Close())
	})
	a.client.leave()
}

// settle waits until the agents that are being ended are gone, or as long as that may
// take. It reports false when ctx, or the Client, ends before.
func (c *Client) settle(ctx context.Context) bool {
	t := time.NewTimer(2 * cleanupTimeout)
	defer t.Stop()
	select {
	case <-c.agents.endings.wait():
	case <-t.C:
	case <-ctx.Done():
	case <-c.ctx.Done():
	}
	return ctx.Err() == nil && !c.isClosed()
}

// retireIdle lets the idle agents end.
func (p *fileAgents) retireIdle() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, a := range idle {
		if a.timer.Stop() {
			a.retire()
		}
	}
}

// wait waits for the end of the agent, which is an error while somebody wants
// something of it.
func (a *fileAgent) wait() error {
	a.waitOnce.Do(func() { a.waitErr = a.cmd.Wait() })
	return a.waitErr
}

// broken explains why the agent does not answer.
func (a *fileAgent) broken(err error) error {
	var frame *fileagent.FrameError
	if errors.As(err, &frame) {
		a.kill()
		return &AgentError{Err: err}
	}
	a.hangUp()
	if ended := a.wait(); ended != nil {
		return &AgentError{Err: ended}
	}
	return &AgentError{Err: fmt.Errorf("it has ended: %w", err)}
}

// write sends frames, which go together or not at all.
func (a *fileAgent) write(frames []byte) error {
	if err := a.cmd.run.stdin.put(frames, nil); err != nil {
		return a.broken(err)
	}
	return nil
}

// query sends a request.
func (a *fileAgent) query(q *fileagent.Request) error {
	b, err := fileagent.AppendJSON(a.buf[:0], fileagent.Query, q)
	if err != nil {
		return &localError{err: err, intact: true}
	}
	a.buf = b
	return a.write(b)
}

// next reads a frame. A failure becomes a FileError.
func (a *fileAgent) next(op, path string) (fileagent.Kind, []byte, error) {
	k, content, err := a.frames.Next()
	if err != nil {
		return 0, nil, a.broken(err)
	}
	if k != fileagent.Failure {
		return k, content, nil
	}
	var f fileagent.Error
	if err := a.answer(content, &f); err != nil {
		return 0, nil, err
	}
	return 0, nil, &FileError{Op: op, Path: winpath.Plain(path), Code: uint32(f.Code), Message: f.Message, Type: f.Type}
}

// answer decodes the content of a frame.
func (a *fileAgent) answer(content []byte, v any) error {
	if err := json.Unmarshal(content, v); err != nil {
		a.kill()
		return &AgentError{Err: err}
	}
	return nil
}

// resolve makes a path absolute.
func (a *fileAgent) resolve(name string) (winpath.Path, error) {
	if winpath.IsAbs(name) {
		return winpath.Parse("", name), nil
	}
	if err := a.hello(name); err != nil {
		return winpath.Path{}, err
	}
	return winpath.Parse(a.home, name), nil
}

// hello waits until the agent runs, if it has not been heard of yet.
func (a *fileAgent) hello(name string) error {
	if a.home != "" {
		return nil
	}
	if err := a.query(&fileagent.Request{Op: fileagent.OpHello}); err != nil {
		return err
	}
	_, content, err := a.next("start", name)
	if err != nil {
		return err
	}
	var hello fileagent.Answer
	if err := a.answer(content, &hello); err != nil {
		return err
	}
	a.home = hello.Dir
	return nil
}
