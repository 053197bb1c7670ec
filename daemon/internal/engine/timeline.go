package engine

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/failover"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// timelineLimit is when a record is written although something has not happened.
const timelineLimit = 5 * time.Minute

// The stamps of a failover, in the order in which they are expected. Their names
// are those in the event's data.
const (
	stampLastGood = iota
	stampDetect
	stampDecide
	stampRoute
	stampControl
	stampCard
	stampRegistered
	stampBearer
	stampFirstByte
	stampCount
)

var stampNames = [stampCount]string{"last_good", "detect", "decide", "route", "control_up", "card_ready", "registered", "bearer_up", "first_byte"}

// timeline is the record of the failover that runs now.
type timeline struct {
	running  bool
	role     string
	from, to string
	why      string
	at       [stampCount]time.Time // zero: not yet, or it does not belong to this failover
	wanted   [stampCount]bool
	serial   int64 // of the route plan that goes with it; 0: no route changes
}

// begin starts a record. One that runs is about the failover before, and ends
// with what it has.
func (t *timeline) begin(now time.Time, role string, from *link, to, why string) {
	*t = timeline{running: true, role: role, from: from.nameOr("nothing"), to: to, why: why}
	if from != nil && !from.usable {
		t.at[stampLastGood] = from.judged.LastGood
		t.at[stampDetect] = from.judged.When()
		if from.judged.Usable || t.at[stampDetect].IsZero() {
			t.at[stampDetect], t.at[stampLastGood] = from.since, from.since // carrier or interface, seen at once
		}
	}
	t.at[stampDecide] = now
}

// expect says what the record waits for: that what was connected before is so
// again. Routes are added when a plan changes them.
func (e *Engine) expect(role string) {
	t := &e.timeline
	if role != failover.RoleControl {
		return
	}
	for _, m := range e.modems {
		up := m.wantsRemote() && (m.server.State == model.ConnConnected || m.bankd.State == model.ConnConnected)
		t.wanted[stampControl] = t.wanted[stampControl] || up
		t.wanted[stampCard] = t.wanted[stampCard] || m.wantsRemote() && (m.cardWorks() || m.cardHeld())
	}
}

func (l *link) nameOr(other string) string {
	if l == nil {
		return other
	}
	return l.conf.Name
}

// stamp notes that something has happened, if the record waits for it.
func (t *timeline) stamp(i int, at time.Time) {
	if t.running && t.at[i].IsZero() && at.After(t.at[stampDecide]) {
		t.at[i] = at
	}
}

// rerouted notes the plan that the decision led to, the first after it.
func (t *timeline) rerouted(serial int64) {
	if t.running && t.serial == 0 {
		t.serial, t.wanted[stampRoute] = serial, true
	}
}

// routed notes that the kernel holds the new plan.
func (t *timeline) routed(ev model.RoutesChanged) {
	if ev.Applied && t.serial != 0 && ev.Serial >= t.serial {
		t.stamp(stampRoute, ev.When())
	}
}

// watchTimeline takes the stamps that show in the state, and writes the record
// when all are there or waiting is over. It returns when to look again.
func (e *Engine) watchTimeline(now time.Time) time.Time {
	t := &e.timeline
	if !t.running {
		return time.Time{}
	}
	e.stampSessions(t)
	limit := t.at[stampDecide].Add(timelineLimit)
	for i := range t.wanted {
		if t.wanted[i] && t.at[i].IsZero() && now.Before(limit) {
			return limit
		}
	}
	e.closeTimeline(now)
	return time.Time{}
}

// closeTimeline writes the record that runs, if one does.
func (e *Engine) closeTimeline(now time.Time) {
	t := &e.timeline
	if !t.running {
		return
	}
	t.running = false
	text, data := t.record(now)
	e.note(now, model.KindFailover, t.to, text, data)
}

// stampSessions looks at the remote cards: only those that were connected before
// can come back.
func (e *Engine) stampSessions(t *timeline) {
	for _, m := range e.modems {
		if !m.wantsRemote() {
			continue
		}
		for _, p := range []*peer{&m.server, &m.bankd} {
			if p.State == model.ConnConnected {
				t.stamp(stampControl, p.upAt)
			}
		}
		if m.cardWorks() && m.bankd.State == model.ConnConnected {
			t.stamp(stampCard, m.bankd.upAt)
		}
		t.stamp(stampFirstByte, m.answeredAt)
		if m.seen != nil && registered(m.seen) {
			t.stamp(stampRegistered, m.registeredAt)
		}
	}
	if l := e.link(t.to); l != nil && l.state.up {
		t.stamp(stampBearer, l.upAt)
	}
}

// record is the failover as one journal entry: text for a person, data for a
// program, with milliseconds since the first stamp.
func (t *timeline) record(now time.Time) (string, map[string]string) {
	zero := t.at[stampDecide]
	for _, at := range t.at {
		if !at.IsZero() && at.Before(zero) {
			zero = at
		}
	}
	data := map[string]string{"role": t.role, "from": t.from, "to": t.to, "reason": t.why}
	var words []string
	for i, at := range t.at {
		if at.IsZero() {
			if t.wanted[i] {
				words = append(words, fmt.Sprintf("%s not within %s", stampNames[i], now.Sub(t.at[stampDecide]).Round(time.Second)))
			}
			continue
		}
		ms := at.Sub(zero).Milliseconds()
		data[stampNames[i]+"_ms"] = strconv.FormatInt(ms, 10)
		words = append(words, fmt.Sprintf("%s +%d ms", stampNames[i], ms))
	}
	return fmt.Sprintf("%s traffic, %s to %s, %s: %s", t.role, t.from, t.to, t.why, strings.Join(words, ", ")), data
}
