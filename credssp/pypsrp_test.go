package credssp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// TestPypsrp lets a client that is not ours log on to winrmtest and run a
// command whose input and output take several records each.
func TestPypsrp(t *testing.T) {
	py := python(t)
	for _, inner := range []string{"ntlm", "auto"} {
		for _, tlsVersion := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for i, version := range []int{2, 3, 4, 5, 6, 6} {
				secure := i == 5
				if inner == "auto" && version < 6 {
					continue // the inner logon knows nothing of the version
				}
				secret := odd[(i*2+int(tlsVersion))%len(odd)]
				if bytes.ContainsRune([]byte(secret), 0) {
					secret = "no nul" // a Python client cuts it off
				}
				name := fmt.Sprintf("%s, %s, version %d, https %v", inner, tls.VersionName(tlsVersion), version, secure)
				t.Run(name, func(t *testing.T) { runPypsrp(t, py, inner, tlsVersion, version, secure, secret) })
			}
		}
	}
}

func runPypsrp(t *testing.T, py, inner string, tlsVersion uint16, version int, secure bool, secret string) {
	t.Helper()
	s := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		_, _ = fmt.Fprintf(p.Stdout, "%s|%s|", p.Delegated.User, p.Delegated.Password)
		_, _ = io.Copy(p.Stdout, p.Stdin)
		_, _ = io.WriteString(p.Stderr, p.Line)
		return 3
	}))
	s.Users = map[string]string{user: secret}
	s.Mechanisms = []winrmtest.Mechanism{winrmtest.CredSSP(winrmtest.CredSSPOptions{
		Version: version, TLS: &tls.Config{MaxVersion: tlsVersion},
	})}
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	defer s.Close()
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	host, port, err := net.SplitHostPort(u.Host)
	require.NoError(t, err)
	input := bytes.Repeat([]byte("0123456789abcdef"), 8_000)
	job, err := json.Marshal(map[string]any{
		"host": host, "port": json.Number(port), "ssl": secure, "inner": inner,
		"user": user, "password": secret,
		"command": "type", "args": []string{"con"}, "stdin": input,
	})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, py, "testdata/pypsrp_client.py")
	cmd.Stdin = bytes.NewReader(job)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s", &stderr)
	var got struct {
		Stdout, Stderr []byte
		Code           int
	}
	require.NoError(t, json.Unmarshal(out, &got))
	assert.Equal(t, "svc|"+secret+"|"+string(input), string(got.Stdout))
	assert.Equal(t, "type con", string(got.Stderr))
	assert.Equal(t, 3, got.Code)
	assert.Empty(t, s.Stats().FailedLogons)
}
