package masterzen

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/masterzen/winrm"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/wsman"
)

// WinRM's ports.
const (
	portHTTP  = 5985
	portHTTPS = 5986
)

// plainDial is how masterzen's Parameters dial.
type plainDial = func(network, addr string) (net.Conn, error)

// A link is one client's way to its host.
type link struct {
	url     string
	timeout time.Duration // the endpoint's
	conns   *auth.Transport
	dial    atomic.Pointer[plainDial] // of the client's Parameters
	polls   atomic.Int64              // Receives under way or waiting for a connection

	maxConns    int
	maxResponse int64
}

// newLink reads the endpoint.
func newLink(ep *winrm.Endpoint, mech auth.Mechanism, o *Options) (*link, error) {
	l := &link{url: endpointURL(ep), timeout: ep.Timeout, maxConns: o.MaxConns, maxResponse: o.MaxResponse}
	cfg := &auth.TransportConfig{
		Mechanism: mech, Encryption: o.Encryption, Pins: o.Pins, Dial: o.Dial, Proxy: o.Proxy, ProxyAuth: o.ProxyAuth,
		MaxConns: o.MaxConns, ConnectTimeout: o.ConnectTimeout, MaxResponse: o.MaxResponse, Trace: o.Trace, Logger: o.Logger,
	}
	if cfg.ConnectTimeout == 0 && ep.Timeout > 0 {
		cfg.ConnectTimeout = min(ep.Timeout, auth.DefaultConnectTimeout)
	}
	if cfg.Dial == nil {
		cfg.Dial = l.dialContext
	}
	var err error
	if cfg.TLS, err = tlsConfig(ep, o.TLS); err != nil {
		return nil, err
	}
	if cfg.Mechanism == nil {
		if len(cfg.TLS.Certificates) == 0 {
			return nil, errors.New("masterzen: no mechanism to log on with, and the endpoint has no Cert and Key")
		}
		cfg.Mechanism = auth.Certificate(cfg.TLS.Certificates[0])
	}
	if l.conns, err = auth.NewTransport(l.url, cfg); err != nil {
		return nil, err
	}
	return l, nil
}

// endpointURL is the listener's URL.
func endpointURL(ep *winrm.Endpoint) string {
	u := url.URL{Scheme: "http", Path: "/wsman"}
	port := portHTTP
	if ep.HTTPS {
		u.Scheme, port = "https", portHTTPS
	}
	if ep.Port != 0 {
		port = ep.Port
	}
	u.Host = net.JoinHostPort(strings.TrimSuffix(strings.TrimPrefix(ep.Host, "["), "]"), strconv.Itoa(port))
	return u.String()
}

// tlsConfig puts what the endpoint says on top of the base.
func tlsConfig(ep *winrm.Endpoint, base *tls.Config) (*tls.Config, error) {
	c := &tls.Config{}
	if base != nil {
		c = base.Clone()
	}
	if ep.Insecure {
		c.InsecureSkipVerify = true //nolint:gosec // asked for by name
	}
	if ep.TLSServerName != "" {
		c.ServerName = ep.TLSServerName
	}
	if len(ep.CACert) > 0 {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(ep.CACert) {
			return nil, errors.New("masterzen: no certificate in the endpoint's CACert")
		}
	}
	if len(ep.Cert) > 0 || len(ep.Key) > 0 {
		cert, err := auth.ParseCertificate(ep.Cert, ep.Key, "")
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}

// use tells the link about the client that it belongs to, which is not known
// before its first message.
func (l *link) use(params *winrm.Parameters) (*wsman.Client, error) {
	if params.Dial != nil {
		l.dial.Store(&params.Dial)
	}
	// The answer may take Endpoint.Timeout. Less than the message lets the host
	// take would drop answers that are on their way.
	operation, err := wsman.ParseDuration(params.Timeout)
	if err != nil {
		operation = 0 // the message is about to be refused for it
	}
	return wsman.NewClient(l.url, &wsman.Config{
		HTTPClient:    &http.Client{Transport: l.conns},
		ReceiveMargin: l.timeout - operation, // at least 15 s
		MaxResponse:   l.maxResponse,
	})
}

// dialContext connects as the client's Parameters want it.
func (l *link) dialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if dial := l.dial.Load(); dial != nil {
		return dialPlain(ctx, *dial, network, addr)
	}
	return (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext(ctx, network, addr)
}

// dialPlain lets the context end the wait for a dialer that knows none. What
// that comes up with afterwards is closed.
func dialPlain(ctx context.Context, dial plainDial, network, addr string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result)
	go func() {
		conn, err := dial(network, addr)
		select {
		case done <- result{conn, err}:
		case <-ctx.Done():
			if conn != nil {
				_ = conn.Close()
			}
		}
	}()
	select {
	case r := <-done:
		return r.conn, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
