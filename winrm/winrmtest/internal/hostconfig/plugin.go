package hostconfig

import (
	"strings"

	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/soap"
	"github.com/winrmkit/winrmkit/wsman"
)

// NSPlugin is the namespace of plug-in elements ([MS-WSMV] section 2.2.4.28).
const NSPlugin = wsman.NSConfig + "/PluginConfiguration"

// A plugin is one registered plug-in. Its quotas and the rules for its resource
// can be changed.
type plugin struct {
	name, file, resource string
	sdk, shared          string
	capabilities         []string

	quotas   map[string]string // changed ones
	security []security
}

// security is a rule for who may use a resource.
type security struct{ uri, sddl, exact string }

var defaultPlugins = []plugin{
	{
		name: "Event Forwarding Plugin", file: `C:\Windows\system32\wevtfwd.dll`, resource: wsman.URIEventLog, sdk: "1", shared: "true",
		capabilities: []string{"Subscribe"},
	},
	{
		name: "Microsoft.PowerShell", file: `%windir%\system32\pwrshplugin.dll`, resource: wsman.NSPowerShell + "/Microsoft.PowerShell",
		sdk: "2", shared: "true", capabilities: []string{"Shell"},
	},
	{
		name: "WMI Provider", file: `C:\Windows\system32\WsmWmiPl.dll`, resource: "http://schemas.microsoft.com/wbem/wsman/1/wmi",
		sdk: "1", shared: "true", capabilities: []string{"Get", "Put", "Create", "Delete", "Invoke", "Enumerate"},
	},
}

// Plugins names the plug-ins.
func (t *Tree) Plugins() []string {
	var names []string
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.plugins {
		names = append(names, p.name)
	}
	return names
}

// EncodePlugin writes one plug-in. Its root element has a capital I in
// "PlugIn", unlike its schema, and so it is on Windows.
func (t *Tree) EncodePlugin(e *wsman.Encoder, name string) *soap.Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, f := t.plugin(name)
	if f == nil {
		p.encode(e)
	}
	return f
}

// plugin finds a plug-in; t.mu is held.
func (t *Tree) plugin(name string) (*plugin, *soap.Fault) {
	for i := range t.plugins {
		if strings.EqualFold(t.plugins[i].name, name) {
			return &t.plugins[i], nil
		}
	}
	return nil, soap.New(soap.ResourceNotFound, "")
}

// PutPlugin takes a plug-in's whole element. Only the attributes of its Quotas
// may differ from what it was.
func (t *Tree) PutPlugin(name string, body func(func(*wsman.Decoder)) error) *soap.Fault {
	var fault *soap.Fault
	quotas, resources := map[string]string{}, 0
	err := body(func(d *wsman.Decoder) {
		for root := range d.Children() {
			if root.Space != NSPlugin || root.Local != "PlugInConfiguration" {
				fault = soap.New(soap.InvalidXMLNamespace, "")
			}
			if n, _ := d.Attr("", "Name"); !strings.EqualFold(n, name) {
				fault = soap.New(soap.SchemaValidation, "The name cannot change.")
			}
			for child := range d.Children() {
				switch child.Local {
				case "Resources":
					resources++
				case "Quotas":
					for a, v := range d.Attrs() {
						quotas[a.Local] = v
					}
				}
			}
		}
	})
	switch {
	case err != nil:
		return soap.Malformed(err)
	case fault != nil:
		return fault
	case resources != 1:
		return soap.New(soap.SchemaValidation, "Resources is missing.")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p, f := t.plugin(name)
	if f == nil {
		p.quotas = quotas
	}
	return f
}

// secured finds the plug-in that serves a resource and the rule for it, -1 for
// none; t.mu is held.
func (t *Tree) secured(uri string) (p *plugin, rule int, f *soap.Fault) {
	for i := range t.plugins {
		p := &t.plugins[i]
		if !strings.EqualFold(p.resource, uri) {
			continue
		}
		for j := range p.security {
			if strings.EqualFold(p.security[j].uri, uri) {
				return p, j, nil
			}
		}
		return p, -1, nil
	}
	return nil, -1, soap.New(soap.InvalidResourceURI, "No plug-in serves the resource.")
}

// EncodeSecurity writes the rule for a resource.
func (t *Tree) EncodeSecurity(e *wsman.Encoder, uri string) *soap.Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, i, f := t.secured(uri)
	if f == nil && i < 0 {
		f = soap.New(soap.ResourceNotFound, "")
	}
	if f == nil {
		p.security[i].encode(e, true)
	}
	return f
}

