package engine

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/fronts"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// frontCells are the mailboxes about card fronts.
type frontCells struct {
	plans *cell.Cell[map[string]model.FrontPlan]
	watch *cell.Cell[model.FrontWatch]
}

func newFrontCells() frontCells {
	return frontCells{
		plans: cell.New(map[string]model.FrontPlan{}, func(a, b map[string]model.FrontPlan) bool { return reflect.DeepEqual(a, b) }),
		watch: cell.New(model.FrontWatch{}, func(a, b model.FrontWatch) bool { return a.On == b.On && slices.Equal(a.Probe, b.Probe) }),
	}
}

// FrontPlans says which front each modem shall have.
func (e *Engine) FrontPlans() *cell.Cell[map[string]model.FrontPlan] { return e.frontCells.plans }

// FrontWatch says what is to be looked for on behalf of front auto.
func (e *Engine) FrontWatch() *cell.Cell[model.FrontWatch] { return e.frontCells.watch }

// chooseFronts decides which front each modem has, and returns when to look again.
func (e *Engine) chooseFronts(now time.Time) (wake time.Time) {
	plans, watch := make(map[string]model.FrontPlan), model.FrontWatch{}
	if e.settings.Valid && e.settings.Enabled {
		d := fronts.Decide(now, e.frontInput(now), e.frontMemory)
		e.frontMemory = d.Memory
		watch.Probe, wake = d.Probe, d.WakeAt
		for _, m := range e.modems {
			e.gets(now, m, d.Choices[m.conf.Name])
			if m.conf.FrontAuto {
				watch.On = true
				wake = earliest(wake, later(now, e.started.Add(e.opts.ProbeTime)))
			}
			if m.choice.Kind != "" {
				plans[m.conf.Name] = model.FrontPlan{Kind: m.choice.Kind, Device: m.choice.Device}
			}
		}
	}
	if !watch.On {
		e.frontMemory = fronts.Memory{}
	}
	if !e.settings.Valid || !e.settings.Enabled {
		for _, m := range e.modems { // their fronts are taken down
			m.choice, m.front, m.faults = fronts.Choice{}, frontSeen{}, nil
		}
	}
	e.frontCells.plans.Set(plans)
	e.frontCells.watch.Set(watch)
	return wake
}

// gets makes c the front of m. What the front before it was seen to do is no longer so.
func (e *Engine) gets(now time.Time, m *modem, c fronts.Choice) {
	before := m.choice
	m.choice = c
	if c.Kind == before.Kind && c.Device == before.Device {
		return
	}
	m.front, m.faults = frontSeen{}, nil
	if m.conf.FrontAuto {
		m.switchGeneration++ // what could not be done without this front is tried anew
		text := fmt.Sprintf("front auto takes %s at %s: %s", c.Kind, c.Device, c.Why)
		if c.Kind == "" {
			text = "front auto takes no front any more: " + c.Why
		}
		e.note(now, model.KindFront, m.conf.Name, text, nil)
	}
}

// frontKind is the kind of front that m has, "" for none.
func (m *modem) frontKind() string {
	if m.conf.FrontAuto {
		return m.choice.Kind
	}
	return m.conf.Front
}

// noFront says why m has no front.
func (m *modem) noFront() string {
	if m.conf.FrontAuto {
		return m.choice.Why
	}
	return m.conf.NoFront
}

// undecided: front auto has not made up its mind yet.
func (m *modem) undecided() bool { return m.conf.FrontAuto && m.choice.Pending }

// cannotSwitch: a switch to the remote card fails for want of a front alone; why there is
// none says more than that.
func (m *modem) cannotSwitch() bool {
	return m.frontKind() == "" && !m.conf.HasSIMLine && m.wantsRemote()
}

// frontInput is everything that the choice of fronts looks at.
func (e *Engine) frontInput(now time.Time) fronts.Input {
	in := fronts.Input{Told: e.hardware.frontsTold, Seen: e.hardware.fronts}
	for _, m := range e.modems {
		in.Modems = append(in.Modems, e.frontModem(now, m))
	}
	return in
}

func (e *Engine) frontModem(now time.Time, m *modem) fronts.Modem {
	f := fronts.Modem{
		Name: m.conf.Name, Auto: m.conf.FrontAuto, Kind: m.conf.Front, Device: m.conf.FrontDevice,
		Wants: m.wantsRemote(), Working: m.front.up && m.choice.Kind == m.front.kind,
	}
	if m.conf.Match.By == matchUSB {
		f.USBPath = m.conf.Match.Value
	}
	known := e.hardware.identities[m.conf.Name]
	if f.USBPath == "" {
		f.USBPath = known.USBPath
	}
	if m.seen != nil {
		for _, p := range m.seen.Ports {
			f.Ports = append(f.Ports, p.Name)
		}
	}
	f.Coming = f.USBPath == "" && m.managed() && m.seen == nil && now.Before(e.started.Add(e.opts.ProbeTime))
	return f
}

// matchUSB is the match by USB path.
const matchUSB = "usb"

// fitsFront tells that a modem with front auto would get a front if it wanted one, or
// why not.
func (e *Engine) fitsFront(now time.Time, m *modem) (ok bool, why string) {
	in := e.frontInput(now)
	for i := range in.Modems {
		in.Modems[i].Wants = in.Modems[i].Wants || in.Modems[i].Name == m.conf.Name
	}
	c := fronts.Decide(now, in, e.frontMemory).Choices[m.conf.Name]
	return c.Kind != "" || c.Pending, c.Why
}

// FrontOffers tells of each front that is seen which modems could take it, and why.
func (e *Engine) FrontOffers(ctx context.Context, seen []model.FrontSeen) (out []model.FrontSeen, err error) {
	err = e.do(ctx, func(now time.Time) {
		in := e.frontInput(now)
		in.Told, in.Seen = true, seen
		choices := make(map[string]fronts.Choice)
		for i, m := range e.modems {
			choices[m.conf.Name] = m.choice
			for j := range in.Seen {
				if p := in.Seen[j].Port; p != "" && m.seen != nil && slices.Contains(in.Modems[i].Ports, p) {
					in.Seen[j].Model = m.seen.Model
				}
			}
		}
		out = fronts.Offers(in, choices)
	})
	return out, err
}
