package winrmtest_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// TestHeaderChecks: codes and subcodes of [MS-WSMV] section 3.1.4.1.
func TestHeaderChecks(t *testing.T) {
	c := dial(t, start(t, nil))
	good := getConfig.String()
	for _, tt := range []struct {
		name, old, new string
		code           uint32
		contains       string
	}{
		{"small envelope", ">153600<", ">8191<", 2150858878, "w:EncodingLimit"},
		{"negative timeout", ">PT20S<", ">PT-1S<", 2150858767, "a:InvalidMessageInformationHeader"},
		{"locale that must be understood", `Locale s:mustUnderstand="false"`, `Locale s:mustUnderstand="true"`, 2150858887, "faultDetail/"},
		{"empty message id", ">uuid:7C5CBB8E-2A38-4A3A-9B12-8F8B7D0A2E11<", "><", 2150858767, ""},
		{"reply elsewhere", "role/anonymous", "role/else", 2150858870, "faultDetail/AddressingMode"},
		{"unknown header", "<wsa:To>", `<x:Y xmlns:x="u" s:mustUnderstand="1"/><wsa:To>`, 2150858768, "s:MustUnderstand"},
		{"unknown resource", ">" + nsConfig + "<", ">" + nsConfig + "/nope<", 2150858811, ""},
		{"unknown action", "/Get<", "/Got<", 2150858771, "a:ActionNotSupported"},
		{"truncated", "</s:Body></s:Envelope>", "", 2150858817, ""},
		{"garbage behind", "</s:Envelope>", "</s:Envelope><x/>", 2150858817, ""},
		{"DTD", "<s:Envelope", "<!DOCTYPE x><s:Envelope", 2150858817, ""},
		{"content", "<s:Body>", "<s:Body><x/>", 2150858817, ""},
		{"duplicate selectors", "</s:Header>", `<wsman:SelectorSet><wsman:Selector Name="a">1</wsman:Selector><wsman:Selector Name="A">2</wsman:Selector></wsman:SelectorSet></s:Header>`, 2150858847, "faultDetail/DuplicateSelectors"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Contains(t, good, tt.old)
			c.send("POST", "/wsman", strings.Replace(good, tt.old, tt.new, 1))
			resp, body := c.answer()
			assert.Equal(t, 500, resp.StatusCode)
			assert.Contains(t, body, fmt.Sprintf(`Code="%d"`, tt.code))
			assert.Contains(t, body, tt.contains)
		})
	}
}

func TestActivityID(t *testing.T) {
	c := dial(t, start(t, nil))
	r := getConfig
	r.header = `<wsmv:ActivityId s:mustUnderstand="false">uuid:5</wsmv:ActivityId>`
	assert.Contains(t, c.ok(r), "<p:ActivityId>uuid:5</p:ActivityId>")
}

func TestCookie(t *testing.T) {
	c := dial(t, start(t, nil, func(s *winrmtest.Server) { s.Cookie = true }))
	c.send("POST", "/wsman", getConfig.String())
	resp, _ := c.answer()
	require.Equal(t, 200, resp.StatusCode)
	require.Len(t, resp.Cookies(), 1)
	assert.Equal(t, "MS-WSMAN", resp.Cookies()[0].Name)
	c.send("POST", "/wsman", getConfig.String(), "Cookie: MS-WSMAN="+resp.Cookies()[0].Value)
	resp, _ = c.answer()
	assert.Equal(t, 200, resp.StatusCode)
	c.send("POST", "/wsman", getConfig.String())
	resp, _ = c.answer()
	assert.Equal(t, 400, resp.StatusCode)
}

func TestAnswerTooLarge(t *testing.T) {
	srv := start(t, nil, func(s *winrmtest.Server) {
		s.Settings = map[string]string{"Client/TrustedHosts": strings.Repeat("host,", 2000) + "x"}
	})
	c := dial(t, srv)
	r := getConfig
	r.size = "8192"
	c.fault(r, 2150858824)
}

func config(suffix, root, inner string) request {
	uri := nsConfig
	if suffix != "" {
		uri += "/" + suffix
	}
	return request{action: transfer + "/Put", uri: uri, body: fmt.Sprintf(`<cfg:%s xmlns:cfg="%s">%s</cfg:%s>`, root, uri, inner, root)}
}

