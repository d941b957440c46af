// Package cmdexe is a small model of cmd.exe: how it takes a line apart, and
// enough of its inner commands for a host that is imitated.
//
// The phases are those that cmd.exe goes through for a line of the command
// prompt, which is also how "cmd /c" treats its line: percent signs are
// expanded first, then operators, quotes and carets are looked for, then each
// command sees its arguments as one string.
package cmdexe

import "strings"

// MaxLine is the longest line that cmd.exe takes.
const MaxLine = 8191

// Error is a complaint in the words of cmd.exe, which prints it.
type Error string

func (e Error) Error() string { return string(e) }

// Errors of Parse.
const (
	ErrTooLong = Error("The command line is too long.")
	ErrSyntax  = Error("The syntax of the command is incorrect.")
	ErrDepth   = Error("The command line is nested too deep to be imitated.")
)

// A Node is a part of a parsed line.
type Node struct {
	// Op joins Left and Right: "&", "&&", "||" or "|". With Op "(" Left is what
	// the parentheses hold. "" is a simple command.
	Op          string
	Left, Right *Node
	Command     string // of a simple command: the text with carets resolved
	Redirects   []Redirect
}

// A Redirect is one redirection: 2>&1 is {Handle: 2, Op: ">&", Target: "1"}.
type Redirect struct {
	Handle int
	Op     string // "<", ">", ">>", ">&"
	Target string
}

// StripOuter does what "cmd /c" does to the quotes around its line: it keeps
// them only when they are the only two, enclose no special character, enclose
// white space and name a program, which isProgram tells. Otherwise the first
// character, when it is a quote, and the last quote of the line go.
func StripOuter(line string, isProgram func(string) bool) string {
	line = strings.TrimLeft(line, " \t")
	if !strings.HasPrefix(line, `"`) {
		return line
	}
	last := strings.LastIndexByte(line, '"')
	if last > 0 && strings.Count(line, `"`) == 2 {
		inner := line[1:last]
		if !strings.ContainsAny(inner, "&<>()@^|") && strings.ContainsAny(inner, " \t") && isProgram(inner) {
			return line
		}
	}
	if last == 0 {
		return line[1:]
	}
	return line[1:last] + line[last+1:]
}

// Expand replaces %NAME% and its forms %NAME:old=new% and %NAME:~from,len%. As
// at the prompt, a name that is not set stays as it is written.
func Expand(line string, lookup func(string) (string, bool)) string {
	var b strings.Builder
	for {
		at := strings.IndexByte(line, '%')
		if at < 0 {
			b.WriteString(line)
			return b.String()
		}
		end := strings.IndexByte(line[at+1:], '%')
		if end < 0 {
			b.WriteString(line)
			return b.String()
		}
		name, edit, edited := strings.Cut(line[at+1:at+1+end], ":")
		value, ok := lookup(name)
		if !ok || name == "" {
			// The second percent sign may begin a name of its own.
			b.WriteString(line[:at+1+end])
			line = line[at+1+end:]
			continue
		}
		if edited {
			value = editValue(value, edit)
		}
		b.WriteString(line[:at])
		b.WriteString(value)
		line = line[at+1+end+1:]
	}
}

// editValue does ~from,len and old=new.
func editValue(value, edit string) string {
	if spec, ok := strings.CutPrefix(edit, "~"); ok {
		first, second, both := strings.Cut(spec, ",")
		from, ok := number(first)
		if !ok {
			return value
		}
		if from < 0 {
			from = max(len(value)+from, 0)
		}
		value = value[min(from, len(value)):]
		if n, ok := number(second); both && ok {
			if n < 0 {
				n = max(len(value)+n, 0)
			}
			value = value[:min(n, len(value))]
		}
		return value
	}
	before, after, ok := strings.Cut(edit, "=")
	if !ok || before == "" {
		return value
	}
	return replaceFold(value, before, after)
}

func number(s string) (n int, ok bool) {
	s, negative := strings.CutPrefix(strings.TrimSpace(s), "-")
	if s == "" || len(s) > 6 {
		return 0, false
	}
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

func replaceFold(s, before, after string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if len(s)-i >= len(before) && strings.EqualFold(s[i:i+len(before)], before) {
			b.WriteString(after)
			i += len(before)
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}
