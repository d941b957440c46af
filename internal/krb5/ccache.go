package krb5

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A CCache is the content of a credential cache: a client and its tickets. See
// MIT's "Credential cache file format".
type CCache struct {
	Client  Principal
	Tickets []*Ticket
	// ClockOffset is the KDC's clock minus ours, as the writer knew it.
	ClockOffset time.Duration
}

// ErrCCacheType is a kind of credential cache that cannot be read: KEYRING,
// KCM, MEMORY and API live in a kernel or another process.
var ErrCCacheType = errors.New("krb5: only FILE: and DIR: credential caches can be read; set default_ccache_name or KRB5CCNAME to FILE:path and run kinit again")

// CCachePath finds the file of a credential cache's name: FILE:path, DIR:path
// (its primary cache), DIR::path/tkt (one of them), or a bare path.
func CCachePath(name string) (string, error) {
	kind, rest, ok := strings.Cut(name, ":")
	if !ok || len(kind) == 1 { // no prefix, or a drive letter
		return name, nil
	}
	switch strings.ToUpper(kind) {
	case "FILE", "WRFILE":
		return rest, nil
	case "DIR":
		if file, one := strings.CutPrefix(rest, ":"); one {
			return file, nil
		}
		primary, err := os.ReadFile(filepath.Join(rest, "primary"))
		if errors.Is(err, os.ErrNotExist) {
			return filepath.Join(rest, "tkt"), nil
		}
		if err != nil {
			return "", fmt.Errorf("krb5: %w", err)
		}
		file := strings.TrimSpace(string(primary))
		if file != filepath.Base(file) || !strings.HasPrefix(file, "tkt") {
			return "", &FormatError{What: "primary of credential cache collection " + rest}
		}
		return filepath.Join(rest, file), nil
	}
	return "", fmt.Errorf("%w (asked for %s)", ErrCCacheType, kind)
}

// CCachePaths lists the files of a credential cache's name: all caches of a
// DIR:path collection, the primary one first, or the one of any other name.
func CCachePaths(name string) ([]string, error) {
	primary, err := CCachePath(name)
	if err != nil {
		return nil, err
	}
	paths := []string{primary}
	kind, dir, _ := strings.Cut(name, ":")
	if !strings.EqualFold(kind, "DIR") || strings.HasPrefix(dir, ":") {
		return paths, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("krb5: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), "tkt") && path != primary && len(paths) < maxCCaches {
			paths = append(paths, path)
		}
	}
	return paths, nil
}

// maxCCaches bounds how many caches of a collection are looked at.
const maxCCaches = 256

