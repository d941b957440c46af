package winrm_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// A flaky is a network between a client and a server on which something happens each
// time so many bytes have gone over it.
type flaky struct {
	srv    *winrmtest.Server
	happen func(*flaky, *flakyConn)
	dialer func(context.Context, string, string) (net.Conn, error)

	mu     sync.Mutex
	open   map[*flakyConn]struct{}
	after  []int64 // bytes until the next ones
	count  int     // how often it has happened
	refuse int     // how many dials fail
}

type flakyConn struct {
	net.Conn
	f *flaky
}

func (f *flaky) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	f.mu.Lock()
	refused := f.refuse > 0
	if refused {
		f.refuse--
	}
	f.mu.Unlock()
	if refused {
		return nil, errCable
	}
	c, err := f.dialer(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	fc := &flakyConn{Conn: c, f: f}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		f.open = make(map[*flakyConn]struct{})
	}
	f.open[fc] = struct{}{}
	return fc, nil
}

// passed is told of bytes that go over a connection.
func (c *flakyConn) passed(n int) {
	c.f.mu.Lock()
	due := false
	if len(c.f.after) > 0 {
		if c.f.after[0] -= int64(n); c.f.after[0] <= 0 {
			c.f.after, due = c.f.after[1:], true
			c.f.count++
		}
	}
	c.f.mu.Unlock()
	if due {
		c.f.happen(c.f, c)
	}
}

func (c *flakyConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.passed(n)
	return n, err
}

func (c *flakyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.passed(n)
	return n, err
}

func (c *flakyConn) Close() error {
	c.f.mu.Lock()
	delete(c.f.open, c)
	c.f.mu.Unlock()
	return c.Conn.Close()
}

// cutAll cuts the connections that there are, and refuses some after that.
func (f *flaky) cutAll(refuse int) {
	f.mu.Lock()
	f.refuse += refuse
	var all []*flakyConn
	for c := range f.open {
		all = append(all, c)
	}
	f.mu.Unlock()
	for _, c := range all {
		_ = c.Conn.Close()
	}
}

// back lets all dials succeed again.
func (f *flaky) back() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = 0
}

// soon lets it happen after so many more bytes.
func (f *flaky) soon(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after = append(f.after, n)
}

func (f *flaky) happened() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// mishaps are what may happen to a network.
var mishaps = map[string]func(*flaky, *flakyConn){
	"one connection": func(_ *flaky, c *flakyConn) { _ = c.Conn.Close() },
	"all":            func(f *flaky, _ *flakyConn) { f.cutAll(0) },
	"outage":         func(f *flaky, _ *flakyConn) { f.cutAll(2) },
	"restart":        func(f *flaky, _ *flakyConn) { f.srv.RestartService() },
	"restart, away":  func(f *flaky, _ *flakyConn) { f.cutAll(2); f.srv.RestartService() },
}

// lostAtOnce is what one mishap may cost a stream on the wire: what was on its way, what
// the host had taken and the agent had not read yet, and the block that was begun.
const lostAtOnce = 2*512000 + (1<<20+block)*4/3

// flakyFiles is files over such a network, with the retries that were told of.
func flakyFiles(t *testing.T, happen func(*flaky, *flakyConn), trace func(winrm.CopyRetryEvent)) (*flaky, *winrmtest.Disk, *winrm.Client) {
	t.Helper()
	f := &flaky{happen: happen, dialer: new(net.Dialer).DialContext}
	srv, d, client := files(t, func(c *winrm.Config) {
		c.Dial = f.dial
		c.Trace = &winrm.Trace{CopyRetry: func(_ context.Context, ev winrm.CopyRetryEvent) {
			if trace != nil {
				trace(ev)
			}
		}}
	})
	srv.Record = false
	f.srv = srv
	return f, d, client
}

// plan says after how many bytes things happen, some soon after one another.
func (f *flaky) plan(r *mathrand.Rand, times int, within int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after, f.count = nil, 0
	for range times {
		f.after = append(f.after, 1+r.Int64N(within))
	}
}

// Copies over several streams and over one, of what can be read again and of what can
// be read at any offset, go on over each mishap by themselves. What comes is whole,
// progress never goes back, and what goes over the wire twice is bounded.
func TestCopiesGoOn(t *testing.T) {
	t.Parallel()
	size := 24 << 20
	if raceDetector {
		size = 8 << 20
	}
	size = knob(t, "WINRMKIT_FLAKY_SIZE", size)
	data := random(t, size)
	src := local(t, "big", data)
	for name, happen := range mishaps {
		for _, streams := range []int{1, 4} {
			if raceDetector && streams == 1 && name != "restart" {
				continue // less to race
			}
			t.Run(fmt.Sprintf("%s over %d", name, streams), func(t *testing.T) {
				t.Parallel()
				seed := uint64(knob(t, "WINRMKIT_FLAKY_SEED", len(name)))
				copiesGoOn(t, happen, streams, data, src, mathrand.New(mathrand.NewPCG(seed, uint64(streams))))
			})
		}
	}
}

