package wsman

import (
	"fmt"
	"sort"
	"strings"
)

//go:generate go run ./internal/faultgen

// FaultCode is the number that Windows gives a [Fault]: a WS-Management error
// (0x8033xxxx), an error of Win32 (such as 5), one of Win32 as an HRESULT
// (0x8007xxxx), or one of WMI, of security packages or of the PowerShell
// plug-in.
//
// It is an error, made for errors.Is:
//
//	errors.Is(err, wsman.ErrTimedOut)
//
// A Win32 error matches in both of its forms.
type FaultCode uint32

// RetryClass says what may help against a fault.
type RetryClass uint8

const (
	RetryNever     RetryClass = iota // the request, the rights or the configuration must change first
	RetryRepeat                      // the same request may be sent again at once
	RetryLater                       // the same request may be sent again after a while
	RetryReconnect                   // the same request may be sent again on a new connection
)

func (r RetryClass) String() string {
	switch r {
	case RetryRepeat:
		return "repeat"
	case RetryLater:
		return "later"
	case RetryReconnect:
		return "reconnect"
	}
	return "never"
}

// Codes that a client meets, by what they mean. [FaultCode.Symbol] gives the
// name that wsmerror.h has for each.
const (
	ErrAccessDenied       FaultCode = 5    // no right on the resource
	ErrNotSupported       FaultCode = 50   // such as a chunked request to a shell
	ErrBadParameter       FaultCode = 87   // malformed body for a shell or plug-in
	ErrBusy               FaultCode = 170  // a Send that timed out is still being taken
	ErrAborted            FaultCode = 995  // shell or command closed
	ErrProfileUnloading   FaultCode = 1018 // the account's profile is being unloaded; nothing was started
	ErrLogonFailure       FaultCode = 1326 // of RunAs and certificate mappings
	ErrHostProcessLost    FaultCode = 1726 // the process behind the shell ended
	ErrResourceNotFound   FaultCode = 2150858752
	ErrInvalidHeader      FaultCode = 2150858767
	ErrActionNotSupported FaultCode = 2150858771
	ErrUnavailable        FaultCode = 2150858772
	ErrBadRepresentation  FaultCode = 2150858773
	ErrBadFilter          FaultCode = 2150858778
	ErrContextExpired     FaultCode = 2150858779 // of an enumeration
	ErrPullTimedOut       FaultCode = 2150858780
	ErrEnvelopeTooLarge   FaultCode = 2150858790
	ErrTimedOut           FaultCode = 2150858793 // OperationTimeout passed; for Receive and Pull: no data yet
	ErrConcurrency        FaultCode = 2150858802
	ErrAlreadyExists      FaultCode = 2150858803
	ErrInvalidOptions     FaultCode = 2150858809
	ErrInvalidResourceURI FaultCode = 2150858811
	ErrInvalidSelectors   FaultCode = 2150858813
	ErrQuotaLimit         FaultCode = 2150858815
	ErrSchemaValidation   FaultCode = 2150858817
	ErrUnsupportedFeature FaultCode = 2150858818
	ErrResponseTooLarge   FaultCode = 2150858824 // beyond the request's MaxEnvelopeSize
	ErrOptionsRefused     FaultCode = 2150858833 // an option with MustComply
	ErrInvalidNamespace   FaultCode = 2150858840
	ErrNoSuchShell        FaultCode = 2150858843 // the selectors name no shell or command that exists
	ErrMinEnvelopeSize    FaultCode = 2150858878
	ErrSetByPolicy        FaultCode = 2150858890 // group policy owns the setting
	ErrCannotDecrypt      FaultCode = 2150859001
	ErrReadOnlyProperty   FaultCode = 2150859071
	ErrCodepage           FaultCode = 2150859072
	ErrShellNotStarted    FaultCode = 2150859118
	ErrTooManyShells      FaultCode = 2150859173
	ErrTooManyOperations  FaultCode = 2150859174
	ErrUserThrottled      FaultCode = 2150859175
	ErrSystemThrottled    FaultCode = 2150859176
	ErrTooManyShellUsers  FaultCode = 2150859179
	ErrShellsNotAllowed   FaultCode = 2150859180
	ErrDeprecatedSetting  FaultCode = 2150859182
	ErrFilterRequired     FaultCode = 2150859200 // ShellId, for a list of commands
	ErrShellDisconnected  FaultCode = 2150859204
	ErrWrongSession       FaultCode = 2150859206 // shell of another client session
	ErrCommandTerminated  FaultCode = 2150859212
	ErrShellInUse         FaultCode = 2150859213 // shell connected to another client
	ErrBadCommandID       FaultCode = 2150859220
	ErrBadShellID         FaultCode = 2150859221
	ErrCommandIDConflict  FaultCode = 2150859222
	ErrShellIDConflict    FaultCode = 2150859223
	ErrTooManyCommands    FaultCode = 2150859241 // in one shell, ever
	ErrIdleTimeout        FaultCode = 2150859250 // out of bounds
)

