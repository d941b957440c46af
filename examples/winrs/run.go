package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/winrmkit/winrmkit/winrm"
)

// run runs the command of o, or a session when there is none, and returns its
// exit code.
func run(ctx context.Context, client *winrm.Client, o *options, term terminal) (uint32, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	cmd, leave, err := o.prepare(ctx, client, term)
	if err != nil {
		return 0, err
	}
	defer leave()
	cmd.Stdout, cmd.Stderr = term.out, term.err
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	stop := forward(cmd, cancel, term.err)
	err = cmd.Wait()
	stop()
	if exit, ok := errors.AsType[*winrm.ExitError](err); ok && !isOther(err, exit) {
		return exit.Code, nil
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = context.Cause(ctx) // what the rest says follows from that
	}
	return 0, err
}

// isOther reports whether err says more than that the command ended with a code:
// an error joined to it, such as lost output.
func isOther(err error, exit *winrm.ExitError) bool {
	return err != error(exit)
}

// prepare makes the command and connects its standard input. leave undoes what
// was done to the terminal.
func (o *options) prepare(ctx context.Context, client *winrm.Client, term terminal) (cmd *winrm.Cmd, leave func(), err error) {
	leave = func() {}
	input := !o.noStdin && piped(term.in)
	switch len(o.command) {
	case 0:
		return o.session(ctx, client, term)
	case 1:
		cmd = client.CommandContext(ctx, "")
		cmd.Raw = o.command[0]
	default:
		cmd = client.CommandContext(ctx, o.command[0], o.command[1:]...)
	}
	if input {
		cmd.Stdin = term.in
	}
	return cmd, leave, nil
}

// session runs cmd.exe on the host and feeds it what is typed. At a terminal the
// host sees a console, so that Ctrl-C interrupts a program and not the session;
// a console has no end of input, so the end of ours becomes "exit".
func (o *options) session(ctx context.Context, client *winrm.Client, term terminal) (cmd *winrm.Cmd, leave func(), err error) {
	leave = func() {}
	cmd = client.CommandContext(ctx, "cmd")
	cmd.Stdin = term.in
	if !isTerminal(term.in) {
		return cmd, leave, nil
	}
	cmd.Stdin = io.MultiReader(&crlf{r: term.in}, strings.NewReader("exit\r\n"))
	cmd.Console = winrm.ConsoleOn
	if o.noEcho {
		if leave, err = echoOff(term.in); err != nil {
			return nil, nil, fmt.Errorf("-noecho: %w", err)
		}
	}
	return cmd, leave, nil
}

// forward hands our signals on: the first Ctrl-C as ctrl_c, the second as the
// end of the command, as SIGTERM is. A third one ends winrs itself.
func forward(cmd *winrm.Cmd, cancel context.CancelCauseFunc, stderr io.Writer) (stop func()) {
	signals := make(chan os.Signal, 3)
	done := make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		interrupted := false
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				if s == os.Interrupt && !interrupted {
					interrupted = true
					if err := cmd.Signal(winrm.CtrlC); err != nil {
						fmt.Fprintln(stderr, "winrs: Ctrl-C:", err)
					}
					continue
				}
				signal.Stop(signals) // from here on they do to winrs what they do to any program
				cancel(fmt.Errorf("ended by %v", s))
				_ = cmd.Signal(winrm.Terminate) // does not wait as the end of the context does; Wait says the rest
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

// exitStatus is the status of this process for the code of the command. Where
// the system keeps eight bits of it, the whole code is shown.
func exitStatus(code uint32, stderr io.Writer) int {
	if runtime.GOOS == "windows" {
		return int(code)
	}
	if code > 0xFF {
		fmt.Fprintf(stderr, "winrs: the command's exit code was %d (0x%08X)\n", code, code)
	}
	return winrm.ExitStatus(code)
}
