// Package cardswitch decides how a modem comes from one card to another and how
// a modem that hangs is reset. It owns the order of the steps, their deadlines,
// the way back to the local card and the budget of resets. It is stepped with
// the time and with what was seen, and answers with what shall hold now; it
// has no clock, does no I/O and never blocks. Whether a modem is ill, and which
// card is wanted, is for the caller to say.
//
// One switch is, once the card that is wanted can be had: take the network down;
// take the old card away; turn the SIM line; show the new card; make the modem
// notice, by the lightest means that can work on this modem and then by heavier
// ones; check the ICCID; bring the network up, which also lifts the block that
// netifd put on it. What does not apply is skipped and says so.
package cardswitch

import (
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Facts are what is configured for a modem and known of its hardware.
type Facts struct {
	Modem string
	// Line: there is a SIM line, or a front that can turn the SIM slot.
	Line bool
	// Front: there is a card front. FrontRemoves: the modem sees when the
	// front's card goes (card.Limits.Removes).
	Front        bool
	FrontRemoves bool
	// Network is the netifd interface of the modem, NetworkRemote the one to
	// use instead while the remote card is in. Empty: none.
	Network       string
	NetworkRemote string
	FallbackLocal bool // go back to the local card when the remote one fails
	// Rungs are the resets that may be used, in any order.
	Rungs []model.ResetRung
	// ResetIsPower: the reset line is the modem's supply, so pulsing it is a
	// power cycle; PowerLine: there is a power line of its own.
	ResetIsPower bool
	PowerLine    bool
	Ladder       Ladder
}

// Ladder bounds the resets that nobody asked for. Zero values are the defaults.
type Ladder struct {
	PerHour  int           // default 3
	PerDay   int           // default 8
	CoolDown time.Duration // between two resets, default 2 min
	Heal     time.Duration // well for so long: the next illness starts at the lightest rung, default 10 min
}

// Want is what the modem shall use.
type Want struct {
	Source model.Source // "": leave the modem alone
	// Card names the card wanted, say by its bank and slot; another name is
	// another card. The name may become known later.
	Card string
	// ICCID that the modem must show, "" if nobody knows it yet.
	ICCID model.ICCID
	// Generation grows when somebody asks anew, which is how a switch that
	// failed is tried again.
	Generation int64
	// Reset is a reset that somebody asked for. It counts in the budget and is
	// not bound by it.
	Reset Reset
}

// Reset is a request; it is carried out once per Generation.
type Reset struct {
	Generation int64
	Rung       model.ResetRung // "": the lightest
}

// Seen is what is known now.
type Seen struct {
	ModemManager bool
	Modem        *model.ObservedModem // nil: ModemManager does not show it
	FrontUp      bool
	Available    bool // a remote card can be shown: bank reached, ATR known
	Card         model.CardState
	Line         model.Source // "" unknown
	LineErr      string
	Networks     []model.Interface
}

// Verdict is the caller's opinion of the modem. A modem that is registered is
// never reset without being asked: what is dead then is the path behind it.
type Verdict struct {
	Sick       bool
	Registered bool
	Reason     string // why it is ill, in words
}

// Input is everything that a step looks at. Done are the actions that ended
// since the last step.
type Input struct {
	Facts   Facts
	Want    Want
	Seen    Seen
	Verdict Verdict
	Done    []model.ActionDone
}

// Decision is what shall hold now.
type Decision struct {
	Memory Memory
	Plan   model.SwitchPlan
	Notes  []model.Noted // for the journal
	Status model.SwitchStatus
	WakeAt time.Time // when to look again if nothing happens; zero: never
}

// Memory is what one step leaves to the next. The zero value knows nothing.
// Copies are independent.
type Memory struct {
	started time.Time // of the first step
	plan    model.SwitchPlan
	lastID  int64

	tried  Want // what the last switch was for
	any    bool // there was one, or what was found was adopted
	source model.Source
	failed string
	since  time.Time
	cards  [2]model.ICCID // last seen by the modem, local and remote

	waiting time.Time // since when the remote card is waited for
	parked  bool      // the local card is used meanwhile
	unread  bool      // what was adopted was not checked against the modem
	paid    bool      // what an earlier run has left behind was looked at

	run    *run
	ladder ladder
}

// settle is how long the world has to tell what it is after a start: a modem
// that works on the right card is not touched because it was seen late.
const settle = 15 * time.Second

// Step looks at the world at now and says what shall hold.
func Step(now time.Time, in Input, mem Memory) Decision {
	s := &stepper{now: now, in: in, Memory: mem}
	if in.Want.Source != model.SourceRemote {
		s.waiting, s.parked = time.Time{}, false
	}
	if s.started.IsZero() {
		s.started = now
	}
	if s.run != nil {
		r := *s.run
		s.run = &r
	}
	for s.move() {
		s.moved = true
	}
	return Decision{Memory: s.Memory, Plan: s.plan, Notes: s.notes, Status: s.status(), WakeAt: s.wakeAt()}
}

// stepper works on a copy of the memory.
type stepper struct {
	Memory
	now   time.Time
	in    Input
	notes []model.Noted
	moved bool
}

// move does the next thing, if there is one to do now.
func (s *stepper) move() bool {
	if s.run != nil {
		if s.overtaken() {
			s.drop()
			return true
		}
		return s.advance()
	}
	return s.startSwitch() || s.payBack() || s.startReset()
}

// startSwitch begins a switch if what is wanted is new and not there yet.
func (s *stepper) startSwitch() bool {
	w := s.in.Want
	switch {
	case w.Source == "" || s.any && !s.differs(w):
		s.learn()
		return false
	case !s.in.Facts.Line && !s.in.Facts.Front:
		return s.refuse()
	case s.inPlace():
		s.adopt()
		return true
	case s.mayBeInPlace():
		s.plan.Show = w.Source == model.SourceRemote && s.in.Facts.Front // so that a card that was in before is found again
		return false
	case !s.available():
		return s.wait()
	}
	s.waiting, s.parked = time.Time{}, false
	s.begin(w.Source, false)
	return true
}

// payBack brings the network up if an earlier run of the daemon ended amid a
// switch, having taken it down. It does so when nothing is to be switched now:
// what was wanted has come about, or it cannot be had yet, perhaps for want of
// this very network.
func (s *stepper) payBack() bool {
	if s.paid || s.in.Want.Source == "" || s.waiting.IsZero() && !s.any {
		return false
	}
	source := model.Source(first(string(s.source), string(s.in.Seen.Line), string(s.in.Want.Source)))
	i := s.network(networkFor(s.in.Facts, source))
	if i == nil {
		return false
	}
	s.paid = true
	if !i.TakenDown {
		return false
	}
	s.note(model.KindSwitch, "the daemon had stopped amid a switch, with the network down", nil)
	s.run = &run{kind: model.KindSwitch, target: source, debt: true, begun: s.now, since: s.now}
	s.mark()
	s.close("")
	return true
}

// refuse answers a want where there is nothing to switch.
func (s *stepper) refuse() bool {
	s.adopt()
	s.source, s.unread = model.SourceLocal, false
	if s.in.Want.Source == model.SourceRemote {
		s.failed = "there is neither a card front nor a SIM line"
		s.note(model.KindSwitch, "no switch to the remote card: "+s.failed, nil)
	}
	return true
}

// available tells that the card that is wanted can be had: nothing is touched
// before that.
func (s *stepper) available() bool {
	return s.in.Want.Source != model.SourceRemote || !s.in.Facts.Front || s.in.Seen.FrontUp && s.in.Seen.Available
}

// wait waits for the remote card; with a fallback, the local one is used
// meanwhile.
func (s *stepper) wait() bool {
	why := "no card from the bank"
	if !s.in.Seen.FrontUp {
		why = "the card front is not there"
	}
	if s.waiting.IsZero() {
		s.waiting = s.now
		s.note(model.KindSwitch, "waiting for the remote card: "+why, nil)
	}
	if !s.in.Facts.FallbackLocal || s.parked || s.now.Before(s.waiting.Add(limitAvailable)) {
		return false
	}
	s.parked = true
	if !s.mustReturn() {
		s.source, s.failed, s.since = model.SourceLocal, why, s.now
		return false
	}
	s.note(model.KindSwitch, "the remote card cannot be had: "+why+"; going back to the local card", nil)
	s.begin(model.SourceLocal, true)
	s.run.cause = why
	return true
}

// mustReturn tells whether there is a way to go back to the local card.
func (s *stepper) mustReturn() bool {
	f := s.in.Facts
	return s.run != nil && s.run.touched || f.Line && s.in.Seen.Line != model.SourceLocal || !f.Line && (s.plan.Show || shown(s.in.Seen.Card))
}

// mayBeInPlace tells that the daemon has started just now and that the card in
// use could turn out to be the right one.
func (s *stepper) mayBeInPlace() bool {
	if s.any || !s.now.Before(s.started.Add(settle)) {
		return false
	}
	w, f, seen := s.in.Want, s.in.Facts, s.in.Seen
	if f.Line && seen.Line != "" && seen.Line != w.Source {
		return false
	}
	if seen.Modem != nil && seen.Modem.State == "failed" {
		return false
	}
	return w.ICCID == "" || seen.Modem == nil || seen.Modem.SIM == nil
}

// differs tells whether w asks for something else than the last switch did. A
// card or an ICCID that becomes known is nothing else, and an ICCID that changes
// under way was of the card before: the step that checks it takes the newest.
func (s *stepper) differs(w Want) bool {
	t := s.tried
	return w.Source != t.Source || w.Generation > t.Generation ||
		w.Card != t.Card && t.Card != "" && w.Card != "" ||
		s.run == nil && w.ICCID != "" && (t.ICCID != "" && !same(w.ICCID, t.ICCID) || s.unread && s.read() != "" && !same(w.ICCID, s.read()))
}

// read is the ICCID that the modem has read, "" while it has not.
func (s *stepper) read() model.ICCID {
	if m := s.in.Seen.Modem; m != nil && m.SIM != nil && settled(m.State) {
		return m.SIM.ICCID
	}
	return ""
}

// learn takes over what becomes known of the card in use.
func (s *stepper) learn() {
	w := s.in.Want
	if s.tried.Card == "" {
		s.tried.Card = w.Card
	}
	if s.tried.ICCID == "" {
		s.tried.ICCID = w.ICCID
	}
	if s.unread && w.ICCID != "" && same(w.ICCID, s.read()) {
		s.unread = false
	}
	if m := s.in.Seen.Modem; s.run == nil && m != nil && m.SIM != nil && m.SIM.ICCID != "" && s.failed == "" && s.source != "" {
		s.remember(s.source, m.SIM.ICCID)
	}
}

// inPlace tells that the modem already uses the card that is wanted.
func (s *stepper) inPlace() bool {
	w, f, seen := s.in.Want, s.in.Facts, s.in.Seen
	m := seen.Modem
	read := m != nil && m.SIM != nil && settled(m.State)
	switch {
	case f.Line && seen.Line != w.Source, s.any && s.source != w.Source:
		return false
	case s.any:
		another := w.Card != s.tried.Card && s.tried.Card != "" && w.Card != ""
		return !another && (m == nil || m.State != "failed") && (w.ICCID == "" || !read || same(m.SIM.ICCID, w.ICCID))
	case w.Source == model.SourceLocal:
		return !shown(seen.Card) && !s.plan.Show // no other card was shown since the start
	case read && w.ICCID != "":
		return same(m.SIM.ICCID, w.ICCID)
	}
	return (read || m == nil) && seen.Card == model.CardReady // something reads it
}

func (s *stepper) adopt() {
	w := s.in.Want
	again := s.any && w.Generation > s.tried.Generation && w.Source == s.source
	s.tried, s.any, s.source, s.failed, s.since = w, true, w.Source, "", s.now
	s.waiting, s.parked, s.unread = time.Time{}, false, w.Source == model.SourceRemote
	s.plan.Show = w.Source == model.SourceRemote && s.in.Facts.Front
	if s.in.Facts.Line {
		s.plan.Line = w.Source
	}
	if again {
		s.note(model.KindSwitch, "the modem uses the "+string(w.Source)+" card already: nothing to do", nil)
	}
}

// remember keeps the ICCID of a card that was checked.
func (s *stepper) remember(source model.Source, id model.ICCID) { s.cards[index(source)] = id }

func index(source model.Source) int {
	if source == model.SourceRemote {
		return 1
	}
	return 0
}

// status is where things stand.
func (s *stepper) status() model.SwitchStatus {
	st := model.SwitchStatus{Source: s.source, Failed: s.failed}
	if !s.since.IsZero() {
		st.Since = s.since.Unix()
	}
	if r := s.run; r != nil {
		st.Running, st.WayBack, st.Step = true, r.back, r.current().name()
		st.Reset = r.kind == model.KindReset
		st.Since = r.begun.Unix()
	} else if !s.waiting.IsZero() {
		st.Step = "waiting for the remote card"
	}
	return st
}

// wakeAt is when something runs out.
func (s *stepper) wakeAt() time.Time {
	switch {
	case s.run != nil:
		return s.run.since.Add(s.run.current().limit)
	case s.mayBeInPlace() && s.in.Want.Source != "":
		return s.started.Add(settle)
	case !s.waiting.IsZero() && s.in.Facts.FallbackLocal && !s.parked:
		return s.waiting.Add(limitAvailable)
	}
	return s.ladderWake()
}

func (s *stepper) note(kind, text string, data map[string]string) {
	s.notes = append(s.notes, model.Noted{
		At: model.At{Time: s.now}, Kind: kind, Subject: s.in.Facts.Modem, Text: text, Data: data,
	})
}

// shown tells that the front shows a card.
func shown(c model.CardState) bool {
	switch c {
	case model.CardPresent, model.CardPowered, model.CardReset, model.CardReady, model.CardLost:
		return true
	}
	return false
}
