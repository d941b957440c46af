// Winrs runs a command on a Windows host and hands on its output and its exit
// code. It is used as winrs.exe is:
//
//	winrs -r host -u DOMAIN\user command arguments
//	winrs -r host -u DOMAIN\user 'one line for cmd.exe'
//	winrs -r host -u DOMAIN\user
//
// One argument is a line that cmd.exe reads as it is. Several are a program and
// its arguments, quoted so that they arrive as they were given. Without a command
// cmd.exe itself is run: an interactive session that takes a line at a time.
//
// Without -r the command goes to a demo host inside this process.
//
// What is piped into winrs reaches the command. Ctrl-C is sent to the command;
// the second one terminates it. The exit status is the command's, or 255 when
// winrs itself fails. Where the operating system keeps eight bits of it, a code
// whose low eight bits are zero becomes 1, so that no failure looks like success.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// exitFailure is the exit status when winrs itself has failed, as with ssh.
const exitFailure = 255

// terminal is what the process was started with.
type terminal struct {
	in       *os.File
	out, err io.Writer
}

func main() {
	os.Exit(winrs(os.Args[1:], terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

func winrs(args []string, term terminal) int {
	o, err := parse(args, term.err)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exitFailure // parse has said why
	}
	ctx := context.Background()
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("not done within -timeout %s", o.timeout))
		defer cancel()
	}
	client, closeClient, err := connect(o, term)
	if err != nil {
		explain(term.err, err)
		return exitFailure
	}
	code, err := run(ctx, client, o, term)
	err = errors.Join(err, closeClient())
	if err != nil {
		explain(term.err, err)
		return exitFailure
	}
	return exitStatus(code, term.err)
}
