package winrmtest

import (
	"context"
	"io"
	"sync/atomic"
)

// A Handler runs the commands that clients start. It returns the exit code.
type Handler interface {
	ServeCommand(*Proc) uint32
}

// HandlerFunc is a function that is a [Handler].
type HandlerFunc func(*Proc) uint32

// ServeCommand implements [Handler].
func (f HandlerFunc) ServeCommand(p *Proc) uint32 { return f(p) }

// A Signal is what a client sends to a running command.
type Signal string

// The signals that reach a command. Terminate is no signal to it: it ends the
// context of the [Proc].
const (
	CtrlC     Signal = "ctrl_c"
	CtrlBreak Signal = "ctrl_break"
)

// exitControlC is STATUS_CONTROL_C_EXIT, the exit code of a program that ctrl_c
// has ended.
const exitControlC = 0xC000013A

// A Proc is one running command, as its [Handler] sees it.
type Proc struct {
	// Path and Args are the command and its arguments as the client sent them.
	Path string
	Args []string
	// Line is what cmd.exe would see: Path and Args joined by blanks.
	Line string

	// Env is the environment in the form name=value: that of the server with
	// that of the shell on top. A later entry wins.
	Env []string
	// Dir is the working directory that the shell asked for, or "".
	Dir string
	// Codepage is the console's code page, 437 unless the shell asked for another.
	Codepage int
	// NoProfile is WINRS_NOPROFILE of the shell.
	NoProfile bool
	// NoShell is WINRS_SKIP_CMD_SHELL: Path is a program, not a line for cmd.exe.
	NoShell bool
	// Console is WINRS_CONSOLEMODE_STDIN: stdin is a console. Only then does
	// ctrl_c reach the command.
	Console bool

	// Stdin gives what the client sends, then io.EOF. Writing to Stdout and
	// Stderr blocks while the client does not receive.
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer

	// User is the account that runs the command.
	User string
	// Delegated are the credentials with which the command may log on elsewhere,
	// nil when the client has handed none over: those of CredSSP.
	Delegated *Delegated
	// ShellID and CommandID name the command on the wire.
	ShellID, CommandID string

	server   *Server
	ctx      context.Context //nolint:containedctx // a Proc is the lifetime of one command, as exec.Cmd is
	signals  chan Signal
	catching atomic.Bool
	parent   *Proc // of a program in a line that Host runs
}

// Context ends when the command is terminated, its shell deleted or the server
// closed; and on ctrl_c unless [Proc.Signals] has been called.
func (p *Proc) Context() context.Context { return p.ctx }

// Signals returns the signals of the client. A command that has called it
// handles them itself; otherwise they end the command as they end a program
// on Windows.
func (p *Proc) Signals() <-chan Signal {
	for q := p; q != nil; q = q.parent {
		q.catching.Store(true)
	}
	return p.signals
}
