// Package pfx reads client certificates from PKCS#12 files (.pfx, .p12), as
// Windows exports them. It stands apart because it needs a package that is not
// in the standard library.
package pfx

import (
	"crypto/tls"
	"fmt"
	"os"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/winrmkit/winrmkit/auth"
)

// Load reads a file. A file that others can read is refused, see
// [auth.CheckPrivateFile]; read such a one yourself and call [Decode].
func Load(path, password string) (tls.Certificate, error) {
	if err := auth.CheckPrivateFile(path); err != nil {
		return tls.Certificate{}, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("pfx: %w", err)
	}
	cert, err := Decode(data, password)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%w (%s)", err, path)
	}
	return cert, nil
}

// Decode returns the certificate, its key and the chain.
func Decode(data []byte, password string) (tls.Certificate, error) {
	key, leaf, chain, err := pkcs12.DecodeChain(data, password)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("pfx: %w", err)
	}
	cert := tls.Certificate{PrivateKey: key, Leaf: leaf, Certificate: [][]byte{leaf.Raw}}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return cert, nil
}
