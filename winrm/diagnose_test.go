package winrm_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	"github.com/winrmkit/winrmkit/wsman"
)

// A patient is a host with one thing broken, and where the doctor finds it.
type patient struct {
	name   string
	step   string // the last one
	cause  string // "" for a healthy one
	warns  bool
	secure bool
	server func(*winrmtest.Server)
	look   func(t *testing.T, srv *winrmtest.Server, target *string, o *winrm.DiagnoseOptions)
}

var patients = []patient{
	{name: "healthy", step: "quota"},
	{name: "healthy https", step: "quota", secure: true},
	{
		name: "name unknown", step: "name", cause: "name-unknown",
		look: func(t *testing.T, _ *winrmtest.Server, target *string, o *winrm.DiagnoseOptions) {
			*target, o.Resolver = "srv9.corp.example", nobodyKnows(t)
		},
	},
	{
		name: "port closed", step: "port", cause: "port-closed",
		look: func(t *testing.T, _ *winrmtest.Server, target *string, _ *winrm.DiagnoseOptions) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			*target = l.Addr().String()
			require.NoError(t, l.Close())
		},
	},
	{
		name: "TLS on the http port", step: "tls", cause: "tls-on-clear-port",
		look: func(_ *testing.T, _ *winrmtest.Server, target *string, _ *winrm.DiagnoseOptions) {
			*target = strings.Replace(*target, "http:", "https:", 1)
		},
	},
	{
		name: "certificate for another name", step: "tls", cause: "certificate-name", secure: true,
		look: func(_ *testing.T, _ *winrmtest.Server, _ *string, o *winrm.DiagnoseOptions) {
			o.Config.TLS = o.Config.TLS.Clone()
			o.Config.TLS.ServerName = "other.corp.example"
		},
	},
	{
		name: "expired certificate", step: "tls", cause: "certificate-expired", secure: true,
		look: func(_ *testing.T, _ *winrmtest.Server, _ *string, o *winrm.DiagnoseOptions) {
			o.Config.TLS = o.Config.TLS.Clone()
			o.Config.TLS.Time = func() time.Time { return time.Now().AddDate(100, 0, 0) }
		},
	},
	{
		name: "wrong path", step: "http", cause: "wrong-path",
		look: func(_ *testing.T, _ *winrmtest.Server, target *string, _ *winrm.DiagnoseOptions) { *target += "2" },
	},
	{
		name: "scheme off", step: "schemes", cause: "credssp-off",
		look: func(_ *testing.T, _ *winrmtest.Server, _ *string, o *winrm.DiagnoseOptions) {
			o.Config.Auth = delegating()
		},
	},
	{
		name: "wrong password", step: "logon", cause: "wrong-password",
		look: func(_ *testing.T, _ *winrmtest.Server, _ *string, o *winrm.DiagnoseOptions) {
			o.Config.Auth = auth.NTLM(ownGate(winrmtest.DefaultUser, "wrong"))
		},
	},
	{
		name: "token filter", step: "authorization", cause: "token-filter",
		server: func(s *winrmtest.Server) { s.Limited = []string{winrmtest.DefaultUser} },
	},
	{
		name: "no right to the shell", step: "shell", cause: "no-right",
		server: func(s *winrmtest.Server) {
			s.Users = map[string]string{`CORP\anna`: "secret"}
			s.Faults = []winrmtest.Fault{{Action: "Create", Code: 5, Count: -1}}
		},
	},
	{
		name: "quota reached", step: "shell", cause: "quota-shells",
		server: func(s *winrmtest.Server) { s.Settings["Winrs/MaxShellsPerUser"] = "1" },
		look: func(t *testing.T, srv *winrmtest.Server, _ *string, _ *winrm.DiagnoseOptions) {
			client := srv.Client()
			sh, err := client.OpenShell(t.Context(), winrm.ShellOptions{})
			require.NoError(t, err)
			t.Cleanup(func() { _ = sh.Close(); _ = client.Close() })
		},
	},
	{
		name: "quota near", step: "quota", cause: "quota-near", warns: true,
		server: func(s *winrmtest.Server) { s.Settings["Winrs/MaxShellsPerUser"] = "1" },
	},
	{
		name: "shells off", step: "shell", cause: "shells-off",
		server: func(s *winrmtest.Server) { s.Settings["Winrs/AllowRemoteShellAccess"] = "false" },
	},
	{
		name: "slow host", step: "logon", cause: "slow-host",
		server: func(s *winrmtest.Server) {
			s.Faults = []winrmtest.Fault{{Action: winrmtest.ActionIdentify, After: 1, Drop: winrmtest.Silence}}
		},
		look: func(_ *testing.T, _ *winrmtest.Server, _ *string, o *winrm.DiagnoseOptions) {
			o.Timeout = 500 * time.Millisecond
		},
	},
	{
		name: "rather slow host", step: "shell", cause: "slow-host", warns: true,
		server: func(s *winrmtest.Server) {
			s.Faults = []winrmtest.Fault{{Action: "Command", Delay: 400 * time.Millisecond, Count: -1}}
		},
		look: func(_ *testing.T, _ *winrmtest.Server, _ *string, o *winrm.DiagnoseOptions) {
			o.Slow = 300 * time.Millisecond
		},
	},
	{
		name: "service stopped", step: "http", cause: "service-stopped", server: fails(winrmtest.Fault{Status: http.StatusServiceUnavailable, Action: winrmtest.ActionIdentify}),
	},
	{
		name: "clock", step: "clock", cause: "clock", warns: true,
		server: func(s *winrmtest.Server) {
			s.Faults = []winrmtest.Fault{{Action: "Get", Resource: "Win32_OperatingSystem", Edit: anHourAgo}}
		},
	},
	{
		name: "second hop", step: "second hop", cause: "second-hop-avoid", server: programs(map[string]string{"net": "System error 5 has occurred.\r\n\r\nAccess is denied.\r\n"}),
		look: func(_ *testing.T, _ *winrmtest.Server, _ *string, o *winrm.DiagnoseOptions) {
			o.SecondHop = "fileserver"
		},
	},
	{
		name: "broken secure channel", step: "secure channel", cause: "secure-channel",
		server: programs(map[string]string{"nltest": "I_NetLogonControl failed: Status = 1311 0x51f ERROR_NO_LOGON_SERVERS\r\n"}),
		look:   func(_ *testing.T, _ *winrmtest.Server, _ *string, o *winrm.DiagnoseOptions) { o.SecureChannel = true },
	},
	{
		name: "no nltest", step: "secure channel", cause: "tool-missing", warns: true,
		server: programs(map[string]string{"nltest": "'nltest' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n"}),
		look:   func(_ *testing.T, _ *winrmtest.Server, _ *string, o *winrm.DiagnoseOptions) { o.SecureChannel = true },
	},
	{
		name: "secure channel not told", step: "secure channel", cause: "secure-channel-hidden", warns: true,
		server: programs(map[string]string{"nltest": "I_NetLogonControl failed: Status = 5 0x5 ERROR_ACCESS_DENIED\r\n"}),
		look:   func(_ *testing.T, _ *winrmtest.Server, _ *string, o *winrm.DiagnoseOptions) { o.SecureChannel = true },
	},
	{
		name: "no module for managed accounts", step: "managed account", cause: "tool-missing", warns: true,
		server: account(func(s *winrmtest.Script) uint32 {
			return s.Throw("The term 'Test-ADServiceAccount' is not recognized as the name of a cmdlet.", "CommandNotFoundException", "ObjectNotFound")
		}),
		look: func(_ *testing.T, _ *winrmtest.Server, _ *string, o *winrm.DiagnoseOptions) {
			o.ManagedAccount = "webapp01"
		},
	},
	{
		name: "no domain", step: "secure channel", cause: "domain-unreachable",
		server: programs(map[string]string{"nltest": "Getting parent domain failed: Status = 1722 0x6ba RPC_S_SERVER_UNAVAILABLE\r\n"}),
		look:   func(_ *testing.T, _ *winrmtest.Server, _ *string, o *winrm.DiagnoseOptions) { o.SecureChannel = true },
	},
	{
		name: "managed account", step: "managed account", cause: "managed-account",
		server: account(func(s *winrmtest.Script) uint32 {
			s.Record("warning", "Test failed for Managed Service Account webapp01$.")
			s.Emit(false)
			return 0
		}),
		look: func(_ *testing.T, _ *winrmtest.Server, _ *string, o *winrm.DiagnoseOptions) {
			o.ManagedAccount = "webapp01$"
		},
	},
	{
		name: "managed account by a second hop", step: "managed account", cause: "managed-account-unknown", warns: true,
		server: account(func(s *winrmtest.Script) uint32 {
			return s.Throw("Unable to contact the server. This may be because this server does not exist, it is currently down, "+
				"or it does not have the Active Directory Web Services running.", "ActiveDirectoryServer:0,Microsoft.ActiveDirectory.Management.Commands.TestADServiceAccount", "ResourceUnavailable")
		}),
		look: func(_ *testing.T, _ *winrmtest.Server, _ *string, o *winrm.DiagnoseOptions) {
			o.ManagedAccount = "webapp01"
		},
	},
	{
		name: "no such managed account", step: "managed account", cause: "managed-account-missing",
		server: account(func(s *winrmtest.Script) uint32 {
			return s.Throw("Cannot find an object with identity: 'webapp02'", "ActiveDirectoryCmdlet:Microsoft.ActiveDirectory.Management.ADIdentityNotFoundException,"+
				"Microsoft.ActiveDirectory.Management.Commands.TestADServiceAccount", "ObjectNotFound")
		}),
		look: func(_ *testing.T, _ *winrmtest.Server, _ *string, o *winrm.DiagnoseOptions) {
			o.ManagedAccount = "webapp02"
		},
	},
	{
		name: "managed account, and a host that explains nothing", step: "managed account", cause: "managed-account-unknown", warns: true,
		server: account(func(s *winrmtest.Script) uint32 {
			fmt.Fprint(s.Stderr, "Access is denied.\r\n")
			return 1
		}),
		look: func(_ *testing.T, _ *winrmtest.Server, _ *string, o *winrm.DiagnoseOptions) {
			o.ManagedAccount = "webapp01"
		},
	},
	{
		name: "usable account", step: "managed account",
		server: account(func(s *winrmtest.Script) uint32 {
			s.Record("warning", "Error initializing default drive: 'Unable to find a default server.'")
			s.Emit(true)
			return 0
		}),
		look: func(_ *testing.T, _ *winrmtest.Server, _ *string, o *winrm.DiagnoseOptions) {
			o.ManagedAccount = "webapp01"
		},
	},
}

