package auth_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/authserver"
	"github.com/winrmkit/winrmkit/internal/toyauth"
)

type ctxType = context.Context

// A proxy tunnels to a server, over TCP.
type proxy struct {
	tb testing.TB
	ln net.Listener
	to *server

	mu      sync.Mutex
	manners manners
	targets []string
	auths   []string
	wg      sync.WaitGroup
}

// manners are how a proxy treats its clients.
type manners struct {
	basic  string // user:password to ask for
	toy    bool   // ask for the toy logon
	tls    *tls.Config
	status int // answer to CONNECT instead of tunnelling
}

func (p *proxy) set(m manners) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.manners = m
}

func newProxy(tb testing.TB, to *server, handle func(*proxy, net.Conn)) *proxy {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	p := &proxy{tb: tb, ln: ln, to: to}
	p.wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { defer nc.Close(); handle(p, nc) })
		}
	})
	tb.Cleanup(func() { _ = ln.Close(); to.stop(); p.wg.Wait() })
	return p
}

// seen returns the targets and the Proxy-Authorization headers so far.
func (p *proxy) seen() (targets, auths []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.targets), slices.Clone(p.auths)
}

func (p *proxy) note(target, authorization string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.targets, p.auths = append(p.targets, target), append(p.auths, authorization)
}

// pipe carries bytes both ways until both are done.
func (p *proxy) pipe(nc io.ReadWriteCloser) {
	up, err := p.to.dial(context.Background(), "tcp", host)
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(up, nc); _ = up.Close() })
	_, _ = io.Copy(nc, up)
	_ = nc.Close()
	wg.Wait()
}

func (p *proxy) httpProxy(raw net.Conn) {
	p.mu.Lock()
	m := p.manners
	p.mu.Unlock()
	nc := raw
	if m.tls != nil {
		nc = tls.Server(raw, m.tls)
	}
	br := bufio.NewReader(nc)
	ctx := toyauth.Server{Kind: toyauth.TwoLegs}.NewContext(authserver.Peer{Accounts: accounts{p.to}})
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		authorization := req.Header.Get("Proxy-Authorization")
		p.note(req.Method+" "+req.RequestURI, authorization)
		ok, token := m.status == 0, ""
		switch {
		case m.status != 0:
			_, _ = io.WriteString(nc, httpAnswer(m.status, "", "no"))
			continue
		case m.basic != "":
			ok = authorization == "Basic "+base64.StdEncoding.EncodeToString([]byte(m.basic))
			token = "Basic realm=\"proxy\""
		case m.toy:
			in, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(authorization, "Toy "))
			out, state, _ := ctx.Accept(context.Background(), in, true)
			ok = state == authserver.Accepted
			token = "Toy " + base64.StdEncoding.EncodeToString(out)
		}
		if !ok {
			_, _ = io.WriteString(nc, httpAnswer(407, "Proxy-Authenticate: "+token+"\r\n", "who are you"))
			continue
		}
		header := ""
		if m.toy {
			header = "Proxy-Authenticate: " + token + "\r\n"
		}
		_, _ = io.WriteString(nc, "HTTP/1.1 200 Connection established\r\n"+header+"\r\n")
		p.pipe(nc)
		return
	}
}

func (p *proxy) url(user *url.Userinfo, scheme string) func(*url.URL) (*url.URL, error) {
	return auth.ProxyURL(&url.URL{Scheme: scheme, Host: p.ln.Addr().String(), User: user})
}

func viaProxy(s *server, change func(*auth.TransportConfig)) *auth.Transport {
	return s.transport(func(c *auth.TransportConfig) {
		c.Dial = nil
		change(c)
	})
}

