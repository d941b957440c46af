package wsmv_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/wsmv"
	"github.com/winrmkit/winrmkit/wsman"
)

// Bodies that Windows sent, and that it accepted, from the traffic that pypsrp
// recorded (tests/responses/test_winrs_*.yml of jborean93/pypsrp).
const (
	createdBody = `<x:ResourceCreated><a:Address>http://192.168.56.11:5985/wsman</a:Address><a:ReferenceParameters><w:ResourceURI>http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd</w:ResourceURI><w:SelectorSet><w:Selector Name="ShellId">44AF9A2C-624E-4975-AB20-CEB406E440B9</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated><rsp:Shell xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell"><rsp:ShellId>44AF9A2C-624E-4975-AB20-CEB406E440B9</rsp:ShellId><rsp:ResourceUri>http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd</rsp:ResourceUri><rsp:Owner>vagrant</rsp:Owner><rsp:ClientIP>192.168.56.1</rsp:ClientIP><rsp:IdleTimeOut>PT7200.000S</rsp:IdleTimeOut><rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams><rsp:ShellRunTime>P0DT0H0M0S</rsp:ShellRunTime><rsp:ShellInactivity>P0DT0H0M0S</rsp:ShellInactivity></rsp:Shell>`
	commandBody = `<rsp:CommandLine><rsp:Command>cmd.exe</rsp:Command><rsp:Arguments>/c echo out &amp;&amp; echo err&gt;&amp;2 &amp;&amp; exit 1</rsp:Arguments></rsp:CommandLine>`
	startedBody = `<rsp:CommandResponse><rsp:CommandId>D37A8327-79AD-452F-BE0D-4B99A96B4A0B</rsp:CommandId></rsp:CommandResponse>`
	receiveBody = `<rsp:Receive><rsp:DesiredStream CommandId="D37A8327-79AD-452F-BE0D-4B99A96B4A0B">stdout stderr</rsp:DesiredStream></rsp:Receive>`
	outputBody  = `<rsp:ReceiveResponse><rsp:Stream Name="stdout" CommandId="D37A8327-79AD-452F-BE0D-4B99A96B4A0B">b3V0IA0K</rsp:Stream><rsp:Stream Name="stderr" CommandId="D37A8327-79AD-452F-BE0D-4B99A96B4A0B">ZXJyIA0K</rsp:Stream><rsp:Stream Name="stdout" CommandId="D37A8327-79AD-452F-BE0D-4B99A96B4A0B" End="true"></rsp:Stream><rsp:Stream Name="stderr" CommandId="D37A8327-79AD-452F-BE0D-4B99A96B4A0B" End="true"></rsp:Stream><rsp:CommandState CommandId="D37A8327-79AD-452F-BE0D-4B99A96B4A0B" State="http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState/Done"><rsp:ExitCode>1</rsp:ExitCode></rsp:CommandState></rsp:ReceiveResponse>`
	sendBody    = `<rsp:Send><rsp:Stream CommandId="B0973E54-434E-4D99-B4BE-ADE584CE3BFB" End="True" Name="stdin">V3JpdGUtSG9zdCAib3V0cHV0IDIiOw==</rsp:Stream></rsp:Send>`
	signalBody  = `<rsp:Signal CommandId="D37A8327-79AD-452F-BE0D-4B99A96B4A0B"><rsp:Code>http://schemas.microsoft.com/wbem/wsman/1/windows/shell/signal/ctrl_c</rsp:Code></rsp:Signal>`
)

const (
	shellID   = "44AF9A2C-624E-4975-AB20-CEB406E440B9"
	commandID = "D37A8327-79AD-452F-BE0D-4B99A96B4A0B"
)

// inBody gives fn a decoder that stands at a body with the content.
func inBody(tb testing.TB, content string, fn func(*wsman.Decoder) error) error {
	tb.Helper()
	doc := `<b xmlns:rsp="` + wsman.NSShell + `" xmlns:x="` + wsman.NSTransfer + `" xmlns:a="` + wsman.NSAddressing +
		`" xmlns:w="` + wsman.NSWSMan + `">` + content + `</b>`
	d := wsman.NewDecoder([]byte(doc))
	if _, err := d.Root(); err != nil {
		return err
	}
	if err := fn(d); err != nil {
		return err
	}
	return d.Finish()
}

