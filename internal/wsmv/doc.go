// Package wsmv holds the bodies of remote shell messages ([MS-WSMV] sections
// 2.2.4.7 to 2.2.4.40) for both sides: a client encodes Command and decodes
// CommandResponse, a server the other way round.
//
// Encode writes the message as children of s:Body. Decode reads one element
// that the decoder has just entered; [Find] enters the one that a body is
// expected to hold.
package wsmv

import (
	"fmt"

	"github.com/winrmkit/winrmkit/wsman"
)

// Resource URIs of shells. Operations on a shell name URICmd; Get and Enumerate
// want the URI without /cmd ([MS-WSMV] note 114).
const (
	URIShell   = wsman.URIShell
	URICmd     = wsman.URICmdShell
	URICommand = wsman.URIShellCommand
)

// Actions of shell operations; "Response" is appended in answers.
const (
	ActionCommand    = wsman.ActionCommand
	ActionSend       = wsman.ActionSend
	ActionReceive    = wsman.ActionReceive
	ActionSignal     = wsman.ActionSignal
	ActionConnect    = wsman.ActionConnect
	ActionDisconnect = wsman.ActionDisconnect
	ActionReconnect  = wsman.ActionReconnect
)

// Options of Create, Command and Receive. See [MS-WSMV] sections 3.1.4.5.2,
// 3.1.4.11 and 3.1.4.14.
const (
	OptionNoProfile = "WINRS_NOPROFILE"
	OptionCodepage  = "WINRS_CODEPAGE"
	OptionConsole   = "WINRS_CONSOLEMODE_STDIN"
	OptionSkipCmd   = "WINRS_SKIP_CMD_SHELL"
	OptionKeepAlive = "WSMAN_CMDSHELL_OPTION_KEEPALIVE"
)

// SelectorShellID is the selector of a shell.
const SelectorShellID = "ShellId"

// Codes of Signal. See [MS-WSMV] section 2.2.4.38.
const (
	SignalCtrlC     = wsman.NSShell + "/signal/ctrl_c"
	SignalCtrlBreak = wsman.NSShell + "/signal/ctrl_break"
	SignalTerminate = wsman.NSShell + "/signal/terminate"
)

// States of a command. See [MS-WSMV] section 2.2.4.10.
const (
	StateRunning = wsman.NSShell + "/CommandState/Running"
	StatePending = wsman.NSShell + "/CommandState/Pending"
	StateDone    = wsman.NSShell + "/CommandState/Done"
)

// Names of the streams.
const (
	Stdin  = "stdin"
	Stdout = "stdout"
	Stderr = "stderr"
)

// A ValueError says that an element or attribute holds what its type does not
// allow, or that it is missing.
type ValueError struct {
	Name  string // the element or attribute
	Value string // what it holds, "" when it is missing
}

func (e *ValueError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("wsmv: the message has no %s", e.Name)
	}
	return fmt.Sprintf("wsmv: %s cannot be %.80q", e.Name, e.Value)
}

// Find iterates over the children of the current element, enters the first
// rsp:local and calls fn for it. Others are skipped.
func Find(d *wsman.Decoder, local string, fn func(*wsman.Decoder) error) error {
	found := false
	var err error
	for n := range d.Children() {
		if !found && n == name(local) {
			found = true
			err = fn(d)
		}
	}
	switch {
	case err != nil:
		return err
	case d.Err() != nil:
		return d.Err()
	case !found:
		return &ValueError{Name: "rsp:" + local}
	}
	return nil
}

func name(local string) wsman.Name { return wsman.Name{Space: wsman.NSShell, Local: local} }

// start begins the body's element, whose name has the prefix rsp: it declares that
// for all inside.
func start(e *wsman.Encoder, name string) {
	e.Start(name)
	e.Namespace("rsp", wsman.NSShell)
}

// attribute reads an attribute of the element just entered. Windows writes and
// accepts it without a prefix; the schema of DesiredStream and Receive refers to
// global attributes, so that clients made from it (winrm4j) qualify theirs.
func attribute(d *wsman.Decoder, local string) (string, bool) {
	if value, ok := d.Attr("", local); ok {
		return value, true
	}
	return d.Attr(wsman.NSShell, local)
}

// attr writes an attribute that is left out when it is empty.
func attr(e *wsman.Encoder, name, value string) {
	if value != "" {
		e.Attr(name, value)
	}
}

// element writes an element that is left out when it is empty.
func element(e *wsman.Encoder, local, text string) {
	if text != "" {
		e.Element("rsp:"+local, text)
	}
}

// parseBool reads xs:boolean, in any case: Windows accepts "True".
func parseBool(name, s string) (bool, error) {
	switch s {
	case "true", "True", "TRUE", "1":
		return true, nil
	case "false", "False", "FALSE", "0", "":
		return false, nil
	}
	return false, &ValueError{Name: name, Value: s}
}
