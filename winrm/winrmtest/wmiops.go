package winrmtest

import (
	"bytes"
	"context"
	"strconv"
	"strings"

	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/soap"
	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/wmi"
	"github.com/winrmkit/winrmkit/wsman"
)

// xpathDialect is the only fragment dialect that WinRM takes.
const xpathDialect = "http://www.w3.org/TR/1999/REC-xpath-19991116"

// classOf splits a resource URI of WMI into its base and the class. ok is false
// for a namespace that does not exist.
func classOf(uri string) (base, class string, ok bool) {
	at := strings.LastIndexByte(uri, '/') + 1
	base, class = uri[:at], uri[at:]
	switch strings.ToLower(base) {
	case strings.ToLower(wsman.URICIMv2), strings.ToLower(wsman.URICIM):
		return base, class, true
	}
	return "", "", false
}

// hasFragments reports whether a request may name a part of its resource.
func (s *Server) hasFragments(req *soap.Request) bool {
	return req.Action == wsman.ActionGet && s.wmiOps(req) != nil
}

// wmiOps are the operations of a class.
func (s *Server) wmiOps(req *soap.Request) map[string]operation {
	_, class, ok := classOf(req.ResourceURI)
	if !ok {
		return nil
	}
	ops := map[string]operation{wsman.ActionGet: s.getWMI, wsman.ActionEnumerate: s.enumerate}
	if method, ok := cutPrefixFold(req.Action, req.ResourceURI+"/"); ok {
		ops[req.Action] = func(c *call) *soap.Fault { return s.invoke(c, class, method) }
	}
	return ops
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// instances are all objects of a class.
func (s *Server) instances(class string) ([]*wmi.Instance, *soap.Fault) {
	list, ok := s.objects.list(class)
	if !ok {
		return nil, wmiFault(soap.Newf(soap.WMIInvalidClass, "The class %q does not exist.", class))
	}
	return list, nil
}

// wmiFault gives a fault the form of WMI's own.
func wmiFault(f *soap.Fault) *soap.Fault {
	f.WMI = true
	return f
}

// getWMI is Get of one object, or of some of its properties.
func (s *Server) getWMI(c *call) *soap.Fault {
	if f := c.noBody(); f != nil {
		return f
	}
	in, f := s.instance(c)
	if f != nil {
		return f
	}
	if c.req.Fragment == "" {
		in.Encode(c.out, c.req.ResourceURI)
		return nil
	}
	if d := c.req.FragmentDialect; d != "" && d != xpathDialect {
		return soap.New(soap.InvalidFragmentDialect, "")
	}
	name := strings.TrimSuffix(c.req.Fragment, "/text()")
	value, ok := in.Get(name)
	if !ok {
		return soap.Newf(soap.InvalidFragmentPath, "The fragment %q names nothing.", c.req.Fragment)
	}
	if name == c.req.Fragment {
		in.EncodeFragment(c.out, c.req.ResourceURI, []string{name})
	} else {
		c.out.Element("w:XmlFragment", wmi.Text(value))
	}
	return nil
}

// instance finds the object that selectors name.
func (s *Server) instance(c *call) (*wmi.Instance, *soap.Fault) {
	_, class, _ := classOf(c.req.ResourceURI)
	list, f := s.instances(class)
	if f != nil {
		return nil, f
	}
	selectors := make(map[string]string)
	for _, p := range c.req.Selectors {
		if strings.EqualFold(p.Name, "__cimnamespace") {
			continue
		}
		if len(list) > 0 {
			if _, ok := list[0].Get(p.Name); !ok {
				return nil, soap.Newf(soap.InvalidSelectors, "The selector %q is not known.", p.Name)
			}
		}
		selectors[p.Name] = p.Value
	}
	if len(selectors) == 0 && len(list) > 0 && len(list[0].Keys) > 0 {
		return nil, soap.New(soap.InsufficientSelectors, "")
	}
	in, ok := wmi.Find(list, selectors)
	if !ok {
		return nil, wmiFault(soap.New(soap.WMINotFound, ""))
	}
	return in, nil
}

// listWMI are the objects that an Enumerate names: of a class, of a WQL query,
// or those that selectors fit.
func (s *Server) listWMI(c *call, body *enumerateBody) ([]row, *soap.Fault) {
	base, class, _ := classOf(c.req.ResourceURI)
	query := &wmi.Query{}
	var selectors map[string]string
	if f := body.filter; f != nil {
		switch f.dialect {
		case dialectWQL:
			q, err := wmi.Parse(f.text)
			if err != nil {
				return nil, soap.New(soap.CannotProcessFilter, err.Error())
			}
			if class != "*" {
				return nil, soap.New(soap.CannotProcessFilter, `A WQL filter needs the class "*" in the resource URI.`)
			}
			query, class = q, q.Class
		case dialectSelector:
			selectors = make(map[string]string)
			for _, p := range f.selectors {
				selectors[p.Name] = p.Value
			}
		default:
			return nil, soap.New(soap.FilterDialectUnavailable, "")
		}
	}
	if class == "*" {
		return nil, soap.New(soap.CannotProcessFilter, `The class "*" needs a WQL filter.`)
	}
	list, f := s.instances(class)
	if f != nil {
		if body.filter != nil {
			return nil, soap.New(soap.CannotProcessFilter, f.Text) // an invalid class is one of its causes
		}
		return nil, f
	}
	var rows []row
	for _, in := range list {
		if !query.Matches(in) {
			continue
		}
		if _, ok := wmi.Find([]*wmi.Instance{in}, selectors); !ok {
			continue
		}
		rows = append(rows, wmiRow(in, base+in.Class, query.Fields))
	}
	return rows, nil
}

func wmiRow(in *wmi.Instance, uri string, fields []string) row {
	r := row{uri: uri, encode: func(e *wsman.Encoder) { in.Encode(e, uri) }}
	if fields != nil {
		r.encode = func(e *wsman.Encoder) { in.EncodeFragment(e, uri, fields) }
	}
	for _, k := range in.Keys {
		v, _ := in.Get(k)
		r.selectors = append(r.selectors, soap.Pair{Name: k, Value: wmi.Text(v)})
	}
	return r
}

// invoke calls a method. Arguments are the text children of Method_INPUT.
func (s *Server) invoke(c *call, class, method string) *soap.Fault {
	args := make(map[string]string)
	err := c.req.Body(func(d *wsman.Decoder) {
		for name := range d.Children() {
			if name.Local != method+"_INPUT" {
				continue
			}
			for arg := range d.Children() {
				raw, _ := d.Raw()
				args[strings.ToLower(arg.Local)] = textOf(raw)
			}
		}
	})
	if err != nil {
		return soap.Malformed(err)
	}
	out, f := s.callMethod(c, class, method, args)
	if f != nil {
		return f
	}
	c.out.Start("p:" + method + "_OUTPUT")
	c.out.Namespace("p", c.req.ResourceURI)
	for _, p := range out {
		c.out.Element("p:"+p.Name, p.Value)
	}
	c.out.End()
	return nil
}

// textOf is the text of an element without child elements, "" of another one.
func textOf(raw []byte) string {
	_, rest, _ := bytes.Cut(raw, []byte(">"))
	at := bytes.LastIndex(rest, []byte("</"))
	if at < 0 || bytes.IndexByte(rest[:at], '<') >= 0 {
		return ""
	}
	d := wsman.NewDecoder([]byte("<a>" + string(rest[:at]) + "</a>"))
	if _, err := d.Root(); err != nil {
		return ""
	}
	text, _ := d.Text()
	return string(text)
}

// callMethod runs a method of the classes that have some.
func (s *Server) callMethod(c *call, class, method string, args map[string]string) ([]soap.Pair, *soap.Fault) {
	result := func(code int) []soap.Pair { return []soap.Pair{{Name: "ReturnValue", Value: strconv.Itoa(code)}} }
	switch strings.ToLower(class + "." + method) {
	case "win32_process.create":
		if args["commandline"] == "" {
			return result(21), nil // invalid parameter
		}
		pid := s.startProcess(c.user, args["commandline"], args["currentdirectory"])
		return append([]soap.Pair{{Name: "ProcessId", Value: strconv.Itoa(pid)}}, result(0)...), nil
	case "win32_process.terminate":
		in, f := s.instance(c)
		if f != nil {
			return nil, f
		}
		handle, _ := in.Get("ProcessId")
		s.objects.endProcess(handle)
		return result(0), nil
	case "win32_service.startservice", "win32_service.stopservice":
		in, f := s.instance(c)
		if f != nil {
			return nil, f
		}
		name, _ := in.Get("Name")
		return result(s.objects.switchService(wmi.Text(name), strings.EqualFold(method, "StartService"))), nil
	case "win32_operatingsystem.reboot":
		s.objects.reboot()
		return result(0), nil
	}
	if _, f := s.instances(class); f != nil {
		return nil, f
	}
	return nil, soap.Newf(soap.ActionNotSupported, "The class %s has no method %s here.", class, method)
}

// startProcess runs a command line without a shell around it, as
// Win32_Process.Create does: nobody sees its output.
func (s *Server) startProcess(user, line, dir string) int {
	ctx, cancel := context.WithCancelCause(s.ctx)
	in := newInbox(1)
	in.put(nil, true)
	p := &Proc{
		Path: line, Line: line, Env: s.environment(user), Dir: dir, Codepage: defaultCodepage,
		Stdin: in, Stdout: discard{}, Stderr: discard{}, User: user,
		server: s, ctx: ctx, signals: make(chan Signal, 1),
	}
	pid := s.objects.addProcess(line, func() { cancel(errTerminated) })
	s.wait.Go(func() {
		defer s.objects.removeProcess(pid)
		defer cancel(nil)
		s.handler().ServeCommand(p)
	})
	return pid
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
