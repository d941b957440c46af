package winrmtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// Exec is a [Handler] that runs programs of this computer as the user of this
// process: on Windows through cmd.exe, elsewhere through the same model of
// cmd.exe that [Host] has, so that clients quote as they have to for a Windows
// host. Whoever logs on to the server can run anything: it is for tests on the
// loopback.
//
// ctrl_c and ctrl_break reach the process group; a terminated command is killed
// with all its children.
type Exec struct {
	// Dir is where commands start whose shell names no directory; "" is the
	// directory of this process.
	Dir string
}

var _ Handler = (*Exec)(nil)

// ServeCommand implements [Handler].
func (e *Exec) ServeCommand(p *Proc) uint32 {
	stdin, stop, err := e.stdin(p)
	if err != nil {
		fmt.Fprintf(p.Stderr, "winrmtest: %v\r\n", err)
		return 1
	}
	defer stop()
	return e.serve(p, stdin)
}

// stdin is what the client sends as a pipe of the operating system, so that the
// programs of a line share it as they share their console: each takes what it
// reads.
func (e *Exec) stdin(p *Proc) (r *os.File, stop func(), err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	pump := func() {
		_, _ = io.Copy(w, p.Stdin) // ends when the command does: reads fail then
		_ = w.Close()
	}
	if p.server != nil {
		p.server.wait.Go(pump)
	} else {
		go pump()
	}
	return r, func() { _ = r.Close() }, nil
}

// environment implements the interface that Server.environment looks for.
func (e *Exec) environment(string, string) []string { return os.Environ() }

func (e *Exec) dir(p *Proc) string {
	if p.Dir != "" {
		return p.Dir
	}
	if e.Dir != "" {
		return e.Dir
	}
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	return dir
}

// outputDelay is how long output is read on after a program has ended whose
// children hold it open.
const outputDelay = 2 * time.Second

// runProcess runs one program and forwards the signals of the client to it.
func runProcess(ctx context.Context, p *Proc, c *exec.Cmd) uint32 {
	prepare(c)
	c.WaitDelay = outputDelay
	if err := c.Start(); err != nil {
		fmt.Fprintf(p.Stderr, "winrmtest: %v\r\n", err)
		return 1
	}
	signals := p.Signals()
	done := make(chan struct{})
	forwarded := make(chan struct{})
	go func() {
		defer close(forwarded)
		for {
			select {
			case sig := <-signals:
				interrupt(c.Process, sig)
			case <-ctx.Done():
				killTree(c.Process)
				return
			case <-done:
				return
			}
		}
	}()
	err := c.Wait()
	close(done)
	<-forwarded
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return 0
	case errors.As(err, &exit):
		return exitCode(exit.ProcessState)
	}
	return 1
}
