package wsmv

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/wsman"
)

// Shell is rsp:Shell: the body of Create, its answer, and the item of Get and
// Enumerate. See [MS-WSMV] section 2.2.4.37. Empty fields are left out.
type Shell struct {
	ID   string // attribute ShellId in Create, element rsp:ShellId in answers
	Name string

	Environment      []Variable
	WorkingDirectory string
	Lifetime         time.Duration
	IdleTimeout      time.Duration // rsp:IdleTimeOut
	InputStreams     string        // names separated by blanks
	OutputStreams    string

	// What only a server says.
	ResourceURI     string // rsp:ResourceUri
	Owner           string
	ClientIP        string
	ProcessID       string
	MaxIdleTimeout  time.Duration // rsp:MaxIdleTimeOut
	Locale          string
	DataLocale      string
	CompressionMode string
	ProfileLoaded   string // "Yes" or "No"
	Encoding        string
	BufferMode      string
	State           string // "Connected" or "Disconnected"
	RunTime         time.Duration
	Inactivity      time.Duration
	MemoryUsed      string
	ChildProcesses  uint64
}

// Variable is one rsp:Variable of rsp:Environment.
type Variable struct{ Name, Value string }

// EncodeCreate writes the body of a Create request.
func (s *Shell) EncodeCreate(e *wsman.Encoder) {
	start(e, "rsp:Shell")
	attr(e, "ShellId", s.ID)
	element(e, "Name", s.Name)
	if len(s.Environment) > 0 {
		e.Start("rsp:Environment")
		for _, v := range s.Environment {
			e.Start("rsp:Variable")
			e.Attr("Name", v.Name)
			e.Text(v.Value)
			e.End()
		}
		e.End()
	}
	element(e, "WorkingDirectory", s.WorkingDirectory)
	duration(e, "Lifetime", s.Lifetime)
	duration(e, "IdleTimeOut", s.IdleTimeout)
	element(e, "InputStreams", s.InputStreams)
	element(e, "OutputStreams", s.OutputStreams)
	e.End()
}

// EncodeItem writes the shell as a server describes it, in the order that
// Windows uses.
func (s *Shell) EncodeItem(e *wsman.Encoder) {
	start(e, "rsp:Shell")
	element(e, "ShellId", s.ID)
	element(e, "Name", s.Name)
	element(e, "ResourceUri", s.ResourceURI)
	element(e, "Owner", s.Owner)
	element(e, "ClientIP", s.ClientIP)
	element(e, "ProcessId", s.ProcessID)
	element(e, "WorkingDirectory", s.WorkingDirectory)
	duration(e, "IdleTimeOut", s.IdleTimeout)
	element(e, "InputStreams", s.InputStreams)
	element(e, "OutputStreams", s.OutputStreams)
	duration(e, "MaxIdleTimeOut", s.MaxIdleTimeout)
	element(e, "Locale", s.Locale)
	element(e, "DataLocale", s.DataLocale)
	element(e, "CompressionMode", s.CompressionMode)
	element(e, "ProfileLoaded", s.ProfileLoaded)
	element(e, "Encoding", s.Encoding)
	element(e, "BufferMode", s.BufferMode)
	element(e, "State", s.State)
	element(e, "ShellRunTime", since(s.RunTime))
	element(e, "ShellInactivity", since(s.Inactivity))
	element(e, "MemoryUsed", s.MemoryUsed)
	if s.ChildProcesses > 0 {
		element(e, "ChildProcesses", strconv.FormatUint(s.ChildProcesses, 10))
	}
	e.End()
}

// Decode reads the rsp:Shell just entered, in either form. A [ValueError] does not
// keep it from reading the rest.
func (s *Shell) Decode(d *wsman.Decoder) error {
	if id, ok := attribute(d, "ShellId"); ok {
		s.ID = id
	}
	if n, ok := attribute(d, "Name"); ok {
		s.Name = n // where OMI has it
	}
	var first error
	for n := range d.Children() {
		if n.Space != wsman.NSShell {
			continue
		}
		if err := s.decodeChild(d, n.Local); err != nil && first == nil {
			first = err
		}
	}
	if err := d.Err(); err != nil {
		return err
	}
	return first
}

func (s *Shell) decodeChild(d *wsman.Decoder, local string) error {
	if text, ok := s.texts()[local]; ok {
		v, err := d.Value()
		*text = v
		return err
	}
	switch local {
	case "Environment":
		return s.decodeEnvironment(d)
	case "Lifetime":
		return decodeDuration(d, local, &s.Lifetime)
	case "IdleTimeOut", "IdleTimeout":
		return decodeDuration(d, local, &s.IdleTimeout)
	case "MaxIdleTimeOut":
		return decodeDuration(d, local, &s.MaxIdleTimeout)
	case "ShellRunTime":
		return decodeDuration(d, local, &s.RunTime)
	case "ShellInactivity":
		return decodeDuration(d, local, &s.Inactivity)
	case "ChildProcesses":
		text, err := d.Value()
		if err != nil {
			return err
		}
		if s.ChildProcesses, err = strconv.ParseUint(text, 10, 32); err != nil {
			return &ValueError{Name: local, Value: text}
		}
	}
	return nil
}

