package winrm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	"github.com/winrmkit/winrmkit/wsman"
)

// A network can be taken down, with all connections over it.
type network struct {
	mu      sync.Mutex
	down    bool
	refused int // dials while it was down
	conns   []net.Conn
}

var errDown = errors.New("network is down")

func (n *network) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		n.refused++
		return nil, errDown
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err == nil {
		n.conns = append(n.conns, conn)
	}
	return conn, err
}

func (n *network) set(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down = down; down {
		for _, c := range n.conns {
			_ = c.Close()
		}
		n.conns = nil
	}
}

func (n *network) dials() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.refused
}

func (n *network) over(timeout time.Duration) func(*winrm.Config) {
	return func(cfg *winrm.Config) { cfg.Dial, cfg.ReconnectTimeout = n.dial, timeout }
}

// A command outlives a network that is away for a while: its output comes after,
// and its exit code. That an answer was under way is told.
func TestOutage(t *testing.T) {
	var n network
	step := make(chan struct{})
	srv, client := handle(t, func(p *winrmtest.Proc) uint32 {
		<-step
		fmt.Fprint(p.Stdout, "out")
		return 5
	}, n.over(time.Minute))
	var out strings.Builder
	cmd := client.Command("x")
	cmd.Stdout = &out
	require.NoError(t, cmd.Start())
	eventually(t, func() bool { return srv.Stats().Operations > 0 }, "Receive is held")
	n.set(true)
	eventually(t, func() bool { return n.dials() >= 3 }, "tried again and again")
	close(step)
	n.set(false)
	var err error
	within(t, 20*time.Second, func() { err = cmd.Wait() })
	lost, ok := errors.AsType[*winrm.OutputLostError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, 1, lost.Answers, "dials that fail lose nothing")
	exit, ok := errors.AsType[*winrm.ExitError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, uint32(5), exit.Code)
	assert.Equal(t, "out", out.String())
	assert.Equal(t, 1, srv.Stats().Exchanges["Command"])
}

// Input that could not be sent is kept, and arrives once.
func TestOutageOfInput(t *testing.T) {
	var n network
	taken := make(chan struct{}, 10) // a value for each Send that was answered
	_, client := handle(t, func(p *winrmtest.Proc) uint32 {
		_, _ = io.Copy(p.Stdout, p.Stdin)
		return 0
	}, n.over(time.Minute), func(cfg *winrm.Config) {
		cfg.Trace = &winrm.Trace{WSMan: &wsman.Trace{ExchangeDone: func(_ context.Context, d wsman.ExchangeDone) {
			if strings.HasSuffix(d.Action, "/Send") && d.Err == nil {
				taken <- struct{}{}
			}
		}}}
	})
	r, w := io.Pipe()
	var out strings.Builder
	cmd := client.Command("x.exe")
	cmd.Stdin, cmd.Stdout = r, &out
	require.NoError(t, cmd.Start())
	_, err := io.WriteString(w, "one ")
	require.NoError(t, err)
	<-taken
	n.set(true)
	_, err = io.WriteString(w, "two")
	require.NoError(t, err)
	require.NoError(t, w.Close())
	eventually(t, func() bool { return n.dials() >= 4 }, "input and output try")
	n.set(false)
	within(t, 20*time.Second, func() { err = cmd.Wait() })
	_, lost := errors.AsType[*winrm.InputLostError](err)
	assert.False(t, lost, "%v", err)
	assert.NotErrorIs(t, err, errDown)
	assert.Equal(t, 1, strings.Count(out.String(), "two"), "%q, %v", out.String(), err)
}

// An outage ends the command's watch when it lasts for too long, or at once where
// that is wanted.
func TestLongOutage(t *testing.T) {
	for timeout, least := range map[time.Duration]int{300 * time.Millisecond: 2, -1: 1} {
		t.Run(timeout.String(), func(t *testing.T) {
			var n network
			srv, client := handle(t, func(p *winrmtest.Proc) uint32 {
				<-p.Context().Done()
				return 1
			}, n.over(timeout))
			cmd := client.Command("x")
			require.NoError(t, cmd.Start())
			eventually(t, func() bool { return srv.Stats().Operations > 0 }, "Receive is held")
			n.set(true)
			var err error
			within(t, 10*time.Second, func() { err = cmd.Wait() })
			_, missing := errors.AsType[*winrm.ExitMissingError](err)
			assert.True(t, missing, "%v", err)
			dial, ok := errors.AsType[*auth.DialError](err)
			require.True(t, ok, "%v", err)
			require.ErrorIs(t, dial, errDown)
			assert.GreaterOrEqual(t, n.dials(), least)
			n.set(false) // for the clean-up
		})
	}
}

// Who gives a command up does not wait for the network.
func TestCancelInOutage(t *testing.T) {
	var n network
	srv, client := handle(t, func(p *winrmtest.Proc) uint32 {
		<-p.Context().Done()
		return 1
	}, n.over(time.Hour))
	ctx, cancel := context.WithCancel(t.Context())
	cmd := client.CommandContext(ctx, "x")
	cmd.WaitDelay = 100 * time.Millisecond
	require.NoError(t, cmd.Start())
	eventually(t, func() bool { return srv.Stats().Operations > 0 }, "Receive is held")
	n.set(true)
	eventually(t, func() bool { return n.dials() >= 2 }, "the outage is noticed")
	cancel()
	var err error
	within(t, 5*time.Second, func() { err = cmd.Wait() })
	require.ErrorIs(t, err, context.Canceled)
	n.set(false)
}

// A host that is back but refuses is not asked again.
func TestRefusedAfterOutage(t *testing.T) {
	var n network
	srv, client := handle(t, func(p *winrmtest.Proc) uint32 {
		<-p.Context().Done()
		return 1
	}, n.over(time.Hour))
	cmd := client.Command("x")
	require.NoError(t, cmd.Start())
	eventually(t, func() bool { return srv.Stats().Operations > 0 }, "Receive is held")
	n.set(true)
	eventually(t, func() bool { return n.dials() >= 2 }, "the outage is noticed")
	srv.AddFaults(winrmtest.Fault{
		Action: "Receive", Status: http.StatusUnauthorized, Count: -1,
		Header: http.Header{"Www-Authenticate": {`Basic realm="WSMAN"`}},
	})
	before := len(actions(srv))
	n.set(false)
	var err error
	within(t, 10*time.Second, func() { err = cmd.Wait() })
	refusal, ok := errors.AsType[*auth.Error](err)
	require.True(t, ok, "%v", err)
	assert.True(t, refusal.Refused)
	assert.Equal(t, 1, strings.Count(strings.Join(actions(srv)[before:], " "), "Receive"))
}
