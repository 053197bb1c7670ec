package cardswitch

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

const (
	localCard  model.ICCID = "8949000000000000011"
	remoteCard model.ICCID = "8988211000000000017"
	otherCard  model.ICCID = "8988211000000000025"
)

// world plays a router whose parts work, fail or say nothing, at random.
type world struct {
	t    *testing.T
	rnd  *rand.Rand
	now  time.Time
	in   Input
	mem  Memory
	plan model.SwitchPlan
	st   model.SwitchStatus
	wake time.Time

	later []thing // what will happen
	path  int
	bad   float64 // how often things fail

	in_      model.ICCID // the card in the bank's slot
	away     bool        // a line is away from rest
	released int         // releases that failed since
	lastNet  map[string]model.ActionVerb
	actions  int
	trail    []string
}

type thing struct {
	at time.Time
	do func()
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, rnd: rand.New(rand.NewPCG(seed, 7)), now: time.Unix(1e9, 0), lastNet: map[string]model.ActionVerb{}, in_: remoteCard}
	w.bad = []float64{0, 0.1, 0.4, 0.9}[w.rnd.IntN(4)]
	f := &w.in.Facts
	f.Modem, f.Line, f.Front, f.FrontRemoves = "m", w.flip(), w.rnd.IntN(4) > 0, w.flip()
	f.FallbackLocal, f.ResetIsPower, f.PowerLine = w.flip(), w.flip(), w.flip()
	if w.flip() {
		f.Network = "wwan0"
		if w.flip() {
			f.NetworkRemote = "wwan0r"
		}
	}
	for _, r := range []model.ResetRung{model.RungPower, model.RungSoft, model.RungMM, model.RungGPIO} {
		if w.flip() {
			f.Rungs = append(f.Rungs, r)
		}
	}
	s := &w.in.Seen
	s.ModemManager, s.FrontUp, s.Available, s.Card, s.Line = w.rnd.IntN(5) > 0, true, true, model.CardNone, model.SourceLocal
	if s.ModemManager {
		w.probe(localCard)
	}
	if netifd := w.rnd.IntN(5) > 0; netifd {
		for _, n := range networks(*f) {
			s.Networks = append(s.Networks, model.Interface{Name: n, Up: w.flip(), Autostart: w.flip()})
		}
	}
	if w.rnd.IntN(5) == 0 {
		w.in_ = otherCard
	}
	return w
}

func (w *world) flip() bool  { return w.rnd.IntN(2) == 0 }
func (w *world) fails() bool { return w.rnd.Float64() < w.bad }

func (w *world) after(maxMS int, do func()) {
	w.later = append(w.later, thing{w.now.Add(time.Duration(1+w.rnd.IntN(maxMS)) * time.Millisecond), do})
}

// probe shows a new modem object.
func (w *world) probe(id model.ICCID) {
	w.path++
	m := &model.ObservedModem{Path: fmt.Sprintf("/Modem/%d", w.path), State: "registered", Plugin: "generic", Primary: "p",
		Ports: []model.Port{{Name: "p", Kind: []model.PortKind{model.PortMBIM, model.PortAT}[w.rnd.IntN(2)]}}}
	if id == "" {
		m.State, m.FailedReason = "failed", "sim-missing"
	} else {
		m.SIM = &model.ObservedSIM{ICCID: id}
	}
	w.in.Seen.Modem = m
}

// truth is the card that the modem would read now.
func (w *world) truth() model.ICCID {
	f, s := w.in.Facts, w.in.Seen
	remote := s.Line == model.SourceRemote || !f.Line && shown(s.Card)
	switch {
	case !remote:
		return localCard
	case f.Front && !shown(s.Card):
		return ""
	}
	return w.in_
}

// reread has the modem vanish and come back with what is in.
func (w *world) reread() {
	if !w.in.Seen.ModemManager || w.fails() {
		return
	}
	w.in.Seen.Modem = nil
	w.after(8000, func() {
		if w.in.Seen.ModemManager {
			w.probe(w.truth())
		}
	})
}

