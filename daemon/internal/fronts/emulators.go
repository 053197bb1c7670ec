package fronts

import (
	"fmt"
	"slices"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// emulators gives the card emulators that are free to the modems that are left.
func (d *decider) emulators(open []Modem) {
	if why, waits := d.undecided(); waits && len(d.free(Modem{})) > 0 {
		for _, m := range open {
			d.waits(m, why)
		}
		return
	}
	for _, rule := range []func(m Modem, rivals []Modem) bool{d.named, d.onHub, d.only} {
		rivals := slices.Clone(open)
		open = slices.DeleteFunc(open, func(m Modem) bool { return rule(m, rivals) })
	}
	for _, m := range open {
		d.none(m, d.portWords(m)+", and "+d.emulatorWords(m, open))
	}
}

// undecided tells of a modem that may still turn out to need an emulator, or none.
func (d *decider) undecided() (why string, waits bool) {
	for _, m := range d.in.Modems {
		if d.out.Choices[m.Name].Pending {
			return fmt.Sprintf("the card emulators wait for modem %s: %s", m.Name, d.out.Choices[m.Name].Why), true
		}
	}
	return "", false
}

// free lists the card emulators that a modem may have.
func (d *decider) free(m Modem) (out []model.FrontSeen) {
	for _, f := range d.in.Seen {
		if f.Kind == cardem && d.owner[f.Device] == "" && fits(m.Device, f) {
			out = append(out, f)
		}
	}
	return out
}

// named: option front_device means exactly one.
func (d *decider) named(m Modem, _ []Modem) bool {
	all := d.free(m)
	return m.Device != "" && len(all) == 1 && d.choose(m, all[0], all[0].Model+" is what option front_device names")
}

// onHub: one emulator shares a hub with this modem, and no other modem does.
func (d *decider) onHub(m Modem, rivals []Modem) bool {
	hub := hubOf(m.USBPath)
	if hub == "" {
		return false
	}
	all := slices.DeleteFunc(d.free(m), func(f model.FrontSeen) bool { return hubOf(f.USBPath) != hub })
	shared := slices.ContainsFunc(rivals, func(o Modem) bool { return o.Name != m.Name && hubOf(o.USBPath) == hub })
	return len(all) == 1 && !shared && d.choose(m, all[0], fmt.Sprintf("%s at %s is the only free card emulator on the modem's own hub", all[0].Model, all[0].Device))
}

// only: one emulator is free, and one modem wants one.
func (d *decider) only(m Modem, rivals []Modem) bool {
	all := d.free(m)
	return len(all) == 1 && len(rivals) == 1 && d.choose(m, all[0], fmt.Sprintf("%s at %s is the only card emulator that is free", all[0].Model, all[0].Device))
}

// hubOf is the USB path of the hub that a device is plugged into, "" for one of the
// router's own sockets: 1-1.4 sits on 1-1.
func hubOf(path string) string {
	at := strings.LastIndexByte(path, '.')
	return path[:max(at, 0)]
}

// portWords says why a modem has no UIM Remote.
func (d *decider) portWords(m Modem) string {
	var words []string
	for _, f := range d.in.Seen {
		switch {
		case f.Kind != uimRemote || !belongs(m, f) || !fits(m.Device, f):
		case d.owner[f.Device] != "":
			words = append(words, fmt.Sprintf("%s is taken by modem %s", f.Device, d.owner[f.Device]))
		case f.State == model.FrontRefused:
			words = append(words, f.Device+": "+f.Words)
		case f.Words != "":
			words = append(words, f.Device+" could not be asked: "+f.Words)
		default:
			words = append(words, f.Device+" gave no answer")
		}
	}
	if len(words) == 0 {
		return "the modem shows no QMI or MBIM port that fits"
	}
	return strings.Join(words, "; ")
}

// emulatorWords says why a modem gets none of the card emulators.
func (d *decider) emulatorWords(m Modem, open []Modem) string {
	free := d.free(m)
	switch {
	case len(free) > 1:
		return fmt.Sprintf("nothing tells which of the free card emulators is in its slot: %s", list(free))
	case len(free) == 1:
		var names []string
		for _, o := range open {
			names = append(names, o.Name)
		}
		return fmt.Sprintf("nothing tells in whose slot the only free card emulator is, %s: modems %s could have it", list(free), strings.Join(names, ", "))
	}
	var taken []string
	others := false
	for _, f := range d.in.Seen {
		if f.Kind == cardem && d.owner[f.Device] != "" {
			taken = append(taken, fmt.Sprintf("%s (modem %s)", f.Device, d.owner[f.Device]))
		}
		others = others || f.Kind == cardem
	}
	switch {
	case len(taken) > 0:
		return "every card emulator is taken: " + strings.Join(taken, ", ")
	case others:
		return "no card emulator fits option front_device " + m.Device
	}
	return "no card emulator is plugged in"
}

func list(all []model.FrontSeen) string {
	names := make([]string, len(all))
	for i, f := range all {
		names[i] = fmt.Sprintf("%s (%s)", f.Device, f.Model)
	}
	return strings.Join(names, ", ")
}

// fits tells whether a front_device means this front; "" means any. An emulator is
// usb:PATH:INTERFACE in full, and may be named without the interface or by its serial
// number; a control port may be named with the modem's slot.
func fits(device string, f model.FrontSeen) bool {
	by, rest, _ := strings.Cut(device, ":")
	_, iface, _ := cutLast(f.Device)
	switch by {
	case "":
		return true
	case "usb":
		return f.Kind == cardem && (device == f.Device || device+":"+iface == f.Device)
	case "serial":
		return f.Kind == cardem && f.Serial != "" && (rest == f.Serial || rest == f.Serial+":"+iface)
	case "qmi":
		return f.Kind == uimRemote && (device == f.Device || strings.HasPrefix(device, f.Device+":"))
	}
	return false
}

// cutLast cuts around the last colon.
func cutLast(s string) (before, after string, found bool) {
	at := strings.LastIndexByte(s, ':')
	if at < 0 {
		return s, "", false
	}
	return s[:at], s[at+1:], true
}

// Offers tells for each front that is seen which modems could take it, and why.
func Offers(in Input, choices map[string]Choice) []model.FrontSeen {
	out := slices.Clone(in.Seen)
	for i := range out {
		offer(&out[i], in.Modems, choices)
	}
	return out
}

func offer(f *model.FrontSeen, modems []Modem, choices map[string]Choice) {
	f.FreeFor = []string{}
	theirs := false
	for _, m := range modems {
		if c := choices[m.Name]; c.Kind == f.Kind && fits(c.Device, *f) {
			f.Reason = fmt.Sprintf("it is modem %s's: %s", m.Name, c.Why)
			f.FreeFor = []string{}
			return
		}
		if f.Kind == uimRemote && !belongs(m, *f) {
			continue
		}
		theirs = true
		f.FreeFor = append(f.FreeFor, m.Name)
	}
	switch {
	case f.State != model.FrontOffered:
		f.FreeFor, f.Reason = []string{}, f.Words
		if f.Words == "" {
			f.Reason = "it was not asked yet"
		}
	case !theirs && f.Kind == uimRemote:
		f.Reason = "it belongs to no configured modem"
	case !theirs:
		f.Reason = "no modem is configured"
	case f.Kind == uimRemote:
		f.Reason = "the modem offers UIM Remote"
	default:
		f.Reason = "nobody uses it"
	}
}