func encode(t *testing.T, fn func(*wsman.Encoder)) string {
	t.Helper()
	e := wsman.NewEncoder(nil)
	fn(e)
	require.NoError(t, e.Err())
	return strings.ReplaceAll(string(e.Bytes()), ` xmlns:rsp="`+wsman.NSShell+`"`, "")
}

func find(local string, fn func(*wsman.Decoder) error) func(*wsman.Decoder) error {
	return func(d *wsman.Decoder) error { return wsmv.Find(d, local, fn) }
}

func TestCreated(t *testing.T) {
	var got wsmv.Created
	require.NoError(t, inBody(t, createdBody, got.DecodeBody))
	assert.Equal(t, wsmv.Created{
		Address: "http://192.168.56.11:5985/wsman", ResourceURI: wsmv.URICmd, ShellID: shellID,
		Shell: wsmv.Shell{
			ID: shellID, ResourceURI: wsmv.URICmd, Owner: "vagrant", ClientIP: "192.168.56.1", IdleTimeout: 2 * time.Hour,
			InputStreams: "stdin", OutputStreams: "stdout stderr",
		},
	}, got)

	var again wsmv.Created
	require.NoError(t, inBody(t, encode(t, got.Encode), again.DecodeBody))
	assert.Equal(t, got, again)
}

// Windows 7 answers Create with the selector alone (masterzen/winrm #193), OMI
// with the description alone; an answer without either has no shell.
func TestCreatedForms(t *testing.T) {
	before, after, _ := strings.Cut(createdBody, "<rsp:Shell")
	for _, body := range []string{before, "<rsp:Shell" + after} {
		var got wsmv.Created
		require.NoError(t, inBody(t, body, got.DecodeBody))
		assert.Equal(t, shellID, got.ShellID)
	}
	for _, odd := range []string{
		`<rsp:IdleTimeOut>P10675199DT2H48M5.4775807S</rsp:IdleTimeOut>`, `<rsp:Lifetime>never</rsp:Lifetime>`,
		`<rsp:ChildProcesses>-1</rsp:ChildProcesses>`, `<rsp:Environment><rsp:Variable>x</rsp:Variable></rsp:Environment>`,
	} {
		var got wsmv.Created
		require.NoError(t, inBody(t, `<rsp:Shell>`+odd+`<rsp:ShellId>`+shellID+`</rsp:ShellId></rsp:Shell>`, got.DecodeBody), odd)
		assert.Equal(t, shellID, got.ShellID)
		var bad *wsmv.ValueError
		assert.ErrorAs(t, inBody(t, `<rsp:Shell>`+odd+`</rsp:Shell>`, find("Shell", new(wsmv.Shell).Decode)), &bad, odd)
	}
	var got wsmv.Created
	var bad *wsmv.ValueError
	assert.ErrorAs(t, inBody(t, "<rsp:Shell/>", got.DecodeBody), &bad)
}

func TestShellCreate(t *testing.T) {
	s := wsmv.Shell{
		ID: shellID, Name: "n", Environment: []wsmv.Variable{{Name: "A", Value: `<&>"'`}, {Name: "B", Value: ""}},
		WorkingDirectory: `C:\Windows`, Lifetime: time.Minute, IdleTimeout: 90 * time.Second,
		InputStreams: "stdin", OutputStreams: "stdout stderr",
	}
	text := encode(t, s.EncodeCreate)
	assert.Equal(t, `<rsp:Shell ShellId="`+shellID+`"><rsp:Name>n</rsp:Name><rsp:Environment><rsp:Variable Name="A">&lt;&amp;&gt;"'</rsp:Variable>`+
		`<rsp:Variable Name="B"/></rsp:Environment><rsp:WorkingDirectory>C:\Windows</rsp:WorkingDirectory><rsp:Lifetime>PT60.000S</rsp:Lifetime>`+
		`<rsp:IdleTimeOut>PT90.000S</rsp:IdleTimeOut><rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams></rsp:Shell>`, text)
	var got wsmv.Shell
	require.NoError(t, inBody(t, text, find("Shell", got.Decode)))
	assert.Equal(t, s, got)
}

