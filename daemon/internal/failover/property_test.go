package failover

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// world is a router whose links come and go at random, with its own account of
// what they did.
type world struct {
	t      *testing.T
	rnd    *rand.Rand
	now    time.Time
	start  time.Time
	policy Policy
	links  []Link
	mem    Memory
	d      Decision

	good    map[string]time.Time // usable since; absent: it is not
	falls   int                  // of a link from usable, or from up
	quiets  int                  // changes of Quiet
	chosen  int                  // choices by hand
	altered time.Time            // of the last change of what ranks
	trail   []string
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, rnd: rand.New(rand.NewPCG(seed, 5)), now: t0, start: t0, good: map[string]time.Time{}}
	w.policy = Policy{
		Grace: w.pick(0, 10, 300), Hold: w.pick(0, 1, 5, 30, 600), PreferUnmetered: w.flip(),
		Failback: []string{FailbackAfter, FailbackImmediate, FailbackNever}[w.rnd.IntN(3)],
	}
	for i := range 1 + w.rnd.IntN(4) {
		l := Link{Name: fmt.Sprintf("l%d", i), Metered: w.flip(), Resettable: w.flip(),
			User: []model.UserTraffic{model.UserNever, model.UserEmergency, model.UserAlways}[w.rnd.IntN(3)]}
		if w.flip() {
			l.Modem, l.NeedsCard, l.ModemState = l.Name, w.flip(), ModemRegistered
		}
		if w.rnd.IntN(4) > 0 {
			w.policy.ControlOrder = append(w.policy.ControlOrder, l.Name)
		}
		w.links = append(w.links, l)
	}
	w.rnd.Shuffle(len(w.policy.ControlOrder), func(i, j int) {
		o := w.policy.ControlOrder
		o[i], o[j] = o[j], o[i]
	})
	return w
}

func (w *world) flip() bool { return w.rnd.IntN(2) == 0 }

func (w *world) pick(seconds ...int) time.Duration {
	return time.Duration(seconds[w.rnd.IntN(len(seconds))]) * time.Second
}

// happen changes the world a little.
func (w *world) happen() {
	l := &w.links[w.rnd.IntN(len(w.links))]
	switch w.rnd.IntN(12) {
	case 0:
		l.Up, l.Usable, l.Reason, w.falls = false, false, "carrier lost", w.falls+1
	case 1, 2, 3:
		l.Up, l.Usable, l.Reason = true, false, "60 % loss"
	case 4:
		l.ModemState = []ModemState{ModemHung, ModemUnregistered, ModemRegistered, ModemAbsent}[w.rnd.IntN(4)]
	case 5:
		l.Quiet, w.altered, w.quiets = w.rnd.IntN(4) == 0, w.now, w.quiets+1
	case 6:
		if w.rnd.IntN(5) == 0 {
			role := []string{RoleData, RoleControl}[w.rnd.IntN(2)]
			w.policy.Forced = map[string]string{role: []string{l.Name, "auto"}[w.rnd.IntN(2)]}
			w.chosen, w.altered = w.chosen+2, w.now // one may be given back with it
		}
	default:
		l.Up, l.Usable, l.Reason = true, true, ""
	}
	w.trail = append(w.trail, fmt.Sprintf("%s %+v %v", w.now.Format("15:04:05.000"), *l, w.policy.Forced))
	for _, l := range w.links {
		_, was := w.good[l.Name]
		switch is := l.Up && l.Usable; {
		case is && !was:
			w.good[l.Name] = w.now
		case !is && was:
			delete(w.good, l.Name)
			w.falls++
		}
	}
}

// pass lets time go by: a little, a lot, or just to the wake-up that was asked for.
func (w *world) pass() {
	switch n := w.rnd.IntN(4); {
	case n == 0 && !w.d.WakeAt.IsZero():
		w.now = w.d.WakeAt
	case n == 1:
		w.now = w.now.Add(time.Duration(w.rnd.Int64N(int64(2 * time.Minute))))
	default:
		w.now = w.now.Add(time.Duration(w.rnd.Int64N(int64(2 * time.Second))))
	}
}

