// Package inventory decides which modem that is seen is which modem that is
// configured, so that a modem keeps its name through reprobes, re-plugging, a
// tty that moves and a restart of ModemManager. It is pure: what it has to
// remember goes in and out.
package inventory

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// What an entry names its modem by; the values of `option match`.
const (
	ByUSB    = "usb"
	ByIMEI   = "imei"
	BySerial = "serial"
	ByDev    = "dev"
)

// Entry is one configured modem. One without By names no device and is skipped.
type Entry struct {
	Name  string
	By    string
	Value string
}

// Identity is which device an entry's modem was when it was last seen, and by
// which match.
type Identity struct {
	By, Value string
	IMEI      model.IMEI
	Serial    string
	Device    string
	USBPath   string
}

// Memory holds the identities by entry name. The zero value knows nobody.
type Memory map[string]Identity

// Result is what Match found.
type Result struct {
	Assigned map[string]model.ObservedModem // by entry name
	Findings []model.Finding                // Since is left to whoever knows the time
	Memory   Memory                         // for the next call
}

// Match assigns each device to at most one entry and each entry to at most one
// device. An entry that names its modem by what cannot move (IMEI, serial, USB
// path) goes before one that names it by a device node, and those before one
// that is only remembered. The order of seen does not matter.
func Match(entries []Entry, seen []model.ObservedModem, memory Memory) Result {
	m := matcher{seen: newest(seen), memory: memory, owner: map[string]string{}, taken: map[string]bool{},
		result: Result{Assigned: map[string]model.ObservedModem{}, Memory: maps.Clone(memory)}}
	if m.result.Memory == nil {
		m.result.Memory = Memory{}
	}
	var left []Entry
	for _, pass := range [][]string{{ByIMEI, BySerial, ByUSB}, {ByDev}} {
		for _, e := range entries {
			if slices.Contains(pass, e.By) && !m.direct(e) {
				left = append(left, e)
			}
		}
	}
	for _, e := range left {
		m.recall(e)
	}
	m.unclaimed()
	m.remember(entries)
	found := m.result.Findings
	sort.SliceStable(found, func(i, j int) bool {
		a, b := &found[i], &found[j]
		return a.Subject < b.Subject || a.Subject == b.Subject && a.Code < b.Code
	})
	return m.result
}

type matcher struct {
	seen   []model.ObservedModem
	memory Memory
	owner  map[string]string // device -> entry
	taken  map[string]bool   // devices that some finding has named already
	result Result
}

// newest keeps one observation per device, that of the highest D-Bus number:
// around a reprobe the old one may linger.
func newest(seen []model.ObservedModem) []model.ObservedModem {
	sorted := slices.Clone(seen)
	sort.SliceStable(sorted, func(i, j int) bool {
		a, b := &sorted[i], &sorted[j]
		if a.Device != b.Device {
			return a.Device < b.Device
		}
		if x, y := number(a.Path), number(b.Path); x != y {
			return x > y // the newest first
		}
		return a.Path < b.Path
	})
	return slices.CompactFunc(sorted, func(a, b model.ObservedModem) bool { return a.Device == b.Device })
}

func number(path string) int {
	n, err := strconv.Atoi(path[strings.LastIndexByte(path, '/')+1:])
	if err != nil {
		return -1 // no path of ModemManager's: older than any
	}
	return n
}

// direct assigns e by what it names; true means that e is settled, for good or
// with a finding.
func (m *matcher) direct(e Entry) bool {
	fits := m.fits(e)
	was, known := m.known(e)
	if e.By == ByDev && known {
		return m.directDev(e, was, fits)
	}
	switch len(fits) {
	case 0:
		return false
	case 1:
		m.assign(e, fits[0])
		return true
	}
	// Cheap modems share one serial number, and even an IMEI.
	if i := was.among(fits); known && i >= 0 {
		m.assign(e, fits[i])
		return true
	}
	for _, f := range fits {
		m.taken[f.Device] = true
	}
	m.find(CodeAmbiguous, e.Name, strconv.Itoa(len(fits))+" modems answer to "+named(e))
	return true
}

// directDev: a tty's number belongs to whoever came first, so the device that
// had it once counts for more than the name.
func (m *matcher) directDev(e Entry, was Identity, fits []model.ObservedModem) bool {
	if i := was.among(m.seen); i >= 0 && hits(e, m.seen[i]) {
		m.assign(e, m.seen[i])
		return true
	} else if i >= 0 || len(fits) == 0 {
		return false // recall finds it, or says that it is away
	}
	if fits[0].Device == was.Device {
		m.assign(e, fits[0]) // another modem in the same place: it was exchanged
		return true
	}
	m.taken[fits[0].Device] = true
	m.find(CodeOther, e.Name, label(fits[0])+" has the name "+e.Value+" now, but it is not the modem that had it")
	return true
}

