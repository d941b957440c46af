package directory

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/go-ldap/ldap/v3"
)

// The security layers of SASL with GSS-API. See RFC 4752 section 3.3.
const (
	layerSealed = 4
	maxFrame    = 1 << 20
	sendFrame   = 32 << 10 // plaintext of one frame; every server takes 64 KiB
)

// gssContext is what the SASL layer needs of a Kerberos context.
type gssContext interface {
	Step(ctx context.Context, in []byte) (out []byte, done bool, err error)
	Sign(plain []byte) ([]byte, error)
	Verify(token []byte) ([]byte, error)
	Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error)
	Unwrap(buf []byte, tokenLen int) ([]byte, error)
}

// bindSealed logs on with SASL GSSAPI and seals everything after it.
func (c *Config) bindSealed(ctx context.Context, conn net.Conn, host string) (*ldap.Conn, error) {
	service, err := c.Kerberos.ServiceContext("ldap", host)
	if err != nil {
		return nil, err
	}
	gss, ok := service.(gssContext)
	if !ok {
		return nil, errors.New("the Kerberos context cannot sign")
	}
	sealed := &sealedConn{Conn: conn, gss: gss}
	directory := ldap.NewConn(sealed, false)
	directory.Start()
	if err := directory.GSSAPIBind(&saslClient{ctx: ctx, conn: sealed}, "ldap/"+host, ""); err != nil {
		directory.Close()
		return nil, fmt.Errorf("logon to %s: %w", host, err)
	}
	return directory, nil
}

// saslClient is the initiator as go-ldap drives it.
type saslClient struct {
	ctx  context.Context //nolint:containedctx // the interface has none
	conn *sealedConn
}

var _ ldap.GSSAPIClient = (*saslClient)(nil)

func (s *saslClient) InitSecContext(_ string, token []byte) ([]byte, bool, error) {
	out, done, err := s.conn.gss.Step(s.ctx, token)
	return out, !done, err
}

func (s *saslClient) InitSecContextWithOptions(target string, token []byte, _ []int) ([]byte, bool, error) {
	return s.InitSecContext(target, token)
}

// NegotiateSaslAuth chooses the sealed layer and nothing less.
func (s *saslClient) NegotiateSaslAuth(token []byte, _ string) ([]byte, error) {
	offer, err := s.conn.gss.Verify(token)
	if err != nil {
		return nil, err
	}
	if len(offer) != 4 {
		return nil, errors.New("malformed offer of security layers")
	}
	if offer[0]&layerSealed == 0 {
		return nil, errors.New("the server does not seal LDAP")
	}
	out, err := s.conn.gss.Sign([]byte{layerSealed, 0x0f, 0xff, 0xff})
	s.conn.armed.Store(true)
	return out, err
}

func (s *saslClient) DeleteSecContext() error { return nil }

// sealedConn is the connection below LDAP. Clear at first, it seals from the
// second message after the negotiation on: the first is its end. The server
// sends nothing sealed before it was sent something sealed.
type sealedConn struct {
	net.Conn
	gss   gssContext
	armed atomic.Bool // one more clear message is written
	on    atomic.Bool

	mu    sync.Mutex // around gss
	last  bool       // the clear message was written
	raw   []byte     // read, not yet opened
	plain []byte     // opened, not yet handed out
}

func (c *sealedConn) Write(p []byte) (int, error) {
	if !c.on.Load() {
		if c.last {
			c.on.Store(true)
		} else {
			c.last = c.armed.Load()
			return c.Conn.Write(p)
		}
	}
	for rest := p; len(rest) > 0; {
		n := min(len(rest), sendFrame)
		c.mu.Lock()
		frame, _, _, err := c.gss.Wrap(make([]byte, 4, n+128), rest[:n])
		c.mu.Unlock()
		if err != nil {
			return 0, err
		}
		binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
		if _, err := c.Conn.Write(frame); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

func (c *sealedConn) Read(p []byte) (int, error) {
	if !c.on.Load() {
		n, err := c.Conn.Read(p)
		// The mode may have changed while the read was waiting.
		if !c.on.Load() || err != nil {
			return n, err
		}
		c.raw = append(c.raw, p[:n]...)
	}
	for len(c.plain) == 0 {
		if err := c.open(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.plain)
	c.plain = c.plain[n:]
	return n, nil
}

// open reads one frame and opens it.
func (c *sealedConn) open() error {
	if err := c.fill(4); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(c.raw)
	if size > maxFrame {
		return fmt.Errorf("sealed message of %d bytes", size)
	}
	if err := c.fill(4 + int(size)); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	plain, err := c.gss.Unwrap(append([]byte(nil), c.raw[4:4+size]...), 0)
	if err != nil {
		return err
	}
	c.raw = append(c.raw[:0], c.raw[4+size:]...)
	c.plain = plain
	return nil
}

// fill reads until n bytes are there.
func (c *sealedConn) fill(n int) error {
	have := len(c.raw)
	if have >= n {
		return nil
	}
	c.raw = append(c.raw, make([]byte, n-have)...)
	if _, err := io.ReadFull(c.Conn, c.raw[have:]); err != nil {
		return err
	}
	return nil
}
