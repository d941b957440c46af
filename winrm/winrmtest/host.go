package winrmtest

import "strings"

// Host imitates a small part of a Windows host.
type Host struct {
	Name string
}

func (h *Host) ServeCommand(p *Proc) uint32 { return 0 }

func (h *Host) environment(user string) []string {
	return []string{"COMPUTERNAME=" + h.Name, "USERNAME=" + strings.ToLower(user)}
}

func (s *Server) host() *Host {
	if h, ok := s.Handler.(*Host); ok {
		return h
	}
	return &Host{Name: s.Name}
}
