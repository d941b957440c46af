package main_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// binary is the program as a user has it: the tests run it, not its functions.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "winrs")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "winrs.exe") // any name runs on Unix, Windows wants this one
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

const (
	user     = "alice"
	password = `p@ss: /%w&rd"<'>`
)

// outcome is what a run of the program left.
type outcome struct {
	stdout, stderr string
	code           int
}

// command prepares a run. Nothing of this process's own WinRM variables is seen.
func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), "WINRM_PASSWORD="+password)
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// finish runs the command to its end.
func finish(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code, err = exit.ExitCode(), nil
	}
	require.NoError(t, err)
	return outcome{stdout.String(), stderr.String(), code}
}

// remote starts a host and returns the flags that lead to it.
func remote(t *testing.T, handler winrmtest.HandlerFunc) (srv *winrmtest.Server, flags []string) {
	t.Helper()
	srv = winrmtest.NewUnstartedServer(handler)
	srv.Users = map[string]string{user: password}
	srv.Mechanisms = []winrmtest.Mechanism{winrmtest.Basic()}
	srv.StartTLS()
	t.Cleanup(func() {
		stats := srv.Stats()
		assert.Zero(t, stats.Shells, "shells left open")
		assert.Zero(t, stats.Commands, "commands left running")
		srv.Close()
	})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(block), 0o600))
	return srv, []string{"-r", srv.URL, "-ca", ca, "-auth", "basic", "-u", user}
}

func TestDemoHost(t *testing.T) {
	got := finish(t, command(t, nil, "hostname"))
	assert.Equal(t, outcome{stdout: "DEMO\r\n", stderr: got.stderr}, got)
	assert.Contains(t, got.stderr, "demo host")
	assert.Contains(t, got.stderr, "protected")
}

func TestExitStatus(t *testing.T) {
	for code, want := range map[uint32]int{0: 0, 7: 7, 255: 255, 256: 1, 257: 1, 0xC000013A: 0x3A, 0x80070000: 1} {
		t.Run(fmt.Sprintf("%#x", code), func(t *testing.T) {
			got := finish(t, command(t, nil, "exit "+strconv.FormatUint(uint64(code), 10)))
			if runtime.GOOS == "windows" {
				assert.Equal(t, code, uint32(got.code))
				return
			}
			assert.Equal(t, want, got.code)
			if code > 255 {
				assert.Contains(t, got.stderr, strconv.FormatUint(uint64(code), 10))
			}
		})
	}
}

// A host's own certificate is trusted by its digest.
func TestPin(t *testing.T) {
	srv, flags := remote(t, func(*winrmtest.Proc) uint32 { return 3 })
	digest := sha256.Sum256(srv.Certificate().Raw)
	pin := hex.EncodeToString(digest[:])
	flags = slices.DeleteFunc(flags, func(f string) bool { return f == "-ca" || strings.HasSuffix(f, "ca.pem") })
	assert.Equal(t, 3, finish(t, command(t, nil, append(flags, "-pin", pin, "x")...)).code)
	got := finish(t, command(t, nil, append(flags, "-pin", strings.Repeat("00", 32), "x")...))
	assert.NotContains(t, []int{0, 3}, got.code)
	assert.Contains(t, got.stderr, pin)
	got = finish(t, command(t, nil, append(flags, "x")...))
	assert.NotContains(t, []int{0, 3}, got.code)
	assert.Contains(t, got.stderr, "authority")
}

func TestRemote(t *testing.T) {
	seen := make(chan *winrmtest.Proc, 1)
	_, flags := remote(t, func(p *winrmtest.Proc) uint32 {
		seen <- p
		io.WriteString(p.Stdout, "out\r\n")
		io.WriteString(p.Stderr, "err\r\n")
		return 3
	})
	flags = append(flags, "-dir", `C:\Windows`, "-env", "A=1", "-env", "B=x=y", "-codepage", "850", "-noprofile",
		"dir", `C:\Program Files`)
	got := finish(t, command(t, nil, flags...))
	assert.Equal(t, outcome{"out\r\n", "err\r\n", 3}, got)
	p := <-seen
	assert.Equal(t, `dir "C:\Program Files"`, p.Line)
	assert.Equal(t, `C:\Windows`, p.Dir)
	assert.Equal(t, 850, p.Codepage)
	assert.True(t, p.NoProfile)
	assert.Subset(t, p.Env, []string{"A=1", "B=x=y"})
}

