package auth_test

import (
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
)

const proxyTargets = "WINRMKIT_TEST_PROXY_TARGETS"

// The environment is read once in the life of a process, so this is asked of
// another one.
func TestProxyFromEnvironment(t *testing.T) {
	if targets := os.Getenv(proxyTargets); targets != "" {
		for target := range strings.SplitSeq(targets, " ") {
			u, err := url.Parse(target)
			require.NoError(t, err)
			proxy, err := auth.ProxyFromEnvironment(u)
			require.NoError(t, err)
			text := "none"
			if proxy != nil {
				text = proxy.String()
			}
			_, _ = os.Stdout.WriteString("via " + text + "\n")
		}
		return
	}
	want := []struct{ target, proxy string }{
		{"http://a.example:5985", "http://clear.example:3128"},
		{"https://a.example:5986", "http://tls.example:3129"},
		{"http://in.skip.example:5985", "none"},
		{"https://skip.example:5986", "none"},
		{"https://192.0.2.77:5986", "none"},
		{"http://[2001:db8::1]:5985", "http://clear.example:3128"},
		{"http://127.0.0.1:5985", "none"},
		{"http://[::1]:5985", "none"},
	}
	var targets []string
	for _, w := range want {
		targets = append(targets, w.target)
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestProxyFromEnvironment$")
	cmd.Env = append(os.Environ(), proxyTargets+"="+strings.Join(targets, " "),
		"HTTP_PROXY=http://clear.example:3128", "HTTPS_PROXY=http://tls.example:3129", "NO_PROXY=skip.example,192.0.2.0/24",
		"http_proxy=", "https_proxy=", "no_proxy=", "REQUEST_METHOD=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	var got []string
	for line := range strings.Lines(string(out)) {
		if via, ok := strings.CutPrefix(strings.TrimSpace(line), "via "); ok {
			got = append(got, via)
		}
	}
	require.Len(t, got, len(want), "%s", out)
	for i, w := range want {
		assert.Equal(t, w.proxy, got[i], w.target)
	}
}
