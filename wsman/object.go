package wsman

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Row is an object whose shape is not known beforehand: property names and
// values. A value is a string (XML does not tell numbers from text), nil for a
// null, a [time.Time] or [time.Duration] for a CIM datetime, an
// [*EndpointReference], a Row for an embedded object, or a []any of these for
// an array of two and more.
type Row map[string]any

// DecodeError says that a property does not fit the Go value meant for it.
type DecodeError struct {
	Property string
	Text     string // what the property holds, cut to a readable length
	Type     reflect.Type
	Err      error // the reason, if there is more to say
}

func (e *DecodeError) Error() string {
	s := fmt.Sprintf("wsman: property %s: %q does not fit %s", e.Property, e.Text, e.Type)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *DecodeError) Unwrap() error { return e.Err }

// Decode reads the current element into v, which is one of
//
//   - a pointer to a struct: child elements go to the fields of the same name,
//     compared without regard to case as WMI does, or of the tag `wsman:"Name"`;
//     children without a field are skipped,
//   - a pointer to a [Row] or a map[string]any,
//   - a pointer to an [EndpointReference],
//   - a func(*Decoder) error, which is called,
//   - nil, and the element is skipped,
//   - a pointer to anything that a field can be: the element's text goes there.
//
// A field can be a string, a number, a bool, a [time.Time] or [time.Duration]
// (a CIM datetime in any of its forms), an [encoding.TextUnmarshaler], an
// [EndpointReference], an embedded object as a struct or Row, any, a pointer to
// one of these, or a slice of them, which takes repeated elements. A null
// leaves the field as it is.
//
// A [*DecodeError] does not spoil the Decoder: the element has been consumed.
func (d *Decoder) Decode(v any) error {
	depth := len(d.open) - 1
	err := d.decode(v)
	d.leave(depth)
	if d.err != nil {
		return d.err
	}
	return err
}

func (d *Decoder) decode(v any) error {
	switch v := v.(type) {
	case nil:
		return nil
	case func(*Decoder) error:
		return v(d)
	}
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return fmt.Errorf("wsman: cannot decode into a %T", v)
	}
	return d.setValue(p.Elem(), d.where())
}

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
	eprType      = reflect.TypeFor[EndpointReference]()
	rowType      = reflect.TypeFor[Row]()
	mapType      = reflect.TypeFor[map[string]any]()
)

