package spnego

import "bytes"

// negState is how far the acceptor is. See RFC 4178 section 4.2.2.
type negState int

const (
	stateAbsent           negState = -1
	stateAcceptCompleted  negState = 0
	stateAcceptIncomplete negState = 1
	stateReject           negState = 2
	stateRequestMIC       negState = 3
)

// initToken is NegTokenInit of RFC 4178 section 4.2.1. From acceptors that speak
// first it is NegTokenInit2 of [MS-SPNG] section 2.2.1, with hints.
type initToken struct {
	mechTypes []string
	mechList  []byte // DER of mechTypes as they were sent: what is signed
	mechToken []byte
	hasToken  bool
	mic       []byte
}

// respToken is NegTokenResp of RFC 4178 section 4.2.2.
type respToken struct {
	state    negState
	mech     string // supportedMech
	token    []byte // responseToken
	hasToken bool
	mic      []byte // mechListMIC
}

// maxMechs bounds a list of mechanisms.
const maxMechs = 32

// encodeMechList is the DER of MechTypeList, the thing that is signed.
func encodeMechList(oids []string) []byte {
	var list []byte
	for _, oid := range oids {
		list = appendTLV(list, tagOID, encodeOID(oid))
	}
	return appendTLV(nil, tagSequence, list)
}

// encode returns the token in the frame of RFC 2743 section 3.1.
func (t *initToken) encode() []byte {
	seq := appendTLV(nil, tagContext+0, t.mechList)
	if t.hasToken {
		seq = appendExplicit(seq, 2, tagOctetString, t.mechToken)
	}
	if t.mic != nil {
		seq = appendExplicit(seq, 3, tagOctetString, t.mic)
	}
	body := appendTLV(nil, tagContext+0, appendTLV(nil, tagSequence, seq))
	return appendTLV(nil, tagApplication, appendTLV(nil, tagOID, encodeOID(OIDSPNEGO)), body)
}

func (t *respToken) encode() []byte {
	var seq []byte
	if t.state != stateAbsent {
		seq = appendExplicit(seq, 0, tagEnumerated, []byte{byte(t.state)})
	}
	if t.mech != "" {
		seq = appendExplicit(seq, 1, tagOID, encodeOID(t.mech))
	}
	if t.hasToken {
		seq = appendExplicit(seq, 2, tagOctetString, t.token)
	}
	if t.mic != nil {
		seq = appendExplicit(seq, 3, tagOctetString, t.mic)
	}
	return appendTLV(nil, tagContext+1, appendTLV(nil, tagSequence, seq))
}

// frameOID returns the mechanism that a token in the frame of RFC 2743 section
// 3.1 belongs to, and what the frame holds. SPNEGO's first token has the frame,
// and so has the first token of Kerberos without SPNEGO.
func frameOID(p []byte) (oid string, body []byte, ok bool) {
	inner, ok := readOnly(p, tagApplication)
	if !ok {
		return "", nil, false
	}
	tag, value, body, ok := readTLV(inner)
	if !ok || tag != tagOID {
		return "", nil, false
	}
	oid, ok = decodeOID(value)
	return oid, body, ok
}

func parseInit(p []byte) (*initToken, error) {
	if oid, body, ok := frameOID(p); ok && oid == OIDSPNEGO {
		p = body
	}
	seq, err := choice(p, 0)
	if err != nil {
		return nil, err
	}
	t := &initToken{}
	return t, fields(seq, func(number byte, p []byte) (ok bool) {
		switch number {
		case 0:
			t.mechList = p
			t.mechTypes, ok = parseMechList(p)
		case 1:
			return true // reqFlags: nobody uses them, RFC 4178 section 4.2.1
		case 2:
			t.mechToken, ok = readOnly(p, tagOctetString)
			t.hasToken = true
		case 3:
			// mechListMIC, or the hints of NegTokenInit2, which say nothing.
			if t.mic, ok = readOnly(p, tagOctetString); !ok {
				_, ok = readOnly(p, tagSequence)
				t.mic = nil
			}
		case 4:
			t.mic, ok = readOnly(p, tagOctetString) // where hints took its number
		}
		return ok
	})
}

func parseResp(p []byte) (*respToken, error) {
	seq, err := choice(p, 1)
	if err != nil {
		return nil, err
	}
	t := &respToken{state: stateAbsent}
	return t, fields(seq, func(number byte, p []byte) (ok bool) {
		var value []byte
		switch number {
		case 0:
			if value, ok = readOnly(p, tagEnumerated); ok {
				ok = len(value) == 1 && value[0] <= byte(stateRequestMIC)
			}
			if ok {
				t.state = negState(value[0])
			}
		case 1:
			if value, ok = readOnly(p, tagOID); ok {
				t.mech, ok = decodeOID(value)
			}
		case 2:
			t.token, ok = readOnly(p, tagOctetString)
			t.hasToken = true
		case 3:
			t.mic, ok = readOnly(p, tagOctetString)
			if len(t.mic) > 0 && bytes.Equal(t.mic, t.token) {
				// Windows 2000 put a copy of the token there (RFC 4178
				// appendix C). It is no MIC.
				t.mic = nil
			}
		}
		return ok
	})
}

// choice unwraps NegotiationToken: one of its alternatives and the sequence in
// it.
func choice(p []byte, number byte) ([]byte, error) {
	body, ok := readOnly(p, tagContext+number)
	if ok {
		body, ok = readOnly(body, tagSequence)
	}
	if !ok {
		return nil, &TokenError{[]string{"no NegTokenInit", "no NegTokenResp"}[number]}
	}
	return body, nil
}

// fields calls fn for each field of a sequence, [0], [1], ... in rising order.
func fields(seq []byte, fn func(number byte, p []byte) bool) error {
	for next := byte(tagContext); len(seq) > 0; {
		tag, value, rest, ok := readTLV(seq)
		if !ok || tag < next || tag > tagContext+4 {
			return &TokenError{"malformed sequence"}
		}
		if !fn(tag-tagContext, value) {
			return &TokenError{"malformed field"}
		}
		seq, next = rest, tag+1
	}
	return nil
}

func parseMechList(p []byte) ([]string, bool) {
	list, ok := readOnly(p, tagSequence)
	if !ok {
		return nil, false
	}
	var oids []string
	for len(list) > 0 {
		tag, value, rest, ok := readTLV(list)
		if !ok || tag != tagOID || len(oids) == maxMechs {
			return nil, false
		}
		oid, ok := decodeOID(value)
		if !ok {
			return nil, false
		}
		oids, list = append(oids, oid), rest
	}
	return oids, len(oids) > 0
}
