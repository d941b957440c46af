package spnego_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/ntlm"
	"github.com/winrmkit/winrmkit/internal/spnego"
)

// A mech exchanges a number of tokens, by turns, and signs with a key that
// depends on the password. With 2 tokens it looks like Kerberos.
type mech struct {
	oids   []string
	tokens int
	key    string
	fail   error // of the first step
	mute   bool  // cannot sign

	acceptor bool
	step     int
	resets   int
}

func kerberos(key string) *mech {
	return &mech{oids: []string{spnego.OIDKerberos, spnego.OIDMSKerberos}, tokens: 2, key: key}
}

func (m *mech) accepting() *mech { m.acceptor = true; return m }

func (m *mech) OIDs() []string { return m.oids }

func (m *mech) Step(_ context.Context, in []byte) (out []byte, done bool, err error) {
	if m.fail != nil {
		return nil, false, m.fail
	}
	if m.step > 0 || m.acceptor {
		if want := fmt.Sprint("token ", m.step, m.key); string(in) != want {
			return []byte("KRB-ERROR"), false, fmt.Errorf("mech: got %q, want %q", in, want)
		}
		m.step++
	}
	if m.step == m.tokens {
		return nil, true, nil
	}
	out = fmt.Append(nil, "token ", m.step, m.key)
	m.step++
	return out, m.step == m.tokens, nil
}

func (m *mech) CanSign() bool  { return !m.mute }
func (m *mech) ResetAfterMIC() { m.resets++ }

func (m *mech) MIC(dst, message []byte) ([]byte, error) {
	mac := hmac.New(sha256.New, []byte(m.key))
	mac.Write(message)
	return mac.Sum(dst), nil
}

func (m *mech) VerifyMIC(message, mic []byte) error {
	if want, _ := m.MIC(nil, message); !hmac.Equal(want, mic) {
		return errors.New("mech: wrong MIC")
	}
	return nil
}

func (m *mech) Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error) {
	return append(dst, plain...), 0, len(plain), nil
}

func (m *mech) Unwrap(buf []byte, _ int) ([]byte, error) { return buf, nil }

func ntlmPair(t *testing.T, password string, old bool) (client *ntlm.Initiator, server *ntlm.Acceptor) {
	t.Helper()
	client, err := ntlm.NewInitiator(ntlm.InitiatorConfig{
		Domain: "CORP", User: "alice", Seal: true,
		Secret: func(context.Context) (ntlm.Hash, error) { return ntlm.PasswordHash(password) },
	})
	require.NoError(t, err)
	server, err = ntlm.NewAcceptor(ntlm.AcceptorConfig{
		ComputerName: "HOST", DomainName: "CORP", WithoutTimestamp: old,
		Lookup: func(context.Context, string, string) (ntlm.Hash, error) { return ntlm.PasswordHash("secret") },
	})
	require.NoError(t, err)
	return client, server
}

// run carries tokens until both are done. It returns how many the initiator
// sent. change may alter each token; n counts both directions from 1.
func run(t *testing.T, c *spnego.Initiator, s *spnego.Acceptor, change func(n int, token []byte) []byte) (sent int, err error) {
	t.Helper()
	var token []byte
	for n := 1; n < 20; n += 2 {
		out, clientDone, clientErr := c.Step(t.Context(), token)
		if clientErr != nil {
			return sent, clientErr
		}
		if clientDone && len(out) == 0 {
			return sent, nil
		}
		if change != nil {
			out = change(n, out)
		}
		sent++
		answer, serverDone, serverErr := s.Step(t.Context(), out)
		if serverErr != nil {
			if len(answer) > 0 { // the rejection reaches the client
				_, _, err := c.Step(t.Context(), answer)
				require.Error(t, err)
			}
			return sent, serverErr
		}
		if change != nil {
			answer = change(n+1, answer)
		}
		if serverDone && len(answer) == 0 {
			return sent, c.Finish()
		}
		token = answer
	}
	t.Fatal("no end")
	return 0, nil
}

