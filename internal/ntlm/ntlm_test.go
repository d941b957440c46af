package ntlm

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lookup knows one account.
func lookup(domain, user, password string) func(context.Context, string, string) (Hash, error) {
	return func(_ context.Context, d, u string) (Hash, error) {
		if !strings.EqualFold(d, domain) || !strings.EqualFold(u, user) {
			return Hash{}, ErrNoUser
		}
		return PasswordHash(password)
	}
}

func secret(password string) func(context.Context) (Hash, error) {
	return func(context.Context) (Hash, error) { return PasswordHash(password) }
}

func clientConfig() InitiatorConfig {
	return InitiatorConfig{
		Domain: "CORP", User: "alice", Secret: secret("secret"), Seal: true,
		Workstation: "WS", TargetName: "HTTP/host",
	}
}

func serverConfig() AcceptorConfig {
	return AcceptorConfig{
		Lookup: lookup("CORP", "alice", "secret"), ComputerName: "HOST", DomainName: "CORP",
		DNSComputerName: "host.corp.example", DNSDomainName: "corp.example", BindingLevel: BindingStrict,
	}
}

// A wire carries the three messages of a logon; change may alter each.
type wire struct {
	change func(n int, message []byte) []byte
}

// logon runs a logon. The first error of either side ends it.
func (w wire) logon(t *testing.T, c InitiatorConfig, s AcceptorConfig) (*Initiator, *Acceptor, error) {
	t.Helper()
	if w.change == nil {
		w.change = func(_ int, m []byte) []byte { return m }
	}
	client, err := NewInitiator(c)
	require.NoError(t, err)
	server, err := NewAcceptor(s)
	require.NoError(t, err)
	var token []byte
	for n := 1; ; n += 2 {
		out, done, err := client.Step(t.Context(), token)
		if err != nil {
			return client, server, err
		}
		token, _, err = server.Step(t.Context(), w.change(n, out))
		if err != nil || done {
			return client, server, err
		}
		token = w.change(n+1, token)
	}
}

