package winrmtest

import (
	"strings"
	"sync"
	"time"

	"github.com/winrmkit/winrmkit/internal/wsmv"
	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/soap"
)

// A shell is one remote shell. Its fields are under the lock of shells unless
// they are set once.
type shell struct {
	id, name, owner string
	delegated       *Delegated
	clientIP        string
	env             []string
	dir             string
	codepage        int
	noProfile       bool
	inputs, outputs string
	idle            time.Duration
	created         time.Time

	used         time.Time
	inUse        int // requests being processed: the idle timer rests
	session      string
	disconnected bool
	bufferMode   string
	locale       [2]string
	commands     map[string]*command
	running      *command
	started      int // commands in its life: also what the operations quota counts
	idleTimer    *time.Timer
	lifeTimer    *time.Timer
	off          chan struct{} // closed and replaced at Disconnect: held Receives end
}

// shells are all shells of a server.
type shells struct {
	mu   sync.Mutex
	byID map[string]*shell
	ops  map[string]int // operations by user that count against the quota
	shut bool
}

// add enters a shell when the quotas allow it.
func (s *Server) addShell(sh *shell) *soap.Fault {
	s.shells.mu.Lock()
	defer s.shells.mu.Unlock()
	if s.shells.shut {
		return soap.New(soap.OperationAborted, "")
	}
	mine, users := 0, map[string]bool{strings.ToLower(sh.owner): true}
	for _, other := range s.shells.byID {
		if strings.EqualFold(other.owner, sh.owner) {
			mine++
		}
		users[strings.ToLower(other.owner)] = true
	}
	switch {
	case s.shells.byID[sh.id] != nil:
		return soap.New(soap.ShellIDConflict, "")
	case int64(mine) >= s.config.Number("Winrs/MaxShellsPerUser"):
		return soap.New(soap.QuotaMaxShells, "")
	case int64(len(users)) > s.config.Number("Winrs/MaxConcurrentUsers"):
		return soap.New(soap.QuotaMaxShellUsers, "")
	}
	s.shells.byID[sh.id] = sh
	sh.created, sh.used = time.Now(), time.Now()
	sh.idleTimer = time.AfterFunc(sh.idle, func() { s.expire(sh) })
	s.counters.update(func(st *Stats) { st.Shells++; st.TotalShells++ })
	return nil
}

// expire is called by the idle timer; it may be late.
func (s *Server) expire(sh *shell) {
	s.shells.mu.Lock()
	defer s.shells.mu.Unlock()
	if s.shells.byID[sh.id] != sh {
		return
	}
	if left := sh.idle - time.Since(sh.used); sh.inUse > 0 || left > 0 {
		sh.idleTimer.Reset(max(left, time.Second))
		return
	}
	s.removeShell(sh)
}

func (s *Server) deleteShell(sh *shell) {
	s.shells.mu.Lock()
	defer s.shells.mu.Unlock()
	s.removeShell(sh)
}

// removeShell ends all commands of a shell; the caller holds the lock.
func (s *Server) removeShell(sh *shell) {
	if s.shells.byID[sh.id] != sh {
		return
	}
	delete(s.shells.byID, sh.id)
	sh.idleTimer.Stop()
	if sh.lifeTimer != nil {
		sh.lifeTimer.Stop()
	}
	for _, cmd := range sh.commands {
		cmd.end()
	}
	s.shells.ops[strings.ToLower(sh.owner)] -= sh.started
	s.counters.update(func(st *Stats) { st.Shells-- })
}

// endShells removes all shells; with shut, none is added any more.
func (s *Server) endShells(shut bool) {
	s.shells.mu.Lock()
	defer s.shells.mu.Unlock()
	s.shells.shut = s.shells.shut || shut
	for _, sh := range s.shells.byID {
		s.removeShell(sh)
	}
}

// useShell finds the shell that a request names and keeps its idle timer from
// running until done is called.
func (s *Server) useShell(c *call) (sh *shell, done func(), f *soap.Fault) {
	for _, p := range c.req.Selectors {
		if !strings.EqualFold(p.Name, wsmv.SelectorShellID) {
			return nil, nil, soap.Newf(soap.InvalidSelectors, "The selector %q is not known.", p.Name)
		}
	}
	id, ok := c.req.Selector(wsmv.SelectorShellID)
	if !ok {
		return nil, nil, soap.New(soap.InsufficientSelectors, "")
	}
	s.shells.mu.Lock()
	defer s.shells.mu.Unlock()
	sh = s.shells.byID[namedID(id)]
	switch {
	case sh == nil:
		return nil, nil, providerFault(soap.New(soap.UnexpectedSelectors, "The shell does not exist, or not any more."))
	case !strings.EqualFold(sh.owner, c.user):
		return nil, nil, soap.New(soap.AccessDenied, "")
	}
	sh.inUse++
	sh.used = time.Now()
	return sh, func() {
		s.shells.mu.Lock()
		defer s.shells.mu.Unlock()
		sh.inUse--
		sh.used = time.Now()
	}, nil
}

