package winrm_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/wsman"
)

// edit passes every answer of the usual peer through fn.
func edit(fn func(x *ask, body string) string) func(*ask) reply {
	return func(x *ask) reply {
		r := x.usual()
		r.body = []byte(fn(x, string(r.body)))
		return r
	}
}

// on replaces the content of s:Body in the answers to one action.
func on(action string, fn func(x *ask) string) func(*ask) reply {
	return func(x *ask) reply {
		if x.action == action {
			return x.answer(fn(x))
		}
		return x.usual()
	}
}

// raw passes every answer, head and all, through fn.
func raw(fn func(x *ask, answer string) string) func(*ask) reply {
	return func(x *ask) reply {
		r := x.usual()
		return reply{cut: -1, raw: []byte(fn(x, string(r.bytes())))}
	}
}

// head puts lines into every answer's head.
func head(lines ...string) func(*ask) reply {
	return func(x *ask) reply {
		r := x.usual()
		r.header = lines
		return r
	}
}

func receive(x *ask, content string) string {
	return `<rsp:ReceiveResponse>` + content + `</rsp:ReceiveResponse>`
}

var prefixes = regexp.MustCompile(`(</?|xmlns:)(s|a|x|w|rsp|p)([:=])`)

// otherPrefixes renames all prefixes.
func otherPrefixes(_ *ask, body string) string {
	return strings.ReplaceAll(prefixes.ReplaceAllString(body, "${1}q-${2}${3}"), "<s:Value>s:", "<s:Value>q-s:")
}

var opening = regexp.MustCompile(`<(s|a|x|w|rsp|p):([A-Za-z]+)`)

// defaultNamespaces declares a default namespace on every element instead of
// using prefixes.
func defaultNamespaces(_ *ask, body string) string {
	uris := map[string]string{}
	for _, m := range regexp.MustCompile(` xmlns:(\w+)="([^"]*)"`).FindAllStringSubmatch(windowsEnvelope, -1) {
		uris[m[1]] = m[2]
	}
	body = opening.ReplaceAllStringFunc(body, func(tag string) string {
		m := opening.FindStringSubmatch(tag)
		return `<` + m[2] + ` xmlns="` + uris[m[1]] + `"`
	})
	body = regexp.MustCompile(`</\w+:`).ReplaceAllString(body, "</")
	return regexp.MustCompile(` xmlns:\w+="[^"]*"`).ReplaceAllString(body, "")
}

func inUTF16(order binary.AppendByteOrder, bom bool) func(*ask) reply {
	return func(x *ask) reply {
		r := x.usual()
		text := string(r.body)
		if bom {
			text = "\ufeff" + text
		}
		r.body = nil
		for _, u := range utf16.Encode([]rune(text)) {
			r.body = order.AppendUint16(r.body, u)
		}
		r.header = []string{"Content-Type: application/soap+xml;charset=UTF-16"}
		return r
	}
}