func TestLogon(t *testing.T) {
	binding := []byte("tls-server-end-point:certificate")
	tests := map[string]struct {
		client func(*InitiatorConfig)
		server func(*AcceptorConfig)
		want   error
	}{
		"sealed":         {},
		"not sealed":     {client: func(c *InitiatorConfig) { c.Seal = false }},
		"wrong password": {client: func(c *InitiatorConfig) { c.Secret = secret("Secret") }, want: ErrPassword},
		"wrong user":     {client: func(c *InitiatorConfig) { c.User = "bob" }, want: ErrNoUser},
		"case of names": {client: func(c *InitiatorConfig) {
			c.Domain, c.User = "corp", "ALICE" // the client's spelling of the domain is hashed on both sides
		}},
		"no password": {
			client: func(c *InitiatorConfig) { c.Secret = secret("") },
			server: func(s *AcceptorConfig) { s.Lookup = lookup("CORP", "alice", "") },
		},
		"long password": {
			client: func(c *InitiatorConfig) { c.Secret = secret(strings.Repeat("pä😀", 200)) },
			server: func(s *AcceptorConfig) { s.Lookup = lookup("CORP", "alice", strings.Repeat("pä😀", 200)) },
		},
		"user principal name": {
			client: func(c *InitiatorConfig) { c.Domain, c.User = "", "alice@corp.example" },
			server: func(s *AcceptorConfig) { s.Lookup = lookup("", "alice@corp.example", "secret") },
		},
		"machine account": {
			client: func(c *InitiatorConfig) { c.User = "SRV7$" },
			server: func(s *AcceptorConfig) { s.Lookup = lookup("CORP", "SRV7$", "secret") },
		},
		"letters beyond ASCII": {
			client: func(c *InitiatorConfig) { c.User = "jürgen.groß" },
			server: func(s *AcceptorConfig) { s.Lookup = lookup("CORP", "Jürgen.Groß", "secret") },
		},
		"the server's own account": {
			client: func(c *InitiatorConfig) { c.Domain = "." },
			server: func(s *AcceptorConfig) { s.Lookup = lookup("HOST", "alice", "secret") },
		},
		"server with pairs that nobody knows": {server: func(s *AcceptorConfig) {
			s.more = avList{{0x8, make([]byte, 48)}, {0x1234, []byte("odd")}, {0xffff, nil}}
		}},
		"server without DNS names": {server: func(s *AcceptorConfig) { s.DNSComputerName, s.DNSDomainName = "", "" }},
		"old server":               {server: func(s *AcceptorConfig) { s.WithoutTimestamp = true }},
		"binding": {
			client: func(c *InitiatorConfig) { c.ChannelBinding = binding },
			server: func(s *AcceptorConfig) { s.ChannelBinding = binding },
		},
		"another binding": {
			client: func(c *InitiatorConfig) { c.ChannelBinding = append(binding[:5:5], "x"...) },
			server: func(s *AcceptorConfig) { s.ChannelBinding = binding },
			want:   ErrBinding,
		},
		"another binding, relaxed": {
			client: func(c *InitiatorConfig) { c.ChannelBinding = append(binding[:5:5], "x"...) },
			server: func(s *AcceptorConfig) { s.ChannelBinding, s.BindingLevel = binding, BindingRelaxed },
			want:   ErrBinding,
		},
		"another binding, none wanted": {
			client: func(c *InitiatorConfig) { c.ChannelBinding = append(binding[:5:5], "x"...) },
			server: func(s *AcceptorConfig) { s.ChannelBinding, s.BindingLevel = binding, BindingNone },
		},
		"no binding": {server: func(s *AcceptorConfig) { s.ChannelBinding = binding }, want: ErrNoBinding},
		"no binding, relaxed": {
			server: func(s *AcceptorConfig) { s.ChannelBinding, s.BindingLevel = binding, BindingRelaxed },
		},
		"another target": {
			server: func(s *AcceptorConfig) {
				s.CheckTarget = func(spn string) error { return errors.New("not " + spn) }
			},
			want: errors.New("not HTTP/host"),
		},
		"slow client": {
			client: func(c *InitiatorConfig) { c.Now = func() time.Time { return time.Now().Add(-37 * time.Hour) } },
			server: func(s *AcceptorConfig) { s.WithoutTimestamp = true },
			want:   ErrClock,
		},
		"slow client, server tells the time": {
			client: func(c *InitiatorConfig) { c.Now = func() time.Time { return time.Unix(0, 0) } },
		},
		"server without a name": {
			server: func(s *AcceptorConfig) { s.ComputerName = "" }, want: ErrServerName,
		},
		"server without a domain's name": {
			server: func(s *AcceptorConfig) { s.DomainName = "" }, want: ErrServerName,
		},
		"password that is no text": {
			client: func(c *InitiatorConfig) { c.Secret = secret("a\xff") }, want: ErrEncoding,
		},
		"user that is no text": {client: func(c *InitiatorConfig) { c.User = "a\xff" }, want: ErrEncoding},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, s := clientConfig(), serverConfig()
			if tt.client != nil {
				tt.client(&c)
			}
			if tt.server != nil {
				tt.server(&s)
			}
			client, server, err := wire{}.logon(t, c, s)
			if tt.want != nil {
				require.ErrorContains(t, err, tt.want.Error())
				assert.Zero(t, server.Flags(), "a session was made")
				return
			}
			require.NoError(t, err)
			assert.True(t, client.Presented())
			assert.Equal(t, !s.WithoutTimestamp, client.MessageMIC())
			assert.Equal(t, client.MessageMIC(), server.MessageMIC())
			assert.Equal(t, client.Key(), server.Key())
			assert.Equal(t, "HTTP/host", server.Client().TargetName)
			assert.Equal(t, c.Seal, client.CanSeal())
			assert.True(t, server.CanSign())
			talk(t, &client.Session, &server.Session)
		})
	}
}

// talk exchanges sealed messages, or finds that there are none.
func talk(t *testing.T, client, server *Session) {
	t.Helper()
	if !client.CanSeal() {
		_, _, _, err := client.Wrap(nil, []byte("x"))
		require.ErrorIs(t, err, ErrNotNegotiated)
		return
	}
	for i, text := range []string{"", "hello", strings.Repeat("long ", 8<<10)} {
		for _, way := range []struct{ from, to *Session }{{client, server}, {server, client}} {
			sealed, n, _, err := way.from.Wrap([]byte("before"), []byte(text))
			require.NoError(t, err)
			require.Equal(t, "before", string(sealed[:6]))
			plain, err := way.to.Unwrap(sealed[6:], n)
			require.NoError(t, err, "message %d", i)
			require.Equal(t, text, string(plain))
		}
	}
}

