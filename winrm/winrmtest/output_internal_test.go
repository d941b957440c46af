package winrmtest

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What was taken stays as it is until it is released, also when the command ends
// meanwhile and others write.
func TestTakenOutputIsKept(t *testing.T) {
	for range 100 {
		box := newOutbox(1 << 20)
		_, err := box.write(streamStdout, bytes.Repeat([]byte("a"), segmentSize))
		require.NoError(t, err)
		const n = 3000
		taken, more := box.take(nil, [streamCount]bool{true, true}, encodedCost(n), segmentSize)
		require.True(t, more)
		box.close(true)
		other := newOutbox(1 << 20)
		_, err = other.write(streamStdout, bytes.Repeat([]byte("b"), segmentSize))
		require.NoError(t, err)
		assert.Equal(t, bytes.Repeat([]byte("a"), len(taken[0].data)), taken[0].data)
		release(taken)
		other.close(true)
	}
}
