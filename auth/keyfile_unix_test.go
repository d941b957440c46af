//go:build unix

package auth

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheckPrivateFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "my key's.pem")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for mode := range os.FileMode(0o1000) {
		require.NoError(t, os.Chmod(file, mode))
		err := CheckPrivateFile(file)
		if mode&0o077 == 0 {
			require.NoError(t, err, "%o", mode)
			continue
		}
		e, ok := errors.AsType[*FileModeError](err)
		require.True(t, ok, "%o: %v", mode, err)
		assert.Equal(t, file, e.Path)
		assert.Equal(t, mode, e.Mode.Perm())
		assert.NotEmpty(t, e.Owner)
		assert.Contains(t, e.Remedy, "chmod 600 '")
		assert.Contains(t, e.Remedy, `my key'\''s.pem'`)
	}
	require.NoError(t, os.Chmod(file, 0o644))
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(file, link))
	require.Error(t, CheckPrivateFile(link), "a link is as open as its file")
	require.ErrorIs(t, CheckPrivateFile(file+".none"), os.ErrNotExist)
	require.Error(t, CheckPrivateFile(t.TempDir()))

	_, err := CertificateFiles{Cert: file, Key: file}.Load()
	_, ok := errors.AsType[*FileModeError](err)
	assert.True(t, ok)
	_, err = CertificateFiles{Cert: file, Key: file, AllowExposedKey: true}.Load()
	_, ok = errors.AsType[*FileModeError](err)
	assert.False(t, ok, "the check can be turned off")
}

func TestJudgeMode(t *testing.T) {
	const me, root, other = 1000, 0, 1001
	for _, c := range []struct {
		mode        os.FileMode
		owner, self int
		ok          bool
		remedy      string
	}{
		{0o600, me, me, true, ""},
		{0o400, me, me, true, ""},
		{0o640, me, me, false, "chmod 600 /k"},
		{0o640, root, me, true, ""}, // the service's group
		{0o660, root, me, false, "chmod 640 /k"},
		{0o644, root, me, false, "chmod 640 /k"},
		{0o600, other, me, false, "chown 1000 /k && chmod 600 /k"},
		{0o600, other, root, true, ""},
		{0o604, other, root, false, "chmod 600 /k"},
	} {
		err := judgeMode("/k", c.mode, c.owner, c.self)
		assert.Equal(t, c.ok, err == nil, "%o of %d for %d: %v", c.mode, c.owner, c.self, err)
		if e, bad := errors.AsType[*FileModeError](err); bad {
			assert.Equal(t, c.remedy, e.Remedy)
		}
	}
}