// What is missing among the flags is named, and the password is not even asked
// for.
func TestRefusesWeakFlags(t *testing.T) {
	for _, flag := range []Flags{FlagUnicode, FlagSign, FlagSeal, FlagKeyExchange, Flag128, FlagExtendedSession} {
		t.Run(flag.String(), func(t *testing.T) {
			c, s := clientConfig(), serverConfig()
			c.Secret = func(context.Context) (Hash, error) {
				t.Error("the password was asked for")
				return Hash{}, nil
			}
			s.Without = flag
			client, _, err := wire{}.logon(t, c, s)
			var weak *FlagsError
			require.ErrorAs(t, err, &weak)
			assert.Equal(t, flag, weak.Missing)
			assert.Contains(t, err.Error(), flag.String())
			assert.False(t, client.Presented())
		})
	}
}

// Over TLS, without sealing, servers without a key are good enough.
func TestPlainLogonWithFewFlags(t *testing.T) {
	c, s := clientConfig(), serverConfig()
	c.Seal = false
	s.Without = FlagSign | FlagSeal | FlagKeyExchange | Flag128
	client, server, err := wire{}.logon(t, c, s)
	require.NoError(t, err)
	assert.False(t, client.CanSign())
	_, err = client.MIC(nil, nil)
	require.ErrorIs(t, err, ErrNotNegotiated)
	assert.Equal(t, client.Key(), server.Key())
}

func TestSecretIsAskedLast(t *testing.T) {
	c := clientConfig()
	broken := errors.New("no terminal")
	c.Secret = func(context.Context) (Hash, error) { return Hash{}, broken }
	client, _, err := wire{}.logon(t, c, serverConfig())
	require.ErrorIs(t, err, broken)
	assert.False(t, client.Presented())
}

// Every byte of every message is under the MIC: changing any makes the logon
// fail, whatever is changed.
func TestChangedMessages(t *testing.T) {
	for n := 1; n <= 3; n++ {
		for at := 0; ; at++ {
			end := false
			w := wire{func(i int, m []byte) []byte {
				if i != n {
					return m
				}
				if at >= len(m) {
					end = true
					return m
				}
				m[at] ^= 1
				return m
			}}
			_, _, err := w.logon(t, clientConfig(), serverConfig())
			if end {
				require.NoError(t, err)
				break
			}
			require.Error(t, err, "byte %d of message %d changed", at, n)
		}
	}
}

// Cut anywhere, a message gives a typed error or, where only the unused tail of
// a NEGOTIATE is gone, a MIC that fails.
func TestTruncatedMessages(t *testing.T) {
	for n := 1; n <= 3; n++ {
		for size := 0; ; size++ {
			end := false
			w := wire{func(i int, m []byte) []byte {
				if i != n {
					return m
				}
				end = size >= len(m)
				return m[:min(size, len(m)):min(size, len(m))]
			}}
			_, _, err := w.logon(t, clientConfig(), serverConfig())
			if end {
				require.NoError(t, err)
				break
			}
			require.Error(t, err, "message %d cut at %d", n, size)
			var malformed *MessageError
			if !errors.As(err, &malformed) && !errors.Is(err, ErrMIC) && !errors.Is(err, ErrVersion1) && !errors.Is(err, ErrPassword) {
				t.Errorf("message %d cut at %d: %v", n, size, err)
			}
		}
	}
}

func TestHostileChallenge(t *testing.T) {
	field := func(at int, values ...uint32) func([]byte) []byte {
		return func(m []byte) []byte {
			binary.LittleEndian.PutUint16(m[at:], uint16(values[0]))
			if len(values) > 1 {
				binary.LittleEndian.PutUint32(m[at+4:], values[1])
			}
			return m
		}
	}
	const targetName, targetInfo = 12, 40
	tests := map[string]func([]byte) []byte{
		"target name beyond the end": field(targetName, 0xffff),
		"target info beyond the end": field(targetInfo, 0xffff),
		"offset beyond the end":      field(targetInfo, 10, 0xffffffff),
		"offset wraps around":        field(targetInfo, 16, 0xfffffff8),
		"AV pairs without an end":    field(targetInfo, 24),
		"oversized AV pair": func(m []byte) []byte {
			at := binary.LittleEndian.Uint32(m[targetInfo+4:])
			binary.LittleEndian.PutUint16(m[at+2:], 0xffff)
			return m
		},
		"endless AV pairs": func(m []byte) []byte {
			many := make([]byte, 60000)
			for i := 0; i < len(many); i += 4 {
				many[i] = byte(avFlags)
			}
			m = field(targetInfo, uint32(len(many)), uint32(len(m)))(m)
			return append(m, many...)
		},
		"of another type": func(m []byte) []byte { m[8] = 3; return m },
		"nothing":         func([]byte) []byte { return nil },
		"its own NEGOTIATE": func([]byte) []byte {
			return (&negotiateMessage{flags: offeredFlags}).append(nil)
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			c := clientConfig()
			c.Secret = func(context.Context) (Hash, error) {
				t.Error("the password was asked for")
				return Hash{}, nil
			}
			w := wire{func(n int, m []byte) []byte {
				if n == 2 {
					return change(m)
				}
				return m
			}}
			_, _, err := w.logon(t, c, serverConfig())
			var malformed *MessageError
			require.ErrorAs(t, err, &malformed)
			assert.Equal(t, "CHALLENGE", malformed.Message)
		})
	}
}

