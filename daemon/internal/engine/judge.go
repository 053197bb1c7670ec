package engine

import (
	"fmt"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/failover"
	"github.com/terminills/remsim-openwrt/daemon/internal/health"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

var zeroTime time.Time

// startGrace is how long the first connections may take before `starting`
// gives way to what is missing.
const startGrace = 15 * time.Second

// verdict is one modem's contribution to the overall state.
type verdict struct {
	state  model.State
	reason string
	wake   time.Time
}

// rank orders the states by how much they need attention.
var rank = map[model.State]int{
	model.StateOperational: 0,
	model.StateStarting:    1,
	model.StateWaiting:     2,
	model.StateRideThrough: 3,
	model.StateDegraded:    4,
}

// judge decides the overall state, its reason in words, and when time alone
// will change it.
func (e *Engine) judge(now time.Time) (model.State, string, time.Time) {
	if !e.applied {
		return model.StateStarting, "reading the configuration", zeroTime
	}
	if !e.settings.Valid {
		return model.StateStopped, "the configuration has errors and there is no earlier one; see `remsim config`", zeroTime
	}
	if !e.settings.Enabled {
		return model.StateStopped, "switched off: option enabled '0' in section main", zeroTime
	}
	worst := verdict{state: model.StateOperational}
	remote := 0
	lost := e.controlLost()
	for _, m := range e.modems {
		v, counts := m.judgeSwitch()
		switch {
		case counts:
		case !m.wantsRemote():
			continue
		default:
			v = m.judge(now, e.started, e.settings.Grace)
			if lost != "" && rank[v.state] < rank[model.StateRideThrough] && m.cardWorks() {
				v = e.judgeLost(now, m, lost)
			}
		}
		remote++
		worst.wake = earliest(worst.wake, v.wake)
		if worst.reason == "" || rank[v.state] > rank[worst.state] {
			worst.state, worst.reason = v.state, v.reason
		}
	}
	if remote == 0 {
		return model.StateOperational, "no modem uses a remote card", zeroTime
	}
	return worst.state, worst.reason, worst.wake
}

// judge tells how one modem's remote card is doing.
func (m *modem) judge(now, started time.Time, grace time.Duration) verdict {
	name := m.conf.Name
	switch {
	case m.unmapped:
		return verdict{state: model.StateWaiting, reason: fmt.Sprintf("%s: unmapped by command, waiting for a new assignment", name)}
	case m.withheld():
		return m.judgeWithheld(now, started)
	case m.cardHeld() && m.assigned != nil:
		return m.judgeHeld(now, grace)
	case m.cardWorks() && m.muted != "":
		return verdict{state: model.StateDegraded, reason: fmt.Sprintf("%s: %s", name, m.muted)}
	case m.cardWorks():
		v, late := m.judgeSilent(now, grace)
		if !late {
			v.state, v.reason = model.StateOperational, fmt.Sprintf("%s uses the card in bank %s", name, m.where())
		}
		return v
	case m.undecided():
		return verdict{state: model.StateStarting, reason: fmt.Sprintf("%s: looking for a card front: %s", name, m.choice.Why)}
	case m.frontKind() == "":
		return verdict{state: model.StateDegraded, reason: fmt.Sprintf("%s: no card can be shown: %s", name, m.noFront())}
	case m.front.reported && !m.front.up:
		return verdict{state: model.StateDegraded, reason: fmt.Sprintf("%s: no card can be shown, front %s is down: %s", name, m.front.kind, m.front.reason)}
	case m.assigned == nil:
		return m.judgeUnassigned(now, started)
	case m.bankd.Reason != "":
		return verdict{state: model.StateDegraded, reason: fmt.Sprintf("%s: bank %s: %s", name, m.where(), m.bankd.Reason)}
	}
	return verdict{state: model.StateStarting, reason: fmt.Sprintf("%s: fetching the card from bank %s", name, m.where())}
}

// judgeSwitch tells what a card switch that runs or failed makes of the modem;
// counts is false when there is nothing to tell.
func (m *modem) judgeSwitch() (v verdict, counts bool) {
	switch {
	case !m.managed():
		return v, false
	case m.cannotSwitch():
		return v, false
	case m.status.Failed != "":
		return verdict{state: model.StateDegraded, reason: fmt.Sprintf("%s: the %s card is not in use: %s", m.conf.Name, m.wantedSource(), m.status.Failed)}, true
	case m.status.Running && m.status.Reset:
		return verdict{state: model.StateStarting, reason: fmt.Sprintf("%s: the modem is being reset: %s", m.conf.Name, m.status.Step)}, true
	case m.status.Running && m.status.WayBack:
		return verdict{state: model.StateStarting, reason: fmt.Sprintf("%s: going back to the local card: %s", m.conf.Name, m.status.Step)}, true
	case m.status.Running:
		return verdict{state: model.StateStarting, reason: fmt.Sprintf("%s: changing to the %s card: %s", m.conf.Name, m.wantedSource(), m.status.Step)}, true
	}
	return v, false
}

func (m *modem) judgeHeld(now time.Time, grace time.Duration) verdict {
	end := m.lostSince.Add(grace)
	why := orElse(m.bankd.Reason, "connection lost")
	if m.bankd.State == model.ConnConnected && m.bankUp.After(m.lostSince) {
		return verdict{state: model.StateRideThrough, // the relay's deadline ends this, no wake-up is needed
			reason: fmt.Sprintf("%s: bank %s is back, the card is brought to where the modem left it", m.conf.Name, m.where())}
	}
	if now.Before(end) {
		return verdict{
			state:  model.StateRideThrough,
			reason: fmt.Sprintf("%s: bank %s is away (%s), the card is held", m.conf.Name, m.where(), why),
			wake:   end,
		}
	}
	return verdict{state: model.StateDegraded,
		reason: fmt.Sprintf("%s: bank %s has been away for more than %s (%s), the card is still held", m.conf.Name, m.where(), grace, why)}
}

// controlLost says why no control path carries anything, "" if one does or none
// is known.
func (e *Engine) controlLost() string {
	d := e.links.decision
	if d.GraceEnds.IsZero() || d.State == failover.StateStarting {
		return ""
	}
	return d.ControlReason
}

// judgeLost tells of a card that works still, while nothing leads to its bank.
func (e *Engine) judgeLost(now time.Time, m *modem, why string) verdict {
	end := e.links.decision.GraceEnds
	if now.Before(end) {
		return verdict{state: model.StateRideThrough, wake: end,
			reason: fmt.Sprintf("%s: every control path is lost (%s), the card is held", m.conf.Name, why)}
	}
	return verdict{state: model.StateDegraded,
		reason: fmt.Sprintf("%s: every control path has been lost for more than %s (%s), the card is still held", m.conf.Name, e.settings.Grace, why)}
}

func (m *modem) judgeUnassigned(now, started time.Time) verdict {
	name := m.conf.Name
	switch {
	case m.server.State == model.ConnConnected:
		return verdict{state: model.StateWaiting, reason: fmt.Sprintf("%s: registered as client %d slot %d, no card assigned yet", name, m.client.ID, m.client.Slot)}
	case m.server.Reason != "":
		return verdict{state: model.StateWaiting, reason: fmt.Sprintf("%s: server %s: %s", name, m.server.Address, m.server.Reason)}
	case now.Before(started.Add(startGrace)):
		return verdict{state: model.StateStarting, reason: fmt.Sprintf("%s: connecting", name), wake: started.Add(startGrace)}
	}
	return verdict{state: model.StateWaiting, reason: fmt.Sprintf("%s: no card assigned yet", name)}
}

// where names the assigned bank slot.
func (m *modem) where() string {
	if m.assigned == nil {
		return "?"
	}
	return fmt.Sprintf("%d slot %d", m.assigned.ID, m.assigned.Slot)
}

// graceEnds is when the last ride-through that runs now ends, zero when none runs.
func (e *Engine) graceEnds() (end time.Time) {
	for _, m := range e.modems {
		if t := m.lostSince.Add(e.settings.Grace); m.cardHeld() && t.After(end) {
			end = t
		}
	}
	if d := e.links.decision.GraceEnds; d.After(end) && e.controlLost() != "" {
		end = d
	}
	return end
}

// later returns t if it lies ahead, else zero: what has passed wakes nobody.
func later(now, t time.Time) time.Time {
	if t.After(now) {
		return t
	}
	return time.Time{}
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// snapshot builds the published state.
func (e *Engine) snapshot(now time.Time) *model.Snapshot {
	state, reason, _ := e.judge(now)
	s := &model.Snapshot{
		Version: e.opts.Version, Started: e.started,
		DeviceID: e.settings.DeviceID, State: state, Reason: reason,
		Modems: []model.Modem{}, Links: []model.Link{}, Sessions: []model.Session{}, Budget: e.viewBudget(),
		IonMesh: e.meshView(), GraceEnds: e.graceEnds(),
	}
	e.viewLinks(s)
	for _, m := range e.modems {
		s.Modems = append(s.Modems, m.view())
		if session := m.session(); session != nil {
			s.Sessions = append(s.Sessions, *session)
		}
	}
	s.Health = e.health(now, s)
	return s
}

// health computes the findings and writes those that came or went into the
// journal.
func (e *Engine) health(now time.Time, s *model.Snapshot) model.Health {
	h := health.Compute(now, e.conditions(now, s), e.inventoryFindings(now), e.findings)
	for _, f := range health.News(e.findings, h.Findings) {
		e.note(now, model.KindFinding, f.Subject, f.Text, map[string]string{"code": f.Code, "severity": string(f.Severity)})
	}
	e.findings = h.Findings
	return h
}