func chunked(x *ask, answer string) string {
	head, body, _ := strings.Cut(answer, "\r\n\r\n")
	head = regexp.MustCompile(`\r\nContent-Length: \d+`).ReplaceAllString(head, "") + "\r\nTransfer-Encoding: chunked\r\n\r\n"
	for n := 1; body != ""; n = n*3 + 1 {
		n = min(n, len(body))
		head += fmt.Sprintf("%X;ext=1\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return head + "0\r\nTrailer: x\r\n\r\n"
}

// Listeners that are no Windows of today: older ones, OMI, gateways, and what
// the standards allow besides. Each runs commands as any other.
func TestOddListeners(t *testing.T) {
	for name, script := range map[string]func(*ask) reply{
		"usual": (*ask).usual,
		// Windows 7 and Server 2008 R2.
		"reference without description": on("Create", func(*ask) string { return created(peerShell) }),
		// OMI.
		"description without reference": on("Create", func(*ask) string {
			return `<rsp:Shell ShellId="` + peerShell + `" Name="x"><rsp:InputStreams>stdin</rsp:InputStreams></rsp:Shell>`
		}),
		"a description out of range": on("Create", func(*ask) string {
			return created(peerShell) + `<rsp:Shell><rsp:IdleTimeOut>P10675199DT2H48M5.4775807S</rsp:IdleTimeOut><rsp:Lifetime/></rsp:Shell>`
		}),
		"no shell id at all": on("Create", func(*ask) string { return "" }),
		"its own shell id": on("Create", func(*ask) string {
			return created(peerShell) + `<rsp:Shell><rsp:ShellId>` + peerShell + `</rsp:ShellId></rsp:Shell>`
		}),
		"its own shell id, braced": on("Create", func(*ask) string { return created("{" + peerShell + "}") }),
		"other prefixes":           edit(otherPrefixes),
		"default namespaces":       edit(defaultNamespaces),
		"command id in lower case": edit(func(x *ask, s string) string {
			if x.command == "" {
				return s
			}
			return strings.ReplaceAll(s, x.command, strings.ToLower(x.command))
		}),
		"its own command id": on("Command", func(*ask) string {
			return `<rsp:CommandResponse><rsp:CommandId> ` + peerCommand + ` </rsp:CommandId></rsp:CommandResponse>`
		}),
		"no command id in states and streams": edit(func(x *ask, s string) string {
			if x.action != "Receive" {
				return s
			}
			return strings.ReplaceAll(s, ` CommandId="`+x.command+`"`, "")
		}),
		"several states": on("Receive", func(x *ask) string {
			return receive(x, stream("stdout", x.command, peerOutput)+
				`<rsp:CommandState CommandId="`+x.command+`" State="`+rspURI+`/CommandState/Running"/>`+
				doneState(peerCommand, 99)+
				`<rsp:CommandState CommandId="`+x.command+`" State="`+rspURI+`/CommandState/Done"/>`+
				doneState(x.command, 7))
		}),
		"state before streams": on("Receive", func(x *ask) string {
			return receive(x, doneState(x.command, 7)+stream("stdout", x.command, peerOutput))
		}),
		"streams first, the state alone later": streamsFirst(),
		"nothing yet, by an empty answer": func(x *ask) reply {
			if x.action == "Receive" && x.nth < 5 {
				return x.answer(receive(x, ""))
			}
			return x.usual()
		},
		"End is True": edit(func(_ *ask, s string) string { return strings.ReplaceAll(s, `End="true"`, `End="True"`) }),
		"End is 1":    edit(func(_ *ask, s string) string { return strings.ReplaceAll(s, `End="true"`, `End='1'`) }),
		"end with data, empty streams": on("Receive", func(x *ask) string {
			return receive(x, `<rsp:Stream Name="stdout" CommandId="`+x.command+`"/>`+
				strings.Replace(stream("stdout", x.command, peerOutput), `">`, `" End="true">`, 1)+doneState(x.command, 7))
		}),
		"data in small streams": on("Receive", func(x *ask) string {
			var s strings.Builder
			for i := range len(peerOutput) {
				s.WriteString(stream("stdout", x.command, peerOutput[i:i+1]))
			}
			return receive(x, s.String()+doneState(x.command, 7))
		}),
		"base64 in lines": on("Receive", func(x *ask) string {
			code := b64(peerOutput)
			return receive(x, `<rsp:Stream Name="stdout" CommandId="`+x.command+`">`+"\r\n  "+code[:8]+"\r\n"+code[8:12]+"&#13;\n\t"+code[12:]+
				"\n</rsp:Stream>"+doneState(x.command, 7))
		}),
		"base64 in CDATA": on("Receive", func(x *ask) string {
			code := b64(peerOutput)
			return receive(x, `<rsp:Stream Name="stdout" CommandId="`+x.command+`"><![CDATA[`+code[:9]+`]]>`+code[9:11]+`<!-- x --><![CDATA[`+code[11:]+`]]></rsp:Stream>`+
				doneState(x.command, 7))
		}),
		"unknown streams and elements": on("Receive", func(x *ask) string {
			return receive(x, stream("pr", x.command, "no")+`<rsp:New a="b"><c/></rsp:New><new xmlns="urn:x">x</new>`+
				stream("stdout", x.command, peerOutput)+
				`<rsp:CommandState CommandId="`+x.command+`" State="`+rspURI+`/CommandState/Done"><rsp:ExitCode> 7 </rsp:ExitCode><rsp:New/></rsp:CommandState>`)
		}),
		"chunked":                raw(chunked),
		"byte order mark":        edit(func(_ *ask, s string) string { return "\ufeff" + s }),
		"UTF-16 LE":              inUTF16(binary.LittleEndian, true),
		"UTF-16 BE":              inUTF16(binary.BigEndian, true),
		"UTF-16 LE without mark": inUTF16(binary.LittleEndian, false),
		"interim answers": raw(func(_ *ask, s string) string {
			return "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: </x>\r\n\r\n" + s
		}),
		"declaration and comments": edit(func(_ *ask, s string) string {
			return `<?xml version="1.0" encoding="utf-8" standalone="yes"?>` + "\r\n<!-- a --><?pi x?>" + strings.Replace(s, "<s:Body>", "<!-- b --><s:Body><!-- c -->\n", 1) + "\n<!-- d -->"
		}),
		"single quotes, spaces":    edit(func(_ *ask, s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, `"`, `'`), "'>", "' >") }),
		"text/xml":                 head("Content-Type: text/xml"),
		"media type in upper case": head("content-type: Application/SOAP+XML; Charset=\"utf-8\"; action=\"urn:x\""),
		"cookies":                  head("Set-Cookie: MS-WSMAN=abc; path=/wsman; HttpOnly", "set-cookie: other=1"),
		"RelatesTo in upper case": edit(func(x *ask, s string) string {
			return strings.ReplaceAll(s, x.messageID, strings.ToUpper(x.messageID))
		}),
		"RelatesTo with white space": edit(func(x *ask, s string) string { return strings.ReplaceAll(s, x.messageID, "\n "+x.messageID+" ") }),
		"RelatesTo as a URN":         edit(func(x *ask, s string) string { return strings.ReplaceAll(s, x.messageID, "urn:"+x.messageID) }),
		"RelatesTo without uuid:": edit(func(x *ask, s string) string {
			return strings.ReplaceAll(s, x.messageID, strings.TrimPrefix(x.messageID, "uuid:"))
		}),
		"RelatesTo missing": edit(func(x *ask, s string) string {
			return strings.ReplaceAll(s, "<a:RelatesTo>"+x.messageID+"</a:RelatesTo>", "")
		}),
		"unknown header blocks": edit(func(_ *ask, s string) string {
			return strings.Replace(s, "<s:Header>", `<s:Header><new xmlns="urn:x" s:mustUnderstand="false">x</new>`, 1)
		}),
		"no header but Relates": edit(func(x *ask, s string) string {
			return regexp.MustCompile(`<a:(Action|MessageID|To)>[^<]*</a:\w+>`).ReplaceAllString(s, "")
		}),
		"connection closed each time":      func(x *ask) reply { r := x.usual(); r.close, r.header = true, []string{"Connection: close"}; return r },
		"connection closed without a word": func(x *ask) reply { r := x.usual(); r.close = true; return r },
		"HTTP/1.0": func(x *ask) reply {
			r := x.usual()
			return reply{cut: -1, close: true, raw: []byte(strings.Replace(string(r.bytes()), "HTTP/1.1", "HTTP/1.0", 1))}
		},
		"a logon offered beside the answer": head("WWW-Authenticate: Negotiate, Basic realm=\"WSMAN\"", "Server: Microsoft-HTTPAPI/2.0"),
		"timed out before, with status 200": nothingYet(200),
		"timed out before, with status 400": nothingYet(400),
		"a signal that fails": func(x *ask) reply {
			if x.action == "Signal" {
				return x.fault(2150858843)
			}
			return x.usual()
		},
	} {
		t.Run(name, func(t *testing.T) {
			runsCommands(t, script)
		})
	}
}

