package winrm

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/winrmkit/winrmkit/internal/cmdline"
	"github.com/winrmkit/winrmkit/internal/powershell"
	"github.com/winrmkit/winrmkit/internal/wsmv"
)

// ConsoleMode says what the standard input of a command is.
type ConsoleMode int

const (
	// ConsoleAuto is a console when Stdin is nil and a pipe otherwise.
	ConsoleAuto ConsoleMode = iota
	// ConsoleOn makes it a console: ctrl_c works, the end of the input does not.
	ConsoleOn
	// ConsoleOff makes it a pipe: the end of the input works, ctrl_c does not.
	ConsoleOff
)

// A Signal is what [Cmd.Signal] can send.
type Signal string

// The signals of WinRM. See [MS-WSMV] section 2.2.4.38.
const (
	CtrlC     Signal = wsmv.SignalCtrlC
	CtrlBreak Signal = wsmv.SignalCtrlBreak
	Terminate Signal = wsmv.SignalTerminate // ends the command at once
)

// DefaultWaitDelay is Cmd.WaitDelay when that is zero.
const DefaultWaitDelay = 5 * time.Second

// A Cmd is a command on the host, being prepared or running. It is made by
// [Client.Command] and its like and cannot be used again after Run, Output or
// CombinedOutput. Its fields and methods are those of os/exec.Cmd, where the two
// worlds have the same.
type Cmd struct {
	// Path is the command: a program that the host finds along its PATH, a
	// command built into cmd.exe, a batch file.
	Path string
	// Args holds the command's arguments, with the command as Args[0].
	Args []string
	// Raw, if not empty, is the command line as it is sent, in place of Path and
	// Args. Nothing in it is quoted.
	Raw string

	// Script, if not nil, makes the command a PowerShell script, in place of Path,
	// Args and Raw. See [Client.PowerShell].
	Script *Script

	// Env holds variables "NAME=value" for the command, besides those of the
	// shell. Commands with an Env or a Dir of their own do not share shells with
	// others. They cannot be set together with Shell.
	Env []string
	// Dir is the working directory, "" for that of the shell.
	Dir string

	// Stdin is the standard input. nil means a console that nobody types at. It
	// may still be read from when Wait returns, if a Read is under way then.
	Stdin io.Reader
	// Stdout and Stderr get the output, as bytes in the shell's code page; with
	// UTF-8, no character is cut between two writes. nil discards it. One
	// goroutine at a time writes, also when both are the same writer. A write
	// that blocks stops the flow of output. When a write fails the command is
	// ended and Wait returns the error.
	Stdout io.Writer
	Stderr io.Writer

	// Shell is the shell to run in, nil for one of the Client's.
	Shell *Shell
	// NoShell starts the program without cmd.exe. Path must be absolute. Windows
	// since Server 2012 R2 is said to ignore it ([MS-WSMV] note 117).
	NoShell bool
	// Console overrides what kind of input Stdin makes.
	Console ConsoleMode

	// Cancel is called when the context ends before the command does. nil sends
	// [CtrlC] to commands with a console and [Terminate] to others.
	Cancel func() error
	// WaitDelay is how long the command may take to end after the context has
	// ended, before it is terminated and its shell deleted. Zero means
	// DefaultWaitDelay, negative no limit.
	WaitDelay time.Duration

	// Err is an error of making the Cmd. Start returns it.
	Err error

	client *Client
	ctx    context.Context
	attach string // the id of the command, when it runs already

	wantJSON  bool              // set by RunJSON
	strict    bool              // lost output ends the command
	messages  bool              // the input comes by stdinPump.put and lend; Stdin is only a sign that there is some
	frame     *powershell.Frame // of Script
	frameHead []byte            // what it reads from stdin

	mu      sync.Mutex
	started bool
	waited  bool
	run     *execution
	pipes   []io.Closer // the sides of pipes that the execution uses
}

// Command returns a command that will run on the host.
//
// By default it runs through cmd.exe, which finds programs along PATH and has
// commands of its own. Arguments reach a program unchanged, whatever they hold.
// A batch file, and a command built into cmd.exe, cannot be given everything:
// then Start returns an error that matches [ErrCannotQuote]. A name without
// extension that is none of Windows' own is taken for a batch file, because it
// may be one; write the extension .exe when it is not.
func (c *Client) Command(name string, args ...string) *Cmd {
	return c.CommandContext(context.Background(), name, args...)
}

// CommandContext is like [Client.Command] with a context. When the context ends
// before the command does, the command is asked to end (see Cmd.Cancel), then
// terminated (see Cmd.WaitDelay). The error of Wait then matches ctx.Err().
func (c *Client) CommandContext(ctx context.Context, name string, args ...string) *Cmd {
	if ctx == nil {
		panic("winrm: nil context")
	}
	return &Cmd{Path: name, Args: append([]string{name}, args...), client: c, ctx: ctx}
}

// String returns the command for people to read. It may hold secrets.
func (c *Cmd) String() string {
	switch {
	case c.Script != nil:
		return c.Script.Text
	case c.Raw != "":
		return c.Raw
	case len(c.Args) < 2:
		return c.Path
	}
	return c.Path + " " + strings.Join(c.Args[1:], " ")
}

