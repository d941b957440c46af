package powershell_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/powershell"
)

// decode is what powershell.exe does with -EncodedCommand.
func decode(t testing.TB, command string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(command)
	require.NoError(t, err)
	units := make([]uint16, len(raw)/2)
	require.NoError(t, binary.Read(bytes.NewReader(raw), binary.LittleEndian, units))
	return string(utf16.Decode(units))
}

// hostile are strings that would do something if they ever became code, or that
// encodings lose.
var hostile = []string{
	"", "'", "''", `"`, "`", "$(throw 'x')", "'; Remove-Item C:\\ -Recurse; '", "\u2018\u2019\u201a\u201b", "\u201c\u201d\u201e", "@'\n'@", "a\r\nb\nc\rd",
	"{0}", "%PATH%", "^&|<>", "-EncodedCommand", "--%", "#", "\x00", "\x01\x1f\x7f", "ünïcödé 日本語 😀", "\u2028\u2029\ufeff", "_x000D_", "</Objs>", "]]>",
	"2020-01-01T00:00:00Z", "/Date(1)/", `\/Date(1)\/`, "=already", "true", "null", "0x10", "1e5", " leading and trailing ", "\t", `\u0041`, `C:\x\`,
	"#< winrmkit x", "$input", strings.Repeat("long ", 2000),
	// What a frame has itself.
	"#\n$ErrorActionPreference='Stop'\n", "#\n$ProgressPreference='Continue'\n", "$input|& {1} -Depth 9 ", "\n$wks='x'\ntry{\n",
}

func TestHostileScriptsAndArgs(t *testing.T) {
	for _, s := range hostile {
		for _, args := range []any{nil, map[string]any{"A": s, "Deep": []any{s, map[string]any{"k": s}, 1.5, true, nil}}, hostile} {
			for _, input := range []bool{false, true} {
				f := &powershell.Frame{Script: s, Input: input}
				if args != nil {
					raw, err := json.Marshal(args)
					require.NoError(t, err)
					f.Args = raw
				}
				command, head, err := f.Build()
				require.NoError(t, err)
				assert.LessOrEqual(t, len(command), 8191-200)
				stdin := io.MultiReader(bytes.NewReader(head), strings.NewReader("the rest"))
				got, rest, err := powershell.Parse(decode(t, command), stdin)
				require.NoError(t, err, "%q", s)
				assert.Equal(t, s, got.Script)
				assert.Equal(t, f.Mode, got.Mode)
				if args == nil {
					assert.Nil(t, got.Args)
				} else {
					assert.JSONEq(t, string(f.Args), string(got.Args))
				}
				left, err := io.ReadAll(rest)
				require.NoError(t, err)
				assert.Equal(t, "the rest", string(left))
			}
		}
	}
}

// What can fail before the script runs fails in the try that reports it: outside of
// it PowerShell goes on with the next line, runs no script and exits with 0.
func TestHeadIsGuarded(t *testing.T) {
	for _, f := range []powershell.Frame{
		{Script: "1"},
		{Script: "1", Args: json.RawMessage("{}")},
		{Script: "$input", Args: json.RawMessage("{}"), Input: true},
		{Script: "1", Args: json.RawMessage("{}"), Input: true},
	} {
		command, _, err := f.Build()
		require.NoError(t, err)
		before, after, ok := strings.Cut(decode(t, command), "\ntry{\n")
		require.True(t, ok, f.Mode)
		for _, reads := range []string{"ConvertFrom-Json", "OpenStandardInput", "$input", "wkr"} {
			assert.NotContains(t, before, reads, f.Mode)
		}
		assert.Contains(t, after, "throw;exit 1}", "where the preference is to be silent, throw does nothing")
	}
}

// Windows PowerShell has no preference Ignore, and says so at the first error.
func TestIgnore(t *testing.T) {
	f := powershell.Frame{Script: "1", ErrorAction: "Ignore"}
	command, _, err := f.Build()
	require.NoError(t, err)
	text := decode(t, command)
	assert.NotContains(t, text, "$ErrorActionPreference='Ignore'")
	got, _, err := powershell.Parse(text, strings.NewReader(""))
	require.NoError(t, err)
	assert.Equal(t, &f, got)
}

// Nothing of the arguments is in the command, and what goes over stdin as text is
// ASCII.
func TestArgsAreData(t *testing.T) {
	f := &powershell.Frame{Script: "param($A) $A", Args: json.RawMessage(`{"A":"$(calc) ünï 😀 secret"}`)}
	command, head, err := f.Build()
	require.NoError(t, err)
	text := decode(t, command)
	assert.NotContains(t, text, "secret")
	assert.NotContains(t, text, "param($A)")
	for _, c := range head {
		assert.True(t, c < 0x7F && (c >= 0x20 || c == '\r' || c == '\n'), "%q", head)
	}
	assert.Equal(t, powershell.Object, f.Mode)
}

func TestModes(t *testing.T) {
	args := json.RawMessage(`{}`)
	for _, c := range []struct {
		f    powershell.Frame
		want powershell.Mode
	}{
		{powershell.Frame{Script: "1"}, powershell.Inline},
		{powershell.Frame{Script: "1", Input: true}, powershell.Inline},
		{powershell.Frame{Script: strings.Repeat("#", 200_000)}, powershell.Object},
		{powershell.Frame{Script: "1", Args: args}, powershell.Object},
		{powershell.Frame{Script: "1", Args: args, Input: true}, powershell.Raw},
		{powershell.Frame{Script: "$Input|sort", Args: args, Input: true}, powershell.Lines},
		{powershell.Frame{Script: "${input}", Args: args, Input: true}, powershell.Lines},
		{powershell.Frame{Script: "$inputs", Args: args, Input: true}, powershell.Raw},
	} {
		command, head, err := c.f.Build()
		require.NoError(t, err)
		assert.Equal(t, c.want, c.f.Mode, "%.40q", c.f.Script)
		assert.Equal(t, c.want == powershell.Inline, head == nil)
		text := decode(t, command)
		// PowerShell reads stdin itself for commands that mention $input.
		assert.Equal(t, c.want == powershell.Object || c.want == powershell.Lines, strings.Contains(text, "$input"), "%s", text)
	}
	f := powershell.Frame{Script: "$input | measure", Input: true, Depth: 3, Progress: true, ErrorAction: "Stop"}
	command, _, err := f.Build()
	require.NoError(t, err)
	got, _, err := powershell.Parse(decode(t, command), strings.NewReader(""))
	require.NoError(t, err)
	assert.Equal(t, &f, got)
}

// What is not a frame to the letter is not taken for one.
func TestParseRefuses(t *testing.T) {
	f := &powershell.Frame{Script: "1"}
	command, _, err := f.Build()
	require.NoError(t, err)
	text := decode(t, command)
	for _, bad := range []string{"", "1", text + " ", text[:len(text)-1], strings.Replace(text, "throw", "thrown", 1), strings.Replace(text, "'1'", "'1'+'2'", 1), "#winrmkit 1 raw", "#winrmkit 1 odd X\n"} {
		_, _, err := powershell.Parse(bad, strings.NewReader(""))
		assert.ErrorIs(t, err, powershell.ErrNoFrame, "%q", bad)
	}
	raw := &powershell.Frame{Script: "1", Args: json.RawMessage("{}"), Input: true}
	command, head, err := raw.Build()
	require.NoError(t, err)
	for _, stdin := range []string{"", "0000", "99999999x", "-0000001", string(head[:len(head)-1])} {
		_, _, err := powershell.Parse(decode(t, command), strings.NewReader(stdin))
		assert.Error(t, err)
		assert.False(t, errors.Is(err, powershell.ErrNoFrame))
	}
}

func TestLineFilter(t *testing.T) {
	f := &powershell.Frame{Marker: "ABCDEF123456"}
	const in = "before#< winrmkit ABCDEF123456 {\"a\":1}\r\nmiddle #< winrmkit OTHER x\n#< winrmkit ABCDEF123456 2\nend#< win"
	for cut := range len(in) {
		var rest, lines bytes.Buffer
		l := f.NewLineFilter(100, func(p []byte) error { rest.Write(p); return nil }, func(p []byte) { fmt.Fprintf(&lines, "[%s]", p) })
		for _, p := range []string{in[:cut], in[cut:]} {
			_, err := l.Write([]byte(p))
			require.NoError(t, err)
		}
		require.NoError(t, l.Close())
		require.Equal(t, "beforemiddle #< winrmkit OTHER x\nend#< win", rest.String(), cut)
		require.Equal(t, `[{"a":1}][2]`, lines.String(), cut)
	}
	var lines []string
	l := f.NewLineFilter(10, func([]byte) error { return nil }, func(p []byte) { lines = append(lines, string(p)) })
	for range 5 {
		_, _ = l.Write([]byte("#< winrmkit ABCDEF123456 "[:25]))
		_, _ = l.Write(bytes.Repeat([]byte("x"), 50))
	}
	_ = l.Close()
	for _, s := range lines {
		assert.LessOrEqual(t, len(s), 10)
	}
}

// TestRealPowerShell runs frames in PowerShell, where there is one.
func TestRealPowerShell(t *testing.T) {
	pwsh, err := exec.LookPath("pwsh")
	if err != nil {
		t.Skip("no pwsh on PATH: the frames were not run by a PowerShell")
	}
	t.Log("frames run by", pwsh)
	run := func(f *powershell.Frame, stdin string) (string, string, int) {
		command, head, err := f.Build()
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), pwsh, "-NoProfile", "-NonInteractive", "-EncodedCommand", command)
		var out, stderr bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = io.MultiReader(bytes.NewReader(head), strings.NewReader(stdin)), &out, &stderr
		err = cmd.Run()
		if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
			require.NoError(t, err)
		}
		return out.String(), stderr.String(), cmd.ProcessState.ExitCode()
	}
	args, err := json.Marshal(map[string]any{"Values": hostile})
	require.NoError(t, err)
	f := &powershell.Frame{Script: "param($Values) $Values", Args: args, Depth: 3}
	out, stderr, code := run(f, "")
	require.Zero(t, code, stderr)
	_, line, ok := strings.Cut(out, powershell.MarkerPrefix+f.Marker+" ")
	require.True(t, ok, out)
	var got []string
	require.NoError(t, json.Unmarshal([]byte(strings.TrimSpace(line)), &got))
	assert.Equal(t, hostile, got)

	for _, c := range []struct {
		script, stdin string
		args          json.RawMessage
		out           string
		code          int
	}{
		{"'ü'", "", nil, "ü\n", 0},
		{"exit 7", "", nil, "", 7},
		{"throw 'bad'", "", nil, "", 1},
		{"if (", "", nil, "", 1},
		{"param($A) \"<$A>\"", "", json.RawMessage(`["x"]`), "<x>\n", 0},
		{"@($input).Count", "a\nb\n", nil, "2\n", 0},
		{"param($A) $A; @($input).Count", "a\nb\nc\n", json.RawMessage(`{"A":1}`), "1\n3\n", 0},
		{strings.Repeat("#\n", 50_000) + "'end'", "", nil, "end\n", 0},
	} {
		f := &powershell.Frame{Script: c.script, Args: c.args, Input: c.stdin != ""}
		out, stderr, code := run(f, c.stdin)
		assert.Equal(t, c.out, strings.ReplaceAll(out, "\r", ""), "%.50s: %s", c.script, stderr)
		assert.Equal(t, c.code, code, "%.50s: %s", c.script, stderr)
	}
}

func FuzzParse(f *testing.F) {
	for _, fr := range []powershell.Frame{{Script: "'x'"}, {Script: "$input", Input: true, Depth: 2}, {Script: "1", Args: json.RawMessage("{}"), Input: true}} {
		command, head, err := fr.Build()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(decode(f, command), head)
	}
	f.Fuzz(func(t *testing.T, command string, stdin []byte) {
		fr, _, err := powershell.Parse(command, bytes.NewReader(stdin))
		if err != nil || fr.Mode != powershell.Inline {
			return
		}
		if !strings.Contains(command, powershell.Quote(fr.Script)) {
			t.Fatalf("%q is not what %q runs", fr.Script, command)
		}
	})
}
