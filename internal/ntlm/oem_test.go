package ntlm

import (
	"bytes"
	"context"
	"encoding/base64"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Messages of the npm package winrm-client 0.0.11, which asks for the OEM
// character set and not for Unicode, recorded against oemAcceptor.
const (
	oemNegotiate    = "TlRMTVNTUAABAAAABoIIAAMAAwAgAAAAAgACACMAAABET013cw=="
	oemAuthenticate = "TlRMTVNTUAADAAAAGAAYAEAAAABgAGAAWAAAAAMAAwC4AAAAAwADALsAAAACAAIAvgAAAAAAAAAAAAAABoKKABMdRtmMdueJ894j" +
		"L9HLq7Y79vy0nMUky9zpBWI0/BUtrIxsiZZ7mcQBAQAAAAAAAKAZn4Ehet0BO/b8tJzFJMsAAAAAAgAMAFMARQBSAFYARQBSAAEA" +
		"DABTAEUAUgBWAEUAUgAHAAgAALo4sCF63QEAAAAAAAAAAERPTWJvYndz"
)

func oemAcceptor(t *testing.T) *Acceptor {
	t.Helper()
	a, err := NewAcceptor(AcceptorConfig{
		ComputerName: "SERVER", DomainName: "SERVER",
		Lookup: func(_ context.Context, domain, user string) (Hash, error) {
			if domain != "DOM" || user != "bob" {
				return Hash{}, ErrNoUser
			}
			return PasswordHash("Passw0rd!")
		},
		Rand: bytes.NewReader([]byte("01234567")),
		Now:  func() time.Time { return time.Date(2026, 11, 22, 1, 35, 0, 0, time.UTC) },
	})
	require.NoError(t, err)
	return a
}

func decode64(t *testing.T, s string) []byte {
	t.Helper()
	p, err := base64.StdEncoding.DecodeString(s)
	require.NoError(t, err)
	return p
}

func TestAcceptorOEM(t *testing.T) {
	a := oemAcceptor(t)
	challenge, done, err := a.Step(t.Context(), decode64(t, oemNegotiate))
	require.NoError(t, err)
	require.False(t, done)
	m, err := parseChallenge(challenge)
	require.NoError(t, err)
	assert.Equal(t, FlagOEM, m.flags&(FlagOEM|FlagUnicode))
	assert.Equal(t, "SERVER", string(m.targetName))

	_, done, err = a.Step(t.Context(), decode64(t, oemAuthenticate))
	require.NoError(t, err)
	assert.True(t, done)
	assert.Equal(t, Client{Domain: "DOM", User: "bob", Workstation: "ws"}, a.Client())
	assert.False(t, a.CanSeal(), "it did not ask")
}

func TestOEMText(t *testing.T) {
	p, err := encodeText(FlagOEM, "Büro")
	require.NoError(t, err)
	assert.Equal(t, "B?ro", string(p))
	assert.Equal(t, "B\ufffdro", decodeText(FlagOEM, []byte("B\x81ro")))
}

// Neither character set is an error, as the specification has it.
func TestAcceptorNoCharacterSet(t *testing.T) {
	p := decode64(t, oemNegotiate)
	p[12] &^= byte(FlagOEM)
	_, _, err := oemAcceptor(t).Step(t.Context(), p)
	var weak *FlagsError
	require.ErrorAs(t, err, &weak)
	assert.Equal(t, FlagUnicode, weak.Missing)
}