// decide decides, and once more at the same time.
func (w *world) decide(at time.Time) {
	var mem Memory
	w.d, mem = Decide(at, w.policy, w.mem, w.links)
	again, mem2 := Decide(at, w.policy, mem, w.links)
	require.Equal(w.t, w.d, again, w.trail)
	require.Equal(w.t, mem, mem2, w.trail)
	require.True(w.t, w.d.WakeAt.IsZero() || w.d.WakeAt.After(at), w.trail)
	w.mem = mem
}

func (w *world) link(name string) *Link {
	i := slices.IndexFunc(w.links, func(l Link) bool { return l.Name == name })
	if i < 0 {
		return &Link{}
	}
	return &w.links[i]
}

func (w *world) goodFor(name string) time.Duration {
	since, is := w.good[name]
	if !is {
		return -1
	}
	return w.now.Sub(since)
}

// mayControl and mayData are the owner's rules, said anew.
func (w *world) mayControl(l *Link) bool { return slices.Contains(w.policy.ControlOrder, l.Name) }
func mayData(l *Link) bool               { return l.User != model.UserNever && !l.Quiet }

// worse tells that a is the worse link for control than b.
func (w *world) worse(a, b *Link) bool {
	switch forced := w.policy.Forced[RoleControl]; {
	case a.Name == forced || b.Name == forced:
		return b.Name == forced && a.Name != forced
	case a.Quiet != b.Quiet:
		return a.Quiet
	case a.NeedsCard != b.NeedsCard:
		return a.NeedsCard
	}
	return slices.Index(w.policy.ControlOrder, a.Name) > slices.Index(w.policy.ControlOrder, b.Name)
}

func (w *world) check() {
	w.checkLinks()
	held := max(guardFactor*w.policy.Hold, guardLeast)
	for i := range w.links {
		l := &w.links[i]
		steady := min(w.goodFor(l.Name), w.now.Sub(w.altered))
		cur := w.link(w.d.Control)
		if w.mayControl(l) && steady >= settleMost {
			require.True(w.t, cur.Usable && cur.Up, "control stays on %s while %s is good: %v", cur.Name, l.Name, w.trail)
		}
		if w.mayControl(l) && steady >= held && w.policy.Failback != FailbackNever {
			require.False(w.t, w.worse(cur, l), "control is on %s while %s is held: %v", cur.Name, l.Name, w.trail)
		}
		cur = w.link(w.d.Data)
		if mayData(l) && steady >= settleMost {
			require.True(w.t, cur.Usable && cur.Up, "data stays on %s while %s is good: %v", cur.Name, l.Name, w.trail)
			if l.User == model.UserAlways && w.policy.Forced[RoleData] != cur.Name {
				require.NotEqual(w.t, model.UserEmergency, cur.User, "emergency while %s is good: %v", l.Name, w.trail)
			}
		}
	}
	// A link is left because it fell, or because a better one recovered.
	require.LessOrEqual(w.t, w.d.Switches, int64(2*len(w.links)+4*w.falls+2*w.chosen+4*w.quiets), w.trail)
}

func (w *world) checkLinks() {
	if l := w.link(w.d.Data); w.d.Data != "" {
		require.True(w.t, mayData(l), w.trail)
	}
	for _, name := range []string{w.d.Control, w.d.Server} {
		require.True(w.t, name == "" || w.mayControl(w.link(name)), w.trail)
	}
	lost := !slices.ContainsFunc(w.links, func(l Link) bool { return w.mayControl(&l) && l.Up && l.Usable })
	require.Equal(w.t, lost, !w.d.GraceEnds.IsZero(), w.trail)
	for _, r := range w.d.Resets {
		l := w.link(r.Modem)
		require.True(w.t, l.Resettable && !(l.Up && l.Usable), w.trail)
		require.Contains(w.t, []ModemState{ModemHung, ModemUnregistered}, l.ModemState, w.trail)
	}
}

// checkQuiet: before the wake-up that was asked for, time alone changes nothing.
func (w *world) checkQuiet() {
	ahead := time.Hour
	if !w.d.WakeAt.IsZero() {
		ahead = w.d.WakeAt.Sub(w.now)
	}
	d, _ := Decide(w.now.Add(time.Duration(w.rnd.Int64N(int64(ahead)))), w.policy, w.mem, w.links)
	was := w.d
	require.Equal(w.t, []any{was.Data, was.Control, was.Server, was.State, was.Resets, was.Switches, was.Candidates},
		[]any{d.Data, d.Control, d.Server, d.State, d.Resets, d.Switches, d.Candidates}, w.trail)
}

