package failover

import (
	"fmt"
	"time"
)

// When the modem behind an unusable link is reset. The original project names
// 60 s while the other path works and 180 s when both are gone.
const (
	hungAlone = time.Minute
	hungAll   = 3 * time.Minute
	// A modem that answers and finds no network is left to search for longer
	// while another path works: a reset does not bring a signal back.
	unregisteredAlone = 10 * time.Minute
	unregisteredAll   = 3 * time.Minute
)

// resets asks for resets of modems that hang or are not registered behind a
// link that is unusable. One that is registered is well: what is dead then is
// the path behind it, and a reset would cost what still works.
func (d *decider) resets() {
	for i := range d.links {
		l := &d.links[i]
		t := d.tracks[l.Name]
		at, reason := d.resetAt(l, &t)
		if reason == "" {
			if t.reset {
				t.reset = false
				d.tracks[l.Name] = t
			}
			continue
		}
		if !t.reset && at.After(d.now) {
			d.wake(at)
			continue
		}
		t.reset = true
		d.tracks[l.Name] = t
		d.out.Resets = append(d.out.Resets, Reset{Modem: l.Modem, Reason: reason})
	}
}

// resetAt is when the modem of l shall be reset, and why; no reason: never.
func (d *decider) resetAt(l *Link, t *track) (at time.Time, reason string) {
	if l.Modem == "" || !l.Resettable || t.class == isUsable {
		return at, ""
	}
	alone := d.controlLost.IsZero()
	switch l.ModemState {
	case ModemHung:
		if alone {
			return t.bad.Add(hungAlone), fmt.Sprintf("%s hangs and its link has been unusable for %s", l.Modem, span(hungAlone))
		}
		return latest(t.bad.Add(hungAlone), d.controlLost.Add(hungAll)), fmt.Sprintf("%s hangs and every control path has been gone for %s", l.Modem, span(hungAll))
	case ModemUnregistered:
		switch {
		case alone:
			return t.bad.Add(unregisteredAlone), fmt.Sprintf("no network has served %s for %s", l.Modem, span(unregisteredAlone))
		case l.NeedsCard:
			return at, "" // without a path its card does not answer; a reset does not help
		}
		return latest(t.bad.Add(hungAlone), d.controlLost.Add(unregisteredAll)), fmt.Sprintf("no network serves %s and every control path has been gone for %s", l.Modem, span(unregisteredAll))
	}
	return at, ""
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
