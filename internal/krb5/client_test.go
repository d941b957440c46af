package krb5

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeNet reaches peers by name through pipes; a name without a peer is down.
type fakeNet struct {
	peers map[string]func(net.Conn)
	mu    sync.Mutex
	dials []string
	wg    sync.WaitGroup
}

func (f *fakeNet) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	f.mu.Lock()
	f.dials = append(f.dials, addr)
	f.mu.Unlock()
	peer := f.peers[addr]
	if peer == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	ours, theirs := net.Pipe()
	f.wg.Go(func() {
		defer theirs.Close()
		peer(theirs)
	})
	return ours, nil
}

func testKDC(t testing.TB) *KDC {
	return &KDC{
		Realm: "A.TEST", Users: map[string]string{"alice": "secret"},
		Services: map[string]Key{"HTTP/host.a.test": mustKey(t, AES256SHA1)},
	}
}

// kdcClient is a client of alice's whose realm has these KDCs by address.
func kdcClient(t testing.TB, f *fakeNet, addrs ...string) *Client {
	t.Helper()
	if len(addrs) == 0 {
		addrs = []string{"kdc:88"}
	}
	c, err := NewClient(ClientConfig{
		Network:   &Network{KDCs: map[string][]string{"A.TEST": addrs, "B.TEST": {"b:88"}}, Dial: f.dial, Timeout: 2 * time.Second},
		Principal: Principal{Type: NTPrincipal, Parts: []string{"alice"}, Realm: "A.TEST"},
		Secret:    Password(func(context.Context) (string, error) { return "secret", nil }),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()); f.wg.Wait() })
	return c
}

func serving(k *KDC) func(net.Conn) { return k.serveConn }

var testService = Service("HTTP", "host.a.test", "")

