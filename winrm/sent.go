package winrm

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"
)

// withSent returns a context that notices when the request it goes with has
// left, whole. Before that the host cannot have acted on it.
func withSent(ctx context.Context) (context.Context, func() bool) {
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if info.Err == nil {
				sent.Store(true)
			}
		},
	})
	return ctx, sent.Load
}
