package auth

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/winrmkit/winrmkit/internal/http1"
)

// ProxyFromEnvironment is a value for the Proxy field: HTTP_PROXY, HTTPS_PROXY
// and NO_PROXY as net/http reads them, once in the life of the process. Nothing
// in a loopback address goes through a proxy then.
func ProxyFromEnvironment(u *url.URL) (*url.URL, error) {
	return http.ProxyFromEnvironment(&http.Request{URL: u})
}

// ProxyURL returns a value for the Proxy field: one proxy for everything, as
// net/http's function of the same name does.
func ProxyURL(proxy *url.URL) func(*url.URL) (*url.URL, error) {
	return func(*url.URL) (*url.URL, error) { return proxy, nil }
}

var proxyPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

// proxy returns the proxy for the endpoint, nil for none.
func (t *Transport) proxy() (*url.URL, error) {
	if t.cfg.Proxy == nil {
		return nil, nil
	}
	u, err := t.cfg.Proxy(&url.URL{Scheme: t.endpoint.scheme, Host: t.endpoint.dial})
	if _, secret := errors.AsType[*url.Error](err); secret {
		err = errors.New("of the proxy's URL: " + notURL)
	}
	if err != nil {
		return nil, &DialError{Stage: "proxy", Addr: t.endpoint.dial, Err: err}
	}
	if u == nil {
		return nil, nil
	}
	if proxyPorts[u.Scheme] == "" {
		return nil, &DialError{
			Stage: "proxy", Addr: u.Host, Err: fmt.Errorf("scheme %q", u.Scheme),
			Remedy: "a proxy is http, https or socks5",
		}
	}
	if u.Hostname() == "" {
		return nil, &DialError{Stage: "proxy", Addr: t.endpoint.dial, Err: errors.New("no host in the proxy's URL")}
	}
	return u, nil
}

// tunnel connects to the listener through a proxy. Every mechanism, over http
// as over https, tunnels by CONNECT: a forwarding proxy may put the requests of
// one client on any connection.
func (t *Transport) tunnel(ctx context.Context, proxy *url.URL) (net.Conn, error) {
	port := proxy.Port()
	if port == "" {
		port = proxyPorts[proxy.Scheme]
	}
	addr := net.JoinHostPort(proxy.Hostname(), port)
	nc, err := t.dialer(ctx, addr)
	if err != nil {
		return nil, err
	}
	switch proxy.Scheme {
	case "socks5", "socks5h":
		if err := socks5(ctx, nc, t.endpoint, proxy.User); err != nil {
			_ = nc.Close()
			return nil, &DialError{Stage: "proxy", Addr: addr, Err: err}
		}
		return nc, nil
	case "https":
		tc, err := t.handshake(ctx, nc, t.proxyTLS(stripZone(proxy.Hostname())), addr, true)
		if err != nil {
			return nil, err
		}
		nc = tc
	}
	return t.connectThrough(ctx, nc, proxy, addr)
}

// connectThrough opens the tunnel by CONNECT ([RFC 9110] section 9.3.6), with
// the logon to the proxy on the way.
func (t *Transport) connectThrough(ctx context.Context, nc net.Conn, proxy *url.URL, addr string) (net.Conn, error) {
	h := http1.NewConn(nc)
	err := t.openTunnel(ctx, h, proxy, addr)
	if err == nil && h.Buffered() > 0 {
		err = http1.ErrUnsolicited
	}
	if err != nil {
		_ = h.Close()
		if ctx.Err() != nil {
			err = contextError(ctx)
		}
		remedy := ""
		if errors.Is(err, http1.ErrTLS) {
			remedy = "the proxy's port expects TLS: use https:// in its URL"
		}
		return nil, &DialError{Stage: "proxy", Addr: addr, Remedy: remedy, Err: err}
	}
	return nc, nil
}

func (t *Transport) openTunnel(ctx context.Context, h *http1.Conn, proxy *url.URL, addr string) error {
	send := func(ctx context.Context, authorization string) (http1.Response, error) {
		req := &http1.Request{
			Method: http.MethodConnect, Target: t.endpoint.name(), Host: t.endpoint.name(),
			Header: []http1.Field{{Name: "User-Agent", Value: t.cfg.UserAgent}},
		}
		if authorization != "" {
			req.Header = append(req.Header, http1.Field{Name: "Proxy-Authorization", Value: authorization})
		}
		return h.Exchange(ctx, req, maxLegBody)
	}
	if t.cfg.ProxyAuth != nil {
		return t.proxyLogon(ctx, h, proxy, addr, send)
	}
	authorization := ""
	if u := proxy.User; u != nil {
		if strings.Contains(u.Username(), ":") {
			return errBasicName
		}
		password, _ := u.Password()
		authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password))
	}
	resp, err := send(ctx, authorization)
	if err != nil {
		return err
	}
	resp.Body.Release()
	if resp.Status/100 == 2 {
		return nil
	}
	return proxyRefusal(&resp, "Basic", proxy.User.Username(), addr)
}

// proxyLogon runs the legs of ProxyAuth on CONNECT.
func (t *Transport) proxyLogon(ctx context.Context, h *http1.Conn, proxy *url.URL, addr string, send sendLeg) error {
	mech := t.cfg.ProxyAuth
	peer := Peer{Scheme: proxy.Scheme, Host: strings.ToLower(stripZone(proxy.Hostname())), Port: proxy.Port()}
	if peer.Port == "" {
		peer.Port = proxyPorts[proxy.Scheme]
	}
	if tc, ok := h.NetConn().(*tls.Conn); ok {
		state := tc.ConnectionState()
		peer.TLS = &state
	}
	session, err := mech.NewSession(peer)
	if err != nil {
		return err
	}
	defer func() { _ = session.Close() }()
	account := accountOf(mech)
	a, err := account.begin(ctx, addr)
	if err != nil {
		return err
	}
	defer a.inconclusive()
	l := &logon{
		trace: t.trace, mech: mech, session: session, account: account, attempt: a, host: addr, proxy: true,
		tls: peer.TLS != nil, send: send, alias: &t.proxyAlias,
	}
	return l.run(ctx)
}

// proxyRefusal tells why a proxy did not open the tunnel.
func proxyRefusal(resp *http1.Response, mechanism, account, addr string) error {
	if resp.Status != http.StatusProxyAuthRequired {
		return fmt.Errorf("CONNECT answered with %d %s", resp.Status, resp.Reason)
	}
	e := &Error{
		Mechanism: mechanism, Scheme: mechanism, Account: account, Host: addr, Proxy: true,
		Status: resp.Status, Leg: 1, Refused: account != "",
		Offered: readOffers(resp.Header.Values("Proxy-Authenticate"), mechanism).schemes,
	}
	if account == "" {
		e.Mechanism, e.Scheme = "no", ""
		e.Causes = []Cause{{
			ID: "proxy-logon", Text: "the proxy wants a logon",
			Remedy: "put user and password into the proxy's URL, or set ProxyAuth",
		}}
	}
	return e
}
