// Package soap reads the envelopes of requests and writes those of answers, the
// accepting side of WS-Management.
//
// Sources: [MS-WSMV] sections 2.2.4 and 3.1.4.1; DSP0226.
package soap

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/wsman"
)

// NSIdentifyTypo is the namespace of Identify as the table in [MS-WSMV] section
// 2.2.1, and clients that copied it, spell it.
const NSIdentifyTypo = "http://schemas.dmtf.org/wbem/wsman/identify/1/wsmanidentity.xsd"

// Pair is a selector.
type Pair struct{ Name, Value string }

// Option is one entry of the OptionSet.
type Option struct {
	Name, Value string
	MustComply  bool
	Nil         bool
}

// A Request is an envelope whose header has been read.
type Request struct {
	Identify bool // the body is wsmid:Identify; nothing else is set

	Action, ResourceURI, MessageID string
	To, ReplyTo                    string
	SessionID, OperationID         string
	ActivityID                     string
	Identifier                     string // of a subscription
	Locale, DataLocale             string
	Selectors                      []Pair
	Options                        []Option
	Fragment, FragmentDialect      string
	Compression                    string
	// MaxEnvelopeSize and OperationTimeout are 0 when the header is absent.
	MaxEnvelopeSize  int
	OperationTimeout time.Duration

	dec    *wsman.Decoder
	raw    headers
	inBody bool
}

// headers keeps what the checks need beyond the values.
type headers struct {
	seen          map[string]bool
	notUnderstood string
	localeMust    string // "Locale" or "DataLocale"
	faultTo       string
	timeoutText   string
	sizeText      string
	fragmentMust  bool
	duplicate     bool
}

// ErrNotEnvelope says that the body is XML but no SOAP 1.2 envelope.
var ErrNotEnvelope = errors.New("soap: not an envelope")

// Parse reads the header of an envelope. It owns data. The error is of the
// decoder or ErrNotEnvelope; what is wrong with headers is told by Check.
func Parse(data []byte, limit int) (*Request, error) {
	r := &Request{raw: headers{seen: make(map[string]bool, 16)}}
	r.dec = wsman.NewDecoderLimits(data, wsman.Limits{Size: limit, Depth: 64})
	root, err := r.dec.Root()
	if err != nil {
		return nil, err
	}
	if root != (wsman.Name{Space: wsman.NSEnvelope, Local: "Envelope"}) {
		return nil, ErrNotEnvelope
	}
	for {
		name, ok := r.dec.NextChild()
		if !ok {
			if err := r.dec.Err(); err != nil {
				return nil, err
			}
			return nil, ErrNotEnvelope
		}
		switch name {
		case wsman.Name{Space: wsman.NSEnvelope, Local: "Header"}:
			for child := range r.dec.Children() {
				r.header(child)
			}
		case wsman.Name{Space: wsman.NSEnvelope, Local: "Body"}:
			r.inBody = true
			return r, r.identify()
		default:
			// Windows reads over what stands beside the header: winrm-rs writes the
			// OptionSet of its shells there and runs against Windows.
			if err := r.dec.Skip(); err != nil {
				return nil, err
			}
		}
	}
}

// identify looks whether a request without action is an Identify.
func (r *Request) identify() error {
	if r.Action != "" {
		return nil
	}
	for name := range r.dec.Children() {
		if name.Local == "Identify" && (name.Space == wsman.NSIdentify || name.Space == NSIdentifyTypo) {
			r.Identify = true
		}
	}
	r.inBody = false
	return r.dec.Finish()
}

func (r *Request) header(name wsman.Name) {
	must := r.mustUnderstand()
	if r.raw.seen[name.Local] && name.Space != "" && knownHeader(name) {
		r.raw.duplicate = true
	}
	switch name.Space {
	case wsman.NSAddressing:
		must = r.addressing(name.Local, must)
	case wsman.NSWSMan:
		must = r.wsman(name.Local, must)
	case wsman.NSMicrosoft:
		must = r.microsoft(name.Local, must)
	case wsman.NSEventing:
		if name.Local == "Identifier" {
			r.Identifier, _ = r.dec.Value()
			must = false
		}
	case wsman.NSShell:
		if name.Local == "CompressionType" {
			r.Compression, _ = r.dec.Value()
			must = false
		}
	}
	if knownHeader(name) {
		r.raw.seen[name.Local] = true
	}
	if must && r.raw.notUnderstood == "" {
		r.raw.notUnderstood = name.Local
	}
}

func knownHeader(name wsman.Name) bool {
	switch name.Space {
	case wsman.NSAddressing, wsman.NSWSMan, wsman.NSMicrosoft:
		return true
	}
	return false
}

func (r *Request) mustUnderstand() bool {
	v, _ := r.dec.Attr(wsman.NSEnvelope, "mustUnderstand")
	return ParseBool(v)
}

