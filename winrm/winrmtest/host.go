package winrmtest

import (
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/cmdexe"
)

// Host is a [Handler] that imitates a Windows host: cmd.exe with its operators,
// quotes, carets and percent signs, its inner commands as far as they need no
// disk, and a few programs: hostname, whoami, ipconfig, ping, more, sort,
// findstr, timeout, cmd, and PowerShell as far as package winrm needs it to copy
// files. What it does not imitate it says on stderr; it never
// pretends. The zero value is ready to use.
type Host struct {
	// Name is the computer name, "" is that of the server; Domain is "" for a
	// host in a workgroup. Address is its IPv4 address, "" is 192.0.2.10.
	Name, Domain, Address string
	// Programs are further programs by their name in lower case, without ".exe".
	// They see their own command line in Proc.Line and Proc.Args.
	Programs map[string]Handler
	// Script runs PowerShell scripts that are not imitated otherwise. It reports
	// false for those that it does not know either.
	Script func(*Script) (code uint32, known bool)
	// Disk is where files are copied to and from, nil is an empty one that lives
	// as long as the server.
	Disk *Disk
}

var _ Handler = (*Host)(nil)

// ServeCommand implements [Handler].
func (h *Host) ServeCommand(p *Proc) uint32 {
	r := &hostRun{host: h.named(p), proc: p}
	sh := &cmdexe.Shell{
		Env: cmdexe.NewEnv(p.Env), Dir: p.Dir, Stdin: p.Stdin, Stdout: p.Stdout, Stderr: p.Stderr, Run: r.run,
	}
	if sh.Dir == "" {
		sh.Dir = `C:\Users\` + userPart(p.User)
	}
	if !p.NoShell {
		return sh.Execute(p.Context(), p.Line)
	}
	c := &cmdexe.Call{
		Name: p.Path, Tail: strings.TrimPrefix(p.Line, p.Path), Line: p.Line,
		Stdin: p.Stdin, Stdout: p.Stdout, Stderr: p.Stderr, Shell: sh,
	}
	code, found := r.run(p.Context(), c)
	if !found {
		fmt.Fprintf(p.Stderr, "The system cannot find the file specified.\r\n")
		return 2
	}
	return code
}

// named is the host with its defaults.
func (h *Host) named(p *Proc) *Host {
	n := *h
	if n.Name == "" {
		n.Name = "WINRMTEST"
		if p.server != nil {
			n.Name = p.server.Name
		}
	}
	if n.Address == "" {
		n.Address = "192.0.2.10"
	}
	return &n
}

// environment is what a logon on the host gets.
func (h *Host) environment(name, user string) []string {
	if h.Name != "" {
		name = h.Name
	}
	domain, short := name, userPart(user)
	if d, _, ok := strings.Cut(user, `\`); ok {
		domain = d
	}
	return []string{
		`ALLUSERSPROFILE=C:\ProgramData`, `COMPUTERNAME=` + name, `ComSpec=C:\Windows\system32\cmd.exe`,
		`HOMEDRIVE=C:`, `HOMEPATH=\Users\` + short, `NUMBER_OF_PROCESSORS=2`, `OS=Windows_NT`,
		`Path=C:\Windows\system32;C:\Windows;C:\Windows\System32\Wbem`, `PATHEXT=.COM;.EXE;.BAT;.CMD`,
		`PROCESSOR_ARCHITECTURE=AMD64`, `PROMPT=$P$G`, `SystemDrive=C:`, `SystemRoot=C:\Windows`,
		`TEMP=C:\Users\` + short + `\AppData\Local\Temp`, `TMP=C:\Users\` + short + `\AppData\Local\Temp`,
		`USERDOMAIN=` + domain, `USERNAME=` + short, `USERPROFILE=C:\Users\` + short, `windir=C:\Windows`,
	}
}

func userPart(user string) string {
	if _, u, ok := strings.Cut(user, `\`); ok {
		user = u
	}
	user, _, _ = strings.Cut(user, "@")
	return user
}

// hostRun is one command on a host.
type hostRun struct {
	host *Host
	proc *Proc
}

// run is cmdexe.Shell.Run.
func (r *hostRun) run(ctx context.Context, c *cmdexe.Call) (uint32, bool) {
	name := strings.ToLower(c.Name)
	if dir := path.Dir(strings.ReplaceAll(name, `\`, "/")); dir != "." {
		switch dir {
		case "c:/windows/system32", "c:/windows", "c:/windows/system32/windowspowershell/v1.0":
			name = path.Base(strings.ReplaceAll(name, `\`, "/"))
		default:
			return 0, false
		}
	}
	name = strings.TrimSuffix(name, ".exe")
	if h, ok := r.host.Programs[name]; ok {
		return r.custom(ctx, h, c), true
	}
	prog, ok := programs[name]
	if !ok {
		return 0, false
	}
	return prog(ctx, r, c), true
}

// custom runs a program of Host.Programs with the streams of its place in the
// line.
func (r *hostRun) custom(ctx context.Context, h Handler, c *cmdexe.Call) uint32 {
	args := splitArgs(c.Tail)
	p := &Proc{
		Path: c.Name, Args: args, Line: c.Line, Env: c.Shell.List(), Dir: c.Shell.Dir,
		Codepage: r.proc.Codepage, NoProfile: r.proc.NoProfile, NoShell: true, Console: r.proc.Console,
		Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr,
		User: r.proc.User, Delegated: r.proc.Delegated, ShellID: r.proc.ShellID, CommandID: r.proc.CommandID,
		server: r.proc.server, ctx: ctx, signals: r.proc.signals, parent: r.proc,
	}
	return h.ServeCommand(p)
}

// A program is one that the host imitates.
type program func(context.Context, *hostRun, *cmdexe.Call) uint32

var programs map[string]program

func init() {
	// In init because cmd leads back here.
	programs = map[string]program{
		"hostname": hostname, "whoami": whoami, "ipconfig": ipconfig, "ping": ping, "more": copyInput,
		"sort": sortInput, "findstr": findstr, "find": findstr, "timeout": timeout, "cmd": cmd,
		"powershell": powershell, "pwsh": powershell, "where": where,
	}
}

func hostname(_ context.Context, r *hostRun, c *cmdexe.Call) uint32 {
	fmt.Fprintf(c.Stdout, "%s\r\n", r.host.Name)
	return 0
}

func copyInput(_ context.Context, _ *hostRun, c *cmdexe.Call) uint32 {
	if _, err := io.Copy(c.Stdout, c.Stdin); err != nil {
		return 1
	}
	return 0
}

// splitArgs is CommandLineToArgvW for what follows the program's name: blanks
// separate, quotes group, backslashes escape quotes.
func splitArgs(s string) []string {
	var args []string
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" {
			return args
		}
		var arg string
		arg, s = nextArg(s)
		args = append(args, arg)
	}
}

func nextArg(s string) (arg, rest string) {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			n := 1
			for i+n < len(s) && s[i+n] == '\\' {
				n++
			}
			if i+n < len(s) && s[i+n] == '"' {
				b.WriteString(strings.Repeat(`\`, n/2))
				if n%2 == 1 {
					b.WriteByte('"')
					n++
				}
			} else {
				b.WriteString(strings.Repeat(`\`, n))
			}
			i += n - 1
		case c == '"' && quoted && i+1 < len(s) && s[i+1] == '"':
			b.WriteByte('"')
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\t'):
			return b.String(), s[i:]
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}
