package credssp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// watched makes credentials that tell whether they were ever asked for.
func watched(asked *bool) func(context.Context) (*Credentials, error) {
	return func(ctx context.Context) (*Credentials, error) {
		*asked = true
		return passwordCredentials(ctx)
	}
}

// A relay is a man in the middle: it ends TLS with its own certificate towards
// the client and carries the TSRequests on to the real server, over TLS of its
// own. It has no password.
type relay struct {
	toClient *channel // accepts the victim
	toServer *channel // poses as the victim
	server   *Acceptor
	seen     []*Request // what the victim sent
	change   func(r *Request)
}

func newRelay(t *testing.T, server *Acceptor) *relay {
	t.Helper()
	cert := ecdsaCertificate(t)
	return &relay{
		toClient: &channel{pump: newPump(tls.Server, serverTLS(&tls.Config{Certificates: []tls.Certificate{cert}}))},
		toServer: &channel{pump: newPump(tls.Client, clientTLS(&InitiatorConfig{}))},
		server:   server,
	}
}

func (m *relay) close() {
	m.toClient.pump.close()
	m.toServer.pump.close()
}

// handshake connects the relay to the real server.
func (m *relay) handshake(t *testing.T) {
	t.Helper()
	var in []byte
	for {
		out, done, err := m.toServer.pump.handshake(in)
		require.NoError(t, err)
		if len(out) > 0 {
			in, _, err = m.server.Step(t.Context(), out)
			require.NoError(t, err)
		}
		if done {
			_, err = m.toServer.open(nil)
			require.NoError(t, err)
			return
		}
	}
}

// pass carries one message of the victim to the server and the answer back.
func (m *relay) pass(t *testing.T, in []byte) ([]byte, error) {
	t.Helper()
	msg, err := m.toClient.open(in)
	require.NoError(t, err)
	req, err := ParseRequest(msg)
	require.NoError(t, err)
	m.seen = append(m.seen, req)
	sealed, err := m.toServer.seal(msg)
	require.NoError(t, err)
	answer, _, serverErr := m.server.Step(t.Context(), sealed)
	if answer == nil {
		return nil, serverErr
	}
	msg, err = m.toServer.open(answer)
	require.NoError(t, err)
	if m.change != nil {
		req, err := ParseRequest(msg)
		require.NoError(t, err)
		m.change(req)
		msg = req.Append(nil)
	}
	out, err := m.toClient.seal(msg)
	require.NoError(t, err)
	return out, serverErr
}

// attack lets the victim log on through the relay until somebody gives up.
func attack(t *testing.T, client *Initiator, m *relay) (clientErr, serverErr error) {
	t.Helper()
	defer m.close()
	m.handshake(t)
	var in []byte
	for secured := false; ; {
		out, err := client.Step(t.Context(), in)
		if err != nil {
			return err, serverErr
		}
		if !secured {
			in, secured, err = m.toClient.pump.handshake(out)
			require.NoError(t, err)
			continue
		}
		in, serverErr = m.pass(t, out)
		if in == nil {
			return nil, serverErr
		}
	}
}

func TestManInTheMiddle(t *testing.T) {
	for version := uint32(2); version <= 6; version++ {
		t.Run(fmt.Sprintf("version %d", version), func(t *testing.T) {
			asked := false
			p := newPair(t, InitiatorConfig{Credentials: watched(&asked)}, AcceptorConfig{Version: version})
			m := newRelay(t, p.server)
			clientErr, serverErr := attack(t, p.client, m)
			for _, r := range m.seen {
				assert.Nil(t, r.AuthInfo)
				if version < SafeVersion {
					assert.Nil(t, r.PubKeyAuth, "what old versions seal is the attacker's to choose")
				}
			}
			assert.False(t, asked)
			if version < SafeVersion {
				old, ok := errors.AsType[*VersionError](clientErr)
				require.True(t, ok, "%v", clientErr)
				assert.Equal(t, &VersionError{Got: version, Min: SafeVersion}, old)
				assert.ErrorContains(t, clientErr, "CVE-2018-0886")
				return
			}
			assert.ErrorIs(t, serverErr, ErrPeerKey)
			if version == 6 {
				assert.ErrorIs(t, clientErr, SecMessageAltered)
			}
		})
	}
}

