package winrmtest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/winrmkit/winrmkit/internal/fileagent"
	"github.com/winrmkit/winrmkit/internal/hostscript"
	psframe "github.com/winrmkit/winrmkit/internal/powershell"
	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/cmdexe"
)

// powershell imitates the scripts of package winrm, those of Host.Script and a
// handful of others, and says so about the rest.
func powershell(ctx context.Context, r *hostRun, c *cmdexe.Call) uint32 {
	text, ok := scriptOf(splitArgs(c.Tail), c.Stdin)
	if !ok {
		fmt.Fprint(c.Stderr, "winrmtest imitates no PowerShell: it takes -Command or -EncodedCommand with one of a few known scripts.\r\n")
		return 1
	}
	frame, stdin, err := psframe.Parse(text, c.Stdin)
	switch {
	case errors.Is(err, psframe.ErrNoFrame):
		frame, stdin = &psframe.Frame{Script: text}, c.Stdin
	case err != nil:
		frame.Depth = 0 // there is no result
		s := r.script(ctx, frame, stdin, c)
		code := s.Throw(err.Error(), headError(err), "InvalidOperation")
		s.end()
		return code
	}
	if frame.Script == fileagent.Script {
		return r.fileAgent(ctx, stdin, c.Stdout)
	}
	s := r.script(ctx, frame, stdin, c)
	code := r.runScript(s)
	s.end()
	return code
}

// headError is the FullyQualifiedErrorId of what ends a frame before its script.
func headError(err error) string {
	if _, ok := errors.AsType[*psframe.DuplicateError](err); ok {
		return "DuplicateKeysInJsonString,Microsoft.PowerShell.Commands.ConvertFromJsonCommand"
	}
	return err.Error() // of throw
}

// runScript runs what is imitated.
func (r *hostRun) runScript(s *Script) uint32 {
	if s.Text == hostscript.Bootstrap {
		data, err := io.ReadAll(s.Stdin)
		if err != nil {
			return 1
		}
		s.Text = string(data)
		if srv := r.proc.server; srv != nil {
			if code, ok := srv.runScript(s.Text, r.proc.User, s.Stdout, s.Stderr); ok {
				return code
			}
		}
	}
	if r.host.Script != nil {
		if code, ok := r.host.Script(s); ok {
			return code
		}
	}
	return r.simpleScript(s)
}

// simpleScript runs one-liners that every demo tries.
func (r *hostRun) simpleScript(s *Script) uint32 {
	script := strings.TrimSpace(s.Text)
	if inner, ok := block(script); ok {
		script = inner
	}
	lower := strings.ToLower(strings.TrimSuffix(script, ";"))
	switch {
	case lower == "hostname" || lower == "$env:computername" || lower == "[environment]::machinename":
		s.Emit(r.host.Name)
		return 0
	case lower == "whoami":
		s.Emit(strings.ToLower(r.proc.User))
		return 0
	case lower == "$psversiontable.psversion.tostring()":
		s.Emit("5.1.20348.2110")
		return 0
	}
	if rest, ok := strings.CutPrefix(lower, "exit "); ok {
		if n, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64); err == nil {
			return uint32(n)
		}
	}
	if text, ok := literalAfter(script, "throw "); ok {
		return s.Throw(text, text, "OperationStopped")
	}
	if text, ok := literalAfter(script, "write-warning "); ok {
		s.Record("warning", text)
		return 0
	}
	for _, prefix := range []string{"write-output ", "write-host ", "echo ", ""} {
		if text, ok := literalAfter(script, prefix); ok {
			s.Emit(text)
			return 0
		}
	}
	first, _, _ := strings.Cut(script, "\n")
	fmt.Fprintf(s.Stderr, "winrmtest does not imitate this PowerShell: %.200s\r\n", strings.TrimSpace(first))
	return 1
}

// literalAfter is a command with a literal string as its only argument.
func literalAfter(script, prefix string) (string, bool) {
	if len(script) < len(prefix) || !strings.EqualFold(script[:len(prefix)], prefix) {
		return "", false
	}
	return literal(script[len(prefix):])
}

// literal is a single-quoted string of PowerShell and nothing else.
func literal(s string) (string, bool) {
	s = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(s), ";"))
	if len(s) < 2 || s[0] != '\'' || s[len(s)-1] != '\'' {
		return "", false
	}
	inner := s[1 : len(s)-1]
	if strings.Contains(strings.ReplaceAll(inner, "''", ""), "'") {
		return "", false
	}
	return strings.ReplaceAll(inner, "''", "'"), true
}

// powershellValues are the parameters of powershell.exe and pwsh that take a
// value, with the least of their letters that is taken for them and their short
// forms.
var powershellValues = []struct{ name, least, short string }{
	{"configurationname", "config", ""},
	{"executionpolicy", "ex", "ep"},
	{"inputformat", "in", "if"},
	{"outputformat", "o", "of"},
	{"psconsolefile", "p", ""},
	{"settingsfile", "settings", ""},
	{"version", "v", ""},
	{"windowstyle", "w", ""},
	{"workingdirectory", "wo", "wd"},
}

// takesValue reports whether the argument after the parameter belongs to it.
func takesValue(parameter string) bool {
	for _, p := range powershellValues {
		if parameter == p.short && p.short != "" || strings.HasPrefix(p.name, parameter) && strings.HasPrefix(parameter, p.least) {
			return true
		}
	}
	return false
}

// scriptOf finds the script in the arguments of powershell.exe.
func scriptOf(args []string, stdin io.Reader) (string, bool) {
	for i := 0; i < len(args); i++ {
		name := strings.ToLower(strings.TrimLeft(args[i], "-/"))
		rest := args[i+1:]
		switch {
		case !strings.HasPrefix(args[i], "-") && !strings.HasPrefix(args[i], "/"):
			return strings.Join(args[i:], " "), true
		case name != "" && strings.HasPrefix("command", name):
			if len(rest) == 1 && rest[0] == "-" {
				data, err := io.ReadAll(stdin)
				return string(data), err == nil
			}
			return strings.Join(rest, " "), len(rest) > 0
		case name == "e" || name == "ec" || strings.HasPrefix(name, "en") && strings.HasPrefix("encodedcommand", name):
			if len(rest) == 0 {
				return "", false
			}
			return decodeUTF16(rest[0])
		case takesValue(name):
			i++
		}
	}
	return "", false
}

// block is the script in a block that is called and nothing else: & { ... }.
func block(script string) (inner string, ok bool) {
	rest, ok := strings.CutPrefix(script, "&")
	if !ok {
		return "", false
	}
	rest = strings.TrimSpace(rest)
	if len(rest) < 2 || rest[0] != '{' || rest[len(rest)-1] != '}' || strings.ContainsAny(rest[1:len(rest)-1], "{}") {
		return "", false
	}
	return strings.TrimSpace(rest[1 : len(rest)-1]), true
}

func decodeUTF16(text string) (string, bool) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw)%2 != 0 {
		return "", false
	}
	units := make([]uint16, len(raw)/2)
	if err := binary.Read(bytes.NewReader(raw), binary.LittleEndian, units); err != nil {
		return "", false
	}
	return string(utf16.Decode(units)), true
}
