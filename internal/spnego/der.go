package spnego

import (
	"math"
	"strconv"
	"strings"
)

// Tags of DER that SPNEGO uses.
const (
	tagOctetString = 0x04
	tagOID         = 0x06
	tagEnumerated  = 0x0a
	tagSequence    = 0x30
	tagApplication = 0x60 // [APPLICATION 0] of RFC 2743 section 3.1
	tagContext     = 0xa0 // [0], [1], ... are this and the number
)

// readTLV cuts the first element from p. Lengths may be written longer than
// need be, as BER allows, but not open ended.
func readTLV(p []byte) (tag byte, value, rest []byte, ok bool) {
	if len(p) < 2 || p[0]&0x1f == 0x1f {
		return 0, nil, nil, false
	}
	tag, n, p := p[0], int(p[1]), p[2:]
	if n >= 0x80 {
		size := n & 0x7f
		if size == 0 || size > 4 || size > len(p) {
			return 0, nil, nil, false
		}
		n = 0
		for _, b := range p[:size] {
			if n > math.MaxInt32>>8 {
				return 0, nil, nil, false
			}
			n = n<<8 | int(b)
		}
		p = p[size:]
	}
	if n > len(p) {
		return 0, nil, nil, false
	}
	return tag, p[:n:n], p[n:], true
}

// readOnly reads an element of the given tag that is all of p.
func readOnly(p []byte, want byte) ([]byte, bool) {
	tag, value, rest, ok := readTLV(p)
	return value, ok && tag == want && len(rest) == 0
}

// appendTLV appends an element whose value is the parts one after the other.
func appendTLV(dst []byte, tag byte, parts ...[]byte) []byte {
	n := 0
	for _, part := range parts {
		n += len(part)
	}
	dst = append(dst, tag)
	switch {
	case n < 0x80:
		dst = append(dst, byte(n))
	case n < 1<<8:
		dst = append(dst, 0x81, byte(n))
	case n < 1<<16:
		dst = append(dst, 0x82, byte(n>>8), byte(n))
	default:
		dst = append(dst, 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	for _, part := range parts {
		dst = append(dst, part...)
	}
	return dst
}

// appendExplicit appends [number] around one element.
func appendExplicit(dst []byte, number, tag byte, value []byte) []byte {
	return appendTLV(dst, tagContext+number, appendTLV(nil, tag, value))
}

// maxArcs bounds an object identifier.
const maxArcs = 32

// decodeOID turns the content of an OBJECT IDENTIFIER into dotted form.
func decodeOID(p []byte) (string, bool) {
	if len(p) == 0 || p[len(p)-1]&0x80 != 0 {
		return "", false
	}
	var text []byte
	arcs := 0
	for value := uint64(0); len(p) > 0; p = p[1:] {
		if value > math.MaxUint32 || value == 0 && p[0] == 0x80 {
			return "", false
		}
		value = value<<7 | uint64(p[0]&0x7f)
		if p[0]&0x80 != 0 {
			continue
		}
		if arcs == 0 {
			first := min(value/40, 2)
			text = strconv.AppendUint(text, first, 10)
			value -= first * 40
		}
		if value > math.MaxUint32 { // encodeOID takes no more either
			return "", false
		}
		text = strconv.AppendUint(append(text, '.'), value, 10)
		if arcs++; arcs > maxArcs {
			return "", false
		}
		value = 0
	}
	return string(text), true
}

// encodeOID is the way back, for identifiers that mechanisms name. What is not
// one becomes empty, which no peer takes for a mechanism.
func encodeOID(dotted string) []byte {
	var arcs []uint64
	for arc := range strings.SplitSeq(dotted, ".") {
		n, err := strconv.ParseUint(arc, 10, 32)
		if err != nil {
			return nil
		}
		arcs = append(arcs, n)
	}
	if len(arcs) < 2 || arcs[0] > 2 {
		return nil
	}
	arcs[1] += arcs[0] * 40
	var out []byte
	for _, n := range arcs[1:] {
		var septets []byte
		for more := byte(0); ; more = 0x80 {
			septets = append([]byte{byte(n&0x7f) | more}, septets...)
			if n >>= 7; n == 0 {
				break
			}
		}
		out = append(out, septets...)
	}
	return out
}
