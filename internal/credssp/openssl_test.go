package credssp

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An opensslServer is OpenSSL's TLS with one cipher suite: what it decrypts comes
// out of it, what is put into it is encrypted.
type opensslServer struct {
	net.Conn
	in  io.WriteCloser
	out io.Reader
}

func startOpenSSL(t *testing.T, suite string) *opensslServer {
	t.Helper()
	program, err := exec.LookPath("openssl")
	if err != nil {
		require.NotEqual(t, "1", os.Getenv("WINRMKIT_INTEROP"), "openssl is not installed")
		t.Skip("openssl is not installed: crypto/tls does not choose " + suite)
	}
	cert := ecdsaCertificate(t)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "server.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})...)
	require.NoError(t, os.WriteFile(file, text, 0o600))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())

	cmd := exec.Command(program, "s_server", "-accept", addr, "-naccept", "1", "-quiet", "-cert", file, "-key", file,
		"-tls1_3", "-ciphersuites", suite, "-num_tickets", "0")
	s := &opensslServer{}
	s.in, err = cmd.StdinPipe()
	require.NoError(t, err)
	s.out, err = cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		if s.Conn != nil {
			_ = s.Conn.Close()
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool {
		s.Conn, err = net.Dial("tcp", addr)
		return err == nil
	}, 30*time.Second, 20*time.Millisecond)
	require.NoError(t, s.SetDeadline(time.Now().Add(30*time.Second)))
	return s
}

// checkWithOpenSSL checks the trailer with a suite of TLS 1.3 that crypto/tls
// cannot be made to choose on both sides.
func checkWithOpenSSL(t *testing.T, suite *tls.CipherSuite) {
	t.Helper()
	s := startOpenSSL(t, suite.Name)
	c := &channel{pump: newPump(tls.Client, clientTLS(&InitiatorConfig{}))}
	defer c.pump.close()
	buf := make([]byte, 1<<16)
	for in, done := []byte(nil), false; !done; {
		out, complete, err := c.pump.handshake(in)
		require.NoError(t, err)
		_, err = s.Write(out)
		require.NoError(t, err)
		if done = complete; !done {
			n, err := s.Read(buf)
			require.NoError(t, err)
			in = buf[:n]
		}
	}
	state := c.pump.conn.ConnectionState()
	require.Equal(t, suite.ID, state.CipherSuite)
	c.nonce = explicitNonceLen(state.Version, state.CipherSuite)

	for _, n := range []int{1, 2, 15, 16, 1000, 16383, 16384} {
		plain := bytes.Repeat([]byte{0xa5}, n)
		out, tokenLen, _, err := c.Wrap(nil, plain)
		require.NoError(t, err)
		require.Equal(t, wantTrailer(t, state.Version, suite.Name, n), tokenLen, "%d bytes", n)
		_, err = s.Write(out)
		require.NoError(t, err)
		got := make([]byte, n)
		_, err = io.ReadFull(s.out, got)
		require.NoError(t, err)
		require.Equal(t, plain, got)
	}

	long := bytes.Repeat([]byte("0123456789abcdefghi\n"), 25_000)
	go func() { _, _ = s.in.Write(long) }()
	var got, records []byte
	for len(got) < len(long) {
		n, err := s.Read(buf)
		require.NoError(t, err)
		records = append(records, buf[:n]...)
		whole := 0
		for rest := records; len(rest) >= recordHeaderLen; rest = records[whole:] {
			size := recordHeaderLen + int(rest[3])<<8 + int(rest[4])
			if size > len(rest) {
				break
			}
			whole += size
		}
		plain, err := c.Unwrap(records[:whole], 0)
		require.NoError(t, err)
		got = append(got, plain...)
		records = records[whole:]
	}
	require.True(t, bytes.Equal(long, got))
}
