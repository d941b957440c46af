package ntlm

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const testFlags = sealFlags

func sessions() (client, server *Session) {
	client, server = new(Session), new(Session)
	key := [16]byte{1, 2, 3}
	client.start(testFlags, key, false)
	server.start(testFlags, key, true)
	return client, server
}

func TestUnwrapRefuses(t *testing.T) {
	seal := func(t *testing.T, s *Session, text string) []byte {
		t.Helper()
		out, _, _, err := s.Wrap(nil, []byte(text))
		require.NoError(t, err)
		return out
	}
	t.Run("changed anywhere", func(t *testing.T) {
		client, _ := sessions()
		sealed := seal(t, client, "hello")
		for at := range sealed {
			_, server := sessions()
			changed := bytes.Clone(sealed)
			changed[at] ^= 0x80
			plain, err := server.Unwrap(changed, signatureSize)
			require.Error(t, err, "byte %d", at)
			assert.Nil(t, plain)
		}
	})
	t.Run("short", func(t *testing.T) {
		client, _ := sessions()
		sealed := seal(t, client, "hello")
		for n := range len(sealed) {
			_, server := sessions()
			_, err := server.Unwrap(bytes.Clone(sealed[:n]), min(n, signatureSize))
			require.Error(t, err, "%d bytes", n)
		}
	})
	t.Run("signature of a wrong length", func(t *testing.T) {
		for _, n := range []int{-1, 0, 15, 17, 1 << 30} {
			client, server := sessions()
			_, err := server.Unwrap(seal(t, client, "hello"), n)
			require.ErrorIs(t, err, ErrSignature)
		}
	})
	t.Run("replayed", func(t *testing.T) {
		client, server := sessions()
		sealed := seal(t, client, "hello")
		_, err := server.Unwrap(bytes.Clone(sealed), signatureSize)
		require.NoError(t, err)
		_, err = server.Unwrap(sealed, signatureSize)
		assert.Equal(t, &SequenceError{Got: 0, Want: 1}, err)
	})
	t.Run("skipped", func(t *testing.T) {
		client, server := sessions()
		seal(t, client, "lost")
		_, err := server.Unwrap(seal(t, client, "hello"), signatureSize)
		assert.Equal(t, &SequenceError{Got: 1, Want: 0}, err)
	})
	t.Run("reflected", func(t *testing.T) {
		client, _ := sessions()
		_, err := client.Unwrap(seal(t, client, "hello"), signatureSize)
		require.ErrorIs(t, err, ErrSignature)
	})
	t.Run("ends the session", func(t *testing.T) {
		client, server := sessions()
		first, second := seal(t, client, "one"), seal(t, client, "two")
		_, err := server.Unwrap(second, signatureSize)
		require.Error(t, err)
		_, err = server.Unwrap(first, signatureSize)
		assert.Equal(t, &SequenceError{Got: 1, Want: 0}, err, "the first error stays")
		_, _, _, err = server.Wrap(nil, nil)
		require.Error(t, err)
	})
}

func TestVerifyMICRefuses(t *testing.T) {
	client, _ := sessions()
	mic, err := client.MIC(nil, []byte("list"))
	require.NoError(t, err)
	for at := range mic {
		_, server := sessions()
		changed := bytes.Clone(mic)
		changed[at] ^= 1
		require.Error(t, server.VerifyMIC([]byte("list"), changed), "byte %d", at)
	}
	_, server := sessions()
	require.ErrorIs(t, server.VerifyMIC([]byte("List"), mic), ErrSignature)
	_, server = sessions()
	require.ErrorIs(t, server.VerifyMIC([]byte("list"), mic[:15]), ErrSignature)
}

// Sealed messages may go one way before the MIC comes the other way, as in
// CredSSP: each direction is reset by its own.
func TestResetAfterMICPerDirection(t *testing.T) {
	client, server := sessions()
	list := []byte("list")
	clientMIC, err := client.MIC(nil, list)
	require.NoError(t, err)
	client.ResetAfterMIC()
	sealed, n, _, err := client.Wrap(nil, []byte("early"))
	require.NoError(t, err)

	require.NoError(t, server.VerifyMIC(list, clientMIC))
	server.ResetAfterMIC()
	serverMIC, err := server.MIC(nil, list)
	require.NoError(t, err)
	server.ResetAfterMIC()
	require.NoError(t, client.VerifyMIC(list, serverMIC))
	client.ResetAfterMIC()

	plain, err := server.Unwrap(sealed, n)
	require.NoError(t, err)
	assert.Equal(t, "early", string(plain))
	talk(t, client, server)
}

