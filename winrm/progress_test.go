package winrm_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
)

// Progress is told by one goroutine at a time, and not after the copy has returned,
// however it has ended: the race detector sees both.
func TestProgressIsTold(t *testing.T) {
	t.Parallel()
	_, d, client := files(t)
	data := random(t, 9<<20)
	src := local(t, "f", data)
	require.NoError(t, d.WriteFile(`C:\down`, data))
	told := 0
	opt := func(cancel context.CancelFunc) *winrm.CopyOptions {
		calls := 0
		return &winrm.CopyOptions{NoCompression: true, NoResume: true, Progress: func(p winrm.CopyProgress) {
			told++
			if calls++; calls == 2 {
				cancel()
			}
			assert.LessOrEqual(t, p.Bytes, p.Total)
		}}
	}
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := client.Upload(ctx, src, `C:\up`, opt(cancel))
		told++
		cancel()
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
		ctx, cancel = context.WithCancel(t.Context())
		_, err = client.Download(ctx, `C:\down`, filepath.Join(t.TempDir(), "f"), opt(cancel))
		told++
		cancel()
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
	}
	fsys := fstest.MapFS{"large": {Data: data}}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		fsys[name] = &fstest.MapFile{Data: data[:900_000]}
	}
	done := 0
	require.NoError(t, client.CopyFS(t.Context(), `C:\tree`, fsys, &winrm.CopyOptions{Progress: func(p winrm.CopyProgress) {
		told++
		if p.Done {
			done++
		}
	}}))
	assert.Equal(t, len(fsys), done)
	assert.Positive(t, told)
}

// Of two downloads to one file, neither may write to what the other one puts there.
func TestDownloadsToOneFile(t *testing.T) {
	t.Parallel()
	_, d, client := files(t)
	a, b := random(t, 5<<20), random(t, 5<<20)
	require.NoError(t, d.WriteFile(`C:\a`, a))
	require.NoError(t, d.WriteFile(`C:\b`, b))
	dst := filepath.Join(t.TempDir(), "f")
	content := func() []byte {
		got, err := os.ReadFile(dst)
		require.NoError(t, err)
		return got
	}
	left := func() {
		all, err := os.ReadDir(filepath.Dir(dst))
		require.NoError(t, err)
		require.Len(t, all, 1)
	}

	// While one is under way, another one begins and ends.
	within := false
	_, err := client.Download(t.Context(), `C:\a`, dst, &winrm.CopyOptions{Progress: func(p winrm.CopyProgress) {
		if within || p.Done {
			return
		}
		within = true
		ctx, cancel := context.WithCancel(t.Context())
		_, err := client.Download(ctx, `C:\b`, dst, &winrm.CopyOptions{Progress: func(winrm.CopyProgress) { cancel() }})
		if err != nil { // it may have been through before it was cancelled
			assert.ErrorIs(t, err, context.Canceled)
		}
		_, err = client.Download(t.Context(), `C:\b`, dst, nil)
		assert.NoError(t, err)
		assert.True(t, bytes.Equal(b, content()))
	}})
	require.NoError(t, err)
	require.True(t, within)
	assert.True(t, bytes.Equal(a, content()), "not what the last one has verified")
	left()

	for range 2 {
		errs := make(chan error, 2)
		for _, src := range []string{`C:\a`, `C:\b`} {
			go func() {
				_, err := client.Download(t.Context(), src, dst, nil)
				errs <- err
			}()
		}
		require.NoError(t, <-errs)
		require.NoError(t, <-errs)
		require.True(t, bytes.Equal(a, content()) || bytes.Equal(b, content()), "a mixture")
		left()
	}
}

// A file that exists is replaced by one that comes over several streams; none of them
// may still have the part file open then.
func TestReplaceOverStreams(t *testing.T) {
	t.Parallel()
	_, d, client := files(t)
	for range 3 {
		data := random(t, 9<<20)
		_, err := client.Upload(t.Context(), local(t, "f", data), `C:\f`, &winrm.CopyOptions{NoCompression: true})
		require.NoError(t, err)
		got, err := d.ReadFile(`C:\f`)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got))
		require.Equal(t, []string{`c:\f`}, d.Files())
	}
}
