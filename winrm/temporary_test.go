package winrm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/credssp"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	wsconfig "github.com/winrmkit/winrmkit/wsman/config"
)

// The first use of os/signal starts a goroutine that never ends. It starts here,
// before TestMain counts.
func init() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	signal.Stop(c)
}

const itemCredSSP = "Service/Auth/CredSSP"

func delegating() *credssp.Mechanism {
	return credssp.New(credssp.Config{Credentials: auth.Credentials{User: winrmtest.DefaultUser, Password: winrmtest.DefaultPassword}})
}

// credSSPHost is a host that knows CredSSP and has it switched off.
func credSSPHost() *winrmtest.Server {
	srv := winrmtest.NewUnstartedServer(nil)
	srv.Mechanisms = []winrmtest.Mechanism{winrmtest.Negotiate(), winrmtest.CredSSP(winrmtest.CredSSPOptions{})}
	srv.Settings = map[string]string{itemCredSSP: "false"}
	srv.Handler = &winrmtest.Host{Programs: map[string]winrmtest.Handler{
		"hop": winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
			if p.Delegated == nil {
				return 5
			}
			return 0
		}),
	}}
	return srv
}

// startCredSSP starts the host. changes returns what became of the switch since.
func startCredSSP(t *testing.T, srv *winrmtest.Server) (client *winrm.Client, changes func() []string) {
	t.Helper()
	srv.Start()
	t.Cleanup(srv.Close)
	client = srv.Client()
	t.Cleanup(func() { _ = client.Close() })
	before := len(srv.History(itemCredSSP))
	return client, func() []string { return srv.History(itemCredSSP)[before:] }
}

func store(t *testing.T) *winrm.FileStore {
	t.Helper()
	s, err := winrm.NewFileStore(t.TempDir())
	require.NoError(t, err)
	return s
}

func requireEmpty(t *testing.T, s winrm.CredSSPStore) {
	t.Helper()
	notes, err := s.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, notes)
}

func TestWithCredSSP(t *testing.T) {
	srv := credSSPHost()
	client, changes := startCredSSP(t, srv)
	notes := store(t)
	var steps []winrm.CredSSPStep
	err := client.WithCredSSP(t.Context(), winrm.TemporaryCredSSP{
		Auth: delegating(), Store: notes, Progress: func(s winrm.CredSSPStep) { steps = append(steps, s) },
	}, func(ctx context.Context, session *winrm.Client) error {
		assert.Equal(t, "true", srv.Setting(itemCredSSP))
		require.Len(t, srv.Tasks(), 1)
		list, err := notes.List(ctx)
		require.NoError(t, err)
		require.Len(t, list, 1)
		assert.True(t, list[0].Running)
		assert.Equal(t, client.Endpoint(), list[0].Endpoint)
		require.Error(t, client.CommandContext(ctx, "hop").Run(), "the first client delegates nothing")
		return session.CommandContext(ctx, "hop").Run()
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"true", "false"}, changes())
	assert.Empty(t, srv.Tasks())
	requireEmpty(t, notes)
	assert.Equal(t, []winrm.CredSSPStep{
		winrm.CredSSPNoted, winrm.CredSSPLeased, winrm.CredSSPConnected, winrm.CredSSPCalled,
		winrm.CredSSPClosed, winrm.CredSSPReleased, winrm.CredSSPVerified, winrm.CredSSPForgotten,
	}, steps)
}

// What is on already, or owned by policy, is not touched.
func TestWithCredSSPUntouched(t *testing.T) {
	for name, change := range map[string]func(*winrmtest.Server){
		"on":        func(s *winrmtest.Server) { s.Settings = map[string]string{itemCredSSP: "true"} },
		"on by GPO": func(s *winrmtest.Server) { s.Policy = map[string]string{itemCredSSP: "true"} },
	} {
		t.Run(name, func(t *testing.T) {
			srv := credSSPHost()
			change(srv)
			client, changes := startCredSSP(t, srv)
			notes := store(t)
			require.NoError(t, client.WithCredSSP(t.Context(), winrm.TemporaryCredSSP{Auth: delegating(), Store: notes},
				func(ctx context.Context, session *winrm.Client) error {
					assert.Empty(t, srv.Tasks())
					return session.CommandContext(ctx, "hop").Run()
				}))
			assert.Empty(t, changes())
			requireEmpty(t, notes)
		})
	}
	t.Run("off by GPO", func(t *testing.T) {
		srv := credSSPHost()
		srv.Policy = map[string]string{itemCredSSP: "false"}
		client, changes := startCredSSP(t, srv)
		notes := store(t)
		err := client.WithCredSSP(t.Context(), winrm.TemporaryCredSSP{Auth: delegating(), Store: notes},
			func(context.Context, *winrm.Client) error { t.Error("called"); return nil })
		_, ok := errors.AsType[*wsconfig.PolicyError](err)
		require.True(t, ok, "%v", err)
		assert.Empty(t, changes())
		assert.Empty(t, srv.Tasks())
		requireEmpty(t, notes)
	})
}

