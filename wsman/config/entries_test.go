package config_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	"github.com/winrmkit/winrmkit/wsman"
	"github.com/winrmkit/winrmkit/wsman/config"
)

type basicTripper struct{}

func (basicTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	pair := winrmtest.DefaultUser + ":" + winrmtest.DefaultPassword
	r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	return http.DefaultTransport.RoundTrip(r)
}

func basicClient() *http.Client { return &http.Client{Transport: basicTripper{}} }

func TestListeners(t *testing.T) {
	srv, client := newHost(t)
	ctx, c := t.Context(), client.WSMan()
	list, err := config.Listeners(ctx, c)
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, "*", list[0].Address)
	assert.Equal(t, "HTTP", list[0].Transport)
	assert.True(t, list[0].Enabled.V)
	assert.NotEmpty(t, list[0].ListeningOn)

	thumb := "0123456789abcdef0123456789ABCDEF01234567"
	require.NoError(t, config.CreateListener(ctx, c, "IP:192.0.2.1", "HTTPS", config.ListenerSettings{
		Hostname: config.Text("srv1.corp.example"), CertificateThumbprint: config.Text(thumb),
	}))
	err = config.CreateListener(ctx, c, "IP:192.0.2.1", "HTTPS", config.ListenerSettings{})
	require.ErrorIs(t, err, wsman.ErrAlreadyExists)
	require.NoError(t, config.SetListener(ctx, c, "IP:192.0.2.1", "HTTPS", config.ListenerSettings{Port: config.Number(8443)}))
	l, err := config.GetListener(ctx, c, "IP:192.0.2.1", "HTTPS")
	require.NoError(t, err)
	assert.Equal(t, uint32(8443), l.Port.V)
	assert.Equal(t, []string{
		`<cfg:Listener xmlns:cfg="http://schemas.microsoft.com/wbem/wsman/1/config/listener.xsd">` +
			`<cfg:Hostname>srv1.corp.example</cfg:Hostname><cfg:CertificateThumbprint>` + thumb + `</cfg:CertificateThumbprint></cfg:Listener>`,
		`<cfg:Listener xmlns:cfg="http://schemas.microsoft.com/wbem/wsman/1/config/listener.xsd"/>`,
	}, bodies(t, srv, "Create"))
	assert.Equal(t, []string{
		`<cfg:Listener xmlns:cfg="http://schemas.microsoft.com/wbem/wsman/1/config/listener"><cfg:Port>8443</cfg:Port></cfg:Listener>`,
	}, bodies(t, srv, "Put"))
	require.NoError(t, config.DeleteListener(ctx, c, "IP:192.0.2.1", "HTTPS"))

	// The listener that carries us stays.
	for _, err := range []error{
		config.DeleteListener(ctx, c, "*", "HTTP"),
		config.SetListener(ctx, c, "*", "HTTP", config.ListenerSettings{Enabled: config.Bool(false)}),
		config.SetListener(ctx, c, "*", "HTTP", config.ListenerSettings{Port: config.Number(1)}),
	} {
		_, ok := errors.AsType[*config.LockoutError](err)
		assert.True(t, ok, "%v", err)
	}
	require.NoError(t, config.DeleteListener(config.AllowLockout(ctx), c, "*", "HTTP"))
}

