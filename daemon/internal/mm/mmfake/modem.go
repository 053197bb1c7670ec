package mmfake

import (
	"fmt"
	"maps"
	"slices"

	"github.com/godbus/dbus/v5"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Values of ModemManager-enums.h.
const (
	stFailed     = -1
	stLocked     = 2
	stDisabled   = 3
	stEnabling   = 5
	stEnabled    = 6
	stSearching  = 7
	stRegistered = 8
	stConnected  = 11

	techLTE = 1 << 14
)

// Card is a SIM as the modem reads it.
type Card struct {
	ICCID string
	IMSI  string
	PIN   string // "" means that the card asks for none
	Tries int    // PIN tries left; 0 at insertion means 3
}

// fresh copies a card, with all its tries unless some were used.
func (c Card) fresh() *Card {
	if c.Tries == 0 {
		c.Tries = 3
	}
	return &c
}

// Spec says what a modem tells of itself.
type Spec struct {
	Device     string // sysfs path
	Maker      string
	Model      string
	Revision   string
	IMEI       string
	Plugin     string
	Drivers    []string
	Ports      []model.Port
	Technology uint32    // MMModemAccessTechnology when registered; 0 is LTE
	Card       *Card     // in the first slot when it is plugged in
	Slots      int       // SIM slots; 0 and 1 show none
	Operator   [2]string // code and name; empty is 00101, Test PLMN 1-1
}

// Modem is one modem of the fake. Its methods may be called at any time.
type Modem struct {
	f    *Fake
	spec Spec

	plugged   bool
	inhibitor string          // unique name of the client that has it
	path      dbus.ObjectPath // "" while ModemManager does not show it
	simPath   dbus.ObjectPath
	cards     []*Card // per slot; nil is empty
	slot      int     // index of the slot in use
	unlocked  bool
	state     int32
	power     uint32
	home      uint32 // registration when the network is there: 1 home, 5 roaming
	net       uint32 // registration now
	cause     uint32 // of a rejection
	rsrp      float64
	rate      uint32 // Signal.Setup
	bearer    *bearer
}

type bearer struct {
	path  dbus.ObjectPath
	iface string
}

// Plug connects a new modem and has it probed.
func (f *Fake) Plug(s Spec) *Modem {
	if s.Technology == 0 {
		s.Technology = techLTE
	}
	if s.Operator[0] == "" {
		s.Operator = [2]string{"00101", "Test PLMN 1-1"}
	}
	m := &Modem{f: f, spec: s, power: 3, home: 1, net: 1, rsrp: -80, cards: make([]*Card, max(1, s.Slots))}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.modems = append(f.modems, m)
	m.plugged = true
	if s.Card != nil {
		m.cards[0] = s.Card.fresh()
	}
	m.export()
	return m
}

// Plug connects the modem again after Unplug.
func (m *Modem) Plug() {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	m.plugged, m.unlocked, m.power = true, false, 3
	m.export()
}

// Unplug takes the modem away.
func (m *Modem) Unplug() {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	m.plugged = false
	m.withdraw()
}

// InsertSIM puts a card into the slot in use; ModemManager probes anew.
func (m *Modem) InsertSIM(c Card) { m.setCard(current, &c) }

// InsertSIMInto puts a card into a slot, counted from 1.
func (m *Modem) InsertSIMInto(slot int, c Card) {
	m.setCard(slot-1, &c)
}

// RemoveSIM takes the card out of the slot in use.
func (m *Modem) RemoveSIM() { m.setCard(current, nil) }

// current stands for the slot in use.
const current = -1

func (m *Modem) setCard(slot int, c *Card) {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	if slot == current {
		slot = m.slot
	}
	m.cards[slot] = c
	if c != nil {
		m.cards[slot] = c.fresh()
	}
	if slot == m.slot {
		m.unlocked = false
	}
	m.reprobe()
}

// RefillTries gives the card its three PIN tries back.
func (m *Modem) RefillTries() {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	if c := m.card(); c != nil {
		c.Tries = 3
		m.announce()
	}
}

// Tries returns the PIN tries left, -1 without a card.
func (m *Modem) Tries() int {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	if c := m.card(); c != nil {
		return c.Tries
	}
	return -1
}

// LoseNetwork takes the registration: 2 searching, or 3 denied with a cause of
// 3GPP TS 24.301.
func (m *Modem) LoseNetwork(denied bool, cause uint32) {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	m.net, m.cause = 2, cause
	if denied {
		m.net = 3
	}
	m.settle()
}

// FindNetwork gives the registration back.
func (m *Modem) FindNetwork(roaming bool) {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	m.net, m.cause = 1, 0
	if roaming {
		m.net = 5
	}
	m.settle()
}

// SetRSRP changes the signal, in dBm.
func (m *Modem) SetRSRP(dbm float64) {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	m.rsrp = dbm
	m.announce()
}

// Connect is what netifd does: enable, register and open a bearer.
func (m *Modem) Connect() error {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	if m.path == "" || m.state < stDisabled {
		return fmt.Errorf("connect modem %s: %s", m.spec.Device, stateName(m.state))
	}
	m.enable()
	if m.state != stRegistered && m.state != stConnected {
		return fmt.Errorf("connect modem %s: not registered", m.spec.Device)
	}
	if m.bearer == nil {
		m.bearer = &bearer{path: dbus.ObjectPath(fmt.Sprintf("%s/Bearer/%d", rootPath, m.f.nextBear)), iface: m.netdev()}
		m.f.nextBear++
	}
	m.state = stConnected
	m.announce()
	return nil
}

// Disconnect closes the bearer.
func (m *Modem) Disconnect() {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	m.bearer = nil
	if m.state == stConnected {
		m.state = stEnabled
	}
	m.settle()
}

// State is ModemManager's name for the modem's state, "" while it shows none.
func (m *Modem) State() string {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	if m.path == "" {
		return ""
	}
	return stateName(m.state)
}

// Path is the modem's D-Bus object, "" while there is none.
func (m *Modem) Path() string {
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	return string(m.path)
}

func (m *Modem) line() string {
	card := "no card"
	if c := m.card(); c != nil {
		card = "card " + model.Masked(c.ICCID)
		if m.locked() {
			card += fmt.Sprintf(" locked, %d tries left", c.Tries)
		}
	}
	where := "not shown"
	switch {
	case !m.plugged:
		where = "unplugged"
	case m.inhibitor != "":
		where = "inhibited"
	case m.path != "":
		where = string(m.path)[len(rootPath)+1:] + " " + stateName(m.state)
	}
	return fmt.Sprintf("%s at %s: %s, %s, registration %d, %.0f dBm", m.spec.Model, m.spec.Device, where, card, m.net, m.rsrp)
}

// The methods below are called with f.mu held.

func (m *Modem) card() *Card { return m.cards[m.slot] }

func (m *Modem) locked() bool { c := m.card(); return c != nil && c.PIN != "" && !m.unlocked }

func (m *Modem) netdev() string {
	for _, p := range m.spec.Ports {
		if p.Kind == model.PortNet {
			return p.Name
		}
	}
	return "ppp0"
}

// export shows the modem under a new number, if it may be shown.
func (m *Modem) export() {
	if m.f.name == "" || !m.plugged || m.inhibitor != "" || m.path != "" {
		return
	}
	m.path = dbus.ObjectPath(fmt.Sprintf("%s/Modem/%d", rootPath, m.f.nextModem))
	m.f.nextModem++
	m.rate, m.bearer, m.simPath = 0, nil, ""
	if m.card() != nil {
		m.simPath = dbus.ObjectPath(fmt.Sprintf("%s/SIM/%d", rootPath, m.f.nextSIM))
		m.f.nextSIM++
	}
	switch {
	case m.card() == nil:
		m.state = stFailed
	case m.locked():
		m.state = stLocked
	default:
		m.state = stDisabled
	}
	m.announce()
}

// withdraw takes the modem's objects away.
func (m *Modem) withdraw() {
	if m.path == "" {
		return
	}
	path := m.path
	faces := slices.Sorted(maps.Keys(m.f.shown[path]))
	for p := range m.objects() {
		delete(m.f.shown, p)
	}
	m.path = ""
	if !m.f.piecemeal {
		m.f.bus.broadcast(m.f.name, string(rootPath), omFace, "InterfacesRemoved", path, faces)
		return
	}
	for _, face := range faces {
		m.f.bus.broadcast(m.f.name, string(rootPath), omFace, "InterfacesRemoved", path, []string{face})
	}
}

// reprobe is what a card change does: disabled first, then gone, then anew.
func (m *Modem) reprobe() {
	if m.path == "" {
		return
	}
	if m.state > stDisabled {
		m.state, m.bearer = stDisabled, nil
		m.announce()
	}
	m.withdraw()
	m.f.after(m.export)
}

func (m *Modem) enable() {
	if m.state != stDisabled {
		return
	}
	for _, s := range []int32{stEnabling, stEnabled} {
		m.state = s
		m.announce()
	}
	m.settle()
}

// settle brings the state of an enabled modem in line with the network.
func (m *Modem) settle() {
	if m.path == "" {
		return
	}
	if m.state == stEnabled || m.state == stSearching || m.state == stRegistered {
		m.state = stSearching
		if m.net == 1 || m.net == 5 {
			m.state = stRegistered
		}
	}
	m.announce()
}

func stateName(s int32) string {
	names := map[int32]string{
		stFailed: "failed", stLocked: "locked", stDisabled: "disabled", stEnabling: "enabling", stEnabled: "enabled", stSearching: "searching",
		stRegistered: "registered", stConnected: "connected",
	}
	return names[s]
}