// find returns a command of a shell.
func (s *Server) findCommand(sh *shell, id string) (*command, *soap.Fault) {
	s.shells.mu.Lock()
	defer s.shells.mu.Unlock()
	cmd := sh.commands[namedID(id)]
	switch {
	case sh.disconnected:
		return nil, soap.New(soap.ShellDisconnected, "")
	case cmd == nil || cmd.gone:
		return nil, providerFault(soap.New(soap.UnexpectedSelectors, "The command does not exist, or not any more."))
	}
	return cmd, nil
}

// addCommand enters a command when nothing forbids it.
func (s *Server) addCommand(sh *shell, cmd *command) *soap.Fault {
	s.shells.mu.Lock()
	defer s.shells.mu.Unlock()
	owner := strings.ToLower(sh.owner)
	switch {
	case s.shells.byID[sh.id] != sh:
		return providerFault(soap.New(soap.UnexpectedSelectors, ""))
	case sh.disconnected:
		return soap.New(soap.ShellDisconnected, "")
	case sh.commands[cmd.id] != nil:
		return soap.New(soap.CommandIDConflict, "")
	case sh.running != nil:
		return soap.New(soap.Concurrency, "")
	case s.Quotas.CommandsPerShell > 0 && sh.started >= s.Quotas.CommandsPerShell:
		return soap.New(soap.QuotaCommandsPerShell, "")
	case int64(s.shells.ops[owner]) >= s.config.Number("Service/MaxConcurrentOperationsPerUser"):
		return quotaFault()
	}
	sh.commands[cmd.id] = cmd
	sh.running = cmd
	sh.started++
	s.shells.ops[owner]++
	s.startCommand(cmd)
	return nil
}

// quotaFault is the fault of the operations quota. It comes from WMI's side of
// the service and has its form.
func quotaFault() *soap.Fault {
	f := soap.New(soap.QuotaMaxOperations, "")
	f.WMI = true
	return f
}

// holdOperation counts an operation that is held against the quota of its user.
func (s *Server) holdOperation(user string) (done func(), f *soap.Fault) {
	user = strings.ToLower(user)
	s.shells.mu.Lock()
	defer s.shells.mu.Unlock()
	if int64(s.shells.ops[user]) >= s.config.Number("Service/MaxConcurrentOperationsPerUser") {
		return nil, quotaFault()
	}
	s.shells.ops[user]++
	return func() {
		s.shells.mu.Lock()
		defer s.shells.mu.Unlock()
		s.shells.ops[user]--
	}, nil
}

// delivered is called when Done is about to go out: the shell is free.
func (s *Server) deliveredDone(cmd *command) {
	s.shells.mu.Lock()
	defer s.shells.mu.Unlock()
	cmd.delivered = true
	if cmd.shell.running == cmd {
		cmd.shell.running = nil
	}
}

// terminate ends a command and frees its id.
func (s *Server) terminate(cmd *command) {
	s.shells.mu.Lock()
	defer s.shells.mu.Unlock()
	cmd.end()
	delete(cmd.shell.commands, cmd.id)
	if cmd.shell.running == cmd {
		cmd.shell.running = nil
	}
}

// item is the shell as Get and Enumerate show it; the caller holds the lock.
func (sh *shell) item() wsmv.Shell {
	state := "Connected"
	if sh.disconnected {
		state = "Disconnected"
	}
	return wsmv.Shell{
		ID: sh.id, Name: sh.name, ResourceURI: wsmv.URICmd, Owner: sh.owner, ClientIP: sh.clientIP,
		WorkingDirectory: sh.dir, IdleTimeout: sh.idle, InputStreams: sh.inputs, OutputStreams: sh.outputs,
		Locale: sh.locale[0], DataLocale: sh.locale[1], BufferMode: sh.bufferMode, State: state,
		RunTime: time.Since(sh.created), Inactivity: time.Since(sh.used), MemoryUsed: "0MB",
		ChildProcesses: uint64(len(sh.commands)),
	}
}

// providerFault gives the fault the nested form that the shell's provider has.
func providerFault(f *soap.Fault) *soap.Fault {
	f.Provider = "Shell cmd plugin"
	return f
}

// canonicalID is the form in which ids are compared and kept.
func canonicalID(id string) string { return strings.ToUpper(strings.TrimSpace(id)) }

// namedID is the id that a request refers to. Some clients put it as the samples
// of [MS-WSMV] do, with uuid: before it, or as .NET formats a GUID, in braces.
func namedID(id string) string {
	id = strings.TrimPrefix(canonicalID(id), "UUID:")
	if len(id) == 38 && id[0] == '{' && id[37] == '}' {
		id = id[1:37]
	}
	return id
}
