package engine

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/health"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// fault is what went wrong at a front.
type fault struct {
	reason string
	until  time.Time // when it is old news; zero: it lasts
}

func (e *Engine) foldFault(m *modem, ev model.FrontFault) {
	switch {
	case ev.Reason == "":
		delete(m.faults, ev.Code)
		return
	case ev.Hold > 0 && m.status.Running:
		return // whoever switches cards or resets the modem cuts commands off
	case m.faults == nil:
		m.faults = make(map[string]fault)
	}
	f := fault{reason: ev.Reason}
	if ev.Hold > 0 {
		f.until = ev.When().Add(ev.Hold)
	}
	m.faults[ev.Code] = f
	e.note(ev.When(), model.KindFront, ev.Modem, ev.Reason, codeData(ev.Code))
}

// expireFaults forgets what is old news, and tells when the next will be.
func (m *modem) expireFaults(now time.Time) (wake time.Time) {
	maps.DeleteFunc(m.faults, func(_ string, f fault) bool { return !f.until.IsZero() && !now.Before(f.until) })
	for _, f := range m.faults {
		if !f.until.IsZero() {
			wake = earliest(wake, f.until)
		}
	}
	return wake
}

// frontConditions lists what is wrong with the front of a modem.
func (m *modem) frontConditions() (out []health.Condition) {
	if !m.wantsRemote() {
		return nil
	}
	known := false // why the front is down
	for _, code := range slices.Sorted(maps.Keys(m.faults)) {
		f := m.faults[code]
		known = known || f.until.IsZero() && strings.HasPrefix(code, "front-")
		c := health.Condition{Code: code, Subject: m.conf.Name, Detail: f.reason}
		if code == health.CardSlow && m.bankd.State != model.ConnConnected {
			c.Cause = health.CardHeld // the bank is away: there is nobody to be slow
		}
		out = append(out, c)
	}
	switch {
	case m.undecided():
	case m.frontKind() == "":
		out = append(out, health.Condition{Code: health.FrontNone, Subject: m.conf.Name, Detail: m.noFront()})
	case m.front.reported && !m.front.up && !known:
		out = append(out, health.Condition{Code: health.FrontDown, Subject: m.conf.Name, Detail: m.front.kind + " on " + m.front.device + ": " + m.front.reason})
	}
	return out
}

// frontTrouble is the code of what is known to be wrong with the front whose task fails,
// "" for another task or if nothing is.
func (e *Engine) frontTrouble(task string) string {
	name, ok := strings.CutSuffix(task, " front")
	m := e.find(name)
	if !ok || m == nil {
		return ""
	}
	for _, c := range m.frontConditions() {
		if strings.HasPrefix(c.Code, "front-") {
			return c.Code
		}
	}
	return ""
}