func TestConfig(t *testing.T) {
	srv := start(t, nil, func(s *winrmtest.Server) {
		s.Policy = map[string]string{"Service/Auth/Kerberos": "true"}
		s.Limited = []string{"guest"}
		s.Users = map[string]string{"user": "Passw0rd!", "guest": "g"}
	})
	c := dial(t, srv)

	// The exact shape of Get, from a recorded answer.
	auth := request{action: transfer + "/Get", uri: nsConfig + "/service/auth"}
	assert.Contains(t, c.ok(auth), `<cfg:Auth xmlns:cfg="http://schemas.microsoft.com/wbem/wsman/1/config/service/auth" xml:lang="en-US">`+
		`<cfg:Basic>true</cfg:Basic><cfg:Kerberos Source="GPO">true</cfg:Kerberos><cfg:Negotiate>false</cfg:Negotiate>`+
		`<cfg:Certificate>false</cfg:Certificate><cfg:CredSSP>false</cfg:CredSSP><cfg:CbtHardeningLevel>Relaxed</cfg:CbtHardeningLevel></cfg:Auth>`)
	// What Enable-WSManCredSSP sends.
	assert.Contains(t, c.ok(config("service/auth", "Auth", "<cfg:CredSSP>true</cfg:CredSSP>")), "<cfg:CredSSP>true<")
	assert.Equal(t, "true", srv.Setting("service/auth/credssp"))
	// Get, edit, put the whole: unchanged items of policy and read-only ones pass.
	whole := c.ok(request{action: transfer + "/Get", uri: nsConfig})
	inner := whole[strings.Index(whole, "<cfg:MaxEnvelopeSizekb>"):strings.Index(whole, "</cfg:Config>")]
	c.ok(config("", "Config", strings.Replace(inner, ">60000<", ">70000<", 1)))
	assert.Equal(t, "70000", srv.Setting("MaxTimeoutms"))

	for _, tt := range []struct {
		name string
		r    request
		code uint32
	}{
		{"item from policy", config("service/auth", "Auth", "<cfg:Kerberos>false</cfg:Kerberos>"), 2150858890},
		{"bad level", config("service/auth", "Auth", "<cfg:CbtHardeningLevel>Max</cfg:CbtHardeningLevel>"), 2150859192},
		{"bad boolean", config("service/auth", "Auth", "<cfg:Basic>maybe</cfg:Basic>"), 2150858817},
		{"unknown item", config("service/auth", "Auth", "<cfg:Digest>true</cfg:Digest>"), 2150858817},
		{"wrong element", config("service/auth", "Service", ""), 2150858773},
		{"wrong namespace", request{action: transfer + "/Put", uri: nsConfig + "/service/auth", body: `<cfg:Auth xmlns:cfg="` + nsConfig + `"/>`}, 2150858840},
		{"out of range", config("", "Config", "<cfg:MaxEnvelopeSizekb>31</cfg:MaxEnvelopeSizekb>"), 2150858817},
		{"obsolete", config("", "Config", "<cfg:MaxProviderRequests>5</cfg:MaxProviderRequests>"), 2150859182},
		{"read-only", config("service/defaultports", "DefaultPorts", "<cfg:HTTP>80</cfg:HTTP>"), 2150859071},
		{"host pattern", config("client", "Client", "<cfg:TrustedHosts>a*b*</cfg:TrustedHosts>"), 2150858911},
		{"custom shells", request{action: transfer + "/Get", uri: nsConfig + "/winrs/customremoteshell"}, 2150859196},
	} {
		t.Run(tt.name, func(t *testing.T) { (&rawClient{t: t, conn: c.conn, br: c.br, auth: c.auth}).fault(tt.r, tt.code) })
	}
	guest := dial(t, srv)
	guest.auth = basic("guest", "g")
	guest.fault(getConfig, 5)
	guest.shell()
}

