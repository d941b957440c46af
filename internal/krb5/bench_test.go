package krb5

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"fmt"
	"testing"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/stretchr/testify/require"
)

var benchSizes = []int{1 << 10, 150 << 10, 500 << 10}

var benchETypes = []EType{AES256SHA1, AES128SHA256, AES256SHA384}

// BenchmarkSeal seals one message as WinRM wants it. "bare" is the cipher and the
// MAC on the same bytes and no more, "gokrb5" its EncryptMessage.
func BenchmarkSeal(b *testing.B) {
	for _, e := range benchETypes {
		for _, size := range benchSizes {
			plain := make([]byte, size)
			key := mustKey(b, e)
			name := fmt.Sprintf("%v/%dKB", e, size>>10)
			b.Run(name+"/ours", func(b *testing.B) {
				c := vectorContext(b, true, key, true, 0, nil)
				c.confounderFunc = randomFill
				dst := make([]byte, 0, size+200)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					_, _, _, err := c.Wrap(dst, plain)
					require.NoError(b, err)
				}
			})
			b.Run(name+"/bare", func(b *testing.B) { benchBare(b, key, size, true) })
			b.Run(name+"/gokrb5", func(b *testing.B) {
				other, err := crypto.GetEtype(int32(e))
				require.NoError(b, err)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					_, _, err := other.EncryptMessage(key.Value, plain, usageInitiatorSeal)
					require.NoError(b, err)
				}
			})
		}
	}
}

// BenchmarkOpen opens what was sealed.
func BenchmarkOpen(b *testing.B) {
	for _, e := range benchETypes {
		for _, size := range benchSizes {
			key := mustKey(b, e)
			name := fmt.Sprintf("%v/%dKB", e, size>>10)
			b.Run(name+"/ours", func(b *testing.B) {
				from := vectorContext(b, true, key, true, 0, make([]byte, 16))
				sealed, n, _, err := from.Wrap(nil, make([]byte, size))
				require.NoError(b, err)
				buf := make([]byte, len(sealed))
				to := vectorContext(b, false, key, true, 0, nil)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					copy(buf, sealed)
					to.recvSeq = 0
					_, err := to.Unwrap(buf, n)
					require.NoError(b, err)
				}
			})
			b.Run(name+"/bare", func(b *testing.B) { benchBare(b, key, size, false) })
			b.Run(name+"/gokrb5", func(b *testing.B) {
				other, err := crypto.GetEtype(int32(e))
				require.NoError(b, err)
				_, sealed, err := other.EncryptMessage(key.Value, make([]byte, size), usageInitiatorSeal)
				require.NoError(b, err)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					_, err := other.DecryptMessage(key.Value, sealed, usageInitiatorSeal)
					require.NoError(b, err)
				}
			})
		}
	}
}

func benchBare(b *testing.B, key Key, size int, encrypt bool) {
	ke, err := key.derive(usageInitiatorSeal, deriveKe)
	require.NoError(b, err)
	block, err := aes.NewCipher(ke)
	require.NoError(b, err)
	mac := hmac.New(key.EType.newHash(), ke)
	buf := make([]byte, size/aes.BlockSize*aes.BlockSize)
	newMode := cipher.NewCBCDecrypter
	if encrypt {
		newMode = cipher.NewCBCEncrypter
	}
	b.SetBytes(int64(size))
	for b.Loop() {
		mac.Reset()
		mac.Write(buf)
		mac.Sum(nil)
		newMode(block, zeroIV[:]).CryptBlocks(buf, buf)
	}
}

// BenchmarkHandshake is both sides of one establishment.
func BenchmarkHandshake(b *testing.B) {
	service := mustKey(b, AES256SHA1)
	ticket := mint(b, service)
	b.ReportAllocs()
	for b.Loop() {
		establish(b, InitiatorConfig{Ticket: ticket}, AcceptorConfig{Keys: testKeys{service}})
	}
}
