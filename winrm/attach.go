package winrm

import (
	"context"
	"errors"
	"fmt"

	"github.com/winrmkit/winrmkit/internal/wsmv"
	"github.com/winrmkit/winrmkit/wsman"
)

// Disconnect detaches the shell from this client: the host keeps it, and the
// command that runs in it, for as long as its idle timeout, until it is connected
// again. Wait returns [ErrDisconnected] then. Command shells of Windows may
// answer that they do not support it ([MS-WSMV] section 3.1.4.15).
func (s *Shell) Disconnect(ctx context.Context) error {
	var body wsmv.Disconnect
	s.detach(true)
	if err := s.do(ctx, &wsman.Request{Action: wsmv.ActionDisconnect, Body: body.Encode}, nil); err != nil {
		s.detach(false)
		return fmt.Errorf("winrm: disconnect shell: %w", err)
	}
	return nil
}

// Reconnect attaches a shell that this client has disconnected. The command that
// runs in it is got hold of by [Shell.Attach].
func (s *Shell) Reconnect(ctx context.Context) error {
	if err := s.do(ctx, &wsman.Request{Action: wsmv.ActionReconnect}, nil); err != nil {
		return fmt.Errorf("winrm: reconnect shell: %w", err)
	}
	s.detach(false)
	return nil
}

// ConnectShell attaches a disconnected shell that another client, or another
// process, has left behind.
func (c *Client) ConnectShell(ctx context.Context, id string) (*Shell, error) {
	if !c.enter() {
		return nil, ErrClosed
	}
	defer c.leave()
	s := &Shell{client: c, id: id, codepage: DefaultCodepage, adopted: true, turn: make(chan struct{}, 1)}
	var body wsmv.Connect
	if err := s.do(ctx, &wsman.Request{Action: wsmv.ActionConnect, Body: body.Encode}, nil); err != nil {
		return nil, fmt.Errorf("winrm: connect shell: %w", err)
	}
	c.setOwn(id, true)
	if !c.keep(s) {
		return nil, errors.Join(ErrClosed, s.Close())
	}
	return s, nil
}

func (s *Shell) detach(detached bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.detached = detached
}

func (s *Shell) isDetached() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.detached
}

// Attach returns a Cmd for a command that runs in the shell already, after
// [Shell.Reconnect] or [Client.ConnectShell]. Its Start starts nothing; Wait
// receives what the host has kept of the output and what comes from then on, and
// learns how the command ends. id is what [Cmd.ID] said when it was started.
func (s *Shell) Attach(ctx context.Context, id string) *Cmd {
	cmd := s.CommandContext(ctx, "")
	cmd.attach = id
	return cmd
}

// join makes the execution of a command that runs already. A shell taken over
// from another client wants to be told that its command is, too.
func (c *Cmd) join(ctx context.Context, s *Shell) (*execution, error) {
	e := c.newExecution(s)
	e.id = c.attach
	if !s.adopted {
		return e, nil
	}
	body := wsmv.Connect{CommandID: e.id}
	if err := s.do(ctx, &wsman.Request{Action: wsmv.ActionConnect, Body: body.Encode}, nil); err != nil {
		<-s.turn
		return nil, fmt.Errorf("winrm: attach command: %w", err)
	}
	return e, nil
}

// ID returns the command's id on the host, "" before Start.
func (c *Cmd) ID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run == nil {
		return ""
	}
	return c.run.id
}
