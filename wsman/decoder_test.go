package wsman_test

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/wsman"
)

// readAll turns a document into a list of its events, in a form that does not
// depend on prefixes.
func readAll(data []byte) ([]string, error) {
	d := wsman.NewDecoder(bytes.Clone(data))
	root, err := d.Root()
	if err != nil {
		return nil, err
	}
	var events []string
	var walk func(n wsman.Name)
	walk = func(n wsman.Name) {
		events = append(events, "<"+n.String())
		for a, v := range d.Attrs() {
			events = append(events, "@"+a.String()+"="+v)
		}
		children := 0
		for c := range d.Children() {
			children++
			walk(c)
		}
		events = append(events, ">")
	}
	walk(root)
	return events, d.Finish()
}

// textOf returns the text of a document of one element.
func textOf(data []byte) (string, error) {
	d := wsman.NewDecoder(bytes.Clone(data))
	if _, err := d.Root(); err != nil {
		return "", err
	}
	b, err := d.Text()
	if err != nil {
		return "", err
	}
	return string(b), d.Finish()
}

func TestDecoderText(t *testing.T) {
	for _, tt := range []struct{ name, doc, want string }{
		{"plain", `<a>text</a>`, "text"},
		{"empty tag", `<a/>`, ""},
		{"empty pair", `<a></a>`, ""},
		{"entities", `<a>&lt;&gt;&amp;&quot;&apos;</a>`, `<>&"'`},
		{"double escape", `<a>&amp;lt;</a>`, "&lt;"},
		{"char refs", `<a>x&#65;&#x42;&#x1F600;&#9;y</a>`, "xAB\U0001F600\ty"},
		{"cdata", `<a>1<![CDATA[<b>&amp;]]>2</a>`, "1<b>&amp;2"},
		{"cdata brackets", `<a><![CDATA[]]]]><![CDATA[>]]></a>`, "]]>"},
		{"comment and pi between", `<a>one<!-- no -->&#32;two<?pi x?>three</a>`, "one twothree"},
		{"line ends", "<a>1\r\n2\r3&#13;4</a>", "1\n2\n3\r4"},
		{"line ends in cdata", "<a><![CDATA[1\r\n2]]></a>", "1\n2"},
		{"bom", "\uFEFF<a>x</a>", "x"},
		{"declaration", `<?xml version="1.0" encoding="utf-8"?><a>x</a>`, "x"},
		{"declared without the dash", `<?xml version="1.0" encoding="UTF8"?><a>é</a>`, "é"},
		{"recoded from UTF-16", `<?xml version="1.0" encoding="utf-16"?><a>é</a>`, "é"},
		{"prolog and epilog", "<?p?> <!-- c --> <a>x</a> <!-- d --> \n", "x"},
		{"beyond ascii", `<a>grüße 日本 🙂</a>`, "grüße 日本 🙂"},
		{"spaces in end tag", "<a>x</a \n>", "x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := textOf([]byte(tt.doc))
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestDecoderRefuses(t *testing.T) {
	for _, doc := range []string{
		``, ` `, `x`, `<`, `<a`, `<a>`, `<a><`, `<a></`, `<a></a`, `<a/`, `</a>`, `<a></b>`, `<a></ab>`, `<ab></a>`, `<a/><b/>`, `<a/>x`, `x<a/>`,
		`<!DOCTYPE a><a/>`, `<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`, `<a><!DOCTYPE a></a>`, `<a><!ELEMENT b></a>`,
		`<a>&x;</a>`, `<a>&amp</a>`, `<a>&;</a>`, `<a>&#;</a>`, `<a>&#x;</a>`, `<a>&#0;</a>`, `<a>&#x1F;</a>`, `<a>&#xD800;</a>`, `<a>&#xFFFE;</a>`,
		`<a>&#x110000;</a>`, `<a>&#99999999999999999999;</a>`, `<a>&#-1;</a>`, `<a>& </a>`, `<a b="&x;"/>`,
		"<a>\x00</a>", "<a>\x1b</a>", "<a>\xff</a>", "<a>\xed\xa0\x80</a>", "<a>\uFFFE</a>",
		`<a>]]></a>`, `<a><![CDATA[x</a>`, `<a><!-- -- --></a>`, `<a><!-- x</a>`, `<a><!--x---></a>`, `<a><?xml?></a>`, `<a><?x</a>`,
		`<a b/>`, `<a b=c/>`, `<a b="c/>`, `<a b="<"/>`, `<a b="1" b="2"/>`, `<a b="1"c="2"/>`, `<a / >`, `<a b = />`,
		`<p:a/>`, `<a p:b="1"/>`, `<a xmlns:p="u" xmlns:q="u" p:b="1" q:b="2"/>`, `<a xmlns:p=""/>`, `<a xmlns:xmlns="u"/>`, `<a xmlns:p="u" xmlns:p="v"/>`,
		`<a xmlns:xml="u"/>`, `<a xmlns:p="http://www.w3.org/XML/1998/namespace"/>`, `<a:b:c xmlns:a="u"/>`, `<:a/>`, `<a:/>`, `<1a/>`, `<-a/>`, `<a xmlns:="u"/>`,
		`<?xml version="1.1"?><a/>`, `<?xml version="1.0" encoding="iso-8859-1"?><a/>`, ` <?xml version="1.0"?><a/>`,
		"\xFF\xFE<\x00a\x00/\x00", "\xFE\xFF\x00<\xD8\x00\x00>",
	} {
		_, err := readAll([]byte(doc))
		assert.Error(t, err, "%q", doc)
		var syntax *wsman.SyntaxError
		assert.True(t, errors.As(err, &syntax), "%q: %v", doc, err)
	}
}

func TestDecoderLimits(t *testing.T) {
	limits := wsman.Limits{Size: 200, Depth: 5, Attrs: 3}
	read := func(doc string) error {
		d := wsman.NewDecoderLimits([]byte(doc), limits)
		return d.Finish()
	}
	for doc, what := range map[string]string{
		strings.Repeat("<a>", 6) + strings.Repeat("</a>", 6): "depth",
		`<a b="1" c="2" d="3" e="4"/>`:                       "attributes",
		`<a xmlns:b="1" xmlns:c="2" d="3" e="4"/>`:           "attributes",
		"<a>" + strings.Repeat("x", 200) + "</a>":            "size",
	} {
		var limit *wsman.LimitError
		require.ErrorAs(t, read(doc), &limit, doc)
		assert.Equal(t, what, limit.What)
	}
	require.NoError(t, read(strings.Repeat("<a>", 5)+strings.Repeat("</a>", 5)))
	require.NoError(t, read(`<a b="1" c="2" d="3"/>`))
}

func TestDecoderUTF16(t *testing.T) {
	doc := `<?xml version="1.0" encoding="UTF-16"?><a b="ü">grüße 🙂</a>`
	for _, bom := range []bool{true, false} {
		for _, big := range []bool{true, false} {
			var b []byte
			units := utf16.Encode([]rune(doc))
			if bom {
				units = append([]uint16{0xFEFF}, units...)
			}
			for _, u := range units {
				if big {
					b = append(b, byte(u>>8), byte(u))
				} else {
					b = append(b, byte(u), byte(u>>8))
				}
			}
			got, err := textOf(b)
			require.NoError(t, err)
			assert.Equal(t, "grüße 🙂", got)
		}
	}
}

func TestDecoderChildrenSkipsWhatIsLeft(t *testing.T) {
	d := wsman.NewDecoder([]byte(`<r><a><b>1</b><c>2</c></a><d/>text<e>3</e><f><g/></f></r>`))
	_, err := d.Root()
	require.NoError(t, err)
	var seen []string
	for n := range d.Children() {
		seen = append(seen, n.Local)
		switch n.Local {
		case "a":
			for n := range d.Children() {
				seen = append(seen, n.Local)
				break // the rest of a is skipped
			}
		case "e":
			v, err := d.Value()
			require.NoError(t, err)
			seen = append(seen, v)
		}
	}
	require.NoError(t, d.Finish())
	assert.Equal(t, []string{"a", "b", "d", "e", "3", "f"}, seen)
}

func TestDecoderQName(t *testing.T) {
	for _, tt := range []struct {
		doc  string
		want wsman.Name
		ok   bool
	}{
		{`<a xmlns:w="urn:w">w:X</a>`, wsman.Name{Space: "urn:w", Local: "X"}, true},
		{`<a xmlns:w="urn:w"> w:X </a>`, wsman.Name{Space: "urn:w", Local: "X"}, true},
		{`<a xmlns="urn:d">X</a>`, wsman.Name{Space: "urn:d", Local: "X"}, true},
		{`<a>X</a>`, wsman.Name{Local: "X"}, true},
		{`<a>w:X</a>`, wsman.Name{}, false},
		{`<a xmlns:w="urn:w">w:</a>`, wsman.Name{}, false},
	} {
		d := wsman.NewDecoder([]byte(tt.doc))
		_, err := d.Root()
		require.NoError(t, err)
		got, err := d.QName()
		assert.Equal(t, tt.ok, err == nil, tt.doc)
		assert.Equal(t, tt.want, got, tt.doc)
		assert.NoError(t, d.Finish(), "a bad name does not spoil the document")
	}
}

func TestDecoderScopes(t *testing.T) {
	events, err := readAll([]byte(`<a xmlns="u" xmlns:p="v" p:x="1" y="2"><p:b xmlns:p="w"/><p:c/><d xmlns=""><e/></d></a>`))
	require.NoError(t, err)
	assert.Equal(t, []string{
		"<{u}a", "@{v}x=1", "@y=2", "<{w}b", ">", "<{v}c", ">", "<d", "<e", ">", ">", ">",
	}, events)
}

func TestDecoderRaw(t *testing.T) {
	d := wsman.NewDecoder([]byte(`<a><b x="&lt;&amp;">1&amp;2<c/></b><d/></a>`))
	_, err := d.Root()
	require.NoError(t, err)
	_, ok := d.NextChild()
	require.True(t, ok)
	raw, err := d.Raw()
	require.NoError(t, err)
	assert.Equal(t, `<b x="&lt;&amp;">1&amp;2<c/></b>`, string(raw))
	n, ok := d.NextChild()
	assert.True(t, ok)
	assert.Equal(t, "d", n.Local)
}

func TestDecoderBase64(t *testing.T) {
	for n := range 200 {
		want := bytes.Repeat([]byte{byte(n), 0xFF, 3}, n)[:n*2]
		text := base64.StdEncoding.EncodeToString(want)
		for _, sep := range []string{"", "\r\n", " ", "\t"} {
			var broken strings.Builder
			for i, c := range text {
				if i > 0 && i%19 == 0 {
					broken.WriteString(sep)
				}
				broken.WriteRune(c)
			}
			d := wsman.NewDecoder([]byte("<a> " + broken.String() + " </a>"))
			_, err := d.Root()
			require.NoError(t, err)
			got, err := d.Base64()
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, got), "%d %q", n, sep)
			require.NoError(t, d.Finish())
		}
	}
	d := wsman.NewDecoder([]byte("<a>!!!!</a>"))
	_, _ = d.Root()
	_, err := d.Base64()
	require.Error(t, err)
	require.Error(t, d.Finish(), "bad base64 is an error of the document")
}

func TestDecoderTextWithChild(t *testing.T) {
	_, err := textOf([]byte(`<a>1<b/></a>`))
	require.Error(t, err)
}

// Every cut of a recorded answer is an error, never a shorter answer.
func TestDecoderTruncation(t *testing.T) {
	for _, name := range []string{"captured-receive.xml", "captured-fault-timedout.xml", "wsmv-4.2.3-pull.xml"} {
		doc := bytes.TrimSpace(load(t, name))
		for n := range doc {
			_, err := readAll(doc[:n])
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%s cut at %d", name, n)
		}
		_, err := readAll(doc)
		require.NoError(t, err)
	}
}

// stdEvents is readAll with encoding/xml. ok is false for documents that are
// outside of what the two are meant to agree on.
func stdEvents(data []byte) (events []string, ok bool, err error) {
	sd := xml.NewDecoder(bytes.NewReader(data))
	depth, roots := 0, 0
	for {
		tok, err := sd.Token()
		if err == io.EOF {
			if roots != 1 || depth != 0 {
				return nil, true, io.ErrUnexpectedEOF
			}
			return events, true, nil
		}
		if err != nil {
			return nil, true, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if depth == 0 {
				roots++
			}
			depth++
			events = append(events, "<"+expand(tok.Name))
			for _, a := range tok.Attr {
				if a.Name.Space == "xmlns" || a.Name.Local == "xmlns" && a.Name.Space == "" {
					continue
				}
				events = append(events, "@"+expand(a.Name)+"="+a.Value)
			}
		case xml.EndElement:
			depth--
			events = append(events, ">")
		case xml.CharData:
			if depth == 0 && len(bytes.TrimSpace(tok)) > 0 {
				return nil, true, errors.New("text outside")
			}
		case xml.Directive:
			return nil, false, nil
		}
	}
}

func expand(n xml.Name) string {
	space := n.Space
	if space == "xml" {
		space = wsman.NSXML
	}
	return wsman.Name{Space: space, Local: n.Local}.String()
}

// FuzzDecoder compares with encoding/xml: what we accept it must accept, with
// the same names, attributes and text; what it accepts we accept, but for the
// rules that it does not know.
func FuzzDecoder(f *testing.F) {
	for _, name := range []string{"captured-receive.xml", "captured-create.xml", "wsmv-4.10-fault.xml", "quota-wmierror.xml", "wsmv-4.1.1-get.xml"} {
		f.Add(load(f, name))
	}
	f.Add([]byte(`<a xmlns="u" xmlns:p="v" p:x="1&#65;" y='2'><p:b>x&amp;<![CDATA[y]]></p:b><!-- c --><?pi?></a>`))
	f.Add([]byte("<a><!--\xfd--></a>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ours, err := readAll(data)
		text, terr := textOf(data)
		if err != nil {
			if _, comparable, stdErr := stdEvents(data); comparable && stdErr == nil && !stricter(err) && !inComment(data, err) {
				t.Fatalf("we refuse what encoding/xml accepts: %v\n%q", err, data)
			}
			return
		}
		// Outside of the comparison: encodings, names and white space in
		// attributes that encoding/xml treats otherwise, and instructions.
		if bytes.ContainsAny(data, "\x00") || !isASCIIMarkup(data) || bytes.Contains(data, []byte("<?")) {
			return
		}
		theirs, ok, err := stdEvents(bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF")))
		if !ok {
			return
		}
		if err != nil {
			t.Fatalf("we accept what encoding/xml refuses: %v\n%q", err, data)
		}
		if fmt.Sprint(ours) != fmt.Sprint(theirs) {
			t.Fatalf("we read\n%q\nencoding/xml\n%q\nof %q", ours, theirs, data)
		}
		if terr == nil {
			var v struct {
				Text string `xml:",chardata"`
			}
			if err := xml.Unmarshal(bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF")), &v); err == nil && v.Text != text {
				t.Fatalf("text %q, encoding/xml %q", text, v.Text)
			}
		}
	})
}

// stricter says whether an error is one of those that encoding/xml does not
// look for: what XML and its namespaces forbid and it lets pass, and our limits.
func stricter(err error) bool {
	var limit *wsman.LimitError
	if errors.As(err, &limit) {
		return true
	}
	for _, reason := range []string{
		"prefix that is not declared", "occurs twice", "declared twice", "namespace declaration", "xmlns declared", "the prefix xml", "bad element name", "bad attribute name",
		"an XML declaration with", "bad XML declaration", "instruction with a bad target", "in an attribute value", "no space before an attribute", "UTF-16", "the document does not begin",
	} {
		if strings.Contains(err.Error(), reason) {
			return true
		}
	}
	return false
}

// inComment says whether a character that XML forbids may stand in a comment or
// an instruction: encoding/xml does not look there.
func inComment(data []byte, err error) bool {
	return strings.Contains(err.Error(), "that XML does not allow") &&
		(bytes.Contains(data, []byte("<!--")) || bytes.Contains(data, []byte("<?")))
}

// isASCIIMarkup says whether tags are plain enough to compare.
func isASCIIMarkup(data []byte) bool {
	inTag := false
	for _, c := range data {
		switch {
		case c == '<':
			inTag = true
		case c == '>':
			inTag = false
		case inTag && (c >= 0x80 || c == '\r' || c == '\n' || c == '\t'):
			return false
		}
	}
	return true
}
