package httpseal

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
)

const (
	maxLine     = 1024 // bytes in a header line of a part
	maxHeaders  = 8    // header lines in a part
	maxBoundary = 70   // RFC 2046 section 5.1.1
)

// An Error tells why a body could not be sealed or opened.
type Error struct {
	Op     string // "seal" or "open"
	Offset int    // where in the body, when opening
	Reason string
	Err    error // the Sealer's error, if it is the cause
}

func (e *Error) Error() string {
	text := "httpseal: " + e.Op + ": " + e.Reason
	if e.Op == "open" {
		text += " at offset " + strconv.Itoa(e.Offset)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Open reads a sealed body, of one message or several, and returns what was
// sealed and its media type. It works in place: plain is a part of body, whose
// former content is gone.
func Open(s Sealer, contentType string, body []byte) (plain []byte, innerType string, err error) {
	return Format{}.Open(s, contentType, body)
}

// Open is like the function [Open], in the format f.
func (f Format) Open(s Sealer, contentType string, body []byte) (plain []byte, innerType string, err error) {
	params, err := parseContentType(contentType)
	if err != nil {
		return nil, "", err
	}
	protocol := s.Protocol()
	if params.protocol != "" && !strings.EqualFold(params.protocol, protocol) {
		return nil, "", &Error{Op: "open", Reason: "sealed with " + strconv.Quote(params.protocol) + ", not " + protocol}
	}
	o := opener{body: body, boundary: params.boundary, protocol: protocol}
	if err := o.findEnd(f.BareEnd); err != nil {
		return nil, "", err
	}
	first, err := o.next(s)
	if err != nil {
		return nil, "", err
	}
	if plain, err = f.openPart(s, first); err != nil || o.pos == o.end {
		return plain, first.innerType, err
	}
	// The pieces stand apart in body, in order: each moves to the front, over
	// what has been read already.
	n := copy(body, plain)
	for o.pos < o.end {
		part, err := o.next(s)
		if err != nil {
			return nil, "", err
		}
		if part.innerType != first.innerType {
			return nil, "", o.errorf("parts of different types")
		}
		if plain, err = f.openPart(s, part); err != nil {
			return nil, "", err
		}
		n += copy(body[n:], plain)
	}
	return body[:n], first.innerType, nil
}

// openPart decrypts one message and compares its length with the stated one:
// the plaintext's, or the plaintext's with the padding that the mechanism added,
// which is then the ciphertext's.
func (f Format) openPart(s Sealer, p part) ([]byte, error) {
	plain, err := s.Unwrap(p.sealed, p.tokenLen)
	if err != nil {
		return nil, &Error{Op: "open", Offset: p.at, Reason: "message", Err: err}
	}
	whole := len(plain)
	if whole > len(p.sealed) {
		return nil, &Error{Op: "open", Offset: p.at, Reason: "message longer than what was sealed"}
	}
	if f.TrimNUL {
		plain = trimNUL(plain, p.innerType)
	}
	between := p.length >= len(plain) && p.length <= whole
	if !between && p.length != len(p.sealed)-p.tokenLen {
		return nil, &Error{Op: "open", Offset: p.at, Reason: "length " + strconv.Itoa(p.length) +
			" stated, " + strconv.Itoa(whole) + " found"}
	}
	return plain, nil
}

// trimNUL takes the padding off. Half of a character of UTF-16 may be a NUL.
func trimNUL(plain []byte, mediaType string) []byte {
	n := len(bytes.TrimRight(plain, "\x00"))
	if n%2 != 0 && n < len(plain) && strings.Contains(strings.ToLower(mediaType), "utf-16") {
		n++
	}
	return plain[:n]
}

// An opener walks through a body. end is where the last message stops, which
// the closing delimiter at the end of the body tells.
type opener struct {
	body     []byte
	boundary string
	protocol string
	pos, end int
}

// A part is one sealed message with its description.
type part struct {
	innerType string
	length    int    // as OriginalContent states it
	tokenLen  int    //
	sealed    []byte // token and ciphertext
	at        int    // offset of sealed
}

func (o *opener) errorf(reason string) error {
	return &Error{Op: "open", Offset: o.pos, Reason: reason}
}

// findEnd finds the closing delimiter from the end of the body. With bare its
// dashes may be missing.
func (o *opener) findEnd(bare bool) error {
	rest := bytes.TrimRight(o.body, "\r\n \t")
	rest, ok := bytes.CutSuffix(rest, []byte("--"))
	if ok || bare {
		rest, ok = bytes.CutSuffix(rest, []byte(o.boundary))
	}
	if ok {
		rest = bytes.TrimSuffix(rest, []byte(" "))
		rest, ok = bytes.CutSuffix(rest, []byte("--"))
	}
	if !ok {
		o.pos = len(o.body)
		return o.errorf("no closing boundary")
	}
	o.end = len(rest)
	return nil
}

// next reads the pair of parts at pos and leaves pos at the next pair or at end.
func (o *opener) next(s Sealer) (part, error) {
	p := part{length: -1}
	if !o.delimiter() {
		return p, o.errorf("no boundary where a part begins")
	}
	for range maxHeaders {
		if o.delimiter() {
			return p, o.data(s, &p)
		}
		line, err := o.line()
		if err != nil {
			return p, err
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		name, value = bytes.TrimSpace(name), bytes.TrimSpace(value)
		switch {
		case equalFold(name, "Content-Type"):
			if !equalFold(value, o.protocol) {
				return p, o.errorf("part of another protocol")
			}
		case equalFold(name, "OriginalContent"):
			if p.innerType, p.length, err = o.original(value); err != nil {
				return p, err
			}
		}
	}
	return p, o.errorf("too many headers")
}

// data reads the second part of a pair. The line with its content type is its
// only header, and the data follows at once.
func (o *opener) data(s Sealer, p *part) error {
	if p.length < 0 {
		return o.errorf("no OriginalContent header")
	}
	line, err := o.line()
	if err != nil {
		return err
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	if !equalFold(bytes.TrimSpace(name), "Content-Type") ||
		!equalFold(bytes.TrimSpace(value), "application/octet-stream") {
		return o.errorf("no application/octet-stream where the data begins")
	}
	if o.end-o.pos < 4 {
		return o.errorf("truncated before the token")
	}
	size := binary.LittleEndian.Uint32(o.body[o.pos:])
	o.pos += 4
	rest := o.body[o.pos:o.end]
	if uint64(size) > uint64(len(rest)) {
		return o.errorf("token of " + strconv.FormatUint(uint64(size), 10) + " bytes in " + strconv.Itoa(len(rest)))
	}
	p.tokenLen, p.at = int(size), o.pos
	n, err := measure(s, rest, p.tokenLen, p.length)
	if err != nil {
		return &Error{Op: "open", Offset: o.pos, Reason: "length of the message", Err: err}
	}
	if n < p.tokenLen || n > len(rest) {
		return o.errorf("truncated: message of " + strconv.Itoa(n) + " bytes in " + strconv.Itoa(len(rest)))
	}
	p.sealed = o.take(n)
	return nil
}

// measure returns the length of the sealed message at the start of rest, as far
// as it can be told: stream ciphers keep the length of their plaintext.
func measure(s Sealer, rest []byte, tokenLen, length int) (int, error) {
	if m, ok := s.(Measurer); ok {
		return m.SealedLen(rest, tokenLen, length)
	}
	return tokenLen + length, nil
}

// take cuts the sealed message of n bytes at pos and moves behind it. If no
// boundary follows there, the message was longer than its stated length and is
// the last one: then it reaches to the closing boundary. Cutting wrongly could
// not go unnoticed, for the Sealer authenticates what it gets.
func (o *opener) take(n int) []byte {
	start := o.pos
	if n < o.end-start {
		o.pos = start + n
		if bytes.HasPrefix(o.body[o.pos:o.end], []byte("\r\n")) {
			o.pos += len("\r\n")
		}
		if o.pos == o.end || o.nextPair() {
			return o.body[start : start+n]
		}
	}
	o.pos = o.end
	return o.body[start:o.end]
}

// nextPair reports whether another pair of parts begins at pos, perhaps after
// the closing delimiter of the pair before, which it steps over.
func (o *opener) nextPair() bool {
	before := o.pos
	if n := delimiterLen(o.body[o.pos:o.end], o.boundary, "--"); n > 0 {
		o.pos += n
	}
	if delimiterLen(o.body[o.pos:o.end], o.boundary, "") > 0 {
		return true
	}
	o.pos = before
	return false
}
