//go:build unix

package main_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// start runs the program until the command on the host has said "ready".
func start(t *testing.T, cmd *exec.Cmd) (out *bufio.Reader) {
	t.Helper()
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	out = bufio.NewReader(stdout)
	line, err := out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\r\n", line)
	return out
}

// The first Ctrl-C is the command's to deal with.
func TestCtrlC(t *testing.T) {
	_, flags := remote(t, func(p *winrmtest.Proc) uint32 {
		signals := p.Signals()
		io.WriteString(p.Stdout, "ready\r\n")
		if s := <-signals; s != winrmtest.CtrlC {
			return 1
		}
		io.WriteString(p.Stdout, "goodbye\r\n")
		return 5
	})
	cmd := command(t, nil, append(flags, "serve")...)
	out := start(t, cmd)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	rest, err := io.ReadAll(out)
	require.NoError(t, err)
	assert.Equal(t, "goodbye\r\n", string(rest))
	assert.Error(t, cmd.Wait())
	assert.Equal(t, 5, cmd.ProcessState.ExitCode())
}

// The second one ends a command that does not care, and leaves nothing behind.
func TestCtrlCTwice(t *testing.T) {
	first := make(chan struct{})
	_, flags := remote(t, func(p *winrmtest.Proc) uint32 {
		signals := p.Signals()
		io.WriteString(p.Stdout, "ready\r\n")
		for {
			select {
			case <-signals:
				select {
				case <-first:
				default:
					close(first)
				}
			case <-p.Context().Done():
				return 1
			}
		}
	})
	cmd := command(t, nil, append(flags, "stubborn")...)
	out := start(t, cmd)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	select {
	case <-first:
	case <-time.After(20 * time.Second):
		t.Fatal("ctrl_c did not arrive")
	}
	began := time.Now()
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	_, err := io.ReadAll(out)
	require.NoError(t, err)
	assert.Error(t, cmd.Wait())
	assert.Equal(t, 255, cmd.ProcessState.ExitCode())
	assert.Less(t, time.Since(began), 20*time.Second)
}

func TestTerminated(t *testing.T) {
	_, flags := remote(t, func(p *winrmtest.Proc) uint32 {
		io.WriteString(p.Stdout, "ready\r\n")
		<-p.Context().Done()
		return 1
	})
	cmd := command(t, nil, append(flags, "serve")...)
	out := start(t, cmd)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	_, err := io.ReadAll(out)
	require.NoError(t, err)
	assert.Error(t, cmd.Wait())
	assert.Equal(t, 255, cmd.ProcessState.ExitCode())
}
