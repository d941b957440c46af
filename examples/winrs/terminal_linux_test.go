package main_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// openTerminal makes a pseudo terminal: what is written to master is typed at
// terminal, and what terminal shows is read from master.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile(filepath.FromSlash("/dev/ptmx"), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { master.Close() })
	var unlocked, number int32
	ioctl(t, master, syscall.TIOCSPTLCK, unsafe.Pointer(&unlocked))
	ioctl(t, master, syscall.TIOCGPTN, unsafe.Pointer(&number))
	terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(int(number)), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { terminal.Close() })
	return master, terminal
}

func ioctl(t *testing.T, f *os.File, request uintptr, arg unsafe.Pointer) {
	t.Helper()
	conn, err := f.SyscallConn()
	require.NoError(t, err)
	var errno syscall.Errno
	require.NoError(t, conn.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(arg))
	}))
	require.Zero(t, errno)
}

// screen collects what a terminal shows.
type screen struct {
	lines chan string
	text  bytes.Buffer
}

func watch(master *os.File) *screen {
	s := &screen{lines: make(chan string, 100)}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			if n > 0 {
				s.lines <- string(buf[:n])
			}
			if err != nil {
				close(s.lines)
				return
			}
		}
	}()
	return s
}

// waitFor reads until the terminal has shown the text.
func (s *screen) waitFor(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !strings.Contains(s.text.String(), text) {
		select {
		case piece, ok := <-s.lines:
			require.True(t, ok, "the terminal showed %q and closed", s.text.String())
			s.text.WriteString(piece)
		case <-deadline:
			t.Fatalf("the terminal showed %q and not %q", s.text.String(), text)
		}
	}
}

// The password is asked for at the terminal and not shown while it is typed.
func TestPrompt(t *testing.T) {
	_, flags := remote(t, func(p *winrmtest.Proc) uint32 {
		io.WriteString(p.Stdout, "welcome\r\n")
		return 6
	})
	master, terminal := openTerminal(t)
	cmd := command(t, nil, append(flags, "-p", "prompt", "ver")...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	require.NoError(t, cmd.Start())
	s := watch(master)
	s.waitFor(t, "Password of alice: ")
	_, err := io.WriteString(master, password+"\n")
	require.NoError(t, err)
	s.waitFor(t, "welcome")
	assert.Error(t, cmd.Wait())
	assert.Equal(t, 6, cmd.ProcessState.ExitCode())
	assert.NotContains(t, s.text.String(), password)

	var state syscall.Termios
	ioctl(t, terminal, syscall.TCGETS, unsafe.Pointer(&state))
	assert.NotZero(t, state.Lflag&syscall.ECHO, "the terminal echoes again")
}

// At a terminal a session is a console: lines go to the host as they are typed,
// and the end of input ends it.
func TestConsoleSession(t *testing.T) {
	_, flags := remote(t, func(p *winrmtest.Proc) uint32 {
		if p.Line != "cmd" || !p.Console {
			return 1
		}
		var got []byte
		buf := make([]byte, 256)
		for !bytes.Contains(got, []byte("exit\r\n")) {
			n, err := p.Stdin.Read(buf)
			got = append(got, buf[:n]...)
			if err != nil {
				return 2
			}
			io.WriteString(p.Stdout, "got "+strconv.Quote(string(buf[:n]))+"\r\n")
		}
		return 0
	})
	master, terminal := openTerminal(t)
	cmd := command(t, nil, flags...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	require.NoError(t, cmd.Start())
	s := watch(master)
	_, err := io.WriteString(master, "ver\n")
	require.NoError(t, err)
	s.waitFor(t, `got "ver`)
	_, err = master.Write([]byte{4}) // Ctrl-D
	require.NoError(t, err)
	require.NoError(t, cmd.Wait())
}
