package ubus

import (
	"encoding"
	"encoding/base64"
	"fmt"
	"reflect"
	"strconv"
)

// Unmarshal decodes the content of a table into v, a pointer to a struct (by
// its `json` tags), a map with string keys, a Table or an any. Names without a
// field are skipped, absent ones leave their field alone. Numbers are converted
// where nothing is lost, null sets pointers, maps, slices and interfaces to nil
// and leaves the rest alone.
func Unmarshal(b []byte, v any) error {
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Pointer || rv.IsNil() {
		return fmt.Errorf("decode into %T: want a pointer: %w", v, ErrUnsupported)
	}
	t, err := ParseTable(b)
	if err != nil {
		return err
	}
	return assign(rv.Elem(), t)
}

// Decode stores the table into v, as Unmarshal does.
func (t Table) Decode(v any) error {
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Pointer || rv.IsNil() {
		return fmt.Errorf("decode into %T: want a pointer: %w", v, ErrUnsupported)
	}
	return assign(rv.Elem(), t)
}

func assign(dst reflect.Value, v any) error {
	if v == nil {
		switch dst.Kind() {
		case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
			dst.SetZero()
		}
		return nil
	}
	if dst.Type() == tableType {
		if t, ok := v.(Table); ok {
			dst.Set(reflect.ValueOf(t))
			return nil
		}
	}
	if dst.Kind() == reflect.Pointer {
		if dst.IsNil() {
			dst.Set(reflect.New(dst.Type().Elem()))
		}
		return assign(dst.Elem(), v)
	}
	if dst.CanAddr() {
		if u, ok := dst.Addr().Interface().(encoding.TextUnmarshaler); ok {
			s, ok := v.(string)
			if !ok {
				return mismatch(dst, v)
			}
			return u.UnmarshalText([]byte(s))
		}
	}
	return assignKind(dst, v)
}

func assignKind(dst reflect.Value, v any) error {
	switch dst.Kind() {
	case reflect.Interface:
		if dst.NumMethod() == 0 {
			dst.Set(reflect.ValueOf(v))
			return nil
		}
	case reflect.Bool:
		if b, ok := toBool(v); ok {
			dst.SetBool(b)
			return nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n, ok := toInt(v); ok && !dst.OverflowInt(n) {
			dst.SetInt(n)
			return nil
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if n, ok := toInt(v); ok && n >= 0 && !dst.OverflowUint(uint64(n)) {
			dst.SetUint(uint64(n))
			return nil
		}
	case reflect.Float32, reflect.Float64:
		if f, ok := toFloat(v); ok {
			dst.SetFloat(f)
			return nil
		}
	case reflect.String:
		if s, ok := v.(string); ok {
			dst.SetString(s)
			return nil
		}
	case reflect.Struct:
		if t, ok := v.(Table); ok {
			return assignStruct(dst, t)
		}
	case reflect.Map:
		if t, ok := v.(Table); ok {
			return assignMap(dst, t)
		}
	case reflect.Slice, reflect.Array:
		return assignList(dst, v)
	}
	return mismatch(dst, v)
}

func mismatch(dst reflect.Value, v any) error {
	return fmt.Errorf("%s does not fit Go type %s", describe(v), dst.Type())
}

func assignStruct(dst reflect.Value, t Table) error {
	for _, m := range members(dst.Type()) {
		v, ok := t.Get(m.name)
		if !ok {
			continue
		}
		f := dst
		for _, i := range m.index {
			if f.Kind() == reflect.Pointer {
				if f.IsNil() {
					f.Set(reflect.New(f.Type().Elem()))
				}
				f = f.Elem()
			}
			f = f.Field(i)
		}
		if err := assign(f, v); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

func assignMap(dst reflect.Value, t Table) error {
	typ := dst.Type()
	if dst.IsNil() {
		dst.Set(reflect.MakeMapWithSize(typ, len(t)))
	}
	for _, f := range t {
		key := reflect.New(typ.Key()).Elem()
		if err := assignKey(key, f.Name); err != nil {
			return err
		}
		val := reflect.New(typ.Elem()).Elem()
		if err := assign(val, f.Value); err != nil {
			return fmt.Errorf("%.64s: %w", f.Name, err)
		}
		dst.SetMapIndex(key, val)
	}
	return nil
}

func assignKey(key reflect.Value, name string) error {
	switch {
	case key.Kind() == reflect.String:
		key.SetString(name)
		return nil
	case key.CanInt():
		if n, err := strconv.ParseInt(name, 10, key.Type().Bits()); err == nil {
			key.SetInt(n)
			return nil
		}
	case key.CanUint():
		if n, err := strconv.ParseUint(name, 10, key.Type().Bits()); err == nil {
			key.SetUint(n)
			return nil
		}
	}
	return fmt.Errorf("name %.64q does not fit map key %s", name, key.Type())
}

func assignList(dst reflect.Value, v any) error {
	if s, ok := v.(string); ok && dst.Kind() == reflect.Slice && dst.Type().Elem().Kind() == reflect.Uint8 {
		raw, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return fmt.Errorf("base64: %w", err)
		}
		dst.SetBytes(raw)
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		return mismatch(dst, v)
	}
	if dst.Kind() == reflect.Slice {
		dst.Set(reflect.MakeSlice(dst.Type(), len(list), len(list)))
	} else if len(list) > dst.Len() {
		return fmt.Errorf("array of %d does not fit Go type %s", len(list), dst.Type())
	}
	for i := range list {
		if err := assign(dst.Index(i), list[i]); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return nil
}
