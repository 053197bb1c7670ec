package relay

import (
	"fmt"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// FrontUp takes the front into use. A front that is in use already is given up
// as if its device had gone.
func (s *Session) FrontUp(f card.Front) {
	s.mu.Lock()
	defer s.unlock()
	if s.closed {
		return
	}
	if s.front != nil {
		s.loseFront("another front took its place")
	}
	s.front, s.info, s.limits = f, f.Info(), f.Limits()
	s.emit(model.FrontChanged{At: stamp(), Modem: s.modem, Kind: s.info.Kind, Device: s.info.Device, Up: true, Removes: s.limits.Removes})
	s.settle("the front is ready")
	now := s.now()
	s.pump(now)
	s.arm(now)
}

// FrontDown forgets the front and what its modem did to the card.
func (s *Session) FrontDown(err error) {
	s.mu.Lock()
	defer s.unlock()
	if s.closed || s.front == nil {
		return
	}
	reason := "closed"
	if err != nil {
		reason = err.Error()
	}
	s.loseFront(reason)
	now := s.now()
	s.pump(now)
	s.arm(now)
}

func (s *Session) loseFront(reason string) {
	s.void()
	used := s.shown
	s.front, s.shown, s.shownATR, s.needReset = nil, false, nil, false
	s.lines = card.Lines{}
	s.forget()
	if used {
		s.renew()
	}
	s.emit(model.FrontChanged{At: stamp(), Modem: s.modem, Kind: s.info.Kind, Device: s.info.Device, Reason: reason})
	s.report("the card front is gone: " + reason)
}

// Lines passes what the modem does with the contacts on to the bank, in order. A
// reset makes the command in flight void.
func (s *Session) Lines(l card.Lines) {
	s.mu.Lock()
	defer s.unlock()
	if s.closed || s.front == nil {
		return
	}
	was := s.lines
	s.lines = l
	power, reset := l.Powered != was.Powered, l.Reset != was.Reset
	if !power && !reset {
		return // a stopped clock resets nothing, and each frame costs an IoT link bytes
	}
	if power || l.Reset {
		s.modemReset()
	}
	if s.phase >= phaseReplay {
		s.tell(l)
	}
	s.report(lineReason(was, l))
	now := s.now()
	s.pump(now)
	s.arm(now)
}

func lineReason(was, l card.Lines) string {
	switch {
	case !was.Powered && l.Powered:
		return "the modem powered the card"
	case was.Powered && !l.Powered:
		return "the modem switched the card off"
	case l.Reset:
		return "the modem resets the card"
	}
	return "the modem released the reset"
}

// modemReset: the card has lost all that the modem told it.
func (s *Session) modemReset() {
	s.void()
	s.forget()
	s.needReset = false
	s.resetting = s.owes == owesStale
}

// Command takes the modem's command. It is sent at once if the card can be
// reached, and waits up to its limit if not.
func (s *Session) Command(id uint64, tpdu []byte) {
	s.mu.Lock()
	defer s.unlock()
	if s.closed || s.front == nil {
		return
	}
	if s.pend.active {
		s.stats.failed()
		s.void() // the front gave up on it without telling
	}
	now := s.now()
	why := s.refusal(tpdu)
	if why == "" && authenticates(tpdu) && !s.quota.take(now, s.plan.AuthPerHour) {
		why = fmt.Sprintf("more than %d authentications an hour are not allowed", s.plan.AuthPerHour)
	}
	if why != "" {
		s.mute(id, tpdu, why)
		s.arm(now)
		return
	}
	p := &s.pend
	p.active, p.sent, p.maybe, p.id, p.since = true, false, false, id, now
	p.limit = now + s.limit()
	p.n = copy(p.buf[:], tpdu)
	if s.phase == phaseGone && s.answerHeld() {
		s.arm(now)
		return
	}
	s.pump(now)
	s.arm(now)
}

// refusal tells why a command cannot go to the card at all.
func (s *Session) refusal(tpdu []byte) string {
	switch {
	case len(tpdu) < card.MinTPDU || len(tpdu) > card.MaxTPDU:
		return fmt.Sprintf("a command of %d bytes, the bank takes %d to %d", len(tpdu), card.MinTPDU, card.MaxTPDU)
	case !s.shown:
		return "no card is inserted"
	case s.needReset:
		return "the modem has not reset the card that was inserted"
	}
	return ""
}

// limit is how long a command may wait for its answer.
func (s *Session) limit() instant {
	d := s.limits.Answer
	if d <= 0 {
		d = defaultAnswer
	}
	if s.plan.Limit > 0 {
		d = min(d, s.plan.Limit)
	}
	return instant(d)
}

// void ends the pending command without an answer: the modem has reset the card
// or it is about to be taken away.
func (s *Session) void() {
	if s.pend.active && s.tracer.on {
		s.trace(s.pend.tpdu(), nil, s.pend.since, "void: the card was reset or removed")
	}
	if s.owes == owesCommand || s.owes == owesReplay || s.owes == owesCatchUp {
		s.owe()
	}
	s.pend.erase()
}

// owe turns what is in flight into an answer to be thrown away.
func (s *Session) owe() {
	s.owes, s.owedBy, s.setupBy = owesStale, s.now()+s.owedLimit, 0
}

// forget wipes what the modem did to the card; it has been, or will be, reset. A
// replay that was under way has nothing left to do.
func (s *Session) forget() {
	s.trail.forget()
	s.late.erase()
	s.play.wipe()
	s.sync.reset()
	s.local.reset(s.now())
	s.probeReset()
	if s.phase == phaseReplay {
		s.phase, s.setupBy = phaseOpen, 0
	}
}

// giveUp: the pending command has reached its limit.
func (s *Session) giveUp() {
	if s.plan.Hold && s.answerHeld() {
		return
	}
	p := &s.pend
	why := fmt.Sprintf("the bank did not answer within %v", time.Duration(s.limit()).Round(time.Millisecond))
	if !p.sent {
		why = fmt.Sprintf("the card could not be reached within %v", time.Duration(s.limit()).Round(time.Millisecond))
	}
	s.mute(p.id, p.tpdu(), why)
	s.leave()
}

// leave stops waiting for the pending command. If its answer still comes, it
// tells what the card did.
func (s *Session) leave() {
	if s.owes == owesCommand {
		s.late.n = copy(s.late.buf[:], s.pend.tpdu())
		s.owe()
	}
	if s.owes == owesCatchUp {
		s.owe()
	}
	s.pend.erase()
}

// mute shows the modem a card that does not answer command id.
func (s *Session) mute(id uint64, tpdu []byte, why string) {
	s.stats.failed()
	if err := s.front.Mute(id); err != nil {
		why += "; " + err.Error()
	}
	if s.tracer.on && len(tpdu) >= card.MinTPDU {
		s.trace(tpdu, nil, s.now(), "no answer: "+why)
	}
	s.emit(model.CommandMuted{At: stamp(), Modem: s.modem, Reason: instruction(tpdu) + " got no answer: " + why})
}

// answerHeld answers a pending STATUS from what the card itself last said to the
// same command, if nothing has happened since that could make it untrue. It is
// what keeps a modem registered while its bank is away.
func (s *Session) answerHeld() bool {
	p := &s.pend
	held := s.trail.heldStatus(p.tpdu())
	if held == nil {
		return false
	}
	if err := s.front.Answer(p.id, held); err != nil {
		s.stats.failed()
	}
	if s.tracer.on {
		s.trace(p.tpdu(), held, p.since, "answered for the card, the bank is away")
	}
	s.leave()
	return true
}

func instruction(tpdu []byte) string {
	if len(tpdu) < 2 {
		return "a command"
	}
	return card.Instruction(tpdu[0], tpdu[1])
}
