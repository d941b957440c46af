package winrm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// echo answers with what it was given.
func echo(p *winrmtest.Proc) uint32 {
	fmt.Fprintf(p.Stdout, "out %s", p.Line)
	fmt.Fprint(p.Stderr, "err")
	if p.Line == "exit" {
		return 7
	}
	return 0
}

func TestRun(t *testing.T) {
	srv, client := handle(t, echo)
	var stdout, stderr bytes.Buffer
	cmd := client.Command("ipconfig", "/all")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run())
	assert.Equal(t, "out ipconfig /all", stdout.String())
	assert.Equal(t, "err", stderr.String())
	require.NoError(t, client.Close())
	assert.Equal(t, []string{"Create", "Command", "Receive", "Signal", "Delete"}, actions(srv))
	st := srv.Stats()
	assert.Zero(t, st.Shells)
	assert.Zero(t, st.Operations)
}

func TestExitError(t *testing.T) {
	_, client := handle(t, echo)
	out, err := client.Command("exit").Output()
	assert.Equal(t, "out exit", string(out))
	exit, ok := errors.AsType[*winrm.ExitError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, uint32(7), exit.Code)
	assert.Equal(t, "err", string(exit.Stderr))
}

func TestExitCodeWithoutOutput(t *testing.T) {
	_, client := handle(t, func(*winrmtest.Proc) uint32 { return 0xC0000005 })
	err := client.Command("x").Run()
	exit, ok := errors.AsType[*winrm.ExitError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, uint32(0xC0000005), exit.Code)
	assert.EqualError(t, err, "winrm: exit status 0xC0000005")
}

func TestCombinedOutput(t *testing.T) {
	_, client := handle(t, func(p *winrmtest.Proc) uint32 {
		for i := range 3 {
			fmt.Fprint(p.Stdout, i)
			fmt.Fprint(p.Stderr, "e")
		}
		return 0
	})
	out, err := client.Command("x").CombinedOutput()
	require.NoError(t, err)
	assert.Equal(t, "0e1e2e", string(out))
}

// A warm command has its result after Command and Receive, a cold one after
// Create besides, also when commands follow each other at once: what frees the
// command on the server comes after the result.
func TestRoundTrips(t *testing.T) {
	srv, client := handle(t, func(*winrmtest.Proc) uint32 { return 0 })
	for i := range 10 {
		require.NoError(t, client.Command("x").Run(), i)
	}
	require.NoError(t, client.Close())
	want := []string{"Create"}
	for range 10 {
		want = append(want, "Command", "Receive", "Signal")
	}
	assert.Equal(t, append(want, "Delete"), actions(srv))
	st := srv.Stats()
	assert.Equal(t, 1, st.PeakShells)
	assert.Equal(t, 1, st.TotalConnections, "the next command waits for the shell, it does not dial")
}

func TestStdin(t *testing.T) {
	_, client := handle(t, func(p *winrmtest.Proc) uint32 {
		assert.False(t, p.Console)
		_, err := io.Copy(p.Stdout, p.Stdin)
		assert.NoError(t, err)
		return 0
	})
	for _, text := range []string{"", "a", "one\ntwo\n", strings.Repeat("0123456789abcdef", 100_000)} {
		cmd := client.Command("sort.exe")
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.Output()
		require.NoError(t, err)
		require.Equal(t, len(text), len(out))
		require.True(t, text == string(out))
	}
}

func TestPipes(t *testing.T) {
	_, client := handle(t, func(p *winrmtest.Proc) uint32 {
		fmt.Fprint(p.Stderr, "ready")
		_, _ = io.Copy(p.Stdout, p.Stdin)
		return 3
	})
	cmd := client.Command("cat.exe")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	errs, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	for i := range 5 {
		// What is typed arrives before more is typed.
		_, err := fmt.Fprintf(in, "line %d\n", i)
		require.NoError(t, err)
		buf := make([]byte, 7)
		_, err = io.ReadFull(out, buf)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("line %d\n", i), string(buf))
	}
	require.NoError(t, in.Close())
	rest, err := io.ReadAll(out)
	require.NoError(t, err)
	assert.Empty(t, rest)
	text, err := io.ReadAll(errs)
	require.NoError(t, err)
	assert.Equal(t, "ready", string(text))
	exit, ok := errors.AsType[*winrm.ExitError](cmd.Wait())
	require.True(t, ok)
	assert.Equal(t, uint32(3), exit.Code)
}

