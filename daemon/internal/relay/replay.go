package relay

import (
	"fmt"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
)

// replay is the list of commands that bring a card, fresh from a reset, to where the
// modem left it, and how far it has come.
type replay struct {
	steps     []step
	next      int
	announced byte // by the last 91xx of the card
}

// step is one command, and what the card answered to it the first time.
type step struct {
	tpdu    []byte
	sw      uint16
	anySW   bool // 9000 and 91xx count as the same in any case; this takes 61xx and 9Fxx too
	channel byte // MANAGE CHANNEL has to open this one; 0: it is none
}

// wipe forgets the steps. They may hold a PIN.
func (r *replay) wipe() {
	for i := range r.steps {
		clear(r.steps[i].tpdu)
	}
	*r = replay{}
}

func (r *replay) command() []byte { return r.steps[r.next].tpdu }

func (r *replay) add(st step) { r.steps = append(r.steps, st) }

// plan makes the list, in the order that a terminal keeps to after a reset (TS 102 221
// §14): capability, profile, channels, PINs, and then each channel's selection. The
// channel whose SELECT still holds an answer for GET RESPONSE comes last.
func (r *replay) plan(t *trail) {
	r.wipe()
	if t.capability.n > 0 {
		r.add(step{tpdu: clone(t.capability.tpdu()), sw: 0x9000})
	}
	if t.profile.n > 0 {
		r.add(step{tpdu: clone(t.profile.tpdu()), sw: 0x9000})
	}
	r.channels(t)
	for i := range t.pins[:t.npins] {
		r.verify(t, &t.pins[i])
	}
	last := uint8(maxChannels)
	if t.held == insSelect {
		last = t.heldOn
	}
	for i := range t.channels {
		if uint8(i) != last {
			r.selections(&t.channels[i].at, uint8(i))
		}
	}
	if last < maxChannels {
		r.selections(&t.channels[last].at, last)
	}
}

// channels opens the logical channels. A card gives the lowest number that is free,
// so gaps are opened as well and closed afterwards.
func (r *replay) channels(t *trail) {
	highest := 0
	for i := range t.channels {
		if t.channels[i].open {
			highest = i
		}
	}
	for i := 1; i <= highest; i++ {
		r.add(step{tpdu: []byte{0x00, insManageChannel, 0, 0, 1}, sw: 0x9000, channel: byte(i)})
	}
	for i := 1; i < highest; i++ {
		if !t.channels[i].open {
			r.add(step{tpdu: []byte{0x00, insManageChannel, 0x80, byte(i), 0}, sw: 0x9000})
		}
	}
}

// verify repeats a verification where it was made: the same key reference is another
// PIN in another application.
func (r *replay) verify(t *trail, v *verified) {
	on := v.on
	if on != 0 && !t.channels[on].open {
		on = 0 // the channel is closed meanwhile; the PIN counts all the same
	}
	r.selections(&v.place, on)
	tpdu := clone(v.verify.tpdu())
	if on != v.on {
		tpdu[0] = card.OnChannel(tpdu[0]&0x80, on)
	}
	r.add(step{tpdu: tpdu, sw: 0x9000})
	if at := &t.channels[on].at; v.place.app.head[0]|byte(v.place.n) != 0 && at.app.head[0]|byte(at.n) == 0 {
		r.add(step{tpdu: []byte{card.OnChannel(0, on), insSelect, 0, 0x0C, 2, 0x3F, 0x00}, sw: 0x9000, anySW: true})
	}
}

// selections repeats what led to a channel's selection.
func (r *replay) selections(s *selections, ch uint8) {
	if s.app.head[0] != 0 {
		r.add(step{tpdu: s.app.tpdu(nil, ch), sw: s.app.sw})
	}
	for i := range s.chain[:s.n] {
		r.add(step{tpdu: s.chain[i].tpdu(nil, ch), sw: s.chain[i].sw})
	}
}

// answer takes the card's answer to the present step. done: it was the last one. why
// is not empty if the card answers otherwise than it did the first time.
func (r *replay) answer(response []byte) (done bool, why string) {
	st := &r.steps[r.next]
	data, sw1, sw2 := split(response)
	switch sw1 {
	case 0x91:
		r.announced = sw2
	case 0x90:
		r.announced = 0
	}
	if got := uint16(sw1)<<8 | uint16(sw2); !st.accepts(got) {
		return true, fmt.Sprintf("%s was answered %04X when it was repeated, %04X before", card.Instruction(st.tpdu[0], st.tpdu[1]), got, st.sw)
	}
	if st.channel != 0 && (len(data) != 1 || data[0] != st.channel) {
		return true, fmt.Sprintf("the card opened another logical channel than %d", st.channel)
	}
	r.next++
	return r.next == len(r.steps), ""
}

// accepts compares status words; an announced proactive command is no difference.
func (st *step) accepts(sw uint16) bool {
	if st.anySW && (sw>>8 == 0x61 || sw>>8 == 0x9F) {
		return true
	}
	return plain(sw) == plain(st.sw)
}

func plain(sw uint16) uint16 {
	if sw>>8 == 0x91 {
		return 0x9000
	}
	return sw
}

func clone(b []byte) []byte { return append([]byte(nil), b...) }

// resume brings the same card to where the modem left it, or shows the one reset
// that is left if that cannot be done.
func (s *Session) resume() {
	var next []byte
	if s.pend.active {
		next = s.pend.tpdu()
	}
	if s.pend.active && s.pend.maybe && !harmless(next) {
		s.replace(instruction(next) + " may have reached the card before the bank was lost, and must not be sent twice")
		return
	}
	if why := s.trail.obstacle(next); why != "" {
		s.replace(why)
		return
	}
	s.renew()
	if s.bank == nil {
		return // lost again
	}
	s.play.plan(&s.trail)
	if len(s.play.steps) == 0 {
		s.opened("the bank is back with the same card")
		return
	}
	s.phase = phaseReplay
}

// replayed takes the answer to a command of the replay.
func (s *Session) replayed(response []byte) {
	if s.tracer.on {
		s.traceOwn(card.Place{}, s.play.command(), response, s.ownSince())
	}
	s.setupBy = 0
	done, why := s.play.answer(response)
	switch {
	case why != "":
		s.replace(why)
	case !done:
	case s.trail.announced != 0 && s.trail.announced != s.play.announced:
		s.replace("the proactive command that the card had announced is not there any more")
	default:
		s.opened(fmt.Sprintf("the bank is back with the same card, commands replayed: %d", len(s.play.steps)))
	}
}
