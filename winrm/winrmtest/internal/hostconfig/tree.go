package hostconfig

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/soap"
	"github.com/winrmkit/winrmkit/wsman"
)

// A Tree is the configuration of one host. It is safe for concurrent use.
type Tree struct {
	mu        sync.Mutex
	values    map[string]string // by lower-case path; what is missing has its default
	policy    map[string]bool
	listeners []*entry
	mappings  []*entry
	plugins   []plugin
	history   map[string][]string // by lower-case path: the values that were written
	// passwords checks the account of a certificate mapping.
	logon func(user, password string) bool
}

// New returns a Tree with the defaults. logon tells whether an account and its
// password belong together; nil accepts any.
func New(logon func(user, password string) bool) *Tree {
	return &Tree{
		values: make(map[string]string), policy: make(map[string]bool), history: make(map[string][]string),
		plugins: slices.Clone(defaultPlugins), logon: logon,
	}
}

// Get returns a value, or "" for a path that does not exist.
func (t *Tree) Get(path string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.get(path)
}

func (t *Tree) get(path string) string {
	key := strings.ToLower(path)
	if v, ok := t.values[key]; ok {
		return v
	}
	if it, ok := index[key]; ok {
		return it.def
	}
	return ""
}

// True reports whether a boolean item is true.
func (t *Tree) True(path string) bool { return t.Get(path) == "true" }

// Number returns a numeric item.
func (t *Tree) Number(path string) int64 {
	n, _ := strconv.ParseInt(t.Get(path), 10, 64)
	return n
}

// Set changes a value from inside, as an administrator at the console would:
// read-only items and items from policy can be set too.
func (t *Tree) Set(path, value string) error {
	it, ok := index[strings.ToLower(path)]
	if !ok {
		return fmt.Errorf("no item %q in the configuration", path)
	}
	v, f := it.parse(value)
	if f != nil {
		return f
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.put(path, v)
	return nil
}

// put writes a value; t.mu is held.
func (t *Tree) put(path, value string) {
	key := strings.ToLower(path)
	if t.get(path) != value {
		t.history[key] = append(t.history[key], value)
	}
	t.values[key] = value
}

// History returns the values that an item was changed to, in order.
func (t *Tree) History(path string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.history[strings.ToLower(path)])
}

// IsPolicy reports whether an item comes from group policy.
func (t *Tree) IsPolicy(path string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.policy[strings.ToLower(path)]
}

// SetPolicy is Set for a value that comes from group policy.
func (t *Tree) SetPolicy(path, value string) error {
	if err := t.Set(path, value); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.policy[strings.ToLower(path)] = true
	return nil
}

// sections names the resources that are parts of the tree, by their suffix
// after .../config/, with the path and root element of each.
var sections = map[string]struct {
	path, root string
	readOnly   bool
}{
	"":                     {"", "Config", false},
	"client":               {"Client", "Client", false},
	"client/auth":          {"Client/Auth", "Auth", false},
	"client/defaultports":  {"Client/DefaultPorts", "DefaultPorts", false},
	"service":              {"Service", "Service", false},
	"service/auth":         {"Service/Auth", "Auth", false},
	"service/defaultports": {"Service/DefaultPorts", "DefaultPorts", true},
	"winrs":                {"Winrs", "Winrs", false},
}

// IsSection reports whether a resource suffix names a part of the tree.
func IsSection(suffix string) bool {
	_, ok := sections[suffix]
	return ok
}

// namespace is that of the elements of a resource: equal to its URI in lower
// case.
func namespace(suffix string) string {
	if suffix == "" {
		return wsman.NSConfig
	}
	return wsman.NSConfig + "/" + suffix
}

// Encode writes the element of a section.
func (t *Tree) Encode(e *wsman.Encoder, suffix string) {
	s := sections[suffix]
	t.mu.Lock()
	defer t.mu.Unlock()
	e.Start("cfg:" + s.root)
	e.Namespace("cfg", namespace(suffix))
	e.Attr("xml:lang", "en-US")
	t.encodeItems(e, s.path)
	e.End()
}

