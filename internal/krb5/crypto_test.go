package krb5

import (
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// unhex decodes a field of a vector file, where "-" means empty.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	if s == "-" {
		return []byte{}
	}
	b, err := hex.DecodeString(s)
	require.NoError(t, err, s)
	return b
}

// vectorRows reads rows of space separated fields.
func vectorRows(t *testing.T, file string) [][]string {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var rows [][]string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") {
			rows = append(rows, strings.Fields(line))
		}
	}
	return rows
}

func atoi(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	require.NoError(t, err)
	return n
}

// TestCryptoVectors runs the published vectors of RFC 3961, 3962, 8009,
// [MS-KILE] and MIT's regression values.
func TestCryptoVectors(t *testing.T) {
	check := map[string]func(t *testing.T, f []string){
		"nfold": checkNFold, "cts": checkCTS, "pbkdf2": checkPBKDF2, "mskey": checkMSKey,
		"dr": checkDerive, "s2k": checkStringToKey, "dec": checkDecrypt, "ck": checkChecksum, "prf": checkPRF,
	}
	seen := map[string]int{}
	for i, f := range vectorRows(t, "testdata/crypto.txt") {
		require.Contains(t, check, f[0])
		seen[f[0]]++
		t.Run(f[0]+"/"+strconv.Itoa(i), func(t *testing.T) { check[f[0]](t, f[1:]) })
	}
	assert.Len(t, seen, len(check), "a kind of vector is missing from the file")
}

func checkNFold(t *testing.T, f []string) {
	assert.Equal(t, f[2], hex.EncodeToString(nfold(unhex(t, f[0]), atoi(t, f[1])/8)))
}

func checkCTS(t *testing.T, f []string) {
	c, err := newCTS(unhex(t, f[0]))
	require.NoError(t, err)
	for range 2 { // twice: the modes are reused
		b := unhex(t, f[1])
		c.beginEncrypt()
		c.encryptEnd(b)
		assert.Equal(t, f[2], hex.EncodeToString(b))
		head, tail := b[:len(b)-16], [16]byte(b[len(b)-16:])
		bulk := c.beginDecrypt(head)
		c.decryptEnd(head[bulk:], &tail)
		c.dec.CryptBlocks(head[:bulk], head[:bulk])
		assert.Equal(t, f[1], hex.EncodeToString(append(head, tail[:]...)))
	}
}

func checkPBKDF2(t *testing.T, f []string) {
	got, err := pbkdf2.Key(sha1.New, string(unhex(t, f[0])), unhex(t, f[1]), atoi(t, f[2]), 32)
	require.NoError(t, err)
	assert.Equal(t, f[3], hex.EncodeToString(got))
}

func checkMSKey(t *testing.T, f []string) {
	params := binary.BigEndian.AppendUint32(nil, uint32(atoi(t, f[3])))
	k, err := StringToKey(EType(atoi(t, f[0])), string(unhex(t, f[1])), string(unhex(t, f[2])), params)
	require.NoError(t, err)
	assert.Equal(t, f[4], hex.EncodeToString(k.Value))
}

func checkDerive(t *testing.T, f []string) {
	k := Key{EType: EType(atoi(t, f[0])), Value: unhex(t, f[1])}
	c := unhex(t, f[2])
	got, err := k.derive(binary.BigEndian.Uint32(c), c[4])
	require.NoError(t, err)
	assert.Equal(t, f[3], hex.EncodeToString(got))
}

func checkStringToKey(t *testing.T, f []string) {
	if f[5] != "0" {
		// MIT refuses few rounds where its configuration says so; the key itself is right.
		t.Log("a policy of MIT's: ", f[5])
	}
	k, err := StringToKey(EType(atoi(t, f[0])), string(unhex(t, f[1])), string(unhex(t, f[2])), unhex(t, f[3]))
	require.NoError(t, err)
	assert.Equal(t, f[4], hex.EncodeToString(k.Value))
}

func checkDecrypt(t *testing.T, f []string) {
	k := Key{EType: EType(atoi(t, f[0])), Value: unhex(t, f[2])}
	usage := uint32(atoi(t, f[1]))
	got, err := decryptOnce(k, usage, unhex(t, f[4]))
	require.NoError(t, err)
	assert.Equal(t, strings.Trim(f[3], "-"), hex.EncodeToString(got))

	c, err := newUsageCipher(k, usage)
	require.NoError(t, err)
	wire := c.encrypt(got)
	assert.Len(t, wire, len(unhex(t, f[4])))
	again, err := c.decrypt(append([]byte(nil), wire...))
	require.NoError(t, err)
	assert.Equal(t, got, again)
	for _, at := range []int{0, len(wire) / 2, len(wire) - 1} {
		bad := append([]byte(nil), wire...)
		bad[at] ^= 1
		_, err := c.decrypt(bad)
		assert.ErrorIs(t, err, ErrIntegrity, "flipped bit at %d", at)
	}
}

func checkChecksum(t *testing.T, f []string) {
	sumType, e, usage := int32(atoi(t, f[0])), EType(atoi(t, f[1])), uint32(atoi(t, f[2]))
	data := unhex(t, f[4])
	var got []byte
	switch sumType {
	case 2:
		got = md4Sum(data)
	case 7:
		sum := md5.Sum(data)
		got = sum[:]
	case -137: // the older of the two RC4 checksums; it has HMAC's key as it is
		h := md5.New()
		h.Write(binary.LittleEndian.AppendUint32(nil, usage))
		h.Write(data)
		got = hmacMD5(unhex(t, f[3]), h.Sum(nil))
	case -138:
		got = hmacMD5Checksum(unhex(t, f[3]), usage, data)
	default:
		typ, sum, err := checksum(Key{e, unhex(t, f[3])}, usage, data)
		require.NoError(t, err)
		assert.Equal(t, sumType, typ)
		got = sum
		assert.NoError(t, verifyChecksum(Key{e, unhex(t, f[3])}, usage, data, typ, sum))
		assert.ErrorIs(t, verifyChecksum(Key{e, unhex(t, f[3])}, usage+1, data, typ, sum), ErrIntegrity)
	}
	assert.Equal(t, f[5], hex.EncodeToString(got))
}

func checkPRF(t *testing.T, f []string) {
	got, err := Key{EType(atoi(t, f[0])), unhex(t, f[1])}.PRF(unhex(t, f[2]))
	require.NoError(t, err)
	assert.Equal(t, f[3], hex.EncodeToString(got))
}
