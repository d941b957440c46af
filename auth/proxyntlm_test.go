package auth_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
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
	"github.com/winrmkit/winrmkit/internal/memconn"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// A corporateProxy opens tunnels to those who log on with NTLM.
type corporateProxy struct {
	words  []string // scheme words that it knows the logon by
	closes bool     // the connection after the first 407, as some do
	to     func(context.Context, string, string) (net.Conn, error)

	mu       sync.Mutex
	failed   int
	requests []string // method, target, scheme word
}

func (p *corporateProxy) Lookup(_, user string) (authserver.Account, bool) {
	return authserver.Account{Name: "surfer", User: "surfer", Password: "proxy secret"}, user == "surfer"
}
func (p *corporateProxy) Passed(authserver.Account) bool { return true }
func (p *corporateProxy) Certificate(*tls.ConnectionState) (authserver.Account, bool) {
	return authserver.Account{}, false
}

func (p *corporateProxy) Failed(string, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed++
}

// seen returns the CONNECTs so far, each with the scheme word that it came with,
// and the failed logons.
func (p *corporateProxy) seen() (requests []string, failed int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests), p.failed
}

func (p *corporateProxy) serve(nc net.Conn) {
	defer nc.Close()
	br := bufio.NewReader(nc)
	logon := authserver.Negotiate{}.NewContext(authserver.Peer{Host: "proxy.test", Accounts: p})
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		word, rest, _ := strings.Cut(req.Header.Get("Proxy-Authorization"), " ")
		p.mu.Lock()
		p.requests = append(p.requests, req.Method+" "+req.RequestURI+" "+word)
		p.mu.Unlock()
		state, offer := authserver.Refused, ""
		if slices.Contains(p.words, word) {
			in, _ := base64.StdEncoding.DecodeString(rest)
			var out []byte
			out, state, _ = logon.Accept(context.Background(), in, true)
			offer = "Proxy-Authenticate: " + word + " " + base64.StdEncoding.EncodeToString(out) + "\r\n"
		}
		switch state {
		case authserver.Accepted:
			if _, err := io.WriteString(nc, "HTTP/1.1 200 Connection established\r\n\r\n"); err == nil {
				p.tunnel(nc, br, req.RequestURI)
			}
			return
		case authserver.Refused:
			offer = ""
			for _, w := range append(p.words, `Basic realm="proxy"`) {
				offer += "Proxy-Authenticate: " + w + "\r\n"
			}
			if p.closes {
				offer += "Connection: close\r\n"
			}
		}
		if _, err := io.WriteString(nc, httpAnswer(407, offer, "<html>who are you?</html>")); err != nil {
			return
		}
		if state == authserver.Refused && p.closes {
			return
		}
	}
}

func (p *corporateProxy) tunnel(nc net.Conn, br *bufio.Reader, target string) {
	up, err := p.to(context.Background(), "tcp", target)
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(up, br); _ = up.Close() })
	_, _ = io.Copy(nc, up)
	_ = nc.Close()
	wg.Wait()
}

// start listens in memory; dial reaches the proxy and nothing else.
func (p *corporateProxy) start(t *testing.T) (dial func(context.Context, string, string) (net.Conn, error)) {
	t.Helper()
	ln := memconn.Listen("proxy.test:3128")
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(nc) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		assert.Equal(t, "proxy.test:3128", addr)
		return ln.DialContext(ctx, network, addr)
	}
}

