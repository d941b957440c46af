package winrm_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	"github.com/winrmkit/winrmkit/wsman"
)

// The answer to Create is lost: the host is asked for the shell.
func TestLostCreate(t *testing.T) {
	srv, client := handle(t, echo)
	srv.AddFaults(winrmtest.Fault{Action: "Create", Drop: winrmtest.DropAfter})
	require.NoError(t, client.Command("x").Run())
	assert.Equal(t, 1, srv.Stats().Exchanges["Create"])
	assert.Equal(t, 1, srv.Stats().TotalShells)
	require.NoError(t, client.Close())
	assert.Zero(t, srv.Stats().Shells)

	srv, client = handle(t, echo)
	srv.AddFaults(winrmtest.Fault{Action: "Create", Drop: winrmtest.DropBefore})
	err := client.Command("x").Run()
	_, ok := errors.AsType[*auth.ConnectionLostError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, 1, srv.Stats().Exchanges["Create"], "not repeated")
}

// The answer to Command is lost: it is not sent again; its output is asked for.
func TestLostCommand(t *testing.T) {
	srv, client := handle(t, echo)
	srv.AddFaults(winrmtest.Fault{Action: "Command", Drop: winrmtest.DropAfter})
	out, err := client.Command("x").Output()
	require.NoError(t, err)
	assert.Equal(t, "out x", string(out))
	assert.Equal(t, 1, srv.Stats().TotalCommands)

	srv, client = handle(t, echo)
	srv.AddFaults(winrmtest.Fault{Action: "Command", Drop: winrmtest.DropBefore})
	err = client.Command("x").Run()
	_, ok := errors.AsType[*winrm.CommandLostError](err)
	require.True(t, ok, "%v", err)
	_, ok = errors.AsType[*auth.ConnectionLostError](err)
	assert.True(t, ok)
	assert.Equal(t, 1, srv.Stats().Exchanges["Command"])
	assert.Zero(t, srv.Stats().TotalCommands)
}

// An answer with output is lost: the rest and the exit code arrive, and the loss
// is told.
func TestLostOutput(t *testing.T) {
	step := make(chan struct{})
	srv, client := handle(t, func(p *winrmtest.Proc) uint32 {
		fmt.Fprint(p.Stdout, "one ")
		<-step
		fmt.Fprint(p.Stdout, "two")
		return 5
	})
	srv.AddFaults(winrmtest.Fault{Action: "Receive", Drop: winrmtest.DropAfter})
	go func() {
		for srv.Stats().Exchanges["Receive"] < 1 { // counted when it is over
			time.Sleep(5 * time.Millisecond)
		}
		close(step)
	}()
	out, err := client.Command("x").Output()
	lost, ok := errors.AsType[*winrm.OutputLostError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, 1, lost.Answers)
	exit, ok := errors.AsType[*winrm.ExitError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, uint32(5), exit.Code)
	assert.Equal(t, "two", string(out))
}

// The answer to a Send is lost: nobody knows whether the bytes arrived. They
// are not sent twice.
func TestLostInput(t *testing.T) {
	srv, client := handle(t, func(p *winrmtest.Proc) uint32 {
		<-p.Context().Done() // one that ends by itself has had the input it wanted
		return 1
	})
	srv.AddFaults(winrmtest.Fault{Action: "Send", Drop: winrmtest.DropAfter})
	cmd := client.Command("x.exe")
	cmd.Stdin = strings.NewReader("abc")
	within(t, 8*time.Second, func() {
		_, ok := errors.AsType[*winrm.InputLostError](cmd.Run())
		assert.True(t, ok)
	})
	assert.Equal(t, 1, srv.Stats().Exchanges["Send"])
}

