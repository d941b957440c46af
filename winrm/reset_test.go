package winrm_test

import (
	"errors"
	"fmt"
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

// All connections are reset while a command is silent, as when the service is
// restarted or a network card is: the command goes on, and so does receiving.
func TestReset(t *testing.T) {
	step := make(chan struct{})
	srv, client := handle(t, func(p *winrmtest.Proc) uint32 {
		<-step
		fmt.Fprint(p.Stdout, "out")
		return 5
	})
	cmd := client.Command("x")
	require.NoError(t, cmd.Start())
	eventually(t, func() bool { return srv.Stats().Operations > 0 }, "Receive is held")
	before := srv.Stats()
	srv.CloseConnections()
	eventually(t, func() bool {
		now := srv.Stats()
		return now.Operations > 0 && now.TotalConnections > before.TotalConnections && now.Exchanges["Receive"] > before.Exchanges["Receive"]
	}, "and again")
	close(step)
	var err error
	within(t, 5*time.Second, func() { err = cmd.Wait() })
	_, lost := errors.AsType[*winrm.OutputLostError](err)
	assert.True(t, lost, "%v", err)
	exit, ok := errors.AsType[*winrm.ExitError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, uint32(5), exit.Code)
	assert.Equal(t, 1, srv.Stats().Exchanges["Command"])
}

// breaks are ways in which one exchange goes wrong.
func breaks() map[string]winrmtest.Fault {
	page := http.Header{"Content-Type": {"text/html"}, "Location": {"http://192.0.2.1/"}}
	out := map[string]winrmtest.Fault{
		"reset before":   {Drop: winrmtest.DropBefore},
		"closed after":   {Drop: winrmtest.DropAfter},
		"cut in head":    {Drop: winrmtest.DropAt, At: 20},
		"half closed":    {Drop: winrmtest.HalfCloseAt, At: 300},
		"gzip":           {Gzip: true},
		"empty":          {Edit: func([]byte) []byte { return nil }},
		"not SOAP":       {Edit: func([]byte) []byte { return []byte("<a/>") }},
		"not XML":        {Edit: func([]byte) []byte { return []byte("hello") }},
		"faulty, 200":    {Code: 5, Status: 200},
		"faulty, 400":    {Code: 5, Status: 400},
		"done, then 500": {Status: 500, Body: []byte("<html/>"), Header: page, Processed: true},
	}
	for _, status := range []int{200, 301, 302, 307, 400, 401, 403, 404, 407, 413, 500, 502, 503, 504} {
		out[fmt.Sprint("status ", status)] = winrmtest.Fault{Status: status, Body: []byte("<html>no</html>"), Header: page}
	}
	return out
}

// Each way of going wrong, once and for good, at each request of a command with
// input: typed errors in bounded time, no success that is none, nothing that is
// run twice, nothing left after Close where the host can be told.
func TestEachBreak(t *testing.T) {
	for name, fault := range breaks() {
		for _, action := range []string{"Create", "Command", "Receive", "Send", "Signal", "Delete"} {
			for _, count := range []int{1, -1} {
				t.Run(fmt.Sprintf("%s/%s/%d", name, action, count), func(t *testing.T) {
					fault.Action, fault.Count = action, count
					breakOnce(t, fault)
				})
			}
		}
	}
}

func breakOnce(t *testing.T, fault winrmtest.Fault) {
	runs := make(chan string, 10)
	inBubble(t, func(p *winrmtest.Proc) uint32 {
		runs <- p.Line
		buf := make([]byte, 16)
		n, _ := p.Stdin.Read(buf)
		select {
		case <-time.After(time.Second):
		case <-p.Context().Done():
		}
		_, _ = p.Stdout.Write(buf[:n])
		return 7
	}, func(cfg *winrm.Config) {
		cfg.Auth, cfg.Encryption = config().Auth, auth.EncryptNever
	}, func(t *testing.T, srv *winrmtest.Server, client *winrm.Client) {
		runs = make(chan string, 10) // of the bubble
		require.NoError(t, srv.Set("Service/AllowUnencrypted", "true"))
		srv.AddFaults(fault)
		cmd := client.Command("x.exe")
		cmd.Stdin = strings.NewReader("input")
		began := time.Now()
		out, err := cmd.Output()
		closed := client.Close()
		assert.LessOrEqual(t, time.Since(began), 30*time.Second)
		assert.LessOrEqual(t, len(runs), 1, "run twice")
		assert.LessOrEqual(t, len(commandIDs(srv)), 1)
		require.Error(t, err, "at least the exit code")
		require.True(t, isTyped(err), "%T: %v", err, err)
		if closed != nil {
			require.True(t, isTyped(closed), "%T: %v", closed, closed)
		}
		_, exit := errors.AsType[*winrm.ExitError](err)
		_, lostOutput := errors.AsType[*winrm.OutputLostError](err)
		_, lostInput := errors.AsType[*winrm.InputLostError](err)
		if exit && !lostOutput && !lostInput {
			assert.Equal(t, "input", string(out), "%v", err)
		}
		// After a refused logon nothing is sent with these credentials any more.
		if fault.Action != "Delete" && fault.Count == 1 && fault.Status != http.StatusUnauthorized {
			assert.Zero(t, srv.Stats().Shells, "%v; %v", err, closed)
		}
		if srv.Stats().Shells > 0 && len(runs) > 0 {
			assert.Error(t, closed, "a shell is left behind, and nobody says so")
		}
	})
}

// isTyped reports whether callers can tell what the error is.
func isTyped(err error) bool {
	for _, is := range []func() bool{
		as[*winrm.ExitError](err), as[*winrm.ExitMissingError](err), as[*winrm.CommandLostError](err), as[*winrm.OutputLostError](err),
		as[*wsman.Fault](err), as[*wsman.StatusError](err), as[*wsman.ResponseError](err), as[*wsman.TimeoutError](err),
		as[*auth.Error](err), as[*auth.ResponseError](err), as[*auth.ConnectionLostError](err), as[*auth.DialError](err),
	} {
		if is() {
			return true
		}
	}
	return false
}

func as[E error](err error) func() bool {
	return func() bool {
		_, ok := errors.AsType[E](err)
		return ok
	}
}

// A shell that could not be deleted when it was done with is deleted by Close.
func TestCloseDeletesAgain(t *testing.T) {
	srv, client := handle(t, echo, func(cfg *winrm.Config) { cfg.CommandsPerShell = 1 })
	srv.AddFaults(winrmtest.Fault{Action: "Delete", Drop: winrmtest.DropBefore})
	require.NoError(t, client.Command("x").Run())
	eventually(t, func() bool { return srv.Stats().Exchanges["Delete"] == 1 }, "recycled")
	assert.Equal(t, 1, srv.Stats().Shells)
	time.Sleep(20 * time.Millisecond) // the client knows, too
	require.NoError(t, client.Close())
	assert.Zero(t, srv.Stats().Shells)
}

// Nor is one left behind by a Delete of Close itself that is lost.
func TestCloseRepeatsDelete(t *testing.T) {
	for name, fault := range map[string]winrmtest.Fault{
		"not processed": {Action: "Delete", Drop: winrmtest.DropBefore},
		"processed":     {Action: "Delete", Drop: winrmtest.DropAfter},
		"busy":          {Action: "Delete", Status: 503},
	} {
		t.Run(name, func(t *testing.T) {
			srv, client := handle(t, echo)
			require.NoError(t, client.Command("x").Run())
			srv.AddFaults(fault)
			require.NoError(t, client.Close())
			assert.Zero(t, srv.Stats().Shells)
		})
	}
	srv, client := handle(t, echo)
	require.NoError(t, client.Command("x").Run())
	srv.AddFaults(winrmtest.Fault{Action: "Delete", Status: 503, Count: -1})
	require.Error(t, client.Close(), "it says what it leaves behind")
	assert.Equal(t, 2, srv.Stats().Exchanges["Delete"])
}
