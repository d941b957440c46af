package scripttest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/fileagent"
	"github.com/winrmkit/winrmkit/internal/hostscript"
	"github.com/winrmkit/winrmkit/internal/powershell"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// A script is a text that is sent to a host, and what it claims.
type script struct {
	text    string
	version int // of PowerShell that it runs on, and of any later one
	frame   *powershell.Frame
}

// hostile are user's scripts that would end the literal they travel in, if they
// could.
var hostile = []string{
	"", "'", "''", `"`, "`", "``'", "$(throw 'x')", "${x}", "$", "'; Remove-Item C:\\ -Recurse; '", "\u2018", "\u2019", "\u201a", "\u201b",
	"'\u2019", "\u2019'", "\u2018\u2019\u201a\u201b'", "\u201c\u201d\u201e", "\u2019;exit 1;\u2018", "@'\n'@", "@\"\n\"@", "a\r\nb\nc\rd", "\n}\n", "{", "#>", "<#",
	"--%", "\x00", "\x01\x1f\x7f", "日本語 😀", "\u2028\u2029\ufeff", "\u2013f \u2014x \u2015", "try{", "$input",
}

// all are the scripts of this module, by name.
func all(t testing.TB) map[string]script {
	t.Helper()
	out := map[string]script{
		"file agent": {text: fileagent.Script, version: 3},
		"bootstrap":  {text: hostscript.Bootstrap, version: 2},
	}
	for _, c := range calls {
		name := fmt.Sprintf("%s %s %v %v %v %t", c.Op, c.ID, c.Lists, c.Add, c.Remove, c.All)
		out[name] = script{text: c.Text(), version: 2}
		if m := regexp.MustCompile(`\$dead='([^']*)'`).FindStringSubmatch(c.Text()); m != nil {
			out["task of "+name] = script{text: decode(t, m[1]), version: 2}
		}
	}
	for i, user := range hostile {
		for j, f := range frames {
			f.Script = user
			command, _, err := f.Build()
			require.NoError(t, err)
			if f.Mode != powershell.Inline && user != "" && user != "$input" {
				continue // it is not in the command
			}
			out[fmt.Sprintf("frame %d %s of %d %.20q", j, f.Mode, i, user)] = script{text: decode(t, command), version: 3, frame: &f}
		}
	}
	for line, text := range sent(t) {
		out["sent: "+line] = text
	}
	return out
}

const leaseID = "00112233445566778899aabbccddeeff"

var calls = []hostscript.Call{
	{Op: hostscript.OpAcquire, ID: leaseID, TTL: 30 * time.Minute},
	{Op: hostscript.OpRenew, ID: leaseID, TTL: 90 * time.Second},
	{Op: hostscript.OpRelease, ID: leaseID},
	{Op: hostscript.OpLeases},
	{Op: hostscript.OpDelegation, Lists: []string{hostscript.ListFresh, hostscript.ListNTLM}},
	{Op: hostscript.OpDelegation, Lists: []string{hostscript.ListFresh}, All: true},
	{Op: hostscript.OpDelegation, Lists: []string{hostscript.ListFresh}, Add: names, Remove: names},
}

// names are all characters that a name in the policy can have.
var names = []string{"wsman/*.corp.example", "a", "wsman/[fe80::1]:5985", "-_", "0", "*/*"}

var frames = []powershell.Frame{
	{},
	{Depth: 3, ErrorAction: "Stop", Progress: true},
	{Input: true, Depth: 100, ErrorAction: "Ignore"},
	{Args: json.RawMessage(`{"A":"$(x)'\u2019"}`), ErrorAction: "SilentlyContinue"},
	{Args: json.RawMessage(`["2020-01-01T00:00:00Z"]`), Input: true, Depth: 4},
	{Args: json.RawMessage(`{}`), Input: true},
}

// sent are the scripts that a client really sends, taken from what reaches a host.
func sent(t testing.TB) map[string]script {
	t.Helper()
	var mu sync.Mutex
	out := map[string]script{}
	host := &winrmtest.Host{Disk: &winrmtest.Disk{}}
	srv := winrmtest.NewServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		var in bytes.Buffer
		p.Stdin = io.TeeReader(p.Stdin, &in)
		code := host.ServeCommand(p)
		if strings.HasPrefix(p.Line, "powershell") {
			mu.Lock()
			defer mu.Unlock()
			found(t, out, p.Line, in.Bytes())
		}
		return code
	}))
	t.Cleanup(srv.Close)
	ctx, client := t.Context(), srv.Client()
	// What they come to is tested elsewhere.
	_ = client.PowerShell(ctx, "[void]$x").Run()
	_, _ = client.Stat(ctx, `C:\`)
	_, _ = client.CredSSPStatus(ctx)
	_ = client.EnableCredSSPClient(ctx, true, "srv2.corp.example")
	_ = client.DisableCredSSPClient(ctx)
	_, _ = client.RestoreCredSSP(ctx, winrm.RestoreOptions{Sweep: true})
	for range winrm.Diagnose(ctx, srv.URL, &winrm.DiagnoseOptions{Config: srv.Config(), ManagedAccount: "webapp01$"}) {
	}
	require.NoError(t, client.Close())
	srv.Close()
	return out
}

// encoded is how all of them travel: what -Command is given comes out with
// warnings in it, which for an encoded one go elsewhere.
var encoded = regexp.MustCompile(`-EncodedCommand "?([A-Za-z0-9+/=]+)`)

// found adds the scripts of a command line and of what came on its stdin.
func found(t testing.TB, out map[string]script, line string, stdin []byte) {
	m := encoded.FindStringSubmatch(line)
	if !assert.NotNil(t, m, line) {
		return
	}
	text := decode(t, m[1])
	first, _, _ := strings.Cut(text, "\n")
	if text == hostscript.Bootstrap {
		text = string(stdin)
		first, _, _ = strings.Cut(text, "\n")
		out[first] = script{text: text, version: 2}
		return
	}
	f, _, err := powershell.Parse(text, bytes.NewReader(stdin))
	if !assert.NoError(t, err, first) {
		return
	}
	first, _, _ = strings.Cut(first, f.Marker)
	out[first] = script{text: text, version: 3, frame: f}
	first, _, _ = strings.Cut(f.Script, "\n")
	out[first] = script{text: f.Script, version: 3}
}

// decode is what powershell.exe does with -EncodedCommand.
func decode(t testing.TB, command string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(command)
	require.NoError(t, err)
	units := make([]uint16, len(raw)/2)
	require.NoError(t, binary.Read(bytes.NewReader(raw), binary.LittleEndian, units))
	return string(utf16.Decode(units))
}
