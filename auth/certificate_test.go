package auth_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
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
	"github.com/winrmkit/winrmkit/internal/toyauth"
)

const mutual = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"

// opensslServer is an `openssl s_server` whose console the test holds: it shows
// what the client sends, and what is typed goes to the client, but for the
// command R, which renegotiates and asks for a certificate.
type opensslServer struct {
	stdin io.WriteCloser
	addr  string

	mu  sync.Mutex
	out strings.Builder
}

func (o *opensslServer) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.out.Write(p)
}

// waits until the console has shown text.
func (o *opensslServer) expect(t *testing.T, text string) {
	t.Helper()
	ok := assert.Eventually(t, func() bool { return strings.Contains(o.shown(), text) }, 30*time.Second, 5*time.Millisecond)
	require.True(t, ok, "%q not in:\n%s", text, o.shown())
}

func (o *opensslServer) shown() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.out.String()
}

func (o *opensslServer) typed(t *testing.T, text string) {
	t.Helper()
	_, err := io.WriteString(o.stdin, text)
	require.NoError(t, err)
}

func writePEM(t *testing.T, cert tls.Certificate) (certFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	require.NoError(t, err)
	write := func(file, kind string, der []byte) {
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	write(certFile, "CERTIFICATE", cert.Certificate[0])
	write(keyFile, "PRIVATE KEY", der)
	return certFile, keyFile
}

func startOpenSSL(t *testing.T, clientCA string, args ...string) *opensslServer {
	t.Helper()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed: client certificates by renegotiation are not tested")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	o := &opensslServer{addr: ln.Addr().String()}
	require.NoError(t, ln.Close())
	certFile, keyFile := writePEM(t, newCertificate(t, "127.0.0.1"))
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, openssl, append([]string{
		"s_server", "-accept", o.addr, "-cert", certFile, "-key", keyFile, "-CAfile", clientCA,
	}, args...)...)
	cmd.Stdout, cmd.Stderr = o, o
	o.stdin, err = cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	o.expect(t, "ACCEPT")
	return o
}

