package ntlm

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// addMessages seeds a corpus with published messages and our own.
func addMessages(f *testing.F) {
	f.Helper()
	f.Add((&negotiateMessage{flags: offeredFlags}).append(nil))
	f.Add((&challengeMessage{flags: offeredFlags | FlagTargetInfo, targetInfo: []byte{1, 0, 2, 0, 'A', 0, 0, 0, 0, 0}}).append(nil))
	f.Add((&authenticateMessage{user: []byte("a\x00"), ntResponse: make([]byte, 60), withMIC: true}).append(nil))
	f.Add([]byte(signature))
}

// Messages that can be read are written back to the same content.
func FuzzMessages(f *testing.F) {
	addMessages(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		_, _ = parseNegotiate(p)
		if m, err := parseChallenge(p); err == nil {
			again, err := parseChallenge(m.append(nil))
			require.NoError(t, err)
			m.version = again.version
			require.Equal(t, m.targetInfo, again.targetInfo)
			require.Equal(t, m.flags, again.flags)
		}
		if m, err := parseAuthenticate(p); err == nil {
			again, err := parseAuthenticate(m.append(nil))
			require.NoError(t, err)
			require.Equal(t, m.ntResponse, again.ntResponse)
			require.Equal(t, m.user, again.user)
			require.Equal(t, m.sessionKey, again.sessionKey)
		}
		_, _, _, _ = parseResponse(p)
	})
}

func FuzzAVList(f *testing.F) {
	f.Add([]byte{1, 0, 2, 0, 'A', 0, 0, 0, 0, 0})
	f.Add([]byte{6, 0, 4, 0, 2, 0, 0, 0, 7, 0, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		if list, ok := parseAVList(p); ok {
			out := list.append(nil)
			require.True(t, bytes.HasPrefix(p, out[:len(out)-4]))
			_ = list.flags()
			_ = list.text(avNbComputerName)
		}
	})
}

// Whatever a server says, the initiator does not fall over, and makes no session
// below the flags that it wants.
func FuzzInitiator(f *testing.F) {
	addMessages(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		c, err := NewInitiator(clientConfig())
		require.NoError(t, err)
		_, _, err = c.Step(t.Context(), nil)
		require.NoError(t, err)
		if _, done, err := c.Step(t.Context(), p); err == nil {
			require.True(t, done)
			require.True(t, c.Flags().Has(sealFlags))
		}
	})
}

// No client gets in without the password.
func FuzzAcceptor(f *testing.F) {
	addMessages(f)
	negotiate := (&negotiateMessage{flags: offeredFlags | FlagSeal}).append(nil)
	f.Fuzz(func(t *testing.T, p []byte) {
		cfg := serverConfig()
		cfg.Now = func() time.Time { return time.Unix(1e9, 0) }
		s, err := NewAcceptor(cfg)
		require.NoError(t, err)
		if _, _, err := s.Step(t.Context(), p); err == nil {
			s.state = stateWaiting
		} else if s, err = NewAcceptor(cfg); err == nil {
			_, _, err = s.Step(t.Context(), negotiate)
			require.NoError(t, err)
		}
		_, done, err := s.Step(t.Context(), p)
		require.Error(t, err)
		require.False(t, done)
	})
}
