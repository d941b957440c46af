package wsman_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/wsman"
)

// receiveHeader says what captured-receive-request.xml says.
func receiveHeader() wsman.Header {
	return wsman.Header{
		Action:           wsman.ActionReceive,
		To:               "http://192.168.56.11:5985/wsman",
		ReplyTo:          wsman.AddressAnonymous,
		MessageID:        "uuid:9BE5F54A-6B47-487D-9ACD-65201E650446",
		OperationTimeout: 10 * time.Second,
		MaxEnvelopeSize:  153600,
		Locale:           "en-US",
		DataLocale:       "en-US",
		SessionID:        "uuid:F7D8DD4D-8D59-4825-8AB8-1B49DAC45E29",
		Resource: wsman.Resource{
			URI:       wsman.URICmdShell,
			Selectors: []wsman.Selector{{Name: "ShellId", Value: "849551A1-CEC2-4ABD-8B62-652AD1053E9B"}},
			Options:   []wsman.Option{{Name: "WSMAN_CMDSHELL_OPTION_KEEPALIVE", Value: "True"}},
		},
	}
}

func TestReadEnvelopeCapturedRequest(t *testing.T) {
	d := wsman.NewDecoder(load(t, "captured-receive-request.xml"))
	h, err := wsman.ReadEnvelope(d)
	require.NoError(t, err)
	assert.Equal(t, receiveHeader(), h)
	n, ok := d.NextChild()
	require.True(t, ok)
	assert.Equal(t, wsman.Name{Space: wsman.NSShell, Local: "Receive"}, n)
	require.NoError(t, d.Finish())
}

// Our request has the same elements, attributes and texts in the same order as
// the recorded one.
func TestWriteEnvelopeCapturedRequest(t *testing.T) {
	h := receiveHeader()
	e := wsman.NewEncoder(nil)
	wsman.WriteEnvelope(e, &h, func(e *wsman.Encoder) {
		e.Start("rsp:Receive")
		e.Namespace("rsp", wsman.NSShell)
		e.Start("rsp:DesiredStream")
		e.Attr("CommandId", "D644AE56-61E5-4C1A-A135-E599B76B3035")
		e.Text("stdout stderr")
		e.End()
		e.End()
	})
	require.NoError(t, e.Err())
	want, _, err := stdEvents(load(t, "captured-receive-request.xml"))
	require.NoError(t, err)
	// xs:duration has many spellings; Windows and we write milliseconds.
	got, _, err := stdEvents(bytes.Replace(e.Bytes(), []byte("PT10.000S"), []byte("PT10S"), 1))
	require.NoError(t, err)
	assert.Equal(t, want, got)
	assert.Equal(t, text(t, load(t, "captured-receive-request.xml")), text(t, bytes.Replace(e.Bytes(), []byte("PT10.000S"), []byte("PT10S"), 1)))
}

// text is all character data of a document whose tags hold no ">".
func text(t *testing.T, doc []byte) string {
	t.Helper()
	var b bytes.Buffer
	for part := range bytes.SplitSeq(doc, []byte(">")) {
		if i := bytes.IndexByte(part, '<'); i > 0 {
			b.Write(bytes.TrimSpace(part[:i]))
			b.WriteByte('|')
		}
	}
	return b.String()
}

func TestReadEnvelopeAnswers(t *testing.T) {
	h, err := wsman.ReadEnvelope(wsman.NewDecoder(load(t, "captured-create.xml")))
	require.NoError(t, err)
	assert.Equal(t, wsman.Header{
		Action:     wsman.ActionCreate + "Response",
		MessageID:  "uuid:C145AC62-4409-47E6-AFA3-4A8D77C21AAF",
		ActivityID: "1A2F2108-D2BA-0001-1671-301ABAD2D301",
		To:         wsman.AddressAnonymous,
		RelatesTo:  "uuid:81154310-1C68-4690-9BD0-EA693328825B",
	}, h)

	h, err = wsman.ReadEnvelope(wsman.NewDecoder(load(t, "wsmv-4.1.1-get.xml")))
	require.NoError(t, err)
	assert.Equal(t, "uuid:5E6FD101-710A-4EEA-A50D-70C0BF863AA3", h.RelatesTo, "white space is left out")
	assert.Empty(t, h.Unknown)
}

