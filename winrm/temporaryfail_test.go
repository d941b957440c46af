package winrm_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/hostscript"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	"github.com/winrmkit/winrmkit/wsman"
	wsconfig "github.com/winrmkit/winrmkit/wsman/config"
)

// Where the host was provably never asked for anything, nothing has to be put
// back: the call ends at once, and nobody is told that CredSSP may be on.
func TestWithCredSSPNotBegun(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *winrmtest.Server, *winrm.Config) context.Context{
		"port closed": func(t *testing.T, _ *winrmtest.Server, cfg *winrm.Config) context.Context {
			cfg.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
			return t.Context()
		},
		"wrong password": func(t *testing.T, _ *winrmtest.Server, cfg *winrm.Config) context.Context {
			cfg.Auth = auth.NTLM(ownGate(winrmtest.DefaultUser, "wrong"))
			return t.Context()
		},
		"no shell": func(t *testing.T, srv *winrmtest.Server, _ *winrm.Config) context.Context {
			srv.AddFaults(winrmtest.Fault{Action: "Create", Code: uint32(wsman.ErrAccessDenied), Count: -1})
			return t.Context()
		},
		"context ended before": func(t *testing.T, _ *winrmtest.Server, _ *winrm.Config) context.Context {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return ctx
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := credSSPHost()
				srv.StartMemory()
				defer srv.Close()
				cfg := srv.Config()
				ctx := change(t, srv, cfg)
				client, err := winrm.New(srv.URL, cfg)
				require.NoError(t, err)
				defer client.Close()
				before := len(srv.History(itemCredSSP))
				notes, began := store(t), time.Now()
				err = client.WithCredSSP(ctx, winrm.TemporaryCredSSP{Auth: delegating(), Store: notes, NoSignals: true},
					func(context.Context, *winrm.Client) error { t.Error("called"); return nil })
				require.Error(t, err)
				_, left := errors.AsType[*winrm.CredSSPRestoreError](err)
				assert.False(t, left, "%v", err)
				assert.Less(t, time.Since(began), 30*time.Second)
				requireEmpty(t, notes)
				assert.Empty(t, srv.History(itemCredSSP)[before:])
				assert.Empty(t, srv.Tasks())
			})
		})
	}
}

// The opposite: a script that may have begun is followed up.
func TestWithCredSSPMayHaveBegun(t *testing.T) {
	for _, action := range []string{"Create", "Command", "Send", "Receive"} {
		for name, drop := range map[string]winrmtest.Drop{"before": winrmtest.DropBefore, "after": winrmtest.DropAfter} {
			t.Run(action+" "+name, func(t *testing.T) {
				srv := credSSPHost()
				client, changes := startCredSSP(t, srv)
				notes := store(t)
				srv.AddFaults(winrmtest.Fault{Action: action, Drop: drop, Count: 1})
				err := client.WithCredSSP(t.Context(), winrm.TemporaryCredSSP{Auth: delegating(), Store: notes},
					func(context.Context, *winrm.Client) error { return nil })
				if err != nil {
					t.Log(err)
				}
				if c := changes(); len(c) > 0 {
					assert.Equal(t, []string{"true", "false"}, c)
				}
				assert.Equal(t, "false", srv.Setting(itemCredSSP))
				assert.Empty(t, srv.Tasks())
				requireEmpty(t, notes)
			})
		}
	}
}

// A connection that breaks while the service takes up its new configuration is
// no reason to give up.
func TestWithCredSSPHandshakeBreaks(t *testing.T) {
	srv := credSSPHost()
	client, changes := startCredSSP(t, srv)
	called := false
	require.NoError(t, client.WithCredSSP(t.Context(), winrm.TemporaryCredSSP{
		Auth: delegating(), Progress: func(s winrm.CredSSPStep) {
			if s == winrm.CredSSPLeased {
				srv.AddFaults(winrmtest.Fault{Action: winrmtest.ActionLogon, Drop: winrmtest.DropBefore, Count: 2})
			}
		},
	},
		func(ctx context.Context, session *winrm.Client) error {
			called = true
			return session.CommandContext(ctx, "hop").Run()
		}))
	assert.True(t, called)
	assert.Equal(t, []string{"true", "false"}, changes())
}

