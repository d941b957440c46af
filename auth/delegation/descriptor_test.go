package delegation

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sambaList is what Samba 4.22 makes of O:BAD:(A;;0xf01ff;;;SID)(A;;0xf01ff;;;SID).
const (
	sambaList = "010004801400000000000000000000002400000001020000000000052000000020020000040050000200000000002400ff010f00010500000000000515000000f453e58788e74ea7a5f863ab5b04000000002400ff010f00010500000000000515000000f453e58788e74ea7a5f863ab5c040000"
	first     = "S-1-5-21-2279953396-2806966152-2875455653-1115"
	second    = "S-1-5-21-2279953396-2806966152-2875455653-1116"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func mustSID(t testing.TB, text string) sid {
	t.Helper()
	s, ok := parseSID(text)
	require.True(t, ok)
	return s
}

// Samba's own bytes are read, and what is built from nothing equals them.
func TestSambaDescriptor(t *testing.T) {
	want := unhex(t, sambaList)
	d, err := parseDescriptor(want)
	require.NoError(t, err)
	assert.Equal(t, "S-1-5-32-544", d.owner.String())
	sids, other := d.actors()
	assert.Zero(t, other)
	require.Equal(t, []sid{mustSID(t, first), mustSID(t, second)}, sids)

	built := newDescriptor()
	assert.True(t, built.grant(mustSID(t, first)))
	assert.True(t, built.grant(mustSID(t, second)))
	assert.False(t, built.grant(mustSID(t, second)))
	got, err := built.append(nil)
	require.NoError(t, err)
	assert.Equal(t, want, got)

	assert.True(t, built.revoke(mustSID(t, first)))
	assert.False(t, built.revoke(mustSID(t, first)))
	sids, _ = built.actors()
	assert.Equal(t, []sid{mustSID(t, second)}, sids)
}

// Entries that are no plain grants survive an edit byte for byte.
func TestOtherEntriesAreKept(t *testing.T) {
	d := newDescriptor()
	d.dacl.aces = []ace{
		{kind: aceDeny, mask: maskFull, sid: mustSID(t, second)},
		{kind: 5, flags: 2, rest: []byte{1, 2, 3, 4, 5, 6, 7, 8}}, // an object entry
		{kind: aceAllow, flags: aceInheritOnly, mask: maskFull, sid: mustSID(t, first)},
		{kind: aceAllow, mask: 0x20000, sid: mustSID(t, first)}, // to read only
	}
	d.sacl = []byte{2, 0, 8, 0, 0, 0, 0, 0}
	sids, other := d.actors()
	assert.Empty(t, sids)
	assert.Equal(t, 4, other)
	require.True(t, d.grant(mustSID(t, first)))
	b, err := d.append([]byte("before"))
	require.NoError(t, err)
	again, err := parseDescriptor(b[len("before"):])
	require.NoError(t, err)
	require.Len(t, again.dacl.aces, 5)
	assert.Equal(t, d.dacl.aces[1], again.dacl.aces[1])
	assert.Equal(t, d.sacl, again.sacl)
	require.True(t, again.revoke(mustSID(t, first)))
	assert.Len(t, again.dacl.aces, 4)
}

// The texts and bytes are those of well-known SIDs in [MS-DTYP] section 2.4.2.4.
func TestSID(t *testing.T) {
	for text, bytes := range map[string]string{
		"S-1-5-32-544": "01020000000000052000000020020000",
		"S-1-1-0":      "010100000000000100000000",
		"S-1-5-18":     "010100000000000512000000",
	} {
		s, ok := parseSID(text)
		require.True(t, ok, text)
		assert.Equal(t, unhex(t, bytes), []byte(s))
		assert.Equal(t, text, s.String())
	}
	s, ok := parseSID("S-1-0x010000000000-7")
	require.True(t, ok)
	assert.Equal(t, "S-1-0x010000000000-7", s.String())
	for _, bad := range []string{"", "web1", "S-1", "S-2-5-18", "S-1-5-4294967296", "S-1-x-1", "S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16"} {
		_, ok := parseSID(bad)
		assert.False(t, ok, bad)
	}
}

func TestMalformedDescriptors(t *testing.T) {
	good := unhex(t, sambaList)
	for n := range good {
		_, err := parseDescriptor(good[:n])
		var bad *DescriptorError
		require.ErrorAs(t, err, &bad, "%d bytes", n)
	}
	for name, change := range map[string]func(b []byte){
		"revision":        func(b []byte) { b[0] = 2 },
		"absolute":        func(b []byte) { b[3] = 0 },
		"no access list":  func(b []byte) { b[2] = 0 },
		"null list":       func(b []byte) { b[16] = 0 },
		"offset in front": func(b []byte) { b[16] = 4 },
		"offset behind":   func(b []byte) { b[18] = 1 },
		"entries":         func(b []byte) { b[40] = 9 },
		"entry size":      func(b []byte) { b[46] = 3 },
		"SID size":        func(b []byte) { b[53] = 6 },
	} {
		t.Run(name, func(t *testing.T) {
			b := unhex(t, sambaList)
			change(b)
			_, err := parseDescriptor(b)
			var bad *DescriptorError
			require.ErrorAs(t, err, &bad)
		})
	}
}

// What is read is written so that it is read as the same.
func FuzzDescriptor(f *testing.F) {
	f.Add(unhex(f, sambaList))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parseDescriptor(b)
		if err != nil {
			return
		}
		out, err := d.append(nil)
		if err != nil {
			return // overlapping parts take more room apart
		}
		again, err := parseDescriptor(out)
		require.NoError(t, err)
		require.Equal(t, d.dacl, again.dacl)
		require.Equal(t, d.owner, again.owner)
		for _, a := range d.dacl.aces {
			if a.kind == aceAllow {
				s, ok := parseSID(a.sid.String())
				require.True(t, ok)
				require.Equal(t, a.sid, s)
			}
		}
	})
}