// Flags can be written as winrs.exe has them.
func TestColons(t *testing.T) {
	_, flags := remote(t, func(p *winrmtest.Proc) uint32 {
		fmt.Fprintf(p.Stdout, "%s|%s", p.Dir, p.Line)
		return 0
	})
	for i := 0; i+1 < len(flags); i += 2 {
		flags[i] += ":" + flags[i+1]
		flags[i+1] = ""
	}
	args := []string{`-dir:C:\Windows`, "-n"}
	for _, f := range flags {
		if f != "" {
			args = append(args, f)
		}
	}
	got := finish(t, command(t, nil, append(args, "echo -r:x | more")...))
	assert.Equal(t, outcome{stdout: `C:\Windows|echo -r:x | more`}, got)
}

func TestStdin(t *testing.T) {
	_, flags := remote(t, func(p *winrmtest.Proc) uint32 {
		n, err := io.Copy(p.Stdout, p.Stdin)
		if err != nil {
			return 1
		}
		fmt.Fprintf(p.Stderr, "%d", n)
		return 0
	})
	input := strings.Repeat("0123456789abcdef", 1<<16) // a mebibyte: several Sends
	cmd := command(t, nil, append(flags, "cat")...)
	cmd.Stdin = strings.NewReader(input)
	got := finish(t, cmd)
	assert.Equal(t, strconv.Itoa(len(input)), got.stderr)
	assert.True(t, got.stdout == input, "stdin came back changed")
	assert.Zero(t, got.code)
}

// A session without a terminal reads its lines from a pipe and ends with it.
func TestSession(t *testing.T) {
	_, flags := remote(t, func(p *winrmtest.Proc) uint32 {
		if p.Line != "cmd" {
			return 9009
		}
		data, err := io.ReadAll(p.Stdin)
		if err != nil {
			return 1
		}
		fmt.Fprintf(p.Stdout, "%q", data)
		return 4
	})
	cmd := command(t, nil, flags...)
	cmd.Stdin = strings.NewReader("ver\r\nexit 4\r\n")
	assert.Equal(t, outcome{stdout: `"ver\r\nexit 4\r\n"`, code: 4}, finish(t, cmd))
}

func TestTimeout(t *testing.T) {
	_, flags := remote(t, func(p *winrmtest.Proc) uint32 {
		<-p.Context().Done()
		return 1
	})
	start := time.Now()
	got := finish(t, command(t, nil, append(flags, "-timeout", "300ms", "ping -t localhost")...))
	assert.Equal(t, 255, got.code)
	assert.Contains(t, got.stderr, "-timeout 300ms")
	assert.Less(t, time.Since(start), 20*time.Second)
}

func TestPasswordSources(t *testing.T) {
	_, flags := remote(t, func(p *winrmtest.Proc) uint32 { return 0 })
	dir := t.TempDir()
	file := filepath.Join(dir, "password")
	require.NoError(t, os.WriteFile(file, []byte(password+"\n"), 0o600))
	open := filepath.Join(dir, "open")
	require.NoError(t, os.WriteFile(open, []byte(password+"\n"), 0o600))
	require.NoError(t, os.Chmod(open, 0o644)) //nolint:gosec // that it is refused is the test

	wrong := []string{"WINRM_PASSWORD=wrong", "OTHER=" + password}
	for _, tt := range []struct {
		name, source string
		code         int
		stderr       []string
	}{
		{"variable", "env:OTHER", 0, nil},
		{"no such variable", "env:NONE", 255, []string{"NONE"}},
		{"private file", "file:" + file, 0, nil},
		{"open file", "file:" + open, 255, []string{open, "644", "chmod"}},
		{"literal", password, 255, []string{"command line"}},
		{"no terminal", "prompt", 255, []string{"no terminal"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if runtime.GOOS == "windows" && tt.name == "open file" {
				return // modes are not what protects a file there
			}
			got := finish(t, command(t, wrong, append(flags, "-p", tt.source, "ver")...))
			assert.Equal(t, tt.code, got.code, got.stderr)
			for _, text := range tt.stderr {
				assert.Contains(t, got.stderr, text)
			}
			assert.NotContains(t, got.stderr, password)
		})
	}
}

