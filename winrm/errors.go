package winrm

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/cmdline"
	"github.com/winrmkit/winrmkit/wsman"
)

// Errors of misuse and of closing.
var (
	ErrClosed     = errors.New("winrm: client closed")
	ErrStarted    = errors.New("winrm: command already started")
	ErrNotStarted = errors.New("winrm: command not started")
	ErrWaited     = errors.New("winrm: Wait was already called")
	// ErrNoClient is returned for a [Cmd] that neither a Client nor a Shell has
	// made and that has no Shell set.
	ErrNoClient = errors.New("winrm: the command belongs to no Client")
	// ErrShellClosed is returned for commands in a [Shell] after its Close.
	ErrShellClosed = errors.New("winrm: shell closed")
	// ErrDisconnected is returned for the command that runs in a [Shell] when
	// that is disconnected: it lives on. See [Shell.Attach].
	ErrDisconnected = errors.New("winrm: shell disconnected")
)

// ErrCannotQuote says that an argument cannot be carried to the program as it
// is; the error that wraps it is a [*QuoteError].
var ErrCannotQuote = cmdline.ErrCannotQuote

// QuoteError says which argument cannot be carried, and why.
type QuoteError = cmdline.QuoteError

// LengthError says that a command line is longer than Windows takes.
type LengthError = cmdline.LengthError

// An ExitError is a command that ended with a code other than 0.
type ExitError struct {
	Code uint32 // such as 1, or 0xC0000005 for an access violation

	// Stderr holds a prefix and a suffix of what the command wrote to its
	// standard error, when it ran by [Cmd.Output] and Cmd.Stderr was nil.
	Stderr []byte
}

func (e *ExitError) Error() string { return "winrm: exit status " + formatCode(e.Code) }

// formatCode writes small codes in decimal and status codes of Windows, which
// nobody knows in decimal, in hexadecimal.
func formatCode(code uint32) string {
	if code < 0x10000 {
		return strconv.FormatUint(uint64(code), 10)
	}
	return fmt.Sprintf("0x%08X", code)
}

// ExitStatus maps an exit code of Windows to one for os.Exit. Unix keeps the
// low byte only, so that 256 would say success: a code that is not 0 but whose
// low byte is becomes 1.
func ExitStatus(code uint32) int {
	if code != 0 && code&0xFF == 0 {
		return 1
	}
	return int(code)
}

// An ExitMissingError is a command whose exit code is not known: the host ended
// it without one, or receiving ended before the command did. Err tells why, such
// as a [*wsman.Fault]; it is nil when the host simply left the code out.
type ExitMissingError struct{ Err error }

func (e *ExitMissingError) Error() string {
	if e.Err == nil {
		return "winrm: the command ended without an exit code"
	}
	return "winrm: the command's end is not known: " + strip(e.Err)
}

func (e *ExitMissingError) Unwrap() error { return e.Err }

// An OutputLostError says that output of a command was lost on its way: an
// answer that may have carried some never arrived whole, and the host does not
// send it twice. Result is how the command ended otherwise, nil for success.
type OutputLostError struct {
	Answers int   // how many answers were lost
	Err     error // what happened to the first
	Result  error
}

func (e *OutputLostError) Error() string {
	text := fmt.Sprintf("winrm: output lost (%d of the host's answers): %s", e.Answers, strip(e.Err))
	if e.Result != nil {
		text += "; " + strip(e.Result)
	}
	return text
}

// Unwrap returns Err and Result.
func (e *OutputLostError) Unwrap() []error { return nonNil(e.Err, e.Result) }

// An InputLostError says that it is not known whether a piece of the standard
// input reached the command. It was not sent again, and the command was ended if
// it had not ended by itself.
type InputLostError struct{ Err error }

func (e *InputLostError) Error() string {
	return "winrm: input may be lost: " + strip(e.Err)
}

func (e *InputLostError) Unwrap() error { return e.Err }

// A CommandLostError is a command whose start was not confirmed: the answer was
// lost, and the host, asked for the command's output, does not know it. It was
// not sent again.
type CommandLostError struct {
	Err   error // what happened to the answer
	Asked error // what the host said when asked
}

