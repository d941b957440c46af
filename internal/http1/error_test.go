package http1_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/http1"
)

// What an Error says about the peer decides whether a request may be sent again
// and what the caller is told.
func TestErrorTellsWhoseFaultItIs(t *testing.T) {
	for name, c := range map[string]struct {
		answer   string
		answered bool
		status   int
	}{
		"nothing":                {"", false, 0},
		"half a head":            {"HTTP/1.1 200 OK\r\nContent-Le", false, 0},
		"half a body":            {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", false, 200},
		"half of the chunks":     {"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false, 500},
		"a TLS alert":            {"\x15\x03\x01\x00\x02\x02\x50", true, 0},
		"another protocol":       {"SSH-2.0-OpenSSH_9.6\r\n", true, 0},
		"a head without end":     {"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 20000), true, 0},
		"interim answers only":   {strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 10), true, 0},
		"compression":            {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", true, 200},
		"a body too long":        {"HTTP/1.1 413 No\r\nContent-Length: 1000\r\n\r\n", true, 413},
		"a body without length":  {"HTTP/1.1 200 OK\r\n\r\nhello", true, 200},
		"another protocol later": {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", true, 101},
		"no chunk size":          {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n", true, 200},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair()
			seen := serve(b, c.answer)
			_, err := http1.NewConn(a).Exchange(t.Context(), post("x"), 100)
			e, ok := errors.AsType[*http1.Error](err)
			require.True(t, ok, "%v", err)
			assert.True(t, e.Sent)
			assert.Equal(t, c.answered, e.Answered, "%v", err)
			assert.Equal(t, c.status, e.Status)
			assert.Contains(t, err.Error(), "read response")
			<-seen
		})
	}
}

// Half a request cannot have succeeded, whatever comes back for it.
func TestEarlySuccessIsNone(t *testing.T) {
	for _, status := range []string{"100 Continue", "200 OK", "302 Found"} {
		a, b := pair()
		go func() {
			_, _ = io.ReadFull(b, make([]byte, 1000))
			_, _ = io.WriteString(b, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\n\r\n")
			_ = b.CloseWrite()
		}()
		_, err := http1.NewConn(&brokenAfter{Conn: a, n: 2000}).Exchange(t.Context(), post(strings.Repeat("x", 100_000)), 100)
		e, ok := errors.AsType[*http1.Error](err)
		require.True(t, ok, "%s: %v", status, err)
		assert.False(t, e.Sent)
		assert.Contains(t, err.Error(), "write request")
		_ = b.Close()
	}
}

// A context that has ended sends nothing.
func TestEndedContextSendsNothing(t *testing.T) {
	a, b := pair()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := http1.NewConn(a).Exchange(ctx, post("x"), 100)
	require.ErrorIs(t, err, context.Canceled)
	e, _ := errors.AsType[*http1.Error](err)
	assert.False(t, e.Sent)
	_ = a.Close()
	got, _ := io.ReadAll(b)
	assert.Empty(t, got)
}
