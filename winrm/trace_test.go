package winrm_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	"github.com/winrmkit/winrmkit/wsman"
)

// The hooks see all that spans are made of, and no secrets.
func TestTrace(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	note := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, s)
	}
	var log bytes.Buffer
	_, client := handle(t, func(*winrmtest.Proc) uint32 { return 3 }, func(cfg *winrm.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(&lockedWriter{w: &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
		cfg.Trace = &winrm.Trace{
			WSMan: &wsman.Trace{ExchangeDone: func(_ context.Context, d wsman.ExchangeDone) {
				assert.NotZero(t, d.Sent)
				assert.NotZero(t, d.Received)
				assert.NotZero(t, d.Duration)
				note(d.Action[strings.LastIndexByte(d.Action, '/')+1:])
			}},
			Auth:           &auth.Trace{Logon: func(_ context.Context, i auth.LogonInfo) { note("logon " + i.Mechanism) }},
			ShellOpened:    func(_ context.Context, ev winrm.ShellEvent) { assert.NotEmpty(t, ev.ID); note("opened") },
			ShellClosed:    func(_ context.Context, ev winrm.ShellEvent) { note("closed: " + ev.Reason) },
			CommandStarted: func(_ context.Context, ev winrm.CommandEvent) { note("started") },
			CommandDone: func(_ context.Context, ev winrm.CommandEvent) {
				assert.Equal(t, uint32(3), ev.ExitCode)
				assert.Error(t, ev.Err)
				note("done")
			},
		}
	})
	require.Error(t, client.Command("x").Run())
	require.NoError(t, client.Close())
	mu.Lock()
	defer mu.Unlock()
	joined := strings.Join(seen, ", ")
	for _, want := range []string{"Create", "opened", "Command", "started", "Receive", "done", "Signal", "Delete", "closed: close"} {
		assert.Contains(t, joined, want)
	}
	assert.Contains(t, log.String(), "winrm: command done")
	assert.NotContains(t, log.String(), winrmtest.DefaultPassword)
}

type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
