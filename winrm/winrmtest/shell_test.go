package winrmtest_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

func TestShellRoundTrip(t *testing.T) {
	srv := start(t, winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		in, _ := io.ReadAll(p.Stdin)
		fmt.Fprintf(p.Stdout, "%s|%s|%s|%d|%t|%s", p.Line, in, p.Dir, p.Codepage, p.Console, p.Env[len(p.Env)-1])
		fmt.Fprint(p.Stderr, "oops")
		return 0xC0000005
	}))
	c := dial(t, srv)
	body := c.ok(request{
		action: transfer + "/Create", uri: uriCmd, options: map[string]string{"WINRS_CODEPAGE": "65001", "WINRS_NOPROFILE": "FALSE"},
		body: `<rsp:Shell ShellId="aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"><rsp:Name>mine</rsp:Name><rsp:Environment><rsp:Variable Name="A">b c</rsp:Variable></rsp:Environment>` +
			`<rsp:WorkingDirectory>C:\x</rsp:WorkingDirectory><rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams></rsp:Shell>`,
	})
	// The shape of a recorded answer: reference and description side by side.
	assert.Contains(t, body, "<x:ResourceCreated")
	assert.Contains(t, body, "<a:ReferenceParameters><w:ResourceURI>"+uriCmd+"</w:ResourceURI><w:SelectorSet>")
	assert.Contains(t, body, "<rsp:Owner>WINRMTEST\\user</rsp:Owner>")
	assert.Contains(t, body, "<a:RelatesTo>uuid:7C5CBB8E-2A38-4A3A-9B12-8F8B7D0A2E11</a:RelatesTo>")
	id := find(t, body, `<w:Selector Name="ShellId">([^<]+)<`)
	assert.Equal(t, "AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE", id, "ids are upper case")

	cmd := c.command(id, "prog", map[string]string{"WINRS_CONSOLEMODE_STDIN": "FALSE"})
	c.ok(sendRequest(strings.ToLower(id), strings.ToLower(cmd), "hello ", false))
	c.ok(sendRequest(id, cmd, "world", true))
	body = c.ok(receiveRequest(id, cmd))
	assert.Equal(t, map[string]string{"stdout": `prog|hello world|C:\x|65001|false|A=b c`, "stderr": "oops"}, output(t, body))
	assert.Contains(t, body, `State="`+nsShell+`/CommandState/Done"><rsp:ExitCode>3221225477</rsp:ExitCode>`)
	assert.Equal(t, 2, strings.Count(body, `End="true"`))

	c.fault(receiveRequest(id, cmd), 2150858843)
	c.fault(sendRequest(id, cmd, "late", false), 109)
	c.ok(signalRequest(id, cmd, "Terminate"))
	c.fault(signalRequest(id, cmd, "terminate"), 2150858843)
	c.ok(deleteRequest(id))
	c.fault(deleteRequest(id), 2150858843)
	stats := srv.Stats()
	assert.Zero(t, stats.Shells)
	assert.Zero(t, stats.Commands)
	assert.Equal(t, 2, stats.Exchanges["Receive"])
}

func TestOneCommandAtATime(t *testing.T) {
	release := make(chan struct{})
	srv := start(t, winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		select {
		case <-release:
		case <-p.Context().Done():
		}
		return 0
	}))
	c := dial(t, srv)
	sh := c.shell()
	cmd := c.command(sh, "a", nil)
	c.fault(commandRequest(sh, "b", nil), 2150858802)
	close(release)
	require.Eventually(t, func() bool { return srv.Stats().Commands == 0 }, 30*time.Second, time.Millisecond)
	c.fault(commandRequest(sh, "b", nil), 2150858802) // until Done was received
	c.ok(receiveRequest(sh, cmd))
	c.command(sh, "b", nil)
}

