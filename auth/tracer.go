package auth

import (
	"context"
	"log/slog"
)

// A tracer calls the hooks that are set and writes the log.
type tracer struct {
	hooks Trace
	log   *slog.Logger
}

func newTracer(hooks *Trace, log *slog.Logger) *tracer {
	t := &tracer{log: log}
	if hooks != nil {
		t.hooks = *hooks
	}
	return t
}

func (t *tracer) debug(ctx context.Context, msg string, args ...any) {
	if t.log != nil {
		t.log.DebugContext(ctx, msg, args...)
	}
}

func (t *tracer) dialed(ctx context.Context, i DialInfo) {
	if t.hooks.Dialed != nil {
		t.hooks.Dialed(ctx, i)
	}
	t.debug(ctx, "auth: dialed", "addr", i.Addr, "proxy", i.Proxy, "duration", i.Duration, "err", i.Err)
}

func (t *tracer) tls(ctx context.Context, i TLSInfo) {
	if t.hooks.TLS != nil {
		t.hooks.TLS(ctx, i)
	}
	t.debug(ctx, "auth: TLS", "addr", i.Addr, "version", i.State.Version, "duration", i.Duration, "err", i.Err)
}

func (t *tracer) leg(ctx context.Context, i LegInfo) {
	if t.hooks.LogonLeg != nil {
		t.hooks.LogonLeg(ctx, i)
	}
	t.debug(ctx, "auth: logon leg", "host", i.Host, "mechanism", i.Mechanism, "leg", i.Leg,
		"sent", i.Sent, "received", i.Received, "status", i.Status, "err", i.Err)
}

func (t *tracer) logon(ctx context.Context, i LogonInfo) {
	if t.hooks.Logon != nil {
		t.hooks.Logon(ctx, i)
	}
	t.debug(ctx, "auth: logon", "host", i.Host, "mechanism", i.Mechanism, "chosen", i.Chosen,
		"account", i.Account, "legs", i.Legs, "duration", i.Duration, "err", i.Err)
}

func (t *tracer) begin(ctx context.Context, i ExchangeInfo) {
	if t.hooks.ExchangeBegin != nil {
		t.hooks.ExchangeBegin(ctx, i)
	}
}

func (t *tracer) end(ctx context.Context, i ExchangeInfo) {
	if t.hooks.ExchangeEnd != nil {
		t.hooks.ExchangeEnd(ctx, i)
	}
	if t.log == nil || !t.log.Enabled(ctx, slog.LevelDebug) {
		return // there are many of these
	}
	t.debug(ctx, "auth: exchange", "host", i.Host, "priority", i.Priority, "sealed", i.Sealed,
		"sent", i.Sent, "received", i.Received, "status", i.Status, "duration", i.Duration, "err", i.Err)
}

func (t *tracer) retry(ctx context.Context, i RetryInfo) {
	if t.hooks.Retry != nil {
		t.hooks.Retry(ctx, i)
	}
	t.debug(ctx, "auth: sent again", "host", i.Host, "reason", i.Reason)
}

func (t *tracer) closed(i ConnInfo) {
	if t.hooks.ConnClosed != nil {
		t.hooks.ConnClosed(i)
	}
	t.debug(context.Background(), "auth: connection closed", "host", i.Host, "reason", i.Reason, "age", i.Age)
}
