package httpseal_test

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/httpseal"
)

// Frames that say something else than a sealed message.
func TestOpenMalformedFrames(t *testing.T) {
	for name, change := range map[string]func(string) string{
		"nothing":                func(string) string { return "" },
		"dashes":                 func(string) string { return "--" },
		"closing boundary alone": func(string) string { return "--Encrypted Boundary--\r\n" },
		"another boundary": func(s string) string {
			return strings.Replace(s, "--Encrypted Boundary\r\n", "--Encrypted Baundary\r\n", 1)
		},
		"another second boundary": func(s string) string {
			return strings.Replace(s, "5\r\n--Encrypted Boundary\r\n", "5\r\n--Encrypted Baundary\r\n", 1)
		},
		"short boundary":           func(s string) string { return strings.Replace(s, "--Encrypted Boundary\r\n", "--Encrypted\r\n", 1) },
		"longer boundary":          func(s string) string { return strings.Replace(s, "Boundary\r\n", "Boundary.\r\n", 1) },
		"no dashes":                func(s string) string { return strings.TrimPrefix(s, "--") },
		"another closing boundary": func(s string) string { return strings.Replace(s, "Boundary--\r\n", "Baundary--\r\n", 1) },
		"closing without dashes":   func(s string) string { return strings.Replace(s, "Boundary--\r\n", "Boundary\r\n", 1) },
		"line feeds alone":         func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") },
		"endless line": func(s string) string {
			return strings.Replace(s, "OriginalContent", strings.Repeat("x", 2000)+"\r\nOriginalContent", 1)
		},
		"many headers": func(s string) string {
			return strings.Replace(s, "OriginalContent", strings.Repeat("A: b\r\n", 8)+"OriginalContent", 1)
		},
		"no OriginalContent":       func(s string) string { return strings.Replace(s, "OriginalContent", "Original", 1) },
		"part of another protocol": func(s string) string { return strings.Replace(s, "SPNEGO", "Kerberos", 1) },
		"data of another type":     func(s string) string { return strings.Replace(s, "octet-stream", "octet_stream", 1) },
		"data without a type":      func(s string) string { return strings.Replace(s, "Content-Type: application/octet-stream\r\n", "", 1) },
		"no room for the token": func(s string) string {
			at := strings.Index(s, "octet-stream\r\n") + len("octet-stream\r\n")
			return s[:at] + "\x01\x00\x00--Encrypted Boundary--\r\n"
		},
		"another closing boundary between": func(s string) string { return s[:len(s)-2] + "--Encrypted Boundary--\r\n" },
	} {
		t.Run(name, func(t *testing.T) {
			s := &plainSealer{protocol: spnego}
			v := standard()
			_, _, err := httpseal.Open(s, v.contentType, []byte(change(string(v.body(s, "5", "hello")))))
			require.Error(t, err)
			assert.LessOrEqual(t, len(err.Error()), 300)
		})
	}
	_, _, err := httpseal.Open(&plainSealer{protocol: spnego}, strings.Repeat("x", 1000), nil)
	var target *httpseal.Error
	require.ErrorAs(t, err, &target)
	assert.Less(t, len(err.Error()), 200)
	assert.Contains(t, err.Error(), "httpseal: open: ")
}

// Half of each character of UTF-16 is a NUL: the last one of little-endian text
// is no padding.
func TestTrimNULOfUTF16(t *testing.T) {
	for _, text := range []string{"<\x00a\x00/\x00>\x00", "\x00<\x00a\x00/\x00>", "<\x00\x0a\x01/\x00>\x00"} {
		for _, padding := range []string{"", "\x00\x00", strings.Repeat("\x00", 16)} {
			plain := text + padding
			v := standard()
			body := v.body(&plainSealer{protocol: spnego}, strconv.Itoa(len(plain)), plain)
			body = bytes.Replace(body, []byte("charset=UTF-8"), []byte("charset=UTF-16"), 1)
			got, innerType, err := httpseal.Format{TrimNUL: true}.Open(&plainSealer{protocol: spnego}, v.contentType, body)
			require.NoError(t, err)
			assert.Equal(t, "application/soap+xml;charset=UTF-16", innerType)
			assert.Equal(t, text, string(got))
		}
	}
}

