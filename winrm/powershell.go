package winrm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/winrmkit/winrmkit/internal/powershell"
)

// A Script is what makes a [Cmd] a PowerShell script. It is Cmd.Script.
//
// The script runs as a script block of its own: a param block, requirements and
// using statements may begin it, and it may have any length; PowerShell 3 and 4
// read no more than 2 million characters of script and arguments. What it writes
// is UTF-8. It ends
//
//   - with the code of its exit statement;
//   - with 1 after any terminating error: throw, a failed method, a parse error,
//     with ErrorAction "Stop" any error at all. The error of Wait is then a
//     [*ScriptError];
//   - with 0 otherwise. The exit codes of programs that the script runs count
//     only if it says so: exit $LASTEXITCODE.
//
// PowerShell 3 or later is needed. In constrained language mode scripts run, but
// not those that need both Args (or a script too long for a command line) and
// Stdin: they fail with a [*LanguageModeError].
type Script struct {
	// Text is the script.
	Text string
	// Args holds the values of the script's parameters: a struct or a map with
	// their names, or a slice with the values in order, or nil. They travel as
	// JSON, beside the script and never in it: what looks like code stays a
	// string. Names that differ only by case are the same to PowerShell: an
	// object with two of them ends the script before it begins.
	Args any
	// Program is powershell or pwsh, or the path of either. "" is that of
	// Config.PowerShell.
	Program string
	// ErrorAction is the script's $ErrorActionPreference. "" is PowerShell's
	// own, Continue: errors are shown and the script goes on. Ignore, which
	// Windows PowerShell does not have, is SilentlyContinue there.
	ErrorAction string
	// Profile lets PowerShell load the profile scripts of the user.
	Profile bool
	// Record is told what the script writes besides its output: errors,
	// warnings, verbose, debug and information messages, progress. Progress is
	// sent only if Record is set. Like writers it is called by one goroutine at
	// a time, and holds up the output while it runs.
	Record func(Record)
	// Depth is how deep [RunJSON] looks into objects. 0 is 4.
	Depth int
}

const defaultDepth = 4

// PowerShell returns a command that runs a script in Windows PowerShell, with
// -NoProfile and -NonInteractive. More can be said in Cmd.Script.
//
// Stdin can be read by the script as $input, line by line, or by the programs
// that it runs. Stderr gets what the script writes to its error, warning, verbose
// and debug streams, as text.
func (c *Client) PowerShell(ctx context.Context, script string) *Cmd {
	cmd := c.CommandContext(ctx, "powershell")
	cmd.Script = &Script{Text: script}
	return cmd
}

// RunJSON runs a script and decodes what it puts out into a T. When T is a slice
// it gets all objects of the output; otherwise there has to be exactly one. What
// the script writes by Write-Host goes to Cmd.Stdout.
//
//	type service struct{ Name, DisplayName string }
//	cmd := client.PowerShell(ctx, `param($Like) Get-Service $Like | Select Name, DisplayName`)
//	cmd.Script.Args = map[string]string{"Like": "w*"}
//	services, err := winrm.RunJSON[[]service](cmd)
func RunJSON[T any](cmd *Cmd) (T, error) {
	var out T
	if cmd.Script == nil {
		return out, errors.New("winrm: RunJSON needs a command made by PowerShell")
	}
	cmd.wantJSON = true
	if err := cmd.Run(); err != nil {
		return out, err
	}
	raw := cmd.run.script.result
	if raw == nil {
		return out, &ResultError{Err: errors.New("there is none")}
	}
	if k := reflect.TypeFor[T]().Kind(); k == reflect.Slice && reflect.TypeFor[T]() != reflect.TypeFor[json.RawMessage]() {
		if err := json.Unmarshal(raw, &out); err != nil {
			return out, &ResultError{Err: err}
		}
		return out, nil
	}
	var all []json.RawMessage
	err := json.Unmarshal(raw, &all)
	if err == nil && len(all) != 1 {
		err = fmt.Errorf("the script put out %d objects, not one", len(all))
	}
	if err == nil {
		err = json.Unmarshal(all[0], &out)
	}
	if err != nil {
		return out, &ResultError{Err: err}
	}
	return out, nil
}

// A ResultError says that the output of a script does not fit the type that
// [RunJSON] was asked for.
type ResultError struct{ Err error }

func (e *ResultError) Error() string { return "winrm: result of the script: " + e.Err.Error() }

func (e *ResultError) Unwrap() error { return e.Err }

// A ScriptError is a script that a terminating error has ended. It wraps the
// [*ExitError].
type ScriptError struct {
	Record ErrorRecord
	Err    error
}

func (e *ScriptError) Error() string {
	text := "winrm: script: " + e.Record.Message
	if e.Record.Line > 0 {
		text += fmt.Sprintf(" (line %d)", e.Record.Line)
	}
	return text
}

func (e *ScriptError) Unwrap() error { return e.Err }

// A LanguageModeError says that the host runs PowerShell in constrained language
// mode, where what was asked for is not possible. It wraps the [*ExitError].
type LanguageModeError struct{ Err error }

func (e *LanguageModeError) Error() string {
	return "winrm: the host runs PowerShell in constrained language mode (AppLocker or Windows Defender Application Control): " +
		"methods of .NET are forbidden there; copying files and scripts with both Args and Stdin need an account for which the policy allows scripts"
}

func (e *LanguageModeError) Unwrap() error { return e.Err }

// idConstrained is the FullyQualifiedErrorId of a method that the language mode
// forbids.
const idConstrained = "MethodInvocationNotSupportedInConstrainedLanguage"

// errorActions are the values of $ErrorActionPreference.
var errorActions = map[string]bool{"": true, "Continue": true, "Stop": true, "SilentlyContinue": true, "Ignore": true, "Inquire": true}

// scriptLine builds the command line of the script and what its frame reads.
func (c *Cmd) scriptLine() (string, error) {
	s := c.Script
	if err := powershell.Check(s.Text); err != nil {
		return "", err
	}
	if !errorActions[s.ErrorAction] {
		return "", fmt.Errorf("ErrorAction %q is none of PowerShell's", s.ErrorAction)
	}
	f := &powershell.Frame{Script: s.Text, Input: c.Stdin != nil, Progress: s.Record != nil, ErrorAction: s.ErrorAction}
	if c.wantJSON {
		if f.Depth = s.Depth; f.Depth <= 0 {
			f.Depth = defaultDepth
		}
	}
	if s.Args != nil {
		raw, err := json.Marshal(s.Args)
		if err != nil {
			return "", fmt.Errorf("arguments: %w", err)
		}
		if t := bytes.TrimSpace(raw); len(t) == 0 || t[0] != '{' && t[0] != '[' {
			return "", fmt.Errorf("arguments: %T is no struct, map or slice", s.Args)
		}
		f.Args = raw
	}
	command, head, err := f.Build()
	if err != nil {
		return "", err
	}
	program := s.Program
	if program == "" {
		program = c.client.cfg.PowerShell
	}
	if program == "" {
		program = "powershell"
	}
	options := []string{"-NonInteractive", "-EncodedCommand", command}
	if !s.Profile {
		options = append([]string{"-NoProfile"}, options...)
	}
	c.frame, c.frameHead = f, head
	return shellLine(program, options)
}

// scriptStdin is the standard input with what the frame reads in front.
func (c *Cmd) scriptStdin() io.Reader {
	switch {
	case c.frame == nil || c.frameHead == nil:
		return c.Stdin
	case c.Stdin == nil:
		return bytes.NewReader(c.frameHead)
	}
	return io.MultiReader(bytes.NewReader(c.frameHead), c.Stdin)
}