func TestOneExchangeForManyCallers(t *testing.T) {
	k := testKDC(t)
	f := &fakeNet{peers: map[string]func(net.Conn){"kdc:88": serving(k)}}
	c := kdcClient(t, f)
	var wg sync.WaitGroup
	for range 500 {
		wg.Go(func() {
			ticket, err := c.Ticket(t.Context(), testService)
			if assert.NoError(t, err) {
				assert.Equal(t, "alice@A.TEST", ticket.Client.String())
			}
			_, err = c.Forward(t.Context())
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	counts := k.Counts()
	assert.Equal(t, 1, counts.AS)
	assert.Equal(t, map[string]int{"HTTP/host.a.test": 1, "krbtgt/A.TEST": 1}, counts.ByService)
}

// However many hosts there are, the client logs on once: a cache's ticket could
// not even be had again.
func TestManyServicesLeaveTheTGT(t *testing.T) {
	k := testKDC(t)
	f := &fakeNet{peers: map[string]func(net.Conn){"kdc:88": serving(k)}}
	c := kdcClient(t, f)
	_, err := c.TGT(t.Context())
	require.NoError(t, err)
	evicted := Key{EType: AES256SHA1, Value: bytes.Repeat([]byte{1}, 32)}
	c.mu.Lock()
	for i := range maxTickets + 10 {
		s := Service("HTTP", "h"+strconv.Itoa(i), "A.TEST")
		ticket := &Ticket{Server: s}
		if i == 0 {
			ticket.Key = evicted
		}
		c.keep(serviceID(s), ticket)
	}
	assert.Len(t, c.tickets, maxTickets)
	assert.Len(t, c.order, maxTickets)
	c.mu.Unlock()
	assert.Equal(t, make([]byte, 32), evicted.Value, "wiped")
	_, err = c.Ticket(t.Context(), testService)
	require.NoError(t, err)
	assert.Equal(t, 1, k.Counts().AS)
}

// RC4 is spoken only where it is asked for, whoever chose it: kinit, or the KDC.
func TestRC4MustBeAskedFor(t *testing.T) {
	k := testKDC(t)
	f := &fakeNet{peers: map[string]func(net.Conn){"kdc:88": serving(k)}}
	alice := Principal{Type: NTPrincipal, Parts: []string{"alice"}, Realm: "A.TEST"}
	cache, err := Mint{Client: alice, Server: tgsName("A.TEST", "A.TEST"), ServiceKey: mustKey(t, RC4)}.Ticket()
	require.NoError(t, err)
	service, err := Mint{Client: alice, Server: Service("HTTP", "host.a.test", "A.TEST"), ServiceKey: mustKey(t, RC4)}.Ticket()
	require.NoError(t, err)
	for _, allow := range []bool{false, true} {
		cfg := ClientConfig{
			Network:   &Network{KDCs: map[string][]string{"A.TEST": {"kdc:88"}}, Dial: f.dial},
			Principal: alice, Tickets: []*Ticket{cache, service}, ETypes: DefaultETypes(),
		}
		if allow {
			cfg.ETypes = append(cfg.ETypes, RC4)
		}
		c, err := NewClient(cfg)
		require.NoError(t, err)
		_, err = c.Ticket(t.Context(), testService)
		if allow {
			require.NoError(t, err)
		} else {
			var e *ETypeError
			require.ErrorAs(t, err, &e)
			assert.Equal(t, &ETypeError{EType: RC4, Unasked: true}, e)
		}
		require.NoError(t, c.Close())
	}
	unasked := func(err error) {
		t.Helper()
		var reply *ReplyError
		require.ErrorAs(t, err, &reply)
		var e *ETypeError
		require.ErrorAs(t, err, &e)
		assert.Equal(t, &ETypeError{EType: RC4, Unasked: true}, e)
	}
	c := kdcClient(t, f)
	_, err = c.TGT(t.Context())
	require.NoError(t, err)
	k.Session = RC4
	_, err = c.Ticket(t.Context(), testService)
	unasked(err)
	_, err = kdcClient(t, f).TGT(t.Context())
	unasked(err)
}

// What a server could not decrypt is dropped by the name that was asked for,
// whatever name the KDC gave it and in whose name it is.
func TestForget(t *testing.T) {
	c := kdcClient(t, &fakeNet{})
	real := Service("HTTP", "real.a.test", "A.TEST")
	alias, user := Service("HTTP", "alias.a.test", ""), Principal{Parts: []string{"bob"}, Realm: "A.TEST"}
	imported := Service("HTTP", "alias.a.test", "A.TEST")
	for id, server := range map[string]Principal{
		serviceID(alias): real, "proxy " + ticketID(user) + " " + ticketID(alias): real, ticketID(imported): imported,
		serviceID(real): real, "self " + ticketID(user): real,
	} {
		c.keep(id, &Ticket{Server: server})
	}
	c.Forget(alias)
	assert.Len(t, c.tickets, 2)
	assert.NotNil(t, c.tickets[serviceID(real)])
	assert.NotNil(t, c.tickets["self "+ticketID(user)])
	assert.Len(t, c.order, 2)
}

func TestWrongPasswordCostsOneFailedLogon(t *testing.T) {
	k := testKDC(t)
	k.Users["alice"] = "other"
	f := &fakeNet{peers: map[string]func(net.Conn){"kdc:88": serving(k), "kdc2:88": serving(k)}}
	_, err := kdcClient(t, f, "kdc:88", "kdc2:88").TGT(t.Context())
	require.ErrorIs(t, err, ErrPreAuthFailed)
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.True(t, e.RefusesAccount())
	assert.Equal(t, 1, k.Counts().Failed)
}

func TestCallerThatLeavesLetsTheNextFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := testKDC(t)
		var slow atomic.Bool
		slow.Store(true)
		f := &fakeNet{peers: map[string]func(net.Conn){"kdc:88": func(c net.Conn) {
			if slow.Load() {
				_, _ = io.Copy(io.Discard, c) // never answers
				return
			}
			k.serveConn(c)
		}}}
		c := kdcClient(t, f)
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { _, err := c.TGT(ctx); left <- err }()
		synctest.Wait()
		got := make(chan error, 1)
		go func() { _, err := c.TGT(t.Context()); got <- err }()
		synctest.Wait()
		slow.Store(false)
		cancel()
		require.ErrorIs(t, <-left, context.Canceled)
		require.NoError(t, <-got)
	})
}

