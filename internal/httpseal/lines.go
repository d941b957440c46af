package httpseal

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// delimiter steps over a boundary line at pos, and over empty lines before it,
// and reports whether there was one.
func (o *opener) delimiter() bool {
	pos := o.pos
	for bytes.HasPrefix(o.body[pos:o.end], []byte("\r\n")) {
		pos += len("\r\n")
	}
	n := delimiterLen(o.body[pos:o.end], o.boundary, "")
	if n == 0 {
		return false
	}
	o.pos = pos + n
	return true
}

// delimiterLen returns the length of the boundary line at the start of p, with
// its line break, or 0. Exchange writes a blank after the dashes, and so does
// the sample of [MS-WSMV] section 4.5.
func delimiterLen(p []byte, boundary, dashes string) int {
	rest, ok := bytes.CutPrefix(p, []byte("--"))
	if !ok {
		return 0
	}
	rest = bytes.TrimPrefix(rest, []byte(" "))
	if len(rest) < len(boundary)+len(dashes) || string(rest[:len(boundary)]) != boundary {
		return 0
	}
	rest, ok = bytes.CutPrefix(rest[len(boundary):], []byte(dashes))
	if !ok {
		return 0
	}
	for len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t') {
		rest = rest[1:]
	}
	rest, ok = bytes.CutPrefix(rest, []byte("\r\n"))
	if !ok {
		return 0
	}
	return len(p) - len(rest)
}

// line returns the line at pos without its line break and steps over it.
func (o *opener) line() ([]byte, error) {
	rest := o.body[o.pos:o.end]
	n := bytes.Index(rest[:min(len(rest), maxLine)], []byte("\r\n"))
	if n < 0 {
		return nil, o.errorf("no end of a header line")
	}
	o.pos += n + len("\r\n")
	return rest[:n], nil
}

// original reads "type=application/soap+xml;charset=UTF-8;Length=1234": the
// media type is all of it but the length.
func (o *opener) original(value []byte) (innerType string, length int, err error) {
	length = -1
	media := make([]byte, 0, 64)
	for field := range bytes.SplitSeq(value, []byte(";")) {
		field = bytes.TrimSpace(field)
		name, arg, _ := bytes.Cut(field, []byte("="))
		switch name = bytes.TrimSpace(name); {
		case equalFold(name, "Length"):
			n, err := strconv.ParseUint(string(bytes.TrimSpace(arg)), 10, 31)
			if err != nil || n > math.MaxInt32 || length >= 0 {
				return "", 0, o.errorf("bad Length")
			}
			length = int(n)
			continue
		case equalFold(name, "type"):
			field = bytes.TrimSpace(arg)
		}
		if len(media) > 0 {
			media = append(media, ';')
		}
		media = append(media, field...)
	}
	if length < 0 {
		return "", 0, o.errorf("no Length")
	}
	if string(media) == soapType {
		return soapType, length, nil
	}
	return string(media), length, nil
}

// soapType is what nearly every body holds.
const soapType = "application/soap+xml;charset=UTF-8"

type contentParams struct{ protocol, boundary string }

// parseContentType reads the Content-Type header of a sealed body. Parameters
// come in any order, quoted or not; the boundary's blank keeps mime's parser
// from reading it.
func parseContentType(contentType string) (contentParams, error) {
	params := contentParams{boundary: boundary}
	if !IsSealed(contentType) {
		return params, &Error{Op: "open", Reason: "not a sealed body but " + strconv.Quote(clip(contentType, 80))}
	}
	_, rest, _ := strings.Cut(contentType, ";")
	for rest != "" {
		var name, value string
		name, value, rest = nextParam(rest)
		switch {
		case strings.EqualFold(name, "protocol"):
			params.protocol = value
		case strings.EqualFold(name, "boundary"):
			params.boundary = value
		}
	}
	if params.boundary == "" || len(params.boundary) > maxBoundary || strings.ContainsAny(params.boundary, "\r\n") {
		return params, &Error{Op: "open", Reason: "boundary " + strconv.Quote(clip(params.boundary, 80))}
	}
	return params, nil
}

// nextParam cuts the first parameter from s. A quoted value may hold semicolons;
// nobody escapes anything in one.
func nextParam(s string) (name, value, rest string) {
	end := strings.IndexAny(s, ";=")
	if end < 0 {
		return strings.TrimSpace(s), "", ""
	}
	name, rest = strings.TrimSpace(s[:end]), s[end+1:]
	if s[end] == ';' {
		return name, "", rest
	}
	rest = strings.TrimLeft(rest, " \t")
	if quoted, ok := strings.CutPrefix(rest, `"`); ok {
		if value, rest, ok = strings.Cut(quoted, `"`); ok {
			_, rest, _ = strings.Cut(rest, ";")
			return name, value, rest
		}
		rest = quoted
	}
	value, rest, _ = strings.Cut(rest, ";")
	return name, strings.TrimSpace(value), rest
}

func equalFold(p []byte, s string) bool {
	return string(p) == s || len(p) == len(s) && strings.EqualFold(string(p), s) // the first allocates nothing
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "..."
	}
	return s
}
