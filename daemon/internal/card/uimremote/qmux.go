package uimremote

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrMalformed wraps every refusal of what the proxy or the modem sent.
var ErrMalformed = errors.New("malformed QMI or MBIM message")

// QMI services (libqmi's QmiService).
const (
	serviceCTL       = 0x00
	serviceUIMRemote = 0x32
)

// everyClient is the client id of an indication to all clients of a service.
const everyClient = 0xFF

// kind says what a message is; the flag values are those of a service message
// (libqmi's QmiServiceFlag), a control message has half of them (QmiCtlFlag).
type kind byte

const (
	request    kind = 0
	response   kind = 2
	indication kind = 4
)

// Sizes of the layers of a QMUX frame (libqmi's qmi-message.c): marker, length,
// sender, service, client; then flags, transaction, message id and TLV length,
// where a control message has one byte less.
const (
	qmuxMarker    = 0x01
	qmuxHeaderLen = 6
	serviceLen    = 7
	controlLen    = 6
	tlvHeaderLen  = 3
	// maxQMUX bounds what is read: no message of these services comes near it.
	maxQMUX = 8 << 10
)

// message is one QMI message in its QMUX frame.
type message struct {
	sender  byte // 0: the host, 80: the modem
	service byte
	client  byte
	flags   byte
	txn     uint16 // 8 bits in a control message
	id      uint16
	tlvs    []byte // well formed, as parseQMUX found them or appendTLV made them
}

// kind tells what the message is; other flag bits (compound) are not.
func (m message) kind() kind {
	if m.service == serviceCTL {
		return kind(m.flags&3) << 1
	}
	return kind(m.flags) & (response | indication)
}

// appendTo writes the frame.
func (m message) appendTo(dst []byte) []byte {
	header := serviceLen
	if m.service == serviceCTL {
		header = controlLen
	}
	dst = append(dst, qmuxMarker)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(qmuxHeaderLen-1+header+len(m.tlvs)))
	dst = append(dst, m.sender, m.service, m.client, m.flags)
	if m.service == serviceCTL {
		dst = append(dst, byte(m.txn))
	} else {
		dst = binary.LittleEndian.AppendUint16(dst, m.txn)
	}
	dst = binary.LittleEndian.AppendUint16(dst, m.id)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(m.tlvs)))
	return append(dst, m.tlvs...)
}

// parseQMUX reads one frame, which b holds from its first to its last byte. The
// message shares b's memory.
func parseQMUX(b []byte) (message, error) {
	if len(b) < qmuxHeaderLen || b[0] != qmuxMarker {
		return message{}, fmt.Errorf("%w: %d bytes without a QMUX header", ErrMalformed, len(b))
	}
	if n := 1 + int(binary.LittleEndian.Uint16(b[1:])); n != len(b) {
		return message{}, fmt.Errorf("%w: QMUX length says %d bytes, have %d", ErrMalformed, n, len(b))
	}
	m := message{sender: b[3], service: b[4], client: b[5]}
	rest := b[qmuxHeaderLen:]
	need := serviceLen
	if m.service == serviceCTL {
		need = controlLen
	}
	if len(rest) < need {
		return message{}, fmt.Errorf("%w: QMI header needs %d bytes, have %d", ErrMalformed, need, len(rest))
	}
	m.flags = rest[0]
	if m.service == serviceCTL {
		m.txn = uint16(rest[1])
	} else {
		m.txn = binary.LittleEndian.Uint16(rest[1:])
	}
	m.id = binary.LittleEndian.Uint16(rest[need-4:])
	m.tlvs = rest[need:]
	if n := int(binary.LittleEndian.Uint16(rest[need-2:])); n != len(m.tlvs) {
		return message{}, fmt.Errorf("%w: TLV length says %d bytes, have %d", ErrMalformed, n, len(m.tlvs))
	}
	return m, checkTLVs(m.tlvs)
}

