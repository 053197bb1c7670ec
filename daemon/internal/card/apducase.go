package card

// Case is the case of a command APDU (ISO 7816-3 §12.1.2). In T=0 the header
// does not tell it: P3 is Lc in cases 3 and 4 and Le in case 2, so whoever plays
// the card has to know the instruction before it can ask for a body.
type Case uint8

// The four cases, and the instructions that no table knows.
const (
	CaseUnknown Case = iota
	Case1            // no body, no answer data
	Case2            // answer data of P3 bytes
	Case3            // body of P3 bytes
	Case4            // body of P3 bytes; answer data through GET RESPONSE
)

// headerLen is CLA, INS, P1, P2, P3.
const headerLen = 5

// BodyLen tells how many bytes of body follow the T=0 header h.
//
// An unknown instruction has none: a card that does not know it either answers
// 6D00 or 6E00 after the header, whereas a body that never comes (the command was
// of case 2) would leave front and modem waiting for each other.
func BodyLen(h []byte) int {
	switch CaseOf(h) {
	case Case3, Case4:
		return int(h[4])
	}
	return 0
}

// CaseOf tells the case of the T=0 header h as osmo-remsim's clients do (their
// table osim_uicc_sim_cic_profile): GSM 11.11 table 9 for CLA A0, ETSI TS 102 221
// table 10.5 and GlobalPlatform 2.3.1 for the rest. P1, P2 and P3 matter for a few
// instructions. Fewer than five bytes are CaseUnknown.
func CaseOf(h []byte) Case {
	if len(h) < headerLen {
		return CaseUnknown
	}
	cla, ins := h[0], h[1]
	switch cla & 0xF0 {
	case 0x00:
		if c := interindustryCase(h); c != CaseUnknown {
			return c
		}
		if cla == 0x00 && ins == 0xCA { // GET DATA, of Windows' card discovery
			return Case2
		}
	case 0x40, 0x60:
		return interindustryCase(h)
	case 0x80:
		if cla == 0x80 {
			if c := toolkitCase(ins); c != CaseUnknown {
				return c
			}
		}
		if c := globalPlatformCase(h); c != CaseUnknown {
			return c
		}
		return uiccCase(ins)
	case 0xA0:
		if cla == 0xA0 {
			return gsmCase(ins)
		}
	case 0xC0, 0xE0:
		if c := uiccCase(ins); c != CaseUnknown {
			return c
		}
		return globalPlatformCase(h)
	}
	return CaseUnknown
}

// gsmCase is 3GPP TS 11.11 table 9: CLA A0.
func gsmCase(ins byte) Case {
	switch ins {
	case 0x04, 0x44, 0xFA: // INVALIDATE, REHABILITATE, SLEEP
		return Case1
	case 0xF2, 0xB0, 0xB2, 0xC0, 0x12: // STATUS, READ, GET RESPONSE, FETCH
		return Case2
	case 0xD6, 0xDC, 0x20, 0x24, 0x26, 0x28, 0x2C, // UPDATE, CHV commands
		0x10, 0x14: // TERMINAL PROFILE, TERMINAL RESPONSE
		return Case3
	case 0xA4, 0xA2, 0x32, 0x88, 0xC2: // SELECT, SEEK, INCREASE, RUN GSM ALGORITHM, ENVELOPE
		return Case4
	}
	return CaseUnknown
}

// interindustryCase is ETSI TS 102 221 table 10.5: CLA 0x, 4x, 6x.
func interindustryCase(h []byte) Case {
	switch h[1] {
	case 0x04, 0x44: // DEACTIVATE FILE, ACTIVATE FILE
		return Case1
	case 0xB0, 0xB2, 0x84, 0x70, 0xC0: // READ, GET CHALLENGE, MANAGE CHANNEL, GET RESPONSE
		return Case2
	case 0xD6, 0xDC, 0x20, 0x24, 0x26, 0x28, 0x2C: // UPDATE, PIN commands
		return Case3
	case 0xA4, 0xA2, 0x88, 0x89: // SELECT, SEARCH RECORD, AUTHENTICATE
		return Case4
	case 0x73:
		return secureChannelCase(h[2], h[3])
	case 0x75: // TRANSACT DATA: P1 bit 3 tells the direction
		if h[2]&0x04 != 0 {
			return Case3
		}
		return Case2
	}
	return CaseUnknown
}

// secureChannelCase is MANAGE SECURE CHANNEL (ETSI TS 102 221 §11.1.20): P1 is
// the operation, P2 the direction of the data.
func secureChannelCase(p1, p2 byte) Case {
	if p1 == 0 { // retrieve UICC endpoints
		return Case2
	}
	switch p1 & 0x07 {
	case 1, 2, 3: // establish master SA, connection SA, start secure channel
		switch {
		case p2 == 0x80 || p2>>5 == 0:
			return Case3
		case p2>>5 == 1 || p2>>5 == 5:
			return Case2
		}
	case 4: // terminate secure channel SA
		return Case3
	}
	return CaseUnknown
}

// toolkitCase is ETSI TS 102 221 table 10.5: CLA 80 alone.
func toolkitCase(ins byte) Case {
	switch ins {
	case 0x12: // FETCH
		return Case2
	case 0x10, 0x14: // TERMINAL PROFILE, TERMINAL RESPONSE
		return Case3
	case 0xC2, 0x76, 0x7A: // ENVELOPE, SUSPEND UICC, EXCHANGE CAPABILITIES
		return Case4
	}
	return CaseUnknown
}

// uiccCase is ETSI TS 102 221 table 10.5: CLA 8x, Cx, Ex.
func uiccCase(ins byte) Case {
	switch ins {
	case 0xF2: // STATUS
		return Case2
	case 0xDB, 0xAA: // SET DATA, TERMINAL CAPABILITY
		return Case3
	case 0x32, 0xCB, 0x78: // INCREASE, RETRIEVE DATA, GET IDENTITY
		return Case4
	}
	return CaseUnknown
}

// globalPlatformCase is GlobalPlatform Card Specification 2.3.1 §11: CLA 8x, Cx,
// Ex.
func globalPlatformCase(h []byte) Case {
	ins, p1, p3 := h[1], h[2], h[4]
	switch ins {
	case 0xC0: // GET RESPONSE
		return Case2
	case 0xF0: // SET STATUS
		return Case3
	case 0xE4, 0xE6, 0xE8, 0xD8: // DELETE, INSTALL, LOAD, PUT KEY
		return Case4
	case 0xE2: // STORE DATA: P1 bit 1 announces answer data
		if p1&0x01 != 0 {
			return Case4
		}
		return Case3
	case 0xF2: // GET STATUS sets one of P1's upper bits, the UICC's STATUS none
		if p1&0xF0 != 0 {
			return Case4
		}
		return Case2
	case 0xCA, 0xCB: // GET DATA: Le has to be 00, so another P3 is Lc
		if p3 == 0 {
			return Case2
		}
		return Case4
	}
	return CaseUnknown
}
