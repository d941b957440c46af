package winrmtest

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/winrmkit/winrmkit/internal/hostscript"
)

const itemCredSSP = "Service/Auth/CredSSP"

// A Task is a scheduled task that package winrm has made on the host: the lease
// of a CredSSP that was switched on for a while. When it is due, or the host
// starts, it puts the old value back.
type Task struct {
	ID  string
	Was string // the value to put back: "true" or "false"
	Due time.Time
}

// hostTasks is what the scripts of package winrm find on the host: its scheduled
// tasks and the policy about the delegation of fresh credentials. One script at
// a time runs, as the mutex of the scripts has it.
type hostTasks struct {
	mu     sync.Mutex
	leases map[string]*lease
	fresh  map[string][]string // names by the list of the policy
}

type lease struct {
	Task
	timer *time.Timer
}

// Tasks returns the scheduled tasks of package winrm, in the order of their ids.
func (s *Server) Tasks() []Task {
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	var list []Task
	for _, id := range slices.Sorted(maps.Keys(s.tasks.leases)) {
		list = append(list, s.tasks.leases[id].Task)
	}
	return list
}

// StartTasks runs all tasks, as a start of the host does.
func (s *Server) StartTasks() {
	for _, t := range s.Tasks() {
		s.runTask(t.ID)
	}
}

// FreshCredentials returns the names in a list of the host's delegation policy,
// such as "AllowFreshCredentials".
func (s *Server) FreshCredentials(list string) []string {
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	return slices.Clone(s.tasks.fresh[list])
}

// runTask is the dead man's script. A value that cannot be written leaves the
// task where it is; it would run again.
func (s *Server) runTask(id string) {
	if s.ctx.Err() != nil {
		return
	}
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	_, _ = s.giveBack(id)
}

// endTasks stops the timers.
func (s *Server) endTasks() {
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	for _, l := range s.tasks.leases {
		l.timer.Stop()
	}
}

// runScript does what a script of package winrm does. ok is false for any other
// text.
func (s *Server) runScript(script, user string, stdout, stderr io.Writer) (code uint32, ok bool) {
	call, ok := hostscript.Parse(script)
	if !ok {
		return 0, false
	}
	if s.isLimited(user) {
		fmt.Fprint(stderr, "Access is denied. (Exception from HRESULT: 0x80070005 (E_ACCESSDENIED))\r\n")
		return 1, true
	}
	s.tasks.mu.Lock()
	lines, err := s.script(call)
	s.tasks.mu.Unlock()
	if err != nil {
		fmt.Fprintf(stderr, "%v\r\n", err)
		return 1, true
	}
	for _, line := range lines {
		fmt.Fprintf(stdout, "%s%s\r\n", hostscript.Mark, line)
	}
	return 0, true
}

// script runs one script. The lock of the tasks is held.
func (s *Server) script(c hostscript.Call) ([]string, error) {
	switch c.Op {
	case hostscript.OpAcquire, hostscript.OpRenew:
		line, err := s.acquire(c)
		return []string{line}, err
	case hostscript.OpRelease:
		line, err := s.giveBack(c.ID)
		return []string{line}, err
	case hostscript.OpLeases:
		var lines []string
		for _, id := range slices.Sorted(maps.Keys(s.tasks.leases)) {
			lines = append(lines, fmt.Sprintf("id=%s;was=%s", id, s.tasks.leases[id].Was))
		}
		return lines, nil
	case hostscript.OpDelegation:
		return append(s.delegation(c), "end"), nil
	}
	return nil, fmt.Errorf("winrmtest: no script %q", c.Op)
}

// acquire is acquire.ps1.
func (s *Server) acquire(c hostscript.Call) (string, error) {
	now, own := s.config.Get(itemCredSSP), s.tasks.leases[c.ID]
	was := now
	switch {
	case s.config.IsPolicy(itemCredSSP):
		return "state=policy;now=" + now, nil
	case c.Op == hostscript.OpRenew && own == nil:
		return "state=gone;now=" + now, nil
	case len(s.tasks.leases) > 0:
		for _, l := range s.tasks.leases {
			was = l.Was
		}
	case now == "true":
		return "state=on;now=true", nil
	}
	if own != nil {
		own.timer.Stop()
	}
	if s.tasks.leases == nil {
		s.tasks.leases = make(map[string]*lease)
	}
	s.tasks.leases[c.ID] = &lease{
		Task:  Task{ID: c.ID, Was: was, Due: time.Now().Add(c.TTL)},
		timer: time.AfterFunc(c.TTL, func() { s.runTask(c.ID) }),
	}
	if now != "true" {
		if err := s.config.Set(itemCredSSP, "true"); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("state=leased;was=%s;now=%s;leases=%d", was, s.config.Get(itemCredSSP), len(s.tasks.leases)), nil
}

// giveBack is the function Release of prelude.ps1.
func (s *Server) giveBack(id string) (string, error) {
	now, l := s.config.Get(itemCredSSP), s.tasks.leases[id]
	if l == nil {
		return fmt.Sprintf("state=gone;now=%s;leases=%d", now, len(s.tasks.leases)), nil
	}
	state := "restored"
	switch {
	case len(s.tasks.leases) > 1:
		state = "shared"
	case s.config.IsPolicy(itemCredSSP):
		state = "policy"
	case now != l.Was:
		if err := s.config.Set(itemCredSSP, l.Was); err != nil {
			return "", err
		}
	}
	l.timer.Stop()
	delete(s.tasks.leases, id)
	return fmt.Sprintf("state=%s;was=%s;now=%s;leases=%d", state, l.Was, s.config.Get(itemCredSSP), len(s.tasks.leases)), nil
}

// delegation is delegation.ps1. Names compare without case, as -contains does.
func (s *Server) delegation(c hostscript.Call) (lines []string) {
	for _, list := range c.Lists {
		want := slices.Clone(s.tasks.fresh[list])
		for _, n := range c.Add {
			if !containsFold(want, n) {
				want = append(want, n)
			}
		}
		want = slices.DeleteFunc(want, func(n string) bool {
			return c.All && strings.HasPrefix(strings.ToLower(n), "wsman") || containsFold(c.Remove, n)
		})
		if s.tasks.fresh == nil {
			s.tasks.fresh = make(map[string][]string)
		}
		s.tasks.fresh[list] = want
		for _, n := range want {
			lines = append(lines, fmt.Sprintf("list=%s;name=%s", list, n))
		}
	}
	return lines
}

func containsFold(list []string, s string) bool {
	return slices.ContainsFunc(list, func(x string) bool { return strings.EqualFold(x, s) })
}

// History returns the values that an item of the configuration has had since the
// start, in order, whoever changed it.
func (s *Server) History(path string) []string { return s.config.History(path) }