// texts maps element names to the fields that hold their text.
func (s *Shell) texts() map[string]*string {
	return map[string]*string{
		"ShellId": &s.ID, "Name": &s.Name, "WorkingDirectory": &s.WorkingDirectory,
		"InputStreams": &s.InputStreams, "OutputStreams": &s.OutputStreams,
		"ResourceUri": &s.ResourceURI, "Owner": &s.Owner, "ClientIP": &s.ClientIP, "ProcessId": &s.ProcessID,
		"Locale": &s.Locale, "DataLocale": &s.DataLocale, "CompressionMode": &s.CompressionMode,
		"ProfileLoaded": &s.ProfileLoaded, "Encoding": &s.Encoding, "BufferMode": &s.BufferMode, "State": &s.State,
		"MemoryUsed": &s.MemoryUsed,
	}
}

func (s *Shell) decodeEnvironment(d *wsman.Decoder) error {
	for n := range d.Children() {
		if n != name("Variable") {
			continue
		}
		key, ok := attribute(d, "Name")
		if !ok {
			return &ValueError{Name: "Name of rsp:Variable"}
		}
		value, err := d.Text()
		if err != nil {
			return err
		}
		s.Environment = append(s.Environment, Variable{Name: key, Value: string(value)})
	}
	return d.Err()
}

// Created is the body of the answer to Create: the shell's reference and,
// beside it, its description. See [MS-WSMV] section 3.1.4.5.2.
type Created struct {
	Address     string
	ResourceURI string
	ShellID     string // from the selector, which is what later requests name
	Shell       Shell
}

// Encode writes x:ResourceCreated and rsp:Shell.
func (c *Created) Encode(e *wsman.Encoder) {
	e.Start("x:ResourceCreated")
	e.Namespace("x", wsman.NSTransfer)
	e.Element("a:Address", c.Address)
	e.Start("a:ReferenceParameters")
	e.Element("w:ResourceURI", c.ResourceURI)
	e.Start("w:SelectorSet")
	e.Start("w:Selector")
	e.Attr("Name", SelectorShellID)
	e.Text(c.ShellID)
	e.End()
	e.End()
	e.End()
	e.End()
	c.Shell.EncodeItem(e)
}

// DecodeBody reads the children of the current element. Windows 7 answers
// without rsp:Shell, OMI without the selector, dylanmei/winrmtest with nothing
// but the id: any of them will do. A description
// that says nonsense, such as a time that is longer than any, does not undo the
// shell.
func (c *Created) DecodeBody(d *wsman.Decoder) error {
	for n := range d.Children() {
		var err error
		switch n {
		case wsman.Name{Space: wsman.NSTransfer, Local: "ResourceCreated"}:
			err = c.decodeReference(d)
		case name("Shell"):
			err = c.Shell.Decode(d)
			if _, odd := errors.AsType[*ValueError](err); odd {
				err = nil
			}
		case name("ShellId"):
			c.Shell.ID, err = d.Value()
		}
		if err != nil {
			return err
		}
	}
	if err := d.Err(); err != nil {
		return err
	}
	if c.ShellID == "" {
		c.ShellID = c.Shell.ID
	}
	if c.ShellID == "" {
		return &ValueError{Name: "selector " + SelectorShellID}
	}
	return nil
}

// decodeReference reads an endpoint reference, whatever it is wrapped in.
func (c *Created) decodeReference(d *wsman.Decoder) error {
	for n := range d.Children() {
		var err error
		switch n.Local {
		case "Address":
			c.Address, err = d.Value()
		case "ResourceURI":
			c.ResourceURI, err = d.Value()
		case "Selector":
			if key, _ := d.Attr("", "Name"); strings.EqualFold(key, SelectorShellID) {
				c.ShellID, err = d.Value()
			}
		case "ReferenceParameters", "ReferenceProperties", "SelectorSet", "EndpointReference":
			err = c.decodeReference(d)
		}
		if err != nil {
			return err
		}
	}
	return d.Err()
}

func duration(e *wsman.Encoder, local string, d time.Duration) {
	if d != 0 {
		e.Element("rsp:"+local, wsman.FormatDuration(d))
	}
}

// since writes a duration as Windows does in ShellRunTime.
func since(d time.Duration) string {
	s := int64(d / time.Second)
	return "P" + strconv.FormatInt(s/86400, 10) + "DT" + strconv.FormatInt(s/3600%24, 10) + "H" +
		strconv.FormatInt(s/60%60, 10) + "M" + strconv.FormatInt(s%60, 10) + "S"
}

func decodeDuration(d *wsman.Decoder, local string, dst *time.Duration) error {
	text, err := d.Value()
	if err != nil {
		return err
	}
	if *dst, err = wsman.ParseDuration(text); err != nil {
		return &ValueError{Name: "rsp:" + local, Value: text}
	}
	return nil
}