// runsCommands runs some commands at a peer, which ends them with code 7, and
// returns it.
func runsCommands(t *testing.T, script func(*ask) reply) *peer {
	t.Helper()
	p, client := newPeer(t, script)
	for i := range 3 {
		var out []byte
		var err error
		within(t, 5*time.Second, func() { out, err = client.Command("x").Output() })
		exit, ok := errors.AsType[*winrm.ExitError](err)
		require.True(t, ok, "command %d: %v", i, err)
		_, lost := errors.AsType[*winrm.OutputLostError](err)
		require.False(t, lost, "command %d: %v", i, err)
		assert.Equal(t, uint32(7), exit.Code)
		assert.Equal(t, peerOutput, string(out))
	}
	within(t, 5*time.Second, func() { assert.NoError(t, client.Close()) })
	assert.Len(t, p.seen("Command"), 3)
	p.checkIDs(t)
	return p
}

func streamsFirst() func(*ask) reply {
	var receives atomic.Int64
	return on("Receive", func(x *ask) string {
		if receives.Add(1)%2 == 1 {
			return receive(x, stream("stdout", x.command, peerOutput))
		}
		return receive(x, doneState(x.command, 7))
	})
}

func nothingYet(status int) func(*ask) reply {
	var said atomic.Int64
	return func(x *ask) reply {
		if x.action == "Receive" && said.Add(1)%2 == 1 {
			r := x.fault(2150858793)
			r.status = status
			return r
		}
		return x.usual()
	}
}

