package cardem

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed wraps every refusal of what a device sent.
var ErrMalformed = errors.New("malformed SIMtrace2 message")

// Sizes of the protocol, in bytes. All integers are little endian.
const (
	headerLen  = 8
	dataLen    = 6  // flags and length in front of data
	statusLen  = 13 //
	configLen  = 6
	ptsLen     = 13
	maxPTS     = 6
	MaxMessage = 280 // the firmware's buffers (USB_ALLOC_SIZE), header included
)

// Class is the part of the firmware that a message is for.
type Class uint8

// Classes.
const (
	ClassGeneric Class = 0
	ClassCardem  Class = 1
	ClassModem   Class = 2
	ClassSniff   Class = 3
)

// Type is what a message of its class says.
type Type uint8

// Types of ClassCardem.
const (
	TypeTxData     Type = 1 // to the device: bytes for the modem
	TypeSetATR     Type = 2 // to the device: the ATR of the next reset
	TypeStats      Type = 3 // the firmware does not implement it
	TypeStatus     Type = 4 // to the device, empty: asks; from it: Status
	TypeCardInsert Type = 5 // to the device: level of the presence pin
	TypeRxData     Type = 6 // from the device: bytes of the modem
	TypePTS        Type = 7 // from the device: PTS
	TypeConfig     Type = 8 // to the device: sets (empty: asks); from it: Config
)

// Types of ClassModem.
const (
	TypeModemReset  Type = 1
	TypeSIMSelect   Type = 2
	TypeModemStatus Type = 3 // the firmware does not implement it
)

// Flags of TypeTxData and TypeRxData.
const (
	FlagHeader  uint32 = 1 // a T=0 header: CLA INS P1 P2 P3
	FlagFinal   uint32 = 2 // the last bytes in this direction
	FlagPBAndTx uint32 = 4 // starts with a procedure byte; the card goes on sending
	FlagPBAndRx uint32 = 8 // ends with a procedure byte; the modem's bytes come next
)

// Message is one message. What Parse returns shares memory with its input.
type Message struct {
	Class    Class
	Type     Type
	Seq      uint8  // 0 in practice
	Slot     uint8  // 0: a slot is a USB interface
	Reserved uint16 // 0
	Payload  []byte
}

// ParseMessage takes the first message off b, which may hold several.
func ParseMessage(b []byte) (m Message, rest []byte, err error) {
	if len(b) < headerLen {
		return Message{}, nil, fmt.Errorf("%w: %d bytes, a header has %d", ErrMalformed, len(b), headerLen)
	}
	n := int(binary.LittleEndian.Uint16(b[6:]))
	if n < headerLen || n > len(b) {
		return Message{}, nil, fmt.Errorf("%w: length %d in a transfer of %d bytes", ErrMalformed, n, len(b))
	}
	return Message{
		Class: Class(b[0]), Type: Type(b[1]), Seq: b[2], Slot: b[3],
		Reserved: binary.LittleEndian.Uint16(b[4:]), Payload: b[headerLen:n:n],
	}, b[n:], nil
}

// AppendTo appends the message to dst.
func (m Message) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(m.Class), byte(m.Type), m.Seq, m.Slot)
	dst = binary.LittleEndian.AppendUint16(dst, m.Reserved)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(headerLen+len(m.Payload)))
	return append(dst, m.Payload...)
}

// appendHeader appends the header of a message with n bytes of payload.
func appendHeader(dst []byte, c Class, t Type, n int) []byte {
	dst = append(dst, byte(c), byte(t), 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint16(dst, uint16(headerLen+n))
}

// Data is the payload of TypeTxData and TypeRxData.
type Data struct {
	Flags uint32
	Bytes []byte
}

// ParseData reads a payload; the result shares its memory.
func ParseData(payload []byte) (Data, error) {
	if len(payload) < dataLen {
		return Data{}, fmt.Errorf("%w: data of %d bytes", ErrMalformed, len(payload))
	}
	n := int(binary.LittleEndian.Uint16(payload[4:]))
	if n > len(payload)-dataLen {
		return Data{}, fmt.Errorf("%w: data claims %d bytes, has %d", ErrMalformed, n, len(payload)-dataLen)
	}
	return Data{Flags: binary.LittleEndian.Uint32(payload), Bytes: payload[dataLen : dataLen+n]}, nil
}

// AppendTxData appends bytes for the modem: first (a procedure byte or a status
// word), then more.
func AppendTxData(dst []byte, flags uint32, first []byte, more ...byte) []byte {
	return appendData(dst, TypeTxData, flags, first, more)
}

// AppendRxData appends bytes of the modem, as the firmware does.
func AppendRxData(dst []byte, flags uint32, b []byte) []byte {
	return appendData(dst, TypeRxData, flags, b, nil)
}

func appendData(dst []byte, t Type, flags uint32, a, b []byte) []byte {
	dst = appendHeader(dst, ClassCardem, t, dataLen+len(a)+len(b))
	dst = binary.LittleEndian.AppendUint32(dst, flags)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(a)+len(b)))
	return append(append(dst, a...), b...)
}

// AppendSetATR appends the ATR of the modem's next reset. The firmware takes at
// most 33 bytes and refuses more in silence; with none it does not answer a reset,
// like an empty slot.
func AppendSetATR(dst, atr []byte) []byte {
	dst = appendHeader(dst, ClassCardem, TypeSetATR, 1+len(atr))
	return append(append(dst, byte(len(atr))), atr...)
}

