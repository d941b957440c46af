package wsman

import (
	"strconv"
	"strings"
	"time"
)

// Header is what the SOAP header of a message says, request or answer. A zero
// field is a header block that is absent.
//
// [WriteEnvelope] and [ReadEnvelope] speak both roles: a client writes a Header
// with Action, To, ReplyTo and a Resource, a server one with Action, To and
// RelatesTo. See [MS-WSMV] section 2.2.4 for the blocks.
type Header struct {
	Action    string
	To        string
	ReplyTo   string // address of a:ReplyTo
	FaultTo   string // address of a:FaultTo
	MessageID string
	RelatesTo string // MessageID of the request that this answers

	Resource         Resource
	OperationTimeout time.Duration
	MaxEnvelopeSize  int
	Locale           string // w:Locale, language of texts
	DataLocale       string // p:DataLocale, language of numbers and dates

	SessionID   string // p:SessionId
	OperationID string // p:OperationID
	SequenceID  uint64 // p:SequenceId
	ActivityID  string // p:ActivityId

	Fragment        string // w:FragmentTransfer, the path
	FragmentDialect string

	// Compression is the text of rsp:CompressionType.
	Compression string

	// LocaleRequired says that w:Locale or p:DataLocale came with mustUnderstand,
	// which WinRM refuses (2150858887). WriteEnvelope ignores it.
	LocaleRequired bool

	// Unknown lists the blocks that the other side wants understood and that
	// ReadEnvelope does not know. WriteEnvelope ignores it.
	Unknown []Name

	// Extra writes further header blocks. ReadEnvelope leaves it nil.
	Extra func(*Encoder)
}

// WriteEnvelope appends one whole message. body writes the content of the
// s:Body; nil leaves it empty. The prefixes s, a, w and p are declared at the
// root; body and h.Extra declare what else they use.
func WriteEnvelope(e *Encoder, h *Header, body func(*Encoder)) {
	e.Start("s:Envelope")
	e.Namespace("s", NSEnvelope)
	e.Namespace("a", NSAddressing)
	e.Namespace("w", NSWSMan)
	e.Namespace("p", NSMicrosoft)
	e.Start("s:Header")
	h.encode(e)
	e.End()
	e.Start("s:Body")
	if body != nil {
		body(e)
	}
	e.End()
	e.End()
}

// encode writes the blocks in the order that Windows clients use.
func (h *Header) encode(e *Encoder) {
	request := ""
	if h.RelatesTo == "" {
		request = "true"
	}
	encodeBlock(e, "a:Action", h.Action, request)
	encodeLocale(e, "p:DataLocale", h.DataLocale)
	encodeLocale(e, "w:Locale", h.Locale)
	if h.MaxEnvelopeSize > 0 {
		e.Start("w:MaxEnvelopeSize")
		e.Attr("s:mustUnderstand", "true")
		e.Uint(uint64(h.MaxEnvelopeSize))
		e.End()
	}
	encodeBlock(e, "a:MessageID", h.MessageID, "")
	if h.OperationTimeout != 0 {
		e.Start("w:OperationTimeout")
		e.duration(h.OperationTimeout)
		e.End()
	}
	encodeBlock(e, "p:ActivityId", h.ActivityID, "")
	encodeBlock(e, "p:OperationID", h.OperationID, "false")
	if h.SequenceID != 0 {
		encodeBlock(e, "p:SequenceId", strconv.FormatUint(h.SequenceID, 10), "false")
	}
	encodeAddress(e, "a:ReplyTo", h.ReplyTo)
	encodeAddress(e, "a:FaultTo", h.FaultTo)
	encodeBlock(e, "w:ResourceURI", h.Resource.URI, "true")
	encodeBlock(e, "p:SessionId", h.SessionID, "false")
	encodeBlock(e, "a:To", h.To, "")
	encodeBlock(e, "a:RelatesTo", h.RelatesTo, "")
	if h.Fragment != "" {
		e.Start("w:FragmentTransfer")
		e.Attr("s:mustUnderstand", "true")
		if h.FragmentDialect != "" {
			e.Attr("Dialect", h.FragmentDialect)
		}
		e.Text(h.Fragment)
		e.End()
	}
	if h.Compression != "" {
		e.Start("rsp:CompressionType")
		e.Namespace("rsp", NSShell)
		e.Attr("s:mustUnderstand", "true")
		e.Text(h.Compression)
		e.End()
	}
	encodeOptions(e, h.Resource.Options)
	encodeSelectors(e, h.Resource.Selectors)
	if h.Extra != nil {
		h.Extra(e)
	}
}

// encodeBlock writes a header block that is text, unless the text is empty.
func encodeBlock(e *Encoder, name, text, mustUnderstand string) {
	if text == "" {
		return
	}
	e.Start(name)
	if mustUnderstand != "" {
		e.Attr("s:mustUnderstand", mustUnderstand)
	}
	e.Text(text)
	e.End()
}

// encodeLocale writes a locale. To insist on it is a fault ([MS-WSMV] section
// 3.1.4.1.10).
func encodeLocale(e *Encoder, name, tag string) {
	if tag == "" {
		return
	}
	e.Start(name)
	e.Attr("s:mustUnderstand", "false")
	e.Attr("xml:lang", tag)
	e.End()
}

// encodeAddress writes where answers go.
func encodeAddress(e *Encoder, name, uri string) {
	if uri == "" {
		return
	}
	e.Start(name)
	encodeBlock(e, "a:Address", uri, "true")
	e.End()
}

