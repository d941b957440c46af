package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// python returns the interpreter of the environment in which the peers are
// installed.
func python(t *testing.T) string {
	t.Helper()
	venv := os.Getenv("WINRMKIT_PEERS_VENV")
	if venv == "" {
		if os.Getenv("WINRMKIT_INTEROP") == "1" {
			t.Fatal("WINRMKIT_PEERS_VENV does not name the peers' environment")
		}
		t.Skip("needs the Python clients of .ci/peers: WINRMKIT_PEERS_VENV is not set")
	}
	return filepath.Join(venv, "bin", "python")
}

// A pythonClient is a script in testdata and how it is told to log on.
type pythonClient struct {
	script     string
	auth       string
	encryption string
}

type jobCase struct {
	Name    string   `json:"name"`
	Command string   `json:"command"`
	Args    []string `json:"args"`
	Stdin   []byte   `json:"stdin"` // base64, null for none
}

type job struct {
	URL        string    `json:"url"`
	Host       string    `json:"host"`
	Port       int       `json:"port"`
	SSL        bool      `json:"ssl"`
	CA         string    `json:"ca"`
	User       string    `json:"user"`
	Password   string    `json:"password"`
	Auth       string    `json:"auth"`
	Encryption string    `json:"encryption"`
	Cases      []jobCase `json:"cases"`
}

type jobResult struct {
	Name   string `json:"name"`
	Stdout []byte `json:"stdout"`
	Stderr []byte `json:"stderr"`
	Code   uint32 `json:"code"`
	Error  string `json:"error"`
}

// run has the client run the commands and compares the results.
func (c pythonClient) run(t *testing.T, ep endpoint, commands []command) {
	t.Helper()
	j := job{
		URL: ep.url, Host: ep.host, Port: ep.port, SSL: ep.tls, CA: ep.caFile,
		User: ep.user, Password: ep.password, Auth: c.auth, Encryption: c.encryption,
	}
	for _, cmd := range commands {
		j.Cases = append(j.Cases, jobCase{Name: cmd.name, Command: cmd.path, Args: cmd.args, Stdin: cmd.stdin})
	}
	results := c.start(t, j)
	require.Len(t, results, len(commands))
	for i, cmd := range commands {
		t.Run(cmd.name, func(t *testing.T) {
			got := results[i]
			require.Equal(t, cmd.name, got.Name)
			require.Empty(t, got.Error)
			check(t, cmd.want, result{stdout: got.Stdout, stderr: got.Stderr, code: got.Code})
		})
	}
}

func (c pythonClient) start(t *testing.T, j job) []jobResult {
	t.Helper()
	input, err := json.Marshal(j)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, python(t), filepath.Join("testdata", c.script))
	cmd.Stdin = bytes.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run(), "%s: %s", c.script, stderr.String())
	var results []jobResult
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &results), "%s printed: %s", c.script, stdout.String())
	return results
}

func TestPywinrmBasic(t *testing.T) {
	for _, l := range basicListeners() {
		t.Run(l.name, func(t *testing.T) {
			pythonClient{"pywinrm_client.py", "basic", "never"}.run(t, l.start(t), table())
		})
	}
}

func TestPypsrpBasic(t *testing.T) {
	for _, l := range basicListeners() {
		t.Run(l.name, func(t *testing.T) {
			pythonClient{"pypsrp_client.py", "basic", "never"}.run(t, l.start(t), table())
		})
	}
}

// A wrong password is told apart from everything else, and counted.
func TestWrongPassword(t *testing.T) {
	for _, c := range []pythonClient{
		{"pywinrm_client.py", "basic", "never"},
		{"pypsrp_client.py", "basic", "never"},
	} {
		t.Run(c.script, func(t *testing.T) {
			python(t)
			ep := basicListeners()[0].startUnchecked(t)
			j := job{URL: ep.url, Host: ep.host, Port: ep.port, User: ep.user, Password: "wrong", Auth: c.auth, Encryption: c.encryption}
			input, err := json.Marshal(j)
			require.NoError(t, err)
			cmd := exec.CommandContext(t.Context(), python(t), filepath.Join("testdata", c.script))
			cmd.Stdin = bytes.NewReader(input)
			out, err := cmd.CombinedOutput()
			require.Error(t, err)
			assert.Regexp(t, "InvalidCredentialsError|AuthenticationError", string(out))
			assert.Equal(t, 1, ep.srv.Stats().FailedLogons[ep.user])
		})
	}
}
