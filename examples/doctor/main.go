// Doctor walks the way to a Windows host and tells at the first broken step what
// is wrong and what to do:
//
//	doctor -r srv1.corp.example -u CORP\anna
//	doctor -r https://srv1.corp.example -u CORP\anna -hop fileserver -json
//
// Name, port, TLS, HTTP, the logons offered, the logon, clocks, rights, a shell,
// quotas; if asked, the host's channel to its domain, a managed account and a
// second hop. The exit status is 0 when nothing is broken, 1 when something is,
// and 2 when doctor was called wrongly.
//
// Without -r the patient is a demo host inside this process. Without -u the walk
// ends with the logons that the host offers.
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
	"time"

	"github.com/winrmkit/winrmkit/examples/internal/target"
	"github.com/winrmkit/winrmkit/winrm"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	var where target.Flags
	var o winrm.DiagnoseOptions
	set := flag.NewFlagSet("doctor", flag.ContinueOnError)
	set.SetOutput(stderr)
	where.Register(set)
	asJSON := set.Bool("json", false, "print one JSON object a step")
	set.StringVar(&o.SecondHop, "hop", "", "another `host` that this one is to reach")
	set.BoolVar(&o.SecureChannel, "channel", false, "check the host's secure channel to its domain")
	set.StringVar(&o.ManagedAccount, "gmsa", "", "group managed service `account` that the host is to use")
	set.DurationVar(&o.Slow, "slow", 0, "warn about steps that take longer (default 5s)")
	set.DurationVar(&o.Timeout, "timeout", 0, "give a step up after this `time` (default 1m)")
	set.Usage = func() {
		fmt.Fprint(stderr, "usage: doctor [flags]\n\nwalks the way to a Windows host and tells at the first broken step what is wrong;\n"+
			"exit status 0: nothing is broken, 1: something is, 2: called wrongly\n\nflags:\n")
		set.PrintDefaults()
	}
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case set.NArg() > 0:
		fmt.Fprintf(stderr, "doctor: %q is no flag; a host is named by -r\n", set.Arg(0))
		return 2
	}
	host, err := where.HostOrNobody("doctor", stderr)
	if err != nil {
		fmt.Fprintln(stderr, "doctor:", err)
		return 2
	}
	defer host.Close()
	o.Config = host.Config
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	status := 0
	for step := range winrm.Diagnose(ctx, host.Endpoint, &o) {
		if step.Verdict == winrm.StepFailed {
			status = 1
		}
		if *asJSON {
			if err := json.NewEncoder(stdout).Encode(newReport(step)); err != nil {
				fmt.Fprintln(stderr, "doctor:", err)
				return 2
			}
			continue
		}
		show(stdout, step)
	}
	return status
}

// show prints a step for people.
func show(w io.Writer, s winrm.Step) {
	fmt.Fprintf(w, "%-8s %-16s %8s  %s\n", s.Verdict, s.Name, s.Duration.Round(100*time.Microsecond), strings.Join(s.Evidence, "; "))
	target.Causes(w, strings.Repeat(" ", 9), s.Causes)
}

// report is a step as JSON has it.
type report struct {
	Step     string   `json:"step"`
	Verdict  string   `json:"verdict"`
	Millis   float64  `json:"milliseconds"`
	Evidence []string `json:"evidence,omitempty"`
	Causes   []cause  `json:"causes,omitempty"`
}

type cause struct {
	ID      string `json:"id"`
	Text    string `json:"text"`
	Check   string `json:"check,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
	Certain bool   `json:"certain"`
}

func newReport(s winrm.Step) report {
	r := report{Step: s.Name, Verdict: string(s.Verdict), Millis: float64(s.Duration.Microseconds()) / 1000, Evidence: s.Evidence}
	for _, c := range s.Causes {
		r.Causes = append(r.Causes, cause{c.ID, c.Text, c.Check, c.Remedy, c.Certain})
	}
	return r
}
