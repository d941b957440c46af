package krb5_test

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/krb5"
	"github.com/winrmkit/winrmkit/internal/realmtest"
)

const (
	passAlice = "Passw0rd!"
	passOdd   = `pÄss @:/%wörd "quoted" '비밀번호' 🔑`
)

// mitRealm is a realm with users and services of every encryption type.
func mitRealm(t *testing.T, ldap bool) *realmtest.MIT {
	c := realmtest.MITConfig{LDAP: ldap, KAdmin: []string{
		`addprinc -clearpolicy -pw "` + passAlice + `" alice`,
		`addprinc -clearpolicy -pw "pÄss @:/%wörd ""quoted"" '비밀번호' 🔑" odd`,
		`addprinc -clearpolicy -pw "x" -pwexpire yesterday expired`,
		`addprinc -clearpolicy -pw "x" -expire yesterday gone`,
		`addprinc -clearpolicy -pw "x" -allow_tix disabled`,
		`addprinc -clearpolicy -pw "x" -requires_preauth easy`,
		`addprinc -clearpolicy -pw "x" -allow_forwardable sensitive`,
		`addprinc -clearpolicy -pw "x" -e rc4-hmac:normal old`,
		`addprinc -clearpolicy -randkey robot`, `ktadd -norandkey -k $DIR/robot.keytab robot`,
	}}
	for name, options := range map[string]string{
		"host1": "+ok_as_delegate", "host2": "", "front": "+ok_to_auth_as_delegate", "front2": "",
		"sha1-128": "-e aes128-cts:normal", "sha1-256": "-e aes256-cts:normal",
		"sha2-128": "-e aes128-sha2:normal", "sha2-256": "-e aes256-sha2:normal", "rc4": "-e rc4-hmac:normal",
	} {
		spn := "HTTP/" + name + ".example.test"
		c.KAdmin = append(c.KAdmin, "addprinc -randkey -clearpolicy "+options+" "+spn, "ktadd -norandkey -k $DIR/"+name+".keytab "+spn)
	}
	// Otherwise the session's key is AES with SHA-1 whatever the service's is.
	for name, etype := range map[string]string{
		"sha1-128": "aes128-cts", "sha2-128": "aes128-sha2", "sha2-256": "aes256-sha2", "rc4": "rc4-hmac",
	} {
		c.KAdmin = append(c.KAdmin, "setstr HTTP/"+name+".example.test session_enctypes "+etype)
	}
	if ldap {
		c.DelegateTo = map[string][]string{
			"HTTP/front.example.test":  {"HTTP/host1.example.test"},
			"HTTP/front2.example.test": {"HTTP/host1.example.test"},
		}
	}
	return realmtest.StartMIT(t, c)
}

func network(t testing.TB, m *realmtest.MIT) *krb5.Network {
	t.Helper()
	conf, err := krb5.ReadConf(m.Conf)
	require.NoError(t, err)
	return &krb5.Network{Conf: conf}
}

func password(s string) krb5.Secret {
	return krb5.Password(func(context.Context) (string, error) { return s, nil })
}