func TestReadEnvelopeUnknownHeaders(t *testing.T) {
	const doc = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:q="urn:q"><s:Header>` +
		`<q:A s:mustUnderstand="true"/><q:B s:mustUnderstand="1"><q:C/></q:B><q:D s:mustUnderstand="false"/><q:E/></s:Header><s:Body/></s:Envelope>`
	d := wsman.NewDecoder([]byte(doc))
	h, err := wsman.ReadEnvelope(d)
	require.NoError(t, err)
	assert.Equal(t, []wsman.Name{{Space: "urn:q", Local: "A"}, {Space: "urn:q", Local: "B"}}, h.Unknown)
	_, ok := d.NextChild()
	assert.False(t, ok)
	require.NoError(t, d.Finish())
}

func TestReadEnvelopeRefuses(t *testing.T) {
	for _, doc := range []string{
		`<a/>`,
		`<Envelope/>`,
		`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/></s:Envelope>`, // SOAP 1.1
		`<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"/>`,
		`<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header/></s:Envelope>`,
		`<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"><s:Header><w:OperationTimeout>PT-1S</w:OperationTimeout></s:Header><s:Body/></s:Envelope>`,
		`<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"><s:Header><w:MaxEnvelopeSize>-5</w:MaxEnvelopeSize></s:Header><s:Body/></s:Envelope>`,
	} {
		_, err := wsman.ReadEnvelope(wsman.NewDecoder([]byte(doc)))
		var bad *wsman.EnvelopeError
		assert.ErrorAs(t, err, &bad, doc)
	}
}

func TestEnvelopeOptionsAndSelectors(t *testing.T) {
	want := wsman.Header{
		Action: "urn:x",
		Resource: wsman.Resource{
			URI: "urn:r",
			Selectors: []wsman.Selector{
				{Name: "Name", Value: `a "<&>`},
				{Name: "Antecedent", EPR: &wsman.EndpointReference{Address: wsman.AddressAnonymous, Resource: wsman.Resource{
					URI: "urn:inner", Selectors: []wsman.Selector{{Name: "Id", Value: "1"}},
				}}},
			},
			Options: []wsman.Option{
				{Name: "protocolversion", Value: "2.3", MustComply: true},
				{Name: "CDATA", Null: true},
				{Name: "Count", Value: "3", Type: "xs:int"},
			},
		},
		OperationID: "uuid:1", SequenceID: 4, Fragment: "a/text()", FragmentDialect: wsman.DialectXPath1, Compression: "xpress", FaultTo: wsman.AddressAnonymous,
	}
	e := wsman.NewEncoder(nil)
	wsman.WriteEnvelope(e, &want, nil)
	require.NoError(t, e.Err())
	got, err := wsman.ReadEnvelope(wsman.NewDecoder(e.Bytes()))
	require.NoError(t, err)
	assert.Equal(t, want, got)
	v, ok := got.Resource.Selector("NAME")
	assert.True(t, ok)
	assert.Equal(t, `a "<&>`, v)
}

func FuzzReadEnvelope(f *testing.F) {
	for _, name := range []string{"captured-receive-request.xml", "captured-create.xml", "captured-fault-selectors.xml", "wsmv-4.10-fault.xml"} {
		f.Add(load(f, name))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := wsman.NewDecoder(data)
		h, err := wsman.ReadEnvelope(d)
		if err != nil || d.Finish() != nil {
			return
		}
		// What was read can be written, and is read again as the same.
		h.Unknown = nil
		e := wsman.NewEncoder(nil)
		wsman.WriteEnvelope(e, &h, nil)
		if e.Err() != nil {
			t.Fatal(e.Err())
		}
		if _, err := wsman.ReadEnvelope(wsman.NewDecoder(e.Bytes())); err != nil {
			t.Fatalf("%v\n%s", err, e.Bytes())
		}
	})
}
