package krb5

import (
	"encoding/binary"
	"encoding/hex"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// vectorValues reads lines of "name = hex".
func vectorValues(t testing.TB, file string) map[string][]byte {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	values := map[string][]byte{}
	for line := range strings.Lines(string(data)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " = ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		values[name] = unhex(t, value)
	}
	return values
}

// vectorContext is a context with given key and sequence number both ways.
func vectorContext(t testing.TB, initiator bool, key Key, acceptorSubkey bool, seq uint64, confounder []byte) *Context {
	t.Helper()
	c, err := newContext(initiator, key, acceptorSubkey, seq, seq)
	require.NoError(t, err)
	c.confounderFunc = func(b []byte) { require.Len(t, b, copy(b, confounder)) }
	return c
}

func TestGSSWrapVectors(t *testing.T) {
	v := vectorValues(t, "testdata/gss.txt")
	seq := binary.BigEndian.Uint64(v["wrap_seq"])
	for name, e := range map[string]EType{"aes128": AES128SHA1, "aes256": AES256SHA1} {
		for side, initiator := range map[string]bool{"init": true, "acc": false} {
			t.Run(name+"/"+side, func(t *testing.T) {
				prefix := "wrap_" + name + "_" + side + "_"
				key := Key{e, v["wrap_"+name+"_key"]}
				subkey := true
				plain := v[prefix+"plaintext"]

				ours := vectorContext(t, initiator, key, subkey, seq, v["wrap_confounder"])
				out, n, length, err := ours.Wrap([]byte("before"), plain)
				require.NoError(t, err)
				require.Equal(t, "before", string(out[:6]))
				out = out[6:]
				assert.Equal(t, len(plain), length)
				assert.Equal(t, hex.EncodeToString(v[prefix+"winrm_header"]), hex.EncodeToString(out[:n]))
				assert.Equal(t, hex.EncodeToString(v[prefix+"winrm_data"]), hex.EncodeToString(out[n:]))

				for _, form := range []string{"winrm", "dce", "rrc0"} {
					theirs := vectorContext(t, !initiator, key, subkey, seq, nil)
					token := slices.Concat(v[prefix+form+"_header"], v[prefix+form+"_data"], v[prefix+form])
					got, err := theirs.Unwrap(slices.Clone(token), 1)
					require.NoError(t, err, form)
					assert.Equal(t, plain, got, form)

					_, err = theirs.Unwrap(slices.Clone(token), 1)
					var seqErr *SequenceError
					assert.ErrorAs(t, err, &seqErr, "replayed")
				}
			})
		}
	}
}

func TestGSSRC4Vector(t *testing.T) {
	v := vectorValues(t, "testdata/gss.txt")
	key := Key{RC4, v["rc4_key"]}
	seq := uint64(binary.BigEndian.Uint32(v["rc4_seq_be"]))
	ours := vectorContext(t, true, key, false, seq, v["rc4_confounder"])
	out, n, length, err := ours.Wrap(nil, v["rc4_plaintext"])
	require.NoError(t, err)
	assert.Equal(t, len(v["rc4_plaintext"])+1, length)
	assert.Equal(t, hex.EncodeToString(v["rc4_header45"]), hex.EncodeToString(out[:n]))
	assert.Equal(t, hex.EncodeToString(v["rc4_data16"]), hex.EncodeToString(out[n:]))

	theirs := vectorContext(t, false, key, false, seq, nil)
	got, err := theirs.Unwrap(out, n)
	require.NoError(t, err)
	assert.Equal(t, v["rc4_plaintext"], got)
}

// TestRC4HeaderGrows has the sizes that SSPI peers expect: the frame's length
// covers the data.
func TestRC4HeaderGrows(t *testing.T) {
	c := vectorContext(t, true, Key{RC4, make([]byte, 16)}, false, 0, make([]byte, 8))
	for size, want := range map[int]int{0: 45, 83: 45, 84: 46, 211: 46, 212: 47, 65491: 47, 65492: 48} {
		_, n, _, err := c.Wrap(nil, make([]byte, size))
		require.NoError(t, err)
		assert.Equal(t, want, n, "plaintext of %d", size)
	}
}

func TestGSSSignedVectors(t *testing.T) {
	v := vectorValues(t, "testdata/gss.txt")
	key := Key{AES128SHA1, v["g5_key"]}
	for _, side := range []string{"acceptor", "initiator"} {
		token := v["g5_wrap_"+side]
		c := vectorContext(t, side == "acceptor", key, false, binary.BigEndian.Uint64(token[8:]), nil)
		got, sealed, err := c.UnwrapToken(slices.Clone(token))
		require.NoError(t, err)
		assert.False(t, sealed)
		assert.Equal(t, v["g5_wrap_payload"], got)

		c = vectorContext(t, side == "acceptor", key, false, binary.BigEndian.Uint64(token[8:]), nil)
		_, err = c.Unwrap(slices.Clone(token), 0)
		assert.ErrorIs(t, err, ErrNotSealed)

		mic := v["g5_mic_"+side]
		seq := binary.BigEndian.Uint64(mic[8:])
		made, err := vectorContext(t, side == "initiator", key, false, seq, nil).MIC(v["g5_mic_payload"])
		require.NoError(t, err)
		assert.Equal(t, hex.EncodeToString(mic), hex.EncodeToString(made))
		verifier := vectorContext(t, side == "acceptor", key, false, seq, nil)
		require.NoError(t, verifier.VerifyMIC(v["g5_mic_payload"], mic))
		assert.Error(t, verifier.VerifyMIC(v["g5_mic_payload"], mic), "replayed")
	}
}

func TestGSSChecksumVectors(t *testing.T) {
	v := vectorValues(t, "testdata/gss.txt")
	sum := gssChecksum{Flags: contextWinRM}
	assert.Equal(t, v["cksum8003_no_binding"], sum.marshal())
	copy(sum.Bindings[:], v["cksum8003_nodeleg"][4:])
	assert.Equal(t, v["cksum8003_nodeleg"], sum.marshal())
	got, err := parseGSSChecksum(v["cksum8003_nodeleg"])
	require.NoError(t, err)
	assert.Equal(t, sum, got)
}

// testKeys are the keys of a service.
type testKeys []Key

func (k testKeys) ServiceKeys(_ Principal, e EType, _ int) []Key {
	var found []Key
	for _, key := range k {
		if key.EType == e {
			found = append(found, key)
		}
	}
	return found
}

func mustKey(t testing.TB, e EType) Key {
	t.Helper()
	k, err := NewKey(e)
	require.NoError(t, err)
	return k
}

func mint(t testing.TB, service Key) *Ticket {
	t.Helper()
	ticket, err := Mint{
		Client: Principal{Type: NTPrincipal, Parts: []string{"alice"}, Realm: "EXAMPLE.TEST"},
		Server: Service("HTTP", "host.example.test", "EXAMPLE.TEST"), ServiceKey: service, KVNO: 3,
		Flags: FlagForwardable | FlagOKAsDelegate,
	}.Ticket()
	require.NoError(t, err)
	return ticket
}

// establish runs both sides of the establishment.
func establish(t testing.TB, ic InitiatorConfig, ac AcceptorConfig) (*Context, *Accepted) {
	t.Helper()
	i, err := NewInitiator(ic)
	require.NoError(t, err)
	token, err := i.Token()
	require.NoError(t, err)
	rep, acc, err := Accept(ac, token)
	require.NoError(t, err)
	c, err := i.Finish(rep)
	require.NoError(t, err)
	return c, acc
}

func TestEstablishAndTalk(t *testing.T) {
	for _, e := range slices.Sorted(maps.Keys(profiles)) {
		t.Run(e.String(), func(t *testing.T) {
			service := mustKey(t, e)
			tgt := mint(t, service)
			tgt.Server = tgsName("EXAMPLE.TEST", "EXAMPLE.TEST")
			c, acc := establish(t,
				InitiatorConfig{Ticket: mint(t, service), Binding: []byte("tls-server-end-point:x"), Delegate: tgt},
				AcceptorConfig{Keys: testKeys{service}, Replay: &ReplayCache{}, Binding: []byte("tls-server-end-point:x"), AllowRC4: true, BindingLevel: BindingStrict})
			assert.Equal(t, "alice@EXAMPLE.TEST", acc.Client.String())
			assert.True(t, acc.Bound)
			assert.Equal(t, contextWinRM|ContextDeleg, acc.Flags)
			require.Len(t, acc.Delegated, 1)
			assert.Equal(t, tgt.Raw, acc.Delegated[0].Raw)
			assert.True(t, tgt.Key.Equal(acc.Delegated[0].Key))
			assert.Equal(t, tgt.EndTime, acc.Delegated[0].EndTime)

			for size := range 70 {
				talk(t, c, acc.Context, size)
				talk(t, acc.Context, c, size)
			}
			talk(t, c, acc.Context, 100_000)
			mic, err := c.MIC([]byte("data"))
			require.NoError(t, err)
			assert.Error(t, acc.Context.VerifyMIC([]byte("other"), mic))
			assert.NoError(t, acc.Context.VerifyMIC([]byte("data"), mic))
		})
	}
}

// talk sends one message of size bytes.
func talk(t testing.TB, from, to *Context, size int) {
	t.Helper()
	plain := []byte(strings.Repeat("x", size))
	out, n, _, err := from.Wrap(nil, plain)
	require.NoError(t, err)
	require.Less(t, n, 80)
	got, err := to.Unwrap(out, n)
	require.NoError(t, err)
	require.Equal(t, string(plain), string(got))
}

func TestEveryChangedByteIsNoticed(t *testing.T) {
	for _, e := range slices.Sorted(maps.Keys(profiles)) {
		t.Run(e.String(), func(t *testing.T) {
			key := mustKey(t, e)
			from := vectorContext(t, true, key, true, 7, make([]byte, profiles[e].confounder))
			out, _, _, err := from.Wrap(nil, []byte("some text of a length"))
			require.NoError(t, err)
			to := vectorContext(t, false, key, true, 7, nil)
			for i := range out {
				for _, bit := range []byte{1, 0x80} {
					bad := slices.Clone(out)
					bad[i] ^= bit
					if got, err := to.Unwrap(bad, 60); err == nil {
						// The frame of RC4 is not covered by its checksum, nor does RFC 4757
						// make anything depend on it.
						assert.Equal(t, "some text of a length", string(got))
						assert.True(t, e == RC4 && i < 13, "byte %d", i)
						to.recvSeq = 7
					}
				}
			}
			for n := range out {
				_, err := to.Unwrap(slices.Clone(out[:n]), 60)
				assert.Error(t, err, "cut to %d", n)
			}
			_, err = to.Unwrap(out, 60)
			assert.NoError(t, err)
		})
	}
}

func TestOwnTokenSentBackIsRefused(t *testing.T) {
	key := mustKey(t, AES256SHA1)
	c := vectorContext(t, true, key, false, 0, make([]byte, 16))
	out, n, _, err := c.Wrap(nil, []byte("x"))
	require.NoError(t, err)
	_, err = c.Unwrap(out, n)
	assert.Error(t, err)
}

// What the first token says is read as a server has to that knows nothing of our
// acceptor's leniency: the forwarded ticket is under the session key (RFC 4121
// section 4.1.1), and who sends a binding says that he knows of them ([MS-KILE]
// section 3.2.5.8).
func TestFirstToken(t *testing.T) {
	for _, binding := range [][]byte{nil, []byte("tls-server-end-point:mine")} {
		ticket := mint(t, mustKey(t, AES256SHA1))
		i, err := NewInitiator(InitiatorConfig{Ticket: ticket, Binding: binding, Delegate: mint(t, mustKey(t, AES256SHA1))})
		require.NoError(t, err)
		token, err := i.Token()
		require.NoError(t, err)
		id, inner, err := parseContextToken(token)
		require.NoError(t, err)
		require.EqualValues(t, tokAPReq, id)
		var req apReq
		require.NoError(t, unmarshalApp(inner, &req, tagAPReq, "AP-REQ"))
		assert.Equal(t, apMutualRequired, flags(req.Options))
		plain, err := decryptData(ticket.Key, usageAPReqAuth, req.Authenticator)
		require.NoError(t, err)
		var a types.Authenticator
		require.NoError(t, unmarshalApp(plain, &a, tagAuthenticator, "authenticator"))
		sum, err := parseGSSChecksum(a.Cksum.Checksum)
		require.NoError(t, err)
		assert.Equal(t, contextWinRM|ContextDeleg, sum.Flags)
		delegated, err := parseCred(sum.Cred, ticket.Key)
		require.NoError(t, err)
		assert.Len(t, delegated, 1)
		assert.Equal(t, binding != nil, clientKnowsBindings(a.AuthorizationData))
		if binding == nil {
			assert.Zero(t, sum.Bindings)
		} else {
			assert.Equal(t, BindingHash(binding), sum.Bindings)
		}
	}
}

func TestAcceptorRefuses(t *testing.T) {
	service := mustKey(t, AES256SHA1)
	other := mustKey(t, AES256SHA1)
	now := time.Now()
	binding := []byte("tls-server-end-point:mine")
	later := func() time.Time { return now.Add(time.Hour) }
	cases := map[string]struct {
		ic      InitiatorConfig
		ac      AcceptorConfig
		mallory bool // calls himself by another name than the ticket's
		want    error
	}{
		"another name":     {ac: AcceptorConfig{Keys: testKeys{service}}, mallory: true, want: ErrBadMatch},
		"another key":      {ac: AcceptorConfig{Keys: testKeys{other}}, want: ErrModified},
		"no key":           {ac: AcceptorConfig{Keys: testKeys{}}, want: ErrNoKey},
		"clock":            {ac: AcceptorConfig{Keys: testKeys{service}, Now: later}, want: ErrSkew},
		"expired":          {ac: AcceptorConfig{Keys: testKeys{service}, Now: func() time.Time { return now.Add(24 * time.Hour) }}, want: ErrTicketExpired},
		"other binding":    {ic: InitiatorConfig{Binding: []byte("x")}, ac: AcceptorConfig{Keys: testKeys{service}, Binding: binding}, want: ErrBinding},
		"binding required": {ac: AcceptorConfig{Keys: testKeys{service}, Binding: binding, BindingLevel: BindingStrict}, want: ErrBinding},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.ic.Ticket = mint(t, service)
			if c.mallory {
				c.ic.Ticket.Client = Principal{Type: NTPrincipal, Parts: []string{"administrator"}, Realm: c.ic.Ticket.Client.Realm}
			}
			i, err := NewInitiator(c.ic)
			require.NoError(t, err)
			token, err := i.Token()
			require.NoError(t, err)
			out, acc, err := Accept(c.ac, token)
			require.ErrorIs(t, err, c.want)
			assert.Nil(t, acc)
			if c.want == ErrBinding {
				return
			}
			// The client learns the code from the KRB-ERROR.
			_, err = i.Finish(out)
			require.ErrorIs(t, err, c.want)
		})
	}
}