func talk(t *testing.T, c *spnego.Initiator, s *spnego.Acceptor) {
	t.Helper()
	for range 3 {
		sealed, n, _, err := c.Wrap(nil, []byte("to the server"))
		require.NoError(t, err)
		plain, err := s.Unwrap(sealed, n)
		require.NoError(t, err)
		require.Equal(t, "to the server", string(plain))
		sealed, n, _, err = s.Wrap(nil, []byte("to the client"))
		require.NoError(t, err)
		plain, err = c.Unwrap(sealed, n)
		require.NoError(t, err)
		require.Equal(t, "to the client", string(plain))
	}
}

func TestNTLM(t *testing.T) {
	for name, old := range map[string]bool{"signed list": false, "without MIC": true} {
		t.Run(name, func(t *testing.T) {
			client, server := ntlmPair(t, "secret", old)
			c, s := spnego.NewInitiator(client), spnego.NewAcceptor(server)
			sent, err := run(t, c, s, nil)
			require.NoError(t, err)
			assert.Equal(t, 2, sent)
			assert.Equal(t, "NTLM", c.Chosen())
			// The signature took the first sequence number of both directions.
			sealed, n, _, err := c.Wrap(nil, nil)
			require.NoError(t, err)
			assert.Equal(t, map[bool]byte{false: 1, true: 0}[old], sealed[12])
			_, err = s.Unwrap(sealed, n)
			require.NoError(t, err)
			talk(t, c, s)
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		client, server := ntlmPair(t, "wrong", false)
		_, err := run(t, spnego.NewInitiator(client), spnego.NewAcceptor(server), nil)
		require.ErrorIs(t, err, ntlm.ErrPassword)
	})
	t.Run("raw", func(t *testing.T) {
		client, server := ntlmPair(t, "secret", false)
		s := spnego.NewAcceptor(kerberos("k").accepting(), server)
		first, _, err := client.Step(t.Context(), nil)
		require.NoError(t, err)
		challenge, done, err := s.Step(t.Context(), first)
		require.NoError(t, err)
		assert.False(t, done)
		last, _, err := client.Step(t.Context(), challenge)
		require.NoError(t, err)
		answer, done, err := s.Step(t.Context(), last)
		require.NoError(t, err)
		assert.True(t, done)
		assert.Empty(t, answer)
		assert.True(t, s.Raw())
		sealed, n, _, err := client.Wrap(nil, []byte("x"))
		require.NoError(t, err)
		_, err = s.Unwrap(sealed, n)
		require.NoError(t, err)
	})
}

func TestKerberosFirst(t *testing.T) {
	client, server := ntlmPair(t, "secret", false)
	t.Run("taken by both", func(t *testing.T) {
		c, s := spnego.NewInitiator(kerberos("k"), client), spnego.NewAcceptor(server, kerberos("k").accepting())
		sent, err := run(t, c, s, nil)
		require.NoError(t, err)
		assert.Equal(t, 1, sent, "the preferred one of both needs no signature")
		assert.Equal(t, "Kerberos", c.Chosen())
		talk(t, c, s)
	})
	t.Run("not taken by the server", func(t *testing.T) {
		c, s := spnego.NewInitiator(kerberos("k"), client), spnego.NewAcceptor(server)
		sent, err := run(t, c, s, nil)
		require.NoError(t, err)
		assert.Equal(t, 3, sent)
		assert.Equal(t, "NTLM", c.Chosen())
		assert.Empty(t, c.Skipped())
		talk(t, c, s)
	})
}

func TestMSKerberos(t *testing.T) {
	windows := kerberos("k")
	windows.oids = []string{spnego.OIDMSKerberos, spnego.OIDKerberos}
	plain := kerberos("k").accepting()
	plain.oids = plain.oids[:1]
	sent, err := run(t, spnego.NewInitiator(windows), spnego.NewAcceptor(plain), nil)
	require.NoError(t, err)
	assert.Equal(t, 1, sent, "both identifiers mean the same")
}

type noKDC struct{ error }

func (noKDC) Unavailable() bool { return true }

func TestSkipsUnavailable(t *testing.T) {
	for name, tt := range map[string]struct {
		err     error
		skipped bool
	}{
		"no KDC":         {noKDC{errors.New("no KDC reached")}, true},
		"wrapped":        {fmt.Errorf("kerberos: %w", noKDC{errors.New("no KDC reached")}), true},
		"wrong password": {errors.New("KDC_ERR_PREAUTH_FAILED"), false},
	} {
		t.Run(name, func(t *testing.T) {
			broken := kerberos("k")
			broken.fail = tt.err
			client, server := ntlmPair(t, "secret", false)
			c, s := spnego.NewInitiator(broken, client), spnego.NewAcceptor(kerberos("k").accepting(), server)
			_, err := run(t, c, s, nil)
			if !tt.skipped {
				require.ErrorIs(t, err, tt.err)
				assert.False(t, client.Presented())
				return
			}
			require.NoError(t, err)
			assert.Equal(t, "NTLM", c.Chosen())
			require.Len(t, c.Skipped(), 1)
			require.ErrorIs(t, c.Skipped()[0], tt.err)
			assert.Equal(t, "Kerberos", c.Skipped()[0].Mech)
			talk(t, c, s)
		})
	}
	t.Run("the last one is not skipped", func(t *testing.T) {
		broken := kerberos("k")
		broken.fail = noKDC{errors.New("no KDC reached")}
		_, _, err := spnego.NewInitiator(broken).Step(t.Context(), nil)
		require.ErrorIs(t, err, broken.fail)
	})
}

// Somebody in between takes Kerberos from the list: both sides notice.
func TestShortenedList(t *testing.T) {
	client, server := ntlmPair(t, "secret", false)
	c := spnego.NewInitiator(kerberos("k"), client)
	s := spnego.NewAcceptor(server, kerberos("k").accepting())
	_, err := run(t, c, s, func(n int, token []byte) []byte {
		if n == 1 { // an identifier that nobody knows stands for Kerberos
			krb := []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02}
			token = bytes.ReplaceAll(token, krb, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x09})
			ms := []byte{0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 0x01, 0x02, 0x02}
			token = bytes.ReplaceAll(token, ms, []byte{0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 0x01, 0x02, 0x09})
		}
		return token
	})
	require.ErrorIs(t, err, spnego.ErrMIC)
}

