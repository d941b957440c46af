package credssp

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// vectorMech is the sealing of NTLMSSP ([MS-NLMP] section 3.4.4) under the
// session key of the vectors, at the place where SPNEGO leaves it: the
// mechListMIC took sequence number 0 and the ciphers have restarted.
type vectorMech struct {
	toyMech
	outKey, inKey []byte
	outRC4, inRC4 *rc4.Cipher
	outSeq, inSeq uint32
}

func newVectorMech() *vectorMech {
	exported := bytes.Repeat([]byte{0x55}, 16) // random_session_key
	key := func(magic string) []byte {
		sum := md5.Sum(append(bytes.Clone(exported), magic+"\x00"...))
		return sum[:]
	}
	stream := func(magic string) *rc4.Cipher {
		c, err := rc4.NewCipher(key(magic))
		if err != nil {
			panic(err)
		}
		return c
	}
	return &vectorMech{
		outKey: key("session key to client-to-server signing key magic constant"),
		inKey:  key("session key to server-to-client signing key magic constant"),
		outRC4: stream("session key to client-to-server sealing key magic constant"),
		inRC4:  stream("session key to server-to-client sealing key magic constant"),
		outSeq: 1, inSeq: 1,
	}
}

func (m *vectorMech) Step(context.Context, []byte) ([]byte, error) { m.leg++; return nil, nil }
func (m *vectorMech) Ready() bool                                  { return true }
func (m *vectorMech) Done() bool                                   { return true }

func vectorMAC(key []byte, stream *rc4.Cipher, seq uint32, plain []byte) []byte {
	number := binary.LittleEndian.AppendUint32(nil, seq)
	h := hmac.New(md5.New, key)
	h.Write(number)
	h.Write(plain)
	sum := h.Sum(nil)[:8]
	stream.XORKeyStream(sum, sum)
	return append(append([]byte{1, 0, 0, 0}, sum...), number...)
}

func (m *vectorMech) Wrap(dst, plain []byte) ([]byte, error) {
	sealed := make([]byte, len(plain))
	m.outRC4.XORKeyStream(sealed, plain)
	dst = append(dst, vectorMAC(m.outKey, m.outRC4, m.outSeq, plain)...)
	m.outSeq++
	return append(dst, sealed...), nil
}

func (m *vectorMech) Unwrap(buf []byte) ([]byte, error) {
	plain := make([]byte, len(buf)-16)
	m.inRC4.XORKeyStream(plain, buf[16:])
	if !hmac.Equal(vectorMAC(m.inKey, m.inRC4, m.inSeq, plain), buf[:16]) {
		return nil, errors.New("signature")
	}
	m.inSeq++
	return plain, nil
}

// TestNTLMVectors checks the messages from pubKeyAuth on to the byte, as they
// leave the Initiator.
func TestNTLMVectors(t *testing.T) {
	v := vectors(t)
	cfg := &tls.Config{Certificates: []tls.Certificate{rsaCertificate(t)}, MaxVersion: tls.VersionTLS12}
	server := &channel{pump: newPump(tls.Server, serverTLS(cfg))}
	defer server.pump.close()
	client := NewInitiator(InitiatorConfig{
		Mech: newVectorMech(),
		rand: bytes.NewReader(v["client_nonce"]),
		Credentials: func(context.Context) (*Credentials, error) {
			return ParseCredentials(bytes.Clone(v["ts_credentials_password"]))
		},
	})
	defer client.Close()

	out, err := client.Step(t.Context(), nil)
	require.NoError(t, err)
	in, _, err := server.pump.handshake(out)
	require.NoError(t, err)
	out, err = client.Step(t.Context(), in)
	require.NoError(t, err)
	in, done, err := server.pump.handshake(out)
	require.NoError(t, err)
	require.True(t, done)

	// The inner logon of the vectors is over; its part is skipped.
	_, _, err = client.pump.handshake(in)
	require.NoError(t, err)
	require.NoError(t, client.secured())
	client.key = v["subject_public_key"]
	client.phase, client.announced, client.version = PhaseNegotiate, 6, 6
	out, err = client.bind(nil)
	require.NoError(t, err)
	got, err := server.open(out)
	require.NoError(t, err)
	assert.Equal(t, v["ts_request_pubkey_v6"], got)

	answer := &Request{Version: 6, PubKeyAuth: bytes.Clone(v["ntlm_pub_key_auth_server"])}
	in, err = server.seal(answer.Append(nil))
	require.NoError(t, err)
	out, err = client.Step(t.Context(), in)
	require.NoError(t, err)
	got, err = server.open(out)
	require.NoError(t, err)
	assert.Equal(t, v["ts_request_authinfo_v6"], got)
}
