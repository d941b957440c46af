package delegation

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// sid is a security identifier as the directory holds it, "" for none. See
// [MS-DTYP] section 2.4.2.2; its text is in section 2.4.2.1.
type sid string

const (
	sidHeaderSize = 8
	maxSubs       = 15
)

// cutSID takes one SID off the front.
func cutSID(b []byte) (s sid, rest []byte, err error) {
	if len(b) < sidHeaderSize || b[0] != 1 || b[1] > maxSubs || len(b) < sidHeaderSize+4*int(b[1]) {
		return "", nil, &DescriptorError{"SID"}
	}
	n := sidHeaderSize + 4*int(b[1])
	return sid(b[:n]), b[n:], nil
}

func (s sid) append(out []byte) []byte { return append(out, s...) }

// String is the SID as text, S-1-5-….
func (s sid) String() string {
	if s == "" {
		return ""
	}
	b := []byte(s)
	authority := uint64(binary.BigEndian.Uint16(b[2:]))<<32 | uint64(binary.BigEndian.Uint32(b[4:]))
	text := "S-1-" + strconv.FormatUint(authority, 10)
	if authority > 0xffffffff {
		text = fmt.Sprintf("S-1-0x%012X", authority)
	}
	for b = b[sidHeaderSize:]; len(b) >= 4; b = b[4:] {
		text += "-" + strconv.FormatUint(uint64(binary.LittleEndian.Uint32(b)), 10)
	}
	return text
}

// parseSID reads the text.
func parseSID(text string) (sid, bool) {
	fields := strings.Split(text, "-")
	if len(fields) < 3 || len(fields) > 3+maxSubs || !strings.EqualFold(fields[0], "S") || fields[1] != "1" {
		return "", false
	}
	authority, err := strconv.ParseUint(fields[2], 0, 48)
	if err != nil {
		return "", false
	}
	b := []byte{1, byte(len(fields) - 3)}
	b = binary.BigEndian.AppendUint16(b, uint16(authority>>32)) //nolint:gosec // 48 bits
	b = binary.BigEndian.AppendUint32(b, uint32(authority))     //nolint:gosec // the lower half
	for _, f := range fields[3:] {
		n, err := strconv.ParseUint(f, 10, 32)
		if err != nil {
			return "", false
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return sid(b), true
}
