package cmdline

import (
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of a command line in UTF-16 units.
const (
	MaxShell   = 8191  // what cmd.exe takes; it cuts or refuses the rest
	MaxProgram = 32766 // what CreateProcess takes, without the closing NUL
)

// ErrCannotQuote says that an argument cannot be carried to the program as it
// is. The error that wraps it is a [QuoteError].
var ErrCannotQuote = errors.New("argument cannot be quoted")

// remedy is the end of every QuoteError's text.
const remedy = "write the line yourself (Raw), start the program without cmd.exe (NoShell), or use PowerShell"

// A QuoteError says which part of a command cannot be carried and why. It does
// not hold the part's text, which may be a secret.
type QuoteError struct {
	Arg    int    // index of the argument, counted from 1; 0 is the program's path
	Offset int    // byte offset of the offending character, -1 when there is no single one
	Char   rune   // the offending character
	Reason string // what goes wrong with it
}

func (e *QuoteError) Error() string {
	what := "the path"
	if e.Arg > 0 {
		what = fmt.Sprintf("argument %d", e.Arg)
	}
	if e.Offset >= 0 {
		what += fmt.Sprintf(", %q at byte %d", e.Char, e.Offset)
	}
	return fmt.Sprintf("%v: %s: %s; %s", ErrCannotQuote, what, e.Reason, remedy)
}

func (e *QuoteError) Unwrap() error { return ErrCannotQuote }

// A LengthError says that a line is longer than what reads it can take.
type LengthError struct {
	Length int // in UTF-16 units, as Windows counts
	Limit  int
}

func (e *LengthError) Error() string {
	way := "pass the data through stdin or a file"
	if e.Limit == MaxShell {
		way += ", or start the program without cmd.exe (NoShell)"
	}
	return fmt.Sprintf("command line of %d characters exceeds the limit of %d; %s", e.Length, e.Limit, way)
}

// CheckLength returns a [LengthError] when line is longer than limit.
func CheckLength(line string, limit int) error {
	if len(line) <= limit { // UTF-8 is never shorter than UTF-16 in units
		return nil
	}
	n := 0
	for _, r := range line {
		n += utf16.RuneLen(r)
	}
	if n <= limit {
		return nil
	}
	return &LengthError{Length: n, Limit: limit}
}

// check refuses characters that no command line or no message can carry.
func check(arg int, s string, shell bool) error {
	for i, r := range s {
		reason := ""
		switch {
		case r == 0:
			reason = "NUL ends the command line"
		case (r == '\r' || r == '\n') && shell:
			reason = "cmd.exe ends the line there"
		case r == '\r' || r == '\n' || r == '\t':
		case r < ' ', r == 0xFFFE, r == 0xFFFF:
			reason = "XML, and with it WS-Management, cannot carry the character"
		case r == utf8.RuneError:
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				reason = "not valid UTF-8"
			}
		}
		if reason != "" {
			return &QuoteError{Arg: arg, Offset: i, Char: r, Reason: reason}
		}
	}
	return nil
}
