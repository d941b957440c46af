package kerberos_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/kerberos"
	"github.com/winrmkit/winrmkit/internal/krb5"
	"github.com/winrmkit/winrmkit/internal/realmtest"
	"github.com/winrmkit/winrmkit/winrm/winrmtest"
)

// Whose tickets or keys are used is what the user's name says, in any spelling
// that it can have, and nobody else's.
func TestNamedUser(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	cache := func(user string) []byte {
		b, err := winrmtest.NewRealm(testRealm).CCache(user)
		require.NoError(t, err)
		return b
	}
	alice := write("alice", cache("alice"))
	write("col/tkt", cache("alice"))
	write("col/tktBob", cache("bob"))
	write("col/tktBroken", []byte("broken"))
	write("col/primary", []byte("tktBob\n"))
	collection := "DIR:" + filepath.Join(dir, "col")
	key, err := krb5.NewKey(krb5.DefaultETypes()[0])
	require.NoError(t, err)
	keytab := []byte{5, 2}
	for _, name := range []string{"host/srv1@" + testRealm, "robot@OTHER.TEST", "robot@" + testRealm, "Job@" + testRealm} {
		p, err := krb5.ParsePrincipal(name)
		require.NoError(t, err)
		keytab = append(keytab, krb5.KeytabFor(p, 1, key).Marshal()[2:]...)
	}
	keys := write("keytab", keytab)

	withRealm := write("krb5.conf", []byte("[libdefaults]\ndefault_realm = "+testRealm+"\n"))
	for _, tc := range []struct {
		name, user string
		cfg        kerberos.Config
		want       string   // "": refused
		holds      []string // what the refusal tells
	}{
		{"cache, nobody named", "", kerberos.Config{CCache: alice}, "alice@EXAMPLE.TEST", nil},
		{"cache, short name", "alice", kerberos.Config{CCache: alice}, "alice@EXAMPLE.TEST", nil},
		{"cache, UPN", "ALICE@example.test", kerberos.Config{CCache: "FILE:" + alice}, "alice@EXAMPLE.TEST", nil},
		{"cache, NetBIOS name", `EXAMPLE\alice`, kerberos.Config{CCache: alice}, "alice@EXAMPLE.TEST", nil},
		{"cache, other user", "bob", kerberos.Config{CCache: alice}, "", []string{"alice@EXAMPLE.TEST"}},
		{"cache, other realm", "alice@other.test", kerberos.Config{CCache: alice}, "", []string{"alice@EXAMPLE.TEST"}},
		{"cache, realm set", "alice", kerberos.Config{CCache: alice, Realm: "OTHER.TEST"}, "", []string{"alice@EXAMPLE.TEST"}},
		{"cache, local account", `.\alice`, kerberos.Config{CCache: alice}, "", []string{"alice@EXAMPLE.TEST"}},
		{"cache in memory", "bob", kerberos.Config{CCacheData: cache("alice")}, "", []string{"alice@EXAMPLE.TEST"}},
		{"collection, nobody named", "", kerberos.Config{CCache: collection}, "bob@EXAMPLE.TEST", nil},
		{"collection, not the primary", "alice", kerberos.Config{CCache: collection}, "alice@EXAMPLE.TEST", nil},
		{"one of a collection", "alice", kerberos.Config{CCache: "DIR::" + filepath.Join(dir, "col", "tktBob")}, "", []string{"bob@EXAMPLE.TEST"}},
		{"keytab, nobody named", "", kerberos.Config{Keytab: "FILE:" + keys}, "host/srv1@EXAMPLE.TEST", nil},
		{"keytab, realm from the keytab", "robot", kerberos.Config{Keytab: keys}, "robot@OTHER.TEST", nil},
		{"keytab, default realm", "robot", kerberos.Config{Keytab: keys, ConfigFile: withRealm}, "robot@EXAMPLE.TEST", nil},
		{"keytab, realm named", "robot@example.test", kerberos.Config{Keytab: "WRFILE:" + keys}, "robot@EXAMPLE.TEST", nil},
		{"keytab, another case", "job", kerberos.Config{Keytab: keys, ConfigFile: withRealm}, "Job@EXAMPLE.TEST", nil},
		{"keytab, service", "host/srv1", kerberos.Config{Keytab: keys}, "host/srv1@EXAMPLE.TEST", nil},
		{"keytab, other user", "bob", kerberos.Config{Keytab: keys}, "", []string{"host/srv1@EXAMPLE.TEST", "robot@OTHER.TEST", "robot@EXAMPLE.TEST", "Job@EXAMPLE.TEST"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.cfg.Credentials = auth.Credentials{User: tc.user}
			if tc.cfg.ConfigFile == "" {
				tc.cfg.ConfigFile = "-"
			}
			m, err := kerberos.New(&tc.cfg)
			if tc.want == "" {
				var other *kerberos.OtherAccountError
				require.ErrorAs(t, err, &other)
				assert.Equal(t, tc.holds, other.Holds)
				assert.ErrorContains(t, err, tc.holds[0])
				return
			}
			require.NoError(t, err)
			defer m.Close()
			assert.Equal(t, tc.want, m.Account())
		})
	}
	t.Run("collection, a broken cache where nobody matches", func(t *testing.T) {
		_, err := kerberos.New(&kerberos.Config{CCache: collection, ConfigFile: "-", Credentials: auth.Credentials{User: "carol"}})
		assert.ErrorContains(t, err, "tktBroken")
	})
	t.Run("no cache", func(t *testing.T) {
		_, err := kerberos.New(&kerberos.Config{CCache: alice + "x", ConfigFile: "-"})
		require.ErrorIs(t, err, os.ErrNotExist)
		assert.ErrorContains(t, err, "kinit")
	})
	t.Run("no secret", func(t *testing.T) {
		_, err := kerberos.New(&kerberos.Config{ConfigFile: "-", Credentials: auth.Credentials{User: "alice@example.test"}})
		assert.ErrorContains(t, err, "CCache")
	})
}