// Signals that the process was started to ignore, as by nohup, stay ignored; a
// terminal that goes away is heeded.
func TestWithCredSSPHangup(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no signal that a process can send itself")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	hangUp := func() error {
		srv := credSSPHost()
		client, changes := startCredSSP(t, srv)
		err := client.WithCredSSP(ctx, winrm.TemporaryCredSSP{Auth: delegating()},
			func(ctx context.Context, session *winrm.Client) error {
				ignored := signal.Ignored(syscall.SIGHUP)
				self, err := os.FindProcess(os.Getpid())
				require.NoError(t, err)
				require.NoError(t, self.Signal(syscall.SIGHUP))
				if ignored {
					return session.CommandContext(ctx, "hop").Run()
				}
				<-ctx.Done()
				return ctx.Err()
			})
		assert.Equal(t, []string{"true", "false"}, changes())
		return err
	}
	// Nothing ends the tests, whoever takes the signal.
	spare := make(chan os.Signal, 1)
	signal.Notify(spare, syscall.SIGHUP)
	err := hangUp()
	e, ok := errors.AsType[*winrm.SignalError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, syscall.SIGHUP, e.Signal)
	signal.Stop(spare)
	signal.Ignore(syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	require.NoError(t, hangUp())
	assert.True(t, signal.Ignored(syscall.SIGHUP))
}

// A lease that the host has ended in the meantime is no proof that the value is
// what it was.
func TestWithCredSSPGone(t *testing.T) {
	for name, after := range map[string]string{"put back": "false", "switched on by somebody": "true"} {
		t.Run(name, func(t *testing.T) {
			srv := credSSPHost()
			client, _ := startCredSSP(t, srv)
			err := client.WithCredSSP(t.Context(), winrm.TemporaryCredSSP{Auth: delegating()}, func(context.Context, *winrm.Client) error {
				srv.StartTasks()
				return srv.Set(itemCredSSP, after)
			})
			left, ok := errors.AsType[*winrm.CredSSPRestoreError](err)
			assert.Equal(t, after == "true", ok, "%v", err)
			if ok {
				_, ok = errors.AsType[*wsconfig.NotAppliedError](left)
				assert.True(t, ok)
			}
		})
	}
}

// slowStart is a host on which the first script starts only after the second one
// has ended, and which the client has lost sight of by then.
func slowStart(srv *winrmtest.Server) {
	srv.Record = true
	host := &winrmtest.Host{}
	second := make(chan struct{})
	var scripts atomic.Int32
	var lost atomic.Value
	srv.Handler = winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		n := scripts.Add(1)
		if n == 1 {
			lost.Store(p.ShellID)
			<-second
		}
		time.Sleep(time.Second)
		code := host.ServeCommand(p)
		if n == 2 {
			close(second)
		}
		return code
	})
	srv.Faults = []winrmtest.Fault{{Count: -1, Drop: winrmtest.DropBefore, Match: func(x *winrmtest.Exchange) bool {
		id, ok := lost.Load().(string)
		return ok && !strings.HasSuffix(x.Action, "/Send") && strings.Contains(string(x.Request), id)
	}}}
}

// A script that was lost on its way may begin after the one that gives the lease
// back has found nothing.
func TestWithCredSSPBeginsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := credSSPHost()
		slowStart(srv)
		srv.StartMemory()
		defer srv.Close()
		client := srv.Client()
		defer client.Close()
		before := len(srv.History(itemCredSSP))
		notes := store(t)
		err := client.WithCredSSP(t.Context(), winrm.TemporaryCredSSP{Auth: delegating(), Store: notes, NoSignals: true},
			func(context.Context, *winrm.Client) error { return nil })
		require.Error(t, err)
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"true", "false"}, srv.History(itemCredSSP)[before:])
		assert.Empty(t, srv.Tasks())
		requireEmpty(t, notes)
	})
}

