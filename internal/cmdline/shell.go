package cmdline

import (
	"slices"
	"strings"
)

// kind is what cmd.exe will start for a command name.
type kind int

const (
	program kind = iota // reads its line by the rules of CommandLineToArgvW
	batch               // a batch file, or a name that could be one
	builtin             // a command of cmd.exe
	echo                // prints the text of the line
	reparse             // a command of cmd.exe that reads its arguments as a line again
)

// Shell returns the line that gives path and args to cmd.exe /c.
//
// The line never begins with a quote. What "cmd /c" does with a first quote (it
// removes it, together with the last one of the line, unless several conditions
// hold) would otherwise depend on whether the server puts quotes of its own
// around the line. An @ goes before a quoted path: it means "do not echo this
// line", which cmd /c does not do in any case.
func Shell(path string, args []string) (string, error) {
	if err := checkPath(path); err != nil {
		return "", err
	}
	var b []byte
	if isPlain(path, plainPath) {
		b = append(b, path...)
	} else {
		b = append(b, '@', '"')
		b = append(b, path...)
		b = append(b, '"')
	}
	k := kindOf(path)
	for i, arg := range args {
		err := check(i+1, arg, true)
		if err == nil {
			err = k.check(i+1, arg)
		}
		if err != nil {
			return "", err
		}
		if k != echo {
			b = append(b, ' ')
			b = k.appendArg(b, arg)
		}
	}
	if k == echo && len(args) > 0 {
		b = append(b, ' ')
		b = appendCaret(b, strings.Join(args, " "))
	}
	line := string(b)
	return line, CheckLength(line, MaxShell)
}

// checkPath refuses paths that cmd.exe would change.
func checkPath(path string) error {
	if path == "" {
		return &QuoteError{Offset: -1, Reason: "it is empty"}
	}
	if i := strings.IndexAny(path, `"%`); i >= 0 {
		return &QuoteError{Offset: i, Char: rune(path[i]), Reason: "cmd.exe cannot be given a program with this character in its path"}
	}
	return check(0, path, true)
}

// check refuses characters that a command of this kind would not get as they
// are.
func (k kind) check(n int, arg string) error {
	set, reason := "", ""
	switch k {
	case batch:
		set, reason = `"%`, "a batch file (a name without .exe or .com may be one) would read it as part of its own text"
	case builtin:
		set, reason = `"%`, "a command built into cmd.exe has no way to be given it"
	case reparse:
		set, reason = `"%^&|<>()!`, "this command of cmd.exe reads its arguments as a command line again"
	case program, echo:
		return nil
	}
	if i := strings.IndexAny(arg, set); i >= 0 {
		return &QuoteError{Arg: n, Offset: i, Char: rune(arg[i]), Reason: reason}
	}
	return nil
}

// appendArg appends one argument that check has let pass.
func (k kind) appendArg(dst []byte, arg string) []byte {
	switch k {
	case program:
		switch {
		case isPlain(arg, plainArg):
			return append(dst, arg...)
		case strings.ContainsAny(arg, `"%`):
			return appendCaret(dst, string(appendArg(nil, arg, true)))
		}
		// Between quotes cmd.exe leaves everything alone but the percent sign.
		return appendArg(dst, arg, true)
	case batch:
		// A backslash at the end would swallow the closing quote of a batch
		// file that writes "%~1"; quoted, it is doubled for the program that
		// the batch file passes its arguments to.
		return appendArg(dst, arg, !isPlain(arg, plainBatch) || strings.HasSuffix(arg, `\`))
	default:
		if isPlain(arg, plainArg) {
			return append(dst, arg...)
		}
		dst = append(dst, '"')
		dst = append(dst, arg...)
		return append(dst, '"')
	}
}

// appendCaret appends text so that cmd.exe, outside of quotes, takes it as it
// is. A caret escapes what means something, the quotes among it, so that
// cmd.exe never sees one and everything stays outside.
//
// The percent sign cannot be escaped: variables are expanded before carets are
// read. But a variable's name begins right behind it, and with a caret there
// (which the later phase removes again) none can be meant; cmd /c leaves the
// text of variables that do not exist in place.
func appendCaret(dst []byte, text string) []byte {
	percent := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		if percent || strings.IndexByte(`^"&|<>()!`, c) >= 0 {
			dst = append(dst, '^')
		}
		dst = append(dst, c)
		percent = c == '%'
	}
	return dst
}

// Characters besides letters and digits of ASCII that need no quotes.
const (
	plainPath  = `\:._-~$#+`
	plainArg   = `\:._-~$#+/@*?,;=[]{}'` // , ; = separate nothing but the arguments of batch files
	plainBatch = `#$*+-./:?@\_`
)

// isPlain reports whether s can go into a line without quotes.
func isPlain(s, set string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			continue
		}
		if strings.IndexByte(set, c) < 0 {
			return false
		}
	}
	return s != ""
}

// kindOf tells what cmd.exe will start. Whatever is not known to be a program
// is treated as a batch file: cmd.exe looks for name.bat and name.cmd too, and
// Windows opens x.bat for "x.bat. ." and for "x.bat::$DATA".
func kindOf(path string) kind {
	name := strings.ToLower(path)
	if strings.HasSuffix(name, ".exe") || strings.HasSuffix(name, ".com") {
		return program
	}
	switch {
	case name == "echo":
		return echo
	case slices.Contains(reparsing, name):
		return reparse
	case slices.Contains(builtins, name):
		return builtin
	case slices.Contains(programs, name):
		return program
	}
	return batch
}

var reparsing = []string{"call", "for", "if", "rem", "start"}

// builtins are the commands of cmd.exe as its own help lists them.
var builtins = []string{
	"assoc", "break", "cd", "chdir", "cls", "color", "copy", "date", "del", "dir", "dpath", "endlocal", "erase",
	"exit", "ftype", "goto", "keys", "md", "mkdir", "mklink", "move", "path", "pause", "popd", "prompt", "pushd",
	"rd", "ren", "rename", "rmdir", "set", "setlocal", "shift", "time", "title", "type", "ver", "verify", "vol",
}

// programs are names that every Windows has as .exe or .com in its system
// folders, which come first in PATH, so that the extension may be left out.
var programs = []string{
	"arp", "attrib", "auditpol", "bcdedit", "bitsadmin", "cacls", "certreq", "certutil", "chcp", "chkdsk", "cipher",
	"cmd", "cmdkey", "comp", "compact", "cscript", "diskpart", "dism", "doskey", "driverquery", "fc", "find", "findstr",
	"forfiles", "format", "fsutil", "getmac", "gpresult", "gpupdate", "hostname", "icacls", "ipconfig", "klist", "label",
	"logoff", "logman", "mode", "more", "mountvol", "msg", "msiexec", "mstsc", "nbtstat", "net", "netsh", "netstat",
	"nltest", "nslookup", "openfiles", "pathping", "ping", "pnputil", "powercfg", "powershell", "qprocess", "query",
	"quser", "qwinsta", "reg", "regsvr32", "replace", "robocopy", "route", "rundll32", "runas", "sc", "schtasks",
	"secedit", "setspn", "setx", "sfc", "shutdown", "sort", "subst", "systeminfo", "takeown", "taskkill", "tasklist",
	"timeout", "tracert", "tree", "tzutil", "vssadmin", "w32tm", "waitfor", "wbadmin", "wevtutil", "where", "whoami",
	"wmic", "wscript", "wusa", "xcopy",
}
