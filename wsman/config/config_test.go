package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	"github.com/winrmkit/winrmkit/wsman"
	"github.com/winrmkit/winrmkit/wsman/config"
)

func TestServiceAuth(t *testing.T) {
	_, client := newHost(t, func(s *winrmtest.Server) {
		s.Policy = map[string]string{"Service/Auth/Basic": "false"}
	})
	ctx, c := t.Context(), client.WSMan()
	a, err := config.GetServiceAuth(ctx, c)
	require.NoError(t, err)
	assert.Equal(t, &config.ServiceAuth{
		Basic:       config.Value[bool]{V: false, Source: config.Policy, Known: true},
		Kerberos:    config.Bool(false),
		Negotiate:   config.Bool(true),
		Certificate: config.Bool(false),
		CredSSP:     config.Bool(false), CbtHardeningLevel: config.Text("Relaxed"),
	}, a)

	require.NoError(t, config.SetServiceAuth(ctx, c, config.ServiceAuth{CredSSP: config.Bool(true)}))
	a, err = config.GetServiceAuth(ctx, c)
	require.NoError(t, err)
	assert.True(t, a.CredSSP.V)
	assert.True(t, a.Negotiate.V)
}

// The bytes are those that Enable-WSManCredSSP sends.
func TestPutBytes(t *testing.T) {
	srv, client := newHost(t)
	ctx, c := t.Context(), client.WSMan()
	changed, err := config.EnableCredSSPServer(ctx, c)
	require.NoError(t, err)
	assert.True(t, changed)
	changed, err = config.EnableCredSSPServer(ctx, c)
	require.NoError(t, err)
	assert.False(t, changed, "it is on already")
	require.NoError(t, config.SetClientAuth(ctx, c, config.ClientAuth{CredSSP: config.Bool(true)}))
	require.NoError(t, config.SetConfig(ctx, c, config.Config{
		MaxTimeoutms: config.Number(120000),
		Service:      config.Service{Auth: config.ServiceAuth{CbtHardeningLevel: config.Text("Strict")}},
		Winrs:        config.Winrs{MaxShellsPerUser: config.Number(30)},
	}))
	assert.Equal(t, []string{
		`<cfg:Auth xmlns:cfg="http://schemas.microsoft.com/wbem/wsman/1/config/service/auth"><cfg:CredSSP>true</cfg:CredSSP></cfg:Auth>`,
		`<cfg:Auth xmlns:cfg="http://schemas.microsoft.com/wbem/wsman/1/config/client/auth"><cfg:CredSSP>true</cfg:CredSSP></cfg:Auth>`,
		`<cfg:Config xmlns:cfg="http://schemas.microsoft.com/wbem/wsman/1/config"><cfg:MaxTimeoutms>120000</cfg:MaxTimeoutms>` +
			`<cfg:Service><cfg:Auth><cfg:CbtHardeningLevel>Strict</cfg:CbtHardeningLevel></cfg:Auth></cfg:Service>` +
			`<cfg:Winrs><cfg:MaxShellsPerUser>30</cfg:MaxShellsPerUser></cfg:Winrs></cfg:Config>`,
	}, bodies(t, srv, "Put"))
	for _, body := range bodies(t, srv, "Get") {
		assert.Empty(t, body)
	}
	assert.Equal(t, "Strict", srv.Setting("Service/Auth/CbtHardeningLevel"))
}

