package uimremote

import (
	"encoding/binary"
	"fmt"
)

// Messages of QMI UIM Remote. libqmi knows the service's number only; ids and
// layouts are the interface facts that ddimension/wwand-rsim publishes (docs/plan.md §1,
// plugins/rsim.uc) and has used on a Quectel RG650E and RM520N-GL; field names and the
// use of status, total and offset agree with Sierra's Legato adaptor (pa_rsim_qmi.c) and
// SIMComHub/softsim (qmi_remotesim.c). Enumerations have 4 bytes, the APDU status 2. The
// later versions of the service add optional TLVs, which are left out and ignored.
//
// RESET (0x20) is not here: on the RG650E it takes its own client out of the
// service's list, and the next EVENT fails with QMI error 3.
const (
	msgEvent      = 0x21 // request
	msgAPDU       = 0x22 // indication: command; request: answer
	msgConnect    = 0x23 // indications from here on
	msgDisconnect = 0x24
	msgPowerUp    = 0x25
	msgPowerDown  = 0x26
	msgReset      = 0x27
)

// event is what the host tells the modem about the card.
type event uint32

const (
	evUnavailable event = 0 // the connection to a remote card ends: the modem's own card again
	evAvailable   event = 1
	evInserted    event = 2 // with the ATR: without it the RG650E says QMI error 1
	evRemoved     event = 3
	evError       event = 4 // with a cause
	evReset       event = 5 // with the ATR: also the answer to CONNECT and POWER UP
)

func (e event) String() string {
	switch e {
	case evUnavailable:
		return "connection unavailable"
	case evAvailable:
		return "connection available"
	case evInserted:
		return "card inserted"
	case evRemoved:
		return "card removed"
	case evError:
		return "card error"
	case evReset:
		return "card reset"
	}
	return fmt.Sprintf("event %d", uint32(e))
}

// cause is why a card is in error.
type cause uint32

const (
	causeNoLink  cause = 1 // no link to the card
	causeTimeout cause = 2 // a command was not answered
)

// TLVs of EVENT.
const (
	tlvEventInfo  = 0x01 // event, slot
	tlvEventATR   = 0x10 // length (1 byte) and bytes
	tlvEventCause = 0x12
)

// maxATR is the longest ATR that the ATR's TLV takes.
const maxATR = 32

// eventTLVs are the TLVs of an EVENT request.
func eventTLVs(e event, slot uint32, atr []byte, why cause) []byte {
	le := binary.LittleEndian
	info := le.AppendUint32(le.AppendUint32(nil, uint32(e)), slot)
	b := appendTLV(nil, tlvEventInfo, info...)
	if e == evInserted || e == evReset {
		b = appendTLV(b, tlvEventATR, append([]byte{byte(len(atr))}, atr...)...)
	}
	if e == evError {
		b = appendTLV(b, tlvEventCause, le.AppendUint32(nil, uint32(why))...)
	}
	return b
}

// TLVs of the APDU request.
const (
	tlvStatus   = 0x01 // 0: success, 1: failure
	tlvSlot     = 0x02
	tlvAPDUID   = 0x03
	tlvPart     = 0x10 // total length, offset of this segment
	tlvSegment  = 0x11 // length (2 bytes) and bytes
	segmentSize = 1024 // the longest segment
)

// answerTLVs are the TLVs of one APDU request: the segment of the answer at offset.
func answerTLVs(slot, id uint32, total, offset int, segment []byte) []byte {
	le := binary.LittleEndian
	b := appendTLV(nil, tlvStatus, 0, 0)
	b = appendTLV(b, tlvSlot, le.AppendUint32(nil, slot)...)
	b = appendTLV(b, tlvAPDUID, le.AppendUint32(nil, id)...)
	b = appendTLV(b, tlvPart, le.AppendUint32(le.AppendUint32(nil, uint32(total)), uint32(offset))...)
	return appendTLV(b, tlvSegment, append(le.AppendUint16(nil, uint16(len(segment))), segment...)...)
}

// failureTLVs are the TLVs of the APDU request that gives up on a command.
func failureTLVs(slot, id uint32) []byte {
	le := binary.LittleEndian
	b := appendTLV(nil, tlvStatus, 1, 0)
	b = appendTLV(b, tlvSlot, le.AppendUint32(nil, slot)...)
	return appendTLV(b, tlvAPDUID, le.AppendUint32(nil, id)...)
}

// TLVs of the indications.
const (
	tlvIndSlot    = 0x01
	tlvIndAPDUID  = 0x02
	tlvIndCommand = 0x03 // length (2 bytes) and bytes
)

// slotOf reads the slot that an indication is about.
func slotOf(m message) (uint32, error) {
	v, err := m.tlv(tlvIndSlot, 4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(v), nil
}

// commandOf reads an APDU indication. The command shares the message's memory.
func commandOf(m message) (id uint32, command []byte, err error) {
	v, err := m.tlv(tlvIndAPDUID, 4)
	if err != nil {
		return 0, nil, err
	}
	id = binary.LittleEndian.Uint32(v)
	v, err = m.tlv(tlvIndCommand, 2)
	if err != nil {
		return id, nil, err
	}
	if n := int(binary.LittleEndian.Uint16(v)); n != len(v)-2 {
		return id, nil, fmt.Errorf("%w: command of %d bytes in a TLV of %d", ErrMalformed, n, len(v)-2)
	}
	return id, v[2:], nil
}
