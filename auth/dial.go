package auth

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// dial makes the socket to the listener: dial or proxy, then TLS.
func (t *Transport) dial(ctx context.Context) (net.Conn, *tls.ConnectionState, error) {
	start := time.Now()
	proxy, err := t.proxy()
	if err != nil {
		return nil, nil, err
	}
	var nc net.Conn
	if proxy == nil {
		nc, err = t.dialer(ctx, t.endpoint.dial)
	} else {
		nc, err = t.tunnel(ctx, proxy)
	}
	info := DialInfo{Addr: t.endpoint.dial, Duration: time.Since(start), Err: err}
	if proxy != nil {
		info.Proxy = proxy.Scheme + "://" + proxy.Host
	}
	t.trace.dialed(ctx, info)
	if err != nil {
		return nil, nil, err
	}
	if t.endpoint.scheme != "https" {
		return nc, nil, nil
	}
	cfg, err := t.listenerTLS()
	if err != nil {
		_ = nc.Close()
		return nil, nil, err
	}
	tc, err := t.handshake(ctx, nc, cfg, t.endpoint.name(), false)
	if err != nil {
		return nil, nil, err
	}
	state := tc.ConnectionState()
	return tc, &state, nil
}

// dialer connects to an address.
func (t *Transport) dialer(ctx context.Context, addr string) (net.Conn, error) {
	dial := t.cfg.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	nc, err := dial(ctx, "tcp", addr)
	if err != nil {
		if ctx.Err() != nil {
			err = contextError(ctx)
		}
		return nil, &DialError{Stage: "dial", Addr: addr, Err: err}
	}
	return nc, nil
}

// handshake speaks TLS on nc, which it closes on failure.
func (t *Transport) handshake(ctx context.Context, nc net.Conn, cfg *tls.Config, addr string, proxy bool) (*tls.Conn, error) {
	start := time.Now()
	tc := tls.Client(nc, cfg)
	err := tc.HandshakeContext(ctx)
	t.trace.tls(ctx, TLSInfo{
		Addr: addr, Proxy: proxy, State: tc.ConnectionState(), Duration: time.Since(start), Err: err,
	})
	if err != nil {
		_ = nc.Close()
		if ctx.Err() != nil {
			err = contextError(ctx)
		}
		return nil, &DialError{Stage: "tls", Addr: addr, Remedy: tlsRemedy(err), Err: err}
	}
	return tc, nil
}