func TestKDCDownGoesToTheNext(t *testing.T) {
	k := testKDC(t)
	f := &fakeNet{peers: map[string]func(net.Conn){
		"closes:88": func(net.Conn) {}, "good:88": serving(k),
		"busy:88": func(c net.Conn) {
			b := &KDC{Realm: "A.TEST", Errors: map[string]Code{"alice": ErrSvcUnavailable}}
			b.serveConn(c)
		},
	}}
	c := kdcClient(t, f, "down:88", "closes:88", "busy:88", "good:88")
	_, err := c.Ticket(t.Context(), testService)
	require.NoError(t, err)
	// Found once, the living one is asked first.
	assert.Equal(t, []string{"down:88", "closes:88", "busy:88", "good:88", "good:88", "good:88"}, f.dials)

	_, err = kdcClient(t, f, "down:88", "closes:88").TGT(t.Context())
	var none *NoKDCError
	require.ErrorAs(t, err, &none)
	assert.Equal(t, []string{"down:88", "closes:88"}, none.Tried)
	assert.False(t, none.Sent)
}

// TestProofOfPasswordGoesToOneKDC loses the answer to the encrypted timestamp.
func TestProofOfPasswordGoesToOneKDC(t *testing.T) {
	k := testKDC(t)
	f := &fakeNet{peers: map[string]func(net.Conn){
		"first:88": func(c net.Conn) {
			var prefix [4]byte
			_, _ = io.ReadFull(c, prefix[:])
			req := make([]byte, binary.BigEndian.Uint32(prefix[:]))
			_, _ = io.ReadFull(c, req)
			r, err := k.parse(req, tagASReq)
			if err == nil && r.data(paEncTimestamp) == nil {
				reply := k.Answer(req)
				_, _ = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(reply))), reply...))
			}
		},
		"second:88": serving(k),
	}}
	_, err := kdcClient(t, f, "first:88", "second:88").TGT(t.Context())
	var none *NoKDCError
	require.ErrorAs(t, err, &none)
	assert.True(t, none.Sent)
	assert.NotContains(t, f.dials, "second:88")
}

func TestReferralToAnotherRealm(t *testing.T) {
	shared := mustKey(t, AES256SHA1)
	a, b := testKDC(t), testKDC(t)
	a.Referral = map[string]string{"HTTP/web.other.test": "B.TEST"}
	a.Cross = map[string]Key{"B.TEST": shared}
	b.Realm, b.Users = "B.TEST", map[string]string{"bob": "secret"}
	b.Services = map[string]Key{"HTTP/web.other.test": mustKey(t, AES256SHA1), "HTTP/host.b.test": mustKey(t, AES256SHA1)}
	b.Cross = map[string]Key{"A.TEST": shared}
	f := &fakeNet{peers: map[string]func(net.Conn){"kdc:88": serving(a), "b:88": serving(b)}}
	c := kdcClient(t, f)

	ticket, err := c.Ticket(t.Context(), Service("HTTP", "web.other.test", ""))
	require.NoError(t, err)
	assert.Equal(t, "HTTP/web.other.test@B.TEST", ticket.Server.String())
	assert.Equal(t, "alice@A.TEST", ticket.Client.String())

	// No referral, no configuration: the host's domain says it.
	_, err = c.Ticket(t.Context(), Service("HTTP", "host.b.test", ""))
	require.NoError(t, err)

	b.Referral = map[string]string{"HTTP/loop.other.test": "A.TEST"}
	a.Referral["HTTP/loop.other.test"] = "B.TEST"
	b.Cross["A.TEST"] = shared
	_, err = c.Ticket(t.Context(), Service("HTTP", "loop.other.test", ""))
	var reply *ReplyError
	require.ErrorAs(t, err, &reply)
}

