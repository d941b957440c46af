package credssp_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// TestPywinrm has another client, which reckons the trailer's length by the name
// of the cipher suite: wrongly for TLS 1.3 and ChaCha20.
func TestPywinrm(t *testing.T) {
	py := python(t)
	for name, tc := range map[string]struct {
		tls    *tls.Config
		secure bool
	}{
		"TLS 1.2": {tls: &tls.Config{MaxVersion: tls.VersionTLS12}},
		"CBC": {tls: &tls.Config{
			MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA},
		}},
		"ChaCha20": {tls: &tls.Config{
			MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256},
		}},
		"TLS 1.3": {},
		"https":   {secure: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
				_, _ = fmt.Fprintf(p.Stdout, "%s|%s|%d|", p.User, p.Delegated.Password, len(p.Line))
				_, _ = fmt.Fprint(p.Stdout, strings.Repeat("x", 100_000))
				return 7
			}))
			s.Users = map[string]string{user: password}
			s.Mechanisms = []winrmtest.Mechanism{winrmtest.CredSSP(winrmtest.CredSSPOptions{TLS: tc.tls})}
			s.Record = true
			encryption := "always"
			if tc.secure {
				encryption = "never"
				s.StartTLS()
			} else {
				s.Start()
			}
			defer s.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			out, err := exec.CommandContext(ctx, py, "testdata/pywinrm_client.py", s.URL, user, password, encryption, "20000").Output()
			if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // as os/exec returns it
				t.Fatalf("%v: %s", err, exit.Stderr)
			}
			require.NoError(t, err)
			var got struct {
				Size, Code int
				Head       string
			}
			require.NoError(t, json.Unmarshal(out, &got))
			head := fmt.Sprintf("%s|%s|%d|", user, password, len("whoami ")+20_000)
			assert.Equal(t, head, strings.TrimRight(got.Head, "x"))
			assert.Equal(t, len(head)+100_000, got.Size)
			assert.Equal(t, 7, got.Code)
			assertBodies(t, s, !tc.secure)
		})
	}
}
