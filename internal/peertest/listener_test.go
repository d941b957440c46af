package peertest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/kerberos"
	"github.com/winrmkit/winrmkit/credssp"
	"github.com/winrmkit/winrmkit/internal/krb5"
	"github.com/winrmkit/winrmkit/winrm"
)

const (
	listenerHost = "srv1.corp.example"
	realm        = "CORP.EXAMPLE"
)

// A listener is the process of listener.py.
type listener struct {
	t    *testing.T
	addr string
	pin  string // of its certificate, with TLS
	in   io.Closer
	out  *bufio.Reader
}

// counts is what has come to a listener: tried, refused, logons, clear, and the
// actions.
type counts map[string]int

func startListener(t *testing.T, secure bool, env []string, args ...string) *listener {
	t.Helper()
	dir := t.TempDir()
	l := &listener{t: t}
	if secure {
		cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		l.pin = writeCertificate(t, cert, key)
		args = append(args, "--cert", cert, "--key", key)
	}
	users := filepath.Join(dir, "accounts")
	require.NoError(t, os.WriteFile(users, []byte(strings.Join([]string{domain, user, password}, ":")+"\n"), 0o600))
	cmd := exec.CommandContext(t.Context(), pyspnegoKerberos.python(t), append([]string{"listener.py"}, args...)...)
	cmd.Env = append(append(os.Environ(), "NTLM_USER_FILE="+users), env...)
	in, out := begin(t, "the listener", cmd, func() {})
	l.in, l.out = in, bufio.NewReader(out)
	port, err := l.out.ReadString('\n')
	require.NoError(t, err)
	l.addr = net.JoinHostPort("127.0.0.1", strings.TrimSpace(port))
	return l
}

// stop ends the listener and returns what it has counted.
func (l *listener) stop() counts {
	l.t.Helper()
	require.NoError(l.t, l.in.Close())
	var c counts
	require.NoError(l.t, json.NewDecoder(l.out).Decode(&c))
	return c
}

// client is a client of the listener by the name that its keys are for.
func (l *listener) client(mech auth.Mechanism, encryption auth.Encryption) *winrm.Client {
	l.t.Helper()
	url := "http://" + listenerHost
	cfg := &winrm.Config{Auth: mech, Encryption: encryption, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, l.addr)
	}}
	if l.pin != "" {
		url = "https://" + listenerHost
		cfg.Pins, cfg.PinReplacesChain = []string{l.pin}, true
	}
	client, err := winrm.New(url, cfg)
	require.NoError(l.t, err)
	l.t.Cleanup(func() { _ = client.Close() })
	return client
}

func writeCertificate(t *testing.T, certFile, keyFile string) (pin string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: listenerHost}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	digest := sha256.Sum256(der)
	return hex.EncodeToString(digest[:])
}

// startRealm starts a KDC that knows the user and the listener, and returns a
// mechanism and the environment with the listener's keys.
func startRealm(t *testing.T) (*kerberos.Mechanism, []string) {
	t.Helper()
	key, err := krb5.NewKey(krb5.AES256SHA1)
	require.NoError(t, err)
	kdc := &krb5.KDC{
		Realm: realm, Users: map[string]string{user: password}, Services: map[string]krb5.Key{"HTTP/" + listenerHost: key},
	}
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wait sync.WaitGroup
	wait.Go(func() { kdc.Serve(nl) })
	t.Cleanup(func() { _ = nl.Close(); wait.Wait() })
	mech, err := kerberos.New(&kerberos.Config{
		Credentials: auth.Credentials{Domain: realm, User: user, Password: password, Gate: new(auth.Gate)},
		ConfigFile:  "-", KDCs: []string{nl.Addr().String()}, Realm: realm,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = mech.Close() })
	dir := t.TempDir()
	keytab, conf := filepath.Join(dir, "keytab"), filepath.Join(dir, "krb5.conf")
	require.NoError(t, os.WriteFile(keytab, krb5.KeytabFor(krb5.Service("HTTP", listenerHost, realm), 1, key).Marshal(), 0o600))
	require.NoError(t, os.WriteFile(conf, []byte("[libdefaults]\n default_realm = "+realm+"\n dns_lookup_kdc = false\n"), 0o600))
	return mech, []string{"KRB5_KTNAME=" + keytab, "KRB5_CONFIG=" + conf, "KRB5RCACHENAME=none:"}
}

// A way is a mechanism and the listener that takes it.
type way struct {
	scheme string // listener.py's MECH
	mech   func(t *testing.T, cred auth.Credentials) (auth.Mechanism, []string)
}

