package http1_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/http1"
)

// A TCP socket is asked after it was waited for, too, and after what was there to
// read turned out to be nothing.
func TestAliveAfterWaiting(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer a.Close()
	b, err := ln.Accept()
	require.NoError(t, err)
	defer b.Close()

	c := http1.NewConn(a)
	for range 3 {
		assert.True(t, c.AliveFor(time.Millisecond))
		assert.True(t, c.Alive())
		_, err := b.Write([]byte("\r\n"))
		require.NoError(t, err)
		assert.True(t, c.AliveFor(10*time.Millisecond), "a line break is no answer")
	}
	seen := serve(b, okHello)
	resp, err := c.Exchange(t.Context(), post("x"), 100)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(resp.Body.Bytes()))
	assert.Len(t, <-seen, 1)

	time.AfterFunc(time.Millisecond, func() { _ = b.Close() })
	assert.False(t, c.AliveFor(time.Minute), "it does not wait in vain")
	assert.False(t, c.Alive())
}