func newClient(t testing.TB, c krb5.ClientConfig) *krb5.Client {
	t.Helper()
	client, err := krb5.NewClient(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

func principal(t testing.TB, name string) krb5.Principal {
	t.Helper()
	p, err := krb5.ParsePrincipal(name)
	require.NoError(t, err)
	return p
}

func userClient(t testing.TB, m *realmtest.MIT, name, pass string, etypes ...krb5.EType) *krb5.Client {
	t.Helper()
	return newClient(t, krb5.ClientConfig{
		Network: network(t, m), Principal: principal(t, name+"@"+m.Realm), Secret: password(pass), ETypes: etypes,
	})
}

func keytabClient(t testing.TB, m *realmtest.MIT, file string) *krb5.Client {
	t.Helper()
	kt, err := krb5.ReadKeytab(m.Path(file))
	require.NoError(t, err)
	return newClient(t, krb5.ClientConfig{Network: network(t, m), Principal: kt.Principals()[0], Secret: krb5.KeytabSecret{Keytab: kt}})
}

func service(name string) krb5.Principal {
	return krb5.Service("HTTP", name+".example.test", "")
}

func TestMITLogon(t *testing.T) {
	m := mitRealm(t, false)
	ctx := t.Context()
	good := map[string]string{"alice": passAlice, "odd": passOdd, "easy": "x"}
	for name, pass := range good {
		t.Run(name, func(t *testing.T) {
			tgt, err := userClient(t, m, name, pass).TGT(ctx)
			require.NoError(t, err)
			assert.Equal(t, name+"@"+m.Realm, tgt.Client.String())
			assert.NotZero(t, tgt.Flags&krb5.FlagForwardable)
			assert.NotZero(t, tgt.Flags&krb5.FlagRenewable)
		})
	}
	bad := map[string]krb5.Code{
		"alice": krb5.ErrPreAuthFailed, "expired": krb5.ErrKeyExpired, "disabled": krb5.ErrClientRevoked, "gone": krb5.ErrClientExpired,
		"nobody": krb5.ErrClientUnknown, "easy": krb5.ErrBadIntegrity, "old": krb5.ErrETypeNoSupport,
	}
	for name, want := range bad {
		t.Run(name+" refused", func(t *testing.T) {
			_, err := userClient(t, m, name, "wrong").TGT(ctx)
			require.ErrorIs(t, err, want)
			var e *krb5.Error
			if assert.ErrorAs(t, err, &e) {
				assert.NotEmpty(t, e.Cause())
				assert.NotEmpty(t, e.Remedy())
				assert.Equal(t, m.KDC, e.KDC)
			}
		})
	}
	t.Run("keytab", func(t *testing.T) {
		_, err := keytabClient(t, m, "robot.keytab").TGT(ctx)
		require.NoError(t, err)
	})
	t.Run("RC4 asked for", func(t *testing.T) {
		_, err := userClient(t, m, "old", "x", krb5.AES256SHA1, krb5.RC4).TGT(ctx)
		require.NoError(t, err)
	})
	for _, e := range []krb5.EType{krb5.AES128SHA1, krb5.AES256SHA1, krb5.AES128SHA256, krb5.AES256SHA384} {
		t.Run(e.String(), func(t *testing.T) {
			tgt, err := userClient(t, m, "alice", passAlice, e).TGT(ctx)
			require.NoError(t, err)
			assert.Equal(t, e, tgt.Key.EType)
		})
	}
}

func TestMITCCache(t *testing.T) {
	m := mitRealm(t, false)
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(dir+"/col", 0o700))
	for name, cache := range map[string]string{"FILE": "FILE:" + dir + "/cc", "DIR": "DIR:" + dir + "/col"} {
		t.Run(name, func(t *testing.T) {
			m.KInit(t, "alice", passAlice, cache)
			cc, err := krb5.ReadCCache(cache)
			require.NoError(t, err)
			require.NotNil(t, cc.TGT())
			c := newClient(t, krb5.ClientConfig{Network: network(t, m), Principal: cc.Client, Tickets: cc.Tickets})
			tgt, err := c.TGT(t.Context())
			require.NoError(t, err)
			assert.Equal(t, "alice@"+m.Realm, tgt.Client.String())
			_, err = c.Ticket(t.Context(), service("host1"))
			require.NoError(t, err)
		})
	}
	t.Run("renewed before its end", func(t *testing.T) {
		cache := "FILE:" + dir + "/short"
		m.KInit(t, "alice", passAlice, cache, "-l", "40s", "-r", "1h")
		cc, err := krb5.ReadCCache(cache)
		require.NoError(t, err)
		c := newClient(t, krb5.ClientConfig{Network: network(t, m), Principal: cc.Client, Tickets: cc.Tickets})
		before := cc.TGT()
		assert.NotZero(t, before.Flags&krb5.FlagRenewable)
		tgt, err := c.TGT(t.Context())
		require.NoError(t, err)
		assert.Equal(t, before.EndTime, tgt.EndTime, "long enough")
		m.KInit(t, "alice", passAlice, cache, "-l", "25s", "-r", "1h")
		cc, err = krb5.ReadCCache(cache)
		require.NoError(t, err)
		c = newClient(t, krb5.ClientConfig{Network: network(t, m), Principal: cc.Client, Tickets: cc.Tickets})
		tgt, err = c.TGT(t.Context())
		require.NoError(t, err)
		assert.NotEqual(t, cc.TGT().Raw, tgt.Raw)
	})
	t.Run("ours is read by MIT", func(t *testing.T) {
		tgt, err := userClient(t, m, "alice", passAlice).TGT(t.Context())
		require.NoError(t, err)
		cc := krb5.CCache{Client: tgt.Client, Tickets: []*krb5.Ticket{tgt}}
		require.NoError(t, os.WriteFile(dir+"/ours", cc.Marshal(), 0o600))
		g := realmtest.StartGSS(t, append(m.Env, "KRB5CCNAME=FILE:"+dir+"/ours"), "init", "HTTP@host1.example.test")
		assert.NotEmpty(t, g.Do(realmtest.GSSRequest{Op: "step"}).Data)
	})
}

func TestMITDelegation(t *testing.T) {
	m := mitRealm(t, true)
	ctx := t.Context()
	alice := principal(t, "alice@"+m.Realm)

	t.Run("protocol transition", func(t *testing.T) {
		front := keytabClient(t, m, "front.keytab")
		evidence, err := front.ForUser(ctx, alice)
		require.NoError(t, err)
		assert.NotZero(t, evidence.Flags&krb5.FlagForwardable)
		ticket, err := front.Proxy(ctx, evidence, service("host1"))
		require.NoError(t, err)
		assert.Equal(t, alice.String(), ticket.Client.String())
		acceptTicket(t, m, ticket, "host1", "alice@"+m.Realm)

		_, err = front.Proxy(ctx, evidence, service("host2"))
		var refused *krb5.DelegationError
		require.ErrorAs(t, err, &refused)
		_, err = front.ForUser(ctx, principal(t, "nobody@"+m.Realm))
		require.ErrorIs(t, err, krb5.ErrClientUnknown)
	})
	t.Run("not trusted for protocol transition", func(t *testing.T) {
		front := keytabClient(t, m, "front2.keytab")
		evidence, err := front.ForUser(ctx, alice)
		require.NoError(t, err)
		assert.Zero(t, evidence.Flags&krb5.FlagForwardable)
		_, err = front.Proxy(ctx, evidence, service("host1"))
		var refused *krb5.DelegationError
		require.ErrorAs(t, err, &refused)
	})
	t.Run("the user's own ticket as evidence", func(t *testing.T) {
		front := keytabClient(t, m, "front2.keytab")
		evidence, err := userClient(t, m, "alice", passAlice).Ticket(ctx, service("front2"))
		require.NoError(t, err)
		ticket, err := front.Proxy(ctx, evidence, service("host1"))
		require.NoError(t, err)
		acceptTicket(t, m, ticket, "host1", "alice@"+m.Realm)
	})
	t.Run("user without forwardable tickets", func(t *testing.T) {
		_, err := userClient(t, m, "sensitive", "x").Forward(ctx)
		require.ErrorIs(t, err, krb5.ErrNotForwardable)
	})
}

// acceptTicket shows that MIT's acceptor takes a ticket.
func acceptTicket(t *testing.T, m *realmtest.MIT, ticket *krb5.Ticket, host, client string) {
	t.Helper()
	acceptTicketWith(t, m, ticket, host+".keytab", client)
}

func acceptTicketWith(t *testing.T, m *realmtest.MIT, ticket *krb5.Ticket, keytab, client string) {
	t.Helper()
	g := realmtest.StartGSS(t, append(m.Env, "KRB5_KTNAME=FILE:"+m.Path(keytab)), "accept")
	i, err := krb5.NewInitiator(krb5.InitiatorConfig{Ticket: ticket})
	require.NoError(t, err)
	token, err := i.Token()
	require.NoError(t, err)
	answer := g.Do(realmtest.GSSRequest{Op: "step", Data: token})
	assert.Equal(t, client, answer.Name)
	_, err = i.Finish(answer.Data)
	require.NoError(t, err)
}
