//go:build !unix && !windows

package winrmtest

import (
	"fmt"
	"os"
	"os/exec"
)

func (e *Exec) serve(p *Proc, _ *os.File) uint32 {
	fmt.Fprint(p.Stderr, "winrmtest: Exec runs no programs on this system\r\n")
	return 1
}

func prepare(*exec.Cmd)                  {}
func interrupt(p *os.Process, _ Signal)  { _ = p.Signal(os.Interrupt) }
func killTree(p *os.Process)             { _ = p.Kill() }
func exitCode(s *os.ProcessState) uint32 { return uint32(s.ExitCode()) }