// Large messages are sealed and opened on two processors: what comes out is the
// same, and a changed one is noticed.
func TestLargeMessages(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, size := range []int{parallel - 1, parallel, 500_003} {
		plain := bytes.Repeat([]byte("a message"), size/9+1)[:size]
		var sealed [][]byte
		for _, procs := range []int{1, 4} {
			runtime.GOMAXPROCS(procs)
			client, server := sessions()
			for range 2 {
				out, n, _, err := client.Wrap(nil, plain)
				require.NoError(t, err)
				sealed = append(sealed, bytes.Clone(out))
				got, err := server.Unwrap(out, n)
				require.NoError(t, err)
				assert.True(t, bytes.Equal(plain, got), "%d bytes", size)
			}
			for _, at := range []int{4, signatureSize, signatureSize + size/2, signatureSize + size - 1} {
				_, server := sessions()
				changed := bytes.Clone(sealed[0])
				changed[at] ^= 1
				_, err := server.Unwrap(changed, signatureSize)
				require.ErrorIs(t, err, ErrSignature, "byte %d", at)
				assert.NotContains(t, string(changed), "a message")
			}
		}
		assert.True(t, bytes.Equal(sealed[0], sealed[2]), "%d bytes", size)
		assert.True(t, bytes.Equal(sealed[1], sealed[3]), "%d bytes", size)
	}
}

func TestSealingDoesNotAllocate(t *testing.T) {
	client, server := sessions()
	plain := make([]byte, 20_000)
	buf := make([]byte, 0, len(plain)+signatureSize)
	allocs := testing.AllocsPerRun(100, func() {
		out, n, _, err := client.Wrap(buf, plain)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := server.Unwrap(out, n); err != nil {
			t.Fatal(err)
		}
	})
	assert.Zero(t, allocs)
}

func TestHashIsHidden(t *testing.T) {
	hash, err := PasswordHash("secret")
	require.NoError(t, err)
	for _, text := range []string{fmt.Sprint(hash), fmt.Sprintf("%#v", hash), fmt.Sprintf("%+v", struct{ H Hash }{hash})} {
		assert.Contains(t, text, "***")
	}
}

// BenchmarkSeal is one message sealed and opened, beside what it cannot do
// without: RC4 and HMAC-MD5 of the standard library over the same bytes, by each
// side. ratio is our speed as a part of that.
func BenchmarkSeal(b *testing.B) {
	for _, size := range []int{1 << 10, 150 << 10, 500 << 10} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			plain := make([]byte, size)
			buf := make([]byte, 0, size+signatureSize)
			client, server := sessions()
			ours := func() {
				out, n, _, err := client.Wrap(buf, plain)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := server.Unwrap(out, n); err != nil {
					b.Fatal(err)
				}
			}
			encrypt, _ := rc4.NewCipher(make([]byte, 16))
			decrypt, _ := rc4.NewCipher(make([]byte, 16))
			mac := hmac.New(md5.New, make([]byte, 16))
			var sum [md5.Size]byte
			bare := func() {
				mac.Reset()
				mac.Write(plain)
				mac.Sum(sum[:0])
				encrypt.XORKeyStream(buf[:size], plain)
				decrypt.XORKeyStream(buf[:size], buf[:size])
				mac.Reset()
				mac.Write(buf[:size])
				mac.Sum(sum[:0])
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			compare(b, ours, bare)
		})
	}
}

// compare runs both by turns, so that what else the machine does hits both.
func compare(b *testing.B, ours, bare func()) {
	var clock [2]stopwatch
	for i := 0; b.Loop(); i++ {
		clock[0].run(ours)
		b.StopTimer()
		clock[1].run(bare)
		b.StartTimer()
	}
	b.ReportMetric(float64(clock[1].total)/float64(clock[0].total), "ratio")
}

type stopwatch struct{ total time.Duration }

func (s *stopwatch) run(fn func()) {
	start := time.Now()
	fn()
	s.total += time.Since(start)
}
