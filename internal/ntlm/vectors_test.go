package ntlm

import (
	"bufio"
	"bytes"
	"crypto/des"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// vectors are the rows of testdata/vectors.txt; a row that nothing asked for
// fails the test at the end.
type vectors struct {
	t    *testing.T
	rows map[string][]byte
	used map[string]bool
}

func loadVectors(t *testing.T) *vectors {
	t.Helper()
	file, err := os.Open("testdata/vectors.txt")
	require.NoError(t, err)
	defer file.Close()
	v := &vectors{t: t, rows: map[string][]byte{}, used: map[string]bool{}}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), " = ")
		if !ok {
			continue
		}
		v.rows[name], err = hex.DecodeString(value)
		require.NoError(t, err, name)
	}
	require.Greater(t, len(v.rows), 70)
	return v
}

func (v *vectors) get(name string) []byte {
	v.t.Helper()
	require.Contains(v.t, v.rows, name)
	v.used[name] = true
	return bytes.Clone(v.rows[name])
}

func (v *vectors) equal(name string, got []byte) {
	v.t.Helper()
	assert.Equal(v.t, hex.EncodeToString(v.get(name)), hex.EncodeToString(got), name)
}

func (v *vectors) key(name string) (key [16]byte) {
	v.t.Helper()
	require.Equal(v.t, 16, copy(key[:], v.get(name)))
	return key
}

func (v *vectors) eight(name string) (p [8]byte) {
	v.t.Helper()
	require.Equal(v.t, 8, copy(p[:], v.get(name)))
	return p
}

func (v *vectors) flags(name string) Flags {
	v.t.Helper()
	return Flags(binary.LittleEndian.Uint32(v.get(name)))
}

func TestVectors(t *testing.T) {
	v := loadVectors(t)
	v.common()
	v.version1()
	v.extendedSession()
	v.version2()
	v.sealing()
	v.mechListMIC()
	v.binding()
	v.oldChallenge()
	for name := range v.rows {
		assert.True(t, v.used[name], "row %s was not tested", name)
	}
}

func (v *vectors) common() {
	text := func(name, s string) {
		got, err := utf16LE(s)
		require.NoError(v.t, err)
		v.equal(name, got)
		assert.Equal(v.t, s, fromUTF16LE(got))
	}
	text("user_utf16", "User")
	text("user_upper_utf16", upper("User"))
	text("domain_utf16", "Domain")
	text("password_utf16", "Password")
	text("server_name_utf16", "Server")
	text("workstation_utf16", "COMPUTER")
	text("plaintext", "Plaintext")
	v.equal("time", binary.LittleEndian.AppendUint64(nil, 0))
}

// Version 1 exists in this file alone, to check what it shares with version 2.

// desl is DESL of section 6.
func desl(key [16]byte, data []byte) []byte {
	var out []byte
	for padded := append(key[:], 0, 0, 0, 0, 0); len(padded) > 0; padded = padded[7:] {
		out = append(out, desOnce(padded[:7], data)...)
	}
	return out
}

// desOnce spreads the 56 bits of key over eight bytes and encrypts one block.
func desOnce(key, data []byte) []byte {
	var wide [8]byte
	for i := range wide {
		var b byte
		for bit := range 7 {
			at := i*7 + bit
			b = b<<1 | key[at/8]>>(7-at%8)&1
		}
		wide[i] = b << 1
	}
	c, err := des.NewCipher(wide[:])
	if err != nil {
		panic(err)
	}
	out := make([]byte, 8)
	c.Encrypt(out, data)
	return out
}

func (v *vectors) lmowf() (hash [16]byte) {
	password := v.get("password_oem_upper14")
	magic := []byte("KGS!@#$%")
	copy(hash[:], desOnce(password[:7], magic))
	copy(hash[8:], desOnce(password[7:], magic))
	v.equal("v1_lmowf", hash[:])
	return hash
}

