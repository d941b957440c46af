package winrm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	"github.com/winrmkit/winrmkit/wsman"
)

// The tests named after defects are those of masterzen/winrm, found by probing
// it: what goes wrong there is not to go wrong here.

// Defect 1: the status and the fault of an answer are thrown away; a fault looks
// like success.
func TestDefectFaultIsSuccess(t *testing.T) {
	for _, action := range []string{"Create", "Command", "Receive"} {
		for _, code := range []uint32{5, 87, 995, 1726, 2150858843, 2150859174, 2150859180} {
			srv, client := handle(t, echo)
			srv.AddFaults(winrmtest.Fault{Action: action, Code: code, Count: -1})
			var err error
			within(t, 5*time.Second, func() { err = client.Command("x").Run() })
			f, ok := errors.AsType[*wsman.Fault](err)
			require.True(t, ok, "%s %d: %v", action, code, err)
			assert.Equal(t, wsman.FaultCode(code), f.Code)
			if action == "Receive" {
				_, ok := errors.AsType[*winrm.ExitMissingError](err)
				assert.True(t, ok)
			}
		}
	}
}

// Defect 2: a fault on Receive never ends the loop: thousands of requests.
func TestDefectReceiveSpins(t *testing.T) {
	srv, client := handle(t, echo)
	srv.AddFaults(winrmtest.Fault{Action: "Receive", Code: 2150858843, Count: -1})
	require.Error(t, client.Command("x").Run())
	assert.Equal(t, 1, srv.Stats().Exchanges["Receive"])
}

// A host that says "nothing yet" without waiting is not asked without pause,
// and the command still ends.
func TestImpatientHost(t *testing.T) {
	srv, client := handle(t, func(*winrmtest.Proc) uint32 {
		time.Sleep(time.Second)
		return 3
	})
	srv.AddFaults(winrmtest.Fault{Action: "Receive", Code: 2150858793, Count: 1000, Match: func(*winrmtest.Exchange) bool {
		return srv.Stats().Commands > 0
	}})
	err := client.Command("x").Run()
	exit, ok := errors.AsType[*winrm.ExitError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, uint32(3), exit.Code)
	assert.Less(t, srv.Stats().Exchanges["Receive"], 30)
}

// Defect 3: a fault of Create gives a shell without an id.
func TestDefectShellWithoutID(t *testing.T) {
	srv, client := handle(t, echo)
	srv.AddFaults(winrmtest.Fault{Action: "Create", Code: 2150859173, Count: -1})
	_, err := client.OpenShell(t.Context(), winrm.ShellOptions{})
	f, ok := errors.AsType[*wsman.Fault](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, wsman.FaultCode(2150859173), f.Code)
}

