package soap

import (
	"fmt"
	"strconv"

	"github.com/winrmkit/winrmkit/wsman"
)

// A Fault is a SOAP fault as WinRM gives it.
type Fault struct {
	Code     uint32
	Subcode  string // "w:InvalidSelectors"; "" for a bare code such as s:MustUnderstand
	Detail   string // last word of the faultDetail URI
	Receiver bool
	Text     string
	Provider string // name of the provider that failed, for the nested form
	WMI      bool   // the detail is an MSFT_WmiError instead of a WSManFault
}

func (f *Fault) Error() string { return fmt.Sprintf("soap fault %d (%s)", f.Code, f.Text) }

// New returns the fault of a code with the subcode and text that belong to it.
// text replaces the text when it is not empty.
func New(code uint32, text string) *Fault {
	m, ok := meanings[code]
	if !ok {
		m = meaning{subcode: "w:InternalError", receiver: true, text: fmt.Sprintf("Error 0x%08X.", code)}
	}
	if text == "" {
		text = m.text
	}
	return &Fault{Code: code, Subcode: m.subcode, Detail: m.detail, Receiver: m.receiver, Text: text}
}

// Newf is New with a formatted text.
func Newf(code uint32, format string, args ...any) *Fault {
	return New(code, fmt.Sprintf(format, args...))
}

// Malformed is the fault of a body that is not XML or not what it has to be.
func Malformed(err error) *Fault {
	return New(SchemaValidation, "The message cannot be read: "+err.Error())
}

const (
	faultDetail = "http://schemas.dmtf.org/wbem/wsman/1/wsman/faultDetail/"
	nsWMIError  = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/microsoft/windows/management/MSFT_WmiError"
)

// Action is the action URI of the answer that carries the fault.
func (f *Fault) Action() string {
	if len(f.Subcode) > 2 && f.Subcode[:2] == "a:" {
		return wsman.ActionAddressingFault
	}
	return wsman.ActionFault
}

// Encode writes s:Fault.
func (f *Fault) Encode(e *wsman.Encoder, machine string) {
	value := "s:Sender"
	switch {
	case f.Subcode == "":
		value = "s:MustUnderstand"
	case f.Receiver:
		value = "s:Receiver"
	}
	e.Start("s:Fault")
	e.Start("s:Code")
	e.Element("s:Value", value)
	if f.Subcode != "" {
		e.Start("s:Subcode")
		e.Element("s:Value", f.Subcode)
		e.End()
	}
	e.End()
	e.Start("s:Reason")
	e.Start("s:Text")
	e.Attr("xml:lang", "en-US")
	e.Text(clean(f.Text))
	e.End()
	e.End()
	e.Start("s:Detail")
	if f.Detail != "" {
		e.Element("w:FaultDetail", faultDetail+f.Detail)
	}
	if f.WMI {
		f.encodeWMI(e)
	} else {
		f.encodeWSMan(e, machine)
	}
	e.End()
	e.End()
}

func (f *Fault) encodeWSMan(e *wsman.Encoder, machine string) {
	code := strconv.FormatUint(uint64(f.Code), 10)
	e.Start("f:WSManFault")
	e.Namespace("f", wsman.NSFault)
	e.Attr("Code", code)
	e.Attr("Machine", machine)
	e.Start("f:Message")
	if f.Provider == "" {
		e.Text(clean(f.Text))
	} else {
		e.Start("f:ProviderFault")
		e.Attr("provider", f.Provider)
		e.Attr("path", `%systemroot%\system32\winrscmd.dll`)
		e.Start("f:WSManFault")
		e.Attr("Code", code)
		e.Attr("Machine", machine)
		e.Element("f:Message", clean(f.Text))
		e.End()
		e.End()
	}
	e.End()
	e.End()
}

// encodeWMI writes the form that WMI's own errors have.
func (f *Fault) encodeWMI(e *wsman.Encoder) {
	e.Start("p:MSFT_WmiError")
	e.Namespace("p", nsWMIError)
	e.Attr("xml:lang", "en-US")
	e.Element("p:CIMStatusCode", "1")
	e.Element("p:Message", clean(f.Text))
	e.Element("p:MessageID", "HRESULT 0x"+strconv.FormatUint(uint64(f.Code), 16))
	e.Element("p:OwningEntity", "WinRM")
	e.Element("p:error_Category", "0")
	e.Element("p:error_Code", strconv.FormatUint(uint64(f.Code), 10))
	e.Element("p:error_Type", "HRESULT")
	e.End()
}

// clean makes any text fit for XML: it may quote what a client has sent.
func clean(s string) string {
	out := make([]rune, 0, len(s))
	for _, r := range s {
		if r < ' ' && r != '\n' && r != '\t' || r == 0xFFFE || r == 0xFFFF {
			r = '?'
		}
		out = append(out, r)
	}
	return string(out)
}
