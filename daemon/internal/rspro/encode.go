package rspro

import (
	"fmt"
)

// open appends an identifier and room for a short length; shut fills the length
// in, moving the content where the long form needs more room (X.690 §10.1).
func open(dst []byte, id byte) ([]byte, int) {
	dst = append(dst, id, 0)
	return dst, len(dst)
}

func shut(dst []byte, mark int) []byte {
	n := len(dst) - mark
	if n < 0x80 {
		dst[mark-1] = byte(n)
		return dst
	}
	k := 1
	for n>>(8*k) != 0 {
		k++
	}
	for range k {
		dst = append(dst, 0)
	}
	copy(dst[mark+k:], dst[mark:mark+n])
	dst[mark-1] = 0x80 | byte(k)
	for i := range k {
		dst[mark+i] = byte(n >> (8 * (k - 1 - i)))
	}
	return dst
}

// id is the identifier octet of a tag with a number below 31.
func (t tag) id() byte { return byte(t>>24)&0xc0 | byte(t&0x1f) }

const constructedBit = 0x20

func appendInteger(dst []byte, t tag, v int64) []byte {
	n := 1
	for x := v; x > 127 || x < -128; x >>= 8 {
		n++
	}
	dst = append(dst, t.id(), byte(n))
	for i := n - 1; i >= 0; i-- {
		dst = append(dst, byte(v>>(8*i)))
	}
	return dst
}

func appendBoolean(dst []byte, t tag, v bool) []byte {
	if v {
		return append(dst, t.id(), 1, 0xff)
	}
	return append(dst, t.id(), 1, 0)
}

func appendMaybe(dst []byte, t tag, v Maybe) []byte {
	if v == Absent {
		return dst
	}
	return appendBoolean(dst, t, v == True)
}

func appendOctets[S ~string | ~[]byte](dst []byte, t tag, v S) []byte {
	dst, mark := open(dst, t.id())
	return shut(append(dst, v...), mark)
}

func appendOptional(dst []byte, t tag, v *string) []byte {
	if v == nil {
		return dst
	}
	return appendOctets(dst, t, *v)
}

// appendPair writes a SEQUENCE of two numbers: ClientSlot and BankSlot.
func appendPair(dst []byte, t tag, a, b int64) []byte {
	dst, mark := open(dst, t.id()|constructedBit)
	dst = appendInteger(dst, tagInteger, a)
	dst = appendInteger(dst, tagInteger, b)
	return shut(dst, mark)
}

func (s ClientSlot) append(dst []byte, t tag) []byte { return appendPair(dst, t, s.ClientID, s.SlotNr) }
func (s BankSlot) append(dst []byte, t tag) []byte   { return appendPair(dst, t, s.BankID, s.SlotNr) }

func (i *ComponentIdentity) append(dst []byte) []byte {
	dst, mark := open(dst, tagSequence.id()|constructedBit)
	dst = appendInteger(dst, tagEnumerated, int64(i.Type))
	dst = appendOctets(dst, tagIA5, i.Name)
	dst = appendOctets(dst, context(0), i.Software)
	dst = appendOctets(dst, context(1), i.SWVersion)
	dst = appendOptional(dst, context(2), i.HWManufacturer)
	dst = appendOptional(dst, context(3), i.HWModel)
	dst = appendOptional(dst, context(4), i.HWSerialNr)
	dst = appendOptional(dst, context(5), i.HWVersion)
	dst = appendOptional(dst, context(6), i.FWVersion)
	return shut(dst, mark)
}

func (f Flags) append(dst []byte) []byte {
	dst, mark := open(dst, tagSequence.id()|constructedBit)
	dst = appendBoolean(dst, tagBoolean, f.TPDUHeaderPresent)
	dst = appendBoolean(dst, tagBoolean, f.FinalPart)
	dst = appendBoolean(dst, tagBoolean, f.ProcByteContinueTx)
	dst = appendBoolean(dst, tagBoolean, f.ProcByteContinueRx)
	return shut(dst, mark)
}

func (s SlotPhysStatus) append(dst []byte) []byte {
	dst, mark := open(dst, tagSequence.id()|constructedBit)
	dst = appendBoolean(dst, context(0), s.ResetActive)
	dst = appendMaybe(dst, context(1), s.VCCPresent)
	dst = appendMaybe(dst, context(2), s.CLKActive)
	dst = appendMaybe(dst, context(3), s.CardPresent)
	return shut(dst, mark)
}