// resp builds a NegTokenResp by hand.
func resp(parts ...[]byte) []byte { return tlv(0xa1, tlv(0x30, parts...)) }

func tlv(tag byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	if len(body) > 127 {
		return append([]byte{tag, 0x81, byte(len(body))}, body...)
	}
	return append([]byte{tag, byte(len(body))}, body...)
}

func negState(n byte) []byte { return tlv(0xa0, tlv(0x0a, []byte{n})) }
func krbChosen() []byte {
	return tlv(0xa1, tlv(0x06, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02}))
}
func token(text string) []byte { return tlv(0xa2, tlv(0x04, []byte(text))) }
func micOf(key string) []byte {
	mic, _ := kerberos(key).MIC(nil, krbList())
	return tlv(0xa3, tlv(0x04, mic))
}

// krbList is what an initiator with kerberos alone signs.
func krbList() []byte {
	return tlv(0x30, tlv(0x06, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02}),
		tlv(0x06, []byte{0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 0x01, 0x02, 0x02}))
}

func TestInitiatorAnswers(t *testing.T) {
	const completed, incomplete, reject, requestMIC = 0, 1, 2, 3
	apRep := token("token 1k")
	tests := map[string]struct {
		answers [][]byte
		want    error  // nil: done after the last answer
		sends   []bool // whether something is sent after each answer
	}{
		"completed":                {answers: [][]byte{resp(negState(completed), krbChosen(), apRep)}, sends: []bool{false}},
		"completed and signed":     {answers: [][]byte{resp(negState(completed), krbChosen(), apRep, micOf("k"))}, sends: []bool{false}},
		"mechanism not named":      {answers: [][]byte{resp(negState(completed), apRep)}, sends: []bool{false}},
		"wrongly signed":           {answers: [][]byte{resp(negState(completed), krbChosen(), apRep, micOf("x"))}, want: spnego.ErrMIC},
		"legacy copy of the token": {answers: [][]byte{resp(negState(completed), krbChosen(), apRep, tlv(0xa3, tlv(0x04, []byte("token 1k"))))}, sends: []bool{false}},
		"signature asked for":      {answers: [][]byte{resp(negState(requestMIC), krbChosen(), apRep), resp(negState(completed), micOf("k"))}, sends: []bool{true, false}},
		"asked for and not given":  {answers: [][]byte{resp(negState(requestMIC), krbChosen(), apRep), resp(negState(completed))}, want: spnego.ErrNoMIC},
		"signed and incomplete":    {answers: [][]byte{resp(negState(incomplete), krbChosen(), apRep, micOf("k")), resp(negState(completed))}, sends: []bool{true, false}},
		"incomplete, unsigned":     {answers: [][]byte{resp(negState(incomplete), krbChosen(), apRep), resp(negState(completed))}, sends: []bool{true, false}},
		"incomplete for ever":      {answers: [][]byte{resp(negState(incomplete), krbChosen(), apRep), resp(negState(incomplete))}, want: spnego.ErrIncomplete},
		"rejected":                 {answers: [][]byte{resp(negState(reject))}, want: spnego.ErrRejected},
		"rejected with a reason":   {answers: [][]byte{resp(negState(reject), krbChosen(), token("KRB-ERROR"))}, want: spnego.ErrRejected},
		"completed without token":  {answers: [][]byte{resp(negState(completed), krbChosen())}, want: spnego.ErrIncomplete},
		"no state":                 {answers: [][]byte{resp(krbChosen(), apRep)}, want: &spnego.TokenError{Reason: "no state in the first answer"}},
		"another mechanism":        {answers: [][]byte{resp(negState(incomplete), tlv(0xa1, tlv(0x06, []byte{0x2a, 0x03})))}, want: &spnego.ChoiceError{Offered: []string{"Kerberos"}, Chosen: "1.2.3"}},
		"wrong token":              {answers: [][]byte{resp(negState(completed), krbChosen(), token("nonsense"))}, want: errors.New("Kerberos: mech: got")},
		"token after the end":      {answers: [][]byte{resp(negState(incomplete), krbChosen(), apRep), resp(negState(completed), token("more"))}, want: spnego.ErrOutOfTurn},
		"not a token":              {answers: [][]byte{[]byte("NTLMSSP\x00")}, want: &spnego.TokenError{Reason: "no NegTokenResp"}},
		"nothing":                  {answers: [][]byte{nil}, want: &spnego.TokenError{Reason: "no NegTokenResp"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := kerberos("k")
			c := spnego.NewInitiator(m)
			_, _, err := c.Step(t.Context(), nil)
			require.NoError(t, err)
			var done bool
			for i, answer := range tt.answers {
				var out []byte
				out, done, err = c.Step(t.Context(), answer)
				if tt.sends != nil {
					assert.Equal(t, tt.sends[i], len(out) > 0, "answer %d", i)
				}
				if err != nil {
					break
				}
			}
			if tt.want == nil {
				require.NoError(t, err)
				assert.True(t, done)
				assert.True(t, c.Ready())
				return
			}
			require.ErrorContains(t, err, tt.want.Error())
			assert.False(t, done)
			_, _, err = c.Step(t.Context(), nil)
			require.ErrorIs(t, err, spnego.ErrOutOfTurn)
			_, _, _, err = c.Wrap(nil, nil)
			require.Error(t, err)
		})
	}
}