// Defect 8: Run hangs for ever if a writer fails.
func TestDefectFailingWriter(t *testing.T) {
	srv, client := handle(t, func(p *winrmtest.Proc) uint32 {
		for p.Context().Err() == nil {
			if _, err := p.Stdout.Write(make([]byte, 1<<16)); err != nil {
				break
			}
		}
		return 1
	})
	full := errors.New("disk full")
	cmd := client.Command("x")
	cmd.Stdout = writerFunc(func([]byte) (int, error) { return 0, full })
	var err error
	within(t, 3*time.Second, func() { err = cmd.Run() })
	assert.ErrorIs(t, err, full)
	require.NoError(t, client.Close())
	eventually(t, func() bool { return srv.Stats().Commands == 0 }, "the command ends")
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Defect 9: Run hangs on idle input after the command has ended.
func TestDefectIdleStdin(t *testing.T) {
	_, client := handle(t, echo)
	r, w := io.Pipe()
	defer w.Close()
	cmd := client.Command("x.exe")
	cmd.Stdin = r
	within(t, 2*time.Second, func() { assert.NoError(t, cmd.Run()) })
}

func TestEndlessStdin(t *testing.T) {
	_, client := handle(t, echo)
	cmd := client.Command("x.exe")
	cmd.Stdin = endless{}
	within(t, 3*time.Second, func() { assert.NoError(t, cmd.Run()) })
}

// Defect 10: a dead host is asked for ever, every time-out is "no output yet".
func TestDefectDeadHost(t *testing.T) {
	started := make(chan struct{})
	srv, client := handle(t, func(p *winrmtest.Proc) uint32 {
		close(started)
		<-p.Context().Done()
		return 1
	})
	cmd := client.Command("x")
	require.NoError(t, cmd.Start())
	<-started
	eventually(t, func() bool { return srv.Stats().Operations > 0 }, "Receive is held")
	srv.Close()
	var err error
	within(t, 10*time.Second, func() { err = cmd.Wait() })
	_, lost := errors.AsType[*winrm.OutputLostError](err)
	assert.True(t, lost, "%v", err)
	_, missing := errors.AsType[*winrm.ExitMissingError](err)
	assert.True(t, missing, "%v", err)
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	client, err := winrm.New("http://"+l.Addr().String(), config())
	require.NoError(t, err)
	defer client.Close()
	err = client.Command("x").Run()
	_, ok := errors.AsType[*auth.DialError](err)
	assert.True(t, ok, "%v", err)
}

// Defect 12: input is cut into pieces before it is encoded, which makes
// envelopes that are too large; the end of the input is never sent.
func TestDefectSendSize(t *testing.T) {
	const limit = 40 << 10
	srv := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		n, err := io.Copy(io.Discard, p.Stdin)
		assert.NoError(t, err)
		fmt.Fprint(p.Stdout, n)
		return 0
	}))
	srv.Settings = map[string]string{"MaxEnvelopeSizekb": "40"}
	srv.Record = true
	client := server(t, srv, func(cfg *winrm.Config) { cfg.MaxEnvelopeSize = limit })
	cmd := client.Command("x.exe")
	cmd.Stdin = bytes.NewReader(make([]byte, 1<<20))
	out, err := cmd.Output()
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprint(1<<20), string(out))
	largest := 0
	for _, x := range srv.Exchanges() {
		if strings.HasSuffix(x.Action, "/Send") {
			assert.Equal(t, http.StatusOK, x.Status)
			largest = max(largest, len(x.Request))
		}
	}
	assert.LessOrEqual(t, largest, limit)
	assert.Greater(t, largest, limit*9/10, "but not much smaller either")
}

// A host with a smaller limit than ours answers 413: the piece is halved and
// sent again, which is safe because 413 means that it was not read.
func TestSendTooLarge(t *testing.T) {
	srv := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		_, err := io.Copy(p.Stdout, p.Stdin)
		assert.NoError(t, err)
		return 0
	}))
	srv.Settings = map[string]string{"MaxEnvelopeSizekb": "33"}
	client := server(t, srv)
	want := bytes.Repeat([]byte("0123456789"), 50_000)
	for range 2 {
		cmd := client.Command("x.exe")
		cmd.Stdin = bytes.NewReader(want)
		out, err := cmd.Output()
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, out))
	}
}

// Defect 13: two calls of Close at once panic; reading one output pipe to its
// end before the other deadlocks.
func TestDefectCloseTwice(t *testing.T) {
	_, client := handle(t, echo)
	require.NoError(t, client.Command("x").Run())
	shell, err := client.OpenShell(t.Context(), winrm.ShellOptions{})
	require.NoError(t, err)
	done := make(chan struct{}, 20)
	for range 10 {
		go func() { _ = client.Close(); done <- struct{}{} }()
		go func() { _ = shell.Close(); done <- struct{}{} }()
	}
	within(t, 5*time.Second, func() {
		for range 20 {
			<-done
		}
	})
}

