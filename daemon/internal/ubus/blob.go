package ubus

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Bounds of what is sent and accepted.
const (
	// MaxMessage is the longest root attribute that ubusd takes, padded, in
	// bytes (UBUS_MAX_MSGLEN). The 8 header bytes are not counted.
	MaxMessage = 1 << 20
	// MaxDepth is how deep tables and arrays may nest.
	MaxDepth = 32

	// receiveSlack is what a message may exceed MaxMessage by on its way to
	// us: ubusd checks the caller's message and then adds USER and GROUP.
	receiveSlack = 4096

	maxAttr = 1<<24 - 1 // an attribute's length has 24 bits
	maxName = 1<<16 - 1 // a blobmsg name's length has 16
)

// Conditions that callers tell apart.
var (
	// ErrMalformed: bytes that are no ubus message or no blobmsg.
	ErrMalformed = errors.New("malformed")
	// ErrTooLarge: more than MaxMessage bytes, or nested deeper than MaxDepth.
	ErrTooLarge = errors.New("too large")
	// ErrUnsupported: a Go type that has no blobmsg form.
	ErrUnsupported = errors.New("unsupported type")
)

// Type is a blobmsg type. It names an argument's type in a signature.
type Type uint8

// The blobmsg types. The protocol has no type for booleans: INT8 is one.
const (
	Unspec    Type = iota // null
	Array                 // values without names
	TableType             // values with names
	String
	Int64
	Int32
	Int16
	Int8
	Double
	Bool = Int8
)

var typeNames = [...]string{"null", "array", "table", "string", "int64", "int32", "int16", "boolean", "double"}

// String returns the type's name in words.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// extended marks an attribute that carries a name (EXT): a blobmsg field.
const extended = 0x80

func pad4(n int) int { return (n + 3) &^ 3 }

// blob is one attribute: a length that counts head and data but not the
// padding, an id, and data.
type blob struct {
	ext  bool
	id   uint8
	data []byte
}

// nextBlob takes the first attribute off b. It ends (ok false) where
// libubox's iterator ends: when what is left cannot hold the attribute and its
// padding.
func nextBlob(b []byte) (a blob, rest []byte, ok bool) {
	if len(b) < 4 {
		return blob{}, nil, false
	}
	n := int(binary.BigEndian.Uint32(b) & maxAttr)
	if n < 4 || pad4(n) > len(b) {
		return blob{}, nil, false
	}
	return blob{ext: b[0]&extended != 0, id: b[0] & 0x7f, data: b[4:n]}, b[pad4(n):], true
}

// open starts an attribute whose length close fills in.
func open(b []byte, id uint8, name []byte) (out []byte, at int) {
	at = len(b)
	b = append(b, id, 0, 0, 0)
	return append(b, name...), at
}

// closeAttr fills in the length of the attribute at at, and pads.
func closeAttr(b []byte, at int) ([]byte, error) {
	n := len(b) - at
	if n > maxAttr {
		return b, fmt.Errorf("attribute of %d bytes, at most %d: %w", n, maxAttr, ErrTooLarge)
	}
	b[at+1], b[at+2], b[at+3] = byte(n>>16), byte(n>>8), byte(n)
	return pad(b, n), nil
}

// pad appends the zero bytes that follow n bytes of an attribute.
func pad(b []byte, n int) []byte {
	const zero = "\x00\x00\x00"
	return append(b, zero[:pad4(n)-n]...)
}

// noName is the name header of an array element.
var noName = []byte{0, 0, 0, 0}

// nameHeader encodes a field's name: length, name, NUL, padding.
func nameHeader(name string) ([]byte, error) {
	if len(name) > maxName {
		return nil, fmt.Errorf("name of %d bytes, at most %d: %w", len(name), maxName, ErrTooLarge)
	}
	return appendName(make([]byte, 0, pad4(len(name)+3)), name), nil
}

func appendName(b []byte, name string) []byte {
	b = append(b, byte(len(name)>>8), byte(len(name)))
	b = append(b, name...)
	b = append(b, 0)
	return pad(b, len(name)+3)
}

// fixed starts a field of known size.
func fixed(b []byte, t Type, name []byte, size int) []byte {
	n := 4 + len(name) + size
	b = append(b, extended|byte(t), byte(n>>16), byte(n>>8), byte(n))
	return append(b, name...)
}

func appendNull(b, name []byte) []byte { return fixed(b, Unspec, name, 0) }

func appendInt8(b, name []byte, v int8) []byte {
	return append(fixed(b, Int8, name, 1), byte(v), 0, 0, 0)
}

func appendBool(b, name []byte, v bool) []byte {
	if v {
		return appendInt8(b, name, 1)
	}
	return appendInt8(b, name, 0)
}

func appendInt16(b, name []byte, v int16) []byte {
	return append(fixed(b, Int16, name, 2), byte(v>>8), byte(v), 0, 0)
}

func appendInt32(b, name []byte, v int32) []byte {
	return binary.BigEndian.AppendUint32(fixed(b, Int32, name, 4), uint32(v))
}

func appendInt64(b, name []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(fixed(b, Int64, name, 8), uint64(v))
}

func appendDouble(b, name []byte, bits uint64) []byte {
	return binary.BigEndian.AppendUint64(fixed(b, Double, name, 8), bits)
}

func appendString(b, name []byte, s string) ([]byte, error) {
	b, at := open(b, extended|byte(String), name)
	b = append(b, s...)
	return closeAttr(append(b, 0), at)
}
