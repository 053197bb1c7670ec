package ubus

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

func compare(x, y string) int { return cmp.Compare(x, y) }

// member is one field of a struct under the name that the wire sees.
type member struct {
	name   string
	index  []int // path through embedded structs
	typ    reflect.Type
	tagged bool
	empty  bool // omitempty
	zero   bool // omitzero
	bad    string
}

// members lists what encoding/json would: exported fields and those of embedded
// structs; of equal names the shallowest wins, then the tagged one, then none.
func members(t reflect.Type) []member {
	var all []member
	collect(t, nil, map[reflect.Type]bool{}, &all)
	byName := map[string][]member{}
	for _, m := range all {
		byName[m.name] = append(byName[m.name], m)
	}
	out := all[:0]
	for _, m := range all {
		if w, ok := winner(byName[m.name]); ok && slices.Equal(w.index, m.index) {
			out = append(out, m)
		}
	}
	return out
}

func collect(t reflect.Type, path []int, above map[reflect.Type]bool, out *[]member) {
	if above[t] { // a struct that embeds itself adds nothing new
		return
	}
	above[t] = true
	defer delete(above, t)
	for i := range t.NumField() {
		f := t.Field(i)
		tag, hasTag := f.Tag.Lookup("json")
		if tag == "-" {
			continue
		}
		name, opts, _ := strings.Cut(tag, ",")
		index := append(slices.Clone(path), i)
		elem := f.Type
		if elem.Kind() == reflect.Pointer {
			elem = elem.Elem()
		}
		if f.Anonymous && name == "" && elem.Kind() == reflect.Struct && !f.Type.Implements(textMarshaler) {
			if f.IsExported() || f.Type.Kind() != reflect.Pointer {
				collect(elem, index, above, out)
			}
			continue
		}
		if !f.IsExported() && !(f.Anonymous && f.Type.Kind() == reflect.Struct) {
			continue
		}
		m := member{name: name, index: index, typ: f.Type, tagged: hasTag && name != ""}
		if name == "" {
			m.name = f.Name
		}
		for opt := range strings.SplitSeq(opts, ",") {
			switch opt {
			case "":
			case "omitempty":
				m.empty = true
			case "omitzero":
				m.zero = true
			default:
				m.bad = opt
			}
		}
		*out = append(*out, m)
	}
}

// winner picks the field that a name means.
func winner(ms []member) (member, bool) {
	least := slices.MinFunc(ms, func(a, b member) int { return cmp.Compare(len(a.index), len(b.index)) })
	var top, tagged []member
	for _, m := range ms {
		if len(m.index) == len(least.index) {
			top = append(top, m)
			if m.tagged {
				tagged = append(tagged, m)
			}
		}
	}
	if len(tagged) == 1 {
		return tagged[0], true
	}
	return top[0], len(top) == 1
}

// structField is a member ready to be written.
type structField struct {
	member
	header []byte
	plan   *plan
}

func (pl planner) structContent(t reflect.Type) contentFunc {
	var fields []structField
	for _, m := range members(t) {
		header, err := nameHeader(m.name)
		if m.bad != "" {
			err = fmt.Errorf("tag option %q: %w", m.bad, ErrUnsupported)
		}
		if err != nil {
			return func(b []byte, _ reflect.Value, _ int) ([]byte, error) {
				return b, fmt.Errorf("encode %s.%s: %w", t, m.name, err)
			}
		}
		fields = append(fields, structField{m, header, pl.plan(m.typ)})
	}
	return func(b []byte, v reflect.Value, depth int) ([]byte, error) {
		for i := range fields {
			f := &fields[i]
			fv, ok := walk(v, f.index)
			if !ok || f.empty && isEmpty(fv) || f.zero && fv.IsZero() {
				continue
			}
			var err error
			if b, err = f.plan.encode(b, f.header, fv, depth); err != nil {
				return b, fmt.Errorf("%s: %w", f.name, err)
			}
		}
		return b, nil
	}
}

// walk follows a path of field numbers; a nil embedded pointer ends it.
func walk(v reflect.Value, index []int) (reflect.Value, bool) {
	if len(index) == 1 {
		return v.Field(index[0]), true
	}
	for _, i := range index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return reflect.Value{}, false
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v, true
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}
