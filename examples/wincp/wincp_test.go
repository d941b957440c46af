package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// wincp runs the program against a host with a disk.
type wincp struct {
	d   *winrmtest.Disk
	srv *winrmtest.Server
}

func start(t *testing.T) *wincp {
	t.Helper()
	w := &wincp{d: &winrmtest.Disk{}}
	w.srv = winrmtest.NewServer(&winrmtest.Host{Disk: w.d})
	t.Cleanup(w.srv.Close)
	t.Setenv("WINRM_PASSWORD", winrmtest.DefaultPassword)
	return w
}

func (w *wincp) run(stdin string, args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	code = run(append([]string{"-r", w.srv.URL, "-u", winrmtest.DefaultUser}, args...), strings.NewReader(stdin), &out, &errs)
	return out.String(), errs.String(), code
}

func TestFiles(t *testing.T) {
	w := start(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "a b.txt")
	require.NoError(t, os.WriteFile(file, []byte("content"), 0o644))
	_, stderr, code := w.run("", file, `:C:\`)
	require.Zero(t, code, stderr)
	assert.Contains(t, stderr, "7 B")
	data, err := w.d.ReadFile(`C:\a b.txt`)
	require.NoError(t, err)
	assert.Equal(t, "content", string(data))

	_, stderr, code = w.run("from the pipe", "-q", "-", `:C:\piped`)
	require.Zero(t, code, stderr)
	assert.Empty(t, stderr)
	stdout, stderr, code := w.run("", "-q", `:C:\piped`, "-")
	require.Zero(t, code, stderr)
	assert.Equal(t, "from the pipe", stdout)

	_, stderr, code = w.run("", "-q", file, ":")
	require.Zero(t, code, stderr)
	assert.Contains(t, strings.Join(w.d.Files(), " "), `c:\users\`)

	back := t.TempDir()
	_, stderr, code = w.run("", `:C:\a b.txt`, `:C:\piped`, back)
	require.Zero(t, code, stderr)
	data, err = os.ReadFile(filepath.Join(back, "a b.txt"))
	require.NoError(t, err)
	assert.Equal(t, "content", string(data))
	assert.FileExists(t, filepath.Join(back, "piped"))

	for _, args := range [][]string{
		{`:C:\none`, back}, {file, "local"}, {file, `:C:\`, "-R"}, {"-R", `:C:\`, file, "-q", "x"}, {`:C:\a b.txt`, `:C:\x`}, {dir, `:C:\x`}, {file, `:C:\none\x\`}, {file}, {"-wrong"}, {"-", ":"}, {"-", `:C:\`}, {"-streams", "-1", file, ":x"}, {"-retries", "-1", file, ":x"},
	} {
		_, stderr, code = w.run("", args...)
		assert.NotZero(t, code, args)
		assert.NotEmpty(t, stderr)
	}
}

func TestTrees(t *testing.T) {
	w := start(t)
	dir := filepath.Join(t.TempDir(), "site")
	big := make([]byte, 3<<20)
	_, _ = rand.Read(big)
	want := map[string][]byte{"index.html": []byte("<html>"), "sub/deep/big.bin": big, "sub/empty": nil}
	for name, data := range want {
		p := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, data, 0o644))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "none"), 0o755))
	_, stderr, code := w.run("", "-R", dir, `:C:\www\`)
	require.Zero(t, code, stderr)
	assert.Equal(t, []string{`c:\www\site\index.html`, `c:\www\site\sub\deep\big.bin`, `c:\www\site\sub\empty`}, w.d.Files())

	back := t.TempDir()
	_, stderr, code = w.run("", "-R", `:C:\www\site`, back)
	require.Zero(t, code, stderr)
	for name, data := range want {
		got, err := os.ReadFile(filepath.Join(back, "site", filepath.FromSlash(name)))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(data, got), name)
	}
	assert.DirExists(t, filepath.Join(back, "site", "none"))
}

func TestMeter(t *testing.T) {
	var b bytes.Buffer
	m := &meter{w: &b, terminal: true}
	p := winrm.CopyProgress{Path: "a/very/long/path/to/some/file/that/does/not/fit.bin", Bytes: 50_000_000, Total: 200_000_000, Rate: 10_000_000, Resumed: 1000}
	m.show(p)
	p.Retry, p.Lost = 2, errors.New("the cable was pulled")
	m.show(p)
	p.Retry, p.Lost = 0, nil
	p.Bytes, p.Done = p.Total, true
	m.show(p)
	lines := strings.Split(b.String(), "\r")
	require.Len(t, lines, 4)
	assert.Contains(t, lines[2], " 25%  connection lost, reconnecting (retry 2)  (1000 B were there)")
	assert.Equal(t, utf8.RuneCountInString(lines[2])+1, utf8.RuneCountInString(lines[3]), "what stood in the line is gone")
	lines = append(lines[:2], lines[3])
	assert.True(t, strings.HasSuffix(lines[1], "fit.bin 50.0 MB of 200.0 MB [#####---------------]  25%  10.0 MB/s  15s left  (1000 B were there)"), lines[1])
	assert.True(t, strings.HasPrefix(lines[1], "…"), lines[1])
	assert.True(t, strings.HasSuffix(strings.TrimRight(lines[2], " \n"), "fit.bin 200.0 MB  10.0 MB/s  (1000 B were there)"), lines[2])
}

// A lost connection does not end the program, and it says so; with -retries 0 it does.
func TestReconnects(t *testing.T) {
	big := make([]byte, 3<<20)
	_, _ = rand.Read(big)
	for _, retries := range []string{"5", "0"} {
		t.Run(retries, func(t *testing.T) {
			w := start(t)
			w.srv.AddFaults(winrmtest.Fault{Action: "Send", Drop: winrmtest.DropAfter, After: 3})
			file := filepath.Join(t.TempDir(), "big.bin")
			require.NoError(t, os.WriteFile(file, big, 0o644))
			_, stderr, code := w.run("", "-retries", retries, file, `:C:\big.bin`)
			if retries == "0" {
				assert.Equal(t, 1, code)
				assert.NotContains(t, w.d.Files(), `c:\big.bin`)
				return
			}
			require.Zero(t, code, stderr)
			assert.Contains(t, stderr, "connection lost, reconnecting (retry 1): ")
			got, err := w.d.ReadFile(`C:\big.bin`)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(big, got))
		})
	}
}
