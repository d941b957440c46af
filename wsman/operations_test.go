package wsman_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/wsman"
)

// bodyOf returns the body of a request in a form without prefixes.
func bodyOf(t *testing.T, c call) string {
	t.Helper()
	events, _, err := stdEvents(c.Body)
	require.NoError(t, err)
	all := strings.Join(events, " ")
	_, body, ok := strings.Cut(all, "<{"+wsman.NSEnvelope+"}Body ")
	require.True(t, ok)
	return strings.TrimSuffix(body, " > >")
}

// recorded answers with a document of testdata, made to fit the request.
func recorded(t *testing.T, name string) func(http.ResponseWriter, *http.Request, *call) {
	doc := string(load(t, name))
	var env struct {
		RelatesTo string `xml:"Header>RelatesTo"`
	}
	require.NoError(t, xml.Unmarshal([]byte(doc), &env))
	return func(w http.ResponseWriter, _ *http.Request, c *call) {
		w.Header().Set("Content-Type", wsman.ContentType)
		_, _ = w.Write([]byte(strings.Replace(doc, strings.TrimSpace(env.RelatesTo), c.MessageID, 1)))
	}
}

func TestGetSample(t *testing.T) {
	c := newServer(t, recorded(t, "wsmv-4.1.1-get.xml")).client(t, nil)
	r := wsman.Resource{URI: wsman.URIWMI + "root/mynamespace/myclass", Selectors: []wsman.Selector{{Name: "id", Value: "1"}}}
	location := wsman.EndpointReference{Address: wsman.AddressAnonymous, Resource: r}

	var obj struct {
		Data1    string
		ID       int32
		Location wsman.EndpointReference
	}
	require.NoError(t, c.Get(t.Context(), r, &obj))
	assert.Equal(t, "Hello World", obj.Data1)
	assert.Equal(t, int32(1), obj.ID)
	assert.Equal(t, location, obj.Location)

	var row wsman.Row
	require.NoError(t, c.Get(t.Context(), r, &row))
	assert.Equal(t, wsman.Row{"Data1": "Hello World", "id": "1", "Location": &location}, row)
}

func TestCreateAndDelete(t *testing.T) {
	s := newServer(t, recorded(t, "captured-create.xml"), answerXML(""))
	c := s.client(t, nil)
	epr, err := c.Create(t.Context(), wsman.Resource{URI: wsman.URICmdShell}, wsman.Object(wsman.NSShell, "Shell", wsman.Row{"InputStreams": "stdin"}))
	require.NoError(t, err)
	assert.Equal(t, wsman.URICmdShell, epr.Resource.URI)
	id, _ := epr.Resource.Selector("shellid")
	assert.Equal(t, "CCF84E0D-D0B5-4CFB-95B5-BCF3BFE15F36", id)
	require.NoError(t, c.Delete(t.Context(), epr.Resource))
	assert.Equal(t, wsman.ActionDelete, s.seen()[1].Action)

	_, err = newServer(t, answerXML("")).client(t, nil).Create(t.Context(), wsman.Resource{URI: "urn:x"}, nil)
	var bad *wsman.ResponseError
	require.ErrorAs(t, err, &bad)
}

func TestInvoke(t *testing.T) {
	uri := wsman.URICIMv2 + "Win32_Process"
	s := newServer(t, answerXML(`<p:Create_OUTPUT xmlns:p="`+uri+`"><p:ProcessId>4711</p:ProcessId><p:ReturnValue>0</p:ReturnValue></p:Create_OUTPUT>`))
	var out struct{ ProcessID, ReturnValue uint32 }
	require.NoError(t, s.client(t, nil).Invoke(t.Context(), wsman.Resource{URI: uri}, "Create", wsman.Row{"CommandLine": "a&b", "CurrentDirectory": nil}, &out))
	assert.Equal(t, uint32(4711), out.ProcessID)
	assert.Equal(t, uri+"/Create", s.seen()[0].Action)
	assert.Equal(t, "<{"+uri+"}Create_INPUT <{"+uri+"}CommandLine > >", bodyOf(t, s.seen()[0]))

	err := s.client(t, nil).Invoke(t.Context(), wsman.Resource{URI: uri}, "x><y", nil, nil)
	var bad *wsman.NameError
	require.ErrorAs(t, err, &bad)
}