func TestConnectTunnels(t *testing.T) {
	for _, https := range []bool{false, true} {
		for _, proxyTLS := range []bool{false, true} {
			t.Run(fmt.Sprintf("https=%t proxyTLS=%t", https, proxyTLS), func(t *testing.T) {
				s := newServer(t, toyauth.TwoLegs)
				if https {
					s.tls = &tls.Config{Certificates: []tls.Certificate{newCertificate(t, host)}}
				}
				p := newProxy(t, s, (*proxy).httpProxy)
				m, scheme := manners{basic: "me:p@ss"}, "http"
				if proxyTLS {
					m.tls = &tls.Config{Certificates: []tls.Certificate{newCertificate(t, "127.0.0.1")}}
					scheme = "https"
				}
				p.set(m)
				tr := viaProxy(s, func(c *auth.TransportConfig) {
					c.Proxy = p.url(url.UserPassword("me", "p@ss"), scheme)
					c.TLS = &tls.Config{InsecureSkipVerify: true}
				})
				for range 2 {
					_, got, err := s.post(tr, t.Context(), "hello")
					require.NoError(t, err)
					assert.Equal(t, "re: hello", got)
				}
				port := map[bool]string{false: "5985", true: "5986"}[https]
				targets, _ := p.seen()
				assert.Equal(t, []string{"CONNECT " + host + ":" + port}, targets)
				_ = tr.Close()
			})
		}
	}
}

// What TLS is told about the listener is not for the proxy: the certificate that
// logs on there, what verifies it, its name.
func TestProxyIsNotTheListener(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	s.tls = &tls.Config{Certificates: []tls.Certificate{newCertificate(t, host)}, ClientAuth: tls.RequireAnyClientCert}
	p := newProxy(t, s, (*proxy).httpProxy)
	shown := make(chan int, 4)
	p.set(manners{tls: &tls.Config{
		Certificates: []tls.Certificate{newCertificate(t, "127.0.0.1")}, ClientAuth: tls.RequestClientCert,
		VerifyConnection: func(state tls.ConnectionState) error { shown <- len(state.PeerCertificates); return nil },
	}})
	verified := make(chan string, 4)
	tr := viaProxy(s, func(c *auth.TransportConfig) {
		c.Proxy = p.url(nil, "https")
		c.TLS = &tls.Config{
			InsecureSkipVerify: true, ServerName: "another.test",
			Certificates:     []tls.Certificate{newCertificate(t, "client")},
			VerifyConnection: func(state tls.ConnectionState) error { verified <- state.ServerName; return nil },
		}
	})
	_, got, err := s.post(tr, t.Context(), "hello")
	require.NoError(t, err)
	assert.Equal(t, "re: hello", got)
	assert.Zero(t, <-shown, "the proxy sees no certificate")
	assert.Equal(t, "another.test", <-verified)
	assert.Empty(t, verified, "once, of the listener")
	_ = tr.Close()
}

func TestProxyLogonInLegs(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	p := newProxy(t, s, (*proxy).httpProxy)
	p.set(manners{toy: true})
	tr := viaProxy(s, func(c *auth.TransportConfig) {
		c.Proxy, c.ProxyAuth = p.url(nil, "http"), toyauth.New(toyauth.TwoLegs, creds())
	})
	require.NoError(t, second(s.post(tr, t.Context(), "hello")))
	_, auths := p.seen()
	assert.Len(t, auths, 2)
	_ = tr.Close()
}

// A colon in the name would end it there.
func TestProxyUserWithColon(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	p := newProxy(t, s, (*proxy).httpProxy)
	p.set(manners{basic: "a:b:c"})
	tr := viaProxy(s, func(c *auth.TransportConfig) { c.Proxy = p.url(url.UserPassword("a:b", "c"), "http") })
	dial, ok := errors.AsType[*auth.DialError](second(s.post(tr, t.Context(), "x")))
	require.True(t, ok)
	assert.Equal(t, "proxy", dial.Stage)
	_, auths := p.seen()
	assert.Empty(t, auths)
}

