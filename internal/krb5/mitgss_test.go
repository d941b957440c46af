package krb5_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/winrmkit/winrmkit/internal/krb5"
	"github.com/winrmkit/winrmkit/internal/realmtest"
)

// sizes of messages, with the edges of blocks and of RC4's lengths.
var sizes = []int{0, 1, 15, 16, 17, 31, 32, 33, 83, 84, 211, 212, 1000, 4096, 65491, 65492, 100_000}

// serviceETypes names the services by the type of their session keys.
var serviceETypes = map[string]krb5.EType{
	"sha1-128": krb5.AES128SHA1, "sha1-256": krb5.AES256SHA1,
	"sha2-128": krb5.AES128SHA256, "sha2-256": krb5.AES256SHA384, "rc4": krb5.RC4,
}

// onlyETypes makes MIT take no other types, so that the subkey has ours too:
// otherwise it settles on what it likes best (RFC 4537).
func onlyETypes(t *testing.T, e krb5.EType) []string {
	t.Helper()
	path := t.TempDir() + "/only.conf"
	names := map[krb5.EType]string{
		krb5.AES128SHA1: "aes128-cts", krb5.AES256SHA1: "aes256-cts",
		krb5.AES128SHA256: "aes128-sha2", krb5.AES256SHA384: "aes256-sha2", krb5.RC4: "rc4-hmac",
	}
	require.NoError(t, os.WriteFile(path, []byte("[libdefaults]\n permitted_enctypes = "+names[e]+"\n"), 0o600))
	return []string{path}
}

func withConf(m *realmtest.MIT, first []string) []string {
	var paths strings.Builder
	for _, p := range first {
		paths.WriteString(p + ":")
	}
	return append(slices.Clone(m.Env), "KRB5_CONFIG="+paths.String()+m.Conf)
}

func message(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// TestMITAcceptsUs logs on to MIT's acceptor and exchanges messages both ways, in
// WinRM's two pieces and whole, for each encryption type.
func TestMITAcceptsUs(t *testing.T) {
	m := mitRealm(t, false)
	alice := userClient(t, m, "alice", passAlice, krb5.AES256SHA1, krb5.AES128SHA1, krb5.AES256SHA384, krb5.AES128SHA256, krb5.RC4)
	for name, etype := range serviceETypes {
		t.Run(name, func(t *testing.T) {
			ticket, err := alice.Ticket(t.Context(), service(name))
			require.NoError(t, err)
			assert.Equal(t, etype, ticket.Key.EType)
			env := append(withConf(m, onlyETypes(t, etype)), "KRB5_KTNAME=FILE:"+m.Path(name+".keytab"))
			g := realmtest.StartGSS(t, env, "accept", "--bindings", "tls-server-end-point:cert")
			i, err := krb5.NewInitiator(krb5.InitiatorConfig{Ticket: ticket, Binding: []byte("tls-server-end-point:cert")})
			require.NoError(t, err)
			token, err := i.Token()
			require.NoError(t, err)
			answer := g.Do(realmtest.GSSRequest{Op: "step", Data: token})
			require.True(t, answer.Done)
			assert.Equal(t, "alice@"+m.Realm, answer.Name)
			assert.Contains(t, answer.Flags, "channel_bound")
			assert.Empty(t, answer.Deleg)
			c, err := i.Finish(answer.Data)
			require.NoError(t, err)
			require.Equal(t, etype, c.EType())
			exchangeMessages(t, c, g)
		})
	}
}

// TestWeAcceptMIT has MIT log on to our acceptor.
func TestWeAcceptMIT(t *testing.T) {
	m := mitRealm(t, false)
	cache := "FILE:" + m.Path("alice.cc")
	m.KInit(t, "alice", passAlice, cache)
	for name := range serviceETypes {
		t.Run(name, func(t *testing.T) {
			kt, err := krb5.ReadKeytab(m.Path(name + ".keytab"))
			require.NoError(t, err)
			env := append(withConf(m, nil), "KRB5CCNAME="+cache)
			g := realmtest.StartGSS(t, env, "init", "HTTP@"+name+".example.test", "--bindings", "tls-server-end-point:x", "--deleg")
			token := g.Do(realmtest.GSSRequest{Op: "step"}).Data
			out, acc, err := krb5.Accept(krb5.AcceptorConfig{
				Keys: kt, Replay: &krb5.ReplayCache{}, Binding: []byte("tls-server-end-point:x"), AllowRC4: true,
				BindingLevel: krb5.BindingStrict,
			}, token)
			require.NoError(t, err)
			assert.Equal(t, "alice@"+m.Realm, acc.Client.String())
			assert.True(t, acc.Bound)
			require.Len(t, acc.Delegated, 1)
			assert.True(t, g.Do(realmtest.GSSRequest{Op: "step", Data: out}).Done)
			exchangeMessages(t, acc.Context, g)

			// The ticket that MIT forwarded fetches another. Its key is of the type of
			// the service's.
			second := newClient(t, krb5.ClientConfig{
				Network: network(t, m), Principal: acc.Client, Tickets: acc.Delegated,
				ETypes: append(krb5.DefaultETypes(), krb5.RC4),
			})
			_, err = second.Ticket(t.Context(), service("host2"))
			require.NoError(t, err)
		})
	}
}

// exchangeMessages sends messages of all sizes both ways.
func exchangeMessages(t *testing.T, c *krb5.Context, g *realmtest.GSS) {
	t.Helper()
	for _, n := range sizes {
		plain := message(n)
		out, head, length, err := c.Wrap(nil, plain)
		require.NoError(t, err)
		require.LessOrEqual(t, length-len(plain), 1)
		got := g.Do(realmtest.GSSRequest{Op: "unwrapiov", Header: out[:head], Data: out[head:]})
		require.True(t, bytes.Equal(plain, got.Data[:n]), "%d bytes in two pieces", n)
		require.True(t, got.Sealed)

		out, _, _, err = c.Wrap(nil, plain)
		require.NoError(t, err)
		got = g.Do(realmtest.GSSRequest{Op: "unwrap", Data: out})
		require.True(t, bytes.Equal(plain, got.Data), "%d bytes whole", n)

		sealed := g.Do(realmtest.GSSRequest{Op: "wrapiov", Data: plain})
		back, err := c.Unwrap(slices.Concat(sealed.Header, sealed.Data), len(sealed.Header))
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, back))

		sealed = g.Do(realmtest.GSSRequest{Op: "wrap", Data: plain})
		back, err = c.Unwrap(sealed.Data, 0)
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, back))
	}
	mic, err := c.MIC([]byte("list"))
	require.NoError(t, err)
	g.Do(realmtest.GSSRequest{Op: "verify", Data: []byte("list"), MIC: mic})
	mic = g.Do(realmtest.GSSRequest{Op: "mic", Data: []byte("list")}).Data
	require.NoError(t, c.VerifyMIC([]byte("list"), mic))
}

