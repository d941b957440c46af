package hostconfig

import (
	"slices"
	"strings"

	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/soap"
	"github.com/winrmkit/winrmkit/wsman"
)

// An entry is a listener or a certificate mapping: keys that select it and
// fields that can change.
type entry struct {
	keys   []soap.Pair
	fields []soap.Pair
	source string // Source attribute
}

// A class describes a kind of entries.
type class struct {
	suffix, root string
	keys         []string
	fields       []string // in the order in which they are written
	hidden       string   // a field that is never shown
	computed     string   // a field that a body must not hold
}

var classes = map[string]*class{
	"listener": {
		suffix: "listener", root: "Listener", keys: []string{"Address", "Transport"},
		fields:   []string{"Port", "Hostname", "Enabled", "URLPrefix", "CertificateThumbprint", "ListeningOn"},
		computed: "ListeningOn",
	},
	"service/certmapping": {
		suffix: "service/certmapping", root: "CertMapping", keys: []string{"Issuer", "Subject", "URI"},
		fields: []string{"UserName", "Enabled", "Password"}, hidden: "Password",
	},
}

// Class reports whether a resource suffix names a kind of entries.
func Class(suffix string) bool { return classes[suffix] != nil }

func (t *Tree) entries(c *class) *[]*entry {
	if c.suffix == "listener" {
		return &t.listeners
	}
	return &t.mappings
}

// Selectors are the keys of all entries of a class.
func (t *Tree) Selectors(suffix string) [][]soap.Pair {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all [][]soap.Pair
	for _, en := range *t.entries(classes[suffix]) {
		all = append(all, slices.Clone(en.keys))
	}
	return all
}

// AddListener adds a listener from inside.
func (t *Tree) AddListener(address, transport, port, listeningOn, thumbprint string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listeners = append(t.listeners, &entry{
		keys: []soap.Pair{{Name: "Address", Value: address}, {Name: "Transport", Value: transport}},
		fields: []soap.Pair{
			{Name: "Port", Value: port},
			{Name: "Enabled", Value: "true"},
			{Name: "URLPrefix", Value: "wsman"},
			{Name: "CertificateThumbprint", Value: thumbprint},
			{Name: "ListeningOn", Value: listeningOn},
		},
	})
}

// A Mapping is a certificate mapping.
type Mapping struct {
	Issuer, Subject, URI, User string
	Enabled                    bool
}

// AddMapping adds a certificate mapping from inside.
func (t *Tree) AddMapping(m Mapping) {
	t.mu.Lock()
	defer t.mu.Unlock()
	enabled := "false"
	if m.Enabled {
		enabled = "true"
	}
	t.mappings = append(t.mappings, &entry{
		keys:   []soap.Pair{{Name: "Issuer", Value: m.Issuer}, {Name: "Subject", Value: m.Subject}, {Name: "URI", Value: m.URI}},
		fields: []soap.Pair{{Name: "UserName", Value: m.User}, {Name: "Enabled", Value: enabled}},
	})
}

// Mappings returns all certificate mappings.
func (t *Tree) Mappings() []Mapping {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []Mapping
	for _, en := range t.mappings {
		all = append(all, Mapping{
			Issuer: value(en.keys, "Issuer"), Subject: value(en.keys, "Subject"), URI: value(en.keys, "URI"),
			User: value(en.fields, "UserName"), Enabled: value(en.fields, "Enabled") == "true",
		})
	}
	return all
}

func value(list []soap.Pair, name string) string {
	for _, p := range list {
		if strings.EqualFold(p.Name, name) {
			return p.Value
		}
	}
	return ""
}

// find returns the entry that the selectors name.
func (t *Tree) find(c *class, selectors []soap.Pair) (*entry, *soap.Fault) {
	for _, p := range selectors {
		if !containsFold(c.keys, p.Name) {
			return nil, soap.Newf(soap.InvalidSelectors, "The selector %q is not known.", p.Name)
		}
	}
	if len(selectors) < len(c.keys) {
		return nil, soap.New(soap.InsufficientSelectors, "")
	}
	for _, en := range *t.entries(c) {
		if en.is(selectors) {
			return en, nil
		}
	}
	return nil, soap.New(soap.ResourceNotFound, "")
}

func (en *entry) is(selectors []soap.Pair) bool {
	for _, k := range en.keys {
		if !strings.EqualFold(value(selectors, k.Name), k.Value) {
			return false
		}
	}
	return true
}

// EncodeEntry writes the entry that the selectors name.
func (t *Tree) EncodeEntry(e *wsman.Encoder, suffix string, selectors []soap.Pair) *soap.Fault {
	c := classes[suffix]
	t.mu.Lock()
	defer t.mu.Unlock()
	en, f := t.find(c, selectors)
	if f != nil {
		return f
	}
	e.Start("cfg:" + c.root)
	e.Namespace("cfg", namespace(suffix))
	if en.source != "" {
		e.Attr("Source", en.source)
	}
	e.Attr("xml:lang", "en-US")
	for _, k := range en.keys {
		e.Element("cfg:"+k.Name, k.Value)
	}
	for _, name := range c.fields {
		if name == c.hidden {
			continue
		}
		v := value(en.fields, name)
		if name != "ListeningOn" {
			e.Element("cfg:"+name, v)
			continue
		}
		for address := range strings.FieldsSeq(v) {
			e.Element("cfg:"+name, address)
		}
	}
	e.End()
	return nil
}