// Codes that Microsoft's client reports for answers that are not SOAP; here
// they are what a [StatusError] unwraps to.
const (
	ErrNoResponseData           FaultCode = 2150858997
	ErrInvalidContentType       FaultCode = 2150858999
	ErrUnknownHTTPStatus        FaultCode = 2150859023
	ErrRedirectStatus           FaultCode = 2150859024
	ErrRequestTooLarge          FaultCode = 2150859025 // HTTP 413; the request was not processed
	ErrServiceUnavailableStatus FaultCode = 2150859026
	ErrNotFoundStatus           FaultCode = 2150859027
	ErrServerErrorStatus        FaultCode = 2150859120
	ErrBadRequestStatus         FaultCode = 2150859121
)

type faultRow struct {
	code                 FaultCode
	retry                RetryClass
	symbol, text, remedy string
}

// row finds the code in the table. An HRESULT that wraps a Win32 error is
// described by that error.
func (c FaultCode) row() (row faultRow, ok bool) {
	find := func(c FaultCode) bool {
		i := sort.Search(len(faultTable), func(i int) bool { return faultTable[i].code >= c })
		if ok = i < len(faultTable) && faultTable[i].code == c; ok {
			row = faultTable[i]
		}
		return ok
	}
	if !find(c) {
		find(c.win32())
	}
	return row, ok
}

// win32 is the Win32 error inside an HRESULT that wraps one.
func (c FaultCode) win32() FaultCode {
	if c&0xFFFF0000 == 0x80070000 {
		return c & 0xFFFF
	}
	return c
}

// Is makes the two forms of a Win32 error match each other.
func (c FaultCode) Is(target error) bool {
	t, ok := target.(FaultCode)
	return ok && t.win32() == c.win32()
}

// Error describes the code: its number, name, meaning and remedy.
func (c FaultCode) Error() string { return "wsman: " + c.describe() }

func (c FaultCode) describe() string {
	var b strings.Builder
	row, ok := c.row()
	switch {
	case !ok:
		fmt.Fprintf(&b, "code %d (0x%X)", uint32(c), uint32(c))
		return b.String()
	case c>>16 != 0:
		fmt.Fprintf(&b, "%s (%s, 0x%X)", row.text, row.symbol, uint32(c))
	default:
		fmt.Fprintf(&b, "%s (%s, %d)", row.text, row.symbol, uint32(c))
	}
	if row.remedy != "" {
		b.WriteString("; " + row.remedy)
	}
	return b.String()
}

// Symbol is the name of the code in the headers of the Windows SDK. The codes
// of the PowerShell plug-in have none; ours begin with PSRP_.
func (c FaultCode) Symbol() string {
	row, _ := c.row()
	return row.symbol
}

// Text says what the code means, "" for a code that is not known.
func (c FaultCode) Text() string {
	row, _ := c.row()
	return row.text
}

// Remedy says what to do about it, "" where there is nothing to say.
func (c FaultCode) Remedy() string {
	row, _ := c.row()
	return row.remedy
}

// Retry says whether trying again may help.
func (c FaultCode) Retry() RetryClass {
	row, _ := c.row()
	return row.retry
}

// Timeout reports whether the code means that the server's time ran out.
func (c FaultCode) Timeout() bool { return c == ErrTimedOut || c == ErrPullTimedOut }

// codeOf is the code that Windows uses for a SOAP subcode and fault detail.
func codeOf(subcode Name, detail string) FaultCode {
	if subcode == (Name{NSWSMan, "InvalidSelectors"}) {
		switch detail {
		case "InsufficientSelectors":
			return 2150858842
		case "UnexpectedSelectors":
			return ErrNoSuchShell
		case "TypeMismatch":
			return 2150858844
		case "InvalidValue":
			return 2150858845
		case "AmbiguousSelectors":
			return 2150858846
		case "DuplicateSelectors":
			return 2150858847
		}
	}
	return codeBySubcode[subcode]
}
