package winrm_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// Many commands at once: never two in one shell, never more shells or
// connections than allowed, each sent once, none starves. Also with the fewest
// connections, and in each shell at most so many.
func TestManyAtOnce(t *testing.T) {
	for _, limits := range []struct{ conns, shells int }{{0, 0}, {2, 5}, {2, 1}, {8, 20}} {
		t.Run(fmt.Sprintf("%d connections, %d shells", limits.conns, limits.shells), func(t *testing.T) {
			var mu sync.Mutex
			busy := map[string]int{}
			srv, client := handle(t, func(p *winrmtest.Proc) uint32 {
				mu.Lock()
				busy[p.ShellID]++
				assert.Equal(t, 1, busy[p.ShellID])
				mu.Unlock()
				time.Sleep(5 * time.Millisecond)
				fmt.Fprint(p.Stdout, p.Line)
				mu.Lock()
				busy[p.ShellID]--
				mu.Unlock()
				return 0
			}, func(cfg *winrm.Config) { cfg.MaxConns, cfg.MaxShells = limits.conns, limits.shells })
			var wg sync.WaitGroup
			for i := range 50 {
				wg.Go(func() {
					out, err := client.Command("x", fmt.Sprint(i)).Output()
					assert.NoError(t, err)
					assert.Equal(t, fmt.Sprintf("x %d", i), string(out))
				})
			}
			within(t, 20*time.Second, wg.Wait)
			require.NoError(t, client.Close())
			st := srv.Stats()
			assert.Equal(t, 50, st.Exchanges["Command"])
			assert.Equal(t, 50, st.TotalCommands)
			assert.LessOrEqual(t, st.PeakShells, cmp.Or(limits.shells, winrm.DefaultMaxShells))
			assert.LessOrEqual(t, st.PeakConnections, cmp.Or(limits.conns, winrm.DefaultMaxConns))
			assert.Zero(t, st.Shells)
			assert.Zero(t, st.Commands)
			assert.Len(t, commandIDs(srv), 50, "each with an id of its own")
		})
	}
}

// commandIDs are the ids that Command was sent with.
func commandIDs(srv *winrmtest.Server) map[string]bool {
	ids := map[string]bool{}
	for _, x := range srv.Exchanges() {
		if strings.HasSuffix(x.Action, "/Command") {
			_, rest, _ := strings.Cut(string(x.Request), `CommandId="`)
			id, _, _ := strings.Cut(rest, `"`)
			ids[id] = true
		}
	}
	return ids
}

// More silent commands than connections for polls: each is served in turn.
func TestPollsRotate(t *testing.T) {
	release := make(chan struct{})
	_, client := handle(t, func(p *winrmtest.Proc) uint32 {
		if p.Line == "last" {
			return 0
		}
		<-release
		return 0
	}, func(cfg *winrm.Config) { cfg.MaxConns = 2 })
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { assert.NoError(t, client.Command("silent").Run()) })
	}
	time.Sleep(100 * time.Millisecond)
	within(t, 15*time.Second, func() { assert.NoError(t, client.Command("last").Run()) })
	close(release)
	within(t, 15*time.Second, wg.Wait)
}

func TestRecycle(t *testing.T) {
	var recycled, ran atomic.Int64
	srv, client := handle(t, echo, func(cfg *winrm.Config) {
		cfg.CommandsPerShell = 3
		cfg.Trace = &winrm.Trace{ShellClosed: func(_ context.Context, ev winrm.ShellEvent) {
			ran.Add(int64(ev.Commands))
			if ev.Reason == "recycled" {
				recycled.Add(1)
			}
			assert.Equal(t, ev.Reason == "recycled", ev.Commands == 3, "%+v", ev)
		}}
	})
	for range 10 {
		require.NoError(t, client.Command("x").Run())
	}
	require.NoError(t, client.Close())
	// A command that comes while the shell before it is being deleted may open
	// one more, so that two of them are left half used.
	st := srv.Stats()
	assert.GreaterOrEqual(t, st.TotalShells, 4)
	assert.GreaterOrEqual(t, recycled.Load(), int64(2))
	assert.Equal(t, int64(10), ran.Load())
	assert.Zero(t, st.Shells)
}

