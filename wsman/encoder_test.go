package wsman_test

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/wsman"
)

// The texts that broke other clients: what is carried must arrive unchanged at
// a parser that is not ours.
func TestEncoderCarriesText(t *testing.T) {
	for _, s := range []string{
		"", "plain", `<a href="x">&amp;</a>`, "]]>", "a\r\nb\rc\nd\te", "'\"", "%PATH% ^ & | < >", "grüße 日本 🙂", " padded ", "\u0085\u2028", "\uFFFD", "\x7f",
		"</rsp:Command><rsp:Command>evil",
	} {
		e := wsman.NewEncoder(nil)
		e.Start("x")
		e.Attr("v", s)
		e.Text(s)
		e.End()
		require.NoError(t, e.Err(), "%q", s)
		var got struct {
			V    string `xml:"v,attr"`
			Text string `xml:",chardata"`
		}
		require.NoError(t, xml.Unmarshal(e.Bytes(), &got), "%s", e.Bytes())
		assert.Equal(t, s, got.V)
		assert.Equal(t, s, got.Text)
		text, err := textOf(e.Bytes())
		require.NoError(t, err)
		assert.Equal(t, s, text)
	}
}

func TestEncoderRefusesText(t *testing.T) {
	for s, at := range map[string]int{"a\x00": 1, "\x1b[2J": 0, "ok\x08": 2, "\xff": 0, "\xed\xa0\x80": 0, "x\uFFFE": 1, "\xc3": 0} {
		e := wsman.NewEncoder(nil)
		e.Start("x")
		e.Text(s)
		e.Text("more")
		var bad *wsman.CharError
		require.ErrorAs(t, e.Err(), &bad, "%q", s)
		assert.Equal(t, at, bad.Offset)
		assert.NotContains(t, string(e.Bytes()), "more")
	}
}

func TestEncoderRefusesNames(t *testing.T) {
	for _, name := range []string{"", "a b", "a><b", "1", "a:b:c", ":a", "a:", "-", "a\x00"} {
		e := wsman.NewEncoder(nil)
		e.Start(name)
		var bad *wsman.NameError
		require.ErrorAs(t, e.Err(), &bad, "%q", name)

		e = wsman.NewEncoder(nil)
		e.Start("x")
		e.Attr(name, "v")
		require.ErrorAs(t, e.Err(), &bad, "%q", name)
	}
}

func TestEncoderShape(t *testing.T) {
	e := wsman.NewEncoder([]byte("before"))
	e.Start("p:a")
	e.Namespace("p", "urn:p")
	e.Namespace("", "urn:d")
	e.Empty("b")
	e.Element("c", "")
	e.Element("d", "1")
	e.Start("e")
	e.Base64([]byte("hi\n"))
	e.Uint(7)
	e.End()
	e.Raw([]byte(`<f xmlns:q="r" q:g="1"><!-- --></f>`))
	e.End()
	require.NoError(t, e.Err())
	assert.Equal(t, `before<p:a xmlns:p="urn:p" xmlns="urn:d"><b/><c/><d>1</d><e>aGkK7</e><f xmlns:q="r" q:g="1"><!-- --></f></p:a>`, string(e.Bytes()))
	assert.Equal(t, len(e.Bytes()), e.Len())

	for _, raw := range []string{"", "text", "<a>", "<a/><b/>", "<p:a/>", "<?xml version='1.0'?><a/>", "<!DOCTYPE a><a/>"} {
		e := wsman.NewEncoder(nil)
		e.Start("x")
		e.Raw([]byte(raw))
		assert.Error(t, e.Err(), raw)
	}
	e = wsman.NewEncoder(nil)
	e.End()
	require.Error(t, e.Err())
	e.Reset(nil)
	require.NoError(t, e.Err())
	e.Attr("a", "b")
	require.Error(t, e.Err())
}

func TestEncoderBase64(t *testing.T) {
	p := bytes.Repeat([]byte{1, 2, 250}, 1000)
	e := wsman.NewEncoder(nil)
	e.Start("x")
	e.Base64(p)
	e.End()
	assert.Equal(t, "<x>"+base64.StdEncoding.EncodeToString(p)+"</x>", string(e.Bytes()))
}

func FuzzEncoder(f *testing.F) {
	f.Add("a<b", "c]]>d")
	f.Fuzz(func(t *testing.T, attr, text string) {
		e := wsman.NewEncoder(nil)
		e.Start("x")
		e.Attr("v", attr)
		e.Text(text)
		e.End()
		if e.Err() != nil {
			return
		}
		d := wsman.NewDecoder(e.Bytes())
		if _, err := d.Root(); err != nil {
			t.Fatal(err)
		}
		if got, _ := d.Attr("", "v"); got != attr {
			t.Fatalf("attribute %q came back as %q", attr, got)
		}
		if got, err := d.Text(); err != nil || string(got) != text {
			t.Fatalf("text %q came back as %q, %v", text, got, err)
		}
		if err := d.Finish(); err != nil {
			t.Fatal(err)
		}
	})
}