func TestShellFaults(t *testing.T) {
	c := dial(t, start(t, winrmtest.HandlerFunc(echo)))
	create := func(attr, inner string, options map[string]string) request {
		return request{action: transfer + "/Create", uri: uriCmd, options: options, body: "<rsp:Shell " + attr + ">" + inner + "</rsp:Shell>"}
	}
	c.ok(create(`ShellId="11111111-2222-3333-4444-555555555555"`, "", nil))
	sh := c.shell()
	for _, tt := range []struct {
		name string
		r    request
		code uint32
	}{
		{"same shell id", create(`ShellId="11111111-2222-3333-4444-555555555555"`, "", nil), 2150859223},
		{"malformed shell id", create(`ShellId="mine"`, "", nil), 2150859221},
		{"code page", create("", "", map[string]string{"WINRS_CODEPAGE": "12345"}), 2150859072},
		{"idle too short", create("", "<rsp:IdleTimeOut>PT59S</rsp:IdleTimeOut>", nil), 2150859250},
		{"idle malformed", create("", "<rsp:IdleTimeOut>an hour</rsp:IdleTimeOut>", nil), 2150858817},
		{"unknown stream", create("", "<rsp:OutputStreams>stdout pr</rsp:OutputStreams>", nil), 87},
		{"get of the cmd URI", request{action: transfer + "/Get", uri: uriCmd, selectors: on(sh)}, 2150858771},
		{"no selector", request{action: transfer + "/Delete", uri: uriCmd}, 2150858842},
		{"other selector", request{action: transfer + "/Delete", uri: uriCmd, selectors: map[string]string{"Name": "x"}}, 2150858813},
		{"unknown PowerShell configuration", request{action: transfer + "/Create", uri: "http://schemas.microsoft.com/powershell/x"}, 2150858811},
		{"unknown signal", signalRequest(sh, "x", "ctrl_x"), 2150858843},
		{"bare name without cmd", commandRequest(sh, "hostname", map[string]string{"WINRS_SKIP_CMD_SHELL": "TRUE"}), 2147942402},
		{"shell itself has no output", receiveRequest(sh, ""), 87},
		{"must comply", request{action: transfer + "/Create", uri: uriCmd, header: `<wsman:OptionSet><wsman:Option Name="NO_SUCH" MustComply="true">1</wsman:Option></wsman:OptionSet>`, body: "<rsp:Shell/>"}, 2150858833},
	} {
		t.Run(tt.name, func(t *testing.T) { (&rawClient{t: t, conn: c.conn, br: c.br, auth: c.auth}).fault(tt.r, tt.code) })
	}
}

// winrm-java's Delete has a body, with the namespaces that its XML library
// declares.
func TestDeleteWithBody(t *testing.T) {
	srv := start(t, nil)
	c := dial(t, srv)
	r := deleteRequest(c.shell())
	r.body = `<Delete xmlns="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:ns2="` + nsShell + `" xmlns:ns3="` + wsen + `"` +
		` xmlns:ns4="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:ns5="` + transfer + `"/>`
	c.ok(r)
	assert.Zero(t, srv.Stats().Shells)
}

func TestQuotas(t *testing.T) {
	srv := start(t, winrmtest.HandlerFunc(echo), func(s *winrmtest.Server) {
		s.Users = map[string]string{"user": "Passw0rd!", "other": "pw"}
		s.Settings = map[string]string{
			"Winrs/MaxShellsPerUser": "2", "Winrs/MaxConcurrentUsers": "1", "Service/MaxConcurrentOperationsPerUser": "3",
		}
	})
	create := request{action: transfer + "/Create", uri: uriCmd, body: "<rsp:Shell/>"}
	c := dial(t, srv)
	sh := c.shell()
	second := c.shell()
	c.fault(create, 2150859173)
	other := dial(t, srv)
	other.auth = basic("other", "pw")
	other.fault(create, 2150859179)
	other.fault(deleteRequest(sh), 5)

	for range 2 {
		id := c.command(sh, "x", nil)
		c.ok(receiveRequest(sh, id))
	}
	id := c.command(sh, "x", nil)
	body := c.fault(receiveRequest(sh, id), 2150859174) // commands are counted until their shell goes
	assert.Contains(t, body, "MSFT_WmiError")
	c.ok(deleteRequest(sh))
	id = c.command(second, "x", nil)
	c.ok(receiveRequest(second, id))

	require.NoError(t, srv.Set("Winrs/AllowRemoteShellAccess", "false"))
	c.fault(create, 2150859180)
}

func TestCommandsPerShell(t *testing.T) {
	srv := start(t, winrmtest.HandlerFunc(echo), func(s *winrmtest.Server) { s.Quotas.CommandsPerShell = 1 })
	c := dial(t, srv)
	sh := c.shell()
	c.ok(receiveRequest(sh, c.command(sh, "x", nil)))
	c.fault(commandRequest(sh, "x", nil), 2150859241)
}

// TestSignals: ctrl_c needs a console for stdin; a handler may catch it.
func TestSignals(t *testing.T) {
	srv := start(t, winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		if p.Line == "catch" {
			return uint32(len(<-p.Signals()))
		}
		<-p.Context().Done()
		return 1
	}))
	c := dial(t, srv)
	sh := c.shell()
	console := map[string]string{"WINRS_CONSOLEMODE_STDIN": "TRUE"}

	cmd := c.command(sh, "wait", console)
	c.ok(signalRequest(sh, cmd, "ctrl_c"))
	assert.Contains(t, c.ok(receiveRequest(sh, cmd)), "<rsp:ExitCode>3221225786<")

	cmd = c.command(sh, "catch", console)
	require.Eventually(t, func() bool { // until the handler has asked for signals, they end it
		return srv.Stats().Commands == 1
	}, 30*time.Second, time.Millisecond)
	time.Sleep(50 * time.Millisecond)
	c.ok(signalRequest(sh, cmd, "ctrl_break"))
	assert.Contains(t, c.ok(receiveRequest(sh, cmd)), "<rsp:ExitCode>10<")

	cmd = c.command(sh, "wait", nil)
	c.ok(signalRequest(sh, cmd, "ctrl_c"))
	r := receiveRequest(sh, cmd)
	r.timeout = "PT0.1S"
	c.fault(r, 2150858793)
	c.ok(signalRequest(sh, cmd, "terminate"))
	require.Eventually(t, func() bool { return srv.Stats().Commands == 0 }, 30*time.Second, time.Millisecond)
	c.command(sh, "wait", nil)
	c.ok(deleteRequest(sh))
	require.Eventually(t, func() bool { return srv.Stats().Commands == 0 }, 30*time.Second, time.Millisecond)
}

