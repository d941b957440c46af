package config

import (
	"fmt"
	"strconv"
)

// Source says where a value comes from.
type Source string

// Sources of values. Others are passed on as the host writes them.
const (
	Local         Source = ""              // set on the host, or its default
	Policy        Source = "GPO"           // group policy: only that can change it
	Compatibility Source = "Compatibility" // a listener made for old clients
)

// A Value is one setting. The zero Value says nothing: a host that does not
// have the setting, or a change that leaves it alone.
type Value[T any] struct {
	V      T
	Source Source
	Known  bool // V says something
}

// Bool is a Value for a change.
func Bool(v bool) Value[bool] { return Value[bool]{V: v, Known: true} }

// Text is a Value for a change.
func Text(v string) Value[string] { return Value[string]{V: v, Known: true} }

// Number is a Value for a change.
func Number(v uint32) Value[uint32] { return Value[uint32]{V: v, Known: true} }

// String is the value as the wire has it, "" for one that says nothing.
func (v Value[T]) String() string {
	text, _ := v.text()
	return text
}

// A setting is a Value whatever its type.
type setting interface {
	text() (string, bool)
	parse(text string, source Source) error
}

func (v Value[T]) text() (string, bool) { return fmt.Sprint(v.V), v.Known }

func (v *Value[T]) parse(text string, source Source) error {
	var err error
	switch p := any(&v.V).(type) {
	case *string:
		*p = text
	case *Secret:
		*p = Secret(text)
	case *bool:
		*p, err = parseBool(text)
	case *uint32:
		var n uint64
		n, err = strconv.ParseUint(text, 10, 32)
		*p = uint32(n)
	default:
		panic(fmt.Sprintf("config: no setting has the type %T", p)) // not reachable from outside
	}
	if err != nil {
		return err
	}
	v.Source, v.Known = source, true
	return nil
}

// parseBool reads an xs:boolean.
func parseBool(text string) (bool, error) {
	switch text {
	case "true", "1", "True", "TRUE":
		return true, nil
	case "false", "0", "False", "FALSE":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", text)
}