// Every section reads into its struct with nothing missing, and each of its
// settings that can be written can be written.
func TestSections(t *testing.T) {
	srv, client := newHost(t)
	ctx, c := t.Context(), client.WSMan()
	all, err := config.GetConfig(ctx, c)
	require.NoError(t, err)
	assert.Equal(t, uint32(500), all.MaxEnvelopeSizekb.V)
	assert.Equal(t, uint32(4294967295), all.MaxProviderRequests.V)

	client1, err := config.GetClient(ctx, c)
	require.NoError(t, err)
	assert.Equal(t, all.Client, *client1)
	auth, err := config.GetClientAuth(ctx, c)
	require.NoError(t, err)
	assert.Equal(t, all.Client.Auth, *auth)
	ports, err := config.GetClientPorts(ctx, c)
	require.NoError(t, err)
	assert.Equal(t, all.Client.DefaultPorts, *ports)
	service, err := config.GetService(ctx, c)
	require.NoError(t, err)
	assert.Equal(t, all.Service, *service)
	ports, err = config.GetServicePorts(ctx, c)
	require.NoError(t, err)
	assert.Equal(t, config.DefaultPorts{HTTP: config.Number(5985), HTTPS: config.Number(5986)}, *ports)
	winrs, err := config.GetWinrs(ctx, c)
	require.NoError(t, err)
	assert.Equal(t, all.Winrs, *winrs)
	assert.True(t, all.Winrs.MaxShellsPerUser.Known)
	assert.True(t, all.Service.AllowRemoteAccess.V)

	require.NoError(t, config.SetClient(ctx, c, config.Client{TrustedHosts: config.Text("*.corp.example,[fe80::1]")}))
	assert.Equal(t, "*.corp.example,[fe80::1]", srv.Setting("Client/TrustedHosts"))
	require.NoError(t, config.SetClientPorts(ctx, c, config.DefaultPorts{HTTP: config.Number(80)}))
	assert.Equal(t, "80", srv.Setting("Client/DefaultPorts/HTTP"))
	require.NoError(t, config.SetWinrs(ctx, c, config.Winrs{IdleTimeout: config.Number(900000)}))
	assert.Equal(t, "900000", srv.Setting("Winrs/IdleTimeout"))
	require.NoError(t, config.SetService(ctx, c, config.Service{MaxConnections: config.Number(400), IPv4Filter: config.Text("10.0.0.1-10.0.0.9")}))
	assert.Equal(t, "400", srv.Setting("Service/MaxConnections"))
}

func TestPolicy(t *testing.T) {
	srv, client := newHost(t, func(s *winrmtest.Server) {
		s.Policy = map[string]string{"Service/Auth/CredSSP": "false", "Service/AllowUnencrypted": "false"}
	})
	ctx, c := t.Context(), client.WSMan()
	err := config.SetServiceAuth(ctx, c, config.ServiceAuth{CredSSP: config.Bool(true)})
	policy, ok := errors.AsType[*config.PolicyError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, `Service\Auth\CredSSP`, policy.Item)
	assert.Equal(t, "false", policy.Value)
	assert.Contains(t, err.Error(), `Service\Auth\CredSSP comes from group policy and is false`)
	assert.Equal(t, "false", srv.Setting("Service/Auth/CredSSP"))
	assert.Zero(t, srv.Stats().Exchanges["Put"], "nothing was sent")

	changed, err := config.EnableCredSSPServer(ctx, c)
	require.Error(t, err)
	assert.False(t, changed)

	// Another setting beside it is not changed either.
	err = config.SetService(ctx, c, config.Service{AllowUnencrypted: config.Bool(true), MaxConnections: config.Number(1)})
	require.Error(t, err)
	assert.Equal(t, "300", srv.Setting("Service/MaxConnections"))

	// What the policy says may be repeated.
	require.NoError(t, config.SetServiceAuth(ctx, c, config.ServiceAuth{CredSSP: config.Bool(false)}))
}

// A policy that arrives between reading and writing shows as the host's fault.
func TestPolicyFault(t *testing.T) {
	_, client := newHost(t, func(s *winrmtest.Server) {
		s.Faults = []winrmtest.Fault{{Action: "Put", Code: uint32(wsman.ErrSetByPolicy)}}
	})
	err := config.SetServiceAuth(t.Context(), client.WSMan(), config.ServiceAuth{CredSSP: config.Bool(true)})
	policy, ok := errors.AsType[*config.PolicyError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, `Service\Auth\CredSSP`, policy.Item)
	assert.ErrorIs(t, err, wsman.ErrSetByPolicy)
}