// TestMITManyMessages keeps one context in step for 10,000 messages.
func TestMITManyMessages(t *testing.T) {
	m := mitRealm(t, false)
	ticket, err := userClient(t, m, "alice", passAlice).Ticket(t.Context(), service("host1"))
	require.NoError(t, err)
	g := realmtest.StartGSS(t, append(m.Env, "KRB5_KTNAME=FILE:"+m.Path("host1.keytab")), "accept")
	i, err := krb5.NewInitiator(krb5.InitiatorConfig{Ticket: ticket})
	require.NoError(t, err)
	token, err := i.Token()
	require.NoError(t, err)
	c, err := i.Finish(g.Do(realmtest.GSSRequest{Op: "step", Data: token}).Data)
	require.NoError(t, err)
	for n := range 5000 {
		plain := message(n % 300)
		out, head, _, err := c.Wrap(nil, plain)
		require.NoError(t, err)
		got := g.Do(realmtest.GSSRequest{Op: "unwrapiov", Header: out[:head], Data: out[head:]})
		require.True(t, bytes.Equal(plain, got.Data), "message %d", n)
		sealed := g.Do(realmtest.GSSRequest{Op: "wrapiov", Data: plain})
		back, err := c.Unwrap(slices.Concat(sealed.Header, sealed.Data), len(sealed.Header))
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, back), "answer %d", n)
	}
}

// TestMITForwarding has MIT's acceptor go on with the ticket that we forward.
func TestMITForwarding(t *testing.T) {
	m := mitRealm(t, false)
	alice := userClient(t, m, "alice", passAlice)
	ticket, err := alice.Ticket(t.Context(), service("host1"))
	require.NoError(t, err)
	assert.NotZero(t, ticket.Flags&krb5.FlagOKAsDelegate)
	forwarded, err := alice.Forward(t.Context())
	require.NoError(t, err)
	assert.NotZero(t, forwarded.Flags&krb5.FlagForwarded)
	g := realmtest.StartGSS(t, append(m.Env, "KRB5_KTNAME=FILE:"+m.Path("host1.keytab")),
		"accept", "--second-hop", "HTTP@host2.example.test")
	i, err := krb5.NewInitiator(krb5.InitiatorConfig{Ticket: ticket, Delegate: forwarded})
	require.NoError(t, err)
	token, err := i.Token()
	require.NoError(t, err)
	answer := g.Do(realmtest.GSSRequest{Op: "step", Data: token})
	assert.Equal(t, "alice@"+m.Realm, answer.Deleg)
	assert.NotEmpty(t, answer.Ticket, "the second hop")
	assert.Contains(t, answer.Flags, "delegate_to_peer")
}

func TestMITRefusesWrongBinding(t *testing.T) {
	m := mitRealm(t, false)
	ticket, err := userClient(t, m, "alice", passAlice).Ticket(t.Context(), service("host1"))
	require.NoError(t, err)
	env := append(m.Env, "KRB5_KTNAME=FILE:"+m.Path("host1.keytab"))
	for binding, want := range map[string]bool{"tls-server-end-point:right": true, "tls-server-end-point:wrong": false} {
		g := realmtest.StartGSS(t, env, "accept", "--bindings", "tls-server-end-point:right")
		i, err := krb5.NewInitiator(krb5.InitiatorConfig{Ticket: ticket, Binding: []byte(binding)})
		require.NoError(t, err)
		token, err := i.Token()
		require.NoError(t, err)
		_, err = g.Try(realmtest.GSSRequest{Op: "step", Data: token})
		assert.Equal(t, want, err == nil, binding)
	}
	// The ticket is for another service: the acceptor cannot open it and says so.
	g := realmtest.StartGSS(t, append(m.Env, "KRB5_KTNAME=FILE:"+m.Path("host2.keytab")), "accept")
	i, err := krb5.NewInitiator(krb5.InitiatorConfig{Ticket: ticket})
	require.NoError(t, err)
	token, err := i.Token()
	require.NoError(t, err)
	_, err = g.Try(realmtest.GSSRequest{Op: "step", Data: token})
	assert.Error(t, err)
}
