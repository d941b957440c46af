package ntlm

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lookup knows one account.
func lookup(domain, user, password string) func(context.Context, string, string) (Hash, error) {
	return func(_ context.Context, d, u string) (Hash, error) {
		if !strings.EqualFold(d, domain) || !strings.EqualFold(u, user) {
			return Hash{}, ErrNoUser
		}
		return PasswordHash(password)
	}
}

func secret(password string) func(context.Context) (Hash, error) {
	return func(context.Context) (Hash, error) { return PasswordHash(password) }
}

func TestUpper(t *testing.T) {
	// The exceptions are those of Windows' table, as Samba carries it.
	for in, want := range map[string]string{
		"": "", "user": "USER", "Usér$": "USÉR$", "straße": "STRAßE", "ÿ": "Ÿ", "ς": "Σ", "ǆ": "Ǆ",
		"µ": "µ", "ı": "ı", "ſ": "ſ", "ǅ": "ǅ", "ϐ": "ϐ", "𐐨": "𐐨", "я": "Я",
	} {
		assert.Equal(t, want, upper(in))
	}
}

func TestUTF16(t *testing.T) {
	got, err := utf16LE("a😀b")
	require.NoError(t, err)
	assert.Equal(t, []byte{'a', 0, 0x3d, 0xd8, 0, 0xde, 'b', 0}, got)
	_, err = utf16LE("a\xffb")
	require.ErrorIs(t, err, ErrEncoding)
}
