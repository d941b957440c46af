package credssp

import (
	"crypto/tls"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLogon(t *testing.T) {
	for version := uint32(MinVersion); version <= MaxVersion; version++ {
		for _, tlsVersion := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, short := range []bool{false, true} {
				t.Run(fmt.Sprintf("version %d, %s, short %v", version, tls.VersionName(tlsVersion), short), func(t *testing.T) {
					p := newPair(t, InitiatorConfig{
						Mech: &toyMech{password: "logon", short: short}, MinVersion: 2,
						TLS: &tls.Config{MaxVersion: tlsVersion},
					}, AcceptorConfig{
						Mech: &toyMech{accept: true, password: "logon", short: short}, Version: version,
					})
					legs := p.logon(t)
					// TLS takes two legs in both versions: ClientHello, and the
					// client's Finished. Then token, pubKeyAuth, authInfo.
					assert.Len(t, legs, 5)
					assert.Equal(t, int(version), p.client.Version())
					assert.Equal(t, int(version), p.server.Version())
					assert.Equal(t, tlsVersion, p.client.ConnectionState().Version)
					got := p.server.Credentials()
					require.NotNil(t, got.Password)
					assert.Equal(t, "CORP", Text(got.Password.Domain))
					assert.Equal(t, "svc", Text(got.Password.User))
					assert.Equal(t, testPassword, Text(got.Password.Password))
					exchange(t, p)
				})
			}
		}
	}
}

// exchange seals messages both ways.
func exchange(t *testing.T, p *pair) {
	t.Helper()
	for _, s := range []struct{ from, to *channel }{{&p.client.channel, &p.server.channel}, {&p.server.channel, &p.client.channel}} {
		for _, text := range []string{"a", "<s:Envelope/>"} {
			out, tokenLen, length, err := s.from.Wrap([]byte("before"), []byte(text))
			require.NoError(t, err)
			require.Equal(t, "before", string(out[:6]))
			assert.Equal(t, len(text), length)
			plain, err := s.to.Unwrap(out[6:], tokenLen)
			require.NoError(t, err)
			assert.Equal(t, text, string(plain))
		}
	}
}

// The ClientHello has to fit into an HTTP header along with whatever else.
func TestClientHelloIsSmall(t *testing.T) {
	p := newPair(t, InitiatorConfig{}, AcceptorConfig{})
	out, err := p.client.Step(t.Context(), nil)
	require.NoError(t, err)
	assert.Less(t, len(out), 400)
}

// The server answers the Finished of TLS 1.3 with tickets if the client can
// take them, else with an empty flight. The client takes either.
func TestEmptyAnswerToFinished(t *testing.T) {
	p := newPair(t, InitiatorConfig{TLS: &tls.Config{MinVersion: tls.VersionTLS13}}, AcceptorConfig{})
	l := p.step(t.Context(), nil)
	require.NoError(t, l.clientErr)
	assert.False(t, p.client.Settling())
	l = p.step(t.Context(), l.answer)
	require.NoError(t, l.clientErr)
	assert.True(t, p.client.Settling())
	assert.Empty(t, l.answer)
	l = p.step(t.Context(), nil)
	require.NoError(t, l.clientErr)
	assert.False(t, p.client.Settling())
	assert.NotEmpty(t, l.answer)
}

// To a client that could resume, the answer is a ticket, and not empty. Nobody
// can use it.
func TestTicketAnswersFinished(t *testing.T) {
	server := func() *pump {
		p := newPump(tls.Server, serverTLS(&tls.Config{Certificates: []tls.Certificate{rsaCertificate(t)}}))
		t.Cleanup(p.close)
		return p
	}
	cfg := clientTLS(&InitiatorConfig{})
	cfg.SessionTicketsDisabled, cfg.ClientSessionCache, cfg.ServerName = false, tls.NewLRUClientSessionCache(1), "srv1"
	for range 2 {
		client, server := newPump(tls.Client, cfg), server()
		t.Cleanup(client.close)
		hello, _, err := client.handshake(nil)
		require.NoError(t, err)
		flight, _, err := server.handshake(hello)
		require.NoError(t, err)
		finished, done, err := client.handshake(flight)
		require.NoError(t, err)
		require.True(t, done)
		ticket, done, err := server.handshake(finished)
		require.NoError(t, err)
		require.True(t, done)
		assert.NotEmpty(t, ticket)
		assert.False(t, client.conn.ConnectionState().DidResume)
		require.NoError(t, client.put(ticket))
		_, more, err := client.read(make([]byte, 10))
		require.NoError(t, err)
		require.False(t, more)
	}
}

// A client may send the end of its handshake and its first TSRequest together.
func TestFinishedWithRequest(t *testing.T) {
	p := newPair(t, InitiatorConfig{TLS: &tls.Config{MinVersion: tls.VersionTLS13}}, AcceptorConfig{})
	l := p.step(t.Context(), nil)
	finished, err := p.client.Step(t.Context(), l.answer)
	require.NoError(t, err)
	request, err := p.client.Step(t.Context(), nil)
	require.NoError(t, err)
	answer, _, err := p.server.Step(t.Context(), append(finished, request...))
	require.NoError(t, err)
	assert.NotEmpty(t, answer)
	legs := 0
	for in := answer; ; legs++ {
		l := p.step(t.Context(), in)
		require.NoError(t, l.clientErr)
		require.NoError(t, l.serverErr)
		if l.done {
			break
		}
		in = l.answer
	}
	assert.Equal(t, 1, legs)
}

// Abandoned wherever it is, a logon leaves no goroutine; TestMain counts them.
func TestAbandoned(t *testing.T) {
	for legs := range 5 {
		p := newPair(t, InitiatorConfig{}, AcceptorConfig{})
		var in []byte
		for range legs {
			in = p.step(t.Context(), in).answer
		}
		p.close()
		assert.True(t, p.clientMech.closed)
		assert.True(t, p.serverMech.closed)
		_, err := p.client.Step(t.Context(), in)
		assert.Error(t, err)
		_, _, _, err = p.client.Wrap(nil, []byte("x"))
		assert.ErrorIs(t, err, ErrClosed)
		_, err = p.server.Unwrap([]byte{23, 3, 3, 0, 1, 0}, 0)
		assert.ErrorIs(t, err, ErrClosed)
	}
}

// Large tokens, as Kerberos makes them, need more than one full record.
func TestLargeRequest(t *testing.T) {
	p := newPair(t, InitiatorConfig{}, AcceptorConfig{})
	p.logon(t)
	msg := make([]byte, 60_000)
	sealed, err := p.client.seal(msg)
	require.NoError(t, err)
	records, err := wholeRecords(sealed)
	require.NoError(t, err)
	assert.Equal(t, 4, records)
	got, err := p.server.open(sealed)
	require.NoError(t, err)
	assert.Equal(t, msg, got)
}

func BenchmarkLogon(b *testing.B) {
	cert := rsaCertificate(b)
	b.ReportAllocs()
	for b.Loop() {
		p := newPair(b, InitiatorConfig{}, AcceptorConfig{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
		p.logon(b)
		p.close()
	}
}