func TestListenersAndMappings(t *testing.T) {
	srv := start(t, nil)
	c := dial(t, srv)
	sel := map[string]string{"Address": "IP:192.0.2.7", "Transport": "HTTPS"}
	listener := func(action, inner string) request {
		r := config("listener", "Listener", inner)
		r.action, r.selectors = transfer+"/"+action, sel
		if action == "Get" || action == "Delete" {
			r.body = ""
		}
		return r
	}
	// PowerShell appends .xsd to the namespace when it creates.
	create := listener("Create", "<cfg:Port>5999</cfg:Port>")
	create.body = strings.Replace(create.body, "/listener", "/listener.xsd", 1)
	assert.Contains(t, c.ok(create), "<a:ReferenceParameters>")
	c.fault(create, 2150858803)
	assert.Contains(t, c.ok(listener("Get", "")), "<cfg:Port>5999</cfg:Port>")
	assert.Contains(t, c.ok(listener("Put", "<cfg:Enabled>false</cfg:Enabled>")), "<cfg:Enabled>false</cfg:Enabled>")
	c.fault(listener("Put", "<cfg:ListeningOn>1.2.3.4</cfg:ListeningOn>"), 0x80070057)
	enumerate := request{action: wsen + "/Enumerate", uri: nsConfig + "/listener", body: `<wsen:Enumerate><wsman:OptimizeEnumeration/><wsman:MaxElements>10</wsman:MaxElements></wsen:Enumerate>`}
	assert.Equal(t, 2, strings.Count(c.ok(enumerate), "<cfg:Listener "))
	c.ok(listener("Delete", ""))
	c.fault(listener("Get", ""), 2150858752)

	mapping := config("service/certmapping", "CertMapping", "<cfg:UserName>user</cfg:UserName><cfg:Password>wrong</cfg:Password>")
	mapping.action = transfer + "/Create"
	mapping.selectors = map[string]string{"Issuer": strings.Repeat("0a", 20), "Subject": "*@x", "URI": "*"}
	c.fault(mapping, 2150859116)
	mapping.body = strings.Replace(mapping.body, "wrong", "Passw0rd!", 1)
	c.ok(mapping)
	mapping.action, mapping.body = transfer+"/Get", ""
	assert.NotContains(t, c.ok(mapping), "Passw0rd", "the password is never shown")

	assert.Contains(t, c.ok(request{action: transfer + "/Get", uri: nsConfig + "/plugin", selectors: map[string]string{"Name": "Microsoft.PowerShell"}}), "<plugin:PlugInConfiguration ")
}

func enumerateRequest(uri, inner string) request {
	return request{action: wsen + "/Enumerate", uri: uri, body: "<wsen:Enumerate>" + inner + "</wsen:Enumerate>"}
}

func pullRequest(uri, context, most string) request {
	return request{action: wsen + "/Pull", uri: uri, body: "<wsen:Pull><wsen:EnumerationContext>" + context + "</wsen:EnumerationContext>" + most + "</wsen:Pull>"}
}

func TestEnumerate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := start(t, nil)
		c := dial(t, srv)
		uri := uriWMI + "Win32_Service"
		const context = `<n:EnumerationContext>([^<]+)<`

		// Page by page: the context changes, items are in w: at first and in n: then.
		body := c.ok(enumerateRequest(uri, "<wsman:OptimizeEnumeration/><wsman:MaxElements>4</wsman:MaxElements>"))
		assert.Equal(t, 4, strings.Count(body, "<p:Win32_Service "))
		assert.Contains(t, body, "<w:Items>")
		first := find(t, body, context)
		body = c.ok(pullRequest(uri, first, "")) // without MaxElements: one
		assert.Equal(t, 1, strings.Count(body, "<p:Win32_Service "))
		assert.Contains(t, body, "<n:Items>")
		second := find(t, body, context)
		assert.NotEqual(t, first, second)
		c.fault(pullRequest(uri, first, ""), 2150858779)
		body = c.ok(pullRequest(uri, second, "<wsen:MaxElements>10</wsen:MaxElements>"))
		assert.Contains(t, body, "<n:EndOfSequence/>")
		assert.Zero(t, srv.Stats().Enumerations)

		// Release, and expiry after EnumerationTimeoutms.
		id := find(t, c.ok(enumerateRequest(uri, "")), context)
		r := pullRequest(uri, id, "")
		r.action, r.body = wsen+"/Release", strings.ReplaceAll(r.body, "Pull", "Release")
		c.ok(r)
		c.fault(r, 2150858779)
		id = find(t, c.ok(enumerateRequest(uri, "")), context)
		time.Sleep(241 * time.Second)
		c.fault(pullRequest(uri, id, ""), 2150858779)

		all := "<wsman:OptimizeEnumeration/><wsman:MaxElements>100</wsman:MaxElements>"
		body = c.ok(enumerateRequest(uri, all+"<wsman:EnumerationMode>EnumerateEPR</wsman:EnumerationMode>"))
		assert.Contains(t, body, `<a:EndpointReference>`)
		assert.Contains(t, body, `<w:Selector Name="Name">Spooler</w:Selector>`)
		body = c.ok(enumerateRequest(uri, all+"<wsman:EnumerationMode>EnumerateObjectAndEPR</wsman:EnumerationMode>"))
		assert.Equal(t, 6, strings.Count(body, "<w:Item><p:Win32_Service "))
		c.fault(enumerateRequest(uri, "<wsman:EnumerationMode>X</wsman:EnumerationMode>"), 2150858886)
	})
}