func (s security) encode(e *wsman.Encoder, root bool) {
	e.Start("plugin:Security")
	if root {
		e.Namespace("plugin", NSPlugin)
	}
	e.Attr("Uri", s.uri)
	e.Attr("Sddl", s.sddl)
	e.Attr("ExactMatch", s.exact)
	e.End()
}

// PutSecurity changes the rule for a resource, or makes it.
func (t *Tree) PutSecurity(uri string, create bool, body func(func(*wsman.Decoder)) error) *soap.Fault {
	rule := security{exact: "false"}
	err := body(func(d *wsman.Decoder) {
		for range d.Children() {
			rule.uri, _ = d.Attr("", "Uri")
			rule.sddl, _ = d.Attr("", "Sddl")
			if v, ok := d.Attr("", "ExactMatch"); ok {
				rule.exact = v
			}
		}
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	p, i, f := t.secured(uri)
	switch {
	case err != nil:
		return soap.Malformed(err)
	case f != nil:
		return f
	case !strings.EqualFold(rule.uri, uri) || rule.sddl == "":
		return soap.New(soap.SchemaValidation, "")
	case create && i >= 0:
		return soap.New(soap.AlreadyExists, "")
	case create:
		p.security = append(p.security, rule)
	case i < 0:
		return soap.New(soap.ResourceNotFound, "")
	default:
		p.security[i] = rule
	}
	return nil
}

// DeleteSecurity removes the rule for a resource.
func (t *Tree) DeleteSecurity(uri string) *soap.Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, i, f := t.secured(uri)
	if f == nil && i < 0 {
		f = soap.New(soap.ResourceNotFound, "")
	}
	if f == nil {
		p.security = append(p.security[:i:i], p.security[i+1:]...)
	}
	return f
}

func (p *plugin) encode(e *wsman.Encoder) {
	e.Start("plugin:PlugInConfiguration")
	e.Namespace("plugin", NSPlugin)
	for _, a := range [][2]string{
		{"Name", p.name},
		{"Filename", p.file},
		{"SDKVersion", p.sdk},
		{"XmlRenderingType", "text"},
		{"Architecture", "64"},
		{"UseSharedProcess", p.shared},
		{"AutoRestart", "false"},
		{"ProcessIdleTimeoutSec", "0"},
		{"OutputBufferingMode", "Block"},
		{"Enabled", "true"},
		{"xml:lang", "en-US"},
	} {
		e.Attr(a[0], a[1])
	}
	e.Start("plugin:Resources")
	e.Start("plugin:Resource")
	e.Attr("ResourceUri", p.resource)
	e.Attr("SupportsOptions", "true")
	e.Attr("ExactMatch", "false")
	for _, rule := range p.security {
		rule.encode(e, false)
	}
	for _, c := range p.capabilities {
		e.Start("plugin:Capability")
		e.Attr("Type", c)
		e.End()
	}
	e.End()
	e.End()
	e.Start("plugin:Quotas")
	for _, a := range [][2]string{
		{"IdleTimeoutms", "7200000"},
		{"MaxConcurrentUsers", "2147483647"},
		{"MaxProcessesPerShell", "2147483647"},
		{"MaxMemoryPerShellMB", "2147483647"},
		{"MaxShellsPerUser", "2147483647"},
		{"MaxConcurrentCommandsPerShell", "2147483647"},
		{"MaxShells", "2147483647"},
		{"MaxIdleTimeoutms", "2147483647"},
	} {
		if v, ok := p.quotas[a[0]]; ok {
			a[1] = v
		}
		e.Attr(a[0], a[1])
	}
	e.End()
	e.End()
}
