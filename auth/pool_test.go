package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/toyauth"
)

// slowServer holds long polls for a minute and answers all else at once.
func slowServer(t *testing.T) *server {
	s := newServer(t, toyauth.TwoLegs)
	s.answer = func(r *received) reply {
		if strings.HasPrefix(r.plain, "poll") {
			time.Sleep(time.Minute)
		}
		if rest, ok := strings.CutPrefix(r.plain, "take "); ok {
			d, _ := time.ParseDuration(rest)
			time.Sleep(d)
		}
		return reply{status: 200, body: r.plain}
	}
	return s
}

func TestPollsLeaveAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowServer(t)
		tr := s.transport(func(c *auth.TransportConfig) { c.MaxConns = 2 })
		poll := auth.WithPriority(t.Context(), auth.LongPoll)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_, _, err := s.post(tr, poll, "poll")
				assert.NoError(t, err)
			})
		}
		synctest.Wait()
		time.Sleep(time.Second)
		st := tr.Stats()
		assert.Equal(t, 1, st.Polls)
		assert.Equal(t, 2, st.Waiting)
		assert.Equal(t, 2, tr.Waiting())

		start := time.Now()
		_, _, err := s.post(tr, auth.WithPriority(t.Context(), auth.Control), "signal")
		require.NoError(t, err)
		_, _, err = s.post(tr, t.Context(), "command")
		require.NoError(t, err)
		assert.Less(t, time.Since(start), time.Second)
		wg.Wait()
		assert.InDelta(t, 180-1, time.Since(start).Seconds(), 1.5, "polls one after the other")
		_ = tr.Close()
		s.stop()
	})
}

func TestControlGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowServer(t)
		tr := s.transport(func(c *auth.TransportConfig) { c.MaxConns = 2 })
		var wg sync.WaitGroup
		send := func(p auth.Priority, body string) {
			wg.Go(func() {
				_, _, err := s.post(tr, auth.WithPriority(t.Context(), p), body)
				assert.NoError(t, err)
			})
			synctest.Wait()
		}
		send(auth.LongPoll, "poll")
		send(auth.Normal, "take 10s")
		for i := range 2 {
			send(auth.LongPoll, fmt.Sprint("poll ", i))
			send(auth.Normal, fmt.Sprint("normal ", i))
			send(auth.Control, fmt.Sprint("control ", i))
		}
		wg.Wait()
		got := s.messages()[2:]
		assert.Equal(t, []string{"control 0", "control 1", "normal 0", "normal 1", "poll 0", "poll 1"}, got)
		_ = tr.Close()
		s.stop()
	})
}

func TestCommandWaitsForTheSignalInsteadOfDialling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowServer(t)
		tr := s.transport(nil)
		require.NoError(t, second(s.post(tr, t.Context(), "warm")))
		var wg sync.WaitGroup
		wg.Go(func() {
			assert.NoError(t, second(s.post(tr, auth.WithPriority(t.Context(), auth.Control), "take 100ms")))
		})
		synctest.Wait()
		require.NoError(t, second(s.post(tr, t.Context(), "command")))
		wg.Wait()
		conns, _, _ := s.counts()
		assert.Equal(t, 1, conns)

		// But not for ever.
		wg.Go(func() {
			assert.NoError(t, second(s.post(tr, auth.WithPriority(t.Context(), auth.Control), "take 20s")))
		})
		synctest.Wait()
		start := time.Now()
		require.NoError(t, second(s.post(tr, t.Context(), "command")))
		assert.Less(t, time.Since(start), time.Second)
		wg.Wait()
		_ = tr.Close()
		s.stop()
	})
}

func second(_ int, _ string, err error) error { return err }

func TestWaitingForASlotIsNotChargedToConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowServer(t)
		tr := s.transport(func(c *auth.TransportConfig) { c.MaxConns = 2 })
		var wg sync.WaitGroup
		for range 20 { // ten rounds of 8 s, with a ConnectTimeout of 10 s
			wg.Go(func() { assert.NoError(t, second(s.post(tr, t.Context(), "take 8s"))) })
		}
		wg.Wait()
		conns, _, _ := s.counts()
		assert.Equal(t, 2, conns)
		_ = tr.Close()
		s.stop()
	})
}

func TestWaiterThatGivesUpLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowServer(t)
		tr := s.transport(func(c *auth.TransportConfig) { c.MaxConns = 2 })
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { assert.NoError(t, second(s.post(tr, t.Context(), "take 10s"))) })
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("impatient"))
		defer cancel()
		err := second(s.post(tr, ctx, "never"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "impatient")
		assert.False(t, auth.MayBeProcessed(err))
		assert.Zero(t, tr.Waiting())
		wg.Wait()
		assert.NotContains(t, s.messages(), "never")
		_ = tr.Close()
		s.stop()
	})
}

func TestContextsAreNeverMixed(t *testing.T) {
	s := newServer(t, toyauth.Splitting)
	tr := s.transport(func(c *auth.TransportConfig) { c.MaxConns = 3 })
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			p := []auth.Priority{auth.Normal, auth.LongPoll, auth.Control}[i%3]
			body := strings.Repeat(fmt.Sprint(i, " "), 100*i+1)
			_, got, err := s.post(tr, auth.WithPriority(t.Context(), p), body)
			assert.NoError(t, err)
			assert.Equal(t, "re: "+body, got)
		})
	}
	wg.Wait()
	conns, _, _ := s.counts()
	assert.LessOrEqual(t, conns, 3)
	assert.Equal(t, 50, len(s.messages()))
}

func TestCancelClosesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowServer(t)
		tr := s.transport(nil)
		require.NoError(t, second(s.post(tr, t.Context(), "warm")))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		err := second(s.post(tr, ctx, "poll"))
		require.ErrorIs(t, err, context.Canceled)
		assert.InDelta(t, 1, time.Since(start).Seconds(), 0.01)
		lost, ok := errors.AsType[*auth.ConnectionLostError](err)
		require.True(t, ok)
		assert.True(t, lost.Sent)
		assert.Zero(t, tr.Stats().Open)
		require.NoError(t, second(s.post(tr, t.Context(), "next")))
		_ = tr.Close()
		s.stop()
	})
}

func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowServer(t)
		tr := s.transport(func(c *auth.TransportConfig) { c.MaxConns = 2 })
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				err := second(s.post(tr, t.Context(), "take 1h"))
				assert.ErrorIs(t, err, auth.ErrClosed)
			})
		}
		time.Sleep(time.Second)
		start := time.Now()
		require.NoError(t, tr.Close())
		wg.Wait()
		assert.Zero(t, time.Since(start))
		assert.Equal(t, 0, tr.Stats().Open)
		require.ErrorIs(t, second(s.post(tr, t.Context(), "x")), auth.ErrClosed)
		require.NoError(t, tr.Close())
		s.stop()
	})
}

// A connection that has carried messages ends with the Transport too, and what it
// carries then is no reason to doubt the credentials.
func TestCloseEndsWhatAWarmConnectionCarries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowServer(t)
		s.basic = true
		cred := creds()
		for _, warm := range []bool{true, false, false, false} {
			tr := s.transport(func(c *auth.TransportConfig) {
				c.Mechanism, c.Encryption = auth.BasicInsecure(cred), auth.EncryptNever
			})
			if warm {
				require.NoError(t, second(s.post(tr, t.Context(), "warm")))
				cred.Gate = new(auth.Gate) // the others log on for the first time
			}
			done := make(chan error, 1)
			go func() { done <- second(s.post(tr, t.Context(), "take 1h")) }()
			synctest.Wait()
			start := time.Now()
			require.NoError(t, tr.Close())
			err := <-done
			assert.Zero(t, time.Since(start))
			require.ErrorIs(t, err, auth.ErrClosed)
			lost, ok := errors.AsType[*auth.ConnectionLostError](err)
			require.True(t, ok, "%v", err)
			assert.True(t, lost.Sent)
			assert.Zero(t, tr.Stats().Open)
		}
		tr := s.transport(func(c *auth.TransportConfig) {
			c.Mechanism, c.Encryption = auth.BasicInsecure(cred), auth.EncryptNever
		})
		require.NoError(t, second(s.post(tr, t.Context(), "x")))
		_ = tr.Close()
		s.stop()
	})
}

// A password that is being asked for does not keep Close from ending the call.
func TestCloseEndsTheQuestionForAPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowServer(t)
		s.basic = true
		cred := creds()
		cred.Gate = new(auth.Gate)
		asked := 0
		cred.PasswordFunc = func(ctx context.Context) (string, error) {
			if asked++; asked < 3 {
				return goodPass, nil
			}
			<-ctx.Done()
			return "", context.Cause(ctx)
		}
		tr := s.transport(func(c *auth.TransportConfig) {
			c.Mechanism, c.Encryption = auth.BasicInsecure(cred), auth.EncryptNever
		})
		for range 2 {
			require.NoError(t, second(s.post(tr, t.Context(), "x")))
		}
		done := make(chan error, 1)
		go func() { done <- second(s.post(tr, t.Context(), "x")) }()
		synctest.Wait()
		require.NoError(t, tr.Close())
		require.ErrorIs(t, <-done, auth.ErrClosed)
		s.stop()
	})
}

func TestTrace(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	var events []string
	note := func(format string, args ...any) { events = append(events, fmt.Sprintf(format, args...)) }
	tr := s.transport(func(c *auth.TransportConfig) {
		c.Trace = &auth.Trace{
			Dialed:   func(_ context.Context, i auth.DialInfo) { note("dial %s %v", i.Addr, i.Err) },
			LogonLeg: func(_ context.Context, i auth.LegInfo) { note("leg %d %s %d", i.Leg, i.Scheme, i.Status) },
			Logon: func(_ context.Context, i auth.LogonInfo) {
				note("logon %s %s %d %v", i.Mechanism, i.Account, i.Legs, i.Err)
			},
			ExchangeBegin: func(_ context.Context, i auth.ExchangeInfo) {
				note("begin %s sealed=%t reused=%t", i.Priority, i.Sealed, i.Reused)
			},
			ExchangeEnd: func(_ context.Context, i auth.ExchangeInfo) { note("end %d %v", i.Status, i.Err) },
			ConnClosed:  func(i auth.ConnInfo) { note("closed: %s after %d", i.Reason, i.Exchanges) },
		}
	})
	require.NoError(t, second(s.post(tr, auth.WithPriority(t.Context(), auth.Control), "x")))
	require.NoError(t, tr.Close())
	assert.Equal(t, []string{
		"dial srv1.test:5985 <nil>",
		"leg 1 Toy 401", "leg 2 Toy 200", "logon Toy TwoLegs user 2 <nil>",
		"begin control sealed=true reused=false", "end 200 <nil>", "closed: closed after 1",
	}, events)
	assert.False(t, slices.ContainsFunc(events, func(e string) bool { return strings.Contains(e, goodPass) }))
}
