package interop_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	masterzen "github.com/masterzen/winrm"
	"github.com/packer-community/winrmcp/winrmcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/credssp"
	adapter "github.com/winrmkit/winrmkit/winrm/masterzen"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// disk is what winrmcp's commands do to files: echo appends a line of base64, a
// script makes the file of them, another one removes the lines.
type disk struct {
	mu    sync.Mutex
	files map[string]string
}

var (
	appends = regexp.MustCompile(`^echo (\S+) >> "%TEMP%\\([^"]+)"$`)
	paths   = regexp.MustCompile(`GetFullPath\("([^"]*)"`)
)

func (d *disk) ServeCommand(p *winrmtest.Proc) uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := appends.FindStringSubmatch(p.Line); m != nil {
		d.files[m[2]] += m[1] + "\n"
		return 0
	}
	script := decodePowerShell(p.Line)
	names := paths.FindAllStringSubmatch(script, -1)
	switch {
	case p.Line == "hostname":
		fmt.Fprint(p.Stdout, "WINRMTEST\r\n")
		return 0
	case strings.Contains(script, "FromBase64String") && len(names) == 2:
		var data []byte
		temp := strings.TrimPrefix(names[0][1], `$env:TEMP\`)
		for line := range strings.Lines(d.files[temp]) {
			piece, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
			if err != nil {
				return 2
			}
			data = append(data, piece...)
		}
		d.files[strings.Trim(names[1][1], "'")] = string(data)
		return 0
	case strings.Contains(script, "Remove-Item") && len(names) == 1:
		delete(d.files, strings.TrimPrefix(names[0][1], `$env:TEMP\`))
		return 0
	}
	fmt.Fprintf(p.Stderr, "what is %q? %s", p.Line, script)
	return 1
}

func decodePowerShell(line string) string {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(line, "powershell.exe -EncodedCommand "))
	if err != nil {
		return ""
	}
	return strings.ReplaceAll(string(raw), "\x00", "") // UTF-16 of ASCII
}

// winrmcp is what Packer and Terraform copy files with. It runs on the adapter as
// it is: its Config has the decorator.
func TestWinrmcp(t *testing.T) {
	const user, password = `CORP\packer`, "p@ss w0rd"
	cred := auth.Credentials{User: user, Password: password, Gate: new(auth.Gate)}
	for name, way := range map[string]struct {
		accept winrmtest.Mechanism
		mech   auth.Mechanism
	}{
		"NTLM":    {winrmtest.Negotiate(), auth.NTLM(cred)},
		"CredSSP": {winrmtest.CredSSP(winrmtest.CredSSPOptions{}), credssp.New(credssp.Config{Credentials: cred})},
	} {
		t.Run(name, func(t *testing.T) {
			d := &disk{files: map[string]string{}}
			srv := winrmtest.NewUnstartedServer(d)
			srv.Users = map[string]string{user: password}
			srv.Mechanisms = []winrmtest.Mechanism{way.accept}
			srv.Record = true
			srv.Start()
			t.Cleanup(srv.Close)
			transports := adapter.New(way.mech, nil)
			t.Cleanup(func() { require.NoError(t, transports.Close()) })

			client, err := winrmcp.New(srv.Listener.Addr().String(), &winrmcp.Config{
				Auth: winrmcp.Auth{User: user, Password: password}, OperationTimeout: time.Minute, MaxOperationsPerShell: 15,
				TransportDecorator: transports.Decorate,
			})
			require.NoError(t, err)
			data := make([]byte, 200_001)
			_, _ = rand.NewChaCha8([32]byte{7}).Read(data) // never fails
			require.NoError(t, client.Write(`C:\packer\one.bin`, bytes.NewReader(data)))
			dir := t.TempDir()
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "sub", "two.txt"), []byte("two"), 0o600))
			require.NoError(t, client.Copy(dir, `C:\packer`))

			assert.Len(t, d.files, 2, "nothing is left in the temporary folder")
			assert.True(t, string(data) == d.files[`C:\packer\one.bin`], "the file is another one")
			assert.Contains(t, d.files, `C:\packer\sub\two.txt`)
			stats := srv.Stats()
			assert.Zero(t, stats.Shells)
			assert.LessOrEqual(t, stats.Logons, 2)
			for _, x := range srv.Exchanges() {
				if x.Action != winrmtest.ActionLogon {
					require.True(t, x.Sealed, x.Action)
				}
			}
		})
	}
}

// Terraform changes masterzen's DefaultParameters, which are one variable for all
// clients of the process.
func TestTerraformParameters(t *testing.T) {
	const user, password = `CORP\terraform`, "p@ss w0rd"
	start := func() *winrmtest.Server {
		srv := winrmtest.NewUnstartedServer(&disk{files: map[string]string{}})
		srv.Users = map[string]string{user: password}
		srv.Mechanisms = []winrmtest.Mechanism{winrmtest.Negotiate()}
		srv.Start()
		t.Cleanup(srv.Close)
		return srv
	}
	before := *masterzen.DefaultParameters
	t.Cleanup(func() { *masterzen.DefaultParameters = before })
	transports := adapter.New(auth.NTLM(auth.Credentials{User: user, Password: password, Gate: new(auth.Gate)}), nil)
	t.Cleanup(func() { require.NoError(t, transports.Close()) })
	params := masterzen.DefaultParameters
	params.Timeout = "PT1M0S"
	params.TransportDecorator = transports.Decorate

	var wg sync.WaitGroup
	for range 4 {
		address := start().Listener.Addr().(*net.TCPAddr)
		host, port := address.IP.String(), address.Port
		client, err := masterzen.NewClientWithParameters(masterzen.NewEndpoint(host, port, false, true, nil, nil, nil, time.Minute), user, password, params)
		require.NoError(t, err)
		other, err := masterzen.NewClient(masterzen.NewEndpoint(host, port, false, true, nil, nil, nil, time.Minute), user, password)
		require.NoError(t, err)
		for _, c := range []*masterzen.Client{client, other} {
			wg.Go(func() {
				shell, err := c.CreateShell() // its way to see whether the host is up
				if !assert.NoError(t, err) {
					return
				}
				assert.NoError(t, shell.Close())
				out, _, code, err := c.RunCmdWithContext(t.Context(), "hostname")
				assert.NoError(t, err)
				assert.Zero(t, code)
				assert.Equal(t, "WINRMTEST\r\n", out)
			})
		}
	}
	wg.Wait()
}