// A foreign KDC says that its server is trusted for delegation. That counts only
// where our own KDC says so of the foreign realm.
func TestTrustedForDelegationOverRealms(t *testing.T) {
	const spn = "HTTP/web.other.test"
	for name, tc := range map[string]struct {
		trust []string // what A says
		named bool     // the realm is named, so that its ticket-granting ticket is fetched first
		want  bool
	}{
		"by referral":              {nil, false, false},
		"by referral, realm is ok": {[]string{"krbtgt/B.TEST"}, false, true},
		"by name":                  {nil, true, false},
		"by name, realm is ok":     {[]string{"krbtgt/B.TEST"}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			shared := mustKey(t, AES256SHA1)
			a, b := testKDC(t), testKDC(t)
			a.Referral, a.Cross, a.Trusted = map[string]string{spn: "B.TEST"}, map[string]Key{"B.TEST": shared}, tc.trust
			b.Realm, b.Services, b.Cross = "B.TEST", map[string]Key{spn: mustKey(t, AES256SHA1)}, map[string]Key{"A.TEST": shared}
			b.Trusted = []string{spn}
			c := kdcClient(t, &fakeNet{peers: map[string]func(net.Conn){"kdc:88": serving(a), "b:88": serving(b)}})
			realm := ""
			if tc.named {
				realm = "B.TEST"
			}
			ticket, err := c.Ticket(t.Context(), Service("HTTP", "web.other.test", realm))
			require.NoError(t, err)
			assert.Equal(t, "B.TEST", ticket.Server.Realm)
			assert.Equal(t, tc.want, ticket.Flags&FlagOKAsDelegate != 0)
		})
	}
}

func TestClientOfAnotherRealm(t *testing.T) {
	a, b := testKDC(t), testKDC(t)
	a.Referral = map[string]string{"alice": "B.TEST"}
	b.Realm = "B.TEST"
	f := &fakeNet{peers: map[string]func(net.Conn){"kdc:88": serving(a), "b:88": serving(b)}}
	tgt, err := kdcClient(t, f).TGT(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "alice@B.TEST", tgt.Client.String())

	b.Referral = map[string]string{"alice": "A.TEST"}
	_, err = kdcClient(t, f).TGT(t.Context())
	require.ErrorIs(t, err, ErrWrongRealm)
}

func TestClockSkew(t *testing.T) {
	k := testKDC(t)
	k.Now = func() time.Time { return time.Now().Add(-time.Hour) }
	f := &fakeNet{peers: map[string]func(net.Conn){"kdc:88": serving(k)}}
	c := kdcClient(t, f)
	_, err := c.TGT(t.Context())
	require.ErrorIs(t, err, ErrSkew)
	assert.Contains(t, err.Error(), "1h0m0s behind ours")
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.InDelta(t, -time.Hour, e.Skew, float64(5*time.Second))

	c = kdcClient(t, f)
	c.cfg.FollowKDCClock = true
	_, err = c.Ticket(t.Context(), testService)
	require.NoError(t, err)
	assert.InDelta(t, -time.Hour, time.Until(c.Now()), float64(5*time.Second))
}

// Between the logon and a ticket the KDC's clock has moved: that is followed only
// where it is wanted.
func TestClockMovesAfterTheLogon(t *testing.T) {
	for _, follow := range []bool{false, true} {
		k := testKDC(t)
		c := kdcClient(t, &fakeNet{peers: map[string]func(net.Conn){"kdc:88": serving(k)}})
		c.cfg.FollowKDCClock = follow
		_, err := c.TGT(t.Context())
		require.NoError(t, err)
		k.Now = func() time.Time { return time.Now().Add(time.Hour) }
		_, err = c.Ticket(t.Context(), testService)
		if follow {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, ErrSkew)
		var e *Error
		require.ErrorAs(t, err, &e)
		assert.InDelta(t, time.Hour, e.Skew, float64(time.Minute))
	}
}

