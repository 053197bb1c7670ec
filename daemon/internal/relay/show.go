package relay

import (
	"bytes"
	"fmt"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// settle makes the front show what the plan and the known card ask for.
func (s *Session) settle(reason string) {
	want := s.plan.Show && s.front != nil && s.card.ok
	switch {
	case !want && s.shown:
		s.withdraw()
	case want && !s.shown && s.phase == phaseOpen:
		if reason == "" {
			reason = "the card is inserted"
		}
		s.insert(reason)
		return // it reports
	case want && s.shown && !bytes.Equal(s.wantedATR(), s.shownATR):
		s.replace("the ATR to show was changed")
		return
	}
	s.report(reason)
}

// wantedATR is the ATR that the modem shall see.
func (s *Session) wantedATR() []byte {
	if len(s.plan.ATR) > 0 {
		return s.plan.ATR
	}
	return s.card.atr
}

// insert shows the card. The modem has to reset it before its commands count.
func (s *Session) insert(reason string) {
	atr := s.wantedATR()
	if m := s.limits.MaxATR; m > 0 && len(atr) > m {
		s.report(fmt.Sprintf("the ATR has %d bytes, the front takes %d", len(atr), m))
		return
	}
	if err := s.front.Insert(card.ATR(atr)); err != nil {
		s.report("the front does not take the card: " + err.Error())
		return
	}
	s.shown, s.needReset = true, true
	s.shownATR = append(s.shownATR[:0], atr...)
	if s.lines.Powered {
		// A front that cannot show a removal: its modem goes on as if
		// nothing had happened until it meets silence.
		reason += "; the modem has to reset it first"
	}
	s.report(reason)
}

// withdraw takes the card away and makes the bank reset it.
func (s *Session) withdraw() {
	if !s.shown {
		return
	}
	s.take()
	if s.phase >= phaseReplay {
		s.phase, s.setupBy = phaseOpen, 0
		s.renew()
	}
}

// take is the front's part of a withdrawal.
func (s *Session) take() {
	// Where a removal cannot be seen, only silence ends the pending command.
	if p := &s.pend; p.active && !s.limits.Removes {
		s.mute(p.id, p.tpdu(), "the card is taken away")
	}
	s.void()
	s.forget()
	if err := s.front.Remove(); err != nil {
		s.note("the front does not let go of the card: " + err.Error())
	}
	if s.limits.Removes {
		s.lines = card.Lines{} // a removed card has no power
	}
	s.shown, s.needReset = false, false
}

// replace is the one visible reset: the modem sees its card go and come, and
// starts from the beginning.
func (s *Session) replace(reason string) {
	s.take()
	if s.phase >= phaseReplay {
		s.phase, s.setupBy = phaseOpen, 0
		s.renew()
	}
	if s.phase == phaseOpen {
		s.reported.State = "" // told in any case, were it the same state again
		s.insert("the modem's card was reset: " + reason)
		return
	}
	s.report("the card was removed: " + reason)
}

// opened: commands pass from here on.
func (s *Session) opened(reason string) {
	s.resumed()
	s.sync.reset()
	s.play.wipe()
	s.phase, s.setupBy = phaseOpen, 0
	s.report(reason)
}

// state is the card as its modem sees it.
func (s *Session) state() model.CardState {
	switch {
	case !s.plan.Show:
		return model.CardNone
	case !s.shown:
		return model.CardAbsent
	case s.phase < phaseOpen:
		return model.CardLost
	case !s.lines.Powered:
		return model.CardPresent
	case s.lines.Reset:
		return model.CardPowered
	case s.needReset || s.resetting:
		return model.CardReset
	}
	return model.CardReady
}

// standing says in words why the state is what it is, where no event explains it.
func (s *Session) standing() string {
	switch {
	case !s.plan.Show:
		return "no remote card is wanted"
	case s.front == nil:
		return "no card front is there"
	case s.phase == phaseGone:
		return "no bank is connected"
	case s.phase < phaseOpen:
		return "the bank is asked for its card"
	}
	return "the card is shown"
}

// report tells the engine, if anything that it shows is different now.
func (s *Session) report(reason string) {
	now := model.CardChanged{
		Modem: s.modem, State: s.state(), Front: s.info.Kind, Device: s.info.Device,
		Reason: reason,
	}
	if reason == "" {
		now.Reason = s.standing()
	}
	if s.shown {
		now.ICCID = s.card.iccid
		now.ATR = card.ATR(s.shownATR).String()
	}
	last := &s.reported
	if now.State == last.State && now.Front == last.Front && now.Device == last.Device &&
		now.ATR == last.ATR && now.ICCID == last.ICCID {
		return
	}
	s.reported = now
	now.At = stamp()
	s.emit(now)
}
