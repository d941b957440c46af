package masterzen_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/masterzen/winrm"
	"github.com/masterzen/winrm/soap"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm/masterzen"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

func pemPair(t testing.TB, cert tls.Certificate) (certPEM, keyPEM []byte) {
	t.Helper()
	for _, der := range cert.Certificate {
		certPEM = append(certPEM, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	require.NoError(t, err)
	return certPEM, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
}

// What the endpoint says of TLS is heeded, and the logon is bound to the channel.
func TestEndpointTLS(t *testing.T) {
	srv := newServer()
	srv.Settings = map[string]string{"Service/Auth/CbtHardeningLevel": "Strict"}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	other := winrmtest.NewTLSServer(host)
	t.Cleanup(other.Close)
	wrongCA := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.Certificate().Raw})

	for name, tt := range map[string]struct {
		change func(*winrm.Endpoint)
		ok     bool
	}{
		"unknown authority": {func(*winrm.Endpoint) {}, false},
		"Insecure":          {func(ep *winrm.Endpoint) { ep.Insecure = true }, true},
		"CACert":            {func(ep *winrm.Endpoint) { ep.CACert = ca }, true},
		"wrong CACert":      {func(ep *winrm.Endpoint) { ep.CACert = wrongCA }, false},
		"TLSServerName":     {func(ep *winrm.Endpoint) { ep.CACert, ep.TLSServerName = ca, "localhost" }, true},
		"other TLSServerName": {
			func(ep *winrm.Endpoint) { ep.CACert, ep.TLSServerName = ca, "srv9.corp.example" }, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			ep := endpoint(t, srv)
			tt.change(ep)
			transports := masterzen.New(auth.NTLM(credentials()), nil)
			defer transports.Close()
			params := winrm.NewParameters("PT60S", "en-US", 153600)
			params.TransportDecorator = transports.Decorate
			client, err := winrm.NewClientWithParameters(ep, "", "", params)
			require.NoError(t, err)
			out, _, _, err := client.RunCmdWithContext(t.Context(), "whoami")
			if tt.ok {
				require.NoError(t, err)
				assert.Equal(t, user, out)
				return
			}
			var dial *auth.DialError
			require.ErrorAs(t, err, &dial)
			assert.Equal(t, "tls", dial.Stage)
		})
	}
}

func TestEndpointRefused(t *testing.T) {
	for name, change := range map[string]func(*winrm.Endpoint){
		"CACert":  func(ep *winrm.Endpoint) { ep.CACert = []byte("no PEM") },
		"Key":     func(ep *winrm.Endpoint) { ep.Key = []byte("no PEM") },
		"no host": func(ep *winrm.Endpoint) { ep.Host = "" },
	} {
		t.Run(name, func(t *testing.T) {
			ep := winrm.NewEndpoint("srv1", 5986, true, false, nil, nil, nil, 0)
			change(ep)
			params := winrm.NewParameters("PT60S", "en-US", 153600)
			params.TransportDecorator = masterzen.Decorator(auth.NTLM(credentials()), nil)
			_, err := winrm.NewClientWithParameters(ep, "", "", params)
			require.Error(t, err)
		})
	}
	params := winrm.NewParameters("PT60S", "en-US", 153600)
	params.TransportDecorator = masterzen.Decorator(nil, nil)
	_, err := winrm.NewClientWithParameters(winrm.NewEndpoint("srv1", 5986, true, false, nil, nil, nil, 0), "", "", params)
	require.ErrorContains(t, err, "no mechanism")
}

// Host and port become the address that is dialled.
func TestEndpointAddress(t *testing.T) {
	for _, tt := range []struct {
		host  string
		port  int
		https bool
		want  string
	}{
		{"srv1.corp.example", 5985, false, "srv1.corp.example:5985"},
		{"srv1.corp.example", 0, false, "srv1.corp.example:5985"},
		{"srv1.corp.example", 0, true, "srv1.corp.example:5986"},
		{"192.0.2.1", 80, false, "192.0.2.1:80"},
		{"2001:db8::1", 5985, false, "[2001:db8::1]:5985"},
		{"[2001:db8::1]", 5985, true, "[2001:db8::1]:5985"},
		{"fe80::1%eth0", 5985, false, "[fe80::1%eth0]:5985"},
	} {
		t.Run(fmt.Sprint(tt.host, tt.port), func(t *testing.T) {
			dialled := ""
			noRoute := errors.New("no route")
			params := winrm.NewParameters("PT60S", "en-US", 153600)
			params.Dial = func(_, addr string) (net.Conn, error) {
				dialled = addr
				return nil, noRoute
			}
			params.TransportDecorator = masterzen.Decorator(auth.NTLM(credentials()), nil)
			client, err := winrm.NewClientWithParameters(winrm.NewEndpoint(tt.host, tt.port, tt.https, false, nil, nil, nil, 0), "", "", params)
			require.NoError(t, err)
			_, err = client.CreateShell()
			require.ErrorIs(t, err, noRoute)
			assert.Equal(t, tt.want, dialled)
		})
	}
}

func TestIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	srv := newServer()
	srv.Listener = l
	serve(t, srv)
	out, _, _, err := newClient(t, srv, auth.NTLM(credentials()), nil).RunCmdWithContext(t.Context(), "echo six")
	require.NoError(t, err)
	assert.Equal(t, "six\r\n", out)
}