// The server's quota is lower than the client thought: a new shell is opened,
// and the command runs once.
func TestQuotaOfCommands(t *testing.T) {
	srv := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(echo))
	srv.Quotas.CommandsPerShell = 4
	client := server(t, srv)
	for range 10 {
		require.NoError(t, client.Command("x").Run())
	}
	assert.Equal(t, 10, srv.Stats().TotalCommands)
}

// The server allows fewer shells than the client would open.
func TestQuotaOfShells(t *testing.T) {
	srv := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(*winrmtest.Proc) uint32 {
		time.Sleep(10 * time.Millisecond)
		return 0
	}))
	srv.Settings = map[string]string{"Winrs/MaxShellsPerUser": "2"}
	client := server(t, srv)
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() { assert.NoError(t, client.Command("x").Run()) })
	}
	within(t, 20*time.Second, wg.Wait)
	assert.LessOrEqual(t, srv.Stats().PeakShells, 2)
}

// The room that others took comes back, and is used again.
func TestQuotaOfShellsRecovers(t *testing.T) {
	inBubble(t, func(*winrmtest.Proc) uint32 {
		time.Sleep(time.Second)
		return 0
	}, nil, func(t *testing.T, srv *winrmtest.Server, client *winrm.Client) {
		ten := func() {
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() { assert.NoError(t, client.Command("x").Run()) })
			}
			wg.Wait()
		}
		require.NoError(t, srv.Set("Winrs/MaxShellsPerUser", "2"))
		ten()
		assert.Equal(t, 2, srv.Stats().PeakShells)
		refused := srv.Stats().Exchanges["Create"] - srv.Stats().TotalShells
		assert.LessOrEqual(t, refused, 3)
		ten()
		assert.Equal(t, refused, srv.Stats().Exchanges["Create"]-srv.Stats().TotalShells, "not tried again at once")
		require.NoError(t, srv.Set("Winrs/MaxShellsPerUser", "30"))
		for range 3 {
			time.Sleep(time.Minute)
			ten()
		}
		assert.Equal(t, 5, srv.Stats().PeakShells)
	})
}

// Many commands wait for a host that does not answer: they learn it together,
// and who comes after asks anew.
func TestDeadHostIsFoundOutOnce(t *testing.T) {
	dead := true
	inBubble(t, echo, func(cfg *winrm.Config) {
		dial := cfg.Dial
		cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dead {
				return deadDial(ctx, network, addr)
			}
			return dial(ctx, network, addr)
		}
	}, func(t *testing.T, srv *winrmtest.Server, client *winrm.Client) {
		dead = true
		began := time.Now()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				_, ok := errors.AsType[*auth.DialError](client.Command("x").Run())
				assert.True(t, ok)
			})
		}
		wg.Wait()
		assert.LessOrEqual(t, time.Since(began), 2*auth.DefaultConnectTimeout)
		dead = false
		lasts(t, 0, func() { require.NoError(t, client.Command("x").Run()) })
		for range 100 {
			wg.Go(func() { assert.NoError(t, client.Command("x").Run()) })
		}
		wg.Wait()
		assert.LessOrEqual(t, srv.Stats().PeakShells, winrm.DefaultMaxShells)
	})
}

// On Command these faults mean that nothing was started: once more, in a new
// shell. On the second time the fault is reported.
func TestShellGone(t *testing.T) {
	for _, code := range []uint32{2150858843, 2147943418} {
		srv, client := handle(t, echo)
		require.NoError(t, client.Command("x").Run())
		srv.AddFaults(winrmtest.Fault{Action: "Command", Code: code})
		require.NoError(t, client.Command("y").Run())
		assert.Equal(t, 3, srv.Stats().Exchanges["Command"])
		assert.Equal(t, 2, srv.Stats().TotalCommands)

		srv.AddFaults(winrmtest.Fault{Action: "Command", Code: code, Count: 2})
		assert.Error(t, client.Command("z").Run())
		assert.Equal(t, 2, srv.Stats().TotalCommands)
		require.NoError(t, client.Close())
		assert.Zero(t, srv.Stats().Shells)
	}
}

