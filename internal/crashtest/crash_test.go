//go:build unix

package crashtest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/credssp"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

const (
	variableURL   = "WINRMKIT_CRASH_URL"
	variableStore = "WINRMKIT_CRASH_STORE"
	variableStep  = "WINRMKIT_CRASH_STEP"
	item          = "Service/Auth/CredSSP"
)

var account = auth.Credentials{User: winrmtest.DefaultUser, Password: winrmtest.DefaultPassword}

func TestMain(m *testing.M) {
	if url := os.Getenv(variableURL); url != "" {
		if err := program(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// program is what gets killed: a process that uses CredSSP for a moment. It ends
// itself, as kill -9 would, after the step that it is told.
func program(url string) error {
	client, err := winrm.New(url, &winrm.Config{Auth: auth.NTLM(account)})
	if err != nil {
		return err
	}
	defer client.Close()
	if way := os.Getenv(variableCopy); way != "" {
		return copyFile(client, way)
	}
	store, err := winrm.NewFileStore(os.Getenv(variableStore))
	if err != nil {
		return err
	}
	return client.WithCredSSP(context.Background(), winrm.TemporaryCredSSP{
		Auth: credssp.New(credssp.Config{Credentials: account}), Store: store,
		Progress: func(s winrm.CredSSPStep) {
			if string(s) == os.Getenv(variableStep) {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		},
	}, func(ctx context.Context, session *winrm.Client) error {
		return session.CommandContext(ctx, "hostname").Run()
	})
}

// A host and the folder of its notes.
type host struct {
	*winrmtest.Server
	client *winrm.Client
	dir    string
	before int
}

func newHost(t *testing.T, change func(*winrmtest.Server)) *host {
	t.Helper()
	srv := winrmtest.NewUnstartedServer(nil)
	srv.Mechanisms = []winrmtest.Mechanism{winrmtest.Negotiate(), winrmtest.CredSSP(winrmtest.CredSSPOptions{})}
	srv.Settings = map[string]string{item: "false"}
	if change != nil {
		change(srv)
	}
	srv.Start()
	t.Cleanup(srv.Close)
	h := &host{Server: srv, client: srv.Client(), dir: t.TempDir(), before: len(srv.History(item))}
	t.Cleanup(func() { _ = h.client.Close() })
	return h
}

// start runs the program against the host.
func (h *host) start(t *testing.T, step string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), variableURL+"="+h.URL, variableStore+"="+h.dir, variableStep+"="+step)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	return cmd
}

// killed waits for the end of the program and reports whether it was killed.
func killed(t *testing.T, cmd *exec.Cmd) bool {
	t.Helper()
	err := cmd.Wait()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		require.NoError(t, err)
		return false
	}
	return exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
}

// settle waits until the host has done what it was asked to: scripts go on when
// the one who started them is gone. A script whose text has not come whole waits
// for the rest of it, and is no work.
func (h *host) settle(t *testing.T) {
	t.Helper()
	last, same := -1, 0
	require.Eventually(t, func() bool {
		s := h.Stats()
		n := s.Commands<<32 | s.Operations<<16 | s.Connections
		if same++; n != last {
			last, same = n, 0
		}
		return s.Operations == 0 && (s.Commands == 0 || same > 10)
	}, 30*time.Second, 2*time.Millisecond)
}

func (h *host) changes() []string { return h.History(item)[h.before:] }

// restoreAgain is RestoreCredSSP of a later process, twice.
func (h *host) restore(t *testing.T, o winrm.RestoreOptions) {
	t.Helper()
	_, err := h.client.RestoreCredSSP(t.Context(), o)
	require.NoError(t, err)
	again, err := h.client.RestoreCredSSP(t.Context(), o)
	require.NoError(t, err)
	require.Empty(t, again, "the second time there is nothing to do")
}

func (h *host) store(t *testing.T) *winrm.FileStore {
	t.Helper()
	s, err := winrm.NewFileStore(h.dir)
	require.NoError(t, err)
	return s
}

var repairs = map[string]func(*testing.T, *host){
	"store":    func(t *testing.T, h *host) { h.restore(t, winrm.RestoreOptions{Store: h.store(t)}) },
	"sweep":    func(t *testing.T, h *host) { h.restore(t, winrm.RestoreOptions{Sweep: true}) },
	"dead man": func(_ *testing.T, h *host) { h.StartTasks(); h.StartTasks() },
	"dead man, then store": func(t *testing.T, h *host) {
		h.StartTasks()
		h.restore(t, winrm.RestoreOptions{Store: h.store(t), Sweep: true})
	},
}

// repaired asserts that the switch has its old value, and was put back once and
// no more.
func (h *host) repaired(t *testing.T, old string) {
	t.Helper()
	assert.Equal(t, old, h.Setting(item))
	assert.Empty(t, h.Tasks())
	if c := h.changes(); old == "true" {
		assert.Empty(t, c)
	} else if len(c) > 0 {
		assert.Equal(t, []string{"true", "false"}, c)
	}
}

var steps = []winrm.CredSSPStep{
	winrm.CredSSPNoted, winrm.CredSSPLeased, winrm.CredSSPConnected, winrm.CredSSPCalled,
	winrm.CredSSPClosed, winrm.CredSSPReleased, winrm.CredSSPVerified, winrm.CredSSPForgotten,
}

func TestKilledAtEachStep(t *testing.T) {
	for _, step := range steps {
		for name, repair := range repairs {
			t.Run(string(step)+"/"+name, func(t *testing.T) {
				h := newHost(t, nil)
				require.True(t, killed(t, h.start(t, string(step))))
				h.settle(t)
				repair(t, h)
				h.repaired(t, "false")
			})
		}
	}
}

// Where there is nothing to put back nothing is put back.
func TestKilledWhereUntouched(t *testing.T) {
	for name, change := range map[string]func(*winrmtest.Server){
		"on":        func(s *winrmtest.Server) { s.Settings = map[string]string{item: "true"} },
		"on by GPO": func(s *winrmtest.Server) { s.Policy = map[string]string{item: "true"} },
	} {
		for _, step := range []winrm.CredSSPStep{
			winrm.CredSSPNoted, winrm.CredSSPUntouched, winrm.CredSSPConnected, winrm.CredSSPCalled, winrm.CredSSPClosed, winrm.CredSSPForgotten,
		} {
			t.Run(name+"/"+string(step), func(t *testing.T) {
				h := newHost(t, change)
				require.True(t, killed(t, h.start(t, string(step))))
				h.settle(t)
				h.StartTasks()
				h.restore(t, winrm.RestoreOptions{Store: h.store(t), Sweep: true})
				h.repaired(t, "true")
				assert.Empty(t, h.changes())
			})
		}
	}
}

// Killed before each request that the program sends, and after each: between the
// steps, too, and in the middle of scripts.
func TestKilledAtEachExchange(t *testing.T) {
	for n, ended := 1, false; !ended; n++ {
		require.Less(t, n, 200)
		t.Run(fmt.Sprintf("exchange %d", n), func(t *testing.T) {
			var seen, pid atomic.Int64
			h := newHost(t, func(s *winrmtest.Server) {
				s.Hook = func(*winrmtest.Exchange) *winrmtest.Fault {
					if pid.Load() != 0 && seen.Add(1) == int64(n) {
						_ = syscall.Kill(int(pid.Load()), syscall.SIGKILL)
					}
					return nil
				}
			})
			cmd := h.start(t, "")
			pid.Store(int64(cmd.Process.Pid))
			ended = !killed(t, cmd)
			pid.Store(0)
			h.settle(t)
			h.restore(t, winrm.RestoreOptions{Store: h.store(t)})
			h.repaired(t, "false")
		})
	}
}

// A program that is killed does not take CredSSP from one that goes on, and
// neither does the repair.
func TestKilledBesideAnother(t *testing.T) {
	for _, step := range steps {
		t.Run(string(step), func(t *testing.T) {
			h := newHost(t, nil)
			require.NoError(t, h.client.WithCredSSP(t.Context(), winrm.TemporaryCredSSP{
				Auth: credssp.New(credssp.Config{Credentials: account}), Store: h.store(t),
			}, func(context.Context, *winrm.Client) error {
				require.True(t, killed(t, h.start(t, string(step))))
				h.settle(t)
				h.restore(t, winrm.RestoreOptions{Store: h.store(t), Sweep: true})
				assert.Equal(t, "true", h.Setting(item))
				assert.Len(t, h.Tasks(), 1, "the note of a process that runs is left alone")
				return nil
			}))
			h.repaired(t, "false")
			files, err := os.ReadDir(h.dir)
			require.NoError(t, err)
			for _, f := range files {
				assert.False(t, strings.HasSuffix(f.Name(), ".json"), f.Name())
			}
		})
	}
}

// Programs that run at the same time, some of them killed: whoever goes last puts
// the value back, and until then it is on for all.
func TestTogether(t *testing.T) {
	h := newHost(t, nil)
	var programs, victims []*exec.Cmd
	for i := range 6 {
		if i%3 == 2 {
			victims = append(victims, h.start(t, string(winrm.CredSSPConnected)))
			continue
		}
		programs = append(programs, h.start(t, ""))
	}
	for _, p := range programs {
		require.NoError(t, p.Wait())
	}
	for _, v := range victims {
		require.True(t, killed(t, v))
	}
	h.settle(t)
	assert.Equal(t, "true", h.Setting(item), "the leases of the killed keep it on")
	assert.Len(t, h.Tasks(), len(victims))
	h.restore(t, winrm.RestoreOptions{Store: h.store(t)})
	assert.Equal(t, "false", h.Setting(item))
	assert.Empty(t, h.Tasks())
	for i, v := range h.changes() {
		assert.Equal(t, []string{"true", "false"}[i%2], v, "it goes on and off in turn")
	}
}

// Ctrl-C lets the program clean up.
func TestInterrupted(t *testing.T) {
	var pid atomic.Int64
	h := newHost(t, func(s *winrmtest.Server) {
		s.Handler = &winrmtest.Host{Programs: map[string]winrmtest.Handler{
			"hostname": winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
				_ = syscall.Kill(int(pid.Load()), syscall.SIGINT)
				<-p.Context().Done()
				return 1
			}),
		}}
	})
	cmd := h.start(t, "")
	cmd.Stderr = nil
	pid.Store(int64(cmd.Process.Pid))
	require.False(t, killed(t, cmd))
	assert.Equal(t, []string{"true", "false"}, h.changes())
	h.repaired(t, "false")
}
