package winrm_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
)

// A file that becomes shorter or longer while it is uploaded.
func TestSourceChanges(t *testing.T) {
	t.Parallel()
	_, d, client := files(t)
	data := random(t, 16<<20)
	src := local(t, "f", data)
	during := func(fn func()) (*winrm.CopyResult, error) {
		var once sync.Once
		return client.Upload(t.Context(), src, `C:\f`, &winrm.CopyOptions{NoCompression: true, Progress: func(p winrm.CopyProgress) { once.Do(fn) }})
	}
	_, err := during(func() { assert.NoError(t, os.Truncate(src, 9<<20)) })
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NotContains(t, d.Files(), `c:\f`)

	require.NoError(t, os.WriteFile(src, data, 0o644))
	res, err := during(func() {
		f, err := os.OpenFile(src, os.O_APPEND|os.O_WRONLY, 0)
		assert.NoError(t, err)
		_, err = f.WriteString("more")
		assert.NoError(t, errors.Join(err, f.Close()))
	})
	require.NoError(t, err)
	assert.Equal(t, sha256.Sum256(data), res.SHA256, "as long as it was in the beginning")
	got, err := d.ReadFile(`C:\f`)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got))
	assert.Equal(t, []string{`c:\f`}, d.Files())
}

// The client is closed while copies are under way, and while their helpers come.
func TestCloseWhileCopying(t *testing.T) {
	t.Parallel()
	data := random(t, 24<<20)
	src := local(t, "f", data)
	for _, after := range []int{1, 2, 4} {
		_, d, client := files(t)
		require.NoError(t, d.WriteFile(`C:\down`, data))
		dst := filepath.Join(t.TempDir(), "f")
		var copies sync.WaitGroup
		begun := make(chan struct{}, 100)
		opt := func() *winrm.CopyOptions {
			return &winrm.CopyOptions{NoCompression: true, Progress: func(winrm.CopyProgress) {
				select {
				case begun <- struct{}{}:
				default:
				}
			}}
		}
		errs := make([]error, 2)
		copies.Go(func() { _, errs[0] = client.Upload(context.Background(), src, `C:\up`, opt()) })
		copies.Go(func() { _, errs[1] = client.Download(context.Background(), `C:\down`, dst, opt()) })
		for range after {
			<-begun
		}
		within(t, time.Minute, func() {
			_ = client.Close()
			copies.Wait()
		})
		if got, err := d.ReadFile(`C:\up`); err == nil {
			assert.True(t, bytes.Equal(data, got), "the final name has half a file")
		} else {
			assert.Error(t, errs[0])
		}
		if got, err := os.ReadFile(dst); err == nil {
			assert.True(t, bytes.Equal(data, got), "the final name has half a file")
		} else {
			assert.Error(t, errs[1])
		}
		for _, err := range errs {
			if err != nil {
				assert.ErrorIs(t, err, winrm.ErrClosed)
				assert.NotContains(t, err.Error(), "\n")
			}
		}
	}
}
