package cardswitch

import (
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// name is the step in the journal.
func (st step) name() string {
	switch st.kind {
	case stepDown:
		return "network down " + st.network
	case stepRemove:
		return "card out"
	case stepLine:
		return "SIM line"
	case stepRemoved:
		return "removal seen"
	case stepInsert:
		return "card in"
	case stepInhibit:
		return "inhibit"
	case stepUninhibit:
		return "uninhibit"
	case stepReset:
		return rungName(st.rung)
	case stepPulse:
		return rungName(st.rung)
	case stepRelease:
		return "release " + string(st.line) + " line"
	case stepArrive:
		return "modem with the card"
	case stepBack:
		return "modem back"
	}
	return strings.TrimSpace("network up " + st.network)
}

func rungName(r model.ResetRung) string {
	switch r {
	case model.RungSoft:
		return "soft reset"
	case model.RungMM:
		return "reset by ModemManager"
	case model.RungGPIO:
		return "reset line"
	}
	return "power cycle"
}

// skip says why a step does not apply; "" means that it does.
func (s *stepper) skip(st step) string {
	f, seen, r := s.in.Facts, s.in.Seen, s.run
	switch st.kind {
	case stepInsert:
		return when(!f.Front, "no card front")
	case stepRemove:
		return first(when(!f.Front, "no card front"), when(!s.plan.Show && !shown(seen.Card), "no card is shown"))
	case stepDown:
		i := s.network(st.network)
		return first(when(i == nil, "netifd has no such interface"), when(i != nil && i.Idle(), "it is down"))
	case stepLine:
		return when(!f.Line, "no SIM line")
	case stepRemoved:
		return first(when(!r.mm, "ModemManager is not running"), when(r.path == "", "the modem was not there before"))
	case stepInhibit:
		return when(!seen.ModemManager, "ModemManager is not running")
	case stepUninhibit:
		return when(!r.inhibited, "ModemManager has the modem")
	case stepUp:
		i := s.network(st.network)
		return first(when(st.network == "", "no network"), when(i == nil, "netifd has no such interface"),
			when(r.kind == model.KindReset && i != nil && !i.Idle(), "netifd is at it"))
	}
	return ""
}

// enter does what a step does.
func (s *stepper) enter(st step) {
	r := s.run
	switch st.kind {
	case stepDown:
		r.touched = true
		s.act(model.ModemAction{Verb: model.ActNetworkDown, Network: st.network})
	case stepRemove:
		r.touched = true
		s.plan.Show = false
	case stepLine:
		r.touched = true
		s.plan.Line = r.target
	case stepInsert:
		r.touched = true
		s.plan.Show = true
	case stepInhibit:
		r.inhibited = true
		s.act(model.ModemAction{Verb: model.ActInhibit})
	case stepUninhibit:
		s.act(model.ModemAction{Verb: model.ActUninhibit})
	case stepReset:
		r.touched = true
		s.ladder.count(s.now)
		verb := model.ActResetMM
		if st.rung == model.RungSoft {
			verb = model.ActResetSoft
		}
		s.act(model.ModemAction{Verb: verb})
	case stepPulse:
		r.touched = true
		s.ladder.count(s.now)
		s.act(model.ModemAction{Verb: model.ActPulse, Line: st.line})
	case stepRelease:
		s.act(model.ModemAction{Verb: model.ActRelease, Line: st.line})
	case stepUp:
		s.act(model.ModemAction{Verb: model.ActNetworkUp, Network: st.network})
	}
}

// check tells how a step ended; "" while it has not.
func (s *stepper) check(st step) (model.SwitchOutcome, string) {
	seen, r := s.in.Seen, s.run
	switch st.kind {
	case stepDown:
		// netifd answers before the protocol's teardown has ended.
		if d, ended := s.done(); ended && d.Err != "" {
			return model.OutcomeFailed, d.Err
		}
		// While it tears down it looks down already; the modem knows better.
		i := s.network(st.network)
		return ok((i == nil || i.Idle()) && !s.connected())
	case stepRemove:
		return ok(!shown(seen.Card) || !seen.FrontUp)
	case stepLine:
		return ok(seen.Line == r.target)
	case stepRemoved:
		m := seen.Modem
		return ok(r.gone || m.SIM == nil || m.Path != r.path || m.FailedReason == "sim-missing")
	case stepInsert:
		return ok(shown(seen.Card) && seen.Card != model.CardLost && seen.FrontUp)
	case stepArrive:
		return s.arrived()
	case stepBack:
		return s.back()
	}
	d, ended := s.done()
	if ended && d.Err != "" {
		return model.OutcomeFailed, d.Err
	}
	return ok(ended)
}

// arrived tells whether the modem is there with the card that is wanted.
func (s *stepper) arrived() (model.SwitchOutcome, string) {
	r, seen := s.run, s.in.Seen
	if !r.mm {
		const blind = "ModemManager is not running: the ICCID is not checked"
		if r.target == model.SourceLocal || !s.in.Facts.Front || seen.Card == model.CardReady {
			return model.OutcomeOK, blind
		}
		return "", ""
	}
	m := seen.Modem
	if m == nil || m.SIM == nil || !settled(m.State) {
		return "", ""
	}
	got, expect := m.SIM.ICCID, s.expected()
	fresh := r.gone || m.Path != r.path
	switch {
	case got == "":
		if fresh {
			return model.OutcomeOK, "the modem does not tell the ICCID"
		}
		return "", ""
	case expect != "" && same(got, expect):
		return ok(fresh || !same(got, r.old))
	case s.stale(got):
		return "", ""
	case expect != "" && !same(expect, r.old): // else it is the number of the card before
		r.ways = nil // no reset turns one card into another
		return model.OutcomeFailed, "wrong card: the modem shows " + model.Masked(string(got)) + ", expected " + model.Masked(string(expect))
	}
	return ok(fresh || r.old != "")
}

// expected is the ICCID that the modem must show, "" if nobody knows.
func (s *stepper) expected() model.ICCID {
	if s.run.target == s.in.Want.Source {
		return s.in.Want.ICCID
	}
	return ""
}

// stale tells that the modem still shows the card that shall go.
func (s *stepper) stale(got model.ICCID) bool {
	other := s.cards[1-index(s.run.target)]
	if s.run.back && same(got, s.in.Want.ICCID) {
		return true
	}
	return same(got, s.run.old) || same(got, other)
}

// late says what a step that ran out of time was waiting for.
func (s *stepper) late(st step) string {
	seen := s.in.Seen
	switch st.kind {
	case stepDown:
		if s.connected() {
			return "the modem is still connected"
		}
		return "it is still not down"
	case stepRemove:
		return "the front still shows a card"
	case stepLine:
		if seen.LineErr != "" {
			return seen.LineErr
		}
		return "the line does not stand on the " + string(s.run.target) + " card"
	case stepRemoved:
		return "the modem did not notice the removal"
	case stepInsert:
		return "the front shows no card"
	case stepArrive, stepBack:
		return s.lateModem()
	}
	return "no answer"
}

func (s *stepper) lateModem() string {
	m := s.in.Seen.Modem
	switch {
	case !s.run.mm:
		return "the modem did not read the card"
	case !s.in.Seen.ModemManager:
		return "ModemManager has stopped"
	case m == nil:
		return "the modem did not come back"
	case m.FailedReason != "":
		return "the modem reports " + m.FailedReason
	case m.SIM == nil:
		return "the modem shows no card"
	case s.stale(m.SIM.ICCID):
		return "the modem still shows the old card " + model.Masked(string(m.SIM.ICCID))
	}
	return "the modem is the one of before, in state " + m.State
}

// connected tells that the modem still has, makes or ends a connection.
func (s *stepper) connected() bool {
	m := s.in.Seen.Modem
	if m == nil {
		return false
	}
	switch m.State {
	case "connecting", "connected", "disconnecting", "disabling":
		return true
	}
	return false
}

// network finds an interface of netifd, nil if it has none of this name.
func (s *stepper) network(name string) *model.Interface {
	for i := range s.in.Seen.Networks {
		if s.in.Seen.Networks[i].Name == name {
			return &s.in.Seen.Networks[i]
		}
	}
	return nil
}

// settled tells that ModemManager has read what there is to read.
func settled(state string) bool {
	switch state {
	case "", "unknown", "initializing", "failed":
		return false
	}
	return true
}

// same compares two numbers of a card. EF.ICCID pads with F (ETSI TS 102 221
// §13.2), and some write the number without its check digit.
func same(a, b model.ICCID) bool {
	x, y := trim(a), trim(b)
	if len(x) > len(y) {
		x, y = y, x
	}
	return x != "" && (x == y || len(x) >= 18 && len(y) == len(x)+1 && strings.HasPrefix(y, x))
}

func trim(id model.ICCID) string { return strings.TrimRight(string(id), "Ff") }

func ok(yes bool) (model.SwitchOutcome, string) {
	if yes {
		return model.OutcomeOK, ""
	}
	return "", ""
}

func when(yes bool, text string) string {
	if yes {
		return text
	}
	return ""
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