// A server that fell for the relay, and does not look at the client's value,
// answers for its own key.
func TestServerKeyChanged(t *testing.T) {
	for _, version := range []uint32{2, 3, 4, 5, 6} {
		asked := false
		p := newPair(t, InitiatorConfig{Credentials: watched(&asked), MinVersion: 2}, AcceptorConfig{Version: version})
		p.server.key = bytes.Clone(p.server.key)
		p.server.key[20] ^= 1
		legs := runAgainstFool(t, p)
		assert.ErrorIs(t, legs, ErrPeerKey, "version %d", version)
		assert.False(t, asked)
	}
}

// runAgainstFool logs on to an Acceptor that takes any pubKeyAuth.
func runAgainstFool(t *testing.T, p *pair) error {
	t.Helper()
	var in []byte
	for {
		out, err := p.client.Step(t.Context(), in)
		if err != nil {
			return err
		}
		if p.client.Phase() != PhaseKey {
			in, _, err = p.server.Step(t.Context(), out)
			require.NoError(t, err)
			continue
		}
		msg, err := p.server.open(out)
		require.NoError(t, err)
		req, err := ParseRequest(msg)
		require.NoError(t, err)
		p.server.announced, p.server.version = req.Version, min(req.Version, p.server.cfg.Version)
		token, err := p.serverMech.Step(t.Context(), req.NegoTokens[0])
		require.NoError(t, err)
		_, err = p.serverMech.Unwrap(req.PubKeyAuth)
		require.NoError(t, err)
		value, err := p.serverMech.Wrap(nil, serverPubKey(p.server.version, req.ClientNonce, p.server.key))
		require.NoError(t, err)
		in, err = p.server.send(&Request{NegoTokens: [][]byte{token}, PubKeyAuth: value})
		require.NoError(t, err)
	}
}

// The client's nonce is fresh in each logon, so that the answer of another one
// proves nothing.
func TestNonce(t *testing.T) {
	nonces := map[string]bool{}
	for range 3 {
		p := newPair(t, InitiatorConfig{}, AcceptorConfig{})
		p.logon(t)
		assert.Len(t, p.client.nonce, 32)
		nonces[string(p.client.nonce)] = true
	}
	assert.Len(t, nonces, 3)

	asked := false
	p := newPair(t, InitiatorConfig{Credentials: watched(&asked)}, AcceptorConfig{})
	replayed := false
	legs := p.run(t, func(_ int, l *leg) {
		if p.client.Phase() == PhaseKey && !replayed && p.server.Phase() == PhaseCredentials {
			replayed = true
			p.client.nonce = bytes.Repeat([]byte{7}, 32) // as if the answer were for another nonce
		}
	})
	require.True(t, replayed)
	assert.ErrorIs(t, legs[len(legs)-1].clientErr, ErrPeerKey)
	assert.False(t, asked)
}

// answering makes a logon whose server's answer in leg n (counted from the first
// TSRequest) is made by fn instead.
func answering(t *testing.T, cfg InitiatorConfig, n int, fn func(p *pair, real *Request) []byte) (*pair, error) {
	t.Helper()
	if cfg.TLS == nil {
		cfg.TLS = &tls.Config{MaxVersion: tls.VersionTLS12}
	}
	p := newPair(t, cfg, AcceptorConfig{})
	// The answers are opened with the server's keys' counterpart: a second
	// client cannot, so the Acceptor's messages are taken before they are sealed.
	var in []byte
	requests := 0
	for {
		out, err := p.client.Step(t.Context(), in)
		if err != nil {
			return p, err
		}
		if p.server.phase == PhaseTLS {
			in, _, err = p.server.Step(t.Context(), out)
			require.NoError(t, err)
			continue
		}
		msg, err := p.server.open(out)
		require.NoError(t, err)
		req, err := ParseRequest(msg)
		require.NoError(t, err)
		require.Nil(t, req.AuthInfo, "the credentials left")
		answer := &Request{Version: 6}
		token, err := p.serverMech.Step(t.Context(), req.NegoTokens[0])
		require.NoError(t, err)
		answer.NegoTokens = [][]byte{token}
		if req.PubKeyAuth != nil {
			_, err = p.serverMech.Unwrap(req.PubKeyAuth)
			require.NoError(t, err)
			answer.PubKeyAuth, err = p.serverMech.Wrap(nil, serverPubKey(6, req.ClientNonce, p.server.key))
			require.NoError(t, err)
		}
		if requests == n {
			in = fn(p, answer)
		} else {
			in, err = p.server.seal(answer.Append(nil))
			require.NoError(t, err)
		}
		requests++
	}
}

