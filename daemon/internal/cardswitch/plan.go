package cardswitch

import (
	"slices"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// kind is what a step does.
type kind int

const (
	stepDown    kind = iota // take an interface down
	stepRemove              // have the front show no card
	stepLine                // turn the SIM line
	stepRemoved             // wait until the modem has seen the removal
	stepInsert              // have the front show the card
	stepInhibit
	stepUninhibit
	stepReset   // soft or through ModemManager
	stepPulse   // reset or power line
	stepRelease // bring a line back to rest
	stepArrive  // wait for the modem with the right card
	stepBack    // wait for the modem after a reset
	stepUp      // bring an interface up
)

// step is one thing to do, or to wait for, with a deadline.
type step struct {
	kind    kind
	network string
	rung    model.ResetRung
	line    model.LineUse
	limit   time.Duration
}

// Deadlines. Measured on real ModemManagers (reference/modemmanager.md): a
// removal is seen in 0.3 s, a card change takes 2.3 to 6 s and 16 s without a
// card; a modem that boots needs 20 to 60 s; netifd's teardown of a modem asks
// ModemManager to disconnect and disable it, which a mute modem drags out.
const (
	limitAvailable = 60 * time.Second // before the fallback is used
	limitDown      = 30 * time.Second
	limitFront     = 15 * time.Second
	limitLine      = 5 * time.Second
	limitRemoved   = 10 * time.Second
	limitInhibit   = 35 * time.Second
	limitReset     = 65 * time.Second
	limitPulse     = 30 * time.Second // a pulse is 10 s at most
	limitNotice    = 45 * time.Second
	limitBoot      = 120 * time.Second
	limitUp        = 10 * time.Second
)

// way is one means to make the modem notice its new card.
type way struct {
	name  string
	steps []step
}

// rungs lists the resets that can be used, lightest first. Where the reset line
// is the supply, there is no reset by line: it is a power cycle.
func rungs(f Facts) []model.ResetRung {
	var out []model.ResetRung
	for _, r := range []model.ResetRung{model.RungSoft, model.RungMM, model.RungGPIO, model.RungPower} {
		has := slices.Contains(f.Rungs, r)
		switch r {
		case model.RungGPIO:
			has = has && !f.ResetIsPower
		case model.RungPower:
			has = has || f.ResetIsPower && slices.Contains(f.Rungs, model.RungGPIO)
		}
		if has {
			out = append(out, r)
		}
	}
	return out
}

// resetSteps carry out one rung. A soft reset needs an AT port, which
// ModemManager has to let go of; it probes the modem anew afterwards.
func resetSteps(f Facts, r model.ResetRung) []step {
	switch r {
	case model.RungSoft:
		return []step{
			{kind: stepInhibit, limit: limitInhibit},
			{kind: stepReset, rung: r, limit: limitReset},
			{kind: stepUninhibit, limit: limitInhibit},
		}
	case model.RungMM:
		return []step{{kind: stepReset, rung: r, limit: limitReset}}
	case model.RungGPIO:
		return []step{{kind: stepPulse, rung: r, line: model.LineReset, limit: limitPulse}}
	}
	line := model.LinePower
	if f.ResetIsPower && !f.PowerLine {
		line = model.LineReset
	}
	return []step{{kind: stepPulse, rung: r, line: line, limit: limitPulse}}
}

// ways lists the means for this modem, lightest first. m is the modem before
// the switch, nil if it was not seen.
func ways(f Facts, mm bool, m *model.ObservedModem) []way {
	var out []way
	notice := way{"the modem's own notice", []step{{kind: stepArrive, limit: limitNotice}}}
	reprobe := way{"a new probe by ModemManager", []step{
		{kind: stepInhibit, limit: limitInhibit}, {kind: stepUninhibit, limit: limitInhibit}, {kind: stepArrive, limit: limitNotice},
	}}
	all := rungs(f)
	visible := f.Front && f.FrontRemoves
	if visible && (!mm || m == nil || notices(m)) {
		out = append(out, notice)
	}
	if mm && (visible || len(all) == 0) {
		out = append(out, reprobe)
	}
	for _, r := range all {
		if r == model.RungMM && !mm {
			continue
		}
		out = append(out, way{rungName(r), append(resetSteps(f, r), step{kind: stepArrive, limit: limitBoot})})
	}
	if len(out) == 0 {
		return []way{notice} // nothing can be done but to wait
	}
	return out
}

// notices tells whether ModemManager learns of a removed or inserted card by
// itself: over MBIM and QMI always, over AT only where its plugin knows an
// unsolicited line for it (telit #QSS both ways, quectel +QUSIM: 1 for
// insertion).
func notices(m *model.ObservedModem) bool {
	for _, p := range m.Ports {
		if p.Name == m.Primary && (p.Kind == model.PortMBIM || p.Kind == model.PortQMI) {
			return true
		}
	}
	return m.Plugin == "telit" || m.Plugin == "quectel"
}

// opening is what comes before the modem is made to notice.
func opening(f Facts, target model.Source, ways []way) []step {
	var out []step
	for _, n := range networks(f) {
		out = append(out, step{kind: stepDown, network: n, limit: limitDown})
	}
	remove := step{kind: stepRemove, limit: limitFront}
	line := step{kind: stepLine, limit: limitLine}
	insert := step{kind: stepInsert, limit: limitFront}
	seen := step{kind: stepRemoved, limit: limitRemoved}
	waits := len(ways) > 0 && len(ways[0].steps) == 1 // the modem's own notice
	switch {
	case target == model.SourceLocal:
		return append(out, remove, line)
	case waits && f.FrontRemoves:
		return append(out, remove, line, seen, insert)
	}
	// The modem will be made to read the card anew: it must be there first.
	return append(out, remove, insert, line)
}

// networks are the interfaces that must be down meanwhile.
func networks(f Facts) []string {
	var out []string
	for _, n := range []string{f.Network, f.NetworkRemote} {
		if n != "" && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// networkFor is the interface to bring up with a card of this source.
func networkFor(f Facts, source model.Source) string {
	if source == model.SourceRemote && f.NetworkRemote != "" {
		return f.NetworkRemote
	}
	return f.Network
}

// closing is what always comes last, however it went. stuck is a line that may
// be away from rest; inhibited: ModemManager may not have the modem.
func closing(f Facts, source model.Source, stuck model.LineUse, inhibited bool) []step {
	var out []step
	if stuck != "" {
		out = append(out, step{kind: stepRelease, line: stuck, limit: limitPulse})
	}
	if inhibited {
		out = append(out, step{kind: stepUninhibit, limit: limitInhibit})
	}
	return append(out, step{kind: stepUp, network: networkFor(f, source), limit: limitUp})
}

// Limit is the longest that a switch to a source can take: the sum of the
// deadlines of every step of every way, and of the way back. It depends on how
// the modem is seen, so it is a bound for any.
func Limit(f Facts, source model.Source) time.Duration {
	sum := func(steps []step) (d time.Duration) {
		for _, s := range steps {
			d += s.limit
			switch s.kind {
			case stepPulse:
				d += limitPulse // the release of a line whose pulse failed
			case stepInhibit:
				d += limitInhibit // it is lifted when the way fails
			}
		}
		return d
	}
	var worst time.Duration
	for _, mm := range []bool{true, false} {
		all := ways(f, mm, nil)
		d := sum(opening(f, source, all)) + sum(closing(f, source, model.LinePower, true))
		for _, w := range all {
			d += sum(w.steps)
		}
		worst = max(worst, d)
	}
	if source == model.SourceRemote && f.FallbackLocal {
		worst += Limit(f, model.SourceLocal)
	}
	return worst
}