func TestReplayIsRefused(t *testing.T) {
	service := mustKey(t, AES256SHA384)
	i, err := NewInitiator(InitiatorConfig{Ticket: mint(t, service)})
	require.NoError(t, err)
	token, err := i.Token()
	require.NoError(t, err)
	cache := &ReplayCache{Max: 2}
	ac := AcceptorConfig{Keys: testKeys{service}, Replay: cache}
	_, _, err = Accept(ac, token)
	require.NoError(t, err)
	_, _, err = Accept(ac, token)
	require.ErrorIs(t, err, ErrRepeat)
	for range 5 {
		establish(t, InitiatorConfig{Ticket: mint(t, service)}, ac)
	}
	assert.LessOrEqual(t, len(cache.seen), 2)
}

// TestMutualAuthentication has a server that knows the ticket's session key
// wrong, and one that answers another client's time.
func TestMutualAuthentication(t *testing.T) {
	service := mustKey(t, AES128SHA1)
	i, err := NewInitiator(InitiatorConfig{Ticket: mint(t, service)})
	require.NoError(t, err)
	_, err = i.Token()
	require.NoError(t, err)
	j, err := NewInitiator(InitiatorConfig{Ticket: i.cfg.Ticket, Now: func() time.Time { return time.Now().Add(time.Second) }})
	require.NoError(t, err)
	token, err := j.Token()
	require.NoError(t, err)
	rep, _, err := Accept(AcceptorConfig{Keys: testKeys{service}}, token)
	require.NoError(t, err)
	_, err = j.Finish(rep)
	require.NoError(t, err)

	var mutual *MutualAuthError
	_, err = i.Finish(rep)
	require.ErrorAs(t, err, &mutual)
	stranger, err := NewInitiator(InitiatorConfig{Ticket: mint(t, service)})
	require.NoError(t, err)
	_, err = stranger.Token()
	require.NoError(t, err)
	_, err = stranger.Finish(rep)
	require.ErrorAs(t, err, &mutual)
	assert.ErrorIs(t, err, ErrIntegrity)
}

