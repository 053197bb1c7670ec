package failover

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// candidate is one link considered for one role.
type candidate struct {
	link      *Link
	track     track
	rank      int    // the smaller the better; equal: the order of the list
	barred    string // why it may not have the role at all, in words
	forced    bool
	emergency bool   // for user traffic when no other is usable
	behind    string // why it ranks behind others, in words; "": by its place in the order

	waits time.Duration // it is better than the one in use, and has to stay good for so long
}

func (c *candidate) usable() bool { return c.barred == "" && c.track.class == isUsable }

// choice is a role's candidates and which of them has it.
type choice struct {
	list []candidate // best first; barred ones last
	mem  roleMemory
	now  time.Time
	// starting: the link is up and not judged yet, and others wait for that.
	starting bool
	wakeAt   time.Time // when time alone may change it; zero: never
}

// Ranks; the parts add up.
const (
	rankForced    = -100
	rankNeedsCard = 1
	rankEmergency = 2 // data only
	rankMetered   = 4 // server only
	rankQuiet     = 8
	rankBarred    = 100
)

func (d *decider) dataCandidates() []candidate {
	out := make([]candidate, 0, len(d.links))
	for i := range d.links {
		l := &d.links[i]
		c := candidate{link: l, track: d.tracks[l.Name], forced: d.policy.Forced[RoleData] == l.Name}
		switch {
		case l.User == model.UserNever:
			c.barred = "user traffic may not use it"
		case l.Quiet:
			c.barred = "its budget is used up"
		case l.User == model.UserEmergency:
			c.rank, c.emergency, c.behind = rankEmergency, true, "for user traffic only in an emergency"
		}
		out = append(out, c)
	}
	return sorted(out, d.policy.DataOrder)
}

func (d *decider) controlCandidates(unmetered bool) []candidate {
	out := make([]candidate, 0, len(d.links))
	for i := range d.links {
		l := &d.links[i]
		c := candidate{link: l, track: d.tracks[l.Name], forced: d.policy.Forced[RoleControl] == l.Name}
		if !slices.Contains(d.policy.ControlOrder, l.Name) {
			c.barred = "it is not in control_path"
		}
		if unmetered && l.Metered {
			c.rank, c.behind = rankMetered, "it is metered, and a stock server's pings cost too much"
		}
		if l.NeedsCard {
			c.rank, c.behind = c.rank+rankNeedsCard, "its modem runs on the card that comes over it"
		}
		if l.Quiet {
			c.rank, c.behind = c.rank+rankQuiet, "its budget is used up"
		}
		out = append(out, c)
	}
	return sorted(out, d.policy.ControlOrder)
}

// sorted ranks candidates: what somebody chose, then by rank, then by order,
// then as they stand.
func sorted(list []candidate, order []string) []candidate {
	place := func(c candidate) int {
		if i := slices.Index(order, c.link.Name); i >= 0 {
			return i
		}
		return len(order)
	}
	for i := range list {
		switch c := &list[i]; {
		case c.barred != "":
			c.rank, c.forced = rankBarred, false
		case c.forced:
			c.rank = rankForced
		}
	}
	sort.SliceStable(list, func(i, j int) bool {
		a, b := list[i], list[j]
		return a.rank < b.rank || a.rank == b.rank && place(a) < place(b)
	})
	return list
}

// decide gives a role to one of its candidates.
func (d *decider) decide(r role, list []candidate) *choice {
	c := &choice{list: list, mem: d.roles[r], now: d.now}
	forced := ""
	for i := range list {
		if list[i].forced {
			forced = list[i].link.Name
		}
	}
	fresh := forced != c.mem.forced // somebody chose, or gave back: no loyalty, no hold
	c.mem.forced = forced

	if cur := c.current(); cur == nil {
		why := "it is the first that can be used"
		if c.mem.link != "" {
			why = c.mem.link + " may not be used any more"
		}
		c.take(d.firstChoice(c), why)
	} else if fresh {
		d.chosenByHand(c, cur)
	}
	// What took the role is looked at like any other, so that the decision is the
	// same when it is asked for again.
	for before := ""; c.mem.link != before; {
		before = c.mem.link
		d.look(c)
	}
	d.wake(c.wakeAt)
	d.roles[r] = c.mem
	return c
}

// look compares the link in use with the others.
func (d *decider) look(c *choice) {
	c.starting, c.wakeAt = false, time.Time{}
	for i := range c.list {
		c.list[i].waits = 0
	}
	switch cur := c.current(); {
	case cur == nil:
	case cur.usable():
		d.improve(c, cur)
	default:
		d.leave(c, cur)
	}
}

