package config

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/winrmkit/winrmkit/wsman"
)

// resolve finds the section for a path of the WSMan: drive, and what of the path
// is below it.
func resolve(path string) (s section, rel string) {
	rel = cleanPath(path)
	lower := strings.ToLower(rel)
	if lower == "winrs" || strings.HasPrefix(lower, `winrs\`) { // its name on the wire
		rel = "Shell" + rel[len("winrs"):]
		lower = strings.ToLower(rel)
	}
	best := sectionConfig
	for _, s := range []section{
		sectionClient, sectionClientAuth, sectionClientPorts,
		sectionService, sectionServiceAuth, sectionServicePorts, sectionWinrs,
	} {
		p := strings.ToLower(s.path)
		if (lower == p || strings.HasPrefix(lower, p+`\`)) && len(s.path) > len(best.path) {
			best = s
		}
	}
	return best, strings.TrimPrefix(rel[len(best.path):], `\`)
}

// cleanPath takes WSMan:\localhost\ off a path and makes its separators
// backslashes.
func cleanPath(path string) string {
	p := strings.ReplaceAll(strings.TrimSpace(path), "/", `\`)
	if i := strings.Index(p, ":"); i >= 0 && strings.EqualFold(p[:i], "wsman") {
		p = strings.TrimLeft(p[i+1:], `\`)
		_, p, _ = strings.Cut(p, `\`) // the host's name
	}
	return strings.Trim(p, `\`)
}

// Items lists what is below a path of the WSMan: drive, such as "Service" or
// "Service\Auth", in the host's order. The path "" is the top. The entries of
// Listener and ClientCertificate are named by their keys, as in Listener\*+HTTP,
// and those of Plugin by their names.
func Items(ctx context.Context, c *wsman.Client, path string) ([]Item, error) {
	if s, rel := shelfOf(path); s != nil {
		it, err := s.get(ctx, c, rel)
		if err == nil && !it.Container {
			err = &PathError{Path: cleanPath(path)}
		}
		if err != nil {
			return nil, err
		}
		return it.Items, nil
	}
	s, rel := resolve(path)
	items, err := s.read(ctx, c)
	if err != nil {
		return nil, err
	}
	if s == sectionConfig {
		items = asDrive(items)
	}
	if rel == "" {
		return items, nil
	}
	it := find(items, rel)
	if it == nil || !it.Container {
		return nil, &PathError{Path: s.at(rel), Have: names(items)}
	}
	return it.Items, nil
}

// asDrive makes of a Config what the WSMan: drive shows at its top.
func asDrive(items []Item) []Item {
	for i := range items {
		if strings.EqualFold(items[i].Name, "Winrs") {
			items[i].Name = "Shell"
		}
	}
	for _, s := range shelves { // their content is asked for by their path
		items = append(items, Item{Name: s.name, Container: true})
	}
	return items
}

// GetItem reads one item by its path, such as Service\Auth\CredSSP.
func GetItem(ctx context.Context, c *wsman.Client, path string) (*Item, error) {
	if s, rel := shelfOf(path); s != nil {
		return s.get(ctx, c, rel)
	}
	s, rel := resolve(path)
	items, err := s.read(ctx, c)
	if err != nil {
		return nil, err
	}
	if rel == "" {
		return &Item{Name: s.path[strings.LastIndexByte(s.path, '\\')+1:], Container: true, Items: items}, nil
	}
	if it := find(items, rel); it != nil {
		return it, nil
	}
	return nil, &PathError{Path: s.at(rel), Have: names(items)}
}

// SetItem changes one item by its path, with all the checks of [SetServiceAuth]
// and its like. Of a plug-in it changes the Quotas.
func SetItem(ctx context.Context, c *wsman.Client, path, value string) error {
	if s, rel := shelfOf(path); s != nil {
		return s.put(ctx, c, rel, value)
	}
	s, rel := resolve(path)
	items, err := s.read(ctx, c)
	if err != nil {
		return err
	}
	it := find(items, rel)
	switch {
	case it == nil:
		return &PathError{Path: s.at(rel), Have: names(items)}
	case it.Container:
		return &ValueError{Item: s.at(rel), Text: value, Err: errors.New("it is a container")}
	}
	rel = spelled(items, rel)
	if v := strings.ToLower(strings.TrimPrefix(value, "$")); it.Value == "true" || it.Value == "false" {
		on, err := parseBool(v)
		if err != nil {
			return &ValueError{Item: s.at(rel), Text: value, Err: err}
		}
		value = fmt.Sprint(on)
	}
	return s.apply(ctx, c, []change{{rel, value}})
}

// spelled is a relative path as the host spells it: elements have a case.
func spelled(items []Item, rel string) string {
	name, rest, deeper := strings.Cut(rel, `\`)
	it := find(items, name)
	if it == nil {
		return rel
	}
	if !deeper {
		return it.Name
	}
	return it.Name + `\` + spelled(it.Items, rest)
}

func names(items []Item) (list []string) {
	for _, it := range items {
		list = append(list, it.Name)
	}
	return list
}
