package winrm_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/wsman"
)

// A listener that answers Receive when there is output, whatever OperationTimeout
// the client has asked for because others want the connection: nothing of its
// output is taken for lost as long as it keeps to the time-out of the client.
func TestHeedlessOfShortPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, client := newPeer(t, func(x *ask) reply {
			if x.action == "Receive" {
				time.Sleep(50 * time.Second)
			}
			return x.usual()
		}, func(c *winrm.Config) { c.MaxConns = 2 })
		out, err := client.Command("x").Output()
		_, ok := errors.AsType[*winrm.ExitError](err)
		require.True(t, ok, "%v", err)
		_, lost := errors.AsType[*winrm.OutputLostError](err)
		assert.False(t, lost, "%v", err)
		assert.Equal(t, peerOutput, string(out))
		require.Len(t, p.seen("Receive"), 1)
		assert.Contains(t, p.seen("Receive")[0].body, "PT2.000S", "it was asked for an answer soon")
		require.NoError(t, client.Close())
	})
}

// A listener that never answers is given up after the client's time-out.
func TestHeedlessForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := newPeer(t, func(x *ask) reply {
			if x.action == "Receive" {
				time.Sleep(time.Hour)
			}
			return x.usual()
		}, func(c *winrm.Config) { c.MaxConns = 2 })
		began := time.Now()
		err := client.Command("x").Run()
		late, ok := errors.AsType[*wsman.TimeoutError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, 75*time.Second, late.Wait)
		assert.Less(t, time.Since(began), 5*time.Minute)
		require.NoError(t, client.Close())
		time.Sleep(2 * time.Hour)
	})
}