// Thumbprints are copied from dialogs, with blanks and with marks that nobody
// sees; addresses may be those of IPv6.
func TestListenerThumbprints(t *testing.T) {
	srv, client := newHost(t)
	ctx, c := t.Context(), client.WSMan()
	const clean = "0123456789abcdef0123456789ABCDEF01234567"
	const copied = "\u200e01 23 45 67 89 ab cd ef 01 23 45 67 89 AB CD EF 01 23 45 67 "
	for _, address := range []string{"IP:::1", "IP:fe80::1%4", "MAC:00-11-22-33-44-55"} {
		require.NoError(t, config.CreateListener(ctx, c, address, "HTTPS", config.ListenerSettings{
			Port: config.Number(8443), CertificateThumbprint: config.Text(copied),
		}))
		l, err := config.GetListener(ctx, c, address, "HTTPS")
		require.NoError(t, err)
		assert.Equal(t, address, l.Address)
		assert.Equal(t, clean, l.CertificateThumbprint.V)
		require.NoError(t, config.SetListener(ctx, c, address, "HTTPS", config.ListenerSettings{CertificateThumbprint: config.Text(copied)}))
		require.NoError(t, config.DeleteListener(ctx, c, address, "HTTPS"))
	}
	assert.Empty(t, bodies(t, srv, "Put"), "it is the same")
	require.NoError(t, config.SetService(ctx, c, config.Service{CertificateThumbprint: config.Text(copied)}))
	assert.Equal(t, clean, srv.Setting("Service/CertificateThumbprint"))
	require.NoError(t, config.SetItem(ctx, c, `Service\CertificateThumbprint`, ""))
	assert.Empty(t, srv.Setting("Service/CertificateThumbprint"))
	for _, err := range []error{
		config.CreateListener(ctx, c, "*", "HTTPS", config.ListenerSettings{CertificateThumbprint: config.Text("0123")}),
		config.SetListener(ctx, c, "*", "HTTP", config.ListenerSettings{CertificateThumbprint: config.Text(clean + "00")}),
		config.SetService(ctx, c, config.Service{CertificateThumbprint: config.Text("CN=srv1")}),
	} {
		e, ok := errors.AsType[*config.ValueError](err)
		require.True(t, ok, "%v", err)
		assert.Contains(t, e.Item, "CertificateThumbprint")
	}
	_, err := config.GetListener(ctx, c, "*", "HTTPS")
	require.ErrorIs(t, err, wsman.ErrResourceNotFound)
}

// A host that makes something else than it was asked for is found out.
func TestCreateReadBack(t *testing.T) {
	_, client := newHost(t, func(s *winrmtest.Server) {
		s.Faults = []winrmtest.Fault{{Action: "Get", Count: -1, Edit: func(b []byte) []byte {
			b = bytes.ReplaceAll(b, []byte("Port>8443<"), []byte("Port>443<"))
			return bytes.ReplaceAll(b, []byte("Enabled>false<"), []byte("Enabled>true<"))
		}}}
	})
	m := config.CertMapping{Issuer: "01 23456789abcdef0123456789abcdef01234567", Subject: "*", URI: "*"}
	m.UserName, m.Password, m.Enabled = config.Text(winrmtest.DefaultUser), config.Password(winrmtest.DefaultPassword), config.Bool(false)
	for _, err := range []error{
		config.CreateListener(t.Context(), client.WSMan(), "*", "HTTPS", config.ListenerSettings{
			Port: config.Number(8443), CertificateThumbprint: config.Text("0123456789abcdef0123456789abcdef01234567"),
		}),
		config.CreateCertMapping(t.Context(), client.WSMan(), m),
	} {
		_, ok := errors.AsType[*config.NotAppliedError](err)
		assert.True(t, ok, "%v", err)
	}
}

func TestCertMappings(t *testing.T) {
	srv, client := newHost(t)
	ctx, c := t.Context(), client.WSMan()
	m := config.CertMapping{Issuer: "0123456789abcdef0123456789abcdef01234567", Subject: "*@corp.example", URI: "*"}
	m.UserName, m.Password = config.Text(winrmtest.DefaultUser), config.Password("wrong")
	require.Error(t, config.CreateCertMapping(ctx, c, m))
	m.Password = config.Password(winrmtest.DefaultPassword)
	require.NoError(t, config.CreateCertMapping(ctx, c, m))
	list, err := config.CertMappings(ctx, c)
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, m.Subject, list[0].Subject)
	assert.Equal(t, winrmtest.DefaultUser, list[0].UserName.V)
	assert.False(t, list[0].Password.Known)

	list[0].UserName.Known = false
	list[0].Enabled = config.Bool(false)
	require.NoError(t, config.SetCertMapping(ctx, c, list[0]))
	assert.Equal(t, []string{
		`<cfg:CertMapping xmlns:cfg="http://schemas.microsoft.com/wbem/wsman/1/config/service/certmapping"><cfg:Enabled>false</cfg:Enabled></cfg:CertMapping>`,
	}, bodies(t, srv, "Put"))
	assert.Contains(t, bodies(t, srv, "Create")[1], `<cfg:Password>`+winrmtest.DefaultPassword+`</cfg:Password>`)
	require.NoError(t, config.DeleteCertMapping(ctx, c, m))
	list, err = config.CertMappings(ctx, c)
	require.NoError(t, err)
	assert.Empty(t, list)

	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		assert.NotContains(t, fmt.Sprintf(verb, m), winrmtest.DefaultPassword)
	}
}

