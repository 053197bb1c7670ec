package mmfake

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/godbus/dbus/v5"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

type port struct {
	Name string
	Kind uint32
}

// pco and preferred only ever fill empty lists, whose types libmm insists on.
type pco struct {
	Session  uint32
	Complete bool
	Data     []byte
}

type preferred struct {
	Network    string
	Technology uint32
}

type modes struct{ Allowed, Preferred uint32 }

type quality struct {
	Percent uint32
	Recent  bool
}

var portKinds = map[model.PortKind]uint32{
	model.PortUnknown: 1, model.PortNet: 2, model.PortAT: 3, model.PortQCDM: 4, model.PortGPS: 5, model.PortQMI: 6, model.PortMBIM: 7, model.PortAudio: 8,
	model.PortIgnored: 9,
}

// announce compares the modem's objects with what clients were told, and tells
// the difference: InterfacesAdded for a new modem, else PropertiesChanged, and
// then StateChanged.
func (m *Modem) announce() {
	f := m.f
	if f.name == "" || m.path == "" {
		return
	}
	now := m.objects()
	var before, after int32
	for _, path := range slices.Sorted(maps.Keys(now)) {
		old, known := f.shown[path]
		f.shown[path] = now[path]
		if !known {
			if path == m.path {
				f.bus.broadcast(f.name, string(rootPath), omFace, "InterfacesAdded", path, map[string]map[string]dbus.Variant(now[path]))
			}
			continue
		}
		for _, face := range slices.Sorted(maps.Keys(now[path])) {
			changed := difference(old[face], now[path][face])
			if len(changed) == 0 {
				continue
			}
			if s, ok := changed["State"].Value().(int32); ok && face == modemFace {
				before, _ = old[face]["State"].Value().(int32)
				after = s
			}
			f.bus.broadcast(f.name, string(path), propsFace, "PropertiesChanged", face, changed, []string{})
		}
	}
	if before != after {
		f.bus.broadcast(f.name, string(m.path), modemFace, "StateChanged", before, after, uint32(1))
	}
}

func difference(old, now map[string]dbus.Variant) map[string]dbus.Variant {
	changed := map[string]dbus.Variant{}
	for name, v := range now {
		if !reflect.DeepEqual(old[name].Value(), v.Value()) {
			changed[name] = v
		}
	}
	return changed
}

// objects builds every object of the modem.
func (m *Modem) objects() map[dbus.ObjectPath]properties {
	all := map[dbus.ObjectPath]properties{
		m.path: {modemFace: m.modemProps(), m3gppFace: m.m3gppProps(), sigFace: m.signalProps(), modemFace + ".Simple": {}},
	}
	if c := m.card(); c != nil {
		all[m.simPath] = properties{simFace: simProps(c, m.locked(), true)}
	}
	for i, path := range m.slotPaths() {
		if path != "/" && i != m.slot {
			all[path] = properties{simFace: simProps(m.cards[i], true, false)}
		}
	}
	if b := m.bearer; b != nil {
		all[b.path] = properties{brFace: values(map[string]any{
			"Interface": b.iface, "Connected": true, "Suspended": false, "Multiplexed": false, "IpTimeout": uint32(20), "BearerType": uint32(1),
		})}
	}
	return all
}

func values(raw map[string]any) map[string]dbus.Variant {
	p := make(map[string]dbus.Variant, len(raw))
	for name, v := range raw {
		p[name] = dbus.MakeVariant(v)
	}
	return p
}

// slotPaths lists the slots' cards; the numbers of those that are not in use
// are made from the modem's own.
func (m *Modem) slotPaths() []dbus.ObjectPath {
	if m.spec.Slots < 2 {
		return []dbus.ObjectPath{}
	}
	paths := make([]dbus.ObjectPath, m.spec.Slots)
	for i, c := range m.cards {
		switch {
		case c == nil:
			paths[i] = "/"
		case i == m.slot:
			paths[i] = m.simPath
		default:
			paths[i] = dbus.ObjectPath(fmt.Sprintf("%s/SIM/%d", rootPath, 1000+10*m.number()+i))
		}
	}
	return paths
}

func (m *Modem) number() (n int) {
	_, _ = fmt.Sscanf(string(m.path), string(rootPath)+"/Modem/%d", &n) // export made it so
	return n
}