func copiesGoOn(t *testing.T, happen func(*flaky, *flakyConn), streams int, data []byte, src string, r *mathrand.Rand) {
	var retries atomic.Int64
	f, d, client := flakyFiles(t, happen, func(ev winrm.CopyRetryEvent) {
		retries.Add(1)
		assert.Error(t, ev.Err)
		assert.Positive(t, ev.Retry)
		assert.Positive(t, ev.Pause)
	})
	require.NoError(t, d.WriteFile(`C:\down`, data))
	dst := filepath.Join(t.TempDir(), "big")
	opt := func() *winrm.CopyOptions {
		last := int64(0)
		return &winrm.CopyOptions{NoCompression: true, Streams: streams, Progress: func(p winrm.CopyProgress) {
			assert.GreaterOrEqual(t, p.Bytes, last, "progress goes back")
			assert.LessOrEqual(t, p.Bytes, p.Total)
			assert.Equal(t, p.Retry > 0, p.Lost != nil)
			last = p.Bytes
		}}
	}
	var target bytes.Buffer
	ways := []struct {
		name string
		copy func() (*winrm.CopyResult, error)
		got  func() ([]byte, error)
	}{
		{"up", func() (*winrm.CopyResult, error) {
			return client.Upload(t.Context(), src, `C:\up`, opt())
		}, func() ([]byte, error) { return d.ReadFile(`C:\up`) }},
		{"up from a reader", func() (*winrm.CopyResult, error) {
			o := opt()
			o.Source = bytes.NewReader(data)
			return client.Upload(t.Context(), "reader", `C:\reader`, o)
		}, func() ([]byte, error) { return d.ReadFile(`C:\reader`) }},
		{"down", func() (*winrm.CopyResult, error) {
			return client.Download(t.Context(), `C:\down`, dst, opt())
		}, func() ([]byte, error) { return os.ReadFile(dst) }},
		{"down to a writer", func() (*winrm.CopyResult, error) {
			o := opt()
			o.Target = &target
			return client.Download(t.Context(), `C:\down`, "", o)
		}, func() ([]byte, error) { return target.Bytes(), nil }},
	}
	for _, way := range ways {
		const times = 3
		before := f.srv.Stats()
		retries.Store(0)
		f.plan(r, times, int64(len(data))*4/3/(times+1))
		res, err := way.copy()
		require.NoError(t, err, way.name)
		f.plan(r, 0, 1)
		after := f.srv.Stats()
		sent := max(after.BytesIn-before.BytesIn, after.BytesOut-before.BytesOut)
		bound := int64(len(data))*4/3*102/100 + 1_000_000 + times*int64(streams)*lostAtOnce
		t.Logf("%s: %d retries, %d bytes of file, %d over the wire of at most %d", way.name, retries.Load(), len(data), sent, bound)
		assert.LessOrEqual(t, sent, bound, way.name)
		assert.Equal(t, sha256.Sum256(data), res.SHA256, way.name)
		assert.Equal(t, int64(len(data)), res.Size, way.name)
		assert.Zero(t, res.Resumed, "of an earlier copy there was nothing")
		got, err := way.got()
		require.NoError(t, err, way.name)
		require.True(t, bytes.Equal(data, got), way.name)
	}
	assert.Equal(t, []string{`c:\down`, `c:\reader`, `c:\up`}, d.Files(), "no part files are left")
	left, err := os.ReadDir(filepath.Dir(dst))
	require.NoError(t, err)
	assert.Len(t, left, 1)
}

