package winrm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/credssp"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	"github.com/winrmkit/winrmkit/wsman"
	wsconfig "github.com/winrmkit/winrmkit/wsman/config"
)

// A refusal is a host and a client that do not get along.
type refusal struct {
	id     string
	server func(*winrmtest.Server)
	secure bool
	// client changes the configuration, and the endpoint where it returns one.
	client func(srv *winrmtest.Server, cfg *winrm.Config) string
	// call is what is tried; nil runs a command.
	call func(context.Context, *winrm.Client) error
	// among says that the cause is one of several, the wire cannot know.
	among bool
}

func ownGate(user, password string) auth.Credentials {
	return auth.Credentials{User: user, Password: password, Gate: &auth.Gate{}}
}

func useNTLM(user, password string) func(*winrmtest.Server, *winrm.Config) string {
	return func(_ *winrmtest.Server, cfg *winrm.Config) string {
		cfg.Auth = auth.NTLM(ownGate(user, password))
		return ""
	}
}

func fails(f winrmtest.Fault) func(*winrmtest.Server) {
	return func(s *winrmtest.Server) { f.Count = -1; s.Faults = []winrmtest.Fault{f} }
}

func code(c wsman.FaultCode) func(*winrmtest.Server) {
	return fails(winrmtest.Fault{Action: "Create", Code: uint32(c)})
}

func getAuth(ctx context.Context, c *winrm.Client) error {
	_, err := wsconfig.GetServiceAuth(ctx, c.WSMan())
	return err
}

func dialing(err error) func(*winrmtest.Server, *winrm.Config) string {
	return func(_ *winrmtest.Server, cfg *winrm.Config) string {
		cfg.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, err }
		return ""
	}
}

