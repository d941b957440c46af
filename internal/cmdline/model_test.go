package cmdline_test

import "strings"

// commandLineToArgv cuts a line as the documentation of CommandLineToArgvW and
// "Parsing C++ command-line arguments" say, without the doubled quote inside
// quotes, about which the two disagree and which our lines never contain.
func commandLineToArgv(line string) []string {
	argv := []string{}
	i := 0
	// The program: up to the closing quote, or up to a blank. No backslash rule.
	if strings.HasPrefix(line, `"`) {
		end := strings.IndexByte(line[1:], '"')
		if end < 0 {
			return []string{line[1:]}
		}
		argv = append(argv, line[1:1+end])
		i = end + 2
	} else {
		for i < len(line) && line[i] != ' ' && line[i] != '\t' {
			i++
		}
		argv = append(argv, line[:i])
	}
	for {
		for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
			i++
		}
		if i == len(line) {
			return argv
		}
		var arg []byte
		quoted := false
		for i < len(line) && (quoted || line[i] != ' ' && line[i] != '\t') {
			slashes := 0
			for i < len(line) && line[i] == '\\' {
				slashes++
				i++
			}
			if i == len(line) || line[i] != '"' {
				arg = append(arg, strings.Repeat(`\`, slashes)...)
				if i < len(line) && (quoted || line[i] != ' ' && line[i] != '\t') {
					arg = append(arg, line[i])
					i++
				}
				continue
			}
			arg = append(arg, strings.Repeat(`\`, slashes/2)...)
			if slashes%2 == 1 {
				arg = append(arg, '"')
			} else {
				quoted = !quoted
			}
			i++
		}
		argv = append(argv, string(arg))
	}
}

// cmdLine is what a model of cmd.exe makes of one line.
type cmdLine struct {
	commands []string // the commands that it would run, each as text
	redirect bool     // something would be read from or written to a file
	expanded bool     // a variable was put in
}

// cmdC runs the line as "cmd /c line" would: the outer quotes go by the rule in
// the help text, variables are expanded as on the command line (those that do
// not exist stay), then special characters are read.
func cmdC(line string, env map[string]string) cmdLine {
	line = stripOuter(line)
	line, expanded := expandPercent(line, env)
	out := special(line)
	out.expanded = expanded
	return out
}

// stripOuter is the rule of "cmd /?" about quotes after /c.
func stripOuter(line string) string {
	line = strings.TrimLeft(line, " \t")
	if !strings.HasPrefix(line, `"`) {
		return line
	}
	if strings.Count(line, `"`) == 2 {
		end := strings.LastIndexByte(line, '"')
		inner := line[1:end]
		if !strings.ContainsAny(inner, "&<>()@^|") && strings.ContainsAny(inner, " \t") && strings.HasSuffix(inner, ".exe") {
			return line
		}
	}
	end := strings.LastIndexByte(line, '"')
	if end == 0 {
		return line[1:]
	}
	return line[1:end] + line[end+1:]
}

// expandPercent is the first phase: quotes and carets mean nothing to it.
func expandPercent(line string, env map[string]string) (string, bool) {
	var b strings.Builder
	expanded := false
	for i := 0; i < len(line); i++ {
		if line[i] != '%' {
			b.WriteByte(line[i])
			continue
		}
		end := strings.IndexByte(line[i+1:], '%')
		if end < 0 {
			b.WriteString(line[i:])
			break
		}
		name, _, _ := strings.Cut(line[i+1:i+1+end], ":") // %name:from=to% and %name:~1,2%
		value, ok := env[strings.ToUpper(name)]
		if !ok {
			b.WriteByte('%')
			continue
		}
		expanded = true
		b.WriteString(value)
		i += end + 1
	}
	return b.String(), expanded
}

// special is the second phase: carets, quotes, redirections, command
// separators and parentheses.
func special(line string) cmdLine {
	var out cmdLine
	var cur []byte
	quoted := false
	flush := func() {
		if s := strings.TrimSpace(string(cur)); s != "" {
			out.commands = append(out.commands, strings.TrimLeft(strings.TrimLeft(s, "@"), " \t"))
		}
		cur = nil
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\n' || c == '\r':
			i = len(line)
		case c == '"':
			quoted = !quoted
			cur = append(cur, c)
		case quoted:
			cur = append(cur, c)
		case c == '^':
			if i++; i < len(line) {
				cur = append(cur, line[i])
			}
		case c == '&' || c == '|' || c == '(' || c == ')':
			// Parentheses group only where a command begins, but a test that
			// takes them as separators everywhere is the stricter one.
			flush()
		case c == '<' || c == '>':
			out.redirect = true
		default:
			cur = append(cur, c)
		}
	}
	flush()
	return out
}
