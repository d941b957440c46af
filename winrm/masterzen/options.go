package masterzen

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/winrmkit/winrmkit/auth"
)

// DefaultMaxConns is more than [auth.DefaultMaxConns], because a masterzen client
// has a Receive under way for each of its commands.
const DefaultMaxConns = 16

// Options are what an Endpoint and Parameters cannot say. The zero value of each
// field is its default. They are copied; what they point to must not be modified
// after.
type Options struct {
	// Encryption says when messages are sealed. Zero is auth.EncryptAuto: on
	// clear http always, inside TLS never.
	Encryption auth.Encryption

	// TLS is the base of the TLS configuration; what the endpoint says comes on
	// top. nil is the default one.
	TLS *tls.Config
	// Pins are SHA-256 digests of the host's certificate or public key.
	Pins []string

	// Dial connects. nil is the Dial of masterzen's Parameters or, where that is
	// nil too, a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Proxy returns the proxy for the endpoint. nil asks the environment, as
	// masterzen does.
	Proxy func(*url.URL) (*url.URL, error)
	// ProxyAuth logs on to the proxy.
	ProxyAuth auth.Mechanism

	// MaxConns is the number of connections of one client at once: 0 is
	// DefaultMaxConns, at least 2, one of which is kept for what cannot wait.
	MaxConns int
	// ConnectTimeout bounds dialling and logging on. 0 is
	// auth.DefaultConnectTimeout, or the endpoint's Timeout when that is less.
	ConnectTimeout time.Duration
	// MaxResponse bounds an answer in bytes. 0 is auth.DefaultMaxResponse.
	MaxResponse int64

	// Context ends what is under way, for masterzen hands no context to its
	// transports. When it has ended, a command's terminate signal and the
	// deletion of its shell still go out, with five seconds each. nil never ends.
	Context context.Context

	Trace  *auth.Trace  // nil: no hooks
	Logger *slog.Logger // nil: no log
}

func (o *Options) setDefaults() {
	if o.MaxConns == 0 {
		o.MaxConns = DefaultMaxConns
	}
	if o.Context == nil {
		o.Context = context.Background()
	}
	if o.Proxy == nil {
		o.Proxy = auth.ProxyFromEnvironment
	}
}