func (v *vectors) version1() {
	challenge := v.eight("server_challenge")
	random := v.get("random_session_key")
	lm := v.lmowf()
	ntowf, err := PasswordHash("Password")
	require.NoError(v.t, err)
	v.equal("v1_ntowf", ntowf[:])
	base := md4Sum(ntowf[:])
	v.equal("v1_session_base_key", base[:])
	ntResponse, lmResponse := desl(ntowf, challenge[:]), desl(lm, challenge[:])
	v.equal("v1_nt_response", ntResponse)
	v.equal("v1_lm_response", lmResponse)

	v.equal("v1_encrypted_session_key", rc4Once(base, random))
	var nonNT [16]byte
	copy(nonNT[:8], lm[:])
	v.equal("v1_encrypted_session_key_nonnt", rc4Once(nonNT, random))
	var lmKey [16]byte
	copy(lmKey[:], desOnce(lm[:7], lmResponse[:8]))
	copy(lmKey[8:], desOnce([]byte{lm[7], 0xbd, 0xbd, 0xbd, 0xbd, 0xbd, 0xbd}, lmResponse[:8]))
	v.equal("v1_kxkey_with_lm_key_flag", lmKey[:])
	v.equal("v1_encrypted_session_key_lmkey", rc4Once(lmKey, random))

	flags := v.flags("v1_flags_le")
	v.challengeMessage("v1_challenge_message", flags, nil)
	v.authenticateMessage("v1_authenticate_message", &authenticateMessage{
		lmResponse: lmResponse, ntResponse: ntResponse,
		sessionKey: v.get("v1_encrypted_session_key"), flags: 0xe2808235,
	})
	v.sealWithout(random)
}

// sealWithout is sealing without extended session security: a CRC, and all of
// the signature but its version encrypted.
func (v *vectors) sealWithout(exported []byte) {
	handle := newRC4(exported)
	plain := v.get("plaintext")
	sealed := make([]byte, len(plain))
	handle.XORKeyStream(sealed, plain)
	v.equal("v1_seal_data", sealed)
	crc := binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(plain))
	v.equal("v1_seal_crc32_le", crc)
	sig := []byte{1, 0, 0, 0, 0, 0, 0, 0, crc[0], crc[1], crc[2], crc[3], 0, 0, 0, 0}
	handle.XORKeyStream(sig[4:], sig[4:])
	v.equal("v1_seal_signature", sig)
}

func (v *vectors) extendedSession() {
	challenge, client := v.get("server_challenge"), v.get("client_challenge")
	ntowf := v.key("v1_ntowf")
	lmResponse := append(client, zeros[:16]...)
	v.equal("ess_lm_response", lmResponse)
	session := md5.Sum(append(append([]byte{}, challenge...), lmResponse[:8]...))
	ntResponse := desl(ntowf, session[:8])
	v.equal("ess_nt_response", ntResponse)
	base := md4Sum(ntowf[:])
	exported := hmacMD5(base[:], challenge, lmResponse[:8])
	v.equal("ess_key_exchange_key", exported[:])

	flags := v.flags("ess_flags_le")
	v.equal("ess_seal_key_input56", exported[:7])
	seal, sign := sealKey(flags, exported, clientSealing), signKey(exported, clientSigning)
	v.equal("ess_client_seal_key", seal[:])
	v.equal("ess_client_sign_key", sign[:])
	v.seals(flags, exported, false, "ess_seal_data", "ess_seal_signature", 0)

	v.challengeMessage("ess_challenge_message", flags, nil)
	v.authenticateMessage("ess_authenticate_message", &authenticateMessage{
		lmResponse: lmResponse, ntResponse: ntResponse, flags: 0x82088235,
	})
}

func (v *vectors) version2() {
	challenge, client := v.eight("server_challenge"), v.eight("client_challenge")
	owf, err := ntowfv2(v.key("v1_ntowf"), "User", "Domain")
	require.NoError(v.t, err)
	v.equal("v2_ntowf", owf[:])
	info := v.get("v2_target_info")
	pairs, ok := parseAVList(info)
	require.True(v.t, ok)
	assert.Equal(v.t, "Domain", pairs.text(avNbDomainName))
	assert.Equal(v.t, "Server", pairs.text(avNbComputerName))
	v.equal("v2_target_info", pairs.append(nil))

	temp := makeTemp(0, client, pairs)
	v.equal("v2_temp", temp)
	r := prove(owf, challenge, temp)
	v.equal("v2_nt_proof_str", r.proof[:])
	v.equal("v2_nt_response", r.append(nil))
	lm := lmv2(owf, challenge, client)
	v.equal("v2_lm_response", lm)
	key := sessionBaseKey(owf, r.proof)
	v.equal("v2_session_base_key", key[:])
	v.equal("v2_encrypted_session_key", rc4Once(key, v.get("random_session_key")))

	v.challengeMessage("v2_challenge_message", v.flags("v2_flags_le"), info)
	v.authenticateMessage("v2_authenticate_message", &authenticateMessage{
		lmResponse: lm, ntResponse: r.append(nil), sessionKey: v.get("v2_encrypted_session_key"),
		flags: 0xe2888235,
	})
}

