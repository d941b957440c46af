package wsman

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Fault is the server's refusal of a request. It unwraps to its [FaultCode]:
//
//	if errors.Is(err, wsman.ErrTimedOut) { ... }
//
// See [MS-WSMV] section 2.2.4.43 and DSP0226 section 14.
type Fault struct {
	// Code tells the kind of fault. Where the server sent none, it is the code
	// that Windows uses for the Subcode; 0 if there is no such code either.
	Code FaultCode

	Sender  bool   // s:Sender: the request is to blame; otherwise s:Receiver
	Subcode Name   // such as {NSWSMan TimedOut}
	Reason  string // s:Reason, in the server's language
	Detail  string // w:FaultDetail without its URI, such as "UnexpectedSelectors"

	// Message is the innermost text that the server gave: of a provider's
	// fault inside WSManFault, or of a WMI error.
	Message  string
	Machine  string    // host that the fault comes from
	Provider string    // name or GUID of the plug-in that failed, if one did
	Inner    FaultCode // code of a fault nested in the provider's, 0 if none
	WMI      *WMIError // the WMI error in the detail, nil if there is none

	Action      string // action of the request
	FaultAction string // action of the fault message
	ActivityID  string // finds the request in the server's event log
	HTTPStatus  int
}

// WMIError is a CIM or WMI error in the detail of a [Fault]: MSFT_WmiError or
// __ExtendedStatus.
type WMIError struct {
	StatusCode uint32 // CIMStatusCode, or StatusCode of __ExtendedStatus
	Code       uint32 // error_Code
	Category   uint32 // error_Category
	Type       string // error_Type, such as "HRESULT"
	Message    string
	MessageID  string // such as "HRESULT 0x803381a6"
	Operation  string // of __ExtendedStatus, such as "ExecQuery"
	Parameter  string // of __ExtendedStatus: what the operation was about
	Provider   string // of __ExtendedStatus
}

func (f *Fault) Error() string {
	var b strings.Builder
	b.WriteString("wsman: ")
	if f.Action != "" {
		b.WriteString(shortAction(f.Action))
		b.WriteString(" refused")
	} else {
		b.WriteString("request refused")
	}
	if f.Code != 0 {
		fmt.Fprintf(&b, ": %s", f.Code.describe())
	} else if f.Subcode.Local != "" {
		b.WriteString(": " + oneLine(f.Subcode.Local, 80))
	}
	if f.Detail != "" {
		fmt.Fprintf(&b, " [%s]", oneLine(f.Detail, 80))
	}
	if text := f.text(); text != "" {
		fmt.Fprintf(&b, ": server says: %s", text)
	}
	return b.String()
}

// text is the server's explanation on one line, of bounded length and without
// control characters.
func (f *Fault) text() string {
	s := f.Message
	if s == "" {
		s = f.Reason
	}
	return oneLine(s, 600)
}

// Unwrap returns the code, if there is one.
func (f *Fault) Unwrap() error {
	if f.Code == 0 {
		return nil
	}
	return f.Code
}

// Timeout reports whether the server's operation timeout passed.
func (f *Fault) Timeout() bool { return f.Code == ErrTimedOut }

const faultDetailURI = "http://schemas.dmtf.org/wbem/wsman/1/wsman/faultDetail/"

