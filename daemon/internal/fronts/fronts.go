// Package fronts decides which card front a modem with `option front auto` gets, from
// what is there, and why. It is pure: what it has to remember goes in and out.
//
// A modem's own UIM Remote service goes first: it is certain to be that modem's. A card
// emulator does not tell whose slot it sits in, so one is taken only where nothing else
// can be meant: the only one that is free, for the only modem that could have it, or
// the only one on the modem's own USB hub. What is chosen stays as long as it is there
// or works; a better one that comes later changes nothing.
package fronts

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Kinds of fronts.
const (
	cardem    = "cardem"
	uimRemote = "uim-remote"
	vpcd      = "vpcd"
)

const (
	// settle is how long a chosen front may be away before another is taken: an
	// emulator that restarts is back after some 2 s, a modem after 20.
	settle = 30 * time.Second
	// askTime is how long a control port may take to say whether it has UIM Remote.
	askTime = 25 * time.Second
)

// Modem is one configured modem.
type Modem struct {
	Name string
	// Auto: the front is to be chosen, among those that fit Device if that is set.
	// Otherwise Kind and Device are the configured front, Kind "" is none.
	Auto         bool
	Kind, Device string
	Wants        bool     // the remote card is to be used
	USBPath      string   // where the modem is plugged in, "" unknown
	Ports        []string // kernel names of its ports, as far as known
	Coming       bool     // it is not seen yet, and may be soon
	Working      bool     // the front it has is open
}

// Choice is what a modem gets, or with Kind "" why it gets nothing.
type Choice struct {
	Kind, Device string
	Why          string // one sentence
	Pending      bool   // not known yet
}

// Input is what there is.
type Input struct {
	Told   bool // Seen was looked at
	Seen   []model.FrontSeen
	Modems []Modem
}

// held is a choice that was made.
type held struct {
	choice Choice
	gone   time.Time // since when it is not there; zero: it is
}

// Memory is what Decide wants to see again. The zero value remembers nothing.
type Memory struct {
	held  map[string]held      // by modem
	asked map[string]time.Time // when a port was first asked for, by device
}

// Decision is what follows.
type Decision struct {
	Choices map[string]Choice // by modem
	Probe   []string          // front_device of the ports to be asked for UIM Remote
	Memory  Memory
	WakeAt  time.Time // when time alone changes something; zero: never
}

// Decide chooses.
func Decide(now time.Time, in Input, before Memory) Decision {
	d := &decider{now: now, in: in, before: before, owner: make(map[string]string)}
	d.out = Decision{Choices: make(map[string]Choice), Memory: Memory{held: make(map[string]held), asked: make(map[string]time.Time)}}
	seen := slices.Clone(in.Seen)
	sort.SliceStable(seen, func(i, j int) bool { return seen[i].Device < seen[j].Device })
	d.in.Seen = seen
	for _, m := range in.Modems {
		if !m.Auto && m.Kind != "" {
			d.give(m, Choice{Kind: m.Kind, Device: m.Device, Why: "by option front"})
		}
	}
	var open []Modem // those without a front yet
	for _, m := range in.Modems {
		if m.Auto && !d.keep(m) {
			open = append(open, m)
		}
	}
	open = slices.DeleteFunc(open, func(m Modem) bool { return !m.Wants && d.none(m, "its source is local") })
	open = slices.DeleteFunc(open, d.remote)
	d.emulators(open)
	return d.out
}

// decider is one decision on its way.
type decider struct {
	now    time.Time
	in     Input
	before Memory
	owner  map[string]string // modem by device of a front that is taken
	out    Decision
}

// give makes a choice and takes the fronts that it means.
func (d *decider) give(m Modem, c Choice) bool {
	d.out.Choices[m.Name] = c
	for _, f := range d.in.Seen {
		if f.Kind == c.Kind && fits(c.Device, f) && d.owner[f.Device] == "" {
			d.owner[f.Device] = m.Name
		}
	}
	return true
}

// choose gives a front to a modem with front auto, which it will keep.
func (d *decider) choose(m Modem, f model.FrontSeen, why string) bool {
	c := Choice{Kind: f.Kind, Device: cmp.Or(m.Device, f.Device), Why: why}
	d.out.Memory.held[m.Name] = held{choice: c}
	return d.give(m, c)
}

// none says why there is nothing; a front that is away stays the one to wait for.
func (d *decider) none(m Modem, why string) bool {
	if h, ok := d.out.Memory.held[m.Name]; ok {
		return d.give(m, h.choice)
	}
	return d.give(m, Choice{Why: why})
}