func TestCommand(t *testing.T) {
	var line wsmv.CommandLine
	require.NoError(t, inBody(t, commandBody, find("CommandLine", line.Decode)))
	assert.Equal(t, wsmv.CommandLine{Command: "cmd.exe", Arguments: []string{"/c echo out && echo err>&2 && exit 1"}}, line)
	assert.Equal(t, commandBody, encode(t, line.Encode))

	line = wsmv.CommandLine{ID: commandID, Command: ` a ]]> "b" `, Arguments: []string{"", "\t x"}}
	var got wsmv.CommandLine
	require.NoError(t, inBody(t, encode(t, line.Encode), find("CommandLine", got.Decode)))
	assert.Equal(t, line, got)

	var started wsmv.CommandResponse
	require.NoError(t, inBody(t, startedBody, find("CommandResponse", started.Decode)))
	assert.Equal(t, commandID, started.ID)
	assert.Equal(t, startedBody, encode(t, started.Encode))
}

func TestReceive(t *testing.T) {
	want := wsmv.Receive{CommandID: commandID, Streams: "stdout stderr"}
	var got wsmv.Receive
	require.NoError(t, inBody(t, receiveBody, find("Receive", got.Decode)))
	assert.Equal(t, want, got)
	assert.Equal(t, receiveBody, encode(t, want.Encode))
}

// What clients send that are made from a schema with a reference to the global
// attribute (winrm4j 0.12.3, recorded).
func TestReceiveQualified(t *testing.T) {
	const body = `<ns2:Receive xmlns="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"` +
		` xmlns:ns2="http://schemas.microsoft.com/wbem/wsman/1/windows/shell"` +
		` xmlns:ns3="http://schemas.xmlsoap.org/ws/2004/09/transfer"><ns2:DesiredStream` +
		` ns2:CommandId="883D87E9-EDDC-4067-B23C-DDBCA7F3174B">stdout stderr</ns2:DesiredStream></ns2:Receive>`
	var got wsmv.Receive
	require.NoError(t, inBody(t, body, find("Receive", got.Decode)))
	assert.Equal(t, wsmv.Receive{CommandID: "883D87E9-EDDC-4067-B23C-DDBCA7F3174B", Streams: "stdout stderr"}, got)

	other := strings.Replace(body, `xmlns:ns3="http://schemas.xmlsoap.org/ws/2004/09/transfer"><ns2:DesiredStream ns2:`,
		`xmlns:ns3="http://schemas.xmlsoap.org/ws/2004/09/transfer"><ns2:DesiredStream ns3:`, 1)
	require.NotEqual(t, body, other)
	got = wsmv.Receive{}
	require.NoError(t, inBody(t, other, find("Receive", got.Decode)))
	assert.Empty(t, got.CommandID, "of another namespace")
}

func TestReceiveResponse(t *testing.T) {
	want := wsmv.ReceiveResponse{
		Streams: []wsmv.Stream{
			{Name: "stdout", CommandID: commandID, Data: []byte("out \r\n")},
			{Name: "stderr", CommandID: commandID, Data: []byte("err \r\n")},
			{Name: "stdout", CommandID: commandID, Data: []byte{}, End: true},
			{Name: "stderr", CommandID: commandID, Data: []byte{}, End: true},
		},
		States: []wsmv.CommandState{{CommandID: commandID, State: wsmv.StateDone, ExitCode: 1, HasExitCode: true}},
	}
	for _, body := range []string{
		outputBody,
		strings.ReplaceAll(outputBody, "b3V0IA0K", "\r\n b3V0\t IA0K \n"), // xs:base64Binary allows white space
		encode(t, want.Encode),
	} {
		var got wsmv.ReceiveResponse
		require.NoError(t, inBody(t, body, find("ReceiveResponse", got.Decode)))
		assert.Equal(t, want, got)
		assert.True(t, got.States[0].Done())
	}
}

func TestExitCodes(t *testing.T) {
	for text, want := range map[string]uint32{"0": 0, "3221225786": 0xC000013A, "-1073741510": 0xC000013A, "4294967295": 0xFFFFFFFF, "-1": 0xFFFFFFFF} {
		var got wsmv.ReceiveResponse
		body := strings.ReplaceAll(outputBody, "<rsp:ExitCode>1<", "<rsp:ExitCode>"+text+"<")
		require.NoError(t, inBody(t, body, find("ReceiveResponse", got.Decode)))
		assert.Equal(t, want, got.States[0].ExitCode, text)
	}
	for _, text := range []string{"", "x", "4294967296", "-2147483649", "1.0"} {
		var got wsmv.ReceiveResponse
		var bad *wsmv.ValueError
		body := strings.ReplaceAll(outputBody, "<rsp:ExitCode>1<", "<rsp:ExitCode>"+text+"<")
		require.NoError(t, inBody(t, body, find("ReceiveResponse", got.Decode)), text)
		assert.ErrorAs(t, got.States[0].BadExitCode, &bad, text)
		assert.True(t, got.States[0].Done())
		assert.False(t, got.States[0].HasExitCode)
		assert.Len(t, got.Streams, 4)
	}
}

