package winrm

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
)

// shellTag begins the ids of all shells that this package opens: "WRKT" in
// ASCII. The ids are UUIDs of version 8, whose content is up to whoever makes
// them (RFC 9562 section 5.8), so that shells left behind can be told from
// other programs'.
const shellTag = "57524B54"

func newShellID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	b[2] = b[2]&0x0F | 0x80
	b[4] = b[4]&0x3F | 0x80
	h := strings.ToUpper(hex.EncodeToString(b[:]))
	return shellTag + "-" + h[:4] + "-" + h[4:8] + "-" + h[8:12] + "-" + h[12:]
}

// isOurs reports whether a shell was opened by this package.
func isOurs(id string) bool {
	return len(id) == 36 && strings.EqualFold(id[:len(shellTag)], shellTag) && id[14] == '8'
}