func TestWQLAndSelectorFilters(t *testing.T) {
	c := dial(t, start(t, nil))
	wql := func(q string) request {
		return enumerateRequest(uriWMI+"*", `<wsman:OptimizeEnumeration/><wsman:MaxElements>100</wsman:MaxElements><wsman:Filter Dialect="http://schemas.microsoft.com/wbem/wsman/1/WQL">`+q+`</wsman:Filter>`)
	}
	body := c.ok(wql(`SELECT * FROM Win32_Service WHERE (State = "Running" AND NOT Name LIKE 'win%') OR Name = 'bits'`))
	for name, want := range map[string]bool{"BITS": true, "EventLog": true, "WinRM": false, "W32Time": false, "Spooler": true} {
		assert.Equal(t, want, strings.Contains(body, "<p:Name>"+name+"<"), name)
	}
	body = c.ok(wql("select HotFixID, InstalledOn from Win32_QuickFixEngineering"))
	assert.Equal(t, 3, strings.Count(body, "<w:XmlFragment "))
	assert.NotContains(t, body, "CSName")
	c.fault(wql("select from"), 2150858778)
	c.fault(wql("select * from No_Such"), 2150858778)
	sel := enumerateRequest(uriWMI+"Win32_Service", `<wsman:OptimizeEnumeration/><wsman:MaxElements>9</wsman:MaxElements><wsman:Filter Dialect="http://schemas.dmtf.org/wbem/wsman/1/wsman/SelectorFilter"><wsman:SelectorSet><wsman:Selector Name="State">Stopped</wsman:Selector></wsman:SelectorSet></wsman:Filter>`)
	assert.Equal(t, 2, strings.Count(c.ok(sel), "<p:Win32_Service "))
	c.fault(enumerateRequest(nsShell, `<wsman:Filter Dialect="http://schemas.microsoft.com/wbem/wsman/1/WQL">x</wsman:Filter>`), 2150858776)
}

func TestWMIGetAndInvoke(t *testing.T) {
	ran := make(chan string, 1)
	c := dial(t, start(t, winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 { ran <- p.Line; return 0 })))
	assert.Contains(t, c.ok(request{action: transfer + "/Get", uri: uriWMI + "Win32_OperatingSystem"}), "<p:LastBootUpTime><cim:Datetime>")
	spooler := request{action: transfer + "/Get", uri: uriWMI + "Win32_Service", selectors: map[string]string{"name": "spooler"}}
	assert.Contains(t, c.ok(spooler), "<p:State>Running<")
	spooler.header = `<wsman:FragmentTransfer s:mustUnderstand="true">State/text()</wsman:FragmentTransfer>`
	assert.Contains(t, c.ok(spooler), "<w:XmlFragment>Running</w:XmlFragment>")
	whole := request{action: transfer + "/Get", uri: nsConfig, header: spooler.header}
	assert.Contains(t, c.fault(whole, 2150858871), "FragmentLevelAccess", "not the whole in place of a part")
	spooler.header = ""
	stop := spooler
	stop.action, stop.body = spooler.uri+"/StopService", `<p:StopService_INPUT xmlns:p="`+spooler.uri+`"/>`
	assert.Contains(t, c.ok(stop), "<p:ReturnValue>0<")
	assert.Contains(t, c.ok(stop), "<p:ReturnValue>5<")
	assert.Contains(t, c.ok(spooler), "<p:State>Stopped<")

	process := uriWMI + "Win32_Process"
	body := c.ok(request{action: process + "/Create", uri: process, body: `<p:Create_INPUT xmlns:p="` + process + `"><p:CommandLine>notepad &amp; x</p:CommandLine></p:Create_INPUT>`})
	assert.Contains(t, body, "<p:Create_OUTPUT")
	assert.NotEqual(t, "0", find(t, body, `<p:ProcessId>(\d+)<`))
	assert.Equal(t, "notepad & x", <-ran)
	c.fault(request{action: transfer + "/Get", uri: uriWMI + "Win32_Service"}, 2150858842)
	c.fault(request{action: process + "/Nope", uri: process}, 2150858771)
}

func TestEventSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := start(t, nil)
		c := dial(t, srv)
		uri := "http://schemas.microsoft.com/wbem/wsman/1/windows/EventLog"
		subscribe := func(mode string) request {
			return request{
				action: "http://schemas.xmlsoap.org/ws/2004/08/eventing/Subscribe", uri: uri,
				body: `<e:Subscribe xmlns:e="http://schemas.xmlsoap.org/ws/2004/08/eventing"><e:Delivery Mode="` + mode + `"/><wsman:Filter Dialect="http://schemas.microsoft.com/win/2004/08/events/eventquery"><QueryList><Query Id="0"><Select Path="System">*</Select></Query></QueryList></wsman:Filter><wsman:SendBookmarks/></e:Subscribe>`,
			}
		}
		c.fault(subscribe("http://schemas.xmlsoap.org/ws/2004/08/eventing/DeliveryModes/Push"), 2150859007)
		id := find(t, c.ok(subscribe("http://schemas.dmtf.org/wbem/wsman/1/wsman/Pull")), `<n:EnumerationContext>([^<]+)<`)
		begun := time.Now()
		c.fault(pullRequest(uri, id, ""), 2150858793)
		assert.Equal(t, 20*time.Second, time.Since(begun))
		go func() {
			time.Sleep(5 * time.Second)
			srv.LogEvent(winrmtest.Event{Channel: "Application", Message: "not asked for"})
			srv.LogEvent(winrmtest.Event{Channel: "System", Provider: "Kernel", ID: 41, Message: "<power>"})
		}()
		body := c.ok(pullRequest(uri, id, ""))
		assert.Equal(t, 1, strings.Count(body, "<w:Event "))
		assert.Contains(t, body, "&lt;EventID&gt;41")
		assert.Contains(t, body, `Channel="System" RecordId="2"`)
	})
}

func TestShellEnumeration(t *testing.T) {
	c := dial(t, start(t, winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 { <-p.Context().Done(); return 0 })))
	sh := c.shell("<rsp:Name>mine</rsp:Name>")
	cmd := c.command(sh, "wait", nil)
	body := c.ok(enumerateRequest(nsShell, "<wsman:OptimizeEnumeration/><wsman:MaxElements>9</wsman:MaxElements>"))
	assert.Contains(t, body, "<rsp:ShellId>"+sh+"<")
	assert.Contains(t, body, "<rsp:State>Connected<")
	commands := nsShell + "/Command"
	filter := `<wsman:OptimizeEnumeration/><wsman:MaxElements>9</wsman:MaxElements><wsman:Filter Dialect="http://schemas.dmtf.org/wbem/wsman/1/wsman/SelectorFilter"><wsman:SelectorSet><wsman:Selector Name="ShellId">` + sh + `</wsman:Selector></wsman:SelectorSet></wsman:Filter>`
	body = c.ok(enumerateRequest(commands, filter))
	assert.Contains(t, body, "<rsp:CommandId>"+cmd+"</rsp:CommandId><rsp:CommandLine>wait</rsp:CommandLine><rsp:CommandState>Running</rsp:CommandState>")
	c.fault(enumerateRequest(commands, ""), 2150859200)
	c.fault(enumerateRequest(commands, filter+"<wsman:EnumerationMode>EnumerateEPR</wsman:EnumerationMode>"), 2150859201)
}