func TestPlugins(t *testing.T) {
	_, client := newHost(t)
	ctx, c := t.Context(), client.WSMan()
	list, err := config.Plugins(ctx, c)
	require.NoError(t, err)
	require.Len(t, list, 3)
	p, err := config.GetPlugin(ctx, c, "Microsoft.PowerShell")
	require.NoError(t, err)
	assert.Equal(t, `%windir%\system32\pwrshplugin.dll`, p.Filename)
	assert.True(t, p.Enabled)
	assert.Equal(t, []string{"Shell"}, p.Resources[0].Capabilities)
	assert.Equal(t, uint32(7200000), p.Quotas.IdleTimeoutms.V)

	require.NoError(t, config.SetPluginQuotas(ctx, c, p.Name, config.PluginQuotas{MaxShellsPerUser: config.Number(7)}))
	after, err := config.GetPlugin(ctx, c, p.Name)
	require.NoError(t, err)
	assert.Equal(t, uint32(7), after.Quotas.MaxShellsPerUser.V)
	after.Quotas.MaxShellsPerUser = p.Quotas.MaxShellsPerUser
	assert.Equal(t, p, after, "nothing else has changed")
}

func TestSecurity(t *testing.T) {
	srv, client := newHost(t)
	ctx, c := t.Context(), client.WSMan()
	uri := powerShellURI(t, ctx, c)
	s := config.Security{URI: uri, SDDL: "O:NSG:BAD:P(A;;GA;;;BA)(A;;GA;;;RM)S:P(AU;FA;GA;;;WD)(AU;SA;GXGW;;;WD)"}
	require.NoError(t, config.SetSecurity(ctx, c, s))
	got, err := config.GetSecurity(ctx, c, uri)
	require.NoError(t, err)
	assert.Equal(t, s, *got)
	assert.Equal(t, []string{
		`<plugin:Security xmlns:plugin="http://schemas.microsoft.com/wbem/wsman/1/config/PluginConfiguration" Uri="` + uri + `" Sddl="` + s.SDDL + `" ExactMatch="false"/>`,
	}, bodies(t, srv, "Create"))
	s.SDDL = "O:NSG:BAD:P(A;;GA;;;BA)"
	require.NoError(t, config.SetSecurity(ctx, c, s))
	plug, err := config.GetPlugin(ctx, c, "Microsoft.PowerShell")
	require.NoError(t, err)
	assert.Equal(t, s.SDDL, plug.Resources[0].Security[0].SDDL)
	require.NoError(t, config.DeleteSecurity(ctx, c, uri))
	_, err = config.GetSecurity(ctx, c, uri)
	require.ErrorIs(t, err, wsman.ErrResourceNotFound)
	require.Error(t, config.SetSecurity(ctx, c, config.Security{URI: uri, SDDL: "nonsense"}))
}

// powerShellURI is the resource of the PowerShell plug-in.
func powerShellURI(t *testing.T, ctx context.Context, c *wsman.Client) string {
	t.Helper()
	plug, err := config.GetPlugin(ctx, c, "Microsoft.PowerShell")
	require.NoError(t, err)
	return plug.Resources[0].URI
}