func TestWrapAllocatesOnlyForGrowth(t *testing.T) {
	for _, e := range []EType{AES128SHA1, AES256SHA1, AES128SHA256, AES256SHA384} {
		key := mustKey(t, e)
		from, to := vectorContext(t, true, key, true, 0, nil), vectorContext(t, false, key, true, 0, nil)
		from.confounderFunc = randomFill
		plain := make([]byte, 4000)
		dst := make([]byte, 0, 5000)
		allocs := testing.AllocsPerRun(100, func() {
			out, n, _, err := from.Wrap(dst, plain)
			require.NoError(t, err)
			_, err = to.Unwrap(out, n)
			require.NoError(t, err)
		})
		assert.Zero(t, allocs, e)
	}
}

func FuzzUnwrap(f *testing.F) {
	v := vectorValues(f, "testdata/gss.txt")
	for name, b := range v {
		if strings.HasPrefix(name, "wrap_") || strings.HasPrefix(name, "g5_") || strings.HasPrefix(name, "rc4_h") {
			f.Add(b)
		}
	}
	aes, rc4 := Key{AES128SHA1, v["wrap_aes128_key"]}, Key{RC4, v["rc4_key"]}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, k := range []Key{aes, rc4} {
			c, err := newContext(true, k, true, 0, 0)
			require.NoError(t, err)
			_, _, _ = c.UnwrapToken(slices.Clone(b))
			_ = c.VerifyMIC([]byte("x"), b)
		}
	})
}

func FuzzAccept(f *testing.F) {
	service := Key{AES256SHA1, make([]byte, 32)}
	i, err := NewInitiator(InitiatorConfig{Ticket: mint(f, service)})
	require.NoError(f, err)
	token, err := i.Token()
	require.NoError(f, err)
	f.Add(token)
	f.Add(frame(tokError, []byte{0x7e, 0}))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, _ = Accept(AcceptorConfig{Keys: testKeys{service}, AllowRC4: true}, b)
		_, _ = i.Finish(b)
	})
}
