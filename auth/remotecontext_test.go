package auth_test

import (
	"errors"
	"fmt"
	"net"
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
)

// inBubble runs a test with each mechanism in virtual time.
func inBubble(t *testing.T, test func(t *testing.T, m auth.Mechanism)) {
	for name, mech := range ntlmKinds {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, mech(creds())) })
		})
	}
}

func (r *remote) stop(c *winrm.Client) {
	_ = c.Close()
	r.Server.Close()
}

// A connection that was idle for two minutes has lost its context at the host.
// The client does not wait for that, nor for the host to find out.
func TestIdleClientLogsOnAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, m auth.Mechanism) {
		r := newRemote(t, nil, nil)
		c := r.client(t, m, nil)
		for i, idle := range []time.Duration{0, 90 * time.Second, 110 * time.Second, 3 * time.Minute, time.Hour} {
			time.Sleep(idle)
			out, err := run(t.Context(), c, "hello")
			require.NoError(t, err, "after %v", idle)
			assert.Equal(t, `ran hello as WINRMTEST\user`, out)
			assert.Len(t, r.ran(), i+1)
		}
		stats := r.Stats()
		assert.Equal(t, 4, stats.Logons, "the second command found the first one's context alive")
		assert.Equal(t, stats.Logons, stats.Unauthorized, "the challenges, and no message went to a lost context")
		r.stop(c)
	})
}

// A host that drops contexts sooner answers 401, in clear: whether it, or somebody
// on the way, has done so after the command was started is not known. Once is
// enough, after that no context is left alone for so long.
func TestContextThatTheHostDrops(t *testing.T) {
	inBubble(t, func(t *testing.T, m auth.Mechanism) {
		r := newRemote(t, func(s *winrmtest.Server) { s.ContextIdle = 10 * time.Second }, nil)
		c := r.client(t, m, nil)
		for i := range 5 {
			out, err := run(t.Context(), c, fmt.Sprint("command ", i))
			if i == 1 {
				_, lost := errors.AsType[*winrm.CommandLostError](err)
				assert.True(t, lost, "%v", err)
			} else {
				require.NoError(t, err)
				assert.Equal(t, fmt.Sprintf(`ran command %d as WINRMTEST\user`, i), out)
			}
			time.Sleep(30 * time.Second)
		}
		assert.Equal(t, []string{"command 0", "command 2", "command 3", "command 4"}, r.ran(), "each once")
		stats := r.Stats()
		assert.Equal(t, 5, stats.Logons)
		assert.Empty(t, stats.FailedLogons)
		r.stop(c)
	})
}

// A command may be silent for longer than the host keeps a context: every
// Receive that ends without output finds it gone.
func TestSilentCommandOutlivesItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T, m auth.Mechanism) {
		r := newRemote(t, func(s *winrmtest.Server) { s.ContextIdle = 30 * time.Second }, func(p *winrmtest.Proc) uint32 {
			fmt.Fprint(p.Stdout, "begin ")
			time.Sleep(10 * time.Minute)
			fmt.Fprint(p.Stdout, "end")
			return 3
		})
		c := r.client(t, m, nil)
		out, err := run(t.Context(), c, "long")
		exit, ok := errors.AsType[*winrm.ExitError](err)
		require.True(t, ok, "%v", err)
		assert.EqualValues(t, 3, exit.Code)
		assert.Equal(t, "begin end", out)
		assert.Equal(t, []string{"long"}, r.ran())
		assert.GreaterOrEqual(t, r.Stats().Logons, 9, "one after each Receive")
		r.stop(c)
	})
}

// The listener is restarted between commands, and during a silent Receive: the
// client logs on again. Only the answer that was under way is lost, and said to
// be.
func TestListenerRestarts(t *testing.T) {
	inBubble(t, func(t *testing.T, m auth.Mechanism) {
		r := newRemote(t, nil, func(p *winrmtest.Proc) uint32 {
			if p.Line == "slow" {
				time.Sleep(5 * time.Minute)
			}
			fmt.Fprintf(p.Stdout, "ran %s", p.Line)
			return 0
		})
		c := r.client(t, m, nil)
		for range 3 {
			out, err := run(t.Context(), c, "quick")
			require.NoError(t, err)
			assert.Equal(t, "ran quick", out)
			synctest.Wait() // the Signal that cleans up
			r.CloseConnections()
		}
		assert.Equal(t, []string{"quick", "quick", "quick"}, r.ran())

		for _, after := range []time.Duration{time.Second, 150 * time.Second} {
			timer := time.AfterFunc(after, r.CloseConnections)
			out, err := run(t.Context(), c, "slow")
			timer.Stop()
			lost, ok := errors.AsType[*winrm.OutputLostError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, 1, lost.Answers)
			require.NoError(t, lost.Result, "the command's exit code is known")
			assert.Equal(t, "ran slow", out, "all that came after")
		}
		assert.Len(t, r.ran(), 5, "none twice")
		assert.Empty(t, r.Stats().FailedLogons)
		r.stop(c)
	})
}

