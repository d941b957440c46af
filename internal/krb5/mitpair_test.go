package krb5_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/krb5"
	"github.com/winrmkit/winrmkit/internal/realmtest"
)

// TestMITReferral has two realms that trust each other. Only A's KDC knows that
// other.test belongs to B.TEST.
func TestMITReferral(t *testing.T) {
	shared := []string{
		"addprinc -clearpolicy -pw a-to-b -requires_preauth krbtgt/B.TEST@A.TEST", "addprinc -clearpolicy -pw b-to-a -requires_preauth krbtgt/A.TEST@B.TEST",
	}
	a := realmtest.StartMIT(t, realmtest.MITConfig{
		Realm: "A.TEST", Conf: "  .other.test = B.TEST\n  .b.test = B.TEST\n",
		KAdmin: append([]string{`addprinc -clearpolicy -pw "` + passAlice + `" alice`}, shared...),
	})
	b := realmtest.StartMIT(t, realmtest.MITConfig{
		Realm: "B.TEST",
		KAdmin: append([]string{
			"addprinc -clearpolicy -randkey HTTP/web.other.test", "ktadd -norandkey -k $DIR/web.keytab HTTP/web.other.test",
			"addprinc -clearpolicy -randkey HTTP/host1.b.test",
		}, shared...),
	})
	network := &krb5.Network{KDCs: map[string][]string{
		"A.TEST": {closedPort(t), a.KDC}, "B.TEST": {b.KDC},
	}}
	alice := newClient(t, krb5.ClientConfig{Network: network, Principal: principal(t, "alice@A.TEST"), Secret: password(passAlice)})
	for _, host := range []string{"web.other.test", "host1.b.test"} {
		ticket, err := alice.Ticket(t.Context(), krb5.Service("HTTP", host, ""))
		require.NoError(t, err)
		assert.Equal(t, "HTTP/"+host+"@B.TEST", ticket.Server.String())
		if host == "web.other.test" {
			g := realmtest.StartGSS(t, append(b.Env, "KRB5_KTNAME=FILE:"+b.Path("web.keytab")), "accept", "--bindings", "x")
			i, err := krb5.NewInitiator(krb5.InitiatorConfig{Ticket: ticket, Binding: []byte("x")})
			require.NoError(t, err)
			token, err := i.Token()
			require.NoError(t, err)
			answer := g.Do(realmtest.GSSRequest{Op: "step", Data: token})
			assert.Equal(t, "alice@A.TEST", answer.Name)
			_, err = i.Finish(answer.Data)
			require.NoError(t, err)
		}
	}
	_, err := alice.Ticket(t.Context(), krb5.Service("HTTP", "nobody.other.test", ""))
	require.ErrorIs(t, err, krb5.ErrServerUnknown)
}

// TestMITForUserOfAnotherRealm has a service act for a user of a realm that
// trusts its own ([MS-SFU] section 3.1.5.1.1.2): the user's KDC refers the
// request to the service's. MIT's KDC finds the service of the other realm by an
// alias of the realm's krbtgt; Active Directory looks into its trusts.
func TestMITForUserOfAnotherRealm(t *testing.T) {
	shared := []string{
		"addprinc -clearpolicy -pw a-to-b krbtgt/B.TEST@A.TEST", "addprinc -clearpolicy -pw b-to-a krbtgt/A.TEST@B.TEST",
	}
	a := realmtest.StartMIT(t, realmtest.MITConfig{
		Realm: "A.TEST", Conf: "  .b.test = B.TEST\n", LDAP: true,
		KAdmin: append([]string{
			"addprinc -clearpolicy -randkey +requires_preauth +ok_to_auth_as_delegate HTTP/front.a.test",
			"ktadd -norandkey -k $DIR/front.keytab HTTP/front.a.test",
			"addprinc -clearpolicy -randkey HTTP/host1.a.test", "ktadd -norandkey -k $DIR/host1.keytab HTTP/host1.a.test",
		}, shared...),
		DelegateTo: map[string][]string{"HTTP/front.a.test": {"HTTP/host1.a.test"}},
	})
	b := realmtest.StartMIT(t, realmtest.MITConfig{
		Realm: "B.TEST", LDAP: true,
		KAdmin:  append([]string{`addprinc -clearpolicy -pw "` + passAlice + `" alice`}, shared...),
		Aliases: map[string][]string{"krbtgt/A.TEST": {`HTTP\/front.a.test@A.TEST`, "HTTP/front.a.test@A.TEST"}},
	})
	ctx := t.Context()
	kt, err := krb5.ReadKeytab(a.Path("front.keytab"))
	require.NoError(t, err)
	front := newClient(t, krb5.ClientConfig{
		Network:   &krb5.Network{KDCs: map[string][]string{"A.TEST": {a.KDC}, "B.TEST": {b.KDC}}},
		Principal: kt.Principals()[0], Secret: krb5.KeytabSecret{Keytab: kt},
	})
	evidence, err := front.ForUser(ctx, principal(t, "alice@B.TEST"))
	require.NoError(t, err)
	assert.Equal(t, "alice@B.TEST", evidence.Client.String())
	assert.Equal(t, "HTTP/front.a.test@A.TEST", evidence.Server.String())

	ticket, err := front.Proxy(ctx, evidence, krb5.Service("HTTP", "host1.a.test", ""))
	require.NoError(t, err)
	assert.Equal(t, "alice@B.TEST", ticket.Client.String())
	acceptTicketWith(t, a, ticket, "host1.keytab", "alice@B.TEST")

	_, err = front.ForUser(ctx, principal(t, "nobody@B.TEST"))
	var refused *krb5.DelegationError
	require.ErrorAs(t, err, &refused)
	require.ErrorIs(t, err, krb5.ErrClientUnknown)
}

// closedPort is an address where nobody answers: a KDC that is down.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}
