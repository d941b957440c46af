package auth_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/toyauth"
)

// newCertificate makes a self-signed certificate that is its own authority.
func newCertificate(tb testing.TB, names ...string) tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			tpl.IPAddresses = append(tpl.IPAddresses, ip)
			continue
		}
		tpl.DNSNames = append(tpl.DNSNames, n)
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, key.Public(), key)
	require.NoError(tb, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(tb, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// newTLSServer speaks TLS; its transports trust any certificate unless told.
func newTLSServer(tb testing.TB, kind toyauth.Kind, cert tls.Certificate) *server {
	s := newServer(tb, kind)
	s.tls = &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}}
	return s
}

func TestOverTLS(t *testing.T) {
	for _, kind := range []toyauth.Kind{toyauth.OneLeg, toyauth.TwoLegs, toyauth.Splitting} {
		for _, e := range []auth.Encryption{auth.EncryptAuto, auth.EncryptAlways, auth.EncryptNever} {
			s := newTLSServer(t, kind, newCertificate(t, host))
			tr := s.transport(func(c *auth.TransportConfig) { c.Encryption = e })
			_, got, err := s.post(tr, t.Context(), "hello")
			if kind == toyauth.OneLeg && e == auth.EncryptAlways {
				_, ok := errors.AsType[*auth.ClearTextError](err)
				assert.True(t, ok, "%v", err)
				continue
			}
			require.NoError(t, err, "%v %v", kind, e)
			assert.Equal(t, "re: hello", got)
			last := s.last()
			assert.Equal(t, e == auth.EncryptAlways, strings.HasPrefix(last.contentType, "multipart/"))
		}
	}
}

// A digest in base64 may begin with a slash, whatever stands before it.
func TestPinForms(t *testing.T) {
	for _, first := range []byte{0xFF, 0xFC, 0x00, 0xFB} { // "//", "/A", "AA" and "+/" at the beginning
		digest := bytes.Repeat([]byte{0xFF}, sha256.Size)
		digest[0] = first
		std, hexed := base64.StdEncoding.EncodeToString(digest), hex.EncodeToString(digest)
		for _, text := range []string{
			std, strings.TrimRight(std, "="), base64.URLEncoding.EncodeToString(digest), hexed, " " + std + "\n",
			"sha256//" + std, "sha256/" + std, "SHA256:" + strings.TrimRight(std, "="), "sha256:" + hexed, "sha256//" + hexed,
		} {
			_, err := auth.NewTransport("https://"+host, &auth.TransportConfig{Mechanism: auth.Anonymous(), Pins: []string{text}})
			require.NoError(t, err, text)
		}
		for _, text := range []string{"sha256//" + std[2:], "sha256" + hexed, "sha256//", "sha1:" + hexed, std + "A", ""} {
			_, err := auth.NewTransport("https://"+host, &auth.TransportConfig{Mechanism: auth.Anonymous(), Pins: []string{text}})
			require.Error(t, err, text)
		}
	}
}

func TestTLSVerification(t *testing.T) {
	cert, other := newCertificate(t, host), newCertificate(t, "other.test")
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	write := func(c tls.Certificate) {
		data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
		require.NoError(t, os.WriteFile(caFile, data, 0o600))
	}
	certSum, keySum := sha256.Sum256(cert.Leaf.Raw), sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo)
	otherSum := sha256.Sum256(other.Leaf.Raw)
	colons := strings.ToUpper(hex.EncodeToString(certSum[:2])) + ":" + hex.EncodeToString(certSum[2:])

	for _, c := range []struct {
		name   string
		server tls.Certificate
		ca     *tls.Certificate
		pins   []string
		only   bool
		ok     bool
		pinErr bool
	}{
		{name: "unknown authority", server: cert},
		{name: "CA file", server: cert, ca: &cert, ok: true},
		{name: "CA file of another", server: cert, ca: &other},
		{name: "wrong name", server: other, ca: &other},
		{name: "pin does not replace the chain", server: cert, pins: []string{hex.EncodeToString(certSum[:])}},
		{name: "pin and chain", server: cert, ca: &cert, pins: []string{hex.EncodeToString(keySum[:])}, ok: true},
		{name: "wrong pin, right chain", server: cert, ca: &cert, pins: []string{hex.EncodeToString(otherSum[:])}, pinErr: true},
		{name: "pin alone, certificate", server: cert, pins: []string{colons}, only: true, ok: true},
		{name: "pin alone, key in base64", server: cert, pins: []string{"sha256//" + base64.StdEncoding.EncodeToString(keySum[:])}, only: true, ok: true},
		{name: "pin alone, unpadded, URL alphabet", server: cert, pins: []string{base64.RawURLEncoding.EncodeToString(keySum[:])}, only: true, ok: true},
		{name: "pin alone, wrong", server: other, pins: []string{colons}, only: true, pinErr: true},
		{name: "one of two pins", server: other, pins: []string{colons, hex.EncodeToString(otherSum[:])}, only: true, ok: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newTLSServer(t, toyauth.TwoLegs, c.server)
			tr := s.transport(func(cfg *auth.TransportConfig) {
				cfg.TLS, cfg.Pins, cfg.PinReplacesChain = nil, c.pins, c.only
				if c.ca != nil {
					write(*c.ca)
					cfg.CAFile = caFile
				}
			})
			err := second(s.post(tr, t.Context(), "x"))
			if c.ok {
				require.NoError(t, err)
				return
			}
			dial, ok := errors.AsType[*auth.DialError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, "tls", dial.Stage)
			pin, ok := errors.AsType[*auth.PinError](err)
			assert.Equal(t, c.pinErr, ok)
			if ok {
				got := sha256.Sum256(c.server.Leaf.Raw)
				assert.Equal(t, hex.EncodeToString(got[:]), pin.Certificate)
			}
			_, requests, _ := s.counts()
			assert.Zero(t, requests)
		})
	}
}