// checkIDs holds the requests to what the answers have named: the shell and the
// command are addressed as the listener knows them.
func (p *peer) checkIDs(t *testing.T) {
	t.Helper()
	shells := map[string]bool{}
	for _, x := range p.seen("") {
		r := p.script(x)
		switch x.action {
		case "Create":
			m := regexp.MustCompile(`Name=["']ShellId["'][^>]*>([^<]*)<|ShellId="([^"]*)"`).FindStringSubmatch(string(r.body))
			if m != nil {
				shells[m[1]+m[2]] = true
			}
		case "Command", "Receive", "Signal", "Delete":
			if len(shells) > 0 {
				assert.True(t, shells[x.shell], "%s for shell %q", x.action, x.shell)
			}
		}
	}
	last := p.seen("")[len(p.seen(""))-1]
	assert.Equal(t, "Delete", last.action)
}

// A listener that chooses the command's id is asked about it by that id.
func TestForeignCommandID(t *testing.T) {
	p, client := newPeer(t, on("Command", func(*ask) string {
		return `<rsp:CommandResponse><rsp:CommandId>` + peerCommand + `</rsp:CommandId></rsp:CommandResponse>`
	}))
	require.Error(t, client.Command("x").Run())
	require.NoError(t, client.Close())
	for _, action := range []string{"Receive", "Signal"} {
		require.NotEmpty(t, p.seen(action))
		for _, x := range p.seen(action) {
			assert.Equal(t, peerCommand, x.command, action)
		}
	}
}

// Of the cookies only the one of WS-Management goes back.
func TestCookies(t *testing.T) {
	p, client := newPeer(t, head("Set-Cookie: MS-WSMAN=abc; path=/wsman; HttpOnly", "set-cookie: other=1"))
	require.Error(t, client.Command("x").Run())
	for i, x := range p.seen("") {
		want := "MS-WSMAN=abc"
		if i == 0 {
			want = ""
		}
		assert.Equal(t, want, x.header.Get("Cookie"), x.action)
	}
}

// The state Done without an exit code: that is told, and not taken for 0.
func TestDoneWithoutExitCode(t *testing.T) {
	_, client := newPeer(t, on("Receive", func(x *ask) string {
		return receive(x, stream("stdout", x.command, peerOutput)+`<rsp:CommandState CommandId="`+x.command+`" State="`+rspURI+`/CommandState/Done"/>`)
	}))
	out, err := client.Command("x").Output()
	missing, ok := errors.AsType[*winrm.ExitMissingError](err)
	require.True(t, ok, "%v", err)
	assert.NoError(t, missing.Err)
	assert.Equal(t, peerOutput, string(out))
}

