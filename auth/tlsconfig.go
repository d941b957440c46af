package auth

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
)

// A PinError is a server certificate that matches none of the pins.
type PinError struct {
	Host        string
	Certificate string // SHA-256 of the certificate that came, in hex
	PublicKey   string // and of its SubjectPublicKeyInfo
}

func (e *PinError) Error() string {
	return fmt.Sprintf("auth: certificate of %s matches no pin: its SHA-256 is %s, that of its public key %s",
		e.Host, e.Certificate, e.PublicKey)
}

type pin [sha256.Size]byte

// parsePins reads SHA-256 digests in hex, with or without colons, or in base64,
// each perhaps after "sha256:", "sha256/" or "sha256//".
func parsePins(texts []string) ([]pin, error) {
	pins := make([]pin, 0, len(texts))
	for _, text := range texts {
		p, ok := parsePin(strings.TrimSpace(text))
		if !ok {
			return nil, fmt.Errorf("auth: pin %q is no SHA-256 in hex or base64", text)
		}
		pins = append(pins, p)
	}
	return pins, nil
}

// parsePin reads one digest. In front of it may stand the name of the hash as curl,
// as HTTP's old pins and as ssh write it; the slashes of these are not to be taken
// for one of base64's, with which a digest may begin.
func parsePin(s string) (p pin, ok bool) {
	if len(s) > 7 && strings.EqualFold(s[:6], "sha256") {
		for _, between := range []string{"//", "/", ":"} {
			if rest, found := strings.CutPrefix(s[6:], between); found && !ok {
				p, ok = parseDigest(rest)
			}
		}
		return p, ok
	}
	return parseDigest(s)
}

func parseDigest(s string) (pin, bool) {
	raw, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(raw) != sha256.Size {
		s = strings.NewReplacer("-", "+", "_", "/").Replace(s)
		raw, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	}
	if err != nil || len(raw) != sha256.Size {
		return pin{}, false
	}
	return pin(raw), true
}

// checkPins verifies that the leaf certificate or its key is pinned.
func checkPins(pins []pin, host string, state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return &PinError{Host: host}
	}
	leaf := state.PeerCertificates[0]
	cert, key := pin(sha256.Sum256(leaf.Raw)), pin(sha256.Sum256(leaf.RawSubjectPublicKeyInfo))
	if slices.Contains(pins, cert) || slices.Contains(pins, key) {
		return nil
	}
	return &PinError{Host: host, Certificate: hex.EncodeToString(cert[:]), PublicKey: hex.EncodeToString(key[:])}
}

// newTLS makes the base configuration for listener and proxies.
func newTLS(cfg *TransportConfig) (*tls.Config, error) {
	base := &tls.Config{}
	if cfg.TLS != nil {
		base = cfg.TLS.Clone()
	}
	base.NextProtos = []string{"http/1.1"} // HTTP/2 has no connection to authenticate
	if base.MinVersion == 0 {
		base.MinVersion = tls.VersionTLS12
	}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("auth: certificate authorities: %w", err)
		}
		base.RootCAs = x509.NewCertPool()
		if !base.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("auth: certificate authorities: no certificate in %s", cfg.CAFile)
		}
	}
	return base, nil
}

// listenerTLS makes the configuration for the endpoint.
func (t *Transport) listenerTLS() (*tls.Config, error) {
	c := t.tls.Clone()
	if c.ServerName == "" {
		c.ServerName = t.endpoint.host
	}
	if len(t.pins) > 0 {
		if t.cfg.PinReplacesChain {
			c.InsecureSkipVerify = true //nolint:gosec // asked for by name, and the pin is checked below
		}
		inner := c.VerifyConnection
		c.VerifyConnection = func(state tls.ConnectionState) error {
			if err := checkPins(t.pins, t.endpoint.name(), state); err != nil {
				return err
			}
			if inner != nil {
				return inner(state)
			}
			return nil
		}
	}
	if m, ok := t.cfg.Mechanism.(TLSConfigurer); ok {
		if err := m.ConfigureTLS(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// proxyTLS makes the configuration for an https proxy: neither the pins nor the
// client certificate are meant for it.
func (t *Transport) proxyTLS(host string) *tls.Config {
	c := t.tls.Clone()
	c.ServerName = host
	c.Certificates, c.GetClientCertificate, c.VerifyConnection, c.VerifyPeerCertificate = nil, nil, nil, nil
	return c
}

// tlsRemedy explains the usual mistakes.
func tlsRemedy(err error) string {
	if record, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		if strings.HasPrefix(string(record.RecordHeader[:]), "HTTP/") {
			return "the port speaks clear HTTP: use http:// (WinRM's port 5985), or https:// with port 5986"
		}
		return "the port does not speak TLS: WinRM's is 5986 for https and 5985 for http"
	}
	if _, ok := errors.AsType[*PinError](err); ok {
		return ""
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "name the authority in CAFile, or pin the certificate"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "use a name that the certificate holds, or set ServerName in TLS"
	}
	return ""
}

// stripZone takes the zone off an IPv6 literal.
func stripZone(host string) string {
	if ip, _, ok := strings.Cut(host, "%"); ok && net.ParseIP(ip) != nil {
		return ip
	}
	return host
}
