package winrm_test

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// TestMain fails when goroutines are left after all tests.
func TestMain(m *testing.M) {
	if url := os.Getenv(childVariable); url != "" {
		child(url)
		return
	}
	before := runtime.NumGoroutine()
	code := m.Run()
	if code == 0 {
		http.DefaultClient.CloseIdleConnections()
		if left := leaked(before); left != "" {
			fmt.Fprintln(os.Stderr, "goroutines left behind:\n"+left)
			code = 1
		}
	}
	os.Exit(code)
}

// leaked waits for goroutines to end and returns the stacks of those that do
// not.
func leaked(before int) string {
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return ""
		}
		time.Sleep(20 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// server starts a server and a client for it; both are closed with the test,
// and the server must have nothing left then.
func server(t testing.TB, srv *winrmtest.Server, change ...func(*winrm.Config)) *winrm.Client {
	t.Helper()
	if srv.Mechanisms == nil {
		srv.Mechanisms = []winrmtest.Mechanism{winrmtest.Basic()} // no legs: exchanges are easy to count
	}
	srv.Start()
	t.Cleanup(srv.Close)
	cfg := config()
	for _, fn := range change {
		fn(cfg)
	}
	client, err := winrm.New(srv.URL, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func handle(t testing.TB, h winrmtest.HandlerFunc, change ...func(*winrm.Config)) (*winrmtest.Server, *winrm.Client) {
	t.Helper()
	srv := winrmtest.NewUnstartedServer(h)
	srv.Record = true
	return srv, server(t, srv, change...)
}

// actions are the exchanges that the server has seen, by the last word of their
// action.
func actions(srv *winrmtest.Server) []string {
	var out []string
	for _, x := range srv.Exchanges() {
		out = append(out, x.Action[strings.LastIndexByte(x.Action, '/')+1:])
	}
	return out
}

// wallClock is a time by the wall clock: longer with the race detector, which slows
// everything down. The exact times are held by tests in virtual time.
func wallClock(d time.Duration) time.Duration {
	if raceDetector {
		return 5 * d
	}
	return 2 * d
}

// within fails the test when fn takes longer.
func within(t testing.TB, d time.Duration, fn func()) {
	t.Helper()
	d = wallClock(d)
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	select {
	case <-done:
	case <-time.After(d):
		buf := make([]byte, 1<<20)
		t.Fatalf("not done after %v\n%s", d, buf[:runtime.Stack(buf, true)])
	}
}

// eventually waits for a condition of the server.
func eventually(t testing.TB, cond func() bool, what string) {
	t.Helper()
	require.Eventually(t, cond, 30*time.Second, 5*time.Millisecond, what)
}

// config is for servers with the default account, over clear http.
func config() *winrm.Config {
	return &winrm.Config{
		Auth:       auth.BasicInsecure(auth.Credentials{User: winrmtest.DefaultUser, Password: winrmtest.DefaultPassword, Gate: new(auth.Gate)}),
		Encryption: auth.EncryptNever,
	}
}
