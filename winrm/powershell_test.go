package winrm_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// scripts starts a host that knows what fn does.
func scripts(t testing.TB, fn func(*winrmtest.Script) (uint32, bool)) (*winrmtest.Server, *winrm.Client) {
	t.Helper()
	srv := winrmtest.NewUnstartedServer(&winrmtest.Host{Script: fn})
	srv.Record = true
	return srv, server(t, srv)
}

func TestPowerShellOutput(t *testing.T) {
	srv, client := scripts(t, func(s *winrmtest.Script) (uint32, bool) {
		var in []byte
		if !s.Console { // which nobody types at
			in, _ = io.ReadAll(s.Stdin)
		}
		s.Emit(s.Text + "|" + string(in) + "|" + string(s.Args))
		return 0, true
	})
	ctx := t.Context()
	out, err := client.PowerShell(ctx, "'é' # \u2019").Output()
	require.NoError(t, err)
	assert.Equal(t, "'é' # \u2019||\r\n", string(out))
	assert.Equal(t, []string{"Create", "Command", "Receive"}, actions(srv)[:3])

	// 200 KB of script, with every character that quotes something.
	long := strings.Repeat("# '\"`$(){}[]%^&|<>@;,\u2018\u201c日本\n", 6000)
	require.Greater(t, len(long), 200_000)
	cmd := client.PowerShell(ctx, long)
	cmd.Script.Args = map[string]any{"Name": "x'; calc"}
	out, err = cmd.Output()
	require.NoError(t, err)
	assert.Equal(t, long+`||{"Name":"x'; calc"}`+"\r\n", string(out))

	cmd = client.PowerShell(ctx, "script")
	cmd.Script.Args = struct {
		Path  string
		Force bool `json:"force"`
	}{`C:\`, true}
	cmd.Stdin = strings.NewReader("the caller's\x00\xff")
	out, err = cmd.Output()
	require.NoError(t, err)
	assert.Equal(t, "script|the caller's\x00\xff|"+`{"Path":"C:\\","force":true}`+"\r\n", string(out))
}

func TestPowerShellOptions(t *testing.T) {
	_, client := handle(t, func(p *winrmtest.Proc) uint32 {
		fmt.Fprint(p.Stdout, p.Line)
		return 0
	})
	line := func(change func(*winrm.Script)) string {
		cmd := client.PowerShell(t.Context(), "1")
		change(cmd.Script)
		out, err := cmd.Output()
		require.NoError(t, err)
		i := bytes.LastIndexByte(out, ' ')
		return string(out[:i])
	}
	assert.Equal(t, "powershell -NoProfile -NonInteractive -EncodedCommand", line(func(*winrm.Script) {}))
	assert.Equal(t, "pwsh -NonInteractive -EncodedCommand", line(func(s *winrm.Script) { s.Program, s.Profile = "pwsh", true }))
	assert.Equal(t, `@"C:\Program Files\PowerShell\7\pwsh.exe" -NoProfile -NonInteractive -EncodedCommand`,
		line(func(s *winrm.Script) { s.Program = `C:\Program Files\PowerShell\7\pwsh.exe` }))

	for name, change := range map[string]func(*winrm.Script){
		"error action": func(s *winrm.Script) { s.ErrorAction = "Explode" },
		"args":         func(s *winrm.Script) { s.Args = 5 },
		"args func":    func(s *winrm.Script) { s.Args = map[string]any{"f": func() {}} },
		"not UTF-8":    func(s *winrm.Script) { s.Text = "\xff" },
	} {
		cmd := client.PowerShell(t.Context(), "1")
		change(cmd.Script)
		assert.Error(t, cmd.Run(), name)
	}
}

func TestPowerShellStreams(t *testing.T) {
	_, client := scripts(t, func(s *winrmtest.Script) (uint32, bool) {
		s.Emit("out")
		s.Record("warning", "careful")
		s.Record("verbose", "détail")
		s.Record("debug", "bug")
		s.Record("information", "note")
		s.Progress("Copying", "a.txt", 30)
		s.Progress("Copying", "", 101)
		for _, line := range []string{
			`Get-Item : Cannot find path 'C:\nope' because it does not exist. And the text goes `, `on in the next line.`,
			`At line:1 char:1`, `+ Get-Item C:\nope`, `+ ~~~~~~~~~~~~~~~~`,
			`    + CategoryInfo          : ObjectNotFound: (C:\nope:String) [Get-Item], ItemN `, `   otFoundException`,
			`    + FullyQualifiedErrorId : PathNotFound,Microsoft.PowerShell.Commands.GetItem `, `   Command`, ` `,
		} {
			s.Record("error", line)
		}
		fmt.Fprint(s.Stderr, "native program\r\n")
		return 3, true
	})
	cmd := client.PowerShell(t.Context(), "x")
	var stderr bytes.Buffer
	var records []winrm.Record
	cmd.Stderr = &stderr
	cmd.Script.Record = func(r winrm.Record) { records = append(records, r) }
	out, err := cmd.Output()
	exit, ok := errors.AsType[*winrm.ExitError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, uint32(3), exit.Code)
	assert.Equal(t, "out\r\n", string(out))
	text := stderr.String()
	assert.True(t, strings.HasPrefix(text, "WARNING: careful\r\nVERBOSE: détail\r\nDEBUG: bug\r\nnote\r\nGet-Item : Cannot find"), text)
	assert.Contains(t, text, "native program\r\n")
	assert.NotContains(t, text, "CLIXML")
	assert.NotContains(t, text, "Objs")

	require.Len(t, records, 7)
	assert.Equal(t, winrm.Record{Stream: winrm.StreamWarning, Text: "careful"}, records[0])
	assert.Equal(t, winrm.StreamProgress, records[4].Stream)
	assert.Equal(t, "Copying: a.txt", records[4].Text)
	assert.Equal(t, int32(30), records[4].Progress.Percent)
	assert.True(t, records[5].Progress.Completed)
	assert.Equal(t, &winrm.ErrorRecord{
		Message:  `Cannot find path 'C:\nope' because it does not exist. And the text goes on in the next line.`,
		ID:       "PathNotFound,Microsoft.PowerShell.Commands.GetItemCommand",
		Category: "ObjectNotFound", Activity: "Get-Item", Reason: "ItemNotFoundException",
		TargetName: `C:\nope`, TargetType: "String",
		Position: "At line:1 char:1\r\n+ Get-Item C:\\nope\r\n+ ~~~~~~~~~~~~~~~~",
	}, records[6].Error)
}

func TestPowerShellThrow(t *testing.T) {
	_, client := scripts(t, func(*winrmtest.Script) (uint32, bool) { return 0, false })
	var records []winrm.Record
	cmd := client.PowerShell(t.Context(), "throw 'no such luck'")
	cmd.Script.Record = func(r winrm.Record) { records = append(records, r) }
	_, err := cmd.Output()
	e, ok := errors.AsType[*winrm.ScriptError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, "winrm: script: no such luck (line 1)", err.Error())
	assert.Equal(t, "OperationStopped", e.Record.Category)
	exit, ok := errors.AsType[*winrm.ExitError](err)
	require.True(t, ok)
	assert.Equal(t, uint32(1), exit.Code)
	assert.True(t, strings.HasPrefix(string(exit.Stderr), "no such luck\r\nAt line:1 char:1\r\n"), "%q", exit.Stderr)
	require.Len(t, records, 1, "told once")
	assert.Equal(t, &e.Record, records[0].Error)
}

func TestRunJSON(t *testing.T) {
	type service struct {
		Name   string
		Status int
	}
	_, client := scripts(t, func(s *winrmtest.Script) (uint32, bool) {
		var args struct{ Count int }
		_ = json.Unmarshal(s.Args, &args)
		fmt.Fprint(s.Stdout, "Write-Host was here\r\n")
		for i := range args.Count {
			s.Emit(map[string]any{"Name": fmt.Sprintf("süß %d", i), "Status": i, "More": "ignored"})
		}
		return 0, true
	})
	run := func(count int) *winrm.Cmd {
		cmd := client.PowerShell(t.Context(), "param($Count)")
		cmd.Script.Args = map[string]int{"Count": count}
		return cmd
	}
	var host bytes.Buffer
	cmd := run(2)
	cmd.Stdout = &host
	all, err := winrm.RunJSON[[]service](cmd)
	require.NoError(t, err)
	assert.Equal(t, []service{{"süß 0", 0}, {"süß 1", 1}}, all)
	assert.Equal(t, "Write-Host was here\r\n", strings.TrimRight(host.String(), "\n")+"\n")

	one, err := winrm.RunJSON[service](run(1))
	require.NoError(t, err)
	assert.Equal(t, service{"süß 0", 0}, one)
	all, err = winrm.RunJSON[[]service](run(1))
	require.NoError(t, err)
	assert.Len(t, all, 1)
	all, err = winrm.RunJSON[[]service](run(0))
	require.NoError(t, err)
	assert.Empty(t, all)
	for _, n := range []int{0, 2} {
		_, err = winrm.RunJSON[service](run(n))
		_, ok := errors.AsType[*winrm.ResultError](err)
		assert.True(t, ok, "%v", err)
	}
	_, err = winrm.RunJSON[[]int](run(1))
	_, ok := errors.AsType[*winrm.ResultError](err)
	assert.True(t, ok, "%v", err)
	_, err = winrm.RunJSON[int](client.Command("hostname"))
	assert.Error(t, err)
	many, err := winrm.RunJSON[[]service](run(20_000)) // a megabyte, in many answers
	require.NoError(t, err)
	assert.Len(t, many, 20_000)
}

// A script whose arguments PowerShell cannot read does not run, and that is an error.
func TestUnreadableArgs(t *testing.T) {
	ran := false
	_, client := scripts(t, func(*winrmtest.Script) (uint32, bool) { ran = true; return 0, true })
	for _, input := range []io.Reader{nil, strings.NewReader("x")} {
		cmd := client.PowerShell(t.Context(), "param($Env) $Env")
		cmd.Script.Args = map[string]any{"Env": []any{map[string]string{"Path": "1", "PATH": "2"}}}
		cmd.Stdin = input
		_, err := winrm.RunJSON[[]any](cmd)
		failed, ok := errors.AsType[*winrm.ScriptError](err)
		require.True(t, ok, "%v", err)
		assert.Contains(t, failed.Record.ID, "DuplicateKeysInJsonString")
	}
	assert.False(t, ran)
}

// What constrained language mode makes of scripts that need more, as a host of
// ours has shown it in public.
func TestConstrainedLanguage(t *testing.T) {
	const view = "#< CLIXML\r\n" + `<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04"><S S="Error">Cannot invoke method. Method invocation is supported only on core types in this language mode._x000D__x000A_</S><S S="Error">At line:1 char:1_x000D__x000A_</S><S S="Error">+ [math]::Pow(2,10)_x000D__x000A_</S><S S="Error">+ ~~~~~~~~~~~~~~~~~_x000D__x000A_</S><S S="Error">    + CategoryInfo          : InvalidOperation: (:) [], RuntimeException_x000D__x000A_</S><S S="Error">    + FullyQualifiedErrorId : MethodInvocationNotSupportedInConstrainedLanguage_x000D__x000A_</S><S S="Error"> _x000D__x000A_</S></Objs>`
	_, client := handle(t, func(p *winrmtest.Proc) uint32 {
		fmt.Fprint(p.Stderr, view)
		return 1
	})
	_, err := client.Stat(t.Context(), `C:\x`)
	_, ok := errors.AsType[*winrm.LanguageModeError](err)
	require.True(t, ok, "%v", err)
	_, ok = errors.AsType[*winrm.AgentError](err)
	assert.True(t, ok)

	err = client.PowerShell(t.Context(), "[math]::Pow(2,10)").Run()
	_, ok = errors.AsType[*winrm.LanguageModeError](err)
	assert.False(t, ok, "it is the script that asks for too much")
	_, ok = errors.AsType[*winrm.ExitError](err)
	assert.True(t, ok)
}

// Scripts other than ours run as ever.
func TestPowerShellPlain(t *testing.T) {
	_, client := scripts(t, nil)
	raw := []byte{}
	for _, c := range "Write-Output 'x'" {
		raw = append(raw, byte(c), 0)
	}
	out, err := client.Command("powershell", "-EncodedCommand", base64.StdEncoding.EncodeToString(raw)).Output()
	require.NoError(t, err)
	assert.Equal(t, "x\r\n", string(out))
	out, err = client.PowerShell(t.Context(), "$env:COMPUTERNAME").Output()
	require.NoError(t, err)
	assert.Equal(t, "WINRMTEST\r\n", string(out))
	_, err = client.PowerShell(t.Context(), "Get-Secret").Output()
	exit, ok := errors.AsType[*winrm.ExitError](err)
	require.True(t, ok)
	assert.Equal(t, "winrmtest does not imitate this PowerShell: Get-Secret\r\n", string(exit.Stderr))
}