// A cache may hold tickets of others, such as those of a user acted for, and ones
// that the KDC has yet to validate: they are not used.
func TestTicketsThatAreNotUsed(t *testing.T) {
	alice := Principal{Type: NTPrincipal, Parts: []string{"alice"}, Realm: "A.TEST"}
	administrator := Principal{Type: NTPrincipal, Parts: []string{"administrator"}, Realm: "A.TEST"}
	for _, tc := range []struct {
		owner Principal
		flags uint32
		good  bool
	}{{alice, 0, true}, {administrator, 0, false}, {alice, FlagInvalid, false}} {
		ticket, err := Mint{
			Client: tc.owner, Server: Service("HTTP", "host.a.test", "A.TEST"), ServiceKey: mustKey(t, AES256SHA1), Flags: tc.flags,
		}.Ticket()
		require.NoError(t, err)
		c, err := NewClient(ClientConfig{Principal: alice, Tickets: []*Ticket{ticket}})
		require.NoError(t, err)
		got, err := c.Ticket(t.Context(), testService)
		if tc.good {
			require.NoError(t, err)
			assert.Equal(t, alice, got.Client)
		} else {
			var none *NoTicketError
			require.ErrorAs(t, err, &none)
		}
		require.NoError(t, c.Close())
	}
}

func TestTicketsAreRenewedBeforeTheyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := testKDC(t)
		k.Lifetime = time.Hour
		f := &fakeNet{peers: map[string]func(net.Conn){"kdc:88": serving(k)}}
		c := kdcClient(t, f)
		for range 3 {
			_, err := c.Ticket(t.Context(), testService)
			require.NoError(t, err)
			time.Sleep(20 * time.Minute)
		}
		assert.Equal(t, 1, k.Counts().AS)
		time.Sleep(30 * time.Second)
		_, err := c.Ticket(t.Context(), testService)
		require.NoError(t, err)
		assert.Equal(t, 2, k.Counts().AS)
		// One that cannot be replaced serves until it ends.
		delete(f.peers, "kdc:88")
		time.Sleep(57 * time.Minute)
		_, err = c.TGT(t.Context())
		require.NoError(t, err)
		time.Sleep(3 * time.Minute)
		_, err = c.TGT(t.Context())
		require.Error(t, err)
	})
}

func TestHostileKDC(t *testing.T) {
	k := testKDC(t)
	// answer writes bytes after the request's length was read.
	answer := func(b ...[]byte) func(net.Conn) {
		return func(c net.Conn) {
			var prefix [4]byte
			_, _ = io.ReadFull(c, prefix[:])
			_, _ = io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(prefix[:])))
			_, _ = c.Write(slices.Concat(b...))
		}
	}
	good := k.Answer([]byte{})
	cases := map[string]func(net.Conn){
		"huge length":     answer([]byte{0x7f, 0xff, 0xff, 0xff}, make([]byte, 100)),
		"negative length": answer([]byte{0x80, 0, 0, 1}, make([]byte, 100)),
		"no length":       answer([]byte{0, 0}),
		"empty":           answer([]byte{0, 0, 0, 0}),
		"truncated":       answer([]byte{0, 0, 1, 0}, good),
		"garbage":         answer([]byte{0, 0, 0, 4}, []byte("HTTP")),
		"cut DER":         answer([]byte{0, 0, 0, 3}, good[:3]),
		"too long":        answer([]byte{0, 4, 0, 1}, make([]byte, maxReply+1)),
		"slow drip": func(c net.Conn) {
			var prefix [4]byte
			_, _ = io.ReadFull(c, prefix[:])
			_, _ = io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(prefix[:])))
			_, err := c.Write([]byte{0, 0, 0xff, 0})
			for err == nil {
				_, err = c.Write([]byte{0x6b})
				time.Sleep(500 * time.Millisecond)
			}
		},
	}
	for name, peer := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeNet{peers: map[string]func(net.Conn){"kdc:88": peer}}
				start := time.Now()
				_, err := kdcClient(t, f).TGT(t.Context())
				require.Error(t, err)
				assert.LessOrEqual(t, time.Since(start), 3*time.Second)
				if slices.Contains([]string{"huge length", "negative length", "empty", "too long"}, name) {
					require.ErrorIs(t, err, errReplyLength, "nothing of it is read")
				}
			})
		})
	}
}