func (p IPPort) append(dst []byte) []byte {
	dst, mark := open(dst, tagSequence.id()|constructedBit)
	t := context(0)
	if p.IP.V6 {
		t = context(1)
	}
	dst = appendOctets(dst, t, p.IP.Bytes)
	dst = appendInteger(dst, tagInteger, p.Port)
	return shut(dst, mark)
}

func (r ResultCode) append(dst []byte) []byte { return appendInteger(dst, tagEnumerated, int64(r)) }

// envelope writes what stands around every message.
func openPDU(dst []byte, version, pduTag int64, number byte) (out []byte, pdu, msg, body int) {
	dst, pdu = open(dst, tagSequence.id()|constructedBit)
	dst = appendInteger(dst, context(0), version)
	dst = appendInteger(dst, context(1), pduTag)
	dst, msg = open(dst, context(2).id()|constructedBit)
	dst, body = open(dst, context(number).id()|constructedBit)
	return dst, pdu, msg, body
}

func shutPDU(dst []byte, pdu, msg, body int) []byte {
	return shut(shut(shut(dst, body), msg), pdu)
}

// AppendPDU appends p in DER. A message that we do not know cannot be written.
func AppendPDU(dst []byte, p *PDU) ([]byte, error) {
	if p.Msg == nil {
		return dst, fmt.Errorf("encode RSPRO PDU without a message: %w", ErrUnknown)
	}
	if _, unknown := p.Msg.(*Unknown); unknown {
		return dst, fmt.Errorf("encode RSPRO %s: %w", p.Msg.Name(), ErrUnknown)
	}
	dst, pdu, msg, body := openPDU(dst, p.Version, p.Tag, p.Msg.number())
	return shutPDU(p.Msg.appendBody(dst), pdu, msg, body), nil
}

// AppendFrame appends a whole IPA frame that carries m as osmo-remsim sends it:
// version 2, tag 0.
func AppendFrame(dst []byte, m Message) ([]byte, error) {
	return AppendFrameTagged(dst, &PDU{Version: Version, Msg: m})
}

// AppendFrameTagged appends a whole IPA frame that carries p. A frame that
// osmo-remsim's 1024-byte buffers could not take is refused.
func AppendFrameTagged(dst []byte, p *PDU) ([]byte, error) {
	start := len(dst)
	out, err := AppendPDU(openFrame(dst), p)
	if err != nil {
		return dst, err
	}
	return shutFrame(out, start, p.Msg.Name())
}

// openFrame appends the IPA header of an RSPRO frame, its length still 0.
func openFrame(dst []byte) []byte { return append(dst, 0, 0, ProtoOSMO, ExtRSPRO) }

func shutFrame(dst []byte, start int, name string) ([]byte, error) {
	n := len(dst) - start - HeaderLen
	if n > MaxSend {
		return dst[:start], fmt.Errorf("encode RSPRO %s: %w: %d bytes, peers take at most %d", name, ErrTooLong, n, MaxSend)
	}
	dst[start], dst[start+1] = byte(n>>8), byte(n)
	return dst, nil
}

// AppendTpduModemToCard appends a whole IPA frame with a command TPDU. It
// allocates only if dst lacks room; 64 bytes more than the TPDU are enough.
func AppendTpduModemToCard(dst []byte, from ClientSlot, to BankSlot, tpdu []byte) ([]byte, error) {
	start := len(dst)
	m := TpduModemToCard{FromClientSlot: from, ToBankSlot: to, Data: tpdu}
	dst, pdu, msg, body := openPDU(openFrame(dst), Version, 0, m.number())
	return shutFrame(shutPDU(m.appendBody(dst), pdu, msg, body), start, "tpduModemToCard")
}

// AppendTpduCardToModem appends a whole IPA frame with an answer TPDU, like
// AppendTpduModemToCard.
func AppendTpduCardToModem(dst []byte, from BankSlot, to ClientSlot, tpdu []byte) ([]byte, error) {
	start := len(dst)
	m := TpduCardToModem{FromBankSlot: from, ToClientSlot: to, Data: tpdu}
	dst, pdu, msg, body := openPDU(openFrame(dst), Version, 0, m.number())
	return shutFrame(shutPDU(m.appendBody(dst), pdu, msg, body), start, "tpduCardToModem")
}
