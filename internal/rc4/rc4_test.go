package rc4_test

import (
	"bytes"
	"crypto/fips140"
	stdrc4 "crypto/rc4"
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/rc4"
)

//go:embed testdata/rfc6229.txt
var rfc6229 string

func newCipher(tb testing.TB, key []byte) *rc4.Cipher {
	tb.Helper()
	c, err := rc4.NewCipher(key)
	require.NoError(tb, err)
	return c
}

func TestRFC6229(t *testing.T) {
	streams := make(map[string][]byte)
	n := 0
	for line := range strings.Lines(rfc6229) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var key, want string
		var offset int
		_, err := fmt.Sscan(line, &key, &offset, &want)
		require.NoError(t, err)
		if streams[key] == nil {
			k, err := hex.DecodeString(key)
			require.NoError(t, err)
			streams[key] = make([]byte, 4112)
			newCipher(t, k).XORKeyStream(streams[key], streams[key])
		}
		assert.Equal(t, want, hex.EncodeToString(streams[key][offset:offset+16]), "key %s at %d", key, offset)
		n++
	}
	assert.Equal(t, 14*18, n)
	assert.Len(t, streams, 14)
}

func TestKeySizes(t *testing.T) {
	for _, size := range []int{0, 257} {
		_, err := rc4.NewCipher(make([]byte, size))
		require.ErrorIs(t, err, rc4.KeySizeError(size))
	}
	for _, size := range []int{1, 256} {
		same(t, bytes.Repeat([]byte{7}, size), make([]byte, 1000), []byte{9})
	}
}

// The state where the next element is the one that has just been exchanged comes
// once in 256 steps; a megabyte has it in every place of a block.
func TestLong(t *testing.T) {
	for i := range byte(3) {
		same(t, []byte{1, 2, 3, i}, make([]byte, 1<<20), []byte{255, i, 1, 200})
	}
}

// same compares our key stream with the standard library's, over text that is cut
// into pieces of the given lengths, and in place.
func same(tb testing.TB, key, text, cuts []byte) {
	tb.Helper()
	std, err := stdrc4.NewCipher(key)
	require.NoError(tb, err)
	want := make([]byte, len(text))
	std.XORKeyStream(want, text)

	ours, inPlace := newCipher(tb, key), newCipher(tb, key)
	got, changed := make([]byte, len(text)+1), bytes.Clone(text)
	for at, i := 0, 0; at < len(text); i++ {
		n := len(text) - at
		if len(cuts) > 0 {
			n = min(n, 1+int(cuts[i%len(cuts)]))
		}
		ours.XORKeyStream(got[at:], text[at:at+n])
		inPlace.XORKeyStream(changed[at:at+n], changed[at:at+n])
		at += n
	}
	if !bytes.Equal(want, got[:len(text)]) || !bytes.Equal(want, changed) || got[len(text)] != 0 {
		tb.Fatalf("key %x, %d bytes cut by %x: another stream than crypto/rc4's", key, len(text), cuts)
	}
}

func FuzzSame(f *testing.F) {
	f.Add([]byte("Key"), []byte("Plaintext"), []byte{3})
	f.Add([]byte("Wiki"), []byte("pedia, and more of it than eight bytes"), []byte{})
	f.Add(make([]byte, 256), make([]byte, 3000), []byte{0, 7, 8, 15, 255})
	f.Fuzz(func(t *testing.T, key, text, cuts []byte) {
		if len(key) == 0 || len(key) > 256 {
			_, err := rc4.NewCipher(key)
			require.ErrorIs(t, err, rc4.KeySizeError(len(key)))
			return
		}
		same(t, key, text, cuts)
	})
}

func TestOverlap(t *testing.T) {
	buf := make([]byte, 64)
	c := newCipher(t, []byte("key"))
	for _, shift := range []int{1, 7, 8, 31} {
		assert.Panics(t, func() { c.XORKeyStream(buf[shift:], buf[:32]) }, "%d", shift)
		assert.Panics(t, func() { c.XORKeyStream(buf, buf[shift:shift+32]) }, "%d", shift)
	}
	assert.NotPanics(t, func() { c.XORKeyStream(buf[32:], buf[:32]) })
	assert.NotPanics(t, func() { c.XORKeyStream(buf[:32], buf[32:]) })
	assert.NotPanics(t, func() { c.XORKeyStream(buf[:32:32], buf[:32]) })
	assert.NotPanics(t, func() { c.XORKeyStream(nil, nil) })
	assert.Panics(t, func() { c.XORKeyStream(make([]byte, 3), make([]byte, 4)) })
}

// In a program that enforces FIPS 140 there is no cipher: the test runs itself in
// such a program.
func TestFIPS(t *testing.T) {
	if !fips140.Enforced() {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFIPS$", "-test.v")
		cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Contains(t, string(out), "--- PASS: TestFIPS")
		return
	}
	_, err := rc4.NewCipher([]byte("key"))
	require.ErrorIs(t, err, rc4.ErrFIPS)
	fips140.WithoutEnforcement(func() { _, err = rc4.NewCipher([]byte("key")) })
	require.NoError(t, err)
}

// BenchmarkXORKeyStream has crypto/rc4 over the same bytes by turns: ratio is how
// many times our speed is its.
func BenchmarkXORKeyStream(b *testing.B) {
	for _, size := range []int{16, 16 << 10, 150 << 10, 500 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			buf := make([]byte, size)
			ours := newCipher(b, []byte("0123456789abcdef"))
			std, err := stdrc4.NewCipher([]byte("0123456789abcdef"))
			require.NoError(b, err)
			runs := max(1, 512<<10/size)
			var best [2]time.Duration
			b.SetBytes(int64(size * runs))
			for b.Loop() {
				for i, xor := range []func(dst, src []byte){ours.XORKeyStream, std.XORKeyStream} {
					if i == 1 {
						b.StopTimer()
					}
					start := time.Now()
					for range runs {
						xor(buf, buf)
					}
					if d := time.Since(start); best[i] == 0 || d < best[i] {
						best[i] = d
					}
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(best[1])/float64(best[0]), "x-crypto/rc4")
			b.ReportMetric(float64(size*runs)/best[0].Seconds()/1e6, "best-MB/s")
		})
	}
}
