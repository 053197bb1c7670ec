package ubus

import (
	"encoding"
	"encoding/base64"
	"fmt"
	"math"
	"reflect"
	"sort"
	"strconv"
	"sync"
)

// encodeFunc appends one field with the given name header.
type encodeFunc func(b, name []byte, v reflect.Value, depth int) ([]byte, error)

// contentFunc appends the fields of a value that is a table.
type contentFunc func(b []byte, v reflect.Value, depth int) ([]byte, error)

// plan is how one Go type is written.
type plan struct {
	encode  encodeFunc
	content contentFunc // nil unless the type is a table
}

// plans remembers what was found out about types. It is a memo: what it holds
// follows from the types alone, so sharing it changes no behaviour.
var plans sync.Map // reflect.Type -> *plan

var (
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
	tableType     = reflect.TypeFor[Table]()
	rawType       = reflect.TypeFor[Raw]()
)

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	pl := planner{}
	p := pl.plan(t)
	for t, made := range pl { // complete now: publish
		plans.LoadOrStore(t, made)
	}
	return p
}

// planner holds the plans being made. A type that contains itself finds its own
// unfinished plan here; it is finished before anybody uses it.
type planner map[reflect.Type]*plan

func (pl planner) plan(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	if p, ok := pl[t]; ok {
		return p
	}
	p := &plan{}
	pl[t] = p
	pl.fill(p, t)
	if p.content != nil {
		p.encode = func(b, name []byte, v reflect.Value, depth int) ([]byte, error) {
			if depth+1 >= MaxDepth {
				return b, tooDeep()
			}
			b, at := open(b, extended|byte(TableType), name)
			b, err := p.content(b, v, depth+1)
			if err != nil {
				return b, err
			}
			return closeAttr(b, at)
		}
	}
	return p
}

func (pl planner) fill(p *plan, t reflect.Type) {
	switch {
	case t == tableType:
		p.content = func(b []byte, v reflect.Value, depth int) ([]byte, error) {
			return appendFields(b, v.Interface().(Table), depth)
		}
	case t == rawType:
		p.content = func(b []byte, v reflect.Value, _ int) ([]byte, error) {
			return append(b, v.Bytes()...), nil
		}
	case t.Implements(textMarshaler):
		p.encode = encodeText
	default:
		p.encode = scalar(t.Kind())
		if p.encode == nil {
			pl.compound(p, t)
		}
	}
}

// scalar returns how values of a kind without parts are written, nil for others.
func scalar(k reflect.Kind) encodeFunc {
	switch k {
	case reflect.Bool:
		return func(b, name []byte, v reflect.Value, _ int) ([]byte, error) {
			return appendBool(b, name, v.Bool()), nil
		}
	case reflect.Int64:
		return func(b, name []byte, v reflect.Value, _ int) ([]byte, error) {
			return appendInt64(b, name, v.Int()), nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32:
		return encodeInt
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return encodeUint
	case reflect.Float32, reflect.Float64:
		return encodeFloat
	case reflect.String:
		return func(b, name []byte, v reflect.Value, _ int) ([]byte, error) {
			return appendString(b, name, v.String())
		}
	}
	return nil
}

// compound plans a type that has parts.
func (pl planner) compound(p *plan, t reflect.Type) {
	switch t.Kind() {
	case reflect.Struct:
		p.content = pl.structContent(t)
	case reflect.Map:
		p.content = pl.mapContent(t)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 && !t.Elem().Implements(textMarshaler) {
			p.encode = encodeBytes
			return
		}
		p.encode = pl.list(t)
	case reflect.Array:
		p.encode = pl.list(t)
	case reflect.Pointer:
		p.encode = encodePointer(pl.plan(t.Elem()))
	case reflect.Interface:
		p.encode = func(b, name []byte, v reflect.Value, depth int) ([]byte, error) {
			if v.IsNil() {
				return appendNull(b, name), nil
			}
			v = v.Elem()
			return planOf(v.Type()).encode(b, name, v, depth)
		}
	default:
		p.encode = func(b, _ []byte, _ reflect.Value, _ int) ([]byte, error) {
			return b, fmt.Errorf("encode %s: %w", t, ErrUnsupported)
		}
	}
}

func encodeInt(b, name []byte, v reflect.Value, _ int) ([]byte, error) {
	n := v.Int()
	if n < math.MinInt32 || n > math.MaxInt32 {
		return appendInt64(b, name, n), nil
	}
	return appendInt32(b, name, int32(n)), nil
}

func encodeUint(b, name []byte, v reflect.Value, _ int) ([]byte, error) {
	n := v.Uint()
	switch {
	case n <= math.MaxInt32:
		return appendInt32(b, name, int32(n)), nil
	case n <= math.MaxInt64:
		return appendInt64(b, name, int64(n)), nil
	}
	return b, fmt.Errorf("encode %d: does not fit INT64: %w", n, ErrTooLarge)
}

// encodeFloat writes null for NaN and infinities: JSON, which every reader on
// OpenWrt turns this into, has no word for them.
func encodeFloat(b, name []byte, v reflect.Value, _ int) ([]byte, error) {
	f := v.Float()
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return appendNull(b, name), nil
	}
	return appendDouble(b, name, math.Float64bits(f)), nil
}

