package credssp

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"slices"
)

// The magic strings of the binding hashes, with the zero octet that ends each.
// See [MS-CSSP] section 3.1.5, ClientServerHashMagic and ServerClientHashMagic.
const (
	clientMagic = "CredSSP Client-To-Server Binding Hash\x00"
	serverMagic = "CredSSP Server-To-Client Binding Hash\x00"
)

// SubjectPublicKey returns the contents of the certificate's subjectPublicKey
// BIT STRING: for RSA the PKCS#1 RSAPublicKey. It is what the two sides bind,
// not the SubjectPublicKeyInfo around it.
func SubjectPublicKey(cert *x509.Certificate) ([]byte, error) {
	info, err := only(cert.RawSubjectPublicKeyInfo, tagSequence)
	if err != nil {
		return nil, err
	}
	_, _, rest, err := element(info) // algorithm
	if err != nil {
		return nil, err
	}
	bits, err := only(rest, tagBitString)
	if err != nil {
		return nil, err
	}
	if len(bits) < 2 || bits[0] != 0 {
		return nil, malformed("public key that is not whole octets")
	}
	return bits[1:], nil
}

// clientPubKey is the value that the client seals as pubKeyAuth.
func clientPubKey(version uint32, nonce, key []byte) []byte {
	if version < SafeVersion {
		return key
	}
	return bindingHash(clientMagic, nonce, key)
}

// serverPubKey is the value that the server seals in its answer.
func serverPubKey(version uint32, nonce, key []byte) []byte {
	if version < SafeVersion {
		answer := slices.Clone(key)
		answer[0]++
		return answer
	}
	return bindingHash(serverMagic, nonce, key)
}

func bindingHash(magic string, nonce, key []byte) []byte {
	h := sha256.New()
	h.Write([]byte(magic))
	h.Write(nonce)
	h.Write(key)
	return h.Sum(nil)
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
