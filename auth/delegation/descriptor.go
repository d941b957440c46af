package delegation

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// The attribute holds a self-relative security descriptor. See [MS-DTYP] sections
// 2.4.4 (entries), 2.4.5 (access lists) and 2.4.6 (the whole, control bits).
const (
	controlDACL         = 0x0004 // a DACL is present
	controlSACL         = 0x0010
	controlSelfRelative = 0x8000

	revisionDS = 4 // of an ACL that may hold object entries

	aceAllow       = 0
	aceDeny        = 1
	aceInheritOnly = 0x08

	// maskFull is what Windows' and Samba's tools write; the KDC looks for
	// maskControlAccess alone. maskGenericAll stands for everything.
	maskFull          = 0x000f01ff
	maskControlAccess = 0x00000100
	maskGenericAll    = 0x10000000

	headerSize    = 20
	aclHeaderSize = 8
	aceHeaderSize = 4

	// maxDescriptor is the attribute's rangeUpper in Active Directory's schema.
	maxDescriptor = 132096
)

// A DescriptorError is a security descriptor that breaks its format.
type DescriptorError struct{ Reason string }

func (e *DescriptorError) Error() string { return "malformed security descriptor: " + e.Reason }

// descriptor is a security descriptor; what is not looked at is kept as bytes.
type descriptor struct {
	resource     byte // Sbz1: the resource manager's control bits
	control      uint16
	owner, group sid
	sacl         []byte
	dacl         *acl // never nil
}

type acl struct {
	revision byte
	aces     []ace
}

// ace is one entry. Entries of types other than allow and deny have the zero sid,
// and their whole body in rest.
type ace struct {
	kind, flags byte
	mask        uint32
	sid         sid
	rest        []byte
}

// grants says whether the entry lets its SID act.
func (a ace) grants() bool {
	return a.kind == aceAllow && a.flags&aceInheritOnly == 0 && a.mask&(maskControlAccess|maskGenericAll) != 0
}

func parseDescriptor(b []byte) (*descriptor, error) {
	if len(b) < headerSize || len(b) > maxDescriptor {
		return nil, &DescriptorError{fmt.Sprintf("%d bytes", len(b))}
	}
	d := &descriptor{resource: b[1], control: binary.LittleEndian.Uint16(b[2:])}
	if b[0] != 1 || d.control&controlSelfRelative == 0 {
		return nil, &DescriptorError{fmt.Sprintf("revision %d, control %#x", b[0], d.control)}
	}
	part := func(at int) ([]byte, error) {
		off := binary.LittleEndian.Uint32(b[at:])
		if off == 0 {
			return nil, nil
		}
		if off < headerSize || int64(off) >= int64(len(b)) {
			return nil, &DescriptorError{fmt.Sprintf("offset %d of %d", off, len(b))}
		}
		return b[off:], nil
	}
	for i, to := range []*sid{&d.owner, &d.group} {
		p, err := part(4 + 4*i)
		if err != nil {
			return nil, err
		}
		if p == nil {
			continue
		}
		if *to, _, err = cutSID(p); err != nil {
			return nil, err
		}
	}
	p, err := part(12)
	if err != nil {
		return nil, err
	}
	if p != nil && d.control&controlSACL != 0 {
		size, err := aclSize(p)
		if err != nil {
			return nil, err
		}
		d.sacl = slices.Clone(p[:size])
	}
	if p, err = part(16); err != nil {
		return nil, err
	}
	if p == nil || d.control&controlDACL == 0 {
		// Such a descriptor grants everything to everybody.
		return nil, &DescriptorError{"no access list"}
	}
	if d.dacl, err = parseACL(p); err != nil {
		return nil, err
	}
	return d, nil
}

// aclSize is the size that an access list says it has.
func aclSize(b []byte) (int, error) {
	if len(b) < aclHeaderSize {
		return 0, &DescriptorError{"truncated access list"}
	}
	size := int(binary.LittleEndian.Uint16(b[2:]))
	if size < aclHeaderSize || size > len(b) {
		return 0, &DescriptorError{fmt.Sprintf("access list of %d in %d bytes", size, len(b))}
	}
	return size, nil
}

