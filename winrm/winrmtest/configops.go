package winrmtest

import (
	"strings"

	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/hostconfig"
	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/soap"
	"github.com/winrmkit/winrmkit/wsman"
)

const itemAllowUnencrypted = "Service/AllowUnencrypted"

// settings is the configuration tree with a shorter name for what is asked often.
type settings struct{ *hostconfig.Tree }

func (s settings) isTrue(path string) bool { return s.True(path) }

func configSuffix(uri string) string {
	return strings.TrimPrefix(strings.TrimPrefix(uri, wsman.NSConfig), "/")
}

// configOps are the operations of one configuration resource.
func (s *Server) configOps(suffix string) map[string]operation {
	switch {
	case hostconfig.IsSection(suffix):
		return map[string]operation{
			wsman.ActionGet: func(c *call) *soap.Fault { return s.getSection(c, suffix) },
			wsman.ActionPut: func(c *call) *soap.Fault {
				if f := s.config.Put(suffix, c.req.Body); f != nil {
					return f
				}
				s.config.Encode(c.out, suffix)
				return nil
			},
		}
	case hostconfig.Class(suffix):
		return s.entryOps(suffix)
	case suffix == "plugin":
		return map[string]operation{wsman.ActionGet: s.getPlugin, wsman.ActionPut: s.putPlugin, wsman.ActionEnumerate: s.enumerate}
	case suffix == "service/security":
		return s.securityOps()
	case suffix == "winrs/customremoteshell":
		refuse := func(*call) *soap.Fault { return soap.New(soap.CustomShellDeprecated, "") }
		return map[string]operation{wsman.ActionGet: refuse, wsman.ActionEnumerate: refuse, wsman.ActionCreate: refuse}
	}
	return nil
}

func (s *Server) getSection(c *call, suffix string) *soap.Fault {
	if f := c.noBody(); f != nil {
		return f
	}
	if len(c.req.Selectors) > 0 {
		return soap.New(soap.UnexpectedSelectors, "The resource has no selectors.")
	}
	s.config.Encode(c.out, suffix)
	return nil
}

func (s *Server) entryOps(suffix string) map[string]operation {
	return map[string]operation{
		wsman.ActionGet: func(c *call) *soap.Fault {
			if f := c.noBody(); f != nil {
				return f
			}
			return s.config.EncodeEntry(c.out, suffix, c.req.Selectors)
		},
		wsman.ActionPut: func(c *call) *soap.Fault {
			if f := s.config.PutEntry(suffix, c.req.Selectors, c.req.Body); f != nil {
				return f
			}
			return s.config.EncodeEntry(c.out, suffix, c.req.Selectors)
		},
		wsman.ActionCreate: func(c *call) *soap.Fault {
			if f := s.config.CreateEntry(suffix, c.req.Selectors, c.req.Body); f != nil {
				return f
			}
			c.out.Start("x:ResourceCreated")
			soap.Reference(c.out, s.URL, c.req.ResourceURI, c.req.Selectors)
			c.out.End()
			return nil
		},
		wsman.ActionDelete: func(c *call) *soap.Fault {
			if f := c.noBody(); f != nil {
				return f
			}
			return s.config.DeleteEntry(suffix, c.req.Selectors)
		},
		wsman.ActionEnumerate: s.enumerate,
	}
}

func (s *Server) getPlugin(c *call) *soap.Fault {
	if f := c.noBody(); f != nil {
		return f
	}
	name, ok := c.req.Selector("Name")
	if !ok {
		return soap.New(soap.InsufficientSelectors, "")
	}
	return s.config.EncodePlugin(c.out, name)
}

func (s *Server) putPlugin(c *call) *soap.Fault {
	name, ok := c.req.Selector("Name")
	if !ok {
		return soap.New(soap.InsufficientSelectors, "")
	}
	if f := s.config.PutPlugin(name, c.req.Body); f != nil {
		return f
	}
	return s.config.EncodePlugin(c.out, name)
}

// securityOps are the operations on rules for who may use a plug-in's resource.
func (s *Server) securityOps() map[string]operation {
	with := func(do func(c *call, uri string) *soap.Fault) operation {
		return func(c *call) *soap.Fault {
			uri, ok := c.req.Selector("Uri")
			if !ok {
				return soap.New(soap.InsufficientSelectors, "")
			}
			return do(c, uri)
		}
	}
	return map[string]operation{
		wsman.ActionGet: with(func(c *call, uri string) *soap.Fault { return s.config.EncodeSecurity(c.out, uri) }),
		wsman.ActionPut: with(func(c *call, uri string) *soap.Fault {
			if f := s.config.PutSecurity(uri, false, c.req.Body); f != nil {
				return f
			}
			return s.config.EncodeSecurity(c.out, uri)
		}),
		wsman.ActionCreate: with(func(c *call, uri string) *soap.Fault {
			if f := s.config.PutSecurity(uri, true, c.req.Body); f != nil {
				return f
			}
			c.out.Start("x:ResourceCreated")
			soap.Reference(c.out, s.URL, c.req.ResourceURI, c.req.Selectors)
			c.out.End()
			return nil
		}),
		wsman.ActionDelete: with(func(_ *call, uri string) *soap.Fault { return s.config.DeleteSecurity(uri) }),
	}
}

// listConfig are the entries of a configuration resource, for Enumerate.
func (s *Server) listConfig(c *call, suffix string) ([]row, *soap.Fault) {
	var rows []row
	if suffix == "plugin" {
		for _, name := range s.config.Plugins() {
			rows = append(rows, row{
				encode: func(e *wsman.Encoder) { s.config.EncodePlugin(e, name) }, uri: c.req.ResourceURI,
				selectors: []soap.Pair{{Name: "Name", Value: name}},
			})
		}
		return rows, nil
	}
	for _, selectors := range s.config.Selectors(suffix) {
		rows = append(rows, row{
			encode: func(e *wsman.Encoder) { s.config.EncodeEntry(e, suffix, selectors) }, uri: c.req.ResourceURI,
			selectors: selectors,
		})
	}
	return rows, nil
}
