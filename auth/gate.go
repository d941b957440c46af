package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// DefaultGate is the gate of all credentials that name none, in the manner of
// http.DefaultTransport: programs that build credentials in a loop are kept
// from locking an account without doing anything.
var DefaultGate = &Gate{}

// processKey keys the gates' tables, so that a memory dump of one does not
// serve to try passwords against.
var processKey = sync.OnceValue(func() []byte {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails, see crypto/rand
	return key
})

// A Gate remembers which logons were refused, so that a wrong password costs
// one failed logon and not one for every connection, host and mechanism that
// uses it. The zero value is ready; it is safe for concurrent use.
type Gate struct {
	mu     sync.Mutex
	logons map[gateKey]*Logon
}

type gateKey [sha256.Size]byte

// Logon returns the state of the account with exactly this secret. Another
// password, or another PasswordFunc, is another logon.
func (g *Gate) Logon(c Credentials) *Logon {
	key := keyOf(c)
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.logons[key]; l != nil {
		return l
	}
	if g.logons == nil {
		g.logons = make(map[gateKey]*Logon)
	}
	l := &Logon{name: c.AccountName(), passwordFunc: c.PasswordFunc}
	g.logons[key] = l
	return l
}

// Forget lets the credentials be tried again after a refusal.
func (g *Gate) Forget(c Credentials) {
	key := keyOf(c)
	g.mu.Lock()
	l := g.logons[key]
	g.mu.Unlock()
	if l != nil {
		l.Forget()
	}
}

// keyOf digests account and secret. Windows compares domain and user without
// regard to case. A password function is told apart by the identity of its
// closure: asking it would need a context and perhaps a human.
func keyOf(c Credentials) gateKey {
	domain, user := c.Account()
	mac := hmac.New(sha256.New, processKey())
	field := func(p string) {
		var n [8]byte
		binary.LittleEndian.PutUint64(n[:], uint64(len(p)))
		mac.Write(n[:])
		mac.Write([]byte(p))
	}
	field(strings.ToLower(domain))
	field(strings.ToLower(user))
	switch {
	case c.PasswordFunc != nil:
		fn := c.PasswordFunc
		var addr [8]byte
		binary.LittleEndian.PutUint64(addr[:], uint64(*(*uintptr)(unsafe.Pointer(&fn))))
		field("func")
		field(string(addr[:]))
	case c.Password == "" && len(c.NTHash) > 0:
		field("hash")
		field(string(c.NTHash))
	default:
		field("password")
		field(c.Password)
	}
	var key gateKey
	mac.Sum(key[:0])
	return key
}

// A Logon is what is known about one account with one secret: untried, being
// tried, proven or refused.
//
// The first logon ever runs alone, and so does the first at each host; others
// wait for its outcome. A secret that was refused before it ever succeeded is
// refused everywhere from then on. Once it has succeeded somewhere, refusals
// are remembered for the host that gave them.
//
// A logon that breaks off after the secret was put before the server, without a
// word about it, may have been counted there all the same: some servers drop the
// connection on a wrong password. Two such in a row are taken for a refusal,
// within the same bounds, for a quarter of an hour; then one more is risked at a
// time. A network that fails just then costs that time, a wrong password never
// more failed logons than lock-out policies bear.
type Logon struct {
	name         string
	passwordFunc func(context.Context) (string, error) // keeps the address in the key from being reused

	mu     sync.Mutex
	proven bool
	record // of all hosts, until it is proven
	hosts  map[string]*hostLogon
}

// A hostLogon is the state of one account at one host.
type hostLogon struct {
	proven bool
	record
}

// A record is what came of the logons of one account, at one host or at all.
type record struct {
	refused *Error
	broken  int           // logons in a row without a word after the secret was presented
	trying  chan struct{} // closed when the attempt in progress ends; nil when there is none
}

const (
	maxBroken  = 2
	brokenRest = 15 * time.Minute // lock-out policies count over ten to thirty
)

// stands returns the refusal, nil when there is none any more.
func (r *record) stands() *Error {
	if r.refused != nil && r.refused.Broken && time.Since(r.refused.RefusedAt) >= brokenRest {
		r.refused = nil
	}
	return r.refused
}

// forget leaves an attempt in progress alone.
func (r *record) forget() { r.refused, r.broken = nil, 0 }

