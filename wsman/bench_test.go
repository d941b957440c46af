package wsman_test

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/winrmkit/winrmkit/wsman"
)

// receiveAnswer is an answer to Receive with about 400 KiB of base64.
func receiveAnswer(tb testing.TB) (doc []byte, raw int) {
	tb.Helper()
	raw = 300 << 10
	data := make([]byte, raw)
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // test data
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	parts := bytes.SplitN(load(tb, "captured-receive.xml"), []byte("aGk="), 2)
	doc = append(doc, parts[0]...)
	doc = base64.StdEncoding.AppendEncode(doc, data)
	return append(doc, parts[1]...), raw
}

var stream = wsman.Name{Space: wsman.NSShell, Local: "Stream"}

// readReceive reads such an answer as a shell does.
func readReceive(d *wsman.Decoder, data []byte) (n int, err error) {
	d.Reset(data)
	if _, err := wsman.ReadEnvelope(d); err != nil {
		return 0, err
	}
	for range d.Children() {
		for name := range d.Children() {
			switch name {
			case stream:
				_, _ = d.Attr("", "Name")
				_, _ = d.Attr("", "CommandId")
				p, _ := d.Base64()
				n += len(p)
			default:
				_, _ = d.Attr("", "State")
			}
		}
	}
	return n, d.Finish()
}

// BenchmarkDecodeReceive compares, on the same answer: ours, base64 decoding
// alone, and the tokens of encoding/xml without decoding their base64. Each
// iteration starts from a fresh copy where it is needed.
func BenchmarkDecodeReceive(b *testing.B) {
	doc, raw := receiveAnswer(b)
	buf := make([]byte, len(doc))
	b.Run("wsman", func(b *testing.B) {
		d := new(wsman.Decoder)
		b.SetBytes(int64(len(doc)))
		b.ReportAllocs()
		for b.Loop() {
			copy(buf, doc)
			n, err := readReceive(d, buf)
			if err != nil || n != raw+1 {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("base64", func(b *testing.B) {
		text := base64.StdEncoding.AppendEncode(nil, make([]byte, raw))
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			copy(buf, text)
			if _, err := base64.StdEncoding.Decode(buf, buf[:len(text)]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-xml", func(b *testing.B) {
		b.SetBytes(int64(len(doc)))
		b.ReportAllocs()
		for b.Loop() {
			d := xml.NewDecoder(bytes.NewReader(doc))
			for {
				if _, err := d.Token(); err == io.EOF {
					break
				} else if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

func BenchmarkDecodeEmptyReceive(b *testing.B) {
	doc := load(b, "captured-receive.xml")
	buf := make([]byte, len(doc))
	d := new(wsman.Decoder)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		copy(buf, doc)
		if _, err := readReceive(d, buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeCommand(b *testing.B) {
	h := receiveHeader()
	h.Action = wsman.ActionCommand
	e := wsman.NewEncoder(nil)
	var buf []byte
	body := func(e *wsman.Encoder) {
		e.Start("rsp:CommandLine")
		e.Namespace("rsp", wsman.NSShell)
		e.Element("rsp:Command", "ipconfig")
		e.Element("rsp:Arguments", "/all")
		e.End()
	}
	b.ReportAllocs()
	for b.Loop() {
		e.Reset(buf[:0])
		wsman.WriteEnvelope(e, &h, body)
		if e.Err() != nil {
			b.Fatal(e.Err())
		}
		buf = e.Bytes()
	}
	b.SetBytes(int64(len(buf)))
}
