//go:build windows

package winrmtest

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

func (e *Exec) serve(p *Proc, stdin *os.File) uint32 {
	path, line := p.Path, p.Line
	if !p.NoShell {
		path = os.Getenv("ComSpec")
		line = `"` + path + `" /c ` + p.Line
	}
	c := exec.Command(path) //nolint:gosec // what Exec is for
	c.SysProcAttr = &syscall.SysProcAttr{CmdLine: line}
	c.Env, c.Dir = p.Env, e.dir(p)
	c.Stdin, c.Stdout, c.Stderr = stdin, p.Stdout, p.Stderr
	return runProcess(p.Context(), p, c)
}

// prepare puts the program into a process group of its own, or its signals
// would be ours.
func prepare(c *exec.Cmd) {
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.CreationFlags |= syscall.CREATE_NEW_PROCESS_GROUP
}

var generateConsoleCtrlEvent = syscall.NewLazyDLL("kernel32.dll").NewProc("GenerateConsoleCtrlEvent")

// interrupt sends CTRL_BREAK for both signals: Windows switches ctrl_c off in a
// process group that is new.
func interrupt(p *os.Process, _ Signal) {
	const ctrlBreakEvent = 1
	_, _, _ = generateConsoleCtrlEvent.Call(ctrlBreakEvent, uintptr(p.Pid))
}

func killTree(p *os.Process) {
	if err := exec.Command("taskkill", "/T", "/F", "/PID", strconv.Itoa(p.Pid)).Run(); err != nil { //nolint:gosec,noctx // ends at once
		_ = p.Kill()
	}
}

func exitCode(s *os.ProcessState) uint32 { return uint32(s.ExitCode()) }
