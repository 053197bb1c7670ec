package relay_test

import (
	"slices"
)

// modem is what the test's modem is at.
type modem struct {
	powered   bool
	current   []byte // the command that waits for its answer
	fresh     int    // commands since the last reset
	tag       uint32 // makes each UPDATE and each challenge another one
	fetch     byte   // length of the answer to be fetched by GET RESPONSE
	channel   byte
	opened    byte
	proactive byte
	respond   []byte // TERMINAL RESPONSE that is due
	records   bool   // a file of records is selected
}

// learn takes an answer as a modem does.
func (m *modem) learn(cmd, response []byte) {
	sw1, sw2 := response[len(response)-2], response[len(response)-1]
	m.fetch, m.proactive = 0, 0
	switch {
	case sw1 == 0x61:
		m.fetch, m.channel = sw2, cmd[0]&3
	case sw1 == 0x91:
		m.proactive = sw2
	case cmd[1] == 0x70 && sw1 == 0x90 && cmd[2] == 0:
		m.opened = response[0]
	case cmd[1] == 0x70 && sw1 == 0x90:
		m.opened = 0
	}
	m.respond = nil
	if cmd[1] == 0x12 && sw1 == 0x90 {
		m.respond = response[:len(response)-2]
	}
}

// next is what the modem wants from the card.
func (m *modem) next(o *oracle) []byte {
	m.fresh++
	switch {
	case m.fetch != 0:
		return []byte{m.channel, 0xC0, 0, 0, m.fetch}
	case m.respond != nil:
		// Command details, device identities, result: performed successfully.
		details := m.respond[2:7]
		return append([]byte{0x80, 0x14, 0, 0, 12}, append(slices.Clone(details), 0x02, 0x02, 0x82, 0x81, 0x03, 0x01, 0x00)...)
	case m.proactive != 0 && o.rng.IntN(2) == 0:
		return []byte{0x80, 0x12, 0, 0, m.proactive}
	case m.fresh == 1:
		return append([]byte{0x80, 0x10, 0, 0, 4}, 0xFF, 0xFF, 0xFF, 0xFF)
	case m.fresh == 2:
		return append([]byte{0x00, 0xA4, 0x04, 0x04, 7}, 0xA0, 0, 0, 0, 0x87, 0x10, 0x02)
	case m.fresh == 4:
		return append([]byte{0x00, 0x20, 0x00, 0x01, 8}, "1234\xFF\xFF\xFF\xFF"...)
	}
	return m.any(o)
}

func (m *modem) any(o *oracle) []byte {
	m.tag++
	ch := byte(0)
	if m.opened != 0 && o.rng.IntN(2) == 0 {
		ch = m.opened
	}
	fids := []string{"\x6F\x07", "\x6F\x7E", "\x6F\x38", "\x3F\x00", "\x7F\xFF", "\x2F\xE2", "\x6F\x40", "\x6F\x3C", "\x6F\x7B", "\x7F\x10", "\x6F\xFF"}
	if m.records {
		m.records = false
		return []byte{0, 0xB2, 0, 2, 30}
	}
	switch o.rng.IntN(17) {
	case 0, 1, 2, 3:
		fid := fids[o.rng.IntN(len(fids))]
		m.records = fid == "\x6F\x40" && ch == 0
		p2 := []byte{0x04, 0x0C}[o.rng.IntN(2)]
		if fid == "\x3F\x00" || fid == "\x7F\xFF" || fid == "\x2F\xE2" {
			p2 = 0x04 // with 0C the relay itself selects these, and the test could not tell
		}
		return append([]byte{ch, 0xA4, 0, p2, 2}, fid...)
	case 4:
		return append([]byte{ch, 0xA4, 0x04, 0x0C, 7}, 0xA0, 0, 0, 0, 0x87, 0x10, 0x02)
	case 5, 6:
		return []byte{ch, 0xB0, 0, 0, 9}
	case 7:
		return []byte{ch, 0xB0, 0x80 | []byte{0x07, 0x0B, 0x04, 0x03, 0x0D}[o.rng.IntN(5)], 0, 4}
	case 8:
		return []byte{ch, 0xB2, 1, []byte{0x04, 0x04, 0x02}[o.rng.IntN(3)], 30}
	case 9, 10:
		return []byte{0x80 | ch, 0xF2, 0, 0x0C, 0}
	case 11: // LOCI by its short identifier: succeeds in the USIM, with its PIN
		return append([]byte{ch, 0xD6, 0x8B, 0, 11}, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0xF1, 0x10, byte(m.tag>>16), byte(m.tag>>8), byte(m.tag), 0)
	case 12:
		if m.opened == 0 {
			return []byte{0, 0x70, 0, 0, 1}
		}
		return []byte{0, 0x70, 0x80, m.opened, 0}
	case 15: // FPLMN by its short identifier: the full cache keeps it
		return append([]byte{ch, 0xD6, 0x8D, 0, 3}, byte(m.tag>>16), byte(m.tag>>8), byte(m.tag))
	case 16: // the current file, whatever it is
		return append([]byte{ch, 0xD6, 0, 0, 3}, byte(m.tag>>16), byte(m.tag>>8), byte(m.tag))
	case 13:
		var rand [16]byte
		rand[0], rand[1], rand[2] = byte(m.tag>>16), byte(m.tag>>8), byte(m.tag)
		autn, _, _, _ := o.card.Milenage().Challenge(rand, o.card.SQN()+1<<5, [2]byte{0x80, 0})
		tpdu := append([]byte{ch, 0x88, 0, 0x81, 34, 16}, rand[:]...)
		return append(append(tpdu, 16), autn[:]...)
	}
	return []byte{0x80, 0xF2, 0, 0, 0}
}
