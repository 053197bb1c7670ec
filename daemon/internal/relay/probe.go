package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// ErrProbing: one probe at a time.
var ErrProbing = errors.New("the card is being tested already")

// probeLimit bounds a probe whose context has no deadline of its own.
const probeLimit = 15 * time.Second

// probe is one STATUS of our own, waiting for a gap between the modem's commands.
type probe struct {
	gsm    bool
	sentAt instant
	buf    [card.MinTPDU]byte
	done   chan probeResult
}

type probeResult struct {
	ms  float64
	sw  uint16
	err error
}

// command asks for nothing but a status word: STATUS with "no indication" and "no
// data" (ETSI TS 102 221 §11.1.2). It selects nothing, and a proactive command that
// its 91xx announces is announced again with the modem's next command. A card of
// class A0 only has no such form, and is asked for the first byte.
func (p *probe) command() []byte {
	if p.gsm {
		return append(p.buf[:0], 0xA0, insStatus, 0, 0, 1)
	}
	return append(p.buf[:0], 0x80, insStatus, 0, 0x0C, 0)
}

// Probe tests the card without changing anything: is it there, what are its ATR and
// ICCID, and does it answer one STATUS, sent between two commands of the modem that
// do not belong together. It ends with the first step that is not OK. The error is
// ErrProbing, ErrClosed or nil; what is wrong with the card stands in the steps.
func (s *Session) Probe(ctx context.Context) ([]model.Step, error) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	p := &probe{done: make(chan probeResult, 1)}
	steps, ready, err := s.beginProbe(p)
	if err != nil || !ready {
		return steps, err
	}
	select {
	case r := <-p.done:
		return append(steps, statusStep(r)), nil
	case <-ctx.Done():
		s.cancelProbe(p)
	}
	// The answer may have come at the same time.
	select {
	case r := <-p.done:
		return append(steps, statusStep(r)), nil
	default:
		return append(steps, statusStep(probeResult{err: errors.New("no answer in time, or no gap between the modem's commands")})), nil
	}
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
	case phaseIdentify, phaseReplay:
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

func statusStep(r probeResult) model.Step {
	st := model.Step{Name: "status", MS: r.ms}
	if r.err != nil {
		st.Text = r.err.Error()
		return st
	}
	st.OK = r.sw>>8 == 0x90 || r.sw>>8 == 0x91 || r.sw>>8 == 0x6C || r.sw>>8 == 0x9F
	st.Text = fmt.Sprintf("the card answered %s", card.StatusText(r.sw))
	return st
}

// probed takes the answer to the probe's STATUS.
func (s *Session) probed(response []byte, now instant) {
	p := s.probing
	if p == nil {
		return
	}
	if s.tracer.on {
		s.traceOwn(card.Place{}, p.command(), response, p.sentAt)
	}
	s.overheard(response)
	_, sw1, sw2 := split(response)
	s.probing = nil
	p.done <- probeResult{ms: float64(now-p.sentAt) / float64(time.Millisecond), sw: uint16(sw1)<<8 | uint16(sw2)}
}

// endProbe tells a probe that it will get no answer.
func (s *Session) endProbe(err error) {
	if s.probing != nil {
		s.probing.done <- probeResult{err: err}
		s.probing = nil
	}
}

// cancelProbe: whoever asked has gone. An answer that is owed is thrown away.
func (s *Session) cancelProbe(p *probe) {
	s.mu.Lock()
	defer s.unlock()
	if s.probing != p {
		return
	}
	s.probing = nil
	if s.owes == owesProbe {
		s.owe()
	}
	now := s.now()
	s.arm(now)
}