var refusals = []refusal{
	// Switches of the service.
	{id: "credssp-off", client: func(_ *winrmtest.Server, cfg *winrm.Config) string { cfg.Auth = delegating(); return "" }},
	{
		id: "negotiate-off", client: useNTLM(winrmtest.DefaultUser, winrmtest.DefaultPassword),
		server: func(s *winrmtest.Server) { s.Mechanisms = []winrmtest.Mechanism{winrmtest.Basic()} },
	},
	{
		id: "basic-off", server: func(s *winrmtest.Server) { s.Mechanisms = []winrmtest.Mechanism{winrmtest.Negotiate()} },
		client: func(_ *winrmtest.Server, cfg *winrm.Config) string {
			cfg.Auth, cfg.Encryption = auth.BasicInsecure(ownGate("user", "x")), auth.EncryptNever
			return ""
		},
	},
	{
		id: "kerberos-off", among: true, client: func(_ *winrmtest.Server, cfg *winrm.Config) string {
			cfg.Auth = renamed{auth.NTLM(ownGate("user", "x"))}
			return ""
		},
	},
	{
		id: "messages-must-be-encrypted", client: func(_ *winrmtest.Server, cfg *winrm.Config) string {
			cfg.Encryption = auth.EncryptNever
			return ""
		},
	},
	{
		id: "unencrypted-off", among: true, server: func(s *winrmtest.Server) { s.Mechanisms = winrmtest.DefaultMechanisms() },
		client: func(_ *winrmtest.Server, cfg *winrm.Config) string {
			cfg.Auth, cfg.Encryption = auth.BasicInsecure(ownGate(winrmtest.DefaultUser, winrmtest.DefaultPassword)), auth.EncryptNever
			return ""
		},
	},
	// Nothing is sent.
	{
		id: "clear-credentials", client: func(_ *winrmtest.Server, cfg *winrm.Config) string {
			cfg.Auth = auth.Basic(ownGate("user", "x"))
			return ""
		},
	},
	{
		id: "credssp-not-allowed", client: func(_ *winrmtest.Server, cfg *winrm.Config) string {
			cfg.Auth = credssp.New(credssp.Config{Credentials: ownGate("user", "x"), Allow: []string{"wsman/*.corp.example"}})
			return ""
		},
		server: func(s *winrmtest.Server) { s.Settings = map[string]string{itemCredSSP: "true"} },
	},
	// The account.
	{id: "wrong-password", among: true, client: useNTLM(winrmtest.DefaultUser, "wrong")},
	{
		id: "logon-remembered", client: useNTLM(winrmtest.DefaultUser, "wrong"),
		call: func(ctx context.Context, c *winrm.Client) error { _ = getAuth(ctx, c); return getAuth(ctx, c) },
	},
	{
		id: "credssp-version", server: func(s *winrmtest.Server) {
			s.Mechanisms, s.Settings = []winrmtest.Mechanism{winrmtest.CredSSP(winrmtest.CredSSPOptions{Version: 2})}, nil
		},
		client: func(_ *winrmtest.Server, cfg *winrm.Config) string { cfg.Auth = delegating(); return "" },
	},
	{
		id: "header-too-long", among: true, server: fails(winrmtest.Fault{Action: winrmtest.ActionLogon, Status: http.StatusBadRequest}),
	},
	// Rights.
	{
		id: "token-filter", among: true, call: getAuth,
		server: func(s *winrmtest.Server) { s.Limited = []string{winrmtest.DefaultUser} },
	},
	{
		id: "no-right", call: getAuth, among: true, server: func(s *winrmtest.Server) {
			s.Users = map[string]string{`CORP\anna`: "secret"}
			s.Limited = []string{`CORP\anna`}
		},
	},
	// The way there.
	{
		id: "name-unknown", client: dialing(&net.DNSError{Name: "srv9", IsNotFound: true}),
	},
	{
		id: "port-closed", client: func(*winrmtest.Server, *winrm.Config) string {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				panic(err)
			}
			defer l.Close()
			return "http://" + l.Addr().String()
		},
	},
	{
		id: "no-answer", among: true, client: func(_ *winrmtest.Server, cfg *winrm.Config) string {
			cfg.ConnectTimeout = 50 * time.Millisecond
			cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
			return ""
		},
	},
	{id: "unreachable", client: dialing(syscall.EHOSTUNREACH)},
	{
		id: "proxy", client: func(_ *winrmtest.Server, cfg *winrm.Config) string {
			cfg.Proxy = func(*url.URL) (*url.URL, error) { return url.Parse("http://127.0.0.1:1") }
			return ""
		},
	},
	// TLS.
	{
		id: "tls-on-clear-port", client: func(srv *winrmtest.Server, _ *winrm.Config) string {
			return strings.Replace(srv.URL, "http:", "https:", 1)
		},
	},
	{
		id: "tls-expected", secure: true, client: func(srv *winrmtest.Server, cfg *winrm.Config) string {
			cfg.Dial = tlsAnswer
			return strings.Replace(srv.URL, "https:", "http:", 1)
		},
	},
	{
		id: "certificate-untrusted", secure: true,
		client: func(_ *winrmtest.Server, cfg *winrm.Config) string { cfg.TLS = nil; return "" },
	},
	{
		id: "certificate-name", secure: true, client: func(_ *winrmtest.Server, cfg *winrm.Config) string {
			cfg.TLS = cfg.TLS.Clone()
			cfg.TLS.ServerName = "other.corp.example"
			return ""
		},
	},
	{
		id: "certificate-expired", secure: true, client: func(_ *winrmtest.Server, cfg *winrm.Config) string {
			cfg.TLS = cfg.TLS.Clone()
			cfg.TLS.Time = func() time.Time { return time.Now().AddDate(100, 0, 0) }
			return ""
		},
	},
	{
		id: "certificate-pin", secure: true, client: func(_ *winrmtest.Server, cfg *winrm.Config) string {
			cfg.Pins = []string{strings.Repeat("ab", 32)}
			return ""
		},
	},
	// What answers.
	{id: "wrong-path", client: func(srv *winrmtest.Server, cfg *winrm.Config) string {
		cfg.Auth = auth.Anonymous()
		cfg.Encryption = auth.EncryptNever
		return strings.Replace(srv.URL, "/wsman", "/wrong", 1)
	}},
	{id: "redirected", server: fails(winrmtest.Fault{Status: 302, Header: http.Header{"Location": {"http://other/"}}})},
	{
		id: "not-winrm", call: getAuth, server: func(s *winrmtest.Server) {
			s.Mechanisms = []winrmtest.Mechanism{winrmtest.Basic()}
			s.Faults = []winrmtest.Fault{{Action: "Get", Status: 200, Body: []byte("<html>hello</html>")}}
		},
	},
	{id: "service-stopped", among: true, server: fails(winrmtest.Fault{Action: "Get", Status: 503}), call: getAuth},
	{id: "forbidden", among: true, server: fails(winrmtest.Fault{Action: "Get", Status: 403}), call: getAuth},
	{id: "logon-wanted", among: true, client: anonymous},
	{id: "message-too-large", server: fails(winrmtest.Fault{Action: "Get", Status: 413}), call: getAuth},
	{id: "server-error", among: true, server: fails(winrmtest.Fault{Action: "Get", Status: 500, Body: []byte{}}), call: getAuth},
	// Quotas and the rules for shells.
	{
		id: "quota-shells", server: func(s *winrmtest.Server) { s.Settings = map[string]string{"Winrs/MaxShellsPerUser": "1"} },
		call: func(ctx context.Context, c *winrm.Client) error {
			sh, err := c.OpenShell(ctx, winrm.ShellOptions{})
			if err != nil {
				return fmt.Errorf("first: %w", err)
			}
			defer sh.Close()
			_, err = c.OpenShell(ctx, winrm.ShellOptions{})
			return err
		},
	},
	{id: "quota-operations", server: code(wsman.ErrTooManyOperations), call: newShell},
	{id: "quota-users", server: code(wsman.ErrTooManyShellUsers), call: newShell},
	{id: "quota-service", server: code(wsman.ErrQuotaLimit), call: newShell},
	{id: "throttled-user", server: code(wsman.ErrUserThrottled), call: newShell},
	{id: "throttled-host", server: code(wsman.ErrSystemThrottled), call: newShell},
	{id: "shell-not-started", server: code(wsman.ErrShellNotStarted), call: newShell},
	{id: "shells-off", server: func(s *winrmtest.Server) { s.Settings = map[string]string{"Winrs/AllowRemoteShellAccess": "false"} }},
	{id: "codepage", client: func(_ *winrmtest.Server, cfg *winrm.Config) string { cfg.Shell.Codepage = 4711; return "" }},
	{id: "remote-access-off", server: code(2150859229), call: newShell},
	{id: "config-corrupted", server: fails(winrmtest.Fault{Action: "Get", Code: 2150858757}), call: getAuth},
	// Changes of the configuration.
	{
		id: "policy", server: func(s *winrmtest.Server) { s.Policy = map[string]string{itemCredSSP: "false"} },
		call: func(ctx context.Context, c *winrm.Client) error {
			return wsconfig.SetServiceAuth(ctx, c.WSMan(), wsconfig.ServiceAuth{CredSSP: wsconfig.Bool(true)})
		},
	},
	{
		id: "lockout", call: func(ctx context.Context, c *winrm.Client) error {
			return wsconfig.SetServiceAuth(ctx, c.WSMan(), wsconfig.ServiceAuth{Negotiate: wsconfig.Bool(false)})
		},
	},
	{
		id: "deprecated", call: func(ctx context.Context, c *winrm.Client) error {
			return wsconfig.SetConfig(ctx, c.WSMan(), wsconfig.Config{MaxProviderRequests: wsconfig.Number(1)})
		},
	},
	{
		id: "read-only", call: func(ctx context.Context, c *winrm.Client) error {
			return wsconfig.SetService(ctx, c.WSMan(), wsconfig.Service{AllowRemoteAccess: wsconfig.Bool(false)})
		},
	},
	{
		id: "resource-unknown", call: func(ctx context.Context, c *winrm.Client) error {
			return c.WSMan().Get(ctx, wsman.Resource{URI: wsman.NSPowerShell + "/Nothing"}, nil)
		},
	},
	{
		id: "file-mode", call: func(context.Context, *winrm.Client) error {
			dir, err := os.MkdirTemp("", "")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			name := filepath.Join(dir, "key.pem")
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				return err
			}
			if err := os.Chmod(name, 0o777); err != nil { //nolint:gosec // the point of it
				return err
			}
			return auth.CheckPrivateFile(name)
		},
	},
	{
		id: "not-applied", among: true, server: func(s *winrmtest.Server) {
			s.Faults = []winrmtest.Fault{{Action: "Get", After: 1, Edit: func(b []byte) []byte {
				return bytes.ReplaceAll(b, []byte("CredSSP>true"), []byte("CredSSP>false"))
			}}}
		},
		call: func(ctx context.Context, c *winrm.Client) error {
			return wsconfig.SetServiceAuth(ctx, c.WSMan(), wsconfig.ServiceAuth{CredSSP: wsconfig.Bool(true)})
		},
	},
	// Our scripts.
	{
		id: "language-mode", call: credSSPStatus, server: prints(
			"Cannot invoke method. Method invocation is supported only on core types in this language mode.\r\n" +
				"At line:1 char:4\r\n    + CategoryInfo          : InvalidOperation: (:) [], RuntimeException\r\n" +
				"    + FullyQualifiedErrorId : MethodInvocationNotSupportedInConstrainedLanguag\r\n   e\r\n",
		),
	},
	{
		id: "host-script", among: true, call: credSSPStatus, server: prints("Requested registry access is not allowed.\r\n"),
	},
	{
		id: "credssp-left-on", call: func(ctx context.Context, c *winrm.Client) error {
			return c.WithCredSSP(ctx, winrm.TemporaryCredSSP{Auth: delegating()}, func(context.Context, *winrm.Client) error {
				return c.Close()
			})
		},
	},
	// The second hop.
	{
		id: "second-hop-avoid", among: true, call: func(ctx context.Context, c *winrm.Client) error {
			return &wsman.Fault{Code: 0x80338104, Message: "The following error occurred: 0x8009030e A specified logon session does not exist."}
		},
	},
}

