package cardfake

// Status words that only 3GPP TS 51.011 §9.4 has.
const (
	swGSMMore          sw = 0x9F00 // | length
	swGSMNoEF          sw = 0x9400
	swGSMRange         sw = 0x9402
	swGSMNotFound      sw = 0x9404
	swGSMStructure     sw = 0x9408
	swGSMNoCHV         sw = 0x9802
	swGSMAccess        sw = 0x9804
	swGSMChallenge     sw = 0x9808
	swGSMBlocked       sw = 0x9840
	swGSMWrongP3       sw = 0x6700 // | right length
	swGSMInvalid       sw = 0x9810
	gsmDFResponse         = 22
	gsmEFResponse         = 15
	fidDFGSM              = 0x7F20
	gsmCharacteristics    = 0x0B // clock stop allowed, 13/4 MHz for algorithms
)

// gsm executes a command of 3GPP TS 51.011. It sees the files of the basic channel, the
// 2G directories among them.
func (c *Card) gsm(m command) []byte {
	ch := c.channels[0]
	data, s := c.gsmCommand(ch, m)
	switch {
	case s == swOK:
		s = c.toolkit.pending()
	case s.in(swMore):
		s = swGSMMore | s&0xFF
	default:
		s = gsmStatus(s)
	}
	return s.after(data)
}

func (c *Card) gsmCommand(ch *channel, m command) ([]byte, sw) {
	switch m.ins {
	case insSelect:
		return c.gsmSelect(ch, m)
	case insStatus:
		return c.gsmStatusOf(ch, m)
	case insReadBinary:
		return c.readBinary(ch, m)
	case insUpdateBinary:
		return c.updateBinary(ch, m)
	case insReadRecord:
		return c.readRecord(ch, m)
	case insUpdateRecord:
		return c.updateRecord(ch, m)
	case insVerify, insChangePIN, insDisablePIN, insEnablePIN, insUnblockPIN:
		return nil, c.gsmCHV(m)
	case insDeactivate, insActivate: // INVALIDATE, REHABILITATE
		return nil, c.setActive(ch, m)
	case insAuthenticate:
		return c.gsmAlgorithm(ch, m)
	case insGetResponse:
		return c.gsmGetResponse(m)
	case insSleep:
		return nil, swOK
	}
	return c.toolkit.command(m)
}

// gsmStatus translates a status word.
func gsmStatus(s sw) sw {
	switch {
	case s.in(swWrongLe):
		return swGSMWrongP3 | s&0xFF
	case s&0xFFF0 == swTries && s != swTries:
		return swGSMAccess
	}
	switch s {
	case swTries, swBlocked:
		return swGSMBlocked
	case swNotFound:
		return swGSMNotFound
	case swNoRecord, swWrongOffset:
		return swGSMRange
	case swNoEF:
		return swGSMNoEF
	case swWrongStructure:
		return swGSMStructure
	case swSecurity:
		return swGSMAccess
	case swInvalidated:
		return swGSMChallenge
	case swNoReference:
		return swGSMNoCHV
	case swConditions:
		return swGSMInvalid
	case swWrongP1P2:
		return swWrongOffset
	}
	return s
}

// gsmSelect is SELECT by identifier. The answer is always announced.
func (c *Card) gsmSelect(ch *channel, m command) ([]byte, sw) {
	switch {
	case m.p1 != 0 || m.p2 != 0:
		return nil, swWrongP1P2
	case len(m.data) != 2:
		return nil, swWrongLength
	}
	f := ch.df.reachable(uint16(m.data[0])<<8|uint16(m.data[1]), c.mf)
	if f == nil {
		return nil, swNotFound
	}
	ch.to(f)
	return c.outgoing(c.gsmFile(f))
}

func (c *Card) gsmStatusOf(ch *channel, m command) ([]byte, sw) {
	data := c.gsmFile(ch.df)
	if m.le() > len(data) {
		return nil, swWrongLe | sw(len(data))
	}
	return data[:m.le()], swOK
}

