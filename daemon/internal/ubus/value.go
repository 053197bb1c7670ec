package ubus

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// Field is one named value of a table. Value is nil, bool, int8 (an INT8 that
// is neither 0 nor 1), int16, int32, int64, float64, string, []any or Table
// when it was decoded; a table to be sent may hold whatever Marshal takes.
type Field struct {
	Name  string
	Value any
}

// Table is a blobmsg table: named values in the order of the wire.
type Table []Field

// Get returns the first value with this name, as libubox's parser does.
func (t Table) Get(name string) (any, bool) {
	for i := range t {
		if t[i].Name == name {
			return t[i].Value, true
		}
	}
	return nil, false
}

// Has tells whether a value with this name is there and not null.
func (t Table) Has(name string) bool {
	v, ok := t.Get(name)
	return ok && v != nil
}

// ArgError says which argument is wrong and what is accepted.
type ArgError struct {
	Name string // argument
	Got  string // what came, in words
	Want string // what is accepted, in words
}

// Error names the argument, what is accepted and what came.
func (e *ArgError) Error() string {
	return fmt.Sprintf("argument %s: want %s, got %s", e.Name, e.Want, e.Got)
}

// Int returns the integer called name, or def when it is absent or null. JSON
// callers send INT32, INT64, DOUBLE or BOOL for the same thing: all are taken
// if the value is whole.
func (t Table) Int(name string, def int64) (int64, error) {
	v, ok := t.Get(name)
	if !ok || v == nil {
		return def, nil
	}
	if n, ok := toInt(v); ok {
		return n, nil
	}
	return 0, &ArgError{Name: name, Got: describe(v), Want: "an integer"}
}

// Float returns the number called name, or def when it is absent or null.
func (t Table) Float(name string, def float64) (float64, error) {
	v, ok := t.Get(name)
	if !ok || v == nil {
		return def, nil
	}
	if f, ok := toFloat(v); ok {
		return f, nil
	}
	return 0, &ArgError{Name: name, Got: describe(v), Want: "a number"}
}

// Bool returns the boolean called name, or def when it is absent or null. The
// numbers 0 and 1 are taken too.
func (t Table) Bool(name string, def bool) (bool, error) {
	v, ok := t.Get(name)
	if !ok || v == nil {
		return def, nil
	}
	if b, ok := toBool(v); ok {
		return b, nil
	}
	return false, &ArgError{Name: name, Got: describe(v), Want: "true or false"}
}

// Text returns the string called name, or def when it is absent or null.
func (t Table) Text(name, def string) (string, error) {
	v, ok := t.Get(name)
	if !ok || v == nil {
		return def, nil
	}
	if s, ok := v.(string); ok {
		return s, nil
	}
	return "", &ArgError{Name: name, Got: describe(v), Want: "a string"}
}

// Table returns the table called name, or nil when it is absent or null.
func (t Table) Table(name string) (Table, error) {
	v, ok := t.Get(name)
	if !ok || v == nil {
		return nil, nil
	}
	if s, ok := v.(Table); ok {
		return s, nil
	}
	return nil, &ArgError{Name: name, Got: describe(v), Want: "a table"}
}

// List returns the array called name, or nil when it is absent or null.
func (t Table) List(name string) ([]any, error) {
	v, ok := t.Get(name)
	if !ok || v == nil {
		return nil, nil
	}
	if s, ok := v.([]any); ok {
		return s, nil
	}
	return nil, &ArgError{Name: name, Got: describe(v), Want: "an array"}
}

// without returns t without the fields called name; t itself when there are none.
func (t Table) without(name string) Table {
	if _, ok := t.Get(name); !ok {
		return t
	}
	out := make(Table, 0, len(t)-1)
	for _, f := range t {
		if f.Name != name {
			out = append(out, f)
		}
	}
	return out
}

// Map returns the table as maps; of equal names the first stays.
func (t Table) Map() map[string]any {
	m := make(map[string]any, len(t))
	for _, f := range t {
		if _, dup := m[f.Name]; !dup {
			m[f.Name] = plain(f.Value)
		}
	}
	return m
}

func plain(v any) any {
	switch v := v.(type) {
	case Table:
		return v.Map()
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	}
	return v
}

// JSON returns the table as one JSON object, in the order of the wire.
func (t Table) JSON() []byte { return appendJSON(nil, t) }

// MarshalJSON writes the table as one JSON object, in the order of the wire.
func (t Table) MarshalJSON() ([]byte, error) { return t.JSON(), nil }

// String returns the table as JSON.
func (t Table) String() string { return string(t.JSON()) }

func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case int8: // INT8 is the protocol's boolean
		return strconv.AppendBool(b, v != 0)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return append(b, "null"...)
		}
	case string:
		return appendJSONString(b, v)
	case []any:
		return appendJSONList(b, v)
	case Table:
		return appendJSONTable(b, v)
	}
	if n, ok := toInt(v); ok && !isFloat(v) {
		return strconv.AppendInt(b, n, 10)
	}
	out, err := json.Marshal(v)
	if err != nil { // only a table built by hand can hold such a value
		return append(b, "null"...)
	}
	return append(b, out...)
}

func appendJSONList(b []byte, list []any) []byte {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, v)
	}
	return append(b, ']')
}

func appendJSONTable(b []byte, t Table) []byte {
	b = append(b, '{')
	for i := range t {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendJSONString(b, t[i].Name), ':')
		b = appendJSON(b, t[i].Value)
	}
	return append(b, '}')
}

// appendJSONString quotes s (RFC 8259 §7); bytes that are no UTF-8 become U+FFFD.
func appendJSONString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, '\\', 'n')
		case r == '\t':
			b = append(b, '\\', 't')
		case r < 0x20 || r == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
