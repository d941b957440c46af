//go:build unix

package delegation_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/auth/delegation"
	"github.com/winrmkit/winrmkit/auth/kerberos"
	"github.com/winrmkit/winrmkit/internal/krb5"
	"github.com/winrmkit/winrmkit/internal/realmtest"
)

// domain is the domain controller, and its administrator's view.
type domain struct {
	*realmtest.Samba
	sealed, ldaps, alice *delegation.Directory
}

func startDomain(t *testing.T) domain {
	s := realmtest.StartSamba(t)
	pem, err := os.ReadFile(s.CA)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	base := delegation.Config{
		Domain: "corp.test", Server: "dc1.corp.test", TLS: &tls.Config{RootCAs: roots},
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(addr)
			var d net.Dialer
			return d.DialContext(ctx, network, net.JoinHostPort(s.IP, port))
		},
	}
	as := func(user, password string) *delegation.Directory {
		m, err := kerberos.New(&kerberos.Config{
			Credentials: auth.Credentials{Domain: "corp.test", User: user, Password: password}, ConfigFile: s.Path("krb5.conf"),
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, m.Close()) })
		cfg := base
		cfg.Kerberos = m
		return delegation.New(cfg)
	}
	ldaps := base
	ldaps.Credentials = auth.Credentials{User: "Administrator@corp.test", Password: realmtest.SambaAdmin}
	return domain{
		Samba: s, sealed: as("Administrator", realmtest.SambaAdmin), ldaps: delegation.New(ldaps),
		alice: as("alice", realmtest.SambaPassword),
	}
}

