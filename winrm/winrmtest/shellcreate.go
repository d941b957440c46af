package winrmtest

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/internal/wsmv"
	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/soap"
)

// Bounds of IdleTimeOut: [MS-WSMV] section 2.2.4.23.
const (
	minIdle = time.Minute
	maxIdle = 2147483647 * time.Millisecond
)

// defaultCodepage is the console's on a Windows that speaks English.
const defaultCodepage = 437

// codepages are those that a console can be set to.
var codepages = []int{
	437, 708, 720, 737, 775, 850, 852, 855, 857, 858, 860, 861, 862, 863, 864, 865, 866, 869, 874, 932, 936, 949, 950,
	1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258, 20127, 20866, 28591, 28592, 28605, 54936, 65000, 65001,
}

// createShell is Create of a command shell.
func (s *Server) createShell(c *call) *soap.Fault {
	if !s.config.True("Winrs/AllowRemoteShellAccess") {
		return soap.New(soap.RemoteShellsNotAllowed, "")
	}
	var body wsmv.Shell
	if f := c.decode("Shell", body.Decode); f != nil {
		return f
	}
	sh, f := s.newShell(c, &body)
	if f != nil {
		return f
	}
	if f := s.addShell(sh); f != nil {
		return f
	}
	if body.Lifetime > 0 {
		s.shells.mu.Lock()
		sh.lifeTimer = time.AfterFunc(body.Lifetime, func() { s.deleteShell(sh) })
		s.shells.mu.Unlock()
	}
	created := wsmv.Created{
		Address: s.URL, ResourceURI: wsmv.URICmd, ShellID: sh.id,
		Shell: wsmv.Shell{
			ID: sh.id, ResourceURI: wsmv.URICmd, Owner: sh.owner, ClientIP: sh.clientIP, WorkingDirectory: sh.dir,
			IdleTimeout: sh.idle, InputStreams: sh.inputs, OutputStreams: sh.outputs,
		},
	}
	created.Encode(c.out)
	return nil
}

func (s *Server) newShell(c *call, body *wsmv.Shell) (*shell, *soap.Fault) {
	sh := &shell{
		id: canonicalID(body.ID), name: body.Name, owner: c.user, delegated: c.conn.delegated(), clientIP: hostOf(c.conn.net.RemoteAddr()),
		dir: body.WorkingDirectory, codepage: defaultCodepage, noProfile: c.req.OptionTrue(wsmv.OptionNoProfile),
		inputs: body.InputStreams, outputs: body.OutputStreams, session: c.req.SessionID, bufferMode: "Block",
		locale: [2]string{c.req.Locale, c.req.DataLocale}, commands: make(map[string]*command), off: make(chan struct{}),
	}
	if sh.id == "" {
		sh.id = soap.NewUUID()
	} else if !soap.ValidUUID(sh.id) {
		return nil, soap.New(soap.ShellIDInvalid, "")
	}
	if sh.inputs == "" {
		sh.inputs = "stdin"
	}
	if sh.outputs == "" {
		sh.outputs = "stdout stderr"
	}
	if f := checkStreams(sh.inputs, "stdin"); f != nil {
		return nil, f
	}
	if f := checkStreams(sh.outputs, streamNames[:]...); f != nil {
		return nil, f
	}
	if text, ok := c.req.Option(wsmv.OptionCodepage); ok {
		n, err := strconv.Atoi(text)
		if err != nil || !slices.Contains(codepages, n) {
			return nil, soap.Newf(soap.CodePageNotSupported, "The code page %q is not supported.", text)
		}
		sh.codepage = n
	}
	sh.idle = max(time.Duration(s.config.Number("Winrs/IdleTimeout"))*time.Millisecond, minIdle)
	if body.IdleTimeout != 0 {
		if body.IdleTimeout < minIdle || body.IdleTimeout > maxIdle {
			return nil, soap.New(soap.IdleTimeoutOutOfBounds, "")
		}
		sh.idle = body.IdleTimeout
	}
	if body.Lifetime < 0 {
		return nil, soap.New(soap.InvalidParameter, "")
	}
	sh.env = s.environment(c.user)
	for _, v := range body.Environment {
		if v.Name == "" || strings.ContainsAny(v.Name, "=\x00") {
			return nil, soap.Newf(soap.InvalidParameter, "%q is no name of a variable.", v.Name)
		}
		sh.env = append(sh.env, v.Name+"="+v.Value)
	}
	return sh, nil
}

func checkStreams(names string, known ...string) *soap.Fault {
	for name := range strings.FieldsSeq(names) {
		if !slices.Contains(known, name) {
			return soap.Newf(soap.InvalidParameter, "The stream %q does not exist.", name)
		}
	}
	return nil
}

// environment is what a new shell has before its own variables.
func (s *Server) environment(user string) []string {
	if h, ok := s.handler().(interface {
		environment(name, user string) []string
	}); ok {
		return h.environment(s.Name, user)
	}
	return (&Host{}).environment(s.Name, user)
}

func hostOf(addr net.Addr) string {
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	return host
}

// getShell is Get of one shell.
func (s *Server) getShell(c *call) *soap.Fault {
	sh, done, f := s.useShell(c)
	if f != nil {
		return f
	}
	defer done()
	s.shells.mu.Lock()
	item := sh.item()
	s.shells.mu.Unlock()
	item.EncodeItem(c.out)
	return nil
}

// listShells are the shells of the caller, for Enumerate. An administrator sees
// those of all users; here everybody sees his own.
func (s *Server) listShells(c *call) ([]row, *soap.Fault) {
	s.shells.mu.Lock()
	defer s.shells.mu.Unlock()
	var rows []row
	for _, id := range sortedKeys(s.shells.byID) {
		sh := s.shells.byID[id]
		if !strings.EqualFold(sh.owner, c.user) {
			continue
		}
		item := sh.item()
		rows = append(rows, row{
			encode: item.EncodeItem, uri: wsmv.URICmd,
			selectors: []soap.Pair{{Name: wsmv.SelectorShellID, Value: sh.id}},
		})
	}
	return rows, nil
}

// listCommands are the commands of the shell that the filter names.
func (s *Server) listCommands(c *call, filter *filter) ([]row, *soap.Fault) {
	id := ""
	if filter != nil {
		for _, p := range filter.selectors {
			if strings.EqualFold(p.Name, wsmv.SelectorShellID) {
				id = namedID(p.Value)
			}
		}
	}
	if id == "" {
		return nil, soap.New(soap.ShellCommandsFilter, "")
	}
	s.shells.mu.Lock()
	defer s.shells.mu.Unlock()
	sh := s.shells.byID[id]
	if sh == nil || !strings.EqualFold(sh.owner, c.user) {
		return nil, soap.New(soap.UnexpectedSelectors, "")
	}
	var rows []row
	for _, id := range sortedKeys(sh.commands) {
		cmd := sh.commands[id]
		item := wsmv.Command{ID: cmd.id, Line: cmd.proc.Line, State: cmd.state()}
		rows = append(rows, row{encode: item.Encode, uri: wsmv.URICommand})
	}
	return rows, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
