package clixml

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/wsman"
)

// An Object is an Obj element: anything that is no primitive value.
type Object struct {
	Types      []string   // names of the .NET types, the most derived first
	ToString   string     // what .NET's ToString gave
	Value      any        // a primitive value, of enumerations and wrapped values
	Properties []Property // adapted ones, then extended ones, in their order
	Items      []any      // elements of a list, queue or stack
	Entries    []Entry    // of a dictionary
}

// A Property is a named value.
type Property struct {
	Name  string
	Value any
}

// An Entry is one of a dictionary.
type Entry struct{ Key, Value any }

// Get returns a property by its name, without regard to case as PowerShell has
// it, or nil. A nil Object has none.
func (o *Object) Get(name string) any {
	if o == nil {
		return nil
	}
	for i := range o.Properties {
		if strings.EqualFold(o.Properties[i].Name, name) {
			return o.Properties[i].Value
		}
	}
	return nil
}

// Is reports whether the object is or was of a type, by its name without the
// prefix "Deserialized.".
func (o *Object) Is(name string) bool {
	for _, t := range o.Types {
		if strings.TrimPrefix(t, "Deserialized.") == name {
			return true
		}
	}
	return false
}

// Values that have no type of their own in Go.
type (
	Char         uint16 // a UTF-16 code unit
	Decimal      string // System.Decimal, as it was written
	GUID         string
	URI          string
	Version      string
	XML          string // System.Xml.XmlDocument
	ScriptBlock  string
	SecureString string // encrypted, base64
	Duration     string // System.TimeSpan as xs:duration: its range is larger than time.Duration's
)

// errTooMany ends the decoding of an object with more elements than the limit.
var errTooMany = errors.New("clixml: object has too many elements")

// maxElements bounds the elements of one top-level object, and the objects that
// references can name.
const maxElements = 100_000

// refs are what TNRef and Ref name. They live as long as a block.
type refs struct {
	types   map[string][]string
	objects map[string]*Object
	left    int // elements that the current object may still have
}

func newRefs() *refs {
	return &refs{types: make(map[string][]string), objects: make(map[string]*Object)}
}

// reset forgets everything when there is too much of it: the objects of a block
// without an end would keep memory for ever.
func (r *refs) reset() {
	r.left = maxElements
	if len(r.types)+len(r.objects) > maxElements {
		*r = *newRefs()
		r.left = maxElements
	}
}

// value decodes the element that d has entered.
func (r *refs) value(d *wsman.Decoder, name string) (any, error) {
	if r.left--; r.left < 0 {
		return nil, errTooMany
	}
	switch name {
	case "Obj":
		return r.object(d)
	case "PR":
		return r.progress(d)
	case "Ref":
		id, _ := d.Attr("", "RefId")
		if o := r.objects[id]; o != nil {
			return o, nil
		}
		return nil, nil
	case "Nil":
		return nil, nil
	}
	text, err := d.Text()
	if err != nil {
		return nil, err
	}
	return primitive(name, string(text))
}

// object decodes an Obj.
func (r *refs) object(d *wsman.Decoder) (*Object, error) {
	o := &Object{}
	if id, ok := d.Attr("", "RefId"); ok {
		r.objects[id] = o
	}
	for name := range d.Children() {
		var err error
		switch name.Local {
		case "TN":
			o.Types, err = r.typeNames(d)
		case "TNRef":
			id, _ := d.Attr("", "RefId")
			o.Types = r.types[id]
		case "ToString":
			var text []byte
			text, err = d.Text()
			o.ToString = Unescape(string(text))
		case "Props", "MS":
			err = r.properties(d, o)
		case "LST", "IE", "QUE", "STK":
			err = r.items(d, o)
		case "DCT":
			err = r.dictionary(d, o)
		default:
			o.Value, err = r.value(d, name.Local)
		}
		if err != nil {
			return o, err
		}
	}
	return o, d.Err()
}