// programs are programs on the host that say something and fail.
func programs(said map[string]string) func(*winrmtest.Server) {
	return func(s *winrmtest.Server) {
		h := &winrmtest.Host{Programs: map[string]winrmtest.Handler{}}
		for name, text := range said {
			h.Programs[name] = winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
				fmt.Fprint(p.Stdout, text)
				return 2
			})
		}
		s.Handler = h
	}
}

// account is a host that is asked about a managed account.
func account(answer func(*winrmtest.Script) uint32) func(*winrmtest.Server) {
	return func(s *winrmtest.Server) {
		s.Handler = &winrmtest.Host{Script: func(r *winrmtest.Script) (uint32, bool) {
			return answer(r), strings.HasPrefix(string(r.Args), `{"Name":"webapp0`)
		}}
	}
}

// anHourAgo sets the clock that the host tells back.
func anHourAgo(body []byte) []byte {
	text := string(body)
	const open, end = "<p:LocalDateTime><cim:Datetime>", "</cim:Datetime>"
	i := strings.Index(text, open)
	if i < 0 {
		panic("no LocalDateTime")
	}
	rest := text[i+len(open):]
	j := strings.Index(rest, end)
	return []byte(text[:i+len(open)] + time.Now().Add(-time.Hour).UTC().Format(time.RFC3339) + rest[j:])
}