// firstChoice is the link for a role that has none: the best usable one, or,
// shortly after a start, a better one that is up and may turn out to be usable.
func (d *decider) firstChoice(c *choice) *candidate {
	starting := d.started.Add(startTime)
	var up *candidate
	for i := range c.list {
		k := &c.list[i]
		switch {
		case k.barred != "":
		case k.usable() && (up == nil || !d.now.Before(starting)):
			return k
		case k.track.class == isUp && up == nil:
			up = k
		}
	}
	return up
}

func (d *decider) chosenByHand(c *choice, now *candidate) {
	for i := range c.list {
		k := &c.list[i]
		switch {
		case !k.usable():
			continue
		case k == now:
			c.mem.why = "the choice by hand was given back"
			if k.forced {
				c.mem.why = "chosen by hand"
			}
		case k.forced:
			c.take(k, "chosen by hand")
		default:
			c.take(k, "the choice by hand was given back or cannot be used")
		}
		return
	}
}

// leave looks for a link in place of one that is unusable.
func (d *decider) leave(c *choice, now *candidate) {
	starting := d.started.Add(startTime)
	if c.starting = d.now.Before(starting) && now.track.class == isUp && len(now.track.falls) == 0; c.starting {
		c.wake(starting)
	}
	settle := d.settle()
	for i := range c.list {
		k := &c.list[i]
		if k == now && c.starting {
			return // only a better one takes over from one that was not judged yet
		}
		if k == now || !k.usable() {
			continue
		}
		if at := k.track.goodFrom(0, settle); at.After(d.now) {
			c.wake(at)
			continue
		}
		c.take(k, fmt.Sprintf("%s is not usable: %s", now.link.Name, now.why()))
		return
	}
	if now.track.class != isDown {
		return
	}
	// Nothing is usable. A link that is up may lead somewhere; one that is down does not.
	for i := range c.list {
		k := &c.list[i]
		if k.barred != "" || k.track.class != isUp {
			continue
		}
		if at := k.track.goodFrom(settleMost, settleMost); at.After(d.now) {
			c.wake(at)
			continue
		}
		c.take(k, fmt.Sprintf("%s is down, and this one is at least up", now.link.Name))
		return
	}
}

// settle is how long a flapping link has to be good before it takes over from
// an unusable one.
func (d *decider) settle() time.Duration { return min(max(d.policy.Hold, settleLeast), settleMost) }

// improve looks for a better link than one that is usable.
func (d *decider) improve(c *choice, now *candidate) {
	for i := range c.list {
		k := &c.list[i]
		if k == now {
			return
		}
		if !k.usable() {
			continue
		}
		need, guard, may := d.hold(k, now)
		if !may {
			continue
		}
		at := k.track.goodFrom(need, guard)
		if at.After(d.now) {
			k.waits = at.Sub(k.track.since)
			c.wake(at)
			continue
		}
		c.take(k, fmt.Sprintf("it is better than %s and has been good for %s", now.link.Name, span(d.now.Sub(k.track.since))))
		return
	}
}

// hold is how long better has to stay good before it takes over from now, and
// how long if it flaps.
func (d *decider) hold(better, now *candidate) (need, guard time.Duration, may bool) {
	if now.emergency && !better.emergency {
		return calm, d.settle(), true // an emergency ends at once
	}
	guard = max(guardFactor*d.policy.Hold, guardLeast)
	switch d.policy.Failback {
	case FailbackNever:
		return 0, 0, better.forced
	case FailbackImmediate:
		return calm, guard, true
	}
	return max(d.policy.Hold, calm), guard, true
}

// current is the candidate that has the role; nil if there is none any more.
func (c *choice) current() *candidate {
	for i := range c.list {
		if k := &c.list[i]; k.link.Name == c.mem.link && k.barred == "" {
			return k
		}
	}
	return nil
}

// take gives the role to k; nil takes it away.
func (c *choice) take(k *candidate, why string) {
	name := ""
	if k != nil {
		name = k.link.Name
	}
	if name == c.mem.link {
		return
	}
	if c.mem.link != "" {
		c.mem.switches++
	}
	c.mem.link, c.mem.since, c.mem.why = name, c.now, why
}

// wake asks to be looked at again at t, if that lies ahead.
func (c *choice) wake(t time.Time) {
	if t.After(c.now) && (c.wakeAt.IsZero() || t.Before(c.wakeAt)) {
		c.wakeAt = t
	}
}

func (c *choice) anyUsable() bool {
	return slices.ContainsFunc(c.list, func(k candidate) bool { return k.usable() })
}

// waiting tells that a better link has to stay good for some time yet.
func (c *choice) waiting() bool {
	return slices.ContainsFunc(c.list, func(k candidate) bool { return k.waits > 0 })
}

// onFirst tells that the role is on its best link and that is usable, or that it
// has none to be on.
func (c *choice) onFirst() bool {
	return len(c.list) == 0 || c.list[0].barred != "" || c.list[0].link.Name == c.mem.link && c.list[0].usable()
}
