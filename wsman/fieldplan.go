package wsman

import (
	"reflect"
	"strings"
	"sync"
)

// fieldPlan tells where the properties of an object go in a struct.
type fieldPlan struct {
	fields []plannedField
	exact  map[string][]int
	folded map[string][]int // by lower-case name
}

type plannedField struct {
	name  string
	index []int
}

// plans caches the plan of each type; it only ever grows by types of the
// program.
var plans sync.Map // reflect.Type -> *fieldPlan

func planOf(t reflect.Type) *fieldPlan {
	if p, ok := plans.Load(t); ok {
		return p.(*fieldPlan)
	}
	p := &fieldPlan{exact: make(map[string][]int), folded: make(map[string][]int)}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("wsman"), ",")
		if !f.IsExported() || name == "-" || f.Anonymous && name == "" && isStruct(f.Type) {
			continue
		}
		if name == "" {
			name = f.Name
		}
		if _, taken := p.exact[name]; taken {
			continue // an outer field hides an inner one
		}
		p.exact[name] = f.Index
		p.folded[strings.ToLower(name)] = f.Index
		p.fields = append(p.fields, plannedField{name: name, index: f.Index})
	}
	actual, _ := plans.LoadOrStore(t, p)
	return actual.(*fieldPlan)
}

func isStruct(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct && t != timeType && t != eprType
}

func (p *fieldPlan) find(name string) ([]int, bool) {
	if i, ok := p.exact[name]; ok {
		return i, true
	}
	i, ok := p.folded[strings.ToLower(name)]
	return i, ok
}

// fieldByIndex is reflect's FieldByIndex that makes the embedded structs on
// its way.
func fieldByIndex(v reflect.Value, index []int) reflect.Value {
	for i, at := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(at)
	}
	return v
}