func anonymous(_ *winrmtest.Server, cfg *winrm.Config) string {
	cfg.Auth, cfg.Encryption = auth.Anonymous(), auth.EncryptNever
	return ""
}

// prints is a host whose PowerShell writes an error and fails.
func prints(text string) func(*winrmtest.Server) {
	return func(s *winrmtest.Server) {
		s.Handler = winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
			_, _ = io.Copy(io.Discard, p.Stdin)
			fmt.Fprint(p.Stderr, text)
			return 1
		})
	}
}

func credSSPStatus(ctx context.Context, c *winrm.Client) error {
	_, err := c.CredSSPStatus(ctx)
	return err
}

// aboutUs are the causes that lie on this side, whatever the host.
var aboutUs = map[string]bool{"clear-credentials": true, "file-mode": true, "policy": true, "lockout": true}

func newShell(ctx context.Context, c *winrm.Client) error {
	sh, err := c.OpenShell(ctx, winrm.ShellOptions{})
	if err == nil {
		err = errors.Join(errors.New("a shell was opened"), sh.Close())
	}
	return err
}

// renamed is a mechanism under the scheme word Kerberos.
type renamed struct{ auth.Mechanism }

func (renamed) Scheme() string { return "Kerberos" }

// tlsAnswer is a listener for https, asked in clear.
func tlsAnswer(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		_, _ = io.ReadAtLeast(theirs, make([]byte, 4096), 1)
		// Fatal alert protocol_version, as RFC 8446 section 6 writes it.
		_, _ = theirs.Write([]byte{21, 3, 1, 0, 2, 2, 70})
	}()
	return ours, nil
}

