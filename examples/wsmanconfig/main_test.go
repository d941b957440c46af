package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/winrm"
)

func call(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(append([]string{"-state", t.TempDir()}, args...), &out, &err)
	return out.String(), err.String(), code
}

// The table is that of the administrator's listing.
func TestList(t *testing.T) {
	out, stderr, code := call(t, "ls", "Service")
	require.Zero(t, code, stderr)
	want := strings.Split(`
   WSManConfig: Microsoft.WSMan.Management\WSMan::localhost\Service

Type            Name                           SourceOfValue   Value
----            ----                           -------------   -----
System.String   RootSDDL                                       O:NSG:BAD:P(A;;GA;;;BA)(A;;GR;;;IU)S:P(AU;FA;GA;;;WD)(AU;SA;GXGW;;;WD)
System.String   MaxConcurrentOperations                        4294967295
System.String   MaxConcurrentOperationsPerUser                 1500
System.String   EnumerationTimeoutms                           240000
System.String   MaxConnections                                 300
System.String   MaxPacketRetrievalTimeSeconds                  120
System.String   AllowUnencrypted                               false
Container       Auth
Container       DefaultPorts
System.String   IPv4Filter                                     *
System.String   IPv6Filter                                     *
System.String   EnableCompatibilityHttpList...                 false
System.String   EnableCompatibilityHttpsLis...                 false
System.String   CertificateThumbprint
System.String   AllowRemoteAccess                              true
`, "\n")
	assert.Equal(t, want, strings.Split(out, "\n"))
	assert.Contains(t, stderr, "demo host")

	out, _, code = call(t, "ls", `WSMan:\localhost\Service\Auth`)
	require.Zero(t, code)
	for _, line := range []string{
		"System.String   Basic                                          false", "System.String   Negotiate                                      true",
		"System.String   CredSSP                                        false", "System.String   CbtHardeningLevel                              Relaxed",
	} {
		assert.Contains(t, out, line)
	}
}

func TestListEntries(t *testing.T) {
	out, stderr, code := call(t, "ls", "--", "ls", "Listener", "--", "get", `Listener\*+HTTP\Port`, "--", "set", `Plugin\Microsoft.PowerShell\Quotas\MaxShells`, "9")
	require.Zero(t, code, stderr)
	for _, line := range []string{
		"Container       Listener", "Container       *+HTTP", "System.String   Port                                           ",
		"System.String   MaxShells                                      9",
	} {
		assert.Contains(t, out, line)
	}
}

func TestSet(t *testing.T) {
	out, stderr, code := call(t, "set", `Service\Auth\CredSSP`, "true", "--", "get", "Service/Auth/CredSSP")
	require.Zero(t, code, stderr)
	assert.Equal(t, 2, strings.Count(out, "CredSSP                                        true"))

	out, stderr, code = call(t, "set", `Client\TrustedHosts`, "*")
	assert.Equal(t, 1, code)
	assert.Empty(t, out)
	assert.Contains(t, stderr, `Client\TrustedHosts comes from group policy and is *.corp.example`)
	assert.Contains(t, stderr, "[policy]")
	out, _, _ = call(t, "get", `Client\TrustedHosts`)
	assert.Contains(t, out, "GPO             *.corp.example")

	_, stderr, code = call(t, "set", `Service\Auth\Negotiate`, "false")
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "this client logs on with Negotiate")
	out, stderr, code = call(t, "-force", "set", `Service\Auth\Negotiate`, "false")
	require.Zero(t, code, stderr)
	assert.Contains(t, out, "Negotiate                                      false")

	_, stderr, code = call(t, "get", `Service\Auth\Digest`)
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "there are Basic, Kerberos, Negotiate")
	for _, args := range [][]string{{"frobnicate"}, {"set", "x"}, {"credssp", "sometimes"}} {
		_, stderr, code = call(t, args...)
		assert.Equal(t, 2, code, args)
		assert.Contains(t, stderr, "wsmanconfig: "+strings.Join(args, " ")+": that is no command")
	}

	// The line above the table names what the items are in, as PowerShell does.
	for _, args := range [][]string{{"ls", `WSMan:\localhost\Service\Auth`}, {"get", "Service/Auth/CredSSP"}, {"get", `wsman:\localhost\Service\Auth\CredSSP`}} {
		out, _, code = call(t, args...)
		require.Zero(t, code)
		assert.Contains(t, out, `WSMan::localhost\Service\Auth`+"\n\nType", args)
	}
}

func TestCredSSP(t *testing.T) {
	out, stderr, code := call(t, "credssp", "status", "--", "credssp", "enable", "server", "--",
		"credssp", "enable", "client", "srv2", "--", "credssp", "enable", "server", "--", "credssp", "disable", "server", "--", "credssp", "disable", "client")
	require.Zero(t, code, stderr)
	assert.Contains(t, out, "is not configured to receive credentials")
	assert.Contains(t, out, "It was so already.")
	assert.Contains(t, out, "following target(s): wsman/srv2\nThis computer is configured to receive")

	out, stderr, code = call(t, "credssp", "temporary", "hostname", "--", "get", `Service\Auth\CredSSP`, "--", "credssp", "restore")
	require.Zero(t, code, stderr)
	assert.True(t, strings.HasPrefix(out, "DEMO\r\n"), out)
	assert.Contains(t, out, "CredSSP                                        false")
	assert.Contains(t, out, "There is nothing to put back.")
	assert.Contains(t, stderr, "CredSSP: verified")

	// The exit status is the command's; one whose low byte is 0 is no success.
	for line, want := range map[string]int{"exit 3": 3, "exit 256": 1, "nonsense": 1} {
		_, stderr, code = call(t, append([]string{"credssp", "temporary"}, strings.Fields(line)...)...)
		assert.Equal(t, want, code, stderr)
		assert.Contains(t, stderr, "CredSSP: verified")
	}
}

// Notes about other hosts are told of: somebody may have changed the way to
// write the host's name.
func TestNotesOfOthers(t *testing.T) {
	dir := t.TempDir()
	store, err := winrm.NewFileStore(dir)
	require.NoError(t, err)
	id := strings.Repeat("ab", 16)
	require.NoError(t, store.Put(t.Context(), winrm.CredSSPIntent{ID: id, Endpoint: "https://srv1.corp.example:5986/wsman", Created: time.Unix(1e9, 0)}))
	require.NoError(t, store.Abandon(id))
	out, stderr, code := call(t, "-state", dir, "credssp", "restore")
	require.Zero(t, code, stderr)
	assert.Contains(t, out, "There is a note about https://srv1.corp.example:5986/wsman of 2001-09-0")
	assert.Contains(t, out, "-r https://srv1.corp.example:5986/wsman puts that back")
}
