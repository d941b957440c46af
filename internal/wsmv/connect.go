package wsmv

import (
	"time"

	"github.com/winrmkit/winrmkit/wsman"
)

// Disconnect is the body of Disconnect. See [MS-WSMV] section 2.2.4.19. The
// answer has an empty body.
type Disconnect struct {
	BufferMode  string // "Block" or "Drop", "" leaves it to the server
	IdleTimeout time.Duration
}

// Encode writes the body.
func (m *Disconnect) Encode(e *wsman.Encoder) {
	start(e, "rsp:Disconnect")
	element(e, "BufferMode", m.BufferMode)
	duration(e, "IdleTimeOut", m.IdleTimeout)
	e.End()
}

// Decode reads the rsp:Disconnect just entered.
func (m *Disconnect) Decode(d *wsman.Decoder) error {
	for n := range d.Children() {
		switch n {
		case name("BufferMode"):
			m.BufferMode, _ = d.Value()
		case name("IdleTimeOut"):
			if err := decodeDuration(d, "IdleTimeOut", &m.IdleTimeout); err != nil {
				return err
			}
		}
	}
	return d.Err()
}

// Connect is the body of Connect. See [MS-WSMV] section 2.2.4.11. Open content,
// such as the connectXml of PowerShell, is left to the caller. Reconnect has an
// empty body.
type Connect struct {
	CommandID string
	Extra     func(*wsman.Encoder)
}

// Encode writes the body.
func (m *Connect) Encode(e *wsman.Encoder) {
	start(e, "rsp:Connect")
	attr(e, "CommandId", m.CommandID)
	if m.Extra != nil {
		m.Extra(e)
	}
	e.End()
}

// Decode reads the rsp:Connect just entered, without its open content.
func (m *Connect) Decode(d *wsman.Decoder) error {
	m.CommandID, _ = attribute(d, "CommandId")
	return d.Skip()
}

// ConnectResponse is the answer to Connect. See [MS-WSMV] section 2.2.4.12.
type ConnectResponse struct{ InputStreams, OutputStreams string }

// Encode writes the body.
func (m *ConnectResponse) Encode(e *wsman.Encoder) {
	start(e, "rsp:ConnectResponse")
	element(e, "InputStreams", m.InputStreams)
	element(e, "OutputStreams", m.OutputStreams)
	e.End()
}

// Decode reads the rsp:ConnectResponse just entered.
func (m *ConnectResponse) Decode(d *wsman.Decoder) error {
	for n := range d.Children() {
		switch n {
		case name("InputStreams"):
			m.InputStreams, _ = d.Value()
		case name("OutputStreams"):
			m.OutputStreams, _ = d.Value()
		}
	}
	return d.Err()
}