func TestDefectOnePipeAfterTheOther(t *testing.T) {
	_, client := handle(t, func(p *winrmtest.Proc) uint32 {
		for range 50 {
			_, _ = p.Stderr.Write(make([]byte, 10_000))
			_, _ = p.Stdout.Write(make([]byte, 10_000))
		}
		return 0
	})
	cmd := client.Command("x")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	errs, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	within(t, 5*time.Second, func() {
		n, err := io.Copy(io.Discard, out)
		assert.NoError(t, err)
		assert.Equal(t, int64(500_000), n)
		n, err = io.Copy(io.Discard, errs)
		assert.NoError(t, err)
		assert.Equal(t, int64(500_000), n)
		assert.NoError(t, cmd.Wait())
	})
}

// Both outputs full at once, with slow readers.
func TestBothOutputsFull(t *testing.T) {
	const size = 4 << 20
	_, client := handle(t, func(p *winrmtest.Proc) uint32 {
		for range size >> 16 {
			_, _ = p.Stdout.Write(make([]byte, 1<<16))
			_, _ = p.Stderr.Write(make([]byte, 1<<16))
		}
		return 0
	})
	cmd := client.Command("x")
	out, _ := cmd.StdoutPipe()
	errs, _ := cmd.StderrPipe()
	require.NoError(t, cmd.Start())
	var n [2]atomic.Int64
	for i, r := range []io.Reader{out, errs} {
		go func() {
			m, _ := io.Copy(io.Discard, r)
			n[i].Store(m)
		}()
	}
	within(t, 10*time.Second, func() { assert.NoError(t, cmd.Wait()) })
	eventually(t, func() bool { return n[0].Load() == size && n[1].Load() == size }, "all of it")
}

// Defect 15: the end of a connection is an exit code made up by the client
// (16001); a time-out is recognised by the English text of the fault.
func TestDefectInventedExitCode(t *testing.T) {
	srv, client := handle(t, func(*winrmtest.Proc) uint32 {
		time.Sleep(100 * time.Millisecond)
		return 4
	})
	srv.AddFaults(
		winrmtest.Fault{Action: "Receive", Code: 2150858793, Edit: func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte("OperationTimeout"), []byte("Zeitlimit"))
		}},
		winrmtest.Fault{Action: "Receive", Drop: winrmtest.DropBefore, Count: 1},
	)
	err := client.Command("x").Run()
	exit, ok := errors.AsType[*winrm.ExitError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, uint32(4), exit.Code)
}

// Defect 16: XML by strings: "]]>" ends the text, selectors are not escaped.
func TestDefectInjection(t *testing.T) {
	_, client := handle(t, func(p *winrmtest.Proc) uint32 {
		_, _ = io.WriteString(p.Stdout, p.Line)
		return 0
	})
	for _, s := range []string{"]]>", "]]]]><![CDATA[>", "</rsp:Command><rsp:Command>evil", "&amp;&#10;", "a\r\nb\tc", `"'`, "é 한 😀"} {
		cmd := client.Command("")
		cmd.Raw = s
		out, err := cmd.Output()
		require.NoError(t, err, "%q", s)
		assert.Equal(t, s, string(out))
	}
	for _, s := range []string{"\x00", "\x1b[0m", "\xff", "\ufffe"} {
		cmd := client.Command("")
		cmd.Raw = s
		_, ok := errors.AsType[*wsman.CharError](cmd.Run())
		assert.True(t, ok, "%q", s)
	}
	require.NoError(t, client.Command("x").Run(), "the shell is not spoilt")
}

func TestContextCausePasses(t *testing.T) {
	_, client := handle(t, func(p *winrmtest.Proc) uint32 {
		<-p.Context().Done()
		return 1
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	cmd := client.CommandContext(ctx, "x")
	require.NoError(t, cmd.Start())
	cancel(errors.New("reason"))
	within(t, 8*time.Second, func() { assert.ErrorIs(t, cmd.Wait(), context.Canceled) })
}
