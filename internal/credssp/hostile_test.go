package credssp

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A hostileClient says to an Acceptor what it likes, over TLS that is in order.
type hostileClient struct {
	*relay
	mech  *toyMech
	nonce []byte
}

// ask sends one TSRequest and returns the answer.
func (c *hostileClient) ask(t *testing.T, req *Request) (*Request, error) {
	t.Helper()
	sealed, err := c.toServer.seal(req.Append(nil))
	require.NoError(t, err)
	out, _, err := c.server.Step(t.Context(), sealed)
	if len(out) == 0 {
		return nil, err
	}
	msg, openErr := c.toServer.open(out)
	require.NoError(t, openErr)
	answer, parseErr := ParseRequest(msg)
	require.NoError(t, parseErr)
	return answer, err
}

// proof does the inner logon up to its end and returns the request that is due.
func (c *hostileClient) proof(t *testing.T) *Request {
	t.Helper()
	token, err := c.mech.Step(t.Context(), nil)
	require.NoError(t, err)
	answer, err := c.ask(t, &Request{Version: 6, NegoTokens: [][]byte{token}})
	require.NoError(t, err)
	token, err = c.mech.Step(t.Context(), answer.NegoTokens[0])
	require.NoError(t, err)
	value, err := c.mech.Wrap(nil, clientPubKey(6, c.nonce, c.server.key))
	require.NoError(t, err)
	return &Request{Version: 6, NegoTokens: [][]byte{token}, PubKeyAuth: value, ClientNonce: c.nonce}
}

// proved does the logon up to the credentials.
func (c *hostileClient) proved(t *testing.T) {
	t.Helper()
	answer, err := c.ask(t, c.proof(t))
	require.NoError(t, err)
	require.NotNil(t, answer.PubKeyAuth)
}

// TestHostileClients: an Acceptor takes credentials from none of them.
func TestHostileClients(t *testing.T) {
	info := func(t *testing.T, c *hostileClient) []byte {
		creds, err := passwordCredentials(t.Context())
		require.NoError(t, err)
		b, err := c.mech.Wrap(nil, creds.Append(nil))
		require.NoError(t, err)
		return b
	}
	for name, tc := range map[string]struct {
		nonce int // its length, 0 is 32
		say   func(*testing.T, *hostileClient) (*Request, error)
		want  error // nil: it is no hostile one
	}{
		"all is well": {say: func(t *testing.T, c *hostileClient) (*Request, error) {
			c.proved(t)
			return c.ask(t, &Request{Version: 6, AuthInfo: info(t, c)})
		}},
		"version lowered midway": {say: func(t *testing.T, c *hostileClient) (*Request, error) {
			r := c.proof(t)
			r.Version = 5
			return c.ask(t, r)
		}, want: &VersionError{Got: 5, First: 6}},
		"proof before the inner logon": {say: func(t *testing.T, c *hostileClient) (*Request, error) {
			token, err := c.mech.Step(t.Context(), nil)
			require.NoError(t, err)
			return c.ask(t, &Request{Version: 6, NegoTokens: [][]byte{token}, PubKeyAuth: []byte{1}, ClientNonce: c.nonce})
		}, want: ErrUnexpected},
		"credentials before the proof": {say: func(t *testing.T, c *hostileClient) (*Request, error) {
			r := c.proof(t)
			r.AuthInfo = info(t, c)
			return c.ask(t, r)
		}, want: ErrUnexpected},
		"short nonce": {nonce: 31, say: func(t *testing.T, c *hostileClient) (*Request, error) {
			return c.ask(t, c.proof(t))
		}, want: ErrMalformed},
		"another nonce": {say: func(t *testing.T, c *hostileClient) (*Request, error) {
			r := c.proof(t)
			r.ClientNonce = bytes.Repeat([]byte{2}, nonceLen)
			return c.ask(t, r)
		}, want: ErrPeerKey},
		"no credentials": {say: func(t *testing.T, c *hostileClient) (*Request, error) {
			c.proved(t)
			return c.ask(t, &Request{Version: 6})
		}, want: ErrUnexpected},
		"credentials not sealed": {say: func(t *testing.T, c *hostileClient) (*Request, error) {
			c.proved(t)
			return c.ask(t, &Request{Version: 6, AuthInfo: []byte("in clear")})
		}, want: errWrongPassword},
		"credentials of nonsense": {say: func(t *testing.T, c *hostileClient) (*Request, error) {
			c.proved(t)
			b, err := c.mech.Wrap(nil, []byte("nonsense"))
			require.NoError(t, err)
			return c.ask(t, &Request{Version: 6, AuthInfo: b})
		}, want: ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, InitiatorConfig{}, AcceptorConfig{})
			m := newRelay(t, p.server)
			defer m.close()
			m.handshake(t)
			if tc.nonce == 0 {
				tc.nonce = nonceLen
			}
			c := &hostileClient{relay: m, mech: &toyMech{password: "logon"}, nonce: bytes.Repeat([]byte{1}, tc.nonce)}
			answer, err := tc.say(t, c)
			if tc.want == nil {
				require.NoError(t, err)
				assert.Equal(t, UTF16(testPassword), p.server.Credentials().Password.Password)
				return
			}
			if want, ok := errors.AsType[*VersionError](tc.want); ok {
				got, ok := errors.AsType[*VersionError](err)
				require.True(t, ok, "%v", err)
				assert.Equal(t, want, got)
			} else {
				require.ErrorIs(t, err, tc.want)
			}
			assert.Nil(t, p.server.Credentials())
			assert.NotZero(t, answer.ErrorCode, "version 6 says why")
			_, _, err = p.server.Step(t.Context(), nil)
			assert.Error(t, err, "a failed logon does not go on")
		})
	}
}

// The inner logon has no word left once the server has proved itself.
func TestInnerLogonGoesOn(t *testing.T) {
	asked := false
	p := newPair(t, InitiatorConfig{Mech: &toyMech{password: "logon", talks: true}, Credentials: watched(&asked)}, AcceptorConfig{})
	legs := p.run(t, nil)
	assert.ErrorIs(t, legs[len(legs)-1].clientErr, ErrUnexpected)
	assert.False(t, asked)
}

// The password is overwritten once it is sealed.
func TestCredentialsAreWiped(t *testing.T) {
	var given *Credentials
	p := newPair(t, InitiatorConfig{Credentials: func(ctx context.Context) (*Credentials, error) {
		c, err := passwordCredentials(ctx)
		given = c
		return c, err
	}}, AcceptorConfig{})
	p.logon(t)
	assert.Equal(t, make([]byte, len(UTF16(testPassword))), given.Password.Password)
}
