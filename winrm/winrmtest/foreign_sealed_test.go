package winrmtest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/httpseal"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// krbClient is the Kerberos transport of WinRM's client for Ruby, to the byte:
// txwinrm's is a copy of it. The ticket goes alone and without a body; after it
// messages are sealed with headers without tabs, and the delimiter at their end
// closes nothing.
type krbClient struct {
	*rawClient
	seal auth.Sealer
}

func dialKerberos(t *testing.T, srv *winrmtest.Server, realm *winrmtest.Realm) *krbClient {
	t.Helper()
	mech, err := realm.Client("alice")
	require.NoError(t, err)
	t.Cleanup(func() { _ = mech.Close() })
	session, err := mech.NewSession(auth.Peer{Scheme: "http", Host: "server.example.test", Port: "5985", Seal: true})
	require.NoError(t, err)
	t.Cleanup(func() { _ = session.Close() })
	ticket, _, err := session.Step(t.Context(), auth.Leg{First: true})
	require.NoError(t, err)

	c := dial(t, srv)
	c.auth = "Kerberos " + base64.StdEncoding.EncodeToString(ticket)
	c.send("POST", "/wsman", "", "Connection: Keep-Alive", "Content-Type: application/soap+xml;charset=UTF-8")
	resp, _ := c.answer()
	require.Equal(t, 200, resp.StatusCode)
	c.auth = ""
	_, token, _ := strings.Cut(resp.Header.Get("WWW-Authenticate"), " ")
	reply, err := base64.StdEncoding.DecodeString(token)
	require.NoError(t, err)
	_, done, err := session.Step(t.Context(), auth.Leg{Status: 200, HasToken: true, Token: reply})
	require.NoError(t, err)
	require.True(t, done)
	return &krbClient{c, session.(auth.Sealer)}
}

func (c *krbClient) exchange(envelope, end string) (status int, answer string) {
	c.t.Helper()
	sealed, tokenLen, length, err := c.seal.Wrap(nil, []byte(envelope))
	require.NoError(c.t, err)
	const protocol = "application/HTTP-Kerberos-session-encrypted"
	var body bytes.Buffer
	fmt.Fprintf(&body, "--Encrypted Boundary\r\nContent-Type: %s\r\nOriginalContent: type=application/soap+xml;charset=UTF-8;Length=%d\r\n"+
		"--Encrypted Boundary\r\nContent-Type: application/octet-stream\r\n", protocol, length)
	body.Write(binary.LittleEndian.AppendUint32(nil, uint32(tokenLen)))
	body.Write(sealed)
	body.WriteString(end)
	_, err = fmt.Fprintf(c.conn, "POST /wsman HTTP/1.1\r\nHost: h\r\nConnection: Keep-Alive\r\n"+
		"Content-Type: multipart/encrypted;protocol=\"%s\";boundary=\"Encrypted Boundary\"\r\nContent-Length: %d\r\n\r\n%s",
		protocol, body.Len(), body.Bytes())
	require.NoError(c.t, err)
	resp, err := http.ReadResponse(c.br, nil)
	require.NoError(c.t, err)
	data, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	if len(data) == 0 {
		return resp.StatusCode, ""
	}
	plain, _, err := httpseal.Open(c.seal, resp.Header.Get("Content-Type"), data)
	require.NoError(c.t, err)
	return resp.StatusCode, string(plain)
}

func TestForeignKerberos(t *testing.T) {
	for name, end := range map[string]string{
		"WinRb":       "--Encrypted Boundary\r\n",
		"as it ought": "--Encrypted Boundary--\r\n",
		"winrm-rs":    "\r\n--Encrypted Boundary--\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			realm := winrmtest.NewRealm("EXAMPLE.TEST")
			srv := start(t, &winrmtest.Host{}, func(s *winrmtest.Server) { s.Mechanisms = []winrmtest.Mechanism{realm.Kerberos()} })
			c := dialKerberos(t, srv, realm)
			do := func(r request) string {
				status, answer := c.exchange(r.String(), end)
				require.Equal(t, 200, status, answer)
				return answer
			}
			shell := find(t, do(request{action: transfer + "/Create", uri: uriCmd, body: `<rsp:Shell/>`}), `<w:Selector Name="ShellId">([^<]+)<`)
			command := find(t, do(commandRequest(shell, "echo hi", nil)), `<rsp:CommandId>([^<]+)<`)
			assert.Equal(t, "hi\r\n", output(t, do(receiveRequest(shell, command)))["stdout"])
			do(signalRequest(shell, command, "terminate"))
			do(deleteRequest(shell))
			assert.Zero(t, srv.Stats().Shells)
		})
	}
}