func TestFragments(t *testing.T) {
	s := newServer(t, answerXML(`<w:XmlFragment xmlns:w="`+wsman.NSWSMan+`">Running</w:XmlFragment>`))
	var state string
	require.NoError(t, s.client(t, nil).GetFragment(t.Context(), wsman.Resource{URI: "urn:x"}, "State/text()", &state))
	assert.Equal(t, "Running", state)
	require.NoError(t, s.client(t, nil).PutFragment(t.Context(), wsman.Resource{URI: "urn:x"}, "State/text()", func(e *wsman.Encoder) { e.Text("Stopped") }, &state))
	for _, c := range s.seen() {
		assert.Equal(t, "State/text()", c.Fragment)
		assert.Equal(t, wsman.DialectXPath1, c.FragmentDialect)
	}
	assert.Equal(t, "<{"+wsman.NSWSMan+"}XmlFragment >", bodyOf(t, s.seen()[1]))

	_, err := state, newServer(t, answerXML(`<a/>`)).client(t, nil).GetFragment(t.Context(), wsman.Resource{URI: "urn:x"}, "a", nil)
	var bad *wsman.EnvelopeError
	require.ErrorAs(t, err, &bad)
}

func TestIdentify(t *testing.T) {
	for _, ns := range []string{"identity", "identify"} {
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request, _ *call) {
			w.Header().Set("Content-Type", wsman.ContentType)
			fmt.Fprintf(w, `<s:Envelope xml:lang="en-US" xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header/><s:Body><wsmid:IdentifyResponse xmlns:wsmid="http://schemas.dmtf.org/wbem/wsman/%s/1/wsmanidentity.xsd"><wsmid:ProtocolVersion>http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd</wsmid:ProtocolVersion><wsmid:ProductVendor>Microsoft Corporation</wsmid:ProductVendor><wsmid:ProductVersion>OS: 10.0.17763 SP: 0.0 Stack: 3.0</wsmid:ProductVersion><wsmid:SecurityProfiles><wsmid:SecurityProfileName>http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/http/basic</wsmid:SecurityProfileName></wsmid:SecurityProfiles></wsmid:IdentifyResponse></s:Body></s:Envelope>`, ns)
		})
		id, err := s.client(t, nil).Identify(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "Microsoft Corporation", id.ProductVendor)
		assert.Equal(t, "10.0.17763", id.OS())
		assert.Equal(t, "3.0", id.Stack())
		assert.Len(t, id.SecurityProfiles, 1)
		_, err = s.client(t, nil).IdentifyAnonymous(t.Context())
		require.NoError(t, err)

		calls := s.seen()
		assert.Equal(t, wsman.Header{}, calls[0].Header, "Identify has no header blocks")
		assert.Equal(t, "<{"+wsman.NSIdentify+"}Identify >", bodyOf(t, calls[0]))
		assert.Empty(t, calls[0].HTTP.Values("WSMANIDENTIFY"))
		assert.Equal(t, "unauthenticated", calls[1].HTTP.Get("WSMANIDENTIFY"))
	}
	_, err := newServer(t, plain(200, map[string]string{"Content-Type": wsman.ContentType}, `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body/></s:Envelope>`)).client(t, nil).Identify(t.Context())
	require.Error(t, err)
	assert.Empty(t, (&wsman.Identity{ProductVersion: "OS: 0.0.0 SP: 0.0 Stack: 3.0"}).OS())
}

// certMapping is the class of the samples in [MS-WSMV] section 4.2.3.
type certMapping struct {
	URI, Subject, Issuer string
	User                 string `wsman:"UserName"`
	Enabled              bool
}

func TestEnumerateSample(t *testing.T) {
	s := newServer(t, recorded(t, "wsmv-4.2.3-enumerate.xml"), recorded(t, "wsmv-4.2.3-pull.xml"))
	var got []certMapping
	r := wsman.Resource{URI: wsman.URIConfig + "/service/certmapping"}
	for m, err := range wsman.EnumerateAs[certMapping](t.Context(), s.client(t, nil), r, &wsman.EnumerateOptions{MaxElements: 1}) {
		require.NoError(t, err)
		got = append(got, m)
	}
	const issuer = "1b3fd224d66c6413fe20d21e38b304226d192dfe"
	assert.Equal(t, []certMapping{
		{URI: wsman.URICIMv2 + "*", Subject: "*.site1.com", Issuer: issuer, User: "account1", Enabled: true},
		{URI: wsman.URIWMI + "root/interop/*", Subject: "*.site2.com", Issuer: issuer, User: "account2", Enabled: true},
	}, got)
	calls := s.seen()
	require.Len(t, calls, 2, "no Release after the end")
	n, w := wsman.NSEnumeration, wsman.NSWSMan
	assert.Equal(t, "<{"+n+"}Enumerate <{"+w+"}OptimizeEnumeration > <{"+w+"}MaxElements > >", bodyOf(t, calls[0]))
	assert.Equal(t, "<{"+n+"}Pull <{"+n+"}EnumerationContext > <{"+n+"}MaxElements > >", bodyOf(t, calls[1]))
	assert.Contains(t, string(calls[1].Body), "uuid:5CA8D6FE-1129-40B2-A23B-0DE8EFB380E2")
}

