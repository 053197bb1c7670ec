package relay

import (
	"context"
	"errors"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// ErrProbing: one probe at a time.
var ErrProbing = errors.New("the card is being tested already")

// probeLimit bounds a probe whose context has no deadline of its own. At a round trip of a
// second the whole test takes half a minute.
const probeLimit = 50 * time.Second

// Probe tests the card without changing anything and without registering anywhere: is it
// there, what are its ATR and ICCID, how long does an answer take, and, on a logical channel
// of its own, what services does it have and does it check a network's challenge
// (probesteps.go). Its commands go between two of the modem's that do not belong
// together; one of the modem's that opens or closes a channel ends the test. It ends with
// the first step that is not OK; the last step is the verdict. The error is ErrProbing,
// ErrClosed or nil; what is wrong with the card stands in the steps.
func (s *Session) Probe(ctx context.Context) ([]model.Step, error) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	p := &probe{done: make(chan []model.Step, 1)}
	steps, ready, err := s.beginProbe(p)
	if err != nil || !ready {
		return steps, err
	}
	select {
	case more := <-p.done:
		return append(steps, more...), nil
	case <-ctx.Done():
	}
	return append(steps, s.cancelProbe(p)...), nil
}

// beginProbe says what is known at once, and queues the STATUS.
func (s *Session) beginProbe(p *probe) (steps []model.Step, ready bool, err error) {
	s.mu.Lock()
	defer s.unlock()
	switch {
	case s.closed:
		return nil, false, ErrClosed
	case s.probing != nil:
		return nil, false, ErrProbing
	}
	for _, st := range s.standingSteps() {
		steps = append(steps, st)
		if !st.OK {
			return steps, false, nil
		}
	}
	p.gsm = s.ident.gsm
	s.probing = p
	now := s.now()
	s.pump(now)
	s.arm(now)
	return steps, true, nil
}

// standingSteps are the steps that need no card.
func (s *Session) standingSteps() []model.Step {
	bank := model.Step{Name: "bank", OK: s.phase == phaseOpen, Text: "the bank has the card ready"}
	switch s.phase {
	case phaseGone:
		bank.Text = "no bank is connected"
	case phaseSilent:
		bank.Text = "the bank is connected and has sent no ATR yet"
	case phaseIdentify, phaseRecheck, phaseReplay:
		bank.Text = "the card is being made ready"
	}
	present := model.Step{Name: "card", OK: s.shown, Text: "the card is shown to the modem"}
	if !s.shown {
		present.Text = "no card is shown to the modem"
	}
	atr := model.Step{Name: "atr", OK: len(s.card.atr) > 0, Text: card.ATR(s.card.atr).String()}
	if !atr.OK {
		atr.Text = "no ATR is known"
	}
	iccid := model.Step{Name: "iccid", OK: s.card.identified, Text: model.Masked(s.card.iccid.String())}
	if !iccid.OK {
		iccid.Text = "the card's number is not known"
	}
	return []model.Step{bank, present, atr, iccid}
}

// probed takes the answer to a command of the probe.
func (s *Session) probed(response []byte, now instant) {
	p := s.probing
	if p == nil {
		return
	}
	if s.tracer.on {
		s.traceOwn(card.Place{}, p.command(), response, p.sentAt)
	}
	s.overheard(response)
	if p.take(response, float64(now-p.sentAt)/float64(time.Millisecond)) {
		s.probing = nil
		p.finish()
	}
}

// endProbe tells a probe that it will get no answer. Whatever took the card away closed
// its channel too.
func (s *Session) endProbe(err error) {
	if p := s.probing; p != nil {
		s.probing = nil
		p.fail(err.Error())
		p.finish()
	}
}

// cancelProbe: whoever asked has waited long enough. An answer that is owed is thrown
// away, unless a channel has to be closed first: then the probe goes on to that by itself.
func (s *Session) cancelProbe(p *probe) []model.Step {
	s.mu.Lock()
	defer s.unlock()
	if s.probing != p { // it has ended meanwhile
		return <-p.done
	}
	const late = "no answer in time, or no gap between the modem's commands"
	p.fail(late)
	steps := p.steps
	if p.stage > probeOpen || p.stage == probeOpen && s.owes == owesProbe {
		p.hurry(late)
		return steps
	}
	s.probing = nil
	if s.owes == owesProbe {
		s.owe()
	}
	s.arm(s.now())
	return steps
}

// closesFirst tells whether the probe has to close its channel before the modem's command
// may go: a modem that opens one expects the number that it would get without us.
func (s *Session) closesFirst() bool {
	p := s.probing
	if p == nil || p.channel == 0 || s.pend.tpdu()[1] != insManageChannel || s.trail.midway() {
		return false
	}
	p.hurry("the modem needs the logical channels")
	return true
}

// probeReset: the modem has reset the card, and closed a channel of the probe with that.
func (s *Session) probeReset() {
	if p := s.probing; p == nil || p.stage == probeStatus {
		return
	}
	if s.owes == owesProbe {
		s.owe()
	}
	s.endProbe(errors.New("the modem has reset the card meanwhile"))
}
