package ntlm

import (
	"fmt"
	"strings"
)

// Flags is the set of negotiated abilities. See [MS-NLMP] section 2.2.2.5.
type Flags uint32

// The flags that this package gives a meaning to.
const (
	FlagUnicode         Flags = 1 << 0  // NTLMSSP_NEGOTIATE_UNICODE
	FlagOEM             Flags = 1 << 1  // NTLM_NEGOTIATE_OEM
	FlagRequestTarget   Flags = 1 << 2  // NTLMSSP_REQUEST_TARGET
	FlagSign            Flags = 1 << 4  // NTLMSSP_NEGOTIATE_SIGN
	FlagSeal            Flags = 1 << 5  // NTLMSSP_NEGOTIATE_SEAL
	FlagLMKey           Flags = 1 << 7  // NTLMSSP_NEGOTIATE_LM_KEY
	FlagNTLM            Flags = 1 << 9  // NTLMSSP_NEGOTIATE_NTLM
	FlagAnonymous       Flags = 1 << 11 // NTLMSSP_ANONYMOUS
	FlagAlwaysSign      Flags = 1 << 15 // NTLMSSP_NEGOTIATE_ALWAYS_SIGN
	FlagTargetDomain    Flags = 1 << 16 // NTLMSSP_TARGET_TYPE_DOMAIN
	FlagTargetServer    Flags = 1 << 17 // NTLMSSP_TARGET_TYPE_SERVER
	FlagExtendedSession Flags = 1 << 19 // NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY
	FlagTargetInfo      Flags = 1 << 23 // NTLMSSP_NEGOTIATE_TARGET_INFO
	FlagVersion         Flags = 1 << 25 // NTLMSSP_NEGOTIATE_VERSION
	Flag128             Flags = 1 << 29 // NTLMSSP_NEGOTIATE_128
	FlagKeyExchange     Flags = 1 << 30 // NTLMSSP_NEGOTIATE_KEY_EXCH
	Flag56              Flags = 1 << 31 // NTLMSSP_NEGOTIATE_56
)

// sealFlags is the least that sealing may rest on: fewer would mean 40 or 56
// bit keys, a key without fresh randomness, or no protection at all.
const sealFlags = FlagUnicode | FlagSign | FlagSeal | FlagKeyExchange | Flag128 | FlagExtendedSession

// plainFlags is the least of a logon whose channel is protected by TLS.
const plainFlags = FlagUnicode | FlagExtendedSession

// leastOf is what an acceptor asks of a client. One that knows no Unicode may
// use the OEM character set (section 2.2.2.5): the proof covers Unicode in any case.
func leastOf(offered Flags) Flags {
	if offered.oem() {
		return plainFlags &^ FlagUnicode
	}
	return plainFlags
}

// oem reports whether names are in the OEM character set: Unicode wins over it.
func (f Flags) oem() bool { return f&(FlagUnicode|FlagOEM) == FlagOEM }

// offeredFlags is what an initiator asks for, sealing apart.
const offeredFlags = Flag56 | FlagKeyExchange | Flag128 | FlagVersion | FlagExtendedSession |
	FlagAlwaysSign | FlagNTLM | FlagSign | FlagRequestTarget | FlagUnicode

var flagNames = []struct {
	flag Flags
	name string
}{
	{FlagUnicode, "UNICODE"},
	{FlagOEM, "OEM"},
	{FlagRequestTarget, "REQUEST_TARGET"},
	{FlagSign, "SIGN"},
	{FlagSeal, "SEAL"},
	{FlagLMKey, "LM_KEY"},
	{FlagNTLM, "NTLM"},
	{FlagAnonymous, "ANONYMOUS"},
	{FlagAlwaysSign, "ALWAYS_SIGN"},
	{FlagTargetDomain, "TARGET_TYPE_DOMAIN"},
	{FlagTargetServer, "TARGET_TYPE_SERVER"},
	{FlagExtendedSession, "EXTENDED_SESSIONSECURITY"},
	{FlagTargetInfo, "TARGET_INFO"},
	{FlagVersion, "VERSION"},
	{Flag128, "128"},
	{FlagKeyExchange, "KEY_EXCH"},
	{Flag56, "56"},
}

// Has reports whether all of want are set.
func (f Flags) Has(want Flags) bool { return f&want == want }

// String lists the flags by the last part of their names in the specification.
func (f Flags) String() string {
	var names []string
	for _, n := range flagNames {
		if f&n.flag != 0 {
			names = append(names, n.name)
			f &^= n.flag
		}
	}
	if f != 0 || len(names) == 0 {
		names = append(names, fmt.Sprintf("%#x", uint32(f)))
	}
	return strings.Join(names, "|")
}