func TestSend(t *testing.T) {
	var got wsmv.Send
	require.NoError(t, inBody(t, sendBody, find("Send", got.Decode)))
	require.Len(t, got.Streams, 1)
	assert.Equal(t, wsmv.Stream{
		Name: "stdin", CommandID: "B0973E54-434E-4D99-B4BE-ADE584CE3BFB", End: true, Data: []byte(`Write-Host "output 2";`),
	}, got.Streams[0])
	var again wsmv.Send
	require.NoError(t, inBody(t, encode(t, got.Encode), find("Send", again.Decode)))
	assert.Equal(t, got, again)
}

func TestSignal(t *testing.T) {
	want := wsmv.Signal{CommandID: commandID, Code: wsmv.SignalCtrlC}
	var got wsmv.Signal
	require.NoError(t, inBody(t, signalBody, find("Signal", got.Decode)))
	assert.Equal(t, want, got)
	assert.Equal(t, signalBody, encode(t, want.Encode))
}

func TestConnect(t *testing.T) {
	d := wsmv.Disconnect{BufferMode: "Block", IdleTimeout: time.Minute}
	var gotD wsmv.Disconnect
	require.NoError(t, inBody(t, encode(t, d.Encode), find("Disconnect", gotD.Decode)))
	assert.Equal(t, d, gotD)

	c := wsmv.Connect{CommandID: commandID}
	var gotC wsmv.Connect
	require.NoError(t, inBody(t, encode(t, c.Encode), find("Connect", gotC.Decode)))
	assert.Equal(t, c, gotC)
	assert.Equal(t, `<rsp:Connect CommandId="`+commandID+`"/>`, encode(t, c.Encode)) // as recorded

	r := wsmv.ConnectResponse{InputStreams: "stdin", OutputStreams: "stdout"}
	var gotR wsmv.ConnectResponse
	require.NoError(t, inBody(t, encode(t, r.Encode), find("ConnectResponse", gotR.Decode)))
	assert.Equal(t, r, gotR)
}

func TestEnumeratedCommand(t *testing.T) {
	want := wsmv.Command{ID: commandID, Line: "ping -n 3 x", State: "Running"}
	var got wsmv.Command
	require.NoError(t, inBody(t, encode(t, want.Encode), find("Command", got.Decode)))
	assert.Equal(t, want, got)
}

func FuzzBodies(f *testing.F) {
	for _, s := range []string{createdBody, commandBody, startedBody, receiveBody, outputBody, sendBody, signalBody} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, content string) {
		for local, fn := range map[string]func(*wsman.Decoder) error{
			"Shell": new(wsmv.Shell).Decode, "CommandLine": new(wsmv.CommandLine).Decode,
			"CommandResponse": new(wsmv.CommandResponse).Decode, "Command": new(wsmv.Command).Decode,
			"Signal": new(wsmv.Signal).Decode, "Send": new(wsmv.Send).Decode, "Receive": new(wsmv.Receive).Decode,
			"Disconnect": new(wsmv.Disconnect).Decode, "Connect": new(wsmv.Connect).Decode,
			"ConnectResponse": new(wsmv.ConnectResponse).Decode,
		} {
			_ = inBody(t, content, find(local, fn))
		}
		_ = inBody(t, content, new(wsmv.Created).DecodeBody)

		var got, again wsmv.ReceiveResponse
		if inBody(t, content, find("ReceiveResponse", got.Decode)) != nil {
			return
		}
		size := 0
		for _, s := range got.Streams {
			size += base64.StdEncoding.EncodedLen(len(s.Data))
		}
		require.LessOrEqual(t, size, len(content))
		e := wsman.NewEncoder(nil)
		got.Encode(e)
		require.NoError(t, e.Err())
		require.NoError(t, inBody(t, string(e.Bytes()), find("ReceiveResponse", again.Decode)))
		require.Len(t, again.Streams, len(got.Streams))
		for i := range got.Streams {
			require.Equal(t, string(got.Streams[i].Data), string(again.Streams[i].Data))
		}
	})
}
