package winrm

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/wsmv"
	"github.com/winrmkit/winrmkit/wsman"
)

// ShellOptions say how a remote shell is opened. See [MS-WSMV] section
// 2.2.4.37.
type ShellOptions struct {
	// Env holds variables "NAME=value" that are added to the user's environment.
	Env []string
	// Dir is the working directory, "" for the user's profile.
	Dir string
	// Codepage of the console, 0 for DefaultCodepage (UTF-8).
	Codepage int
	// NoProfile leaves the user's profile unloaded.
	NoProfile bool
	// IdleTimeout is after how long without a request the host deletes the
	// shell: at least a minute. 0 leaves it to the host (2 hours).
	IdleTimeout time.Duration
	// Lifetime is after how long the host deletes it in any case. 0 is never.
	Lifetime time.Duration
	// Name is shown by tools on the host.
	Name string
}

// An EnvError is an entry of an environment that is not NAME=value. It does not
// hold the value, which may be a secret.
type EnvError struct{ Name string }

func (e *EnvError) Error() string {
	return fmt.Sprintf("winrm: environment entry %q is not NAME=value", e.Name)
}

func (o *ShellOptions) check() error {
	_, err := parseEnv(o.Env)
	return err
}

// parseEnv splits an environment. Of entries with the same name the last one
// holds, as in os/exec; Windows compares names without regard to case.
func parseEnv(env []string) ([]wsmv.Variable, error) {
	if len(env) == 0 {
		return nil, nil
	}
	out := make([]wsmv.Variable, 0, len(env))
	index := make(map[string]int, len(env))
	for _, kv := range env {
		name, value, ok := strings.Cut(kv, "=")
		if !ok || name == "" || strings.ContainsRune(name, 0) {
			return nil, &EnvError{Name: name}
		}
		key := strings.ToUpper(name)
		if i, dup := index[key]; dup {
			out[i].Value = value
			continue
		}
		index[key] = len(out)
		out = append(out, wsmv.Variable{Name: name, Value: value})
	}
	return out, nil
}

// A Shell is a remote shell. It runs one command at a time; further ones wait.
// It must be closed.
type Shell struct {
	client   *Client
	id       string
	codepage int
	pooled   bool
	adopted  bool   // opened by another client
	unsure   bool   // whether the host has it: the answer to Create was lost
	key      string // of the pool

	turn chan struct{} // held by the command that runs

	mu       sync.Mutex
	commands int
	claimed  bool // somebody deletes it
	removed  bool // Delete was sent
	detached bool // by Disconnect
}

// OpenShell opens a shell on the host. Commands are run in it by
// [Shell.Command], or by setting Cmd.Shell.
func (c *Client) OpenShell(ctx context.Context, opts ShellOptions) (*Shell, error) {
	if !c.enter() {
		return nil, ErrClosed
	}
	defer c.leave()
	s, err := c.openShell(ctx, opts, false)
	if err != nil {
		return nil, err
	}
	if !c.keep(s) {
		return nil, errors.Join(ErrClosed, s.Close())
	}
	return s, nil
}

// keep remembers an explicit shell for Close.
func (c *Client) keep(s *Shell) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.shells[s] = struct{}{}
	return true
}

func (c *Client) forget(s *Shell) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.shells, s)
}

// openShell sends Create. The shell's id is our choice, so that the host can be
// asked about it when the answer is lost.
func (c *Client) openShell(ctx context.Context, opts ShellOptions, pooled bool) (*Shell, error) {
	env, err := parseEnv(opts.Env)
	if err != nil {
		return nil, err
	}
	codepage := opts.Codepage
	if codepage == 0 {
		codepage = DefaultCodepage
	}
	id := newShellID()
	body := wsmv.Shell{
		ID: id, Name: opts.Name, Environment: env, WorkingDirectory: opts.Dir,
		Lifetime: opts.Lifetime, IdleTimeout: opts.IdleTimeout,
		InputStreams: wsmv.Stdin, OutputStreams: wsmv.Stdout + " " + wsmv.Stderr,
	}
	started := time.Now()
	id, err = c.create(ctx, &wsman.Request{
		Action: wsman.ActionCreate,
		Resource: wsman.Resource{URI: wsmv.URICmd, Options: []wsman.Option{
			{Name: wsmv.OptionNoProfile, Value: boolOption(opts.NoProfile)},
			{Name: wsmv.OptionCodepage, Value: strconv.Itoa(codepage)},
		}},
		Body: body.EncodeCreate,
	}, id)
	c.shellOpened(ctx, ShellEvent{ID: id, Pooled: pooled, Duration: time.Since(started), Err: err})
	if err != nil {
		return nil, fmt.Errorf("winrm: open shell: %w", err)
	}
	c.setOwn(id, true)
	return &Shell{client: c, id: id, codepage: codepage, pooled: pooled, turn: make(chan struct{}, 1)}, nil
}