// challengeMessage writes and reads a published CHALLENGE message.
func (v *vectors) challengeMessage(name string, flags Flags, info []byte) {
	want := &challengeMessage{
		targetName: v.get("server_name_utf16"), flags: flags, challenge: v.eight("server_challenge"),
		version: [8]byte{6, 0, 0x70, 0x17, 0, 0, 0, 15}, targetInfo: info,
	}
	v.equal(name, want.append(nil))
	got, err := parseChallenge(v.get(name))
	require.NoError(v.t, err)
	got.version = want.version
	assert.Equal(v.t, want, got, name)
}

// authenticateMessage writes and reads a published AUTHENTICATE message; those
// of the specification have no room for a MIC.
func (v *vectors) authenticateMessage(name string, want *authenticateMessage) {
	want.domain, want.user, want.workstation = v.get("domain_utf16"), v.get("user_utf16"), v.get("workstation_utf16")
	want.version = [8]byte{5, 1, 0x28, 0x0a, 0, 0, 0, 15}
	v.equal(name, want.append(nil))
	got, err := parseAuthenticate(v.get(name))
	require.NoError(v.t, err)
	got.version = want.version
	assert.Equal(v.t, want, got, name)
}

// seals checks one sealed message, and that the other side opens it. before is
// how many messages went that way already.
func (v *vectors) seals(flags Flags, exported [16]byte, fromServer bool, data, sig string, before int) {
	var sender, receiver Session
	sender.start(flags, exported, fromServer)
	receiver.start(flags, exported, !fromServer)
	for range before + 1 {
		out, tokenLen, length, err := sender.Wrap(nil, v.get("plaintext"))
		require.NoError(v.t, err)
		assert.Equal(v.t, signatureSize, tokenLen)
		assert.Equal(v.t, len(v.get("plaintext")), length)
		if sender.out.seq == uint32(before)+1 {
			v.equal(sig, out[:tokenLen])
			v.equal(data, out[tokenLen:])
		}
		plain, err := receiver.Unwrap(out, tokenLen)
		require.NoError(v.t, err)
		v.equal("plaintext", plain)
	}
}

func (v *vectors) sealing() {
	flags, exported := v.flags("v2_flags_le"), v.key("random_session_key")
	for name, magic := range map[string]string{"v2_client_seal_key": clientSealing, "v2_server_seal_key": serverSealing} {
		key := sealKey(flags, exported, magic)
		v.equal(name, key[:])
	}
	for name, magic := range map[string]string{"v2_client_sign_key": clientSigning, "v2_server_sign_key": serverSigning} {
		key := signKey(exported, magic)
		v.equal(name, key[:])
	}
	sign := v.get("v2_client_sign_key")
	mac := hmac.New(md5.New, sign)
	mac.Write(append(make([]byte, 4), v.get("plaintext")...))
	v.equal("v2_seal_checksum_plain", mac.Sum(nil)[:8])
	assert.Equal(v.t, v.get("v2_seal_checksum_rc4"), v.get("v2_seal_signature")[4:12])

	v.seals(flags, exported, false, "v2_seal_data", "v2_seal_signature", 0)
	v.seals(flags, exported, false, "v2_seal_seq1_data", "v2_seal_seq1_signature", 1)
	v.seals(flags, exported, true, "v2_server_seal_seq0_data", "v2_server_seal_seq0_signature", 0)
}

func (v *vectors) mechListMIC() {
	flags, exported := v.flags("v2_flags_le"), v.key("random_session_key")
	list := v.get("mech_type_list_der")
	var client, server Session
	client.start(flags, exported, false)
	server.start(flags, exported, true)
	for _, way := range []struct {
		from, to *Session
		name     string
	}{{&client, &server, "client"}, {&server, &client, "server"}} {
		mic, err := way.from.MIC(nil, list)
		require.NoError(v.t, err)
		v.equal(way.name+"_mech_list_mic_seq0", mic)
		require.NoError(v.t, way.to.VerifyMIC(list, mic))
	}
	client.ResetAfterMIC()
	server.ResetAfterMIC()
	for _, way := range []struct {
		from, to *Session
		name     string
	}{{&client, &server, "client"}, {&server, &client, "server"}} {
		out, n, _, err := way.from.Wrap(nil, v.get("plaintext"))
		require.NoError(v.t, err)
		v.equal("after_mic_"+way.name+"_seal_seq1_signature", out[:n])
		v.equal("after_mic_"+way.name+"_seal_seq1_data", out[n:])
		plain, err := way.to.Unwrap(out, n)
		require.NoError(v.t, err)
		v.equal("plaintext", plain)
	}
}

