package uimremote

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
)

// MBIM message types (MBIM 1.0, table 9-3 and 9-8).
const (
	mbimOpen       = 1
	mbimClose      = 2
	mbimCommand    = 3
	mbimOpenDone   = 0x80000001
	mbimCloseDone  = 0x80000002
	mbimDone       = 0x80000003
	mbimFunction   = 0x80000004 // function error
	mbimIndication = 0x80000007
)

// Sizes in bytes: type, length, transaction; two fragment numbers; service, command.
const (
	mbimHeaderLen = 12
	mbimFragLen   = 8
	mbimUUIDLen   = 16
	maxMBIM       = 16 << 10
	// mbimTransfer is the longest message that the host takes in one piece; libmbim
	// uses the same.
	mbimTransfer = 4096
)

// uuid names an MBIM service.
type uuid [mbimUUIDLen]byte

// Services, as libmbim's mbim-uuid.c has them.
var (
	uuidBasicConnect = uuid{0xa2, 0x89, 0xcc, 0x33, 0xbc, 0xbb, 0x8b, 0x4f, 0xb6, 0xb0, 0x13, 0x3e, 0xc2, 0xaa, 0xe6, 0xdf}
	uuidProxyControl = uuid{0x83, 0x8c, 0xf7, 0xfb, 0x8d, 0x0d, 0x4d, 0x7f, 0x87, 0x1e, 0xd7, 0x1d, 0xbe, 0xfb, 0xb3, 0x9b}
	uuidQMI          = uuid{0xd1, 0xa3, 0x0b, 0xc2, 0xf9, 0x7a, 0x6e, 0x43, 0xbf, 0x65, 0xc7, 0xe2, 0x4f, 0xb0, 0xf0, 0xd3}
)

// Commands of those services (libmbim's mbim-cid.h).
const (
	cidSubscribeList = 19 // basic connect: device service subscribe list
	cidProxyConfig   = 1
	cidQMI           = 1
)

// mbimSet is the command type of a setting.
const mbimSet = 1

// mbimMessage is one MBIM message, of the types that a client of the proxy sends
// and receives.
type mbimMessage struct {
	typ     uint32
	txn     uint32
	service uuid   // command, command done, indication
	cid     uint32 // the same
	code    uint32 // command type, status, or the largest transfer of an open
	info    []byte // command, command done, indication
}

// words tells how many 32-bit words a type has after its header, and whether it
// has fragment numbers, a service and an information buffer.
func mbimShape(typ uint32) (words int, buffered bool, err error) {
	switch typ {
	case mbimOpen, mbimOpenDone, mbimCloseDone, mbimFunction:
		return 1, false, nil
	case mbimClose:
		return 0, false, nil
	case mbimCommand, mbimDone:
		return 1, true, nil
	case mbimIndication:
		return 0, true, nil
	}
	return 0, false, fmt.Errorf("%w: MBIM message type %08X", ErrMalformed, typ)
}

// appendTo writes the message in one piece.
func (m mbimMessage) appendTo(dst []byte) []byte {
	le := binary.LittleEndian
	start := len(dst)
	words, buffered, err := mbimShape(m.typ)
	if err != nil {
		return dst
	}
	dst = le.AppendUint32(dst, m.typ)
	dst = le.AppendUint32(dst, 0)
	dst = le.AppendUint32(dst, m.txn)
	if buffered {
		dst = le.AppendUint32(dst, 1) // one fragment
		dst = le.AppendUint32(dst, 0) // the first
		dst = append(dst, m.service[:]...)
		dst = le.AppendUint32(dst, m.cid)
	}
	if words == 1 {
		dst = le.AppendUint32(dst, m.code)
	}
	if buffered {
		dst = le.AppendUint32(dst, uint32(len(m.info)))
		dst = append(dst, m.info...)
	}
	le.PutUint32(dst[start+4:], uint32(len(dst)-start))
	return dst
}

