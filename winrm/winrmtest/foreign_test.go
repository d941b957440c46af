package winrmtest_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// leastEnvelope has no header block that a client may leave out, and the
// prefixes, order and attributes of WinRM's client for Ruby.
const leastEnvelope = `<?xml version="1.0" encoding="UTF-8"?>
<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell">
 <env:Header>
  <a:To>http://host:5985/wsman</a:To>
  <a:ReplyTo><a:Address mustUnderstand="true">http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>
  <a:MessageID>uuid:7C5CBB8E-2A38-4A3A-9B12-8F8B7D0A2E11</a:MessageID>%s
  <w:ResourceURI mustUnderstand="true">%s</w:ResourceURI>
  <a:Action mustUnderstand="true">%s</a:Action>%s
 </env:Header>
 <env:Body>%s</env:Body>
</env:Envelope>`

// foreign is how a client of another make writes what it may write as it likes.
type foreign struct {
	header      string              // further header blocks
	id          func(string) string // how it repeats an id
	selector    string              // name of the selector
	contentType string              // of requests
	path        string              // of requests
	text        func(string) []byte // how it writes an envelope
	lines       []string            // of the HTTP header
}

// run opens a shell, runs echo in it and deletes it, and returns the output.
func (f foreign) run(t *testing.T, c *rawClient) (stdout string) {
	t.Helper()
	do := func(action, shell, body string) string {
		selectors := ""
		if shell != "" {
			selectors = `<w:SelectorSet><w:Selector Name="` + f.selector + `">` + f.id(shell) + `</w:Selector></w:SelectorSet>`
		}
		data := f.text(fmt.Sprintf(leastEnvelope, f.header, uriCmd, action, selectors, body))
		head := fmt.Sprintf("POST %s HTTP/1.1\r\nhost: h\r\nauthorization: %s\r\ncontent-length: %d\r\ncontent-type: %s\r\n%s\r\n",
			f.path, c.auth, len(data), f.contentType, strings.Join(f.lines, ""))
		_, err := io.WriteString(c.conn, head+string(data))
		require.NoError(t, err)
		if len(f.lines) > 0 {
			line, err := c.br.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
			_, _ = c.br.ReadString('\n')
		}
		resp, answer := c.answer()
		require.Equal(t, 200, resp.StatusCode, answer)
		return answer
	}
	shell := find(t, do(transfer+"/Create", "", `<rsp:Shell><rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams></rsp:Shell>`),
		`<w:Selector Name="ShellId">([^<]+)<`)
	command := find(t, do(nsShell+"/Command", shell, `<rsp:CommandLine><rsp:Command>echo</rsp:Command><rsp:Arguments>hi</rsp:Arguments></rsp:CommandLine>`),
		`<rsp:CommandId>([^<]+)<`)
	for answer := ""; !strings.Contains(answer, "CommandState/Done"); {
		answer = do(nsShell+"/Receive", shell, `<rsp:Receive><rsp:DesiredStream CommandId="`+f.id(command)+`">stdout stderr</rsp:DesiredStream></rsp:Receive>`)
		stdout += output(t, answer)["stdout"]
	}
	do(nsShell+"/Signal", shell, `<rsp:Signal CommandId="`+f.id(command)+`"><rsp:Code>`+nsShell+`/signal/terminate</rsp:Code></rsp:Signal>`)
	do(transfer+"/Delete", shell, "")
	return stdout
}

func inUTF16(order binary.AppendByteOrder, mark string) func(string) []byte {
	return func(s string) (out []byte) {
		for _, u := range utf16.Encode([]rune(mark + strings.Replace(s, "UTF-8", "UTF-16", 1))) {
			out = order.AppendUint16(out, u)
		}
		return out
	}
}

// Clients write what the standards leave open in many ways, and leave out what
// may be left out.
func TestForeignClients(t *testing.T) {
	timeout := func(s string) func(*foreign) {
		return func(f *foreign) { f.header = `<w:OperationTimeout>` + s + `</w:OperationTimeout>` }
	}
	contentType := func(s string) func(*foreign) { return func(f *foreign) { f.contentType = s } }
	for name, change := range map[string]func(*foreign){
		"the least":           func(*foreign) {},
		"ids in lower case":   func(f *foreign) { f.id = strings.ToLower },
		"ids with uuid:":      func(f *foreign) { f.id = func(id string) string { return "uuid:" + id } },
		"ids in braces":       func(f *foreign) { f.id = func(id string) string { return "{" + strings.ToLower(id) + "}" } },
		"selector ShellID":    func(f *foreign) { f.selector = "ShellID" },
		"half a second":       timeout("PT0.5S"),
		"a minute, with days": timeout("P0DT1M"),
		"all the units":       timeout("P0Y0M0DT0H0M20.000S"),
		"white space":         timeout("\n PT20S "),
		"huge envelopes":      func(f *foreign) { f.header = `<w:MaxEnvelopeSize>4294967295</w:MaxEnvelopeSize>` },
		"action quoted":       contentType(`application/soap+xml; charset="utf-8"; action="http://x/y"`),
		"action not quoted":   contentType(`application/soap+xml; charset=UTF-8; action=http://x/y`),
		"media type alone":    contentType(`APPLICATION/soap+xml`),
		"slash at the end":    func(f *foreign) { f.path = "/wsman/" },
		"absolute URI":        func(f *foreign) { f.path = "http://h:5985/wsman" },
		"continue expected":   func(f *foreign) { f.lines = []string{"Expect: 100-continue\r\n"} },
		"single quotes":       func(f *foreign) { f.text = func(s string) []byte { return []byte(strings.ReplaceAll(s, `"`, `'`)) } },
		"byte order mark":     func(f *foreign) { f.text = func(s string) []byte { return []byte("\ufeff" + s) } },
		"default namespace": func(f *foreign) {
			f.text = func(s string) []byte {
				return []byte(strings.NewReplacer("xmlns:env=", "xmlns=", "<env:", "<", "</env:", "</").Replace(s))
			}
		},
		"UTF-16":               func(f *foreign) { f.text = inUTF16(binary.LittleEndian, "\ufeff") },
		"UTF-16, big-endian":   func(f *foreign) { f.text = inUTF16(binary.BigEndian, "\ufeff") },
		"UTF-16, without mark": func(f *foreign) { f.text = inUTF16(binary.LittleEndian, "") },
	} {
		t.Run(name, func(t *testing.T) {
			srv := start(t, &winrmtest.Host{})
			f := foreign{
				id: func(id string) string { return id }, selector: "ShellId", contentType: "application/soap+xml;charset=UTF-8",
				path: "/wsman", text: func(s string) []byte { return []byte(s) },
			}
			change(&f)
			stdout := f.run(t, dial(t, srv))
			assert.Equal(t, "hi\r\n", stdout)
			assert.Zero(t, srv.Stats().Shells)
		})
	}
}
