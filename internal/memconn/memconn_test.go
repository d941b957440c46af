package memconn_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/memconn"
)

func pair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l := memconn.Listen("host:5985")
	t.Cleanup(func() { _ = l.Close() })
	a, err := l.DialContext(t.Context(), "tcp", "ignored")
	require.NoError(t, err)
	b, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return a, b
}

func TestBothWriteFirst(t *testing.T) {
	a, b := pair(t)
	for _, c := range []net.Conn{a, b} {
		n, err := c.Write(make([]byte, 60<<10))
		require.NoError(t, err)
		assert.Equal(t, 60<<10, n)
	}
}

func TestLargeTransferKeepsOrder(t *testing.T) {
	a, b := pair(t)
	want := make([]byte, 3<<20)
	for i := range want {
		want[i] = byte(i * 7 >> 3)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := a.Write(want)
		assert.NoError(t, err)
		assert.NoError(t, a.(*memconn.Conn).CloseWrite())
	})
	got, err := io.ReadAll(b)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	wg.Wait()
	_, err = b.Write([]byte("the other way is open"))
	require.NoError(t, err)
	_, err = a.Write([]byte("x"))
	assert.Error(t, err)
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t)
		begun := time.Now()
		require.NoError(t, a.SetReadDeadline(begun.Add(time.Hour)))
		_, err := a.Read(make([]byte, 1))
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Equal(t, time.Hour, time.Since(begun))
		var ne net.Error
		assert.True(t, errors.As(err, &ne) && ne.Timeout())

		// A deadline in the past ends a Read that waits; clearing it makes the
		// connection good again.
		require.NoError(t, a.SetReadDeadline(time.Time{}))
		done := make(chan error)
		go func() { _, err := a.Read(make([]byte, 1)); done <- err }()
		synctest.Wait()
		require.NoError(t, a.SetReadDeadline(time.Unix(1, 0)))
		assert.ErrorIs(t, <-done, os.ErrDeadlineExceeded)
		require.NoError(t, a.SetDeadline(time.Time{}))
		_, err = b.Write([]byte("x"))
		require.NoError(t, err)
		_, err = a.Read(make([]byte, 1))
		require.NoError(t, err)

		require.NoError(t, a.SetWriteDeadline(time.Now().Add(time.Second)))
		n, err := a.Write(make([]byte, 1<<20))
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Equal(t, 64<<10, n)
	})
}

func TestCloseAndReset(t *testing.T) {
	a, b := pair(t)
	_, err := a.Write([]byte("last words"))
	require.NoError(t, err)
	require.NoError(t, a.Close())
	assert.ErrorIs(t, a.Close(), net.ErrClosed)
	got, err := io.ReadAll(b)
	require.NoError(t, err)
	assert.Equal(t, "last words", string(got))
	_, err = b.Write([]byte("x"))
	assert.ErrorIs(t, err, syscall.EPIPE)
	_, err = a.Read(make([]byte, 1))
	assert.ErrorIs(t, err, net.ErrClosed)

	a, b = pair(t)
	_, err = a.Write([]byte("lost"))
	require.NoError(t, err)
	a.(*memconn.Conn).Reset()
	_, err = b.Read(make([]byte, 10))
	assert.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestListener(t *testing.T) {
	l := memconn.Listen("host:5985")
	assert.Equal(t, "host:5985", l.Addr().String())
	ctx, cancel := context.WithCancel(t.Context())
	var waiting net.Conn
	for range 128 {
		c, err := l.DialContext(ctx, "tcp", "")
		require.NoError(t, err)
		waiting = c
	}
	cancel()
	_, err := l.DialContext(ctx, "tcp", "")
	assert.ErrorIs(t, err, context.Canceled, "the backlog is full")
	require.NoError(t, l.Close())
	_, err = waiting.Read(make([]byte, 1))
	assert.ErrorIs(t, err, syscall.ECONNRESET)
	_, err = l.DialContext(t.Context(), "tcp", "")
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
	_, err = l.Accept()
	assert.ErrorIs(t, err, net.ErrClosed)
}
