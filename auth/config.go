package auth

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/url"
	"time"
)

// Defaults of [TransportConfig].
const (
	DefaultMaxConns       = 4
	DefaultConnectTimeout = 30 * time.Second
	DefaultIdleRenewal    = 100 * time.Second
	DefaultMaxResponse    = 32 << 20
	DefaultUserAgent      = "winrmkit"
)

// A TransportConfig says how a [Transport] reaches its endpoint. It is copied
// by NewTransport; what it points to must not be modified after.
type TransportConfig struct {
	// Mechanism logs on. Required; see [Anonymous] for none.
	Mechanism Mechanism
	// Encryption says when messages are sealed. Zero is EncryptAuto.
	Encryption Encryption

	// TLS is the base of the TLS configuration; nil is the default one. At
	// least TLS 1.2 is spoken unless MinVersion says otherwise by name.
	TLS *tls.Config
	// CAFile names a PEM file of certificate authorities to trust instead of
	// the system's.
	CAFile string
	// Pins are SHA-256 digests, in hex or base64, of the server's certificate
	// or of its public key (SubjectPublicKeyInfo). One must match.
	Pins []string
	// PinReplacesChain trusts a pinned certificate without verifying its chain,
	// names and dates. It needs Pins.
	PinReplacesChain bool

	// Dial connects; nil is a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Proxy returns the proxy for an endpoint: http, https or socks5; nil for
	// none. The environment is asked only by [ProxyFromEnvironment].
	Proxy func(*url.URL) (*url.URL, error)
	// ProxyAuth logs on to http and https proxies. User and password in the
	// proxy's URL are sent as Basic.
	ProxyAuth Mechanism

	// MaxConns is the number of connections at once: 0 is DefaultMaxConns, at
	// least 2.
	MaxConns int
	// ConnectTimeout bounds dial, proxy, TLS and logon, but not the wait for a
	// connection or for another logon of the account. 0 is DefaultConnectTimeout.
	ConnectTimeout time.Duration
	// IdleRenewal closes a connection that was idle for so long: servers drop
	// its security context at about two minutes. 0 is DefaultIdleRenewal.
	IdleRenewal time.Duration
	// MaxResponse bounds an answer in bytes. 0 is DefaultMaxResponse.
	MaxResponse int64
	// UserAgent is sent when the request has none. "" is DefaultUserAgent.
	UserAgent string

	Trace  *Trace       // nil: no hooks
	Logger *slog.Logger // nil: no log; connections and logons at level debug
}
