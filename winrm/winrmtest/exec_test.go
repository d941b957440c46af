//go:build unix

package winrmtest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

func TestExec(t *testing.T) {
	dir := t.TempDir()
	c := dial(t, start(t, &winrmtest.Exec{Dir: dir}))
	sh := c.shell(`<rsp:Environment><rsp:Variable Name="MINE">a b</rsp:Variable></rsp:Environment>`)
	for _, tt := range []struct{ line, stdout, stderr, code string }{
		{`sh -c &quot;echo $MINE; echo err &gt;&amp;2; exit 7&quot;`, "a b\n", "err\n", "7"},
		{`printf %s &quot;x  y&quot; &amp;&amp; printf z`, "x  yz", "", "0"},
		{`pwd`, dir + "\n", "", "0"},
		{`echo to disk&gt;f.txt&amp; type f.txt`, "to disk\r\n", "", "0"},
		{`sh -c &quot;kill -SEGV $$&quot;`, "", "", "3221225477"},
		{`no-such-program`, "", "'no-such-program' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n", "1"},
	} {
		t.Run(tt.line, func(t *testing.T) {
			c := &rawClient{t: t, conn: c.conn, br: c.br, auth: c.auth}
			stdout, stderr, code := c.run(sh, tt.line)
			assert.Equal(t, tt.stdout, stdout)
			assert.Equal(t, tt.stderr, stderr)
			assert.Equal(t, tt.code, code)
		})
	}
	id := c.command(sh, "cat", nil)
	c.ok(sendRequest(sh, id, "through ", false))
	c.ok(sendRequest(sh, id, "cat", true))
	assert.Equal(t, "through cat", output(t, c.ok(receiveRequest(sh, id)))["stdout"])
}

// TestExecSignals: ctrl_c reaches the whole group, terminate kills it.
func TestExecSignals(t *testing.T) {
	dir := t.TempDir()
	srv := start(t, &winrmtest.Exec{Dir: dir})
	c := dial(t, srv)
	sh := c.shell()
	wait := func(id string) string {
		for {
			body := c.ok(receiveRequest(sh, id))
			if strings.Contains(body, "CommandState/Done") {
				return find(t, body, `<rsp:ExitCode>(\d+)<`)
			}
		}
	}
	id := c.command(sh, `sh -c &quot;echo ready; sleep 600&quot;`, map[string]string{"WINRS_CONSOLEMODE_STDIN": "TRUE"})
	c.ok(receiveRequest(sh, id))
	c.ok(signalRequest(sh, id, "ctrl_c"))
	assert.Equal(t, "3221225786", wait(id))

	pidFile := filepath.Join(dir, "pid")
	id = c.command(sh, `sh -c &quot;trap '' INT TERM; sleep 600 &amp; echo $! &gt; pid; echo ready; wait&quot;`, nil)
	c.ok(receiveRequest(sh, id))
	c.ok(signalRequest(sh, id, "terminate"))
	pid, err := os.ReadFile(pidFile)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	}, 10*time.Second, 10*time.Millisecond, "the grandchild is gone")
}
