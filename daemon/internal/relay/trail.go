package relay

import (
	"bytes"
	"fmt"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

const (
	maxChannels = 20 // 0..3 in class 0X, 4..19 in class 4X (TS 102 221 §10.1.1)
	maxPINs     = 4
	maxStatus   = 4
)

// trail is what the modem did to the card since its last reset, as far as a reset
// undoes it: enough to bring the card there again, or the knowledge that this cannot
// be done. It is kept in memory only, and wiped with each reset.
type trail struct {
	capability command // TERMINAL CAPABILITY
	profile    command // TERMINAL PROFILE
	channels   [maxChannels]channel
	pins       [maxPINs]verified
	npins      int

	blocked   string // why nothing can be replayed any more; "" if it can
	announced byte   // length of the proactive command that a 91xx announced; 0: none
	fetched   bool   // a proactive command was fetched and not responded to
	// held is the instruction whose answer data wait for GET RESPONSE, 0 for
	// none, and heldOn its channel.
	held   byte
	heldOn uint8
	open   bool // a chain of commands is not complete (CLA bit 5)

	status  [maxStatus]heldStatus
	nstatus int // next to be overwritten
}

// heldStatus is a STATUS command and what the card said to it.
type heldStatus struct {
	header [5]byte
	n      int
	answer [card.MaxResponse]byte
}

// verified is a PIN that the modem has verified, and where.
type verified struct {
	on     uint8
	key    byte // P2
	place  selections
	verify command
}

// forget wipes everything.
func (t *trail) forget() { *t = trail{} }

// midway tells whether another command now would come between two that belong
// together.
func (t *trail) midway() bool { return t.held != 0 || t.open }

// learn takes a command that the card has executed, and its answer.
func (t *trail) learn(tpdu, response []byte) {
	if len(tpdu) < card.MinTPDU || len(response) < 2 {
		return
	}
	data, sw1, sw2 := split(response)
	where, known := card.ClassOf(tpdu[0])
	ok := taken(sw1)
	t.hold(tpdu[1], where.Channel, sw1)
	t.open = where.Chained
	t.proactive(tpdu[1], sw1, sw2)
	switch {
	case !known || where.Secure || where.Chained:
		if ok {
			t.block(where, "a command of a class that the relay cannot repeat (CLA %02X)", tpdu[0])
		}
		return
	case !keepsSelection(tpdu[1]):
		t.nstatus, t.status = 0, [maxStatus]heldStatus{}
	}
	t.effect(where, tpdu, data, uint16(sw1)<<8|uint16(sw2), ok)
}

// effect learns what a command of a known class did to the card's volatile state.
func (t *trail) effect(where card.Class, tpdu, data []byte, sw uint16, ok bool) {
	c := &t.channels[where.Channel]
	switch tpdu[1] {
	case insSelect:
		if ok {
			c.selected(where.GSM, tpdu, sw)
		}
	case insStatus:
		t.keepStatus(tpdu, data, sw)
	case insReadBinary, insReadRecord, insUpdateBinary, insUpdateRecord, insSearchRecord, insIncrease:
		c.accessed(where.GSM, tpdu, sw, ok)
	case insTerminalProfile:
		keep(&t.profile, tpdu, ok)
	case insTerminalCapability:
		keep(&t.capability, tpdu, ok)
	case insVerify:
		t.pin(where, tpdu, sw)
	case insChangePIN, insDisablePIN, insEnablePIN, insUnblockPIN:
		t.blocked = card.Instruction(tpdu[0], tpdu[1]) + " changed what a PIN is worth"
	case insManageChannel:
		if ok {
			t.manage(where, tpdu, data)
		}
	case insGetResponse, insFetch, insTerminalResponse, insEnvelope, insAuthenticate,
		insDeactivateFile, insActivateFile, insGetData, insGetIdentity, insSleep:
		// Lasting effects, or none.
	default:
		if ok {
			t.block(where, "%s has an effect that the relay does not know", card.Instruction(tpdu[0], tpdu[1]))
		}
	}
}

// block remembers why a channel cannot be brought back.
func (t *trail) block(where card.Class, format string, args ...any) {
	if c := &t.channels[where.Channel]; c.bad == "" {
		c.bad = fmt.Sprintf(format, args...)
	}
}

// keep stores a command that the card has taken.
func keep(c *command, tpdu []byte, ok bool) {
	if ok {
		c.n = copy(c.buf[:], tpdu)
	}
}

// hold follows the pair of a command and its GET RESPONSE.
func (t *trail) hold(ins byte, ch uint8, sw1 byte) {
	switch {
	case sw1 == 0x61 || sw1 == 0x9F:
		if ins != insGetResponse {
			t.held, t.heldOn = ins, ch
		}
	case ins == insGetResponse && sw1 == 0x6C: // wrong length: the data are still there
	default:
		t.held = 0
	}
}

// proactive follows 91xx, FETCH and TERMINAL RESPONSE (TS 102 221 §7.4.2). A card
// announces its command with each 9000 until it is fetched.
func (t *trail) proactive(ins, sw1, sw2 byte) {
	switch sw1 {
	case 0x91:
		t.announced = sw2
	case 0x90:
		t.announced = 0
	default:
		return
	}
	switch ins {
	case insFetch:
		t.fetched = true
	case insTerminalResponse:
		t.fetched = false
	}
}

// pin learns from VERIFY. Without a body it only asks for the tries left.
func (t *trail) pin(where card.Class, tpdu []byte, sw uint16) {
	if len(tpdu) == card.MinTPDU {
		return
	}
	if sw>>8 != 0x90 && sw>>8 != 0x91 {
		t.unverify(tpdu[3])
		return
	}
	v := t.entry(where.Channel, tpdu[3])
	if v == nil {
		t.blocked = "more PINs were verified than the relay keeps"
		return
	}
	v.on, v.key, v.place = where.Channel, tpdu[3], t.channels[where.Channel].at
	v.verify.erase()
	v.verify.n = copy(v.verify.buf[:], tpdu)
}

// entry finds the place for a verified PIN; nil if there is none.
func (t *trail) entry(ch uint8, key byte) *verified {
	for i := range t.pins[:t.npins] {
		if v := &t.pins[i]; v.on == ch && v.key == key {
			return v
		}
	}
	if t.npins == maxPINs {
		return nil
	}
	t.npins++
	return &t.pins[t.npins-1]
}

// unverify forgets a PIN that was refused: the card regards it as not verified.
func (t *trail) unverify(key byte) {
	n := 0
	for i := range t.pins[:t.npins] {
		if t.pins[i].key != key {
			t.pins[n] = t.pins[i]
			n++
		}
	}
	clear(t.pins[n:t.npins])
	t.npins = n
}

// manage learns from MANAGE CHANNEL (TS 102 221 §11.1.17).
func (t *trail) manage(where card.Class, tpdu, data []byte) {
	switch {
	case tpdu[2] == 0x80: // close
		if n := tpdu[3]; n > 0 && n < maxChannels {
			t.channels[n] = channel{}
		}
	case tpdu[2] == 0x00:
		n := tpdu[3]
		if n == 0 && len(data) == 1 {
			n = data[0]
		}
		if n == 0 || n >= maxChannels {
			t.blocked = "a logical channel was opened that the relay could not follow"
			return
		}
		t.channels[n] = channel{open: true}
		if where.Channel != 0 { // it starts where its opener stands
			t.channels[n].at = t.channels[where.Channel].at
		}
	default:
		t.blocked = "MANAGE CHANNEL in a form that the relay does not know"
	}
}

// keepsSelection tells the commands that leave the answer to STATUS as it is.
func keepsSelection(ins byte) bool {
	switch ins {
	case insStatus, insReadBinary, insReadRecord, insUpdateBinary, insUpdateRecord,
		insSearchRecord, insGetResponse, insAuthenticate, insFetch:
		return true
	}
	return false
}

// keepStatus keeps an answer for the time when the bank is away. 6Cxx is kept as
// well: it is the card's own word on the length, and the first half of the pair.
func (t *trail) keepStatus(tpdu, data []byte, sw uint16) {
	if sw != 0x9000 && sw>>8 != 0x6C || tpdu[2] != 0 {
		return
	}
	at := -1
	for i := range t.status {
		if bytes.Equal(t.status[i].header[:], tpdu[:5]) {
			at = i
		}
	}
	if at < 0 {
		at = t.nstatus
		t.nstatus = (t.nstatus + 1) % maxStatus
	}
	h := &t.status[at]
	copy(h.header[:], tpdu[:5])
	n := copy(h.answer[:], data)
	h.answer[n], h.answer[n+1] = byte(sw>>8), byte(sw)
	h.n = n + 2
}

// heldStatus is what the card last said to this STATUS, nil if that is not known
// to be true any more.
func (t *trail) heldStatus(tpdu []byte) []byte {
	if len(tpdu) != card.MinTPDU || tpdu[1] != insStatus {
		return nil
	}
	for i := range t.status {
		if h := &t.status[i]; h.n > 0 && bytes.Equal(h.header[:], tpdu) {
			return h.answer[:h.n]
		}
	}
	return nil
}

// obstacle tells why the card cannot be brought back to where the modem left it;
// next is the command that waits, nil for none.
func (t *trail) obstacle(next []byte) string {
	switch {
	case t.blocked != "":
		return t.blocked
	case t.fetched:
		return "a proactive command was fetched and its TERMINAL RESPONSE is due"
	case t.open:
		return "a command was sent in part"
	case next != nil && next[1] == insGetResponse && t.held != insSelect,
		next == nil && t.held != 0 && t.held != insSelect:
		return "the answer that GET RESPONSE fetches is lost"
	}
	for i := range t.channels {
		if why := t.channels[i].obstacle(); why != "" {
			return fmt.Sprintf("%s on channel %d", why, i)
		}
	}
	return ""
}
