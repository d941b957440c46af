package winrm

import (
	"context"
	"log/slog"
	"time"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/wsman"
)

// A Trace is a set of hooks that see what a [Client] does, in the manner of
// net/http/httptrace. Any may be nil. They are called on the goroutine that does
// the work and must not block. They get neither credentials nor messages.
type Trace struct {
	// WSMan sees each exchange of messages: action, bytes, duration, error.
	WSMan *wsman.Trace
	// Auth sees connections, the legs of logons, the mechanism chosen, and
	// requests that are sent again because they provably were not processed.
	Auth *auth.Trace

	ShellOpened func(context.Context, ShellEvent)
	ShellClosed func(context.Context, ShellEvent)

	CommandStarted func(context.Context, CommandEvent)
	CommandDone    func(context.Context, CommandEvent)

	// CopyRetry is called when a copy has lost its connection and is about to be
	// taken up again. See CopyOptions.Retries.
	CopyRetry func(context.Context, CopyRetryEvent)
}

// ShellEvent is a shell that was opened or closed.
type ShellEvent struct {
	ID       string
	Pooled   bool          // opened by the Client for its commands
	Commands int           // how many it has run
	Reason   string        // why it was closed: "close", "recycled", "canceled", "broken", "evicted"
	Duration time.Duration // of opening or closing
	Err      error
}

// CommandEvent is a command that started or ended.
type CommandEvent struct {
	ID       string
	ShellID  string
	ExitCode uint32
	Duration time.Duration // since Start
	Err      error         // what Wait returns; what Start returns when it failed
}

// CopyRetryEvent is a copy that is about to be taken up again.
type CopyRetryEvent struct {
	Path  string        // as it was given to Upload, Download or CopyFS
	Retry int           // the how manieth in a row without the copy having come further
	Pause time.Duration // before the retry
	Err   error         // what ended the attempt before
}

// wsmanTrace is the caller's trace of exchanges with the logger's lines added.
func (c *Client) wsmanTrace() *wsman.Trace {
	var user wsman.Trace
	if t := c.cfg.Trace; t != nil && t.WSMan != nil {
		user = *t.WSMan
	}
	log := c.cfg.Logger
	done := user.ExchangeDone
	user.ExchangeDone = func(ctx context.Context, d wsman.ExchangeDone) {
		if log.Enabled(ctx, slog.LevelDebug) {
			log.DebugContext(ctx, "winrm: exchange", "action", d.Action, "sent", d.Sent, "received", d.Received, "duration", d.Duration, "error", d.Err)
		}
		if d.Err == nil {
			c.reached.Store(true)
		}
		if done != nil {
			done(ctx, d)
		}
	}
	return &user
}

func (c *Client) shellOpened(ctx context.Context, ev ShellEvent) {
	if c.cfg.Logger.Enabled(ctx, slog.LevelDebug) {
		c.cfg.Logger.DebugContext(ctx, "winrm: shell opened", "id", ev.ID, "pooled", ev.Pooled, "duration", ev.Duration, "error", ev.Err)
	}
	if t := c.cfg.Trace; t != nil && t.ShellOpened != nil {
		t.ShellOpened(ctx, ev)
	}
}

func (c *Client) shellClosed(ctx context.Context, ev ShellEvent) {
	if c.cfg.Logger.Enabled(ctx, slog.LevelDebug) {
		c.cfg.Logger.DebugContext(ctx, "winrm: shell closed", "id", ev.ID, "reason", ev.Reason, "commands", ev.Commands, "error", ev.Err)
	}
	if t := c.cfg.Trace; t != nil && t.ShellClosed != nil {
		t.ShellClosed(ctx, ev)
	}
}

func (c *Client) commandStarted(ctx context.Context, ev CommandEvent) {
	if c.cfg.Logger.Enabled(ctx, slog.LevelDebug) {
		c.cfg.Logger.DebugContext(ctx, "winrm: command started", "id", ev.ID, "shell", ev.ShellID, "error", ev.Err)
	}
	if t := c.cfg.Trace; t != nil && t.CommandStarted != nil {
		t.CommandStarted(ctx, ev)
	}
}

func (c *Client) commandDone(ctx context.Context, ev CommandEvent) {
	if c.cfg.Logger.Enabled(ctx, slog.LevelDebug) {
		c.cfg.Logger.DebugContext(ctx, "winrm: command done", "id", ev.ID, "code", ev.ExitCode, "duration", ev.Duration, "error", ev.Err)
	}
	if t := c.cfg.Trace; t != nil && t.CommandDone != nil {
		t.CommandDone(ctx, ev)
	}
}

func (c *Client) copyRetried(ctx context.Context, ev CopyRetryEvent) {
	c.cfg.Logger.WarnContext(ctx, "winrm: copy has lost its connection and is taken up again", "path", ev.Path, "retry", ev.Retry, "pause", ev.Pause, "error", ev.Err)
	if t := c.cfg.Trace; t != nil && t.CopyRetry != nil {
		t.CopyRetry(ctx, ev)
	}
}