// Run starts the command and waits for it. The error is nil if the command ran,
// its output was taken and its exit code is 0, and as described at [Cmd.Wait]
// otherwise.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Start starts the command: when it returns nil, the host has taken it, or the
// host's answer was lost and Wait will tell.
func (c *Cmd) Start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.started {
		return ErrStarted
	}
	c.started = true
	run, err := c.start()
	if err != nil {
		for _, p := range c.pipes {
			_ = p.Close()
		}
		return err
	}
	c.run = run
	return nil
}

// Wait waits for the command to end and for its output to be written.
//
// The error is nil for exit code 0, an [*ExitError] for others and an
// [*ExitMissingError] when there is none. It matches ctx.Err() if the context
// ended before the command did, is an [*OutputLostError] if output got lost, an
// [*InputLostError] if input may have, and wraps what a writer or reader of the
// caller's returned. Where several of these happened, errors.As finds each.
func (c *Cmd) Wait() error {
	c.mu.Lock()
	run, waited := c.run, c.waited
	c.waited = c.waited || run != nil
	c.mu.Unlock()
	switch {
	case run == nil:
		return ErrNotStarted
	case waited:
		return ErrWaited
	}
	return run.wait()
}

// Output runs the command and returns its standard output. When it fails with an
// [*ExitError] and Stderr is nil, that holds what was written there.
func (c *Cmd) Output() ([]byte, error) {
	if c.Stdout != nil {
		return nil, errors.New("winrm: Stdout already set")
	}
	var out lockedBuffer
	c.Stdout = &out
	var stderr *edges
	if c.Stderr == nil {
		stderr = new(edges)
		c.Stderr = stderr
	}
	err := c.Run()
	if stderr != nil {
		if exit, ok := errors.AsType[*ExitError](err); ok {
			exit.Stderr = stderr.Bytes()
		}
	}
	return out.Bytes(), err
}

// CombinedOutput runs the command and returns its standard output and standard
// error, in the order in which the host sent them.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	if c.Stdout != nil {
		return nil, errors.New("winrm: Stdout already set")
	}
	if c.Stderr != nil {
		return nil, errors.New("winrm: Stderr already set")
	}
	var out lockedBuffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

// StdinPipe returns a pipe to the command's standard input. Closing it ends the
// input; when the command ends, writes fail.
func (c *Cmd) StdinPipe() (io.WriteCloser, error) {
	if err := c.unset(c.Stdin != nil, "Stdin"); err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	c.Stdin = r
	c.pipes = append(c.pipes, r)
	return w, nil
}

// StdoutPipe returns a pipe from the command's standard output. It holds a
// limited amount: a command that writes more waits for the pipe to be read, and
// Wait with it. What it holds can still be read after Wait.
func (c *Cmd) StdoutPipe() (io.ReadCloser, error) {
	if err := c.unset(c.Stdout != nil, "Stdout"); err != nil {
		return nil, err
	}
	p := newOutputPipe(pipeSize)
	c.Stdout = p
	c.pipes = append(c.pipes, p.writer())
	return p, nil
}

// StderrPipe returns a pipe from the command's standard error. See
// [Cmd.StdoutPipe]; both should be read at the same time.
func (c *Cmd) StderrPipe() (io.ReadCloser, error) {
	if err := c.unset(c.Stderr != nil, "Stderr"); err != nil {
		return nil, err
	}
	p := newOutputPipe(pipeSize)
	c.Stderr = p
	c.pipes = append(c.pipes, p.writer())
	return p, nil
}

func (c *Cmd) unset(set bool, field string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case set:
		return errors.New("winrm: " + field + " already set")
	case c.started:
		return ErrStarted
	}
	return nil
}

// Signal sends a signal to the running command. It returns os.ErrProcessDone
// when the command has ended.
func (c *Cmd) Signal(sig Signal) error {
	c.mu.Lock()
	run := c.run
	c.mu.Unlock()
	if run == nil {
		return ErrNotStarted
	}
	if run.isDone() {
		return os.ErrProcessDone
	}
	return run.signal(sig)
}

// commandLine returns the body of Command for what the fields say.
func (c *Cmd) commandLine() (wsmv.CommandLine, error) {
	var line wsmv.CommandLine
	var err error
	var args []string
	if len(c.Args) > 0 {
		args = c.Args[1:]
	}
	switch {
	case c.Script != nil:
		line.Command, err = c.scriptLine()
	case c.Raw != "":
		line.Command = c.Raw
	case c.NoShell:
		if !isAbs(c.Path) {
			return line, &PathError{Path: c.Path}
		}
		// The host joins command and arguments with blanks. The path goes alone,
		// as other clients send it: it may be used as the program's name.
		if _, err = cmdline.Program(c.Path, args); err != nil {
			return line, err
		}
		line.Command = c.Path
		var rest string
		if rest, err = cmdline.Arguments(args); rest != "" {
			line.Arguments = []string{rest}
		}
	default:
		// One element with the whole line: nothing is left to join.
		line.Command, err = cmdline.Shell(c.Path, args)
	}
	return line, err
}

// shellLine is a line for cmd.exe.
func shellLine(name string, args []string) (string, error) { return cmdline.Shell(name, args) }

// A PathError says that a command with NoShell has a path that is not absolute.
type PathError struct{ Path string }

func (e *PathError) Error() string {
	return "NoShell needs an absolute path, not " + e.Path
}

// isAbs reports whether a Windows path has a drive or is a UNC path.
func isAbs(p string) bool {
	p = strings.ReplaceAll(p, "/", `\`)
	return strings.HasPrefix(p, `\\`) || len(p) > 2 && p[1] == ':' && p[2] == '\\'
}
