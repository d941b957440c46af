package krb5

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jcmturner/gokrb5/v8/types"
)

func writeFile(t testing.TB, path, text string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestConf(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir+"/d/10-realms", "[realms]\n B.TEST = {\n  kdc = b1\n  kdc = [::1]:750\n }\n")
	writeFile(t, dir+"/d/20.conf", "[libdefaults]\n ticket_lifetime = 1d12h\n")
	writeFile(t, dir+"/d/ignored~", "not a file")
	writeFile(t, dir+"/more.conf", "[libdefaults]\n default_realm = LATER.TEST\n renew_lifetime = 7d\n")
	main := writeFile(t, dir+"/krb5.conf", strings.NewReplacer("DIR", dir).Replace(`
# a comment
; another
include DIR/more.conf.first
includedir DIR/d
includedir DIR/none
module DIR/plugin.so:residual
[libdefaults]
	default_realm = A.TEST
	dns_lookup_kdc = no
	default_ccache_name = "FILE:/var/a b"
	something = { 
		inner = 1
	}
[realms]
	A.TEST = {
		kdc = a1:88
		kdc = a1:88	# once more
		kdc =
		admin_server = adm
		auth_to_local_names = {
			x = y
		}
		kdc* = a2
	}
[domain_realm]
	.sub.a.test = SUB.TEST
	.a.test = A.TEST
	Odd.Host.Test = ODD.TEST
include DIR/more.conf
[appdefaults]
	pam = { }
	other = { debug = false }
	[realms]
	C.TEST =

	# on the next line
	{
		kdc = c1
	}
`))
	writeFile(t, dir+"/more.conf.first", "")
	c, err := ReadConf(dir+"/missing", main)
	require.NoError(t, err)
	assert.Equal(t, "A.TEST", c.DefaultRealm)
	assert.False(t, c.DNSLookupKDC)
	assert.Equal(t, map[string][]string{"A.TEST": {"a1:88", "a2"}, "B.TEST": {"b1", "[::1]:750"}, "C.TEST": {"c1"}}, c.KDCs)
	assert.Equal(t, 36*time.Hour, c.TicketLifetime)
	assert.Equal(t, 7*24*time.Hour, c.RenewLifetime)
	assert.Equal(t, "FILE:/var/a b", c.CCacheName)
	for host, realm := range map[string]string{
		"h.a.test": "A.TEST", "H.SUB.a.test.": "SUB.TEST", "x.y.sub.a.test": "SUB.TEST", "odd.host.test": "ODD.TEST",
		"a.test": "", "other.test": "",
	} {
		assert.Equal(t, realm, c.RealmOf(host), host)
	}
}

func TestConfErrors(t *testing.T) {
	dir := t.TempDir()
	loop := dir + "/loop.conf"
	cases := map[string]string{
		"loop": "include " + loop + "\n", "relative": "include x\n", "missing": "include /nonexistent/krb5\n",
		"not closed": "[realms]\nA = {\n", "closed twice": "[realms]\n}\n", "no section": "a = b\n", "brace of nothing": "[realms]\n{\n", "brace after a value": "[realms]\nA = x\n{\n}\n", "garbage": "[libdefaults]\nnonsense\n",
		"after brace": "[realms]\nA = { kdc = x }\n", "long line": "[libdefaults]\n" + strings.Repeat("x", 1<<17),
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			writeFile(t, loop, text)
			_, err := ReadConf(loop)
			require.Error(t, err)
		})
	}
	_, err := ReadConf(dir + "/none")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestDurations(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"36000": 10 * time.Hour, "10h": 10 * time.Hour, "7d": 168 * time.Hour, "1d 2h": 26 * time.Hour, "1d12h30m5s": 36*time.Hour + 30*time.Minute + 5*time.Second,
		"10:30": 10*time.Hour + 30*time.Minute, "0:0:9": 9 * time.Second, "": 0, "x": 0, "-5": 0, "-1d": 0,
	} {
		assert.Equal(t, want, confDuration(s), s)
	}
}

func TestKDCAddresses(t *testing.T) {
	for s, want := range map[string]string{
		"host": "host:88", "host:750": "host:750", "tcp/host": "host:88", "[::1]": "[::1]:88", "[::1]:99": "[::1]:99", "::1": "[::1]:88",
	} {
		assert.Equal(t, want, kdcAddress(s), s)
	}
}

