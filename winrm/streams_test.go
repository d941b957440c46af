package winrm_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/fileagent"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// A large file goes over as many streams as are allowed, by the caller, the client's
// bounds and the host, and over one at the least.
func TestStreams(t *testing.T) {
	t.Parallel()
	data := random(t, 17<<20)
	src := local(t, "f", data)
	for name, c := range map[string]struct {
		streams      int
		config       func(*winrm.Config)
		shells       string // the host's quota
		atMost, some int    // shells
	}{
		"default":         {atMost: winrm.DefaultStreams + 1, some: 2},
		"one":             {streams: 1, atMost: 1, some: 1},
		"few connections": {config: func(c *winrm.Config) { c.MaxConns = 2 }, atMost: 1, some: 1},
		"few shells":      {config: func(c *winrm.Config) { c.MaxShells = 3 }, atMost: 3, some: 2},
		"host's quota":    {shells: "1", atMost: 1, some: 1},
		"eight":           {streams: 8, config: func(c *winrm.Config) { c.MaxConns, c.MaxShells = 12, 12 }, atMost: 9, some: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &winrmtest.Disk{}
			srv := winrmtest.NewUnstartedServer(&winrmtest.Host{Disk: d})
			if c.shells != "" {
				srv.Settings = map[string]string{"Winrs/MaxShellsPerUser": c.shells}
			}
			client := server(t, srv, func(cfg *winrm.Config) {
				if c.config != nil {
					c.config(cfg)
				}
			})
			opt := &winrm.CopyOptions{Streams: c.streams}
			up, err := client.Upload(t.Context(), src, `C:\f`, opt)
			require.NoError(t, err)
			assert.Equal(t, sha256.Sum256(data), up.SHA256)
			got, err := d.ReadFile(`C:\f`)
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, got))
			down, err := client.Download(t.Context(), `C:\f`, filepath.Join(t.TempDir(), "f"), opt)
			require.NoError(t, err)
			assert.Equal(t, up.SHA256, down.SHA256)
			eventually(t, func() bool { return srv.Stats().TotalShells >= c.some }, "shells")
			assert.LessOrEqual(t, srv.Stats().PeakShells, c.atMost)
		})
	}
}

// What happens on the host while several streams are under way.
func TestStreamErrors(t *testing.T) {
	t.Parallel()
	_, d, client := files(t)
	d.Capacity = 40 << 20
	ctx := t.Context()
	data := random(t, 24<<20)
	src := local(t, "f", data)
	// during uploads and does something as soon as the upload is under way. Meanwhile
	// no stream gets far: they all wait for Progress.
	during := func(fn func()) (*winrm.CopyResult, error) {
		var once sync.Once
		return client.Upload(ctx, src, `C:\f`, &winrm.CopyOptions{NoCompression: true, Progress: func(winrm.CopyProgress) { once.Do(fn) }})
	}
	require.NoError(t, d.WriteFile(`C:\f`, []byte("old")))
	old := func() {
		t.Helper()
		got, err := d.ReadFile(`C:\f`)
		require.NoError(t, err)
		assert.Equal(t, "old", string(got))
	}

	unlock := func() {}
	_, err := during(func() {
		var err error
		unlock, err = d.Lock(`C:\f`)
		assert.NoError(t, err)
	})
	require.ErrorIs(t, err, winrm.ErrInUse)
	old()
	unlock()
	res, err := during(func() {})
	require.NoError(t, err)
	assert.Equal(t, int64(len(data)), res.Resumed, "all of it was there")

	require.NoError(t, d.WriteFile(`C:\f`, []byte("old")))
	_, err = during(func() { assert.NoError(t, d.WriteFile(`C:\other`, make([]byte, 20<<20))) })
	require.ErrorIs(t, err, winrm.ErrDiskFull)
	old()
	assert.Equal(t, []string{`c:\f`, `c:\other`}, d.Files(), "what fills the disk is gone")
	require.NoError(t, client.Remove(ctx, `C:\other`))
	res, err = during(func() {})
	require.NoError(t, err)
	assert.Zero(t, res.Resumed)
	assert.Equal(t, sha256.Sum256(data), res.SHA256)
	assert.Equal(t, []string{`c:\f`}, d.Files())
}

// A file that grows, as a log does, is downloaded as long as it was in the beginning:
// that is what the agent promises, and what it hashes.
func TestGrowingFile(t *testing.T) {
	t.Parallel()
	_, d, client := files(t)
	require.NoError(t, d.WriteFile(`C:\log`, []byte("0123456789")))
	in, err := fileagent.AppendJSON(nil, fileagent.Query, &fileagent.Request{Op: fileagent.OpSum, Path: `C:\log`, Count: 4})
	require.NoError(t, err)
	in, err = fileagent.AppendJSON(in, fileagent.Query, &fileagent.Request{Op: fileagent.OpRead, Path: `C:\log`, Offset: 6, Count: 100})
	require.NoError(t, err)
	cmd := client.PowerShell(t.Context(), fileagent.Script)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	require.NoError(t, err)
	for _, part := range []string{"0123", "6789"} {
		assert.Contains(t, string(out), fmt.Sprintf("%x", sha256.Sum256([]byte(part))))
	}
	assert.Contains(t, string(out), "D\x04\x00\x00\x006789")
}

// An agent is told that something is written which is not, because another agent is
// slower than thought. Frames as they would come then: the hash is right in the end.
func TestKnownTooEarly(t *testing.T) {
	t.Parallel()
	_, d, client := files(t)
	data := bytes.Repeat([]byte("0123456789"), 30_000)
	half := int64(len(data) / 2)
	sum := sha256.Sum256(data)
	q := &fileagent.Request{
		Op: fileagent.OpWrite, Path: `\\?\C:\f`, Dir: `\\?\C:\`, Key: "~wk-1", Unique: "a", Size: int64(len(data)), Recursive: true,
	}
	for name, end := range map[string][]byte{"right": sum[:], "wrong": make([]byte, 32)} {
		in, err := fileagent.AppendJSON(nil, fileagent.Query, q)
		require.NoError(t, err)
		in = fileagent.AppendPiece(in, fileagent.Piece, half, half, data[half:]) // the first half is a hole
		in = fileagent.AppendPiece(in, fileagent.Piece, 0, 0, data[:half])
		in = fileagent.AppendFrame(in, fileagent.End, []byte(hex.EncodeToString(end)))
		cmd := client.PowerShell(t.Context(), fileagent.Script)
		cmd.Stdin = bytes.NewReader(in)
		out, err := cmd.Output()
		require.NoError(t, err)
		got, err := d.ReadFile(`C:\f`)
		if name == "wrong" {
			assert.Contains(t, string(out), fmt.Sprint(int32(-2147024873)), "ERROR_CRC")
			assert.Error(t, err)
		} else {
			require.NoError(t, err, "%q", out)
			assert.True(t, bytes.Equal(data, got))
			require.NoError(t, client.Remove(t.Context(), `C:\f`))
		}
		assert.NotContains(t, strings.Join(d.Files(), " "), ".part")
	}
}