// pageXML is an answer to Enumerate or Pull.
func pageXML(kind, context string, end bool, items ...string) string {
	itemSpace := "n"
	if kind == "Enumerate" {
		itemSpace = "w"
	}
	s := `<n:` + kind + `Response xmlns:n="` + wsman.NSEnumeration + `" xmlns:w="` + wsman.NSWSMan + `" xmlns:a="` + wsman.NSAddressing + `">`
	if context != "" || kind == "Enumerate" {
		s += `<n:EnumerationContext>` + context + `</n:EnumerationContext>`
	}
	s += `<` + itemSpace + `:Items>` + strings.Join(items, "") + `</` + itemSpace + `:Items>`
	if end {
		s += `<` + itemSpace + `:EndOfSequence/>`
	}
	return s + `</n:` + kind + `Response>`
}

func item(n int) string { return fmt.Sprintf(`<q:C xmlns:q="urn:q"><q:N>%d</q:N></q:C>`, n) }

type numbered struct{ N int }

func TestEnumerateUsesLatestContext(t *testing.T) {
	timedOut := refuse(&wsman.Fault{Code: wsman.ErrTimedOut})
	s := newServer(t,
		answerXML(pageXML("Enumerate", "c1", false, item(1))),
		answerXML(pageXML("Pull", "c2", false, item(2), item(3))),
		timedOut,
		answerXML(pageXML("Pull", "", false, item(4))), // no context: the old one stays
		answerXML(pageXML("Pull", "", true)),
	)
	var got []int
	for v, err := range wsman.EnumerateAs[numbered](t.Context(), s.client(t, nil), wsman.Resource{URI: "urn:r"}, nil) {
		require.NoError(t, err)
		got = append(got, v.N)
	}
	assert.Equal(t, []int{1, 2, 3, 4}, got)
	var contexts []string
	for _, c := range s.seen()[1:] {
		var env struct {
			C string `xml:"Body>Pull>EnumerationContext"`
		}
		require.NoError(t, xml.Unmarshal(c.Body, &env))
		contexts = append(contexts, env.C)
	}
	assert.Equal(t, []string{"c1", "c2", "c2", "c2"}, contexts)
}

func TestEnumerateEarlyBreakReleases(t *testing.T) {
	s := newServer(t, answerXML(pageXML("Enumerate", "c1", false, item(1), item(2))), answerXML(""))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, err := range wsman.EnumerateAs[numbered](ctx, s.client(t, nil), wsman.Resource{URI: "urn:r"}, nil) {
		require.NoError(t, err)
		cancel() // the release does not depend on it
		break
	}
	calls := s.seen()
	require.Len(t, calls, 2)
	assert.Equal(t, wsman.ActionRelease, calls[1].Action)
	assert.Contains(t, string(calls[1].Body), ">c1<")
}