// Exit codes in all the forms that have been seen.
func TestExitCodeForms(t *testing.T) {
	for text, want := range map[string]uint32{
		"0": 0, "7": 7, "-1": 0xFFFFFFFF, "3221225477": 0xC0000005, "-1073741819": 0xC0000005, " 12 ": 12,
	} {
		_, client := newPeer(t, on("Receive", func(x *ask) string {
			return receive(x, strings.Replace(doneState(x.command, 7), ">7<", ">"+text+"<", 1))
		}))
		err := client.Command("x").Run()
		if want == 0 {
			require.NoError(t, err, text)
			continue
		}
		exit, ok := errors.AsType[*winrm.ExitError](err)
		require.True(t, ok, "%s: %v", text, err)
		assert.Equal(t, want, exit.Code, text)
	}
	for _, text := range []string{"", "x", "4294967296", "7.0"} {
		p, client := newPeer(t, on("Receive", func(x *ask) string {
			return receive(x, stream("stdout", x.command, peerOutput)+strings.Replace(doneState(x.command, 7), ">7<", ">"+text+"<", 1))
		}))
		var out []byte
		var err error
		within(t, 5*time.Second, func() { out, err = client.Command("x").Output() })
		missing, ok := errors.AsType[*winrm.ExitMissingError](err)
		require.True(t, ok, "%q: %v", text, err)
		assert.Error(t, missing.Err, "%q", text)
		_, lost := errors.AsType[*winrm.OutputLostError](err)
		assert.False(t, lost, "%q: %v", text, err)
		assert.Equal(t, peerOutput, string(out), "%q", text)
		assert.Len(t, p.seen("Receive"), 1, "%q: the command is done", text)
	}
}

// A quota is reported in the form of WMI, without a WSManFault. On Command it
// means that nothing was started: a new shell gets it.
func TestQuotaAsWMIError(t *testing.T) {
	refused := false
	p, client := newPeer(t, func(x *ask) reply {
		if x.action != "Command" || refused || len(x.header.Get("X")) > 0 || x.nth < 4 {
			return x.usual()
		}
		refused = true
		return x.answer(`<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>w:QuotaLimit</s:Value></s:Subcode></s:Code>` +
			`<s:Reason><s:Text xml:lang="">too many</s:Text></s:Reason><s:Detail><p:MSFT_WmiError b:IsCIM_Error="true"` +
			` xmlns:b="http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd" xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/MSFT_WmiError"` +
			` xmlns:cim="http://schemas.dmtf.org/wbem/wscim/1/common" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">` +
			`<p:CIMStatusCode xsi:type="cim:cimUnsignedInt">27</p:CIMStatusCode><p:Message xsi:type="cim:cimString">too many</p:Message>` +
			`<p:MessageID xsi:type="cim:cimString">HRESULT 0x803381a6</p:MessageID><p:error_Code xsi:type="cim:cimUnsignedInt">2150859174</p:error_Code>` +
			`</p:MSFT_WmiError></s:Detail></s:Fault>`)
	})
	for range 3 {
		_, ok := errors.AsType[*winrm.ExitError](client.Command("x").Run())
		assert.True(t, ok)
	}
	require.NoError(t, client.Close())
	assert.True(t, refused)
	assert.Len(t, p.seen("Create"), 2)
	assert.Len(t, p.seen("Command"), 4, "three, and the refused one")
	assert.Len(t, p.seen("Delete"), 2)
}

// Schemes in one line or several, names in any case: all of them are told.
func TestOffersInAnyForm(t *testing.T) {
	for _, lines := range [][]string{
		{"WWW-Authenticate: Negotiate", "WWW-Authenticate: Kerberos", `WWW-Authenticate: Basic realm="WSMAN"`},
		{`www-authenticate: negotiate, kerberos, basic realm="a, b"`},
		{`WWW-AUTHENTICATE: NEGOTIATE,KERBEROS`, `Www-authenticate: BASIC Realm=x`},
	} {
		_, client := newPeer(t, func(*ask) reply {
			return reply{cut: -1, status: http.StatusUnauthorized, header: append([]string{"Content-Type: text/html"}, lines...)}
		})
		err := client.Command("x").Run()
		refused, ok := errors.AsType[*auth.Error](err)
		require.True(t, ok, "%v", err)
		assert.True(t, refused.Refused)
		require.Len(t, refused.Offered, 3, "%v", lines)
		for i, want := range []string{"Negotiate", "Kerberos", "Basic"} {
			assert.True(t, strings.EqualFold(want, refused.Offered[i]), "%v", refused.Offered)
		}
	}
}