// Name returns the account for texts. It never holds the secret.
func (l *Logon) Name() string { return l.name }

// Forget lets the account be tried again after a refusal.
func (l *Logon) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proven = false
	l.forget()
	for _, h := range l.hosts {
		h.proven = false
		h.forget()
	}
}

// Refused returns the refusal remembered for host, nil when there is none.
func (l *Logon) Refused(host string) *Error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.remembered(host)
}

// remembered returns the refusal that stands for host. l.mu is held.
func (l *Logon) remembered(host string) *Error {
	refused := l.stands()
	if h := l.hosts[host]; refused == nil && h != nil {
		refused = h.stands()
	}
	if refused == nil {
		return nil
	}
	again := *refused
	again.Remembered = true
	again.RefusedBy, again.Host = refused.Host, host
	return &again
}

// begin waits until the account may be tried at host. It returns a remembered
// refusal without waiting. A nil Logon, of a mechanism without an account,
// always lets through.
func (l *Logon) begin(ctx context.Context, host string) (*attempt, error) {
	if l == nil {
		return nil, nil
	}
	for {
		a := new(attempt)
		wait, err := l.tryBegin(host, a)
		switch {
		case err != nil:
			return nil, err
		case wait == nil:
			return a, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, contextError(ctx)
		}
	}
}

// tryBegin makes a the attempt that begin returns, or returns what to wait on
// before it can.
func (l *Logon) tryBegin(host string, a *attempt) (wait <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if refused := l.remembered(host); refused != nil {
		return nil, refused
	}
	*a = attempt{logon: l, host: host}
	h := l.host(host)
	if h.proven {
		return nil, nil
	}
	trying := &l.trying
	if l.proven {
		trying = &h.trying
	}
	if *trying != nil {
		return *trying, nil
	}
	*trying = make(chan struct{})
	a.trying = trying
	return nil, nil
}

// host returns the state at one host. l.mu is held.
func (l *Logon) host(name string) *hostLogon {
	h := l.hosts[name]
	if h == nil {
		if l.hosts == nil {
			l.hosts = make(map[string]*hostLogon)
		}
		h = &hostLogon{}
		l.hosts[name] = h
	}
	return h
}

// An attempt is one logon under way. It ends with exactly one verdict; further
// ones are ignored, so that inconclusive can be deferred. A nil attempt is
// valid and does nothing.
type attempt struct {
	logon  *Logon
	host   string
	trying *chan struct{} // what others wait on; nil when the host was proven before
	ended  bool
}

// prove records that the server accepted the credentials.
func (a *attempt) prove() {
	a.end(func(l *Logon, h *hostLogon) {
		l.proven, h.proven = true, true
		l.broken, h.broken = 0, 0
	})
}

// refuse records that a server, or a directory for it, refused them.
func (a *attempt) refuse(err *Error) {
	a.end(func(l *Logon, h *hostLogon) {
		kept := *err
		kept.RefusedAt = time.Now()
		h.proven = false
		l.recordFor(h).refused = &kept
	})
}

// breakOff records that the secret was presented and nothing was said about it.
// Where it has been accepted before, that is no reason for doubt: hosts restart.
func (a *attempt) breakOff(err *Error) {
	a.end(func(l *Logon, h *hostLogon) {
		if h.proven {
			return
		}
		r := l.recordFor(h)
		if r.broken++; r.broken < maxBroken {
			return
		}
		kept := *err
		kept.Broken, kept.RefusedAt = true, time.Now()
		r.refused = &kept
	})
}

// recordFor returns where a refusal at h counts. l.mu is held.
func (l *Logon) recordFor(h *hostLogon) *record {
	if l.proven {
		return &h.record
	}
	return &l.record
}

// inconclusive records that nothing was learnt: the next waiter tries.
func (a *attempt) inconclusive() { a.end(func(*Logon, *hostLogon) {}) }

func (a *attempt) end(verdict func(*Logon, *hostLogon)) {
	if a == nil || a.ended {
		return
	}
	a.ended = true
	l := a.logon
	l.mu.Lock()
	defer l.mu.Unlock()
	verdict(l, l.host(a.host))
	if a.trying != nil {
		close(*a.trying)
		*a.trying = nil
	}
}