func TestLockout(t *testing.T) {
	srv, client := newHost(t)
	ctx, c := t.Context(), client.WSMan()
	lockout := func(err error) *config.LockoutError {
		t.Helper()
		e, ok := errors.AsType[*config.LockoutError](err)
		require.True(t, ok, "%v", err)
		return e
	}
	e := lockout(config.SetServiceAuth(ctx, c, config.ServiceAuth{Negotiate: config.Bool(false)}))
	assert.Equal(t, `Service\Auth\Negotiate`, e.Item)
	assert.Contains(t, e.Reason, "logs on with Negotiate")
	assert.Equal(t, "true", srv.Setting("Service/Auth/Negotiate"))

	lockout(config.SetConfig(ctx, c, config.Config{Service: config.Service{Auth: config.ServiceAuth{Negotiate: config.Bool(false)}}}))
	lockout(config.SetItem(ctx, c, `WSMan:\localhost\Service\Auth\Negotiate`, "$false"))
	lockout(config.SetWinrs(ctx, c, config.Winrs{AllowRemoteShellAccess: config.Bool(false)}))
	assert.Zero(t, srv.Stats().Exchanges["Put"])

	lockout(config.SetService(ctx, c, config.Service{RootSDDL: config.Text("O:NSG:BAD:P(D;;GA;;;NU)")}))
	lockout(config.SetService(ctx, c, config.Service{RootSDDL: config.Text("O:NSG:BA")}))
	lockout(config.SetService(ctx, c, config.Service{IPv4Filter: config.Text("")}))
	lockout(config.SetItem(ctx, c, `Service\IPv6Filter`, ""))
	assert.Zero(t, srv.Stats().Exchanges["Put"])

	// Said by name it goes through.
	require.NoError(t, config.SetServiceAuth(config.AllowLockout(ctx), c, config.ServiceAuth{Negotiate: config.Bool(false)}))
	assert.Equal(t, "false", srv.Setting("Service/Auth/Negotiate"))
}

// A client that does not say how it logs on is kept from turning off the last
// mechanism.
func TestLastMechanism(t *testing.T) {
	srv, client := newHost(t, func(s *winrmtest.Server) { s.Mechanisms = []winrmtest.Mechanism{winrmtest.Basic()} })
	ctx := t.Context()
	err := config.SetService(ctx, client.WSMan(), config.Service{AllowUnencrypted: config.Bool(false)})
	require.ErrorContains(t, err, "Basic over http")
	require.NoError(t, srv.Set("Service/Auth/Kerberos", "true"))
	require.NoError(t, srv.Set("Service/Auth/Basic", "true"))

	anon, err := wsman.NewClient(srv.URL, &wsman.Config{HTTPClient: basicClient()})
	require.NoError(t, err)
	require.NoError(t, config.SetServiceAuth(ctx, anon, config.ServiceAuth{Kerberos: config.Bool(false)}))
	err = config.SetServiceAuth(ctx, anon, config.ServiceAuth{Basic: config.Bool(false)})
	require.ErrorContains(t, err, "last way to log on")
	// Another one comes in the same change; reading back by Basic then fails.
	require.Error(t, config.SetServiceAuth(ctx, anon, config.ServiceAuth{Basic: config.Bool(false), Negotiate: config.Bool(true)}))
	assert.Equal(t, "false", srv.Setting("Service/Auth/Basic"))
	assert.Equal(t, "true", srv.Setting("Service/Auth/Negotiate"))
}

// A host that takes the change and does not do it is found out.
func TestNotApplied(t *testing.T) {
	_, client := newHost(t, func(s *winrmtest.Server) {
		s.Faults = []winrmtest.Fault{{Action: "Get", After: 1, Edit: func(body []byte) []byte {
			return bytes.Replace(body, []byte("CredSSP>true"), []byte("CredSSP>false"), 1)
		}}}
	})
	err := config.SetServiceAuth(t.Context(), client.WSMan(), config.ServiceAuth{CredSSP: config.Bool(true)})
	e, ok := errors.AsType[*config.NotAppliedError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, config.NotAppliedError{Item: `Service\Auth\CredSSP`, Want: "true", Got: "false"}, *e)
}

// So is one that does not know the setting, and says nothing of it.
func TestNotKnown(t *testing.T) {
	_, client := newHost(t, func(s *winrmtest.Server) {
		s.Faults = []winrmtest.Fault{{Action: "Get", Count: -1, Edit: func(body []byte) []byte {
			return regexp.MustCompile(`<cfg:MaxShellsPerUser>\d+</cfg:MaxShellsPerUser>`).ReplaceAll(body, nil)
		}}}
	})
	err := config.SetWinrs(t.Context(), client.WSMan(), config.Winrs{MaxShellsPerUser: config.Number(30)})
	e, ok := errors.AsType[*config.NotAppliedError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, config.NotAppliedError{Item: `Shell\MaxShellsPerUser`, Want: "30"}, *e)
	assert.ErrorContains(t, err, "shows no value")
}