// Nor can it keep the processor busy: who asks for more rounds than that has not
// even been authenticated.
func TestHostileRounds(t *testing.T) {
	for _, params := range [][]byte{{0, 0, 0, 0}, {0, 0x40, 0, 1}, {0xff, 0xff, 0xff, 0xff}, {1}} {
		for _, e := range DefaultETypes() {
			_, err := StringToKey(e, "secret", "salt", params)
			assert.Error(t, err, "%v: %x", e, params)
		}
	}
}

// TestReplayedReplies has a KDC, or somebody before it, that answers with the
// reply to another request.
func TestReplayedReplies(t *testing.T) {
	k := testKDC(t)
	var mu sync.Mutex
	kept := map[int][]byte{}
	f := &fakeNet{peers: map[string]func(net.Conn){"kdc:88": func(c net.Conn) {
		var prefix [4]byte
		_, _ = io.ReadFull(c, prefix[:])
		req := make([]byte, binary.BigEndian.Uint32(prefix[:]))
		_, _ = io.ReadFull(c, req)
		reply := k.Answer(req)
		mu.Lock()
		if tag := appTag(reply); tag != tagKRBError {
			if old := kept[tag]; old != nil {
				reply = old
			}
			kept[tag] = reply
		}
		mu.Unlock()
		_, _ = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(reply))), reply...))
	}}}
	_, err := kdcClient(t, f).TGT(t.Context())
	require.NoError(t, err)
	_, err = kdcClient(t, f).TGT(t.Context())
	require.ErrorIs(t, err, errNonce)
	var reply *ReplyError
	require.ErrorAs(t, err, &reply)
}

// A logon's answer has to be a ticket-granting ticket, the one that its encrypted
// part speaks of, under a type that was asked for.
func TestAnswersThatDoNotFit(t *testing.T) {
	k := testKDC(t)
	alice := Principal{Type: NTPrincipal, Parts: []string{"alice"}, Realm: "A.TEST"}
	c, err := NewClient(ClientConfig{Principal: alice, Secret: KeySecret{}})
	require.NoError(t, err)
	defer c.Close()
	const nonce = 7
	answer := func(server Principal, key Key) kdcRep {
		b, err := k.issue(
			&request{etype: AES256SHA1, body: kdcReqBody{Nonce: nonce, Options: bits(0)}},
			issuing{
				client: alice, server: server, serverKey: mustKey(t, AES256SHA1), replyKey: key,
				usage: usageASRep, tag: tagASRep, encTag: tagEncASRepPart,
			},
		)
		require.NoError(t, err)
		var rep kdcRep
		require.NoError(t, unmarshalApp(b, &rep, tagASRep, "AS-REP"))
		return rep
	}
	tgs, aes, rc4 := tgsName("A.TEST", "A.TEST"), mustKey(t, AES256SHA1), mustKey(t, RC4)
	swapped := answer(tgs, aes)
	swapped.Ticket = answer(tgsName("B.TEST", "A.TEST"), aes).Ticket
	for name, tc := range map[string]struct {
		rep  kdcRep
		key  Key
		ok   bool
		says string
	}{
		"all is well":        {rep: answer(tgs, aes), key: aes, ok: true},
		"service's ticket":   {rep: answer(Service("HTTP", "host.a.test", "A.TEST"), aes), key: aes, says: "a ticket for HTTP/host.a.test"},
		"another ticket":     {rep: swapped, key: aes, says: "another service"},
		"type not asked for": {rep: answer(tgs, rc4), key: rc4, says: "must be allowed by name"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := marshalApp(tc.rep, tagASRep)
			require.NoError(t, err)
			l := &logon{c: c, principal: alice}
			_, err = l.open(t.Context(), b, "kdc", nonce, []EType{AES256SHA1}, &tc.key)
			if tc.ok {
				require.NoError(t, err)
				return
			}
			var reply *ReplyError
			require.ErrorAs(t, err, &reply)
			assert.ErrorContains(t, err, tc.says)
		})
	}
}

