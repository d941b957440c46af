package ntlm

import (
	"crypto/fips140"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// In a program that enforces FIPS 140 nothing panics: the test runs itself in
// such a program.
func TestFIPS(t *testing.T) {
	if !fips140.Enforced() {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFIPS$", "-test.v")
		cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Contains(t, string(out), "--- PASS: TestFIPS")
		return
	}
	_, err := NewInitiator(clientConfig())
	require.ErrorIs(t, err, ErrFIPS)
	_, err = NewAcceptor(serverConfig())
	require.ErrorIs(t, err, ErrFIPS)
	_, err = PasswordHash("secret")
	require.ErrorIs(t, err, ErrFIPS)
}