// The same for the note of a process that was killed a moment ago.
func TestRestoreBeginsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := credSSPHost()
		slowStart(srv)
		srv.StartMemory()
		defer srv.Close()
		client := srv.Client()
		defer client.Close()
		dir, id := t.TempDir(), strings.Repeat("ab", 16)
		killed, err := winrm.NewFileStore(dir)
		require.NoError(t, err)
		require.NoError(t, killed.Put(t.Context(), winrm.CredSSPIntent{ID: id, Endpoint: client.Endpoint(), Created: time.Now(), Lease: time.Hour}))
		require.NoError(t, killed.Abandon(id))

		cmd := client.Command("powershell")
		cmd.Raw = "powershell -NoProfile -NonInteractive -OutputFormat Text -EncodedCommand " + hostscript.Encode(hostscript.Bootstrap)
		cmd.Stdin = strings.NewReader(hostscript.Call{Op: hostscript.OpAcquire, ID: id, TTL: time.Hour}.Text())
		require.NoError(t, cmd.Start())
		defer func() { _ = cmd.Wait() }()
		time.Sleep(time.Second)

		notes, err := winrm.NewFileStore(dir)
		require.NoError(t, err)
		done, err := client.RestoreCredSSP(t.Context(), winrm.RestoreOptions{Store: notes})
		require.NoError(t, err)
		assert.Equal(t, []winrm.RestoredCredSSP{{ID: id, State: "restored"}}, done)
		time.Sleep(time.Minute)
		assert.Equal(t, "false", srv.Setting(itemCredSSP))
		assert.Empty(t, srv.Tasks())
		requireEmpty(t, notes)
	})
}

// One note that cannot be read keeps nobody from the others, but from sweeping: it
// may be that of a process that runs.
func TestRestoreBesideBadNote(t *testing.T) {
	srv := credSSPHost()
	client, _ := startCredSSP(t, srv)
	dir, id := t.TempDir(), strings.Repeat("cd", 16)
	killed, err := winrm.NewFileStore(dir)
	require.NoError(t, err)
	require.NoError(t, killed.Put(t.Context(), winrm.CredSSPIntent{
		ID: id, Endpoint: client.Endpoint(), Created: time.Now().Add(-time.Hour), Lease: time.Hour,
	}))
	require.NoError(t, killed.Abandon(id))
	bad := filepath.Join(dir, "credssp-bad.json")
	require.NoError(t, os.WriteFile(bad, []byte("{"), 0o600))

	notes, err := winrm.NewFileStore(dir)
	require.NoError(t, err)
	done, err := client.RestoreCredSSP(t.Context(), winrm.RestoreOptions{Store: notes, Sweep: true})
	require.ErrorContains(t, err, bad)
	assert.Equal(t, []winrm.RestoredCredSSP{{ID: id, State: "gone"}}, done)
	left, err := notes.List(t.Context())
	require.Error(t, err)
	assert.Empty(t, left, "the note of what was restored is gone")
	require.NoError(t, os.Remove(bad))
	requireEmpty(t, notes)
}

// forgedStore is somebody's store, with a note that somebody else has changed.
type forgedStore struct {
	winrm.CredSSPStore
	note winrm.CredSSPIntent
}

func (s forgedStore) List(ctx context.Context) ([]winrm.CredSSPIntent, error) {
	notes, err := s.CredSSPStore.List(ctx)
	return append(notes, s.note), err
}

// What is no id does not get into a script that runs as an administrator.
func TestRestoreForgedID(t *testing.T) {
	srv := credSSPHost()
	srv.Record = true
	client, _ := startCredSSP(t, srv)
	forged := forgedStore{store(t), winrm.CredSSPIntent{ID: "0';Remove-Item C:\\ -Recurse;'", Endpoint: client.Endpoint()}}
	done, err := client.RestoreCredSSP(t.Context(), winrm.RestoreOptions{Store: forged, Sweep: true})
	failed, ok := errors.AsType[*winrm.CredSSPRestoreError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, forged.note.ID, failed.ID)
	_, ok = errors.AsType[*winrm.HostScriptError](err)
	assert.True(t, ok)
	assert.Empty(t, done)
	assert.Zero(t, len(srv.Exchanges()), "nothing was sent")
}