// addressing reads a header of WS-Addressing. It reports whether the header is
// one that must be understood and is not.
func (r *Request) addressing(local string, must bool) bool {
	switch local {
	case "Action":
		r.Action, _ = r.dec.Value()
	case "MessageID":
		r.MessageID, _ = r.dec.Value()
	case "To":
		r.To, _ = r.dec.Value()
	case "ReplyTo":
		r.ReplyTo = r.address()
	case "FaultTo":
		r.raw.faultTo = r.address()
	case "From", "RelatesTo":
	default:
		return must
	}
	return false
}

func (r *Request) address() (uri string) {
	for child := range r.dec.Children() {
		if child == (wsman.Name{Space: wsman.NSAddressing, Local: "Address"}) {
			uri, _ = r.dec.Value()
		}
	}
	return uri
}

func (r *Request) wsman(local string, must bool) bool {
	switch local {
	case "ResourceURI":
		r.ResourceURI, _ = r.dec.Value()
	case "OperationTimeout":
		r.raw.timeoutText, _ = r.dec.Value()
	case "MaxEnvelopeSize":
		r.raw.sizeText, _ = r.dec.Value()
	case "Locale":
		r.Locale, _ = r.dec.Attr(wsman.NSXML, "lang")
		if must {
			r.raw.localeMust = local
		}
	case "SelectorSet":
		r.Selectors = ReadSelectors(r.dec, r.Selectors)
	case "OptionSet":
		r.optionSet()
	case "FragmentTransfer":
		r.raw.fragmentMust = must
		r.FragmentDialect, _ = r.dec.Attr("", "Dialect")
		r.Fragment, _ = r.dec.Value()
	case "RequestEPR", "RequestTotalItemsCountEstimate":
	default:
		return must
	}
	return false
}

func (r *Request) microsoft(local string, must bool) bool {
	switch local {
	case "SessionId":
		r.SessionID, _ = r.dec.Value()
	case "OperationID":
		r.OperationID, _ = r.dec.Value()
	case "ActivityId":
		r.ActivityID, _ = r.dec.Value()
	case "DataLocale":
		r.DataLocale, _ = r.dec.Attr(wsman.NSXML, "lang")
		if must {
			r.raw.localeMust = local
		}
	case "SequenceId", "FullDuplex":
	default:
		return must
	}
	return false
}

// maxPairs bounds selectors and options of one request.
const maxPairs = 256

// ReadSelectors appends the selectors of the SelectorSet just entered.
func ReadSelectors(d *wsman.Decoder, list []Pair) []Pair {
	for child := range d.Children() {
		if child.Local != "Selector" || len(list) >= maxPairs {
			continue
		}
		name, _ := d.Attr("", "Name")
		value, err := d.Value()
		if err != nil {
			return list
		}
		list = append(list, Pair{Name: name, Value: value})
	}
	return list
}

func (r *Request) optionSet() {
	for child := range r.dec.Children() {
		if child.Local != "Option" || len(r.Options) >= maxPairs {
			continue
		}
		var o Option
		o.Name, _ = r.dec.Attr("", "Name")
		must, _ := r.dec.Attr("", "MustComply")
		isNil, _ := r.dec.Attr(wsman.NSSchemaInstance, "nil")
		o.MustComply, o.Nil = ParseBool(must), ParseBool(isNil)
		value, err := r.dec.Text()
		if err != nil {
			return
		}
		o.Value = string(value)
		r.Options = append(r.Options, o)
	}
}

// Selector returns the value of a selector; names are compared without case, as
// WinRM does.
func (r *Request) Selector(name string) (string, bool) {
	for _, p := range r.Selectors {
		if strings.EqualFold(p.Name, name) {
			return p.Value, true
		}
	}
	return "", false
}

// Option returns the value of an option.
func (r *Request) Option(name string) (string, bool) {
	for _, o := range r.Options {
		if strings.EqualFold(o.Name, name) {
			return o.Value, true
		}
	}
	return "", false
}

// OptionTrue reports whether an option is set to a true value.
func (r *Request) OptionTrue(name string) bool {
	v, _ := r.Option(name)
	return ParseBool(v)
}

// Body lets fn read the children of the body and then the document to its end,
// so that nothing is acted on before all of it was seen.
func (r *Request) Body(fn func(*wsman.Decoder)) error {
	if r.inBody {
		r.inBody = false
		fn(r.dec)
	}
	return r.dec.Finish()
}

// ParseBool reads xs:boolean, and True and False as some clients write it.
func ParseBool(s string) bool { return s == "1" || strings.EqualFold(s, "true") }

// ResourceIs compares resource URIs without case.
func (r *Request) ResourceIs(uris ...string) bool {
	return slices.ContainsFunc(uris, func(u string) bool { return strings.EqualFold(u, r.ResourceURI) })
}