// client is a principal of the domain.
func (d domain) client(t *testing.T, name string, secret krb5.Secret) *krb5.Client {
	t.Helper()
	conf, err := krb5.ReadConf(d.Path("krb5.conf"))
	require.NoError(t, err)
	c, err := krb5.NewClient(krb5.ClientConfig{
		Principal: krb5.Principal{Type: krb5.NTPrincipal, Parts: []string{name}, Realm: d.Realm},
		Secret:    secret, Network: &krb5.Network{Conf: conf},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// proxy asks for a ticket to HTTP on a host for alice: with her own ticket to the
// front, or (transition) with one that the front made up.
func (d domain) proxy(t *testing.T, front, to string, transition bool) error {
	t.Helper()
	keytab, err := krb5.ReadKeytab(d.Keytab(front))
	require.NoError(t, err)
	computer := d.client(t, front+"$", krb5.KeytabSecret{Keytab: keytab})
	var evidence *krb5.Ticket
	if transition {
		evidence, err = computer.ForUser(t.Context(), krb5.Principal{Type: krb5.NTPrincipal, Parts: []string{"alice"}, Realm: d.Realm})
	} else {
		alice := d.client(t, "alice", krb5.Password(func(context.Context) (string, error) { return realmtest.SambaPassword, nil }))
		evidence, err = alice.Ticket(t.Context(), krb5.Service("HTTP", front+".corp.test", ""))
	}
	require.NoError(t, err)
	ticket, err := computer.Proxy(t.Context(), evidence, krb5.Service("HTTP", to+".corp.test", ""))
	if err == nil {
		assert.Equal(t, "alice@"+d.Realm, ticket.Client.String())
	}
	return err
}

func TestSambaAD(t *testing.T) {
	d := startDomain(t)
	t.Run("read", d.read)
	t.Run("constrained", d.constrained)
	t.Run("Samba keeps actors to itself", d.systemOnly)
	d.LikeActiveDirectory(t)
	t.Run("resource-based", d.resourceBased)
	t.Run("bulk", d.bulk)
	t.Run("not allowed", d.notAllowed)
}

func (d domain) read(t *testing.T) {
	results, err := d.alice.Read(t.Context(), "FRONT2", "back1$", "web1", "nobody", "gmsa1")
	require.ErrorIs(t, err, delegation.ErrNotFound)
	require.Len(t, results, 5)
	front := results[0].Before
	assert.Equal(t, []string{"HTTP/web2.corp.test"}, front.Services)
	assert.True(t, front.ProtocolTransition)
	assert.Equal(t, "front2$", front.Account)
	back := results[1].Before
	require.Len(t, back.Actors, 2)
	assert.Equal(t, "rbcd1$", back.Actors[0].Account)
	assert.Empty(t, back.Warnings())
	assert.True(t, results[2].Before.Unconstrained)
	assert.Len(t, results[2].Before.Warnings(), 1)
	require.ErrorIs(t, results[3].Err, delegation.ErrNotFound)
	assert.Equal(t, "gmsa1$", results[4].Before.Account)

	all, err := d.ldaps.All(t.Context())
	require.NoError(t, err)
	var names []string
	for _, a := range all {
		names = append(names, a.Account)
	}
	assert.Subset(t, names, []string{"web1$", "front1$", "front2$", "back1$", "rbcd2$"})
	assert.NotContains(t, names, "web2$")
}

// A refused ticket is given after the helper has set constrained delegation, and
// for made-up evidence after it has set protocol transition too.
func (d domain) constrained(t *testing.T) {
	ctx := t.Context()
	require.ErrorIs(t, d.proxy(t, "web2", "back1", false), krb5.ErrBadOption)
	change := delegation.Change{Account: "web2", Services: delegation.Add("HTTP/back1.corp.test")}
	plan, err := d.sealed.Apply(ctx, []delegation.Change{change}, &delegation.Options{DryRun: true})
	require.NoError(t, err)
	assert.Equal(t, "add msDS-AllowedToDelegateTo HTTP/back1.corp.test", plan[0].Steps[0].String())
	require.ErrorIs(t, d.proxy(t, "web2", "back1", false), krb5.ErrBadOption, "a dry run changes nothing")

	done, err := d.sealed.Apply(ctx, []delegation.Change{change}, nil)
	require.NoError(t, err)
	assert.Equal(t, plan[0].Steps, done[0].Steps)
	assert.Equal(t, []string{"HTTP/back1.corp.test"}, done[0].After.Services)
	require.NoError(t, d.proxy(t, "web2", "back1", false))
	again, err := d.sealed.Apply(ctx, []delegation.Change{change}, nil)
	require.NoError(t, err)
	assert.Empty(t, again[0].Steps)

	require.ErrorIs(t, d.proxy(t, "web2", "back1", true), krb5.ErrBadOption)
	on := true
	done, err = d.ldaps.Apply(ctx, []delegation.Change{{Account: "web2$", ProtocolTransition: &on}}, nil)
	require.NoError(t, err)
	assert.True(t, done[0].After.ProtocolTransition)
	require.NoError(t, d.proxy(t, "web2", "back1", true))

	off := false
	done, err = d.sealed.Apply(ctx, []delegation.Change{{Account: "web2", ProtocolTransition: &off, Services: delegation.Set()}}, nil)
	require.NoError(t, err)
	assert.Len(t, done[0].Steps, 2)
	assert.Empty(t, done[0].After.Services)
	require.ErrorIs(t, d.proxy(t, "web2", "back1", false), krb5.ErrBadOption)
}

func (d domain) systemOnly(t *testing.T) {
	_, err := d.sealed.Apply(t.Context(), []delegation.Change{{Account: "web2", Actors: delegation.Add("web1")}}, nil)
	var refused *delegation.RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Contains(t, refused.Remedy(), "samba-tool")
	t.Log(err)
}

// A refused ticket is given after the helper has set resource-based delegation.
func (d domain) resourceBased(t *testing.T) {
	ctx := t.Context()
	require.ErrorIs(t, d.proxy(t, "rbcd2", "web2", true), krb5.ErrBadOption)
	require.ErrorIs(t, d.proxy(t, "rbcd1", "web2", false), krb5.ErrBadOption)
	done, err := d.sealed.Apply(ctx, []delegation.Change{{Account: "web2", Actors: delegation.Add("rbcd1", "RBCD2$")}}, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"rbcd1$", "rbcd2$"}, []string{done[0].After.Actors[0].Account, done[0].After.Actors[1].Account})
	require.NoError(t, d.proxy(t, "rbcd2", "web2", true))
	require.NoError(t, d.proxy(t, "rbcd1", "web2", false))

	// The list that Samba's own tools wrote is edited, not replaced.
	done, err = d.ldaps.Apply(ctx, []delegation.Change{
		{Account: "back1", Actors: delegation.Remove("rbcd1")},
		{Account: "web2", Actors: delegation.Set(done[0].After.Actors[1].SID)},
	}, nil)
	require.NoError(t, err)
	require.Len(t, done[0].After.Actors, 1)
	assert.Equal(t, "rbcd2$", done[0].After.Actors[0].Account)
	require.ErrorIs(t, d.proxy(t, "rbcd1", "back1", false), krb5.ErrBadOption)
	require.ErrorIs(t, d.proxy(t, "rbcd1", "web2", false), krb5.ErrBadOption)
	require.NoError(t, d.proxy(t, "rbcd2", "web2", true))

	done, err = d.sealed.Apply(ctx, []delegation.Change{{Account: "web2", Actors: delegation.Set()}}, nil)
	require.NoError(t, err)
	assert.Equal(t, "delete", done[0].Steps[0].Op)
	assert.Empty(t, done[0].After.Actors)
}

// One account's failure does not keep others from being changed.
func (d domain) bulk(t *testing.T) {
	results, err := d.sealed.Apply(t.Context(), []delegation.Change{
		{Account: "web1", Actors: delegation.Add("front1", "svc")},
		{Account: "nobody", Actors: delegation.Add("front1")},
		{Account: "web2", Services: delegation.Add("nonsense")},
		{Account: "front1", Actors: delegation.Add("front2")},
		{Account: "front1$", Actors: delegation.Add("rbcd1")},
		{Account: "rbcd1", Actors: delegation.Add("alice", "S-1-5-21-1-2-3-1104"), Services: delegation.Set("cifs/web2.corp.test")},
	}, nil)
	require.Error(t, err)
	require.Len(t, results, 6)
	var actor *delegation.ActorError
	require.ErrorAs(t, results[0].Err, &actor)
	assert.Equal(t, "svc", actor.Actor)
	require.ErrorIs(t, results[1].Err, delegation.ErrNotFound)
	var service *delegation.ServiceError
	require.ErrorAs(t, results[2].Err, &service)
	require.NoError(t, results[3].Err)
	assert.Equal(t, "front2$", results[3].After.Actors[0].Account)
	require.Error(t, results[4].Err, "the same account twice")
	require.NoError(t, results[5].Err)
	assert.Equal(t, []string{"cifs/web2.corp.test"}, results[5].After.Services)
	assert.Len(t, results[5].After.Warnings(), 1, "an actor that is no account")
}

func (d domain) notAllowed(t *testing.T) {
	for name, c := range map[string]delegation.Change{
		"services": {Account: "web1", Services: delegation.Add("HTTP/web2.corp.test")},
		"actors":   {Account: "web1", Actors: delegation.Add("web2")},
	} {
		t.Run(name, func(t *testing.T) {
			results, err := d.alice.Apply(t.Context(), []delegation.Change{c}, nil)
			var refused *delegation.RefusedError
			require.ErrorAs(t, err, &refused)
			assert.Empty(t, results[0].Steps)
			t.Log(err)
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := d.sealed.Read(ctx, "web1")
	require.ErrorIs(t, err, context.Canceled)
}
