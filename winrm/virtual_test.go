package winrm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	"github.com/winrmkit/winrmkit/wsman"
)

// inBubble runs fn in virtual time, against a server without a network that
// logs on and seals as Windows does. Neither leaves anything behind.
func inBubble(t *testing.T, h winrmtest.HandlerFunc, change func(*winrm.Config), fn func(t *testing.T, srv *winrmtest.Server, client *winrm.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv := winrmtest.NewUnstartedServer(h)
		srv.Record = true
		srv.StartMemory()
		defer srv.Close()
		cfg := srv.Config()
		if change != nil {
			change(cfg)
		}
		client, err := winrm.New(srv.URL, cfg)
		require.NoError(t, err)
		defer client.Close()
		fn(t, srv, client)
	})
}

// lasts asserts how long fn takes, to a tenth of a second.
func lasts(t *testing.T, want time.Duration, fn func()) {
	t.Helper()
	began := time.Now()
	fn()
	assert.InDelta(t, want.Seconds(), time.Since(began).Seconds(), 0.1)
}

// A connection that was idle for long is not used again: servers forget its
// security context after two minutes.
func TestIdleRenewal(t *testing.T) {
	inBubble(t, echo, nil, func(t *testing.T, srv *winrmtest.Server, client *winrm.Client) {
		require.NoError(t, client.Command("x").Run())
		time.Sleep(90 * time.Second)
		require.NoError(t, client.Command("x").Run())
		assert.Equal(t, 1, srv.Stats().Logons)
		for range 3 {
			time.Sleep(10 * time.Minute)
			out, err := client.Command("x").Output()
			require.NoError(t, err)
			assert.Equal(t, "out x", string(out))
		}
		st := srv.Stats()
		assert.Equal(t, 4, st.Logons)
		assert.Equal(t, 4, st.TotalConnections)
		assert.Equal(t, 1, st.TotalShells, "the shell outlives its connection")
	})
}

// A shell that the host has deleted meanwhile is replaced.
func TestShellIdlesOut(t *testing.T) {
	inBubble(t, echo, func(cfg *winrm.Config) { cfg.Shell.IdleTimeout = 5 * time.Minute },
		func(t *testing.T, srv *winrmtest.Server, client *winrm.Client) {
			for range 2 {
				require.NoError(t, client.Command("x").Run())
				time.Sleep(6 * time.Minute)
				assert.Zero(t, srv.Stats().Shells)
			}
			assert.Equal(t, 2, srv.Stats().TotalCommands)
		})
}

// A command that is silent for hours is waited for, a request a minute, on the
// connection that it began on.
func TestSilentCommand(t *testing.T) {
	inBubble(t, func(p *winrmtest.Proc) uint32 {
		time.Sleep(3 * time.Hour)
		fmt.Fprint(p.Stdout, "at last")
		return 3
	}, nil, func(t *testing.T, srv *winrmtest.Server, client *winrm.Client) {
		lasts(t, 3*time.Hour, func() {
			out, err := client.Command("x").Output()
			exit, ok := errors.AsType[*winrm.ExitError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, uint32(3), exit.Code)
			assert.Equal(t, "at last", string(out))
		})
		st := srv.Stats()
		assert.InDelta(t, 180, st.Exchanges["Receive"], 2)
		assert.Equal(t, 1, st.TotalConnections)
	})
}

// A host that takes requests and never answers: after OperationTimeout and the
// margin the request is given up. Nothing is sent twice.
func TestBlackHole(t *testing.T) {
	for action, want := range map[string]time.Duration{
		"Create":  75*time.Second + 5*time.Second + 5*time.Second, // it is asked for the shell, then told to delete it
		"Command": 75*time.Second + 3*75*time.Second,
		"Receive": 3 * 75 * time.Second,
	} {
		t.Run(action, func(t *testing.T) {
			inBubble(t, echo, nil, func(t *testing.T, srv *winrmtest.Server, client *winrm.Client) {
				// From the first one of these on, the host is gone.
				gone := false
				srv.AddFaults(winrmtest.Fault{Drop: winrmtest.Silence, Count: -1, Match: func(x *winrmtest.Exchange) bool {
					gone = gone || strings.HasSuffix(x.Action, "/"+action)
					return gone
				}})
				var err error
				began := time.Now()
				err = client.Command("x").Run()
				assert.LessOrEqual(t, time.Since(began), want+time.Second)
				assert.GreaterOrEqual(t, time.Since(began), 75*time.Second)
				late, ok := errors.AsType[*wsman.TimeoutError](err)
				require.True(t, ok, "%v", err)
				assert.Equal(t, 75*time.Second, late.Wait)
				_, exit := errors.AsType[*winrm.ExitError](err)
				assert.False(t, exit)
				assert.LessOrEqual(t, srv.Stats().Exchanges["Command"], 1)
				assert.LessOrEqual(t, srv.Stats().Exchanges["Create"], 1)
				began = time.Now()
				_ = client.Close()
				assert.LessOrEqual(t, time.Since(began), 11*time.Second)
			})
		})
	}
}