// EnvelopeError says that a document is well-formed XML, but no SOAP 1.2
// message, or one whose header cannot be understood.
type EnvelopeError struct {
	Block string // the header block, if one is to blame
	Msg   string
}

func (e *EnvelopeError) Error() string {
	if e.Block != "" {
		return "wsman: header block " + e.Block + ": " + e.Msg
	}
	return "wsman: " + e.Msg
}

// ReadEnvelope reads the header of a message. Afterwards the current element
// of d is the s:Body; its children are the message. The caller reads them and
// calls [Decoder.Finish], which verifies the document to its end.
func ReadEnvelope(d *Decoder) (Header, error) { return readEnvelope(d, false) }

// readEnvelope is ReadEnvelope. With bare, an envelope without a body has what
// stands in it, the header aside, for one.
func readEnvelope(d *Decoder, bare bool) (Header, error) {
	var h Header
	root, err := d.Root()
	if err != nil {
		return h, err
	}
	if root != (Name{NSEnvelope, "Envelope"}) {
		return h, &EnvelopeError{Msg: "the document is " + root.String() + ", not a SOAP 1.2 envelope"}
	}
	var stray Decoder // before the first element that has no business here
	for {
		before := *d
		n, ok := d.NextChild()
		if !ok {
			switch err := d.Err(); {
			case err != nil:
				return h, err
			case stray.rooted:
				*d = stray
				return h, nil
			}
			return h, &EnvelopeError{Msg: "the envelope has no body"}
		}
		switch n {
		case Name{NSEnvelope, "Header"}:
			err = h.decode(d)
		case Name{NSEnvelope, "Body"}:
			return h, nil
		default:
			if bare && !stray.rooted {
				stray = before
			}
			err = d.Skip()
		}
		if err != nil {
			return h, err
		}
	}
}

func (h *Header) decode(d *Decoder) error {
	var bad error
	for n := range d.Children() {
		must := boolAttr(d, NSEnvelope, "mustUnderstand") || attrIs(d, NSEnvelope, "mustUnderstand", "1")
		known, err := h.decodeBlock(d, n)
		if err != nil && bad == nil {
			bad = err
		}
		switch {
		case !known && must:
			h.Unknown = append(h.Unknown, n)
		case must && (n.Local == "Locale" || n.Local == "DataLocale"):
			h.LocaleRequired = true
		}
	}
	if err := d.Err(); err != nil {
		return err
	}
	return bad
}

// decodeBlock reads one header block, if it knows it.
func (h *Header) decodeBlock(d *Decoder, n Name) (known bool, err error) {
	text := func(dst *string) { *dst, _ = d.Value() }
	number := func(bits int) (v uint64) {
		var s string
		text(&s)
		v, perr := strconv.ParseUint(s, 10, bits)
		if perr != nil {
			err = &EnvelopeError{Block: n.Local, Msg: "not a number"}
		}
		return v
	}
	switch n {
	case Name{NSAddressing, "Action"}:
		text(&h.Action)
	case Name{NSAddressing, "To"}:
		text(&h.To)
	case Name{NSAddressing, "MessageID"}:
		text(&h.MessageID)
	case Name{NSAddressing, "RelatesTo"}:
		text(&h.RelatesTo)
	case Name{NSAddressing, "ReplyTo"}:
		h.ReplyTo = decodeAddress(d)
	case Name{NSAddressing, "FaultTo"}:
		h.FaultTo = decodeAddress(d)
	case Name{NSWSMan, "ResourceURI"}:
		text(&h.Resource.URI)
	case Name{NSWSMan, "SelectorSet"}:
		h.Resource.Selectors = decodeSelectors(d)
	case Name{NSWSMan, "OptionSet"}:
		h.Resource.Options = decodeOptions(d)
	case Name{NSWSMan, "OperationTimeout"}:
		var s string
		text(&s)
		var perr error
		if h.OperationTimeout, perr = ParseDuration(s); perr != nil && d.Err() == nil {
			err = &EnvelopeError{Block: n.Local, Msg: "not a duration"}
		}
	case Name{NSWSMan, "MaxEnvelopeSize"}:
		h.MaxEnvelopeSize = int(number(31))
	case Name{NSWSMan, "Locale"}:
		h.Locale, _ = d.Attr(NSXML, "lang")
	case Name{NSMicrosoft, "DataLocale"}:
		h.DataLocale, _ = d.Attr(NSXML, "lang")
	case Name{NSMicrosoft, "SessionId"}:
		text(&h.SessionID)
	case Name{NSMicrosoft, "OperationID"}:
		text(&h.OperationID)
	case Name{NSMicrosoft, "SequenceId"}:
		h.SequenceID = number(64)
	case Name{NSMicrosoft, "ActivityId"}:
		text(&h.ActivityID)
	case Name{NSWSMan, "FragmentTransfer"}:
		h.FragmentDialect, _ = d.Attr("", "Dialect")
		text(&h.Fragment)
	case Name{NSShell, "CompressionType"}:
		text(&h.Compression)
	default:
		return false, nil
	}
	return true, err
}

func decodeAddress(d *Decoder) (address string) {
	for n := range d.Children() {
		if n == (Name{NSAddressing, "Address"}) {
			address, _ = d.Value()
		}
	}
	return address
}

func attrIs(d *Decoder, space, local, want string) bool {
	v, ok := d.Attr(space, local)
	return ok && v == want
}

func isTrue(s string) bool { return s == "1" || equalFold(s, "true") }

func equalFold(a, b string) bool { return a == b || strings.EqualFold(a, b) }