// What a writer has got it gets no second time, and what follows is of the same file.
func TestTargetGoesOn(t *testing.T) {
	t.Parallel()
	data := random(t, 4<<20)
	for name, change := range map[string]func(*winrmtest.Disk) error{
		"same":    func(*winrmtest.Disk) error { return nil },
		"longer":  func(d *winrmtest.Disk) error { return d.WriteFile(`C:\f`, append(bytes.Clone(data), "more"...)) },
		"other":   func(d *winrmtest.Disk) error { return d.WriteFile(`C:\f`, random(t, len(data))) },
		"shorter": func(d *winrmtest.Disk) error { return d.WriteFile(`C:\f`, data[:100]) },
		"gone":    func(d *winrmtest.Disk) error { return d.WriteFile(`C:\f`, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d *winrmtest.Disk
			f, d, client := flakyFiles(t, func(f *flaky, _ *flakyConn) {
				assert.NoError(t, change(d))
				f.srv.RestartService()
			}, nil)
			require.NoError(t, d.WriteFile(`C:\f`, data))
			_, err := client.Stat(t.Context(), `C:\`)
			require.NoError(t, err)
			f.soon(2 << 20)
			var out bytes.Buffer
			res, err := client.Download(t.Context(), `C:\f`, "", &winrm.CopyOptions{NoCompression: true, Target: &out})
			require.Equal(t, 1, f.happened())
			want := data
			switch name {
			case "same":
			case "longer":
				want = append(bytes.Clone(data), "more"...)
			default:
				require.ErrorIs(t, err, winrm.ErrChecksum)
				assert.Less(t, out.Len(), len(data))
				return
			}
			require.NoError(t, err)
			assert.True(t, bytes.Equal(want, out.Bytes()))
			assert.Equal(t, sha256.Sum256(want), res.SHA256)
		})
	}
}

// The word that an upload is complete is lost: it is not sent again.
func TestEndIsNotHeard(t *testing.T) {
	t.Parallel()
	data := random(t, 6<<20)
	src := local(t, "f", data)
	require.NoError(t, os.Chmod(src, 0o444)) // the target could not be replaced a second time
	for name, restart := range map[string]bool{"answer lost": false, "service restarted": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &winrmtest.Disk{}
			srv := winrmtest.NewUnstartedServer(&winrmtest.Host{Disk: d})
			var lost atomic.Int64
			lose := func(answer []byte) []byte {
				if files := d.Files(); len(files) != 1 || files[0] != `c:\f` || !lost.CompareAndSwap(0, 1) {
					return answer
				}
				if restart {
					go srv.RestartService()
				}
				return nil
			}
			srv.Hook = func(x *winrmtest.Exchange) *winrmtest.Fault {
				if !strings.HasSuffix(x.Action, "Receive") {
					return nil
				}
				return &winrmtest.Fault{Edit: lose}
			}
			client := server(t, srv)
			res, err := client.Upload(t.Context(), src, `C:\f`, &winrm.CopyOptions{NoCompression: true, Streams: 1})
			require.NoError(t, err)
			assert.Equal(t, sha256.Sum256(data), res.SHA256)
			assert.Positive(t, lost.Load())
			assert.Less(t, srv.Stats().BytesIn, int64(len(data))*3/2, "it was sent twice")
			assert.Equal(t, []string{`c:\f`}, d.Files())
		})
	}
}

// Agents of earlier copies whose shells went with the service cost one retry, and not one
// each.
func TestStaleAgents(t *testing.T) {
	t.Parallel()
	srv, d, client := files(t)
	large := local(t, "large", random(t, 17<<20))
	small := local(t, "small", random(t, 100))
	_, err := client.Upload(t.Context(), large, `C:\large`, &winrm.CopyOptions{NoCompression: true})
	require.NoError(t, err)
	srv.RestartService()
	_, err = client.Upload(t.Context(), small, `C:\small`, &winrm.CopyOptions{Retries: 1})
	require.NoError(t, err)
	assert.Equal(t, []string{`c:\large`, `c:\small`}, d.Files())
}

// A copy that waits for its next attempt ends at once when its context ends, or the
// client is closed.
func TestPauseEnds(t *testing.T) {
	t.Parallel()
	data := random(t, 3<<20)
	src := local(t, "f", data)
	for _, way := range []string{"cancel", "close"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			paused := make(chan struct{}, 100)
			f, d, client := flakyFiles(t, func(f *flaky, _ *flakyConn) { f.cutAll(1 << 30) }, func(ev winrm.CopyRetryEvent) {
				if ev.Pause > 10*time.Second {
					paused <- struct{}{}
				}
			})
			f.soon(2 << 20)
			done := make(chan error, 1)
			go func() {
				_, err := client.Upload(ctx, src, `C:\f`, &winrm.CopyOptions{NoCompression: true})
				done <- err
			}()
			<-paused
			want := context.Canceled
			if way == "cancel" {
				cancel()
			} else {
				_ = client.Close()
				want = winrm.ErrClosed
			}
			within(t, 30*time.Second, func() { require.ErrorIs(t, <-done, want) })
			assert.NotContains(t, d.Files(), `c:\f`)
		})
	}
}
