package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/cardswitch"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// switchCards steps the card switch of every modem that has hardware to switch,
// and returns when to look again.
func (e *Engine) switchCards(now time.Time) (wake time.Time) {
	if at := e.hardware.toldAt(e.started); !e.toldOnce && now.Before(at) {
		return at
	}
	e.toldOnce = true
	for _, m := range e.modems {
		if !m.managed() || !e.applied || m.undecided() {
			continue
		}
		d := cardswitch.Step(now, e.switchInput(now, m), m.memory)
		m.memory, m.done = d.Memory, nil
		m.plan, m.status = d.Plan, d.Status
		for _, n := range d.Notes {
			e.note(now, n.Kind, m.conf.Name, n.Text, n.Data)
		}
		wake = earliest(wake, d.WakeAt)
	}
	return wake
}

// Switching names what is being done to a modem by a card switch or a reset, "" for
// nothing.
func (e *Engine) Switching(ctx context.Context, modem string) (what string, err error) {
	err = e.do(ctx, func(time.Time) {
		if m := e.find(modem); m != nil && m.status.Running {
			what = orElse(m.status.Step, "a card switch")
		}
	})
	return what, err
}

// switchInput is everything that the card switch of m looks at.
func (e *Engine) switchInput(now time.Time, m *modem) cardswitch.Input {
	in := cardswitch.Input{
		Facts: m.facts(),
		Want: cardswitch.Want{
			Generation: m.switchGeneration, Reset: m.reset,
		},
		Seen: cardswitch.Seen{
			ModemManager: e.hardware.service.Up, Modem: m.seen,
			FrontUp: m.front.up, Available: m.bankd.State == model.ConnConnected || m.cardHeld(),
			Card: m.card.State, Line: m.line, LineErr: m.lineErr,
			Networks: slices.Collect(maps.Values(e.hardware.networks)),
		},
		Verdict: m.verdict(now),
		Done:    m.done,
	}
	if e.settings.Enabled && e.settings.Valid {
		in.Want.Source = m.wantedSource()
	}
	if in.Want.Source == model.SourceRemote && m.assigned != nil {
		in.Want.Card, in.Want.ICCID = m.where(), m.card.ICCID
	}
	return in
}

// facts are what the configuration and the hardware offer for a switch.
func (m *modem) facts() cardswitch.Facts {
	c := m.conf
	return cardswitch.Facts{
		Modem: c.Name, Line: c.HasSIMLine, Front: m.frontKind() != "", FrontRemoves: m.front.removes,
		Network: c.Network, NetworkRemote: c.NetworkRemote, FallbackLocal: c.FallbackLocal,
		Rungs: m.rungs(), ResetIsPower: c.ResetIsPower, PowerLine: c.HasPowerLine,
	}
}

// rungs are the resets that can be had. A soft one needs an AT port.
func (m *modem) rungs() []model.ResetRung {
	var out []model.ResetRung
	if m.atPort != "" {
		out = append(out, model.RungSoft)
	}
	if m.conf.MMReset {
		out = append(out, model.RungMM)
	}
	if m.conf.HasResetLine {
		out = append(out, model.RungGPIO)
	}
	if m.conf.HasPowerLine {
		out = append(out, model.RungPower)
	}
	return out
}

// How long a modem may be ill before a reset is considered.
const (
	failedTime = 30 * time.Second
	goneTime   = 2 * time.Minute
)

// verdict is the opinion of the modem that the reset ladder asks for: it is
// ill if ModemManager calls it failed for another reason than its card, or if it
// vanished and stays away. One that is registered is well, whatever lies behind.
func (m *modem) verdict(now time.Time) cardswitch.Verdict {
	o := m.seen
	switch {
	case m.sick != "":
		return cardswitch.Verdict{Sick: true, Reason: m.sick}
	case o == nil && !m.goneSince.IsZero() && now.Sub(m.goneSince) >= goneTime:
		return cardswitch.Verdict{Sick: true, Reason: fmt.Sprintf("the modem has been gone for %s", now.Sub(m.goneSince).Round(time.Second))}
	case o == nil:
		return cardswitch.Verdict{}
	case o.State == "failed" && !strings.HasPrefix(o.FailedReason, "sim-") && o.FailedReason != "esim-without-profiles":
		if !m.failedSince.IsZero() && now.Sub(m.failedSince) >= failedTime {
			return cardswitch.Verdict{Sick: true, Reason: "ModemManager reports it as failed: " + orElse(o.FailedReason, "no reason given")}
		}
	}
	return cardswitch.Verdict{Registered: registered(o)}
}

