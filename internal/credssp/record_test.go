package credssp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wantTrailer is the published table: tag, or MAC and padding, or tag and inner
// content type (RFC 5246 6.2.3, RFC 5288, RFC 7905, RFC 8446 5.2).
func wantTrailer(t *testing.T, version uint16, suite string, n int) int {
	padded := func(mac, block int) int { return mac + block - (n+mac)%block }
	if version == tls.VersionTLS13 {
		return 17
	}
	switch suite {
	case "TLS_RSA_WITH_RC4_128_SHA", "TLS_ECDHE_RSA_WITH_RC4_128_SHA", "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA":
		return 20
	case "TLS_RSA_WITH_3DES_EDE_CBC_SHA", "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA":
		return padded(20, 8)
	case "TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_AES_256_CBC_SHA",
		"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
		"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA":
		return padded(20, 16)
	case "TLS_RSA_WITH_AES_128_CBC_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256":
		return padded(32, 16)
	case "TLS_RSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_256_GCM_SHA384",
		"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
		"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
		"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256":
		return 16
	}
	t.Fatalf("no trailer known for %s", suite)
	return 0
}

func supports(suite *tls.CipherSuite, version uint16) bool {
	return slices.Contains(suite.SupportedVersions, version)
}

// securedPair finishes the logon of a client and a server that have only
// this suite and version. ok is false when they were refused or another suite was
// negotiated.
func securedPair(t *testing.T, suite *tls.CipherSuite, version uint16) (p *pair, ok bool) {
	t.Helper()
	cfg := &tls.Config{MinVersion: version, MaxVersion: version, CipherSuites: []uint16{suite.ID}}
	server := cfg.Clone()
	server.Certificates = []tls.Certificate{rsaCertificate(t)}
	if strings.Contains(suite.Name, "ECDSA") {
		server.Certificates = []tls.Certificate{ecdsaCertificate(t)}
	}
	p = newPair(t, InitiatorConfig{TLS: cfg}, AcceptorConfig{TLS: server})
	legs := p.run(t, nil)
	last := legs[len(legs)-1]
	if version == tls.VersionTLS10 && cbcBlockLen(suite.ID) != 0 {
		require.ErrorIs(t, last.clientErr, ErrRecordSplit)
		return p, false
	}
	require.NoError(t, last.clientErr)
	require.NoError(t, last.serverErr)
	return p, p.client.ConnectionState().CipherSuite == suite.ID
}

func TestTrailer(t *testing.T) {
	seen := map[uint16]bool{}
	suites := append(tls.CipherSuites(), tls.InsecureCipherSuites()...)
	for _, suite := range suites {
		for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
			if !supports(suite, version) {
				continue
			}
			t.Run(fmt.Sprintf("%s %s", tls.VersionName(version), suite.Name), func(t *testing.T) {
				p, ok := securedPair(t, suite, version)
				if !ok && version == tls.VersionTLS10 {
					return
				}
				if ok {
					checkMessages(t, p, version, suite.Name)
				} else { // crypto/tls takes no wishes for the suite of TLS 1.3
					require.Equal(t, uint16(tls.VersionTLS13), version)
					checkWithOpenSSL(t, suite)
				}
				seen[suite.ID] = true
			})
		}
	}
	for _, suite := range suites {
		if supports(suite, tls.VersionTLS12) || os.Getenv("WINRMKIT_INTEROP") == "1" {
			assert.True(t, seen[suite.ID], "%s was not tried", suite.Name)
		}
	}
}

func checkMessages(t *testing.T, p *pair, version uint16, suite string) {
	t.Helper()
	for _, n := range []int{0, 1, 2, 15, 16, 1000, 16383, 16384} {
		plain := bytes.Repeat([]byte{0xa5}, n)
		out, tokenLen, length, err := p.client.Wrap(nil, plain)
		require.NoError(t, err)
		require.Equal(t, n, length)
		if n == 0 {
			require.Empty(t, out)
			continue
		}
		records, err := wholeRecords(out)
		require.NoError(t, err)
		require.Equal(t, 1, records)
		require.Equal(t, wantTrailer(t, version, suite, n), tokenLen, "%d bytes", n)
		got, err := p.server.Unwrap(out, tokenLen)
		require.NoError(t, err)
		require.Equal(t, plain, got)
		require.Same(t, &out[0], &got[0], "decrypted in place")
	}
	_, _, _, err := p.client.Wrap(nil, make([]byte, 16385))
	require.ErrorIs(t, err, ErrTooLarge)

	// Longer messages are the caller's to cut; several records in one piece are
	// understood all the same.
	long := make([]byte, 500_000)
	for i := range long {
		long[i] = byte(i * 7 >> 3)
	}
	var sealed []byte
	for rest := long; len(rest) > 0; {
		n := min(len(rest), p.server.MaxPlain())
		sealed, _, _, err = p.server.Wrap(sealed, rest[:n])
		require.NoError(t, err)
		rest = rest[n:]
	}
	got, err := p.client.Unwrap(sealed, 0)
	require.NoError(t, err)
	require.True(t, bytes.Equal(long, got))
}