// nobodyKnows is a resolver whose name server knows no name.
func nobodyKnows(t *testing.T) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = pc.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			answer := append([]byte(nil), buf[:n]...)
			answer[2], answer[3] = 0x81, 0x83 // a response, NXDOMAIN: RFC 1035 section 4.1.1
			answer[10], answer[11] = 0, 0     // no additional records
			end := 12
			for answer[end] != 0 {
				end += int(answer[end]) + 1
			}
			_, _ = pc.WriteTo(answer[:end+5], from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

func TestDiagnose(t *testing.T) {
	for _, p := range patients {
		t.Run(p.name, func(t *testing.T) {
			srv := credSSPHost()
			if p.server != nil {
				p.server(srv)
			}
			if p.secure {
				srv.StartTLS()
			} else {
				srv.Start()
			}
			defer srv.Close()
			target, o := srv.URL, &winrm.DiagnoseOptions{Config: srv.Config()}
			if p.look != nil {
				p.look(t, srv, &target, o)
			}
			var steps []winrm.Step
			for s := range winrm.Diagnose(t.Context(), target, o) {
				steps = append(steps, s)
			}
			require.NotEmpty(t, steps)
			found := steps[len(steps)-1]
			if p.warns {
				for _, s := range steps {
					require.NotEqual(t, winrm.StepFailed, s.Verdict, "%+v", s)
					if s.Name == p.step {
						found = s
					}
				}
				assert.Equal(t, winrm.StepWarning, found.Verdict, "%+v", found)
			} else {
				for _, s := range steps[:len(steps)-1] {
					assert.Contains(t, []winrm.Verdict{winrm.StepOK, winrm.StepSkipped}, s.Verdict, "%+v", s)
				}
			}
			assert.Equal(t, p.step, found.Name, "%+v", found)
			if p.cause == "" {
				assert.Equal(t, winrm.StepOK, found.Verdict, "%+v", found)
				return
			}
			if !p.warns {
				assert.Equal(t, winrm.StepFailed, found.Verdict)
			}
			require.NotEmpty(t, found.Causes, "%+v", found)
			assert.Equal(t, p.cause, found.Causes[0].ID, "%+v", found)
			assert.NotEmpty(t, found.Causes[0].Remedy)
			for _, text := range found.Evidence {
				assert.NotContains(t, text, "possible cause", "the causes stand beside it")
			}
		})
	}
}

// A host without a WinRM configuration is walked to the end.
func TestDiagnoseWithoutConfiguration(t *testing.T) {
	for _, code := range []wsman.FaultCode{wsman.ErrResourceNotFound, wsman.ErrInvalidResourceURI, wsman.ErrActionNotSupported} {
		srv := credSSPHost()
		srv.Faults = []winrmtest.Fault{{Action: "Get", Code: uint32(code), Count: -1}}
		srv.Start()
		defer srv.Close()
		verdicts := make(map[string]winrm.Verdict)
		for s := range winrm.Diagnose(t.Context(), srv.URL, &winrm.DiagnoseOptions{Config: srv.Config()}) {
			verdicts[s.Name] = s.Verdict
		}
		assert.Equal(t, winrm.StepSkipped, verdicts["authorization"], "%v", code)
		assert.Equal(t, winrm.StepOK, verdicts["shell"], "%v", code)
		assert.Equal(t, winrm.StepSkipped, verdicts["quota"], "%v", code)
	}
}

// The doctor costs an account one failed logon and no more.
func TestDiagnoseOneFailure(t *testing.T) {
	srv := credSSPHost()
	srv.Start()
	defer srv.Close()
	for range winrm.Diagnose(t.Context(), srv.URL, &winrm.DiagnoseOptions{Config: &winrm.Config{
		Auth: auth.NTLM(ownGate(winrmtest.DefaultUser, "wrong")),
	}}) {
	}
	assert.Equal(t, map[string]int{winrmtest.DefaultUser: 1}, srv.Stats().FailedLogons)
}

// A walk that is left early leaves nothing behind.
func TestDiagnoseBreak(t *testing.T) {
	srv := credSSPHost()
	srv.Start()
	defer srv.Close()
	for s := range winrm.Diagnose(t.Context(), srv.URL, &winrm.DiagnoseOptions{Config: srv.Config()}) {
		if s.Name == "shell" {
			break
		}
	}
	eventually(t, func() bool { return srv.Stats().Shells == 0 && srv.Stats().Connections == 0 }, "connections end")
	for s := range winrm.Diagnose(t.Context(), "https://user:secret@host", nil) {
		assert.Equal(t, winrm.StepFailed, s.Verdict)
		assert.Equal(t, "endpoint", s.Causes[0].ID)
		assert.NotContains(t, fmt.Sprint(s), "secret")
	}
}
