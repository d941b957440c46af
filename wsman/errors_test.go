package wsman_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/wsman"
)

// Every error says once where it comes from, on one line of bounded length.
func TestErrorTexts(t *testing.T) {
	long := strings.Repeat("long \x1b[2J\n", 1000)
	for _, err := range []error{
		&wsman.SyntaxError{Offset: 3, Msg: "m"}, &wsman.LimitError{What: "size", Limit: 3}, &wsman.CharError{Text: "x\x00", Offset: 1}, &wsman.CharError{Text: "\xff", Rune: 0xFFFD},
		&wsman.NameError{Name: "a b"}, &wsman.EnvelopeError{Msg: "m"}, &wsman.EnvelopeError{Block: "Locale", Msg: "m"}, &wsman.RelatesToError{Want: "a"},
		&wsman.RelatesToError{Want: "a", Got: long}, &wsman.TimeoutError{Action: wsman.ActionReceive, Wait: time.Second}, &wsman.DurationError{Text: long}, &wsman.DatetimeError{Text: long},
		&wsman.ResponseError{Action: wsman.ActionGet, Err: &wsman.SyntaxError{Msg: "m"}}, &wsman.Fault{Message: long}, &wsman.Fault{Subcode: wsman.Name{Local: "X"}, Detail: "D"},
		wsman.ErrAccessDenied, wsman.ErrTimedOut, &wsman.StatusError{Status: 599},
	} {
		s := err.Error()
		assert.True(t, strings.HasPrefix(s, "wsman: "), s)
		assert.Equal(t, 1, strings.Count(s, "wsman:"), s)
		assert.Less(t, len(s), 1200)
		assert.NotContains(t, s, "\n")
		assert.NotContains(t, s, "\x1b")
	}
	var timeout interface{ Timeout() bool }
	require.True(t, errors.As(error(&wsman.TimeoutError{}), &timeout) && timeout.Timeout())
	assert.Equal(t, "never repeat later reconnect", fmt.Sprint(wsman.RetryNever, wsman.RetryRepeat, wsman.RetryLater, wsman.RetryReconnect))
	assert.NotEmpty(t, wsman.ErrAccessDenied.Remedy())
}

// A document cannot make looking names up expensive.
func TestDecoderNamespaceLimit(t *testing.T) {
	var b strings.Builder
	for i := range 90 {
		b.WriteString("<a")
		for j := range 4 {
			fmt.Fprintf(&b, ` xmlns:p%d="u"`, i*4+j)
		}
		b.WriteString(">")
	}
	_, err := readAll([]byte(b.String()))
	var limit *wsman.LimitError
	require.ErrorAs(t, err, &limit)
	assert.Equal(t, "namespaces", limit.What)
}

func TestNamesBeyondASCII(t *testing.T) {
	events, err := readAll([]byte(`<größe 日本="1"/>`))
	require.NoError(t, err)
	assert.Equal(t, []string{"<größe", "@日本=1", ">"}, events)
	for _, doc := range []string{`<×/>`, "<a\u00B7/>x", "<\u00B7a/>", "<a\u2028/>"} {
		_, err := readAll([]byte(doc))
		assert.Error(t, err, doc)
	}
}

func TestWrappedReference(t *testing.T) {
	var got struct{ Ref wsman.EndpointReference }
	require.NoError(t, decodeInto(`<x xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"><Ref><a:EndpointReference><a:Address>here</a:Address></a:EndpointReference></Ref></x>`, &got))
	assert.Equal(t, "here", got.Ref.Address)
}
