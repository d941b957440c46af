package credssp

import (
	"crypto/x509"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRequestVectors(t *testing.T) {
	v := vectors(t)
	nonce := v["client_nonce"]
	for name, want := range map[string]*Request{
		"ts_request_sample": {
			Version: 6, NegoTokens: [][]byte{[]byte("123")}, AuthInfo: []byte("auth info"),
			PubKeyAuth: []byte("pub key auth"), ErrorCode: 10, ClientNonce: []byte("client nonce"),
		},
		"ts_request_pubkey_v6":                {Version: 6, PubKeyAuth: v["ntlm_pub_key_auth_client"], ClientNonce: nonce},
		"ts_request_authinfo_v6":              {Version: 6, AuthInfo: v["ntlm_auth_info"]},
		"ts_request_error_c000006d_positive5": {Version: 6, ErrorCode: StatusLogonFailure},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseRequest(v[name])
			require.NoError(t, err)
			assert.Equal(t, want, got)
			assert.Equal(t, v[name], want.Append(nil))
		})
	}
	t.Run("ts_request_error_c000006d_negative4", func(t *testing.T) {
		got, err := ParseRequest(v["ts_request_error_c000006d_negative4"])
		require.NoError(t, err)
		assert.Equal(t, &Request{Version: 6, ErrorCode: StatusLogonFailure}, got)
	})
}

func TestRequestRefused(t *testing.T) {
	for name, in := range map[string]string{
		"empty":                    "",
		"no sequence":              "0203020106",
		"empty sequence":           "3000",
		"no version":               "3006a2040402aabb",
		"trailing byte":            "3005a00302010600",
		"cut short":                "3005a0030201",
		"length of 4 GB":           "3084ffffffffa003020106",
		"length of 5 octets":       "308500000000053005a003020106",
		"indefinite length":        "3080a0030201060000",
		"length octets missing":    "308400",
		"inner length beyond":      "3005a00a020106",
		"token length of 2 GB":     "3018a003020106a1113084000000" + "0930070480047fffffff00",
		"fields out of order":      "300aa2030401aaa003020106",
		"field twice":              "300aa003020106a003020106",
		"version of nine octets":   "300da00b0209010000000000000000",
		"negative version":         "3005a0030201ff",
		"version with trailing":    "3007a005020106aabb",
		"errorCode no integer":     "300aa003020106a403040161",
		"errorCode empty":          "3009a003020106a4020200",
		"errorCode of five octets": "300ea003020106a40702050100000000",
		"universal tag inside":     "3006020106020106",
		"high tag number":          "3006bf0503020106",
	} {
		t.Run(name, func(t *testing.T) {
			b, err := hex.DecodeString(in)
			require.NoError(t, err)
			_, err = ParseRequest(b)
			assert.ErrorIs(t, err, ErrMalformed)
		})
	}
	_, err := ParseRequest(make([]byte, maxRequest+1))
	assert.ErrorIs(t, err, ErrMalformed)
}

func TestRequestTolerated(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want Request
	}{
		"long form of a short length":   {"30820005a003020106", Request{Version: 6}},
		"field of a later version":      {"300aa003020107a703040161", Request{Version: 7}},
		"empty negoTokens":              {"3009a003020106a1023000", Request{Version: 6, NegoTokens: [][]byte{}}},
		"errorCode zero is no error":    {"300aa003020106a403020100", Request{Version: 6}},
		"errorCode of one octet, minus": {"300aa003020106a4030201ff", Request{Version: 6, ErrorCode: 0xffffffff}},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := hex.DecodeString(tc.in)
			require.NoError(t, err)
			got, err := ParseRequest(b)
			require.NoError(t, err)
			assert.Equal(t, &tc.want, got)
		})
	}
}

