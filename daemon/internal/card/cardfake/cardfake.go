// Package cardfake is a software UICC with a USIM: ETSI TS 102 221, 3GPP TS 31.102,
// and of 3GPP TS 51.011 what a 2G modem does first. It is driven with T=0 TPDUs, as a
// real card is by its reader, keeps a log of them, and behaves the same each time: no clock,
// no randomness, no goroutine.
//
// It has no protocol of its own and opens nothing: a fake bank or a card front carries
// its TPDUs. It does not do secure messaging, remote file management, Java Card, or
// files that are created at run time.
package cardfake

import (
	"fmt"
	"sync"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

// maxLog bounds the log; the oldest half goes when it is full.
const maxLog = 1 << 16

// Kind says what an Entry of the log is.
type Kind string

// What the log holds.
const (
	Command   Kind = "command"
	ColdReset Kind = "cold reset"
	WarmReset Kind = "warm reset"
	PowerOff  Kind = "power off"
)

// Entry is one event in a card's life.
type Entry struct {
	Sequence uint64 // counts entries, from 1
	Cycle    uint64 // counts resets, cold and warm, from 1
	Kind     Kind
	Command  []byte // of a Command: the TPDU
	Response []byte // and the answer; empty if the card was without power
}

// String shows header and status word, never data: it can be a PIN or a key.
func (e Entry) String() string {
	s := fmt.Sprintf("%d cycle %d %s", e.Sequence, e.Cycle, e.Kind)
	if e.Kind == Command {
		s += fmt.Sprintf(" % X", e.Command[:min(5, len(e.Command))])
		if n := len(e.Response); n >= 2 {
			s += fmt.Sprintf(" -> %d bytes, % X", n-2, e.Response[n-2:])
		}
	}
	return s
}

// Card is a software UICC. Its methods may be called from any goroutine.
type Card struct {
	mu      sync.Mutex
	profile Profile
	mf      *file
	usim    *file
	pins    map[byte]*pin
	auth    authenticator
	toolkit toolkit
	hook    func(tpdu []byte)

	powered  bool
	cycle    uint64
	channels [maxChannels]*channel // nil: closed; 0 is always open
	response []byte                // waits for GET RESPONSE

	sequence uint64
	log      []Entry
}

// New makes a card, without power. It panics if profile.Check finds fault.
func New(profile Profile) *Card {
	if err := profile.Check(); err != nil {
		panic(err)
	}
	c := &Card{profile: profile, pins: newPINs(profile), auth: newAuthenticator(profile)}
	c.mf, c.usim = newFiles(profile)
	return c
}

// Reset activates the card, or resets it warm if it has power and cold is false, and
// returns its ATR. Selection, verified PINs, channels and waiting answers are
// gone.
func (c *Card) Reset(cold bool) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	kind := WarmReset
	if cold || !c.powered {
		kind = ColdReset
	}
	c.powered = true
	c.cycle++
	c.forget()
	c.record(Entry{Kind: kind})
	return append([]byte(nil), c.profile.ATR...)
}

// PowerOff takes the card's power away. Commands get no answer until Reset.
func (c *Card) PowerOff() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.powered {
		return
	}
	c.powered = false
	c.forget()
	c.record(Entry{Kind: PowerOff})
}

// Transmit executes one command TPDU and returns data and status word, or nothing if
// the card has no power.
func (c *Card) Transmit(tpdu []byte) []byte {
	c.mu.Lock()
	hook := c.hook
	c.mu.Unlock()
	if hook != nil { // may block, so without the lock
		hook(tpdu)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var answer []byte
	if c.powered {
		answer = c.execute(tpdu)
	}
	c.record(Entry{Kind: Command, Command: append([]byte(nil), tpdu...), Response: append([]byte(nil), answer...)})
	return answer
}

// Log returns what happened to the card, oldest first. Sequence starts above 1 once
// the log has been trimmed.
func (c *Card) Log() []Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Entry(nil), c.log...)
}

// Powered tells whether the card has power, and Cycle of the log so far.
func (c *Card) Powered() (powered bool, cycle uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.powered, c.cycle
}

// SetHook has f called with each TPDU before it is executed, in the caller's
// goroutine; f may block to delay the card. nil takes it away.
func (c *Card) SetHook(f func(tpdu []byte)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hook = f
}

// String says in what state the card is. The ICCID is masked.
func (c *Card) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.powered {
		return fmt.Sprintf("%v, no power", c.profile)
	}
	open := 0
	for _, ch := range c.channels {
		if ch != nil {
			open++
		}
	}
	return fmt.Sprintf("%v, cycle %d, in %04X, %d channels open", c.profile, c.cycle, c.channels[0].df.id, open)
}

