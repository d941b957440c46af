package masterzen_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/masterzen/winrm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/kerberos"
	"github.com/winrmkit/winrmkit/credssp"
	"github.com/winrmkit/winrmkit/internal/realmtest"
	"github.com/winrmkit/winrmkit/winrm/masterzen"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// A way is one way to log on: the host's side and the program's.
type way struct {
	name string
	make func(t *testing.T) (winrmtest.Mechanism, auth.Mechanism)
}

var ways = []way{
	{"NTLM", func(*testing.T) (winrmtest.Mechanism, auth.Mechanism) {
		return winrmtest.Negotiate(), auth.NTLM(credentials())
	}},
	{"Negotiate", func(*testing.T) (winrmtest.Mechanism, auth.Mechanism) {
		return winrmtest.Negotiate(), auth.Negotiate(auth.NTLM(credentials()))
	}},
	{"CredSSP", func(*testing.T) (winrmtest.Mechanism, auth.Mechanism) {
		return winrmtest.CredSSP(winrmtest.CredSSPOptions{}), credssp.New(credssp.Config{Credentials: credentials()})
	}},
	{"Kerberos", func(t *testing.T) (winrmtest.Mechanism, auth.Mechanism) {
		realm := winrmtest.NewRealm("EXAMPLE.TEST")
		mech, err := realm.Client("alice")
		require.NoError(t, err)
		t.Cleanup(func() { _ = mech.Close() })
		return realm.Kerberos(), mech
	}},
	{"Kerberos with a KDC", func(t *testing.T) (winrmtest.Mechanism, auth.Mechanism) {
		m := realmtest.StartMIT(t, realmtest.MITConfig{KAdmin: []string{
			`addprinc -clearpolicy -pw "` + winrmtest.DefaultPassword + `" alice`,
			"addprinc -clearpolicy -randkey HTTP/host1.example.test",
			"ktadd -norandkey -k $DIR/host1.keytab HTTP/host1.example.test",
		}})
		keytab, err := os.ReadFile(m.Path("host1.keytab"))
		require.NoError(t, err)
		accept, err := winrmtest.NegotiateKerberos(keytab)
		require.NoError(t, err)
		mech, err := kerberos.New(&kerberos.Config{
			Credentials: auth.Credentials{User: "alice", Password: winrmtest.DefaultPassword, Gate: new(auth.Gate)},
			Realm:       "EXAMPLE.TEST", ConfigFile: m.Conf, SPNs: []string{"HTTP/host1.example.test"},
		})
		require.NoError(t, err)
		t.Cleanup(func() { _ = mech.Close() })
		return accept, auth.Negotiate(mech)
	}},
}

// TestPrograms runs what masterzen's README shows, with one line changed: the
// decorator. Every message is sealed.
func TestPrograms(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			accept, mech := w.make(t)
			srv := newServer()
			srv.Mechanisms = []winrmtest.Mechanism{accept}
			srv.Settings = map[string]string{"Service/Auth/Kerberos": "true"}
			serve(t, srv)
			transports := masterzen.New(mech, nil)
			defer transports.Close()
			for name, program := range programs {
				t.Run(name, func(t *testing.T) { within(t, time.Minute, func() { program(t, srv, transports.Decorate) }) })
			}
			stats := srv.Stats()
			assert.Zero(t, stats.Shells, "shells left open")
			assert.Zero(t, stats.Commands, "commands left running")
			assert.Empty(t, stats.FailedLogons)
			for _, x := range srv.Exchanges() {
				if x.Action != winrmtest.ActionLogon {
					require.True(t, x.Sealed, x.Action)
				}
			}
		})
	}
}

