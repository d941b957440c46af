package config

import (
	"fmt"
	"slices"
	"strings"
)

// An SDDL is a security descriptor in Windows' text form, [MS-DTYP] section
// 2.5.1. What was parsed prints as it was, byte for byte, also where this
// package does not know its meaning.
type SDDL struct {
	Owner, Group string // SIDs, or abbreviations such as BA
	DACL, SACL   *ACL   // nil for none

	order string // components in the order in which they stood, such as "OGDS"
}

// An ACL is a list of entries with the flags before it, such as "P".
type ACL struct {
	Flags string
	ACEs  []ACE
}

// An ACE lets a user or group do something, or not.
type ACE struct {
	Type   string // "A" allows, "D" denies, "AU" audits, ...
	Flags  string // inheritance and auditing, such as "FA"
	Rights string // such as "GA", "GXGR" or "0x1f"
	Object string // GUID, of object types
	// InheritedObject is the GUID of the type that inherits it.
	InheritedObject string
	SID             string // who
	Extra           string // condition or attribute, with the semicolon before it
}

// Rights that WinRM looks at. See [MS-WSMV] section 3.1.4.1.28.
const (
	GenericAll     = "GA"
	GenericRead    = "GR" // Get, Enumerate, Subscribe
	GenericWrite   = "GW" // Put, Create, Delete
	GenericExecute = "GX" // Invoke and shells
)

// An SDDLError says where a text is no SDDL.
type SDDLError struct {
	Text   string
	Offset int
	Reason string
}

func (e *SDDLError) Error() string {
	return fmt.Sprintf("config: no SDDL at offset %d: %s", e.Offset, e.Reason)
}

// maxACEs bounds what is parsed; Windows' lists have at most 64 KiB.
const maxACEs = 4096

// ParseSDDL reads a security descriptor.
func ParseSDDL(text string) (*SDDL, error) {
	p := sddlParser{text: text}
	d := &SDDL{}
	for p.at < len(text) {
		if p.at+1 >= len(text) || text[p.at+1] != ':' || strings.IndexByte("OGDS", text[p.at]) < 0 {
			return nil, p.err("not O:, G:, D: or S:")
		}
		part := text[p.at]
		if strings.IndexByte(d.order, part) >= 0 {
			return nil, p.err("the component comes twice")
		}
		d.order += string(part)
		p.at += 2
		var err error
		switch part {
		case 'O':
			d.Owner = p.sid()
		case 'G':
			d.Group = p.sid()
		case 'D':
			d.DACL, err = p.acl()
		default:
			d.SACL, err = p.acl()
		}
		if err != nil {
			return nil, err
		}
	}
	return d, nil
}

type sddlParser struct {
	text string
	at   int
}

func (p *sddlParser) err(reason string) error {
	return &SDDLError{Text: p.text, Offset: p.at, Reason: reason}
}

// sid reads up to the next component. "S-1-5-32-544" holds an S, but no "S:";
// "BAD:" is the SID BA and the component D.
func (p *sddlParser) sid() string {
	start := p.at
	for p.at < len(p.text) {
		if p.at+1 < len(p.text) && p.text[p.at+1] == ':' {
			break
		}
		p.at++
	}
	return p.text[start:p.at]
}

func (p *sddlParser) acl() (*ACL, error) {
	start := p.at
	for p.at < len(p.text) && p.text[p.at] != '(' && (p.at+1 >= len(p.text) || p.text[p.at+1] != ':') {
		p.at++
	}
	list := &ACL{Flags: p.text[start:p.at]}
	if strings.ContainsAny(list.Flags, ");") {
		p.at = start
		return nil, p.err("flags of a list")
	}
	for p.at < len(p.text) && p.text[p.at] == '(' {
		if len(list.ACEs) == maxACEs {
			return nil, p.err("too many entries")
		}
		ace, err := p.ace()
		if err != nil {
			return nil, err
		}
		list.ACEs = append(list.ACEs, ace)
	}
	return list, nil
}

// ace reads one entry. Conditions nest parentheses and may hold them in strings.
func (p *sddlParser) ace() (ACE, error) {
	start, depth, quoted := p.at, 0, false
	end := -1
	for i := p.at; i < len(p.text) && end < 0; i++ {
		switch c := p.text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth == 0 {
				end = i
			}
		}
	}
	if end < 0 {
		return ACE{}, p.err("an entry without end")
	}
	fields := strings.SplitN(p.text[start+1:end], ";", 7)
	if len(fields) < 6 {
		return ACE{}, p.err("an entry has six fields")
	}
	a := ACE{Type: fields[0], Flags: fields[1], Rights: fields[2], Object: fields[3], InheritedObject: fields[4], SID: fields[5]}
	if len(fields) == 7 {
		a.Extra = ";" + fields[6]
	}
	p.at = end + 1
	return a, nil
}

