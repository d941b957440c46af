package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/winrm"
	"github.com/winrmkit/winrmkit/wsman/config"
)

// errUsage is a command that is none. The exit status tells it from one that
// failed.
var errUsage = errors.New("that is no command; -h lists them")

// An exitStatus is how a command on the host ended.
type exitStatus uint32

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", uint32(e)) }

// do runs one command.
func (p *program) do(ctx context.Context, args []string) error {
	if p.lockout {
		ctx = config.AllowLockout(ctx)
	}
	if len(args) == 0 {
		return errUsage
	}
	name, rest := args[0], args[1:]
	switch {
	case name == "ls" && len(rest) <= 1:
		return p.list(ctx, strings.Join(rest, ""))
	case name == "get" && len(rest) == 1:
		return p.get(ctx, rest[0])
	case name == "set" && len(rest) == 2:
		return p.set(ctx, rest[0], rest[1])
	case name == "credssp" && len(rest) > 0:
		return p.credSSP(ctx, rest[0], rest[1:])
	}
	return errUsage
}

func (p *program) list(ctx context.Context, path string) error {
	items, err := config.Items(ctx, p.client.WSMan(), path)
	if err != nil {
		return err
	}
	p.header(path)
	for _, it := range items {
		p.row(it)
	}
	return nil
}

func (p *program) get(ctx context.Context, path string) error {
	it, err := config.GetItem(ctx, p.client.WSMan(), path)
	if err != nil {
		return err
	}
	if it.Container {
		return p.list(ctx, path)
	}
	p.header(path[:max(strings.LastIndexAny(path, `\/`), 0)]) // of what it is in
	p.row(*it)
	return nil
}

func (p *program) set(ctx context.Context, path, value string) error {
	if err := config.SetItem(ctx, p.client.WSMan(), path, value); err != nil {
		return err
	}
	return p.get(ctx, path)
}

// header and row print as PowerShell does: three columns of 15, 30 and 15
// characters, and the rest.
func (p *program) header(path string) {
	path = strings.ReplaceAll(path, "/", `\`)
	if drive, rest, ok := strings.Cut(path, `:`); ok && strings.EqualFold(drive, "wsman") {
		_, path, _ = strings.Cut(strings.TrimLeft(rest, `\`), `\`)
	}
	fmt.Fprintf(p.out, "\n   WSManConfig: Microsoft.WSMan.Management\\WSMan::%s\n\n", strings.TrimRight(`localhost\`+path, `\`))
	p.line("Type", "Name", "SourceOfValue", "Value")
	p.line("----", "----", "-------------", "-----")
}

func (p *program) row(it config.Item) {
	kind := "System.String"
	if it.Container {
		kind = "Container"
	}
	p.line(kind, it.Name, string(it.Source), it.Value)
}

func (p *program) line(kind, name, source, value string) {
	text := fmt.Sprintf("%-15s %-30s %-15s %s", cut(kind, 15), cut(name, 30), cut(source, 15), value)
	fmt.Fprintln(p.out, strings.TrimRight(text, " "))
}

func cut(s string, width int) string {
	if len(s) <= width {
		return s
	}
	return s[:width-3] + "..."
}

func (p *program) credSSP(ctx context.Context, name string, args []string) error {
	role := ""
	if len(args) > 0 {
		role = args[0]
	}
	switch {
	case name == "status" && len(args) == 0:
		return p.status(ctx)
	case name == "enable" && role == "server" && len(args) == 1:
		return p.changed(config.EnableCredSSPServer(ctx, p.client.WSMan()))
	case name == "disable" && role == "server" && len(args) == 1:
		return p.changed(config.DisableCredSSPServer(ctx, p.client.WSMan()))
	case name == "enable" && role == "client" && len(args) > 1:
		if err := p.client.EnableCredSSPClient(ctx, p.ntlm, args[1:]...); err != nil {
			return err
		}
		return p.status(ctx)
	case name == "disable" && role == "client":
		if err := p.client.DisableCredSSPClient(ctx, args[1:]...); err != nil {
			return err
		}
		return p.status(ctx)
	case name == "temporary" && len(args) > 0:
		return p.temporary(ctx, args)
	case name == "restore" && len(args) == 0:
		return p.restore(ctx)
	}
	return errUsage
}

func (p *program) changed(changed bool, err error) error {
	if err != nil {
		return err
	}
	if !changed {
		fmt.Fprintln(p.out, "It was so already.")
		return nil
	}
	return p.get(context.Background(), `Service\Auth\CredSSP`)
}

func (p *program) status(ctx context.Context) error {
	s, err := p.client.CredSSPStatus(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(p.out, s)
	if s.Server.Source == config.Policy || s.Client.Source == config.Policy {
		fmt.Fprintln(p.out, "Group policy owns the setting.")
	}
	return nil
}

// temporary runs a command in a session that has the credentials.
func (p *program) temporary(ctx context.Context, args []string) error {
	notes, err := p.store()
	if err != nil {
		return err
	}
	fmt.Fprintln(p.err, "wsmanconfig: the password reaches the host for the time of the command")
	var exit *winrm.ExitError
	err = p.client.WithCredSSP(ctx, winrm.TemporaryCredSSP{
		Auth: p.host.CredSSP(), Store: notes,
		Progress: func(s winrm.CredSSPStep) { fmt.Fprintln(p.err, "wsmanconfig: CredSSP:", s) },
	}, func(ctx context.Context, session *winrm.Client) error {
		cmd := session.CommandContext(ctx, args[0], args[1:]...)
		var wrote strings.Builder
		cmd.Stdout, cmd.Stderr = p.out, io.MultiWriter(p.err, &wrote)
		err := cmd.Run()
		if causes := session.ExplainOutput(wrote.String()); err != nil && len(causes) > 0 {
			fmt.Fprintf(p.err, "wsmanconfig: %s\n", causes[0].Text)
		}
		if errors.As(err, &exit) {
			return nil // it has run; how it ended is the program's own exit status
		}
		return err
	})
	if err == nil && exit != nil {
		return exitStatus(exit.Code)
	}
	return err
}

func (p *program) restore(ctx context.Context) error {
	notes, err := p.store()
	if err != nil {
		return err
	}
	done, err := p.client.RestoreCredSSP(ctx, winrm.RestoreOptions{Store: notes, Sweep: p.sweep})
	for _, r := range done {
		fmt.Fprintf(p.out, "%s: %s\n", r.ID, r.State)
	}
	if err != nil {
		return err
	}
	if len(done) == 0 {
		fmt.Fprintln(p.out, "There is nothing to put back.")
	}
	left, err := notes.List(ctx)
	for _, in := range left {
		if !in.Running {
			fmt.Fprintf(p.out, "There is a note about %s of %s; -r %[1]s puts that back.\n", in.Endpoint, in.Created.Local().Format(time.DateTime))
		}
	}
	return err
}