// The name beside a ticket is in clear: whoever changes it is found out.
func TestTicketInAnotherName(t *testing.T) {
	k := testKDC(t)
	f := &fakeNet{peers: map[string]func(net.Conn){"kdc:88": func(c net.Conn) {
		var prefix [4]byte
		_, _ = io.ReadFull(c, prefix[:])
		req := make([]byte, binary.BigEndian.Uint32(prefix[:]))
		_, _ = io.ReadFull(c, req)
		reply := k.Answer(req)
		var rep kdcRep
		if unmarshalApp(reply, &rep, tagTGSRep, "TGS-REP") == nil {
			rep.CName.NameString = []string{"administrator"}
			reply, _ = marshalApp(rep, tagTGSRep)
		}
		_, _ = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(reply))), reply...))
	}}}
	_, err := kdcClient(t, f).Ticket(t.Context(), testService)
	var reply *ReplyError
	require.ErrorAs(t, err, &reply)
	assert.ErrorContains(t, err, "a ticket of administrator")
}

func TestCloseWipes(t *testing.T) {
	k := testKDC(t)
	f := &fakeNet{peers: map[string]func(net.Conn){"kdc:88": serving(k)}}
	c := kdcClient(t, f)
	_, err := c.TGT(t.Context())
	require.NoError(t, err)
	kept := c.tickets["tgt"]
	require.NoError(t, c.Close())
	assert.Equal(t, make([]byte, len(kept.Key.Value)), kept.Key.Value)
	_, err = c.TGT(t.Context())
	require.ErrorIs(t, err, ErrClosed)
}

func TestTicketsAreBounded(t *testing.T) {
	c, err := NewClient(ClientConfig{Principal: Principal{Parts: []string{"x"}}})
	require.NoError(t, err)
	for i := range maxTickets + 500 {
		c.keep(strconv.Itoa(i), &Ticket{})
	}
	assert.Len(t, c.tickets, maxTickets)
	assert.Len(t, c.order, maxTickets)
}

// srvResolver answers with fixed records.
type srvResolver map[string][]*net.SRV

func (r srvResolver) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	key := "_" + service + "._" + proto + "." + name
	if list, ok := r[key]; ok {
		return key, list, nil
	}
	return "", nil, &net.DNSError{Err: "no such host", Name: key, IsNotFound: true}
}

func TestKDCsByDNS(t *testing.T) {
	records := []*net.SRV{
		{Target: "backup.", Port: 88, Priority: 20},
		{Target: "light.", Port: 88, Priority: 10, Weight: 10},
		{Target: "heavy.", Port: 1088, Priority: 10, Weight: 90},
	}
	first := map[string]int{}
	for range 300 {
		n := &Network{Resolver: srvResolver{"_kerberos._tcp.A.TEST.": records}}
		list, err := n.locate(t.Context(), "A.TEST")
		require.NoError(t, err)
		require.Len(t, list, 3)
		assert.Equal(t, "backup:88", list[2])
		first[list[0]]++
	}
	assert.Greater(t, first["heavy:1088"], 200)
	assert.Greater(t, first["light:88"], 5)

	_, _, err := (&Network{Resolver: srvResolver{}}).exchange(t.Context(), "NO.TEST", nil, false)
	var none *NoKDCError
	require.ErrorAs(t, err, &none)
	assert.Contains(t, err.Error(), "_kerberos._tcp.no.test")
}
