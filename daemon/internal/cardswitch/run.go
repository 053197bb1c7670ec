package cardswitch

import (
	"fmt"
	"strconv"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// run is a switch or a reset that is under way. Slices in it are replaced,
// never changed, so that copies of a Memory stay independent.
type run struct {
	kind   string // model.KindSwitch or model.KindReset
	target model.Source
	back   bool   // the way back to the local card
	cause  string // why it is gone, or why the reset is made
	rung   model.ResetRung
	asked  bool // somebody asked for the reset
	mm     bool // ModemManager ran when it began

	queue   []step
	at      int
	ways    []way  // still to be tried
	wayName string // being tried; "" before the first
	wayBad  string // why it failed
	trouble string // how the first way failed, for the journal
	closing bool
	failed  string

	begun, since time.Time // of the run, of the current step
	entered      bool
	action       int64 // under way in the current step

	path      string      // the modem's object before it is made to notice
	gone      bool        // it was away since
	old       model.ICCID // of the card that shall go, "" unknown
	inhibited bool
	stuck     model.LineUse // a line that may be away from rest
	touched   bool          // something was done that the modem can feel
	debt      bool          // all there is to do is to bring the network up
}

func (r *run) current() step {
	if r.at < len(r.queue) {
		return r.queue[r.at]
	}
	return step{}
}

// begin starts a switch, dropping what was under way.
func (s *stepper) begin(target model.Source, back bool) {
	f, dropped := s.in.Facts, s.run != nil
	r := &run{kind: model.KindSwitch, target: target, back: back, mm: s.in.Seen.ModemManager, begun: s.now, since: s.now}
	if before := s.run; before != nil {
		r.inhibited, r.stuck = before.inhibited, before.stuck
		r.mm = r.mm || before.mm
		r.touched = before.touched
	}
	if !back {
		s.tried, s.any, s.unread = s.in.Want, true, false
	}
	r.ways = ways(f, r.mm, s.in.Seen.Modem)
	r.queue = opening(f, target, r.ways)
	s.run = r
	s.mark()
	if s.knowsOld(target) && !back && !dropped {
		r.old = s.in.Seen.Modem.SIM.ICCID
	}
}

// knowsOld tells that the card that the modem shows is the one that shall go.
// When a switch did not end, nobody knows which of the two it is.
func (s *stepper) knowsOld(target model.Source) bool {
	m, seen := s.in.Seen.Modem, s.in.Seen.Line
	if m == nil || m.SIM == nil || target != s.source && same(m.SIM.ICCID, s.cards[index(target)]) {
		return false
	}
	return s.source != "" || s.in.Facts.Line && seen != "" && seen != target
}

// mark remembers the modem's object: what comes later is a new one.
func (s *stepper) mark() {
	r, m := s.run, s.in.Seen.Modem
	r.path, r.gone = "", m == nil
	if m != nil {
		r.path = m.Path
	}
}

// advance works on the current step and tells whether it ended.
func (s *stepper) advance() bool {
	r := s.run
	r.gone = r.gone || s.in.Seen.Modem == nil
	st := r.current()
	if !r.entered {
		if st.kind == stepRemove {
			s.mark() // whatever happened before has nothing to do with the card
		}
		r.since = s.now
		if why := s.skip(st); why != "" {
			s.end(model.OutcomeSkipped, why)
			return true
		}
		r.entered = true
		s.enter(st)
	}
	outcome, text := s.check(st)
	if outcome == "" {
		if s.now.Before(r.since.Add(st.limit)) {
			return false
		}
		outcome, text = model.OutcomeTimeout, s.late(st)
	}
	s.end(outcome, text)
	return true
}

// end closes the current step and finds the next.
func (s *stepper) end(outcome model.SwitchOutcome, text string) {
	r := s.run
	st := r.current()
	s.stepNote(st, outcome, text)
	s.keep(st, outcome)
	r.at++
	r.entered, r.action, r.since = false, 0, s.now
	if outcome == model.OutcomeFailed || outcome == model.OutcomeTimeout {
		s.bad(st, text)
	}
	for s.run == r && r.at >= len(r.queue) {
		if s.nextQueue() {
			return
		}
	}
}

// keep remembers what a step leaves behind.
func (s *stepper) keep(st step, outcome model.SwitchOutcome) {
	r := s.run
	switch st.kind {
	case stepInhibit:
		// Without an answer it may have been carried out.
		r.inhibited = outcome == model.OutcomeOK || outcome == model.OutcomeTimeout
	case stepRelease:
		if outcome == model.OutcomeOK {
			r.stuck = ""
		}
	case stepUninhibit:
		r.inhibited = r.inhibited && outcome != model.OutcomeOK
	case stepArrive:
		if m := s.in.Seen.Modem; outcome == model.OutcomeOK && m != nil && m.SIM != nil && r.mm {
			s.remember(r.target, m.SIM.ICCID)
		}
	}
}

// bad decides what a step that went wrong means for the run.
func (s *stepper) bad(st step, text string) {
	r := s.run
	switch {
	case r.closing:
		return // the rest is still done
	case r.wayName != "":
		if r.wayBad == "" {
			r.wayBad = text
			r.trouble = first(r.trouble, r.wayName+": "+text)
		}
		var rest []step
		if st.kind == stepPulse {
			r.stuck = st.line
			rest = append(rest, step{kind: stepRelease, line: st.line, limit: limitPulse})
		}
		if r.inhibited && st.kind != stepUninhibit {
			rest = append(rest, step{kind: stepUninhibit, limit: limitInhibit})
		}
		r.queue, r.at = rest, 0
	case st.kind == stepLine || st.kind == stepInsert:
		s.fail(text)
	}
}

// nextQueue finds the next steps when a queue has run empty. It tells whether
// the run goes on in another way, or is over.
func (s *stepper) nextQueue() (over bool) {
	r := s.run
	switch {
	case r.closing:
		s.conclude()
		return true
	case r.wayName != "" && r.wayBad == "":
		s.close("")
	case len(r.ways) > 0:
		next := r.ways[0]
		if r.wayName != "" {
			s.mark()
		}
		r.ways = r.ways[1:]
		r.wayName, r.wayBad = next.name, ""
		r.queue, r.at = next.steps, 0
	default:
		reason := r.wayName + ": " + r.wayBad
		if r.trouble != reason {
			reason = r.trouble + "; in the end, " + reason
		}
		s.fail(reason)
	}
	return s.run != r
}

// fail ends the attempt: on the way back if there is one, else where it is.
func (s *stepper) fail(reason string) {
	r := s.run
	if r.kind == model.KindSwitch && !r.back && r.target == model.SourceRemote && s.in.Facts.FallbackLocal && s.mustReturn() {
		s.note(model.KindSwitch, "the remote card cannot be used: "+reason+"; going back to the local card", nil)
		s.begin(model.SourceLocal, true)
		s.run.cause = reason
		return
	}
	s.close(reason)
}

// close goes on with what always comes last.
func (s *stepper) close(failed string) {
	r := s.run
	source := r.target
	if !r.touched && !r.debt && s.source != "" {
		source = s.source
	}
	r.closing, r.failed = true, failed
	r.queue, r.at, r.entered = closing(s.in.Facts, source, r.stuck, r.inhibited), 0, false
}

// conclude ends the run.
func (s *stepper) conclude() {
	r := s.run
	s.run, s.since, s.paid = nil, s.now, true
	took := s.now.Sub(r.begun).Milliseconds()
	data := map[string]string{"ms": strconv.FormatInt(took, 10), "outcome": string(model.OutcomeOK)}
	if r.failed != "" {
		data["outcome"] = string(model.OutcomeFailed)
	}
	if r.kind == model.KindReset {
		s.concludeReset(r, took, data)
		return
	}
	if r.debt {
		s.note(model.KindSwitch, fmt.Sprintf("the network was brought up after %d ms", took), data)
		return
	}
	text := fmt.Sprintf("the modem uses the %s card after %d ms", r.target, took)
	switch {
	case r.failed == "" && !r.back:
		s.source, s.failed = r.target, ""
	case r.failed == "":
		s.source, s.failed = r.target, r.cause
		text = fmt.Sprintf("the local card is back after %d ms; the remote card could not be used: %s", took, r.cause)
	default:
		s.failed = r.failed
		text = fmt.Sprintf("the switch to the %s card failed after %d ms: %s", r.target, took, r.failed)
		if r.back {
			s.failed = r.cause + "; and the local card did not come back: " + r.failed
			text = "the local card did not come back: " + r.failed
		}
		if r.touched {
			s.source = ""
		}
	}
	s.note(model.KindSwitch, text, data)
}

// overtaken tells that something else is wanted than what the run is for. The
// way back, a pulse and a reset are not disturbed: they are short.
func (s *stepper) overtaken() bool {
	r := s.run
	s.learn()
	if r.closing || r.back || r.kind == model.KindReset {
		return false
	}
	if k := r.current().kind; k == stepPulse || k == stepRelease {
		return false
	}
	return s.in.Want.Source == "" || s.differs(s.in.Want)
}

// drop ends a run because of what is wanted now.
func (s *stepper) drop() {
	r := s.run
	s.stepNote(r.current(), model.OutcomeDropped, "something else is wanted now")
	if r.touched {
		s.source = ""
	}
	if s.in.Want.Source == "" || !s.available() {
		s.close("it is not wanted any more")
		return
	}
	s.begin(s.in.Want.Source, false)
}

// act starts a one-shot.
func (s *stepper) act(a model.ModemAction) {
	s.lastID++
	a.ID, a.Limit = s.lastID, s.run.current().limit
	s.plan.Action = a
	s.run.action = a.ID
}

// done returns the result of the current step's action.
func (s *stepper) done() (d model.ActionDone, ended bool) {
	for _, d := range s.in.Done {
		if d.ID == s.run.action && d.ID != 0 {
			return d, true
		}
	}
	return model.ActionDone{}, false
}

func (s *stepper) stepNote(st step, outcome model.SwitchOutcome, text string) {
	r := s.run
	ms := s.now.Sub(r.since).Milliseconds()
	if !r.entered {
		ms = 0
	}
	line := fmt.Sprintf("%s: %s in %d ms", st.name(), outcome, ms)
	if outcome == model.OutcomeSkipped {
		line = fmt.Sprintf("%s: %s", st.name(), outcome)
	}
	if text != "" {
		line += ": " + text
	}
	data := map[string]string{"step": st.name(), "outcome": string(outcome), "ms": strconv.FormatInt(ms, 10)}
	if r.kind == model.KindSwitch {
		data["target"] = string(r.target)
	}
	if r.wayName != "" && !r.closing {
		data["by"] = r.wayName
	}
	s.note(r.kind, line, data)
}
