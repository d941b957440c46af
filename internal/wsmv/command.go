package wsmv

import (
	"strconv"

	"github.com/winrmkit/winrmkit/wsman"
)

// CommandLine is the body of Command. See [MS-WSMV] section 2.2.4.7.
type CommandLine struct {
	ID        string // attribute CommandId: the client's choice, "" leaves it to the server
	Command   string
	Arguments []string
}

// Encode writes the body.
func (c *CommandLine) Encode(e *wsman.Encoder) {
	start(e, "rsp:CommandLine")
	attr(e, "CommandId", c.ID)
	e.Element("rsp:Command", c.Command)
	for _, a := range c.Arguments {
		e.Element("rsp:Arguments", a)
	}
	e.End()
}

// Decode reads the rsp:CommandLine just entered.
func (c *CommandLine) Decode(d *wsman.Decoder) error {
	c.ID, _ = attribute(d, "CommandId")
	for n := range d.Children() {
		switch n {
		case name("Command"):
			text, err := d.Text()
			if err != nil {
				return err
			}
			c.Command = string(text)
		case name("Arguments"):
			text, err := d.Text()
			if err != nil {
				return err
			}
			c.Arguments = append(c.Arguments, string(text))
		}
	}
	return d.Err()
}

// CommandResponse is the answer to Command. See [MS-WSMV] section 2.2.4.8.
type CommandResponse struct{ ID string }

// Encode writes the body.
func (c *CommandResponse) Encode(e *wsman.Encoder) {
	start(e, "rsp:CommandResponse")
	e.Element("rsp:CommandId", c.ID)
	e.End()
}

// Decode reads the rsp:CommandResponse just entered.
func (c *CommandResponse) Decode(d *wsman.Decoder) error {
	for n := range d.Children() {
		if n == name("CommandId") {
			c.ID, _ = d.Value()
		}
	}
	if err := d.Err(); err != nil {
		return err
	}
	if c.ID == "" {
		return &ValueError{Name: "rsp:CommandId"}
	}
	return nil
}

// DecodeBody reads the children of the current element. The id may stand there
// by itself, as dylanmei/winrmtest has it.
func (c *CommandResponse) DecodeBody(d *wsman.Decoder) error {
	err := error(&ValueError{Name: "rsp:CommandResponse"})
	for n := range d.Children() {
		switch n {
		case name("CommandResponse"):
			err = c.Decode(d)
		case name("CommandId"):
			if c.ID, err = d.Value(); err == nil && c.ID == "" {
				err = &ValueError{Name: "rsp:CommandId"}
			}
		}
	}
	if d.Err() != nil {
		return d.Err()
	}
	return err
}

// Command is one item of the enumeration of a shell's commands. Its state is
// text, not the element of ReceiveResponse.
type Command struct {
	ID    string
	Line  string
	State string // "Running", "Done"
}

// Encode writes the item.
func (c *Command) Encode(e *wsman.Encoder) {
	start(e, "rsp:Command")
	e.Element("rsp:CommandId", c.ID)
	e.Element("rsp:CommandLine", c.Line)
	e.Element("rsp:CommandState", c.State)
	e.End()
}

// Decode reads the rsp:Command just entered.
func (c *Command) Decode(d *wsman.Decoder) error {
	for n := range d.Children() {
		switch n {
		case name("CommandId"):
			c.ID, _ = d.Value()
		case name("CommandLine"):
			c.Line, _ = d.Value()
		case name("CommandState"):
			c.State, _ = d.Value()
		}
	}
	return d.Err()
}

// Signal is the body of Signal. See [MS-WSMV] section 2.2.4.38.
type Signal struct {
	CommandID string
	Code      string
}

// Encode writes the body.
func (s *Signal) Encode(e *wsman.Encoder) {
	start(e, "rsp:Signal")
	attr(e, "CommandId", s.CommandID)
	e.Element("rsp:Code", s.Code)
	e.End()
}

// Decode reads the rsp:Signal just entered.
func (s *Signal) Decode(d *wsman.Decoder) error {
	s.CommandID, _ = attribute(d, "CommandId")
	for n := range d.Children() {
		if n == name("Code") {
			s.Code, _ = d.Value()
		}
	}
	if err := d.Err(); err != nil {
		return err
	}
	if s.Code == "" {
		return &ValueError{Name: "rsp:Code"}
	}
	return nil
}

// EncodeEmpty writes an element without content, such as rsp:SendResponse,
// rsp:SignalResponse or rsp:ConnectResponse.
func EncodeEmpty(e *wsman.Encoder, local string) {
	start(e, "rsp:"+local)
	e.End()
}

// parseExitCode reads xs:integer as Windows writes an exit code: unsigned, or
// signed from servers that think of it so.
func parseExitCode(s string) (uint32, error) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return uint32(n), nil
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0, &ValueError{Name: "rsp:ExitCode", Value: s}
	}
	return uint32(int32(n)), nil
}