// Finish is for acceptors that say no more.
func TestFinish(t *testing.T) {
	client, server := ntlmPair(t, "secret", false)
	c, s := spnego.NewInitiator(client), spnego.NewAcceptor(server)
	first, _, err := c.Step(t.Context(), nil)
	require.NoError(t, err)
	challenge, _, err := s.Step(t.Context(), first)
	require.NoError(t, err)
	_, done, err := c.Step(t.Context(), challenge)
	require.NoError(t, err)
	assert.False(t, done)
	assert.True(t, c.Ready(), "messages may be sealed before the last answer")
	require.NoError(t, c.Finish())

	t.Run("too early", func(t *testing.T) {
		c := spnego.NewInitiator(kerberos("k"))
		_, _, err := c.Step(t.Context(), nil)
		require.NoError(t, err)
		require.ErrorIs(t, c.Finish(), spnego.ErrIncomplete)
	})
	t.Run("without the signature that is due", func(t *testing.T) {
		client, server := ntlmPair(t, "secret", false)
		c, s := spnego.NewInitiator(kerberos("k"), client), spnego.NewAcceptor(server)
		var token []byte
		for range 3 {
			out, _, err := c.Step(t.Context(), token)
			require.NoError(t, err)
			token, _, err = s.Step(t.Context(), out)
			require.NoError(t, err)
		}
		require.ErrorIs(t, c.Finish(), spnego.ErrNoMIC)
	})
}