// ReadCCache reads the cache of a name as CCachePath knows them.
func ReadCCache(name string) (*CCache, error) {
	path, err := CCachePath(name)
	if err != nil {
		return nil, err
	}
	b, err := readFile(path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	c, err := ParseCCache(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// ParseCCache reads the content of a cache file, versions 3 and 4. Entries that
// are configuration of libkrb5 and no tickets are skipped, and so are tickets
// whose key has a type that is not spoken here.
func ParseCCache(b []byte) (*CCache, error) {
	if len(b) < 2 || b[0] != 5 || b[1] != 3 && b[1] != 4 {
		return nil, &FormatError{What: "credential cache: version is not 3 or 4"}
	}
	r := &fileReader{b: b[2:], order: binary.BigEndian, what: "credential cache"}
	c := &CCache{}
	if b[1] == 4 {
		c.readHeader(r)
	}
	c.Client = r.ccPrincipal()
	for len(r.b) > 0 && r.err == nil {
		t, ok := r.ccTicket(b[1] == 3)
		if r.err != nil {
			break
		}
		if ok {
			c.Tickets = append(c.Tickets, t)
		}
	}
	if r.err != nil {
		for _, t := range c.Tickets {
			t.wipe()
		}
		return nil, r.err
	}
	return c, nil
}

// readHeader reads the tagged fields of version 4; tag 1 is the clock's offset.
func (c *CCache) readHeader(r *fileReader) {
	h := fileReader{b: r.data16(), order: binary.BigEndian, what: "credential cache header"}
	for len(h.b) > 0 && h.err == nil {
		tag, value := h.u16(), h.data16()
		if tag == 1 && len(value) == 8 {
			sec, usec := int32(binary.BigEndian.Uint32(value)), int32(binary.BigEndian.Uint32(value[4:]))
			c.ClockOffset = time.Duration(sec)*time.Second + time.Duration(usec)*time.Microsecond
		}
	}
	if r.err == nil {
		r.err = h.err
	}
}

func (r *fileReader) ccPrincipal() Principal {
	p := Principal{Type: int32(r.u32())}
	parts := r.u32()
	p.Realm = string(r.data32())
	if parts > maxFileParts {
		r.err = &FormatError{What: r.what + ": number of components"}
	}
	for range parts {
		if r.err != nil {
			return p
		}
		p.Parts = append(p.Parts, string(r.data32()))
	}
	return p
}

func (r *fileReader) ccTime() time.Time {
	if s := r.u32(); s != 0 {
		return time.Unix(int64(s), 0).UTC() // unsigned: good until 2106
	}
	return time.Time{}
}

// ccTicket reads one credential. ok is false for what is not a usable ticket.
func (r *fileReader) ccTicket(version3 bool) (t *Ticket, ok bool) {
	t = &Ticket{Client: r.ccPrincipal(), Server: r.ccPrincipal()}
	t.Key.EType = EType(int16(r.u16()))
	if version3 {
		r.u16() // the type once more
	}
	t.Key.Value = bytes.Clone(r.data32())
	t.AuthTime, t.StartTime, t.EndTime, t.RenewTill = r.ccTime(), r.ccTime(), r.ccTime(), r.ccTime()
	isSkey := r.bytes1()
	t.Flags = r.u32()
	r.ccPairs() // addresses
	r.ccPairs() // authorization data
	t.Raw = bytes.Clone(r.data32())
	r.data32() // second ticket
	if r.err != nil {
		t.wipe()
		return nil, false
	}
	if t.StartTime.IsZero() {
		t.StartTime = t.AuthTime
	}
	if t.Server.Realm == "X-CACHECONF:" || isSkey != 0 || t.Key.valid() != nil {
		return nil, false
	}
	w, err := parseTicket(t.Raw)
	if err != nil {
		return nil, false
	}
	// An entry for a referral stands under an empty realm; the ticket knows.
	if t.Server.Realm == "" {
		t.Server = fromWire(w.SName, w.Realm)
	}
	return t, true
}

// ccPairs skips addresses or authorization data: type and counted bytes each.
func (r *fileReader) ccPairs() {
	n := r.u32()
	if n > maxFileField {
		r.err = &FormatError{What: r.what}
	}
	for range n {
		if r.err != nil {
			return
		}
		r.u16()
		r.data32()
	}
}

// Marshal writes the cache, version 4.
func (c *CCache) Marshal() []byte {
	be := binary.BigEndian
	data := func(b, s []byte) []byte { return append(be.AppendUint32(b, uint32(len(s))), s...) }
	principal := func(b []byte, p Principal) []byte {
		b = be.AppendUint32(b, uint32(p.Type))
		b = be.AppendUint32(b, uint32(len(p.Parts)))
		b = data(b, []byte(p.Realm))
		for _, s := range p.Parts {
			b = data(b, []byte(s))
		}
		return b
	}
	when := func(b []byte, t time.Time) []byte {
		if t.IsZero() {
			return be.AppendUint32(b, 0)
		}
		return be.AppendUint32(b, uint32(t.Unix()))
	}
	out := principal([]byte{5, 4, 0, 0}, c.Client)
	for _, t := range c.Tickets {
		out = principal(principal(out, t.Client), t.Server)
		out = be.AppendUint16(out, uint16(t.Key.EType))
		out = data(out, t.Key.Value)
		out = when(when(when(when(out, t.AuthTime), t.StartTime), t.EndTime), t.RenewTill)
		out = append(out, 0)
		out = be.AppendUint32(out, t.Flags)
		out = append(out, make([]byte, 8)...)
		out = data(data(out, t.Raw), nil)
	}
	return out
}

// Wipe overwrites all session keys.
func (c *CCache) Wipe() {
	for _, t := range c.Tickets {
		t.wipe()
	}
}

// TGT returns the ticket-granting ticket of the client's own realm, nil if
// there is none.
func (c *CCache) TGT() *Ticket {
	i := slices.IndexFunc(c.Tickets, func(t *Ticket) bool {
		return t.Server.isTGS() && t.Server.Parts[1] == c.Client.Realm && t.Server.Realm == c.Client.Realm
	})
	if i < 0 {
		return nil
	}
	return c.Tickets[i]
}
