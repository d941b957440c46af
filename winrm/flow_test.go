package winrm_test

import (
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
	srv, client := handle(t, func(p *winrmtest.Proc) uint32 {
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
	asked := srv.Stats().Exchanges["Receive"]
	assert.LessOrEqual(t, asked, 1)
	time.Sleep(300 * time.Millisecond)
	assert.Equal(t, asked, srv.Stats().Exchanges["Receive"], "nothing more is asked for")
	assert.Less(t, written.Load(), int64(4<<20), "the command waits, too")
	close(release)
	within(t, 10*time.Second, func() { require.NoError(t, cmd.Wait()) })
	assert.Equal(t, int64(200*64<<10), got)
}
