// Package wmi imitates the few WMI classes that winrmtest serves, and the part
// of WQL that selects from one class.
package wmi

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/wsman"
)

// A Property is one value of an instance: nil, string, bool, an integer,
// time.Time or []string.
type Property struct {
	Name  string
	Value any
}

// An Instance is one object.
type Instance struct {
	Class string
	Keys  []string // names of the key properties; none for a singleton
	Props []Property
}

// Get returns a property; names are compared without case.
func (in *Instance) Get(name string) (any, bool) {
	if strings.EqualFold(name, "__CLASS") {
		return in.Class, true
	}
	for _, p := range in.Props {
		if strings.EqualFold(p.Name, name) {
			return p.Value, true
		}
	}
	return nil, false
}

// Text is a value as it is compared and as it stands in a selector.
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case time.Time:
		return v.Format(time.RFC3339)
	case []string:
		return strings.Join(v, ",")
	}
	return fmt.Sprint(v)
}

// Encode writes the instance as an element of its class, whose namespace is the
// resource URI.
func (in *Instance) Encode(e *wsman.Encoder, uri string) {
	e.Start("p:" + in.Class)
	e.Namespace("p", uri)
	e.Namespace("xsi", wsman.NSSchemaInstance)
	e.Namespace("cim", wsman.NSCIM)
	e.Attr("xsi:type", "p:"+in.Class+"_Type")
	for _, p := range in.Props {
		encodeProperty(e, p)
	}
	e.End()
}

// EncodeFragment writes some properties as w:XmlFragment, the form in which
// WinRM returns what a select list has chosen.
func (in *Instance) EncodeFragment(e *wsman.Encoder, uri string, names []string) {
	e.Start("w:XmlFragment")
	e.Namespace("w", wsman.NSWSMan)
	e.Namespace("p", uri)
	e.Namespace("xsi", wsman.NSSchemaInstance)
	e.Namespace("cim", wsman.NSCIM)
	for _, name := range names {
		for _, p := range in.Props {
			if strings.EqualFold(p.Name, name) {
				encodeProperty(e, p)
			}
		}
	}
	e.End()
}

func encodeProperty(e *wsman.Encoder, p Property) {
	name := "p:" + p.Name
	switch v := p.Value.(type) {
	case nil:
		e.Start(name)
		e.Attr("xsi:nil", "true")
		e.End()
	case time.Time:
		e.Start(name)
		e.Element("cim:Datetime", v.Format(time.RFC3339))
		e.End()
	case []string:
		for _, s := range v {
			e.Element(name, s)
		}
	default:
		e.Element(name, Text(v))
	}
}

// Find returns the instance of a list whose keys the selectors name. ok is
// false when there is none.
func Find(list []*Instance, selectors map[string]string) (in *Instance, ok bool) {
	for _, in := range list {
		match := true
		for name, want := range selectors {
			v, has := in.Get(name)
			match = match && has && strings.EqualFold(Text(v), want)
		}
		if match {
			return in, true
		}
	}
	return nil, false
}