// A cache that holds nothing but a ticket for the host serves for it, by
// whichever of the names.
func TestCacheOfOneServiceTicket(t *testing.T) {
	key, err := krb5.NewKey(krb5.DefaultETypes()[0])
	require.NoError(t, err)
	alice := krb5.Principal{Type: krb5.NTPrincipal, Parts: []string{"alice"}, Realm: testRealm}
	cache := func(lifetime time.Duration) []byte {
		ticket, err := krb5.Mint{
			Client: alice, Server: krb5.Service("WSMAN", host, testRealm), ServiceKey: key, KVNO: 1,
			Now: time.Now().Add(-time.Hour), Lifetime: lifetime,
		}.Ticket()
		require.NoError(t, err)
		return (&krb5.CCache{Client: alice, Tickets: []*krb5.Ticket{ticket}}).Marshal()
	}
	mech, err := winrmtest.Kerberos(krb5.KeytabFor(krb5.Service("WSMAN", host, testRealm), 1, key).Marshal())
	require.NoError(t, err)
	d := &domain{server: start(t, mech, false, map[string]string{"Service/Auth/Kerberos": "true"})}
	got, err := d.whoami(t, open(t, &kerberos.Config{CCacheData: cache(10 * time.Hour), ConfigFile: "-"}))
	require.NoError(t, err)
	assert.Equal(t, "alice@"+testRealm, got)

	_, err = d.whoami(t, open(t, &kerberos.Config{CCacheData: cache(30 * time.Minute), ConfigFile: "-"}))
	var none *kerberos.NoTicketError
	require.ErrorAs(t, err, &none)
}

// TestMITOddFiles has what kinit, ktutil and the configuration of other machines
// leave behind: caches of version 3, collections, keytabs that have seen several
// passwords, files written on Windows.
func TestMITOddFiles(t *testing.T) {
	m := realmtest.StartMIT(t, realmtest.MITConfig{
		Conf: "[libdefaults]\n  ccache_type = 3\n",
		KAdmin: []string{
			`addprinc -clearpolicy -pw secret alice`, `addprinc -clearpolicy -pw secret bob`,
			`addprinc -clearpolicy -randkey robot`, `ktadd -k $DIR/robot.keytab robot`, `ktadd -k $DIR/robot.keytab robot`,
			`addprinc -clearpolicy -randkey changed`, `ktadd -norandkey -k $DIR/old.keytab changed`, `cpw -randkey changed`,
			`addprinc -clearpolicy -randkey HTTP/` + host, `ktadd -norandkey -k $DIR/server.keytab HTTP/` + host,
		},
	})
	m.KInit(t, "alice", "secret", "FILE:"+m.Path("v3"))
	content, err := os.ReadFile(m.Path("v3"))
	require.NoError(t, err)
	require.Equal(t, []byte{5, 3}, content[:2])
	require.NoError(t, os.Mkdir(m.Path("col"), 0o700))
	m.KInit(t, "alice", "secret", "DIR:"+m.Path("col"))
	m.KInit(t, "bob", "secret", "DIR:"+m.Path("col"))
	onWindows := m.Path("krb5.ini")
	require.NoError(t, os.WriteFile(onWindows, []byte("\ufeff[libdefaults]\r\n default_realm = EXAMPLE.TEST\r\n"+
		"[realms]\r\n EXAMPLE.TEST =\r\n {\r\n  kdc = "+m.KDC+" \t # the only one\r\n }\r\n"), 0o600))
	accept, err := os.ReadFile(m.Path("server.keytab"))
	require.NoError(t, err)
	mech, err := winrmtest.Kerberos(accept)
	require.NoError(t, err)
	d := &domain{server: start(t, mech, false, map[string]string{"Service/Auth/Kerberos": "true"})}
	for name, tc := range map[string]struct {
		cfg  kerberos.Config
		want string
	}{
		"cache of version 3":         {kerberos.Config{CCache: m.Path("v3")}, "alice"},
		"primary of a collection":    {kerberos.Config{CCache: "DIR:" + m.Path("col")}, "bob"},
		"another of it":              {kerberos.Config{CCache: "DIR:" + m.Path("col"), Credentials: auth.Credentials{User: "alice"}}, "alice"},
		"keytab of several versions": {kerberos.Config{Keytab: m.Path("robot.keytab")}, "robot"},
		"a file from Windows": {
			kerberos.Config{ConfigFile: onWindows, Credentials: auth.Credentials{User: "alice", Password: "secret"}}, "alice",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.cfg.ConfigFile == "" {
				tc.cfg.ConfigFile = m.Conf
			}
			got, err := d.whoami(t, open(t, &tc.cfg))
			require.NoError(t, err)
			assert.Equal(t, tc.want+"@EXAMPLE.TEST", got)
		})
	}
	t.Run("keytab of an old password", func(t *testing.T) {
		_, err := d.whoami(t, open(t, &kerberos.Config{Keytab: m.Path("old.keytab"), ConfigFile: m.Conf}))
		require.ErrorIs(t, err, kerberos.ErrPreAuthFailed)
		assert.ErrorContains(t, err, "make it anew")
	})
}