func TestProxyRefuses(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	p := newProxy(t, s, (*proxy).httpProxy)
	p.set(manners{toy: true})
	bad := creds()
	bad.Password = "wrong"
	var wg sync.WaitGroup
	for range 4 {
		tr := viaProxy(s, func(c *auth.TransportConfig) {
			c.Proxy, c.ProxyAuth = p.url(nil, "http"), toyauth.New(toyauth.TwoLegs, bad)
		})
		wg.Go(func() {
			err := second(s.post(tr, t.Context(), "hello"))
			e, ok := errors.AsType[*auth.Error](err)
			if assert.True(t, ok, "%v", err) {
				assert.True(t, e.Refused && e.Proxy)
			}
			assert.False(t, auth.MayBeProcessed(err))
		})
	}
	wg.Wait()
	conns, _, failed := s.counts()
	assert.Equal(t, 1, failed, "proxies lock accounts too")
	assert.Zero(t, conns)

	for _, c := range []struct {
		basic string
		user  *url.Userinfo
		code  int
		text  string
	}{
		{"me:right", nil, 0, "wants a logon"},
		{"me:right", url.UserPassword("me", "wr0ng"), 0, "refused"},
		{"", nil, 502, "502 Bad Gateway"},
		{"", nil, 301, "301 Moved"},
	} {
		p.set(manners{basic: c.basic, status: c.code})
		tr := viaProxy(s, func(cfg *auth.TransportConfig) { cfg.Proxy = p.url(c.user, "http") })
		err := second(s.post(tr, t.Context(), "hello"))
		dial, ok := errors.AsType[*auth.DialError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, "proxy", dial.Stage)
		assert.Contains(t, err.Error(), c.text)
		assert.NotContains(t, err.Error(), "wr0ng")
	}
}

func TestSOCKS5(t *testing.T) {
	for _, c := range []struct {
		name string
		user *url.Userinfo
		want string // user:password that the proxy asks for
		text string
	}{
		{"no logon", nil, "", ""},
		{"password", url.UserPassword("me", "p@ss"), "me:p@ss", ""},
		{"wrong password", url.UserPassword("me", "wr0ng"), "me:p@ss", "refused user name or password"},
		{"logon wanted", nil, "me:p@ss", "wants another logon"},
		{"refused", nil, "deny", "connection refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, toyauth.TwoLegs)
			p := newProxy(t, s, func(p *proxy, nc net.Conn) { p.socks(nc, c.want) })
			tr := viaProxy(s, func(cfg *auth.TransportConfig) { cfg.Proxy = p.url(c.user, "socks5") })
			err := second(s.post(tr, t.Context(), "hello"))
			if c.text != "" {
				require.ErrorContains(t, err, c.text)
				assert.NotContains(t, err.Error(), "wr0ng")
				return
			}
			require.NoError(t, err)
			targets, _ := p.seen()
			assert.Equal(t, []string{host + ":5985"}, targets, "the proxy resolves the name")
			_ = tr.Close()
		})
	}
}

// socks is the accepting side of RFC 1928, as far as the tests need it.
func (p *proxy) socks(nc net.Conn, want string) {
	read := func(n int) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(nc, b)
		return b
	}
	methods := read(int(read(2)[1]))
	if strings.Contains(want, ":") {
		if !strings.Contains(string(methods), "\x02") {
			_, _ = nc.Write([]byte{5, 0xff})
			return
		}
		_, _ = nc.Write([]byte{5, 2})
		user := string(read(int(read(2)[1])))
		password := string(read(int(read(1)[0])))
		if user+":"+password != want {
			_, _ = nc.Write([]byte{1, 1})
			return
		}
		_, _ = nc.Write([]byte{1, 0})
	} else {
		_, _ = nc.Write([]byte{5, 0})
	}
	head := read(5)
	name := string(read(int(head[4])))
	p.note(fmt.Sprintf("%s:%d", name, binary.BigEndian.Uint16(read(2))), "")
	if want == "deny" {
		_, _ = nc.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	_, _ = nc.Write([]byte{5, 0, 0, 1, 127, 0, 0, 1, 0, 80})
	p.pipe(nc)
}

func TestProxyOfUnknownKind(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	tr := s.transport(func(c *auth.TransportConfig) {
		c.Proxy = func(*url.URL) (*url.URL, error) { return url.Parse("gopher://x") }
	})
	require.ErrorContains(t, second(s.post(tr, t.Context(), "x")), "gopher")
}
