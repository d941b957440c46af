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

// Servers of tests name no media type, and Go's guesses one.
func TestClientTakesAnEnvelopeByItsLook(t *testing.T) {
	for _, contentType := range []string{"text/plain; charset=utf-8", "text/html", "application/octet-stream"} {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request, c *call) {
			rec := httptest.NewRecorder()
			answerXML("<a/>")(rec, r, c)
			w.Header().Set("Content-Type", contentType)
			_, _ = io.Copy(w, rec.Body)
		})
		resp, err := s.client(t, nil).Do(t.Context(), getShell)
		require.NoError(t, err, contentType)
		resp.Close()

		// A page that only speaks of envelopes stays a page.
		s = newServer(t, plain(200, map[string]string{"Content-Type": contentType}, "<html>"+strings.Repeat(" ", 600)+wsman.NSEnvelope+"</html>"))
		_, err = s.client(t, nil).Do(t.Context(), getShell)
		_, ok := errors.AsType[*wsman.StatusError](err)
		assert.True(t, ok, "%v", err)
	}
}

// An envelope without a body: dylanmei/winrmtest answers so. What stands in it
// is read; nothing at all stays an error.
func TestClientTakesAnEnvelopeWithoutBody(t *testing.T) {
	const open = `<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:q="urn:q">`
	for name, inside := range map[string]string{
		"alone":         "\n\t<q:a>x</q:a> <q:b/>\n",
		"after Header":  "<e:Header><q:h e:mustUnderstand='true'>&lt;</q:h></e:Header><q:a>x</q:a><q:b/>",
		"before Header": "<q:a>x</q:a><q:b/><e:Header/>",
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, plain(200, map[string]string{"Content-Type": wsman.ContentType}, open+inside+"</e:Envelope>"))
			resp, err := s.client(t, nil).Do(t.Context(), getShell)
			require.NoError(t, err)
			defer resp.Close()
			var got []string
			require.NoError(t, resp.Body(func(d *wsman.Decoder) error {
				for n := range d.Children() {
					if n.Space == "urn:q" {
						text, err := d.Value()
						require.NoError(t, err)
						got = append(got, n.Local+text)
					}
				}
				return d.Err()
			}))
			assert.Equal(t, []string{"ax", "b"}, got)
		})
	}
	s := newServer(t, plain(500, map[string]string{"Content-Type": wsman.ContentType}, open+
		`<e:Fault><e:Code><e:Value>e:Sender</e:Value></e:Code><e:Reason><e:Text>no</e:Text></e:Reason></e:Fault></e:Envelope>`))
	_, err := s.client(t, nil).Do(t.Context(), getShell)
	_, ok := errors.AsType[*wsman.Fault](err)
	assert.True(t, ok, "%v", err)

	for _, doc := range []string{open + "</e:Envelope>", open + "<e:Header/></e:Envelope>", open + "<q:a></e:Envelope>"} {
		s := newServer(t, plain(200, map[string]string{"Content-Type": wsman.ContentType}, doc))
		_, err := s.client(t, nil).Do(t.Context(), getShell)
		_, ok := errors.AsType[*wsman.ResponseError](err)
		assert.True(t, ok, "%s: %v", doc, err)
	}
	_, err = wsman.ReadEnvelope(wsman.NewDecoder([]byte(open + "<q:a/></e:Envelope>")))
	require.Error(t, err, "what others send is held to the rules")
}
