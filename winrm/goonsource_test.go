package winrm_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// A source that cannot be read again goes on with what of it is held, and brings each
// byte once. When the host has lost more than that, the upload ends with a typed error,
// and nothing half has the name.
func TestPipeGoesOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		size    int
		mishaps []string
		after   int64 // of each mishap; the first one comes when that is left of the file
		forget  bool  // the host loses the part file
	}{
		{name: "small", size: 900_000, mishaps: []string{"restart", "all"}, after: 300_000},
		{name: "large", size: 9<<20 + 5, mishaps: []string{"restart", "all", "one connection", "outage"}, after: 2_000_000},
		{name: "near its beginning", size: 5 << 20, mishaps: []string{"restart"}, after: 6_000_000, forget: true},
		{name: "forgotten", size: 12 << 20, mishaps: []string{"restart"}, after: 2 << 20, forget: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var retries atomic.Int64
			var d *winrmtest.Disk
			var next atomic.Int64
			f, d, client := flakyFiles(t, func(f *flaky, conn *flakyConn) {
				mishaps[c.mishaps[next.Add(1)-1]](f, conn)
				for _, name := range d.Files() {
					if c.forget && strings.HasSuffix(name, ".part") {
						assert.NoError(t, d.WriteFile(name, nil))
					}
				}
			}, func(winrm.CopyRetryEvent) { retries.Add(1) })
			data := random(t, c.size)
			_, err := client.Stat(t.Context(), `C:\`)
			require.NoError(t, err)
			f.soon(max(int64(c.size)*4/3-c.after*int64(len(c.mishaps)), 300_000))
			for range len(c.mishaps) - 1 {
				f.soon(c.after)
			}
			last := int64(0)
			before := f.srv.Stats().BytesIn
			res, err := client.Upload(t.Context(), "pipe", `C:\f`, &winrm.CopyOptions{
				NoCompression: true, Source: io.MultiReader(bytes.NewReader(data)), // hides what it is
				Progress: func(p winrm.CopyProgress) {
					assert.GreaterOrEqual(t, p.Bytes, last)
					last = p.Bytes
				},
			})
			assert.Equal(t, len(c.mishaps), f.happened())
			assert.Positive(t, retries.Load())
			if c.name == "forgotten" {
				_, typed := errors.AsType[*winrm.InputLostError](err)
				assert.True(t, typed, "%v", err)
				assert.Empty(t, d.Files())
				return
			}
			require.NoError(t, err)
			assert.Equal(t, sha256.Sum256(data), res.SHA256)
			got, err := d.ReadFile(`C:\f`)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(data, got))
			assert.Equal(t, []string{`c:\f`}, d.Files())
			if !c.forget {
				bound := int64(c.size)*4/3*102/100 + 1_000_000 + int64(len(c.mishaps))*lostAtOnce
				assert.LessOrEqual(t, f.srv.Stats().BytesIn-before, bound)
			}
		})
	}
}

// What an upload in one go has left, because its agent was killed, is removed by the
// next attempt.
func TestKilledAgentsPartIsRemoved(t *testing.T) {
	t.Parallel()
	data := random(t, 900_000)
	fsys := fstest.MapFS{"f": {Data: data, Mode: 0o644}}
	for _, way := range []string{"file", "tree"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			var d *winrmtest.Disk
			var left atomic.Int64
			f, d, client := flakyFiles(t, func(f *flaky, _ *flakyConn) {
				parts := d.Files()
				f.srv.RestartService()
				assert.Eventually(t, func() bool { return len(d.Files()) == 0 }, time.Minute, time.Millisecond, "the agent has ended")
				for _, name := range parts {
					left.Add(1)
					assert.NoError(t, d.WriteFile(name, []byte("half")))
				}
			}, nil)
			_, err := client.Stat(t.Context(), `C:\`)
			require.NoError(t, err)
			f.soon(900_000)
			if opt := (&winrm.CopyOptions{NoCompression: true}); way == "file" {
				_, err = client.Upload(t.Context(), local(t, "f", data), `C:\f`, opt)
			} else {
				err = client.CopyFS(t.Context(), `C:\`, fsys, opt)
			}
			require.NoError(t, err)
			assert.Positive(t, left.Load())
			assert.Equal(t, []string{`c:\f`}, d.Files())
			got, err := d.ReadFile(`C:\f`)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(data, got))
		})
	}
}

// A source that fails ends the upload with its error, and nothing is left of it. One that
// somebody has read of before is read from where it stands, however it is read.
func TestSources(t *testing.T) {
	t.Parallel()
	_, d, client := files(t)
	data := random(t, 2<<20)
	upload := func(r io.Reader) (*winrm.CopyResult, error) {
		return client.Upload(t.Context(), "source", `C:\f`, &winrm.CopyOptions{Source: r, NoCompression: true})
	}
	for _, n := range []int{0, 100_000, len(data)} {
		_, err := upload(io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(errCable)))
		require.ErrorIs(t, err, errCable)
		_, often := errors.AsType[*winrm.CopyRetriesError](err)
		assert.False(t, often)
		eventually(t, func() bool { return len(d.Files()) == 0 }, "nothing is left")
	}
	for _, from := range []int64{0, 500_001, 2_000_000} {
		for name, r := range map[string]io.Reader{
			"at any offset": bytes.NewReader(data),
			"again":         struct{ io.ReadSeeker }{bytes.NewReader(data)},
			"once":          struct{ io.Reader }{bytes.NewReader(data)},
		} {
			_, err := io.CopyN(io.Discard, r, from)
			require.NoError(t, err)
			res, err := upload(r)
			require.NoError(t, err, name)
			got, err := d.ReadFile(`C:\f`)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(data[from:], got), "%s from %d", name, from)
			assert.Equal(t, sha256.Sum256(data[from:]), res.SHA256)
			assert.Equal(t, []string{`c:\f`}, d.Files())
		}
	}
}
