package ubus

import (
	"encoding/binary"
	"fmt"
	"math"
)

// ParseTable decodes the fields of a table: what stands inside a DATA attribute
// and what Marshal makes. Fields without a name header and fields of a type
// that is not known are skipped; everything else that is not blobmsg is
// ErrMalformed. The result shares no memory with b.
func ParseTable(b []byte) (Table, error) { return parseTable(b, 0) }

func parseTable(b []byte, depth int) (Table, error) {
	if depth >= MaxDepth {
		return nil, fmt.Errorf("blobmsg nested deeper than %d: %w", MaxDepth, ErrMalformed)
	}
	t := make(Table, 0, countBlobs(b))
	for len(b) > 0 {
		a, rest, ok := nextBlob(b)
		if !ok {
			return nil, fmt.Errorf("blobmsg field %d: length does not fit into %d bytes: %w", len(t), len(b), ErrMalformed)
		}
		b = rest
		if !a.ext || a.id > uint8(Double) {
			continue
		}
		name, value, err := splitName(a.data)
		if err != nil {
			return nil, fmt.Errorf("blobmsg field %d: %w", len(t), err)
		}
		v, err := parseValue(Type(a.id), value, depth)
		if err != nil {
			return nil, fmt.Errorf("blobmsg field %.64q: %w", name, err)
		}
		t = append(t, Field{Name: string(name), Value: v})
	}
	return t, nil
}

func parseList(b []byte, depth int) ([]any, error) {
	if depth >= MaxDepth {
		return nil, fmt.Errorf("blobmsg nested deeper than %d: %w", MaxDepth, ErrMalformed)
	}
	list := make([]any, 0, countBlobs(b))
	for len(b) > 0 {
		a, rest, ok := nextBlob(b)
		if !ok {
			return nil, fmt.Errorf("element %d: length does not fit into %d bytes: %w", len(list), len(b), ErrMalformed)
		}
		b = rest
		value := a.data
		if a.ext { // without a name header the data is the value, as libubox takes it
			var err error
			if _, value, err = splitName(a.data); err != nil {
				return nil, fmt.Errorf("element %d: %w", len(list), err)
			}
		}
		var v any // an unknown type is null, so that the others keep their places
		if a.id <= uint8(Double) {
			var err error
			if v, err = parseValue(Type(a.id), value, depth); err != nil {
				return nil, fmt.Errorf("element %d: %w", len(list), err)
			}
		}
		list = append(list, v)
	}
	return list, nil
}

// countBlobs counts attributes, so that a table is allocated once and no larger
// than the bytes that were received can fill.
func countBlobs(b []byte) (n int) {
	for {
		_, rest, ok := nextBlob(b)
		if !ok {
			return n
		}
		n, b = n+1, rest
	}
}

// splitName separates a field's name header from its value.
func splitName(data []byte) (name, value []byte, err error) {
	if len(data) < 2 {
		return nil, nil, fmt.Errorf("name header needs 2 bytes, have %d: %w", len(data), ErrMalformed)
	}
	n := int(binary.BigEndian.Uint16(data))
	if pad4(n+3) > len(data) {
		return nil, nil, fmt.Errorf("name of %d bytes does not fit into %d: %w", n, len(data), ErrMalformed)
	}
	if data[2+n] != 0 {
		return nil, nil, fmt.Errorf("name of %d bytes does not end with NUL: %w", n, ErrMalformed)
	}
	return data[2 : 2+n], data[pad4(n+3):], nil
}

// size returns how many bytes a value of type t has, 0 for any number.
func (t Type) size() int {
	switch t {
	case Int8:
		return 1
	case Int16:
		return 2
	case Int32:
		return 4
	case Int64, Double:
		return 8
	}
	return 0
}

func parseValue(t Type, b []byte, depth int) (any, error) {
	if n := t.size(); n != 0 && len(b) != n {
		return nil, fmt.Errorf("%s needs %d bytes, have %d: %w", t, n, len(b), ErrMalformed)
	}
	switch t {
	case Array:
		return parseList(b, depth+1)
	case TableType:
		return parseTable(b, depth+1)
	case String:
		if len(b) == 0 || b[len(b)-1] != 0 {
			return nil, fmt.Errorf("string of %d bytes does not end with NUL: %w", len(b), ErrMalformed)
		}
		return string(b[:len(b)-1]), nil
	case Int64:
		return int64(binary.BigEndian.Uint64(b)), nil
	case Int32:
		return int32(binary.BigEndian.Uint32(b)), nil
	case Int16:
		return int16(binary.BigEndian.Uint16(b)), nil
	case Int8:
		if b[0] <= 1 {
			return b[0] == 1, nil
		}
		return int8(b[0]), nil
	case Double:
		return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
	}
	return nil, nil // Unspec
}
