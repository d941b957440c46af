//go:build unix

package winrmtest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/cmdexe"
)

func (e *Exec) serve(p *Proc, stdin *os.File) uint32 {
	if p.NoShell {
		c := exec.Command(p.Path, splitArgs(strings.TrimPrefix(p.Line, p.Path))...) //nolint:gosec // what Exec is for
		c.Env, c.Dir = p.Env, e.dir(p)
		c.Stdin, c.Stdout, c.Stderr = stdin, p.Stdout, p.Stderr
		return runProcess(p.Context(), p, c)
	}
	sh := &cmdexe.Shell{
		Env: cmdexe.NewEnv(p.Env), Dir: e.dir(p), Stdin: stdin, Stdout: p.Stdout, Stderr: p.Stderr,
		Open: openFile,
		Run:  func(ctx context.Context, c *cmdexe.Call) (uint32, bool) { return runLocal(ctx, p, c) },
		Override: func(c *cmdexe.Call) (uint32, bool) {
			switch strings.ToLower(c.Name) {
			case "cd", "chdir":
				return changeLocalDir(c), true
			case "type":
				return typeLocal(c), true
			}
			return 0, false
		},
	}
	return sh.Execute(p.Context(), p.Line)
}

// openFile opens the target of a redirection, relative to the shell's directory.
func openFile(dir, name, op string) (io.ReadWriteCloser, error) {
	flags := os.O_RDONLY
	switch op {
	case ">":
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	case ">>":
		flags = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	return os.OpenFile(inDir(dir, name), flags, 0o600)
}

func inDir(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

func runLocal(ctx context.Context, p *Proc, call *cmdexe.Call) (uint32, bool) {
	name := call.Name
	if strings.Contains(name, "/") {
		name = inDir(call.Shell.Dir, name)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return 0, false
	}
	c := exec.Command(path, splitArgs(call.Tail)...) //nolint:gosec // what Exec is for
	c.Env, c.Dir = call.Shell.List(), call.Shell.Dir
	c.Stdin, c.Stdout, c.Stderr = call.Stdin, call.Stdout, call.Stderr
	return runProcess(ctx, p, c), true
}

func changeLocalDir(c *cmdexe.Call) uint32 {
	arg := strings.Trim(strings.TrimSpace(c.Tail), `"`)
	if arg == "" {
		fmt.Fprintf(c.Stdout, "%s\r\n", c.Shell.Dir)
		return 0
	}
	dir := inDir(c.Shell.Dir, arg)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		fmt.Fprint(c.Stderr, "The system cannot find the path specified.\r\n")
		return 1
	}
	c.Shell.Dir = dir
	return 0
}

func typeLocal(c *cmdexe.Call) uint32 {
	for _, name := range splitArgs(c.Tail) {
		f, err := os.Open(inDir(c.Shell.Dir, name))
		if err != nil {
			fmt.Fprint(c.Stderr, "The system cannot find the file specified.\r\n")
			return 1
		}
		_, err = io.Copy(c.Stdout, f)
		_ = f.Close()
		if err != nil {
			return 1
		}
	}
	return 0
}

// prepare puts the program into a process group of its own.
func prepare(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func interrupt(p *os.Process, sig Signal) {
	number := syscall.SIGINT
	if sig == CtrlBreak {
		number = syscall.SIGTERM
	}
	_ = syscall.Kill(-p.Pid, number)
}

func killTree(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }

// exitCode maps what ends a program here to what would end it on Windows.
func exitCode(s *os.ProcessState) uint32 {
	status, ok := s.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return uint32(s.ExitCode())
	}
	switch status.Signal() {
	case syscall.SIGINT, syscall.SIGTERM:
		return exitControlC
	case syscall.SIGSEGV, syscall.SIGBUS:
		return 0xC0000005 // STATUS_ACCESS_VIOLATION
	case syscall.SIGKILL:
		return 1
	}
	return 128 + uint32(status.Signal())
}