func TestHostileAnswers(t *testing.T) {
	v := vectors(t)
	sealed := func(t *testing.T, p *pair, parts ...[]byte) (out []byte) {
		for _, part := range parts {
			b, err := p.server.seal(part)
			require.NoError(t, err)
			out = append(out, b...)
		}
		return out
	}
	changed := func(change func(r *Request)) func(*testing.T, *pair, *Request) []byte {
		return func(t *testing.T, p *pair, r *Request) []byte {
			change(r)
			return sealed(t, p, r.Append(nil))
		}
	}
	raw := func(b []byte) func(*testing.T, *pair, *Request) []byte {
		return func(t *testing.T, p *pair, _ *Request) []byte { return sealed(t, p, b) }
	}
	for name, tc := range map[string]struct {
		leg    int
		answer func(*testing.T, *pair, *Request) []byte
		want   error
	}{
		"errorCode of five octets":       {0, raw(v["ts_request_error_c000006d_positive5"]), StatusLogonFailure},
		"errorCode of four octets":       {1, raw(v["ts_request_error_c000006d_negative4"]), StatusLogonFailure},
		"errorCode beside pubKeyAuth":    {1, changed(func(r *Request) { r.ErrorCode = StatusAccountRestriction }), StatusAccountRestriction},
		"errorCode before version":       {0, changed(func(r *Request) { r.Version, r.ErrorCode = 2, StatusNotSupported }), StatusNotSupported},
		"version lowered midway":         {1, changed(func(r *Request) { r.Version = 5 }), &VersionError{Got: 5, First: 6}},
		"version raised midway":          {1, changed(func(r *Request) { r.Version = 7 }), &VersionError{Got: 7, First: 6}},
		"version too old":                {0, changed(func(r *Request) { r.Version = 4 }), &VersionError{Got: 4, Min: 5}},
		"version zero":                   {0, changed(func(r *Request) { r.Version = 0 }), &VersionError{Got: 0, Min: 5}},
		"pubKeyAuth too early":           {0, changed(func(r *Request) { r.PubKeyAuth = []byte{1} }), ErrUnexpected},
		"no pubKeyAuth":                  {1, changed(func(r *Request) { r.PubKeyAuth = nil }), ErrUnexpected},
		"pubKeyAuth empty":               {1, changed(func(r *Request) { r.PubKeyAuth = []byte{} }), errWrongPassword},
		"pubKeyAuth forged":              {1, changed(func(r *Request) { r.PubKeyAuth[3] ^= 1 }), errWrongPassword},
		"last token forged":              {1, changed(func(r *Request) { r.NegoTokens[0][0] ^= 1 }), errWrongPassword},
		"last token missing":             {1, changed(func(r *Request) { r.NegoTokens = nil }), errUnfinished},
		"two tokens":                     {0, changed(func(r *Request) { r.NegoTokens = append(r.NegoTokens, []byte{1}) }), ErrMalformed},
		"no token":                       {0, changed(func(r *Request) { r.NegoTokens = nil }), ErrUnexpected},
		"authInfo from the server":       {0, changed(func(r *Request) { r.AuthInfo = []byte{1} }), ErrUnexpected},
		"nothing":                        {0, func(*testing.T, *pair, *Request) []byte { return nil }, ErrUnexpected},
		"nothing where the proof is due": {1, func(*testing.T, *pair, *Request) []byte { return nil }, ErrUnexpected},
		"trailing byte": {0, func(t *testing.T, p *pair, r *Request) []byte {
			return sealed(t, p, append(r.Append(nil), 0))
		}, ErrMalformed},
		"two requests in one flight": {0, func(t *testing.T, p *pair, r *Request) []byte {
			return sealed(t, p, r.Append(nil), r.Append(nil))
		}, ErrSplit},
		"split over records": {1, func(t *testing.T, p *pair, r *Request) []byte {
			b := r.Append(nil)
			return sealed(t, p, b[:10], b[10:])
		}, ErrSplit},
		"split over flights": {1, func(t *testing.T, p *pair, r *Request) []byte {
			return sealed(t, p, r.Append(nil)[:10])
		}, ErrMalformed},
		"giant length":     {0, raw([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0xa0, 3, 2, 1, 6}), ErrMalformed},
		"giant message":    {0, raw(make([]byte, maxRequest+1)), ErrTooLarge},
		"truncated record": {0, func(*testing.T, *pair, *Request) []byte { return []byte{23, 3, 3, 0, 90, 1, 2} }, ErrTruncated},
		"clear text":       {1, func(_ *testing.T, _ *pair, r *Request) []byte { return r.Append(nil) }, ErrTruncated},
		"TLS session closed": {1, func(t *testing.T, p *pair, _ *Request) []byte {
			require.NoError(t, p.server.pump.conn.CloseWrite())
			return p.server.pump.take()
		}, ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			asked := false
			p, err := answering(t, InitiatorConfig{Credentials: watched(&asked)}, tc.leg, func(p *pair, r *Request) []byte {
				return tc.answer(t, p, r)
			})
			if want, ok := tc.want.(*VersionError); ok {
				got, ok := errors.AsType[*VersionError](err)
				require.True(t, ok, "%v", err)
				assert.Equal(t, want, got)
			} else {
				assert.ErrorIs(t, err, tc.want)
			}
			_, typed := errors.AsType[*PhaseError](err)
			assert.True(t, typed)
			assert.False(t, asked, "the credentials were asked for")
			for _, plain := range p.clientMech.wrapped {
				assert.NotContains(t, string(plain), string(UTF16(testPassword)))
			}
			out, err := p.client.Step(t.Context(), nil)
			assert.Error(t, err, "a failed logon does not go on")
			assert.Empty(t, out)
		})
	}
}

