package wsman

import (
	"context"
	"strings"
)

// Identity is what a service says about itself.
type Identity struct {
	ProtocolVersion string
	ProductVendor   string
	// ProductVersion of WinRM is like "OS: 10.0.17763 SP: 0.0 Stack: 3.0". To
	// those who are not logged on the system is 0.0.0.
	ProductVersion string
	// SecurityProfiles are URIs of the ways to log on, told to callers that
	// are logged on.
	SecurityProfiles []string
}

// OS returns the version of Windows, "" if it is not told.
func (i *Identity) OS() string {
	v := i.versionField("OS:")
	if v == "0.0.0" {
		return ""
	}
	return v
}

// Stack returns the version of the WinRM stack: 2.0 came with Windows 7, 3.0
// with Windows 8.
func (i *Identity) Stack() string { return i.versionField("Stack:") }

func (i *Identity) versionField(key string) string {
	fields := strings.Fields(i.ProductVersion)
	for n, f := range fields[:max(0, len(fields)-1)] {
		if f == key {
			return fields[n+1]
		}
	}
	return ""
}

// Identify asks the service what it is. See DSP0226 section 11.
func (c *Client) Identify(ctx context.Context) (*Identity, error) {
	return c.identify(ctx, false)
}

// IdentifyAnonymous is [Client.Identify] for a client whose HTTP client does
// not log on: WinRM answers it without credentials.
func (c *Client) IdentifyAnonymous(ctx context.Context) (*Identity, error) {
	return c.identify(ctx, true)
}

func (c *Client) identify(ctx context.Context, anonymous bool) (*Identity, error) {
	e := NewEncoder(getBuffer())
	WriteIdentify(e)
	x := exchange{client: c, anonymous: anonymous, wait: c.cfg.OperationTimeout + c.cfg.ReceiveMargin}
	resp, err := x.run(ctx, e.Bytes())
	if err != nil {
		return nil, err
	}
	defer resp.Close()
	id := new(Identity)
	found := false
	err = resp.Body(func(d *Decoder) error {
		for n := range d.Children() {
			// By local name: two spellings of the namespace are in use.
			if n.Local != "IdentifyResponse" {
				continue
			}
			found = true
			for n := range d.Children() {
				id.set(d, n.Local)
			}
		}
		return nil
	})
	if err == nil && !found {
		err = &ResponseError{Err: &EnvelopeError{Msg: "it is no answer to Identify"}}
	}
	if err != nil {
		return nil, err
	}
	return id, nil
}

func (i *Identity) set(d *Decoder, property string) {
	switch property {
	case "ProtocolVersion":
		i.ProtocolVersion, _ = d.Value()
	case "ProductVendor":
		i.ProductVendor, _ = d.Value()
	case "ProductVersion":
		i.ProductVersion, _ = d.Value()
	case "SecurityProfiles":
		for n := range d.Children() {
			if n.Local == "SecurityProfileName" {
				v, _ := d.Value()
				i.SecurityProfiles = append(i.SecurityProfiles, v)
			}
		}
	}
}

// WriteIdentify appends the message that asks for an [Identity]. It is the one
// message without an action and without addresses.
func WriteIdentify(e *Encoder) {
	e.Start("s:Envelope")
	e.Namespace("s", NSEnvelope)
	e.Namespace("wsmid", NSIdentify)
	e.Empty("s:Header")
	e.Start("s:Body")
	e.Empty("wsmid:Identify")
	e.End()
	e.End()
}
