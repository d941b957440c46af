package krb5

import (
	"crypto/fips140"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"log/slog"
)

// EType is an encryption type. See RFC 3961 section 8.
type EType int32

// The encryption types that the package speaks.
const (
	AES128SHA1   EType = 17 // aes128-cts-hmac-sha1-96
	AES256SHA1   EType = 18 // aes256-cts-hmac-sha1-96
	AES128SHA256 EType = 19 // aes128-cts-hmac-sha256-128
	AES256SHA384 EType = 20 // aes256-cts-hmac-sha384-192
	RC4          EType = 23 // rc4-hmac
)

// Key usages. See RFC 4120 section 7.5.1, RFC 4121 section 2, [MS-SFU] section 2.2.2.
const (
	usagePAEncTimestamp    = 1
	usageTicket            = 2
	usageASRep             = 3
	usageTGSReqCksum       = 6
	usageTGSReqAuth        = 7
	usageTGSRepSessionKey  = 8
	usageTGSRepSubkey      = 9
	usageAPReqCksum        = 10
	usageAPReqAuth         = 11
	usageAPRep             = 12
	usageKRBCred           = 14
	usageForUser           = 17
	usageAcceptorSeal      = 22
	usageAcceptorSign      = 23
	usageInitiatorSeal     = 24
	usageInitiatorSign     = 25
	usageS4UX509UserReq    = 26
	usageS4UX509UserReqRep = 27
)

// profile holds the sizes of one encryption type.
type profile struct {
	name       string
	keySize    int
	confounder int
	macSize    int
	cksumType  int32
	iterations uint32 // PBKDF2 rounds when the KDC names none
	sha2       bool
}

var profiles = map[EType]*profile{
	AES128SHA1:   {"aes128-cts-hmac-sha1-96", 16, 16, 12, 15, 4096, false},
	AES256SHA1:   {"aes256-cts-hmac-sha1-96", 32, 16, 12, 16, 4096, false},
	AES128SHA256: {"aes128-cts-hmac-sha256-128", 16, 16, 16, 19, 32768, true},
	AES256SHA384: {"aes256-cts-hmac-sha384-192", 32, 16, 24, 20, 32768, true},
	RC4:          {"rc4-hmac", 16, 8, 16, cksumHMACMD5, 0, false},
}

// Checksum types that belong to no encryption type of ours, or are named in
// messages. See RFC 3961 section 8 and RFC 4757.
const (
	cksumRSAMD4  int32 = 2
	cksumHMACMD5 int32 = -138
	cksumGSS     int32 = 0x8003
)

func (e EType) String() string {
	if p := profiles[e]; p != nil {
		return p.name
	}
	return fmt.Sprintf("etype %d", int32(e))
}

// Supported reports whether the package speaks e.
func (e EType) Supported() bool { return profiles[e] != nil }

// profile returns the sizes of e. Under FIPS 140 enforcement the types built on
// SHA-1 or RC4 are refused here, before a hash or a cipher is touched.
func (e EType) profile() (*profile, error) {
	p := profiles[e]
	if p == nil {
		return nil, &ETypeError{EType: e}
	}
	if fips140.Enforced() && !p.sha2 {
		return nil, &ETypeError{EType: e, FIPS: true}
	}
	return p, nil
}

// DefaultETypes is what is asked of a KDC, best first. RC4 joins it only when
// the caller asks for it.
func DefaultETypes() []EType {
	if fips140.Enforced() {
		return []EType{AES256SHA384, AES128SHA256}
	}
	return []EType{AES256SHA1, AES128SHA1, AES256SHA384, AES128SHA256}
}

// An ETypeError is an encryption type that cannot be used here.
type ETypeError struct {
	EType EType
	FIPS  bool // it would be spoken, were FIPS 140 mode not enforced
	// Unasked: it would be spoken if the caller allowed it, and somebody else chose it.
	Unasked bool
}

// unasked is the error of a type that a peer chose though nobody had asked for it.
func unasked(e EType) error {
	if _, err := e.profile(); err != nil {
		return err
	}
	return &ETypeError{EType: e, Unasked: true}
}

func (e *ETypeError) Error() string {
	if e.FIPS {
		return fmt.Sprintf("krb5: %v is not allowed in FIPS 140 mode; the account needs AES with SHA-2 keys (etypes 19, 20)", e.EType)
	}
	if e.Unasked {
		return fmt.Sprintf("krb5: encrypted with %v, which must be allowed by name; give the account AES keys, or run kinit with AES", e.EType)
	}
	return fmt.Sprintf("krb5: encryption type %d is not supported", int32(e.EType))
}

// A Key is an encryption key. It prints as its type alone.
type Key struct {
	EType EType
	Value []byte
}

func (k Key) String() string   { return k.EType.String() + " ***" }
func (k Key) GoString() string { return "krb5.Key{" + k.String() + "}" }

// LogValue keeps the key out of logs.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Format keeps the key out of every verb.
func (k Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, k.String()) }

// MarshalJSON keeps the key out of JSON.
func (k Key) MarshalJSON() ([]byte, error) { return []byte(`"***"`), nil }

// Wipe overwrites the key. Copies that the runtime made stay.
func (k Key) Wipe() { clear(k.Value) }

// Valid reports whether the key has the length that its type wants.
func (k Key) valid() error {
	p, err := k.EType.profile()
	if err != nil {
		return err
	}
	if len(k.Value) != p.keySize {
		return fmt.Errorf("krb5: %v key of %d bytes, want %d", k.EType, len(k.Value), p.keySize)
	}
	return nil
}

// Equal compares in constant time.
func (k Key) Equal(o Key) bool {
	return k.EType == o.EType && subtle.ConstantTimeCompare(k.Value, o.Value) == 1
}

// NewKey makes a random key.
func NewKey(e EType) (Key, error) {
	p, err := e.profile()
	if err != nil {
		return Key{}, err
	}
	return Key{EType: e, Value: randomBytes(p.keySize)}, nil
}

// randomBytes reads the system's generator, which cannot fail since Go 1.24.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) //nolint:errcheck // crypto/rand.Read never returns an error
	return b
}

// ErrIntegrity is a checksum that does not match: a wrong key, or a message
// that was changed on its way.
var ErrIntegrity = errors.New("krb5: integrity check failed")

// grow returns dst with room for n more bytes, and the part appended.
func grow(dst []byte, n int) (head, tail []byte) {
	l := len(dst)
	if cap(dst)-l < n {
		bigger := make([]byte, l, l+n)
		copy(bigger, dst)
		dst = bigger
	}
	return dst[:l+n], dst[l : l+n]
}

// sumInto finishes h into buf without allocating and truncates to n bytes.
func sumInto(h hash.Hash, buf []byte, n int) []byte { return h.Sum(buf[:0])[:n] }