func TestAcceptorRefuses(t *testing.T) {
	t.Run("nothing in common", func(t *testing.T) {
		_, server := ntlmPair(t, "secret", false)
		_, err := run(t, spnego.NewInitiator(kerberos("k")), spnego.NewAcceptor(server), nil)
		assert.Equal(t, &spnego.ChoiceError{Offered: []string{"Kerberos"}}, err)
	})
	t.Run("raw token of an unknown mechanism", func(t *testing.T) {
		_, _, err := spnego.NewAcceptor(kerberos("k").accepting()).Step(t.Context(), []byte("NTLMSSP\x00\x01"))
		require.Error(t, err)
	})
	t.Run("list not signed though NTLM signed its messages", func(t *testing.T) {
		client, server := ntlmPair(t, "secret", false)
		_, err := run(t, spnego.NewInitiator(client), spnego.NewAcceptor(server), func(n int, token []byte) []byte {
			if n == 3 { // its last field is the signature, 16 bytes in two headers of two bytes
				token = dropMIC(token)
			}
			return token
		})
		require.ErrorIs(t, err, spnego.ErrNoMIC)
	})
	t.Run("garbage", func(t *testing.T) {
		for _, p := range []string{"", "x", "\x60\x00", "\xa0\x00", "\xa1\x02\x30\x00"} {
			_, _, err := spnego.NewAcceptor(kerberos("k").accepting()).Step(t.Context(), []byte(p))
			require.Error(t, err, "%q", p)
		}
	})
}

// dropMIC takes the last 20 bytes, the signature, from a NegTokenResp.
func dropMIC(p []byte) []byte {
	p = bytes.Clone(p[:len(p)-20])
	shorten := func(at int) {
		n := int(p[at])<<8 | int(p[at+1])
		n -= 20
		p[at], p[at+1] = byte(n>>8), byte(n)
	}
	shorten(2) // a1 82 hi lo
	shorten(6) // 30 82 hi lo
	return p
}

func FuzzNegotiation(f *testing.F) {
	f.Add(resp(negState(0), krbChosen(), token("token 1k")))
	f.Add(resp(negState(3), krbChosen(), token("token 1k")))
	f.Add(resp(negState(1), tlv(0xa1, tlv(0x06, []byte{0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 10}))))
	first, _, _ := spnego.NewInitiator(kerberos("k")).Step(f.Context(), nil)
	f.Add(first)
	f.Fuzz(func(t *testing.T, p []byte) {
		second := &mech{oids: []string{spnego.OIDNTLM}, tokens: 3, key: "n"}
		c := spnego.NewInitiator(kerberos("k"), second)
		_, _, err := c.Step(t.Context(), nil)
		require.NoError(t, err)
		for range 3 {
			if _, done, err := c.Step(t.Context(), p); done || err != nil {
				require.Equal(t, done, err == nil && c.Ready())
				break
			}
		}
		s := spnego.NewAcceptor(kerberos("k").accepting(), &mech{oids: []string{spnego.OIDNTLM}, tokens: 3, key: "n", acceptor: true})
		for range 3 {
			if _, done, err := s.Step(t.Context(), p); done || err != nil {
				break
			}
		}
	})
}