// noteFailed keeps since when the modem is failed.
func (m *modem) noteFailed(now time.Time, o *model.ObservedModem) {
	if o.State != "failed" {
		m.failedSince = time.Time{}
	} else if m.failedSince.IsZero() {
		m.failedSince = now
	}
}

// sickAt is when time alone will make the modem count as ill.
func (m *modem) sickAt() time.Time {
	switch {
	case !m.managed():
		return time.Time{}
	case m.seen == nil && !m.goneSince.IsZero():
		return m.goneSince.Add(goneTime)
	case m.seen != nil && !m.failedSince.IsZero():
		return m.failedSince.Add(failedTime)
	}
	return time.Time{}
}

func registered(o *model.ObservedModem) bool {
	return o.Registration == "home" || o.Registration == "roaming"
}

// modemPlan is what shall be so with the modem besides its card.
func (e *Engine) modemPlan(now time.Time, m *modem) model.ModemPlan {
	p := model.ModemPlan{
		Device: e.hardware.identities[m.conf.Name].Device, Network: m.network(),
		ATPort: m.atPort, Vendor: m.vendor, Product: m.product, Netdev: m.netdev,
	}
	if !e.settings.Enabled || !m.managed() {
		return p
	}
	p.AskAT = e.missing() != "" && !now.Before(e.hardware.service.When().Add(e.opts.ProbeTime))
	if m.seen == nil || !e.hardware.service.Up {
		return p
	}
	p.Path = m.seen.Path
	p.Unlock = m.seen.Lock == "sim-pin" && p.Network != "" && e.hardware.netifd.Up // it is netifd's interface that has the PIN
	p.Enable = p.Network == "" && m.seen.State == "disabled" && m.seen.Lock == ""
	return p
}

// notePorts keeps by which port the modem takes AT commands, and its network
// device: when they are needed, ModemManager may show the modem no more. The port that
// ModemManager itself uses is the last choice.
func (m *modem) notePorts(o *model.ObservedModem) {
	m.vendor, m.product, m.netdev = o.VendorID, o.ProductID, o.Netdev
	m.atPort = ""
	for _, p := range o.Ports {
		if p.Kind == model.PortAT && (m.atPort == "" || p.Name != o.Primary) {
			m.atPort = "/dev/" + p.Name
		}
	}
}

// network is the netifd interface for the card that is in use.
func (m *modem) network() string {
	if m.wantsRemote() && m.conf.NetworkRemote != "" {
		return m.conf.NetworkRemote
	}
	return m.conf.Network
}

// resetModem asks for a reset.
func (e *Engine) resetModem(now time.Time, m *modem, rung model.ResetRung) error {
	if !m.managed() {
		return refuse(model.NotSupported, "modem %s has no option match: there is no hardware to reset", m.conf.Name)
	}
	have := m.rungs()
	if len(have) == 0 {
		return refuse(model.NotSupported, "modem %s has no means of reset: no AT port is seen, mm_reset is off, and no line is configured", m.conf.Name)
	}
	if rung != "" && !slices.Contains(have, rung) {
		return refuse(model.NotSupported, "modem %s cannot be reset by %q; possible now: auto %s", m.conf.Name, rung, join(have))
	}
	m.reset.Generation++
	m.reset.Rung = rung
	e.note(now, model.KindCommand, m.conf.Name, "reset asked for: "+orElse(string(rung), "auto"), nil)
	return nil
}

func join(rungs []model.ResetRung) string {
	words := make([]string, len(rungs))
	for i, r := range rungs {
		words[i] = string(r)
	}
	return strings.Join(words, " ")
}
