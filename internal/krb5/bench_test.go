package krb5

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/stretchr/testify/require"
)

var benchSizes = []int{1 << 10, 150 << 10, 500 << 10}

var benchETypes = []EType{AES256SHA1, AES128SHA256, AES256SHA384}

// BenchmarkSeal seals one message as WinRM wants it. "bare" is the cipher and the
// MAC on the same bytes and no more, "gokrb5" its EncryptMessage. The contestants
// take turns and medians count: what else the machine does slows all of them, and
// the garbage that one makes is its own.
func BenchmarkSeal(b *testing.B) {
	each(b, func(b *testing.B, key Key, size int) {
		plain := make([]byte, size)
		c := vectorContext(b, true, key, true, 0, nil)
		c.confounderFunc = randomFill
		dst := make([]byte, 0, size+200)
		other, err := crypto.GetEtype(int32(key.EType))
		require.NoError(b, err)
		bare := bareCipher(b, key, size, true)
		turns(b, size, func() {
			if _, _, _, err := c.Wrap(dst, plain); err != nil {
				b.Fatal(err) // no assertion: it costs as much as a short message
			}
		}, bare, func() {
			if _, _, err := other.EncryptMessage(key.Value, plain, usageInitiatorSeal); err != nil {
				b.Fatal(err)
			}
		})
	})
}

// BenchmarkOpen opens what was sealed.
func BenchmarkOpen(b *testing.B) {
	each(b, func(b *testing.B, key Key, size int) {
		from := vectorContext(b, true, key, true, 0, make([]byte, 16))
		sealed, n, _, err := from.Wrap(nil, make([]byte, size))
		require.NoError(b, err)
		buf := make([]byte, len(sealed))
		to := vectorContext(b, false, key, true, 0, nil)
		other, err := crypto.GetEtype(int32(key.EType))
		require.NoError(b, err)
		_, message, err := other.EncryptMessage(key.Value, make([]byte, size), usageInitiatorSeal)
		require.NoError(b, err)
		bare := bareCipher(b, key, size, false)
		turns(b, size, func() {
			copy(buf, sealed) // what opening in place costs a benchmark, and nobody else
			to.recvSeq = 0
			if _, err := to.Unwrap(buf, n); err != nil {
				b.Fatal(err)
			}
		}, bare, func() {
			if _, err := other.DecryptMessage(key.Value, message, usageInitiatorSeal); err != nil {
				b.Fatal(err)
			}
		})
	})
}

func each(b *testing.B, fn func(*testing.B, Key, int)) {
	b.Helper()
	for _, e := range benchETypes {
		for _, size := range benchSizes {
			b.Run(fmt.Sprintf("%v/%dKB", e, size>>10), func(b *testing.B) { fn(b, mustKey(b, e), size) })
		}
	}
}

// turns reports what ours makes of what bare does, and how much faster than
// gokrb5 it is.
func turns(b *testing.B, size int, ours, bare, gokrb5 func()) {
	b.Helper()
	var took [3][]time.Duration
	contestants := [3]func(){ours, bare, gokrb5}
	for b.Loop() {
		for i, fn := range contestants {
			began := time.Now()
			fn()
			took[i] = append(took[i], time.Since(began))
		}
	}
	var median [3]time.Duration
	for i, d := range took {
		slices.Sort(d)
		median[i] = d[len(d)/2]
	}
	b.ReportMetric(0, "ns/op") // not shown: all three together
	b.ReportMetric(float64(size)/median[0].Seconds()/1e6, "MB/s")
	b.ReportMetric(100*float64(median[1])/float64(median[0]), "%bare")
	b.ReportMetric(float64(median[2])/float64(median[0]), "x-gokrb5")
	b.ReportMetric(testing.AllocsPerRun(10, ours), "allocs")
}

func bareCipher(b *testing.B, key Key, size int, encrypt bool) func() {
	b.Helper()
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
	return func() {
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
