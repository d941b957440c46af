package winrm_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// files starts a host with a disk.
func files(t testing.TB, change ...func(*winrm.Config)) (*winrmtest.Server, *winrmtest.Disk, *winrm.Client) {
	t.Helper()
	d := &winrmtest.Disk{}
	srv := winrmtest.NewUnstartedServer(&winrmtest.Host{Disk: d})
	srv.Record = true
	return srv, d, server(t, srv, change...)
}

func random(t testing.TB, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// knob is a size that the environment can change.
func knob(t testing.TB, name string, normal int) int {
	t.Helper()
	if s := os.Getenv(name); s != "" {
		n, err := strconv.Atoi(s)
		require.NoError(t, err, name)
		return n
	}
	return normal
}

func local(t testing.TB, name string, data []byte) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(p, data, 0o644))
	return p
}

func TestUploadDownload(t *testing.T) {
	t.Parallel()
	_, d, client := files(t)
	ctx := t.Context()
	require.NoError(t, client.MkdirAll(ctx, `C:\data\in`))
	for _, size := range []int{0, 1, 511, 512, 256 << 10, 256<<10 + 1, 1 << 20, 3<<20 + 17} {
		for name, data := range map[string][]byte{"random": random(t, size), "text": bytes.Repeat([]byte("line of text\r\n"), size/14+1)[:size]} {
			what := fmt.Sprintf("%s %d", name, size)
			src := local(t, "f.bin", data)
			when := time.Date(2021, 3, 4, 5, 6, 7, 800_000_000, time.UTC)
			require.NoError(t, os.Chtimes(src, when, when))
			var last winrm.CopyProgress
			opt := &winrm.CopyOptions{Progress: func(p winrm.CopyProgress) { last = p }}
			up, err := client.Upload(ctx, src, `C:\data\in\`, opt)
			require.NoError(t, err, what)
			assert.Equal(t, int64(size), up.Size)
			assert.Equal(t, sha256.Sum256(data), up.SHA256)
			assert.True(t, last.Done && last.Bytes == int64(size) && last.Total == int64(size), "%+v", last)
			got, err := d.ReadFile(`C:\data\in\f.bin`)
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, got), what)

			info, err := client.Stat(ctx, `c:\DATA\in\F.bin`)
			require.NoError(t, err)
			assert.True(t, info.ModTime().Equal(when), "%v", info.ModTime())

			dst := filepath.Join(t.TempDir(), "back")
			down, err := client.Download(ctx, `C:\data\in\f.bin`, dst, opt)
			require.NoError(t, err, what)
			assert.Equal(t, up.SHA256, down.SHA256)
			back, err := os.ReadFile(dst)
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, back), what)
			stat, err := os.Stat(dst)
			require.NoError(t, err)
			assert.True(t, stat.ModTime().Equal(when))
		}
	}
	assert.Equal(t, []string{`c:\data\in\f.bin`}, d.Files(), "no part files are left")
}

// A pipe as either end, and a read-only file.
func TestCopyEnds(t *testing.T) {
	t.Parallel()
	_, d, client := files(t)
	ctx := t.Context()
	_, err := client.Upload(ctx, "stdin", `C:\x.txt`, &winrm.CopyOptions{Source: strings.NewReader("from a pipe")})
	require.NoError(t, err)
	var out bytes.Buffer
	res, err := client.Download(ctx, `C:\x.txt`, "", &winrm.CopyOptions{Target: &out})
	require.NoError(t, err)
	assert.Equal(t, "from a pipe", out.String())
	assert.Equal(t, int64(11), res.Size)

	src := local(t, "ro", []byte("keep"))
	require.NoError(t, os.Chmod(src, 0o444))
	_, err = client.Upload(ctx, src, `C:\ro`, nil)
	require.NoError(t, err)
	info, err := client.Stat(ctx, `C:\ro`)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o444), info.Mode())
	_, err = client.Upload(ctx, src, `C:\ro`, nil)
	assert.ErrorIs(t, err, fs.ErrPermission, "a read-only file is not replaced")
	dst := filepath.Join(t.TempDir(), "ro")
	_, err = client.Download(ctx, `C:\ro`, dst, nil)
	require.NoError(t, err)
	stat, err := os.Stat(dst)
	require.NoError(t, err)
	assert.Zero(t, stat.Mode()&0o222)
	require.NoError(t, client.Remove(ctx, `C:\ro`), "as os.Remove does")

	_, err = client.Upload(ctx, src, `relative.txt`, nil)
	require.NoError(t, err)
	data, err := d.ReadFile(`C:\Users\` + winrmtest.DefaultUser + `\relative.txt`)
	require.NoError(t, err)
	assert.Equal(t, "keep", string(data))
}

func TestFileErrors(t *testing.T) {
	t.Parallel()
	_, d, client := files(t)
	ctx := t.Context()
	for _, f := range []string{`C:\d\used.txt`, `C:\d\denied\x`, `C:\d\plain.txt`} {
		require.NoError(t, d.WriteFile(f, []byte("old")))
	}
	unlock, err := d.Lock(`C:\d\used.txt`)
	require.NoError(t, err)
	_, err = d.Deny(`C:\d\denied`)
	require.NoError(t, err)
	big := local(t, "big", random(t, 3<<20))
	small := local(t, "small", []byte("new"))

	upload := func(dst string) func() error {
		return func() error {
			for _, src := range []string{small, big} {
				if _, err := client.Upload(ctx, src, dst, nil); err == nil {
					return nil
				} else if src == big {
					return err
				}
			}
			return nil
		}
	}
	for name, c := range map[string]struct {
		do   func() error
		want error
	}{
		"no directory":       {upload(`C:\none\x`), fs.ErrNotExist},
		"file for directory": {upload(`C:\d\plain.txt\x`), fs.ErrNotExist},
		"in use":             {upload(`C:\d\used.txt`), winrm.ErrInUse},
		"denied":             {upload(`C:\d\denied\y`), fs.ErrPermission},
		"directory":          {upload(`C:\d`), fs.ErrPermission},
		"bad name":           {upload(`C:\d\a|b`), winrm.ErrInvalidName},
		"stat":               {func() error { _, err := client.Stat(ctx, `C:\d\none`); return err }, fs.ErrNotExist},
		"mkdir exists":       {func() error { return client.Mkdir(ctx, `C:\d`) }, fs.ErrExist},
		"mkdir no parent":    {func() error { return client.Mkdir(ctx, `C:\p\q`) }, fs.ErrNotExist},
		"mkdir on a file":    {func() error { return client.MkdirAll(ctx, `C:\d\plain.txt`) }, fs.ErrExist},
		"remove none":        {func() error { return client.Remove(ctx, `C:\none`) }, fs.ErrNotExist},
		"remove in use":      {func() error { return client.Remove(ctx, `C:\d\used.txt`) }, winrm.ErrInUse},
		"download none": {func() error {
			_, err := client.Download(ctx, `C:\none`, filepath.Join(t.TempDir(), "x"), nil)
			return err
		}, fs.ErrNotExist},
		"download in use": {func() error {
			_, err := client.Download(ctx, `C:\d\used.txt`, filepath.Join(t.TempDir(), "x"), nil)
			return err
		}, winrm.ErrInUse},
		"no local file": {func() error { _, err := client.Upload(ctx, "/does/not/exist", `C:\x`, nil); return err }, fs.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.do()
			require.ErrorIs(t, err, c.want)
			assert.NotContains(t, err.Error(), "\n")
			if f, ok := errors.AsType[*winrm.FileError](err); ok {
				assert.NotZero(t, f.Code)
				assert.NotEmpty(t, f.Path)
			}
		})
	}
	require.NoError(t, client.RemoveAll(ctx, `C:\none`))
	unlock()
	assert.Error(t, client.Remove(ctx, `C:\d`), "not empty")
	assert.Equal(t, []string{`c:\d\denied\x`, `c:\d\plain.txt`, `c:\d\used.txt`}, d.Files(), "nothing half-written, no part files")
	data, err := d.ReadFile(`C:\d\used.txt`)
	require.NoError(t, err)
	assert.Equal(t, "old", string(data))
	require.NoError(t, client.RemoveAll(ctx, `C:\d`))
	assert.Empty(t, d.Files())
}

// Codes and exceptions as .NET has them.
func TestFileErrorClasses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code      uint32
		exception string
		want      error
	}{
		{0x80070057, "System.ArgumentException", winrm.ErrInvalidName},     // "Illegal characters in path."
		{0x80131515, "System.NotSupportedException", winrm.ErrInvalidName}, // "The given path's format is not supported."
		{0x800700CE, "System.IO.PathTooLongException", winrm.ErrInvalidName},
		{0x8007050F, "System.IO.IOException", winrm.ErrDiskFull},
		{0x80070497, "System.IO.IOException", winrm.ErrInUse}, // "Unable to remove the file to be replaced."
		{0x800704C8, "System.IO.IOException", winrm.ErrInUse},
		{0x80070005, "System.UnauthorizedAccessException", fs.ErrPermission},
		{0x80131620, "System.IO.IOException", nil},
	} {
		err := &winrm.FileError{Code: c.code, Type: c.exception}
		for _, class := range []error{winrm.ErrInvalidName, winrm.ErrDiskFull, winrm.ErrInUse, winrm.ErrChecksum, fs.ErrPermission, fs.ErrNotExist, fs.ErrExist} {
			assert.Equal(t, class == c.want, errors.Is(err, class), "%08X %v", c.code, class)
		}
	}
}

// A Source that is a file goes from where it stands.
func TestSourceFromTheMiddle(t *testing.T) {
	t.Parallel()
	_, d, client := files(t)
	data := random(t, 3<<20)
	src := local(t, "f", data)
	for _, off := range []int64{0, 1, 1 << 20, 3<<20 - 5, 3 << 20, 4 << 20} {
		f, err := os.Open(src)
		require.NoError(t, err)
		_, err = f.Seek(off, io.SeekStart)
		require.NoError(t, err)
		want := data[min(off, int64(len(data))):]
		var last winrm.CopyProgress
		res, err := client.Upload(t.Context(), "f", `C:\f`, &winrm.CopyOptions{Source: f, Progress: func(p winrm.CopyProgress) { last = p }})
		require.NoError(t, errors.Join(err, f.Close()))
		assert.Equal(t, int64(len(want)), res.Size)
		assert.Equal(t, res.Size, last.Total)
		got, err := d.ReadFile(`C:\f`)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(want, got), off)
	}
}

// Where paths begin that are not whole.
func TestRelativePaths(t *testing.T) {
	t.Parallel()
	_, d, client := files(t)
	src := local(t, "f", []byte("x"))
	home := `c:\users\` + strings.ToLower(winrmtest.DefaultUser)
	for path, want := range map[string]string{
		`f1`: home + `\f1`, `.\`: home + `\f`, `\f2`: `c:\f2`, `\`: `c:\f`, `C:/f3`: `c:\f3`, `..\f4`: `c:\users\f4`,
	} {
		_, err := client.Upload(t.Context(), src, path, nil)
		require.NoError(t, err, path)
		assert.Contains(t, d.Files(), want)
	}
}

// A path just short enough for Windows, with a part file beside it that is not.
func TestLongPart(t *testing.T) {
	t.Parallel()
	_, d, client := files(t)
	dir := `C:` + strings.Repeat(`\0123456789`, 21) + `\`
	require.NoError(t, client.MkdirAll(t.Context(), dir))
	for _, size := range []int{100, 2 << 20} {
		data := random(t, size)
		_, err := client.Upload(t.Context(), local(t, "f", data), dir+"f", nil)
		require.NoError(t, err)
		got, err := d.ReadFile(dir + "f")
		require.NoError(t, err)
		assert.True(t, bytes.Equal(data, got))
		assert.Len(t, d.Files(), 1)
	}
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	_, d, client := files(t)
	d.Capacity = 2 << 20
	big := local(t, "big", random(t, 3<<20))
	_, err := client.Upload(t.Context(), big, `C:\big`, nil)
	require.ErrorIs(t, err, winrm.ErrDiskFull, "seen before anything is sent")
	f, err := os.Open(big)
	require.NoError(t, err)
	defer f.Close()
	// A pipe does not tell its size: the disk fills up.
	_, err = client.Upload(t.Context(), "pipe", `C:\big`, &winrm.CopyOptions{Source: struct{ *bytes.Reader }{bytes.NewReader(random(t, 3<<20))}})
	require.ErrorIs(t, err, winrm.ErrDiskFull)
	assert.Empty(t, d.Files())
	_, err = client.Upload(t.Context(), local(t, "s", []byte("fits")), `C:\s`, nil)
	require.NoError(t, err, "the agent goes on")
}

// names are what Windows allows and what breaks naive clients.
var names = []string{
	"plain.txt", "with blank.txt", "'single' `back` $dollar %PATH% &amp; ;(){}[]!^,=+@#~.txt", "ümläut ß ñ.txt", "日本語.txt",
	"emoji 😀.bin", "no extension", ".hidden", "trailing dot.", "trailing blank ", "con.txt", "NUL", "a.b.c..d",
	"2020-01-01T000000Z", "-dash", strings.Repeat("n", 200) + ".txt",
}

// tree makes a tree of random files; the same seed gives the same.
func tree(t testing.TB, seed uint64, count, biggest int) fstest.MapFS {
	t.Helper()
	r := mathrand.New(mathrand.NewPCG(seed, 1))
	out := fstest.MapFS{}
	dirs := []string{"."}
	for i := range count {
		if r.IntN(3) == 0 {
			d := path.Join(dirs[r.IntN(len(dirs))], fmt.Sprintf("dir %d", i))
			if strings.Count(d, "/") < 12 {
				dirs = append(dirs, d)
			}
		}
		size := r.IntN(2000)
		switch r.IntN(10) {
		case 0:
			size = 0
		case 1:
			size = r.IntN(biggest)
		}
		data := make([]byte, size)
		for j := range data {
			data[j] = byte(r.Uint32() >> (r.IntN(4) * 8))
		}
		name := names[r.IntN(len(names))]
		if i >= len(names) {
			name = fmt.Sprintf("%d %s", i, name)
		} else {
			name = names[i]
		}
		out[path.Join(dirs[r.IntN(len(dirs))], name)] = &fstest.MapFile{Data: data, ModTime: time.Unix(1_600_000_000+int64(i), 0), Mode: 0o644}
	}
	out["empty"] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
	return out
}

func TestTreeRoundTrip(t *testing.T) {
	t.Parallel()
	count := knob(t, "WINRMKIT_TREE_FILES", 40)
	for _, seed := range []uint64{1, 2} {
		srv, _, client := files(t)
		want := tree(t, seed, count, knob(t, "WINRMKIT_TREE_BIGGEST", 3<<20))
		ctx := t.Context()
		done := 0
		require.NoError(t, client.CopyFS(ctx, `C:\deep\tree`, want, &winrm.CopyOptions{Progress: func(p winrm.CopyProgress) {
			if p.Done {
				done++
			}
		}}))
		assert.Equal(t, count, done)
		t.Logf("seed %d: %d exchanges for %d files", seed, len(srv.Exchanges()), len(want))
		remote := client.FS(ctx, `C:\deep\tree`)
		seen := 0
		require.NoError(t, fs.WalkDir(remote, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			seen++
			w := want[name]
			require.NotNil(t, w, name)
			got, err := fs.ReadFile(remote, name)
			require.NoError(t, err, name)
			require.True(t, bytes.Equal(w.Data, got), name)
			info, err := d.Info()
			require.NoError(t, err)
			assert.True(t, info.ModTime().Equal(w.ModTime), name)
			return nil
		}))
		assert.Equal(t, count, seen)
		info, err := fs.Stat(remote, "empty")
		require.NoError(t, err)
		assert.True(t, info.IsDir())
	}
}

func TestFS(t *testing.T) {
	t.Parallel()
	_, d, client := files(t)
	require.NoError(t, d.WriteFile(`C:\r\a.txt`, []byte("alpha")))
	require.NoError(t, d.WriteFile(`C:\r\sub\b.bin`, random(t, 20_000)))
	require.NoError(t, d.WriteFile(`C:\r\sub\deep\c`, nil))
	require.NoError(t, fstest.TestFS(client.FS(t.Context(), `C:\r`), "a.txt", "sub/b.bin", "sub/deep/c"))
	assert.NoError(t, fstest.TestFS(client.FS(t.Context(), `C:\r\sub\deep\`), "c"))
	_, err := client.FS(t.Context(), `C:\none`).Open("x")
	assert.ErrorIs(t, err, fs.ErrNotExist)
	_, err = client.FS(t.Context(), `C:\r`).Open(`sub\b.bin`)
	assert.ErrorIs(t, err, fs.ErrNotExist, "no way around fs.ValidPath")
}

func TestCopyFSErrors(t *testing.T) {
	t.Parallel()
	_, d, client := files(t)
	ctx := t.Context()
	err := client.CopyFS(ctx, `C:\t`, fstest.MapFS{"a": {}, "b:c": {}, "d": {}}, nil)
	assert.ErrorIs(t, err, winrm.ErrInvalidName)
	require.NoError(t, d.WriteFile(`C:\u\m`, []byte("old")))
	unlock, err := d.Lock(`C:\u\m`)
	require.NoError(t, err)
	m := fstest.MapFS{}
	for i := range 300 {
		m[fmt.Sprintf("%c%03d", 'a'+i%26, i)] = &fstest.MapFile{Data: []byte("x")}
	}
	m["m"] = &fstest.MapFile{Data: []byte("new")}
	err = client.CopyFS(ctx, `C:\u`, m, nil)
	assert.ErrorIs(t, err, winrm.ErrInUse)
	unlock()
	require.NoError(t, client.CopyFS(ctx, `C:\u`, m, nil))
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	assert.ErrorIs(t, client.CopyFS(canceled, `C:\u`, m, nil), context.Canceled)
}

// A directory comes in parts of 500, and the last may be empty.
func TestReadDirParts(t *testing.T) {
	_, d, client := files(t)
	remote := client.FS(t.Context(), `C:\many`)
	require.NoError(t, client.MkdirAll(t.Context(), `C:\many`))
	n := 0
	for _, want := range []int{0, 499, 500, 501, 1000} {
		for ; n < want; n++ {
			require.NoError(t, d.WriteFile(fmt.Sprintf(`C:\many\%04d`, n), nil))
		}
		all, err := fs.ReadDir(remote, ".")
		require.NoError(t, err)
		require.Len(t, all, want)
		if n > 0 {
			assert.Equal(t, fmt.Sprintf("%04d", n-1), all[n-1].Name())
		}
	}
}