func (w *world) finish(a model.ModemAction, do func()) {
	if w.rnd.Float64() < w.bad/3 {
		return // no answer ever
	}
	fail := w.fails()
	w.after(3000, func() {
		d := model.ActionDone{ID: a.ID}
		if fail {
			d.Err = "it does not work"
		} else {
			do()
		}
		w.in.Done = append(w.in.Done, d)
	})
}

func (w *world) act(a model.ModemAction) {
	w.actions++
	w.trail = append(w.trail, fmt.Sprint(a))
	switch a.Verb {
	case model.ActNetworkDown, model.ActNetworkUp:
		up := a.Verb == model.ActNetworkUp
		w.lastNet[a.Network] = a.Verb
		w.finish(a, func() { w.setNet(a.Network, up) })
	case model.ActPulse:
		if w.fails() {
			w.away, w.released = true, 0
			if w.flip() {
				w.after(2000, func() { w.in.Done = append(w.in.Done, model.ActionDone{ID: a.ID, Err: "stuck"}) })
			}
			return
		}
		w.after(2000, func() { w.in.Done = append(w.in.Done, model.ActionDone{ID: a.ID}); w.reread() })
	case model.ActRelease:
		if w.fails() {
			w.released++
			w.after(500, func() { w.in.Done = append(w.in.Done, model.ActionDone{ID: a.ID, Err: "stuck"}) })
			return
		}
		w.after(500, func() { w.away = false; w.in.Done = append(w.in.Done, model.ActionDone{ID: a.ID}) })
	case model.ActInhibit:
		w.finish(a, func() { w.in.Seen.Modem = nil })
	default:
		w.finish(a, w.reread)
	}
}

func (w *world) setNet(name string, up bool) {
	nets := slices.Clone(w.in.Seen.Networks)
	for i := range nets {
		if nets[i].Name == name {
			nets[i].Pending, nets[i].Autostart, nets[i].Up = up, up, false
		}
	}
	w.in.Seen.Networks = nets
}

// step lets the decision be made and the drivers follow it.
func (w *world) step() {
	d := Step(w.now, w.in, w.mem)
	w.in.Done = nil
	w.mem, w.wake, w.st = d.Memory, d.WakeAt, d.Status
	for _, n := range d.Notes {
		w.trail = append(w.trail, w.now.Format("15:04:05.000 ")+n.Text)
		for _, id := range []model.ICCID{localCard, remoteCard, otherCard} {
			require.NotContains(w.t, n.Text, string(id), "a whole ICCID in the journal")
		}
	}
	old := w.plan
	w.plan = d.Plan
	if d.Plan.Line != old.Line && !w.fails() {
		to := d.Plan.Line
		w.after(500, func() {
			if w.plan.Line == to {
				w.in.Seen.Line = to
				if w.flip() {
					w.reread()
				}
			}
		})
	}
	if d.Plan.Show != old.Show && !w.fails() {
		show := d.Plan.Show
		w.after(2000, func() {
			if w.plan.Show != show {
				return
			}
			w.in.Seen.Card = model.CardNone
			if show {
				w.in.Seen.Card = []model.CardState{model.CardPresent, model.CardReady}[w.rnd.IntN(2)]
			}
			if w.in.Facts.FrontRemoves {
				w.reread()
			}
		})
	}
	if a := d.Plan.Action; a != old.Action {
		require.Equal(w.t, old.Action.ID+1, a.ID)
		w.act(a)
	}
}

// disturb makes something happen by itself.
func (w *world) disturb() {
	s := &w.in.Seen
	switch w.rnd.IntN(6) {
	case 0:
		if s.ModemManager { // it dies
			s.ModemManager, s.Modem = false, nil
			w.after(5000, func() { s.ModemManager = true; w.path = 0; w.probe(w.truth()) })
		}
	case 1:
		s.Modem = nil
		w.after(20000, func() {
			if s.ModemManager {
				w.probe(w.truth())
			}
		})
	case 2:
		s.FrontUp = !s.FrontUp
	case 3:
		s.Available = !s.Available
	case 4:
		if len(s.Networks) > 0 {
			w.setNet(s.Networks[w.rnd.IntN(len(s.Networks))].Name, false)
		}
	case 5:
		if m := s.Modem; m != nil {
			c := *m
			c.State = []string{"locked", "connected", "failed", "searching"}[w.rnd.IntN(4)]
			s.Modem = &c
		}
	}
}

