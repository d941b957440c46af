package winrmtest

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// Names of exchanges that have no action, for [Fault.Action] and [Stats].
const (
	ActionLogon    = "Logon"    // a request with an empty body: authentication only
	ActionIdentify = "Identify" // wsmid:Identify
	ActionInvalid  = "Invalid"  // a body that is no envelope
)

// Drop says how a [Fault] breaks the connection.
type Drop int

// The ways to break a connection.
const (
	// DropNone leaves the connection alone.
	DropNone Drop = iota
	// DropBefore resets the connection; the request has not been processed.
	DropBefore
	// DropAfter processes the request and closes the connection without answer.
	DropAfter
	// DropAt processes the request and closes the connection after Fault.At bytes
	// of the answer, status line and header included.
	DropAt
	// HalfCloseAt is DropAt, but only our sending half is closed.
	HalfCloseAt
	// Silence processes nothing and never answers; the connection stays open
	// until the client closes it.
	Silence
)

// A Fault is a failure on order. The first entry of [Server.Faults] that
// matches an exchange, and is not used up, is applied to it.
//
// Order of effects: Delay, then Drop or the replaced answer.
type Fault struct {
	// Action matches the last word of the action URI, such as "Receive", or the
	// whole URI, or one of ActionLogon, ActionIdentify, ActionInvalid; "" matches
	// every exchange.
	Action string
	// Resource matches the resource URI or its end; "" matches every one.
	Resource string
	// Match is a further condition, nil for none.
	Match func(*Exchange) bool

	// After lets that many matching exchanges pass first.
	After int
	// Count is how many exchanges are hit; 0 is one, negative is every one.
	Count int

	// Delay is waited before anything else happens.
	Delay time.Duration

	Drop Drop
	At   int

	// Code answers with a SOAP fault of that code instead of processing.
	Code uint32
	// Status answers with that HTTP status, Header and Body instead of
	// processing. With Code it only changes the status of the SOAP fault.
	Status int
	Header http.Header
	Body   []byte
	// Processed lets the request be processed before the answer is replaced.
	Processed bool
	// Close ends the connection after the answer and announces it by
	// "Connection: close".
	Close bool
	// Gzip compresses the answer's body and says so in Content-Encoding, as some
	// gateways do unasked.
	Gzip bool
	// Edit changes the answer's body before it is sealed.
	Edit func(body []byte) []byte
	// EditSealed changes the answer's body after it is sealed.
	EditSealed func(body []byte) []byte
}

func (f *Fault) matches(x *Exchange) bool {
	if f.Action != "" && !strings.EqualFold(f.Action, x.Action) && !strings.EqualFold(f.Action, lastWord(x.Action)) {
		return false
	}
	if f.Resource != "" && !hasSuffixFold(x.Resource, f.Resource) {
		return false
	}
	return f.Match == nil || f.Match(x)
}

// replaces says whether the fault gives an answer of its own.
func (f *Fault) replaces() bool { return f.Code != 0 || f.Status != 0 || f.Body != nil }

func lastWord(uri string) string { return uri[strings.LastIndexByte(uri, '/')+1:] }

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}

// orders keeps the faults of a server and counts their use.
type orders struct {
	mu   sync.Mutex
	list []*order
}

type order struct {
	Fault
	seen, hits int
}

func (o *orders) add(faults ...Fault) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range faults {
		o.list = append(o.list, &order{Fault: f})
	}
}

func (o *orders) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = nil
}

// take returns the fault that hits x, or nil.
func (o *orders) take(x *Exchange) *Fault {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.list {
		if f.Count >= 0 && f.hits >= max(f.Count, 1) || !f.matches(x) {
			continue
		}
		f.seen++
		if f.seen <= f.After {
			continue
		}
		f.hits++
		return &f.Fault
	}
	return nil
}
