package winrm_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// TestRealPowerShell runs the very scripts, frames and file agent, in PowerShell
// on this computer, where there is one. The other tests run against winrmtest's
// stand-in for them.
func TestRealPowerShell(t *testing.T) {
	if _, err := exec.LookPath("pwsh"); err != nil {
		t.Skip("no pwsh on PATH: scripts and file agent were run by winrmtest's stand-in only")
	}
	srv := winrmtest.NewUnstartedServer(&winrmtest.Exec{})
	client := server(t, srv, func(c *winrm.Config) { c.PowerShell = "pwsh" })
	ctx := t.Context()
	dir := t.TempDir()
	t.Log("scripts and file agent run by pwsh in", dir)

	cmd := client.PowerShell(ctx, "param($Value) Write-Warning 'w'; [pscustomobject]@{Value=$Value; Length=$Value.Length}")
	cmd.Script.Args = map[string]string{"Value": "ü '$(throw 1)' 2020-01-01T00:00:00Z"}
	got, err := winrm.RunJSON[struct {
		Value  string
		Length int
	}](cmd)
	require.NoError(t, err)
	assert.Equal(t, "ü '$(throw 1)' 2020-01-01T00:00:00Z", got.Value)

	data := random(t, 3<<20+11)
	src := local(t, "src", data)
	res, err := client.Upload(ctx, src, dir+"/up.bin", nil)
	require.NoError(t, err)
	onDisk, err := os.ReadFile(filepath.Join(dir, "up.bin"))
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, onDisk))
	back := filepath.Join(t.TempDir(), "back")
	down, err := client.Download(ctx, dir+"/up.bin", back, nil)
	require.NoError(t, err)
	assert.Equal(t, res.SHA256, down.SHA256)

	want := tree(t, 9, 30, 2<<20)
	require.NoError(t, client.CopyFS(ctx, dir+"/tree", want, nil))
	remote := client.FS(ctx, dir+"/tree")
	for name, f := range want {
		if f.Mode.IsDir() {
			continue
		}
		got, err := fs.ReadFile(remote, name)
		require.NoError(t, err, name)
		require.True(t, bytes.Equal(f.Data, got), name)
	}
	require.NoError(t, client.MkdirAll(ctx, dir+"/fs/sub"))
	_, err = client.Upload(ctx, src, dir+"/fs/sub/f", nil)
	require.NoError(t, err)
	require.NoError(t, fstest.TestFS(client.FS(ctx, dir+"/fs"), "sub/f"))

	_, err = client.Stat(ctx, dir+"/none")
	assert.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorIs(t, client.Mkdir(ctx, dir+"/fs"), fs.ErrExist)
	assert.Error(t, client.Remove(ctx, dir+"/fs"))
	require.NoError(t, client.RemoveAll(ctx, dir+"/fs"))
	left, err := filepath.Glob(dir + "/*")
	require.NoError(t, err)
	assert.Equal(t, []string{dir + "/tree", dir + "/up.bin"}, left)
}
