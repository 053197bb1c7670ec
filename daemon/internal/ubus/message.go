package ubus

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// MsgType says what a message is.
type MsgType uint8

// The message types.
const (
	MsgHello MsgType = iota
	MsgStatus
	MsgData
	MsgPing
	MsgLookup
	MsgInvoke
	MsgAddObject
	MsgRemoveObject
	MsgSubscribe
	MsgUnsubscribe
	MsgNotify
	MsgMonitor
)

// AttrID names an attribute of a message.
type AttrID uint8

// The attributes of a message.
const (
	AttrStatus AttrID = iota + 1
	AttrObjPath
	AttrObjID
	AttrMethod
	AttrObjType
	AttrSignature
	AttrData
	AttrTarget
	AttrActive
	AttrNoReply
	AttrSubscribers
	AttrUser
	AttrGroup
)

// Objects that ubusd itself answers for.
const (
	EventObject   uint32 = 1    // `register` and `send`
	ACLObject     uint32 = 2    // `query`
	MonitorObject uint32 = 3    // `add` and `remove`
	FirstObject   uint32 = 1024 // ids below are ubusd's own
)

// headerLen is the message header and the head of the root attribute, in bytes.
const headerLen = 12

// Message is one message as it stood on the wire.
type Message struct {
	Version uint8
	Type    MsgType
	Seq     uint16 // chosen by who asks, echoed in the answers
	Peer    uint32 // object or client id, by type of message
	Body    []byte // the attributes
}

// Reader reads messages from a stream.
type Reader struct {
	br    *bufio.Reader
	limit int
	head  [headerLen]byte
}

// NewReader reads messages from r whose root attribute, padded, is at most
// limit bytes long.
func NewReader(r io.Reader, limit int) *Reader {
	return &Reader{br: bufio.NewReaderSize(r, 16<<10), limit: limit}
}

// Next returns the next message; its body is the caller's. The end of the
// stream between messages is io.EOF, inside one io.ErrUnexpectedEOF.
func (r *Reader) Next() (Message, error) {
	if _, err := io.ReadFull(r.br, r.head[:]); err != nil {
		return Message{}, err
	}
	n := int(binary.BigEndian.Uint32(r.head[8:]) & maxAttr)
	switch {
	case n < 4:
		return Message{}, fmt.Errorf("message claims a root attribute of %d bytes, at least 4: %w", n, ErrMalformed)
	case pad4(n) > r.limit:
		return Message{}, fmt.Errorf("message claims a root attribute of %d bytes, at most %d: %w", n, r.limit, ErrMalformed)
	}
	m := Message{
		Version: r.head[0],
		Type:    MsgType(r.head[1]),
		Seq:     binary.BigEndian.Uint16(r.head[2:]),
		Peer:    binary.BigEndian.Uint32(r.head[4:]),
		Body:    make([]byte, n-4),
	}
	if _, err := io.ReadFull(r.br, m.Body); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return Message{}, err
	}
	return m, nil
}

// AppendTo writes the message as it stands on the wire.
func (m Message) AppendTo(b []byte) []byte {
	b = appendHeader(b, m.Version, m.Type, m.Seq, m.Peer)
	binary.BigEndian.PutUint32(b[len(b)-4:], uint32(4+len(m.Body)))
	return append(b, m.Body...)
}

func appendHeader(b []byte, version uint8, t MsgType, seq uint16, peer uint32) []byte {
	return append(b, version, byte(t), byte(seq>>8), byte(seq),
		byte(peer>>24), byte(peer>>16), byte(peer>>8), byte(peer), 0, 0, 0, 0)
}

// Attrs are the attributes of a message. What has the wrong type or length, or
// is not known, is absent, as it is for ubusd; of equal ones the last counts.
type Attrs struct {
	have        uint32
	Status      Status
	ObjID       uint32
	ObjType     uint32
	Target      uint32
	Active      bool
	NoReply     bool
	ObjPath     string
	Method      string
	User        string
	Group       string
	Signature   []byte // content: one table per method
	Data        []byte // content: blobmsg fields, see ParseTable
	Subscribers []byte // content: object ids, see EachUint32
}

// Has tells whether an attribute is there.
func (a *Attrs) Has(id AttrID) bool { return a.have&(1<<id) != 0 }

// ParseAttrs takes the attributes out of a message body. Byte slices share
// body's memory.
func ParseAttrs(body []byte) (a Attrs) {
	for {
		b, rest, ok := nextBlob(body)
		if !ok {
			return a
		}
		if id := AttrID(b.id); a.take(id, b.data) {
			a.have |= 1 << id
		}
		body = rest
	}
}

