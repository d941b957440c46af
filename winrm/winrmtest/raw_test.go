package winrmtest_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

const (
	nsShell  = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
	nsConfig = "http://schemas.microsoft.com/wbem/wsman/1/config"
	uriCmd   = nsShell + "/cmd"
	uriWMI   = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/"
	transfer = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
	wsen     = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
)

// request is an envelope as pypsrp writes it (its default header set and
// order), with gaps for what tests change.
type request struct {
	action, uri string
	selectors   map[string]string
	options     map[string]string
	timeout     string // "" is PT20S
	size        string // "" is 153600
	session     string
	header      string // further header blocks
	body        string
}

var envelope = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing"` +
	` xmlns:wsman="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:wsmv="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"` +
	` xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell" xmlns:wsen="` + wsen + `"><s:Header>` +
	`<wsa:Action s:mustUnderstand="true">%s</wsa:Action><wsmv:DataLocale s:mustUnderstand="false" xml:lang="en-US"/>` +
	`<wsman:Locale s:mustUnderstand="false" xml:lang="en-US"/><wsman:MaxEnvelopeSize s:mustUnderstand="true">%s</wsman:MaxEnvelopeSize>` +
	`<wsa:MessageID>uuid:7C5CBB8E-2A38-4A3A-9B12-8F8B7D0A2E11</wsa:MessageID><wsman:OperationTimeout>%s</wsman:OperationTimeout>` +
	`<wsa:ReplyTo><wsa:Address s:mustUnderstand="true">http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</wsa:Address></wsa:ReplyTo>` +
	`<wsman:ResourceURI s:mustUnderstand="true">%s</wsman:ResourceURI><wsmv:SessionId s:mustUnderstand="false">uuid:%s</wsmv:SessionId>` +
	`<wsa:To>http://host:5985/wsman</wsa:To>%s</s:Header><s:Body>%s</s:Body></s:Envelope>`

func (r request) String() string {
	or := func(s, def string) string {
		if s == "" {
			return def
		}
		return s
	}
	var header strings.Builder
	header.WriteString(r.header)
	if len(r.options) > 0 {
		header.WriteString(`<wsman:OptionSet s:mustUnderstand="true">`)
		for k, v := range r.options {
			header.WriteString(fmt.Sprintf(`<wsman:Option Name="%s">%s</wsman:Option>`, k, v))
		}
		header.WriteString(`</wsman:OptionSet>`)
	}
	if len(r.selectors) > 0 {
		header.WriteString(`<wsman:SelectorSet>`)
		for k, v := range r.selectors {
			header.WriteString(fmt.Sprintf(`<wsman:Selector Name="%s">%s</wsman:Selector>`, k, v))
		}
		header.WriteString(`</wsman:SelectorSet>`)
	}
	return fmt.Sprintf(envelope, r.action, or(r.size, "153600"), or(r.timeout, "PT20S"), r.uri,
		or(r.session, "A1B2C3D4-0000-4000-8000-000000000001"), header.String(), r.body)
}

// rawClient speaks HTTP/1.1 over one connection of its own, so that nothing of
// the library under test stands between a test and the server.
type rawClient struct {
	t    testing.TB
	conn net.Conn
	br   *bufio.Reader
	auth string
}

