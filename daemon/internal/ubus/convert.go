package ubus

import (
	"fmt"
	"math"
)

func isFloat(v any) bool {
	_, ok := v.(float64)
	return ok
}

// toInt takes every whole number that a sender may have chosen another width for.
func toInt(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case int32:
		return int64(v), true
	case int16:
		return int64(v), true
	case int8:
		return int64(v), true
	case int:
		return int64(v), true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case float64:
		// 2^63 itself does not fit; -2^63 does.
		if v == math.Trunc(v) && v >= math.MinInt64 && v < math.MaxInt64 {
			return int64(v), true
		}
	}
	return 0, false
}

func toFloat(v any) (float64, bool) {
	if f, ok := v.(float64); ok {
		return f, true
	}
	n, ok := toInt(v)
	return float64(n), ok
}

func toBool(v any) (val, ok bool) {
	if i8, is := v.(int8); is {
		return i8 != 0, true
	}
	n, ok := toInt(v)
	return n == 1, ok && (n == 0 || n == 1)
}

// describe says what a value is, without its content: it may be a secret.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case float64:
		return fmt.Sprintf("the number %g", v)
	case []any:
		return "an array"
	case Table:
		return "a table"
	}
	if n, ok := toInt(v); ok {
		return fmt.Sprintf("the integer %d", n)
	}
	return fmt.Sprintf("a %T", v)
}
