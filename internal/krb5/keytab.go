package krb5

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// Limits of the files that hold keys and tickets. A cache of Windows-sized
// tickets has a few hundred KiB.
const (
	maxKeyFile   = 16 << 20
	maxFileParts = 64
	maxFileField = 1 << 20
)

// A Keytab is a file of long-term keys. See MIT's "The Kerberos V5 keytab file
// format".
type Keytab struct {
	entries []keytabEntry
}

type keytabEntry struct {
	principal Principal
	kvno      int
	when      time.Time
	key       Key
}

// KeytabPath finds the file of a keytab's name: FILE:path, WRFILE:path, or a bare
// path.
func KeytabPath(name string) string {
	if kind, path, ok := strings.Cut(name, ":"); ok && (strings.EqualFold(kind, "FILE") || strings.EqualFold(kind, "WRFILE")) {
		return path
	}
	return name
}

// ReadKeytab reads a keytab file.
func ReadKeytab(path string) (*Keytab, error) {
	b, err := readFile(path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	k, err := ParseKeytab(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// readFile reads at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("krb5: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("krb5: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, &FormatError{What: path + ": too long"}
	}
	return b, nil
}

// ParseKeytab reads the content of a keytab, versions 0x501 (in the byte order
// of the machine that wrote it, taken for little-endian) and 0x502.
func ParseKeytab(b []byte) (*Keytab, error) {
	if len(b) < 2 || b[0] != 5 || b[1] != 1 && b[1] != 2 {
		return nil, &FormatError{What: "keytab: no version number"}
	}
	r := fileReader{b: b[2:], order: binary.BigEndian, what: "keytab"}
	v1 := b[1] == 1
	if v1 {
		r.order = binary.LittleEndian
	}
	k := &Keytab{}
	for len(r.b) >= 4 && r.err == nil {
		size := int64(int32(r.u32()))
		if size == 0 {
			break // the end, where a file was preallocated
		}
		hole := size < 0
		if hole {
			size = -size // a deleted entry
		}
		entry := r.bytes(int(size))
		if r.err != nil || hole {
			continue
		}
		e, err := parseKeytabEntry(fileReader{b: entry, order: r.order, what: "keytab entry"}, v1)
		if err != nil {
			return nil, err
		}
		k.entries = append(k.entries, e)
	}
	return k, r.err
}

func parseKeytabEntry(r fileReader, v1 bool) (keytabEntry, error) {
	parts := int(r.u16())
	if v1 {
		parts-- // the realm is counted there
	}
	if parts < 0 || parts > maxFileParts {
		return keytabEntry{}, &FormatError{What: "keytab entry: number of components"}
	}
	e := keytabEntry{principal: Principal{Type: NTPrincipal, Realm: string(r.data16())}}
	for range parts {
		e.principal.Parts = append(e.principal.Parts, string(r.data16()))
	}
	if !v1 {
		e.principal.Type = int32(r.u32())
	}
	e.when = time.Unix(int64(r.u32()), 0)
	e.kvno = int(r.bytes1())
	etype := EType(int16(r.u16()))
	e.key = Key{EType: etype, Value: bytes.Clone(r.data16())}
	if len(r.b) >= 4 && r.err == nil {
		if v := r.u32(); v != 0 {
			e.kvno = int(v)
		}
	}
	return e, r.err
}

// KeytabFor is a keytab in memory with keys of one principal.
func KeytabFor(p Principal, kvno int, keys ...Key) *Keytab {
	k := &Keytab{}
	for _, key := range keys {
		k.entries = append(k.entries, keytabEntry{principal: p, kvno: kvno, key: key})
	}
	return k
}

// Marshal writes the keytab, version 0x502.
func (k *Keytab) Marshal() []byte {
	out := []byte{5, 2}
	be := binary.BigEndian
	data := func(b, s []byte) []byte { return append(be.AppendUint16(b, uint16(len(s))), s...) }
	for _, e := range k.entries {
		b := be.AppendUint16(nil, uint16(len(e.principal.Parts)))
		b = data(b, []byte(e.principal.Realm))
		for _, p := range e.principal.Parts {
			b = data(b, []byte(p))
		}
		b = be.AppendUint32(b, uint32(e.principal.Type))
		b = be.AppendUint32(b, uint32(e.when.Unix()))
		b = append(b, byte(e.kvno))
		b = be.AppendUint16(b, uint16(e.key.EType))
		b = data(b, e.key.Value)
		b = be.AppendUint32(b, uint32(e.kvno))
		out = append(be.AppendUint32(out, uint32(len(b))), b...)
	}
	return out
}

// Principals lists whose keys the keytab holds, in the order of the file.
func (k *Keytab) Principals() []Principal {
	var list []Principal
	for _, e := range k.entries {
		if !slices.ContainsFunc(list, e.principal.Equal) {
			list = append(list, e.principal)
		}
	}
	return list
}

// Keys returns the principal's keys of one type, the newest version first. The
// keys are the keytab's own.
func (k *Keytab) Keys(p Principal, etype EType) []Key {
	return k.find(func(e keytabEntry) bool { return e.key.EType == etype && e.principal.Equal(p) })
}

// ServiceKeys returns the keys that may have encrypted a ticket for server:
// those of its name and version first, then all others of the type, because a
// host answers to more names than its keytab lists.
func (k *Keytab) ServiceKeys(server Principal, etype EType, kvno int) []Key {
	exact := func(e keytabEntry) bool {
		return e.principal.Equal(server) && (kvno == 0 || e.kvno == kvno || e.kvno == kvno&0xff)
	}
	keys := k.find(func(e keytabEntry) bool { return e.key.EType == etype && exact(e) })
	return append(keys, k.find(func(e keytabEntry) bool { return e.key.EType == etype && !exact(e) })...)
}

func (k *Keytab) find(match func(keytabEntry) bool) []Key {
	var found []keytabEntry
	for _, e := range k.entries {
		if match(e) && e.key.valid() == nil {
			found = append(found, e)
		}
	}
	slices.SortStableFunc(found, func(a, b keytabEntry) int { return b.kvno - a.kvno })
	keys := make([]Key, len(found))
	for i, e := range found {
		keys[i] = e.key
	}
	return keys
}

// etypes lists the types of the principal's keys.
func (k *Keytab) etypes(p Principal) []EType {
	var list []EType
	for _, e := range k.entries {
		if e.principal.Equal(p) && e.key.valid() == nil && !slices.Contains(list, e.key.EType) {
			list = append(list, e.key.EType)
		}
	}
	return list
}

// Wipe overwrites all keys.
func (k *Keytab) Wipe() {
	for _, e := range k.entries {
		e.key.Wipe()
	}
}

// String tells whose keys are in the keytab, not the keys.
func (k *Keytab) String() string {
	var names []string
	for _, p := range k.Principals() {
		names = append(names, p.String())
	}
	return "keytab of " + strings.Join(names, ", ")
}

// GoString keeps keys out of %#v.
func (k *Keytab) GoString() string { return k.String() }

// fileReader takes numbers and counted strings from a file's content. The
// first error stays, and everything after it is zero.
type fileReader struct {
	b     []byte
	order interface {
		Uint16([]byte) uint16
		Uint32([]byte) uint32
	}
	what string
	err  error
}

func (r *fileReader) bytes(n int) []byte {
	if r.err == nil && (n < 0 || n > len(r.b) || n > maxFileField) {
		r.err = &FormatError{What: r.what, Err: io.ErrUnexpectedEOF}
	}
	if r.err != nil {
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *fileReader) bytes1() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *fileReader) u16() uint16 {
	if b := r.bytes(2); b != nil {
		return r.order.Uint16(b)
	}
	return 0
}

func (r *fileReader) u32() uint32 {
	if b := r.bytes(4); b != nil {
		return r.order.Uint32(b)
	}
	return 0
}

func (r *fileReader) data16() []byte { return r.bytes(int(r.u16())) }
func (r *fileReader) data32() []byte { return r.bytes(int(r.u32())) }
