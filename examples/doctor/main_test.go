package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

func call(args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	code = run(args, &out, &err)
	return out.String(), err.String(), code
}

func TestHealthy(t *testing.T) {
	out, stderr, code := call()
	require.Zero(t, code, out+stderr)
	assert.Contains(t, out, "hostname says DEMO, exit code 0")
	assert.Contains(t, out, "offered: Negotiate; ours: Negotiate")
	assert.NotContains(t, out, "failed")
	_, _, code = call("-nonsense")
	assert.Equal(t, 2, code)
	_, stderr, code = call("srv1.corp.example")
	assert.Equal(t, 2, code)
	assert.Contains(t, stderr, "a host is named by -r")
	_, stderr, code = call("-h")
	assert.Zero(t, code)
	assert.Contains(t, stderr, "usage: doctor")
}

func TestJSON(t *testing.T) {
	srv := winrmtest.NewUnstartedServer(nil)
	srv.Mechanisms = []winrmtest.Mechanism{winrmtest.Negotiate()}
	srv.Start()
	defer srv.Close()
	t.Setenv("WINRM_PASSWORD", winrmtest.DefaultPassword)
	out, _, code := call("-r", srv.URL, "-u", winrmtest.DefaultUser, "-auth", "credssp", "-json")
	assert.Equal(t, 1, code)
	var last report
	for line := range strings.Lines(out) {
		last = report{}
		require.NoError(t, json.Unmarshal([]byte(line), &last))
	}
	assert.Equal(t, "schemes", last.Step)
	assert.Equal(t, "failed", last.Verdict)
	require.Len(t, last.Causes, 1)
	assert.Equal(t, "credssp-off", last.Causes[0].ID)
	assert.True(t, last.Causes[0].Certain)
	assert.Contains(t, last.Causes[0].Remedy, "Enable-WSManCredSSP -Role Server")

	out, _, code = call("-r", srv.URL)
	assert.Zero(t, code)
	assert.NotContains(t, out, "logon ")
	assert.Contains(t, out, "offered: Negotiate")
}

func TestSecondHop(t *testing.T) {
	out, _, code := call("-hop", "fileserver")
	assert.Equal(t, 1, code, "the demo host has no net.exe")
	assert.Contains(t, out, "second hop")
}