// checkTLVs tells whether b is whole TLVs, one after the other.
func checkTLVs(b []byte) error {
	for len(b) > 0 {
		if len(b) < tlvHeaderLen {
			return fmt.Errorf("%w: %d bytes where a TLV should begin", ErrMalformed, len(b))
		}
		n := tlvHeaderLen + int(binary.LittleEndian.Uint16(b[1:]))
		if len(b) < n {
			return fmt.Errorf("%w: TLV %02X claims %d bytes, have %d", ErrMalformed, b[0], n-tlvHeaderLen, len(b)-tlvHeaderLen)
		}
		b = b[n:]
	}
	return nil
}

// tlv gives the value of the first TLV of this type, if it has at least min bytes.
func (m message) tlv(typ byte, min int) ([]byte, error) {
	for b := m.tlvs; len(b) >= tlvHeaderLen; {
		n := int(binary.LittleEndian.Uint16(b[1:]))
		if b[0] != typ {
			b = b[tlvHeaderLen+n:]
			continue
		}
		if n < min {
			return nil, fmt.Errorf("%w: TLV %02X of message %04X has %d bytes, needs %d", ErrMalformed, typ, m.id, n, min)
		}
		return b[tlvHeaderLen : tlvHeaderLen+n], nil
	}
	return nil, fmt.Errorf("%w: message %04X has no TLV %02X", ErrMalformed, m.id, typ)
}

// appendTLV appends one TLV.
func appendTLV(dst []byte, typ byte, value ...byte) []byte {
	dst = append(dst, typ)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(value)))
	return append(dst, value...)
}

// QMIError is a modem's refusal (libqmi's QmiProtocolError).
type QMIError uint16

// Errors that decide what is done, or that need words.
const (
	errInvalidService QMIError = 31
	errNotSupported   QMIError = 94
)

// qmiErrors names those that this service has been seen to give, or may.
var qmiErrors = map[QMIError]string{
	1: "malformed message", 3: "internal", 5: "client ids exhausted", 7: "invalid client id", 17: "missing argument",
	23: "device in use", 25: "device unsupported", 26: "no effect", errInvalidService: "invalid service type",
	48: "invalid argument", 52: "device not ready", 69: "disabled", 70: "invalid operation", 71: "invalid QMI command",
	82: "access denied", 90: "incompatible state", errNotSupported: "not supported",
}

// Error says the code, and its name if it is known.
func (e QMIError) Error() string {
	if name, ok := qmiErrors[e]; ok {
		return fmt.Sprintf("QMI error %d (%s)", uint16(e), name)
	}
	return fmt.Sprintf("QMI error %d", uint16(e))
}

// tlvResult is the result of every response: failure and error code.
const tlvResult = 0x02

// result reads a response's result.
func (m message) result() error {
	v, err := m.tlv(tlvResult, 4)
	if err != nil {
		return err
	}
	if binary.LittleEndian.Uint16(v) == 0 {
		return nil
	}
	return QMIError(binary.LittleEndian.Uint16(v[2:]))
}

// qmuxReader takes QMUX frames from a stream.
type qmuxReader struct {
	r   io.Reader
	buf [maxQMUX]byte
}

// next reads one frame; the bytes are valid until the next call. Framing that is
// lost cannot be found again, so a wrong marker or length ends the stream.
func (q *qmuxReader) next() ([]byte, error) {
	if _, err := io.ReadFull(q.r, q.buf[:3]); err != nil {
		return nil, err
	}
	if q.buf[0] != qmuxMarker {
		return nil, fmt.Errorf("%w: byte %02X where a QMUX frame should begin", ErrMalformed, q.buf[0])
	}
	n := 1 + int(binary.LittleEndian.Uint16(q.buf[1:]))
	if n < qmuxHeaderLen || n > len(q.buf) {
		return nil, fmt.Errorf("%w: a QMUX frame of %d bytes", ErrMalformed, n)
	}
	if _, err := io.ReadFull(q.r, q.buf[3:n]); err != nil {
		return nil, err
	}
	return q.buf[:n], nil
}
