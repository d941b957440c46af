package wsmv

import (
	"strconv"

	"github.com/winrmkit/winrmkit/wsman"
)

// Stream is one rsp:Stream of Send or ReceiveResponse. See [MS-WSMV] section
// 2.2.4.39.
type Stream struct {
	Name      string
	CommandID string
	End       bool // the stream ends with this piece
	Data      []byte
}

// Encode writes the rsp:Stream.
func (s *Stream) Encode(e *wsman.Encoder) {
	e.Start("rsp:Stream")
	e.Attr("Name", s.Name)
	attr(e, "CommandId", s.CommandID)
	if s.End {
		e.Attr("End", "true")
	}
	e.Base64(s.Data)
	e.End()
}

// Decode reads the rsp:Stream just entered. Data points into the message.
func (s *Stream) Decode(d *wsman.Decoder) error {
	s.Name, _ = attribute(d, "Name")
	s.CommandID, _ = attribute(d, "CommandId")
	end, _ := attribute(d, "End")
	var err error
	if s.End, err = parseBool("End", end); err != nil {
		return err
	}
	s.Data, err = d.Base64()
	return err
}

// Send is the body of Send. See [MS-WSMV] section 2.2.4.36.
type Send struct{ Streams []Stream }

// Encode writes the body.
func (s *Send) Encode(e *wsman.Encoder) {
	start(e, "rsp:Send")
	for i := range s.Streams {
		s.Streams[i].Encode(e)
	}
	e.End()
}

// Decode reads the rsp:Send just entered.
func (s *Send) Decode(d *wsman.Decoder) error {
	for n := range d.Children() {
		if n != name("Stream") {
			continue
		}
		var st Stream
		if err := st.Decode(d); err != nil {
			return err
		}
		s.Streams = append(s.Streams, st)
	}
	return d.Err()
}

// Receive is the body of Receive. See [MS-WSMV] section 2.2.4.33.
type Receive struct {
	CommandID string // "" addresses the shell itself
	Streams   string // names separated by blanks
}

// Encode writes the body.
func (r *Receive) Encode(e *wsman.Encoder) {
	start(e, "rsp:Receive")
	e.Start("rsp:DesiredStream")
	attr(e, "CommandId", r.CommandID)
	e.Text(r.Streams)
	e.End()
	e.End()
}

// Decode reads the rsp:Receive just entered.
func (r *Receive) Decode(d *wsman.Decoder) error {
	for n := range d.Children() {
		if n == name("DesiredStream") {
			r.CommandID, _ = attribute(d, "CommandId")
			r.Streams, _ = d.Value()
		}
	}
	return d.Err()
}

// ReceiveResponse is the answer to Receive. See [MS-WSMV] section 2.2.4.34.
// A value may be used again for the next answer after [ReceiveResponse.Reset].
type ReceiveResponse struct {
	Streams []Stream
	States  []CommandState // none means Running
}

// CommandState is rsp:CommandState. See [MS-WSMV] section 2.2.4.10.
type CommandState struct {
	CommandID   string
	State       string
	ExitCode    uint32
	HasExitCode bool
	// BadExitCode is a [*ValueError] when what stands there is no exit code. The
	// output that came with it is none the worse for it.
	BadExitCode error
}

// Done reports whether the command has ended. Pending on Windows only means
// that it is about to (note 123).
func (s *CommandState) Done() bool { return s.State == StateDone }

// Reset empties r and keeps its memory.
func (r *ReceiveResponse) Reset() {
	clear(r.Streams)
	r.Streams, r.States = r.Streams[:0], r.States[:0]
}

// Encode writes the body.
func (r *ReceiveResponse) Encode(e *wsman.Encoder) {
	start(e, "rsp:ReceiveResponse")
	for i := range r.Streams {
		r.Streams[i].Encode(e)
	}
	for i := range r.States {
		s := &r.States[i]
		e.Start("rsp:CommandState")
		attr(e, "CommandId", s.CommandID)
		e.Attr("State", s.State)
		if s.HasExitCode {
			e.Element("rsp:ExitCode", strconv.FormatUint(uint64(s.ExitCode), 10))
		}
		e.End()
	}
	e.End()
}

// Decode reads the rsp:ReceiveResponse just entered. The data of the streams
// points into the message.
func (r *ReceiveResponse) Decode(d *wsman.Decoder) error {
	for n := range d.Children() {
		switch n {
		case name("Stream"):
			var s Stream
			if err := s.Decode(d); err != nil {
				return err
			}
			r.Streams = append(r.Streams, s)
		case name("CommandState"):
			s, err := decodeState(d)
			if err != nil {
				return err
			}
			r.States = append(r.States, s)
		}
	}
	return d.Err()
}

func decodeState(d *wsman.Decoder) (CommandState, error) {
	var s CommandState
	s.CommandID, _ = attribute(d, "CommandId")
	s.State, _ = attribute(d, "State")
	for n := range d.Children() {
		if n != name("ExitCode") {
			continue
		}
		text, err := d.Value()
		if err != nil {
			return s, err
		}
		s.ExitCode, s.BadExitCode = parseExitCode(text)
		s.HasExitCode = s.BadExitCode == nil
	}
	return s, d.Err()
}
