package config

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/winrmkit/winrmkit/wsman"
)

// A shelf is a container of the WSMan: drive whose entries have keys instead of
// fixed names. The drive gives them names with a hash in it; here they have their
// keys for a name, such as *+HTTP.
type shelf struct {
	name string
	list func(context.Context, *wsman.Client) ([]Item, error)
	// set changes one item of an entry.
	set func(ctx context.Context, c *wsman.Client, entry *Item, item, value string) error
}

var shelves = []shelf{
	{"Listener", listenerItems, setListenerItem},
	{"Plugin", pluginItems, setPluginItem},
	{"ClientCertificate", certMappingItems, setCertMappingItem},
}

// shelfOf finds the shelf for a path, and what of the path is below it.
func shelfOf(path string) (s *shelf, rel string) {
	path = cleanPath(path)
	name, rel, _ := strings.Cut(path, `\`)
	for i := range shelves {
		if strings.EqualFold(shelves[i].name, name) {
			return &shelves[i], rel
		}
	}
	return nil, ""
}

// at finds the item that a path names: nil for the shelf itself. below is the
// path in its entry. Keys may have separators in them.
func (s *shelf) at(entries []Item, rel string) (it, entry *Item, below string, err error) {
	if rel == "" {
		return nil, nil, "", nil
	}
	for i := range entries {
		name := strings.ReplaceAll(entries[i].Name, "/", `\`)
		switch {
		case strings.EqualFold(rel, name):
			return &entries[i], &entries[i], "", nil
		case len(rel) > len(name) && rel[len(name)] == '\\' && strings.EqualFold(rel[:len(name)], name):
			below = rel[len(name)+1:]
			if it = find(entries[i].Items, below); it == nil {
				return nil, nil, "", &PathError{Path: s.name + `\` + rel, Have: names(entries[i].Items)}
			}
			return it, &entries[i], below, nil
		}
	}
	return nil, nil, "", &PathError{Path: s.name + `\` + rel, Have: names(entries)}
}

func (s *shelf) get(ctx context.Context, c *wsman.Client, rel string) (*Item, error) {
	entries, err := s.list(ctx, c)
	if err != nil {
		return nil, err
	}
	it, _, _, err := s.at(entries, rel)
	if it == nil && err == nil {
		it = &Item{Name: s.name, Container: true, Items: entries}
	}
	return it, err
}

func (s *shelf) put(ctx context.Context, c *wsman.Client, rel, value string) error {
	entries, err := s.list(ctx, c)
	if err != nil {
		return err
	}
	it, entry, below, err := s.at(entries, rel)
	switch {
	case err != nil:
		return err
	case it == nil || it.Container:
		return &ValueError{Item: strings.TrimRight(s.name+`\`+rel, `\`), Text: value, Err: errors.New("it is a container")}
	}
	if err := s.set(ctx, c, entry, below, value); err != nil {
		if errors.Is(err, errFixed) {
			err = &ValueError{Item: s.name + `\` + rel, Text: value, Err: err}
		}
		return err
	}
	return nil
}

// errFixed is for items that cannot be changed by their path.
var errFixed = errors.New("it can only be read")

// valueItems are the Values of a struct as items.
func valueItems(settings any) (list []Item) {
	v := reflect.ValueOf(settings)
	for i := range v.NumField() {
		if text, known := v.Field(i).Interface().(interface{ text() (string, bool) }).text(); known {
			list = append(list, Item{Name: v.Type().Field(i).Name, Value: text, Source: Source(v.Field(i).FieldByName("Source").String())})
		}
	}
	return list
}

// setValue sets the Value of a struct that name means, from its text.
func setValue(settings any, name, value string) error {
	v := reflect.ValueOf(settings).Elem()
	for i := range v.NumField() {
		if !strings.EqualFold(v.Type().Field(i).Name, name) {
			continue
		}
		field := v.Field(i).Addr().Interface().(setting)
		if _, isBool := v.Field(i).FieldByName("V").Interface().(bool); isBool {
			value = strings.ToLower(strings.TrimPrefix(value, "$"))
		}
		if err := field.parse(value, Local); err != nil {
			return &ValueError{Item: v.Type().Field(i).Name, Text: value, Err: err}
		}
		return nil
	}
	return errFixed
}

func listenerItems(ctx context.Context, c *wsman.Client) (list []Item, err error) {
	all, err := Listeners(ctx, c)
	for _, l := range all {
		it := Item{Name: l.Address + "+" + l.Transport, Source: l.Source, Container: true, Items: []Item{
			{Name: "Address", Value: l.Address}, {Name: "Transport", Value: l.Transport},
		}}
		it.Items = append(it.Items, valueItems(l.ListenerSettings)...)
		for i, on := range l.ListeningOn {
			it.Items = append(it.Items, Item{Name: fmt.Sprintf("ListeningOn_%d", i+1), Value: on})
		}
		list = append(list, it)
	}
	return list, err
}

func setListenerItem(ctx context.Context, c *wsman.Client, entry *Item, item, value string) error {
	var want ListenerSettings
	if err := setValue(&want, item, value); err != nil {
		return err
	}
	return SetListener(ctx, c, entry.leaf("Address"), entry.leaf("Transport"), want)
}

// leaf is the value of an item of the entry.
func (it *Item) leaf(name string) string {
	if found := find(it.Items, name); found != nil {
		return found.Value
	}
	return ""
}

func certMappingItems(ctx context.Context, c *wsman.Client) (list []Item, err error) {
	all, err := CertMappings(ctx, c)
	for _, m := range all {
		list = append(list, Item{
			Name: m.Issuer + "+" + m.Subject + "+" + m.URI, Source: m.Source, Container: true,
			Items: append([]Item{{Name: "Issuer", Value: m.Issuer}, {Name: "Subject", Value: m.Subject}, {Name: "URI", Value: m.URI}},
				valueItems(m.CertMappingSettings)...),
		})
	}
	return list, err
}

func setCertMappingItem(ctx context.Context, c *wsman.Client, entry *Item, item, value string) error {
	m := CertMapping{Issuer: entry.leaf("Issuer"), Subject: entry.leaf("Subject"), URI: entry.leaf("URI"), Source: entry.Source}
	if err := setValue(&m.CertMappingSettings, item, value); err != nil {
		return err
	}
	return SetCertMapping(ctx, c, m)
}

func pluginItems(ctx context.Context, c *wsman.Client) (list []Item, err error) {
	all, err := Plugins(ctx, c)
	for _, p := range all {
		it := Item{Name: p.Name, Container: true}
		for _, leaf := range [][2]string{
			{"Name", p.Name},
			{"Filename", p.Filename},
			{"SDKVersion", p.SDKVersion},
			{"XmlRenderingType", p.XMLRenderingType},
			{"Architecture", p.Architecture},
			{"UseSharedProcess", fmt.Sprint(p.UseSharedProcess)},
			{"AutoRestart", fmt.Sprint(p.AutoRestart)},
			{"ProcessIdleTimeoutSec", p.ProcessIdleTimeoutSec},
			{"RunAsUser", p.RunAsUser},
			{"OutputBufferingMode", p.OutputBufferingMode},
			{"Enabled", fmt.Sprint(p.Enabled)},
		} {
			it.Items = append(it.Items, Item{Name: leaf[0], Value: leaf[1]})
		}
		parameters := Item{Name: "InitializationParameters", Container: true}
		for _, v := range p.Parameters {
			parameters.Items = append(parameters.Items, Item{Name: v.Name, Value: v.Value})
		}
		resources := Item{Name: "Resources", Container: true}
		for i, r := range p.Resources {
			res := Item{Name: fmt.Sprintf("Resource_%d", i+1), Container: true, Items: []Item{
				{Name: "ResourceUri", Value: r.URI}, {Name: "ExactMatch", Value: fmt.Sprint(r.ExactMatch)}, {Name: "Capability", Value: strings.Join(r.Capabilities, ",")},
			}}
			for j, s := range r.Security {
				res.Items = append(res.Items, Item{Name: fmt.Sprintf("Sddl_%d", j+1), Value: s.SDDL})
			}
			resources.Items = append(resources.Items, res)
		}
		it.Items = append(it.Items, parameters, resources, Item{Name: "Quotas", Container: true, Items: valueItems(p.Quotas)})
		list = append(list, it)
	}
	return list, err
}

func setPluginItem(ctx context.Context, c *wsman.Client, entry *Item, item, value string) error {
	section, name, _ := strings.Cut(item, `\`)
	if !strings.EqualFold(section, "Quotas") {
		return errFixed
	}
	var want PluginQuotas
	if err := setValue(&want, name, value); err != nil {
		return err
	}
	return SetPluginQuotas(ctx, c, entry.Name, want)
}
