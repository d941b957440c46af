//go:build unix

package krb5_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/krb5"
	"github.com/winrmkit/winrmkit/internal/realmtest"
)

func adClient(t testing.TB, s *realmtest.Samba, c krb5.ClientConfig) *krb5.Client {
	t.Helper()
	conf, err := krb5.ReadConf(s.Path("krb5.conf"))
	require.NoError(t, err)
	c.Network = &krb5.Network{Conf: conf}
	return newClient(t, c)
}

func adUser(t testing.TB, s *realmtest.Samba, p krb5.Principal, pass string) *krb5.Client {
	t.Helper()
	return adClient(t, s, krb5.ClientConfig{Principal: p, Secret: password(pass)})
}

func adComputer(t testing.TB, s *realmtest.Samba, name string) *krb5.Client {
	t.Helper()
	kt, err := krb5.ReadKeytab(s.Keytab(name))
	require.NoError(t, err)
	return adClient(t, s, krb5.ClientConfig{
		Principal: principal(t, name+"$@"+realmtest.SambaRealm), Secret: krb5.KeytabSecret{Keytab: kt},
	})
}

func adService(host string) krb5.Principal { return krb5.Service("HTTP", host+".corp.test", "") }

// TestSambaAD runs against one pair of domain controllers, which take seconds to
// make.
func TestSambaAD(t *testing.T) {
	s, other := realmtest.StartSambaTrust(t)
	t.Run("logon", func(t *testing.T) { sambaLogon(t, s) })
	t.Run("delegation", func(t *testing.T) { sambaDelegation(t, s) })
	t.Run("gMSA keys", func(t *testing.T) { sambaManagedKeys(t, s) })
	t.Run("trust", func(t *testing.T) { sambaTrust(t, s, other) })
}

func sambaLogon(t *testing.T, s *realmtest.Samba) {
	ctx := t.Context()
	user := func(name string) krb5.Principal { return principal(t, name+"@"+realmtest.SambaRealm) }
	good := map[string]struct {
		p    krb5.Principal
		pass string
	}{
		"user":            {user("alice"), realmtest.SambaPassword},
		"other case":      {user("ALICE"), realmtest.SambaPassword}, // the salt differs from the name
		"odd characters":  {user("odd"), realmtest.SambaOdd},
		"enterprise name": {krb5.Enterprise("carol.jones@corp.test", realmtest.SambaRealm), realmtest.SambaPassword},
	}
	for name, c := range good {
		t.Run(name, func(t *testing.T) {
			client := adUser(t, s, c.p, c.pass)
			ticket, err := client.Ticket(ctx, adService("web1"))
			require.NoError(t, err)
			assert.NotZero(t, ticket.Flags&krb5.FlagOKAsDelegate)
			ticket, err = client.Ticket(ctx, adService("web2"))
			require.NoError(t, err)
			assert.Zero(t, ticket.Flags&krb5.FlagOKAsDelegate)
			_, err = client.Ticket(ctx, krb5.Service("HTTP", "nobody.corp.test", ""))
			require.ErrorIs(t, err, krb5.ErrServerUnknown)
			_, err = client.Forward(ctx)
			require.NoError(t, err)
		})
	}
	bad := map[string]krb5.Code{
		"alice": krb5.ErrPreAuthFailed, "nobody": krb5.ErrClientUnknown, "disabled": krb5.ErrClientRevoked, "expired": krb5.ErrKeyExpired,
	}
	for name, want := range bad {
		t.Run(name+" refused", func(t *testing.T) {
			pass := realmtest.SambaPassword
			if want == krb5.ErrPreAuthFailed {
				pass = "wrong"
			}
			_, err := adUser(t, s, user(name), pass).TGT(ctx)
			require.ErrorIs(t, err, want)
			t.Log(err)
		})
	}
	t.Run("NetBIOS realm", func(t *testing.T) {
		conf, err := krb5.ReadConf(s.Path("krb5.conf"))
		require.NoError(t, err)
		conf.KDCs = nil
		client := newClient(t, krb5.ClientConfig{
			Principal: principal(t, "alice@"+realmtest.SambaDomain), Secret: password(realmtest.SambaPassword),
			Network: &krb5.Network{Conf: conf, KDCs: map[string][]string{realmtest.SambaDomain: {s.IP}}},
		})
		ticket, err := client.Ticket(ctx, adService("web1"))
		require.NoError(t, err)
		assert.Equal(t, "alice@CORP.TEST", ticket.Client.String())
	})
}