// gsmGetResponse gives as much as is asked for; the rest is lost (3GPP TS 51.011
// §9.2.18).
func (c *Card) gsmGetResponse(m command) ([]byte, sw) {
	data := c.response
	if data == nil {
		return nil, swConditions
	}
	if m.le() > len(data) {
		return nil, swWrongLe | sw(len(data))
	}
	c.response = nil
	return data[:m.le()], swOK
}

// gsmCHV is a CHV command: CHV1 and CHV2 are the PINs of the UICC.
func (c *Card) gsmCHV(m command) sw {
	switch {
	case len(m.data) == 0:
		return swWrongLength
	case m.p2 == 2:
		m.p2 = keyPIN2
	case m.ins == insUnblockPIN && m.p2 == 0:
		m.p2 = keyPIN1
	case m.p2 != 1:
		return swNoReference
	}
	return c.pinCommand(m)
}

// gsmAlgorithm is RUN GSM ALGORITHM, allowed in DF GSM (3GPP TS 51.011 §9.2.16).
func (c *Card) gsmAlgorithm(ch *channel, m command) ([]byte, sw) {
	switch {
	case m.p1 != 0 || m.p2 != 0:
		return nil, swWrongP1P2
	case len(m.data) != 16:
		return nil, swWrongLength
	case ch.df.id != fidDFGSM:
		return nil, swConditions
	case !c.granted(needPIN):
		return nil, swSecurity
	}
	sres, kc := c.auth.gsm([16]byte(m.data))
	return c.outgoing(join(sres[:], kc[:]))
}

// gsmFile is the answer to SELECT and STATUS (3GPP TS 51.011 §9.2.1).
func (c *Card) gsmFile(f *file) []byte {
	if !f.isDF() {
		return gsmEF(f)
	}
	out := make([]byte, gsmDFResponse)
	out[4], out[5] = byte(f.id>>8), byte(f.id)
	out[6] = 2 // DF
	if f == c.mf {
		out[6] = 1
	}
	out[12] = gsmDFResponse - 13 // what follows
	out[13] = gsmCharacteristics
	if !c.pins[keyPIN1].enabled {
		out[13] |= 0x80
	}
	for _, k := range f.children {
		switch {
		case !k.isDF():
			out[15]++
		case k.kind == dedicated: // 2G knows no applications
			out[14]++
		}
	}
	out[16] = 4 // CHVs and unblock CHVs
	for i, key := range []byte{keyPIN1, keyPIN2} {
		p := c.pins[key]
		out[18+2*i] = 0x80 | byte(p.tries) // initialized
		out[19+2*i] = 0x80 | byte(p.pukTries)
	}
	return out
}

func gsmEF(f *file) []byte {
	out := make([]byte, gsmEFResponse)
	size := f.size()
	out[2], out[3] = byte(size>>8), byte(size)
	out[4], out[5] = byte(f.id>>8), byte(f.id)
	out[6] = 4 // EF
	out[8] = gsmAccess(f.read)<<4 | gsmAccess(f.update)
	out[9] = gsmAccess(never) << 4
	out[10] = gsmAccess(needADM)<<4 | gsmAccess(needADM)
	if !f.body.deactivated {
		out[11] = 1
	}
	out[12] = gsmEFResponse - 13 // what follows
	switch f.kind {
	case linear:
		out[13] = 1
	case cyclic:
		out[13] = 3
	}
	if f.kind != transparent {
		out[14] = byte(f.recordLen())
	}
	return out
}

// gsmAccess is the nibble of an access condition (3GPP TS 51.011 §9.3).
func gsmAccess(a access) byte {
	switch a {
	case always:
		return 0
	case needPIN:
		return 1
	case needPIN2:
		return 2
	case needADM:
		return 4
	}
	return 15
}
