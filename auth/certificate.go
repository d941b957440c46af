package auth

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
)

// certificateScheme is the Authorization header of every request that a client
// certificate authenticates.
const certificateScheme = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"

// Certificate logs on with a client certificate that the host maps to one of its
// accounts. It needs https.
//
// Windows asks for the certificate after it has read the request, by
// renegotiation. TLS 1.3 has none, so at most TLS 1.2 is spoken.
func Certificate(cert tls.Certificate) Mechanism { return &certificate{cert: cert} }

// CertificateFromFiles is [Certificate] with a certificate chain and its key in
// PEM files, which may be the same. passphrase is for an encrypted key. A key
// that others can read is refused, see [CheckPrivateFile].
func CertificateFromFiles(certFile, keyFile, passphrase string) (Mechanism, error) {
	cert, err := CertificateFiles{Cert: certFile, Key: keyFile, Passphrase: passphrase}.Load()
	if err != nil {
		return nil, err
	}
	return Certificate(cert), nil
}

// CertificateFiles names a certificate and its key. It prints as *** in every
// format, as [Credentials] do.
type CertificateFiles struct {
	Cert string // PEM: the client's certificate, then intermediate ones
	Key  string // PEM: PKCS#1, SEC 1 or PKCS#8, perhaps encrypted
	// Passphrase decrypts the key.
	Passphrase string
	// AllowExposedKey turns the check of the key file's mode off.
	AllowExposedKey bool
}

// String returns ***.
func (f CertificateFiles) String() string { return redacted }

// GoString returns ***.
func (f CertificateFiles) GoString() string { return redacted }

// Format writes *** whatever the verb.
func (f CertificateFiles) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue returns ***.
func (f CertificateFiles) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns ***.
func (f CertificateFiles) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "***".
func (f CertificateFiles) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// GobEncode refuses: the encoding would hold the passphrase.
func (f CertificateFiles) GobEncode() ([]byte, error) {
	return nil, errors.New("auth: the passphrase of a key is not encoded")
}

// Load reads the files.
func (f CertificateFiles) Load() (tls.Certificate, error) {
	if !f.AllowExposedKey {
		if err := CheckPrivateFile(f.Key); err != nil {
			return tls.Certificate{}, err
		}
	}
	certPEM, err := os.ReadFile(f.Cert)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("auth: client certificate: %w", err)
	}
	keyPEM, err := os.ReadFile(f.Key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("auth: client key: %w", err)
	}
	cert, err := ParseCertificate(certPEM, keyPEM, f.Passphrase)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%w (%s, %s)", err, f.Cert, f.Key)
	}
	return cert, nil
}

// ParseCertificate reads a certificate chain and its key in PEM. passphrase
// decrypts the key: PKCS#8 with PBES2, or OpenSSL's older form.
func ParseCertificate(certPEM, keyPEM []byte, passphrase string) (tls.Certificate, error) {
	keyPEM, err := decryptKeyPEM(keyPEM, passphrase)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("auth: client key: %w", err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("auth: client certificate: %w", err)
	}
	return cert, nil
}

// decryptKeyPEM replaces an encrypted key in PEM by a clear one.
func decryptKeyPEM(data []byte, passphrase string) ([]byte, error) {
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return data, nil
		}
		der, encrypted, err := decryptKey(block, passphrase)
		if err != nil {
			return nil, err
		}
		if encrypted {
			kind := block.Type
			if kind == pkcs8Encrypted {
				kind = "PRIVATE KEY"
			}
			return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), nil
		}
	}
}

type certificate struct{ cert tls.Certificate }

var (
	_ TLSConfigurer     = (*certificate)(nil)
	_ RequestAuthorizer = (*certificateSession)(nil)
	_ Explainer         = (*certificateSession)(nil)
)

func (c *certificate) Name() string   { return "Certificate" }
func (c *certificate) Scheme() string { return certificateScheme }

// Format keeps the private key out of every print.
func (c *certificate) Format(s fmt.State, _ rune) {
	_, _ = io.WriteString(s, "Certificate("+redacted+")")
}

func (c *certificate) ConfigureTLS(cfg *tls.Config) error {
	if cfg.MinVersion > tls.VersionTLS12 {
		return errors.New("auth: Certificate needs TLS 1.2, the configuration has a higher MinVersion")
	}
	cfg.MaxVersion = tls.VersionTLS12
	cfg.Renegotiation = tls.RenegotiateOnceAsClient
	cfg.ClientSessionCache = nil // a resumed session does not show the certificate
	cfg.Certificates = nil
	// Presented whatever authorities the server lists: http.sys by default lists
	// none or all of the machine's.
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.cert, nil }
	return nil
}

func (c *certificate) NewSession(p Peer) (Session, error) {
	if p.Scheme != "https" {
		return nil, &ClearTextError{
			Mechanism: c.Name(), Host: hostPort(p), Remedy: "a client certificate is part of TLS: use https",
		}
	}
	return &certificateSession{}, nil
}

type certificateSession struct{ noLegs }

func (*certificateSession) Authorization(context.Context) (string, error) {
	return certificateScheme, nil
}

func (*certificateSession) immediately() bool { return true }

func (*certificateSession) Explain(int, bool) []Cause {
	return []Cause{
		{
			ID: "certificate-off", Text: "the service does not accept client certificates",
			Check:  "winrm get winrm/config/service/auth",
			Remedy: `Set-Item WSMan:\localhost\Service\Auth\Certificate $true`,
		},
		{
			ID: "not-mapped", Text: "no mapping leads from the certificate's issuer and subject to an account",
			Check: `Get-ChildItem WSMan:\localhost\ClientCertificate`,
		},
		{
			ID: "wrong-usage", Text: "the certificate is not for client authentication, has expired, or its issuer is not trusted there",
			Check: "certutil -verify on the host",
		},
	}
}