func TestErrorsAtTheServer(t *testing.T) {
	t.Run("wrong password", func(t *testing.T) {
		for version, want := range map[uint32]error{2: nil, 3: StatusLogonFailure, 4: StatusLogonFailure, 5: nil, 6: StatusLogonFailure} {
			p := newPair(t, InitiatorConfig{MinVersion: 2, Mech: &toyMech{password: "wrong"}}, AcceptorConfig{Version: version})
			legs := p.run(t, nil)
			last := legs[len(legs)-1]
			if want == nil {
				assert.ErrorIs(t, last.serverErr, errWrongPassword)
				assert.Nil(t, last.answer)
				continue
			}
			assert.ErrorIs(t, last.clientErr, want, "version %d", version)
			assert.ErrorContains(t, last.clientErr, "STATUS_LOGON_FAILURE")
		}
	})
	t.Run("client too old", func(t *testing.T) {
		p := newPair(t, InitiatorConfig{Version: 4, MinVersion: 2}, AcceptorConfig{MinVersion: 5})
		legs := p.run(t, nil)
		assert.ErrorIs(t, legs[len(legs)-1].clientErr, StatusNotSupported)
	})
	t.Run("request split over records", func(t *testing.T) {
		p := newPair(t, InitiatorConfig{}, AcceptorConfig{})
		p.logon(t)
		a, err := p.client.seal([]byte("ab"))
		require.NoError(t, err)
		b, err := p.client.seal([]byte("cd"))
		require.NoError(t, err)
		_, err = p.server.open(append(a, b...))
		assert.ErrorIs(t, err, ErrSplit)
	})
	t.Run("short nonce", func(t *testing.T) {
		p := newPair(t, InitiatorConfig{rand: strings.NewReader(strings.Repeat("n", 64))}, AcceptorConfig{})
		p.logon(t)
		assert.Equal(t, strings.Repeat("n", 32), string(p.client.nonce))
		p = newPair(t, InitiatorConfig{rand: strings.NewReader("n")}, AcceptorConfig{})
		legs := p.run(t, nil)
		assert.ErrorContains(t, legs[len(legs)-1].clientErr, "EOF")
	})
}

