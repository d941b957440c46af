package winrmtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net"
	"time"
)

// An authority issues the certificates of a server and of its clients.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newAuthority makes one. Times reach far because a test in virtual time lives
// in the year 2000.
func newAuthority(name string) *authority {
	key := newKey()
	tmpl := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return &authority{cert: sign(tmpl, tmpl, key, key), key: key}
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(fmt.Sprintf("winrmtest: %v", err))
	}
	return key
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(fmt.Sprintf("winrmtest: %v", err))
	}
	return n
}

func sign(tmpl, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, parentKey)
	if err != nil {
		panic(fmt.Sprintf("winrmtest: %v", err))
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(fmt.Sprintf("winrmtest: %v", err))
	}
	return cert
}

// issue makes a certificate that the authority has signed.
func (a *authority) issue(tmpl *x509.Certificate) tls.Certificate {
	key := newKey()
	tmpl.SerialNumber = serial()
	tmpl.NotBefore, tmpl.NotAfter = a.cert.NotBefore, a.cert.NotAfter
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	leaf := sign(tmpl, a.cert, key, a.key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, a.cert.Raw}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) thumbprint() string { return thumbprint(a.cert) }

// clientCA is the authority of the server, made at its first use. It issues the
// server's certificate and those of [Server.ClientCertificate].
func (s *Server) clientCA() *authority {
	if s.ca == nil {
		s.ca = newAuthority("winrmtest CA")
	}
	return s.ca
}

// ClientCertificate issues a client certificate whose subject alternative name
// holds upn, for the mechanism [Certificate]. It may be called before Start.
func (s *Server) ClientCertificate(upn string) tls.Certificate {
	return s.clientCA().issue(&x509.Certificate{
		Subject:         pkix.Name{CommonName: upn},
		ExtKeyUsage:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		ExtraExtensions: []pkix.Extension{upnExtension(upn)},
	})
}

// setUpTLS makes the configuration of StartTLS from the field TLS.
func (s *Server) setUpTLS() {
	cfg := &tls.Config{}
	if s.TLS != nil {
		cfg = s.TLS.Clone()
	}
	cfg.NextProtos = []string{"http/1.1"}
	if len(cfg.Certificates) == 0 && cfg.GetCertificate == nil {
		cfg.Certificates = []tls.Certificate{s.clientCA().issue(&x509.Certificate{
			Subject:     pkix.Name{CommonName: s.Name},
			DNSNames:    []string{"localhost", memoryHost, s.Name},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})}
	}
	for _, m := range s.mechanisms {
		c, ok := m.accept.(certificateMechanism)
		if !ok || cfg.ClientAuth != tls.NoClientCert {
			continue
		}
		cfg.ClientAuth = tls.VerifyClientCertIfGiven
		if cfg.ClientCAs == nil {
			cfg.ClientCAs = x509.NewCertPool()
		}
		for _, root := range c.roots {
			cfg.ClientCAs.AddCert(root)
		}
		if len(c.roots) == 0 {
			cfg.ClientCAs.AddCert(s.clientCA().cert)
		}
	}
	s.tls = cfg
}

// Certificate is the certificate of a TLS server, or nil.
func (s *Server) Certificate() *x509.Certificate {
	if s.tls == nil || len(s.tls.Certificates) == 0 {
		return nil
	}
	cert, err := x509.ParseCertificate(s.tls.Certificates[0].Certificate[0])
	if err != nil {
		return nil
	}
	return cert
}

// RootCAs is the pool that verifies the server's certificate, or nil.
func (s *Server) RootCAs() *x509.CertPool {
	cert := s.Certificate()
	if cert == nil {
		return nil
	}
	pool := x509.NewCertPool()
	if s.ca != nil {
		pool.AddCert(s.ca.cert)
	}
	pool.AddCert(cert)
	return pool
}

func (s *Server) thumbprint() string {
	if cert := s.Certificate(); cert != nil {
		return thumbprint(cert)
	}
	return ""
}

// leafDER is the certificate that a connection was shown.
func (s *Server) leafDER(state *tls.ConnectionState) []byte {
	if cert := s.Certificate(); state != nil && cert != nil {
		return cert.Raw
	}
	return nil
}

// The user principal name of a certificate is an otherName of its subject
// alternative name (RFC 5280 section 4.2.1.6), with Microsoft's object
// identifier.
var (
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidUPN            = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
)

func upnExtension(upn string) pkix.Extension {
	must := func(der []byte, err error) []byte {
		if err != nil {
			panic(fmt.Sprintf("winrmtest: %v", err))
		}
		return der
	}
	tagged := func(content []byte) []byte {
		return must(asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: content}))
	}
	text := must(asn1.MarshalWithParams(upn, "utf8"))
	name := tagged(append(must(asn1.Marshal(oidUPN)), tagged(text)...))
	return pkix.Extension{Id: oidSubjectAltName, Value: must(asn1.Marshal([]asn1.RawValue{{FullBytes: name}}))}
}

// upns are the user principal names of a certificate.
func upns(cert *x509.Certificate) (list []string) {
	for _, ext := range cert.Extensions {
		var names []asn1.RawValue
		if !ext.Id.Equal(oidSubjectAltName) {
			continue
		}
		if _, err := asn1.Unmarshal(ext.Value, &names); err != nil {
			continue
		}
		for _, n := range names {
			if upn, ok := upnOf(n); ok {
				list = append(list, upn)
			}
		}
	}
	return list
}

// upnOf reads an otherName: its object identifier and a tagged value.
func upnOf(n asn1.RawValue) (string, bool) {
	if n.Class != asn1.ClassContextSpecific || n.Tag != 0 {
		return "", false
	}
	var id asn1.ObjectIdentifier
	rest, err := asn1.Unmarshal(n.Bytes, &id)
	if err != nil || !id.Equal(oidUPN) {
		return "", false
	}
	var tagged asn1.RawValue
	if _, err := asn1.Unmarshal(rest, &tagged); err != nil {
		return "", false
	}
	var text string
	_, err = asn1.UnmarshalWithParams(tagged.Bytes, &text, "utf8")
	return text, err == nil
}