// Only one answer is missing: the command goes on, and what may be missing with
// it is told.
func TestOneAnswerMissing(t *testing.T) {
	inBubble(t, func(p *winrmtest.Proc) uint32 {
		time.Sleep(4 * time.Minute)
		fmt.Fprint(p.Stdout, "out")
		return 0
	}, nil, func(t *testing.T, srv *winrmtest.Server, client *winrm.Client) {
		srv.AddFaults(winrmtest.Fault{Action: "Receive", Drop: winrmtest.Silence, After: 1})
		lasts(t, 4*time.Minute, func() {
			out, err := client.Command("x").Output()
			_, lost := errors.AsType[*winrm.OutputLostError](err)
			assert.True(t, lost, "%v", err)
			assert.Equal(t, "out", string(out))
		})
	})
}

// WaitDelay counts from the end of the context; the clean-up adds little.
func TestWaitDelay(t *testing.T) {
	for delay, want := range map[time.Duration]time.Duration{0: 5 * time.Second, 20 * time.Second: 20 * time.Second, -1: time.Hour - time.Minute} {
		inBubble(t, func(p *winrmtest.Proc) uint32 {
			p.Signals() // ctrl_c does not end it
			select {
			case <-p.Context().Done():
			case <-time.After(time.Hour):
			}
			return 0
		}, nil, func(t *testing.T, srv *winrmtest.Server, client *winrm.Client) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := client.CommandContext(ctx, "x")
			cmd.WaitDelay = delay
			lasts(t, time.Minute+want, func() { assert.ErrorIs(t, cmd.Run(), context.DeadlineExceeded) })
			if delay >= 0 {
				assert.Zero(t, srv.Stats().Shells)
				assert.Zero(t, srv.Stats().Commands)
			}
		})
	}
}

// A cancel that meets a host gone silent still ends: at WaitDelay and what is
// granted to the clean-up.
func TestCancelAgainstSilence(t *testing.T) {
	inBubble(t, func(p *winrmtest.Proc) uint32 {
		<-p.Context().Done()
		return 0
	}, nil, func(t *testing.T, srv *winrmtest.Server, client *winrm.Client) {
		ctx, cancel := context.WithCancel(t.Context())
		cmd := client.CommandContext(ctx, "x")
		require.NoError(t, cmd.Start())
		time.Sleep(10 * time.Second)
		srv.AddFaults(winrmtest.Fault{Drop: winrmtest.Silence, Count: -1})
		cancel()
		began := time.Now()
		assert.ErrorIs(t, cmd.Wait(), context.Canceled)
		assert.LessOrEqual(t, time.Since(began), winrm.DefaultWaitDelay+time.Second)
	})
}

// With two connections, one of which a silent command's Receive holds for a
// minute, all else gets through at once.
func TestTwoConnections(t *testing.T) {
	got := make(chan string, 10)
	inBubble(t, func(p *winrmtest.Proc) uint32 {
		if p.Line == "quick" {
			return 0
		}
		buf := make([]byte, 5)
		for {
			if _, err := io.ReadFull(p.Stdin, buf); err != nil {
				return 1
			}
			got <- string(buf)
		}
	}, func(cfg *winrm.Config) { cfg.MaxConns = 2 }, func(t *testing.T, srv *winrmtest.Server, client *winrm.Client) {
		got = make(chan string, 10) // of the bubble
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		cmd := client.CommandContext(ctx, "silent")
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		soon := func(what string, fn func()) {
			t.Helper()
			time.Sleep(59*time.Second + 700*time.Millisecond) // a poll has just begun, or is about to end
			began := time.Now()
			fn()
			assert.Less(t, time.Since(began), time.Second, what)
		}
		for range 3 {
			soon("input", func() {
				_, err = io.WriteString(in, "hello")
				require.NoError(t, err)
				assert.Equal(t, "hello", <-got)
			})
		}
		soon("another command", func() { require.NoError(t, client.Command("quick").Start()) })
		soon("cancel", func() {
			cancel()
			assert.ErrorIs(t, cmd.Wait(), context.Canceled)
		})
		assert.Equal(t, 2, srv.Stats().PeakConnections)
	})
}

