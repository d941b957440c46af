package wsman

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// Object returns a body that consists of one object: an element of this name in
// the namespace uri, whose properties are those of v. It is what Put, Create
// and Invoke of WMI classes want.
//
// v is a struct or a pointer to one (fields in order, named as for
// [Decoder.Decode]), a [Row] or map[string]any (in alphabetical order), or nil.
// Nil pointers, nil slices and nil values in a map are left out; a value can
// be what Decode produces. The option `wsman:",omitempty"` leaves out zero
// fields.
func Object(uri, name string, v any) func(*Encoder) {
	return func(e *Encoder) {
		e.Start("c:" + name)
		e.Namespace("c", uri)
		encodeProperties(e, reflect.ValueOf(v))
		e.End()
	}
}

func encodeProperties(e *Encoder, v reflect.Value) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch {
	case !v.IsValid():
	case v.Kind() == reflect.Struct:
		for _, f := range planOf(v.Type()).fields {
			field, err := v.FieldByIndexErr(f.index)
			if err != nil || field.IsZero() && omitEmpty(v.Type(), f.index) {
				continue
			}
			encodeProperty(e, f.name, field)
		}
	case v.Type().ConvertibleTo(mapType):
		m := v.Convert(mapType).Interface().(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(m)) {
			encodeProperty(e, name, reflect.ValueOf(m[name]))
		}
	default:
		e.setErr(fmt.Errorf("wsman: a %s is not an object", v.Type()))
	}
}

func omitEmpty(t reflect.Type, index []int) bool {
	tag := t.FieldByIndex(index).Tag.Get("wsman")
	return len(tag) > len("omitempty") && tag[len(tag)-len(",omitempty"):] == ",omitempty"
}

func encodeProperty(e *Encoder, name string, v reflect.Value) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	if !v.IsValid() {
		return
	}
	if v.Kind() == reflect.Slice && !isText(v) {
		for i := range v.Len() {
			encodeProperty(e, name, v.Index(i))
		}
		return
	}
	e.Start("c:" + name)
	encodeValue(e, v)
	e.End()
}

func isText(v reflect.Value) bool {
	_, ok := v.Interface().(encoding.TextMarshaler)
	return ok
}

func encodeValue(e *Encoder, v reflect.Value) {
	switch x := v.Interface().(type) {
	case time.Time:
		e.Start("cim:Datetime")
		e.Namespace("cim", NSCIM)
		e.Text(FormatDatetime(x))
		e.End()
		return
	case time.Duration:
		e.Start("cim:Interval")
		e.Namespace("cim", NSCIM)
		e.Text(FormatDuration(x))
		e.End()
		return
	case EndpointReference:
		x.Encode(e)
		return
	case encoding.TextMarshaler:
		text, err := x.MarshalText()
		e.setErr(err)
		e.Text(string(text))
		return
	}
	switch {
	case v.Kind() == reflect.String:
		e.Text(v.String())
	case v.Kind() == reflect.Bool:
		e.Text(strconv.FormatBool(v.Bool()))
	case v.CanInt():
		e.Text(strconv.FormatInt(v.Int(), 10))
	case v.CanUint():
		e.Text(strconv.FormatUint(v.Uint(), 10))
	case v.CanFloat():
		e.Text(strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits()))
	default:
		encodeProperties(e, v)
	}
}
