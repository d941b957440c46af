package chanbind_test

import (
	"encoding/hex"
	"encoding/pem"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/chanbind"
)

func TestServerEndPoint(t *testing.T) {
	data, err := os.ReadFile("testdata/certificates.txt")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(data), "# ")
	count := 0
	for entry := range strings.SplitSeq(rest, "# ") {
		line, text, _ := strings.Cut(entry, "\n")
		name, digest, _ := strings.Cut(line, " ")
		count++
		t.Run(name, func(t *testing.T) {
			block, _ := pem.Decode([]byte(text))
			require.NotNil(t, block)
			got, err := chanbind.ServerEndPoint(block.Bytes)
			require.NoError(t, err)
			hash, ok := strings.CutPrefix(string(got), "tls-server-end-point:")
			require.True(t, ok)
			assert.Equal(t, digest, hex.EncodeToString([]byte(hash)))
		})
	}
	assert.Equal(t, 21, count)
}

func TestServerEndPointRefuses(t *testing.T) {
	for _, der := range []string{"", "x", "\x30\x00", "\x30\x03\x02\x01\x05"} {
		_, err := chanbind.ServerEndPoint([]byte(der))
		require.Error(t, err, "%q", der)
	}
}

func FuzzServerEndPoint(f *testing.F) {
	data, err := os.ReadFile("testdata/certificates.txt")
	require.NoError(f, err)
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		f.Add(block.Bytes)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		_, _ = chanbind.ServerEndPoint(der)
	})
}
