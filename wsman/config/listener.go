package config

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/winrmkit/winrmkit/wsman"
)

const uriListener = wsman.URIConfig + "/listener"

// A Listener is an address on which the service listens. See [MS-WSMV] section
// 2.2.4.19.
type Listener struct {
	Address   string // "*", "IP:192.0.2.1" or "MAC:aa-bb-cc-dd-ee-ff"
	Transport string // "HTTP" or "HTTPS"
	Source    Source // policy and compatibility listeners cannot be changed

	ListenerSettings
	ListeningOn []string // addresses, found out by the service
}

// ListenerSettings are what can be changed of a [Listener].
type ListenerSettings struct {
	Port                  Value[uint32]
	Hostname              Value[string] // must be the certificate's, for HTTPS
	Enabled               Value[bool]
	URLPrefix             Value[string]
	CertificateThumbprint Value[string] // for HTTPS
}

func (l *Listener) key() []wsman.Selector { return listenerKey(l.Address, l.Transport) }

func listenerKey(address, transport string) []wsman.Selector {
	return []wsman.Selector{{Name: "Address", Value: address}, {Name: "Transport", Value: transport}}
}

// decode reads the current element.
func (l *Listener) decode(d *wsman.Decoder) error {
	*l = Listener{Source: sourceOf(d)}
	return decodeEntry(d, "Listener", &l.ListenerSettings, func(name, value string) {
		switch name {
		case "Address":
			l.Address = value
		case "Transport":
			l.Transport = value
		case "ListeningOn":
			l.ListeningOn = append(l.ListeningOn, value)
		}
	})
}