func (m *Modem) modemProps() map[string]dbus.Variant {
	lock, retries := m.locks()
	sim, bearers, slot, reason := dbus.ObjectPath("/"), []dbus.ObjectPath{}, uint32(0), uint32(0)
	if m.card() != nil {
		sim = m.simPath
	} else {
		reason = 2 // sim-missing
	}
	if m.bearer != nil {
		bearers = append(bearers, m.bearer.path)
	}
	if m.spec.Slots > 1 {
		slot = uint32(m.slot + 1)
	}
	ports, primary := []port{}, ""
	for _, p := range m.spec.Ports {
		ports = append(ports, port{p.Name, portKinds[p.Kind]})
		if primary == "" && p.Kind != model.PortNet {
			primary = p.Name
		}
	}
	tech, percent := uint32(0), uint32(0)
	if m.registered() {
		tech = m.spec.Technology
	}
	if m.state >= stEnabled {
		percent = uint32(max(0, min(100, (m.rsrp+120)*100/60)))
	}
	p := values(map[string]any{
		"Sim": sim, "SimSlots": m.slotPaths(), "PrimarySimSlot": slot, "Bearers": bearers, "Manufacturer": m.spec.Maker, "Model": m.spec.Model,
		"Revision": m.spec.Revision, "HardwareRevision": "", "DeviceIdentifier": fmt.Sprintf("%040x", m.spec.IMEI), "Device": m.spec.Device,
		"Drivers": slices.Clone(m.spec.Drivers), "Plugin": m.spec.Plugin, "PrimaryPort": primary, "Ports": ports, "EquipmentIdentifier": m.spec.IMEI,
		"UnlockRequired": lock, "UnlockRetries": retries, "State": m.state, "StateFailedReason": reason, "AccessTechnologies": tech,
		"SignalQuality": quality{percent, true}, "PowerState": m.power,
		"SupportedModes": []modes{{8, 0}}, "CurrentModes": modes{8, 0}, "CurrentBands": []uint32{}, "SupportedBands": []uint32{},
		"SupportedCapabilities": []uint32{8}, "CurrentCapabilities": uint32(8), "SupportedIpFamilies": uint32(7), "OwnNumbers": []string{},
	})
	if m.f.atLeast(22) {
		p["Physdev"] = dbus.MakeVariant(m.spec.Device)
	}
	return p
}

// locks returns MMModemLock and the tries left: sim-pin 2, sim-puk 4.
func (m *Modem) locks() (uint32, map[uint32]uint32) {
	c := m.card()
	switch {
	case c == nil:
		return 0, map[uint32]uint32{}
	case m.locked() && c.Tries == 0:
		return 4, map[uint32]uint32{2: 0, 4: 10}
	case m.locked():
		return 2, map[uint32]uint32{2: uint32(c.Tries), 4: 10}
	}
	return 1, map[uint32]uint32{2: uint32(c.Tries), 4: 10}
}

func (m *Modem) registered() bool { return m.state >= stSearching && (m.net == 1 || m.net == 5) }

func (m *Modem) m3gppProps() map[string]dbus.Variant {
	reg, code, name := uint32(0), "", ""
	if m.state >= stEnabled {
		reg = m.net
	}
	if m.registered() {
		code, name = m.spec.Operator[0], m.spec.Operator[1]
	}
	p := values(map[string]any{"Imei": m.spec.IMEI, "RegistrationState": reg, "OperatorCode": code, "OperatorName": name, "Pco": []pco{}})
	if m.f.atLeast(24) {
		rejection := map[string]dbus.Variant{}
		if m.cause != 0 && m.state >= stEnabled {
			rejection = values(map[string]any{"error": m.cause, "operator-id": m.spec.Operator[0]})
		}
		p["NetworkRejection"] = dbus.MakeVariant(rejection)
	}
	return p
}

func (m *Modem) signalProps() map[string]dbus.Variant {
	none := map[string]dbus.Variant{}
	p := values(map[string]any{"Rate": m.rate, "RssiThreshold": uint32(0), "ErrorRateThreshold": false, "Gsm": none, "Umts": none, "Lte": none, "Nr5g": none})
	if m.rate > 0 && m.state >= stEnabled {
		lte := values(map[string]any{"rssi": m.rsrp + 20, "rsrp": m.rsrp, "rsrq": -10.0, "snr": 12.0})
		p["Lte"] = dbus.MakeVariant(lte)
		if m.spec.Technology&(1<<15) != 0 {
			p["Nr5g"] = dbus.MakeVariant(values(map[string]any{"rsrp": m.rsrp - 5, "rsrq": -11.0, "snr": 15.0}))
		}
	}
	return p
}

// simProps shows what can be read: ICCID always, the rest once unlocked.
func simProps(c *Card, locked, active bool) map[string]dbus.Variant {
	p := map[string]any{
		"Active": active, "SimIdentifier": c.ICCID, "Imsi": "", "Eid": "", "OperatorIdentifier": "", "OperatorName": "", "SimType": uint32(1),
		"EsimStatus": uint32(0), "EmergencyNumbers": []string{}, "PreferredNetworks": []preferred{}, "Gid1": []byte{}, "Gid2": []byte{}, "Removability": uint32(0),
	}
	if !locked {
		p["Imsi"] = c.IMSI
		p["OperatorIdentifier"] = c.IMSI[:min(5, len(c.IMSI))]
	}
	return values(p)
}
