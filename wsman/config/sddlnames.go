package config

import (
	"strconv"
	"strings"
)

// sidNames are the abbreviations of SIDs that are the same everywhere. See
// [MS-DTYP] section 2.5.1.1.
var sidNames = map[string]string{
	"WD": "S-1-1-0", "CO": "S-1-3-0", "CG": "S-1-3-1", "OW": "S-1-3-4",
	"NU": "S-1-5-2", "IU": "S-1-5-4", "SU": "S-1-5-6", "AN": "S-1-5-7", "ED": "S-1-5-9", "PS": "S-1-5-10",
	"AU": "S-1-5-11", "RC": "S-1-5-12", "SY": "S-1-5-18", "LS": "S-1-5-19", "NS": "S-1-5-20", "WR": "S-1-5-33",
	"BA": "S-1-5-32-544", "BU": "S-1-5-32-545", "BG": "S-1-5-32-546", "PU": "S-1-5-32-547", "AO": "S-1-5-32-548",
	"SO": "S-1-5-32-549", "PO": "S-1-5-32-550", "BO": "S-1-5-32-551", "RE": "S-1-5-32-552", "RU": "S-1-5-32-554",
	"RD": "S-1-5-32-555", "NO": "S-1-5-32-556", "MU": "S-1-5-32-558", "LU": "S-1-5-32-559", "IS": "S-1-5-32-568",
	"CY": "S-1-5-32-569", "ER": "S-1-5-32-573", "CD": "S-1-5-32-574", "RA": "S-1-5-32-575", "ES": "S-1-5-32-576",
	"MS": "S-1-5-32-577", "HA": "S-1-5-32-578", "AA": "S-1-5-32-579", "RM": "S-1-5-32-580",
	"UD": "S-1-5-84-0-0-0-0-0", "AC": "S-1-15-2-1", "AS": "S-1-18-1", "SS": "S-1-18-2",
	"LW": "S-1-16-4096", "ME": "S-1-16-8192", "MP": "S-1-16-8448", "HI": "S-1-16-12288", "SI": "S-1-16-16384",
}

// ridNames are those of accounts of a domain or computer: all but the last part
// of their SIDs depends on that.
var ridNames = map[string]string{
	"RO": "498", "LA": "500", "LG": "501", "DA": "512", "DU": "513", "DG": "514", "DC": "515", "DD": "516", "CA": "517",
	"SA": "518", "EA": "519", "PA": "520", "CN": "522", "AP": "525", "KA": "526", "EK": "527", "RS": "553",
}

// rightNames are the rights, [MS-DTYP] section 2.5.1.1.
var rightNames = map[string]uint32{
	"GA": 0x10000000, "GX": 0x20000000, "GW": 0x40000000, "GR": 0x80000000,
	"SD": 0x10000, "RC": 0x20000, "WD": 0x40000, "WO": 0x80000,
	"CC": 0x1, "DC": 0x2, "LC": 0x4, "SW": 0x8, "RP": 0x10, "WP": 0x20, "DT": 0x40, "LO": 0x80, "CR": 0x100,
	"FA": 0x1F01FF, "FR": 0x120089, "FW": 0x120116, "FX": 0x1200A0,
	"KA": 0xF003F, "KR": 0x20019, "KW": 0x20006, "KX": 0x20019,
	"NW": 0x1, "NR": 0x2, "NX": 0x4,
}

// isSID reports whether a text is a SID or an abbreviation of one.
func isSID(text string) bool {
	upper := strings.ToUpper(text)
	if sidNames[upper] != "" || ridNames[upper] != "" {
		return true
	}
	rest, ok := strings.CutPrefix(upper, "S-")
	if !ok {
		return false
	}
	parts := strings.Split(rest, "-")
	for _, p := range parts {
		if _, err := strconv.ParseUint(p, 0, 48); err != nil {
			return false
		}
	}
	return len(parts) >= 3 && len(parts) <= 2+15 // revision, authority, sub-authorities
}

// sameSID reports whether two texts mean the same user or group. Windows prints
// an abbreviation where it has one, whatever it was given.
func sameSID(a, b string) bool {
	a, b = strings.ToUpper(a), strings.ToUpper(b)
	if a == b {
		return true
	}
	return longSID(a) == longSID(b) || isRelative(a, b) || isRelative(b, a)
}

func longSID(upper string) string {
	if long, ok := sidNames[upper]; ok {
		return long
	}
	return upper
}

// isRelative reports whether name abbreviates an account with the SID of some
// domain or computer.
func isRelative(name, sid string) bool {
	rid, ok := ridNames[name]
	return ok && strings.HasPrefix(sid, "S-1-5-21-") && strings.HasSuffix(sid, "-"+rid)
}

// rightsMask is what rights mean: names of two letters each, or a number.
func rightsMask(text string) (mask uint32, ok bool) {
	if text != "" && text[0] >= '0' && text[0] <= '9' {
		n, err := strconv.ParseUint(text, 0, 32)
		return uint32(n), err == nil
	}
	if len(text)%2 != 0 {
		return 0, false
	}
	for i := 0; i < len(text); i += 2 {
		bit, known := rightNames[strings.ToUpper(text[i:i+2])]
		if !known {
			return 0, false
		}
		mask |= bit
	}
	return mask, true
}