// keep lets a modem have what it had, if that is there or works, or was there a moment ago.
func (d *decider) keep(m Modem) bool {
	if by, _, _ := strings.Cut(m.Device, ":"); by != "" && by != "usb" && by != "serial" && by != "qmi" {
		return d.give(m, Choice{Kind: vpcd, Device: m.Device, Why: "option front_device is the address of a vpcd"})
	}
	h, ok := d.before.held[m.Name]
	if !ok || m.Device != "" && m.Device != h.choice.Device && !d.means(m.Device, h.choice) || d.taken(h.choice) {
		return false
	}
	switch there := d.there(h.choice); {
	case there || m.Working || !d.in.Told:
		h.gone = time.Time{}
	case h.gone.IsZero():
		h.gone = d.now
	}
	d.out.Memory.held[m.Name] = h
	if h.gone.IsZero() {
		return d.give(m, h.choice)
	}
	if end := h.gone.Add(settle); d.now.Before(end) {
		d.wake(end)
		return d.give(m, h.choice)
	}
	return false
}

// means tells whether a front_device stands for what was chosen.
func (d *decider) means(device string, c Choice) bool {
	return slices.ContainsFunc(d.in.Seen, func(f model.FrontSeen) bool {
		return f.Kind == c.Kind && fits(device, f) && fits(c.Device, f)
	})
}

func (d *decider) there(c Choice) bool {
	return slices.ContainsFunc(d.in.Seen, func(f model.FrontSeen) bool { return f.Kind == c.Kind && fits(c.Device, f) })
}

// taken tells whether what was chosen is somebody else's by now.
func (d *decider) taken(c Choice) bool {
	return slices.ContainsFunc(d.in.Seen, func(f model.FrontSeen) bool {
		return f.Kind == c.Kind && fits(c.Device, f) && d.owner[f.Device] != ""
	})
}

func (d *decider) wake(at time.Time) {
	if d.out.WakeAt.IsZero() || at.Before(d.out.WakeAt) {
		d.out.WakeAt = at
	}
}

// remote gives a modem its own UIM Remote service, if it offers that. A port that was not
// asked yet is waited for, for a while.
func (d *decider) remote(m Modem) bool {
	pending := ""
	for _, f := range d.in.Seen {
		if !d.owns(m, f) {
			continue
		}
		switch f.State {
		case model.FrontOffered:
			return d.choose(m, f, "the modem offers UIM Remote at "+f.Device)
		case model.FrontUnasked:
			if d.ask(f.Device) {
				pending = "the modem is being asked at " + f.Device + " whether it offers UIM Remote"
			}
		case model.FrontFailed:
			d.ask(f.Device)
		}
	}
	if m.Coming && slices.ContainsFunc(d.in.Seen, func(f model.FrontSeen) bool { return f.Kind == uimRemote }) {
		pending = "the modem was not seen yet"
	}
	if !d.in.Told {
		pending = "what is plugged in was not looked at yet"
	}
	if pending == "" {
		return false
	}
	return d.waits(m, pending)
}

// waits leaves a modem undecided, unless it has a front to wait for.
func (d *decider) waits(m Modem, why string) bool {
	if h, ok := d.out.Memory.held[m.Name]; ok {
		return d.give(m, h.choice)
	}
	return d.give(m, Choice{Why: why, Pending: true})
}

// owns tells whether a control port is this modem's and free.
func (d *decider) owns(m Modem, f model.FrontSeen) bool {
	return f.Kind == uimRemote && d.owner[f.Device] == "" && fits(m.Device, f) && belongs(m, f)
}

// belongs tells whether a control port is this modem's.
func belongs(m Modem, f model.FrontSeen) bool {
	return strings.HasPrefix(m.Device, "qmi:") && fits(m.Device, f) || m.USBPath != "" && m.USBPath == f.USBPath || slices.Contains(m.Ports, f.Port)
}

// ask has a port asked, and tells whether its answer is to be waited for.
func (d *decider) ask(device string) bool {
	if !slices.Contains(d.out.Probe, device) {
		d.out.Probe = append(d.out.Probe, device)
	}
	since, ok := d.before.asked[device]
	if !ok {
		since = d.now
	}
	d.out.Memory.asked[device] = since
	end := since.Add(askTime)
	if !d.now.Before(end) {
		return false
	}
	d.wake(end)
	return true
}
