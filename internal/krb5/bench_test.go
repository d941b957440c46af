package krb5

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/stretchr/testify/require"
)

var benchSizes = []int{1 << 10, 150 << 10, 500 << 10}

var benchETypes = []EType{AES256SHA1, AES256SHA384, AES128SHA1, AES128SHA256}

// BenchmarkSeal seals one message as WinRM wants it, beside gokrb5's EncryptMessage,
// and beside the cipher and the MAC alone: see turns.
func BenchmarkSeal(b *testing.B) {
	each(b, func(b *testing.B, key Key, size int) {
		plain := make([]byte, size)
		c := vectorContext(b, true, key, true, 0, nil)
		c.confounderFunc = randomFill
		dst := make([]byte, 0, size+200)
		other, err := crypto.GetEtype(int32(key.EType))
		require.NoError(b, err)
		cbc, mac := bareCipher(b, key, size, true)
		turns(b, size, func() {
			if _, _, _, err := c.Wrap(dst, plain); err != nil {
				b.Fatal(err) // no assertion: it costs as much as a short message
			}
		}, func() {
			if _, _, err := other.EncryptMessage(key.Value, plain, usageInitiatorSeal); err != nil {
				b.Fatal(err)
			}
		}, cbc, mac)
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
		cbc, mac := bareCipher(b, key, size, false)
		turns(b, size, func() {
			copy(buf, sealed) // what opening in place costs a benchmark, and nobody else
			to.recvSeq = 0
			if _, err := to.Unwrap(buf, n); err != nil {
				b.Fatal(err)
			}
		}, func() {
			if _, err := other.DecryptMessage(key.Value, message, usageInitiatorSeal); err != nil {
				b.Fatal(err)
			}
		}, cbc, mac)
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

// turns reports the speeds of all, what ours makes of cipher and MAC one after the
// other (%bare), and how much faster than gokrb5 it is. They take turns of some
// messages each and medians count: what else the machine does slows all of them.
// The heap is swept before each turn, so that each pays for its own garbage.
func turns(b *testing.B, size int, contestants ...func()) {
	b.Helper()
	n := max(1, 4<<20/size)
	took := make([][]time.Duration, len(contestants))
	for b.Loop() {
		for i, fn := range contestants {
			runtime.GC()
			began := time.Now()
			for range n {
				fn()
			}
			took[i] = append(took[i], time.Since(began))
		}
	}
	var speed [4]float64
	for i, d := range took {
		slices.Sort(d)
		speed[i] = float64(n*size) / d[len(d)/2].Seconds() / 1e6
	}
	ours, gokrb5, cbc, mac := speed[0], speed[1], speed[2], speed[3]
	b.ReportMetric(0, "ns/op") // not shown: turns of all together
	b.ReportMetric(ours, "MB/s")
	b.ReportMetric(gokrb5, "gokrb5-MB/s")
	b.ReportMetric(cbc, "cbc-MB/s")
	b.ReportMetric(mac, "mac-MB/s")
	b.ReportMetric(100*ours*(1/cbc+1/mac), "%bare")
	b.ReportMetric(ours/gokrb5, "x-gokrb5")
	b.ReportMetric(allocations(contestants[0]), "allocs")
}

// allocations is testing.AllocsPerRun on all processors. The runtime itself
// allocates for goroutines until each processor's list of ended ones is full, so
// the first rounds may count more than a later one.
func allocations(fn func()) float64 {
	const rounds, runs = 10, 20
	least := math.Inf(1)
	for range rounds {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			fn()
		}
		runtime.ReadMemStats(&after)
		least = min(least, float64((after.Mallocs-before.Mallocs)/runs))
		if least == 0 {
			break
		}
	}
	return least
}

// bareCipher is the cipher and the MAC on the same bytes and no more.
func bareCipher(b *testing.B, key Key, size int, encrypt bool) (cbc, mac func()) {
	b.Helper()
	ke, err := key.derive(usageInitiatorSeal, deriveKe)
	require.NoError(b, err)
	block, err := aes.NewCipher(ke)
	require.NoError(b, err)
	h := hmac.New(key.EType.newHash(), ke)
	buf := make([]byte, size/aes.BlockSize*aes.BlockSize)
	var sum [64]byte
	newMode := cipher.NewCBCDecrypter
	if encrypt {
		newMode = cipher.NewCBCEncrypter
	}
	mode := newMode(block, zeroIV[:])
	return func() { mode.CryptBlocks(buf, buf) }, func() {
		h.Reset()
		h.Write(buf)
		h.Sum(sum[:0])
	}
}

// BenchmarkSealMany has a context for each processor, and then four, seal at once:
// there is no idle processor for the MAC then.
func BenchmarkSealMany(b *testing.B) {
	const size = 500 << 10
	for _, e := range benchETypes {
		for _, each := range []int{1, 4} {
			b.Run(fmt.Sprintf("%v/%d", e, each), func(b *testing.B) {
				key := mustKey(b, e)
				b.SetBytes(size)
				b.SetParallelism(each)
				b.RunParallel(func(pb *testing.PB) {
					c, err := newContext(true, key, true, 0, 0)
					if err != nil {
						b.Error(err)
						return
					}
					plain, dst := make([]byte, size), make([]byte, 0, size+200)
					for pb.Next() {
						if _, _, _, err := c.Wrap(dst, plain); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
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