// Answers that must not be taken for good: a typed error in bounded time, never
// success.
func TestBadAnswers(t *testing.T) {
	for name, script := range map[string]func(*ask) reply{
		"of another request": edit(func(x *ask, s string) string {
			return strings.ReplaceAll(s, x.messageID, "uuid:00000000-0000-4000-8000-000000000000")
		}),
		"empty": func(x *ask) reply { return reply{cut: -1} },
		"html": func(x *ask) reply {
			return reply{cut: -1, header: []string{"Content-Type: text/html"}, body: []byte("<html/>")}
		},
		"another envelope":  edit(func(_ *ask, s string) string { return strings.Replace(s, "2003/05/soap-envelope", "2001/12/soap", 1) }),
		"two documents":     edit(func(_ *ask, s string) string { return s + s }),
		"document type":     edit(func(_ *ask, s string) string { return `<!DOCTYPE x [<!ENTITY a "b">]>` + s }),
		"not well-formed":   edit(func(_ *ask, s string) string { return strings.Replace(s, "</s:Body>", "</s:body>", 1) }),
		"undeclared prefix": edit(func(_ *ask, s string) string { return strings.Replace(s, "<s:Body>", "<z:z/><s:Body>", 1) }),
		"bad UTF-8":         edit(func(_ *ask, s string) string { return strings.Replace(s, "peer", "pe\xffer", 1) + "<!-- \xff -->" }),
		"a redirect": func(*ask) reply {
			return reply{cut: -1, status: 307, header: []string{"Location: http://192.0.2.1/wsman"}}
		},
		"gzip": func(x *ask) reply { r := x.usual(); r.header = []string{"Content-Encoding: gzip"}; return r },
		"no length": raw(func(_ *ask, s string) string {
			return regexp.MustCompile(`Content-Length: \d+\r\n`).ReplaceAllString(s, "")
		}),
		"endless interim": raw(func(_ *ask, s string) string { return strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100) + s }),
		"no HTTP":         func(*ask) reply { return reply{cut: -1, raw: []byte("SSH-2.0-OpenSSH_9.6\r\n")} },
		"a TLS alert":     func(*ask) reply { return reply{cut: -1, raw: []byte("\x15\x03\x01\x00\x02\x02\x50")} },
		"a huge length": raw(func(_ *ask, s string) string {
			return strings.Replace(s, "Content-Length: ", "Content-Length: 99999999", 1)
		}),
		"a length too short": raw(func(_ *ask, s string) string {
			return strings.Replace(s, "<s:Envelope", "<!-- more -->  <s:Envelope", 1)
		}),
		"status 204":                  func(*ask) reply { return reply{cut: -1, raw: []byte("HTTP/1.1 204 No Content\r\n\r\n")} },
		"success with fault's status": func(x *ask) reply { r := x.usual(); r.status = 500; return r },
	} {
		t.Run(name, func(t *testing.T) {
			p, client := newPeer(t, script)
			var err error
			within(t, 10*time.Second, func() { err = client.Command("x").Run() })
			require.Error(t, err)
			_, exit := errors.AsType[*winrm.ExitError](err)
			require.False(t, exit, "%v", err)
			_, status := errors.AsType[*wsman.StatusError](err)
			_, response := errors.AsType[*wsman.ResponseError](err)
			_, bad := errors.AsType[*auth.ResponseError](err)
			_, lost := errors.AsType[*auth.ConnectionLostError](err)
			_, dial := errors.AsType[*auth.DialError](err)
			assert.True(t, status || response || bad || lost || dial, "%T %v", err, err)
			assert.LessOrEqual(t, len(p.seen("Create")), 1)
			within(t, 10*time.Second, func() { _ = client.Close() })
		})
	}
}

// What comes after an answer belongs to nothing: that connection carries no
// further request.
func TestAnswerTooMany(t *testing.T) {
	p, client := newPeer(t, raw(func(_ *ask, s string) string { return s + s }))
	_, ok := errors.AsType[*winrm.ExitError](client.Command("x").Run())
	assert.True(t, ok)
	require.NoError(t, client.Close())
	for _, x := range p.seen("") {
		assert.Equal(t, 1, x.nth, x.action)
	}
}
