package ntlm

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"time"

	"github.com/winrmkit/winrmkit/internal/rc4"
)

// A Hash is the NT hash of a password: MD4 of its UTF-16. It is as good as the
// password itself.
type Hash [16]byte

// String hides the hash.
func (Hash) String() string { return "***" }

// GoString hides the hash.
func (Hash) GoString() string { return "***" }

// PasswordHash returns the NT hash of password.
func PasswordHash(password string) (Hash, error) {
	if err := checkFIPS(); err != nil {
		return Hash{}, err
	}
	text, err := utf16LE(password)
	if err != nil {
		return Hash{}, err
	}
	return md4Sum(text), nil
}

func hmacMD5(key []byte, parts ...[]byte) [16]byte {
	mac := hmac.New(md5.New, key)
	for _, part := range parts {
		mac.Write(part)
	}
	var sum [16]byte
	mac.Sum(sum[:0])
	return sum
}

// ntowfv2 is NTOWFv2 of section 3.3.2. Only the user name is put in capitals;
// both are what the AUTHENTICATE message says.
func ntowfv2(hash Hash, user, domain string) ([16]byte, error) {
	name, err := utf16LE(upper(user))
	if err != nil {
		return [16]byte{}, err
	}
	realm, err := utf16LE(domain)
	if err != nil {
		return [16]byte{}, err
	}
	return hmacMD5(hash[:], name, realm), nil
}

// response is the NTLMv2 response of section 3.3.2: the proof of the password,
// and what it covers.
type response struct {
	proof [16]byte
	temp  []byte // NTLMv2_CLIENT_CHALLENGE, section 2.2.2.7
}

// tempHead is the length of temp before the AV pairs, tempTail of the zeros
// after them.
const (
	tempHead = 28
	tempTail = 4
)

func makeTemp(filetime uint64, clientChallenge [8]byte, pairs avList) []byte {
	temp := []byte{1, 1, 0, 0, 0, 0, 0, 0}
	temp = binary.LittleEndian.AppendUint64(temp, filetime)
	temp = append(temp, clientChallenge[:]...)
	temp = append(temp, zeros[:4]...)
	temp = pairs.append(temp)
	return append(temp, zeros[:tempTail]...)
}

// prove computes the proof over temp and the server's challenge.
func prove(owf [16]byte, challenge [8]byte, temp []byte) response {
	return response{hmacMD5(owf[:], challenge[:], temp), temp}
}

func (r response) append(dst []byte) []byte {
	return append(append(dst, r.proof[:]...), r.temp...)
}

// parseResponse cuts NtChallengeResponse into its parts. Anything that is not
// of version 2 has another length or another head.
func parseResponse(p []byte) (r response, filetime uint64, pairs avList, err error) {
	const least = 16 + tempHead + 4 // AV pairs end with four bytes at least
	if len(p) < least || p[16] != 1 || p[17] != 1 {
		return r, 0, nil, ErrVersion1
	}
	copy(r.proof[:], p)
	r.temp = p[16:]
	filetime = binary.LittleEndian.Uint64(r.temp[8:])
	pairs, ok := parseAVList(r.temp[tempHead:])
	if !ok {
		return r, 0, nil, &MessageError{"AUTHENTICATE", "bad AV pairs in the response"}
	}
	return r, filetime, pairs, nil
}

// sessionBaseKey is the key from which the session's others come; with version 2
// it is the key exchange key, too (section 3.4.5.1).
func sessionBaseKey(owf, proof [16]byte) [16]byte { return hmacMD5(owf[:], proof[:]) }

// lmv2 is the LMv2 response, for servers that send no timestamp.
func lmv2(owf [16]byte, challenge, clientChallenge [8]byte) []byte {
	proof := hmacMD5(owf[:], challenge[:], clientChallenge[:])
	return append(proof[:], clientChallenge[:]...)
}

// rc4Once is RC4K: one encryption, or decryption, with a fresh key.
func rc4Once(key [16]byte, data []byte) []byte {
	out := make([]byte, len(data))
	newRC4(key[:]).XORKeyStream(out, data)
	return out
}

// newRC4 fails only for keys of impossible lengths, and in FIPS mode, which
// is asked for before.
func newRC4(key []byte) *rc4.Cipher {
	c, err := rc4.NewCipher(key)
	if err != nil {
		panic("ntlm: " + err.Error())
	}
	return c
}

// messageMIC is the MIC of section 3.1.5.1.2 over the three messages as they
// went over the wire. The field of the MIC itself counts as zeros.
func messageMIC(exported [16]byte, negotiate, challenge, authenticate []byte) [micSize]byte {
	return hmacMD5(exported[:], negotiate, challenge, authenticate[:micOffset], zeros[:micSize],
		authenticate[micOffset+micSize:])
}

// bindingHash is the MD5 of the gss_channel_bindings structure (RFC 2744 section
// 3.11) with no addresses and the given application data.
func bindingHash(applicationData []byte) [16]byte {
	p := make([]byte, 16, 20+len(applicationData))
	p = binary.LittleEndian.AppendUint32(p, uint32(len(applicationData)))
	return md5.Sum(append(p, applicationData...))
}

// filetimeEpoch is 1970 in Windows' count of 100 ns since 1601.
const filetimeEpoch = 116444736000000000

func toFiletime(t time.Time) uint64 {
	return uint64(t.Unix()*1e7+int64(t.Nanosecond()/100)) + filetimeEpoch
}
