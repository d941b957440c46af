package hostconfig

import (
	"strings"

	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/soap"
	"github.com/winrmkit/winrmkit/wsman"
)

// NSPlugin is the namespace of plug-in elements ([MS-WSMV] section 2.2.4.28).
const NSPlugin = wsman.NSConfig + "/PluginConfiguration"

// A plugin is one registered plug-in. They can be read, not changed.
type plugin struct {
	name, file, resource string
	sdk, shared          string
	capabilities         []string
}

var defaultPlugins = []plugin{
	{"Event Forwarding Plugin", `C:\Windows\system32\wevtfwd.dll`, wsman.URIEventLog, "1", "true", []string{"Subscribe"}},
	{"Microsoft.PowerShell", `%windir%\system32\pwrshplugin.dll`, wsman.NSPowerShell + "/Microsoft.PowerShell", "2", "true", []string{"Shell"}},
	{
		"WMI Provider", `C:\Windows\system32\WsmWmiPl.dll`, "http://schemas.microsoft.com/wbem/wsman/1/wmi", "1", "true",
		[]string{"Get", "Put", "Create", "Delete", "Invoke", "Enumerate"},
	},
}

// Plugins names the plug-ins.
func (t *Tree) Plugins() []string {
	var names []string
	for _, p := range t.plugins {
		names = append(names, p.name)
	}
	return names
}

// EncodePlugin writes one plug-in. Its root element has a capital I in
// "PlugIn", unlike its schema, and so it is on Windows.
func (t *Tree) EncodePlugin(e *wsman.Encoder, name string) *soap.Fault {
	for _, p := range t.plugins {
		if strings.EqualFold(p.name, name) {
			p.encode(e)
			return nil
		}
	}
	return soap.New(soap.ResourceNotFound, "")
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
		e.Attr(a[0], a[1])
	}
	e.End()
	e.End()
}
