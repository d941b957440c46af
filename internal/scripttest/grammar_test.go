package scripttest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/powershell"
)

// python returns an interpreter that has the grammars, or skips the test: by
// name, or not at all where all peers have to be there.
func python(t testing.TB) string {
	t.Helper()
	venv := os.Getenv("WINRMKIT_PEERS_VENV")
	path := filepath.Join(venv, "bin", "python")
	missing := "grammars of PowerShell: WINRMKIT_PEERS_VENV is not set"
	if venv != "" {
		out, err := exec.CommandContext(t.Context(), path, "-c", "import tree_sitter, tree_sitter_powershell, tree_sitter_pwsh").CombinedOutput()
		if err == nil {
			return path
		}
		missing = fmt.Sprintf("grammars of PowerShell: %s: %v %s", path, err, out)
	}
	if os.Getenv("WINRMKIT_INTEROP") == "1" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// parse hands texts to the grammars.
func parse(t testing.TB, scripts map[string]script) []tree {
	t.Helper()
	texts := map[string]string{}
	for name, s := range scripts {
		texts[name] = s.text
	}
	in, err := json.Marshal(texts)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), python(t), "grammar.py")
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var trees []tree
	require.NoError(t, json.Unmarshal(out, &trees))
	require.Len(t, trees, 2*len(scripts), "two grammars")
	return trees
}

func TestScripts(t *testing.T) {
	python(t)
	scripts := all(t)
	for _, name := range []string{
		"sent: # winrmkit delegation 1", "sent: # winrmkit leases 1", "sent: #winrmkit 1 inline ", "sent: #winrmkit 1 raw ",
		"sent: #winrmkit 1 object ", "sent: param($Name)", "sent: # winrmkit file agent 2: requests on stdin, replies on stdout, see package fileagent.",
	} {
		require.Contains(t, scripts, name, "what reaches a host")
	}
	for _, tr := range parse(t, scripts) {
		for _, c := range scripts[tr.Name].complaints(tr) {
			assert.Fail(t, c)
		}
	}
	t.Logf("%d scripts", len(scripts))
}

// plain is what the grammars are given.
var plain = strings.NewReplacer("\u2018", "'", "\u2019", "'", "\u201a", "'", "\u201b", "'", "\u201c", `"`, "\u201d", `"`, "\u201e", `"`, "\x00", "\u2400")

// The user's script is one literal in the frame, and nothing that it says ends it.
func TestScriptIsOneLiteral(t *testing.T) {
	scripts := map[string]script{}
	for _, user := range hostile {
		f := &powershell.Frame{Script: user}
		command, _, err := f.Build()
		require.NoError(t, err)
		require.Equal(t, powershell.Inline, f.Mode)
		scripts[user] = script{text: decode(t, command), frame: f}
	}
	for _, tr := range parse(t, scripts) {
		literals := 0
		for _, f := range tr.Facts {
			text, ok := strings.CutPrefix(f.Text, "$wks='")
			if f.Kind != "literal" || !ok {
				continue
			}
			literals++
			text = strings.ReplaceAll(strings.TrimSuffix(text, "'"), "''", "'")
			assert.Equal(t, plain.Replace(tr.Name), text, tr.Grammar)
		}
		assert.Equal(t, 1, literals, "%s: %q", tr.Grammar, tr.Name)
	}
}

// What the rules are there for, one text each.
func TestRulesCanFail(t *testing.T) {
	frame := &powershell.Frame{Mode: powershell.Object}
	cases := []struct {
		script
		want string // in a complaint of each grammar
	}{
		{script{"if($x){", 3, nil}, "does not take"},
		{script{"$x='a\u2019;exit 1;\u2018b", 3, nil}, "does not take"},
		{script{"$x=$a?.b", 3, nil}, "does not take"},
		{script{"class A{}", 3, nil}, "this syntax"},
		{script{"enum A{B}", 3, nil}, "this syntax"},
		{script{"Start-Sleep 1 && Start-Sleep 2", 3, nil}, "this syntax"},
		{script{"$x.ForEach({1})", 3, nil}, "line 1"},
		{script{"$x|Where-Object Name -eq 'x'", 3, nil}, "this syntax"},
		{script{"$x=[IO.FileInfo]::new('x')", 3, nil}, "::new: no method"},
		{script{"$x=[ordered]@{}", 3, nil}, "ordered: no type"},
		{script{"Get-FileHash 'x'", 3, nil}, "no command"},
		{script{"$x|ConvertFrom-Json -AsHashtable", 3, nil}, "no parameter"},
		{script{"$x|ConvertFrom-Json", 2, nil}, "needs PowerShell 3"},
		{script{"if(1 -in $x){$y=1}", 2, nil}, "needs PowerShell 3"},
		{script{"$x=[NullString]::Value", 2, nil}, "needs PowerShell 3"},
		{script{"$x=New-Object Net.WebClient", 3, nil}, "no object"},
		{script{"function sleep{}", 3, nil}, "an alias"},
		{script{"if($x -eq $null){$y=1}", 3, nil}, "each element"},
		{script{"if($a -or $b -and $c){$y=1}", 3, nil}, "parentheses"},
		{script{`$x="$name: text"`, 3, nil}, "scope or drive"},
		{script{`$x="$name:text"`, 3, nil}, "scope or drive"},
		{script{"$l.Add(1)", 3, nil}, "into the output"},
		{script{"$x=$y|ConvertFrom-Json", 3, frame}, "the frame goes on"},
		{script{"& $x", 3, frame}, "the frame goes on"},
		{script{"try{$x=$y.ToString()}catch{throw}", 3, frame}, "forbids"},
		{script{"try{$x=New-Object byte[] 3}catch{throw}", 3, frame}, "forbids"},
		{script{"try{$p.Value=1}catch{throw}", 3, frame}, "core types"},
	}
	scripts := map[string]script{"good": {`[void]$l.Add(1);if($null -eq $x){"$env:a $($b): c"}`, 2, nil}}
	for i, c := range cases {
		scripts[fmt.Sprint(i)] = c.script
	}
	for _, tr := range parse(t, scripts) {
		said := strings.Join(scripts[tr.Name].complaints(tr), "\n")
		if tr.Name == "good" {
			assert.Empty(t, said)
			continue
		}
		var i int
		_, err := fmt.Sscan(tr.Name, &i)
		require.NoError(t, err)
		assert.Contains(t, said, cases[i].want, "%s: %s", tr.Grammar, cases[i].text)
	}
}
