package uimremotefake

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode/utf16"
)

// The codec here is the fake's own: a mistake of the front's must not be mirrored.

// Kinds of QMI messages, as a service message has them.
const (
	isRequest    = 0
	isResponse   = 2
	isIndication = 4
)

// packet is one QMI message.
type packet struct {
	service, client byte
	kind            byte
	txn             uint16
	id              uint16
	tlvs            map[byte][]byte
	order           []byte
}

// add appends a TLV made of fixed-size values and byte slices.
func (p *packet) add(typ byte, values ...any) *packet {
	var b []byte
	for _, v := range values {
		b, _ = binary.Append(b, binary.LittleEndian, v) // values of this file's own callers
	}
	if p.tlvs == nil {
		p.tlvs = make(map[byte][]byte)
	}
	p.tlvs[typ] = b
	p.order = append(p.order, typ)
	return p
}

// encode writes the packet as a modem sends it.
func (p *packet) encode() []byte {
	var body []byte
	for _, t := range p.order {
		v := p.tlvs[t]
		body = append(body, t, byte(len(v)), byte(len(v)>>8))
		body = append(body, v...)
	}
	sdu := []byte{p.kind, byte(p.txn), byte(p.txn >> 8)}
	if p.service == 0 {
		sdu = []byte{p.kind / 2, byte(p.txn)}
	}
	sdu = append(sdu, byte(p.id), byte(p.id>>8), byte(len(body)), byte(len(body)>>8))
	sdu = append(sdu, body...)
	n := 5 + len(sdu)
	return append([]byte{1, byte(n), byte(n >> 8), 0x80, p.service, p.client}, sdu...)
}

var errBad = errors.New("fake modem got bytes that are no QMI request")

// decode reads one whole frame.
func decode(b []byte) (*packet, error) {
	if len(b) < 12 || b[0] != 1 || int(b[1])|int(b[2])<<8 != len(b)-1 || b[3] != 0 {
		return nil, fmt.Errorf("%w: % X", errBad, b)
	}
	p := &packet{service: b[4], client: b[5], kind: b[6]}
	rest := b[7:]
	if p.service == 0 {
		p.kind *= 2
		p.txn, rest = uint16(rest[0]), rest[1:]
	} else {
		p.txn, rest = binary.LittleEndian.Uint16(rest), rest[2:]
	}
	if len(rest) < 4 || int(binary.LittleEndian.Uint16(rest[2:])) != len(rest)-4 {
		return nil, fmt.Errorf("%w: % X", errBad, b)
	}
	p.id, rest = binary.LittleEndian.Uint16(rest), rest[4:]
	for len(rest) > 0 {
		if len(rest) < 3 || len(rest) < 3+int(binary.LittleEndian.Uint16(rest[1:])) {
			return nil, fmt.Errorf("%w: % X", errBad, b)
		}
		n := int(binary.LittleEndian.Uint16(rest[1:]))
		p.add(rest[0], append([]byte(nil), rest[3:3+n]...))
		rest = rest[3+n:]
	}
	return p, nil
}

// answer makes a response to p with a result; 0 is success.
func (p *packet) answer(code uint16) *packet {
	r := &packet{service: p.service, client: p.client, kind: isResponse, txn: p.txn, id: p.id}
	failed := uint16(0)
	if code != 0 {
		failed = 1
	}
	return r.add(2, failed, code)
}

// wire is one way to a host: a connection of a proxy, or the port itself.
type wire struct {
	conn  io.ReadWriteCloser
	mbim  bool
	proxy bool // the far end is a client of ours, which plays the proxy

	mu     sync.Mutex
	device string // what the client had opened
}

// sendTimeout bounds a write to a client that does not read.
const sendTimeout = 5 * time.Second

func (w *wire) write(b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// A port that cannot be given a deadline, which net.Conn and a pollable os.File can,
	// is for ServePort's caller to keep from blocking.
	if c, ok := w.conn.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = c.SetWriteDeadline(time.Now().Add(sendTimeout)) // a closed one is for the reader to see
	}
	_, _ = w.conn.Write(b)
}

// Services and message types of MBIM.
var (
	mbimQMI   = [16]byte{0xd1, 0xa3, 0x0b, 0xc2, 0xf9, 0x7a, 0x6e, 0x43, 0xbf, 0x65, 0xc7, 0xe2, 0x4f, 0xb0, 0xf0, 0xd3}
	mbimProxy = [16]byte{0x83, 0x8c, 0xf7, 0xfb, 0x8d, 0x0d, 0x4d, 0x7f, 0x87, 0x1e, 0xd7, 0x1d, 0xbe, 0xfb, 0xb3, 0x9b}
	mbimBasic = [16]byte{0xa2, 0x89, 0xcc, 0x33, 0xbc, 0xbb, 0x8b, 0x4f, 0xb6, 0xb0, 0x13, 0x3e, 0xc2, 0xaa, 0xe6, 0xdf}
)

// mbimDone wraps an information buffer into COMMAND_DONE.
func mbimDone(txn uint32, service [16]byte, cid, status uint32, info []byte) []byte {
	return mbimFrame(0x80000003, txn, uint32(1), uint32(0), service, cid, status, uint32(len(info)), info)
}

// mbimIndicate wraps a QMI message into INDICATE_STATUS.
func mbimIndicate(info []byte) []byte {
	return mbimFrame(0x80000007, 0, uint32(1), uint32(0), mbimQMI, uint32(1), uint32(len(info)), info)
}

func mbimFrame(typ, txn uint32, values ...any) []byte {
	b := make([]byte, 12)
	for _, v := range values {
		b, _ = binary.Append(b, binary.LittleEndian, v)
	}
	binary.LittleEndian.PutUint32(b, typ)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
	binary.LittleEndian.PutUint32(b[8:], txn)
	return b
}

// utf16Text reads a string of an MBIM information buffer.
func utf16Text(info []byte, at int) string {
	if len(info) < at+8 {
		return ""
	}
	from, n := binary.LittleEndian.Uint32(info[at:]), binary.LittleEndian.Uint32(info[at+4:])
	if uint64(from)+uint64(n) > uint64(len(info)) {
		return ""
	}
	var units []uint16
	for b := info[from : from+n]; len(b) >= 2; b = b[2:] {
		units = append(units, binary.LittleEndian.Uint16(b))
	}
	return string(utf16.Decode(units))
}
