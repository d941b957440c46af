package config

import (
	"context"
	"errors"
	"reflect"
	"strings"

	"github.com/winrmkit/winrmkit/wsman"
)

const (
	uriPlugin   = wsman.URIConfig + "/plugin"
	uriSecurity = wsman.URIConfig + "/service/security"
	// nsPlugin is the namespace of plug-in elements. See [MS-WSMV] section
	// 2.2.4.28.
	nsPlugin = wsman.NSConfig + "/PluginConfiguration"
)

// A Plugin is a program that serves resources, such as Microsoft.PowerShell. See
// [MS-WSMV] section 2.2.4.28.
type Plugin struct {
	Name                  string
	Filename              string
	SDKVersion            string
	XMLRenderingType      string
	Architecture          string
	UseSharedProcess      bool
	AutoRestart           bool
	ProcessIdleTimeoutSec string
	RunAsUser             string
	OutputBufferingMode   string
	Enabled               bool
	Attributes            map[string]string // those that have no field

	Parameters []Parameter
	Resources  []PluginResource
	Quotas     PluginQuotas
}

// A Parameter is one of a plug-in's initialization parameters.
type Parameter struct{ Name, Value string }

// A PluginResource is a resource that a plug-in serves.
type PluginResource struct {
	URI          string
	ExactMatch   bool
	Security     []Security
	Capabilities []string // such as Get or Shell
}

// A Security says who may use a resource. Without one the service's RootSDDL
// counts.
type Security struct {
	URI        string
	SDDL       string // see [ParseSDDL]
	ExactMatch bool
}

// PluginQuotas are the limits of a plug-in. See [MS-WSMV] section 2.2.4.23.
type PluginQuotas struct {
	MaxConcurrentUsers             Value[uint32]
	MaxConcurrentOperationsPerUser Value[uint32]
	MaxConcurrentOperations        Value[uint32]
	MaxMemoryPerShellMB            Value[uint32]
	MaxIdleTimeoutms               Value[uint32]
	IdleTimeoutms                  Value[uint32]
	MaxProcessesPerShell           Value[uint32]
	MaxConcurrentCommandsPerShell  Value[uint32]
	MaxShells                      Value[uint32]
	MaxShellsPerUser               Value[uint32]
}

// decode reads the current element, the plug-in's.
func (p *Plugin) decode(d *wsman.Decoder) error {
	*p = Plugin{}
	for name, value := range d.Attrs() {
		p.attribute(name.Local, value)
	}
	for name := range d.Children() {
		var err error
		switch name.Local {
		case "InitializationParameters":
			for range d.Children() {
				n, _ := d.Attr("", "Name")
				v, _ := d.Attr("", "Value")
				p.Parameters = append(p.Parameters, Parameter{n, v})
			}
		case "Resources":
			err = p.decodeResources(d)
		case "Quotas":
			err = p.decodeQuotas(d)
		}
		if err != nil {
			return err
		}
	}
	return d.Err()
}

func (p *Plugin) attribute(name, value string) {
	on, _ := parseBool(value)
	switch name {
	case "Name":
		p.Name = value
	case "Filename":
		p.Filename = value
	case "SDKVersion":
		p.SDKVersion = value
	case "XmlRenderingType":
		p.XMLRenderingType = value
	case "Architecture":
		p.Architecture = value
	case "UseSharedProcess":
		p.UseSharedProcess = on
	case "AutoRestart":
		p.AutoRestart = on
	case "ProcessIdleTimeoutSec":
		p.ProcessIdleTimeoutSec = value
	case "RunAsUser":
		p.RunAsUser = value
	case "OutputBufferingMode":
		p.OutputBufferingMode = value
	case "Enabled":
		p.Enabled = on
	default:
		if p.Attributes == nil {
			p.Attributes = make(map[string]string)
		}
		p.Attributes[name] = value
	}
}

func (p *Plugin) decodeResources(d *wsman.Decoder) error {
	for range d.Children() {
		var r PluginResource
		r.URI, _ = d.Attr("", "ResourceUri")
		exact, _ := d.Attr("", "ExactMatch")
		r.ExactMatch = strings.EqualFold(exact, "true")
		for child := range d.Children() {
			switch child.Local {
			case "Security":
				r.Security = append(r.Security, readSecurity(d))
			case "Capability":
				kind, _ := d.Attr("", "Type")
				r.Capabilities = append(r.Capabilities, kind)
			}
		}
		p.Resources = append(p.Resources, r)
	}
	return d.Err()
}

func readSecurity(d *wsman.Decoder) (s Security) {
	s.URI, _ = d.Attr("", "Uri")
	s.SDDL, _ = d.Attr("", "Sddl")
	exact, _ := d.Attr("", "ExactMatch")
	s.ExactMatch = strings.EqualFold(exact, "true")
	return s
}