// TLS before 1.2 is spoken only when it is named.
func TestOldTLSIsNamed(t *testing.T) {
	for _, named := range []bool{false, true} {
		s := newServer(t, toyauth.TwoLegs)
		s.tls = &tls.Config{
			Certificates: []tls.Certificate{newCertificate(t, host)}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
		}
		err := second(s.post(s.transport(func(cfg *auth.TransportConfig) {
			if named {
				cfg.TLS.MinVersion = tls.VersionTLS11
			}
		}), t.Context(), "x"))
		if named {
			require.NoError(t, err)
			continue
		}
		dial, ok := errors.AsType[*auth.DialError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, "tls", dial.Stage)
	}
}

func TestConfigErrors(t *testing.T) {
	good := auth.TransportConfig{Mechanism: auth.Anonymous()}
	for name, c := range map[string]struct {
		url    string
		change func(*auth.TransportConfig)
	}{
		"no mechanism":     {"https://h/", func(c *auth.TransportConfig) { c.Mechanism = nil }},
		"one connection":   {"https://h/", func(c *auth.TransportConfig) { c.MaxConns = 1 }},
		"pin of nothing":   {"https://h/", func(c *auth.TransportConfig) { c.PinReplacesChain = true }},
		"pin is no digest": {"https://h/", func(c *auth.TransportConfig) { c.Pins = []string{"abcd"} }},
		"no CA file":       {"https://h/", func(c *auth.TransportConfig) { c.CAFile = filepath.Join(t.TempDir(), "none") }},
		"scheme":           {"ftp://h/", nil},
		"no host":          {"https:///wsman", nil},
		"no URL":           {"http://[::1", nil},
		"no such port":     {"https://h:65536/", nil},
		"port 0":           {"https://h:0/", nil},
	} {
		cfg := good
		if c.change != nil {
			c.change(&cfg)
		}
		_, err := auth.NewTransport(c.url, &cfg)
		assert.Error(t, err, name)
	}
}

func TestSchemeAndPortMixedUp(t *testing.T) {
	tlsServer := newTLSServer(t, toyauth.TwoLegs, newCertificate(t, host))
	plain := newServer(t, toyauth.TwoLegs)

	tr := plain.transport(func(c *auth.TransportConfig) { c.Dial = tlsServer.dial })
	err := second(plain.post(tr, t.Context(), "x"))
	lost, ok := errors.AsType[*auth.ConnectionLostError](err)
	require.True(t, ok, "%v", err)
	assert.Contains(t, lost.Remedy, "https://", "http.sys only hangs up")

	// Others send an alert.
	plain.intercept = func(*received) string { return "\x15\x03\x01\x00\x02\x02\x46" }
	err = second(plain.post(plain.transport(nil), t.Context(), "x"))
	dial, ok := errors.AsType[*auth.DialError](err)
	require.True(t, ok, "%v", err)
	assert.Contains(t, dial.Remedy, "https://")

	// A server that speaks HTTP answers a ClientHello with a 400.
	plain.intercept = nil
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		_, _ = nc.Read(make([]byte, 4096))
		_, _ = nc.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		_ = nc.Close()
	}()
	tr, err = auth.NewTransport("https://"+ln.Addr().String()+"/wsman", &auth.TransportConfig{Mechanism: auth.Anonymous()})
	require.NoError(t, err)
	req := newRequest(t.Context(), true, "x")
	req.URL.Host = ln.Addr().String()
	_, err = tr.RoundTrip(req)
	dial, ok = errors.AsType[*auth.DialError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, "tls", dial.Stage)
	assert.Contains(t, dial.Remedy, "http://")
	<-done
}

func TestIPv6WithZone(t *testing.T) {
	s := newServer(t, toyauth.TwoLegs)
	addr := ""
	inner := s.dial
	tr, err := auth.NewTransport("http://[FE80::1%25eth0]/custom", &auth.TransportConfig{
		Mechanism: toyauth.New(toyauth.TwoLegs, creds()),
		Dial:      func(ctx ctxType, network, a string) (net.Conn, error) { addr = a; return inner(ctx, network, a) },
	})
	require.NoError(t, err)
	defer tr.Close()
	req := newRequest(t.Context(), false, "x")
	req.URL.Host, req.URL.Path = "[fe80::1%eth0]:5985", "/custom"
	_, err = tr.RoundTrip(req)
	require.Error(t, err, "another spelling of the zone's host is another endpoint")
	req.URL.Host = "[FE80::1%eth0]:5985"
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	_ = resp.Body.Close()
	assert.Equal(t, "[FE80::1%eth0]:5985", addr)
	assert.Equal(t, "/custom", s.got()[0].path)
	assert.Contains(t, s.sniff(), "Host: [fe80::1]:5985\r\n")
}
