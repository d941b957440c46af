package winrmtest_test

import (
	"bufio"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// envelopeSeeds are one request of each kind.
func envelopeSeeds() []string {
	var seeds []string
	for _, r := range []request{
		getConfig,
		{action: transfer + "/Create", uri: uriCmd, body: "<rsp:Shell/>"},
		enumerateRequest(uriWMI+"Win32_Service", "<wsman:OptimizeEnumeration/>"),
		enumerateRequest(uriWMI+"*", `<wsman:Filter Dialect="http://schemas.microsoft.com/wbem/wsman/1/WQL">select * from Win32_Process</wsman:Filter>`),
		config("service/auth", "Auth", "<cfg:CredSSP>true</cfg:CredSSP>"),
		config("listener", "Listener", "<cfg:Port>1</cfg:Port>"),
		sendRequest("A", "B", "x", true), receiveRequest("A", "B"), commandRequest("A", "echo", nil),
		{action: uriWMI + "Win32_Process/Create", uri: uriWMI + "Win32_Process", body: `<p:Create_INPUT xmlns:p="x"><p:CommandLine>hostname</p:CommandLine></p:Create_INPUT>`},
	} {
		seeds = append(seeds, r.String())
	}
	return append(seeds, identify)
}

// FuzzEnvelope processes any body: there is an answer, and nothing falls. It
// works below HTTP, without goroutines, so that coverage means something.
func FuzzEnvelope(f *testing.F) {
	for _, s := range envelopeSeeds() {
		f.Add(s)
	}
	srv := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(*winrmtest.Proc) uint32 { return 0 }))
	srv.Settings = map[string]string{"MaxTimeoutms": "500"}
	srv.StartMemory()
	f.Cleanup(srv.Close)
	f.Fuzz(func(t *testing.T, body string) {
		status, answer := srv.ProcessForTest([]byte(body))
		if status != 200 && status != 500 || answer == "" {
			t.Fatalf("status %d, answer %q", status, answer)
		}
	})
}

// FuzzHTTP sends anything.
func FuzzHTTP(f *testing.F) {
	f.Add("POST /wsman HTTP/1.1\r\nHost: h\r\nAuthorization: Negotiate TlRMTVNTUAABAAAA\r\nContent-Length: 0\r\n\r\n")
	f.Add("POST /wsman HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
	f.Add("POST /wsman HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/encrypted;boundary=\"Encrypted Boundary\"\r\nContent-Length: 3\r\n\r\nabc")
	f.Add("GET / HTTP/1.0\r\n\r\n")
	srv := winrmtest.NewUnstartedServer(nil)
	srv.StartMemory()
	f.Cleanup(srv.Close)
	f.Fuzz(func(t *testing.T, text string) {
		c := dial(t, srv)
		_ = c.conn.SetDeadline(time.Now().Add(5 * time.Second))
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.WriteString(c.conn, text)
			if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
			}
		}()
		br := bufio.NewReader(c.conn)
		for {
			resp, err := http.ReadResponse(br, nil)
			if err != nil {
				break
			}
			_, _ = io.Copy(io.Discard, resp.Body)
		}
		_ = c.conn.Close()
		<-done
	})
}
