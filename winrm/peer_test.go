package winrm_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/memconn"
	"github.com/winrmkit/winrmkit/winrm"
)

// A peer is a listener that answers by a script, byte for byte: for what
// winrmtest, which behaves as Windows does, would never say.
type peer struct {
	listener *memconn.Listener
	script   func(*ask) reply
	wait     sync.WaitGroup

	mu    sync.Mutex
	asks  []*ask
	conns map[net.Conn]struct{}
}

// An ask is one request to a peer.
type ask struct {
	conn, nth int // the connection, and which of its requests this is, from 1
	action    string
	header    http.Header
	body      string

	messageID, shell, command string
}

// A reply is what the peer says to it.
type reply struct {
	status int      // 0 is 200, 500 for a fault
	header []string // besides Content-Type and Content-Length
	body   []byte
	raw    []byte // the answer as it is, in place of all that
	cut    int    // only so many bytes of it leave, when not negative
	close  bool   // the connection is closed after it
}

const (
	peerShell   = "11111111-2222-4333-8444-ABCDEFABCDEF"
	peerCommand = "77777777-8888-4999-8AAA-ABCDEFABCDEF"
)

// newPeer starts a peer and a client for it; both end with the test.
func newPeer(t testing.TB, script func(*ask) reply, change ...func(*winrm.Config)) (*peer, *winrm.Client) {
	t.Helper()
	p := &peer{listener: memconn.Listen("peer.invalid:5985"), script: script, conns: make(map[net.Conn]struct{})}
	p.wait.Go(p.accept)
	t.Cleanup(p.close)
	return p, p.client(t, change...)
}