func TestHandshakeRefused(t *testing.T) {
	t.Run("versions do not meet", func(t *testing.T) {
		p := newPair(t, InitiatorConfig{}, AcceptorConfig{TLS: &tls.Config{
			Certificates: []tls.Certificate{rsaCertificate(t)}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
		}})
		legs := p.run(t, nil)
		assert.Error(t, legs[len(legs)-1].clientErr)
	})
	t.Run("certificate not trusted", func(t *testing.T) {
		untrusted := errors.New("untrusted")
		p := newPair(t, InitiatorConfig{VerifyCertificate: func([]*x509.Certificate) error { return untrusted }}, AcceptorConfig{})
		legs := p.run(t, nil)
		last := legs[len(legs)-1]
		assert.ErrorIs(t, last.clientErr, untrusted)
		assert.NotEmpty(t, last.request, "the alert is sent")
		assert.Empty(t, p.clientMech.wrapped)
	})
	t.Run("garbage", func(t *testing.T) {
		for _, garbage := range []string{"HTTP/1.1 400", "\x16\x03\x03\xff\xff", "\x15\x03\x03\x00\x02\x02\x28"} {
			p := newPair(t, InitiatorConfig{}, AcceptorConfig{})
			_, err := p.client.Step(t.Context(), nil)
			require.NoError(t, err)
			out, err := p.client.Step(t.Context(), []byte(garbage))
			if garbage[0] == 0x16 {
				// A record whose rest does not come; crypto/tls judges its length.
				assert.Error(t, err)
				continue
			}
			assert.Error(t, err, "%q", out)
		}
	})
	t.Run("flood", func(t *testing.T) {
		p := newPair(t, InitiatorConfig{}, AcceptorConfig{})
		_, err := p.client.Step(t.Context(), nil)
		require.NoError(t, err)
		_, err = p.client.Step(t.Context(), make([]byte, maxFlight+1))
		assert.ErrorIs(t, err, ErrTooLarge)
	})
	t.Run("finished too early", func(t *testing.T) {
		p := newPair(t, InitiatorConfig{}, AcceptorConfig{})
		_, err := p.client.Step(t.Context(), nil)
		require.NoError(t, err)
		assert.ErrorIs(t, p.client.Finish(), ErrUnexpected)
	})
}

// FuzzServer feeds a client whatever a server may say to its ClientHello.
func FuzzServer(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x15\x03\x03\x00\x02\x02\x28"))
	server := newPump(tls.Server, serverTLS(&tls.Config{Certificates: []tls.Certificate{rsaCertificate(f)}}))
	defer server.close()
	hello, _, err := newPumpOnce(f)
	require.NoError(f, err)
	flight, _, err := server.handshake(hello)
	require.NoError(f, err)
	f.Add(flight)
	f.Fuzz(func(t *testing.T, b []byte) {
		client := NewInitiator(InitiatorConfig{Mech: &toyMech{}, Credentials: passwordCredentials})
		defer client.Close()
		_, err := client.Step(t.Context(), nil)
		require.NoError(t, err)
		_, _ = client.Step(t.Context(), b)
		require.Equal(t, PhaseTLS, client.Phase(), "nobody can make a Finished")
	})
}

func newPumpOnce(f *testing.F) (out []byte, done bool, err error) {
	f.Helper()
	client := newPump(tls.Client, clientTLS(&InitiatorConfig{}))
	defer client.close()
	return client.handshake(nil)
}
