package ntlm

import "encoding/binary"

// Kinds of AV pairs. See [MS-NLMP] section 2.2.2.1.
const (
	avEOL             uint16 = 0x0 // MsvAvEOL
	avNbComputerName  uint16 = 0x1 // MsvAvNbComputerName
	avNbDomainName    uint16 = 0x2 // MsvAvNbDomainName
	avDNSComputerName uint16 = 0x3 // MsvAvDnsComputerName
	avDNSDomainName   uint16 = 0x4 // MsvAvDnsDomainName
	avDNSTreeName     uint16 = 0x5 // MsvAvDnsTreeName
	avFlags           uint16 = 0x6 // MsvAvFlags
	avTimestamp       uint16 = 0x7 // MsvAvTimestamp
	avTargetName      uint16 = 0x9 // MsvAvTargetName
	avChannelBindings uint16 = 0xA // MsvAvChannelBindings
)

// avFlagMIC in MsvAvFlags says that the AUTHENTICATE message carries a MIC.
const avFlagMIC uint32 = 2

// maxPairs bounds a list; Windows sends about ten.
const maxPairs = 64

// An avPair is one entry of the target information; its value points into the
// message that it came from.
type avPair struct {
	id    uint16
	value []byte
}

// avList is the target information of a CHALLENGE message or of a response,
// without the pair that ends it.
type avList []avPair

// parseAVList reads the pairs up to the one that ends the list. What follows
// that is ignored; so the list inside a response can be read, too.
func parseAVList(p []byte) (avList, bool) {
	var list avList
	for len(p) >= 4 && len(list) < maxPairs {
		id, n := binary.LittleEndian.Uint16(p), int(binary.LittleEndian.Uint16(p[2:]))
		p = p[4:]
		if id == avEOL {
			return list, true
		}
		if n > len(p) {
			return nil, false
		}
		list = append(list, avPair{id, p[:n:n]})
		p = p[n:]
	}
	return nil, false
}

func (l avList) get(id uint16) ([]byte, bool) {
	for _, pair := range l {
		if pair.id == id {
			return pair.value, true
		}
	}
	return nil, false
}

// text returns the value of a pair that holds text, "" if it is not there.
func (l avList) text(id uint16) string {
	value, _ := l.get(id)
	return fromUTF16LE(value)
}

// flags returns the value of MsvAvFlags.
func (l avList) flags() uint32 {
	if value, ok := l.get(avFlags); ok && len(value) == 4 {
		return binary.LittleEndian.Uint32(value)
	}
	return 0
}

// set replaces the pair of that kind, or adds it at the end.
func (l avList) set(id uint16, value []byte) avList {
	for i, pair := range l {
		if pair.id == id {
			l[i].value = value
			return l
		}
	}
	return append(l, avPair{id, value})
}

func (l avList) setFlags(flags uint32) avList {
	return l.set(avFlags, binary.LittleEndian.AppendUint32(nil, flags))
}

// append writes the list with its end to dst. A value that is too long for its
// field cannot come from parseAVList and is checked by those who make one.
func (l avList) append(dst []byte) []byte {
	for _, pair := range l {
		dst = binary.LittleEndian.AppendUint16(dst, pair.id)
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(pair.value)))
		dst = append(dst, pair.value...)
	}
	return append(dst, 0, 0, 0, 0)
}
