// Wsmanconfig shows and changes the WinRM configuration of a Windows host, from
// anywhere, under the names that PowerShell's WSMan: drive has for it:
//
//	wsmanconfig [flags] ls [path]
//	wsmanconfig [flags] get path
//	wsmanconfig [flags] set path value
//	wsmanconfig [flags] credssp status
//	wsmanconfig [flags] credssp enable|disable server
//	wsmanconfig [flags] credssp enable|disable client [host ...]
//	wsmanconfig [flags] credssp temporary command [arguments]
//	wsmanconfig [flags] credssp restore
//
// A path is like Service\Auth\CredSSP or Listener\*+HTTP\Port; slashes will do.
// Several commands can be given at once, with -- between them.
//
// The exit status is 0 when all was done, 1 when something failed and 2 when it was
// called wrongly; that of "credssp temporary" is the command's.
//
// Without -r everything happens on a demo host inside this process.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/winrmkit/winrmkit/examples/internal/target"
	"github.com/winrmkit/winrmkit/winrm"
)

const usage = `usage: wsmanconfig [flags] command [-- command ...]

commands:
  ls [path]                                 list a container of the WSMan: drive
  get path                                  show one item
  set path value                            change one item, and read it back
  credssp status                            what Get-WSManCredSSP tells
  credssp enable|disable server             let the host receive credentials, or not
  credssp enable|disable client [host ...]  let the host hand credentials on, or not
  credssp temporary command [arguments]     run a command with CredSSP, which is on for that time only
  credssp restore                           put back what a killed "temporary" has left

flags:
`

// A program is one invocation.
type program struct {
	client      *winrm.Client
	host        *target.Host
	out, err    io.Writer
	lockout     bool
	ntlm, sweep bool
	state       string
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	p := &program{out: stdout, err: stderr}
	var where target.Flags
	set := flag.NewFlagSet("wsmanconfig", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.Usage = func() {
		fmt.Fprint(stderr, usage)
		set.PrintDefaults()
	}
	where.Register(set)
	set.BoolVar(&p.lockout, "force", false, "also do what may lock us out: switch off our own logon, or the last one")
	set.BoolVar(&p.ntlm, "ntlm", false, "credssp enable client: also towards hosts that only NTLM vouches for")
	set.BoolVar(&p.sweep, "sweep", false, "credssp restore: end all leases on the host, not only those that a note here tells of")
	set.StringVar(&p.state, "state", "", "`folder` for notes of credssp temporary (default: in the user's configuration)")
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case set.NArg() == 0:
		set.Usage()
		return 2
	}
	var err error
	if p.host, err = where.Host("wsmanconfig", stderr); err != nil {
		fmt.Fprintln(stderr, "wsmanconfig:", err)
		return 2
	}
	defer p.host.Close()
	if p.client, err = winrm.New(p.host.Endpoint, p.host.Config); err != nil {
		target.Tell(stderr, "wsmanconfig", err, winrm.Explain(err))
		return 1
	}
	defer p.client.Close()
	for _, command := range split(set.Args()) {
		err := p.do(context.Background(), command)
		exit, ended := errors.AsType[exitStatus](err)
		switch {
		case err == nil:
		case ended:
			return winrm.ExitStatus(uint32(exit))
		case errors.Is(err, errUsage):
			fmt.Fprintf(stderr, "wsmanconfig: %s: %v\n", strings.Join(command, " "), err)
			return 2
		default:
			target.Tell(stderr, "wsmanconfig", err, p.client.Explain(err))
			return 1
		}
	}
	return 0
}

// split cuts the arguments at "--".
func split(args []string) (commands [][]string) {
	for {
		i := slices.Index(args, "--")
		if i < 0 {
			return append(commands, args)
		}
		commands = append(commands, args[:i])
		args = args[i+1:]
	}
}

// store is where notes are kept.
func (p *program) store() (*winrm.FileStore, error) {
	if p.state == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return nil, fmt.Errorf("-state is needed: %w", err)
		}
		p.state = filepath.Join(dir, "winrmkit", "credssp")
	}
	return winrm.NewFileStore(p.state)
}
