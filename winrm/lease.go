package winrm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/auth"
	"github.com/winrmkit/winrmkit/internal/hostscript"
	"github.com/winrmkit/winrmkit/wsman"
)

// A HostScriptError is one of this package's own scripts that did not succeed on the
// host.
type HostScriptError struct {
	Script string // what it does, such as "acquire"
	Output string // what it wrote to its error stream
	Err    error  // its exit code, if it had one, or why it was not sent
}

func (e *HostScriptError) Error() string {
	text := "winrm: script " + e.Script
	if e.Output != "" {
		text += ": " + e.Output
	}
	if e.Err != nil {
		text += ": " + strip(e.Err)
	}
	return text
}

// Unwrap returns Err.
func (e *HostScriptError) Unwrap() error { return e.Err }

// bootstrapLine starts PowerShell so that it runs what comes by standard input.
// PowerShell 2.0 will do, which [Client.PowerShell] asks more of. Without
// -OutputFormat the error stream would be CLIXML.
var bootstrapLine = "powershell -NoProfile -NonInteractive -OutputFormat Text -EncodedCommand " +
	hostscript.Encode(hostscript.Bootstrap)

// script runs a script of ours on the host. It goes in by standard input: a
// command line is too short for it. What acts is one statement at its end, so
// that a text which was cut on its way does nothing.
func (c *Client) script(ctx context.Context, call hostscript.Call) ([]map[string]string, error) {
	if err := call.Check(); err != nil { // such as an id of somebody's CredSSPStore
		return nil, &HostScriptError{Script: string(call.Op), Err: err}
	}
	cmd := c.CommandContext(ctx, "powershell")
	cmd.Raw = bootstrapLine
	cmd.Stdin = strings.NewReader(call.Text())
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		if c.neverBegan(err) {
			err = &notBegunError{err}
		}
		return nil, err
	}
	if err := cmd.Wait(); err != nil {
		said := strings.TrimSpace(stderr.String())
		switch {
		case said == "":
			return nil, err
		case constrainedText(said):
			err = &LanguageModeError{Err: err}
		}
		return nil, &HostScriptError{Script: string(call.Op), Output: said, Err: err}
	}
	return hostscript.Results(stdout.String()), nil
}

// constrainedText reports whether PowerShell has shown the error of a language
// mode that forbids our scripts. It breaks lines where the console ends.
func constrainedText(shown string) bool {
	return strings.Contains(strings.Join(strings.Fields(shown), ""), idConstrained)
}

// A notBegunError is the reason for which a script was provably not begun.
type notBegunError struct{ err error }

func (e *notBegunError) Error() string { return e.err.Error() }
func (e *notBegunError) Unwrap() error { return e.err }

// neverBegan reports whether the host has provably not begun a command whose
// Start failed with err.
func (c *Client) neverBegan(err error) bool {
	if _, lost := errors.AsType[*CommandLostError](err); lost || c.unsure(err) {
		return false
	}
	_, dial := errors.AsType[*auth.DialError](err)
	_, logon := errors.AsType[*auth.Error](err)
	_, fault := errors.AsType[*wsman.Fault](err)
	_, status := errors.AsType[*wsman.StatusError](err)
	lost, ok := errors.AsType[*auth.ConnectionLostError](err)
	return dial || logon || fault || status || ok && !lost.Sent
}

// leaseState is what a script says about CredSSP on the host.
type leaseState struct {
	State  string // "leased", "on", "policy", "gone", "restored" or "shared"
	Was    bool   // the value before the first lease
	On     bool   // the value now
	Leases string
}

// lease runs a script that answers with one state.
func (c *Client) lease(ctx context.Context, op hostscript.Op, id string, ttl time.Duration) (leaseState, error) {
	lines, err := c.script(ctx, hostscript.Call{Op: op, ID: id, TTL: ttl})
	if err != nil {
		return leaseState{}, err
	}
	if len(lines) != 1 || lines[0]["state"] == "" {
		return leaseState{}, &HostScriptError{Script: string(op), Output: fmt.Sprintf("%d lines of answer instead of one", len(lines))}
	}
	l := lines[0]
	return leaseState{State: l["state"], Was: l["was"] == "true", On: l["now"] == "true", Leases: l["leases"]}, nil
}

// release gives a lease back. late says that the script which takes it may not
// have begun: it was sent, and not heard of again. Then a lease that is not there
// is looked for once more, when PowerShell has had three times as long to start
// as it took this time.
func (c *Client) release(ctx context.Context, id string, late bool) (leaseState, error) {
	began := time.Now()
	st, err := c.lease(ctx, hostscript.OpRelease, id, 0)
	if err != nil || st.State != "gone" || !late {
		return st, err
	}
	if !sleepContext(ctx, max(3*time.Since(began), 200*time.Millisecond)) {
		return leaseState{}, context.Cause(ctx)
	}
	return c.lease(ctx, hostscript.OpRelease, id, 0)
}