// Of several pieces each is verified, and none stands for another.
func TestOpenDamagedPieces(t *testing.T) {
	whole := func() (*plainSealer, string) {
		s := &plainSealer{protocol: spnego}
		return s, string(standard().body(s, "5", "hello", "world", "again"))
	}
	for name, change := range map[string]func(string) string{
		"first changed":     func(b string) string { return strings.Replace(b, "hello", "jello", 1) },
		"second changed":    func(b string) string { return strings.Replace(b, "world", "wurld", 1) },
		"third changed":     func(b string) string { return strings.Replace(b, "again", "Again", 1) },
		"second of a type":  func(b string) string { return replaceNth(b, "soap+xml", "text/xml", 2) },
		"second's length":   func(b string) string { return replaceNth(b, "Length=5", "Length=6", 2) },
		"third's length":    func(b string) string { return replaceNth(b, "Length=5", "Length=4", 3) },
		"second's protocol": func(b string) string { return replaceNth(b, "SPNEGO", "Kerberos", 2) },
		"second's token":    func(b string) string { return replaceNth(b, "octet-stream\r\n\x10\x00", "octet-stream\r\n\x10\x7f", 2) },
	} {
		t.Run(name, func(t *testing.T) {
			s, body := whole()
			changed := change(body)
			require.NotEqual(t, body, changed)
			plain, _, err := httpseal.Open(s, contentType, []byte(changed))
			var target *httpseal.Error
			require.ErrorAs(t, err, &target)
			assert.Empty(t, plain)
		})
	}
	s, body := whole()
	got, _, err := httpseal.Open(s, contentType, []byte(body))
	require.NoError(t, err)
	assert.Equal(t, "helloworldagain", string(got))
}

// replaceNth replaces the nth occurrence of old, counted from 1.
func replaceNth(s, old, with string, n int) string {
	before, after, ok := strings.Cut(s, old)
	switch {
	case !ok:
		return s
	case n == 1:
		return before + with + after
	}
	return before + old + replaceNth(after, old, with, n-1)
}

// failingSealer wraps a number of messages, and then fails or lies.
type failingSealer struct {
	plainSealer
	good  int
	token int // length of the token that it claims
}

var errWrap = errors.New("no more")

func (s *failingSealer) Wrap(dst, plain []byte) (out []byte, tokenLen, length int, err error) {
	if s.good--; s.good < 0 && s.token == 0 {
		return append(dst, plain...), 0, 0, errWrap
	}
	out, _, length, err = s.plainSealer.Wrap(dst, plain)
	return out, s.token, length, err
}

// What could not be sealed does not leave.
func TestSealFails(t *testing.T) {
	for good := range 2 {
		body, ct, err := httpseal.Seal(nil, &failingSealer{plainSealer: plainSealer{protocol: spnego, max: 3}, good: good}, soap, []byte("secret"))
		require.ErrorIs(t, err, errWrap)
		assert.Empty(t, body)
		assert.Empty(t, ct)
	}
	for _, token := range []int{-1, 23, 1 << 30} {
		body, _, err := httpseal.Seal(nil, &failingSealer{plainSealer: plainSealer{protocol: spnego}, good: 1, token: token}, soap, []byte("secret"))
		var target *httpseal.Error
		require.ErrorAs(t, err, &target, "token of %d bytes", token)
		assert.Empty(t, body)
	}
	_, _, err := httpseal.Seal(nil, &plainSealer{protocol: spnego}, "text/xml\r\nEvil: 1", []byte("secret"))
	require.Error(t, err)
}

// The length that is stated counts the padding, whatever the other side takes.
func TestSealStatesLength(t *testing.T) {
	for pad, want := range map[int]string{0: ";Length=99\r\n", 1: ";Length=100\r\n"} {
		body, _, err := httpseal.Seal(nil, &plainSealer{protocol: spnego, pad: pad}, soap, bytes.Repeat([]byte("x"), 99))
		require.NoError(t, err)
		assert.Contains(t, string(body), want)
		assert.Equal(t, 1, strings.Count(string(body), "Length="))
	}
}

// WinRM's client for Ruby ends a message with a delimiter that closes nothing.
// What a server reads of it, a client does not.
func TestBareEnd(t *testing.T) {
	server := httpseal.Format{BareEnd: true}
	for name, end := range map[string]string{
		"bare":             "--Encrypted Boundary\r\n",
		"bare, no break":   "--Encrypted Boundary",
		"bare, with blank": "-- Encrypted Boundary\r\n",
		"closing":          "--Encrypted Boundary--\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			v := standard()
			v.closing = end
			for _, plain := range []string{"hello", "--", "ends as it does: --Encrypted Boundary\r\n", "--Encrypted Boundary--"} {
				got, innerType, err := server.Open(&plainSealer{protocol: spnego}, v.contentType,
					v.body(&plainSealer{protocol: spnego}, strconv.Itoa(len(plain)), plain))
				require.NoError(t, err)
				assert.Equal(t, soap, innerType)
				assert.Equal(t, plain, string(got))
			}
		})
	}
	for name, end := range map[string]string{
		"none": "", "another": "--Encrypted Baundary\r\n", "dashes alone": "--", "one dash": "-Encrypted Boundary\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			v := standard()
			v.closing = end
			_, _, err := server.Open(&plainSealer{protocol: spnego}, v.contentType, v.body(&plainSealer{protocol: spnego}, "5", "hello"))
			require.Error(t, err)
		})
	}
}
