package relay

import (
	"fmt"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// iccidLen is the size of EF.ICCID (ETSI TS 102 221 §13.2, 3GPP TS 51.011 §10.1.1).
const iccidLen = 10

// identification reads EF.ICCID, which any card gives without a PIN: SELECT MF,
// SELECT 2FE2, READ BINARY. A card that refuses class 00 is asked as TS 51.011 has
// it, in class A0.
type identification struct {
	step  identStep
	gsm   bool
	le    byte // P3 of the last step, when the card named another
	again bool // le was taken from a 6Cxx or 61xx once already
	buf   [7]byte
}

type identStep uint8

const (
	selectMF identStep = iota
	selectICCID
	readICCID
	fetchICCID // GET RESPONSE, for cards that answer a READ with 61xx or 9Fxx
)

// command is the next TPDU to send.
func (i *identification) command() []byte {
	cla, noData := byte(0x00), byte(0x0C)
	if i.gsm {
		cla, noData = 0xA0, 0x00 // TS 51.011 §9.2.1 knows no P2
	}
	switch i.step {
	case selectMF:
		return append(i.buf[:0], cla, insSelect, 0, noData, 2, 0x3F, 0x00)
	case selectICCID:
		return append(i.buf[:0], cla, insSelect, 0, noData, 2, 0x2F, 0xE2)
	case fetchICCID:
		return append(i.buf[:0], cla, insGetResponse, 0, 0, i.le)
	}
	le := byte(iccidLen)
	if i.again {
		le = i.le
	}
	return append(i.buf[:0], cla, insReadBinary, 0, 0, le)
}

// answer takes the card's answer. done ends the identification; then either
// iccid or why is not empty.
func (i *identification) answer(response []byte) (done bool, iccid model.ICCID, why string) {
	data, sw1, sw2 := split(response)
	switch {
	case i.step <= selectICCID:
		if ok := sw1 == 0x90 || sw1 == 0x91 || sw1 == 0x61 || sw1 == 0x9F; ok {
			i.step++
			return false, "", ""
		}
		if !i.gsm { // 6E00, 6D00, or any other refusal of the class
			*i = identification{gsm: true}
			return false, "", ""
		}
		return true, "", fmt.Sprintf("SELECT was refused with %02X%02X", sw1, sw2)
	case sw1 == 0x6C && !i.again && i.step == readICCID:
		i.le, i.again = sw2, true
		return false, "", ""
	case (sw1 == 0x61 || sw1 == 0x9F) && len(data) == 0 && i.step == readICCID:
		i.step, i.le = fetchICCID, sw2
		return false, "", ""
	case sw1 != 0x90 && sw1 != 0x91:
		return true, "", fmt.Sprintf("READ BINARY was refused with %02X%02X", sw1, sw2)
	}
	if iccid = decodeICCID(data); iccid == "" {
		return true, "", fmt.Sprintf("EF.ICCID holds no number in its %d bytes", len(data))
	}
	return true, iccid, ""
}

// decodeICCID reads digits with swapped nibbles up to the first F. Cards with
// other hexadecimal digits in their number exist, and are told apart by them.
func decodeICCID(b []byte) model.ICCID {
	if len(b) > iccidLen {
		b = b[:iccidLen]
	}
	var d strings.Builder
	for _, x := range b {
		for _, n := range [2]byte{x & 0x0F, x >> 4} {
			if n == 0x0F {
				return model.ICCID(d.String())
			}
			d.WriteByte("0123456789ABCDE"[n])
		}
	}
	return model.ICCID(d.String())
}

// split parts an answer of at least two bytes.
func split(response []byte) (data []byte, sw1, sw2 byte) {
	n := len(response) - 2
	return response[:n], response[n], response[n+1]
}

// identified takes an answer of the identification.
func (s *Session) identified(response []byte) {
	if s.tracer.on {
		s.traceOwn(card.Place{DF: 0x3F00, EF: 0x2FE2}, s.ident.command(), response, s.ownSince())
	}
	s.setupBy = 0
	if done, iccid, why := s.ident.answer(response); done {
		s.recognise(iccid, why)
	}
}

// recognise compares the card with the one that the modem knows, and goes on
// from there.
func (s *Session) recognise(iccid model.ICCID, why string) {
	was := s.card
	s.card = known{ok: true, atr: s.atr, iccid: iccid, identified: iccid != ""}
	if len(s.atr) == 0 && was.identified && was.iccid == iccid {
		s.card.atr = was.atr // the bank has not said otherwise
	}
	s.useCache()
	if why != "" {
		s.note("the card's ICCID could not be read: " + why)
	}
	if !s.shown {
		if s.againFrom() {
			s.phase = phaseRecheck
			return
		}
		s.renew()
		s.start("the card is ready")
		return
	}
	s.phase = phaseOpen
	switch {
	case !was.identified || !s.card.identified:
		s.replace("its ICCID is not known, so it may be another card")
	case was.iccid != s.card.iccid:
		s.replace("the bank has another card now")
	case len(was.atr) > 0 && len(s.atr) > 0 && string(was.atr) != string(s.atr):
		s.replace("the card's ATR is another one now")
	default:
		s.resume()
	}
}

// start opens a card that the modem does not see yet.
func (s *Session) start(reason string) {
	if s.bank == nil {
		return // lost while it was being reset
	}
	s.phase, s.setupBy = phaseOpen, 0
	s.settle(reason)
}
