package config_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/wsman"
	"github.com/winrmkit/winrmkit/wsman/config"
)

// answering is a host that answers everything with the same body.
type answering string

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	request, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	id, _, _ := strings.Cut(string(request[strings.Index(string(request), "MessageID>")+len("MessageID>"):]), "<")
	doc := fmt.Sprintf(`<s:Envelope xmlns:s="%s" xmlns:a="%s"><s:Header><a:RelatesTo>%s</a:RelatesTo></s:Header><s:Body>%s</s:Body></s:Envelope>`,
		wsman.NSEnvelope, wsman.NSAddressing, id, string(a))
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {wsman.ContentType}},
		Body: io.NopCloser(strings.NewReader(doc)), Request: r,
	}, nil
}

// No answer makes a reader of the configuration panic.
func FuzzAnswers(f *testing.F) {
	f.Add(`<cfg:Auth xmlns:cfg="x"><cfg:Basic>false</cfg:Basic><cfg:CredSSP Source="GPO">true</cfg:CredSSP></cfg:Auth>`)
	f.Add(`<c:Config xmlns:c="x"><c:Service><c:Auth><c:Auth><c:Auth><c:Auth/></c:Auth></c:Auth></c:Auth></c:Service></c:Config>`)
	f.Add(`<Listener Source="Compatibility"><Port>99999999999</Port><ListeningOn>::1</ListeningOn></Listener>`)
	f.Add(`<p:PlugInConfiguration xmlns:p="y" Name="n" xml:lang="en"><p:Resources><p:Resource><p:Security Sddl="D:"/></p:Resource></p:Resources><p:Quotas MaxShells="x"/></p:PlugInConfiguration>`)
	f.Fuzz(func(t *testing.T, body string) {
		c, err := wsman.NewClient("http://host.invalid:5985/wsman", &wsman.Config{HTTPClient: &http.Client{Transport: answering(body)}})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		_, _ = config.GetConfig(ctx, c)
		_, _ = config.Items(ctx, c, "Service")
		_, _ = config.GetListener(ctx, c, "*", "HTTP")
		_ = config.SetListener(ctx, c, "*", "HTTP", config.ListenerSettings{Port: config.Number(1)})
		_ = config.SetPluginQuotas(ctx, c, "n", config.PluginQuotas{MaxShells: config.Number(1)})
		_ = config.SetItem(ctx, c, `Auth\CredSSP`, "true")
	})
}

// sent keeps the last body that was put.
type sent struct {
	answering
	put string
}

func (s *sent) RoundTrip(r *http.Request) (*http.Response, error) {
	request, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if bytes.Contains(request, []byte(wsman.ActionPut)) {
		_, body, _ := strings.Cut(string(request), "<s:Body>")
		s.put, _, _ = strings.Cut(body, "</s:Body>")
	}
	r.Body = io.NopCloser(bytes.NewReader(request))
	return s.answering.RoundTrip(r)
}

// A plug-in goes back as it came, whatever stands in its attributes.
func TestPluginGoesBackWhole(t *testing.T) {
	const plugin = `<PlugInConfiguration xmlns="http://schemas.microsoft.com/wbem/wsman/1/config/PluginConfiguration" Name="a &amp; b"` +
		` Filename="%windir%\x.dll" SDKVersion="2" XmlRenderingType="text" RunAsVirtualAccountGroups="O&quot;x&quot;" xml:lang="en-US">` +
		`<InitializationParameters><Param Name="sessionconfigurationdata" Value="&lt;x y='1'&gt;&#10;&#9;two  lines&#13;&lt;/x&gt;"/></InitializationParameters>` +
		`<Resources><Resource ResourceUri="http://r/x" SupportsOptions="true" ExactMatch="true">` +
		`<Security Uri="http://r/x" Sddl="O:NSG:BAD:P(A;;GA;;;BA)" ExactMatch="true"/><Capability Type="Shell"/></Resource></Resources>` +
		`<Quotas MaxShells="5" MaxProcessesPerShell="15"/></PlugInConfiguration>`
	tripper := &sent{answering: plugin}
	c, err := wsman.NewClient("http://host.invalid:5985/wsman", &wsman.Config{HTTPClient: &http.Client{Transport: tripper}})
	require.NoError(t, err)
	err = config.SetPluginQuotas(t.Context(), c, "a & b", config.PluginQuotas{MaxShells: config.Number(6)})
	_, ok := errors.AsType[*config.NotAppliedError](err)
	require.True(t, ok, "this host always says the same: %v", err)

	type node struct {
		XMLName xml.Name
		Attrs   []xml.Attr `xml:",any,attr"`
		Nodes   []node     `xml:",any"`
		Text    string     `xml:",chardata"`
	}
	read := func(text string) (n node) {
		require.NoError(t, xml.Unmarshal([]byte(text), &n), text)
		n.Attrs = slices.DeleteFunc(n.Attrs, func(a xml.Attr) bool { return a.Name.Space == "xmlns" || a.Name.Local == "xmlns" })
		return n
	}
	want, got := read(strings.Replace(plugin, `MaxShells="5"`, `MaxShells="6"`, 1)), read(tripper.put)
	require.Equal(t, want, got)
}