func TestCauses(t *testing.T) {
	ids, remedies := map[string]bool{}, map[string]string{}
	for _, r := range refusals {
		t.Run(r.id, func(t *testing.T) {
			srv := credSSPHost()
			if r.server != nil {
				r.server(srv)
			}
			if _, ok := srv.Settings[itemCredSSP]; !ok && len(srv.Mechanisms) > 1 {
				if srv.Settings == nil {
					srv.Settings = map[string]string{}
				}
				srv.Settings[itemCredSSP] = "false"
			}
			if r.secure {
				srv.StartTLS()
			} else {
				srv.Start()
			}
			defer srv.Close()
			cfg, endpoint := srv.Config(), srv.URL
			if r.client != nil {
				if e := r.client(srv, cfg); e != "" {
					endpoint = e
				}
			}
			client, err := winrm.New(endpoint, cfg)
			require.NoError(t, err)
			defer client.Close()
			call := r.call
			if call == nil {
				call = func(ctx context.Context, c *winrm.Client) error { return c.CommandContext(ctx, "hostname").Run() }
			}
			err = call(t.Context(), client)
			require.Error(t, err)
			causes := client.Explain(err)
			require.NotEmpty(t, causes, "%T %v", err, err)
			first := causes[0]
			assert.Equal(t, r.id, first.ID, "%v", err)
			assert.Equal(t, !r.among, first.Certain, "%+v", causes)
			assert.NotEmpty(t, first.Text)
			assert.NotEmpty(t, first.Remedy)
			if u, _ := url.Parse(endpoint); !aboutUs[r.id] {
				assert.Contains(t, first.Text, u.Hostname(), "which host is it?")
			}
			assert.False(t, ids[r.id], "the identifier is somebody else's, too")
			ids[r.id] = true
			assert.Empty(t, remedies[first.Remedy], "the remedy is that of another cause")
			remedies[first.Remedy] = r.id
			seen := map[string]bool{}
			for _, c := range causes {
				assert.False(t, seen[c.ID+c.Remedy], "%s comes twice", c.ID)
				seen[c.ID+c.Remedy] = true
			}
		})
	}
	assert.GreaterOrEqual(t, len(ids), 25)
}

