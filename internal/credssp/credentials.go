package credssp

import (
	"encoding/binary"
	"slices"
	"unicode/utf16"
)

// CredType tells what a [Credentials] holds (TSCredentials.credType).
type CredType uint32

const (
	CredPassword    CredType = 1 // TSPasswordCreds
	CredSmartCard   CredType = 2 // TSSmartCardCreds
	CredRemoteGuard CredType = 6 // TSRemoteGuardCreds
)

// Credentials is a TSCredentials: what the client hands to the host. Exactly the
// member that belongs to Type is set.
//
// See [MS-CSSP] section 2.2.1.2.
type Credentials struct {
	Type        CredType
	Password    *PasswordCreds
	SmartCard   *SmartCardCreds
	RemoteGuard *RemoteGuardCreds
}

// PasswordCreds is TSPasswordCreds, [MS-CSSP] section 2.2.1.2.1. All text is
// UTF-16LE without terminator. The fields are bytes rather than strings so that
// they can be overwritten after use.
type PasswordCreds struct {
	Domain, User, Password []byte
}

// SmartCardCreds is TSSmartCardCreds, [MS-CSSP] section 2.2.1.2.2.
type SmartCardCreds struct {
	PIN                  []byte
	CSP                  CSPData
	UserHint, DomainHint []byte // nil: absent
}

// CSPData is TSCspDataDetail, [MS-CSSP] section 2.2.1.2.2.1. Names are nil when
// absent.
type CSPData struct {
	KeySpec                      uint32
	Card, Reader, Container, CSP []byte
}

// RemoteGuardCreds is TSRemoteGuardCreds, [MS-CSSP] section 2.2.1.2.3.
type RemoteGuardCreds struct {
	Logon        PackageCred
	Supplemental []PackageCred
}

// PackageCred is TSRemoteGuardPackageCred, [MS-CSSP] section 2.2.1.2.3.1.
type PackageCred struct {
	Package, Buffer []byte
}

// Append appends the DER of c.
func (c *Credentials) Append(dst []byte) []byte {
	var inner []byte
	switch {
	case c.Password != nil:
		inner = appendElement(nil, tagSequence, c.Password.append(nil))
	case c.SmartCard != nil:
		inner = appendElement(nil, tagSequence, c.SmartCard.append(nil))
	case c.RemoteGuard != nil:
		inner = appendElement(nil, tagSequence, c.RemoteGuard.append(nil))
	}
	b := appendIntegerField(nil, 0, uint32(c.Type))
	b = appendField(b, 1, tagOctetString, inner)
	dst = appendElement(dst, tagSequence, b)
	clear(inner)
	clear(b)
	return dst
}

func (p *PasswordCreds) append(dst []byte) []byte {
	// In one allocation, so that no copy of the password stays behind in a
	// buffer that has become too small.
	dst = slices.Grow(dst, len(p.Domain)+len(p.User)+len(p.Password)+36)
	dst = appendField(dst, 0, tagOctetString, p.Domain)
	dst = appendField(dst, 1, tagOctetString, p.User)
	return appendField(dst, 2, tagOctetString, p.Password)
}

func (s *SmartCardCreds) append(dst []byte) []byte {
	dst = appendField(dst, 0, tagOctetString, s.PIN)
	csp := appendIntegerField(nil, 0, s.CSP.KeySpec)
	for i, name := range [][]byte{s.CSP.Card, s.CSP.Reader, s.CSP.Container, s.CSP.CSP} {
		if name != nil {
			csp = appendField(csp, i+1, tagOctetString, name)
		}
	}
	dst = appendField(dst, 1, tagSequence, csp)
	if s.UserHint != nil {
		dst = appendField(dst, 2, tagOctetString, s.UserHint)
	}
	if s.DomainHint != nil {
		dst = appendField(dst, 3, tagOctetString, s.DomainHint)
	}
	return dst
}

func (g *RemoteGuardCreds) append(dst []byte) []byte {
	dst = appendField(dst, 0, tagSequence, g.Logon.append(nil))
	if len(g.Supplemental) == 0 {
		return dst
	}
	var list []byte
	for _, p := range g.Supplemental {
		list = appendElement(list, tagSequence, p.append(nil))
	}
	return appendField(dst, 1, tagSequence, list)
}

func (p *PackageCred) append(dst []byte) []byte {
	dst = appendField(dst, 0, tagOctetString, p.Package)
	return appendField(dst, 1, tagOctetString, p.Buffer)
}