// forget is what a reset does to the card's volatile state.
func (c *Card) forget() {
	c.channels = [maxChannels]*channel{0: {df: c.mf}}
	c.response = nil
	c.toolkit.forget()
	for _, p := range c.pins {
		p.verified = false
	}
}

func (c *Card) record(e Entry) {
	c.sequence++
	e.Sequence, e.Cycle = c.sequence, c.cycle
	if len(c.log) >= maxLog {
		c.log = append(c.log[:0], c.log[maxLog/2:]...)
	}
	c.log = append(c.log, e)
}

// command is a TPDU taken apart.
type command struct {
	cla, ins, p1, p2, p3 byte
	data                 []byte
}

// le is how many bytes a case 2 command asks for.
func (m command) le() int {
	if m.p3 == 0 {
		return 256
	}
	return int(m.p3)
}

// execute is the card's operating system: class, channel, instruction.
func (c *Card) execute(tpdu []byte) []byte {
	if len(tpdu) < card.MinTPDU || len(tpdu) > card.MaxTPDU {
		return swWrongLength.bytes()
	}
	m := command{tpdu[0], tpdu[1], tpdu[2], tpdu[3], tpdu[4], tpdu[5:]}
	if m.ins != insGetResponse {
		c.response = nil
	}
	if want := card.BodyLen(tpdu); len(m.data) != want && card.CaseOf(tpdu) != card.CaseUnknown {
		return swWrongLength.bytes()
	}
	if m.cla == claGSM {
		return c.gsm(m)
	}
	number, s := channelOf(m.cla)
	if s != swOK {
		return s.bytes()
	}
	if number >= maxChannels || c.channels[number] == nil {
		return swNoChannel.bytes()
	}
	data, s := c.uicc(c.channels[number], number, m)
	if s == swOK {
		s = c.toolkit.pending()
	}
	return s.after(data)
}

// uicc dispatches the commands of ETSI TS 102 221 table 10.5.
func (c *Card) uicc(ch *channel, number int, m command) ([]byte, sw) {
	if m.cla&0x80 != 0 {
		return c.uicc8x(ch, m)
	}
	switch m.ins {
	case insSelect:
		return c.selectFile(ch, m)
	case insReadBinary:
		return c.readBinary(ch, m)
	case insUpdateBinary:
		return c.updateBinary(ch, m)
	case insReadRecord:
		return c.readRecord(ch, m)
	case insUpdateRecord:
		return c.updateRecord(ch, m)
	case insSearchRecord:
		return c.searchRecord(ch, m)
	case insVerify, insChangePIN, insDisablePIN, insEnablePIN, insUnblockPIN:
		return nil, c.pinCommand(m)
	case insDeactivate, insActivate:
		return nil, c.setActive(ch, m)
	case insAuthenticate:
		return c.authenticate(ch, m)
	case insManageChannel:
		return c.manageChannel(ch, number, m)
	case insGetResponse:
		return c.getResponse(m)
	}
	return nil, swNoInstruction
}

// uicc8x are the commands of CLA 8x.
func (c *Card) uicc8x(ch *channel, m command) ([]byte, sw) {
	switch m.ins {
	case insStatus:
		return c.status(ch, m)
	case insTerminalCapability:
		if len(m.data) < 2 || m.data[0] != 0xA9 {
			return nil, swWrongData
		}
		return nil, swOK
	case insGetResponse:
		return c.getResponse(m)
	}
	if m.cla == 0x80 {
		return c.toolkit.command(m)
	}
	return nil, swNoInstruction
}

// outgoing is the end of a case 4 command: data waits for GET RESPONSE.
func (c *Card) outgoing(data []byte) ([]byte, sw) {
	if len(data) == 0 {
		return nil, swOK
	}
	c.response = data
	return nil, swMore | sw(len(data)&0xFF)
}

// getResponse hands out what waits (ISO 7816-3 §12.2, ETSI TS 102 221 §7.3.1.1).
func (c *Card) getResponse(m command) ([]byte, sw) {
	if m.p1 != 0 || m.p2 != 0 {
		return nil, swWrongP1P2
	}
	n := m.le()
	switch {
	case c.response == nil:
		return nil, swConditions
	case n > len(c.response):
		return nil, swWrongLe | sw(len(c.response))
	}
	data := c.response[:n]
	c.response = c.response[n:]
	if len(c.response) > 0 {
		return data, swMore | sw(len(c.response)&0xFF)
	}
	c.response = nil
	return data, swOK
}
