package bench_test

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	masterzen "github.com/masterzen/winrm"

	"github.com/winrmkit/winrmkit/internal/wsmv"
	"github.com/winrmkit/winrmkit/wsman"
)

// receiveSize is about the length of the answer in the decoding benchmark: full
// envelopes of a host whose MaxEnvelopeSize is 500 KB come near it.
const receiveSize = 400 << 10

// receiveAnswer is an answer to Receive as Windows writes it, with output of
// both kinds, and the number of bytes that the output has.
func receiveAnswer() (envelope []byte, output int64) {
	const head = `<s:Envelope xml:lang="en-US" xmlns:s="http://www.w3.org/2003/05/soap-envelope"` +
		` xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"` +
		` xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"` +
		` xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell"` +
		` xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"><s:Header>` +
		`<a:Action>http://schemas.microsoft.com/wbem/wsman/1/windows/shell/ReceiveResponse</a:Action>` +
		`<a:MessageID>uuid:7F6FA9F7-2D83-4B0E-A1DA-0A3A9C8B5C5C</a:MessageID>` +
		`<p:OperationID s:mustUnderstand="false">uuid:9B4C2DC1-0C1C-4F0F-9C59-2C0C9E6C7F36</p:OperationID>` +
		`<p:SequenceId>1</p:SequenceId>` +
		`<a:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:To>` +
		`<a:RelatesTo>uuid:2A1D6A2C-6C1F-4C7B-8F41-7C3B7A1B9D10</a:RelatesTo></s:Header><s:Body><rsp:ReceiveResponse>`
	const id = "D644AE56-6CB2-4B0E-8A0A-2C0C6D1A9E11"
	const tail = `<rsp:CommandState CommandId="` + id + `" State="http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState/Running"></rsp:CommandState>` +
		`</rsp:ReceiveResponse></s:Body></s:Envelope>`

	random := rand.NewChaCha8([32]byte{1})
	b := bytes.NewBufferString(head)
	for i := 0; b.Len() < receiveSize-len(tail); i++ {
		name := "stdout"
		if i%8 == 7 {
			name = "stderr"
		}
		data := make([]byte, 12<<10)
		_, _ = random.Read(data) // never fails
		output += int64(len(data))
		b.WriteString(`<rsp:Stream Name="` + name + `" CommandId="` + id + `">`)
		b.WriteString(base64.StdEncoding.EncodeToString(data))
		b.WriteString(`</rsp:Stream>`)
	}
	b.WriteString(tail)
	return b.Bytes(), output
}

// BenchmarkDecodeReceive takes the output out of an answer to Receive.
func BenchmarkDecodeReceive(b *testing.B) { eachRound(b, decodeReceive) }

func decodeReceive(b *testing.B) {
	envelope, output := receiveAnswer()
	text := string(envelope)
	size := int64(len(envelope))
	g := group{section: "Decoding", row: "an answer to Receive of 400 KiB"}

	own := make([]byte, len(envelope)) // the decoder works in place
	d := wsman.NewDecoder(nil)
	var answer wsmv.ReceiveResponse
	g.run(b, ours, size, func() error {
		copy(own, envelope)
		d.Reset(own)
		answer.Reset()
		return decodeOurs(d, &answer, output)
	})
	g.run(b, "encoding-xml", size, func() error { return decodeStd(envelope, output) })
	g.run(b, "masterzen", size, func() error {
		var stdout, stderr counter
		if _, _, err := masterzen.ParseSlurpOutputErrResponse(text, &stdout, &stderr); err != nil {
			return err
		}
		return expect(stdout.n+stderr.n, output)
	})
	// The bound of any decoder: the base64 alone.
	plain := []byte(base64.StdEncoding.EncodeToString(make([]byte, output)))
	decoded := make([]byte, output)
	g.run(b, boundName, size, func() error {
		n, err := base64.StdEncoding.Decode(decoded, plain)
		return errors.Join(err, expect(int64(n), output))
	})
	g.ratios(b, ours)
}

func decodeOurs(d *wsman.Decoder, answer *wsmv.ReceiveResponse, output int64) error {
	if _, err := d.Root(); err != nil {
		return err
	}
	for n := range d.Children() {
		if n.Local != "Body" {
			continue
		}
		for range d.Children() {
			if err := answer.Decode(d); err != nil {
				return err
			}
		}
	}
	if err := d.Finish(); err != nil {
		return err
	}
	var n int64
	for i := range answer.Streams {
		n += int64(len(answer.Streams[i].Data))
	}
	return expect(n, output)
}

// decodeStd is what a careful program does with encoding/xml: tokens, no tree.
func decodeStd(envelope []byte, output int64) error {
	d := xml.NewDecoder(bytes.NewReader(envelope))
	var n int64
	inStream := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return expect(n, output)
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			inStream = t.Name.Local == "Stream"
		case xml.EndElement:
			inStream = false
		case xml.CharData:
			if !inStream {
				continue
			}
			data, err := base64.StdEncoding.AppendDecode(nil, t)
			if err != nil {
				return err
			}
			n += int64(len(data))
		}
	}
}