// ParseCredentials reads a TSCredentials that fills b exactly. The result's
// slices are parts of b.
func ParseCredentials(b []byte) (*Credentials, error) {
	c := &Credentials{}
	var inner []byte
	err := fields(b, func(number int, content []byte) (err error) {
		switch number {
		case 0:
			var t uint32
			t, err = parseInteger(content)
			c.Type = CredType(t)
		case 1:
			inner, err = only(content, tagOctetString)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	switch c.Type {
	case CredPassword:
		c.Password, err = parsePassword(inner)
	case CredSmartCard:
		c.SmartCard, err = parseSmartCard(inner)
	case CredRemoteGuard:
		c.RemoteGuard, err = parseRemoteGuard(inner)
	default:
		return nil, malformed("credentials of type %d", c.Type)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// octets makes a fields callback that puts OCTET STRINGs into dst by number and
// hands other fields to more. A nil destination is skipped.
func octets(dst []*[]byte, more func(int, []byte) error) func(int, []byte) error {
	return func(number int, content []byte) (err error) {
		if number < len(dst) && dst[number] != nil {
			*dst[number], err = only(content, tagOctetString)
			return err
		}
		if more == nil {
			return nil
		}
		return more(number, content)
	}
}

func parsePassword(b []byte) (*PasswordCreds, error) {
	p := &PasswordCreds{}
	if err := fields(b, octets([]*[]byte{&p.Domain, &p.User, &p.Password}, nil)); err != nil {
		return nil, err
	}
	if p.User == nil || p.Password == nil {
		return nil, malformed("password credentials without user or password")
	}
	return p, nil
}

func parseSmartCard(b []byte) (*SmartCardCreds, error) {
	s := &SmartCardCreds{}
	err := fields(b, octets([]*[]byte{&s.PIN, nil, &s.UserHint, &s.DomainHint}, func(number int, content []byte) error {
		if number != 1 {
			return nil
		}
		names := []*[]byte{nil, &s.CSP.Card, &s.CSP.Reader, &s.CSP.Container, &s.CSP.CSP}
		return fields(content, octets(names, func(number int, content []byte) (err error) {
			if number == 0 {
				s.CSP.KeySpec, err = parseInteger(content)
			}
			return err
		}))
	}))
	if err != nil {
		return nil, err
	}
	return s, nil
}

func parseRemoteGuard(b []byte) (*RemoteGuardCreds, error) {
	g := &RemoteGuardCreds{}
	err := fields(b, func(number int, content []byte) error {
		switch number {
		case 0:
			return g.Logon.parse(content)
		case 1:
			list, err := only(content, tagSequence)
			if err != nil {
				return err
			}
			for len(list) > 0 {
				_, _, rest, err := element(list)
				if err != nil {
					return err
				}
				var p PackageCred
				if err := p.parse(list[:len(list)-len(rest)]); err != nil {
					return err
				}
				g.Supplemental, list = append(g.Supplemental, p), rest
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return g, nil
}

func (p *PackageCred) parse(b []byte) error {
	return fields(b, octets([]*[]byte{&p.Package, &p.Buffer}, nil))
}

// UTF16 encodes s as the protocol wants its text. What is no valid UTF-8 becomes
// U+FFFD, as everywhere in Go.
func UTF16(s string) []byte {
	b := make([]byte, 0, 2*len(s))
	for _, r := range s {
		if hi, lo := utf16.EncodeRune(r); hi != 0xfffd {
			b = binary.LittleEndian.AppendUint16(b, uint16(hi))
			b = binary.LittleEndian.AppendUint16(b, uint16(lo))
			continue
		}
		b = binary.LittleEndian.AppendUint16(b, uint16(r))
	}
	return b
}

// Text decodes UTF-16LE. An odd last byte is dropped.
func Text(b []byte) string {
	u := make([]uint16, len(b)/2)
	for i := range u {
		u[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(u))
}

// wipe overwrites the secrets. It is done where it costs nothing; Go copies
// memory as it likes, so nothing is promised.
func (c *Credentials) wipe() {
	switch {
	case c.Password != nil:
		clear(c.Password.Password)
	case c.SmartCard != nil:
		clear(c.SmartCard.PIN)
	case c.RemoteGuard != nil:
		clear(c.RemoteGuard.Logon.Buffer)
	}
}
