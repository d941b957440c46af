package config

import (
	"context"
	"crypto/sha1" //nolint:gosec // its length only
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"unicode"

	"github.com/winrmkit/winrmkit/wsman"
)

// get reads a section into its struct.
func get[T any](ctx context.Context, c *wsman.Client, s section) (*T, error) {
	items, err := s.read(ctx, c)
	if err != nil {
		return nil, err
	}
	dst := new(T)
	if err := fill(reflect.ValueOf(dst).Elem(), s.path, items); err != nil {
		return nil, err
	}
	return dst, nil
}

// fill sets the fields of a struct that items name.
func fill(dst reflect.Value, path string, items []Item) error {
	for i := range dst.NumField() {
		name := dst.Type().Field(i).Name
		it := find(items, name)
		if it == nil {
			continue
		}
		at := name
		if path != "" {
			at = path + `\` + name
		}
		set, leaf := dst.Field(i).Addr().Interface().(setting)
		if !leaf {
			if err := fill(dst.Field(i), at, it.Items); err != nil {
				return err
			}
			continue
		}
		if err := set.parse(it.Value, it.Source); err != nil {
			return &ValueError{Item: at, Text: it.Value, Err: err}
		}
	}
	return nil
}

// changesOf lists the Values of a struct that say something, in the order of the
// fields.
func changesOf(src reflect.Value, rel string) (list []change) {
	for i := range src.NumField() {
		at := src.Type().Field(i).Name
		if rel != "" {
			at = rel + `\` + at
		}
		if v, leaf := src.Field(i).Interface().(interface{ text() (string, bool) }); leaf {
			if text, known := v.text(); known {
				list = append(list, change{at, text})
			}
			continue
		}
		list = append(list, changesOf(src.Field(i), at)...)
	}
	return list
}

// set changes a section to what a struct says.
func set(ctx context.Context, c *wsman.Client, s section, want any) error {
	return s.apply(ctx, c, changesOf(reflect.ValueOf(want), ""))
}

// apply reads the section, writes what differs and reads again.
func (s section) apply(ctx context.Context, c *wsman.Client, changes []change) error {
	if len(changes) == 0 {
		return nil
	}
	if err := check(s.path, changes); err != nil {
		return err
	}
	before, err := s.read(ctx, c)
	if err != nil {
		return err
	}
	changes, err = s.due(before, changes)
	if err != nil || len(changes) == 0 {
		return err
	}
	if !lockoutAllowed(ctx) {
		if err := s.guard(c, before, changes); err != nil {
			return err
		}
	}
	if err := s.write(ctx, c, changes); err != nil {
		if errors.Is(err, wsman.ErrSetByPolicy) {
			return &PolicyError{Item: s.at(changes[0].rel), Want: changes[0].value, Err: err}
		}
		return err
	}
	after, err := s.read(ctx, c)
	if err != nil {
		return err
	}
	for _, ch := range changes {
		got := "" // a host that does not know the setting
		if it := find(after, ch.rel); it != nil {
			got = it.Value
		}
		if !same(ch.rel, got, ch.value) {
			return &NotAppliedError{Item: s.at(ch.rel), Want: ch.value, Got: got}
		}
	}
	return nil
}

// check refuses texts that are none for their settings, and writes thumbprints
// as the service wants them.
func check(path string, changes []change) (err error) {
	for i, ch := range changes {
		switch strings.ToLower(ch.rel[strings.LastIndexByte(ch.rel, '\\')+1:]) {
		case "rootsddl":
			_, err = ParseSDDL(ch.value)
		case "cbthardeninglevel":
			changes[i].value, err = hardening(ch.value)
		case "certificatethumbprint":
			changes[i].value, err = thumbprint(ch.value)
		}
		if err != nil {
			return &ValueError{Item: strings.TrimPrefix(path+`\`+ch.rel, `\`), Text: ch.value, Err: err}
		}
	}
	return nil
}

// hardening spells a level as the service does.
func hardening(text string) (string, error) {
	for _, level := range []string{"None", "Relaxed", "Strict"} {
		if strings.EqualFold(level, text) {
			return level, nil
		}
	}
	return "", errors.New("it is None, Relaxed or Strict")
}

// thumbprint takes out of a thumbprint what dialogs and programs put into it:
// blanks, colons, and marks that cannot be seen.
func thumbprint(text string) (string, error) {
	clean := strings.Map(func(r rune) rune {
		if r == ':' || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, text)
	if raw, err := hex.DecodeString(clean); err != nil || len(raw) != 0 && len(raw) != sha1.Size {
		return "", errors.New("a thumbprint has 40 hexadecimal digits")
	}
	return clean, nil
}

// due leaves out what is so already, and stops at what a policy owns: a partial
// Put that names such an item changes nothing at all.
func (s section) due(before []Item, changes []change) (due []change, err error) {
	for _, ch := range changes {
		it := find(before, ch.rel)
		switch {
		case it == nil:
			due = append(due, ch)
		case same(ch.rel, it.Value, ch.value):
		case it.Source == Policy:
			return nil, &PolicyError{Item: s.at(ch.rel), Value: it.Value, Want: ch.value}
		default:
			due = append(due, ch)
		}
	}
	return due, nil
}

// same compares two values of an item as Windows does.
func same(rel, a, b string) bool {
	if a == b {
		return true
	}
	switch name := rel[strings.LastIndexByte(rel, '\\')+1:]; {
	case strings.EqualFold(name, "RootSDDL"):
		return sameSDDL(a, b)
	case strings.EqualFold(name, "CertificateThumbprint"):
		x, errX := thumbprint(a)
		y, errY := thumbprint(b)
		return errX == nil && errY == nil && strings.EqualFold(x, y)
	case strings.EqualFold(name, "CbtHardeningLevel"):
		return strings.EqualFold(a, b)
	}
	x, errX := parseBool(a)
	y, errY := parseBool(b)
	return errX == nil && errY == nil && x == y && !isNumeric(a) && !isNumeric(b)
}

func isNumeric(s string) bool { return s == "0" || s == "1" }
