package vpcd

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

// ErrMalformed wraps every refusal of what the peer sent.
var ErrMalformed = errors.New("malformed vpcd message")

// Control bytes: a message of one byte is one of these (vsmartcard's vpcd.h).
const (
	controlOff   = 0
	controlOn    = 1
	controlReset = 2
	controlATR   = 4
)

// headerLen is the length in front of each message, big endian, without itself.
const headerLen = 2

// maxAPDU is the longest short APDU: a header, Lc, 255 bytes and Le.
const maxAPDU = card.MaxTPDU + 1

// message is what pcscd's driver says.
type message struct {
	control bool
	code    byte   // of a control message
	apdu    []byte // of a command; valid until the next read; nil if longer than maxAPDU
	length  int    // of the payload
}

// decoder reads messages from a stream into one buffer.
type decoder struct {
	r      *bufio.Reader
	header [headerLen]byte
	buf    [maxAPDU]byte
}

// next reads one message. A message that is longer than a short APDU is skipped:
// its apdu is nil. io.EOF means that the stream ended between messages.
func (d *decoder) next() (message, error) {
	if _, err := io.ReadFull(d.r, d.header[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return message{}, fmt.Errorf("%w: ends inside the length", ErrMalformed)
		}
		return message{}, err
	}
	n := int(binary.BigEndian.Uint16(d.header[:]))
	if n == 0 {
		return message{}, fmt.Errorf("%w: a payload of 0 bytes", ErrMalformed)
	}
	if n > len(d.buf) {
		if got, err := d.r.Discard(n); err != nil {
			return message{}, cut(n, got, err)
		}
		return message{length: n}, nil
	}
	if got, err := io.ReadFull(d.r, d.buf[:n]); err != nil {
		return message{}, cut(n, got, err)
	}
	if n == 1 {
		return message{control: true, code: d.buf[0], length: 1}, nil
	}
	return message{apdu: d.buf[:n], length: n}, nil
}

func cut(want, got int, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %d of %d payload bytes", ErrMalformed, got, want)
	}
	return err
}

// tpdu turns a short command APDU into a T=0 command TPDU (ISO 7816-3 §12.2): case
// 1 gets P3=00, case 4 loses its Le. What the length bytes contradict, and extended
// APDUs, give false. The result shares apdu's memory.
func (d *decoder) tpdu(apdu []byte) ([]byte, bool) {
	switch n := len(apdu); {
	case n == 4: // case 1; the buffer has room
		d.buf[4] = 0
		return d.buf[:5], true
	case n == 5: // case 2, or case 1 with its P3
		return apdu, true
	case n < 4 || apdu[4] == 0: // not a header; extended lengths begin with 00
		return nil, false
	case n == 5+int(apdu[4]): // case 3, or case 4 as a T=0 program writes it
		return apdu, true
	case n == 6+int(apdu[4]): // case 4 with Le
		return apdu[:n-1], true
	}
	return nil, false
}

// appendMessage appends one message with this payload.
func appendMessage(dst, payload []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(payload)))
	return append(dst, payload...)
}