func dial(t testing.TB, srv *winrmtest.Server) *rawClient {
	t.Helper()
	u, err := url.Parse(srv.URL)
	require.NoError(t, err)
	conn, err := srv.Dial(t.Context(), "tcp", u.Host)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &rawClient{t: t, conn: conn, br: bufio.NewReader(conn), auth: basic(winrmtest.DefaultUser, winrmtest.DefaultPassword)}
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// send writes a request with the header lines given.
func (c *rawClient) send(method, path, body string, lines ...string) {
	c.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: host:5985\r\nContent-Length: %d\r\n", method, path, len(body))
	if c.auth != "" {
		fmt.Fprintf(&b, "Authorization: %s\r\n", c.auth)
	}
	if body != "" {
		b.WriteString("Content-Type: application/soap+xml;charset=UTF-8\r\n")
	}
	for _, l := range lines {
		b.WriteString(l + "\r\n")
	}
	b.WriteString("\r\n" + body)
	_, err := io.WriteString(c.conn, b.String())
	require.NoError(c.t, err)
}

// answer reads one.
func (c *rawClient) answer() (*http.Response, string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.br, nil)
	require.NoError(c.t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return resp, string(body)
}

func (c *rawClient) do(r request) (status int, body string) {
	c.t.Helper()
	c.send("POST", "/wsman", r.String())
	resp, body := c.answer()
	return resp.StatusCode, body
}

// ok is do for requests that must succeed.
func (c *rawClient) ok(r request) string {
	c.t.Helper()
	status, body := c.do(r)
	require.Equal(c.t, 200, status, body)
	return body
}

// fault is do for requests that must end in the fault.
func (c *rawClient) fault(r request, code uint32) string {
	c.t.Helper()
	status, body := c.do(r)
	require.Equal(c.t, 500, status, body)
	require.Contains(c.t, body, "<s:Fault>")
	require.Regexp(c.t, fmt.Sprintf(`Code="%d"|error_Code>%d<`, code, code), body)
	return body
}

func (c *rawClient) shell(options ...string) (id string) {
	c.t.Helper()
	body := `<rsp:Shell><rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams>` + strings.Join(options, "") + `</rsp:Shell>`
	return find(c.t, c.ok(request{action: transfer + "/Create", uri: uriCmd, body: body}), `<w:Selector Name="ShellId">([^<]+)<`)
}

func on(id string) map[string]string { return map[string]string{"ShellId": id} }

func (c *rawClient) command(shell, line string, options map[string]string) (id string) {
	c.t.Helper()
	return find(c.t, c.ok(commandRequest(shell, line, options)), `<rsp:CommandId>([^<]+)<`)
}

func commandRequest(shell, line string, options map[string]string) request {
	return request{
		action: nsShell + "/Command", uri: uriCmd, selectors: on(shell), options: options,
		body: `<rsp:CommandLine><rsp:Command>` + line + `</rsp:Command></rsp:CommandLine>`,
	}
}

func receiveRequest(shell, command string) request {
	return request{
		action: nsShell + "/Receive", uri: uriCmd, selectors: on(shell),
		body: `<rsp:Receive><rsp:DesiredStream CommandId="` + command + `">stdout stderr</rsp:DesiredStream></rsp:Receive>`,
	}
}

func sendRequest(shell, command, data string, end bool) request {
	return request{
		action: nsShell + "/Send", uri: uriCmd, selectors: on(shell),
		body: fmt.Sprintf(`<rsp:Send><rsp:Stream Name="stdin" CommandId="%s" End="%t">%s</rsp:Stream></rsp:Send>`,
			command, end, base64.StdEncoding.EncodeToString([]byte(data))),
	}
}

func signalRequest(shell, command, code string) request {
	return request{
		action: nsShell + "/Signal", uri: uriCmd, selectors: on(shell),
		body: `<rsp:Signal CommandId="` + command + `"><rsp:Code>` + nsShell + `/signal/` + code + `</rsp:Code></rsp:Signal>`,
	}
}

func deleteRequest(shell string) request {
	return request{action: transfer + "/Delete", uri: uriCmd, selectors: on(shell)}
}

// output decodes the streams of a ReceiveResponse.
func output(t testing.TB, body string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for {
		// By hand: a regular expression takes a minute for 200 MB.
		_, rest, ok := strings.Cut(body, `<rsp:Stream Name="`)
		if !ok {
			break
		}
		name, _, _ := strings.Cut(rest, `"`)
		tag, rest, _ := strings.Cut(rest, ">")
		body = rest
		if strings.HasSuffix(tag, "/") {
			continue
		}
		text, _, _ := strings.Cut(rest, "<")
		data, err := base64.StdEncoding.DecodeString(text)
		require.NoError(t, err)
		out[name] += string(data)
	}
	return out
}

// run runs a command to its end.
func (c *rawClient) run(shell, line string) (stdout, stderr, code string) {
	c.t.Helper()
	id := c.command(shell, line, nil)
	for {
		body := c.ok(receiveRequest(shell, id))
		out := output(c.t, body)
		stdout, stderr = stdout+out["stdout"], stderr+out["stderr"]
		if strings.Contains(body, "CommandState/Done") {
			return stdout, stderr, find(c.t, body, `<rsp:ExitCode>(\d+)<`)
		}
	}
}

func find(t testing.TB, body, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(body)
	require.NotNil(t, m, "%s in %s", pattern, body)
	return m[1]
}

func start(t testing.TB, h winrmtest.Handler, change ...func(*winrmtest.Server)) *winrmtest.Server {
	t.Helper()
	srv := winrmtest.NewUnstartedServer(h)
	srv.Mechanisms = []winrmtest.Mechanism{winrmtest.Basic()}
	for _, fn := range change {
		fn(srv)
	}
	srv.StartMemory()
	t.Cleanup(srv.Close)
	return srv
}