var programs = map[string]func(*testing.T, *winrmtest.Server, func() winrm.Transporter){
	"echo": func(t *testing.T, srv *winrmtest.Server, decorate func() winrm.Transporter) {
		host, port := address(t, srv)
		var stdout, stderr bytes.Buffer

		endpoint := winrm.NewEndpoint(host, port, false, false, nil, nil, nil, 0)
		params := winrm.NewParameters("PT60S", "en-US", 153600)
		params.TransportDecorator = decorate
		client, err := winrm.NewClientWithParameters(endpoint, "Administrator", "secret", params)
		if err != nil {
			panic(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		code, err := client.RunWithContext(ctx, "echo hello world", &stdout, &stderr)

		require.NoError(t, err)
		assert.Zero(t, code)
		assert.Equal(t, "hello world\r\n", stdout.String())
		assert.Empty(t, stderr.String())
	},
	"exit code": func(t *testing.T, srv *winrmtest.Server, decorate func() winrm.Transporter) {
		_, _, code, err := clientOf(t, srv, decorate).RunCmdWithContext(t.Context(), "quit 7")
		require.NoError(t, err)
		assert.Equal(t, 7, code)
	},
	"PowerShell": func(t *testing.T, srv *winrmtest.Server, decorate func() winrm.Transporter) {
		stdout, _, code, err := clientOf(t, srv, decorate).RunPSWithContext(t.Context(), `Get-HotFix | ? { $_ -ne "Ω" }`)
		require.NoError(t, err)
		assert.Equal(t, 3, code)
		assert.Equal(t, `$ProgressPreference = 'SilentlyContinue';Get-HotFix | ? { $_ -ne "Ω" }`, stdout)
	},
	"stdin": func(t *testing.T, srv *winrmtest.Server, decorate func() winrm.Transporter) {
		host, port := address(t, srv)
		var stdout, stderr bytes.Buffer
		stdin := strings.Repeat("a line of input\r\n", 20_000)

		endpoint := winrm.NewEndpoint(host, port, false, false, nil, nil, nil, 0)
		params := winrm.NewParameters("PT60S", "en-US", 153600)
		params.TransportDecorator = decorate
		client, err := winrm.NewClientWithParameters(endpoint, "test", "test", params)
		if err != nil {
			panic(err)
		}
		//lint:ignore SA1019 the README has it
		_, err = client.RunWithInput("sort", &stdout, &stderr, strings.NewReader(stdin))

		require.NoError(t, err)
		assert.Equal(t, stdin, stdout.String())
		assert.Equal(t, fmt.Sprintf("%d bytes\r\n", len(stdin)), stderr.String())
	},
	"5 MB": func(t *testing.T, srv *winrmtest.Server, decorate func() winrm.Transporter) {
		var stdout bytes.Buffer
		code, err := clientOf(t, srv, decorate).RunWithContext(t.Context(), "big", &stdout, io.Discard)
		require.NoError(t, err)
		assert.Zero(t, code)
		assert.True(t, bytes.Equal(big(), stdout.Bytes()), "%d bytes", stdout.Len())
	},
	"shell and command": func(t *testing.T, srv *winrmtest.Server, decorate func() winrm.Transporter) {
		client := clientOf(t, srv, decorate)
		stdin := bytes.NewBufferString("ipconfig /all")
		var stdout, stderr bytes.Buffer

		shell, err := client.CreateShell()
		if err != nil {
			panic(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var cmd *winrm.Command
		cmd, err = shell.ExecuteWithContext(ctx, "sort")
		if err != nil {
			panic(err)
		}
		var copies sync.WaitGroup
		copies.Go(func() { _, _ = io.Copy(cmd.Stdin, stdin); _ = cmd.Stdin.Close() })
		copies.Go(func() { _, _ = io.Copy(&stdout, cmd.Stdout) })
		copies.Go(func() { _, _ = io.Copy(&stderr, cmd.Stderr) })
		cmd.Wait()
		shell.Close()

		copies.Wait()
		assert.Equal(t, "ipconfig /all", stdout.String())
		assert.Equal(t, "13 bytes\r\n", stderr.String())
	},
	"dialer": func(t *testing.T, srv *winrmtest.Server, decorate func() winrm.Transporter) {
		_, port := address(t, srv)
		endpoint := winrm.NewEndpoint("other-host", port, false, false, nil, nil, nil, 0)
		params := winrm.NewParameters("PT60S", "en-US", 153600)
		var dialled string
		params.Dial = func(network, addr string) (net.Conn, error) {
			dialled = addr
			return net.Dial(network, srv.Listener.Addr().String())
		}
		params.TransportDecorator = decorate
		client, err := winrm.NewClientWithParameters(endpoint, "test", "test", params)
		require.NoError(t, err)
		stdout, _, _, err := client.RunCmdWithContext(t.Context(), "echo tunnel")
		require.NoError(t, err)
		assert.Equal(t, "tunnel\r\n", stdout)
		assert.Equal(t, fmt.Sprintf("other-host:%d", port), dialled)
	},
}

// The same over https, where TLS encrypts: several commands of one client at once.
func TestProgramsTLS(t *testing.T) {
	for _, w := range append(ways, way{"Basic", func(*testing.T) (winrmtest.Mechanism, auth.Mechanism) {
		return winrmtest.Basic(), auth.Basic(credentials())
	}}) {
		t.Run(w.name, func(t *testing.T) {
			accept, mech := w.make(t)
			srv := newServer()
			srv.Mechanisms = []winrmtest.Mechanism{accept}
			srv.Settings = map[string]string{"Service/Auth/Kerberos": "true", "Service/Auth/CbtHardeningLevel": "Strict"}
			srv.StartTLS()
			t.Cleanup(srv.Close)
			transports := masterzen.New(mech, nil)
			defer transports.Close()
			ep := endpoint(t, srv)
			ep.CACert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
			params := winrm.NewParameters("PT60S", "en-US", 153600)
			params.TransportDecorator = transports.Decorate
			client, err := winrm.NewClientWithParameters(ep, "Administrator", "secret", params)
			require.NoError(t, err)
			var wg sync.WaitGroup
			wg.Go(func() {
				stdin := strings.Repeat("a line of input\r\n", 10_000)
				var stdout, stderr bytes.Buffer
				code, err := client.RunWithContextWithInput(t.Context(), "sort", &stdout, &stderr, strings.NewReader(stdin))
				assert.NoError(t, err)
				assert.Zero(t, code)
				assert.True(t, stdin == stdout.String(), "%d bytes", stdout.Len())
			})
			wg.Go(func() {
				var stdout bytes.Buffer
				code, err := client.RunWithContext(t.Context(), "big", &stdout, io.Discard)
				assert.NoError(t, err)
				assert.Zero(t, code)
				assert.True(t, bytes.Equal(big(), stdout.Bytes()), "%d bytes", stdout.Len())
			})
			within(t, time.Minute, wg.Wait)
			stats := srv.Stats()
			assert.Zero(t, stats.Shells+stats.Commands)
			assert.Empty(t, stats.FailedLogons)
		})
	}
}

// The README's last example, masterzen's ClientAuthRequest: a client certificate
// out of the endpoint. The decorator has no mechanism.
func TestCertificateProgram(t *testing.T) {
	srv := newServer()
	srv.Mechanisms = []winrmtest.Mechanism{winrmtest.Certificate()}
	srv.CertMappings = []winrmtest.CertMapping{{Subject: "alice@corp.test", User: user}}
	clientCert, clientKey := pemPair(t, srv.ClientCertificate("alice@corp.test"))
	srv.StartTLS()
	t.Cleanup(srv.Close)
	host, port := address(t, srv)
	var stdout bytes.Buffer

	params := winrm.NewParameters("PT60S", "en-US", 153600)
	params.TransportDecorator = masterzen.Decorator(nil, nil)
	endpoint := winrm.NewEndpoint(
		host,       // host to connect to
		port,       // winrm port
		true,       // use TLS
		true,       // Allow insecure connection
		nil,        // CA certificate
		clientCert, // Client Certificate
		clientKey,  // Client Key
		0,          // Timeout
	)
	client, err := winrm.NewClientWithParameters(endpoint, "Administrator", "", params)
	require.NoError(t, err)
	_, err = client.RunWithContext(t.Context(), "whoami", &stdout, os.Stderr)
	require.NoError(t, err)
	assert.Equal(t, user, stdout.String())
}