// Large AV pairs are taken as they are, up to what the answer can hold.
func TestLargeTargetInfo(t *testing.T) {
	s := serverConfig()
	s.DNSDomainName = strings.Repeat("x", 20000)
	_, _, err := wire{}.logon(t, clientConfig(), s)
	require.NoError(t, err)
	s.DNSDomainName = strings.Repeat("x", 32680)
	_, _, err = wire{}.logon(t, clientConfig(), s)
	var malformed *MessageError
	require.ErrorAs(t, err, &malformed)
}

func TestAcceptorRefuses(t *testing.T) {
	tests := map[string]struct {
		change func(*authenticateMessage)
		want   error
	}{
		"version 1":            {func(m *authenticateMessage) { m.ntResponse = m.ntResponse[:24] }, ErrVersion1},
		"anonymous":            {func(m *authenticateMessage) { m.user, m.ntResponse = nil, nil }, ErrAnonymous},
		"no session key":       {func(m *authenticateMessage) { m.sessionKey = nil }, &MessageError{"AUTHENTICATE", "session key of a wrong length"}},
		"no field for the MIC": {func(m *authenticateMessage) { m.withMIC = false }, ErrMIC},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := wire{func(n int, m []byte) []byte {
				if n != 3 {
					return m
				}
				parsed, err := parseAuthenticate(m)
				require.NoError(t, err)
				tt.change(parsed)
				return parsed.append(nil)
			}}
			_, server, err := w.logon(t, clientConfig(), serverConfig())
			require.Equal(t, tt.want, err)
			assert.False(t, server.CanSeal())
		})
	}
}

func TestStepOutOfTurn(t *testing.T) {
	client, server, err := wire{}.logon(t, clientConfig(), serverConfig())
	require.NoError(t, err)
	_, _, err = client.Step(t.Context(), nil)
	require.ErrorIs(t, err, ErrOutOfTurn)
	_, _, err = server.Step(t.Context(), nil)
	require.ErrorIs(t, err, ErrOutOfTurn)

	fresh, err := NewInitiator(clientConfig())
	require.NoError(t, err)
	_, _, _, err = fresh.Wrap(nil, nil)
	require.ErrorIs(t, err, ErrNoSession)
	_, _, err = fresh.Step(t.Context(), []byte("x"))
	require.ErrorIs(t, err, ErrOutOfTurn)
}

func TestUpper(t *testing.T) {
	// The exceptions are those of Windows' table, as Samba carries it.
	for in, want := range map[string]string{
		"": "", "user": "USER", "Usér$": "USÉR$", "straße": "STRAßE", "ÿ": "Ÿ", "ς": "Σ", "ǆ": "Ǆ",
		"µ": "µ", "ı": "ı", "ſ": "ſ", "ǅ": "ǅ", "ϐ": "ϐ", "𐐨": "𐐨", "я": "Я",
	} {
		assert.Equal(t, want, upper(in))
	}
}

func TestUTF16(t *testing.T) {
	got, err := utf16LE("a😀b")
	require.NoError(t, err)
	assert.Equal(t, []byte{'a', 0, 0x3d, 0xd8, 0, 0xde, 'b', 0}, got)
	assert.Equal(t, "a😀b", fromUTF16LE(got))
	_, err = utf16LE("a\xffb")
	require.ErrorIs(t, err, ErrEncoding)
}

func TestFlagsString(t *testing.T) {
	assert.Equal(t, "SEAL|128", (FlagSeal | Flag128).String())
	assert.Equal(t, "UNICODE|0x40", (FlagUnicode | 0x40).String())
	assert.Equal(t, "0x0", Flags(0).String())
}
