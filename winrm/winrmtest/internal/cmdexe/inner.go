package cmdexe

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
)

// inner are the commands that cmd.exe has itself and that are imitated.
var inner = map[string]bool{
	"echo": true, "set": true, "cd": true, "chdir": true, "exit": true, "ver": true, "rem": true, "type": true,
	"call": true, "if": true, "title": true, "cls": true, "pause": true, "chcp": true,
}

// inner runs an inner command.
func (sh *Shell) inner(ctx context.Context, c *Call) (code uint32, ok bool) {
	name := strings.ToLower(c.Name)
	switch name {
	case "echo":
		return sh.echo(c), true
	case "set":
		return sh.set(c), true
	case "cd", "chdir":
		return sh.changeDir(c), true
	case "exit":
		return sh.exitWith(c), true
	case "ver":
		fmt.Fprint(c.Stdout, "\r\nMicrosoft Windows [Version 10.0.20348.2113]\r\n")
		return 0, true
	case "rem", "title", "cls":
		return 0, true
	case "chcp":
		return 0, true
	case "type":
		return sh.typeFile(c), true
	case "call":
		return sh.simple(ctx, Expand(strings.TrimSpace(c.Tail), sh.Lookup), c.Stdin, c.Stdout, c.Stderr), true
	case "pause":
		fmt.Fprint(c.Stdout, "Press any key to continue . . . ")
		_, _ = c.Stdin.Read(make([]byte, 1))
		fmt.Fprint(c.Stdout, "\r\n")
		return 0, true
	case "if":
		fmt.Fprint(c.Stderr, "winrmtest does not imitate IF.\r\n")
		return 1, true
	}
	if len(name) == 2 && name[1] == ':' && name[0] >= 'a' && name[0] <= 'z' {
		if name == "c:" {
			return 0, true
		}
		fmt.Fprint(c.Stderr, "The system cannot find the drive specified.\r\n")
		return 1, true
	}
	return 0, false
}

// echo prints what follows its name and one separator.
func (sh *Shell) echo(c *Call) uint32 {
	text := c.Tail
	if strings.EqualFold(strings.TrimSpace(text), "") && !strings.ContainsAny(text, ".:([]+\\/,;=") {
		fmt.Fprint(c.Stdout, "ECHO is on.\r\n")
		return 0
	}
	if word := strings.TrimSpace(text); strings.EqualFold(word, "on") || strings.EqualFold(word, "off") {
		return 0
	}
	fmt.Fprintf(c.Stdout, "%s\r\n", text[1:])
	return 0
}

func (sh *Shell) set(c *Call) uint32 {
	arg := strings.TrimLeft(c.Tail, " \t")
	if strings.HasPrefix(arg, "/") {
		fmt.Fprint(c.Stderr, "winrmtest does not imitate the switches of SET.\r\n")
		return 1
	}
	if strings.HasPrefix(arg, `"`) {
		arg = arg[1:]
		if at := strings.LastIndexByte(arg, '"'); at >= 0 {
			arg = arg[:at]
		}
	}
	name, value, assign := strings.Cut(arg, "=")
	switch {
	case assign && name == "":
		fmt.Fprintf(c.Stderr, "%s\r\n", ErrSyntax)
		return 1
	case assign && value == "":
		delete(sh.Env, strings.ToUpper(name))
		return 0
	case assign:
		sh.Env[strings.ToUpper(name)] = Variable{name, value}
		return 0
	}
	prefix, found := strings.ToUpper(strings.TrimSpace(arg)), false
	for _, kv := range sh.List() {
		if strings.HasPrefix(strings.ToUpper(kv), prefix) {
			found = true
			fmt.Fprintf(c.Stdout, "%s\r\n", kv)
		}
	}
	if !found && prefix != "" {
		fmt.Fprintf(c.Stderr, "Environment variable %s not defined\r\n", arg)
		return 1
	}
	return 0
}

// changeDir keeps track of the directory; there is no disk to look it up on.
func (sh *Shell) changeDir(c *Call) uint32 {
	arg := strings.TrimSpace(c.Tail)
	if rest, ok := cutFold(arg, "/d"); ok {
		arg = strings.TrimSpace(rest)
	}
	arg = strings.Trim(arg, `"`)
	switch {
	case arg == "":
		fmt.Fprintf(c.Stdout, "%s\r\n", sh.Dir)
	case len(arg) >= 2 && arg[1] == ':':
		sh.Dir = clean(arg)
	case strings.HasPrefix(arg, `\`):
		sh.Dir = clean(`C:` + arg)
	default:
		sh.Dir = clean(sh.Dir + `\` + arg)
	}
	return 0
}

// clean resolves . and .. of a path with a drive.
func clean(path string) string {
	drive, rest := path[:2], path[2:]
	var parts []string
	for _, p := range strings.FieldsFunc(rest, func(r rune) bool { return r == '\\' || r == '/' }) {
		switch {
		case p == ".":
		case p == ".." && len(parts) > 0:
			parts = parts[:len(parts)-1]
		case p != "..":
			parts = append(parts, p)
		}
	}
	return drive + `\` + strings.Join(parts, `\`)
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// exitWith ends the shell. The code is any 32-bit number, signed or not.
func (sh *Shell) exitWith(c *Call) uint32 {
	arg := strings.TrimSpace(c.Tail)
	if rest, ok := cutFold(arg, "/b"); ok {
		arg = strings.TrimSpace(rest)
	}
	sh.exit = true
	if arg == "" {
		return sh.level
	}
	var n int64
	if _, err := fmt.Sscanf(arg, "%d", &n); err != nil {
		return 0
	}
	return uint32(n)
}

func (sh *Shell) typeFile(c *Call) uint32 {
	switch arg := strings.Trim(strings.TrimSpace(c.Tail), `"`); {
	case arg == "":
		fmt.Fprintf(c.Stderr, "%s\r\n", ErrSyntax)
		return 1
	case strings.EqualFold(arg, "nul"):
		return 0
	case strings.EqualFold(arg, "con"):
		if _, err := io.Copy(c.Stdout, c.Stdin); err != nil {
			return 1
		}
		return 0
	}
	fmt.Fprint(c.Stderr, "The system cannot find the file specified.\r\n")
	return 1
}

// lockedWriter lets two commands write to one stream.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