func TestWithCredSSPEnds(t *testing.T) {
	errOwn := errors.New("own")
	run := func(t *testing.T, fn func(ctx context.Context, client *winrm.Client, call func(context.Context, func(context.Context) error) error)) {
		srv := credSSPHost()
		client, changes := startCredSSP(t, srv)
		notes := store(t)
		fn(t.Context(), client, func(ctx context.Context, inner func(context.Context) error) error {
			return client.WithCredSSP(ctx, winrm.TemporaryCredSSP{Auth: delegating(), Store: notes},
				func(ctx context.Context, _ *winrm.Client) error { return inner(ctx) })
		})
		assert.Equal(t, []string{"true", "false"}, changes())
		assert.Empty(t, srv.Tasks())
		requireEmpty(t, notes)
	}
	type caller = func(context.Context, func(context.Context) error) error
	t.Run("error", func(t *testing.T) {
		run(t, func(ctx context.Context, _ *winrm.Client, call caller) {
			require.ErrorIs(t, call(ctx, func(context.Context) error { return errOwn }), errOwn)
		})
	})
	t.Run("panic", func(t *testing.T) {
		run(t, func(ctx context.Context, _ *winrm.Client, call caller) {
			require.PanicsWithValue(t, "own", func() { _ = call(ctx, func(context.Context) error { panic("own") }) })
		})
	})
	t.Run("context", func(t *testing.T) {
		run(t, func(ctx context.Context, _ *winrm.Client, call caller) {
			ctx, cancel := context.WithCancel(ctx)
			err := call(ctx, func(ctx context.Context) error {
				cancel()
				<-ctx.Done()
				return ctx.Err()
			})
			require.ErrorIs(t, err, context.Canceled)
		})
	})
	t.Run("signal", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("Windows has no signal that a process can send itself")
		}
		run(t, func(ctx context.Context, _ *winrm.Client, call caller) {
			err := call(ctx, func(ctx context.Context) error {
				self, err := os.FindProcess(os.Getpid())
				require.NoError(t, err)
				require.NoError(t, self.Signal(syscall.SIGTERM))
				<-ctx.Done()
				return ctx.Err()
			})
			e, ok := errors.AsType[*winrm.SignalError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, syscall.SIGTERM, e.Signal)
			assert.ErrorIs(t, err, context.Canceled, "and what the function said")
		})
	})
	t.Run("signal that the function does not mind", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("Windows has no signal that a process can send itself")
		}
		run(t, func(ctx context.Context, _ *winrm.Client, call caller) {
			err := call(ctx, func(ctx context.Context) error {
				self, err := os.FindProcess(os.Getpid())
				require.NoError(t, err)
				require.NoError(t, self.Signal(syscall.SIGTERM))
				<-ctx.Done()
				return nil
			})
			_, ok := errors.AsType[*winrm.SignalError](err)
			require.True(t, ok, "it was taken from the process: %v", err)
		})
	})
}

// Programs that overlap do not undo each other: the last one puts the value
// back, whoever was first.
func TestWithCredSSPTogether(t *testing.T) {
	srv := credSSPHost()
	client, changes := startCredSSP(t, srv)
	const n = 4
	inside := make(chan struct{}, n)
	leave := make([]chan struct{}, n)
	var wg sync.WaitGroup
	for i := range n {
		leave[i] = make(chan struct{})
		wg.Go(func() {
			assert.NoError(t, client.WithCredSSP(t.Context(), winrm.TemporaryCredSSP{Auth: delegating()},
				func(ctx context.Context, session *winrm.Client) error {
					inside <- struct{}{}
					<-leave[i]
					return session.CommandContext(ctx, "hop").Run()
				}))
		})
	}
	for range n {
		<-inside
	}
	for i := range n {
		assert.Len(t, srv.Tasks(), n-i)
		assert.Equal(t, []string{"true"}, changes())
		close(leave[i])
		eventually(t, func() bool { return len(srv.Tasks()) == n-1-i }, "a lease is given back")
	}
	wg.Wait()
	assert.Equal(t, []string{"true", "false"}, changes())
}

