package twopass_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rc4"
	"crypto/sha256"
	"fmt"
	"hash"
	"math"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/twopass"
)

// TestMain fails when goroutines are left after all tests.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	for range 100 {
		if code != 0 || runtime.NumGoroutine() <= before {
			os.Exit(code)
		}
		time.Sleep(20 * time.Millisecond)
	}
	fmt.Fprintln(os.Stderr, "goroutines left behind")
	os.Exit(1)
}

// processors sets GOMAXPROCS for a test.
func processors(t testing.TB, n int) {
	t.Helper()
	before := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

const parallel = 64 << 10

var sizes = []int{
	0, 1, 8<<10 - 1, 8 << 10, 8<<10 + 1, parallel - 1, parallel, parallel + 1,
	parallel + 8<<10, 500_003,
}

// lazy is a MAC that lets others run before it, or in the midst of what it writes.
type lazy struct {
	hash.Hash
	yields int
}

func (l lazy) Write(p []byte) (int, error) {
	n, _ := l.Hash.Write(p[:len(p)/2])
	for range l.yields {
		runtime.Gosched()
	}
	m, err := l.Hash.Write(p[len(p)/2:])
	return n + m, err
}

// TestSameOnEveryMachine holds what comes out to the two passes run one after the
// other. The yields let the MAC be taken over early, while it is in use, or have it
// wait for the cipher.
func TestSameOnEveryMachine(t *testing.T) {
	for _, procs := range []int{1, 2, 4} {
		for name, yields := range map[string]struct{ cipher, mac int }{
			"as it comes": {}, "slow cipher": {cipher: 300}, "slow MAC": {mac: 20}, "both slow": {50, 20},
		} {
			t.Run(fmt.Sprintf("%d/%s", procs, name), func(t *testing.T) {
				processors(t, procs)
				var r twopass.Runner // one for all messages
				for i, size := range sizes {
					gap := twopass.Page * (i % 4)
					plain := bytes.Repeat([]byte("a message"), size/9+1)[:size]
					want := make([]byte, size)
					newRC4(t).XORKeyStream(want, plain)
					mac := lazy{hmac.New(sha256.New, []byte("key")), yields.mac}
					stream := newRC4(t)
					at := 0
					encrypt := func(dst, src []byte) func(from, to int) {
						return func(from, to int) {
							require.Equal(t, at, from, "in order and without a gap")
							at = to
							stream.XORKeyStream(dst[from:to], src[from:to])
							for range yields.cipher {
								runtime.Gosched()
							}
						}
					}

					got := make([]byte, size)
					r.Apart(mac, plain, parallel, encrypt(got, plain))
					assert.Equal(t, size, at)
					assert.True(t, bytes.Equal(want, got), "%d bytes", size)
					assert.Equal(t, sum(plain), mac.Sum(nil), "MAC over the plaintext of %d bytes", size)

					mac.Reset()
					stream, at = newRC4(t), 0
					r.Behind(mac, plain, parallel, gap, encrypt(plain, plain))
					assert.Equal(t, size, at)
					assert.True(t, bytes.Equal(want, plain), "%d bytes", size)
					assert.Equal(t, sum(want), mac.Sum(nil), "MAC over the ciphertext of %d bytes", size)
				}
			})
		}
	}
}

func newRC4(t testing.TB) *rc4.Cipher {
	t.Helper()
	c, err := rc4.NewCipher([]byte("some key"))
	require.NoError(t, err)
	return c
}

func sum(b []byte) []byte {
	h := hmac.New(sha256.New, []byte("key"))
	h.Write(b)
	return h.Sum(nil)
}

func TestNothingIsAllocated(t *testing.T) {
	processors(t, 2)
	var r twopass.Runner
	mac, stream := hmac.New(sha256.New, []byte("key")), newRC4(t)
	data := make([]byte, 2*parallel)
	message := func() {
		r.Apart(mac, data, parallel, func(_, _ int) {})
		r.Behind(mac, data, parallel, twopass.Page, func(from, to int) { stream.XORKeyStream(data[from:to], data[from:to]) })
	}
	// The runtime itself allocates for goroutines until each processor's list of
	// ended ones is full: the first rounds may count more.
	const rounds, runs = 10, 100
	least := uint64(math.MaxUint64)
	for range rounds {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			message()
		}
		runtime.ReadMemStats(&after)
		if least = min(least, after.Mallocs-before.Mallocs); least < runs {
			return
		}
	}
	assert.Less(t, least, uint64(runs), "less than one for each message")
}
