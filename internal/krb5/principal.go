package krb5

import (
	"errors"
	"strings"

	"github.com/jcmturner/gokrb5/v8/types"
)

// Name types. See RFC 4120 section 6.2, RFC 6806 section 5.
const (
	NTPrincipal  int32 = 1  // NT-PRINCIPAL
	NTSrvInst    int32 = 2  // NT-SRV-INST
	NTSrvHost    int32 = 3  // NT-SRV-HST
	NTEnterprise int32 = 10 // NT-ENTERPRISE: user@upn.suffix as one component
)

// A Principal is a name in a realm.
type Principal struct {
	Type  int32
	Parts []string
	Realm string
}

// ErrPrincipal is a principal's name that cannot be read.
var ErrPrincipal = errors.New("krb5: malformed principal name")

// ParsePrincipal reads "name", "service/host" or either with "@REALM". A
// backslash takes away the meaning of the next character.
func ParsePrincipal(s string) (Principal, error) {
	p := Principal{Type: NTPrincipal}
	var part strings.Builder
	inRealm := false
	for i := 0; i < len(s); i++ {
		switch ch := s[i]; {
		case ch == '\\':
			i++
			if i == len(s) {
				return Principal{}, ErrPrincipal
			}
			part.WriteByte(s[i])
		case ch == '/' && !inRealm:
			p.Parts = append(p.Parts, part.String())
			part.Reset()
		case ch == '@':
			if inRealm {
				return Principal{}, ErrPrincipal
			}
			p.Parts = append(p.Parts, part.String())
			part.Reset()
			inRealm = true
		default:
			part.WriteByte(ch)
		}
	}
	if inRealm {
		p.Realm = part.String()
	} else {
		p.Parts = append(p.Parts, part.String())
	}
	if p.Parts[0] == "" || inRealm && p.Realm == "" {
		return Principal{}, ErrPrincipal
	}
	if len(p.Parts) > 1 {
		p.Type = NTSrvInst
	}
	return p, nil
}

// Enterprise is a user's name of the form user@upn.suffix, to be looked up in realm.
func Enterprise(upn, realm string) Principal {
	return Principal{Type: NTEnterprise, Parts: []string{upn}, Realm: realm}
}

// Service is the principal of a service on a host.
func Service(class, host, realm string) Principal {
	return Principal{Type: NTSrvInst, Parts: []string{class, host}, Realm: realm}
}

// tgsName is krbtgt/target@realm.
func tgsName(target, realm string) Principal { return Service("krbtgt", target, realm) }

// isTGS reports whether p names a ticket-granting service.
func (p Principal) isTGS() bool { return len(p.Parts) == 2 && p.Parts[0] == "krbtgt" }

// Name is the principal without its realm, as people write it.
func (p Principal) Name() string { return strings.Join(p.Parts, "/") }

var escaper = strings.NewReplacer(`\`, `\\`, `@`, `\@`, `/`, `\/`)

// String is the principal as ParsePrincipal reads it.
func (p Principal) String() string {
	parts := make([]string, len(p.Parts))
	for i, s := range p.Parts {
		parts[i] = escaper.Replace(s)
	}
	s := strings.Join(parts, "/")
	if p.Realm != "" {
		s += "@" + p.Realm
	}
	return s
}

// Equal compares names and realms; the type means nothing (RFC 4120 section 6.2).
func (p Principal) Equal(o Principal) bool { return p.Realm == o.Realm && sameParts(p.Parts, o.Parts) }

func sameParts(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func (p Principal) wire() types.PrincipalName {
	return types.PrincipalName{NameType: p.Type, NameString: p.Parts}
}

func fromWire(n types.PrincipalName, realm string) Principal {
	return Principal{Type: n.NameType, Parts: n.NameString, Realm: realm}
}
