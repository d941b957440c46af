package wsman_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/wsman"
)

// What stands around a document is not the document, and success has more than
// one status.
func TestClientTakesWhatStandsAround(t *testing.T) {
	around := func(status int, change func(string) string) func(http.ResponseWriter, *http.Request, *call) {
		return func(w http.ResponseWriter, r *http.Request, c *call) {
			rec := httptest.NewRecorder()
			answerXML("<a/>")(rec, r, c)
			w.Header().Set("Content-Type", wsman.ContentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, change(rec.Body.String()))
		}
	}
	same := func(s string) string { return s }
	for name, step := range map[string]func(http.ResponseWriter, *http.Request, *call){
		"empty lines before the declaration": around(200, func(s string) string { return "\r\n \n<?xml version='1.0'?>\n" + s }),
		"NULs behind":                        around(200, func(s string) string { return s + strings.Repeat("\x00", 15) }),
		"201":                                around(201, same),
		"202":                                around(202, same),
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := newServer(t, step).client(t, nil).Do(t.Context(), getShell)
			require.NoError(t, err)
			defer resp.Close()
			found := false
			require.NoError(t, resp.Body(func(d *wsman.Decoder) error {
				for n := range d.Children() {
					found = n.Local == "a"
				}
				return nil
			}))
			assert.True(t, found)
		})
	}
	for _, inside := range []string{"\x00", "\x00<"} {
		_, err := newServer(t, around(200, func(s string) string { return strings.Replace(s, "<a", inside+"<a", 1) })).client(t, nil).Do(t.Context(), getShell)
		require.Error(t, err, "%q", inside)
	}
}

// An error in an answer's body names the request, though the answer does not.
func TestClientNamesTheRequest(t *testing.T) {
	s := newServer(t, plain(200, map[string]string{"Content-Type": wsman.ContentType},
		`<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><a><b></a></s:Body></s:Envelope>`))
	resp, err := s.client(t, nil).Do(t.Context(), getShell)
	require.NoError(t, err)
	defer resp.Close()
	bad, ok := errors.AsType[*wsman.ResponseError](resp.Body(func(d *wsman.Decoder) error { return nil }))
	require.True(t, ok)
	assert.Equal(t, wsman.ActionGet, bad.Action)
}