// recall assigns e to the device that it was, if that is free.
func (m *matcher) recall(e Entry) {
	was, known := m.known(e)
	if !known {
		m.find(CodeNotFound, e.Name, "no modem is "+named(e))
		return
	}
	free := slices.DeleteFunc(slices.Clone(m.seen), func(s model.ObservedModem) bool { return !mayRecall(e, s) })
	if i := was.among(free); i >= 0 {
		s := free[i]
		if m.assign(e, s) && !hits(e, s) && (e.By == ByUSB || e.By == ByDev) {
			m.find(CodeMoved, e.Name, "it was "+named(e)+" and is "+label(s)+" now")
		}
		return
	}
	m.find(CodeNotFound, e.Name, "no modem is "+named(e))
}

// mayRecall: an IMEI or serial number that can be read and differs is another
// modem, even in the same place; so is, for a USB path, one without an IMEI.
func mayRecall(e Entry, s model.ObservedModem) bool {
	switch e.By {
	case ByIMEI:
		return s.IMEI == ""
	case BySerial:
		return s.Serial == ""
	case ByUSB:
		return s.IMEI != ""
	}
	return true
}

func (m *matcher) fits(e Entry) (fits []model.ObservedModem) {
	for _, s := range m.seen {
		if hits(e, s) {
			fits = append(fits, s)
		}
	}
	return fits
}

// hits tells whether s is what e names.
func hits(e Entry, s model.ObservedModem) bool {
	switch e.By {
	case ByUSB:
		return s.USBPath == e.Value
	case ByIMEI:
		return string(s.IMEI) == e.Value
	case BySerial: // observed modems leave out a serial number that is the IMEI
		return s.Serial == e.Value || string(s.IMEI) == e.Value
	case ByDev:
		name := strings.TrimPrefix(e.Value, "/dev/")
		return slices.ContainsFunc(s.Ports, func(p model.Port) bool { return p.Name == name })
	}
	return false
}

// known returns e's identity, if it was learnt by the same match.
func (m *matcher) known(e Entry) (Identity, bool) {
	was, ok := m.memory[e.Name]
	return was, ok && was.By == e.By && was.Value == e.Value
}

// is tells whether s is the device: by IMEI where both tell one, else by
// serial number, else by place.
func (i Identity) is(s model.ObservedModem) bool {
	switch {
	case i.IMEI != "" && s.IMEI != "":
		return i.IMEI == s.IMEI
	case i.Serial != "" && s.Serial != "":
		return i.Serial == s.Serial
	}
	return i.Device != "" && i.Device == s.Device
}

// among returns the index of the device, -1 if it is not there. Where an IMEI
// was cloned, the place decides.
func (i Identity) among(seen []model.ObservedModem) int {
	if at := slices.IndexFunc(seen, func(s model.ObservedModem) bool { return i.is(s) && s.Device == i.Device }); at >= 0 {
		return at
	}
	return slices.IndexFunc(seen, i.is)
}

// assign gives s to e, unless an entry before has it.
func (m *matcher) assign(e Entry, s model.ObservedModem) bool {
	if other, has := m.owner[s.Device]; has {
		m.find(CodeClaimedTwice, e.Name, "sections "+other+" and "+e.Name+" are both "+label(s)+"; "+other+" has it")
		return false
	}
	m.owner[s.Device] = e.Name
	m.result.Assigned[e.Name] = s
	return true
}

func (m *matcher) unclaimed() {
	for _, s := range m.seen {
		if _, has := m.owner[s.Device]; !has && !m.taken[s.Device] {
			m.find(CodeUnclaimed, s.Device, label(s)+" is in no section")
		}
	}
}

// remember keeps what is known of every entry, and forgets entries that are no
// longer configured.
func (m *matcher) remember(entries []Entry) {
	kept := Memory{}
	for _, e := range entries {
		was, known := m.known(e)
		s, assigned := m.result.Assigned[e.Name]
		switch {
		case assigned:
			now := Identity{By: e.By, Value: e.Value, IMEI: s.IMEI, Serial: s.Serial, Device: s.Device, USBPath: s.USBPath}
			if known && was.is(s) { // a modem that fails at start tells less than it did
				now.IMEI, now.Serial = cmp.Or(now.IMEI, was.IMEI), cmp.Or(now.Serial, was.Serial)
			}
			kept[e.Name] = now
		case known:
			kept[e.Name] = was
		}
	}
	m.result.Memory = kept
}

// named says what e names, an IMEI masked.
func named(e Entry) string {
	if e.By == ByIMEI {
		return ByIMEI + ":" + model.Masked(e.Value)
	}
	return e.By + ":" + e.Value
}

// label says which device s is, in the words of a match where there are some.
func label(s model.ObservedModem) string {
	where := s.Device
	if s.USBPath != "" {
		where = ByUSB + ":" + s.USBPath
	}
	if s.Model == "" {
		return "the modem at " + where
	}
	return s.Model + " at " + where
}