func sambaDelegation(t *testing.T, s *realmtest.Samba) {
	ctx := t.Context()
	alice := principal(t, "alice@"+realmtest.SambaRealm)
	sensitive := principal(t, "sensitive@"+realmtest.SambaRealm)
	cases := []struct {
		front, to string
		user      krb5.Principal
		allowed   bool
	}{
		{"front2", "web2", alice, true},
		{"front2", "web2", krb5.Enterprise("carol.jones@corp.test", ""), true},
		{"front2", "web1", alice, false}, // not on its list
		{"front2", "web2", sensitive, false},
		{"front1", "web2", alice, false},  // no protocol transition
		{"rbcd2", "back1", alice, true},   // back1 lists it
		{"front2", "back1", alice, false}, // and does not list this one
		{"rbcd2", "web2", alice, false},
		{"rbcd2", "back1", sensitive, false},
	}
	for _, c := range cases {
		t.Run(c.front+" to "+c.to+" as "+c.user.Name(), func(t *testing.T) {
			front := adComputer(t, s, c.front)
			evidence, err := front.ForUser(ctx, c.user)
			require.NoError(t, err)
			ticket, err := front.Proxy(ctx, evidence, adService(c.to))
			if !c.allowed {
				var refused *krb5.DelegationError
				require.ErrorAs(t, err, &refused)
				require.ErrorIs(t, err, krb5.ErrBadOption)
				t.Log(err)
				return
			}
			require.NoError(t, err)
			acceptAt(t, s, ticket, c.to, ticket.Client.String())
		})
	}
	evidences := []struct {
		front, to string
		allowed   bool
	}{{"front1", "web2", true}, {"rbcd1", "back1", true}, {"front1", "back1", false}}
	for _, c := range evidences {
		t.Run("own ticket through "+c.front+" to "+c.to, func(t *testing.T) {
			evidence, err := adUser(t, s, alice, realmtest.SambaPassword).Ticket(ctx, adService(c.front))
			require.NoError(t, err)
			_, err = adComputer(t, s, c.front).Proxy(ctx, evidence, adService(c.to))
			assert.Equal(t, c.allowed, err == nil, "%v", err)
		})
	}
	t.Run("sensitive is not forwarded", func(t *testing.T) {
		_, err := adUser(t, s, sensitive, realmtest.SambaPassword).Forward(ctx)
		require.Error(t, err)
		t.Log(err)
	})
}

// acceptAt shows that MIT's acceptor with the computer's keytab takes a ticket.
func acceptAt(t *testing.T, s *realmtest.Samba, ticket *krb5.Ticket, host, client string) {
	t.Helper()
	g := realmtest.StartGSS(t, append(s.Env, "KRB5_KTNAME=FILE:"+s.Keytab(host)), "accept")
	i, err := krb5.NewInitiator(krb5.InitiatorConfig{Ticket: ticket})
	require.NoError(t, err)
	token, err := i.Token()
	require.NoError(t, err)
	answer := g.Do(realmtest.GSSRequest{Op: "step", Data: token})
	assert.Equal(t, client, answer.Name)
	c, err := i.Finish(answer.Data)
	require.NoError(t, err)
	exchangeMessages(t, c, g)
}

// sambaManagedKeys logs on with the gMSA's exported keytab.
func sambaManagedKeys(t *testing.T, s *realmtest.Samba) {
	client := adComputer(t, s, "gmsa1")
	_, err := client.Ticket(t.Context(), adService("web1"))
	require.NoError(t, err)
}
