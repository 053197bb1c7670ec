package rspro

import "math"

// MaxInput is the longest input that Decode looks at, in bytes.
const MaxInput = 1 << 20

// Decode reads one PDU from b and returns how many bytes it took; bytes after
// it are the caller's to judge (every program of osmo-remsim ignores them).
// Octet strings alias b. If p.Msg already is a message of the kind that is read,
// its memory is used again, so a loop over TPDUs does not allocate. After an
// error p is of no use.
//
// A refusal is a *DecodeError.
func (p *PDU) Decode(b []byte) (int, error) {
	n, err := p.decode(b)
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (p *PDU) decode(b []byte) (int, *DecodeError) {
	if len(b) > MaxInput {
		return 0, &DecodeError{Offset: MaxInput, What: "input is longer than any PDU"}
	}
	c := cursor{b: b, end: len(b), limit: math.MaxInt}
	if len(b) == 0 {
		return 0, c.short(0, "PDU")
	}
	in, err := c.sequence(tagSequence, "")
	if err != nil {
		return 0, err
	}
	if p.Version, err = in.integer(context(0), "version"); err != nil {
		return 0, err
	}
	if p.Tag, err = in.integer(context(1), "tag"); err != nil {
		return 0, err
	}
	if err = p.decodeMsg(&in); err != nil {
		return 0, err.in("msg")
	}
	if err = c.leave(&in, false); err != nil {
		return 0, err
	}
	return c.pos, nil
}

// decodeMsg reads the explicitly tagged CHOICE. Its wrapper may be primitive:
// the real decoder does not look.
func (p *PDU) decodeMsg(c *cursor) *DecodeError {
	h, err := c.expect(context(2), "")
	if err != nil {
		return err
	}
	wrapper, err := c.open(h)
	if err != nil {
		return err
	}
	look := wrapper
	h, err = look.header()
	if err != nil {
		return err
	}
	p.chooseMsg(h.tag)
	if _, unknown := p.Msg.(*Unknown); unknown {
		err = wrapper.skip()
	} else {
		err = decodeBody(&wrapper, h.tag, p.Msg)
	}
	if err != nil {
		return err
	}
	return c.leave(&wrapper, false)
}

// decodeBody reads the message that the wrapper holds. TPDUs are read by calls
// that the compiler can see through, so that their cursor stays off the heap.
func decodeBody(wrapper *cursor, t tag, m Message) (err *DecodeError) {
	switch m := m.(type) {
	case *TpduModemToCard:
		var body cursor
		if body, err = wrapper.sequence(t, ""); err == nil {
			if err = m.decodeBody(&body); err == nil {
				err = wrapper.leave(&body, true)
			}
		}
	case *TpduCardToModem:
		var body cursor
		if body, err = wrapper.sequence(t, ""); err == nil {
			if err = m.decodeBody(&body); err == nil {
				err = wrapper.leave(&body, true)
			}
		}
	default:
		err = decodeOther(wrapper, t, m)
	}
	if err != nil {
		return err.in(m.Name())
	}
	return nil
}

func decodeOther(wrapper *cursor, t tag, m Message) *DecodeError {
	body, err := wrapper.sequence(t, "")
	if err != nil {
		return err
	}
	if err := m.decodeBody(&body); err != nil {
		return err
	}
	_, empty := m.(*ResetStateReq) // its empty SEQUENCE takes no extension (asn1c)
	return wrapper.leave(&body, !empty)
}

// chooseMsg makes p.Msg a cleared message for the alternative t.
func (p *PDU) chooseMsg(t tag) {
	number := t & (1<<30 - 1)
	context := t>>30 == 2
	switch m := p.Msg.(type) { // the messages that come by the thousand
	case *TpduModemToCard:
		if context && tag(m.number()) == number {
			*m = TpduModemToCard{}
			return
		}
	case *TpduCardToModem:
		if context && tag(m.number()) == number {
			*m = TpduCardToModem{}
			return
		}
	}
	p.Msg = nil
	if context {
		p.Msg = newMessage(number)
	}
	if p.Msg == nil {
		p.Msg = &Unknown{Class: byte(t >> 30), Number: uint32(number)}
	}
}

// newMessage makes an empty message by its number in RsproPDUchoice, nil if
// there is none.
func newMessage(number tag) Message {
	switch number {
	case 0:
		return new(ConnectBankReq)
	case 1:
		return new(ConnectBankRes)
	case 2:
		return new(ConnectClientReq)
	case 3:
		return new(ConnectClientRes)
	case 4:
		return new(CreateMappingReq)
	case 5:
		return new(CreateMappingRes)
	case 6:
		return new(RemoveMappingReq)
	case 7:
		return new(RemoveMappingRes)
	case 8:
		return new(ConfigClientIDReq)
	case 9:
		return new(ConfigClientIDRes)
	case 10:
		return new(SetATRReq)
	case 11:
		return new(SetATRRes)
	case 12:
		return new(TpduModemToCard)
	case 13:
		return new(TpduCardToModem)
	case 14:
		return new(ClientSlotStatusInd)
	case 15:
		return new(BankSlotStatusInd)
	case 16:
		return new(ErrorInd)
	case 17:
		return new(ConfigClientBankReq)
	case 18:
		return new(ConfigClientBankRes)
	case 19:
		return new(ResetStateReq)
	case 20:
		return new(ResetStateRes)
	}
	return nil
}

// pair reads a SEQUENCE of two numbers: ClientSlot and BankSlot.
func (c *cursor) pair(t tag, name, first string) (a, b int64, err *DecodeError) {
	in, err := c.sequence(t, name)
	if err != nil {
		return 0, 0, err
	}
	if a, err = in.integer(tagInteger, first); err != nil {
		return 0, 0, err.in(name)
	}
	if b, err = in.integer(tagInteger, "slotNr"); err != nil {
		return 0, 0, err.in(name)
	}
	if err = c.leave(&in, true); err != nil {
		return 0, 0, err.in(name)
	}
	return a, b, nil
}

func (s *ClientSlot) decode(c *cursor, t tag, name string) (err *DecodeError) {
	s.ClientID, s.SlotNr, err = c.pair(t, name, "clientId")
	return err
}

func (s *BankSlot) decode(c *cursor, t tag, name string) (err *DecodeError) {
	s.BankID, s.SlotNr, err = c.pair(t, name, "bankId")
	return err
}

func (r *ResultCode) decode(c *cursor) *DecodeError {
	v, err := c.integer(tagEnumerated, "result")
	*r = ResultCode(v)
	return err
}

func (c *cursor) text(t tag, name string) (string, *DecodeError) {
	v, err := c.octets(t, tagIA5, name)
	return string(v), err
}

// optionalText reads the element name if it comes next.
func (c *cursor) optionalText(t tag, name string) (*string, *DecodeError) {
	here, err := c.has(t)
	if err != nil || !here {
		return nil, err
	}
	v, err := c.text(t, name)
	return &v, err
}

func (i *ComponentIdentity) decode(c *cursor) *DecodeError {
	in, err := c.sequence(tagSequence, "identity")
	if err != nil {
		return err
	}
	if err := i.fields(&in); err != nil {
		return err.in("identity")
	}
	if err := c.leave(&in, true); err != nil {
		return err.in("identity")
	}
	return nil
}

func (i *ComponentIdentity) fields(in *cursor) *DecodeError {
	v, err := in.integer(tagEnumerated, "type")
	if err != nil {
		return err
	}
	i.Type = ComponentType(v)
	if i.Name, err = in.text(tagIA5, "name"); err != nil {
		return err
	}
	if i.Software, err = in.text(context(0), "software"); err != nil {
		return err
	}
	if i.SWVersion, err = in.text(context(1), "swVersion"); err != nil {
		return err
	}
	for n, f := range []struct {
		to   **string
		name string
	}{
		{&i.HWManufacturer, "hwManufacturer"}, {&i.HWModel, "hwModel"}, {&i.HWSerialNr, "hwSerialNr"},
		{&i.HWVersion, "hwVersion"}, {&i.FWVersion, "fwVersion"},
	} {
		if *f.to, err = in.optionalText(context(byte(n+2)), f.name); err != nil {
			return err
		}
	}
	return nil
}

func (f *Flags) decode(c *cursor) *DecodeError {
	in, err := c.sequence(tagSequence, "flags")
	if err != nil {
		return err
	}
	if f.TPDUHeaderPresent, err = in.boolean(tagBoolean, "tpduHeaderPresent"); err != nil {
		return err.in("flags")
	}
	if f.FinalPart, err = in.boolean(tagBoolean, "finalPart"); err != nil {
		return err.in("flags")
	}
	if f.ProcByteContinueTx, err = in.boolean(tagBoolean, "procByteContinueTx"); err != nil {
		return err.in("flags")
	}
	if f.ProcByteContinueRx, err = in.boolean(tagBoolean, "procByteContinueRx"); err != nil {
		return err.in("flags")
	}
	if err := c.leave(&in, true); err != nil {
		return err.in("flags")
	}
	return nil
}

func (c *cursor) maybe(t tag, name string) (Maybe, *DecodeError) {
	here, err := c.has(t)
	if err != nil || !here {
		return Absent, err
	}
	v, err := c.boolean(t, name)
	return MaybeOf(v), err
}

func (s *SlotPhysStatus) decode(c *cursor) *DecodeError {
	const name = "slotPhysStatus"
	in, err := c.sequence(tagSequence, name)
	if err != nil {
		return err
	}
	if s.ResetActive, err = in.boolean(context(0), "resetActive"); err != nil {
		return err.in(name)
	}
	if s.VCCPresent, err = in.maybe(context(1), "vccPresent"); err != nil {
		return err.in(name)
	}
	if s.CLKActive, err = in.maybe(context(2), "clkActive"); err != nil {
		return err.in(name)
	}
	if s.CardPresent, err = in.maybe(context(3), "cardPresent"); err != nil {
		return err.in(name)
	}
	if err := c.leave(&in, true); err != nil {
		return err.in(name)
	}
	return nil
}

func (p *IPPort) decode(c *cursor) *DecodeError {
	in, err := c.sequence(tagSequence, "bankd")
	if err != nil {
		return err
	}
	if p.IP.V6, err = in.has(context(1)); err != nil {
		return err.in("bankd")
	}
	t := context(0)
	if p.IP.V6 {
		t = context(1)
	}
	if p.IP.Bytes, err = in.octets(t, tagOctets, "ip"); err != nil {
		return err.in("bankd")
	}
	if p.Port, err = in.integer(tagInteger, "port"); err != nil {
		return err.in("bankd")
	}
	if err := c.leave(&in, false); err != nil { // no extension marker
		return err.in("bankd")
	}
	return nil
}
