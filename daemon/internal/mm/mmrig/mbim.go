package mmrig

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"unicode/utf16"
)

// MBIM 1.0 message types (USB-IF MBIM rev 1.0 §9.3, §9.4).
const (
	mbimOpen        = 0x00000001
	mbimClose       = 0x00000002
	mbimCommand     = 0x00000003
	mbimOpenDone    = 0x80000001
	mbimCloseDone   = 0x80000002
	mbimCommandDone = 0x80000003
	mbimIndicate    = 0x80000007
)

// maxMBIM is the longest message taken; ModemManager's are below 4 KiB.
const maxMBIM = 64 << 10

type service [16]byte

// The services that somebody asks for.
var (
	basicConnect = service{0xa2, 0x89, 0xcc, 0x33, 0xbc, 0xbb, 0x8b, 0x4f, 0xb6, 0xb0, 0x13, 0x3e, 0xc2, 0xaa, 0xe6, 0xdf}
	proxyControl = service{0x83, 0x8c, 0xf7, 0xfb, 0x8d, 0x0d, 0x4d, 0x7f, 0x87, 0x1e, 0xd7, 0x1d, 0xbe, 0xfb, 0xb3, 0x9b}
	msBasicExt   = service{0x3d, 0x01, 0xdc, 0xc5, 0xfe, 0xf5, 0x4d, 0x05, 0x0d, 0x3a, 0xbe, 0xf7, 0x05, 0x8e, 0x9a, 0xaf}
)

// request is a COMMAND message.
type request struct {
	kind, transaction uint32
	service           service
	cid               uint32
	set               bool
	data              []byte
}

var errMBIM = errors.New("malformed MBIM message")

// readMBIM reads one message. Fragments are refused: nobody sends them here.
func readMBIM(r io.Reader) (request, error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return request{}, err
	}
	size := binary.LittleEndian.Uint32(head[4:])
	if size < 12 || size > maxMBIM {
		return request{}, fmt.Errorf("message of %d bytes: %w", size, errMBIM)
	}
	body := make([]byte, size-12)
	if _, err := io.ReadFull(r, body); err != nil {
		return request{}, err
	}
	return parseMBIM(binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[8:]), body)
}

func parseMBIM(kind, transaction uint32, body []byte) (request, error) {
	q := request{kind: kind, transaction: transaction}
	if kind != mbimCommand {
		return q, nil
	}
	if len(body) < 36 {
		return q, fmt.Errorf("command of %d bytes: %w", len(body), errMBIM)
	}
	if binary.LittleEndian.Uint32(body) != 1 {
		return q, fmt.Errorf("fragmented command: %w", errMBIM)
	}
	copy(q.service[:], body[8:24])
	q.cid = binary.LittleEndian.Uint32(body[24:])
	q.set = binary.LittleEndian.Uint32(body[28:]) == 1
	n := binary.LittleEndian.Uint32(body[32:])
	if uint64(n) > uint64(len(body)-36) {
		return q, fmt.Errorf("command claims %d bytes, has %d: %w", n, len(body)-36, errMBIM)
	}
	q.data = body[36 : 36+n]
	return q, nil
}

// u32 reads the field at offset, 0 beyond the end.
func (q request) u32(at int) uint32 {
	if at+4 > len(q.data) {
		return 0
	}
	return binary.LittleEndian.Uint32(q.data[at:])
}

// text reads the string whose offset and size are at the given place.
func (q request) text(at int) string {
	from, n := uint64(q.u32(at)), uint64(q.u32(at+4))
	if from+n > uint64(len(q.data)) {
		return ""
	}
	units := make([]uint16, n/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(q.data[from+uint64(2*i):])
	}
	return string(utf16.Decode(units))
}

// record builds an information buffer: fixed fields, then what they refer to
// by offset and size, padded to four bytes (§10.3).
type record struct {
	fixed []byte
	refs  []reference
}

type reference struct {
	at   int // where offset (and size, unless bare) stand
	data []byte
	bare bool // offset only
}

func (r *record) u32(values ...uint32) *record {
	for _, v := range values {
		r.fixed = binary.LittleEndian.AppendUint32(r.fixed, v)
	}
	return r
}

func (r *record) u64(values ...uint64) *record {
	for _, v := range values {
		r.fixed = binary.LittleEndian.AppendUint64(r.fixed, v)
	}
	return r
}

func (r *record) blob(data []byte) *record {
	r.refs = append(r.refs, reference{at: len(r.fixed), data: data})
	return r.u32(0, 0)
}

// offset adds a reference without a size, as arrays of addresses have.
func (r *record) offset(data []byte) *record {
	r.refs = append(r.refs, reference{at: len(r.fixed), data: data, bare: true})
	return r.u32(0)
}

func (r *record) text(s string) *record {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return r.blob(b)
}

func (r *record) bytes() []byte {
	out := bytes.Clone(r.fixed)
	for _, ref := range r.refs {
		if len(ref.data) == 0 {
			continue
		}
		binary.LittleEndian.PutUint32(out[ref.at:], uint32(len(out)))
		if !ref.bare {
			binary.LittleEndian.PutUint32(out[ref.at+4:], uint32(len(ref.data)))
		}
		out = append(out, ref.data...)
		for len(out)%4 != 0 {
			out = append(out, 0)
		}
	}
	return out
}

// mbimChannel is one client of the proxy.
type mbimChannel struct {
	mu   sync.Mutex
	conn net.Conn
}

func (c *mbimChannel) send(kind, transaction uint32, body []byte) {
	head := (&record{}).u32(kind, uint32(12+len(body)), transaction).fixed
	c.mu.Lock()
	defer c.mu.Unlock()
	// A failed write means that ModemManager hung up; the reader ends then.
	_, _ = c.conn.Write(append(head, body...))
}

func (c *mbimChannel) done(q request, status uint32, data []byte) {
	body := (&record{}).u32(1, 0).fixed
	body = append(body, q.service[:]...)
	c.send(mbimCommandDone, q.transaction, append((&record{fixed: body}).u32(q.cid, status, uint32(len(data))).fixed, data...))
}

func (c *mbimChannel) indicate(cid uint32, data []byte) {
	body := (&record{}).u32(1, 0).fixed
	body = append(body, basicConnect[:]...)
	c.send(mbimIndicate, 0, append((&record{fixed: body}).u32(cid, uint32(len(data))).fixed, data...))
}

// serveMBIM is the proxy's side of one client: first it names the device, then
// it talks to it.
func serveMBIM(p *proxy, conn net.Conn) {
	ch := &mbimChannel{conn: conn}
	defer p.closed(ch)
	var m *Modem
	defer func() {
		if m != nil {
			m.detach(ch)
		}
	}()
	for {
		q, err := readMBIM(conn)
		switch {
		case err != nil:
			return
		case q.kind == mbimCommand && q.service == proxyControl && q.cid == 1:
			if m = p.open(ch, q.text(0)); m == nil {
				ch.done(q, statusFailure, nil)
				continue
			}
			ch.done(q, 0, nil)
		case m == nil:
			return
		case q.kind == mbimOpen:
			m.attach(ch)
			ch.send(mbimOpenDone, q.transaction, make([]byte, 4))
		case q.kind == mbimClose:
			m.detach(ch)
			ch.send(mbimCloseDone, q.transaction, make([]byte, 4))
		case q.kind == mbimCommand:
			m.answerCommand(ch, q)
		}
	}
}