// A refusal says who was tried how, what the host offers and what may be wrong.
func TestWrongPassword(t *testing.T) {
	srv, flags := remote(t, func(p *winrmtest.Proc) uint32 { return 0 })
	got := finish(t, command(t, []string{"WINRM_PASSWORD=wrong"}, append(flags, "ver")...))
	assert.Equal(t, 255, got.code)
	assert.Contains(t, got.stderr, "tried:    Basic as alice")
	assert.Contains(t, got.stderr, "offered:  Basic")
	assert.Contains(t, got.stderr, "cause 1:  user name or password is wrong")
	assert.Contains(t, got.stderr, "check:")
	assert.Contains(t, got.stderr, "remedy:")
	assert.Equal(t, 1, srv.Stats().FailedLogons[user])
}

// A fault of the host comes with its code, its name and the host's own words.
func TestFault(t *testing.T) {
	srv, flags := remote(t, func(p *winrmtest.Proc) uint32 { return 0 })
	srv.AddFaults(winrmtest.Fault{Action: "Create", Code: 2150859173, Count: -1})
	got := finish(t, command(t, nil, append(flags, "ver")...))
	assert.Equal(t, 255, got.code)
	assert.Contains(t, got.stderr, "2150859173")
	assert.Contains(t, got.stderr, "fault:")
}

func TestUnknownAuthority(t *testing.T) {
	srv, _ := remote(t, func(p *winrmtest.Proc) uint32 { return 0 })
	got := finish(t, command(t, nil, "-r", srv.URL, "-auth", "basic", "-u", user, "ver"))
	assert.Equal(t, 255, got.code)
	assert.Contains(t, got.stderr, "certificate")
	got = finish(t, command(t, nil, "-r", srv.URL, "-auth", "basic", "-u", user, "-insecure", "ver"))
	assert.Zero(t, got.code, got.stderr)
}

// Basic over http sends nothing unless that is said by name.
func TestClearText(t *testing.T) {
	srv := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(*winrmtest.Proc) uint32 { return 3 }))
	srv.Users = map[string]string{user: password}
	srv.Mechanisms = []winrmtest.Mechanism{winrmtest.Basic()}
	srv.Start()
	defer srv.Close()
	flags := []string{"-r", srv.URL, "-auth", "basic", "-u", user}
	got := finish(t, command(t, nil, append(flags, "ver")...))
	assert.Equal(t, 255, got.code)
	assert.Contains(t, got.stderr, "-unencrypted")
	assert.Empty(t, srv.Stats().Exchanges)
	got = finish(t, command(t, nil, append(flags, "-unencrypted", "ver")...))
	assert.Equal(t, 3, got.code, got.stderr)
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		name   string
		args   []string
		code   int
		stderr string
	}{
		{"help", []string{"-h"}, 0, "usage: winrs"},
		{"unknown flag", []string{"-x"}, 255, "-x"},
		{"unknown mechanism", []string{"-r", "h", "-u", "u", "-auth", "digest"}, 255, "negotiate"},
		{"no account", []string{"-r", "h", "ver"}, 255, "-u"},
		{"account without host", []string{"-u", "u", "ver"}, 255, "-r"},
		{"certificate without key", []string{"-r", "h", "-cert", "c", "ver"}, 255, "-key"},
		{"bad variable", []string{"-env", "A", "ver"}, 255, "NAME=value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := finish(t, command(t, nil, tt.args...))
			assert.Equal(t, tt.code, got.code)
			assert.Contains(t, got.stderr, tt.stderr)
			assert.Empty(t, got.stdout)
		})
	}
}