// An answer that is lost leaves nothing behind.
func TestWithCredSSPLostAnswers(t *testing.T) {
	srv := credSSPHost()
	client, changes := startCredSSP(t, srv)
	notes := store(t)
	srv.AddFaults(winrmtest.Fault{Action: "Receive", Drop: winrmtest.DropAfter, Count: 1})
	err := client.WithCredSSP(t.Context(), winrm.TemporaryCredSSP{Auth: delegating(), Store: notes},
		func(context.Context, *winrm.Client) error { return nil })
	// Whether the call went on depends on what was in the lost answer.
	if err != nil {
		t.Log(err)
	}
	assert.Equal(t, []string{"true", "false"}, changes())
	assert.Empty(t, srv.Tasks())
	requireEmpty(t, notes)
}

func TestWithCredSSPMisuse(t *testing.T) {
	srv := credSSPHost()
	client, changes := startCredSSP(t, srv)
	never := func(context.Context, *winrm.Client) error { t.Error("called"); return nil }
	require.Error(t, client.WithCredSSP(t.Context(), winrm.TemporaryCredSSP{}, never))
	require.Error(t, client.WithCredSSP(t.Context(), winrm.TemporaryCredSSP{Auth: auth.Anonymous()}, never))
	assert.Empty(t, changes())

	// A refused password is final: it is not tried for 30 seconds.
	began := time.Now()
	err := client.WithCredSSP(t.Context(), winrm.TemporaryCredSSP{Auth: credssp.New(credssp.Config{
		Credentials: auth.Credentials{User: winrmtest.DefaultUser, Password: "wrong", Gate: &auth.Gate{}},
	})}, never)
	refused, ok := errors.AsType[*auth.Error](err)
	require.True(t, ok, "%v", err)
	assert.True(t, refused.Refused)
	assert.Less(t, time.Since(began), 10*time.Second)
	assert.Equal(t, []string{"true", "false"}, changes())
}

// The lease is extended as long as the function runs; when nobody extends it the
// host helps itself.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := credSSPHost()
		srv.StartMemory()
		defer srv.Close()
		client := srv.Client()
		defer client.Close()
		before := len(srv.History(itemCredSSP))
		require.NoError(t, client.WithCredSSP(t.Context(), winrm.TemporaryCredSSP{Auth: delegating(), NoSignals: true},
			func(context.Context, *winrm.Client) error {
				time.Sleep(3 * time.Hour)
				assert.Equal(t, []string{"true"}, srv.History(itemCredSSP)[before:])
				return nil
			}))
		assert.Equal(t, []string{"true", "false"}, srv.History(itemCredSSP)[before:])

		notes := store(t)
		err := client.WithCredSSP(t.Context(), winrm.TemporaryCredSSP{Auth: delegating(), NoSignals: true, Store: notes},
			func(context.Context, *winrm.Client) error {
				_ = client.Close() // as if the network had gone
				return nil
			})
		left, ok := errors.AsType[*winrm.CredSSPRestoreError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, 30*time.Minute, left.Within)
		list, err := notes.List(t.Context())
		require.NoError(t, err)
		require.Len(t, list, 1)
		assert.False(t, list[0].Running, "nobody will finish it")
		assert.Equal(t, "true", srv.Setting(itemCredSSP))
		time.Sleep(31 * time.Minute)
		assert.Equal(t, []string{"true", "false", "true", "false"}, srv.History(itemCredSSP)[before:])
		assert.Empty(t, srv.Tasks())
	})
}

func TestFileStore(t *testing.T) {
	dir := t.TempDir()
	a, err := winrm.NewFileStore(dir)
	require.NoError(t, err)
	in := winrm.CredSSPIntent{ID: strings.Repeat("ab", 16), Endpoint: "http://h:5985/wsman", Created: time.Unix(1e9, 0).UTC(), Lease: time.Hour}
	require.NoError(t, a.Put(t.Context(), in))
	require.NoError(t, a.Put(t.Context(), in), "it may be written again")
	b, err := winrm.NewFileStore(dir)
	require.NoError(t, err)
	list, err := b.List(t.Context())
	require.NoError(t, err)
	in.Running = true
	assert.Equal(t, []winrm.CredSSPIntent{in}, list)
	require.Error(t, b.Put(t.Context(), in), "another one holds it")
	require.NoError(t, a.Delete(t.Context(), in.ID))
	require.NoError(t, a.Delete(t.Context(), in.ID))
	requireEmpty(t, b)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, files)
	require.Error(t, a.Put(t.Context(), winrm.CredSSPIntent{ID: "../x"}))
	require.NoError(t, os.WriteFile(dir+"/credssp-x.json", []byte("{"), 0o600))
	_, err = b.List(t.Context())
	require.Error(t, err)
}

