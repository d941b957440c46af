package winrm_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
	"github.com/winrmkit/winrmkit/wsman"
)

// texts that have broken clients: markup, quotes, variables, operators, line
// ends, characters outside of the first plane, lone control characters, bytes
// that are no UTF-8.
func texts() []string {
	out := []string{
		"", " ", "plain", `"`, `""`, `a"b`, `\`, `a\`, `a b\`, `\"`, `\\" x`, "]]>", "<![CDATA[x]]>", "</rsp:Command>", "&", "&amp;", "&#10;", "<x/>",
		"%PATH%", "%", "%%", "100% sure", "%PATH:a=b%", "!PATH!", "^", "^^", "a^b", "^&", "& evil", "&&evil", "| evil", "||evil", `" & evil & "`,
		`" | evil`, "x\nevil", "x\r\nevil", "\r", "\n", "\t", "a\tb", "> out", ">>x", "< in", "2>&1", "(evil)", ")", "( evil & evil )", "a,b;c=d", "'", "`", "$x",
		"@evil", "/?", "-x", "é 한 日本 ", "😀", "e\u0301", "\u200e", "\u2028", "\u0085", "\u00a0", "\ufeff", "\ufffe", "\uffff", "\U0010ffff",
		"\xff", "a\xc3", "\xed\xa0\x80", "%^PATH%", `%CMDCMDLINE:~0,1%`, "*", "?", "~", strings.Repeat("x", 4000), strings.Repeat("%", 9000), strings.Repeat("x", 40000),
	}
	for c := range rune(' ') {
		out = append(out, string(c), "a"+string(c)+"b")
	}
	return append(out, "\x7f")
}

// carriable reports whether a program can be given these arguments through
// cmd.exe at all: no line ends, nothing that XML has no place for, not too long.
func carriable(args []string) bool {
	all := strings.Join(args, " ")
	return utf8.ValidString(all) && len(all) < 5000 && !strings.ContainsFunc(all, func(r rune) bool {
		return r < ' ' && r != '\t' || r == 0xFFFE || r == 0xFFFF
	})
}

// Every text is carried to the program as it is, or refused with an error that
// says so before anything is sent. Nothing of it is ever run.
func TestArgumentsAreCarriedOrRefused(t *testing.T) {
	var evil, ran atomic.Int64
	args := winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		ran.Add(1)
		_ = json.NewEncoder(p.Stdout).Encode(p.Args)
		return 0
	})
	host := &winrmtest.Host{Programs: map[string]winrmtest.Handler{
		"prog": args,
		"evil": winrmtest.HandlerFunc(func(*winrmtest.Proc) uint32 { evil.Add(1); return 0 }),
	}}
	srv := winrmtest.NewUnstartedServer(host)
	srv.Settings = map[string]string{"Service/MaxConcurrentOperationsPerUser": "100000"}
	client := server(t, srv)
	carried := map[string]int{}
	check := func(kind string, cmd *winrm.Cmd, texts ...string) {
		t.Helper()
		before := ran.Load()
		out, err := cmd.Output()
		if err != nil {
			_, char := errors.AsType[*wsman.CharError](err)
			_, long := errors.AsType[*winrm.LengthError](err)
			require.True(t, char || long || errors.Is(err, winrm.ErrCannotQuote), "%s %.60q: %v", kind, texts, err)
			require.Equal(t, before, ran.Load(), "%s %.60q: refused, but run", kind, texts)
			require.False(t, kind == "program" && carriable(texts), "%.60q: %v", texts, err)
			return
		}
		carried[kind]++
		if kind == "echo" {
			require.Equal(t, strings.Join(texts, " ")+"\r\n", string(out), "%.60q", texts)
			return
		}
		require.Equal(t, before+1, ran.Load(), "%s %.60q", kind, texts)
		var got []string
		require.NoError(t, json.Unmarshal(out, &got), "%s %.60q: %.100q", kind, texts, out)
		require.Equal(t, texts, got, "%s: %s", kind, cmd)
	}
	for _, s := range texts() {
		check("program", client.Command("prog.exe", s), s)
		check("program", client.Command("prog.exe", s, "last"), s, "last")
		check("program", client.Command("prog.exe", "first", s), "first", s)
		direct := client.Command(`C:\Windows\prog.exe`, s, "last")
		direct.NoShell = true
		check("NoShell", direct, s, "last")
		check("echo", client.Command("echo", "a", s), "a", s)
		require.Zero(t, evil.Load(), "%q was run", s)
	}
	t.Log("carried: ", carried)
	require.NoError(t, client.Close())
	assert.Zero(t, srv.Stats().Shells)
}

// The same for what surrounds a command: its environment, its directory, its
// shell's name.
func TestSurroundingsAreCarriedOrRefused(t *testing.T) {
	_, client := handle(t, func(p *winrmtest.Proc) uint32 {
		var x string
		for _, kv := range p.Env {
			if v, ok := strings.CutPrefix(kv, "X="); ok {
				x = v
			}
		}
		_ = json.NewEncoder(p.Stdout).Encode([]string{p.Dir, x})
		return 0
	}, func(cfg *winrm.Config) { cfg.MaxShells = 1 })
	for _, s := range texts() {
		cmd := client.Command("x")
		cmd.Dir, cmd.Env = `C:\`+s+`\x`, []string{"X=" + s}
		out, err := cmd.Output()
		if err != nil {
			_, char := errors.AsType[*wsman.CharError](err)
			require.True(t, char, "%.60q: %v", s, err)
			continue
		}
		var got []string
		require.NoError(t, json.Unmarshal(out, &got))
		assert.Equal(t, []string{`C:\` + s + `\x`, s}, got)
	}
}
