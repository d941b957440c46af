package winrm_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// A writer that is slow stops the Receive loop; nothing piles up.
func TestBackPressure(t *testing.T) {
	var written atomic.Int64
	_, client := handle(t, func(p *winrmtest.Proc) uint32 {
		for range 200 {
			n, err := p.Stdout.Write(make([]byte, 64<<10))
			if err != nil {
				return 1
			}
			written.Add(int64(n))
		}
		return 0
	})
	release := make(chan struct{})
	cmd := client.Command("x")
	var got int64
	cmd.Stdout = writerFunc(func(p []byte) (int, error) {
		<-release
		got += int64(len(p))
		return len(p), nil
	})
	require.NoError(t, cmd.Start())
	time.Sleep(300 * time.Millisecond)
	assert.Less(t, written.Load(), int64(4<<20), "the command waits, too")
	close(release)
	within(t, 10*time.Second, func() { require.NoError(t, cmd.Wait()) })
	assert.Equal(t, int64(200*64<<10), got)
}

// Much output passes in little memory, in order.
func TestMuchOutput(t *testing.T) {
	size := int64(200 << 20)
	if testing.Short() || raceDetector {
		size = 8 << 20
	}
	// Not recorded, of course.
	client := server(t, winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		buf := make([]byte, 1<<16)
		for n := int64(0); n < size; n += int64(len(buf)) {
			for i := range buf {
				buf[i] = byte((n + int64(i)) % 127)
			}
			if _, err := p.Stdout.Write(buf); err != nil {
				return 1
			}
		}
		return 0
	})))
	cmd := client.Command("x")
	var n int64
	var peak uint64
	good := true
	cmd.Stdout = writerFunc(func(p []byte) (int, error) {
		for i, b := range p {
			good = good && b == byte((n+int64(i))%127)
		}
		if n>>24 != (n+int64(len(p)))>>24 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
		}
		n += int64(len(p))
		return len(p), nil
	})
	within(t, 60*time.Second, func() { require.NoError(t, cmd.Run()) })
	assert.Equal(t, size, n)
	assert.True(t, good, "order and bytes")
	assert.Less(t, peak, uint64(64<<20), "heap in use, server included")
}
