package masterzen_test

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/masterzen/winrm"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm/masterzen"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// TestMain fails when goroutines are left after all tests.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	if left := leaked(before); code == 0 && left != "" {
		fmt.Fprintln(os.Stderr, "goroutines left behind:\n"+left)
		code = 1
	}
	os.Exit(code)
}

func leaked(before int) string {
	http.DefaultClient.CloseIdleConnections()
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return ""
		}
		time.Sleep(20 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

const (
	user     = `CORP\alice`
	password = `pÄss @:/%wörd`
)

func credentials() auth.Credentials {
	return auth.Credentials{User: user, Password: password, Gate: new(auth.Gate)}
}

// host runs the commands of these tests.
var host = winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
	name, rest, _ := strings.Cut(p.Line, " ")
	switch name {
	case "echo":
		fmt.Fprint(p.Stdout, rest, "\r\n")
	case "whoami":
		fmt.Fprint(p.Stdout, p.User)
	case "quit":
		code, _ := strconv.Atoi(rest)
		return uint32(code)
	case "sort":
		n, _ := io.Copy(p.Stdout, p.Stdin)
		fmt.Fprintf(p.Stderr, "%d bytes\r\n", n)
	case "big":
		_, _ = p.Stdout.Write(big())
	case "wait":
		<-p.Context().Done()
		return 1
	case "slow":
		d, _ := time.ParseDuration(rest)
		time.Sleep(d)
		fmt.Fprint(p.Stdout, "at last")
	case "powershell.exe":
		fmt.Fprint(p.Stdout, script(rest))
		return 3
	default:
		fmt.Fprintf(p.Stderr, "no such command: %q\r\n", p.Line)
		return 9009
	}
	return 0
})

// big is 5 MB that do not compress.
func big() []byte {
	p := make([]byte, 5<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(p) // never fails
	return p
}

// script decodes -EncodedCommand.
func script(args string) string {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(args, "-EncodedCommand "))
	if err != nil {
		return err.Error()
	}
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(raw[2*i:])
	}
	return string(utf16.Decode(units))
}

// newServer prepares a server that takes NTLM.
func newServer() *winrmtest.Server {
	srv := winrmtest.NewUnstartedServer(host)
	srv.Users = map[string]string{user: password}
	srv.Mechanisms = []winrmtest.Mechanism{winrmtest.Negotiate()}
	srv.Record = true
	return srv
}

// serve starts a server for the time of the test.
func serve(t testing.TB, srv *winrmtest.Server) *winrmtest.Server {
	t.Helper()
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}

// address is where a server listens.
func address(t testing.TB, srv *winrmtest.Server) (host string, port int) {
	t.Helper()
	u, err := url.Parse(srv.URL)
	require.NoError(t, err)
	port, err = strconv.Atoi(u.Port())
	require.NoError(t, err)
	return u.Hostname(), port
}

func endpoint(t testing.TB, srv *winrmtest.Server) *winrm.Endpoint {
	t.Helper()
	host, port := address(t, srv)
	return winrm.NewEndpoint(host, port, strings.HasPrefix(srv.URL, "https"), false, nil, nil, nil, 0)
}

// newClient makes a masterzen client with our transport, closed with the test.
func newClient(t testing.TB, srv *winrmtest.Server, mech auth.Mechanism, opts *masterzen.Options) *winrm.Client {
	t.Helper()
	transports := masterzen.New(mech, opts)
	t.Cleanup(func() { require.NoError(t, transports.Close()) })
	return clientOf(t, srv, transports.Decorate)
}

// clientOf makes a masterzen client with any transport; nil is its own for
// Basic.
func clientOf(t testing.TB, srv *winrmtest.Server, decorate func() winrm.Transporter) *winrm.Client {
	t.Helper()
	params := winrm.NewParameters("PT20S", "en-US", 153600)
	params.TransportDecorator = decorate
	client, err := winrm.NewClientWithParameters(endpoint(t, srv), user, password, params)
	require.NoError(t, err)
	return client
}

// theirs is a server for masterzen's own transport, and a client with that.
func theirs(t testing.TB) (*winrmtest.Server, *winrm.Client) {
	t.Helper()
	srv := newServer()
	srv.Mechanisms = []winrmtest.Mechanism{winrmtest.Basic()}
	return serve(t, srv), clientOf(t, srv, nil)
}

// ours is a server for sealed NTLM, and a client with our transport.
func ours(t testing.TB) (*winrmtest.Server, *winrm.Client) {
	t.Helper()
	srv := serve(t, newServer())
	return srv, newClient(t, srv, auth.NTLM(credentials()), nil)
}

// seen counts the exchanges of one action.
func seen(srv *winrmtest.Server, action string) int { return srv.Stats().Exchanges[action] }

// within fails the test when fn takes longer.
func within(t testing.TB, d time.Duration, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	select {
	case <-done:
	case <-time.After(d):
		buf := make([]byte, 1<<20)
		t.Fatalf("not done after %v\n%s", d, buf[:runtime.Stack(buf, true)])
	}
}