func TestCredSSPRoles(t *testing.T) {
	srv := credSSPHost()
	client, _ := startCredSSP(t, srv)
	ctx := t.Context()
	status, err := client.CredSSPStatus(ctx)
	require.NoError(t, err)
	assert.Equal(t, "The machine is not configured to allow delegating fresh credentials.\n"+
		"This computer is not configured to receive credentials from a remote client computer.", status.String())

	require.NoError(t, client.EnableCredSSPClient(ctx, true, "srv2", "*.corp.example"))
	require.NoError(t, client.EnableCredSSPClient(ctx, false, "SRV2", "srv3"))
	assert.Equal(t, []string{"wsman/srv2", "wsman/*.corp.example", "wsman/srv3"}, srv.FreshCredentials("AllowFreshCredentials"))
	assert.Equal(t, []string{"wsman/srv2", "wsman/*.corp.example"}, srv.FreshCredentials("AllowFreshCredentialsWhenNTLMOnly"))
	_, err = wsconfig.EnableCredSSPServer(ctx, client.WSMan())
	require.NoError(t, err)
	status, err = client.CredSSPStatus(ctx)
	require.NoError(t, err)
	assert.True(t, status.Delegates())
	assert.Equal(t, "The machine is configured to allow delegating fresh credentials to the following target(s): "+
		"wsman/srv2,wsman/*.corp.example,wsman/srv3\n"+
		"This computer is configured to receive credentials from a remote client computer.", status.String())

	require.NoError(t, client.DisableCredSSPClient(ctx, "srv2"))
	assert.Equal(t, []string{"wsman/*.corp.example", "wsman/srv3"}, srv.FreshCredentials("AllowFreshCredentials"))
	assert.Equal(t, "true", srv.Setting("Client/Auth/CredSSP"))
	require.NoError(t, client.DisableCredSSPClient(ctx))
	assert.Empty(t, srv.FreshCredentials("AllowFreshCredentials"))
	assert.Equal(t, "false", srv.Setting("Client/Auth/CredSSP"))
	var value *wsconfig.ValueError
	require.ErrorAs(t, client.EnableCredSSPClient(ctx, false, "a'; Remove-Item C:\\"), &value)
	require.ErrorAs(t, client.EnableCredSSPClient(ctx, false), &value)
	require.ErrorAs(t, client.DisableCredSSPClient(ctx, "a b"), &value)
}

// A host that says that all is well and shows a list without the name is found
// out.
func TestCredSSPRolesReadBack(t *testing.T) {
	srv := credSSPHost()
	srv.Handler = winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		_, _ = io.Copy(io.Discard, p.Stdin)
		fmt.Fprint(p.Stdout, "winrmkit: list=AllowFreshCredentials;name=WSMAN/srv2\r\nwinrmkit: end\r\n")
		return 0
	})
	client, _ := startCredSSP(t, srv)
	require.NoError(t, client.EnableCredSSPClient(t.Context(), false, "srv2"))
	for _, err := range []error{
		client.EnableCredSSPClient(t.Context(), false, "srv2", "srv3"), client.EnableCredSSPClient(t.Context(), true, "srv2"),
		client.DisableCredSSPClient(t.Context(), "srv2"),
	} {
		_, ok := errors.AsType[*wsconfig.NotAppliedError](err)
		assert.True(t, ok, "%v", err)
	}
}

func TestPurgeTickets(t *testing.T) {
	srv := credSSPHost()
	lines := make(chan string, 1)
	srv.Handler = &winrmtest.Host{Programs: map[string]winrmtest.Handler{
		"klist": winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 { lines <- strings.Join(p.Args, " "); return 0 }),
	}}
	client, _ := startCredSSP(t, srv)
	require.NoError(t, client.PurgeTickets(t.Context()))
	assert.Equal(t, "-li 0x3e7 purge", <-lines)
}
