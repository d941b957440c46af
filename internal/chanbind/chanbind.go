// Package chanbind makes the channel binding tls-server-end-point of RFC 5929
// section 4: the hash of the server's certificate, by which a logon is tied to
// the TLS connection that it goes through.
package chanbind

import (
	"crypto"
	_ "crypto/sha256" // SHA-224, SHA-256
	_ "crypto/sha3"
	_ "crypto/sha512" // SHA-384, SHA-512
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
)

// Prefix is the binding's unique prefix, with the colon after it.
const Prefix = "tls-server-end-point:"

// certificate is as much of X.509 as is needed: which algorithm signed it. The
// algorithm that crypto/x509 names would leave out RSASSA-PSS parameters that
// it does not verify.
type certificate struct {
	Body      asn1.RawValue
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
}

// pssParameters is RSASSA-PSS-params of RFC 4055 section 3.1.
type pssParameters struct {
	Hash    pkix.AlgorithmIdentifier `asn1:"explicit,tag:0,optional"`
	MGF     asn1.RawValue            `asn1:"explicit,tag:1,optional"`
	Salt    int                      `asn1:"explicit,tag:2,optional,default:20"`
	Trailer int                      `asn1:"explicit,tag:3,optional,default:1"`
}

const rsassaPSS = "1.2.840.113549.1.1.10"

// hashes are those of signature algorithms, and of the parameters of
// RSASSA-PSS. What is not listed counts as SHA-256: MD5 and SHA-1 by RFC 5929,
// others by agreement among implementations, for RFC 5929 says nothing about
// algorithms without a hash of their own, such as Ed25519.
var hashes = map[string]crypto.Hash{
	"1.2.840.113549.1.1.14":   crypto.SHA224, // sha224WithRSAEncryption
	"1.2.840.113549.1.1.12":   crypto.SHA384, // sha384WithRSAEncryption
	"1.2.840.113549.1.1.13":   crypto.SHA512, // sha512WithRSAEncryption
	"1.2.840.10045.4.3.1":     crypto.SHA224, // ecdsa-with-SHA224
	"1.2.840.10045.4.3.3":     crypto.SHA384, // ecdsa-with-SHA384
	"1.2.840.10045.4.3.4":     crypto.SHA512, // ecdsa-with-SHA512
	"2.16.840.1.101.3.4.2.2":  crypto.SHA384, // id-sha384
	"2.16.840.1.101.3.4.2.3":  crypto.SHA512, // id-sha512
	"2.16.840.1.101.3.4.2.4":  crypto.SHA224, // id-sha224
	"2.16.840.1.101.3.4.2.8":  crypto.SHA3_256,
	"2.16.840.1.101.3.4.2.9":  crypto.SHA3_384,
	"2.16.840.1.101.3.4.2.10": crypto.SHA3_512,
	"2.16.840.1.101.3.4.3.10": crypto.SHA3_256, // id-ecdsa-with-sha3-256
	"2.16.840.1.101.3.4.3.11": crypto.SHA3_384,
	"2.16.840.1.101.3.4.3.12": crypto.SHA3_512,
	"2.16.840.1.101.3.4.3.14": crypto.SHA3_256, // id-rsassa-pkcs1-v1-5-with-sha3-256
	"2.16.840.1.101.3.4.3.15": crypto.SHA3_384,
	"2.16.840.1.101.3.4.3.16": crypto.SHA3_512,
}

// ServerEndPoint returns the binding's application data for the DER of a
// server's certificate: the prefix and the hash.
func ServerEndPoint(der []byte) ([]byte, error) {
	hash, err := hashOf(der)
	if err != nil {
		return nil, err
	}
	h := hash.New()
	h.Write(der)
	return h.Sum([]byte(Prefix)), nil
}

func hashOf(der []byte) (crypto.Hash, error) {
	var cert certificate
	if _, err := asn1.Unmarshal(der, &cert); err != nil {
		return 0, fmt.Errorf("chanbind: not a certificate: %w", err)
	}
	algorithm := cert.Algorithm.Algorithm.String()
	if algorithm == rsassaPSS {
		var params pssParameters // absent ones mean SHA-1
		if len(cert.Algorithm.Parameters.FullBytes) > 0 {
			if _, err := asn1.Unmarshal(cert.Algorithm.Parameters.FullBytes, &params); err != nil {
				return 0, fmt.Errorf("chanbind: RSASSA-PSS parameters: %w", err)
			}
		}
		algorithm = params.Hash.Algorithm.String()
	}
	if hash, ok := hashes[algorithm]; ok {
		return hash, nil
	}
	return crypto.SHA256, nil
}
