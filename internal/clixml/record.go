package clixml

import (
	"fmt"
	"strings"

	"github.com/winrmkit/winrmkit/wsman"
)

// A Record is one top-level element of a block.
type Record struct {
	Stream string // its S attribute in lower case: error, warning, verbose, debug, information, progress; or output
	Value  any
}

// Progress is a record of the progress stream, the element PR.
type Progress struct {
	Activity, Status, Operation string
	ID, ParentID                int32 // ParentID is -1 without one
	Percent                     int32 // -1 when not known
	SecondsRemaining            int32 // -1 when not known
	Completed                   bool
}

// progress decodes PR. Its children have no names but their tags; the operation
// is the one that is S or Nil.
func (r *refs) progress(d *wsman.Decoder) (*Progress, error) {
	p := &Progress{ParentID: -1, Percent: -1, SecondsRemaining: -1}
	for name := range d.Children() {
		if r.left--; r.left < 0 {
			return nil, errTooMany
		}
		if name.Local == "Nil" {
			continue
		}
		raw, err := d.Text()
		if err != nil {
			return nil, err
		}
		text := string(raw)
		switch name.Local {
		case "AV":
			p.Activity = Unescape(text)
		case "SD":
			p.Status = Unescape(text)
		case "S":
			p.Operation = Unescape(text)
		case "T":
			p.Completed = strings.TrimSpace(text) == "Completed"
		case "AI":
			p.ID, err = int32Of(text)
		case "PI":
			p.ParentID, err = int32Of(text)
		case "PC":
			p.Percent, err = int32Of(text)
		case "SR":
			p.SecondsRemaining, err = int32Of(text)
		}
		if err != nil {
			return nil, err
		}
	}
	return p, d.Err()
}

func int32Of(text string) (int32, error) {
	v, err := number("I32", strings.TrimSpace(text))
	if err != nil {
		return 0, err
	}
	return v.(int32), nil
}

// Error is an error record: the serialised ErrorRecord of PowerShell. See
// [MS-PSRP] section 2.2.3.15.
type Error struct {
	Message        string // of the exception, or of its details when it has some
	ID             string // FullyQualifiedErrorId
	Category       string // such as ObjectNotFound
	Activity       string // the command that failed
	Reason         string // type of the exception
	TargetName     string
	TargetType     string
	Position       string // where in the script, as PowerShell shows it
	RecommendedFix string
}

// AsError returns the error record that a value is, nil when it is none.
func AsError(v any) *Error {
	o, _ := v.(*Object)
	if o == nil || !o.Is("System.Management.Automation.ErrorRecord") && o.Get("FullyQualifiedErrorId") == nil {
		return nil
	}
	e := &Error{
		ID:             str(o, "FullyQualifiedErrorId"),
		Activity:       str(o, "ErrorCategory_Activity"),
		Reason:         str(o, "ErrorCategory_Reason"),
		TargetName:     str(o, "ErrorCategory_TargetName"),
		TargetType:     str(o, "ErrorCategory_TargetType"),
		Message:        str(o, "ErrorDetails_Message"),
		RecommendedFix: str(o, "ErrorDetails_RecommendedAction"),
		Position:       str(o, "InvocationInfo_PositionMessage"),
	}
	if n, ok := o.Get("ErrorCategory_Category").(int32); ok {
		e.Category = category(n)
	}
	if e.Message == "" {
		if x, ok := o.Get("Exception").(*Object); ok {
			if e.Message = str(x, "Message"); e.Message == "" {
				e.Message = x.ToString
			}
		}
	}
	if e.Message == "" {
		e.Message = o.ToString
	}
	return e
}

// str is a property that is a string.
func str(o *Object, name string) string {
	s, _ := o.Get(name).(string)
	return s
}

// categories are the names of the ErrorCategory enumeration, from 0.
var categories = strings.Fields(`NotSpecified OpenError CloseError DeviceError
	DeadlockDetected InvalidArgument InvalidData InvalidOperation InvalidResult InvalidType
	MetadataError NotImplemented NotInstalled ObjectNotFound OperationStopped OperationTimeout
	SyntaxError ParserError PermissionDenied ResourceBusy ResourceExists ResourceUnavailable
	ReadError WriteError FromStdErr SecurityError ProtocolError ConnectionError
	AuthenticationError LimitsExceeded QuotaExceeded NotEnabled`)

func category(n int32) string {
	if n >= 0 && int(n) < len(categories) {
		return categories[n]
	}
	return fmt.Sprintf("ErrorCategory(%d)", n)
}

// AsProgress returns the progress that a value is: a PR, or the object with a PR
// that powershell.exe writes. It is nil when it is none.
func AsProgress(v any) *Progress {
	switch v := v.(type) {
	case *Progress:
		return v
	case *Object:
		p, _ := v.Get("Record").(*Progress)
		return p
	}
	return nil
}

// Text returns a value for people: a string as it is, an object by its message
// or ToString.
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case *Object:
		if m := v.Get("MessageData"); m != nil {
			if o, ok := m.(*Object); ok {
				if s, ok := o.Get("Message").(string); ok {
					return s
				}
			}
			return Text(m)
		}
		if s, ok := v.Get("InformationalRecord_Message").(string); ok {
			return s
		}
		if v.ToString != "" {
			return v.ToString
		}
		return Text(v.Value)
	}
	return fmt.Sprint(v)
}

// FromHost reports whether an information record was written by Write-Host,
// whose text has gone to the standard output too.
func FromHost(v any) bool {
	o, _ := v.(*Object)
	if o == nil {
		return false
	}
	if tags, ok := o.Get("Tags").(*Object); ok {
		for _, t := range tags.Items {
			if t == "PSHOST" {
				return true
			}
		}
	}
	m, ok := o.Get("MessageData").(*Object)
	return ok && m.Is("System.Management.Automation.HostInformationMessage")
}

// Unmarshal decodes one element, such as the data of a PSRP message or a line of
// Export-Clixml's content.
func Unmarshal(element []byte) (any, error) {
	r := newRefs()
	r.reset()
	_, v, err := r.decode(element)
	return v, err
}

// decode decodes one top-level element and returns its S attribute.
func (r *refs) decode(element []byte) (stream string, v any, err error) {
	d := wsman.NewDecoderLimits(element, wsman.Limits{Size: MaxElement, Depth: 100})
	name, err := d.Root()
	if err != nil {
		return "", nil, err
	}
	stream, _ = d.Attr("", "S")
	if v, err = r.value(d, name.Local); err != nil {
		return "", nil, err
	}
	return strings.ToLower(stream), v, d.Finish()
}
