package ntlm

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// capture runs a logon and returns its three messages.
func capture(t *testing.T, c InitiatorConfig, s AcceptorConfig) (messages [3][]byte, client *Initiator) {
	t.Helper()
	client, _, err := wire{change: func(n int, m []byte) []byte {
		messages[n-1] = bytes.Clone(m)
		return m
	}}.logon(t, c, s)
	require.NoError(t, err)
	return messages, client
}

// Sealing is offered, and taken, when it is wanted and not otherwise: some
// servers then wait for sealed messages, over TLS too.
func TestSealIsOfferedWhenWanted(t *testing.T) {
	for _, want := range []bool{false, true} {
		c := clientConfig()
		c.Seal = want
		messages, client := capture(t, c, serverConfig())
		offer, err := parseNegotiate(messages[0])
		require.NoError(t, err)
		assert.Equal(t, want, offer.flags.Has(FlagSeal))
		proof, err := parseAuthenticate(messages[2])
		require.NoError(t, err)
		assert.Equal(t, want, proof.flags.Has(FlagSeal))
		assert.Equal(t, want, client.CanSeal())
	}
	// A server that sets it unasked gets no other answer.
	c := clientConfig()
	c.Seal = false
	client, err := NewInitiator(c)
	require.NoError(t, err)
	_, _, err = client.Step(t.Context(), nil)
	require.NoError(t, err)
	server, err := NewAcceptor(serverConfig())
	require.NoError(t, err)
	offer := negotiateMessage{flags: offeredFlags | FlagSeal}
	challenge, _, err := server.Step(t.Context(), offer.append(nil))
	require.NoError(t, err)
	out, _, err := client.Step(t.Context(), challenge)
	require.NoError(t, err)
	proof, err := parseAuthenticate(out)
	require.NoError(t, err)
	assert.False(t, proof.flags.Has(FlagSeal))
}

// With a MIC the LM response is 24 zeros; without, LMv2, [MS-NLMP] section
// 3.1.5.1.2.
func TestLMResponse(t *testing.T) {
	for _, stamped := range []bool{true, false} {
		s := serverConfig()
		s.WithoutTimestamp = !stamped
		messages, client := capture(t, clientConfig(), s)
		proof, err := parseAuthenticate(messages[2])
		require.NoError(t, err)
		require.Len(t, proof.lmResponse, 24)
		assert.Equal(t, stamped, client.MessageMIC())
		if stamped {
			assert.Equal(t, make([]byte, 24), proof.lmResponse)
			assert.NotEqual(t, make([]byte, micSize), messages[2][micOffset:micOffset+micSize])
			continue
		}
		challenge, err := parseChallenge(messages[1])
		require.NoError(t, err)
		hash, err := PasswordHash("secret")
		require.NoError(t, err)
		owf, err := ntowfv2(hash, "alice", "CORP")
		require.NoError(t, err)
		assert.Equal(t, lmv2(owf, challenge.challenge, [8]byte(proof.lmResponse[16:])), proof.lmResponse)
		assert.Equal(t, make([]byte, micSize), messages[2][micOffset:micOffset+micSize])
	}
}

// A time of another size is none.
func TestOddTimestamp(t *testing.T) {
	for _, size := range []int{0, 4, 7, 9} {
		s := serverConfig()
		s.WithoutTimestamp = true
		s.more = avList{{avTimestamp, make([]byte, size)}}
		_, client := capture(t, clientConfig(), s)
		assert.False(t, client.MessageMIC(), "%d bytes", size)
	}
}

// What does not fit a message is an error before the password is asked for.
func TestNamesThatDoNotFit(t *testing.T) {
	for name, change := range map[string]func(*InitiatorConfig){
		"target name": func(c *InitiatorConfig) { c.TargetName = "HTTP/" + strings.Repeat("x", 40_000) },
		"no Unicode":  func(c *InitiatorConfig) { c.TargetName = "HTTP/\xff" },
	} {
		c := clientConfig()
		c.Secret = func(context.Context) (Hash, error) {
			t.Error("the password was asked for")
			return Hash{}, nil
		}
		change(&c)
		client, _, err := wire{}.logon(t, c, serverConfig())
		var bad *MessageError
		require.ErrorAs(t, err, &bad, name)
		assert.False(t, client.Presented())
	}
}
