package winrmtest_test

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

func encoded(script string) string {
	b, _ := binary.Append(nil, binary.LittleEndian, utf16.Encode([]rune(script)))
	return base64.StdEncoding.EncodeToString(b)
}

func TestHost(t *testing.T) {
	c := dial(t, start(t, &winrmtest.Host{Name: "SRV1", Domain: "corp.example", Programs: map[string]winrmtest.Handler{
		"args": winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 { fmt.Fprintf(p.Stdout, "%q", p.Args); return 9 }),
	}}))
	sh := c.shell(`<rsp:Environment><rsp:Variable Name="MINE">x</rsp:Variable></rsp:Environment>`)
	for _, tt := range []struct{ line, stdout, stderr, code string }{
		{"hostname", "SRV1\r\n", "", "0"},
		{`C:\Windows\System32\HOSTNAME.EXE`, "SRV1\r\n", "", "0"},
		{"whoami", "winrmtest\\user\r\n", "", "0"},
		{"echo %COMPUTERNAME% %MINE%", "SRV1 x\r\n", "", "0"},
		{"ver", "\r\nMicrosoft Windows [Version 10.0.20348.2113]\r\n", "", "0"},
		{"cd", "C:\\Users\\user\r\n", "", "0"},
		{"args a &quot;b c&quot; \\&quot;d", `["a" "b c" "\"d"]`, "", "9"},
		{"cmd /c exit 4", "", "", "4"},
		{"nosuch", "", "'nosuch' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n", "1"},
		{"echo b&amp; echo a| sort", "b\r\na\r\n", "", "0"},
		{"echo hello| findstr /i ELL", "hello\r\n", "", "0"},
		{"echo hello| findstr zz", "", "", "1"},
		{"powershell -NoProfile -EncodedCommand " + encoded("exit 42"), "", "", "42"},
		// As winrm-client for Node.js, Ansible, winrm4j and a scheduled task write it.
		{"powershell.exe -NoProfile -NonInteractive -NoLogo -ExecutionPolicy Bypass -InputFormat Text -Command &quot;&amp; { hostname }&quot;", "SRV1\r\n", "", "0"},
		{"PowerShell -NoProfile -NonInteractive -ExecutionPolicy Unrestricted -EncodedCommand " + encoded("exit 3"), "", "", "3"},
		{"powershell  -encodedcommand " + encoded("&{hostname;}"), "SRV1\r\n", "", "0"},
		{"powershell -Version 5.1 -w hidden -if None -of Text -ep Bypass hostname", "SRV1\r\n", "", "0"},
		{"powershell -ExecutionPolicy Bypass", "", "winrmtest imitates no PowerShell: it takes -Command or -EncodedCommand with one of a few known scripts.\r\n", "1"},
		{"powershell -EncodedCommand " + encoded("Write-Output 'it''s'"), "it's\r\n", "", "0"},
		{"powershell -EncodedCommand " + encoded("Get-Secret | Out-Null"), "", "winrmtest does not imitate this PowerShell: Get-Secret | Out-Null\r\n", "1"},
	} {
		t.Run(tt.line, func(t *testing.T) {
			c := &rawClient{t: t, conn: c.conn, br: c.br, auth: c.auth}
			stdout, stderr, code := c.run(sh, tt.line)
			assert.Equal(t, tt.stdout, stdout)
			assert.Equal(t, tt.stderr, stderr)
			assert.Equal(t, tt.code, code)
		})
	}
	stdout, _, _ := c.run(sh, "ipconfig /all")
	assert.Contains(t, stdout, "Host Name . . . . . . . . . . . . : SRV1")
	assert.Contains(t, stdout, "192.0.2.10")
}

// TestHostSession: cmd without arguments reads its lines from stdin.
func TestHostSession(t *testing.T) {
	c := dial(t, start(t, &winrmtest.Host{}))
	sh := c.shell()
	id := c.command(sh, "cmd", nil)
	c.ok(sendRequest(sh, id, "set A=1\r\necho %A%\r\nexit 6\r\n", true))
	body := c.ok(receiveRequest(sh, id))
	assert.Contains(t, output(t, body)["stdout"], "C:\\Users\\user>1\r\n")
	assert.Contains(t, body, "<rsp:ExitCode>6<")
}

func TestHostPingTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, start(t, &winrmtest.Host{}))
		sh := c.shell()
		begun := time.Now()
		stdout, _, code := c.run(sh, "ping -n 4 127.0.0.1")
		assert.Equal(t, 4, strings.Count(stdout, "Reply from 127.0.0.1"))
		assert.Equal(t, "0", code)
		assert.Equal(t, 3*time.Second, time.Since(begun).Truncate(time.Second))

		id := c.command(sh, "ping -t host", map[string]string{"WINRS_CONSOLEMODE_STDIN": "TRUE"})
		c.ok(receiveRequest(sh, id))
		c.ok(signalRequest(sh, id, "ctrl_c"))
		var body string
		require.Eventually(t, func() bool {
			body = c.ok(receiveRequest(sh, id))
			return strings.Contains(body, "Done")
		}, time.Minute, time.Millisecond)
		assert.Contains(t, body, "<rsp:ExitCode>3221225786<")
	})
}