func (p *Plugin) decodeQuotas(d *wsman.Decoder) error {
	dst := reflect.ValueOf(&p.Quotas).Elem()
	for name, value := range d.Attrs() {
		field := dst.FieldByName(name.Local)
		if !field.IsValid() {
			continue
		}
		if err := field.Addr().Interface().(setting).parse(value, Local); err != nil {
			return &ValueError{Item: `Plugin\` + p.Name + `\Quotas\` + name.Local, Text: value, Err: err}
		}
	}
	return nil
}

func pluginResource(name string) wsman.Resource {
	return wsman.Resource{URI: uriPlugin, Selectors: []wsman.Selector{{Name: "Name", Value: name}}}
}

// Plugins returns all plug-ins.
func Plugins(ctx context.Context, c *wsman.Client) ([]Plugin, error) {
	return enumerate(ctx, c, uriPlugin, (*Plugin).decode)
}

// GetPlugin reads one plug-in.
func GetPlugin(ctx context.Context, c *wsman.Client, name string) (*Plugin, error) {
	p := new(Plugin)
	if err := c.Get(ctx, pluginResource(name), p.decode); err != nil {
		return nil, err
	}
	return p, nil
}

// SetPluginQuotas changes limits of a plug-in. They count from the next start of
// the WinRM service.
//
// A plug-in can only be put back as a whole: its element is read, the attributes
// of its Quotas are changed, and everything else goes back as it came.
func SetPluginQuotas(ctx context.Context, c *wsman.Client, name string, want PluginQuotas) error {
	var element []byte
	var before Plugin
	err := c.Get(ctx, pluginResource(name), func(d *wsman.Decoder) error {
		raw, err := d.Raw()
		element = append(element, raw...)
		return err
	})
	if err != nil {
		return err
	}
	if err := readElement(element, before.decode); err != nil {
		return err
	}
	changes := dueOf(&before.Quotas, want)
	if len(changes) == 0 {
		return nil
	}
	item := `Plugin\` + name + `\Quotas`
	err = c.Put(ctx, pluginResource(name), func(e *wsman.Encoder) {
		_ = readElement(element, func(d *wsman.Decoder) error {
			copyPlugin(e, d, changes, true)
			return nil
		})
	}, nil)
	if err != nil {
		return entryPolicy(err, item, changes)
	}
	after, err := GetPlugin(ctx, c, name)
	if err != nil {
		return err
	}
	return applied(item, &after.Quotas, changes)
}

// readElement decodes an element that was read by Decoder.Raw. Its prefixes may
// be declared outside of it, so it is read in an envelope of declarations.
func readElement(element []byte, read func(*wsman.Decoder) error) error {
	doc := append([]byte(`<x xmlns:xsi="`+wsman.NSSchemaInstance+`" xmlns:plugin="`+nsPlugin+`" xmlns:cfg="`+wsman.NSConfig+`">`), element...)
	d := wsman.NewDecoder(append(doc, "</x>"...))
	if _, err := d.Root(); err != nil {
		return err
	}
	for range d.Children() {
		if err := read(d); err != nil {
			return err
		}
	}
	return d.Finish()
}

// copyPlugin writes the current element again, with the attributes of Quotas
// changed. It has elements and attributes only, no text.
func copyPlugin(e *wsman.Encoder, d *wsman.Decoder, changes []change, root bool) {
	copyElement(e, d, "PlugInConfiguration", changes, root)
}

func copyElement(e *wsman.Encoder, d *wsman.Decoder, local string, changes []change, root bool) {
	e.Start("plugin:" + local)
	if root {
		e.Namespace("plugin", nsPlugin)
	}
	left := changes
	if local != "Quotas" {
		left = nil
	}
	for name, value := range d.Attrs() {
		key := name.Local
		if name.Space == wsman.NSXML {
			key = "xml:" + name.Local
		}
		for i, ch := range left {
			if ch.rel == name.Local {
				value = ch.value
				left = append(append([]change(nil), left[:i]...), left[i+1:]...)
				break
			}
		}
		e.Attr(key, value)
	}
	for _, ch := range left {
		e.Attr(ch.rel, ch.value)
	}
	for child := range d.Children() {
		copyElement(e, d, child.Local, changes, false)
	}
	e.End()
}

// GetSecurity reads who may use a resource that a plug-in serves.
func GetSecurity(ctx context.Context, c *wsman.Client, uri string) (*Security, error) {
	var s Security
	err := c.Get(ctx, securityResource(uri), func(d *wsman.Decoder) error {
		s = readSecurity(d)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// SetSecurity says who may use a resource that a plug-in serves. What the host
// says afterwards is compared with it.
func SetSecurity(ctx context.Context, c *wsman.Client, s Security) error {
	if _, err := ParseSDDL(s.SDDL); err != nil {
		return err
	}
	r := securityResource(s.URI)
	err := c.Put(ctx, r, securityBody(s), nil)
	if errors.Is(err, wsman.ErrResourceNotFound) {
		_, err = c.Create(ctx, r, securityBody(s))
	}
	if err != nil {
		return entryPolicy(err, "Security of "+s.URI, []change{{"Sddl", s.SDDL}})
	}
	now, err := GetSecurity(ctx, c, s.URI)
	if err != nil {
		return err
	}
	if !sameSDDL(now.SDDL, s.SDDL) {
		return &NotAppliedError{Item: "Security of " + s.URI, Want: s.SDDL, Got: now.SDDL}
	}
	return nil
}

// DeleteSecurity removes a resource's own rule: the RootSDDL counts again.
func DeleteSecurity(ctx context.Context, c *wsman.Client, uri string) error {
	return entryPolicy(c.Delete(ctx, securityResource(uri)), "Security of "+uri, nil)
}

func securityResource(uri string) wsman.Resource {
	return wsman.Resource{URI: uriSecurity, Selectors: []wsman.Selector{{Name: "Uri", Value: uri}}}
}

func securityBody(s Security) func(*wsman.Encoder) {
	return func(e *wsman.Encoder) {
		e.Start("plugin:Security")
		e.Namespace("plugin", nsPlugin)
		e.Attr("Uri", s.URI)
		e.Attr("Sddl", s.SDDL)
		exact := "false"
		if s.ExactMatch {
			exact = "true"
		}
		e.Attr("ExactMatch", exact)
		e.End()
	}
}
