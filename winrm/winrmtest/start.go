package winrmtest

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/winrmkit/winrmkit/internal/authserver"
	"github.com/winrmkit/winrmkit/internal/memconn"
	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/hostconfig"
	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/soap"
)

const (
	endpointPath = "/wsman"
	cookieName   = "MS-WSMAN"
	// memoryHost is the name of servers that have no network.
	memoryHost = "winrmtest.invalid"
)

// NewServer starts a server on a free port of the loopback, over http.
func NewServer(handler Handler) *Server {
	s := NewUnstartedServer(handler)
	s.Start()
	return s
}

// NewTLSServer is NewServer over https.
func NewTLSServer(handler Handler) *Server {
	s := NewUnstartedServer(handler)
	s.StartTLS()
	return s
}

// NewMemoryServer starts a server that is reached without a network, through
// [Server.Dial], which [Server.Config] names. Inside a testing/synctest bubble
// its time-outs are those of the bubble.
func NewMemoryServer(handler Handler) *Server {
	s := NewUnstartedServer(handler)
	s.StartMemory()
	return s
}

// NewUnstartedServer returns a server whose fields can be set before it is
// started.
func NewUnstartedServer(handler Handler) *Server { return &Server{Handler: handler} }

// Start begins to listen over http. It panics when that is not possible, as
// httptest does, and so do StartTLS and StartMemory.
func (s *Server) Start() {
	s.setUp(false)
	s.listen("http")
}

// StartTLS begins to listen over https.
func (s *Server) StartTLS() {
	s.setUp(true)
	s.listen("https")
}

// StartMemory begins to accept connections from [Server.Dial]: over https when
// TLS is set, otherwise over http.
func (s *Server) StartMemory() {
	s.setUp(s.TLS != nil)
	scheme, port := "http", "5985"
	if s.tls != nil {
		scheme, port = "https", "5986"
	}
	s.memory = memconn.Listen(memoryHost + ":" + port)
	s.Listener = s.memory
	s.run(scheme, memoryHost+":"+port)
}

// Dial reaches a server of [NewMemoryServer]; network and address are not
// looked at. It is what [winrm.Config] takes for its Dial.
func (s *Server) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if s.memory == nil {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}
	return s.memory.DialContext(ctx, network, addr)
}

func (s *Server) listen(scheme string) {
	if s.Listener == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			if l, err = net.Listen("tcp6", "[::1]:0"); err != nil {
				panic(fmt.Sprintf("winrmtest: listen: %v", err))
			}
		}
		s.Listener = l
	}
	s.run(scheme, s.Listener.Addr().String())
}

// setUp makes everything that a started server has.
func (s *Server) setUp(secure bool) {
	if s.URL != "" || s.cancel != nil {
		panic("winrmtest: the server has been started before")
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if s.Name == "" {
		s.Name = "WINRMTEST"
	}
	if s.Users == nil {
		s.Users = map[string]string{DefaultUser: DefaultPassword}
	}
	s.mechanisms = s.Mechanisms
	if s.mechanisms == nil {
		s.mechanisms = DefaultMechanisms()
	}
	s.accounts.srv = s
	s.objects, s.events = newObjects(s.Name), newEventLog()
	s.shells = shells{byID: make(map[string]*shell), ops: make(map[string]int)}
	s.enums = enumerations{byID: make(map[string]*enumeration)}
	s.conns = connections{open: make(map[*conn]struct{})}
	s.cookie = soap.NewUUID()
	s.orders.add(s.Faults...)
	s.counters.update(func(*Stats) {})
	if secure {
		s.setUpTLS()
	}
	s.setUpConfig(secure)
}

func (s *Server) setUpConfig(secure bool) {
	s.config = settings{hostconfig.New(s.accounts.check)}
	must := func(err error) {
		if err != nil {
			panic(fmt.Sprintf("winrmtest: %v", err))
		}
	}
	seals := false
	for _, path := range []string{"Basic", "Kerberos", "Negotiate", "Certificate", "CredSSP"} {
		must(s.config.Set("Service/Auth/"+path, "false"))
	}
	for _, m := range s.mechanisms {
		seals = seals || m.seals
		if m.setting != "" {
			must(s.config.Set(m.setting, "true"))
		}
	}
	must(s.config.Set(itemAllowUnencrypted, strconv.FormatBool(s.AllowUnencrypted || !seals && !secure)))
	for path, value := range s.Settings {
		must(s.config.Set(path, value))
	}
	for path, value := range s.Policy {
		must(s.config.SetPolicy(path, value))
	}
	for _, m := range s.CertMappings {
		if m.URI == "" {
			m.URI = "*"
		}
		if m.Issuer == "" {
			m.Issuer = s.clientCA().thumbprint()
		}
		s.config.AddMapping(hostconfig.Mapping{
			Issuer: m.Issuer, Subject: m.Subject, URI: m.URI, User: m.User, Enabled: !m.Disabled,
		})
	}
}

// run accepts connections until Close.
func (s *Server) run(scheme, addr string) {
	s.URL = scheme + "://" + addr + endpointPath
	host, port, _ := net.SplitHostPort(addr)
	s.config.AddListener("*", strings.ToUpper(scheme), port, host, s.thumbprint())
	s.wait.Go(func() {
		for {
			nc, err := s.Listener.Accept()
			if err != nil {
				return
			}
			s.accept(nc)
		}
	})
}

func (s *Server) accept(nc net.Conn) {
	c := newConn(s, nc)
	if !s.conns.add(c) {
		_ = nc.Close()
		return
	}
	s.counters.update(func(st *Stats) {
		st.Connections++
		st.TotalConnections++
		c.id = st.TotalConnections
	})
	s.wait.Go(func() {
		defer func() {
			s.conns.remove(c)
			s.counters.update(func(st *Stats) { st.Connections-- })
		}()
		c.serve(s.ctx)
	})
}

// connections are those that are open.
type connections struct {
	mu   sync.Mutex
	open map[*conn]struct{}
	shut bool
}

func (cs *connections) add(c *conn) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.shut {
		return false
	}
	cs.open[c] = struct{}{}
	return true
}

