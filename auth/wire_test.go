package auth_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"sync"

	"github.com/winrmkit/winrmkit/winrm"
)

// A recorder keeps what goes over a client's connections.
type recorder struct {
	mu       sync.Mutex
	sent     bytes.Buffer
	received bytes.Buffer

	edit func(answer []byte) // changes what arrives, not its length; may be nil
}

// tap puts the recorder between a client and its host.
func (r *recorder) tap(cfg *winrm.Config) {
	dial := cfg.Dial
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &recorded{nc, r}, nil
	}
}

// leftTheClient returns all bytes that the client sent.
func (r *recorder) leftTheClient() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent.String()
}

type recorded struct {
	net.Conn
	r *recorder
}

func (c *recorded) Write(p []byte) (int, error) {
	c.r.mu.Lock()
	c.r.sent.Write(p)
	c.r.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *recorded) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.r.edit != nil {
		c.r.edit(p[:n])
	}
	c.r.mu.Lock()
	c.r.received.Write(p[:n])
	c.r.mu.Unlock()
	return n, err
}

func newTLSConfig(cert tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}
