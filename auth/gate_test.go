package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/toyauth"
)

// fanOut starts servers of one account database with a transport to each.
func fanOut(t *testing.T, n int, change func(i int, s *server), mech func(i int) auth.Mechanism) ([]*server, []*auth.Transport) {
	t.Helper()
	servers, transports := make([]*server, n), make([]*auth.Transport, n)
	for i := range n {
		s := newServer(t, toyauth.TwoLegs)
		if change != nil {
			change(i, s)
		}
		servers[i] = s
		tr, err := auth.NewTransport(fmt.Sprintf("http://srv%d.test:5985/wsman", i), &auth.TransportConfig{
			Mechanism: mech(i), Dial: s.dial, Encryption: auth.EncryptNever, // for Basic
		})
		require.NoError(t, err)
		t.Cleanup(func() { _ = tr.Close() })
		transports[i] = tr
	}
	return servers, transports
}

func postTo(ctx context.Context, tr *auth.Transport, i int) error {
	req := newRequest(ctx, false, "x")
	req.URL.Host = fmt.Sprintf("srv%d.test:5985", i)
	resp, err := tr.RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	return err
}

func failures(servers []*server) (n int) {
	for _, s := range servers {
		_, _, failed := s.counts()
		n += failed
	}
	return n
}

func TestWrongPasswordCostsOneFailedLogon(t *testing.T) {
	bad := creds()
	bad.Password = "wrong"
	kinds := func(i int) auth.Mechanism {
		if i%2 == 1 {
			return auth.BasicInsecure(bad)
		}
		return toyauth.New(toyauth.TwoLegs, bad)
	}
	servers, transports := fanOut(t, 50, func(i int, s *server) { s.basic = i%2 == 1 }, kinds)
	var wg sync.WaitGroup
	var remembered atomic.Int64
	for i, tr := range transports {
		for range 10 {
			wg.Go(func() {
				e, ok := errors.AsType[*auth.Error](postTo(t.Context(), tr, i))
				if assert.True(t, ok) {
					assert.True(t, e.Refused)
					assert.Equal(t, "user", e.Account)
					assert.NotContains(t, e.Error(), "wrong horse")
					if e.Remembered {
						remembered.Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	assert.Equal(t, 1, failures(servers))
	assert.EqualValues(t, 499, remembered.Load())

	// Credentials built anew in a loop are the same credentials.
	again := auth.Credentials{User: "USER", Password: "wrong", Gate: bad.Gate}
	tr := servers[0].transport(func(c *auth.TransportConfig) { c.Mechanism = toyauth.New(toyauth.TwoLegs, again) })
	_, _, err := servers[0].post(tr, t.Context(), "x")
	e, ok := errors.AsType[*auth.Error](err)
	require.True(t, ok, "%v", err)
	assert.True(t, e.Remembered)
	assert.Contains(t, e.RefusedBy, ".test:5985")
	assert.Equal(t, 1, failures(servers))

	// Forgotten on purpose, it is tried again, once.
	bad.Gate.Forget(bad)
	for range 3 {
		require.Error(t, postTo(t.Context(), transports[0], 0))
	}
	assert.Equal(t, 2, failures(servers))

	// Another password is another credential.
	good := bad
	good.Password = goodPass
	tr = servers[0].transport(func(c *auth.TransportConfig) { c.Mechanism = toyauth.New(toyauth.TwoLegs, good) })
	_, _, err = servers[0].post(tr, t.Context(), "x")
	require.NoError(t, err)
}

func TestProvenAccountIsRefusedPerHost(t *testing.T) {
	c := creds()
	servers, transports := fanOut(t, 3, nil, func(int) auth.Mechanism { return toyauth.New(toyauth.TwoLegs, c) })
	require.NoError(t, postTo(t.Context(), transports[0], 0))
	// On one host the account is another one.
	servers[1].intercept = func(r *received) string {
		if r.nth == 2 {
			servers[1].fail()
			return httpAnswer(401, "WWW-Authenticate: Toy\r\n", "")
		}
		return ""
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { assert.Error(t, postTo(t.Context(), transports[1], 1)) })
	}
	wg.Wait()
	assert.Equal(t, 1, failures(servers))
	require.NoError(t, postTo(t.Context(), transports[2], 2))
	require.NoError(t, postTo(t.Context(), transports[0], 0))
}

func TestFirstLogonRunsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := creds()
		var now, peak atomic.Int64
		slow := func(_ int, s *server) {
			s.intercept = func(r *received) string {
				if !r.message {
					n := now.Add(1)
					if n > peak.Load() {
						peak.Store(n)
					}
					time.Sleep(time.Second)
					now.Add(-1)
				}
				return ""
			}
		}
		servers, transports := fanOut(t, 10, slow, func(int) auth.Mechanism { return toyauth.New(toyauth.TwoLegs, c) })
		// Somebody with little time waits too, and gives up alone.
		var wg sync.WaitGroup
		start := time.Now()
		wg.Go(func() { assert.NoError(t, postTo(t.Context(), transports[0], 0)) })
		synctest.Wait()
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
			defer cancel()
			assert.ErrorIs(t, postTo(ctx, transports[1], 1), context.DeadlineExceeded)
			assert.Equal(t, time.Second/2, time.Since(start))
		})
		for i := 2; i < 10; i++ {
			wg.Go(func() { assert.NoError(t, postTo(t.Context(), transports[i], i)) })
		}
		time.Sleep(1900 * time.Millisecond)
		assert.EqualValues(t, 1, peak.Load(), "before the first success only one logon is under way")
		wg.Wait()
		assert.InDelta(t, 4, time.Since(start).Seconds(), 0.01, "then all others at once")
		for i := range servers {
			_ = transports[i].Close()
			servers[i].stop()
		}
	})
}

func TestWaitingForTheGateIsNotChargedToConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, toyauth.TwoLegs)
		s.intercept = func(r *received) string {
			if !r.message {
				time.Sleep(3 * time.Second) // each leg; ConnectTimeout is 10 s
			}
			return ""
		}
		var wg sync.WaitGroup
		c := creds()
		for range 4 {
			tr := s.transport(func(cfg *auth.TransportConfig) { cfg.Mechanism = toyauth.New(toyauth.TwoLegs, c) })
			for range 25 {
				wg.Go(func() {
					_, _, err := s.post(tr, t.Context(), "x")
					assert.NoError(t, err)
				})
			}
			defer tr.Close()
		}
		wg.Wait()
		s.stop()
	})
}

func TestInconclusiveAttemptLetsTheNextTry(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	s.intercept = func(r *received) string { return on(r.conn < 3 && r.nth == 1, "drop") }
	tr := s.transport(nil)
	for range 2 {
		_, _, err := s.post(tr, t.Context(), "x")
		_, ok := errors.AsType[*auth.ConnectionLostError](err)
		require.True(t, ok, "%v", err)
		assert.False(t, auth.MayBeProcessed(err))
	}
	_, _, err := s.post(tr, t.Context(), "x")
	require.NoError(t, err)
}

func TestEarlyRefusalIsRemembered(t *testing.T) {
	s := newServer(t, toyauth.Early)
	bad := creds()
	bad.Password = "wrong"
	tr := s.transport(func(c *auth.TransportConfig) { c.Mechanism = toyauth.New(toyauth.Early, bad) })
	for range 3 {
		_, _, err := s.post(tr, t.Context(), "x")
		e, ok := errors.AsType[*auth.Error](err)
		require.True(t, ok, "%v", err)
		assert.True(t, e.Refused)
		assert.False(t, auth.MayBeProcessed(err))
	}
	_, _, failed := s.counts()
	assert.Equal(t, 1, failed)
}

func TestPasswordFuncsAreToldApart(t *testing.T) {
	gate := &auth.Gate{}
	ask := func(p string) auth.Credentials {
		return auth.Credentials{User: "user", Gate: gate, PasswordFunc: func(context.Context) (string, error) { return p, nil }}
	}
	bad, good := ask("wrong"), ask(goodPass)
	assert.Same(t, gate.Logon(bad), gate.Logon(bad))
	assert.NotSame(t, gate.Logon(bad), gate.Logon(good))
	s := newServer(t, toyauth.TwoLegs)
	for _, c := range []struct {
		cred auth.Credentials
		ok   bool
	}{{bad, false}, {bad, false}, {good, true}} {
		tr := s.transport(func(cfg *auth.TransportConfig) { cfg.Mechanism = toyauth.New(toyauth.TwoLegs, c.cred) })
		_, _, err := s.post(tr, t.Context(), "x")
		assert.Equal(t, c.ok, err == nil, "%v", err)
	}
	_, _, failed := s.counts()
	assert.Equal(t, 1, failed)
}

func TestGateKeys(t *testing.T) {
	g := &auth.Gate{}
	base := auth.Credentials{Domain: "CORP", User: "svc", Password: "p"}
	same := []auth.Credentials{
		{Domain: "corp", User: "SVC", Password: "p"},
		{User: `Corp\Svc`, Password: "p"},
	}
	other := []auth.Credentials{
		{Domain: "CORP", User: "svc", Password: "P"},
		{User: "svc", Password: "p"},
		{Domain: "CORPS", User: "vc", Password: "p"},
		{Domain: "CORP", User: "svc", NTHash: []byte("p")},
	}
	for _, c := range same {
		assert.Same(t, g.Logon(base), g.Logon(c))
	}
	for _, c := range other {
		assert.NotSame(t, g.Logon(base), g.Logon(c))
	}
	assert.Equal(t, `CORP\svc`, g.Logon(base).Name())
}

func TestDeadHostHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := creds()
		servers, transports := fanOut(t, 2, nil, func(int) auth.Mechanism { return toyauth.New(toyauth.TwoLegs, c) })
		dead, err := auth.NewTransport("http://srv9.test:5985/wsman", &auth.TransportConfig{
			Mechanism: toyauth.New(toyauth.TwoLegs, c), Encryption: auth.EncryptNever,
			Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() },
		})
		require.NoError(t, err)
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			err := postTo(t.Context(), dead, 9)
			e, ok := errors.AsType[*auth.DialError](err)
			if assert.True(t, ok, "%v", err) {
				assert.True(t, e.Timeout())
			}
			assert.Equal(t, auth.DefaultConnectTimeout, time.Since(start))
		})
		synctest.Wait()
		require.NoError(t, postTo(t.Context(), transports[0], 0))
		assert.Zero(t, time.Since(start))
		wg.Wait()
		for i := range servers {
			_ = transports[i].Close()
			servers[i].stop()
		}
	})
}

// A server that hangs up on a wrong password is not asked again and again: two
// logons without a word are enough, whoever makes them and wherever.
func TestLogonsThatBreakOff(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		cut          bool
		after        time.Duration
	}{
		{name: "hangs up", answer: "drop"},
		{name: "half an answer", answer: "HTTP/1.1 40", cut: true},
		{name: "no HTTP", answer: "garbage\r\n", cut: true},
		{name: "502", answer: httpAnswer(502, "", "")},
		{name: "silence", answer: "drop", after: time.Minute}, // beyond ConnectTimeout
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad := creds()
				bad.Password = "wrong"
				counts := func(i int, s *server) {
					s.intercept = func(r *received) string {
						if r.nth%2 == 1 {
							return ""
						}
						s.fail()
						time.Sleep(tt.after)
						if tt.cut {
							time.AfterFunc(time.Millisecond, func() { _ = r.nc.Close() })
						}
						return tt.answer
					}
				}
				servers, transports := fanOut(t, 10, counts, func(int) auth.Mechanism { return toyauth.New(toyauth.TwoLegs, bad) })
				var wg sync.WaitGroup
				var remembered atomic.Int64
				for i, tr := range transports {
					for range 10 {
						wg.Go(func() {
							ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
							defer cancel()
							err := postTo(ctx, tr, i)
							if !assert.Error(t, err) {
								return
							}
							if e, ok := errors.AsType[*auth.Error](err); ok && e.Remembered {
								remembered.Add(1)
								assert.True(t, e.Broken)
								assert.False(t, e.Refused)
								assert.Equal(t, "user", e.Account)
								assert.Equal(t, []string{"wrong-password", "interrupted"}, causeIDs(e))
								assert.NotErrorIs(t, err, context.DeadlineExceeded, "that was somebody else's")
								assert.Contains(t, err.Error(), "broke off without a word")
							}
						})
					}
				}
				wg.Wait()
				assert.Equal(t, 2, failures(servers))
				assert.EqualValues(t, 98, remembered.Load())

				// One more in each quarter of an hour.
				again := func() int {
					for i, tr := range transports {
						require.Error(t, postTo(t.Context(), tr, i))
					}
					return failures(servers)
				}
				for n := range 4 {
					time.Sleep(14 * time.Minute)
					assert.Equal(t, 2+n, again())
					time.Sleep(time.Minute)
					assert.Equal(t, 3+n, again())
				}

				// What was forgotten on purpose may be tried again.
				bad.Gate.Forget(bad)
				assert.Equal(t, 8, again())
				for i := range servers {
					_ = transports[i].Close()
					servers[i].stop()
				}
			})
		})
	}
}

// With Basic the message itself presents the password.
func TestBasicLogonsThatBreakOff(t *testing.T) {
	bad := creds()
	bad.Password = "wrong"
	servers, transports := fanOut(t, 5, func(_ int, s *server) {
		s.intercept = func(*received) string { s.fail(); return "drop" }
	}, func(int) auth.Mechanism { return auth.BasicInsecure(bad) })
	for range 3 {
		for i, tr := range transports {
			require.Error(t, postTo(t.Context(), tr, i))
		}
	}
	assert.Equal(t, 2, failures(servers))
}

// A host that restarts in the middle of logons does not put credentials under
// suspicion that it has accepted before; elsewhere they are suspect there only.
func TestLogonsThatBreakOffAfterSuccess(t *testing.T) {
	c := creds()
	servers, transports := fanOut(t, 3, nil, func(int) auth.Mechanism { return toyauth.New(toyauth.TwoLegs, c) })
	require.NoError(t, postTo(t.Context(), transports[0], 0))
	var down atomic.Bool
	down.Store(true)
	for i := range 2 {
		servers[i].mu.Lock()
		servers[i].intercept = func(r *received) string { return on(r.nth == 2 && down.Load(), "drop") }
		servers[i].mu.Unlock()
		servers[i].closeConns()
	}
	for range 5 {
		lost, ok := errors.AsType[*auth.ConnectionLostError](postTo(t.Context(), transports[0], 0))
		require.True(t, ok)
		assert.False(t, lost.Sent, "the message")
	}
	for i := range 5 {
		e, ok := errors.AsType[*auth.Error](postTo(t.Context(), transports[1], 1))
		assert.Equal(t, i >= 2, ok && e.Remembered && e.Broken)
	}
	require.NoError(t, postTo(t.Context(), transports[2], 2))
	down.Store(false)
	require.NoError(t, postTo(t.Context(), transports[0], 0))
}