func (cs *connections) remove(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.open, c)
}

// closeAll closes what is open; with shut, nothing is added any more.
func (cs *connections) closeAll(shut, reset bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.shut = cs.shut || shut
	for c := range cs.open {
		if reset {
			c.reset()
		} else {
			_ = c.raw.Close()
		}
	}
}

// CloseConnections resets all connections; the server goes on. With them go
// their security contexts, as when the service is restarted.
func (s *Server) CloseConnections() { s.conns.closeAll(false, true) }

// RestartService ends all shells with their commands and resets all connections, as a
// restart of the WinRM service does. The server goes on.
func (s *Server) RestartService() {
	s.endShells(false)
	s.CloseConnections()
}

// Close ends all connections, shells and commands, and waits until nothing of
// the server is left. A [Handler] that does not heed its context delays it.
func (s *Server) Close() {
	if s.cancel == nil {
		return
	}
	if s.Listener != nil {
		_ = s.Listener.Close()
	}
	s.cancel()
	s.endTasks()
	s.endShells(true)
	s.conns.closeAll(true, false)
	s.wait.Wait()
}

// Stats returns the counters.
func (s *Server) Stats() Stats { return s.counters.snapshot() }

// Exchanges returns what was recorded, when Record is set.
func (s *Server) Exchanges() []Exchange {
	s.counters.mu.Lock()
	defer s.counters.mu.Unlock()
	return append([]Exchange(nil), s.counters.log...)
}

// AddFaults adds to [Server.Faults] while the server runs.
func (s *Server) AddFaults(faults ...Fault) { s.orders.add(faults...) }

// ClearFaults forgets all faults.
func (s *Server) ClearFaults() { s.orders.clear() }

// Setting returns a value of the configuration, by path as in [Server.Settings].
func (s *Server) Setting(path string) string { return s.config.Get(path) }

// Set changes a value of the configuration while the server runs. Switches of
// logons take effect on the next logon.
func (s *Server) Set(path, value string) error { return s.config.Set(path, value) }

func (s *Server) note(x *Exchange) {
	s.counters.update(func(st *Stats) {
		if x.Status == 401 {
			st.Unauthorized++
		}
		if x.Action != "" {
			st.Exchanges[lastWord(x.Action)]++
		}
		if s.Record {
			s.counters.log = append(s.counters.log, *x)
		}
	})
}

func (s *Server) logf(format string, args ...any) {
	if s.Logger != nil {
		s.Logger.Info(fmt.Sprintf(format, args...))
	}
}

func (s *Server) handler() Handler {
	if s.Handler == nil {
		return &Host{Name: s.Name}
	}
	return s.Handler
}

// maxEnvelope is MaxEnvelopeSizekb in bytes.
func (s *Server) maxEnvelope() int64 { return s.config.Number("MaxEnvelopeSizekb") * 1024 }

func (s *Server) contextIdle() time.Duration {
	if s.ContextIdle > 0 {
		return s.ContextIdle
	}
	return defaultContextIdle
}

func (s *Server) bindingLevel() authserver.ChannelBindingLevel {
	switch strings.ToLower(s.config.Get("Service/Auth/CbtHardeningLevel")) {
	case "none":
		return authserver.BindingNone
	case "strict":
		return authserver.BindingStrict
	}
	return authserver.BindingRelaxed
}