// What is no descriptor is not sent.
func TestBadDescriptor(t *testing.T) {
	srv, client := newHost(t)
	for _, err := range []error{
		config.SetService(t.Context(), client.WSMan(), config.Service{RootSDDL: config.Text("nonsense")}),
		config.SetConfig(t.Context(), client.WSMan(), config.Config{Service: config.Service{RootSDDL: config.Text("D:(A;;GA;;;BA")}}),
		config.SetItem(t.Context(), client.WSMan(), `Service\RootSDDL`, "O"),
	} {
		e, ok := errors.AsType[*config.ValueError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, `Service\RootSDDL`, e.Item)
		_, ok = errors.AsType[*config.SDDLError](err)
		assert.True(t, ok)
	}
	assert.Zero(t, srv.Stats().Exchanges["Put"])
}

func TestReadOnly(t *testing.T) {
	srv, client := newHost(t)
	err := config.SetConfig(t.Context(), client.WSMan(), config.Config{MaxProviderRequests: config.Number(5)})
	require.ErrorIs(t, err, wsman.ErrDeprecatedSetting)
	err = config.SetServiceAuth(t.Context(), client.WSMan(), config.ServiceAuth{CbtHardeningLevel: config.Text("Sometimes")})
	require.Error(t, err)
	assert.Equal(t, "Relaxed", srv.Setting("Service/Auth/CbtHardeningLevel"))
	assert.ErrorContains(t, err, "None, Relaxed or Strict")
	require.NoError(t, config.SetItem(t.Context(), client.WSMan(), `Service\Auth\CbtHardeningLevel`, "strict"))
	assert.Equal(t, "Strict", srv.Setting("Service/Auth/CbtHardeningLevel"))
}

func TestItems(t *testing.T) {
	srv, client := newHost(t, func(s *winrmtest.Server) { s.Policy = map[string]string{"Service/IPv4Filter": "*"} })
	ctx, c := t.Context(), client.WSMan()
	items, err := config.Items(ctx, c, "Service")
	require.NoError(t, err)
	var list []string
	for _, it := range items {
		list = append(list, strings.TrimSpace(fmt.Sprint(it.Name, " ", it.Source)))
	}
	// The order is that of the story's listing.
	assert.Equal(t, []string{
		"RootSDDL", "MaxConcurrentOperations", "MaxConcurrentOperationsPerUser", "EnumerationTimeoutms", "MaxConnections",
		"MaxPacketRetrievalTimeSeconds", "AllowUnencrypted", "Auth", "DefaultPorts", "IPv4Filter GPO", "IPv6Filter",
		"EnableCompatibilityHttpListener", "EnableCompatibilityHttpsListener", "CertificateThumbprint", "AllowRemoteAccess",
	}, list)
	for _, path := range []string{`Service\Auth\CredSSP`, "service/auth/credssp", `WSMan:\localhost\Service\Auth\CredSSP`} {
		it, err := config.GetItem(ctx, c, path)
		require.NoError(t, err)
		assert.Equal(t, config.Item{Name: "CredSSP", Value: "false"}, *it)
	}
	require.NoError(t, config.SetItem(ctx, c, "service/auth/credssp", "True"))
	assert.Equal(t, "true", srv.Setting("Service/Auth/CredSSP"))
	require.NoError(t, config.SetItem(ctx, c, `Shell\IdleTimeout`, "600000"))
	assert.Equal(t, "600000", srv.Setting("Winrs/IdleTimeout"))
	require.NoError(t, config.SetItem(ctx, c, `MaxTimeoutms`, "90000"))

	_, err = config.GetItem(ctx, c, `Service\Auth\Digest`)
	e, ok := errors.AsType[*config.PathError](err)
	require.True(t, ok)
	assert.Contains(t, e.Have, "CredSSP")
	require.Error(t, config.SetItem(ctx, c, `Service\Auth`, "x"))
	require.Error(t, config.SetItem(ctx, c, `Service\Auth\CredSSP`, "maybe"))

	top, err := config.Items(ctx, c, "")
	require.NoError(t, err)
	list = nil
	for _, it := range top {
		if it.Container {
			list = append(list, it.Name)
		}
	}
	assert.Equal(t, []string{"Client", "Service", "Shell", "Listener", "Plugin", "ClientCertificate"}, list)
}

