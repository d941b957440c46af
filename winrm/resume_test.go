package winrm_test

import (
	"bytes"
	"context"
	"errors"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// block is what is compared of files that were begun.
const block = 120 << 10

// again is what may be sent again after an interruption: for each of the streams what
// one message holds of the file, and of a download the block that had not come whole.
const again = winrm.DefaultStreams * 512000

// Uploads and downloads are interrupted at random moments, by the end of the
// context or of the connection, until they are through.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	size := 12 << 20
	if raceDetector {
		size = 3 << 20
	}
	size = knob(t, "WINRMKIT_RESUME_SIZE", size)
	r := mathrand.New(mathrand.NewPCG(7, 7))
	for _, way := range []string{"cancel", "cut"} {
		t.Run(way, func(t *testing.T) {
			var cut atomic.Int64 // bytes until the connection breaks
			cut.Store(1 << 60)
			var instead atomic.Pointer[context.CancelFunc]
			_, d, client := files(t, func(c *winrm.Config) { c.Dial = breakable(&cut, &instead) })
			data := random(t, size)
			src := local(t, "big", data)
			dst := filepath.Join(t.TempDir(), "big")
			for name, try := range map[string]func(context.Context, *winrm.CopyOptions) (*winrm.CopyResult, error){
				"up": func(ctx context.Context, o *winrm.CopyOptions) (*winrm.CopyResult, error) {
					return client.Upload(ctx, src, `C:\big`, o)
				},
				"down": func(ctx context.Context, o *winrm.CopyOptions) (*winrm.CopyResult, error) {
					if _, err := d.ReadFile(`C:\big`); err != nil {
						require.NoError(t, d.WriteFile(`C:\big`, data))
					}
					return client.Download(ctx, `C:\big`, dst, o)
				},
			} {
				kept, interrupted := int64(0), 0
				for {
					ctx, cancel := context.WithCancel(t.Context())
					left := int64(size) - kept
					seen := int64(0)
					if interrupted <= 4 {
						cut.Store(r.Int64N(max(left, 1)) * 4 / 3)
					}
					if way == "cancel" {
						instead.Store(&cancel)
					}
					res, err := try(ctx, &winrm.CopyOptions{NoCompression: true, Retries: -1, Progress: func(p winrm.CopyProgress) {
						seen = p.Bytes
					}})
					cancel()
					cut.Store(1 << 60)
					if err == nil {
						t.Logf("%s: %d times interrupted, the last went on at %d of %d", name, interrupted, res.Resumed, size)
						assert.LessOrEqual(t, kept-res.Resumed, int64(again))
						break
					}
					interrupted++
					require.Less(t, interrupted, 20, "%v", err)
					if way == "cancel" {
						require.ErrorIs(t, err, context.Canceled)
					}
					if name == "up" {
						assertNothingHalf(t, d, data)
					} else {
						assert.NoFileExists(t, dst)
					}
					kept = max(kept, seen)
					if name == "up" && len(d.Files()) > 0 && d.Files()[0] == `c:\big` {
						kept = 0 // it was complete, only the word of it did not arrive
					}
				}
				if name == "up" {
					got, err := d.ReadFile(`C:\big`)
					require.NoError(t, err)
					require.True(t, bytes.Equal(data, got))
					assert.Equal(t, []string{`c:\big`}, d.Files())
				} else {
					got, err := os.ReadFile(dst)
					require.NoError(t, err)
					require.True(t, bytes.Equal(data, got))
					left, _ := filepath.Glob(filepath.Join(filepath.Dir(dst), "*"))
					assert.Equal(t, []string{dst}, left)
				}
			}
		})
	}
}

func assertNothingHalf(t *testing.T, d *winrmtest.Disk, data []byte) {
	t.Helper()
	if got, err := d.ReadFile(`C:\big`); err == nil {
		require.True(t, bytes.Equal(data, got), "the final name has half a file")
	}
}

// breakable dials connections that break after so many bytes sent.
func breakable(left *atomic.Int64, instead *atomic.Pointer[context.CancelFunc]) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &breakingConn{Conn: c, left: left, instead: instead}, nil
	}
}

type breakingConn struct {
	net.Conn
	left    *atomic.Int64
	instead *atomic.Pointer[context.CancelFunc] // called in place of a break
}

var errCable = errors.New("the cable was pulled")

// pulled reports whether the cable is pulled now: once, and later ones are whole.
func (c *breakingConn) pulled(n int) bool {
	if left := c.left.Add(-int64(n)); left >= 0 || left+int64(n) < 0 {
		return false
	}
	c.left.Store(1 << 60)
	if c.instead != nil {
		if fn := c.instead.Load(); fn != nil {
			(*fn)()
			return false
		}
	}
	_ = c.Close()
	return true
}

func (c *breakingConn) Write(p []byte) (int, error) {
	if c.pulled(len(p)) {
		return 0, errCable
	}
	return c.Conn.Write(p)
}

