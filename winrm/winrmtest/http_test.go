package winrmtest_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/toyauth"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

const identify = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:wsmid="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"><s:Header/><s:Body><wsmid:Identify/></s:Body></s:Envelope>`

func TestUnauthorizedListsSchemes(t *testing.T) {
	srv := start(t, nil, func(s *winrmtest.Server) {
		s.Mechanisms = []winrmtest.Mechanism{toy(toyauth.TwoLegs), winrmtest.Basic(), winrmtest.Certificate()}
	})
	c := dial(t, srv)
	c.auth = ""
	c.send("POST", "/wsman", "")
	resp, body := c.answer()
	assert.Equal(t, 401, resp.StatusCode)
	assert.Equal(t, []string{"Toy", `Basic realm="WSMAN"`}, resp.Header["Www-Authenticate"])
	assert.Equal(t, "Microsoft-HTTPAPI/2.0", resp.Header.Get("Server"))
	assert.Equal(t, "0", resp.Header.Get("Content-Length"))
	assert.Empty(t, body)

	require.NoError(t, srv.Set("Service/Auth/Basic", "false"))
	c.send("POST", "/wsman", "")
	resp, _ = c.answer()
	assert.Equal(t, []string{"Toy"}, resp.Header["Www-Authenticate"])
}

// A body that nobody sends is left where it is, and with it the connection: so
// did a Windows host answer winrm4j, which probes with the body HELLO. Its
// NEGOTIATE message goes with a body as well, and the connection goes on.
func TestUnauthorizedBody(t *testing.T) {
	srv := start(t, nil, func(s *winrmtest.Server) { s.Mechanisms = []winrmtest.Mechanism{winrmtest.Negotiate()} })
	c := dial(t, srv)
	c.auth = ""
	c.send("POST", "/wsman", "HELLO", "Connection: Keep-Alive")
	resp, _ := c.answer()
	assert.Equal(t, 401, resp.StatusCode)
	assert.True(t, resp.Close)
	_, err := c.br.ReadByte()
	require.ErrorIs(t, err, io.EOF)

	c = dial(t, srv)
	c.auth = "Negotiate TlRMTVNTUAABAAAAAYIIogAAAAAoAAAAAAAAACgAAAAFASgKAAAADw=="
	c.send("POST", "/wsman", "HELLO", "Connection: Keep-Alive")
	resp, _ = c.answer()
	assert.Equal(t, 401, resp.StatusCode)
	assert.False(t, resp.Close)
	assert.True(t, strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Negotiate TlRMTVNTUAAC"))
}

// Who waits for leave to send his body does not get it before he has logged on.
func TestUnauthorizedInsteadOfContinue(t *testing.T) {
	c := dial(t, start(t, nil))
	_, err := io.WriteString(c.conn, "POST /wsman HTTP/1.1\r\nHost: h\r\nContent-Type: application/soap+xml\r\n"+
		"Content-Length: 4000000\r\nExpect: 100-continue\r\n\r\n")
	require.NoError(t, err)
	resp, _ := c.answer()
	assert.Equal(t, 401, resp.StatusCode)
	assert.True(t, resp.Close)
}

func TestHTTPStatuses(t *testing.T) {
	srv := start(t, nil, func(s *winrmtest.Server) { s.Settings = map[string]string{"MaxEnvelopeSizekb": "32"} })
	for _, tt := range []struct {
		name, method, path, body string
		lines                    []string
		want                     int
	}{
		{"other path", "POST", "/other", "", nil, 404},
		{"path in capitals", "POST", "/WSMAN", "", nil, 200},
		{"slash at the end", "POST", "/wsman/", "", nil, 200},
		{"query", "POST", "/wsman?PSVersion=5.1", "", nil, 200},
		{"below", "POST", "/wsman/other", "", nil, 404},
		{"get", "GET", "/wsman", "", nil, 405},
		{"authentication only", "POST", "/wsman", "", nil, 200},
		{"too large", "POST", "/wsman", strings.Repeat("x", 32<<10+1), nil, 413},
		{"not XML", "POST", "/wsman", "hello", nil, 500},
		{"other media type", "POST", "/wsman", "hello", []string{"Content-Type: text/plain"}, 500},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, srv)
			c.send(tt.method, tt.path, tt.body, tt.lines...)
			resp, _ := c.answer()
			assert.Equal(t, tt.want, resp.StatusCode)
		})
	}
}

func TestChunkedRequestIsRefused(t *testing.T) {
	c := dial(t, start(t, nil))
	body := request{action: transfer + "/Get", uri: nsConfig}.String()
	_, err := fmt.Fprintf(c.conn, "POST /wsman HTTP/1.1\r\nHost: h\r\nAuthorization: %s\r\nContent-Type: application/soap+xml\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", c.auth, len(body), body)
	require.NoError(t, err)
	resp, answer := c.answer()
	assert.Equal(t, 500, resp.StatusCode)
	assert.Contains(t, answer, `Code="50"`)
	assert.Contains(t, answer, "w:InternalError")
}

func TestNotHTTP(t *testing.T) {
	c := dial(t, start(t, nil))
	_, err := io.WriteString(c.conn, "\x16\x03\x01hello\r\n\r\n")
	require.NoError(t, err)
	resp, _ := c.answer()
	assert.Equal(t, 400, resp.StatusCode)
}

func TestIdentify(t *testing.T) {
	srv := start(t, nil)
	c := dial(t, srv)
	c.auth = ""
	c.send("POST", "/wsman", identify)
	resp, _ := c.answer()
	assert.Equal(t, 401, resp.StatusCode, "without the header and without credentials")

	c = dial(t, srv)
	c.auth = ""
	c.send("POST", "/wsman", identify, "WSMANIDENTIFY: unauthenticated")
	resp, body := c.answer()
	assert.Equal(t, 200, resp.StatusCode)
	assert.Contains(t, body, "OS: 0.0.0 SP: 0.0 Stack: 3.0")
	assert.NotContains(t, body, "SecurityProfiles")

	c.send("POST", "/wsman", request{action: transfer + "/Get", uri: nsConfig}.String(), "WSMANIDENTIFY: unauthenticated")
	resp, _ = c.answer()
	assert.Equal(t, 401, resp.StatusCode, "the header is for Identify only")

	c.auth = basic("user", "Passw0rd!")
	for _, ns := range []string{"identity", "identify"} {
		c.send("POST", "/wsman", strings.Replace(identify, "/identity/", "/"+ns+"/", 1))
		resp, body = c.answer()
		assert.Equal(t, 200, resp.StatusCode)
		assert.Contains(t, body, "OS: 10.0.")
		assert.Contains(t, body, "https/mutual")
	}
}

func TestBasicNeedsAllowUnencrypted(t *testing.T) {
	srv := start(t, nil)
	require.NoError(t, srv.Set("Service/AllowUnencrypted", "false"))
	c := dial(t, srv)
	c.send("POST", "/wsman", "")
	resp, _ := c.answer()
	assert.Equal(t, 401, resp.StatusCode)
	assert.Empty(t, srv.Stats().FailedLogons, "the password was not looked at")
}

func TestFailedLogonsAndLockout(t *testing.T) {
	srv := start(t, nil, func(s *winrmtest.Server) { s.LockoutThreshold = 3 })
	for i, name := range []string{"user", "USER", `.\user`, `WINRMTEST\user`} {
		c := dial(t, srv)
		c.auth = basic(name, "wrong")
		c.send("POST", "/wsman", "")
		resp, _ := c.answer()
		assert.Equal(t, 401, resp.StatusCode)
		assert.Equal(t, map[string]int{"user": i + 1}, srv.Stats().FailedLogons)
	}
	c := dial(t, srv)
	c.send("POST", "/wsman", "")
	resp, _ := c.answer()
	assert.Equal(t, 401, resp.StatusCode, "locked out, though the password is right")
}

func TestOperationTimeoutInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := start(t, winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
			<-p.Context().Done()
			return 0
		}))
		c := dial(t, srv)
		sh := c.shell()
		cmd := c.command(sh, "x", nil)
		begun := time.Now()
		c.fault(receiveRequest(sh, cmd), 2150858793)
		assert.Equal(t, 20*time.Second, time.Since(begun), "OperationTimeout of the request")
		r := receiveRequest(sh, cmd)
		r.timeout = "PT300S"
		begun = time.Now()
		c.fault(r, 2150858793)
		assert.Equal(t, time.Minute, time.Since(begun), "bounded by MaxTimeoutms")
	})
}

func TestShellIdleTimeoutAndLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := start(t, nil)
		c := dial(t, srv)
		idle := c.shell(`<rsp:IdleTimeOut>PT90S</rsp:IdleTimeOut>`)
		life := c.shell(`<rsp:Lifetime>PT100S</rsp:Lifetime>`)
		time.Sleep(80 * time.Second)
		c.ok(request{action: transfer + "/Get", uri: nsShell, selectors: on(idle)})
		time.Sleep(25 * time.Second)
		c.fault(request{action: transfer + "/Get", uri: nsShell, selectors: on(life)}, 2150858843)
		c.ok(request{action: transfer + "/Get", uri: nsShell, selectors: on(idle)})
		time.Sleep(91 * time.Second)
		c.fault(request{action: transfer + "/Get", uri: nsShell, selectors: on(idle)}, 2150858843)
		assert.Zero(t, srv.Stats().Shells)
	})
}