func TestNTLMLogonToProxy(t *testing.T) {
	surfer := auth.Credentials{User: "surfer", Password: "proxy secret", Gate: &auth.Gate{}}
	for _, tt := range []struct {
		name   string
		words  []string
		closes bool
		mech   auth.Mechanism
		want   []string // scheme words of the CONNECTs for two connections
	}{
		{"Negotiate", []string{"Negotiate"}, false, auth.NTLM(surfer), []string{"Negotiate", "Negotiate", "Negotiate", "Negotiate"}},
		{"SPNEGO", []string{"Negotiate"}, false, auth.Negotiate(auth.NTLM(surfer)), []string{"Negotiate", "Negotiate", "Negotiate", "Negotiate"}},
		{"NTLM by its name", []string{"NTLM"}, false, auth.NTLM(surfer), []string{"Negotiate", "NTLM", "NTLM", "NTLM", "NTLM"}},
		{"NTLM by its name, closing", []string{"NTLM"}, true, auth.NTLM(surfer), []string{"Negotiate", "NTLM", "NTLM", "NTLM", "NTLM"}},
		{"both", []string{"NTLM", "Negotiate"}, false, auth.NTLM(surfer), []string{"Negotiate", "Negotiate", "Negotiate", "Negotiate"}},
	} {
		for _, scheme := range []string{"http", "https"} {
			t.Run(tt.name+"/"+scheme, func(t *testing.T) {
				r := newRemote(t, func(s *winrmtest.Server) {
					if scheme == "https" {
						s.TLS = &tls.Config{}
						s.Settings = map[string]string{"Service/Auth/CbtHardeningLevel": "Strict"}
					}
				}, nil)
				p := &corporateProxy{words: tt.words, closes: tt.closes, to: r.Dial}
				dial := p.start(t)
				var wire recorder
				c := r.client(t, auth.NTLM(creds()), func(cfg *winrm.Config) {
					cfg.Dial = dial
					cfg.Proxy = func(*url.URL) (*url.URL, error) { return url.Parse("http://proxy.test:3128") }
					cfg.ProxyAuth = tt.mech
					wire.tap(cfg)
				})
				for range 2 {
					out, err := run(t.Context(), c, "hello")
					require.NoError(t, err)
					assert.Equal(t, `ran hello as WINRMTEST\user`, out)
					r.CloseConnections() // so that there is a second tunnel
				}
				_ = c.Close()
				requests, failed := p.seen()
				target := map[string]string{"http": host + ":5985", "https": host + ":5986"}[scheme]
				want := make([]string, len(tt.want))
				for i, word := range tt.want {
					want[i] = "CONNECT " + target + " " + word
				}
				assert.Equal(t, want, requests[:min(len(requests), len(want))])
				assert.Zero(t, failed)
				assert.Empty(t, inClear(wire.leftTheClient()))
				assert.NotContains(t, wire.leftTheClient(), "proxy secret")
			})
		}
	}
}

func TestNTLMRefusedByProxy(t *testing.T) {
	bad := auth.Credentials{User: "surfer", Password: "wrong", Gate: &auth.Gate{}}
	for name, mech := range ntlmKinds {
		t.Run(name, func(t *testing.T) {
			bad.Gate = &auth.Gate{}
			r := newRemote(t, nil, nil)
			p := &corporateProxy{words: []string{"Negotiate"}, to: r.Dial}
			dial := p.start(t)
			c := r.client(t, auth.NTLM(creds()), func(cfg *winrm.Config) {
				cfg.Dial = dial
				cfg.Proxy = func(*url.URL) (*url.URL, error) { return url.Parse("http://proxy.test:3128") }
				cfg.ProxyAuth = mech(bad)
			})
			for i := range 5 {
				_, err := run(t.Context(), c, "hello")
				e, ok := errors.AsType[*auth.Error](err)
				require.True(t, ok, "%v", err)
				assert.True(t, e.Proxy)
				assert.True(t, e.Refused)
				assert.Equal(t, i > 0, e.Remembered)
				assert.Equal(t, "surfer", e.Account)
				assert.Equal(t, []string{"wrong-password", "scheme-off"}, causeIDs(e))
				assert.NotContains(t, err.Error(), "WSMan:")
			}
			_, failed := p.seen()
			assert.Equal(t, 1, failed)
			assert.Empty(t, r.Exchanges(), "nothing came through")
		})
	}
	t.Run("another scheme", func(t *testing.T) {
		bad.Gate = &auth.Gate{}
		r := newRemote(t, nil, nil)
		p := &corporateProxy{to: r.Dial}
		dial := p.start(t)
		c := r.client(t, auth.NTLM(creds()), func(cfg *winrm.Config) {
			cfg.Dial = dial
			cfg.Proxy = func(*url.URL) (*url.URL, error) { return url.Parse("http://proxy.test:3128") }
			cfg.ProxyAuth = auth.NTLM(bad)
		})
		_, err := run(t.Context(), c, "hello")
		e, ok := errors.AsType[*auth.Error](err)
		require.True(t, ok, "%v", err)
		assert.False(t, e.Refused)
		assert.Equal(t, []string{"Basic"}, e.Offered)
		assert.Equal(t, []string{"scheme-off"}, causeIDs(e))
	})
}
