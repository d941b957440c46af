package credssp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/authserver"
	"github.com/winrmkit/winrmkit/internal/krb5"
	"github.com/winrmkit/winrmkit/internal/realmtest"
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
				t.Run(name, func(t *testing.T) {
					pypsrp{
						host: "127.0.0.1", inner: inner, user: user, password: secret, secure: secure, clear: secure && tlsVersion == tls.VersionTLS12,
						accept: winrmtest.CredSSP(winrmtest.CredSSPOptions{Version: version, TLS: &tls.Config{MaxVersion: tlsVersion}}),
						whoami: user, delegated: "svc",
					}.run(t, py)
				})
			}
		}
	}
}

// TestPypsrpKerberos is the same with MIT's GSS-API and KDC inside. That the
// inner logon is Kerberos shows in three ways: where nothing else is accepted it
// has to be; the host knows the user by a principal's name; and the KDC has made
// a ticket for each logon.
func TestPypsrpKerberos(t *testing.T) {
	py := python(t)
	const (
		principal = "alice@EXAMPLE.TEST"
		secret    = "pÄss @:/%wörd '비밀번호' 🔑"
		// What requests-credssp makes the service of is the URL's host.
		service = "HTTP/localhost"
	)
	realm := realmtest.StartMIT(t, realmtest.MITConfig{KAdmin: []string{
		`addprinc -clearpolicy -pw "` + secret + `" alice`,
		"addprinc -clearpolicy -randkey " + service, "ktadd -norandkey -k $DIR/server.keytab " + service,
	}})
	keytab, err := os.ReadFile(realm.Path("server.keytab"))
	require.NoError(t, err)
	keys, err := krb5.ParseKeytab(keytab)
	require.NoError(t, err)
	bare, err := winrmtest.Kerberos(keytab)
	require.NoError(t, err)
	both, err := winrmtest.NegotiateKerberos(keytab)
	require.NoError(t, err)
	alone := winrmtest.NewMechanism(
		authserver.Negotiate{Mechs: []authserver.SPNEGOMechanism{authserver.Kerberos{Keys: keys}}}, "", true, nil,
	)
	for _, tc := range []struct {
		name, inner string
		accept      winrmtest.Mechanism
	}{
		{"bare", "kerberos", bare},
		{"SPNEGO with Kerberos alone", "auto", alone},
		{"SPNEGO with NTLM beside it", "auto", both},
	} {
		for _, tlsVersion := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, secure := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, https %v", tc.name, tls.VersionName(tlsVersion), secure), func(t *testing.T) {
					made := func() int { return strings.Count(realm.Log(t), principal+" for "+service+"@EXAMPLE.TEST") }
					before := made()
					pypsrp{
						host: "localhost", inner: tc.inner, user: principal, password: secret, secure: secure, env: realm.Env,
						accept: winrmtest.CredSSP(winrmtest.CredSSPOptions{Inner: tc.accept, TLS: &tls.Config{MaxVersion: tlsVersion}}),
						whoami: principal, delegated: principal,
					}.run(t, py)
					assert.Greater(t, made(), before, "tickets that the KDC has made")
				})
			}
		}
	}
}

// A pypsrp is one logon of that client, and how the server is to see it.
type pypsrp struct {
	host, inner, user, password string
	secure                      bool // https
	clear                       bool // sealing is left to it
	env                         []string
	accept                      winrmtest.Mechanism
	whoami, delegated           string
}

func (c pypsrp) run(t *testing.T, py string) {
	t.Helper()
	s := winrmtest.NewUnstartedServer(winrmtest.HandlerFunc(func(p *winrmtest.Proc) uint32 {
		_, _ = fmt.Fprintf(p.Stdout, "%s|%s|%s|", p.User, p.Delegated.User, p.Delegated.Password)
		_, _ = io.Copy(p.Stdout, p.Stdin)
		_, _ = io.WriteString(p.Stderr, p.Line)
		return 3
	}))
	s.Users = map[string]string{c.user: c.password}
	s.Mechanisms = []winrmtest.Mechanism{c.accept}
	s.Record = true
	if c.secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	defer s.Close()
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	require.NoError(t, err)
	input := bytes.Repeat([]byte("0123456789abcdef"), 8_000)
	encryption := "always"
	if c.clear {
		encryption = "never"
	}
	job, err := json.Marshal(map[string]any{
		"host": c.host, "port": json.Number(port), "ssl": c.secure, "inner": c.inner,
		"user": c.user, "password": c.password, "encryption": encryption,
		"command": "type", "args": []string{"con"}, "stdin": input,
	})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, py, "testdata/pypsrp_client.py")
	cmd.Env = append(os.Environ(), c.env...)
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
	assert.Equal(t, c.whoami+"|"+c.delegated+"|"+c.password+"|"+string(input), string(got.Stdout))
	assert.Equal(t, "type con", string(got.Stderr))
	assert.Equal(t, 3, got.Code)
	assert.Empty(t, s.Stats().FailedLogons)
	assertBodies(t, s, !c.clear)
}

// assertBodies checks how bodies went, and that there were large ones both ways.
func assertBodies(t *testing.T, s *winrmtest.Server, sealed bool) {
	t.Helper()
	var in, out int
	for _, x := range s.Exchanges() {
		if x.Action == winrmtest.ActionLogon {
			continue
		}
		assert.Equal(t, sealed, x.Sealed, x.Action)
		in, out = max(in, len(x.Request)), max(out, len(x.Response))
	}
	assert.Greater(t, in, 16<<10, "the largest request")
	assert.Greater(t, out, 16<<10, "the largest answer")
}