// ReadFault reads the s:Fault that is the current element of d, and consumes it.
func ReadFault(d *Decoder) (*Fault, error) {
	f := new(Fault)
	r := faultReader{fault: f}
	for n := range d.Children() {
		switch n {
		case Name{NSEnvelope, "Code"}:
			r.code(d)
		case Name{NSEnvelope, "Reason"}:
			for n := range d.Children() {
				if n == (Name{NSEnvelope, "Text"}) && f.Reason == "" {
					f.Reason, _ = d.Value()
				}
			}
		case Name{NSEnvelope, "Detail"}:
			for n := range d.Children() {
				r.detail(d, n)
			}
		}
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	r.settle()
	return f, nil
}

// faultReader collects what the many forms of a fault's detail say.
type faultReader struct {
	fault   *Fault
	depth   int // of nested faults and messages
	textAt  int // depth that Fault.Message was found at
	hasCode bool
}

func (r *faultReader) code(d *Decoder) {
	for n := range d.Children() {
		switch n {
		case Name{NSEnvelope, "Value"}:
			v := r.qname(d)
			r.fault.Sender = v.Local == "Sender"
		case Name{NSEnvelope, "Subcode"}:
			for n := range d.Children() {
				if n == (Name{NSEnvelope, "Value"}) {
					r.fault.Subcode = r.qname(d)
				}
			}
		}
	}
}

// qname reads a code. A prefix that is not declared leaves its namespace empty:
// even a sample of [MS-WSMV] (section 4.10) has one.
func (r *faultReader) qname(d *Decoder) Name {
	n, err := d.QName()
	var bad *qnameError
	if errors.As(err, &bad) {
		n.Local = bad.local
	}
	return n
}

// detail reads one element inside s:Detail, at any depth. Faults of providers
// nest, with text before, between and after: of all texts the innermost says
// most.
func (r *faultReader) detail(d *Decoder, n Name) {
	r.depth++
	defer func() { r.depth-- }()
	switch n.Local {
	case "FaultDetail":
		text, _ := d.Value()
		r.fault.Detail = text[max(strings.LastIndexByte(text, '/'), strings.LastIndexByte(text, ':'))+1:]
		return
	case "MSFT_WmiError", "__ExtendedStatus":
		r.wmi(d)
		return
	case "WSManFault":
		r.wsmanFault(d)
	case "ProviderFault":
		for _, key := range []string{"provider", "providerId"} {
			if v, ok := d.Attr("", key); ok && v != "" {
				r.fault.Provider = v
			}
		}
	}
	var text []byte
	for {
		switch d.token() {
		case tokenText:
			text = append(text, d.segment()...)
		case tokenStart:
			r.detail(d, d.current().name)
		default:
			r.message(bytes.TrimSpace(text))
			return
		}
	}
}

func (r *faultReader) message(text []byte) {
	if len(text) > 0 && r.depth > r.textAt {
		r.fault.Message, r.textAt = string(text), r.depth
	}
}

func (r *faultReader) wsmanFault(d *Decoder) {
	if v, ok := d.Attr("", "Machine"); ok && v != "" {
		r.fault.Machine = v
	}
	v, _ := d.Attr("", "Code")
	code, ok := parseCode(v)
	switch {
	case !ok:
	case !r.hasCode:
		r.fault.Code, r.hasCode = code, true
	default:
		r.fault.Inner = code
	}
}

// parseCode reads a code that is decimal, perhaps signed, or hexadecimal.
func parseCode(s string) (FaultCode, bool) {
	s, base := strings.TrimSpace(s), 10
	if hex, ok := strings.CutPrefix(strings.ToLower(s), "0x"); ok {
		s, base = hex, 16
	}
	n, err := strconv.ParseInt(s, base, 64)
	if err != nil || n < -1<<31 || n > 1<<32-1 {
		return 0, false
	}
	return FaultCode(uint32(n)), true //nolint:gosec // an HRESULT may be written as the negative number that it is
}

func (r *faultReader) wmi(d *Decoder) {
	w := &WMIError{}
	number := func(dst *uint32) {
		s, _ := d.Value()
		if code, ok := parseCode(s); ok {
			*dst = uint32(code)
		}
	}
	for n := range d.Children() {
		if isNil(d) {
			continue
		}
		switch n.Local {
		case "CIMStatusCode", "StatusCode":
			number(&w.StatusCode)
		case "error_Code":
			number(&w.Code)
		case "error_Category":
			number(&w.Category)
		case "error_Type":
			w.Type, _ = d.Value()
		case "Message", "Description":
			w.Message, _ = d.Value()
		case "MessageID":
			w.MessageID, _ = d.Value()
		case "Operation":
			w.Operation, _ = d.Value()
		case "ParameterInfo":
			w.Parameter, _ = d.Value()
		case "ProviderName":
			w.Provider, _ = d.Value()
		}
	}
	r.fault.WMI = w
	r.message([]byte(w.Message))
}

// settle finds the code of a fault that came without WSManFault.
func (r *faultReader) settle() {
	f := r.fault
	if f.Code == 0 && f.WMI != nil {
		f.Code = f.WMI.code()
	}
	if f.Code == 0 {
		f.Code = codeOf(f.Subcode, f.Detail)
	}
}

// code prefers the HRESULT in MessageID: error_Code has been seen to hold it
// too, but not for every kind of error.
func (w *WMIError) code() FaultCode {
	if hex, ok := strings.CutPrefix(w.MessageID, "HRESULT "); ok {
		if code, ok := parseCode(strings.TrimSpace(hex)); ok {
			return code
		}
	}
	return FaultCode(w.Code)
}

// isNil says whether the element just entered is a null (xsi:nil).
func isNil(d *Decoder) bool { return boolAttr(d, NSSchemaInstance, "nil") }

// Encode writes the fault as an s:Fault, for servers. The message goes out
// with [Fault.MessageAction].
func (f *Fault) Encode(e *Encoder) {
	e.Start("s:Fault")
	e.Start("s:Code")
	if f.Sender {
		e.Element("s:Value", "s:Sender")
	} else {
		e.Element("s:Value", "s:Receiver")
	}
	if f.Subcode.Local != "" {
		e.Start("s:Subcode")
		e.Start("s:Value")
		prefix := prefixOf[f.Subcode.Space]
		if prefix == "" {
			prefix = "sub"
		}
		e.Namespace(prefix, f.Subcode.Space)
		e.Text(prefix + ":" + f.Subcode.Local)
		e.End()
		e.End()
	}
	e.End()
	e.Start("s:Reason")
	e.Start("s:Text")
	e.Attr("xml:lang", "en-US")
	e.Text(f.Reason)
	e.End()
	e.End()
	f.encodeDetail(e)
	e.End()
}

var prefixOf = map[string]string{
	NSEnvelope: "s", NSAddressing: "a", NSWSMan: "w", NSMicrosoft: "p", NSTransfer: "x", NSEnumeration: "n", NSEventing: "e",
}

func (f *Fault) encodeDetail(e *Encoder) {
	if f.Detail == "" && f.Code == 0 {
		return
	}
	e.Start("s:Detail")
	if f.Detail != "" {
		e.Element("w:FaultDetail", faultDetailURI+f.Detail)
	}
	if f.Code != 0 {
		e.Start("f:WSManFault")
		e.Namespace("f", NSFault)
		e.Attr("Code", strconv.FormatUint(uint64(f.Code), 10))
		e.Attr("Machine", f.Machine)
		e.Start("f:Message")
		if f.Provider != "" {
			e.Start("f:ProviderFault")
			e.Attr("provider", f.Provider)
			e.Text(f.Message)
			e.End()
		} else {
			e.Text(f.Message)
		}
		e.End()
		e.End()
	}
	e.End()
}

// MessageAction is the action of a message that carries the fault.
func (f *Fault) MessageAction() string {
	switch f.Subcode.Space {
	case NSAddressing:
		return ActionAddressingFault
	case NSTransfer, NSEnumeration, NSEventing:
		return f.Subcode.Space + "/fault"
	}
	return ActionFault
}

// oneLine makes a text of a server fit for an error message.
func oneLine(s string, limit int) string {
	s = s[:min(len(s), 4*limit)]
	var b strings.Builder
	for _, word := range strings.FieldsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7F || r >= 0x80 && r <= 0x9F || r == 0x2028 || r == 0x2029
	}) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		if room := max(0, limit-b.Len()); len(word) > room {
			b.WriteString(strings.ToValidUTF8(word[:room], "?") + "...")
			break
		}
		b.WriteString(strings.ToValidUTF8(word, "?"))
	}
	return b.String()
}
