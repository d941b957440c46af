// Winps runs a PowerShell script on a Windows host and hands on its output and
// its exit code:
//
//	winps -r srv1 -u CORP\anna patch.ps1 -Kb KB5031364 -Restart
//	winps -r srv1 -u CORP\anna -json -c 'Get-Service | select Name, Status'
//	winps -r srv1 -u CORP\anna - < patch.ps1
//
// The script's parameters follow its name: -Name value, -Name:value, or -Name
// alone for a switch; or values in order. They reach the script as they are,
// whatever characters they hold. The script itself may have any length.
//
// The output goes to the standard output, all other streams to the standard
// error, coloured on a terminal, with progress in a line of its own. With -json
// the output is one JSON array of the objects that the script puts out. The exit
// status is the script's, or 255 when winps itself fails.
//
// Without -r the script goes to a demo host inside this process, which knows only
// one-liners such as 'hello', $env:COMPUTERNAME, exit 3 and throw 'text'.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/winrmkit/winrmkit/examples/internal/target"
	"github.com/winrmkit/winrmkit/winrm"
)

const exitFailure = 255

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var where target.Flags
	set := flag.NewFlagSet("winps", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.Usage = func() {
		fmt.Fprint(stderr, "usage: winps [flags] script.ps1 [-Name value]...\n       winps [flags] -c 'command' [-Name value]...\n\n")
		set.PrintDefaults()
	}
	where.Register(set)
	command := set.String("c", "", "run this `command` instead of a file")
	asJSON := set.Bool("json", false, "print the objects of the output as a JSON array")
	depth := set.Int("depth", 0, "how deep -json looks into objects (default 4)")
	program := set.String("program", "", "powershell or pwsh (default powershell)")
	stopAtErrors := set.Bool("stop", false, "end at the first error of any kind")
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitFailure
	}
	text, rest, err := script(*command, set.Args(), stdin)
	var params any
	if err == nil {
		params, err = parameters(rest)
	}
	if err != nil {
		fmt.Fprintln(stderr, "winps:", err)
		return exitFailure
	}
	host, err := where.Host("winps", stderr)
	if err != nil {
		fmt.Fprintln(stderr, "winps:", err)
		return exitFailure
	}
	defer host.Close()
	client, err := winrm.New(host.Endpoint, host.Config)
	if err != nil {
		fmt.Fprintln(stderr, "winps:", err)
		return exitFailure
	}
	defer client.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	cmd := client.PowerShell(ctx, text)
	cmd.Script.Args, cmd.Script.Program, cmd.Script.Depth = params, *program, *depth
	if *stopAtErrors {
		cmd.Script.ErrorAction = "Stop"
	}
	c := newConsole(stderr)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if c.terminal {
		cmd.Stderr, cmd.Script.Record = c, c.record
	}
	if *asJSON {
		err = printJSON(cmd, stdout, stderr)
	} else {
		err = cmd.Run()
	}
	c.end()
	return status(err, stderr)
}

func printJSON(cmd *winrm.Cmd, stdout, stderr io.Writer) error {
	cmd.Stdout = stderr // Write-Host, beside the result
	all, err := winrm.RunJSON[[]json.RawMessage](cmd)
	if err != nil {
		return err
	}
	e := json.NewEncoder(stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(all)
}

// status is the exit status for what Run returned.
func status(err error, stderr io.Writer) int {
	exit, ok := errors.AsType[*winrm.ExitError](err)
	switch {
	case err == nil:
		return 0
	case ok:
		if script, ok := errors.AsType[*winrm.ScriptError](err); ok {
			fmt.Fprintln(stderr, "winps:", script)
		}
		return winrm.ExitStatus(exit.Code)
	}
	target.Tell(stderr, "winps", err, nil)
	return exitFailure
}

// script returns the text of the script and what follows it on the command line.
func script(command string, args []string, stdin io.Reader) (string, []string, error) {
	if command != "" {
		return command, args, nil
	}
	if len(args) == 0 {
		return "", nil, errors.New("which script?")
	}
	var data []byte
	var err error
	if args[0] == "-" {
		data, err = io.ReadAll(stdin)
	} else {
		data, err = os.ReadFile(args[0])
	}
	return strings.TrimPrefix(string(data), "\ufeff"), args[1:], err
}

// parameters reads -Name value pairs and switches, or values in order.
func parameters(args []string) (any, error) {
	if len(args) == 0 {
		return nil, nil
	}
	if !isName(args[0]) {
		return args, nil
	}
	named := map[string]any{}
	for i := 0; i < len(args); i++ {
		if !isName(args[i]) {
			return nil, fmt.Errorf("%q has no name: parameters have names or an order, not both", args[i])
		}
		name, value, given := strings.Cut(args[i][1:], ":")
		switch {
		case given:
			named[name] = value
		case i+1 < len(args) && !isName(args[i+1]):
			i++
			named[name] = args[i]
		default:
			named[name] = true
		}
	}
	return named, nil
}

// isName reports whether an argument is the name of a parameter: -1 is none.
func isName(s string) bool {
	return len(s) > 1 && s[0] == '-' && (s[1]|0x20 >= 'a' && s[1]|0x20 <= 'z' || s[1] == '_')
}
