//go:build unix

package krb5_test

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/krb5"
	"github.com/winrmkit/winrmkit/internal/realmtest"
)

// byDNS knows nothing but a domain controller's DNS, as a member of its domain.
func byDNS(s *realmtest.Samba) *krb5.Network {
	var d net.Dialer
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return d.DialContext(ctx, network, net.JoinHostPort(s.IP, "53"))
	}}
	dialer := &net.Dialer{Resolver: resolver}
	return &krb5.Network{Resolver: resolver, Dial: dialer.DialContext}
}

// sambaTrust has two Active Directory forests that trust each other.
func sambaTrust(t *testing.T, corp, other *realmtest.Samba) {
	ctx := t.Context()
	user := func(t *testing.T, home *realmtest.Samba, p krb5.Principal) *krb5.Client {
		t.Helper()
		return newClient(t, krb5.ClientConfig{Network: byDNS(home), Principal: p, Secret: password(realmtest.SambaPassword)})
	}
	web := func(host, domain string) krb5.Principal { return krb5.Service("HTTP", host+"."+domain, "") }

	for name, c := range map[string]struct {
		home, there  *realmtest.Samba
		domain, user string
	}{
		"to the other forest": {corp, other, "other.test", "alice@" + realmtest.SambaRealm},
		"and back":            {other, corp, "corp.test", "alice@" + realmtest.SambaOther},
	} {
		t.Run(name, func(t *testing.T) {
			alice := user(t, c.home, principal(t, c.user))
			ticket, err := alice.Ticket(ctx, web("web2", c.domain))
			require.NoError(t, err)
			assert.Equal(t, c.there.Realm, ticket.Server.Realm, "by referral")
			assert.Equal(t, c.user, ticket.Client.String())
			acceptAt(t, c.there, ticket, "web2", c.user)

			ticket, err = alice.Ticket(ctx, web("web1", c.domain))
			require.NoError(t, err)
			assert.Zero(t, ticket.Flags&krb5.FlagOKAsDelegate, "nobody at home has said that the other forest may have it")
			forwarded, err := alice.Forward(ctx)
			require.NoError(t, err)
			g := realmtest.StartGSS(t, append(c.there.Env, "KRB5_KTNAME=FILE:"+c.there.Keytab("web1")), "accept")
			i, err := krb5.NewInitiator(krb5.InitiatorConfig{Ticket: ticket, Delegate: forwarded})
			require.NoError(t, err)
			token, err := i.Token()
			require.NoError(t, err)
			answer := g.Do(realmtest.GSSRequest{Op: "step", Data: token})
			assert.Equal(t, c.user, answer.Deleg)
			_, err = i.Finish(answer.Data)
			require.NoError(t, err)

			_, err = alice.Ticket(ctx, web("nobody", c.domain))
			require.ErrorIs(t, err, krb5.ErrServerUnknown)
		})
	}
	t.Run("an account of the other forest asked for at home", func(t *testing.T) {
		alice := user(t, corp, krb5.Enterprise("alice@other.test", realmtest.SambaRealm))
		ticket, err := alice.Ticket(ctx, web("web2", "corp.test"))
		require.NoError(t, err)
		assert.Equal(t, "alice@"+realmtest.SambaOther, ticket.Client.String())
		acceptAt(t, corp, ticket, "web2", "alice@"+realmtest.SambaOther)
	})
	t.Run("acting for a user of the other forest", func(t *testing.T) {
		kt, err := krb5.ReadKeytab(corp.Keytab("front2"))
		require.NoError(t, err)
		front := newClient(t, krb5.ClientConfig{
			Network: byDNS(corp), Principal: principal(t, "front2$@"+realmtest.SambaRealm), Secret: krb5.KeytabSecret{Keytab: kt},
		})
		// The user's KDC makes the ticket that leads back, and there Samba looks
		// for the user in its own directory: it refuses what Windows does.
		for _, name := range []krb5.Principal{principal(t, "alice@"+realmtest.SambaOther), krb5.Enterprise("alice@other.test", "")} {
			_, err := front.ForUser(ctx, name)
			var refused *krb5.DelegationError
			require.ErrorAs(t, err, &refused)
			var e *krb5.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, krb5.ErrClientUnknown, e.Code)
			assert.Equal(t, realmtest.SambaRealm, e.Realm)
		}
	})
}