func TestCredentialsVectors(t *testing.T) {
	v := vectors(t)
	card := func(c SmartCardCreds) *Credentials { return &Credentials{Type: CredSmartCard, SmartCard: &c} }
	guard := func(more ...PackageCred) *Credentials {
		return &Credentials{Type: CredRemoteGuard, RemoteGuard: &RemoteGuardCreds{
			Logon: PackageCred{UTF16("Package 1"), []byte("123")}, Supplemental: more,
		}}
	}
	csp := CSPData{
		KeySpec: 1, Reader: UTF16("OMNIKEY CardMan 3x21 0"),
		Container: UTF16("le-MSSmartcardUser-8bda019f-1266--53268"),
		CSP:       UTF16("Microsoft Base Smart Card Crypto Provider"),
	}
	full := csp
	full.Card = UTF16("Card Name")
	for name, want := range map[string]*Credentials{
		"ts_credentials_password": {Type: CredPassword, Password: &PasswordCreds{
			Domain: UTF16("domain name"), User: UTF16("username"), Password: UTF16("password"),
		}},
		"ts_credentials_smartcard": card(SmartCardCreds{PIN: UTF16("bbbbbbbbbbbb"), CSP: csp}),
		"ts_credentials_smartcard_full": card(SmartCardCreds{
			PIN: UTF16("bbbbbbbbbbbb"), CSP: full,
			UserHint: UTF16("user_hint"), DomainHint: UTF16("domain_hint"),
		}),
		"ts_credentials_remote_guard": guard(
			PackageCred{UTF16("Package 2"), []byte("456")}, PackageCred{UTF16("Package 3"), []byte("789")},
		),
		"ts_credentials_remote_guard_nosupp": guard(),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseCredentials(v[name])
			require.NoError(t, err)
			assert.Equal(t, want, got)
			assert.Equal(t, v[name], want.Append(nil))
		})
	}
}

func TestCredentialsRefused(t *testing.T) {
	for name, in := range map[string]string{
		"unknown type":      "300ba003020109a10404023000",
		"no password":       "300ba003020101a10404023000",
		"trailing inside":   "300ca003020101a1050403300000",
		"no octet string":   "300aa003020101a103020100",
		"package cut short": "300fa003020106a1080406300aa0043002",
	} {
		t.Run(name, func(t *testing.T) {
			b, err := hex.DecodeString(in)
			require.NoError(t, err)
			_, err = ParseCredentials(b)
			assert.ErrorIs(t, err, ErrMalformed)
		})
	}
}

func TestText(t *testing.T) {
	for _, s := range []string{"", "a", "Pä$$wörd", "😀", "\x00", "\ufffd", "\U0010ffff", testPassword} {
		assert.Equal(t, s, Text(UTF16(s)))
	}
	assert.Equal(t, []byte{0x3d, 0xd8, 0x00, 0xde}, UTF16("😀"), "a surrogate pair, RFC 2781")
}

func TestBindingVectors(t *testing.T) {
	v := vectors(t)
	key, nonce := v["subject_public_key"], v["client_nonce"]
	assert.Equal(t, v["magic_client_to_server"], []byte(clientMagic))
	assert.Equal(t, v["magic_server_to_client"], []byte(serverMagic))
	for version := uint32(2); version <= 6; version++ {
		if version < SafeVersion {
			assert.Equal(t, key, clientPubKey(version, nil, key))
			assert.Equal(t, v["v2_to_v4_server_value"], serverPubKey(version, nil, key))
			continue
		}
		assert.Equal(t, v["client_server_hash"], clientPubKey(version, nonce, key))
		assert.Equal(t, v["server_client_hash"], serverPubKey(version, nonce, key))
	}
	got, err := SubjectPublicKey(&x509.Certificate{RawSubjectPublicKeyInfo: v["subject_public_key_info_NOT_used"]})
	require.NoError(t, err)
	assert.Equal(t, key, got)
	assert.Equal(t, byte(0), serverPubKey(2, nil, []byte{0xff, 1})[0], "the first byte wraps around")
}

func FuzzParseRequest(f *testing.F) {
	for name, b := range vectors(f) {
		if len(name) > 10 && name[:10] == "ts_request" {
			f.Add(b)
		}
	}
	f.Add([]byte("0D\xa0\x03\x02\x010\xa1\v0\t0\a\xa2\x0500000\xb00000000000000000000000000000000000000000000000000")) // a NegoToken without its field
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRequest(b)
		if err != nil {
			return
		}
		again, err := ParseRequest(r.Append(nil))
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}

func FuzzParseCredentials(f *testing.F) {
	for name, b := range vectors(f) {
		if len(name) > 14 && name[:14] == "ts_credentials" {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseCredentials(b)
		if err != nil {
			return
		}
		again, err := ParseCredentials(c.Append(nil))
		require.NoError(t, err)
		require.Equal(t, c.Type, again.Type)
	})
}
