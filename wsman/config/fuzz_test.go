package config_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

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
