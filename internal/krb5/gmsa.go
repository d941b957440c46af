package krb5

import (
	"bytes"
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf16"
)

// A ManagedPassword is the content of msDS-ManagedPassword, the password of a
// group managed service account. See [MS-ADTS] section 2.2.19.
type ManagedPassword struct {
	Current  []byte // UTF-16LE without the final zero
	Previous []byte // nil if there is none
	// Query is when to read the password again; until Unchanged it surely stays.
	Query, Unchanged time.Duration
}

// ParseManagedPassword reads the blob. Only the offsets are trusted: domain
// controllers do not align the intervals, although the specification says so.
func ParseManagedPassword(b []byte) (*ManagedPassword, error) {
	bad := &FormatError{What: "msDS-ManagedPassword"}
	le := binary.LittleEndian
	if len(b) < 16 || le.Uint16(b) != 1 || int64(le.Uint32(b[4:])) != int64(len(b)) {
		return nil, bad
	}
	m := &ManagedPassword{}
	var ok bool
	if m.Current, ok = utf16At(b, int(le.Uint16(b[8:]))); !ok || len(m.Current) == 0 {
		return nil, bad
	}
	if off := int(le.Uint16(b[10:])); off != 0 {
		if m.Previous, ok = utf16At(b, off); !ok {
			return nil, bad
		}
	}
	for i, dst := range []*time.Duration{&m.Query, &m.Unchanged} {
		off := int(le.Uint16(b[12+2*i:]))
		if off < 16 || off+8 > len(b) {
			return nil, bad
		}
		units := le.Uint64(b[off:]) // of 100 ns
		if units > uint64(1<<63-1)/100 {
			return nil, bad
		}
		*dst = time.Duration(units) * 100
	}
	return m, nil
}

// utf16At copies the characters from off to the first zero one. Domain
// controllers replace zeros inside a password, so that is its end.
func utf16At(b []byte, off int) ([]byte, bool) {
	if off < 16 {
		return nil, false
	}
	for i := off; i+2 <= len(b); i += 2 {
		if b[i] == 0 && b[i+1] == 0 {
			return append([]byte(nil), b[off:i]...), true
		}
	}
	return nil, false
}

// Wipe overwrites the passwords.
func (m *ManagedPassword) Wipe() {
	clear(m.Current)
	clear(m.Previous)
}

// ManagedNTHash is the NT hash of a managed password.
func ManagedNTHash(password []byte) []byte {
	return md4Sum(password)
}

// Clone copies the passwords.
func (m *ManagedPassword) Clone() *ManagedPassword {
	c := *m
	c.Current, c.Previous = bytes.Clone(m.Current), bytes.Clone(m.Previous)
	return &c
}

// Keys derives the keys of one type from both passwords, the current one's
// first. An empty salt means that of a computer account of this name, with or
// without its '$', in this realm.
func (m *ManagedPassword) Keys(e EType, account, realm, salt string, params []byte) ([]Key, error) {
	if salt == "" {
		account = strings.ToLower(strings.TrimSuffix(account, "$"))
		salt = strings.ToUpper(realm) + "host" + account + "." + strings.ToLower(realm)
	}
	var keys []Key
	for _, password := range [][]byte{m.Current, m.Previous} {
		if len(password) == 0 {
			continue
		}
		if e == RC4 {
			if _, err := e.profile(); err != nil {
				return nil, err
			}
			keys = append(keys, Key{RC4, ManagedNTHash(password)})
			continue
		}
		k, err := StringToKey(e, managedUTF8(password), salt, params)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// managedUTF8 is the password as AES string-to-key takes it: unpaired
// surrogates become U+FFFD.
func managedUTF8(password []byte) string {
	units := make([]uint16, len(password)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(password[2*i:])
	}
	return string(utf16.Decode(units))
}
