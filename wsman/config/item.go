package config

import (
	"context"
	"strings"

	"github.com/winrmkit/winrmkit/wsman"
)

// An Item is a setting, or a container of settings, as the host wrote it.
type Item struct {
	Name   string
	Value  string
	Source Source

	Container bool
	Items     []Item // of a container, in the host's order
}

// find returns the item below items that a relative path names.
func find(items []Item, path string) *Item {
	name, rest, deeper := strings.Cut(path, `\`)
	for i := range items {
		switch {
		case !strings.EqualFold(items[i].Name, name):
		case !deeper:
			return &items[i]
		default:
			return find(items[i].Items, rest)
		}
	}
	return nil
}

// readItems reads the current element's children. Leaves hold text only; an
// element with children is a container. Names are compared without their
// namespace: it depends on the resource that was asked for.
func readItems(d *wsman.Decoder, depth int) (items []Item, err error) {
	for name := range d.Children() {
		it := Item{Name: name.Local, Source: sourceOf(d)}
		if it.Container = containers[strings.ToLower(name.Local)]; it.Container && depth < maxDepth {
			if it.Items, err = readItems(d, depth+1); err != nil {
				return nil, err
			}
		} else {
			it.Container = false
			if it.Value, err = d.Value(); err != nil {
				return nil, err
			}
		}
		items = append(items, it)
	}
	return items, d.Err()
}

// containers are the elements that hold elements. Whether one does cannot be
// seen before its content is read.
var containers = map[string]bool{
	"client": true, "service": true, "winrs": true, "auth": true, "defaultports": true,
}

const maxDepth = 4 // Config, Service, Auth, and one more

// sourceOf returns the attribute Source, which has no namespace as a rule.
func sourceOf(d *wsman.Decoder) Source {
	for name, value := range d.Attrs() {
		if name.Local == "Source" {
			return Source(value)
		}
	}
	return Local
}

// A section is a resource without selectors: a part of the tree.
type section struct {
	suffix string // of the resource URI, after NSConfig
	root   string // its element
	path   string // in the WSMan: drive
}

var (
	sectionConfig       = section{"", "Config", ""}
	sectionClient       = section{"/client", "Client", "Client"}
	sectionClientAuth   = section{"/client/auth", "Auth", `Client\Auth`}
	sectionClientPorts  = section{"/client/defaultports", "DefaultPorts", `Client\DefaultPorts`}
	sectionService      = section{"/service", "Service", "Service"}
	sectionServiceAuth  = section{"/service/auth", "Auth", `Service\Auth`}
	sectionServicePorts = section{"/service/defaultports", "DefaultPorts", `Service\DefaultPorts`}
	sectionWinrs        = section{"/winrs", "Winrs", "Shell"}
)

func (s section) resource() wsman.Resource { return wsman.Resource{URI: wsman.URIConfig + s.suffix} }

// namespace is that of the section's elements: its URI. See [MS-WSMV] section
// 4.2.
func (s section) namespace() string { return wsman.URIConfig + s.suffix }

// at is the path of an item of the section in the WSMan: drive.
func (s section) at(rel string) string {
	if s.path == "" {
		return rel
	}
	return s.path + `\` + rel
}

// read gets all items of the section.
func (s section) read(ctx context.Context, c *wsman.Client) (items []Item, err error) {
	err = c.Get(ctx, s.resource(), func(d *wsman.Decoder) error {
		items, err = readItems(d, 1)
		return err
	})
	return items, err
}

// A change is one setting that is to have another value.
type change struct {
	rel   string // path below the section
	value string
}

// write puts changes, and nothing else.
func (s section) write(ctx context.Context, c *wsman.Client, changes []change) error {
	return c.Put(ctx, s.resource(), func(e *wsman.Encoder) {
		e.Start("cfg:" + s.root)
		e.Namespace("cfg", s.namespace())
		open := ""
		for _, ch := range changes {
			dir, name := "", ch.rel
			if i := strings.LastIndexByte(ch.rel, '\\'); i >= 0 {
				dir, name = ch.rel[:i], ch.rel[i+1:]
			}
			if dir != open {
				closeAll(e, open)
				openAll(e, dir)
				open = dir
			}
			e.Element("cfg:"+name, ch.value)
		}
		closeAll(e, open)
		e.End()
	}, nil)
}

func openAll(e *wsman.Encoder, dir string) {
	if dir == "" {
		return
	}
	for name := range strings.SplitSeq(dir, `\`) {
		e.Start("cfg:" + name)
	}
}

func closeAll(e *wsman.Encoder, dir string) {
	if dir == "" {
		return
	}
	for range strings.Count(dir, `\`) + 1 {
		e.End()
	}
}