// ERROR_BUSY in answer to Send: the bytes were not taken, later they may be.
func TestSendBusy(t *testing.T) {
	read := func(p *winrmtest.Proc) uint32 {
		_, _ = io.Copy(p.Stdout, p.Stdin)
		return 0
	}
	inBubble(t, read, nil, func(t *testing.T, srv *winrmtest.Server, client *winrm.Client) {
		srv.AddFaults(winrmtest.Fault{Action: "Send", Code: 170, Count: 2})
		cmd := client.Command("x.exe")
		cmd.Stdin = strings.NewReader("abc")
		lasts(t, 10*time.Second, func() {
			out, err := cmd.Output()
			require.NoError(t, err)
			assert.Equal(t, "abc", string(out))
		})
		assert.Equal(t, 3, srv.Stats().Exchanges["Send"])
	})
	// Not for ever.
	inBubble(t, read, nil, func(t *testing.T, srv *winrmtest.Server, client *winrm.Client) {
		srv.AddFaults(winrmtest.Fault{Action: "Send", Code: 170, Count: -1})
		cmd := client.Command("x.exe")
		cmd.Stdin = strings.NewReader("abc")
		lasts(t, 15*time.Second, func() {
			err := cmd.Run()
			_, ok := errors.AsType[*winrm.InputLostError](err)
			require.True(t, ok, "%v", err)
			f, ok := errors.AsType[*wsman.Fault](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, wsman.FaultCode(170), f.Code)
		})
		assert.Equal(t, 4, srv.Stats().Exchanges["Send"])
	})
}

// The host's time-out of a Send that it did not process cannot be told from that
// of one that it did: it is not repeated, and the command gets the rest.
func TestSendTimesOut(t *testing.T) {
	inBubble(t, func(p *winrmtest.Proc) uint32 {
		b, _ := io.ReadAll(p.Stdin)
		return uint32(len(b))
	}, nil, func(t *testing.T, srv *winrmtest.Server, client *winrm.Client) {
		srv.AddFaults(winrmtest.Fault{Action: "Send", Code: 2150858793, Delay: time.Minute, Processed: true})
		cmd := client.Command("x.exe")
		cmd.Stdin = strings.NewReader("abc")
		lasts(t, time.Minute, func() {
			exit, ok := errors.AsType[*winrm.ExitError](cmd.Run())
			require.True(t, ok)
			assert.Equal(t, uint32(3), exit.Code)
		})
		assert.Equal(t, 1, srv.Stats().Exchanges["Send"])
	})
}

// Nobody answers the dial.
func TestDialBlackHole(t *testing.T) {
	inBubble(t, echo, func(cfg *winrm.Config) {
		cfg.Dial = deadDial
	}, func(t *testing.T, _ *winrmtest.Server, client *winrm.Client) {
		lasts(t, auth.DefaultConnectTimeout, func() {
			_, ok := errors.AsType[*auth.DialError](client.Command("x").Run())
			assert.True(t, ok)
		})
	})
}