func (r *refs) typeNames(d *wsman.Decoder) ([]string, error) {
	id, named := d.Attr("", "RefId")
	var types []string
	for name := range d.Children() {
		if r.left--; r.left < 0 {
			return nil, errTooMany
		}
		if name.Local == "T" {
			text, err := d.Text()
			if err != nil {
				return nil, err
			}
			types = append(types, Unescape(string(text)))
		}
	}
	if named {
		r.types[id] = types
	}
	return types, d.Err()
}

func (r *refs) properties(d *wsman.Decoder, o *Object) error {
	for name := range d.Children() {
		n, _ := d.Attr("", "N")
		v, err := r.value(d, name.Local)
		if err != nil {
			return err
		}
		o.Properties = append(o.Properties, Property{Name: Unescape(n), Value: v})
	}
	return d.Err()
}

func (r *refs) items(d *wsman.Decoder, o *Object) error {
	for name := range d.Children() {
		v, err := r.value(d, name.Local)
		if err != nil {
			return err
		}
		o.Items = append(o.Items, v)
	}
	return d.Err()
}

func (r *refs) dictionary(d *wsman.Decoder, o *Object) error {
	for name := range d.Children() {
		if name.Local != "En" {
			continue
		}
		var e Entry
		for part := range d.Children() {
			n, _ := d.Attr("", "N")
			v, err := r.value(d, part.Local)
			if err != nil {
				return err
			}
			if n == "Key" {
				e.Key = v
			} else {
				e.Value = v
			}
		}
		o.Entries = append(o.Entries, e)
	}
	return d.Err()
}

// primitive converts the text of a primitive value.
func primitive(tag, text string) (any, error) {
	trimmed := strings.TrimSpace(text)
	switch tag {
	case "S", "ToString", "T":
		return Unescape(text), nil
	case "XD":
		return XML(Unescape(text)), nil
	case "SBK":
		return ScriptBlock(Unescape(text)), nil
	case "URI":
		return URI(Unescape(text)), nil
	case "SS":
		return SecureString(trimmed), nil
	case "Version":
		return Version(trimmed), nil
	case "G":
		return GUID(trimmed), nil
	case "D":
		return Decimal(trimmed), nil
	case "TS":
		return Duration(trimmed), nil
	case "B":
		return parsed(strconv.ParseBool(trimmed))
	case "BA":
		return parsed(base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), "")))
	case "DT":
		return dateTime(trimmed)
	}
	return number(tag, trimmed)
}

func number(tag, text string) (any, error) {
	switch tag {
	case "C":
		n, err := strconv.ParseUint(text, 10, 16)
		return parsed(Char(n), err)
	case "By":
		n, err := strconv.ParseUint(text, 10, 8)
		return parsed(uint8(n), err)
	case "SB":
		n, err := strconv.ParseInt(text, 10, 8)
		return parsed(int8(n), err)
	case "U16":
		n, err := strconv.ParseUint(text, 10, 16)
		return parsed(uint16(n), err)
	case "I16":
		n, err := strconv.ParseInt(text, 10, 16)
		return parsed(int16(n), err)
	case "U32":
		n, err := strconv.ParseUint(text, 10, 32)
		return parsed(uint32(n), err)
	case "I32":
		n, err := strconv.ParseInt(text, 10, 32)
		return parsed(int32(n), err)
	case "U64":
		return parsed(strconv.ParseUint(text, 10, 64))
	case "I64":
		return parsed(strconv.ParseInt(text, 10, 64))
	case "Sg":
		f, err := float(text, 32)
		return parsed(float32(f), err)
	case "Db":
		return parsed(float(text, 64))
	}
	return nil, fmt.Errorf("clixml: unknown element %q", tag)
}

func float(text string, bits int) (float64, error) {
	switch text {
	case "INF", "Infinity", "∞":
		return math.Inf(1), nil
	case "-INF", "-Infinity", "-∞":
		return math.Inf(-1), nil
	}
	return strconv.ParseFloat(text, bits)
}

func dateTime(text string) (any, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		// DateTimeKind.Unspecified has no zone.
		t, err = time.Parse("2006-01-02T15:04:05.9999999", text)
	}
	return parsed(t, err)
}

func parsed[T any](v T, err error) (any, error) {
	if err != nil {
		return nil, fmt.Errorf("clixml: %w", err)
	}
	return v, nil
}