// A host that says "broken pipe" means that the command reads no more: its exit
// code counts, as that of a local command does that closes its stdin.
func TestSendBrokenPipe(t *testing.T) {
	for _, code := range []uint32{109, 232, 0x8007006d, 0x800700e8} {
		srv, client := handle(t, func(p *winrmtest.Proc) uint32 {
			_, _ = io.WriteString(p.Stdout, "enough")
			return 3
		})
		srv.AddFaults(winrmtest.Fault{Action: "Send", Code: code, Count: -1})
		cmd := client.Command("x.exe")
		cmd.Stdin = strings.NewReader("abc")
		out, err := cmd.Output()
		exit, ok := errors.AsType[*winrm.ExitError](err)
		require.True(t, ok, "%d: %v", code, err)
		assert.Equal(t, uint32(3), exit.Code)
		assert.Equal(t, "enough", string(out))
		_, lost := errors.AsType[*winrm.InputLostError](err)
		assert.False(t, lost, code)
	}
}

// A Send that timed out may have been taken: it is not repeated.
func TestSendTimedOut(t *testing.T) {
	srv, client := handle(t, func(p *winrmtest.Proc) uint32 {
		_, _ = io.Copy(p.Stdout, p.Stdin)
		return 0
	})
	srv.AddFaults(winrmtest.Fault{Action: "Send", Code: 2150858793, Processed: true})
	cmd := client.Command("x.exe")
	cmd.Stdin = strings.NewReader("abc")
	out, err := cmd.Output()
	require.NoError(t, err)
	assert.Equal(t, "abc", string(out))
	assert.Equal(t, 1, strings.Count(strings.Join(actions(srv), " "), "Send"))
}

// The host's own time-out on Create or Command leaves open whether it acted:
// neither is repeated.
func TestTimedOutStart(t *testing.T) {
	for _, action := range []string{"Create", "Command"} {
		srv, client := handle(t, echo)
		srv.AddFaults(winrmtest.Fault{Action: action, Code: 2150858793, Processed: true})
		out, err := client.Command("x").Output()
		require.NoError(t, err, action)
		assert.Equal(t, "out x", string(out))
		assert.Equal(t, 1, srv.Stats().Exchanges[action])
		assert.Equal(t, 1, srv.Stats().TotalCommands)
		require.NoError(t, client.Close())
		assert.Zero(t, srv.Stats().Shells)
	}
}

// Answers that are no SOAP: a typed error that says so.
func TestStatus(t *testing.T) {
	for _, action := range []string{"Create", "Command", "Receive"} {
		for _, status := range []int{401, 403, 404, 413, 503, 302, 200} {
			srv, client := handle(t, echo)
			srv.AddFaults(winrmtest.Fault{
				Action: action, Status: status, Body: []byte("<html>no</html>"), Count: -1,
				Header: http.Header{"Content-Type": {"text/html"}, "Location": {"http://192.0.2.1/"}},
			})
			var err error
			within(t, 10*time.Second, func() { err = client.Command("x").Run() })
			_, isStatus := errors.AsType[*wsman.StatusError](err)
			_, isAuth := errors.AsType[*auth.Error](err)
			_, isResponse := errors.AsType[*auth.ResponseError](err)
			assert.True(t, isStatus || isAuth || isResponse, "%s %d: %v", action, status, err)
			within(t, 15*time.Second, func() { _ = client.Close() })
		}
	}
}

// A Create that is answered without an id, and of which the host knows nothing
// when asked by ours: an error, and nothing is left behind.
func TestShellWithoutID(t *testing.T) {
	p, client := newPeer(t, func(x *ask) reply {
		switch x.action {
		case "Create":
			return x.answer(`<rsp:Shell/>`)
		case "Get":
			return x.fault(2150858843)
		}
		return x.usual()
	})
	_, err := client.OpenShell(t.Context(), winrm.ShellOptions{})
	_, ok := errors.AsType[*wsman.ResponseError](err)
	require.True(t, ok, "%v", err)
	require.NoError(t, client.Close())
	assert.Len(t, p.seen("Create"), 1)
	assert.Len(t, p.seen("Delete"), 1)
}
