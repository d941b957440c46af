package pfx_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/pfx"
)

// The files were written by OpenSSL from ../testdata: as Windows exports them
// today, as it did before, and without a password.
func TestDecode(t *testing.T) {
	want, err := tls.LoadX509KeyPair("../testdata/client-cert.pem", "../testdata/key-clear.pem")
	require.NoError(t, err)
	for file, password := range map[string]string{"modern.pfx": "sesame", "legacy.pfx": "sesame", "empty.pfx": ""} {
		data, err := os.ReadFile(filepath.Join("testdata", file))
		require.NoError(t, err)
		got, err := pfx.Decode(data, password)
		require.NoError(t, err, file)
		assert.Equal(t, want.Certificate, got.Certificate)
		assert.Equal(t, want.PrivateKey, got.PrivateKey)
		_, err = pfx.Decode(data, "wrong")
		require.Error(t, err)
		_, err = pfx.Decode(data[:len(data)/2], password)
		require.Error(t, err)
	}
}

func TestLoadChecksTheFile(t *testing.T) {
	data, err := os.ReadFile("testdata/modern.pfx")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "client.pfx")
	require.NoError(t, os.WriteFile(file, data, 0o600))
	_, err = pfx.Load(file, "sesame")
	require.NoError(t, err)
	if runtime.GOOS == "windows" {
		t.Skip("files have no mode")
	}
	require.NoError(t, os.Chmod(file, 0o644))
	_, err = pfx.Load(file, "sesame")
	var mode *auth.FileModeError
	require.ErrorAs(t, err, &mode)
}