// setValue reads the current element into a Go value.
func (d *Decoder) setValue(v reflect.Value, property string) error {
	if v.Kind() == reflect.Slice && v.Type() != rowType {
		if isNil(d) {
			return nil
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		if err := d.setValue(elem, property); err != nil {
			return err
		}
		v.Set(reflect.Append(v, elem))
		return nil
	}
	if isNil(d) {
		return d.Skip()
	}
	switch {
	case v.Kind() == reflect.Pointer:
		elem := reflect.New(v.Type().Elem())
		if err := d.setValue(elem.Elem(), property); err != nil {
			return err
		}
		v.Set(elem)
		return nil
	case v.Type() == eprType:
		return v.Addr().Interface().(*EndpointReference).Decode(d)
	case v.Type() == rowType, v.Type() == mapType:
		row, err := d.row()
		v.Set(reflect.ValueOf(row).Convert(v.Type()))
		return err
	case v.Kind() == reflect.Interface && v.NumMethod() == 0:
		x, err := d.anyValue()
		if x != nil {
			v.Set(reflect.ValueOf(x))
		}
		return err
	case v.Kind() == reflect.Struct && v.Type() != timeType && !isTextUnmarshaler(v):
		return d.setStruct(v)
	}
	text, err := d.scalar()
	if err != nil {
		return err
	}
	if err := setScalar(v, text); err != nil {
		return &DecodeError{Property: property, Text: oneLine(text, 80), Type: v.Type(), Err: err}
	}
	return nil
}

func isTextUnmarshaler(v reflect.Value) bool {
	_, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
	return ok
}

// setStruct reads the children of the current element into fields. It goes on
// after a property that does not fit, and returns the first such error.
func (d *Decoder) setStruct(v reflect.Value) error {
	plan := planOf(v.Type())
	var first error
	for n := range d.Children() {
		index, ok := plan.find(n.Local)
		if !ok {
			continue
		}
		if err := d.setValue(fieldByIndex(v, index), n.Local); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// row reads the children of the current element.
func (d *Decoder) row() (Row, error) {
	row := make(Row)
	for n := range d.Children() {
		x, err := d.anyValue()
		if err != nil {
			return row, err
		}
		old, again := row[n.Local]
		list, isList := old.([]any)
		switch {
		case !again:
			row[n.Local] = x
		case isList:
			row[n.Local] = append(list, x)
		default:
			row[n.Local] = []any{old, x}
		}
	}
	return row, d.Err()
}

// scalar reads a value that is text, or text in the element of a CIM datetime
// (DSP0230, 8.1).
func (d *Decoder) scalar() (string, error) {
	text, child, err := d.textOrChild()
	if err != nil || child == (Name{}) {
		return text, err
	}
	if child.Space != NSCIM {
		d.leave(len(d.open) - 2)
		return "", &DecodeError{Property: d.where(), Text: child.Local, Type: reflect.TypeFor[string](), Err: errEmbedded}
	}
	text, err = d.Value()
	d.leave(len(d.open) - 1)
	return text, err
}

var errEmbedded = fmt.Errorf("it holds an object")

// textOrChild reads the text of the current element and consumes it, or stops
// in its first child.
func (d *Decoder) textOrChild() (text string, child Name, err error) {
	var b []byte
	for {
		switch d.token() {
		case tokenText:
			b = append(b, d.segment()...)
		case tokenStart:
			return "", d.current().name, nil
		case tokenEnd:
			return d.intern(b), Name{}, nil
		default:
			return "", Name{}, d.err
		}
	}
}

// anyValue reads the current element into the type that fits it.
func (d *Decoder) anyValue() (any, error) {
	if isNil(d) {
		return nil, d.Skip()
	}
	depth := len(d.open) - 1
	saved := *d
	text, child, err := d.textOrChild()
	if err != nil {
		return nil, err
	}
	defer d.leave(depth)
	switch {
	case child == Name{}:
		return text, nil
	case child.Space == NSCIM:
		text, err := d.Value()
		if err != nil {
			return nil, err
		}
		if t, err := ParseDatetime(text); err == nil {
			return t, nil
		}
		if i, err := ParseInterval(text); err == nil {
			return i, nil
		}
		return text, nil
	case child.Space == NSAddressing && child.Local == "EndpointReference":
		epr := new(EndpointReference)
		return epr, epr.Decode(d)
	}
	// An object, or a reference without a wrapper: read it again as such.
	// Nothing was changed in the document by looking at it.
	*d = saved
	if child.Space == NSAddressing {
		epr := new(EndpointReference)
		return epr, epr.Decode(d)
	}
	return d.row()
}

// setScalar parses text into a Go value.
func setScalar(v reflect.Value, text string) error {
	switch v.Type() {
	case timeType:
		t, err := ParseDatetime(text)
		v.Set(reflect.ValueOf(t))
		return err
	case durationType:
		t, err := ParseInterval(text)
		v.SetInt(int64(t))
		return err
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	if v.Kind() == reflect.String {
		v.SetString(text)
		return nil
	}
	text = strings.TrimSpace(text)
	bits := 0
	if v.CanInt() || v.CanUint() || v.CanFloat() {
		bits = v.Type().Bits()
	}
	switch {
	case v.Kind() == reflect.Bool:
		if !isTrue(text) && text != "0" && !equalFold(text, "false") {
			return strconv.ErrSyntax
		}
		v.SetBool(isTrue(text))
		return nil
	case v.CanInt():
		n, err := strconv.ParseInt(text, 10, bits)
		v.SetInt(n)
		return numError(err)
	case v.CanUint():
		n, err := strconv.ParseUint(text, 10, bits)
		v.SetUint(n)
		return numError(err)
	case v.CanFloat():
		n, err := strconv.ParseFloat(text, bits)
		v.SetFloat(n)
		return numError(err)
	}
	return fmt.Errorf("no text can be stored in it")
}

// numError leaves out what DecodeError says already.
func numError(err error) error {
	if e, ok := err.(*strconv.NumError); ok { //nolint:errorlint // strconv does not wrap
		return e.Err
	}
	return err
}
