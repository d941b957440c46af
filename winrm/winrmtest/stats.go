package winrmtest

import (
	"maps"
	"sync"
	"time"
)

// Stats are the counters of a [Server] at one moment.
type Stats struct {
	// Exchanges counts requests by the last word of their action, such as
	// "Command" or "Receive"; ActionLogon, ActionIdentify and ActionInvalid
	// stand for those without one.
	Exchanges map[string]int
	// Unauthorized counts the answers with status 401.
	Unauthorized int
	// Connections are open now; PeakConnections at most at once;
	// TotalConnections since the start.
	Connections, PeakConnections, TotalConnections int
	// Shells likewise.
	Shells, PeakShells, TotalShells int
	// Commands are running now.
	Commands, PeakCommands, TotalCommands int
	// Operations are requests being processed now, held Receives among them.
	Operations, PeakOperations int
	// Enumerations and subscriptions whose context is alive.
	Enumerations int
	// Logons are security contexts that were completed; HandshakeLegs the tokens
	// that were taken for them. Basic and certificates count once a connection.
	Logons, HandshakeLegs int
	// FailedLogons counts wrong passwords by account, in lower case.
	FailedLogons map[string]int
	// BytesIn and BytesOut are bodies as they went over the wire.
	BytesIn, BytesOut int64
}

// An Exchange is one request with its answer, as the server saw it.
type Exchange struct {
	// Conn numbers the connection, from 1; Time is when the request was complete.
	Conn int
	Time time.Time
	// Path and Scheme are of the request; Scheme is that of its Authorization
	// header or of the logon of the connection.
	Path   string
	Scheme string
	User   string
	Sealed bool
	// Action is the action URI or one of ActionLogon, ActionIdentify,
	// ActionInvalid.
	Action    string
	Resource  string
	MessageID string
	SessionID string
	// Request and Response are the bodies in clear.
	Request, Response []byte
	// Status is the HTTP status, 0 when no answer was sent. Code is the code of
	// the SOAP fault in the answer, 0 for none.
	Status int
	Code   uint32
	// Fault is the ordered fault that was applied.
	Fault *Fault
}

// counters is Stats under a lock, with the recorded exchanges.
type counters struct {
	mu  sync.Mutex
	s   Stats
	log []Exchange
}

func (c *counters) update(fn func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.s.Exchanges == nil {
		c.s.Exchanges = make(map[string]int)
		c.s.FailedLogons = make(map[string]int)
	}
	fn(&c.s)
	c.s.PeakConnections = max(c.s.PeakConnections, c.s.Connections)
	c.s.PeakShells = max(c.s.PeakShells, c.s.Shells)
	c.s.PeakCommands = max(c.s.PeakCommands, c.s.Commands)
	c.s.PeakOperations = max(c.s.PeakOperations, c.s.Operations)
}

func (c *counters) snapshot() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.s
	s.Exchanges = maps.Clone(c.s.Exchanges)
	s.FailedLogons = maps.Clone(c.s.FailedLogons)
	return s
}