// A sealed answer to Receive is cut at many places: nothing of it gets out, what
// comes after does, and the loss is told.
func TestSealedReceiveIsCut(t *testing.T) {
	const size = 3000
	first, second := strings.Repeat("1", size), strings.Repeat("2", size)
	for name, mech := range ntlmKinds {
		for _, drop := range []winrmtest.Drop{winrmtest.DropAt, winrmtest.HalfCloseAt} {
			for at := 0; at < 6000; at += 377 {
				t.Run(fmt.Sprintf("%s/%d at %d", name, drop, at), func(t *testing.T) {
					again := make(chan struct{})
					once := sync.OnceFunc(func() { close(again) })
					r := newRemote(t, func(s *winrmtest.Server) {
						s.Faults = []winrmtest.Fault{{Action: "Receive", Drop: drop, At: at}}
						s.Hook = func(x *winrmtest.Exchange) *winrmtest.Fault {
							if strings.HasSuffix(x.Action, "/Receive") {
								once()
							}
							return nil
						}
					}, func(p *winrmtest.Proc) uint32 {
						fmt.Fprint(p.Stdout, first)
						<-again
						fmt.Fprint(p.Stdout, second)
						return 4
					})
					c := r.client(t, mech(creds()), nil)
					out, err := run(t.Context(), c, "x")
					exit, ok := errors.AsType[*winrm.ExitError](err)
					require.True(t, ok, "%v", err)
					assert.EqualValues(t, 4, exit.Code)
					_, lost := errors.AsType[*winrm.OutputLostError](err)
					assert.True(t, lost, "%v", err)
					assert.Equal(t, second, out, "nothing of the answer that was cut")
					assert.Equal(t, []string{"x"}, r.ran())
					assert.Equal(t, 1, r.Stats().Exchanges["Command"])
				})
			}
		}
	}
}

// On the way a byte of a sealed answer changes: nothing of it gets out, the
// error is typed and no command runs twice.
func TestSealedAnswerIsChanged(t *testing.T) {
	for name, mech := range ntlmKinds {
		for _, action := range []string{"Create", "Command", "Receive"} {
			t.Run(name+"/"+action, func(t *testing.T) {
				r := newRemote(t, nil, nil)
				r.AddFaults(winrmtest.Fault{Action: action, EditSealed: func(body []byte) []byte {
					body[len(body)-60] ^= 1
					return body
				}})
				c := r.client(t, mech(creds()), nil)
				out, err := run(t.Context(), c, "x")
				if err != nil {
					_, ok := errors.AsType[*auth.ResponseError](err)
					assert.True(t, ok, "%v", err)
				}
				assert.LessOrEqual(t, len(r.ran()), 1)
				assert.Contains(t, []string{"", `ran x as WINRMTEST\user`}, out)
				assert.LessOrEqual(t, r.Stats().Exchanges["Command"], 1)
			})
		}
	}
}

// A real socket that is reset in the middle of what it carries.
func TestResetOnARealSocket(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		for i := range 100 {
			if _, err := fmt.Fprintf(p.Stdout, "line %d\n", i); err != nil {
				return 9
			}
			time.Sleep(2 * time.Millisecond)
		}
		return 0
	}))
	srv.Listener = ln
	srv.Users = map[string]string{"user": goodPass}
	srv.Start()
	t.Cleanup(srv.Close)
	c, err := winrm.New(srv.URL, srv.ConfigFor(creds()))
	require.NoError(t, err)
	timer := time.AfterFunc(100*time.Millisecond, srv.CloseConnections)
	defer timer.Stop()
	out, err := run(t.Context(), c, "lines")
	if err != nil {
		_, lost := errors.AsType[*winrm.OutputLostError](err)
		require.True(t, lost, "%v", err)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(out, "\n"), "\n") {
		assert.Regexp(t, `^line \d+$`, line)
	}
	assert.Equal(t, 1, srv.Stats().TotalCommands)
	require.NoError(t, c.Close())
}
