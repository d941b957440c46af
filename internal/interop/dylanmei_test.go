package interop_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/dylanmei/winrmtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
)

// dylanmei/winrmtest, the server that programs with masterzen/winrm are tested
// against, serves ours too. It knows neither logons nor input, and drops what a
// command writes to stderr.
func TestDylanmeiServer(t *testing.T) {
	remote := winrmtest.NewRemote()
	defer remote.Close()
	remote.CommandFunc(winrmtest.MatchText("ipconfig"), func(out, _ io.Writer) int {
		_, _ = io.WriteString(out, "Windows IP Configuration\r\n")
		return 0
	})
	remote.CommandFunc(winrmtest.MatchPattern("^.*greet.*$"), func(out, _ io.Writer) int {
		_, _ = out.Write(bytes.Repeat([]byte("grüße\r\n"), 10_000))
		return 3
	})
	client, err := winrm.New(fmt.Sprintf("http://%s:%d/wsman", remote.Host, remote.Port), &winrm.Config{
		Auth:       auth.BasicInsecure(auth.Credentials{User: "user", Password: "pass"}),
		Encryption: auth.EncryptNever,
	})
	require.NoError(t, err)
	for range 2 {
		out, err := client.CommandContext(t.Context(), "ipconfig").Output()
		require.NoError(t, err)
		assert.Equal(t, "Windows IP Configuration\r\n", string(out))

		out, err = client.CommandContext(t.Context(), "greet", "all of you").Output()
		exit, ok := errors.AsType[*winrm.ExitError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, uint32(3), exit.Code)
		assert.Equal(t, bytes.Repeat([]byte("grüße\r\n"), 10_000), out)
	}
	require.NoError(t, client.Close())
}
