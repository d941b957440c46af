package winrm_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// sealed starts a server whose messages are sealed over http, where anybody on
// the way can write a status, but no message.
func sealed(t *testing.T, srv *winrmtest.Server) *winrm.Client {
	t.Helper()
	srv.Mechanisms = []winrmtest.Mechanism{winrmtest.NTLM()}
	srv.Record = true
	return server(t, srv, func(cfg *winrm.Config) {
		cfg.Encryption = auth.EncryptAuto
		cfg.Auth = auth.NTLM(auth.Credentials{User: winrmtest.DefaultUser, Password: winrmtest.DefaultPassword, Gate: new(auth.Gate)})
	})
}

func page() http.Header { return http.Header{"Content-Type": {"text/html"}} }

// The host has taken the input, and a 413 that it never wrote comes back: what
// it has must not be sent again.
func TestForgedTooLargeDoublesNoInput(t *testing.T) {
	got := make(chan int, 1)
	srv := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		n, _ := io.Copy(io.Discard, p.Stdin)
		got <- int(n)
		return 0
	}))
	srv.Faults = []winrmtest.Fault{{Action: "Send", Status: 413, Processed: true, Header: page()}}
	client := sealed(t, srv)
	cmd := client.Command("x.exe")
	r, w := io.Pipe()
	cmd.Stdin = r
	require.NoError(t, cmd.Start())
	data := bytes.Repeat([]byte("x"), 20_000)
	_, err := w.Write(data)
	require.NoError(t, err)
	time.AfterFunc(time.Second, func() { _ = w.Close() })
	err = cmd.Wait()
	_, ok := errors.AsType[*winrm.InputLostError](err)
	assert.True(t, ok, "%v", err)
	assert.LessOrEqual(t, <-got, len(data))
}

// How much a host takes is found out with a message that does nothing.
func TestSealedSendsGrow(t *testing.T) {
	for _, limit := range []string{"500", "200"} {
		srv := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
			_, err := io.Copy(p.Stdout, p.Stdin)
			assert.NoError(t, err)
			return 0
		}))
		srv.Settings = map[string]string{"MaxEnvelopeSizekb": limit}
		client := sealed(t, srv)
		want := bytes.Repeat([]byte("0123456789"), 150_000)
		largest := 0
		for range 2 {
			cmd := client.Command("x.exe")
			cmd.Stdin = bytes.NewReader(want)
			out, err := cmd.Output()
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, out))
		}
		for _, x := range srv.Exchanges() {
			if bytes.Contains(x.Request, []byte("Send</")) {
				largest = max(largest, len(x.Request))
				assert.Equal(t, 200, x.Status, "no input was refused")
			}
		}
		assert.Equal(t, limit == "500", largest > 300<<10, "%d", largest)
	}
}

// A host with less room than is asked of every host loses the command, and the
// next one knows.
func TestSealedSendTooLargeIsLearnt(t *testing.T) {
	srv := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		_, _ = io.Copy(p.Stdout, p.Stdin)
		return 0
	}))
	srv.Settings = map[string]string{"MaxEnvelopeSizekb": "80"}
	client := sealed(t, srv)
	want := bytes.Repeat([]byte("0123456789"), 50_000)
	for i := range 2 {
		cmd := client.Command("x.exe")
		cmd.Stdin = bytes.NewReader(want)
		out, err := cmd.Output()
		if i == 0 {
			_, ok := errors.AsType[*winrm.InputLostError](err)
			require.True(t, ok, "%v", err)
			continue
		}
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, out))
	}
}

// A status in clear does not show that Command or Create did nothing.
func TestForgedStatusOfCommand(t *testing.T) {
	for _, action := range []string{"Create", "Command"} {
		for _, status := range []int{400, 401, 403, 404, 413, 503} {
			runs := make(chan struct{}, 5)
			srv := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
				runs <- struct{}{}
				_, _ = io.WriteString(p.Stdout, "once")
				return 0
			}))
			srv.Faults = []winrmtest.Fault{{Action: action, Status: status, Processed: true, Header: page()}}
			client := sealed(t, srv)
			out, err := client.Command("x.exe").Output()
			require.NoError(t, err, "%s %d: what became of it is asked for", action, status)
			assert.Equal(t, "once", string(out))
			assert.Len(t, runs, 1)
			assert.NoError(t, client.Close())
			assert.Zero(t, srv.Stats().Shells)
		}
	}
}

// An endpoint that is none is told without the password in it.
func TestEndpointErrorsHoldNoPassword(t *testing.T) {
	for _, text := range []string{
		"http://u:hush@h", "http://u:hush%zz@h", "http://u:hush/x@h", "u:hush@h", "//u:hush@h", "ftp://u:hush@h", "http://u:hush@/x",
	} {
		_, err := winrm.New(text, config())
		require.Error(t, err, text)
		assert.NotContains(t, err.Error(), "hush", text)
	}
}
