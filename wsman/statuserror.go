package wsman

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// StatusError says that the answer was not SOAP: an HTTP status without a
// message, a page of some proxy or web server, or nothing at all. It unwraps
// to the [FaultCode] that Microsoft's client reports for the same.
type StatusError struct {
	Status      int
	Schemes     []string // of a 401: authentication schemes offered
	Location    string   // of a 3xx: where the server points to; never followed
	RetryAfter  string   // of a 503: the header of that name
	Server      string   // the header of that name
	ContentType string
	Encoding    string // Content-Encoding, if the answer was compressed although that was not asked for
	Empty       bool   // the answer had no content
	Snippet     string // beginning of its text, without markup and control characters
}

func (e *StatusError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "wsman: HTTP status %d", e.Status)
	if text := http.StatusText(e.Status); text != "" {
		b.WriteString(" " + text)
	}
	switch {
	case e.Status == http.StatusUnauthorized && len(e.Schemes) > 0:
		fmt.Fprintf(&b, ", schemes offered: %s", strings.Join(e.Schemes, ", "))
	case e.Location != "":
		fmt.Fprintf(&b, ", to %s", e.Location)
	case e.Status == http.StatusOK && e.Empty:
		b.WriteString(" with an empty body")
	case e.Encoding != "":
		fmt.Fprintf(&b, " with content encoding %q", e.Encoding)
	case e.Status == http.StatusOK:
		fmt.Fprintf(&b, " with content type %q", e.ContentType)
	}
	if r := e.Remedy(); r != "" {
		b.WriteString(": " + r)
	}
	if e.Snippet != "" {
		fmt.Fprintf(&b, " (answer begins: %s)", e.Snippet)
	}
	return b.String()
}

// Remedy says what to look at.
func (e *StatusError) Remedy() string {
	switch {
	case e.Status == http.StatusOK && e.Encoding != "":
		return "something between here and the listener compresses answers"
	case e.Status == http.StatusOK && e.Empty:
		return "the listener or something before it dropped the answer; try on a new connection"
	case e.Status == http.StatusOK:
		return "this is not a WinRM listener; check host, port and path, and whether a proxy answered"
	case e.Status >= 300 && e.Status < 400:
		return "redirects are not followed; use the address that it names if you trust it"
	}
	switch e.Status {
	case http.StatusUnauthorized:
		return "the listener did not accept the logon or does not offer the scheme used"
	case http.StatusForbidden:
		return "the listener or a proxy refuses this client; check IPv4Filter, IPv6Filter and client certificates"
	case http.StatusNotFound:
		return "no listener at this path; the URL prefix of WinRM is usually /wsman"
	case http.StatusProxyAuthRequired:
		return "the proxy wants a logon"
	case http.StatusRequestEntityTooLarge:
		return "the request is larger than the server's MaxEnvelopeSizekb, or its headers are too large"
	case http.StatusServiceUnavailable:
		return "the service is busy or stopped, or no listener is bound to this address; try again later"
	case http.StatusBadRequest:
		return "the server could not read the request: an encrypted body out of step, or header fields too large (Kerberos tickets with many groups)"
	case http.StatusInternalServerError:
		return "the server failed without saying why"
	}
	return ""
}

// Unwrap returns the matching code, if there is one.
func (e *StatusError) Unwrap() error {
	switch {
	case e.Status == http.StatusOK && e.Empty:
		return ErrNoResponseData
	case e.Status == http.StatusOK:
		return ErrInvalidContentType
	case e.Status >= 300 && e.Status < 400:
		return ErrRedirectStatus
	}
	switch e.Status {
	case http.StatusBadRequest:
		return ErrBadRequestStatus
	case http.StatusNotFound:
		return ErrNotFoundStatus
	case http.StatusRequestEntityTooLarge:
		return ErrRequestTooLarge
	case http.StatusInternalServerError:
		return ErrServerErrorStatus
	case http.StatusServiceUnavailable:
		return ErrServiceUnavailableStatus
	case http.StatusUnauthorized, http.StatusProxyAuthRequired, http.StatusForbidden:
		return nil // the client's own errors for these depend on the mechanism
	}
	return ErrUnknownHTTPStatus
}

func newStatusError(resp *http.Response, data []byte) *StatusError {
	e := &StatusError{
		Status:      resp.StatusCode,
		Server:      oneLine(resp.Header.Get("Server"), 100),
		ContentType: oneLine(resp.Header.Get("Content-Type"), 100),
		Empty:       len(data) == 0,
	}
	if !plainEncoding(resp) {
		e.Encoding = oneLine(resp.Header.Get("Content-Encoding"), 40)
	} else {
		e.Snippet = snippet(data)
	}
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		e.Schemes = schemes(resp.Header["Www-Authenticate"])
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		e.Location = oneLine(resp.Header.Get("Location"), 200)
	case resp.StatusCode == http.StatusServiceUnavailable:
		e.RetryAfter = oneLine(resp.Header.Get("Retry-After"), 40)
	}
	return e
}

// schemes returns the scheme words of WWW-Authenticate fields, each once. A
// word is a scheme where a challenge may begin and no parameter does: at the
// start of a field or after a comma, not followed by "=" (RFC 9110, 11.6.1).
func schemes(fields []string) []string {
	const most = 16
	var list []string
	seen := make(map[string]bool)
	for _, field := range fields {
		for _, part := range splitUnquoted(field) {
			word, _, _ := strings.Cut(strings.TrimSpace(part), " ")
			if word == "" || strings.ContainsRune(word, '=') || strings.HasPrefix(strings.TrimLeft(strings.TrimSpace(part)[len(word):], " "), "=") {
				continue
			}
			word = oneLine(word, 80)
			if key := strings.ToLower(word); !seen[key] && len(list) < most {
				seen[key] = true
				list = append(list, word)
			}
		}
	}
	return list
}

// splitUnquoted splits at commas outside of quoted strings.
func splitUnquoted(s string) []string {
	var parts []string
	quoted, from := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[from:])
}

// snippet is the beginning of the text of a page: tags, scripts and styles are
// left out, and nothing of it can move a terminal's cursor.
func snippet(data []byte) string {
	const look, show = 4096, 200
	data = data[:min(len(data), look)]
	var text []byte
	for len(data) > 0 {
		lt := bytes.IndexByte(data, '<')
		if lt < 0 {
			text = append(text, data...)
			break
		}
		text = append(append(text, data[:lt]...), ' ')
		data = data[lt:]
		for _, tag := range []string{"script", "style"} {
			if len(data) > len(tag) && bytes.EqualFold(data[1:1+len(tag)], []byte(tag)) {
				if end := bytes.Index(bytes.ToLower(data), []byte("</"+tag)); end > 0 {
					data = data[end:]
				}
			}
		}
		gt := bytes.IndexByte(data, '>')
		if gt < 0 {
			break
		}
		data = data[gt+1:]
	}
	if !utf8.Valid(text) {
		text = bytes.ToValidUTF8(text, []byte("?"))
	}
	return oneLine(string(text), show)
}