func TestEnumerateErrors(t *testing.T) {
	run := func(steps ...func(http.ResponseWriter, *http.Request, *call)) (items int, s *server, err error) {
		s = newServer(t, steps...)
		for _, e := range wsman.EnumerateAs[numbered](t.Context(), s.client(t, nil), wsman.Resource{URI: "urn:r"}, nil) {
			if e != nil {
				err = e
			} else {
				items++
			}
		}
		return items, s, err
	}
	first := answerXML(pageXML("Enumerate", "c1", false, item(1)))

	items, s, err := run(first, refuse(&wsman.Fault{Code: wsman.ErrContextExpired}))
	assert.Equal(t, 1, items)
	require.ErrorIs(t, err, wsman.ErrContextExpired)
	assert.Len(t, s.seen(), 2, "nothing to release")

	_, _, err = run(answerXML(pageXML("Enumerate", "", false, item(1))))
	var bad *wsman.ResponseError
	require.ErrorAs(t, err, &bad)

	_, _, err = run(answerXML(""))
	require.ErrorAs(t, err, &bad)

	_, s, err = run(answerXML(pageXML("Enumerate", "c1", false, `<q:C xmlns:q="urn:q"><q:N>x</q:N></q:C>`)), answerXML(""))
	var decode *wsman.DecodeError
	require.ErrorAs(t, err, &decode)
	assert.Equal(t, "N", decode.Property)
	assert.Equal(t, wsman.ActionRelease, s.seen()[1].Action, "the server is told")

	_, s, err = run(first, plain(503, nil, ""), answerXML(""))
	var status *wsman.StatusError
	require.ErrorAs(t, err, &status)
	assert.Equal(t, wsman.ActionRelease, s.seen()[2].Action)
}

