package winrmtest

import (
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/internal/wsmv"
	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/soap"
)

// disconnect is Disconnect: the shell lives on without its client.
func (s *Server) disconnect(c *call) *soap.Fault {
	var body wsmv.Disconnect
	if f := c.decode("Disconnect", body.Decode); f != nil {
		return f
	}
	sh, done, f := s.useShell(c)
	if f != nil {
		return f
	}
	defer done()
	s.shells.mu.Lock()
	defer s.shells.mu.Unlock()
	switch {
	case sh.disconnected:
		return soap.New(soap.DisconnectNotValid, "")
	case body.IdleTimeout != 0 && (body.IdleTimeout < minIdle || body.IdleTimeout > maxIdle):
		return soap.New(soap.IdleTimeoutOutOfBounds, "")
	case body.BufferMode != "" && body.BufferMode != "Block" && body.BufferMode != "Drop":
		return soap.New(soap.InvalidParameter, "")
	}
	if body.IdleTimeout != 0 {
		sh.idle = body.IdleTimeout
		sh.idleTimer.Reset(sh.idle)
	}
	if body.BufferMode != "" {
		sh.bufferMode = body.BufferMode
	}
	sh.disconnected = true
	close(sh.off)
	sh.off = make(chan struct{})
	for _, cmd := range sh.commands {
		cmd.out.setDrop(sh.bufferMode == "Drop")
	}
	return nil
}

// reconnect is Reconnect: the same client session comes back.
func (s *Server) reconnect(c *call) *soap.Fault {
	if f := c.noBody(); f != nil {
		return f
	}
	return s.connectShell(c, func(sh *shell) *soap.Fault {
		switch {
		case !strings.EqualFold(sh.session, c.req.SessionID):
			return soap.New(soap.SessionIDMismatch, "")
		case !sh.disconnected:
			return soap.New(soap.DisconnectNotValid, "")
		}
		return nil
	})
}

// connect is Connect: another client session takes the shell over, or, with a
// CommandId, a command of a shell that it has taken over.
func (s *Server) connect(c *call) *soap.Fault {
	var body wsmv.Connect
	if f := c.decode("Connect", body.Decode); f != nil {
		return f
	}
	if body.CommandID != "" {
		sh, done, f := s.useShell(c)
		if f != nil {
			return f
		}
		defer done()
		if _, f := s.findCommand(sh, body.CommandID); f != nil {
			return f
		}
		wsmv.EncodeEmpty(c.out, "ConnectResponse")
		return nil
	}
	return s.connectShell(c, func(sh *shell) *soap.Fault {
		if !sh.disconnected {
			return soap.New(soap.ShellConnectedElsewhere, "")
		}
		sh.session = c.req.SessionID
		(&wsmv.ConnectResponse{InputStreams: sh.inputs, OutputStreams: sh.outputs}).Encode(c.out)
		return nil
	})
}

// connectShell makes the shell connected again when allow has nothing against.
func (s *Server) connectShell(c *call, allow func(*shell) *soap.Fault) *soap.Fault {
	sh, done, f := s.useShell(c)
	if f != nil {
		return f
	}
	defer done()
	s.shells.mu.Lock()
	defer s.shells.mu.Unlock()
	if f := allow(sh); f != nil {
		return f
	}
	sh.disconnected = false
	sh.used = time.Now()
	for _, cmd := range sh.commands {
		cmd.out.setDrop(false)
	}
	return nil
}
