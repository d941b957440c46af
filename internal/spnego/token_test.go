package spnego

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func vectors(tb testing.TB) map[string][]byte {
	tb.Helper()
	file, err := os.Open("testdata/vectors.txt")
	require.NoError(tb, err)
	defer file.Close()
	rows := map[string][]byte{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), " = "); ok {
			rows[name], err = hex.DecodeString(value)
			require.NoError(tb, err, name)
		}
	}
	require.Len(tb, rows, 11)
	return rows
}

const (
	ntlmOID = "1.3.6.1.4.1.311.2.2.10"
	u2uOID  = "1.2.840.113554.1.2.2.3"
)

func TestOIDVectors(t *testing.T) {
	v := vectors(t)
	for name, want := range map[string]string{
		"oid_spnego": "1.3.6.1.5.5.2", "oid_krb5": "1.2.840.113554.1.2.2", "oid_mskrb5": "1.2.840.48018.1.2.2",
		"oid_ntlm": ntlmOID, "oid_negoex": "1.3.6.1.4.1.311.2.2.30", "oid_krb5_u2u": u2uOID,
	} {
		value, ok := readOnly(v[name], tagOID)
		require.True(t, ok)
		got, ok := decodeOID(value)
		require.True(t, ok)
		assert.Equal(t, want, got)
		assert.Equal(t, v[name], appendTLV(nil, tagOID, encodeOID(want)))
	}
}

func TestDecodeOIDRefuses(t *testing.T) {
	for name, p := range map[string][]byte{
		"empty": {}, "unfinished": {0x2a, 0x86}, "padded": {0x2a, 0x80, 0x01},
		"number too large": {0x2a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"too long":         bytes.Repeat([]byte{1}, 40),
	} {
		_, ok := decodeOID(p)
		assert.False(t, ok, name)
	}
	for _, s := range []string{"", "1", "3.1", "1.x", "1..2", "1.2.99999999999"} {
		assert.Nil(t, encodeOID(s), s)
	}
}

func TestInitVectors(t *testing.T) {
	v := vectors(t)
	list := v["mechlist_krb_mskrb_ntlm"]
	assert.Equal(t, list, encodeMechList([]string{OIDKerberos, OIDMSKerberos, ntlmOID}))

	token, err := parseInit(v["negtokeninit_ntlm"])
	require.NoError(t, err)
	assert.Equal(t, []string{ntlmOID}, token.mechTypes)
	assert.Equal(t, encodeMechList([]string{ntlmOID}), token.mechList)
	assert.True(t, bytes.HasPrefix(token.mechToken, []byte("NTLMSSP\x00\x01")))
	assert.Equal(t, v["negtokeninit_ntlm"], token.encode())

	token, err = parseInit(v["spng_negtokeninit2"])
	require.NoError(t, err)
	assert.Equal(t, []string{OIDNegoEx, ntlmOID}, token.mechTypes)
	assert.True(t, bytes.HasPrefix(token.mechToken, []byte("NEGOEXTS")))
	assert.Nil(t, token.mic)

	token, err = parseInit(v["win_negtokeninit2"])
	require.NoError(t, err)
	assert.Equal(t, []string{OIDNegoEx, OIDMSKerberos, OIDKerberos, u2uOID, ntlmOID}, token.mechTypes)
	assert.False(t, token.hasToken)
	assert.Nil(t, token.mic)
}

func TestRespVectors(t *testing.T) {
	v := vectors(t)
	token, err := parseResp(v["win_negtokenresp_krb_aprep"])
	require.NoError(t, err)
	assert.Equal(t, stateAcceptCompleted, token.state)
	assert.Equal(t, OIDKerberos, token.mech)
	oid, body, ok := frameOID(token.token)
	require.True(t, ok)
	assert.Equal(t, OIDKerberos, oid)
	assert.Equal(t, []byte{2, 0}, body[:2], "KRB_AP_REP")
	assert.Nil(t, token.mic)
	assert.Equal(t, v["win_negtokenresp_krb_aprep"], token.encode())
}

// Windows 2000 sends its token a second time as mechListMIC.
func TestRespWithCopiedToken(t *testing.T) {
	same := respToken{state: stateAcceptCompleted, token: []byte("token"), hasToken: true, mic: []byte("token")}
	got, err := parseResp(same.encode())
	require.NoError(t, err)
	assert.Nil(t, got.mic)
	same.mic = []byte("other")
	got, err = parseResp(same.encode())
	require.NoError(t, err)
	assert.Equal(t, "other", string(got.mic))
}

func TestLengthForms(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 255, 256, 65535, 65536, 70000} {
		p := appendTLV([]byte("x"), tagOctetString, make([]byte, n/2), make([]byte, n-n/2))
		tag, value, rest, ok := readTLV(p[1:])
		require.True(t, ok, n)
		assert.Equal(t, byte(tagOctetString), tag)
		assert.Len(t, value, n)
		assert.Empty(t, rest)
	}
	for name, p := range map[string][]byte{
		"nothing": {}, "no length": {4}, "open ended": {4, 0x80}, "length cut": {4, 0x82, 1},
		"five bytes of length": {4, 0x85, 0, 0, 0, 0, 0}, "longer than the rest": {4, 2, 0},
		"larger than 31 bits": {4, 0x84, 0xff, 0xff, 0xff, 0xff}, "long tag": {0x1f, 1, 0},
	} {
		_, _, _, ok := readTLV(p)
		assert.False(t, ok, name)
	}
	_, value, _, ok := readTLV([]byte{4, 0x84, 0, 0, 0, 1, 'x'})
	assert.True(t, ok, "BER may say it longer")
	assert.Equal(t, "x", string(value))
}