func TestCertificateAgainstOpenSSL(t *testing.T) {
	client := newCertificate(t, "patch.client.test")
	certFile, keyFile := writePEM(t, client)
	for _, c := range []struct {
		name   string
		args   []string
		reneg  bool
		reused bool
	}{
		{name: "asked in the handshake, TLS 1.2", args: []string{"-tls1_2", "-Verify", "1"}},
		{name: "asked in the handshake, server speaks TLS 1.3", args: []string{"-Verify", "1"}},
		{name: "asked by renegotiation", args: []string{"-tls1_2"}, reneg: true},
		{name: "asked by renegotiation, server speaks TLS 1.3", reneg: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := startOpenSSL(t, certFile, c.args...)
			mech, err := auth.CertificateFromFiles(certFile, keyFile, "")
			require.NoError(t, err)
			tr, err := auth.NewTransport("https://"+o.addr+"/wsman", &auth.TransportConfig{
				Mechanism: mech, TLS: &tls.Config{InsecureSkipVerify: true},
			})
			require.NoError(t, err)
			defer tr.Close()
			type answer struct {
				body string
				err  error
			}
			post := func(body string) <-chan answer {
				got := make(chan answer, 1)
				go func() {
					req := newRequest(t.Context(), true, body)
					req.URL.Host = o.addr
					resp, err := tr.RoundTrip(req)
					if err != nil {
						got <- answer{"", err}
						return
					}
					data, err := io.ReadAll(resp.Body)
					_ = resp.Body.Close()
					got <- answer{string(data), err}
				}()
				return got
			}
			first := post("first message")
			o.expect(t, "first message")
			if c.reneg {
				assert.NotContains(t, o.shown(), "patch.client.test")
				o.typed(t, "R\n")
			}
			o.expect(t, "patch.client.test") // verified, with its subject
			o.typed(t, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\none\n")
			a := <-first
			require.NoError(t, a.err, o.shown())
			assert.Equal(t, "one\n", a.body)

			// The connection goes on being used after it.
			next := post("next message")
			o.expect(t, "next message")
			o.typed(t, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntwo\n")
			a = <-next
			require.NoError(t, a.err)
			assert.Equal(t, "two\n", a.body)
			assert.Equal(t, 2, strings.Count(o.shown(), "Authorization: "+mutual))
			assert.Equal(t, 1, strings.Count(o.shown(), "-----BEGIN SSL SESSION"), "one connection")
		})
	}
}

func TestCertificateRules(t *testing.T) {
	client := newCertificate(t, "client.test")
	s := newServer(t, toyauth.TwoLegs)
	tr := s.transport(func(c *auth.TransportConfig) {
		c.Mechanism, c.Encryption = auth.Certificate(client), auth.EncryptNever
	})
	_, ok := errors.AsType[*auth.ClearTextError](second(s.post(tr, t.Context(), "x")))
	assert.True(t, ok, "https only")

	s = newTLSServer(t, toyauth.TwoLegs, newCertificate(t, host))
	tr = s.transport(func(c *auth.TransportConfig) {
		c.Mechanism = auth.Certificate(client)
		c.TLS.MinVersion = tls.VersionTLS13
	})
	require.ErrorContains(t, second(s.post(tr, t.Context(), "x")), "TLS 1.2")

	s.intercept = func(r *received) string { return httpAnswer(401, "", "") }
	tr = s.transport(func(c *auth.TransportConfig) { c.Mechanism = auth.Certificate(client) })
	e, ok := errors.AsType[*auth.Error](second(s.post(tr, t.Context(), "x")))
	require.True(t, ok)
	assert.Equal(t, "certificate-off", e.Causes[0].ID)
	assert.Equal(t, mutual, s.got()[0].authorization)

	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%d"} {
		key := fmt.Sprintf(verb, client.PrivateKey)
		require.Greater(t, len(key), 20)
		assert.NotContains(t, fmt.Sprintf(verb, auth.Certificate(client)), key)
	}
	f := auth.CertificateFiles{Cert: "c", Key: "k", Passphrase: "0pen"}
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s", f, &f, f, f), "0pen")
}

// TestEncryptedKeys reads keys that OpenSSL wrote; all are the same key.
func TestEncryptedKeys(t *testing.T) {
	cert, err := os.ReadFile("testdata/client-cert.pem")
	require.NoError(t, err)
	files, err := filepath.Glob("testdata/key-*.pem")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 8)
	clear, err := os.ReadFile("testdata/key-clear.pem")
	require.NoError(t, err)
	want, err := auth.ParseCertificate(cert, clear, "")
	require.NoError(t, err)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			key, err := os.ReadFile(file)
			require.NoError(t, err)
			got, err := auth.ParseCertificate(cert, key, "sésame 🗝")
			if strings.Contains(file, "scrypt") {
				require.ErrorContains(t, err, "openssl pkcs8")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, want.PrivateKey, got.PrivateKey)
			if strings.Contains(file, "clear") {
				return
			}
			_, err = auth.ParseCertificate(cert, key, "wrong")
			require.ErrorContains(t, err, "wrong passphrase")
			_, err = auth.ParseCertificate(cert, key, "")
			require.ErrorContains(t, err, "no passphrase")
		})
	}
}

func FuzzParseCertificate(f *testing.F) {
	cert, err := os.ReadFile("testdata/client-cert.pem")
	require.NoError(f, err)
	files, _ := filepath.Glob("testdata/key-*.pem")
	for _, file := range files {
		key, err := os.ReadFile(file)
		require.NoError(f, err)
		block, _ := pem.Decode(key)
		f.Add(block.Bytes)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		key := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der})
		if len(der) > 4096 {
			return // no key is so long
		}
		_, _ = auth.ParseCertificate(cert, key, "x")
	})
}
