package cmdline

import "strings"

// Program returns the line that gives path and args to a program started
// without cmd.exe. The path is always in quotes: the first word is read by
// other rules than the rest, in which a backslash means nothing.
func Program(path string, args []string) (string, error) {
	switch {
	case path == "":
		return "", &QuoteError{Offset: -1, Reason: "it is empty"}
	case strings.Contains(path, `"`):
		return "", &QuoteError{Offset: strings.IndexByte(path, '"'), Char: '"', Reason: "no Windows path contains a quote"}
	}
	if err := check(0, path, false); err != nil {
		return "", err
	}
	rest, err := Arguments(args)
	if err != nil {
		return "", err
	}
	line := `"` + path + `"`
	if rest != "" {
		line += " " + rest
	}
	return line, CheckLength(line, MaxProgram)
}

// Arguments returns args as the part of a line that follows the program.
func Arguments(args []string) (string, error) {
	var b []byte
	for i, arg := range args {
		if err := check(i+1, arg, false); err != nil {
			return "", err
		}
		if i > 0 {
			b = append(b, ' ')
		}
		// Line ends separate nothing in the C runtime, but not every program
		// is built with that one.
		b = appendArg(b, arg, arg == "" || strings.ContainsAny(arg, " \t\r\n\v\f"))
	}
	return string(b), nil
}

// appendArg appends one argument by the rules of CommandLineToArgvW: a quote is
// written \", and backslashes are doubled before a quote only, be it the
// argument's own or the closing one.
func appendArg(dst []byte, arg string, quote bool) []byte {
	if quote {
		dst = append(dst, '"')
	}
	slashes := 0
	for i := 0; i < len(arg); i++ {
		switch c := arg[i]; c {
		case '\\':
			slashes++
			dst = append(dst, c)
		case '"':
			dst = appendSlashes(dst, slashes+1)
			dst = append(dst, c)
			slashes = 0
		default:
			dst = append(dst, c)
			slashes = 0
		}
	}
	if quote {
		dst = appendSlashes(dst, slashes)
		dst = append(dst, '"')
	}
	return dst
}

func appendSlashes(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, '\\')
	}
	return dst
}