// PutEntry changes fields of an entry.
func (t *Tree) PutEntry(suffix string, selectors []soap.Pair, body func(func(*wsman.Decoder)) error) *soap.Fault {
	c := classes[suffix]
	fields, f := c.read(body)
	if f != nil {
		return f
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	en, f := t.find(c, selectors)
	if f != nil {
		return f
	}
	if en.source != "" {
		return soap.New(soap.CannotChangeGPOSetting, "")
	}
	changed := slices.Clone(en.fields)
	for _, p := range fields {
		if containsFold(c.keys, p.Name) {
			if !strings.EqualFold(value(en.keys, p.Name), p.Value) {
				return soap.New(soap.CannotChangeCertKeys, "")
			}
			continue
		}
		changed = set(changed, p)
	}
	if f := t.check(c, changed, fields); f != nil {
		return f
	}
	en.fields = changed
	return nil
}

// CreateEntry adds an entry.
func (t *Tree) CreateEntry(suffix string, selectors []soap.Pair, body func(func(*wsman.Decoder)) error) *soap.Fault {
	c := classes[suffix]
	fields, f := c.read(body)
	if f != nil {
		return f
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, f = t.find(c, selectors)
	switch {
	case f == nil:
		return soap.New(soap.AlreadyExists, "")
	case f.Code != soap.ResourceNotFound:
		return f
	}
	en := &entry{}
	for _, k := range c.keys {
		en.keys = append(en.keys, soap.Pair{Name: k, Value: value(selectors, k)})
	}
	if c.suffix == "listener" {
		en.fields = listenerDefaults(value(selectors, "Transport"))
	} else {
		en.fields = []soap.Pair{{Name: "Enabled", Value: "true"}}
	}
	for _, p := range fields {
		if !containsFold(c.keys, p.Name) {
			en.fields = set(en.fields, p)
		}
	}
	if f := t.check(c, en.fields, fields); f != nil {
		return f
	}
	list := t.entries(c)
	*list = append(*list, en)
	return nil
}

func listenerDefaults(transport string) []soap.Pair {
	port := "5985"
	if strings.EqualFold(transport, "HTTPS") {
		port = "5986"
	}
	return []soap.Pair{
		{Name: "Port", Value: port},
		{Name: "Enabled", Value: "true"},
		{Name: "URLPrefix", Value: "wsman"},
		{Name: "ListeningOn", Value: "127.0.0.1 ::1"},
	}
}

// DeleteEntry removes an entry.
func (t *Tree) DeleteEntry(suffix string, selectors []soap.Pair) *soap.Fault {
	c := classes[suffix]
	t.mu.Lock()
	defer t.mu.Unlock()
	en, f := t.find(c, selectors)
	if f != nil {
		return f
	}
	list := t.entries(c)
	*list = slices.DeleteFunc(*list, func(x *entry) bool { return x == en })
	return nil
}

// read takes the fields of a body.
func (c *class) read(body func(func(*wsman.Decoder)) error) (fields []soap.Pair, fault *soap.Fault) {
	elements := 0
	err := body(func(d *wsman.Decoder) {
		for name := range d.Children() {
			elements++
			if fault = checkRoot(name, c.suffix, c.root); fault != nil {
				return
			}
			for child := range d.Children() {
				v, _ := d.Value()
				if !containsFold(c.fields, child.Local) && !containsFold(c.keys, child.Local) {
					fault = soap.Newf(soap.SchemaValidation, "The element %s is not known here.", child.Local)
					return
				}
				fields = append(fields, soap.Pair{Name: child.Local, Value: v})
			}
		}
	})
	switch {
	case err != nil:
		return nil, soap.Malformed(err)
	case fault == nil && elements != 1:
		return nil, soap.New(soap.InvalidRepresentation, "")
	}
	return fields, fault
}

// check tests the fields that an entry would have; given are those of the body.
func (t *Tree) check(c *class, fields, given []soap.Pair) *soap.Fault {
	if c.computed != "" && hasName(given, c.computed) {
		return soap.Newf(0x80070057, "%s cannot be set.", c.computed)
	}
	if enabled := value(fields, "Enabled"); enabled != "true" && enabled != "false" {
		return soap.Newf(soap.SchemaValidation, "Enabled is true or false, not %q.", enabled)
	}
	if c.suffix == "listener" {
		port := item{path: "Port", kind: number, min: 1, max: 65535}
		if _, f := port.parse(value(fields, "Port")); f != nil {
			return f
		}
		if code := checkPrefix(value(fields, "URLPrefix")); code != 0 {
			return soap.New(code, "")
		}
		if code := checkThumbprint(value(fields, "CertificateThumbprint")); code != 0 {
			return soap.New(code, "")
		}
		return nil
	}
	password := hasName(given, "Password") || hasName(given, "UserName")
	if password && t.logon != nil && !t.logon(value(fields, "UserName"), value(fields, "Password")) {
		return soap.New(soap.CertMappingPasswordUser, "")
	}
	return nil
}

func hasName(list []soap.Pair, name string) bool {
	return slices.ContainsFunc(list, func(p soap.Pair) bool { return strings.EqualFold(p.Name, name) })
}

func set(list []soap.Pair, p soap.Pair) []soap.Pair {
	for i := range list {
		if strings.EqualFold(list[i].Name, p.Name) {
			list[i].Value = p.Value
			return list
		}
	}
	return append(list, p)
}

func containsFold(list []string, name string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, name) })
}
