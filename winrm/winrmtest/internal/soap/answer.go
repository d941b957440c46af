package soap

import (
	"crypto/rand"
	"fmt"

	"github.com/winrmkit/winrmkit/wsman"
)

// ContentType is the media type of every answer.
const ContentType = wsman.ContentType

// NewUUID returns a random UUID in the form that Windows writes, upper case.
func NewUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// ValidUUID reports whether s is a UUID, in braces or not.
func ValidUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			hex := c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
			if !hex {
				return false
			}
		}
	}
	return true
}

// Begin writes the envelope up to and into its body. End closes it. The
// prefixes s, a, w, p, x, n, e, rsp and xsi are declared.
func Begin(e *wsman.Encoder, action, relatesTo, activityID string) {
	e.Start("s:Envelope")
	e.Attr("xml:lang", "en-US")
	e.Namespace("s", wsman.NSEnvelope)
	e.Namespace("a", wsman.NSAddressing)
	e.Namespace("x", wsman.NSTransfer)
	e.Namespace("n", wsman.NSEnumeration)
	e.Namespace("e", wsman.NSEventing)
	e.Namespace("w", wsman.NSWSMan)
	e.Namespace("p", wsman.NSMicrosoft)
	e.Namespace("rsp", wsman.NSShell)
	e.Namespace("xsi", wsman.NSSchemaInstance)
	e.Start("s:Header")
	if action != "" {
		e.Element("a:Action", action)
		e.Element("a:MessageID", "uuid:"+NewUUID())
		if activityID != "" {
			e.Element("p:ActivityId", activityID)
		}
		e.Element("a:To", wsman.AddressAnonymous)
		if relatesTo != "" {
			e.Element("a:RelatesTo", relatesTo)
		}
	}
	e.End()
	e.Start("s:Body")
}

// End closes what Begin has opened.
func End(e *wsman.Encoder) {
	e.End()
	e.End()
}

// Reference writes an endpoint reference with reference parameters, without an
// element around it, as ResourceCreated holds it.
func Reference(e *wsman.Encoder, address, uri string, selectors []Pair) {
	e.Element("a:Address", address)
	e.Start("a:ReferenceParameters")
	e.Element("w:ResourceURI", uri)
	if len(selectors) > 0 {
		e.Start("w:SelectorSet")
		for _, p := range selectors {
			e.Start("w:Selector")
			e.Attr("Name", p.Name)
			e.Text(p.Value)
			e.End()
		}
		e.End()
	}
	e.End()
}