func (a *Attrs) take(id AttrID, d []byte) bool {
	switch id {
	case AttrStatus:
		return takeUint32(d, (*uint32)(&a.Status))
	case AttrObjID:
		return takeUint32(d, &a.ObjID)
	case AttrObjType:
		return takeUint32(d, &a.ObjType)
	case AttrTarget:
		return takeUint32(d, &a.Target)
	case AttrActive:
		return takeBool(d, &a.Active)
	case AttrNoReply:
		return takeBool(d, &a.NoReply)
	case AttrObjPath:
		return takeString(d, &a.ObjPath)
	case AttrMethod:
		return takeString(d, &a.Method)
	case AttrUser:
		return takeString(d, &a.User)
	case AttrGroup:
		return takeString(d, &a.Group)
	case AttrSignature:
		a.Signature = d
	case AttrData:
		a.Data = d
	case AttrSubscribers:
		a.Subscribers = d
	default:
		return false
	}
	return true
}

func takeUint32(d []byte, v *uint32) bool {
	if len(d) != 4 {
		return false
	}
	*v = binary.BigEndian.Uint32(d)
	return true
}

func takeBool(d []byte, v *bool) bool {
	if len(d) != 1 {
		return false
	}
	*v = d[0] != 0
	return true
}

// takeString ends at the first NUL, as C does; without one it is no string.
func takeString(d []byte, v *string) bool {
	if len(d) == 0 || d[len(d)-1] != 0 {
		return false
	}
	for i, c := range d {
		if c == 0 {
			*v = string(d[:i])
			break
		}
	}
	return true
}

// EachUint32 calls fn with every 4-byte attribute of a nested attribute.
func EachUint32(nested []byte, fn func(uint32)) {
	for {
		a, rest, ok := nextBlob(nested)
		if !ok {
			return
		}
		var v uint32
		if takeUint32(a.data, &v) {
			fn(v)
		}
		nested = rest
	}
}

// Builder writes messages; the attributes stand in the order of the calls.
type Builder struct {
	b     []byte
	start int
	err   error
}

// Begin starts a message at the end of b.
func Begin(b []byte, t MsgType, seq uint16, peer uint32) *Builder {
	return &Builder{b: appendHeader(b, 0, t, seq, peer), start: len(b)}
}

// Uint32 adds a 4-byte attribute.
func (m *Builder) Uint32(id AttrID, v uint32) *Builder {
	m.b = append(m.b, byte(id), 0, 0, 8)
	m.b = binary.BigEndian.AppendUint32(m.b, v)
	return m
}

// Bool adds a 1-byte attribute.
func (m *Builder) Bool(id AttrID, v bool) *Builder {
	var n byte
	if v {
		n = 1
	}
	m.b = append(m.b, byte(id), 0, 0, 5, n, 0, 0, 0)
	return m
}

// Text adds a string attribute.
func (m *Builder) Text(id AttrID, s string) *Builder {
	b, at := open(m.b, byte(id), nil)
	b = append(append(b, s...), 0)
	m.b, _ = closeAttr(b, at) // End refuses what is too long
	return m
}

// Nested adds an attribute with encoded content.
func (m *Builder) Nested(id AttrID, content []byte) *Builder {
	b, at := open(m.b, byte(id), nil)
	m.b, _ = closeAttr(append(b, content...), at)
	return m
}

// Content adds an attribute that holds v as Marshal encodes it; End reports
// what cannot be encoded.
func (m *Builder) Content(id AttrID, v any) *Builder {
	b, at := open(m.b, byte(id), nil)
	b, err := appendContent(b, v)
	if err == nil {
		b, err = closeAttr(b, at)
	}
	m.b = b
	if m.err == nil {
		m.err = err
	}
	return m
}

// Frame ends the message and returns the buffer, whatever its length.
func (m *Builder) Frame() []byte {
	n := len(m.b) - m.start - 8
	binary.BigEndian.PutUint32(m.b[m.start+8:], uint32(min(n, maxAttr)))
	return m.b
}

// End ends the message; one that ubusd would refuse is ErrTooLarge.
func (m *Builder) End() ([]byte, error) {
	if m.err != nil {
		return nil, m.err
	}
	if n := len(m.b) - m.start - 8; n > MaxMessage {
		return nil, fmt.Errorf("message of %d bytes, at most %d: %w", n, MaxMessage, ErrTooLarge)
	}
	return m.Frame(), nil
}