// The failing logon of the story: CredSSP is tried, the host offers Negotiate.
// The text says it all.
func TestCredSSPOffText(t *testing.T) {
	srv := credSSPHost()
	srv.Start()
	defer srv.Close()
	client, err := winrm.New(srv.URL, &winrm.Config{Auth: delegating()})
	require.NoError(t, err)
	defer client.Close()
	err = client.Command("hostname").Run()
	require.Error(t, err)
	t.Log(err)
	u, _ := url.Parse(srv.URL)
	for _, part := range []string{
		u.Host, `cause: Service\Auth\CredSSP is false on ` + u.Host, "offered: Negotiate",
		`Set-Item -Path WSMan:\localhost\Service\Auth\CredSSP -Value $true -Force`, "Enable-WSManCredSSP -Role Server -Force",
	} {
		assert.Contains(t, err.Error(), part)
	}
	assert.NotContains(t, err.Error(), "possible cause", "there is one, and it is known")
}

func TestExplainOutput(t *testing.T) {
	srv := credSSPHost()
	client, _ := startCredSSP(t, srv)
	for _, text := range []string{
		"Get-ChildItem : Access is denied\r\n    + CategoryInfo          : PermissionDenied: (\\\\fs\\share:String) [Get-ChildItem], UnauthorizedAccessException",
		"System error 5 has occurred.\r\n\r\nAccess is denied.\r\n",
		"Connecting to remote server srv3 failed with the following error message : WinRM cannot process the request. The following error with errorcode 0x8009030e occurred",
	} {
		causes := client.ExplainOutput(text)
		require.NotEmpty(t, causes, text)
		var ids []string
		for _, c := range causes {
			ids = append(ids, c.ID)
		}
		assert.Equal(t, []string{"second-hop-avoid", "second-hop-rbcd", "second-hop-forward", "second-hop-credssp"}, ids, "the safest way first")
	}
	assert.Empty(t, client.ExplainOutput("all is well"))

	cs, err := winrm.New(srv.URL, &winrm.Config{Auth: delegating()})
	require.NoError(t, err)
	defer cs.Close()
	causes := cs.ExplainOutput("System error 5 has occurred.")
	require.Len(t, causes, 1)
	assert.Equal(t, "second-hop-rights", causes[0].ID)
	assert.True(t, slices.ContainsFunc(client.ExplainOutput("Access is denied"), func(c winrm.Cause) bool { return c.ID == "second-hop-credssp" }))
}
