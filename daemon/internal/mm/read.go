package mm

import (
	"math"
	"slices"
	"sort"

	"github.com/godbus/dbus/v5"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// observe puts together what is known of a modem. Properties that this
// ModemManager does not have (Physdev before 1.22, NetworkRejection before
// 1.24) are simply missing.
func (w *watcher) observe(m *modem) model.ObservedModem {
	p, g := m.props[modemFace], m.props[m3gppFace]
	state := integer(p, "State")
	o := model.ObservedModem{
		Device: m.device, Physdev: m.usb.physdev, USBPath: m.usb.path, Serial: m.usb.serial, VendorID: m.usb.vendor, ProductID: m.usb.product,
		IMEI: model.IMEI(text(p, "EquipmentIdentifier")), Path: string(m.path), Plugin: text(p, "Plugin"), Drivers: texts(p, "Drivers"),
		Primary: text(p, "PrimaryPort"), Maker: text(p, "Manufacturer"), Model: text(p, "Model"), Revision: text(p, "Revision"),
		Hardware: text(p, "HardwareRevision"), HashID: text(p, "DeviceIdentifier"),
		State: stateName(state), Power: powerName(integer(p, "PowerState")),
		OperatorCode: text(g, "OperatorCode"), OperatorName: text(g, "OperatorName"),
		AccessTechnology: accessTechnology(integer(p, "AccessTechnologies")), PrimarySlot: int(integer(p, "PrimarySimSlot")),
	}
	if o.IMEI == "" {
		o.IMEI = model.IMEI(text(g, "Imei"))
	}
	if o.Serial == string(o.IMEI) {
		o.Serial = "" // many a modem gives its IMEI as USB serial number
	}
	if state == stateFailed {
		o.FailedReason = failedName(integer(p, "StateFailedReason"))
	}
	o.Lock, o.Retries = locks(p)
	if g != nil {
		o.Registration = registrationName(integer(g, "RegistrationState"))
		o.RejectCause = rejection(g)
	}
	o.Ports, o.Netdev = ports(p)
	o.Signals = signals(m.props[sigFace])
	o.Signal = inUse(o.Signals, quality(p))
	w.observeParts(p, &o)
	return o
}

func (w *watcher) observeParts(p map[string]dbus.Variant, o *model.ObservedModem) {
	o.SIM = w.sim(path(p, "Sim"))
	for _, slot := range paths(p, "SimSlots") {
		o.Slots = append(o.Slots, w.sim(slot))
	}
	bearers := paths(p, "Bearers")
	slices.Sort(bearers)
	for _, b := range bearers {
		q := w.part(b, brFace)
		o.Bearers = append(o.Bearers, model.ObservedBearer{
			Path: string(b), Interface: text(q, "Interface"), Connected: boolean(q, "Connected"), Error: connectionError(q),
		})
	}
}

func (w *watcher) part(path dbus.ObjectPath, face string) map[string]dbus.Variant {
	if part := w.parts[path]; part != nil {
		return part.props[face]
	}
	return nil
}

func (w *watcher) sim(path dbus.ObjectPath) *model.ObservedSIM {
	if path == "/" || path == "" {
		return nil
	}
	p := w.part(path, simFace)
	s := &model.ObservedSIM{
		Path: string(path), ICCID: model.ICCID(text(p, "SimIdentifier")), IMSI: model.IMSI(text(p, "Imsi")), EID: model.ICCID(text(p, "Eid")),
		OperatorCode: text(p, "OperatorIdentifier"), OperatorName: text(p, "OperatorName"), Active: boolean(p, "Active"),
		ESIM: integer(p, "SimType") == simTypeESIM,
	}
	return s
}

// locks returns the lock in force ("" for none) and the tries left per lock.
func locks(p map[string]dbus.Variant) (string, map[string]int) {
	lock := lockName(integer(p, "UnlockRequired"))
	if lock == lockNameNone || lock == "unknown" {
		lock = ""
	}
	raw, _ := p["UnlockRetries"].Value().(map[uint32]uint32)
	if len(raw) == 0 {
		return lock, nil
	}
	retries := make(map[string]int, len(raw))
	for kind, n := range raw {
		retries[lockName(int64(kind))] = int(min(n, math.MaxInt32))
	}
	return lock, retries
}

// rejection reads NetworkRejection (1.24): {"error": u, …}.
func rejection(g map[string]dbus.Variant) string {
	r, _ := g["NetworkRejection"].Value().(map[string]dbus.Variant)
	return rejectName(integer(r, "error"))
}

// ports reads a(su); godbus gives the structs inside a variant as []any.
func ports(p map[string]dbus.Variant) (all []model.Port, netdev string) {
	for _, s := range structs(p, "Ports") {
		if len(s) != 2 {
			continue
		}
		name, ok := s[0].(string)
		kind, isNumber := number(s[1])
		if !ok || !isNumber {
			continue
		}
		all = append(all, model.Port{Name: name, Kind: portKind(kind)})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	for _, port := range all {
		if port.Kind == model.PortNet {
			return all, port.Name
		}
	}
	return all, ""
}

// quality reads SignalQuality (ub), in per cent; nil before the first reading.
func quality(p map[string]dbus.Variant) *int {
	s, _ := p["SignalQuality"].Value().([]any)
	if len(s) != 2 {
		return nil
	}
	n, ok := number(s[0])
	if !ok || n == 0 { // 0 is what ModemManager shows until it knows
		return nil
	}
	q := int(n)
	return &q
}

// signals reads the dictionaries of the Signal interface, one per technology.
func signals(p map[string]dbus.Variant) map[string]model.Signal {
	var all map[string]model.Signal
	for tech, property := range map[string]string{"gsm": "Gsm", "umts": "Umts", "lte": "Lte", "5gnr": "Nr5g"} {
		d, _ := p[property].Value().(map[string]dbus.Variant)
		s := model.Signal{RSSI: decibel(d, "rssi"), RSRP: decibel(d, "rsrp"), RSRQ: decibel(d, "rsrq"), SINR: decibel(d, "snr")}
		if s == (model.Signal{}) {
			continue
		}
		if all == nil {
			all = map[string]model.Signal{}
		}
		all[tech] = s
	}
	return all
}

// inUse picks the newest technology that is measured.
func inUse(all map[string]model.Signal, quality *int) model.Signal {
	for _, tech := range []string{"5gnr", "lte", "umts", "gsm"} {
		if s, ok := all[tech]; ok {
			s.Quality = quality
			return s
		}
	}
	return model.Signal{Quality: quality}
}

// connectionError reads (ss): a D-Bus error name and a text.
func connectionError(p map[string]dbus.Variant) string {
	s, _ := p["ConnectionError"].Value().([]any)
	if len(s) != 2 {
		return ""
	}
	name, _ := s[0].(string)
	message, _ := s[1].(string)
	if message == "" {
		return name
	}
	return message
}

// The readers below take a property that is missing, or of another type, for
// empty.

func text(p map[string]dbus.Variant, name string) string {
	s, _ := p[name].Value().(string)
	return s
}

func texts(p map[string]dbus.Variant, name string) []string {
	s, _ := p[name].Value().([]string)
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

func boolean(p map[string]dbus.Variant, name string) bool {
	b, _ := p[name].Value().(bool)
	return b
}

func integer(p map[string]dbus.Variant, name string) int64 {
	n, _ := number(p[name].Value())
	return n
}

func number(v any) (int64, bool) {
	switch n := v.(type) {
	case int32:
		return int64(n), true
	case uint32:
		return int64(n), true
	}
	return 0, false
}

func path(p map[string]dbus.Variant, name string) dbus.ObjectPath {
	s, _ := p[name].Value().(dbus.ObjectPath)
	return s
}

func paths(p map[string]dbus.Variant, name string) []dbus.ObjectPath {
	s, _ := p[name].Value().([]dbus.ObjectPath)
	return slices.Clone(s)
}

func structs(p map[string]dbus.Variant, name string) [][]any {
	s, _ := p[name].Value().([][]any)
	return s
}

// decibel reads a measured value. ModemManager marks unknown ones by leaving
// them out, some plugins by absurd numbers.
func decibel(d map[string]dbus.Variant, name string) *float64 {
	f, ok := d[name].Value().(float64)
	if !ok || math.IsNaN(f) || f < -200 || f > 100 {
		return nil
	}
	return &f
}