func TestFields(t *testing.T) {
	_, client := handle(t, func(p *winrmtest.Proc) uint32 {
		var env strings.Builder
		for _, kv := range p.Env {
			if strings.HasPrefix(kv, "T_") {
				env.WriteString(kv + ";")
			}
		}
		fmt.Fprintf(p.Stdout, "%s|%s|%s|%d|%v|%v|%v", p.Line, p.Dir, env.String(), p.Codepage, p.NoProfile, p.NoShell, p.Console)
		return 0
	}, func(cfg *winrm.Config) { cfg.Shell = winrm.ShellOptions{NoProfile: true, Env: []string{"T_A=1"}} })
	run := func(cmd *winrm.Cmd) string {
		t.Helper()
		out, err := cmd.Output()
		require.NoError(t, err)
		return string(out)
	}
	assert.Equal(t, "x y||T_A=1;|65001|true|false|true", run(client.Command("x", "y")))

	cmd := client.Command("x")
	cmd.Env, cmd.Dir = []string{"T_B=2", "T_a=3"}, `C:\Temp`
	assert.Equal(t, `x|C:\Temp|T_A=3;T_B=2;|65001|true|false|true`, run(cmd))

	cmd = client.Command("")
	cmd.Raw = `a | b & "c ]]> <x/>`
	assert.Equal(t, `a | b & "c ]]> <x/>||T_A=1;|65001|true|false|true`, run(cmd))

	cmd = client.Command(`C:\a b\c.exe`, "d e", `f"`)
	cmd.NoShell = true
	assert.Equal(t, `C:\a b\c.exe "d e" f\"||T_A=1;|65001|true|true|true`, run(cmd))

	cmd = client.Command("x")
	cmd.Console = winrm.ConsoleOff
	assert.Equal(t, "x||T_A=1;|65001|true|false|false", run(cmd))

	cmd = client.Command("c.exe")
	cmd.NoShell = true
	_, bad := errors.AsType[*winrm.PathError](cmd.Run())
	assert.True(t, bad)
}

func TestMisuse(t *testing.T) {
	srv, client := handle(t, echo)
	cmd := client.Command("x")
	assert.ErrorIs(t, cmd.Wait(), winrm.ErrNotStarted)
	assert.ErrorIs(t, cmd.Signal(winrm.CtrlC), winrm.ErrNotStarted)
	require.NoError(t, cmd.Start())
	assert.ErrorIs(t, cmd.Start(), winrm.ErrStarted)
	_, err := cmd.StdinPipe()
	assert.ErrorIs(t, err, winrm.ErrStarted)
	require.NoError(t, cmd.Wait())
	assert.ErrorIs(t, cmd.Wait(), winrm.ErrWaited)
	assert.ErrorIs(t, cmd.Signal(winrm.CtrlC), os.ErrProcessDone)

	before := len(srv.Exchanges())
	cmd = client.Command("x.bat", `a"b`)
	assert.ErrorIs(t, cmd.Run(), winrm.ErrCannotQuote)
	_, ok := errors.AsType[*winrm.LengthError](client.Command("x", strings.Repeat("y", 9000)).Run())
	assert.True(t, ok)
	cmd = client.Command("x.exe")
	cmd.NoShell = true
	err = cmd.Run()
	_, ok = errors.AsType[*winrm.PathError](err)
	assert.True(t, ok)
	assert.EqualError(t, err, "winrm: NoShell needs an absolute path, not x.exe")
	cmd = client.Command("x")
	cmd.Env = []string{"nothing"}
	_, ok = errors.AsType[*winrm.EnvError](cmd.Run())
	assert.True(t, ok)
	eventually(t, func() bool { return len(srv.Exchanges()) <= before+1 }, "nothing was sent") // the Signal of the first

	require.NoError(t, client.Close())
	require.NoError(t, client.Close())
	assert.ErrorIs(t, client.Command("x").Run(), winrm.ErrClosed)
	_, err = client.OpenShell(t.Context(), winrm.ShellOptions{})
	assert.ErrorIs(t, err, winrm.ErrClosed)
}

// A Cmd that the caller put together runs in its Shell; without one it is
// refused.
func TestCmdOfOnesOwn(t *testing.T) {
	_, client := handle(t, echo)
	for _, call := range []func(*winrm.Cmd) error{
		(*winrm.Cmd).Run, (*winrm.Cmd).Start,
		func(c *winrm.Cmd) error { _, err := c.Output(); return err },
		func(c *winrm.Cmd) error { c.Script = &winrm.Script{Text: "1"}; return c.Run() },
	} {
		require.ErrorIs(t, call(&winrm.Cmd{Path: "x"}), winrm.ErrNoClient)
	}
	shell, err := client.OpenShell(t.Context(), winrm.ShellOptions{})
	require.NoError(t, err)
	defer shell.Close()
	for range 2 {
		out, err := (&winrm.Cmd{Path: "x.exe", Args: []string{"x.exe", "a"}, Shell: shell}).Output()
		require.NoError(t, err)
		assert.NotEmpty(t, out)
	}
}

func TestNewMakesNoConnection(t *testing.T) {
	cred := auth.BasicInsecure(auth.Credentials{User: "u", Password: "p"})
	client, err := winrm.New("192.0.2.1", &winrm.Config{Auth: cred, Encryption: auth.EncryptNever})
	require.NoError(t, err)
	require.NoError(t, client.Close())

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	client, err = winrm.New("192.0.2.1", &winrm.Config{Auth: cred, Encryption: auth.EncryptNever})
	require.NoError(t, err)
	defer client.Close()
	assert.ErrorIs(t, client.CommandContext(ctx, "x").Run(), context.Canceled)
}
