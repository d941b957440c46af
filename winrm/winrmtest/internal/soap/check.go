package soap

import (
	"strconv"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/wsman"
)

// minEnvelopeSize is the least MaxEnvelopeSize a client may ask for
// ([MS-WSMV] section 3.1.4.1.8).
const minEnvelopeSize = 8192

// Check tests the headers in the order in which Windows complains about them,
// and fills OperationTimeout and MaxEnvelopeSize.
func (r *Request) Check() *Fault {
	switch {
	case r.raw.notUnderstood != "":
		return Newf(SoapMustUnderstand, "The header %s is not understood.", r.raw.notUnderstood)
	case r.raw.duplicate:
		return New(InvalidMessageHeader, "A header occurs more than once.")
	case r.Action == "":
		return New(MessageHeaderRequired, "The header Action is missing.")
	case !r.raw.seen["MessageID"]:
		return New(MessageHeaderRequired, "The header MessageID is missing.")
	case r.MessageID == "" || len(r.MessageID) > 2048:
		return New(InvalidMessageHeader, "The MessageID is empty or too long.")
	case !r.raw.seen["ReplyTo"]:
		return New(MessageHeaderRequired, "The header ReplyTo is missing.")
	case r.ReplyTo != wsman.AddressAnonymous || r.raw.faultTo != "" && r.raw.faultTo != wsman.AddressAnonymous:
		return New(AddressingModeUnsupported, "")
	case r.raw.localeMust != "":
		f := New(MustUnderstandOnLocale, "The header "+r.raw.localeMust+" must not be marked mustUnderstand.")
		f.Detail = r.raw.localeMust
		return f
	case r.raw.seen["FragmentTransfer"] && !r.raw.fragmentMust:
		return New(InvalidMessageHeader, "FragmentTransfer must be marked mustUnderstand.")
	case len(r.ActivityID) > 2048:
		return New(InvalidMessageHeader, "The ActivityId is too long.")
	case r.ResourceURI == "":
		return New(InvalidResourceURI, "The resource URI is missing.")
	}
	if f := r.checkNumbers(); f != nil {
		return f
	}
	return r.checkPairs()
}

func (r *Request) checkNumbers() *Fault {
	if r.raw.seen["OperationTimeout"] {
		d, err := wsman.ParseDuration(r.raw.timeoutText)
		if err != nil || d < 0 {
			return New(InvalidMessageHeader, "The OperationTimeout "+strconv.Quote(r.raw.timeoutText)+" is no valid duration.")
		}
		r.OperationTimeout = max(d, time.Millisecond)
	}
	if r.raw.seen["MaxEnvelopeSize"] {
		n, err := strconv.ParseUint(r.raw.sizeText, 10, 63)
		if err != nil {
			return New(InvalidMessageHeader, "The MaxEnvelopeSize is no number.")
		}
		if n < minEnvelopeSize {
			return New(MinEnvelopeSize, "")
		}
		r.MaxEnvelopeSize = int(min(n, 1<<31-1))
	}
	return nil
}

func (r *Request) checkPairs() *Fault {
	for i, p := range r.Selectors {
		for _, q := range r.Selectors[:i] {
			if strings.EqualFold(p.Name, q.Name) {
				return Newf(DuplicateSelectors, "The selector %q occurs more than once.", p.Name)
			}
		}
	}
	return nil
}