func TestOwnEnvironmentOwnShell(t *testing.T) {
	srv, client := handle(t, echo, func(cfg *winrm.Config) { cfg.MaxShells = 2 })
	for range 3 {
		for _, dir := range []string{`C:\a`, `C:\b`, ""} {
			cmd := client.Command("x")
			cmd.Dir = dir
			require.NoError(t, cmd.Run())
		}
	}
	require.NoError(t, client.Close())
	assert.LessOrEqual(t, srv.Stats().PeakShells, 2)
	assert.Equal(t, 9, srv.Stats().TotalCommands)
	assert.Zero(t, srv.Stats().Shells)
}

// A command that needs a shell of another kind gets its turn, however many there
// are that could use the shell that there is.
func TestRoomIsMadeForOthers(t *testing.T) {
	var runs atomic.Int64
	_, client := handle(t, func(p *winrmtest.Proc) uint32 {
		if p.Dir == "" {
			runs.Add(1)
		}
		return 0
	}, func(cfg *winrm.Config) { cfg.MaxShells, cfg.CommandsPerShell = 1, 10000 })
	require.NoError(t, client.Command("x").Run())
	const most = 1000
	var served atomic.Bool
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for !served.Load() && runs.Load() < most {
				assert.NoError(t, client.Command("x").Run())
			}
		})
	}
	eventually(t, func() bool { return runs.Load() > 20 }, "the shell is busy")
	before := runs.Load()
	other := client.Command("x")
	other.Dir = `C:\other`
	within(t, 60*time.Second, func() { assert.NoError(t, other.Run()) })
	passed := runs.Load() - before
	served.Store(true)
	within(t, 30*time.Second, wg.Wait)
	assert.Less(t, passed, int64(most/2))
}

func TestExplicitShell(t *testing.T) {
	srv, client := handle(t, func(p *winrmtest.Proc) uint32 {
		fmt.Fprintf(p.Stdout, "%s %d", p.Dir, p.Codepage)
		return 0
	})
	shell, err := client.OpenShell(t.Context(), winrm.ShellOptions{Dir: `D:\`, Codepage: 437, IdleTimeout: 2 * time.Minute, Name: "mine"})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			out, err := shell.Command("x").Output()
			assert.NoError(t, err)
			assert.Equal(t, `D:\ 437`, string(out))
		})
	}
	within(t, 10*time.Second, wg.Wait)
	assert.Equal(t, 1, srv.Stats().TotalShells)

	cmd := shell.Command("x")
	cmd.Dir = "C:"
	assert.Error(t, cmd.Run())

	require.NoError(t, shell.Close())
	require.NoError(t, shell.Close())
	assert.ErrorIs(t, shell.Command("x").Run(), winrm.ErrShellClosed)
	assert.Zero(t, srv.Stats().Shells)
}

func TestLeftovers(t *testing.T) {
	srv, client := handle(t, echo)
	_, err := client.OpenShell(t.Context(), winrm.ShellOptions{})
	require.NoError(t, err)
	other, err := winrm.New(srv.URL, config())
	require.NoError(t, err)
	defer other.Close()
	mine, err := other.OpenShell(t.Context(), winrm.ShellOptions{})
	require.NoError(t, err)

	n := 0
	for info, err := range other.Shells(t.Context()) {
		require.NoError(t, err)
		assert.True(t, info.Ours)
		assert.NotEmpty(t, info.ID)
		n++
	}
	assert.Equal(t, 2, n)
	n, err = other.CloseLeftoverShells(t.Context(), time.Hour)
	require.NoError(t, err)
	assert.Zero(t, n)
	n, err = other.CloseLeftoverShells(t.Context(), 0)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	require.NoError(t, mine.Command("x").Run(), "not our own")
}

func TestDisconnect(t *testing.T) {
	srv, client := handle(t, echo)
	shell, err := client.OpenShell(t.Context(), winrm.ShellOptions{})
	require.NoError(t, err)
	require.NoError(t, shell.Disconnect(t.Context()))
	require.Error(t, shell.Command("x").Run())
	require.NoError(t, shell.Reconnect(t.Context()))
	require.NoError(t, shell.Command("x").Run())
	require.NoError(t, shell.Disconnect(t.Context()))

	other, err := winrm.New(srv.URL, config())
	require.NoError(t, err)
	defer other.Close()
	again, err := other.ConnectShell(t.Context(), shell.ID())
	require.NoError(t, err)
	require.NoError(t, again.Command("y").Run())
	require.NoError(t, again.Close())
	assert.Zero(t, srv.Stats().Shells)
}