func parseACL(b []byte) (*acl, error) {
	size, err := aclSize(b)
	if err != nil {
		return nil, err
	}
	l := &acl{revision: b[0]}
	count := int(binary.LittleEndian.Uint16(b[4:]))
	b = b[aclHeaderSize:size]
	if count*aceHeaderSize > len(b) {
		return nil, &DescriptorError{fmt.Sprintf("%d entries in %d bytes", count, len(b))}
	}
	for range count {
		if len(b) < aceHeaderSize {
			return nil, &DescriptorError{"truncated entry"}
		}
		n := int(binary.LittleEndian.Uint16(b[2:]))
		if n < aceHeaderSize || n > len(b) {
			return nil, &DescriptorError{fmt.Sprintf("entry of %d in %d bytes", n, len(b))}
		}
		a := ace{kind: b[0], flags: b[1]}
		body := b[aceHeaderSize:n]
		b = b[n:]
		if a.kind == aceAllow || a.kind == aceDeny {
			if len(body) < 4 {
				return nil, &DescriptorError{"entry without a mask"}
			}
			a.mask = binary.LittleEndian.Uint32(body)
			if a.sid, body, err = cutSID(body[4:]); err != nil {
				return nil, err
			}
		}
		a.rest = slices.Clone(body)
		l.aces = append(l.aces, a)
	}
	return l, nil
}

// append encodes the parts in the order in which Samba does.
func (d *descriptor) append(out []byte) ([]byte, error) {
	start := len(out)
	control := d.control&^(controlDACL|controlSACL) | controlSelfRelative
	out = append(out, 1, d.resource)
	out = append(out, make([]byte, headerSize-2)...)
	put := func(at int, part []byte) {
		if len(part) == 0 {
			return
		}
		binary.LittleEndian.PutUint32(out[start+at:], uint32(len(out)-start)) //nolint:gosec // bounded by maxDescriptor
		out = append(out, part...)
	}
	put(4, d.owner.append(nil))
	put(8, d.group.append(nil))
	if d.sacl != nil {
		control |= controlSACL
		put(12, d.sacl)
	}
	b, err := d.dacl.append(nil)
	if err != nil {
		return nil, err
	}
	put(16, b)
	binary.LittleEndian.PutUint16(out[start+2:], control|controlDACL)
	if n := len(out) - start; n > maxDescriptor {
		return nil, &DescriptorError{fmt.Sprintf("%d bytes", n)}
	}
	return out, nil
}

func (l *acl) append(out []byte) ([]byte, error) {
	start := len(out)
	out = append(out, l.revision, 0, 0, 0)
	out = binary.LittleEndian.AppendUint16(out, uint16(len(l.aces))) //nolint:gosec // the size is checked below
	out = append(out, 0, 0)
	for _, a := range l.aces {
		at := len(out)
		out = append(out, a.kind, a.flags, 0, 0)
		if a.kind == aceAllow || a.kind == aceDeny {
			out = binary.LittleEndian.AppendUint32(out, a.mask)
			out = a.sid.append(out)
		}
		out = append(out, a.rest...)
		if len(out)-start > 0xffff {
			return nil, &DescriptorError{fmt.Sprintf("the access list has no room for %d entries", len(l.aces))}
		}
		binary.LittleEndian.PutUint16(out[at+2:], uint16(len(out)-at)) //nolint:gosec // checked above
	}
	binary.LittleEndian.PutUint16(out[start+2:], uint16(len(out)-start)) //nolint:gosec // checked above
	return out, nil
}

// newDescriptor lets nobody act; its owner is the built-in Administrators.
func newDescriptor() *descriptor {
	return &descriptor{
		control: controlSelfRelative | controlDACL,
		owner:   "\x01\x02\x00\x00\x00\x00\x00\x05\x20\x00\x00\x00\x20\x02\x00\x00",
		dacl:    &acl{revision: revisionDS},
	}
}

// actors are who may act, each once, and how many entries say something else.
func (d *descriptor) actors() (sids []sid, other int) {
	if d == nil {
		return nil, 0
	}
	for _, a := range d.dacl.aces {
		switch {
		case !a.grants():
			other++
		case !slices.Contains(sids, a.sid):
			sids = append(sids, a.sid)
		}
	}
	return sids, other
}

// grant adds who is not there yet, revoke removes what grants. Both say whether
// they changed anything.
func (d *descriptor) grant(s sid) bool {
	if have, _ := d.actors(); slices.Contains(have, s) {
		return false
	}
	d.dacl.aces = append(d.dacl.aces, ace{kind: aceAllow, mask: maskFull, sid: s})
	return true
}

func (d *descriptor) revoke(s sid) bool {
	before := len(d.dacl.aces)
	d.dacl.aces = slices.DeleteFunc(d.dacl.aces, func(a ace) bool { return a.grants() && a.sid == s })
	return len(d.dacl.aces) != before
}