func (c *breakingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.pulled(n) {
		return 0, errCable
	}
	return n, err
}

// A part file with other content, or more of it than the file has, is not used.
func TestForeignPart(t *testing.T) {
	t.Parallel()
	_, d, client := files(t)
	data := random(t, 3<<20)
	src := local(t, "f", data)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := client.Upload(ctx, src, `C:\f`, &winrm.CopyOptions{Progress: func(p winrm.CopyProgress) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
	eventually(t, func() bool { return len(d.Files()) == 1 }, "a part file")
	part := d.Files()[0]
	holes := bytes.Clone(data)
	clear(holes[3*block : 5*block])
	holes[20*block+1]++
	for _, content := range [][]byte{random(t, 2<<20), random(t, 5<<20), data[:1<<20], data, holes, nil} {
		if len(d.Files()) == 0 || !strings.HasSuffix(d.Files()[0], ".part") {
			require.NoError(t, client.RemoveAll(t.Context(), `C:\f`))
		}
		require.NoError(t, d.WriteFile(part, content))
		res, err := client.Upload(t.Context(), src, `C:\f`, nil)
		require.NoError(t, err)
		want := int64(0)
		if bytes.HasPrefix(data, content) {
			want = int64(len(content)) / block * block
			if len(content) == len(data) {
				want = int64(len(data))
			}
		} else if bytes.Equal(content, holes) {
			want = int64(len(data)) - 3*block
		}
		assert.Equal(t, want, res.Resumed)
		got, err := d.ReadFile(`C:\f`)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got))
		assert.Equal(t, []string{`c:\f`}, d.Files())
	}
}

// A byte that changes on the way is noticed. The connection is clear, so that
// nothing below notices first.
func TestCorruption(t *testing.T) {
	t.Parallel()
	var armed atomic.Bool
	_, d, client := files(t, func(c *winrm.Config) {
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			return &flippingConn{Conn: conn, armed: &armed}, err
		}
	})
	for _, size := range []int{900_000, 2 << 20, 12 << 20} {
		testCorruption(t, d, client, &armed, random(t, size))
	}
}

func testCorruption(t *testing.T, d *winrmtest.Disk, client *winrm.Client, armed *atomic.Bool, data []byte) {
	t.Helper()
	src := local(t, "f", data)
	_, err := client.Upload(t.Context(), src, `C:\f`, nil)
	require.NoError(t, err)
	armed.Store(true)
	_, err = client.Upload(t.Context(), src, `C:\g`, nil)
	require.ErrorIs(t, err, winrm.ErrChecksum)
	require.False(t, armed.Load(), "a byte was changed")
	assert.Equal(t, []string{`c:\f`}, d.Files(), "neither file nor part of it is left")

	dst := filepath.Join(t.TempDir(), "f")
	armed.Store(true)
	_, err = client.Download(t.Context(), `C:\f`, dst, nil)
	require.ErrorIs(t, err, winrm.ErrChecksum)
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(dst), "*"))
	assert.Empty(t, left)
	_, err = client.Download(t.Context(), `C:\f`, dst, nil)
	require.NoError(t, err)
}

// flippingConn changes one letter of a large body, once. In base64 that is a
// byte of content, as long as it is far from the frames' heads.
type flippingConn struct {
	net.Conn
	armed *atomic.Bool
}

func flip(p []byte) {
	i := len(p) / 2
	for p[i] == '<' || p[i] == '>' || p[i] == '=' || p[i] == '/' || p[i] == '+' {
		i++
	}
	if p[i] == 'A' {
		p[i] = 'B'
	} else {
		p[i] = 'A'
	}
}

func (c *flippingConn) Write(p []byte) (int, error) {
	if len(p) > 100_000 && c.armed.CompareAndSwap(true, false) {
		p = bytes.Clone(p)
		flip(p)
	}
	return c.Conn.Write(p)
}

func (c *flippingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 20_000 && c.armed.CompareAndSwap(true, false) {
		flip(p[:n])
	}
	return n, err
}

// Two uploads to one target at once: one succeeds, and its content is whole.
func TestConcurrentTarget(t *testing.T) {
	t.Parallel()
	srv, d, one := files(t)
	two, err := winrm.New(srv.URL, config())
	require.NoError(t, err)
	defer two.Close()
	a, b := random(t, 4<<20), random(t, 4<<20)
	errs := make(chan error, 2)
	for i, c := range []*winrm.Client{one, two} {
		src := local(t, "f", [][]byte{a, b}[i])
		go func() {
			_, err := c.Upload(t.Context(), src, `C:\f`, nil)
			errs <- err
		}()
	}
	failed := 0
	for range 2 {
		if err := <-errs; err != nil {
			failed++
		}
	}
	assert.Less(t, failed, 2)
	got, err := d.ReadFile(`C:\f`)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(a, got) || bytes.Equal(b, got), "a mixture")
}
