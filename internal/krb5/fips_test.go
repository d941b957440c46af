package krb5

import (
	"crypto/fips140"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFIPS runs itself in a process with FIPS 140 mode enforced: what is built on
// SHA-1 and RC4 gives typed errors, what is built on SHA-2 works.
func TestFIPS(t *testing.T) {
	if !fips140.Enforced() {
		exe, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.Command(exe, "-test.run=^TestFIPS$", "-test.v")
		cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Contains(t, string(out), "--- PASS: TestFIPS/allowed")
		return
	}
	t.Run("refused", func(t *testing.T) {
		for _, e := range []EType{AES128SHA1, AES256SHA1, RC4} {
			var refused *ETypeError
			_, err := StringToKey(e, "password", "salt", nil)
			require.ErrorAs(t, err, &refused)
			assert.True(t, refused.FIPS)
			_, err = NewKey(e)
			require.ErrorAs(t, err, &refused)
			key := Key{EType: e, Value: make([]byte, profiles[e].keySize)}
			_, err = newContext(true, key, false, 0, 0)
			require.ErrorAs(t, err, &refused)
			_, err = encryptOnce(key, 1, []byte("x"))
			require.ErrorAs(t, err, &refused)
			_, err = NewInitiator(InitiatorConfig{Ticket: &Ticket{Key: key}})
			require.ErrorAs(t, err, &refused)
		}
		_, err := NewClient(ClientConfig{Principal: Principal{Parts: []string{"x"}}, ETypes: []EType{AES256SHA1}})
		require.Error(t, err)
	})
	t.Run("allowed", func(t *testing.T) {
		for _, e := range DefaultETypes() {
			_, err := StringToKey(e, "password", "EXAMPLE.TESTalice", nil)
			require.NoError(t, err)
			service := mustKey(t, e)
			c, acc := establish(t,
				InitiatorConfig{Ticket: mint(t, service), Binding: []byte("tls-server-end-point:x")},
				AcceptorConfig{Keys: testKeys{service}, Replay: &ReplayCache{}, Binding: []byte("tls-server-end-point:x")})
			talk(t, c, acc.Context, 100)
			talk(t, acc.Context, c, 100)
		}
	})
}