func (v *vectors) binding() {
	applicationData := append([]byte("tls-server-end-point:"), v.get("cbt_cert_hash_sha256")...)
	v.equal("cbt_application_data", applicationData)
	sum := bindingHash(applicationData)
	v.equal("cbt_md5", sum[:])
	structure := md5.Sum(v.get("cbt_gss_channel_bindings_struct"))
	v.equal("cbt_md5", structure[:])

	initiator, err := NewInitiator(InitiatorConfig{ChannelBinding: applicationData, TargetName: "HTTP/Server"})
	require.NoError(v.t, err)
	info, ok := parseAVList(v.get("v2_target_info"))
	require.True(v.t, ok)
	pairs, err := initiator.targetInfo(info, true)
	require.NoError(v.t, err)
	v.equal("epa_target_info", pairs.append(nil))

	owf := v.key("v2_ntowf")
	challenge, client := v.eight("server_challenge"), v.eight("client_challenge")
	filetime := binary.LittleEndian.Uint64(v.get("epa_client_time"))
	for time, suffix := range map[uint64]string{0: "time0", filetime: "client_time"} {
		r := prove(owf, challenge, makeTemp(time, client, pairs))
		v.equal("epa_nt_proof_"+suffix, r.proof[:])
		key := sessionBaseKey(owf, r.proof)
		v.equal("epa_session_base_key_"+suffix, key[:])
	}
	v.accepts("epa_authenticate_message", "epa_mic", v.get("v2_challenge_message"), applicationData)
}

// The challenge of this one has no target information; it is that of section
// 4.2.3.3.
func (v *vectors) oldChallenge() {
	applicationData := v.get("cbt_application_data")
	v.accepts("epa_old_challenge_authenticate_message", "epa_old_challenge_mic", v.get("ess_challenge_message"), applicationData)
}

// accepts puts a published AUTHENTICATE message before an acceptor.
func (v *vectors) accepts(name, mic string, challenge, applicationData []byte) {
	message := v.get(name)
	assert.Equal(v.t, v.get(mic), message[micOffset:micOffset+micSize])
	filetime := int64(binary.LittleEndian.Uint64(v.get("epa_client_time"))) - filetimeEpoch
	acceptor := &Acceptor{
		state:     stateWaiting,
		negotiate: v.get("epa_negotiate_message"),
		challenge: challenge,
		offered:   0xffffffff,
		nonce:     v.eight("server_challenge"),
		cfg: AcceptorConfig{
			Lookup:         lookup("Domain", "User", "Password"),
			ChannelBinding: applicationData,
			BindingLevel:   BindingStrict,
			Now:            func() time.Time { return time.Unix(0, filetime*100) },
		},
	}
	changed := *acceptor
	_, done, err := acceptor.Step(v.t.Context(), message)
	require.NoError(v.t, err)
	assert.True(v.t, done)
	want := Client{"Domain", "User", "COMPUTER", "HTTP/Server", true, true}
	assert.Equal(v.t, want, acceptor.Client())

	message[micOffset] ^= 1
	_, _, err = changed.Step(v.t.Context(), message)
	require.ErrorIs(v.t, err, ErrMIC)
}

// RFC 1320 appendix A.5.
func TestMD4(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "31d6cfe0d16ae931b73c59d7e0c089c0",
		"a":                          "bde52cb31de33e46245e05fbdbd6fb24",
		"abc":                        "a448017aaf21d8525fc10ae87aa6729d",
		"message digest":             "d9130a8164549fe818874806e1c7014b",
		"abcdefghijklmnopqrstuvwxyz": "d79e1c308aa5bbcdeea8ed63df412da9",
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789":                   "043f8582f241db351ce627e153e7f0e4",
		"12345678901234567890123456789012345678901234567890123456789012345678901234567890": "e33b4ddc9c38f2199c3e7b164fcc0536",
	} {
		sum := md4Sum([]byte(text))
		assert.Equal(t, want, hex.EncodeToString(sum[:]), "%q", text)
	}
}