func TestPrincipals(t *testing.T) {
	for s, parts := range map[string][]string{
		"alice@A": {"alice"}, "HTTP/h@A": {"HTTP", "h"}, `a\@b.c@A`: {"a@b.c"}, `x\/y`: {"x/y"}, `back\\slash@A`: {`back\slash`},
	} {
		p, err := ParsePrincipal(s)
		require.NoError(t, err, s)
		assert.Equal(t, parts, p.Parts)
		assert.Equal(t, s, p.String())
	}
	for _, s := range []string{"", "@A", "a@", "a@b@c", `a\`} {
		_, err := ParsePrincipal(s)
		assert.ErrorIs(t, err, ErrPrincipal, s)
	}
}

func sampleCache(t testing.TB) *CCache {
	ticket := mint(t, Key{AES256SHA1, make([]byte, 32)})
	ticket.RenewTill = ticket.EndTime.Add(time.Hour)
	return &CCache{Client: ticket.Client, Tickets: []*Ticket{ticket, ticket}}
}

func TestCCacheIsCutAnywhere(t *testing.T) {
	whole := sampleCache(t).Marshal()
	c, err := ParseCCache(whole)
	require.NoError(t, err)
	require.Len(t, c.Tickets, 2)
	want := sampleCache(t).Tickets[0]
	assert.Equal(t, want.Server.String(), c.Tickets[0].Server.String())
	assert.Equal(t, want.EndTime, c.Tickets[0].EndTime)
	assert.Equal(t, want.RenewTill, c.Tickets[0].RenewTill)
	assert.Equal(t, want.Flags, c.Tickets[0].Flags)
	errs := 0
	for n := range whole {
		if _, err := ParseCCache(whole[:n]); err != nil {
			errs++
		}
	}
	// Only between two tickets is an end not noticed.
	assert.Equal(t, len(whole)-2, errs)
}

func TestCCacheNames(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir+"/primary", "tktABC\n")
	for name, want := range map[string]string{
		"FILE:/x": "/x", "/x": "/x", "DIR:" + dir: dir + "/tktABC", "DIR::" + dir + "/tkt1": dir + "/tkt1", `C:\x`: `C:\x`,
	} {
		got, err := CCachePath(name)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	for _, name := range []string{"KEYRING:persistent:0", "KCM:", "MEMORY:x", "API:x"} {
		_, err := CCachePath(name)
		require.ErrorIs(t, err, ErrCCacheType)
	}
	writeFile(t, dir+"/primary", "../../etc/passwd")
	_, err := CCachePath("DIR:" + dir)
	require.Error(t, err)
}

func TestKeytab(t *testing.T) {
	p := Principal{Type: NTPrincipal, Parts: []string{"alice"}, Realm: "A.TEST"}
	old, recent := mustKey(t, AES256SHA1), mustKey(t, AES256SHA1)
	kt := KeytabFor(p, 255, old)
	kt.entries = append(kt.entries, KeytabFor(p, 256, recent).entries...)
	whole := kt.Marshal()
	got, err := ParseKeytab(whole)
	require.NoError(t, err)
	keys := got.Keys(p, AES256SHA1)
	require.Len(t, keys, 2)
	assert.True(t, recent.Equal(keys[0]), "the newest first, beyond 8 bits")
	assert.Equal(t, []Principal{p}, got.Principals())
	assert.NotContains(t, got.String(), hex.EncodeToString(old.Value))
	for n := range whole {
		if n != 2 && n != 2+(len(whole)-2)/2 { // the ends of entries
			k, err := ParseKeytab(whole[:n])
			assert.True(t, err != nil || len(k.entries) < 2, "cut to %d", n)
		}
	}
	got.Wipe()
	assert.Equal(t, make([]byte, 32), got.entries[0].key.Value)
}

// TestManagedPasswordVectors has blobs of real domain controllers whose NT
// hashes are published, and one with what may go wrong in a password.
func TestManagedPasswordVectors(t *testing.T) {
	v := vectorValues(t, "testdata/gmsa.txt")
	keys := func(m *ManagedPassword, e EType) []Key {
		k, err := m.Keys(e, "gmsa1$", "DOMAIN.TEST", "", nil)
		require.NoError(t, err)
		return k
	}
	a, err := ParseManagedPassword(v["a_blob"])
	require.NoError(t, err)
	assert.Nil(t, a.Previous)
	assert.Equal(t, v["a_nthash_current"], keys(a, RC4)[0].Value)
	assert.Equal(t, string(v["a_password_utf8_calc"]), managedUTF8(a.Current))
	assert.Equal(t, v["a_aes128_calc"], keys(a, AES128SHA1)[0].Value)
	assert.Equal(t, v["a_aes256_calc"], keys(a, AES256SHA1)[0].Value)
	assert.Equal(t, time.Duration(25705269381510*100), a.Query)
	assert.Equal(t, 5*time.Minute, a.Query-a.Unchanged)

	b, err := ParseManagedPassword(v["b_blob"])
	require.NoError(t, err)
	assert.Equal(t, v["b_nthash_current"], keys(b, RC4)[0].Value)
	assert.Equal(t, v["b_nthash_previous_calc"], keys(b, RC4)[1].Value)
	assert.Equal(t, v["b_aes256_calc"], keys(b, AES256SHA1)[0].Value)

	for _, name := range []string{"s_blob_noprev_padded", "s_blob_prev_padded"} {
		s, err := ParseManagedPassword(v[name])
		require.NoError(t, err)
		assert.Equal(t, v["s_password"], s.Current)
		assert.Equal(t, v["s_nthash"], ManagedNTHash(s.Current))
		assert.Equal(t, string(v["s_password_utf8"]), managedUTF8(s.Current))
		assert.Equal(t, v["s_aes128"], keys(s, AES128SHA1)[0].Value)
		assert.Equal(t, v["s_aes256"], keys(s, AES256SHA1)[0].Value)
		assert.Equal(t, name == "s_blob_prev_padded", s.Previous != nil)
	}
	for n := range v["b_blob"] {
		_, err := ParseManagedPassword(v["b_blob"][:n])
		require.Error(t, err)
	}
}

// TestManagedPasswordRollOver has a blob from the time around a change, with
// the keys that Samba's KDC had for both passwords.
func TestManagedPasswordRollOver(t *testing.T) {
	b, err := os.ReadFile("testdata/gmsa-rollover.json")
	require.NoError(t, err)
	var sample struct {
		Account, Realm, Blob string
		Current, Previous    map[string]string
	}
	require.NoError(t, json.Unmarshal(b, &sample))
	m, err := ParseManagedPassword(unhex(t, sample.Blob))
	require.NoError(t, err)
	for e, name := range map[EType]string{AES256SHA1: AES256SHA1.String(), AES128SHA1: AES128SHA1.String(), RC4: "arcfour-hmac"} {
		keys, err := m.Keys(e, sample.Account, sample.Realm, "", nil)
		require.NoError(t, err)
		require.Len(t, keys, 2)
		assert.Equal(t, sample.Current[name], hex.EncodeToString(keys[0].Value))
		assert.Equal(t, sample.Previous[name], hex.EncodeToString(keys[1].Value))
	}
}

func TestS4UVectors(t *testing.T) {
	v := vectorValues(t, "testdata/gss.txt")
	user := Principal{Type: NTPrincipal, Parts: []string{"user"}, Realm: "DOMAIN.TEST"}
	upn := Enterprise("user$@domain.test", "DOMAIN.TEST")
	upn.Parts[0] = string(v["s4u_k16_nt10_bytearray"][4 : len(v["s4u_k16_nt10_bytearray"])-len("DOMAIN.TESTKerberos")])
	for _, size := range []string{"k16", "k32"} {
		key := v["s4u_"+size+"_key"]
		for kind, p := range map[string]Principal{"nt1": user, "nt10": upn} {
			array := paForUserBytes(p)
			assert.Equal(t, v["s4u_"+size+"_"+kind+"_bytearray"], array)
			assert.Equal(t, v["s4u_"+size+"_"+kind+"_cksum"], hmacMD5Checksum(key, usageForUser, array))
		}
	}
	key := Key{AES256SHA1, v["s4u_k32_key"]}
	pa, err := paForUserData(upn, key)
	require.NoError(t, err)
	assert.Equal(t, hex.EncodeToString(v["pa_for_user_der_k32_nt10"]), hex.EncodeToString(pa.PADataValue))
	options, err := pacOptionsRBCD()
	require.NoError(t, err)
	assert.Equal(t, v["pa_pac_options_rbcd"], options.PADataValue)

	var id s4uUserID
	require.NoError(t, unmarshalAll(v["s4u_userid_der"], &id, "S4UUserID"))
	pa, err = paS4UData(Principal{Type: id.CName.NameType, Parts: id.CName.NameString, Realm: id.CRealm}, key, id.Nonce)
	require.NoError(t, err)
	var value paS4UX509UserValue
	require.NoError(t, unmarshalAll(pa.PADataValue, &value, "PA-S4U-X509-USER"))
	assert.Equal(t, hex.EncodeToString(v["s4u_userid_der"]), hex.EncodeToString(value.UserID.Bytes))
	assert.Equal(t, v["s4u_userid_cksum_aes256_usage26"], value.Cksum.Checksum)
	sum, err := s4uChecksum(Key{AES128SHA1, v["s4u_k16_key"]}, usageS4UX509UserReq, v["s4u_userid_der"])
	require.NoError(t, err)
	assert.Equal(t, v["s4u_userid_cksum_aes128_usage26"], sum.Checksum)
	sum, err = s4uChecksum(Key{RC4, v["s4u_k16_key"]}, usageS4UX509UserReq, v["s4u_userid_der"])
	require.NoError(t, err)
	assert.Equal(t, types.Checksum{CksumType: 2, Checksum: v["s4u_userid_cksum_rc4_rsamd4"]}, sum)
}

// TestErrorsOfWindows reads the NTSTATUS that comes in e-data, alone or in METHOD-DATA.
func TestErrorsOfWindows(t *testing.T) {
	status := []byte{0x34, 0x02, 0x00, 0xc0, 0, 0, 0, 0, 1, 0, 0, 0} // locked out
	one := append([]byte{0x30, 0x15, 0xa1, 0x03, 0x02, 0x01, 0x03, 0xa2, 0x0e, 0x04, 0x0c}, status...)
	for _, data := range [][]byte{one, sequenceOf(one)} {
		now := time.Now()
		msg, err := marshalApp(krbError{PVNO: 5, MsgType: 30, STime: now.UTC().Truncate(time.Second), Code: 18, Realm: "R", SName: tgsName("R", "").wire(), EData: data}, tagKRBError)
		require.NoError(t, err)
		e, err := parseError(msg, now)
		require.NoError(t, err)
		assert.Equal(t, uint32(0xc0000234), e.NTStatus)
		assert.Contains(t, e.Remedy(), "unlock")
		require.ErrorIs(t, e, ErrClientRevoked)
	}
	for code := range explanations {
		assert.NotEmpty(t, code.Symbol())
		assert.NotEmpty(t, (&Error{Code: code}).Remedy())
	}
}

func FuzzFiles(f *testing.F) {
	f.Add(sampleCache(f).Marshal())
	f.Add(KeytabFor(Principal{Parts: []string{"x"}}, 1, Key{AES128SHA1, make([]byte, 16)}).Marshal())
	f.Add([]byte("\x05\x04\x00\x0c\x00\x01\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("[realms]\nA = {\n kdc = x\n}\n"))
	f.Add(vectorValues(f, "testdata/gmsa.txt")["b_blob"])
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseCCache(b); err == nil {
			_ = c.TGT()
		}
		if k, err := ParseKeytab(b); err == nil {
			_ = k.Principals()
		}
		_, _ = ParseManagedPassword(b)
		if !strings.Contains(string(b), "include") {
			path := filepath.Join(dir, "krb5.conf")
			require.NoError(t, os.WriteFile(path, b, 0o600))
			_, err := ReadConf(path)
			var conf *ConfError
			assert.True(t, err == nil || errors.As(err, &conf), "%v", err)
		}
	})
}

// FuzzReply has everything that comes from a KDC before it is trusted.
func FuzzReply(f *testing.F) {
	k := testKDC(f)
	f.Add(k.Answer(nil))
	c := &Client{cfg: ClientConfig{Now: time.Now, ETypes: DefaultETypes()}}
	l := &logon{c: c, principal: Principal{Type: NTPrincipal, Parts: []string{"alice"}, Realm: "A.TEST"}}
	bare, _, err := l.request(c.cfg.ETypes)
	require.NoError(f, err)
	f.Add(k.Answer(bare))
	key, err := StringToKey(AES256SHA1, "secret", "A.TEST/alice", nil)
	require.NoError(f, err)
	pa, err := encTimestamp(key, time.Now())
	require.NoError(f, err)
	req, nonce, err := l.request(c.cfg.ETypes, pa)
	require.NoError(f, err)
	f.Add(k.Answer(req))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := parseError(b, time.Now()); err == nil {
			_ = e.Error()
			_, _ = chooseInfo(e.methods, DefaultETypes())
		}
		c.cfg.Secret = KeySecret{key}
		c.cfg.Network = &Network{}
		_, _ = l.open(t.Context(), b, "kdc", nonce, DefaultETypes(), &key)
		_ = k.Answer(b)
		_, _ = parseCred(b, key)
		_, _, _ = framed(struct {
			io.Reader
			io.Writer
		}{strings.NewReader(string(b)), io.Discard}, nil)
	})
}