// encodeItems writes what is below path, which lies together in the schema.
func (t *Tree) encodeItems(e *wsman.Encoder, path string) {
	prefix := path
	if prefix != "" {
		prefix += "/"
	}
	var open []string // the nested sections that are open
	for i := range schema {
		rest, ok := strings.CutPrefix(schema[i].path, prefix)
		if !ok {
			continue
		}
		names := strings.Split(rest, "/")
		dirs := names[:len(names)-1]
		keep := 0
		for keep < len(open) && keep < len(dirs) && open[keep] == dirs[keep] {
			keep++
		}
		for ; len(open) > keep; open = open[:len(open)-1] {
			e.End()
		}
		for _, d := range dirs[keep:] {
			e.Start("cfg:" + d)
			open = append(open, d)
		}
		e.Start("cfg:" + names[len(names)-1])
		if t.policy[strings.ToLower(schema[i].path)] {
			e.Attr("Source", "GPO")
		}
		e.Text(t.get(schema[i].path))
		e.End()
	}
	for range open {
		e.End()
	}
}

// change is one value of a Put.
type change struct {
	it    *item
	value string
}

// Put changes the section to what the body says; what the body leaves out keeps
// its value. All of it is done or nothing.
func (t *Tree) Put(suffix string, body func(fn func(*wsman.Decoder)) error) *soap.Fault {
	s := sections[suffix]
	var changes []change
	var fault *soap.Fault
	elements := 0
	err := body(func(d *wsman.Decoder) {
		for name := range d.Children() {
			elements++
			if fault = checkRoot(name, suffix, s.root); fault != nil {
				return
			}
			changes, fault = readChanges(d, s.path, name.Space, changes)
		}
	})
	switch {
	case err != nil:
		return soap.Malformed(err)
	case fault != nil:
		return fault
	case elements != 1:
		return soap.New(soap.InvalidRepresentation, "")
	}
	return t.apply(changes, s.readOnly)
}

// checkRoot tests the name of the element that represents the resource.
func checkRoot(name wsman.Name, suffix, root string) *soap.Fault {
	want := namespace(suffix)
	switch {
	case !strings.EqualFold(strings.TrimSuffix(name.Space, ".xsd"), want):
		return soap.Newf(soap.InvalidXMLNamespace, "The namespace is %q instead of %q.", name.Space, want)
	case name.Local != root:
		return soap.Newf(soap.InvalidRepresentation, "The element is %q instead of %q.", name.Local, root)
	}
	return nil
}

func readChanges(d *wsman.Decoder, path, space string, list []change) ([]change, *soap.Fault) {
	prefix := path
	if prefix != "" {
		prefix += "/"
	}
	var fault *soap.Fault
	for name := range d.Children() {
		at := prefix + name.Local
		if name.Space != space {
			return list, soap.Newf(soap.InvalidXMLNamespace, "The element %s has the namespace %q.", name.Local, name.Space)
		}
		it, ok := index[strings.ToLower(at)]
		if ok && strings.HasSuffix(it.path, name.Local) {
			value, err := d.Value()
			if err != nil {
				return list, soap.Malformed(err)
			}
			if value, fault = it.parse(value); fault != nil {
				return list, fault
			}
			list = append(list, change{it, value})
			continue
		}
		if !IsSection(strings.ToLower(at)) {
			return list, soap.Newf(soap.SchemaValidation, "The element %s is not known here.", name.Local)
		}
		if list, fault = readChanges(d, at, space, list); fault != nil {
			return list, fault
		}
	}
	return list, nil
}

// apply does the changes. A value that stays as it is may be repeated, also
// where it could not be changed: clients read an element, edit one value and
// put the whole back.
func (t *Tree) apply(changes []change, readOnly bool) *soap.Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range changes {
		if t.get(c.it.path) == c.value {
			continue
		}
		switch {
		case t.policy[strings.ToLower(c.it.path)]:
			return soap.Newf(soap.CannotChangeGPOSetting, "%s comes from group policy and cannot be changed.", c.it.path)
		case c.it.locked != 0:
			return soap.Newf(c.it.locked, "%s cannot be changed.", c.it.path)
		case readOnly:
			return soap.New(soap.ConfigReadOnly, "")
		}
	}
	for _, c := range changes {
		t.put(c.it.path, c.value)
	}
	return nil
}
