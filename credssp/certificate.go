package credssp

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/auth"
)

type digest [sha256.Size]byte

// parsePins reads SHA-256 digests as auth.TransportConfig does: hex with or
// without colons, or base64, perhaps after "sha256:" or "sha256/".
func parsePins(texts []string) ([]digest, error) {
	var pins []digest
	for _, text := range texts {
		s := strings.TrimSpace(text)
		if len(s) > 7 && strings.EqualFold(s[:6], "sha256") {
			s = strings.TrimLeft(s[6:], ":/")
		}
		raw, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
		if err != nil || len(raw) != sha256.Size {
			s = strings.NewReplacer("-", "+", "_", "/").Replace(s)
			raw, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
		}
		if err != nil || len(raw) != sha256.Size {
			return nil, fmt.Errorf("credssp: pin %q is no SHA-256 in hex or base64", text)
		}
		pins = append(pins, digest(raw))
	}
	return pins, nil
}

// verifier returns what judges the inner certificate, nil when it is not judged.
func (m *Mechanism) verifier(host string) func([]*x509.Certificate) error {
	if len(m.pins) == 0 && !m.cfg.VerifyCertificate {
		return nil
	}
	return func(chain []*x509.Certificate) error {
		if len(m.pins) > 0 {
			cert, key := sha256.Sum256(chain[0].Raw), sha256.Sum256(chain[0].RawSubjectPublicKeyInfo)
			if !slices.Contains(m.pins, digest(cert)) && !slices.Contains(m.pins, digest(key)) {
				return &auth.PinError{Host: host, Certificate: hex.EncodeToString(cert[:]), PublicKey: hex.EncodeToString(key[:])}
			}
		}
		if !m.cfg.VerifyCertificate {
			return nil
		}
		return verifyChain(m.cfg.TLS, host, chain)
	}
}

// verifyChain is what crypto/tls would do, had it not been told to leave it.
func verifyChain(cfg *tls.Config, host string, chain []*x509.Certificate) error {
	opts := x509.VerifyOptions{DNSName: host, Intermediates: x509.NewCertPool(), CurrentTime: time.Now()}
	if cfg != nil {
		opts.Roots = cfg.RootCAs
		if cfg.ServerName != "" {
			opts.DNSName = cfg.ServerName
		}
		if cfg.Time != nil {
			opts.CurrentTime = cfg.Time()
		}
	}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(opts); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	return nil
}