// What has keys instead of names is on the drive, too.
func TestItemsOfEntries(t *testing.T) {
	srv, client := newHost(t)
	ctx, c := t.Context(), client.WSMan()
	m := config.CertMapping{Issuer: "0123456789abcdef0123456789abcdef01234567", Subject: "*@corp.example", URI: wsman.NSPowerShell + "/*"}
	m.UserName, m.Password = config.Text(winrmtest.DefaultUser), config.Password(winrmtest.DefaultPassword)
	require.NoError(t, config.CreateCertMapping(ctx, c, m))
	require.NoError(t, config.CreateListener(ctx, c, "IP:fe80::1", "HTTP", config.ListenerSettings{Port: config.Number(8080)}))

	for path, want := range map[string]string{
		"Listener":                         "*+HTTP IP:fe80::1+HTTP",
		`WSMan:\localhost\listener\*+http`: "Address Transport Port Hostname Enabled URLPrefix CertificateThumbprint ListeningOn_1",
		"Plugin":                           "Event Forwarding Plugin Microsoft.PowerShell WMI Provider",
		`Plugin\Microsoft.PowerShell\Resources\Resource_1`: "ResourceUri ExactMatch Capability",
		"ClientCertificate": m.Issuer + "+" + m.Subject + "+" + m.URI,
		"ClientCertificate/" + m.Issuer + "+" + m.Subject + "+" + m.URI: "Issuer Subject URI UserName Enabled",
	} {
		items, err := config.Items(ctx, c, path)
		require.NoError(t, err, path)
		var list []string
		for _, it := range items {
			list = append(list, it.Name)
		}
		assert.Equal(t, want, strings.Join(list, " "), path)
	}
	it, err := config.GetItem(ctx, c, `Listener\IP:fe80::1+HTTP\Port`)
	require.NoError(t, err)
	assert.Equal(t, config.Item{Name: "Port", Value: "8080"}, *it)

	require.NoError(t, config.SetItem(ctx, c, `listener\ip:fe80::1+http\port`, "8081"))
	l, err := config.GetListener(ctx, c, "IP:fe80::1", "HTTP")
	require.NoError(t, err)
	assert.Equal(t, uint32(8081), l.Port.V)
	require.NoError(t, config.SetItem(ctx, c, `Plugin\Microsoft.PowerShell\Quotas\MaxShells`, "7"))
	p, err := config.GetPlugin(ctx, c, "Microsoft.PowerShell")
	require.NoError(t, err)
	assert.Equal(t, uint32(7), p.Quotas.MaxShells.V)
	require.NoError(t, config.SetItem(ctx, c, "ClientCertificate/"+m.Issuer+"+"+m.Subject+"+"+m.URI+"/Enabled", "$False"))

	var lockout *config.LockoutError
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, config.SetItem(config.AllowLockout(ctx), c, `Listener\*+HTTP\Port`, port))
	require.ErrorAs(t, config.SetItem(ctx, c, `Listener\*+HTTP\Enabled`, "false"), &lockout)
	var value *config.ValueError
	for _, path := range []string{"Listener", `Listener\*+HTTP`, `Listener\*+HTTP\Address`, `Plugin\WMI Provider\Filename`, `Plugin\WMI Provider\Quotas`} {
		require.ErrorAs(t, config.SetItem(ctx, c, path, "x"), &value, path)
	}
	require.ErrorAs(t, config.SetItem(ctx, c, `Listener\*+HTTP\Port`, "many"), &value)
	var none *config.PathError
	for _, path := range []string{`Listener\x`, `Listener\*+HTTP\Nothing`, `Plugin\Nothing\Quotas`, `ClientCertificate\x`} {
		_, err := config.GetItem(ctx, c, path)
		require.ErrorAs(t, err, &none, path)
		require.ErrorAs(t, config.SetItem(ctx, c, path, "x"), &none, path)
	}
	_, err = config.Items(ctx, c, `Listener\*+HTTP\Port`)
	require.ErrorAs(t, err, &none)
}