var ways = map[string]way{
	"NTLM": {"ntlm", func(_ *testing.T, cred auth.Credentials) (auth.Mechanism, []string) { return auth.NTLM(cred), nil }},
	"Negotiate NTLM": {"negotiate", func(_ *testing.T, cred auth.Credentials) (auth.Mechanism, []string) {
		return auth.Negotiate(auth.NTLM(cred)), nil
	}},
	"CredSSP": {"credssp", func(_ *testing.T, cred auth.Credentials) (auth.Mechanism, []string) {
		return credssp.New(credssp.Config{Credentials: cred, Inner: auth.Negotiate(auth.NTLM(cred))}), nil
	}},
	"Kerberos": {"kerberos", func(t *testing.T, _ auth.Credentials) (auth.Mechanism, []string) {
		return startRealm(t)
	}},
	"Negotiate Kerberos": {"negotiate", func(t *testing.T, cred auth.Credentials) (auth.Mechanism, []string) {
		mech, env := startRealm(t)
		return auth.Negotiate(mech, auth.NTLM(cred)), env
	}},
}

func credentials(pass string) auth.Credentials {
	return auth.Credentials{Domain: domain, User: user, Password: pass, Gate: new(auth.Gate)}
}

// Whole commands on a listener of which no line is ours: HTTP, logon, sealing and
// WS-Management.
func TestListener(t *testing.T) {
	for name, w := range ways {
		for _, form := range []string{"", "--odd"} {
			t.Run(name+form, func(t *testing.T) {
				t.Parallel()
				mech, env := w.mech(t, credentials(password))
				args := strings.Fields(w.scheme + " " + form)
				l := startListener(t, false, env, args...)
				client := l.client(mech, auth.EncryptAuto)
				runCommands(t, client)
				got := l.stop()
				assert.Zero(t, got["clear"], "requests in clear")
				assert.Zero(t, got["refused"])
				assert.Equal(t, 3, got["Command"], "none is sent twice")
				assert.Equal(t, got["Create"], got["Delete"])
				assert.LessOrEqual(t, got["logons"], winrm.DefaultMaxConns, "one for a connection")
			})
		}
	}
}

// The same inside TLS, bound to the channel, with and without sealing.
func TestListenerTLS(t *testing.T) {
	for name, w := range ways {
		for _, encryption := range []auth.Encryption{auth.EncryptAuto, auth.EncryptAlways} {
			t.Run(name+" "+encryption.String(), func(t *testing.T) {
				t.Parallel()
				mech, env := w.mech(t, credentials(password))
				l := startListener(t, true, env, w.scheme)
				client := l.client(mech, encryption)
				runCommands(t, client)
				got := l.stop()
				assert.Equal(t, encryption == auth.EncryptAlways, got["clear"] == 0)
				assert.Zero(t, got["refused"])
				assert.Equal(t, 3, got["Command"])
			})
		}
	}
}

// runCommands runs three commands, and closes the client.
func runCommands(t *testing.T, client *winrm.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := client.CommandContext(ctx, "echo", "grüße").Output()
	require.NoError(t, err)
	assert.Equal(t, "grüße", string(out))

	// Larger than one message, both ways and over two connections.
	input := bytes.Repeat([]byte("0123456789 abcdefghijklmnopqrstuvwxyz\r\n"), 20_000)
	var stdout, stderr bytes.Buffer
	cat := client.CommandContext(ctx, "cat")
	cat.Stdin, cat.Stdout, cat.Stderr = bytes.NewReader(input), &stdout, &stderr
	require.NoError(t, cat.Run())
	assert.True(t, bytes.Equal(input, stdout.Bytes()), "%d bytes", stdout.Len())
	assert.True(t, bytes.Equal(input, stderr.Bytes()), "%d bytes", stderr.Len())

	err = client.CommandContext(ctx, "exit", "3221225786").Run()
	exit, ok := errors.AsType[*winrm.ExitError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, uint32(0xC000013A), exit.Code)
	require.NoError(t, client.Close())
}

// A wrong password is put before the listener once, by however many commands.
func TestListenerRefuses(t *testing.T) {
	for _, name := range []string{"NTLM", "Negotiate NTLM", "CredSSP"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mech, env := ways[name].mech(t, credentials("wrong"))
			l := startListener(t, false, env, ways[name].scheme)
			client := l.client(mech, auth.EncryptAuto)
			var wait sync.WaitGroup
			for range 4 {
				wait.Go(func() {
					err := client.CommandContext(t.Context(), "echo", "x").Run()
					refused, ok := errors.AsType[*auth.Error](err)
					if assert.True(t, ok, "%v", err) {
						assert.True(t, refused.Refused, "%v", err)
					}
				})
			}
			wait.Wait()
			got := l.stop()
			assert.Equal(t, 1, got["tried"])
			assert.Zero(t, got["logons"])
		})
	}
}