func TestProperties(t *testing.T) {
	worlds := 400
	if testing.Short() {
		worlds = 50
	}
	for seed := range uint64(worlds) {
		w := newWorld(t, seed)
		for range 150 {
			w.happen()
			w.decide(w.now)
			w.check()
			w.checkQuiet()
			from := w.now
			w.pass()
			for to := w.now; !w.d.WakeAt.IsZero() && w.d.WakeAt.After(from) && !w.d.WakeAt.After(to); {
				from = w.d.WakeAt
				w.now = from
				w.decide(from)
				w.check()
			}
			w.now = latest(w.now, from)
		}
	}
}

// TestFlapGuard: a link that flaps at 1 Hz for ten minutes causes at most three
// switches, its return included, however long it is good each time.
func TestFlapGuard(t *testing.T) {
	for _, failback := range []string{FailbackAfter, FailbackImmediate, FailbackNever} {
		for _, hold := range []time.Duration{0, time.Second, 30 * time.Second} {
			for good := 100 * time.Millisecond; good < time.Second; good += 200 * time.Millisecond {
				t.Run(fmt.Sprintf("%s hold %s good %s", failback, hold, good), func(t *testing.T) {
					p := policy()
					p.Failback, p.Hold, p.PreferUnmetered = failback, hold, true
					// primary flaps, which carries data and the server's connection, and
					// then iot, which carries control.
					for _, flaps := range []int{0, 1} {
						require.LessOrEqual(t, flap(p, flaps, good), 3)
					}
				})
			}
		}
	}
}

func flap(p Policy, flaps int, good time.Duration) (switches int) {
	links := []Link{primary(true), iot(true), wan(true)}
	var mem Memory
	last := Decision{}
	at := func(now time.Time) {
		var d Decision
		d, mem = Decide(now, p, mem, links)
		if last.Data != "" && (d.Data != last.Data || d.Control != last.Control || d.Server != last.Server) {
			switches++
		}
		last = d
	}
	until := func(now time.Time) {
		for !last.WakeAt.IsZero() && last.WakeAt.Before(now) {
			at(last.WakeAt)
		}
	}
	now := t0
	at(now)
	for range 600 {
		for _, usable := range []bool{false, true} {
			links[flaps].Usable = usable
			at(now)
			length := good
			if !usable {
				length = time.Second - good
			}
			now = now.Add(length)
			until(now)
		}
	}
	until(now.Add(time.Hour))
	return switches
}

// TestFlappingInTurns: two links that take turns in failing, once a second,
// cause no more switches than one.
func TestFlappingInTurns(t *testing.T) {
	p, mem := policy(), Memory{}
	links := []Link{primary(true), iot(true)}
	var d Decision
	for i := range 1201 {
		links[0].Usable, links[1].Usable = i%2 == 1, i%2 == 0
		d, mem = Decide(t0.Add(time.Duration(i)*500*time.Millisecond), p, mem, links)
	}
	require.LessOrEqual(t, d.Switches, int64(3))
	require.Contains(t, d.ControlReason, "have to stay good first")
}

// TestFallsAreForgotten: what happened more than ten minutes ago does not count.
func TestFallsAreForgotten(t *testing.T) {
	p, mem := policy(), Memory{}
	p.Hold = 10 * time.Minute
	var d Decision
	for _, at := range []struct {
		after  time.Duration
		usable bool
		wake   time.Duration
	}{
		{0, true, 0},
		{time.Minute, false, 0},
		{2 * time.Minute, true, 12 * time.Minute},
		{3 * time.Minute, false, 0},
		{10 * time.Minute, true, 20 * time.Minute}, // not 4 holds: the first fall is forgotten by then
	} {
		d, mem = Decide(t0.Add(at.after), p, mem, []Link{primary(true), iot(at.usable)})
		if at.wake == 0 {
			require.Zero(t, d.WakeAt)
			continue
		}
		require.Equal(t, t0.Add(at.wake), d.WakeAt, at)
	}
	d, _ = Decide(t0.Add(20*time.Minute), p, mem, []Link{primary(true), iot(true)})
	require.Equal(t, "iot", d.Control)
}
