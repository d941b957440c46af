package winrmtest

import (
	"context"
	"errors"
	"strings"

	"github.com/winrmkit/winrmkit/internal/wsmv"
	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/soap"
)

// A command is one Command request and the Handler that runs for it.
type command struct {
	id    string
	shell *shell
	proc  *Proc
	out   *outbox
	in    *inbox

	cancel  context.CancelCauseFunc
	done    chan struct{} // closed when the handler has returned
	ended   chan struct{} // closed when the command was terminated or its shell deleted
	code    uint32        // valid after done
	receive chan struct{} // cap 1: held by the Receive that is being answered

	// Under the lock of the shells:
	delivered bool // Done went out
	gone      bool // ended is closed
}

// Causes for the end of a command's context.
var (
	errTerminated = errors.New("winrmtest: the client has terminated the command")
	errCtrlC      = errors.New("winrmtest: ctrl_c")
)

func (s *Server) newCommand(sh *shell, id string, line *wsmv.CommandLine, req *soap.Request) *command {
	ctx, cancel := context.WithCancelCause(s.ctx)
	cmd := &command{
		id: id, shell: sh, cancel: cancel,
		out: newOutbox(orDefault(s.Quotas.PendingOutput, 1<<20)), in: newInbox(orDefault(s.Quotas.PendingInput, 1<<20)),
		done: make(chan struct{}), ended: make(chan struct{}), receive: make(chan struct{}, 1),
	}
	cmd.proc = &Proc{
		Path: line.Command, Args: line.Arguments,
		Line: strings.Join(append([]string{line.Command}, line.Arguments...), " "),
		Env:  sh.env, Dir: sh.dir, Codepage: sh.codepage, NoProfile: sh.noProfile,
		NoShell: req.OptionTrue(wsmv.OptionSkipCmd), Console: req.OptionTrue(wsmv.OptionConsole),
		Stdin: cmd.in, Stdout: outWriter{cmd.out, streamStdout}, Stderr: outWriter{cmd.out, streamStderr},
		User: sh.owner, Delegated: sh.delegated, ShellID: sh.id, CommandID: id,
		server: s, ctx: ctx, signals: make(chan Signal, 8),
	}
	return cmd
}

// start runs the handler. The server waits for it in Close.
func (s *Server) startCommand(cmd *command) {
	s.counters.update(func(st *Stats) { st.Commands++; st.TotalCommands++ })
	s.wait.Go(func() {
		// Deferred, so that a handler that leaves by runtime.Goexit, as
		// testing.T.FailNow does, ends its command too.
		cmd.code = 1
		defer func() {
			cmd.out.close(false)
			cmd.in.close()
			cmd.cancel(nil)
			s.counters.update(func(st *Stats) { st.Commands-- })
			close(cmd.done)
			cmd.out.signal()
		}()
		code := s.handler().ServeCommand(cmd.proc)
		if errors.Is(context.Cause(cmd.proc.ctx), errCtrlC) {
			code = exitControlC
		}
		cmd.code = code
	})
}

// signal hands ctrl_c or ctrl_break to the command.
func (c *command) signal(sig Signal) {
	if !c.proc.catching.Load() {
		c.cancel(errCtrlC)
		return
	}
	select {
	case c.proc.signals <- sig:
	default: // as a console drops what nobody reads
	}
}

// end terminates the command; the caller holds the lock of the shells.
func (c *command) end() {
	if c.gone {
		return
	}
	c.gone = true
	close(c.ended)
	c.cancel(errTerminated)
	c.out.close(true)
	c.in.close()
}

func (c *command) finished() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func (c *command) state() string {
	if c.finished() {
		return "Done"
	}
	return "Running"
}

func orDefault(n, def int) int {
	if n <= 0 {
		return def
	}
	return n
}