// next moves the clock to the next thing that happens, at most to until.
func (w *world) next(until time.Time) {
	at := until
	if !w.wake.IsZero() && w.wake.Before(at) {
		at = w.wake
	}
	for _, e := range w.later {
		if e.at.Before(at) {
			at = e.at
		}
	}
	w.now = maxTime(at, w.now)
	var due []thing
	w.later = slices.DeleteFunc(w.later, func(e thing) bool {
		if e.at.After(w.now) {
			return false
		}
		due = append(due, e)
		return true
	})
	slices.SortStableFunc(due, func(a, b thing) int { return a.at.Compare(b.at) })
	for _, e := range due {
		e.do()
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// run goes on until the switch has ended, and no longer than its bound.
func (w *world) run() {
	limit := w.now.Add(Limit(w.in.Facts, w.in.Want.Source))
	w.step()
	for steps := 0; w.st.Running; steps++ {
		require.Less(w.t, steps, 100000, "it spins")
		require.False(w.t, w.wake.IsZero(), "a run without a deadline")
		w.next(limit.Add(time.Hour))
		require.False(w.t, w.now.After(limit), "longer than the sum of the deadlines")
		w.step()
	}
}

func (w *world) checkEnd() {
	f, st := w.in.Facts, w.st
	t := w.t
	switch st.Source {
	case "":
		require.NotEmpty(t, st.Failed, "nobody knows which card is in, and nobody says why")
	case model.SourceRemote:
		require.Equal(t, f.Front, w.plan.Show)
	default:
		require.False(t, w.plan.Show)
	}
	if f.Line && st.Source != "" && w.plan.Line != "" {
		require.Equal(t, st.Source, w.plan.Line)
		require.Equal(t, st.Source, w.in.Seen.Line)
	}
	if st.Failed == "" {
		require.Equal(t, w.in.Want.Source, st.Source)
	} else if f.FallbackLocal && st.Source != "" {
		require.Equal(t, model.SourceLocal, st.Source)
	}
	require.True(t, !w.away || w.released >= 2, "a line is left away from rest")
	let := len(w.in.Seen.Networks) == 0
	for _, n := range w.in.Seen.Networks {
		let = let || !n.Idle() || w.lastNet[n.Name] != model.ActNetworkDown
	}
	require.True(t, let, "the network is left down")
}

func (w *world) report() {
	if w.t.Failed() {
		w.t.Logf("facts %+v\nseen %+v\nstatus %+v\nplan %+v\n%s", w.in.Facts, w.in.Seen, w.st, w.plan, strings.Join(w.trail, "\n"))
	}
}

// TestAnySwitchEnds: whatever answers, fails or happens in between, a switch
// ends in time, on the card that was wanted, back on the local one, or with a
// reason; the network is let go, the modem is powered, and nothing more is done.
func TestAnySwitchEnds(t *testing.T) {
	var current *world
	defer func() { current.report() }()
	seeds := uint64(2500)
	if testing.Short() {
		seeds = 500
	}
	outcomes := map[string]int{}
	for seed := range seeds {
		w := newWorld(t, seed)
		current = w
		w.in.Want = Want{Source: model.SourceLocal}
		w.run() // adopts
		w.in.Want = Want{Source: model.SourceRemote, Card: "1/3"}
		if w.flip() {
			w.in.Want.ICCID = remoteCard
		}
		if w.bad > 0 {
			for range w.rnd.IntN(6) {
				w.after(90000, w.disturb)
			}
		}
		w.run()
		w.checkEnd()
		outcomes[outcome(w)]++
		if w.st.Failed == "" && w.in.Seen.Modem != nil && w.in.Seen.Modem.SIM != nil && w.bad == 0 {
			require.Equal(t, w.in_, w.in.Seen.Modem.SIM.ICCID)
		}
		before := w.actions
		if w.st.Step == "" { // it does not wait for a card
			for end := w.now.Add(2 * time.Hour); w.now.Before(end); w.step() {
				w.next(end)
			}
			require.Equal(t, before, w.actions, "something is done although nothing is asked")
		}
		w.in.Want = Want{Source: model.SourceLocal, Generation: 1}
		w.run()
		w.checkEnd()
		if t.Failed() {
			return
		}
		w.trail = nil
	}
	t.Log(outcomes)
	for _, o := range []string{"reached", "back on local", "failed"} {
		require.NotZero(t, outcomes[o], o)
	}
}

func outcome(w *world) string {
	switch {
	case w.st.Failed == "":
		return "reached"
	case w.st.Source == model.SourceLocal:
		return "back on local"
	}
	return "failed"
}

// TestAnyChangeOfMindEnds: wants that change all the time stop with the last.
func TestAnyChangeOfMindEnds(t *testing.T) {
	var current *world
	defer func() { current.report() }()
	for seed := range uint64(800) {
		w := newWorld(t, seed)
		current = w
		for i := range 8 {
			w.in.Want.Source = []model.Source{model.SourceLocal, model.SourceRemote, ""}[w.rnd.IntN(3)]
			w.in.Want.Card = []string{"", "1/3", "1/4"}[w.rnd.IntN(3)]
			w.in.Want.Generation = int64(i)
			w.step()
			for range w.rnd.IntN(8) {
				w.next(w.now.Add(time.Minute))
				w.step()
			}
		}
		w.in.Seen.FrontUp, w.in.Seen.Available, w.in.Seen.ModemManager = true, true, true
		w.in.Want = Want{Source: model.SourceRemote, Card: "1/5", Generation: 9}
		end := w.now.Add(2*Limit(w.in.Facts, model.SourceRemote) + 2*Limit(w.in.Facts, model.SourceLocal))
		w.step()
		for w.st.Running || w.st.Source == "" && w.st.Failed == "" {
			require.True(t, w.now.Before(end), "it does not end")
			w.next(end)
			w.step()
		}
		w.checkEnd()
		if t.Failed() {
			return
		}
	}
}

// TestLadderKeepsToItsBudget: whatever the verdicts, no more resets than
// allowed, never too close, and never one of a registered modem.
func TestLadderKeepsToItsBudget(t *testing.T) {
	var current *world
	defer func() { current.report() }()
	for seed := range uint64(200) {
		w := newWorld(t, seed)
		current = w
		w.in.Want = Want{Source: model.SourceLocal}
		w.run()
		var resets []time.Time
		for end := w.now.Add(48 * time.Hour); w.now.Before(end); {
			before := w.plan.Action
			w.step()
			switch a := w.plan.Action; {
			case a == before:
			case a.Verb == model.ActPulse, a.Verb == model.ActResetMM, a.Verb == model.ActResetSoft:
				resets = append(resets, w.now)
			}
			if a := w.plan.Action; a != before && !w.st.Running {
				require.Fail(t, "an action outside a run", a)
			}
			if !w.st.Running && w.rnd.IntN(3) == 0 {
				w.in.Verdict = Verdict{Sick: w.rnd.IntN(3) > 0, Registered: w.rnd.IntN(3) == 0, Reason: "random"}
			}
			if w.in.Verdict.Registered && !w.st.Running {
				n := len(resets)
				w.step()
				require.False(t, w.st.Running, "a registered modem is reset")
				require.Len(t, resets, n)
			}
			w.next(w.now.Add(time.Duration(1+w.rnd.IntN(600)) * time.Second))
		}
		for i := range resets {
			if i > 0 {
				require.GreaterOrEqual(t, resets[i].Sub(resets[i-1]), 2*time.Minute)
			}
			if i >= 3 {
				require.GreaterOrEqual(t, resets[i].Sub(resets[i-3]), time.Hour, "more than 3 an hour")
			}
			if i >= 8 {
				require.GreaterOrEqual(t, resets[i].Sub(resets[i-8]), 24*time.Hour, "more than 8 a day")
			}
		}
		if t.Failed() {
			return
		}
	}
}
