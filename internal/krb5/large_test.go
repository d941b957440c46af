package krb5

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var aesETypes = []EType{AES128SHA1, AES256SHA1, AES128SHA256, AES256SHA384}

// largeSizes are plaintexts around the sizes from which messages are taken in
// pieces, and on two processors; there the header's copy and the blocks that change
// places come after the pieces.
func largeSizes() []int {
	var sizes []int
	for _, n := range []int{inPieces, inPieces + 8<<10, parallelSeal, parallelOpen, 500_000} {
		for _, more := range []int{-1, 0, 1, 16, 31, 33} {
			sizes = append(sizes, n+more)
		}
	}
	return sizes
}

// processors sets GOMAXPROCS for a test.
func processors(t testing.TB, n int) {
	t.Helper()
	before := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

func randomText(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// rotated turns the token that Wrap made, header and data, to what RFC 4121 section
// 4.2.4 has encrypted, as gokrb5 and an RRC of 0 want it.
func rotated(token []byte) []byte {
	rrc := int(token[7])
	return slices.Concat(token[tokHeader+rrc:], token[tokHeader:tokHeader+rrc])
}

// TestLargeMessages has gokrb5 open what is sealed on one processor and on several,
// and both open what gokrb5 has sealed.
func TestLargeMessages(t *testing.T) {
	for _, e := range aesETypes {
		for _, procs := range []int{1, 4} {
			t.Run(fmt.Sprintf("%v/%d", e, procs), func(t *testing.T) {
				processors(t, procs)
				key := mustKey(t, e)
				other, err := crypto.GetEtype(int32(e))
				require.NoError(t, err)
				c := vectorContext(t, true, key, true, 0, nil)
				c.confounderFunc = randomFill
				opener := vectorContext(t, true, key, true, 0, nil)
				for _, size := range largeSizes() {
					plain := randomText(size)
					before := slices.Clone(plain)
					out, _, length, err := c.Wrap(nil, plain)
					require.NoError(t, err)
					require.Equal(t, size, length)
					require.True(t, bytes.Equal(before, plain), "the plaintext is left alone")
					header := slices.Clone(out[:tokHeader])
					header[6], header[7] = 0, 0

					opened, err := other.DecryptMessage(key.Value, rotated(out), usageInitiatorSeal)
					require.NoError(t, err, "%d bytes", size)
					require.True(t, bytes.Equal(slices.Concat(plain, header), opened), "%d bytes", size)

					theirs := []byte{0x05, 0x04, tokSealed | tokSentByAcceptor | tokAcceptorSubkey, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
					_, sealed, err := other.EncryptMessage(key.Value, slices.Concat(plain, theirs), usageAcceptorSeal)
					require.NoError(t, err)
					for _, rrc := range []int{0, tokHeader + opener.open.p.macSize} {
						token := slices.Concat(theirs, sealed[len(sealed)-rrc:], sealed[:len(sealed)-rrc])
						token[7] = byte(rrc)
						opener.recvSeq = 0
						got, err := opener.Unwrap(token, 60)
						require.NoError(t, err, "%d bytes, rotated by %d", size, rrc)
						require.True(t, bytes.Equal(plain, got), "%d bytes, rotated by %d", size, rrc)
					}
				}
			})
		}
	}
}

// TestSameOnEveryMachine compares the bytes.
func TestSameOnEveryMachine(t *testing.T) {
	for _, e := range aesETypes {
		t.Run(e.String(), func(t *testing.T) {
			key := mustKey(t, e)
			seal := func(procs, size int) []byte {
				processors(t, procs)
				c := vectorContext(t, true, key, true, 5, bytes.Repeat([]byte{7}, 16))
				out, _, _, err := c.Wrap(nil, randomText(size))
				require.NoError(t, err)
				return out
			}
			for _, size := range largeSizes() {
				require.True(t, bytes.Equal(seal(1, size), seal(4, size)), "%d bytes", size)
			}
		})
	}
}

// TestLargeMessageChanged changes a message at its ends and where it is cut.
func TestLargeMessageChanged(t *testing.T) {
	const size = parallelOpen + 100
	for _, e := range aesETypes {
		for _, procs := range []int{1, 4} {
			t.Run(fmt.Sprintf("%v/%d", e, procs), func(t *testing.T) {
				processors(t, procs)
				key := mustKey(t, e)
				plain := bytes.Repeat([]byte("0123456789abcdef"), size/16)
				from, to := vectorContext(t, true, key, true, 0, make([]byte, 16)), vectorContext(t, false, key, true, 0, nil)
				out, n, _, err := from.Wrap(nil, plain)
				require.NoError(t, err)
				for _, at := range []int{tokHeader, tokHeader + 16, n - 16, n, n + 8<<10, n + size/2, len(out) - 33, len(out) - 17, len(out) - 1} {
					bad := slices.Clone(out)
					bad[at] ^= 0x10
					got, err := to.Unwrap(bad, n)
					require.ErrorIs(t, err, ErrIntegrity, "byte %d", at)
					assert.Nil(t, got)
					assert.NotContains(t, string(bad), "0123456789abcdef", "nothing is decrypted before it is verified, or it is overwritten")
				}
				got, err := to.Unwrap(out, n)
				require.NoError(t, err)
				assert.True(t, bytes.Equal(plain, got))
			})
		}
	}
}

func TestLargeMessagesAllocateNothing(t *testing.T) {
	processors(t, 2)
	for _, e := range aesETypes {
		key := mustKey(t, e)
		from, to := vectorContext(t, true, key, true, 0, nil), vectorContext(t, false, key, true, 0, nil)
		from.confounderFunc = randomFill
		plain := make([]byte, 300_000)
		dst := make([]byte, 0, len(plain)+100)
		assert.Zero(t, allocations(func() {
			out, n, _, err := from.Wrap(dst, plain)
			if err == nil {
				_, err = to.Unwrap(out, n)
			}
			if err != nil {
				t.Error(err)
			}
		}), e)
	}
}