// create sends Create and returns the id that the host knows the shell by.
//
// When the answer is lost the host is asked for the shell: Create is not
// repeated, and what may be left of it is deleted.
func (c *Client) create(ctx context.Context, req *wsman.Request, id string) (string, error) {
	var created wsmv.Created
	var sent atomic.Bool
	req.Sent = func() { sent.Store(true) }
	resp, err := c.wsman.Do(ctx, req)
	if err == nil {
		err = resp.Body(created.DecodeBody)
		resp.Close()
		if err == nil {
			return created.ShellID, nil
		}
		if _, odd := errors.AsType[*wsmv.ValueError](err); odd {
			err = &wsman.ResponseError{Action: wsman.ActionCreate, Err: err} // no id: ours may be as good
		}
	}
	// The time-out is the host's own: it may still be at it.
	unclear := c.unsure(err) || faultCode(err) == wsman.ErrTimedOut || sent.Load() && ctx.Err() != nil
	if !unclear {
		return id, err
	}
	if ctx.Err() == nil && !c.isClosed() {
		if known, asked := c.hasShell(ctx, id); asked == nil && known {
			return id, nil
		}
	}
	lost := &Shell{client: c, id: id, unsure: true}
	c.goTask(func() {
		ctx, cancel := c.cleanupContext(ctx)
		defer cancel()
		c.deleteShell(ctx, lost, "broken")
	})
	return id, err
}

// hasShell asks the host whether it has a shell.
func (c *Client) hasShell(ctx context.Context, id string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()
	resp, err := c.wsman.Do(ctx, &wsman.Request{
		Action:   wsman.ActionGet,
		Resource: wsman.Resource{URI: wsmv.URIShell, Selectors: shellSelector(id)},
	})
	if err != nil {
		return false, err
	}
	resp.Close()
	return true, nil
}

// ID returns the shell's id on the host.
func (s *Shell) ID() string { return s.id }

// Command returns a command that runs in this shell. See [Client.Command].
func (s *Shell) Command(name string, args ...string) *Cmd {
	return s.CommandContext(context.Background(), name, args...)
}

// CommandContext is like Command with a context. See [Client.CommandContext].
func (s *Shell) CommandContext(ctx context.Context, name string, args ...string) *Cmd {
	cmd := s.client.CommandContext(ctx, name, args...)
	cmd.Shell = s
	return cmd
}

// Close deletes the shell on the host, which ends the command that runs in it.
func (s *Shell) Close() error {
	s.client.forget(s)
	if !s.claim() {
		return nil
	}
	ctx, cancel := s.client.cleanupContext(context.Background())
	defer cancel()
	if err := s.remove(ctx, "close"); err != nil {
		return fmt.Errorf("winrm: close shell: %w", err)
	}
	return nil
}

// claim makes the caller the one that deletes the shell.
func (s *Shell) claim() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claimed {
		return false
	}
	s.claimed = true
	return true
}

// usable reports whether commands may still be started in the shell.
func (s *Shell) usable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.claimed
}

// remove sends Delete, once. That the host does not know the shell is no error.
func (s *Shell) remove(ctx context.Context, reason string) error {
	s.mu.Lock()
	again := s.removed
	s.removed = true
	commands := s.commands
	s.mu.Unlock()
	started := time.Now()
	var err error
	if !again {
		err = s.do(auth.WithPriority(ctx, auth.Control), &wsman.Request{Action: wsman.ActionDelete}, nil)
		if faultCode(err) == codeUnknownID || emptySuccess(err) {
			err = nil
		}
	}
	s.client.setOwn(s.id, false)
	s.client.shellClosed(ctx, ShellEvent{
		ID: s.id, Pooled: s.pooled, Commands: commands, Reason: reason, Duration: time.Since(started), Err: err,
	})
	return err
}

// forgetRemoval lets remove try again.
func (s *Shell) forgetRemoval() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removed = false
}

// acquire waits for the shell to be free.
func (s *Shell) acquire(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
	default:
		select {
		case s.turn <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.client.ctx.Done():
			return ErrClosed
		}
	}
	if s.client.isClosed() {
		<-s.turn
		return ErrClosed
	}
	if !s.usable() {
		<-s.turn
		return ErrShellClosed
	}
	return nil
}

// do sends a request about this shell. The request may be used again.
func (s *Shell) do(ctx context.Context, req *wsman.Request, body func(*wsman.Decoder) error) error {
	req.Resource.URI = wsmv.URICmd
	if req.Resource.Selectors == nil {
		req.Resource.Selectors = shellSelector(s.id)
	}
	resp, err := s.client.wsman.Do(ctx, req)
	if err != nil {
		return err
	}
	defer resp.Close()
	if body == nil {
		body = func(d *wsman.Decoder) error { return d.Skip() }
	}
	return resp.Body(body)
}

// signal sends a signal to a command. That the command is gone is no error.
func (s *Shell) signal(ctx context.Context, command, code string) error {
	body := wsmv.Signal{CommandID: command, Code: code}
	err := s.do(auth.WithPriority(ctx, auth.Control), &wsman.Request{Action: wsmv.ActionSignal, Body: body.Encode}, nil)
	if faultCode(err) == codeUnknownID || emptySuccess(err) {
		return nil
	}
	return err
}

func shellSelector(id string) []wsman.Selector {
	return []wsman.Selector{{Name: wsmv.SelectorShellID, Value: id}}
}

func boolOption(b bool) string {
	if b {
		return "TRUE"
	}
	return "FALSE"
}
