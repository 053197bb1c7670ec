package ubus

import (
	"fmt"
	"math"
	"reflect"
)

// Raw is the encoded content of a table, as Marshal makes it. It is sent as it
// is, so that one encoding can serve many.
type Raw []byte

// Marshal encodes v, a struct, a map with string-like keys, a Table, a Raw or a
// pointer to one of these, as the content of a table. Nil is the empty table.
//
// Struct fields follow their `json` tags: name, "-", omitempty, omitzero, and
// embedded structs are flattened as encoding/json does. int64 is always INT64;
// other integers are INT32 if they fit, else INT64; bool is INT8; floats are
// DOUBLE, but null when they are no number; []byte is base64 text; a type with
// MarshalText is STRING; nil pointers and interfaces are null, nil slices the
// empty array, nil maps the empty table. Map keys are sorted. In a Table the
// values int8, int16, int32 and int64 keep their width.
func Marshal(v any) ([]byte, error) {
	b, err := appendContent(nil, v)
	if err != nil {
		return nil, err
	}
	if len(b) > MaxMessage {
		return nil, fmt.Errorf("blobmsg of %d bytes, at most %d: %w", len(b), MaxMessage, ErrTooLarge)
	}
	return b, nil
}

// appendContent appends the fields of v without a head of their own.
func appendContent(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return b, nil
	case Raw:
		return append(b, v...), nil
	case Table:
		return appendFields(b, v, 0)
	}
	rv := reflect.ValueOf(v)
	for rv.Kind() == reflect.Pointer {
		if rv.IsNil() {
			return b, nil
		}
		rv = rv.Elem()
	}
	p := planOf(rv.Type())
	if p.content == nil {
		return b, fmt.Errorf("encode %s: only structs, maps and tables have names: %w", rv.Type(), ErrUnsupported)
	}
	return p.content(b, rv, 0)
}

func appendFields(b []byte, t Table, depth int) ([]byte, error) {
	if depth >= MaxDepth {
		return b, tooDeep()
	}
	var scratch [64]byte
	for i := range t {
		if len(t[i].Name) > maxName {
			return b, fmt.Errorf("name of %d bytes, at most %d: %w", len(t[i].Name), maxName, ErrTooLarge)
		}
		var err error
		if b, err = appendValue(b, appendName(scratch[:0], t[i].Name), t[i].Value, depth); err != nil {
			return b, fmt.Errorf("%.64s: %w", t[i].Name, err)
		}
	}
	return b, nil
}

// appendValue writes a value that a table holds, keeping integer widths.
func appendValue(b, name []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return appendNull(b, name), nil
	case bool:
		return appendBool(b, name, v), nil
	case int8:
		return appendInt8(b, name, v), nil
	case int16:
		return appendInt16(b, name, v), nil
	case int32:
		return appendInt32(b, name, v), nil
	case int64:
		return appendInt64(b, name, v), nil
	case float64:
		return appendDouble(b, name, math.Float64bits(v)), nil
	case string:
		return appendString(b, name, v)
	case Table:
		b, at := open(b, extended|byte(TableType), name)
		b, err := appendFields(b, v, depth+1)
		if err != nil {
			return b, err
		}
		return closeAttr(b, at)
	case []any:
		return appendElements(b, name, v, depth)
	}
	rv := reflect.ValueOf(v)
	return planOf(rv.Type()).encode(b, name, rv, depth)
}

func appendElements(b, name []byte, list []any, depth int) ([]byte, error) {
	if depth+1 >= MaxDepth {
		return b, tooDeep()
	}
	b, at := open(b, extended|byte(Array), name)
	for i := range list {
		var err error
		if b, err = appendValue(b, noName, list[i], depth+1); err != nil {
			return b, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return closeAttr(b, at)
}

func tooDeep() error {
	return fmt.Errorf("nested deeper than %d: %w", MaxDepth, ErrTooLarge)
}
