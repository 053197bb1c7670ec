package mm

import (
	"maps"
	"strings"

	"github.com/godbus/dbus/v5"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// properties are what an object shows, per interface.
type properties map[string]map[string]dbus.Variant

// object is what is known of one D-Bus object. Only modems come whole in
// signals; cards and bearers must be read.
type object struct {
	props properties
	asOf  dbus.Sequence // signals up to this message are in props already
	ready bool          // has been read
	held  []*dbus.Signal
}

// modem is an object of the Modem interface.
type modem struct {
	object
	path   dbus.ObjectPath
	usb    hardware
	device string
	sent   *model.ObservedModem // as last reported
	hidden bool                 // is being inhibited
	armed  bool                 // Signal.Setup has been tried since it was enabled
}

// merge takes over what a PropertiesChanged says and tells whether that was
// anything.
func (o *object) merge(s *dbus.Signal) bool {
	var face string
	var values map[string]dbus.Variant
	var invalid []string
	if s.Sequence <= o.asOf || dbus.Store(s.Body, &face, &values, &invalid) != nil {
		return false
	}
	if o.props[face] == nil {
		o.props[face] = map[string]dbus.Variant{}
	}
	maps.Copy(o.props[face], values)
	for _, name := range invalid {
		delete(o.props[face], name)
	}
	return true
}

// parts lists the cards and bearers that the modem refers to, and the
// interface to read of each.
func (m *modem) parts() map[dbus.ObjectPath]string {
	parts := map[dbus.ObjectPath]string{}
	p := m.props[modemFace]
	for _, path := range append(paths(p, "SimSlots"), path(p, "Sim")) {
		parts[path] = simFace
	}
	for _, path := range paths(p, "Bearers") {
		parts[path] = brFace
	}
	maps.DeleteFunc(parts, func(path dbus.ObjectPath, _ string) bool {
		return path == "/" || !strings.HasPrefix(string(path), string(root)+"/")
	})
	return parts
}
