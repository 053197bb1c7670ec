package model

import (
	"net/netip"
	"path"
	"time"
)

// Route is one route that netifd has set for an interface.
type Route struct {
	Target  netip.Prefix `json:"target"`
	Gateway netip.Addr   `json:"gateway"` // zero: on the link
	Metric  int          `json:"metric,omitempty"`
	Source  netip.Prefix `json:"source"` // zero: any
}

// InterfaceError is what a protocol of netifd complains of.
type InterfaceError struct {
	Subsystem string   `json:"subsystem"` // "interface", or the protocol
	Code      string   `json:"code"`      // MM_FAILED_REASON_SIM_MISSING, NO_DEVICE …
	Data      []string `json:"data,omitempty"`
}

// Interface is one of netifd's interfaces as it is now.
type Interface struct {
	Name     string `json:"name"`
	Proto    string `json:"proto"`
	Device   string `json:"device"`    // "" for protocols without one, modemmanager among them
	L3Device string `json:"l3_device"` // where its traffic goes; "" unless up
	// ModemDevice is the `device` option of a modem's protocol: a sysfs path
	// for modemmanager, /dev/cdc-wdm0 and the like for the others.
	ModemDevice string `json:"modem_device,omitempty"`
	Up          bool   `json:"up"`
	Pending     bool   `json:"pending"`   // being set up
	Available   bool   `json:"available"` // its device is there
	Autostart   bool   `json:"autostart"` // netifd will bring it up by itself
	Dynamic     bool   `json:"dynamic"`   // made by another interface (wwan0_4)
	// TakenDown: it is down because remsim took it down, in this run or before,
	// and has not brought it up yet.
	TakenDown bool           `json:"taken_down,omitempty"`
	UpSince   time.Time      `json:"up_since"` // to the second; zero unless up
	Metric    int            `json:"metric"`
	Addresses []netip.Prefix `json:"addresses"`
	Routes    []Route        `json:"routes"`
	// Unused are routes that netifd knows and does not set, the default route
	// of an interface with defaultroute '0' among them.
	Unused []Route      `json:"unused_routes,omitempty"`
	DNS    []netip.Addr `json:"dns"`
	// UnusedDNS are servers that netifd knows and the system does not ask: those
	// of an interface with peerdns '0'.
	UnusedDNS []netip.Addr     `json:"unused_dns,omitempty"`
	Data      map[string]any   `json:"data,omitempty"` // whatever the protocol tells
	Errors    []InterfaceError `json:"errors,omitempty"`
}

// Blocked tells that netifd has given up on the interface after an error and
// will not try again before somebody says `up`.
func (i Interface) Blocked() bool {
	return !i.Up && !i.Pending && !i.Autostart && len(i.Errors) > 0
}

// Idle tells that the interface is down and that netifd leaves it so.
func (i Interface) Idle() bool { return !i.Up && !i.Pending && !i.Autostart }

// Serves tells that this is an interface of the modem.
func (i Interface) Serves(m ObservedModem) bool {
	if i.ModemDevice == "" {
		return false
	}
	dev := path.Clean(i.ModemDevice)
	if i.Proto == "modemmanager" {
		return dev == path.Clean(m.Device) || m.Physdev != "" && dev == path.Clean(m.Physdev)
	}
	for _, p := range m.Ports {
		if dev == "/dev/"+p.Name {
			return true
		}
	}
	return false
}

// ChildOf tells that netifd's protocol made this interface for another one:
// wwan0_4 and wwan0_6 carry what comes by DHCP over wwan0.
func (i Interface) ChildOf(parent string) bool {
	return i.Dynamic && (i.Name == parent+"_4" || i.Name == parent+"_6")
}

// InterfaceChanged: an interface appeared or changed; Interface is all that is
// known of it.
type InterfaceChanged struct {
	At
	Interface Interface
}

// InterfaceGone: netifd does not have this interface any more.
type InterfaceGone struct {
	At
	Name string
}

// NetifdChanged: netifd came or went. When it goes, its interfaces stay as they
// were last seen: what they carry goes on without it.
type NetifdChanged struct {
	At
	Up     bool
	Reason string // why it is not reached, in words
}
