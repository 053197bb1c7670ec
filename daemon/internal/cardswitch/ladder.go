package cardswitch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// ladder is the memory of the resets.
type ladder struct {
	asked int64       // generation of the last request
	next  int         // rung to try next
	past  []time.Time // resets of the last 24 h, also those of card switches; replaced, never changed
	well  time.Time   // since when the modem is well; zero: it is ill
	spent time.Time   // when the last rung was tried in vain
	said  string      // last reason not to reset, told once
}

// afterAll is the wait after every rung was tried in vain.
const afterAll = time.Hour

// maxPast bounds the memory whatever the budget says.
const maxPast = 100

func (l Ladder) perHour() int            { return orElse(l.PerHour, 3) }
func (l Ladder) perDay() int             { return orElse(l.PerDay, 8) }
func (l Ladder) coolDown() time.Duration { return orElse(l.CoolDown, 2*time.Minute) }
func (l Ladder) heal() time.Duration     { return orElse(l.Heal, 10*time.Minute) }

func orElse[T int | time.Duration](v, def T) T {
	if v > 0 {
		return v
	}
	return def
}

// count enters a reset in the budget.
func (l *ladder) count(now time.Time) {
	past := append(slices.Clone(within(l.past, now, 24*time.Hour)), now)
	l.past = past[max(0, len(past)-maxPast):]
}

// within returns the end of past that is younger than d.
func within(past []time.Time, now time.Time, d time.Duration) []time.Time {
	i := 0
	for i < len(past) && !past[i].After(now.Add(-d)) {
		i++
	}
	return past[i:]
}

// startReset begins a reset that somebody asked for, or that an ill modem
// needs and the budget allows.
func (s *stepper) startReset() bool {
	l := &s.ladder
	if req := s.in.Want.Reset; req.Generation > l.asked {
		l.asked = req.Generation
		return s.askedReset(req.Rung)
	}
	if s.in.Want.Source == "" || !s.ill() {
		return false
	}
	all := rungs(s.in.Facts)
	why, _ := s.holdBack(all)
	if why != "" {
		if why != l.said {
			l.said = why
			s.note(model.KindReset, "no reset: "+why, map[string]string{"reason": s.in.Verdict.Reason})
		}
		return false
	}
	if l.next >= len(all) {
		l.next = 0 // an hour has passed
	}
	l.said = ""
	s.beginReset(all[l.next], s.in.Verdict.Reason, false)
	return true
}

func (s *stepper) askedReset(rung model.ResetRung) bool {
	all := rungs(s.in.Facts)
	if rung == model.RungGPIO && s.in.Facts.ResetIsPower {
		rung = model.RungPower // the same line
	}
	if rung == "" && len(all) > 0 {
		rung = all[0]
	}
	if !slices.Contains(all, rung) {
		var names []string
		for _, r := range all {
			names = append(names, string(r))
		}
		s.note(model.KindReset, fmt.Sprintf("no reset: %q is not possible here; possible: %s", rung, orNone(strings.Join(names, ", "))), nil)
		return false
	}
	s.beginReset(rung, "asked for", true)
	return true
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// ill follows the verdict and tells whether the modem is ill. A modem that
// stays well starts at the lightest rung again.
func (s *stepper) ill() bool {
	l := &s.ladder
	if s.in.Verdict.Sick {
		l.well = time.Time{}
		return true
	}
	if l.well.IsZero() {
		l.well, l.said = s.now, ""
	}
	if l.next > 0 && !s.now.Before(l.well.Add(s.in.Facts.Ladder.heal())) {
		l.next = 0
	}
	return false
}

// holdBack says why an ill modem is not reset now, and until when that holds;
// zero: until something changes.
func (s *stepper) holdBack(all []model.ResetRung) (why string, until time.Time) {
	l, f := &s.ladder, s.in.Facts.Ladder
	if s.in.Verdict.Registered {
		return "the modem is registered, so it is the path behind it that is dead", time.Time{}
	}
	if len(all) == 0 {
		return "no way to reset this modem is configured", time.Time{}
	}
	if l.next >= len(all) && s.now.Before(l.spent.Add(afterAll)) {
		return "every way was tried in vain; somebody has to look at the modem", l.spent.Add(afterAll)
	}
	if n := len(l.past); n > 0 {
		if until := l.past[n-1].Add(f.coolDown()); s.now.Before(until) {
			return "the last one was just now", until
		}
	}
	if hour := within(l.past, s.now, time.Hour); len(hour) >= f.perHour() {
		return fmt.Sprintf("%d in the last hour are the limit", f.perHour()), hour[len(hour)-f.perHour()].Add(time.Hour)
	}
	if day := within(l.past, s.now, 24*time.Hour); len(day) >= f.perDay() {
		return fmt.Sprintf("%d in the last 24 hours are the limit", f.perDay()), day[len(day)-f.perDay()].Add(24 * time.Hour)
	}
	return "", time.Time{}
}

// ladderWake is when an idle ladder has to look again.
func (s *stepper) ladderWake() time.Time {
	if s.in.Want.Source == "" {
		return time.Time{}
	}
	l := &s.ladder
	if s.in.Verdict.Sick {
		_, until := s.holdBack(rungs(s.in.Facts))
		return until
	}
	if l.next > 0 && !l.well.IsZero() {
		return l.well.Add(s.in.Facts.Ladder.heal())
	}
	return time.Time{}
}

// beginReset carries out one rung. The network is not taken down: netifd sees
// the modem go and come by itself, and is told only if it gave up meanwhile.
func (s *stepper) beginReset(rung model.ResetRung, reason string, asked bool) {
	f := s.in.Facts
	s.run = &run{
		kind: model.KindReset, target: s.source, cause: reason, rung: rung, asked: asked,
		mm: s.in.Seen.ModemManager, begun: s.now, since: s.now,
		ways: []way{{rungName(rung), append(resetSteps(f, rung), step{kind: stepBack, limit: limitBoot})}},
	}
	s.mark()
	s.note(model.KindReset, rungName(rung)+": "+reason, map[string]string{"rung": string(rung), "reason": reason})
	s.nextQueue()
}

// back tells whether the modem came back well from a reset.
func (s *stepper) back() (model.SwitchOutcome, string) {
	r, m := s.run, s.in.Seen.Modem
	if !r.mm {
		if s.in.Verdict.Sick {
			return "", ""
		}
		return model.OutcomeOK, "ModemManager is not running: nobody tells how the modem is"
	}
	if m == nil || m.State == "" || m.State == "unknown" || m.State == "initializing" {
		return "", ""
	}
	return ok((r.gone || m.Path != r.path) && (r.asked || !s.in.Verdict.Sick))
}

// concludeReset books the outcome of a rung.
func (s *stepper) concludeReset(r *run, took int64, data map[string]string) {
	l := &s.ladder
	data["rung"], data["reason"] = string(r.rung), r.cause
	text := fmt.Sprintf("%s: the modem is back after %d ms", rungName(r.rung), took)
	if r.failed != "" {
		text = "no help from " + r.failed
	}
	s.note(model.KindReset, text, data)
	if r.asked {
		return
	}
	all := rungs(s.in.Facts)
	l.next = slices.Index(all, r.rung) + 1 // ill again soon: the next heavier one
	if r.failed != "" && l.next >= len(all) {
		l.spent = s.now
	}
	if r.failed == "" && l.next >= len(all) {
		l.next = max(0, len(all)-1) // the heaviest helped: it may be used again
	}
}
