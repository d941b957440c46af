package interop_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/realmtest"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

const kerberosHost = "host1.example.test"

// kerberosRealm is MIT's KDC with alice's tickets in its cache.
func kerberosRealm(t *testing.T) *realmtest.MIT {
	t.Helper()
	m := realmtest.StartMIT(t, realmtest.MITConfig{KAdmin: []string{
		`addprinc -clearpolicy -pw "Passw0rd!" alice`,
		"addprinc -randkey -clearpolicy HTTP/" + kerberosHost,
		"ktadd -norandkey -k $DIR/host1.keytab HTTP/" + kerberosHost,
	}})
	m.KInit(t, "alice", "Passw0rd!", "FILE:"+m.Path("ccache"))
	return m
}

// kerberosServer accepts the realm's tickets: bare or through SPNEGO.
func kerberosServer(t *testing.T, m *realmtest.MIT, spnego, withTLS bool) (srv *winrmtest.Server, caFile string) {
	t.Helper()
	keytab, err := os.ReadFile(m.Path("host1.keytab"))
	require.NoError(t, err)
	accept := winrmtest.Kerberos
	if spnego {
		accept = winrmtest.NegotiateKerberos
	}
	mech, err := accept(keytab)
	require.NoError(t, err)
	srv = winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		fmt.Fprint(p.Stdout, p.User, " ", strings.Repeat("x", 300_000))
		return 7
	}))
	srv.Mechanisms = []winrmtest.Mechanism{mech}
	srv.Settings = map[string]string{"Service/Auth/Kerberos": "true", "Service/Auth/CbtHardeningLevel": "Strict"}
	srv.Record = true
	if withTLS {
		srv.StartTLS()
		caFile = filepath.Join(t.TempDir(), "ca.pem")
		require.NoError(t, os.WriteFile(caFile, authority(t, srv.Listener.Addr().String()), 0o600))
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return srv, caFile
}

// TestPypsrpKerberos has pypsrp log on with the system's GSS-API: sealed, over
// http and https, with channel binding and delegation.
func TestPypsrpKerberos(t *testing.T) {
	interpreter := python(t)
	m := kerberosRealm(t)
	for _, spnego := range []bool{false, true} {
		for _, withTLS := range []bool{false, true} {
			for _, encryption := range []string{"auto", "always"} {
				t.Run(fmt.Sprintf("spnego=%v/tls=%v/%s", spnego, withTLS, encryption), func(t *testing.T) {
					srv, ca := kerberosServer(t, m, spnego, withTLS)
					host, port, err := net.SplitHostPort(srv.Listener.Addr().String())
					require.NoError(t, err)
					auth := "kerberos"
					if spnego {
						auth = "negotiate"
					}
					cmd := exec.CommandContext(t.Context(), interpreter, filepath.Join("testdata", "pypsrp_kerberos.py"), //nolint:gosec // our own script
						auth, host, port, ca, kerberosHost, encryption, "yes")
					cmd.Env = append(os.Environ(), m.Env...)
					out, err := cmd.CombinedOutput()
					require.NoError(t, err, "%s", out)
					assert.Equal(t, "alice@EXAMPLE.TEST 300000 7", strings.TrimSpace(string(out)))
					assert.NotZero(t, srv.Stats().Logons)
				})
			}
		}
	}
}

// TestPywinrmKerberos has pywinrm log on with requests-kerberos, which knows only
// SPNEGO. Over https it does not seal.
func TestPywinrmKerberos(t *testing.T) {
	interpreter := python(t)
	m := kerberosRealm(t)
	for _, withTLS := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", withTLS), func(t *testing.T) {
			srv, ca := kerberosServer(t, m, true, withTLS)
			encryption := "always"
			if withTLS {
				encryption = "never"
			}
			cmd := exec.CommandContext(t.Context(), interpreter, filepath.Join("testdata", "pywinrm_kerberos.py"), //nolint:gosec // our own script
				srv.URL, ca, kerberosHost, encryption, "no")
			cmd.Env = append(os.Environ(), m.Env...)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			assert.Equal(t, "alice@EXAMPLE.TEST 300000 7", strings.TrimSpace(string(out)))
		})
	}
}