// decodeEntry reads the children of the current element into the Values of
// settings, and hands the others to key.
func decodeEntry(d *wsman.Decoder, what string, settings any, key func(name, value string)) error {
	dst := reflect.ValueOf(settings).Elem()
	for name := range d.Children() {
		source := sourceOf(d)
		text, err := d.Value()
		if err != nil {
			return err
		}
		field := dst.FieldByName(name.Local)
		if !field.IsValid() {
			key(name.Local, text)
			continue
		}
		if err := field.Addr().Interface().(setting).parse(text, source); err != nil {
			return &ValueError{Item: what + `\` + name.Local, Text: text, Err: err}
		}
	}
	return d.Err()
}

// Listeners returns all listeners.
func Listeners(ctx context.Context, c *wsman.Client) ([]Listener, error) {
	return enumerate(ctx, c, uriListener, (*Listener).decode)
}

// enumerate reads all entries of a resource. Items are taken as the element that
// they are: attributes matter, which a wsman.Row has none of.
func enumerate[T any](ctx context.Context, c *wsman.Client, uri string, decode func(*T, *wsman.Decoder) error) ([]T, error) {
	var keys []wsman.Resource
	for item, err := range c.Enumerate(ctx, wsman.Resource{URI: uri}, &wsman.EnumerateOptions{Mode: wsman.EnumerateEPR}) {
		if err != nil {
			return nil, err
		}
		if item.EPR != nil {
			keys = append(keys, wsman.Resource{URI: uri, Selectors: item.EPR.Resource.Selectors})
		}
	}
	list := make([]T, 0, len(keys))
	for _, key := range keys {
		var v T
		err := c.Get(ctx, key, func(d *wsman.Decoder) error { return decode(&v, d) })
		if errors.Is(err, wsman.ErrResourceNotFound) {
			continue // removed in between
		}
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// GetListener reads one listener.
func GetListener(ctx context.Context, c *wsman.Client, address, transport string) (*Listener, error) {
	l := new(Listener)
	err := c.Get(ctx, wsman.Resource{URI: uriListener, Selectors: listenerKey(address, transport)}, l.decode)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// CreateListener makes a listener and reads it back. One for HTTPS needs a
// certificate: that of CertificateThumbprint, or one that the service finds for the
// host's name.
func CreateListener(ctx context.Context, c *wsman.Client, address, transport string, s ListenerSettings) error {
	l := &Listener{Address: address, Transport: transport}
	values := changesOf(reflect.ValueOf(s), "")
	if err := check(l.path(), values); err != nil {
		return err
	}
	r := wsman.Resource{URI: uriListener, Selectors: l.key()}
	if _, err := c.Create(ctx, r, entryBody("Listener", uriListener+".xsd", values)); err != nil {
		return err
	}
	after, err := GetListener(ctx, c, address, transport)
	if err != nil {
		return err
	}
	return applied(l.path(), &after.ListenerSettings, values)
}

// entryBody writes an entry's element with the values given.
func entryBody(root, namespace string, values []change) func(*wsman.Encoder) {
	return func(e *wsman.Encoder) {
		e.Start("cfg:" + root)
		e.Namespace("cfg", namespace)
		for _, v := range values {
			e.Element("cfg:"+v.rel, v.value)
		}
		e.End()
	}
}

// SetListener changes a listener. To disable or move the one that this client
// is connected through is a [*LockoutError] unless the context comes from
// [AllowLockout].
func SetListener(ctx context.Context, c *wsman.Client, address, transport string, want ListenerSettings) error {
	before, err := GetListener(ctx, c, address, transport)
	if err != nil {
		return err
	}
	item := before.path()
	changes := dueOf(&before.ListenerSettings, want)
	if err := check(item, changes); err != nil {
		return err
	}
	switch {
	case len(changes) == 0:
		return nil
	case before.Source == Policy:
		return &PolicyError{Item: item, Want: changes[0].rel + "=" + changes[0].value}
	}
	if !lockoutAllowed(ctx) && before.serves(c) {
		for _, ch := range changes {
			if ch.rel == "CertificateThumbprint" || ch.rel == "Hostname" || ch.rel == "Enabled" && ch.value == "true" {
				continue
			}
			return &LockoutError{Item: item + `\` + ch.rel, Value: ch.value, Reason: "this client is connected through that listener"}
		}
	}
	r := wsman.Resource{URI: uriListener, Selectors: before.key()}
	if err := c.Put(ctx, r, entryBody("Listener", uriListener, changes), nil); err != nil {
		return entryPolicy(err, item, changes)
	}
	if lockoutAllowed(ctx) && before.serves(c) {
		return nil // there may be nothing left to ask
	}
	after, err := GetListener(ctx, c, address, transport)
	if err != nil {
		return err
	}
	return applied(item, &after.ListenerSettings, changes)
}

// dueOf lists what of want differs from have.
func dueOf(have, want any) (changes []change) {
	present := reflect.ValueOf(have).Elem()
	for _, ch := range changesOf(reflect.ValueOf(want), "") {
		if now := present.FieldByName(ch.rel).Interface().(fmt.Stringer).String(); !same(ch.rel, now, ch.value) {
			changes = append(changes, ch)
		}
	}
	return changes
}

// applied compares what an entry says now with the changes made.
func applied(item string, now any, changes []change) error {
	present := reflect.ValueOf(now).Elem()
	for _, ch := range changes {
		if got := present.FieldByName(ch.rel); got.IsValid() {
			if text := got.Interface().(fmt.Stringer).String(); !same(ch.rel, text, ch.value) {
				return &NotAppliedError{Item: item + `\` + ch.rel, Want: ch.value, Got: text}
			}
		}
	}
	return nil
}

func entryPolicy(err error, item string, changes []change) error {
	if errors.Is(err, wsman.ErrSetByPolicy) {
		want := "absent"
		if len(changes) > 0 {
			want = changes[0].rel + "=" + changes[0].value
		}
		return &PolicyError{Item: item, Want: want, Err: err}
	}
	return err
}

// DeleteListener removes a listener. The one that this client is connected
// through stays, with a [*LockoutError], unless the context comes from
// [AllowLockout].
func DeleteListener(ctx context.Context, c *wsman.Client, address, transport string) error {
	l, err := GetListener(ctx, c, address, transport)
	if err != nil {
		return err
	}
	if !lockoutAllowed(ctx) && l.serves(c) {
		return &LockoutError{Item: l.path(), Value: "absent", Reason: "this client is connected through that listener"}
	}
	err = c.Delete(ctx, wsman.Resource{URI: uriListener, Selectors: l.key()})
	return entryPolicy(err, l.path(), nil)
}

func (l *Listener) path() string { return fmt.Sprintf(`Listener\%s+%s`, l.Address, l.Transport) }

// serves reports whether the client's endpoint may be this listener: transport
// and port are the same. Which address leads to which is not visible from here.
func (l *Listener) serves(c *wsman.Client) bool {
	u, err := url.Parse(c.Endpoint())
	if err != nil || !strings.EqualFold(u.Scheme, l.Transport) {
		return false
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strconv.FormatUint(uint64(l.Port.V), 10) == port
}