func TestReceiveIsAbortedWithTheShell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := start(t, winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 { <-p.Context().Done(); return 1 }))
		c, control := dial(t, srv), dial(t, srv)
		sh := c.shell()
		cmd := c.command(sh, "x", nil)
		c.send("POST", "/wsman", receiveRequest(sh, cmd).String())
		synctest.Wait()
		assert.Equal(t, 1, srv.Stats().Operations)
		control.ok(deleteRequest(sh))
		resp, body := c.answer()
		assert.Equal(t, 500, resp.StatusCode)
		assert.Contains(t, body, `Code="995"`)
	})
}

// TestClientGoesAway: a held Receive ends with its connection and takes no
// output with it.
func TestClientGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := start(t, winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
			time.Sleep(10 * time.Second)
			fmt.Fprint(p.Stdout, "late")
			return 0
		}))
		c, gone := dial(t, srv), dial(t, srv)
		sh := c.shell()
		cmd := c.command(sh, "x", nil)
		gone.send("POST", "/wsman", receiveRequest(sh, cmd).String())
		synctest.Wait()
		require.NoError(t, gone.conn.Close())
		synctest.Wait()
		assert.Zero(t, srv.Stats().Operations)
		assert.Equal(t, "late", output(t, c.ok(receiveRequest(sh, cmd)))["stdout"])
	})
}

func TestDisconnectReconnectConnect(t *testing.T) {
	c := dial(t, start(t, winrmtest.HandlerFunc(echo)))
	sh := c.shell()
	op := func(name, body, session string) request {
		return request{action: nsShell + "/" + name, uri: uriCmd, selectors: on(sh), body: body, session: session}
	}
	const other = "A1B2C3D4-0000-4000-8000-000000000002"
	c.fault(op("Connect", "<rsp:Connect/>", other), 2150859213)
	c.ok(op("Disconnect", "<rsp:Disconnect><rsp:BufferMode>Drop</rsp:BufferMode><rsp:IdleTimeOut>PT120S</rsp:IdleTimeOut></rsp:Disconnect>", ""))
	c.fault(commandRequest(sh, "x", nil), 2150859204)
	assert.Contains(t, c.ok(request{action: transfer + "/Get", uri: nsShell, selectors: on(sh)}), "<rsp:State>Disconnected<")
	c.fault(op("Reconnect", "", other), 2150859206)
	c.ok(op("Reconnect", "", ""))
	c.ok(op("Disconnect", "<rsp:Disconnect/>", ""))
	assert.Contains(t, c.ok(op("Connect", "<rsp:Connect/>", other)), "<rsp:OutputStreams>stdout stderr<")
	out, _, code := c.run(sh, "again")
	assert.Equal(t, `again as WINRMTEST\user`, out)
	assert.Equal(t, "5", code)
}

// TestMuchOutput: 200 MB pass in order, while the server keeps next to nothing.
func TestMuchOutput(t *testing.T) {
	const total = muchOutput
	sum := sha256.New()
	srv := start(t, winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		buf := make([]byte, 100_003)
		for n := 0; n < total; {
			for i := range buf {
				buf[i] = byte(n>>8) ^ byte(i)
			}
			m := min(len(buf), total-n)
			sum.Write(buf[:m])
			if _, err := p.Stdout.Write(buf[:m]); err != nil {
				return 1
			}
			n += m
		}
		return 0
	}))
	c := dial(t, srv)
	sh := c.shell()
	id := c.command(sh, "big", nil)
	got, n := sha256.New(), 0
	var peak uint64
	r := receiveRequest(sh, id)
	r.size = "512000"
	for i := 0; ; i++ {
		body := c.ok(r)
		require.LessOrEqual(t, len(body), 512000)
		data := output(t, body)["stdout"]
		n += len(data)
		_, _ = io.WriteString(got, data)
		if i%100 == 0 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
		}
		if strings.Contains(body, "CommandState/Done") {
			break
		}
	}
	assert.Equal(t, total, n)
	assert.Equal(t, sum.Sum(nil), got.Sum(nil))
	assert.Less(t, peak, uint64(64<<20))
}