func TestEnumerateModes(t *testing.T) {
	epr := `<a:EndpointReference xmlns:a="` + wsman.NSAddressing + `"><a:Address>x</a:Address><a:ReferenceParameters><w:ResourceURI xmlns:w="` + wsman.NSWSMan + `">urn:r</w:ResourceURI>` +
		`<w:SelectorSet xmlns:w="` + wsman.NSWSMan + `"><w:Selector Name="Id">7</w:Selector></w:SelectorSet></a:ReferenceParameters></a:EndpointReference>`
	want := wsman.EndpointReference{Address: "x", Resource: wsman.Resource{URI: "urn:r", Selectors: []wsman.Selector{{Name: "Id", Value: "7"}}}}

	s := newServer(t, answerXML(pageXML("Enumerate", "", true, epr)))
	for got, err := range wsman.EnumerateAs[wsman.EndpointReference](t.Context(), s.client(t, nil), wsman.Resource{URI: "urn:r"}, nil) {
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	assert.Contains(t, string(s.seen()[0].Body), "<w:EnumerationMode>EnumerateEPR</w:EnumerationMode>")

	both := `<w:Item>` + item(5) + epr + `</w:Item>`
	s = newServer(t, answerXML(pageXML("Enumerate", "", true, both)))
	o := &wsman.EnumerateOptions{Mode: wsman.EnumerateObjectAndEPR}
	for got, err := range s.client(t, nil).Enumerate(t.Context(), wsman.Resource{URI: "urn:r"}, o) {
		require.NoError(t, err)
		assert.Equal(t, wsman.Item{Class: wsman.Name{Space: "urn:q", Local: "C"}, Object: wsman.Row{"N": "5"}, EPR: &want}, got)
	}
	assert.Contains(t, string(s.seen()[0].Body), "EnumerateObjectAndEPR")
	for got, err := range wsman.EnumerateAs[numbered](t.Context(), s.client(t, nil), wsman.Resource{URI: "urn:r"}, o) {
		require.NoError(t, err)
		assert.Equal(t, 5, got.N)
	}
}

func TestEnumerateFilters(t *testing.T) {
	s := newServer(t, answerXML(pageXML("Enumerate", "", true)))
	c := s.client(t, nil)
	for range wsman.Query[numbered](t.Context(), c, "root/cimv2", `select * from C where N < 3`) {
		t.Error("no items")
	}
	for _, f := range []*wsman.Filter{
		wsman.SelectorFilter(wsman.Selector{Name: "StartMode", Value: "Auto"}, wsman.Selector{Name: "State", Value: "Stopped"}),
		wsman.Association{Object: wsman.EndpointReference{Resource: wsman.Resource{URI: "urn:r"}}, ResultClass: "R", Role: "x"}.Filter(),
	} {
		for range c.Enumerate(t.Context(), wsman.Resource{URI: "urn:r"}, &wsman.EnumerateOptions{Filter: f}) {
			t.Error("no items")
		}
	}
	calls := s.seen()
	assert.Equal(t, wsman.URIWMI+"root/cimv2/*", calls[0].Resource.URI)
	assert.Contains(t, string(calls[0].Body), `<w:Filter Dialect="`+wsman.DialectWQL+`">select * from C where N &lt; 3</w:Filter>`)
	// [MS-WSMV] section 4.9
	w := wsman.NSWSMan
	assert.Contains(t, bodyOf(t, calls[1]), "<{"+w+"}Filter @Dialect="+wsman.DialectSelector+" <{"+w+"}SelectorSet <{"+w+"}Selector @Name=StartMode > <{"+w+"}Selector @Name=State > > >")
	assert.Contains(t, string(calls[2].Body), "<b:Role>x</b:Role><b:ResultClassName>R</b:ResultClassName>")
}

func TestSubscription(t *testing.T) {
	response := `<e:SubscribeResponse xmlns:e="` + wsman.NSEventing + `" xmlns:a="` + wsman.NSAddressing + `" xmlns:n="` + wsman.NSEnumeration + `"><e:SubscriptionManager><a:Address>x</a:Address>` +
		`<a:ReferenceParameters><e:Identifier>uuid:SUB</e:Identifier></a:ReferenceParameters></e:SubscriptionManager><e:Expires>PT60.000S</e:Expires><n:EnumerationContext>c1</n:EnumerationContext></e:SubscribeResponse>`
	mark := func(n int) string {
		return fmt.Sprintf(`<w:Bookmark><BookmarkList><Bookmark RecordId="%d"/></BookmarkList></w:Bookmark>`, n)
	}
	s := newServer(t,
		answerXML(response),
		refuse(&wsman.Fault{Code: wsman.ErrTimedOut}),
		answerXML(pageXML("Pull", "c2", false, mark(1), `<w:Event Action="urn:act"><Event xmlns="urn:ev"><x/></Event></w:Event>`, `<w:Event><![CDATA[<Event/>]]></w:Event>`)),
		answerXML(pageXML("Pull", "c3", true, mark(2), `<q:E xmlns:q="urn:q"/>`)),
		answerXML(""),
	)
	sub, err := s.client(t, nil).Subscribe(t.Context(), wsman.EventLogResource(true), &wsman.SubscribeOptions{
		Filter:   wsman.EventQuery(`<QueryList><Query Id="0"><Select Path="Application">*</Select></Query></QueryList>`),
		Bookmark: `<BookmarkList><Bookmark RecordId="0"/></BookmarkList>`, Heartbeats: time.Hour, Expires: time.Hour,
	})
	require.NoError(t, err)
	var got []wsman.Event
	for ev, err := range sub.Events(t.Context()) {
		require.NoError(t, err)
		got = append(got, ev)
	}
	b := func(n int) string { return fmt.Sprintf(`<BookmarkList><Bookmark RecordId="%d"/></BookmarkList>`, n) }
	assert.Equal(t, []wsman.Event{
		{Action: "urn:act", XML: `<Event xmlns="urn:ev"><x/></Event>`, Bookmark: b(1)},
		{XML: `<Event/>`, Bookmark: b(1)},
		{XML: `<q:E xmlns:q="urn:q"/>`, Bookmark: b(2)},
	}, got)
	assert.Equal(t, b(2), sub.Bookmark())
	require.NoError(t, sub.Unsubscribe(t.Context()))

	calls := s.seen()
	first := string(calls[0].Body)
	for _, part := range []string{
		`<e:Delivery Mode="` + wsman.DeliveryPull + `"><w:Heartbeats>PT3600.000S</w:Heartbeats><w:MaxElements>20</w:MaxElements>`,
		`<w:Filter Dialect="` + wsman.DialectEventQuery + `"><QueryList>`, `<w:Bookmark><BookmarkList>`, `<w:SendBookmarks/>`, `<e:Expires>PT3600.000S</e:Expires>`,
	} {
		assert.Contains(t, first, part)
	}
	assert.True(t, calls[0].Resource.Options[0].Null)
	assert.Equal(t, wsman.ActionUnsubscribe, calls[4].Action)
	assert.Contains(t, string(calls[4].Body), `<e:Identifier xmlns:e="`+wsman.NSEventing+`">uuid:SUB</e:Identifier>`)
	assert.Len(t, calls, 5)

	s = newServer(t, answerXML(response), refuse(&wsman.Fault{Code: 2150858760}))
	sub, err = s.client(t, nil).Subscribe(t.Context(), wsman.EventLogResource(false), nil)
	require.NoError(t, err)
	n := 0
	for _, err := range sub.Events(t.Context()) {
		n++
		f, ok := errors.AsType[*wsman.Fault](err)
		require.True(t, ok)
		assert.Equal(t, wsman.FaultCode(2150858760), f.Code)
	}
	assert.Equal(t, 1, n)
}
