package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
)

const pkcs8Encrypted = "ENCRYPTED PRIVATE KEY"

// maxIterations bounds the work that a key file can ask for.
const maxIterations = 10_000_000

var (
	errPassphrase   = errors.New("wrong passphrase, or the key is damaged")
	errNoPassphrase = errors.New("the key is encrypted and no passphrase is given")
)

// Object identifiers of [RFC 8018] and of the ciphers that OpenSSL uses with it.
var (
	oidPBES2      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACSHA1   = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}
	oidHMACSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidHMACSHA384 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 10}
	oidHMACSHA512 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 11}
	oidDES3CBC    = asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}
	oidAES128CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}
	oidAES192CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}
	oidAES256CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// See [RFC 5958] section 3.
type encryptedPrivateKeyInfo struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

// See [RFC 8018] appendix A.4.
type pbes2Params struct {
	KDF    pkix.AlgorithmIdentifier
	Cipher pkix.AlgorithmIdentifier
}

// See [RFC 8018] appendix A.2.
type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

// decryptKey returns the DER of an encrypted key; encrypted is false for a block
// that is something else.
func decryptKey(block *pem.Block, passphrase string) (der []byte, encrypted bool, err error) {
	//lint:ignore SA1019 the form is weak, but keys in it exist and only their owner can change that
	old := x509.IsEncryptedPEMBlock(block)
	if !old && block.Type != pkcs8Encrypted {
		return nil, false, nil
	}
	if passphrase == "" {
		return nil, true, errNoPassphrase
	}
	if old {
		//lint:ignore SA1019 as above
		if der, err = x509.DecryptPEMBlock(block, []byte(passphrase)); err != nil {
			return nil, true, errPassphrase
		}
		return der, true, nil
	}
	der, err = decryptPKCS8(block.Bytes, []byte(passphrase))
	return der, true, err
}

// decryptPKCS8 decrypts with PBES2 ([RFC 8018] section 6.2).
func decryptPKCS8(der, passphrase []byte) ([]byte, error) {
	var info encryptedPrivateKeyInfo
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 {
		return nil, errors.New("encrypted key is no PKCS#8")
	}
	if !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, fmt.Errorf("encryption %v is not supported: convert the key with openssl pkcs8 -topk8 -v2 aes256",
			info.Algorithm.Algorithm)
	}
	var params pbes2Params
	if _, err := asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &params); err != nil {
		return nil, errors.New("encrypted key: parameters of PBES2")
	}
	newCipher, keyLen, err := pbes2Cipher(params.Cipher.Algorithm)
	if err != nil {
		return nil, err
	}
	key, err := pbes2Key(params.KDF, passphrase, keyLen)
	if err != nil {
		return nil, err
	}
	block, err := newCipher(key)
	if err != nil {
		return nil, err
	}
	var iv []byte
	if _, err := asn1.Unmarshal(params.Cipher.Parameters.FullBytes, &iv); err != nil || len(iv) != block.BlockSize() {
		return nil, errors.New("encrypted key: initialization vector")
	}
	if len(info.Data) == 0 || len(info.Data)%block.BlockSize() != 0 {
		return nil, errPassphrase
	}
	plain := make([]byte, len(info.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, info.Data)
	return unpad(plain, block.BlockSize())
}

func pbes2Cipher(oid asn1.ObjectIdentifier) (func([]byte) (cipher.Block, error), int, error) {
	switch {
	case oid.Equal(oidAES128CBC):
		return aes.NewCipher, 16, nil
	case oid.Equal(oidAES192CBC):
		return aes.NewCipher, 24, nil
	case oid.Equal(oidAES256CBC):
		return aes.NewCipher, 32, nil
	case oid.Equal(oidDES3CBC):
		return des.NewTripleDESCipher, 24, nil
	}
	return nil, 0, fmt.Errorf("cipher %v is not supported", oid)
}

func pbes2Key(kdf pkix.AlgorithmIdentifier, passphrase []byte, keyLen int) ([]byte, error) {
	if !kdf.Algorithm.Equal(oidPBKDF2) {
		return nil, fmt.Errorf("key derivation %v is not supported: convert the key with openssl pkcs8 -topk8 -v2 aes256",
			kdf.Algorithm)
	}
	var p pbkdf2Params
	if _, err := asn1.Unmarshal(kdf.Parameters.FullBytes, &p); err != nil {
		return nil, errors.New("encrypted key: parameters of PBKDF2")
	}
	if p.Iterations < 1 || p.Iterations > maxIterations || p.KeyLength != 0 && p.KeyLength != keyLen {
		return nil, errors.New("encrypted key: iterations or key length of PBKDF2")
	}
	var prf func() hash.Hash
	switch oid := p.PRF.Algorithm; {
	case len(oid) == 0 || oid.Equal(oidHMACSHA1):
		prf = sha1.New
	case oid.Equal(oidHMACSHA256):
		prf = sha256.New
	case oid.Equal(oidHMACSHA384):
		prf = sha512.New384
	case oid.Equal(oidHMACSHA512):
		prf = sha512.New
	default:
		return nil, fmt.Errorf("pseudorandom function %v is not supported", oid)
	}
	return pbkdf2.Key(prf, string(passphrase), p.Salt, p.Iterations, keyLen)
}

// unpad takes the padding of [RFC 8018] section 6.1.1 off. A wrong passphrase
// shows here, mostly. Who could measure the time already has the key file.
func unpad(p []byte, blockSize int) ([]byte, error) {
	n := int(p[len(p)-1])
	if n == 0 || n > blockSize || n > len(p) {
		return nil, errPassphrase
	}
	for _, b := range p[len(p)-n:] {
		if int(b) != n {
			return nil, errPassphrase
		}
	}
	p = p[:len(p)-n]
	if _, err := x509.ParsePKCS8PrivateKey(p); err != nil {
		return nil, errPassphrase
	}
	return p, nil
}
