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

// sameAsStandard holds decodeBase64 to encoding/base64.
func sameAsStandard(t *testing.T, text []byte) {
	t.Helper()
	want := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, wantErr := base64.StdEncoding.Decode(want, text)
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
			for _, c := range []byte("-_=\r\n A\x00\xff") {
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
	for width := 1; width < 80; width++ {
		var b strings.Builder
		for rest := text; rest != ""; {
			n := min(width, len(rest))
			b.WriteString(rest[:n] + "\r\n")
			rest = rest[n:]
		}
		buf := []byte(b.String())
		n, err := decodeBase64(buf)
		require.NoError(t, err)
		assert.Equal(t, string(data), string(buf[:n]), "width %d", width)
	}
}

func FuzzDecodeBase64(f *testing.F) {
	f.Add([]byte("QUJDREVGR0g="))
	f.Add([]byte("QUJD\r\nREVG"))
	f.Add([]byte("QUJDREV=R0hJ"))
	f.Fuzz(func(t *testing.T, text []byte) { sameAsStandard(t, text) })
}