func (p *peer) client(t testing.TB, change ...func(*winrm.Config)) *winrm.Client {
	t.Helper()
	cfg := config()
	cfg.Dial = p.listener.DialContext
	for _, fn := range change {
		fn(cfg)
	}
	client, err := winrm.New("http://peer.invalid:5985", cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func (p *peer) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.wait.Wait()
}

func (p *peer) accept() {
	for n := 1; ; n++ {
		nc, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.conns[nc] = struct{}{}
		p.mu.Unlock()
		p.wait.Go(func() {
			p.serve(nc, n)
			_ = nc.Close()
			p.mu.Lock()
			delete(p.conns, nc)
			p.mu.Unlock()
		})
	}
}

var askFields = regexp.MustCompile(`<a:Action[^>]*>([^<]*)</a:Action>|<a:MessageID>([^<]*)<|<w:Selector Name="ShellId">([^<]*)<|CommandId="([^"]*)"`)

func (p *peer) serve(nc net.Conn, number int) {
	br := bufio.NewReader(nc)
	for nth := 1; ; nth++ {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		x := &ask{conn: number, nth: nth, header: req.Header, body: string(body)}
		for _, m := range askFields.FindAllStringSubmatch(x.body, -1) {
			for i, to := range []*string{&x.action, &x.messageID, &x.shell, &x.command} {
				if m[i+1] != "" {
					*to = m[i+1]
				}
			}
		}
		x.action = x.action[strings.LastIndexByte(x.action, '/')+1:]
		p.mu.Lock()
		p.asks = append(p.asks, x)
		p.mu.Unlock()
		r := p.script(x)
		if _, err := nc.Write(r.bytes()); err != nil || r.close || r.cut >= 0 {
			return
		}
	}
}

// seen returns the requests so far, by action; "" means all.
func (p *peer) seen(action string) []*ask {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*ask
	for _, x := range p.asks {
		if action == "" || x.action == action {
			out = append(out, x)
		}
	}
	return out
}

// bytes is the whole answer.
func (r *reply) bytes() []byte {
	out := r.raw
	if out == nil {
		if r.status == 0 {
			r.status = http.StatusOK
			if strings.Contains(string(r.body), "Fault>") {
				r.status = http.StatusInternalServerError
			}
		}
		var head strings.Builder
		head.WriteString(fmt.Sprintf("HTTP/1.1 %d %s\r\n", r.status, http.StatusText(r.status)))
		if !strings.Contains(strings.Join(r.header, "\n"), "Content-Type") {
			head.WriteString("Content-Type: application/soap+xml;charset=UTF-8\r\n")
		}
		for _, line := range r.header {
			head.WriteString(line + "\r\n")
		}
		out = append(fmt.Appendf(nil, "%sContent-Length: %d\r\n\r\n", head.String(), len(r.body)), r.body...)
	}
	if r.cut >= 0 && r.cut < len(out) {
		out = out[:r.cut]
	}
	return out
}

// The envelope that Windows writes, with its prefixes.
const windowsEnvelope = `<s:Envelope xml:lang="en-US" xmlns:s="http://www.w3.org/2003/05/soap-envelope"` +
	` xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:x="http://schemas.xmlsoap.org/ws/2004/09/transfer"` +
	` xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell"` +
	` xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"><s:Header><a:Action>%s</a:Action>` +
	`<a:MessageID>uuid:0F0E0D0C-0000-4000-8000-000000000001</a:MessageID>` +
	`<a:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:To><a:RelatesTo>%s</a:RelatesTo></s:Header><s:Body>%s</s:Body></s:Envelope>`

// answer wraps a body.
func (x *ask) answer(body string) reply {
	return reply{cut: -1, body: fmt.Appendf(nil, windowsEnvelope, "http://example.invalid/"+x.action+"Response", x.messageID, body)}
}

// fault is a fault with a WSManFault in it.
func (x *ask) fault(code uint32) reply {
	return x.answer(fmt.Sprintf(`<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>w:InternalError</s:Value></s:Subcode></s:Code>`+
		`<s:Reason><s:Text xml:lang="en-US">no</s:Text></s:Reason><s:Detail><f:WSManFault `+
		`xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="%d" Machine="peer"><f:Message>no</f:Message></f:WSManFault></s:Detail></s:Fault>`, code))
}

const rspURI = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func stream(name, command, text string) string {
	return fmt.Sprintf(`<rsp:Stream Name="%s" CommandId="%s">%s</rsp:Stream>`, name, command, b64(text))
}

func doneState(command string, code int) string {
	return fmt.Sprintf(`<rsp:CommandState CommandId="%s" State="%s/CommandState/Done"><rsp:ExitCode>%d</rsp:ExitCode></rsp:CommandState>`,
		command, rspURI, code)
}

// peerOutput is what the command of a usual peer writes; it ends with code 7.
const peerOutput = "one é 한\r\ntwo]]>&<x/>"

// usual is the answer that Windows gives, in its form. It does as the client
// asks with regard to ids.
func (x *ask) usual() reply {
	switch x.action {
	case "Create":
		id := regexp.MustCompile(`ShellId="([^"]*)"`).FindStringSubmatch(x.body)[1]
		return x.answer(created(id) + `<rsp:Shell><rsp:ShellId>` + id + `</rsp:ShellId><rsp:InputStreams>stdin</rsp:InputStreams>` +
			`<rsp:OutputStreams>stdout stderr</rsp:OutputStreams><rsp:ShellRunTime>P0DT0H0M0S</rsp:ShellRunTime></rsp:Shell>`)
	case "Command":
		return x.answer(`<rsp:CommandResponse><rsp:CommandId>` + x.command + `</rsp:CommandId></rsp:CommandResponse>`)
	case "Receive":
		return x.answer(`<rsp:ReceiveResponse>` + stream("stdout", x.command, peerOutput) +
			`<rsp:Stream Name="stdout" CommandId="` + x.command + `" End="true"></rsp:Stream>` +
			`<rsp:Stream Name="stderr" CommandId="` + x.command + `" End="true"></rsp:Stream>` +
			doneState(x.command, 7) + `</rsp:ReceiveResponse>`)
	case "Send":
		return x.answer(`<rsp:SendResponse/>`)
	case "Signal":
		return x.answer(`<rsp:SignalResponse/>`)
	case "Delete", "Get":
		return x.answer("")
	}
	return x.fault(2150858752)
}

func created(id string) string {
	return `<x:ResourceCreated><a:Address>http://peer.invalid:5985/wsman</a:Address><a:ReferenceParameters>` +
		`<w:ResourceURI>http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd</w:ResourceURI>` +
		`<w:SelectorSet><w:Selector Name="ShellId">` + id + `</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>`
}

// deadDial is a network that swallows everything.
func deadDial(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}
