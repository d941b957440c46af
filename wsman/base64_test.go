package wsman

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sameAsStandard holds decodeBase64 to encoding/base64, which knows no blanks.
func sameAsStandard(t *testing.T, text []byte) {
	t.Helper()
	want := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, wantErr := base64.StdEncoding.Decode(want, []byte(strings.NewReplacer(" ", "", "\t", "").Replace(string(text))))
	got := bytes.Clone(text)
	m, err := decodeBase64(got)
	require.Equal(t, wantErr, err, "%q", text)
	if wantErr == nil {
		require.Equal(t, n, m)
		require.True(t, bytes.Equal(want[:n], got[:m]), "%q", text)
	}
}

func TestDecodeBase64EveryLength(t *testing.T) {
	rng := rand.NewChaCha8([32]byte{1})
	for size := range 200 {
		data := make([]byte, size)
		_, _ = rng.Read(data)
		text := []byte(base64.StdEncoding.EncodeToString(data))
		sameAsStandard(t, text)
		for at := range text { // cut, and with each character replaced
			sameAsStandard(t, text[:at])
			for _, c := range []byte("-_=\r\n\t A\x00\xff") {
				bad := bytes.Clone(text)
				bad[at] = c
				sameAsStandard(t, bad)
			}
		}
	}
}

func TestDecodeBase64Lines(t *testing.T) {
	data := bytes.Repeat([]byte("line ends anywhere "), 50)
	text := base64.StdEncoding.EncodeToString(data)
	for _, end := range []string{"\r\n", " ", "\t", "\r\n\t "} {
		for width := 1; width < 80; width++ {
			var b strings.Builder
			for rest := text; rest != ""; {
				n := min(width, len(rest))
				b.WriteString(rest[:n] + end)
				rest = rest[n:]
			}
			buf := []byte(b.String())
			n, err := decodeBase64(buf)
			require.NoError(t, err)
			assert.Equal(t, string(data), string(buf[:n]), "width %d, %q", width, end)
		}
	}
}

// Whatever the length and whatever stands before, the text is that of
// encoding/base64.
func TestAppendBase64(t *testing.T) {
	rng := rand.NewChaCha8([32]byte{2})
	data := make([]byte, 300)
	_, _ = rng.Read(data)
	for size := range data {
		for _, before := range []int{0, 1, 7} {
			for _, room := range []int{0, 5, 1000} {
				dst := append(make([]byte, 0, before+room), data[:before]...)
				want := base64.StdEncoding.AppendEncode(bytes.Clone(dst), data[:size])
				got := appendBase64(dst, data[:size])
				require.True(t, bytes.Equal(want, got), "%d bytes after %d: %q", size, before, got)
			}
		}
	}
	all := make([]byte, 0, 3<<12) // each value of twelve bits, in both places of 24
	for v := range 1 << 12 {
		all = append(all, byte(v>>4), byte(v<<4)|byte(v>>8), byte(v))
	}
	assert.Equal(t, base64.StdEncoding.EncodeToString(all), string(appendBase64(nil, all)))
}

func BenchmarkBase64(b *testing.B) {
	const size = 370_000 // of output in one answer
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(data)
	text := make([]byte, 0, base64.StdEncoding.EncodedLen(size))
	for _, by := range []struct {
		name string
		run  func()
	}{
		{"Encode", func() { text = appendBase64(text[:0], data) }},
		{"EncodePlain", func() { text = base64.StdEncoding.AppendEncode(text[:0], data) }},
	} {
		b.Run(by.name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				by.run()
			}
		})
	}
}

func FuzzDecodeBase64(f *testing.F) {
	f.Add([]byte("QUJDREVGR0g="))
	f.Add([]byte("QUJD\r\nREVG"))
	f.Add([]byte("QUJDREV=R0hJ"))
	f.Fuzz(func(t *testing.T, text []byte) { sameAsStandard(t, text) })
}