// AppendCardInsert appends the level of the presence pin.
func AppendCardInsert(dst []byte, inserted bool) []byte {
	return append(appendHeader(dst, ClassCardem, TypeCardInsert, 1), boolByte(inserted))
}

// AppendSIMSelect appends which card the modem faces. Remote also starts the
// emulation: with local, the firmware looks at no contact of the slot.
func AppendSIMSelect(dst []byte, remote bool) []byte {
	return append(appendHeader(dst, ClassModem, TypeSIMSelect, 1), boolByte(remote))
}

// Reset is what AppendModemReset does to the modem's reset line.
type Reset uint8

// Resets.
const (
	ResetOff   Reset = 0
	ResetOn    Reset = 1
	ResetPulse Reset = 2
)

// AppendModemReset appends a change of the modem's reset line; ms is the length
// of a pulse in milliseconds.
func AppendModemReset(dst []byte, r Reset, ms uint16) []byte {
	dst = append(appendHeader(dst, ClassModem, TypeModemReset, 3), byte(r))
	return binary.LittleEndian.AppendUint16(dst, ms)
}

// AppendQuery appends an empty message, which asks for TypeStatus or TypeConfig.
func AppendQuery(dst []byte, t Type) []byte { return appendHeader(dst, ClassCardem, t, 0) }

// Flags of Status.
const (
	StatusVCC   uint32 = 1
	StatusClock uint32 = 2 // the firmware copies VCC
	StatusReset uint32 = 0x10
)

// Status is what the modem does with the contacts.
type Status struct {
	Flags       uint32
	Millivolts  uint16 // 0 on boards that do not measure
	F, D        uint8  // indexes into ISO 7816-3 tables 7 and 8
	WI          uint8  // waiting integer (ISO 7816-3 §10.2)
	WaitingTime uint32 // in etu
}

// ParseStatus reads a payload; firmware may append to it.
func ParseStatus(payload []byte) (Status, error) {
	if len(payload) < statusLen {
		return Status{}, fmt.Errorf("%w: status of %d bytes, expected %d", ErrMalformed, len(payload), statusLen)
	}
	return Status{
		Flags: binary.LittleEndian.Uint32(payload), Millivolts: binary.LittleEndian.Uint16(payload[4:]),
		F: payload[6], D: payload[7], WI: payload[8], WaitingTime: binary.LittleEndian.Uint32(payload[9:]),
	}, nil
}

// AppendStatus appends a status, as the firmware does.
func AppendStatus(dst []byte, s Status) []byte {
	dst = appendHeader(dst, ClassCardem, TypeStatus, statusLen)
	dst = binary.LittleEndian.AppendUint32(dst, s.Flags)
	dst = binary.LittleEndian.AppendUint16(dst, s.Millivolts)
	dst = append(dst, s.F, s.D, s.WI)
	return binary.LittleEndian.AppendUint32(dst, s.WaitingTime)
}

// FeatureStatusIRQ has a Status sent on the interrupt endpoint for every edge.
const FeatureStatusIRQ uint32 = 1

// Presence is the polarity of the presence pin; 0 leaves it as the board has it.
type Presence uint8

// Polarities.
const (
	PresentLow  Presence = 2
	PresentHigh Presence = 3
)

// Config is the firmware's configuration of a slot.
type Config struct {
	Features uint32
	Mux      uint8 // slot behind the board's multiplexer, if there is one
	Presence Presence
}

// ParseConfig reads a payload. Old firmware ends after Features or Mux.
func ParseConfig(payload []byte) (Config, error) {
	if len(payload) < 4 {
		return Config{}, fmt.Errorf("%w: configuration of %d bytes", ErrMalformed, len(payload))
	}
	c := Config{Features: binary.LittleEndian.Uint32(payload)}
	if len(payload) > 4 {
		c.Mux = payload[4]
	}
	if len(payload) > 5 {
		c.Presence = Presence(payload[5])
	}
	return c, nil
}

// AppendConfig appends a configuration.
func AppendConfig(dst []byte, c Config) []byte {
	dst = appendHeader(dst, ClassCardem, TypeConfig, configLen)
	dst = binary.LittleEndian.AppendUint32(dst, c.Features)
	return append(dst, c.Mux, byte(c.Presence))
}

// PTS is a protocol and parameters selection that the firmware has agreed to by
// itself (ISO 7816-3 §9).
type PTS struct {
	Len       int // bytes used
	Req, Resp [maxPTS]byte
}

// ParsePTS reads a payload.
func ParsePTS(payload []byte) (PTS, error) {
	if len(payload) < ptsLen {
		return PTS{}, fmt.Errorf("%w: PTS of %d bytes, expected %d", ErrMalformed, len(payload), ptsLen)
	}
	p := PTS{Len: int(payload[0])}
	if p.Len > maxPTS {
		return PTS{}, fmt.Errorf("%w: PTS claims %d bytes", ErrMalformed, p.Len)
	}
	copy(p.Req[:], payload[1:7])
	copy(p.Resp[:], payload[7:13])
	return p, nil
}

// AppendPTS appends a selection, as the firmware does.
func AppendPTS(dst []byte, p PTS) []byte {
	dst = append(appendHeader(dst, ClassCardem, TypePTS, ptsLen), byte(p.Len))
	return append(append(dst, p.Req[:]...), p.Resp[:]...)
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}
