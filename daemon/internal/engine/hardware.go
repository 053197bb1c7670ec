package engine

import (
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/inventory"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// probeTime is how long a modem may take to appear after ModemManager came up,
// or after it was last seen, before its absence is worth a finding: a reprobe
// takes 6 s, one without a card 16 s (reference: measured on ModemManager). It is
// the default of Options.ProbeTime.
const probeTime = 30 * time.Second

// hardware is what the drivers report of modems and interfaces, whether or not
// anything is configured for them.
type hardware struct {
	modems     map[string]model.ObservedModem // by D-Bus path
	networks   map[string]model.Interface
	service    model.ModemsService // zero: nothing was told
	netifd     model.NetifdChanged // likewise
	identities inventory.Memory
	findings   []model.Finding // of the inventory
	fronts     []model.FrontSeen
	frontsTold bool // fronts were looked for
}

// Waits before the first card switch: nothing is switched before ModemManager and
// netifd have told what there is, unless they stay mute.
const (
	toldTime = time.Second      // after both have begun to tell
	muteTime = 10 * time.Second // after the start
)

// toldAt is when what the drivers have told can be taken for all there is.
func (h *hardware) toldAt(started time.Time) time.Time {
	mute := started.Add(muteTime)
	if h.service.When().IsZero() || h.netifd.When().IsZero() {
		return mute
	}
	both := h.service.When()
	if h.netifd.When().After(both) {
		both = h.netifd.When()
	}
	return earliest(both.Add(toldTime), mute)
}

// fold takes a driver's report in, and tells whether the match of modems has
// to be made anew.
func (h *hardware) fold(ev model.Event) (rematch bool) {
	switch ev := ev.(type) {
	case model.ModemSeen:
		if h.modems == nil {
			h.modems = make(map[string]model.ObservedModem)
		}
		h.modems[ev.Seen.Path] = ev.Seen
		return true
	case model.ModemGone:
		delete(h.modems, ev.Path)
		return true
	case model.ModemsService:
		h.service = ev
		return true
	case model.NetifdChanged:
		h.netifd = ev
	case model.FrontsSeen:
		h.fronts, h.frontsTold = ev.Fronts, true
	case model.InterfaceChanged:
		if h.networks == nil {
			h.networks = make(map[string]model.Interface)
		}
		h.networks[ev.Interface.Name] = ev.Interface
	case model.InterfaceGone:
		delete(h.networks, ev.Name)
	}
	return false
}

// foldHardware takes in what a driver of modems, lines or interfaces reports.
func (e *Engine) foldHardware(ev model.Event) {
	switch ev := ev.(type) {
	case model.ModemsService:
		if ev.Up != e.hardware.service.Up || e.hardware.service.When().IsZero() {
			e.noteService(ev)
		}
	case model.ActionDone:
		if m := e.find(ev.Modem); m != nil {
			m.done = append(m.done, ev)
		}
		return
	case model.LineSeen:
		if m := e.find(ev.Modem); m != nil {
			m.line, m.lineErr = ev.Source, ev.Err
		}
		return
	case model.UnlockDone:
		if m := e.find(ev.Modem); m != nil {
			m.foldUnlock(ev)
			e.note(ev.When(), model.KindModem, ev.Modem, ev.Reason, codeData(ev.Code))
		}
		return
	case model.ModemTrouble:
		if m := e.find(ev.Modem); m != nil {
			m.foldTrouble(ev)
		}
		return
	}
	if e.hardware.fold(ev) {
		e.match(ev.When())
	}
}

func (e *Engine) noteService(ev model.ModemsService) {
	text := "ModemManager " + ev.Version + " is there"
	if !ev.Up {
		text = "ModemManager is not there: " + ev.Reason
	}
	e.note(ev.When(), model.KindModem, "modemmanager", text, nil)
}

// match decides which modem that is seen is which that is configured.
func (e *Engine) match(now time.Time) {
	var entries []inventory.Entry
	for _, m := range e.modems {
		if m.managed() {
			entries = append(entries, inventory.Entry{Name: m.conf.Name, By: m.conf.Match.By, Value: m.conf.Match.Value})
		}
	}
	seen := slices.Collect(maps.Values(e.hardware.modems))
	sort.Slice(seen, func(i, j int) bool { return seen[i].Device < seen[j].Device })
	r := inventory.Match(entries, seen, e.hardware.identities)
	e.hardware.identities, e.hardware.findings = r.Memory, r.Findings
	for _, m := range e.modems {
		if o, ok := r.Assigned[m.conf.Name]; ok {
			e.seen(now, m, &o)
		} else {
			e.seen(now, m, nil)
		}
	}
}

// seen gives a modem what is now known of it, notes what an owner would want to
// read, and keeps what was measured.
func (e *Engine) seen(now time.Time, m *modem, o *model.ObservedModem) {
	before := m.seen
	m.seen = o
	switch {
	case o == nil && before == nil:
		return
	case o == nil:
		m.goneSince = now
		text := "ModemManager does not show the modem any more"
		if strings.HasPrefix(before.Path, model.ATObject) {
			text = "the modem is no longer asked over its AT port"
		}
		e.note(now, model.KindModem, m.conf.Name, text, nil)
		return
	case before == nil || before.Path != o.Path:
		m.unlock = model.UnlockDone{}
		e.note(now, model.KindModem, m.conf.Name, "the modem is there: "+orElse(o.Model, "model unknown"), map[string]string{"device": o.Device})
	}
	if before == nil || before.State != o.State || before.FailedReason != o.FailedReason {
		text := "state " + o.State
		if o.FailedReason != "" {
			text += ": " + o.FailedReason
		}
		if o.Lock != "" {
			text += ", locked by " + o.Lock
		}
		e.note(now, model.KindModem, m.conf.Name, text, nil)
	}
	if registered(o) && (before == nil || !registered(before)) {
		m.registeredAt = now
	}
	m.noteFailed(now, o)
	m.notePorts(o)
	e.history.AddSignal(now, m.conf.Name, o.Signal)
}
