package winrmtest

import (
	"encoding/pem"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestUPN lets openssl read the user principal name that we write.
func TestUPN(t *testing.T) {
	cert := NewUnstartedServer(nil).ClientCertificate("user@host")
	assert.Equal(t, []string{"user@host"}, upns(cert.Leaf))

	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl")
	}
	cmd := exec.CommandContext(t.Context(), openssl, "x509", "-noout", "-ext", "subjectAltName")
	cmd.Stdin = strings.NewReader(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Leaf.Raw})))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "UPN::user@host")
}