func encodeBytes(b, name []byte, v reflect.Value, _ int) ([]byte, error) {
	b, at := open(b, extended|byte(String), name)
	b = base64.StdEncoding.AppendEncode(b, v.Bytes())
	return closeAttr(append(b, 0), at)
}

func encodeText(b, name []byte, v reflect.Value, _ int) ([]byte, error) {
	if (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) && v.IsNil() {
		return appendNull(b, name), nil
	}
	text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
	if err != nil {
		return b, fmt.Errorf("encode %s: %w", v.Type(), err)
	}
	b, at := open(b, extended|byte(String), name)
	b = append(b, text...)
	return closeAttr(append(b, 0), at)
}

func encodePointer(elem *plan) encodeFunc {
	return func(b, name []byte, v reflect.Value, depth int) ([]byte, error) {
		if v.IsNil() {
			return appendNull(b, name), nil
		}
		if depth+1 >= MaxDepth { // a chain of pointers that ends nowhere
			return b, tooDeep()
		}
		return elem.encode(b, name, v.Elem(), depth)
	}
}

func (pl planner) list(t reflect.Type) encodeFunc {
	elem := pl.plan(t.Elem())
	return func(b, name []byte, v reflect.Value, depth int) ([]byte, error) {
		if depth+1 >= MaxDepth {
			return b, tooDeep()
		}
		b, at := open(b, extended|byte(Array), name)
		for i := range v.Len() {
			var err error
			if b, err = elem.encode(b, noName, v.Index(i), depth+1); err != nil {
				return b, fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return closeAttr(b, at)
	}
}

func (pl planner) mapContent(t reflect.Type) contentFunc {
	elem := pl.plan(t.Elem())
	return func(b []byte, v reflect.Value, depth int) ([]byte, error) {
		type entry struct {
			key string
			val reflect.Value
		}
		entries := make([]entry, 0, v.Len())
		for it := v.MapRange(); it.Next(); {
			key, err := keyText(it.Key())
			if err != nil {
				return b, fmt.Errorf("encode %s: %w", t, err)
			}
			entries = append(entries, entry{key, it.Value()})
		}
		sort.Slice(entries, func(i, j int) bool { return compare(entries[i].key, entries[j].key) < 0 })
		var scratch [64]byte
		for _, e := range entries {
			if len(e.key) > maxName {
				return b, fmt.Errorf("key of %d bytes, at most %d: %w", len(e.key), maxName, ErrTooLarge)
			}
			var err error
			if b, err = elem.encode(b, appendName(scratch[:0], e.key), e.val, depth); err != nil {
				return b, fmt.Errorf("%.64s: %w", e.key, err)
			}
		}
		return b, nil
	}
}

// keyText writes a map key as encoding/json does.
func keyText(k reflect.Value) (string, error) {
	if k.Kind() == reflect.String {
		return k.String(), nil
	}
	if m, ok := k.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		return string(text), err
	}
	switch {
	case k.CanInt():
		return strconv.FormatInt(k.Int(), 10), nil
	case k.CanUint():
		return strconv.FormatUint(k.Uint(), 10), nil
	}
	return "", fmt.Errorf("key %s: %w", k.Type(), ErrUnsupported)
}