// String prints the descriptor.
func (d *SDDL) String() string {
	var b strings.Builder
	order := d.order
	for _, part := range "OGDS" { // those that came later
		if strings.IndexByte(order, byte(part)) < 0 {
			order += string(part)
		}
	}
	for _, part := range []byte(order) {
		was := strings.IndexByte(d.order, part) >= 0
		switch {
		case part == 'O' && (was || d.Owner != ""):
			b.WriteString("O:" + d.Owner)
		case part == 'G' && (was || d.Group != ""):
			b.WriteString("G:" + d.Group)
		case part == 'D' && d.DACL != nil:
			b.WriteString("D:" + d.DACL.String())
		case part == 'S' && d.SACL != nil:
			b.WriteString("S:" + d.SACL.String())
		}
	}
	return b.String()
}

// String prints the list without its "D:" or "S:".
func (l *ACL) String() string {
	var b strings.Builder
	b.WriteString(l.Flags)
	for _, a := range l.ACEs {
		b.WriteString(a.String())
	}
	return b.String()
}

// String prints the entry with its parentheses.
func (a ACE) String() string {
	return "(" + strings.Join([]string{a.Type, a.Flags, a.Rights, a.Object, a.InheritedObject, a.SID}, ";") + a.Extra + ")"
}

// hasFlag reports whether the entry has a flag of two letters, such as ID.
func (a ACE) hasFlag(flag string) bool {
	for i := 0; i+2 <= len(a.Flags); i += 2 {
		if strings.EqualFold(a.Flags[i:i+2], flag) {
			return true
		}
	}
	return false
}

// allows reports whether the entry allows sid all of the rights on the object
// itself, whatever else is the case.
func (a ACE) allows(sid string, rights uint32) bool {
	mask, known := rightsMask(a.Rights)
	return strings.EqualFold(a.Type, "A") && !a.hasFlag("IO") && a.Object == "" && a.InheritedObject == "" && a.Extra == "" &&
		sameSID(a.SID, sid) && known && (mask&rights == rights || mask&rightNames[GenericAll] != 0)
}

// Grant lets sid, such as "S-1-5-32-580" or "RM", do rights, such as
// GenericExecute+GenericRead. It reports whether the descriptor was changed: an
// entry that allows it already is left alone. A new entry goes behind those that
// deny and before those that are inherited, as Windows sorts them. The error is an
// [*SDDLError] for a text that is no SID, or no rights.
func (d *SDDL) Grant(sid, rights string) (changed bool, err error) {
	mask, ok := rightsMask(rights)
	switch {
	case !isSID(sid):
		return false, &SDDLError{Text: sid, Reason: fmt.Sprintf("%q is no SID", sid)}
	case !ok || mask == 0:
		return false, &SDDLError{Text: rights, Reason: fmt.Sprintf("%q are no rights", rights)}
	}
	if d.DACL == nil {
		d.DACL = &ACL{}
	}
	list := d.DACL.ACEs
	at := len(list)
	for i, a := range list {
		if a.allows(sid, mask) {
			return false, nil
		}
		if at == len(list) && a.hasFlag("ID") {
			at = i
		}
	}
	d.DACL.ACEs = slices.Insert(slices.Clone(list), at, ACE{Type: "A", Rights: rights, SID: sid})
	return true, nil
}

// Revoke removes every entry that allows sid something and is not inherited,
// however the entry writes it. It reports whether there was one. What sid may do
// through its groups stays.
func (d *SDDL) Revoke(sid string) bool {
	if d.DACL == nil {
		return false
	}
	before := len(d.DACL.ACEs)
	d.DACL.ACEs = slices.DeleteFunc(slices.Clone(d.DACL.ACEs), func(a ACE) bool {
		return strings.EqualFold(a.Type, "A") && sameSID(a.SID, sid) && !a.hasFlag("ID")
	})
	return len(d.DACL.ACEs) < before
}

// sameSDDL compares two descriptors by what they mean: Windows prints SIDs and
// rights in its own way. The order of entries matters.
func sameSDDL(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := ParseSDDL(a)
	y, errY := ParseSDDL(b)
	if errX != nil || errY != nil {
		return false
	}
	return sameSID(x.Owner, y.Owner) && sameSID(x.Group, y.Group) && sameACL(x.DACL, y.DACL) && sameACL(x.SACL, y.SACL)
}

func sameACL(a, b *ACL) bool {
	if a == nil || b == nil {
		return a == b
	}
	return strings.EqualFold(a.Flags, b.Flags) && slices.EqualFunc(a.ACEs, b.ACEs, func(x, y ACE) bool {
		maskX, okX := rightsMask(x.Rights)
		maskY, okY := rightsMask(y.Rights)
		if !strings.EqualFold(x.Rights, y.Rights) && (!okX || !okY || maskX != maskY) || !sameSID(x.SID, y.SID) {
			return false
		}
		x.Rights, x.SID, y.Rights, y.SID = "", "", "", ""
		return strings.EqualFold(x.String(), y.String())
	})
}