func (e *CommandLostError) Error() string {
	return "winrm: the host did not start the command, or has ended it: " + strip(e.Err)
}

// Unwrap returns Err and Asked.
func (e *CommandLostError) Unwrap() []error { return nonNil(e.Err, e.Asked) }

func nonNil(errs ...error) []error {
	out := errs[:0]
	for _, err := range errs {
		if err != nil {
			out = append(out, err)
		}
	}
	return out
}

// strip is the text of an error inside a text that has named the package.
func strip(err error) string { return strings.TrimPrefix(err.Error(), "winrm: ") }

// Codes that mean something to this package. Codes of Windows that are not of
// WS-Management have no name there.
const (
	codeUnknownID     wsman.FaultCode = 2150858843 // no such shell or command
	codeProfileGone   wsman.FaultCode = 2147943418 // the shell's registry hive is being unloaded
	codeMaxShells     wsman.FaultCode = 2150859173
	codeMaxOperations wsman.FaultCode = 2150859174 // Windows counts each command until the shell goes
	codeShellsPPQ     wsman.FaultCode = 2150859236
	codeOperationsPPQ wsman.FaultCode = 2150859240
	codeCommandsPPQ   wsman.FaultCode = 2150859241
	codeBusy          wsman.FaultCode = 170 // ERROR_BUSY: a timed-out Send is still being worked on
	codeBrokenPipe    wsman.FaultCode = 109 // ERROR_BROKEN_PIPE: the command has closed its stdin
	codePipeClosing   wsman.FaultCode = 232 // ERROR_NO_DATA: it is closing it
)

// isWin32 reports whether a code is this Win32 error, bare or as an HRESULT.
func isWin32(code, bare wsman.FaultCode) bool { return code == bare || code == 0x80070000|bare }

// faultCode returns the code of the fault in err, 0 when there is none.
func faultCode(err error) wsman.FaultCode {
	if f, ok := errors.AsType[*wsman.Fault](err); ok {
		return f.Code
	}
	return 0
}

// unanswered reports whether the host may have processed a request whose error
// is err: no answer arrived that says otherwise.
func unanswered(err error) bool {
	if _, ok := errors.AsType[*wsman.Fault](err); ok {
		return false
	}
	if s, ok := errors.AsType[*wsman.StatusError](err); ok {
		return s.Status < 300 || s.Status == 500 || s.Status == 502 || s.Status == 504
	}
	if _, ok := errors.AsType[*wsman.ResponseError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*wsman.TimeoutError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*wsman.LimitError](err); ok {
		return true
	}
	return auth.MayBeProcessed(err)
}

// forgeable reports whether anybody on the way can write an HTTP status in the
// host's name: over http, where messages are sealed and their status is not.
func (c *Client) forgeable() bool {
	return strings.HasPrefix(c.endpoint, "http:") && c.cfg.Encryption != auth.EncryptNever
}

// unsure is like unanswered, of a request that must not be done twice.
func (c *Client) unsure(err error) bool {
	if unanswered(err) {
		return true
	}
	_, status := errors.AsType[*wsman.StatusError](err)
	return status && c.forgeable()
}

// emptySuccess reports whether a request was answered with success and no word.
// Where there is nothing to say, as to Signal and Delete, that is an answer; one
// to a sealed message never gets here unsealed.
func emptySuccess(err error) bool {
	e, ok := errors.AsType[*wsman.StatusError](err)
	return ok && e.Empty && e.Status/100 == 2
}

// canceled is the error of a call that a context, or Close, ended.
func canceled(ctx context.Context, c *Client, err error) error {
	cause := ctx.Err()
	switch {
	case cause == nil && c.isClosed():
		cause = ErrClosed
	case cause == nil:
		return err
	}
	return both(cause, err)
}

// compound is an error with another one behind it.
type compound struct{ first, then error }

// both joins two errors, of which the second may be nil or say the same.
func both(first, then error) error {
	if then == nil {
		return first
	}
	if errors.Is(then, first) {
		return then
	}
	return &compound{first, then}
}

func (c *compound) Error() string {
	return "winrm: " + strip(c.first) + "; " + strings.TrimPrefix(c.then.Error(), "winrm: ")
}

func (c *compound) Unwrap() []error { return []error{c.first, c.then} }