func TestUnwrapRefused(t *testing.T) {
	sealed := func(t *testing.T) (*pair, []byte) {
		p := newPair(t, InitiatorConfig{}, AcceptorConfig{})
		p.logon(t)
		out, _, _, err := p.server.Wrap(nil, []byte("message"))
		require.NoError(t, err)
		return p, out
	}
	t.Run("truncated at every byte", func(t *testing.T) {
		p, out := sealed(t)
		for n := 1; n < len(out); n++ {
			_, err := p.client.Unwrap(bytes.Clone(out[:n]), 0)
			require.ErrorIs(t, err, ErrTruncated)
		}
		_, err := p.client.Unwrap(out, 0)
		require.NoError(t, err, "nothing was consumed")
	})
	t.Run("trailing bytes", func(t *testing.T) {
		p, out := sealed(t)
		_, err := p.client.Unwrap(append(out, 0), 0)
		require.ErrorIs(t, err, ErrTruncated)
	})
	t.Run("changed", func(t *testing.T) {
		p, out := sealed(t)
		out[len(out)-1] ^= 1
		_, err := p.client.Unwrap(out, 0)
		require.Error(t, err)
		_, _, _, err = p.client.Wrap(nil, []byte("x"))
		require.Error(t, err, "the session is beyond use")
	})
	t.Run("replayed", func(t *testing.T) {
		p, out := sealed(t)
		again := bytes.Clone(out)
		_, err := p.client.Unwrap(out, 0)
		require.NoError(t, err)
		_, err = p.client.Unwrap(again, 0)
		require.Error(t, err)
	})
	t.Run("closed by the peer", func(t *testing.T) {
		p, out := sealed(t)
		require.NoError(t, p.server.pump.conn.CloseWrite())
		_, err := p.client.Unwrap(append(out, p.server.pump.take()...), 0)
		require.ErrorIs(t, err, ErrClosed)
	})
	t.Run("record of 64 KiB", func(t *testing.T) {
		p, _ := sealed(t)
		_, err := p.client.Unwrap(append([]byte{23, 3, 3, 0xff, 0xff}, make([]byte, 65535)...), 0)
		require.ErrorIs(t, err, ErrTruncated)
	})
}

// BenchmarkSeal is one record sealed and opened, beside AES-GCM over the same
// bytes by each side and nothing else. They take turns and medians count.
func BenchmarkSeal(b *testing.B) {
	cert := rsaCertificate(b)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, size := range []int{1 << 10, maxRecordPlain} {
			b.Run(fmt.Sprintf("%s/%d", tls.VersionName(version), size), func(b *testing.B) {
				p := newPair(b, InitiatorConfig{TLS: &tls.Config{MaxVersion: version}},
					AcceptorConfig{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
				p.logon(b)
				require.Contains(b, tls.CipherSuiteName(p.client.ConnectionState().CipherSuite), "AES_128_GCM")
				benchSeal(b, p, size)
			})
		}
	}
}

func benchSeal(b *testing.B, p *pair, size int) {
	b.Helper()
	plain, buf := make([]byte, size), make([]byte, 0, 2*maxRecordPlain)
	block, err := aes.NewCipher(make([]byte, 16))
	require.NoError(b, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(b, err)
	nonce, header := make([]byte, 12), make([]byte, 13)
	var out []byte
	var tokenLen int
	check := func(err error) { // no assertions: they cost more than a short record
		if err != nil {
			b.Fatal(err)
		}
	}
	steps := [4]func(){
		func() { out, tokenLen, _, err = p.client.Wrap(buf, plain); check(err) },
		func() { _, err = p.server.Unwrap(out, tokenLen); check(err) },
		func() { out = aead.Seal(buf, nonce, plain, header) },
		func() { _, err = aead.Open(out[:0], nonce, out, header); check(err) },
	}
	var took [4][]time.Duration
	for b.Loop() {
		for i, fn := range steps {
			began := time.Now()
			fn()
			took[i] = append(took[i], time.Since(began))
		}
	}
	var median [4]time.Duration
	for i, d := range took {
		slices.Sort(d)
		median[i] = d[len(d)/2]
	}
	b.ReportMetric(0, "ns/op") // not shown: all together
	b.ReportMetric(float64(size)/(median[0]+median[1]).Seconds()/1e6, "MB/s")
	b.ReportMetric(100*float64(median[2])/float64(median[0]), "%seal")
	b.ReportMetric(100*float64(median[3])/float64(median[1]), "%open")
	b.ReportMetric(testing.AllocsPerRun(10, func() { steps[0](); steps[1]() }), "allocs")
}