// Endpoint.Timeout bounds connecting: something listens, but never answers.
func TestEndpointTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	params := winrm.NewParameters("PT60S", "en-US", 153600)
	params.TransportDecorator = masterzen.Decorator(auth.NTLM(credentials()), nil)
	ep := winrm.NewEndpoint("127.0.0.1", port, true, false, nil, nil, nil, 200*time.Millisecond)
	client, err := winrm.NewClientWithParameters(ep, "", "", params)
	require.NoError(t, err)
	within(t, 5*time.Second, func() {
		_, err := client.CreateShell()
		assert.Error(t, err)
	})
}

// Options.Proxy, and a logon to the proxy by its URL.
func TestProxy(t *testing.T) {
	srv := serve(t, newServer())
	var mu sync.Mutex
	var targets []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		targets = append(targets, r.Method+" "+r.Host)
		mu.Unlock()
		if r.Header.Get("Proxy-Authorization") == "" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		there, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		here, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = rw.WriteTo(there); _ = there.(*net.TCPConn).CloseWrite() })
		_, _ = there.(*net.TCPConn).WriteTo(here)
		_ = here.Close()
		wg.Wait()
	}))
	t.Cleanup(proxy.Close)
	u, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	u.User = url.UserPassword("p", "q")
	client := newClient(t, srv, auth.NTLM(credentials()), &masterzen.Options{
		Proxy: func(*url.URL) (*url.URL, error) { return u, nil },
	})
	out, _, _, err := client.RunCmdWithContext(t.Context(), "echo through")
	require.NoError(t, err)
	assert.Equal(t, "through\r\n", out)
	assert.Contains(t, targets, "CONNECT "+srv.Listener.Addr().String())
}

// The owner closes everything, and every call after that says so.
func TestClose(t *testing.T) {
	srv := serve(t, newServer())
	transports := masterzen.New(auth.NTLM(credentials()), nil)
	first, second := clientOf(t, srv, transports.Decorate), clientOf(t, srv, transports.Decorate)
	for _, c := range []*winrm.Client{first, second} {
		_, _, _, err := c.RunCmdWithContext(t.Context(), "echo x")
		require.NoError(t, err)
	}
	require.NotZero(t, srv.Stats().Connections)
	running, err := first.CreateShell()
	require.NoError(t, err)
	cmd, err := running.ExecuteWithContext(t.Context(), "wait")
	require.NoError(t, err)

	require.NoError(t, transports.Close())
	within(t, 5*time.Second, cmd.Wait)
	require.ErrorIs(t, cmd.Error(), auth.ErrClosed)
	assert.Equal(t, 16001, cmd.ExitCode())
	require.Eventually(t, func() bool { return srv.Stats().Connections == 0 }, 30*time.Second, 5*time.Millisecond)
	_, err = second.CreateShell()
	require.ErrorIs(t, err, auth.ErrClosed)
	params := winrm.NewParameters("PT60S", "en-US", 153600)
	params.TransportDecorator = transports.Decorate
	_, err = winrm.NewClientWithParameters(endpoint(t, srv), "", "", params)
	require.ErrorIs(t, err, auth.ErrClosed)
	require.NoError(t, transports.Close())
}

// One client's connections can be closed by its transport.
func TestCloseOne(t *testing.T) {
	srv := serve(t, newServer())
	transports := masterzen.New(auth.NTLM(credentials()), nil)
	defer transports.Close()
	transport := transports.Decorate()
	client := clientOf(t, srv, func() winrm.Transporter { return transport })
	_, _, _, err := client.RunCmdWithContext(t.Context(), "echo x")
	require.NoError(t, err)
	require.NoError(t, transport.(interface{ Close() error }).Close())
	_, err = client.CreateShell()
	require.ErrorIs(t, err, auth.ErrClosed)
	_, _, _, err = clientOf(t, srv, transports.Decorate).RunCmdWithContext(t.Context(), "echo x")
	require.NoError(t, err)
}

// A program that cannot close anything leaves it to the garbage collector.
func TestForgottenClient(t *testing.T) {
	srv := serve(t, newServer())
	decorate := masterzen.Decorator(auth.NTLM(credentials()), nil)
	func() {
		_, _, _, err := clientOf(t, srv, decorate).RunCmdWithContext(t.Context(), "echo x")
		require.NoError(t, err)
	}()
	require.NotZero(t, srv.Stats().Connections)
	require.Eventually(t, func() bool {
		runtime.GC()
		return srv.Stats().Connections == 0
	}, 30*time.Second, 20*time.Millisecond)
}

func TestPostBeforeTransport(t *testing.T) {
	_, err := masterzen.Decorator(auth.NTLM(credentials()), nil)().Post(nil, soap.NewMessage())
	require.Error(t, err)
	transport := masterzen.Decorator(auth.NTLM(credentials()), nil)()
	ep := winrm.NewEndpoint("srv1", 5985, false, false, nil, nil, nil, 0)
	require.NoError(t, transport.Transport(ep))
	require.Error(t, transport.Transport(ep), "one transport, one client")
}
