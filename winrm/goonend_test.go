package winrm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// A tree goes on with what the host has not confirmed: all files come, each with its
// content, those that cannot be replaced too.
func TestTreeGoesOn(t *testing.T) {
	t.Parallel()
	fsys := fstest.MapFS{"large.bin": {Data: random(t, 4<<20), Mode: 0o644, ModTime: time.Unix(1e9, 0)}}
	for i := range 300 {
		mode := fs.FileMode(0o644)
		if i%3 == 0 {
			mode = 0o444
		}
		size := i * 97 % 3000
		if i%50 == 0 {
			size = 200_000
		}
		fsys[fmt.Sprintf("d%d/f%03d", i%7, i)] = &fstest.MapFile{Data: random(t, size), Mode: mode, ModTime: time.Unix(1e9, 0)}
	}
	for name, happen := range mishaps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var retries atomic.Int64
			f, d, client := flakyFiles(t, happen, func(winrm.CopyRetryEvent) { retries.Add(1) })
			_, err := client.Stat(t.Context(), `C:\`)
			require.NoError(t, err)
			f.plan(mathrand.New(mathrand.NewPCG(uint64(len(name)), 5)), 3, 2<<20)
			done := make(map[string]int)
			at := make(map[string]int64)
			err = client.CopyFS(t.Context(), `C:\tree`, fsys, &winrm.CopyOptions{NoCompression: true, Progress: func(p winrm.CopyProgress) {
				assert.GreaterOrEqual(t, p.Bytes, at[p.Path], "progress goes back")
				if at[p.Path] = p.Bytes; p.Done {
					done[p.Path]++
				}
			}})
			require.NoError(t, err)
			assert.Equal(t, 3, f.happened())
			assert.Positive(t, retries.Load())
			assert.Len(t, d.Files(), len(fsys), "no part files are left")
			for path, file := range fsys {
				got, err := d.ReadFile(`C:\tree\` + strings.ReplaceAll(path, "/", `\`))
				require.NoError(t, err, path)
				require.True(t, bytes.Equal(file.Data, got), path)
				assert.Equal(t, 1, done[path], path)
			}
		})
	}
}

// A losesHelper loses the fourth message of a helper, while the leader waits: the helper
// is there for certain, then.
type losesHelper struct {
	action string
	large  int    // what counts as a message with content
	lost   func() // called then
	gone   chan struct{}

	mu     sync.Mutex
	leader string
	seen   map[string]int // messages of each shell
}

func (l *losesHelper) hook(x *winrmtest.Exchange) *winrmtest.Fault {
	_, rest, ok := bytes.Cut(x.Request, []byte(`Name="ShellId">`))
	if !ok {
		return nil
	}
	shell := string(rest[:36])
	l.mu.Lock()
	if l.leader == "" {
		l.leader = shell // its agent finds out what there is before helpers are looked for
	}
	if !strings.HasSuffix(x.Action, l.action) || len(x.Request) < l.large {
		l.mu.Unlock()
		return nil
	}
	l.seen[shell]++
	n, leads := l.seen[shell], shell == l.leader
	lose := !leads && n == 4 && l.lost != nil
	var lost func()
	if lose {
		lost, l.lost = l.lost, nil
	}
	l.mu.Unlock()
	switch {
	case lose:
		lost()
		close(l.gone)
		return &winrmtest.Fault{Drop: winrmtest.DropAfter}
	case leads && n > 6:
		select {
		case <-l.gone:
		case <-time.After(time.Minute):
		}
	}
	return nil
}

// A helper that is lost, and only that, costs the copy nothing but its own pieces, which
// others take. What the host had taken and has lost with it is found to be missing.
func TestHelperIsLost(t *testing.T) {
	t.Parallel()
	data := random(t, 13<<20)
	src := local(t, "f", data)
	for _, way := range []string{"up", "down"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			d := &winrmtest.Disk{}
			l := &losesHelper{action: "Send", large: 100_000, gone: make(chan struct{}), seen: make(map[string]int), lost: func() {
				part := d.Files()[0]
				content, err := d.ReadFile(part)
				assert.NoError(t, err)
				clear(content[:block])
				assert.NoError(t, d.WriteFile(part, content))
			}}
			if way == "down" {
				l.action, l.large, l.lost = "Receive", 0, func() {}
				require.NoError(t, d.WriteFile(`C:\f`, data))
			}
			srv := winrmtest.NewUnstartedServer(&winrmtest.Host{Disk: d})
			srv.Record = true // the hook sees requests, then
			srv.Hook = l.hook
			var retries atomic.Int64
			client := server(t, srv, func(c *winrm.Config) {
				c.Trace = &winrm.Trace{CopyRetry: func(context.Context, winrm.CopyRetryEvent) { retries.Add(1) }}
			})
			opt := &winrm.CopyOptions{NoCompression: true, Streams: 2}
			var got []byte
			var err error
			if way == "up" {
				_, err = client.Upload(t.Context(), src, `C:\f`, opt)
				require.NoError(t, err)
				got, err = d.ReadFile(`C:\f`)
			} else {
				dst := filepath.Join(t.TempDir(), "f")
				_, err = client.Download(t.Context(), `C:\f`, dst, opt)
				require.NoError(t, err)
				got, err = os.ReadFile(dst)
			}
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, got))
			assert.Equal(t, []string{`c:\f`}, d.Files())
			assert.Zero(t, retries.Load(), "the copy itself has lost nothing")
			select {
			case <-l.gone:
			default:
				t.Error("no helper was lost")
			}
			st := srv.Stats()
			assert.LessOrEqual(t, max(st.BytesIn, st.BytesOut), int64(len(data))*4/3*102/100+1_000_000+2*lostAtOnce)
		})
	}
}

// What is refused is refused once, also when it is refused by a host that was away.
func TestRefusalsEndCopies(t *testing.T) {
	t.Parallel()
	data := random(t, 3<<20)
	src := local(t, "f", data)
	for name, c := range map[string]struct {
		prepare func(*winrmtest.Server, *winrmtest.Disk)
		want    func(error) bool
		retries int64
	}{
		"denied":    {prepare: func(_ *winrmtest.Server, d *winrmtest.Disk) { _, _ = d.Deny(`C:\d`) }, want: is(fs.ErrPermission)},
		"disk full": {prepare: func(_ *winrmtest.Server, d *winrmtest.Disk) { d.Capacity = 1 << 20 }, want: is(winrm.ErrDiskFull)},
		"in use":    {prepare: func(_ *winrmtest.Server, d *winrmtest.Disk) { _, _ = d.Lock(`C:\d\f`) }, want: is(winrm.ErrInUse)},
		"quota": {prepare: func(s *winrmtest.Server, _ *winrmtest.Disk) {
			s.AddFaults(winrmtest.Fault{Action: "Create", Code: 2150859173, Count: -1})
		}, want: func(err error) bool { return err != nil }},
		"password, when it is back": {prepare: func(s *winrmtest.Server, _ *winrmtest.Disk) {
			s.AddFaults(winrmtest.Fault{Action: "Send", Drop: winrmtest.DropBefore, Count: 1})
			s.AddFaults(winrmtest.Fault{Status: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {`Basic realm="WSMAN"`}}, After: 1, Count: -1})
		}, want: func(err error) bool { return as[*auth.Error](err)() }, retries: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &winrmtest.Disk{}
			srv := winrmtest.NewUnstartedServer(&winrmtest.Host{Disk: d})
			var retries atomic.Int64
			client := server(t, srv, func(c *winrm.Config) {
				c.Trace = &winrm.Trace{CopyRetry: func(context.Context, winrm.CopyRetryEvent) { retries.Add(1) }}
			})
			require.NoError(t, d.WriteFile(`C:\d\f`, []byte("old")))
			require.NoError(t, client.Command("hostname").Run())
			c.prepare(srv, d)
			_, err := client.Upload(t.Context(), src, `C:\d\f`, nil)
			require.True(t, c.want(err), "%v", err)
			_, often := errors.AsType[*winrm.CopyRetriesError](err)
			assert.False(t, often, "%v", err)
			assert.LessOrEqual(t, retries.Load(), c.retries)
		})
	}
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

// bubble runs fn in virtual time, against a host with a disk behind a flaky network.
func bubble(t *testing.T, happen func(*flaky, *flakyConn), fn func(*testing.T, *flaky, *winrmtest.Disk, *winrm.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := &winrmtest.Disk{}
		srv := winrmtest.NewMemoryServer(&winrmtest.Host{Disk: d})
		defer srv.Close()
		f := &flaky{srv: srv, happen: happen, dialer: srv.Dial}
		cfg := srv.Config()
		cfg.Dial = f.dial
		client, err := winrm.New(srv.URL, cfg)
		require.NoError(t, err)
		defer client.Close()
		fn(t, f, d, client)
	})
}

// A host that stays away is given up after the retries, with the pauses that are
// promised; a negative number is none, and a host that never was there gets none.
func TestRetriesEnd(t *testing.T) {
	data := random(t, 3<<20)
	src := local(t, "f", data)
	for _, c := range []struct {
		retries, attempts int
		atLeast, atMost   time.Duration
	}{
		{0, 1 + winrm.DefaultRetries, 51 * time.Second, 3 * time.Minute},
		{2, 3, 1250 * time.Millisecond, 2 * time.Minute},
		{20, 21, 8 * time.Minute, 12 * time.Minute},
		{-1, 1, 0, time.Minute},
	} {
		for _, way := range []string{"up", "down", "tree"} {
			t.Run(fmt.Sprintf("%d %s", c.retries, way), func(t *testing.T) {
				var began time.Time
				bubble(t, func(f *flaky, _ *flakyConn) {
					began = time.Now()
					f.cutAll(1 << 30)
				}, func(t *testing.T, f *flaky, d *winrmtest.Disk, client *winrm.Client) {
					require.NoError(t, d.WriteFile(`C:\down`, data))
					f.soon(2 << 20)
					opt := &winrm.CopyOptions{NoCompression: true, Retries: c.retries}
					var err error
					switch way {
					case "up":
						_, err = client.Upload(t.Context(), src, `C:\up`, opt)
					case "down":
						_, err = client.Download(t.Context(), `C:\down`, filepath.Join(t.TempDir(), "f"), opt)
					default:
						err = client.CopyFS(t.Context(), `C:\up`, os.DirFS(filepath.Dir(src)), opt)
					}
					require.Error(t, err)
					took := time.Since(began)
					assert.GreaterOrEqual(t, took, c.atLeast)
					assert.LessOrEqual(t, took, c.atMost)
					tried, ok := errors.AsType[*winrm.CopyRetriesError](err)
					require.Equal(t, c.retries >= 0, ok, "%v", err)
					if ok {
						assert.Equal(t, c.attempts, tried.Attempts)
						require.True(t, as[*auth.DialError](err)(), "%v", err)
					}
					f.back()
				})
			})
		}
	}
	t.Run("never there", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, f *flaky, _ *winrmtest.Disk, client *winrm.Client) {
			f.cutAll(1 << 30)
			began := time.Now()
			_, err := client.Upload(t.Context(), src, `C:\up`, nil)
			require.True(t, as[*auth.DialError](err)(), "%v", err)
			_, often := errors.AsType[*winrm.CopyRetriesError](err)
			assert.False(t, often)
			assert.Less(t, time.Since(began), time.Minute)
		})
	})
}

// A host that comes back before that is gone on with, however often it goes, and those
// who look on are told.
func TestHostRestarts(t *testing.T) {
	data := random(t, 6<<20)
	src := local(t, "f", data)
	for _, way := range []string{"up", "down"} {
		t.Run(way, func(t *testing.T) {
			var back sync.WaitGroup
			bubble(t, func(f *flaky, _ *flakyConn) {
				f.cutAll(1 << 30)
				f.srv.RestartService()
				back.Go(func() {
					time.Sleep(2 * time.Minute)
					f.back()
				})
			}, func(t *testing.T, f *flaky, d *winrmtest.Disk, client *winrm.Client) {
				require.NoError(t, d.WriteFile(`C:\down`, data))
				dst := filepath.Join(t.TempDir(), "f")
				const restarts = 6
				for range restarts {
					f.soon(1_300_000)
				}
				told := 0
				opt := &winrm.CopyOptions{NoCompression: true, Retries: 10, Progress: func(p winrm.CopyProgress) {
					if p.Lost != nil {
						told++
					}
				}}
				var err error
				if way == "up" {
					_, err = client.Upload(t.Context(), src, `C:\up`, opt)
				} else {
					_, err = client.Download(t.Context(), `C:\down`, dst, opt)
				}
				back.Wait()
				require.NoError(t, err)
				got, err := d.ReadFile(`C:\up`)
				if way == "down" {
					got, err = os.ReadFile(dst)
				}
				require.NoError(t, err)
				assert.True(t, bytes.Equal(data, got))
				assert.Equal(t, restarts, f.happened())
				assert.Greater(t, told, restarts, "of each retry")
			})
		})
	}
}

// A host that takes a request and never answers, as behind a firewall that has forgotten
// the connection, is left waiting for, and the copy goes on.
func TestSilentHost(t *testing.T) {
	data := random(t, 3<<20)
	src := local(t, "f", data)
	for _, action := range []string{"Send", "Receive", "Create", "Command"} {
		t.Run(action, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, f *flaky, d *winrmtest.Disk, client *winrm.Client) {
				require.NoError(t, d.WriteFile(`C:\down`, data))
				require.NoError(t, client.Command("hostname").Run())
				f.srv.AddFaults(winrmtest.Fault{Action: action, Drop: winrmtest.Silence})
				f.srv.AddFaults(winrmtest.Fault{Action: action, Drop: winrmtest.Silence, After: 3})
				began := time.Now()
				_, err := client.Upload(t.Context(), src, `C:\up`, nil)
				require.NoError(t, err)
				dst := filepath.Join(t.TempDir(), "f")
				_, err = client.Download(t.Context(), `C:\down`, dst, nil)
				require.NoError(t, err)
				got, err := os.ReadFile(dst)
				require.NoError(t, err)
				assert.True(t, bytes.Equal(data, got))
				got, err = d.ReadFile(`C:\up`)
				require.NoError(t, err)
				assert.True(t, bytes.Equal(data, got))
				assert.Less(t, time.Since(began), 15*time.Minute)
			})
		})
	}
}

// Shells that could not be deleted while the network was away are deleted before the copy
// goes on: they would count against the quota, and their agents have the part file open.
func TestNoShellsAreLeft(t *testing.T) {
	src := local(t, "f", random(t, 6<<20))
	var back sync.WaitGroup
	bubble(t, func(f *flaky, _ *flakyConn) {
		f.cutAll(1 << 30)
		back.Go(func() {
			time.Sleep(time.Minute)
			f.back()
		})
	}, func(t *testing.T, f *flaky, d *winrmtest.Disk, client *winrm.Client) {
		for range 3 {
			f.soon(2_000_000)
		}
		_, err := client.Upload(t.Context(), src, `C:\f`, &winrm.CopyOptions{NoCompression: true, Streams: 1, Retries: 10})
		require.NoError(t, err)
		back.Wait()
		assert.Equal(t, 3, f.happened())
		assert.Equal(t, 1, f.srv.Stats().Shells, "that of the agent which waits for the next copy")
		assert.Equal(t, []string{`c:\f`}, d.Files())
	})
}
