package winrm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// A context that ends sends ctrl_c; what the command then writes, and its exit
// code, still arrive. (Defect 11 of masterzen/winrm: the context is not
// looked at while a request is under way.)
func TestDefectContextIgnored(t *testing.T) {
	srv, client := handle(t, func(p *winrmtest.Proc) uint32 {
		<-p.Signals()
		fmt.Fprint(p.Stdout, "bye")
		return 130
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	within(t, 3*time.Second, func() {
		out, err := client.CommandContext(ctx, "x").Output()
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		exit, ok := errors.AsType[*winrm.ExitError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, uint32(130), exit.Code)
		assert.Equal(t, "bye", string(out))
	})
	// It has ended properly: its shell is good for another command.
	eventually(t, func() bool {
		return slices.Equal(actions(srv), []string{"Create", "Command", "Receive", "Signal", "Signal"}) ||
			slices.Equal(actions(srv), []string{"Create", "Command", "Signal", "Receive", "Signal"})
	}, "ctrl_c and terminate")
	assert.Equal(t, 1, srv.Stats().Shells)
}

// A command that does not listen is terminated after WaitDelay and its shell
// deleted.
func TestCancelAfterWaitDelay(t *testing.T) {
	srv, client := handle(t, func(p *winrmtest.Proc) uint32 {
		p.Signals() // ctrl_c does not end it
		fmt.Fprint(p.Stdout, "deaf")
		<-p.Context().Done()
		return 1
	})
	ctx, cancel := context.WithCancel(t.Context())
	cmd := client.CommandContext(ctx, "x")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.WaitDelay = 200 * time.Millisecond
	require.NoError(t, cmd.Start())
	buf := make([]byte, 4)
	_, err = io.ReadFull(out, buf)
	require.NoError(t, err)
	cancel()
	began := time.Now()
	within(t, 3*time.Second, func() { err = cmd.Wait() })
	assert.ErrorIs(t, err, context.Canceled)
	assert.Less(t, time.Since(began), wallClock(1200*time.Millisecond))
	eventually(t, func() bool { return srv.Stats().Shells == 0 && srv.Stats().Commands == 0 }, "the shell is deleted")
	assert.Equal(t, 1, srv.Stats().Exchanges["Delete"])
	assert.Equal(t, 2, srv.Stats().Exchanges["Signal"], "ctrl_c and terminate")
}

// With input, ctrl_c would not reach the command: it is terminated at once.
func TestCancelWithStdin(t *testing.T) {
	srv, client := handle(t, func(p *winrmtest.Proc) uint32 {
		<-p.Context().Done()
		return 1
	})
	ctx, cancel := context.WithCancel(t.Context())
	cmd := client.CommandContext(ctx, "x")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	cancel()
	began := time.Now()
	within(t, 8*time.Second, func() { err = cmd.Wait() })
	assert.ErrorIs(t, err, context.Canceled)
	assert.Less(t, time.Since(began), winrm.DefaultWaitDelay, "not WaitDelay")
	_, err = io.WriteString(in, "x")
	assert.ErrorIs(t, err, io.ErrClosedPipe)
	require.NoError(t, client.Close())
	assert.Zero(t, srv.Stats().Shells)
}

func TestCmdCancel(t *testing.T) {
	_, client := handle(t, func(p *winrmtest.Proc) uint32 {
		if sig := <-p.Signals(); sig != winrmtest.CtrlBreak {
			return 1
		}
		return 42
	})
	ctx, cancel := context.WithCancel(t.Context())
	cmd := client.CommandContext(ctx, "x")
	cmd.WaitDelay = -1
	var called atomic.Bool
	cmd.Cancel = func() error {
		called.Store(true)
		return cmd.Signal(winrm.CtrlBreak)
	}
	require.NoError(t, cmd.Start())
	cancel()
	var err error
	within(t, 3*time.Second, func() { err = cmd.Wait() })
	exit, ok := errors.AsType[*winrm.ExitError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, uint32(42), exit.Code)
	assert.ErrorIs(t, err, context.Canceled)
	assert.True(t, called.Load())
}

// endless is input without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return min(len(p), 100), nil
}

func TestCancelWhileDialling(t *testing.T) {
	_, client := handle(t, echo, func(cfg *winrm.Config) {
		cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	within(t, 2*time.Second, func() {
		assert.ErrorIs(t, client.CommandContext(ctx, "x").Run(), context.DeadlineExceeded)
	})
}

// Waiting for a shell ends with the context, too.
func TestCancelWhileWaitingForShell(t *testing.T) {
	release := make(chan struct{})
	srv, client := handle(t, func(*winrmtest.Proc) uint32 {
		<-release
		return 0
	}, func(cfg *winrm.Config) { cfg.MaxShells = 1 })
	first := client.Command("x")
	require.NoError(t, first.Start())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	within(t, 2*time.Second, func() {
		assert.ErrorIs(t, client.CommandContext(ctx, "y").Run(), context.DeadlineExceeded)
	})
	close(release)
	require.NoError(t, first.Wait())
	require.NoError(t, client.Command("z").Run())
	assert.Equal(t, 1, srv.Stats().PeakShells)
	assert.Equal(t, 2, srv.Stats().Exchanges["Command"])
}

// Close ends what runs.
func TestCloseEndsCommands(t *testing.T) {
	srv, client := handle(t, func(p *winrmtest.Proc) uint32 {
		<-p.Context().Done()
		return 1
	})
	cmds := make([]*winrm.Cmd, 3)
	for i := range cmds {
		cmds[i] = client.Command("x")
		require.NoError(t, cmds[i].Start())
	}
	shell, err := client.OpenShell(t.Context(), winrm.ShellOptions{})
	require.NoError(t, err)
	inShell := shell.Command("y")
	require.NoError(t, inShell.Start())
	within(t, 8*time.Second, func() { require.NoError(t, client.Close()) })
	for _, cmd := range append(cmds, inShell) {
		within(t, time.Second, func() { assert.ErrorIs(t, cmd.Wait(), winrm.ErrClosed) })
	}
	st := srv.Stats()
	assert.Zero(t, st.Shells)
	assert.Zero(t, st.Commands)
}

// With two connections and a command that is silent, input and signals get
// through.
func TestControlPassesPolls(t *testing.T) {
	got := make(chan string, 1)
	_, client := handle(t, func(p *winrmtest.Proc) uint32 {
		buf := make([]byte, 5)
		_, _ = io.ReadFull(p.Stdin, buf)
		got <- string(buf)
		<-p.Context().Done()
		return 1
	}, func(cfg *winrm.Config) { cfg.MaxConns = 2 })
	cmd := client.Command("x")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	time.Sleep(50 * time.Millisecond) // Receive is held by now
	_, err = io.WriteString(in, "hello")
	require.NoError(t, err)
	select {
	case s := <-got:
		assert.Equal(t, "hello", s)
	case <-time.After(wallClock(time.Second)):
		t.Fatal("input did not get through")
	}
	within(t, time.Second, func() {
		require.NoError(t, cmd.Signal(winrm.Terminate))
		assert.Error(t, cmd.Wait())
	})
}
