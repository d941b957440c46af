package kerberos_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/kerberos"
)

// blob is msDS-ManagedPassword as [MS-ADTS] section 2.2.19 lays it out, without
// padding, as domain controllers write it.
func blob(current, previous string) []byte {
	text := func(s string) []byte {
		var b []byte
		for _, u := range append(utf16.Encode([]rune(s)), 0) {
			b = binary.LittleEndian.AppendUint16(b, u)
		}
		return b
	}
	cur, prev := text(current), text(previous)
	le := binary.LittleEndian
	b := le.AppendUint16(nil, 1)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, uint32(16+len(cur)+len(prev)+16))
	b = le.AppendUint16(b, 16)
	b = le.AppendUint16(b, uint16(16+len(cur)))
	b = le.AppendUint16(b, uint16(16+len(cur)+len(prev)))
	b = le.AppendUint16(b, uint16(16+len(cur)+len(prev)+8))
	b = append(append(b, cur...), prev...)
	b = le.AppendUint64(b, uint64(time.Hour/100))
	return le.AppendUint64(b, uint64(55*time.Minute/100))
}

// TestManagedAccountAroundAChange: the KDC has the new password, or still the old.
func TestManagedAccountAroundAChange(t *testing.T) {
	for known, failed := range map[string]int{"new-password": 0, "old-password": 1} {
		t.Run(known, func(t *testing.T) {
			d := newDomain(t, "HTTP/"+host)
			d.kdc.Users["svc1$"] = known
			reads := 0
			m := open(t, &kerberos.Config{
				ConfigFile: "-", KDCs: []string{d.addr},
				Managed: &kerberos.ManagedAccount{
					Name: "svc1", Realm: "example.test",
					Password: kerberos.PasswordBlobFunc(func(context.Context) ([]byte, error) {
						reads++
						return blob("new-password", "old-password"), nil
					}),
				},
			})
			user, err := d.whoami(t, auth.Negotiate(m))
			require.NoError(t, err)
			assert.Equal(t, "svc1$@"+testRealm, user)
			assert.Equal(t, failed, d.kdc.Counts().Failed)
			assert.Equal(t, 1, reads)
		})
	}
}

func TestCredentialSpec(t *testing.T) {
	const spec = `{"CmsPlugins":["ActiveDirectory"],
 "DomainJoinConfig":{"Sid":"S-1-5-21-1-2-3","MachineAccountName":"webapp01","Guid":"g","DnsTreeName":"contoso.com","DnsName":"contoso.com","NetBiosName":"CONTOSO","Later":{"x":1}},
 "ActiveDirectoryConfig":{"GroupManagedServiceAccounts":[{"Name":"webapp01","Scope":"contoso.com"},{"Name":"webapp01","Scope":"CONTOSO"}],
  "HostAccountConfig":{"PortableCcgVersion":"1","PluginGUID":"{X}","PluginInput":"a:b"}},"Future":[1,2]}`
	for _, text := range []string{spec, `{"apiVersion":"windows.k8s.io/v1","kind":"GMSACredentialSpec","credspec":` + spec + `}`} {
		var s kerberos.CredentialSpec
		require.NoError(t, json.Unmarshal([]byte(text), &s))
		assert.Equal(t, kerberos.ManagedAccount{Name: "webapp01", Realm: "CONTOSO.COM"}, s.Account())
		assert.Len(t, s.ActiveDirectoryConfig.GroupManagedServiceAccounts, 2)
		out, err := json.Marshal(s)
		require.NoError(t, err)
		assert.JSONEq(t, spec, string(out))
	}
	var s kerberos.CredentialSpec
	for _, text := range []string{`{}`, `[]`, `{"DomainJoinConfig":{}}`, `{"credspec":{"credspec":1}}`} {
		assert.Error(t, json.Unmarshal([]byte(text), &s), text)
	}
}