// A context that ends while each phase is under way, against a host that works
// slowly and one that has gone silent: the call is back within a second of
// WaitDelay, the host is told to end the command and to delete the shell, and no
// goroutine is left, or the bubble would not end.
func TestCancelInEachPhase(t *testing.T) {
	const (
		ends  = 10 * time.Second
		delay = 2 * time.Second
	)
	for _, action := range []string{winrmtest.ActionLogon, "Create", "Command", "Receive", "Send", "Signal"} {
		for name, fault := range map[string]winrmtest.Fault{"slow": {Delay: 40 * time.Second}, "silent": {Drop: winrmtest.Silence}} {
			t.Run(action+"/"+name, func(t *testing.T) {
				inBubble(t, func(p *winrmtest.Proc) uint32 {
					p.Signals() // ctrl_c does not end it
					<-p.Context().Done()
					return 1
				}, nil, func(t *testing.T, srv *winrmtest.Server, client *winrm.Client) {
					fault.Action = action
					srv.AddFaults(fault)
					ctx, cancel := context.WithTimeout(t.Context(), ends)
					defer cancel()
					cmd := client.CommandContext(ctx, "x")
					cmd.WaitDelay = delay
					if action == "Send" {
						cmd.Stdin = endless{}
					}
					began := time.Now()
					err := cmd.Run()
					assert.ErrorIs(t, err, context.DeadlineExceeded)
					assert.LessOrEqual(t, time.Since(began), ends+delay+time.Second)
					_ = client.Close()
					assert.LessOrEqual(t, time.Since(began), ends+delay+15*time.Second, "Close")
					time.Sleep(time.Minute) // what is slow is done
					assert.LessOrEqual(t, srv.Stats().Exchanges["Command"], 1)
					assert.Zero(t, srv.Stats().Commands)
					switch action {
					case winrmtest.ActionLogon:
						assert.Zero(t, srv.Stats().Exchanges["Create"])
						return
					case "Create":
						return // below
					}
					assert.Zero(t, srv.Stats().Shells)
					signals := signals(srv)
					assert.Contains(t, signals, "terminate")
					if action == "Receive" {
						assert.Contains(t, signals, "ctrl_c")
					}
					assert.Positive(t, srv.Stats().Exchanges["Delete"])
				})
			})
		}
	}
}

// signals are the codes that Signal was sent with, by their last word.
func signals(srv *winrmtest.Server) []string {
	var out []string
	for _, x := range srv.Exchanges() {
		if strings.HasSuffix(x.Action, "/Signal") {
			_, rest, _ := strings.Cut(string(x.Request), "/signal/")
			code, _, _ := strings.Cut(rest, "<")
			out = append(out, code)
		}
	}
	return out
}

// A mechanism as slow as one whose KDC is far away.
type slowMechanism struct {
	auth.Mechanism
	auth.Accounter
	delay time.Duration
}

type slowSession struct {
	auth.Session
	auth.Sealer
	auth.Presenter
	delay time.Duration
}

func (m *slowMechanism) NewSession(p auth.Peer) (auth.Session, error) {
	s, err := m.Mechanism.NewSession(p)
	if err != nil {
		return nil, err
	}
	return &slowSession{Session: s, Sealer: s.(auth.Sealer), Presenter: s.(auth.Presenter), delay: m.delay}, nil
}

func (s *slowSession) Step(ctx context.Context, in auth.Leg) ([]byte, bool, error) {
	select {
	case <-time.After(s.delay):
		return s.Session.Step(ctx, in)
	case <-ctx.Done():
		return nil, false, context.Cause(ctx)
	}
}

// A client with a hundred calls waiting, whose logons take their time, never
// takes waiting for a dead host.
func TestWaitingIsNotDead(t *testing.T) {
	var slow *slowMechanism
	inBubble(t, func(p *winrmtest.Proc) uint32 {
		time.Sleep(20 * time.Second)
		fmt.Fprint(p.Stdout, p.Line)
		return 0
	}, func(cfg *winrm.Config) {
		slow = &slowMechanism{Mechanism: cfg.Auth, Accounter: cfg.Auth.(auth.Accounter), delay: 9 * time.Second}
		cfg.Auth, cfg.MaxConns = slow, 3
	}, func(t *testing.T, srv *winrmtest.Server, client *winrm.Client) {
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				out, err := client.Command("x", fmt.Sprint(i)).Output()
				assert.NoError(t, err)
				assert.Equal(t, fmt.Sprintf("x %d", i), string(out))
			})
		}
		wg.Wait()
		assert.Equal(t, 100, srv.Stats().TotalCommands)
		assert.Equal(t, 100, srv.Stats().Exchanges["Command"])
		assert.LessOrEqual(t, srv.Stats().PeakConnections, 3)
	})
}