func TestTruncatedTokens(t *testing.T) {
	v := vectors(t)
	for name, whole := range v {
		if !strings.Contains(name, "negtoken") {
			continue
		}
		for n := range len(whole) {
			_, initErr := parseInit(whole[:n:n])
			_, respErr := parseResp(whole[:n:n])
			require.Error(t, initErr, "%s cut at %d", name, n)
			require.Error(t, respErr, "%s cut at %d", name, n)
		}
	}
}

func TestTokensRefused(t *testing.T) {
	field := func(number, tag byte, value ...byte) []byte { return appendExplicit(nil, number, tag, value) }
	resp := func(parts ...[]byte) []byte {
		return appendTLV(nil, tagContext+1, appendTLV(nil, tagSequence, parts...))
	}
	for name, p := range map[string][]byte{
		"state 4":            resp(field(0, tagEnumerated, 4)),
		"state of two bytes": resp(field(0, tagEnumerated, 0, 0)),
		"state as integer":   resp(field(0, 2, 0)),
		"fields turned":      resp(field(2, tagOctetString), field(0, tagEnumerated, 0)),
		"field twice":        resp(field(0, tagEnumerated, 0), field(0, tagEnumerated, 0)),
		"field 5":            resp(field(5, tagOctetString)),
		"trailing bytes":     append(resp(field(0, tagEnumerated, 0)), 0),
		"bad mechanism":      resp(field(1, tagOID, 0x86)),
	} {
		_, err := parseResp(p)
		var malformed *TokenError
		require.ErrorAs(t, err, &malformed, name)
	}
	many := &initToken{mechList: encodeMechList(strings.Split(strings.Repeat(ntlmOID+" ", maxMechs)+ntlmOID, " "))}
	_, err := parseInit(many.encode())
	require.Error(t, err, "too many mechanisms")
	_, err = parseInit((&initToken{mechList: encodeMechList(nil)}).encode())
	require.Error(t, err, "no mechanism")
}

func FuzzTokens(f *testing.F) {
	for _, p := range vectors(f) {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if token, err := parseInit(p); err == nil && len(token.mechList) > 0 {
			again, err := parseInit(token.encode())
			require.NoError(t, err)
			require.Equal(t, token, again)
		}
		if token, err := parseResp(p); err == nil {
			again, err := parseResp(token.encode())
			require.NoError(t, err)
			require.Equal(t, token.token, again.token)
			require.Equal(t, token.mic, again.mic)
			require.Equal(t, token.state, again.state)
		}
	})
}