// errFragment: the proxies join fragments, so one that arrives is skipped.
var errFragment = errors.New("part of an MBIM message")

// parseMBIM reads one message, which b holds from its first to its last byte. The
// message shares b's memory.
func parseMBIM(b []byte) (mbimMessage, error) {
	le := binary.LittleEndian
	if len(b) < mbimHeaderLen {
		return mbimMessage{}, fmt.Errorf("%w: %d bytes without an MBIM header", ErrMalformed, len(b))
	}
	m := mbimMessage{typ: le.Uint32(b), txn: le.Uint32(b[8:])}
	if n := le.Uint32(b[4:]); uint64(n) != uint64(len(b)) {
		return mbimMessage{}, fmt.Errorf("%w: MBIM length says %d bytes, have %d", ErrMalformed, n, len(b))
	}
	words, buffered, err := mbimShape(m.typ)
	if err != nil {
		return mbimMessage{}, err
	}
	need := 4 * words
	if buffered {
		need += mbimFragLen + mbimUUIDLen + 4 + 4
	}
	rest := b[mbimHeaderLen:]
	if len(rest) < need || !buffered && len(rest) > need {
		return mbimMessage{}, fmt.Errorf("%w: MBIM message %08X has %d bytes, needs %d", ErrMalformed, m.typ, len(rest), need)
	}
	if buffered {
		if le.Uint32(rest) != 1 || le.Uint32(rest[4:]) != 0 {
			return mbimMessage{}, fmt.Errorf("%w: %w", ErrMalformed, errFragment)
		}
		copy(m.service[:], rest[mbimFragLen:])
		m.cid = le.Uint32(rest[mbimFragLen+mbimUUIDLen:])
		rest = rest[mbimFragLen+mbimUUIDLen+4:]
	}
	if words == 1 {
		m.code, rest = le.Uint32(rest), rest[4:]
	}
	if buffered {
		if n := le.Uint32(rest); uint64(n) != uint64(len(rest)-4) {
			return mbimMessage{}, fmt.Errorf("%w: MBIM buffer says %d bytes, have %d", ErrMalformed, n, len(rest)-4)
		}
		m.info = rest[4:]
	}
	return m, nil
}

// proxyConfig is the information buffer that names the device to mbim-proxy, and how
// long it may take to open it (libmbim's mbim-service-proxy-control.json).
func proxyConfig(device string, seconds uint32) []byte {
	le := binary.LittleEndian
	path := utf16.Encode([]rune(device))
	b := le.AppendUint32(nil, 12) // where the path begins
	b = le.AppendUint32(b, uint32(2*len(path)))
	b = le.AppendUint32(b, seconds)
	for _, c := range path {
		b = le.AppendUint16(b, c)
	}
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// subscribeQMI is the information buffer that asks for the indications of the QMI
// service only; the proxy merges it with what its other clients asked for.
func subscribeQMI() []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 1) // one entry
	b = le.AppendUint32(b, 12)   // where it begins
	b = le.AppendUint32(b, mbimUUIDLen+8)
	b = append(b, uuidQMI[:]...)
	b = le.AppendUint32(b, 1) // one command
	return le.AppendUint32(b, cidQMI)
}

// mbimReader takes MBIM messages from a stream.
type mbimReader struct {
	r   io.Reader
	buf [maxMBIM]byte
}

// next reads the bytes of one message, valid until the next call.
func (q *mbimReader) next() ([]byte, error) {
	if _, err := io.ReadFull(q.r, q.buf[:mbimHeaderLen]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(q.buf[4:])
	if n < mbimHeaderLen || n > uint32(len(q.buf)) {
		return nil, fmt.Errorf("%w: an MBIM message of %d bytes", ErrMalformed, n)
	}
	if _, err := io.ReadFull(q.r, q.buf[mbimHeaderLen:n]); err != nil {
		return nil, err
	}
	return q.buf[:n], nil
}
