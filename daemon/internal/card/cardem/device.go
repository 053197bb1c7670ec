package cardem

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Board is what a kind of card emulator can do, by its USB product id.
type Board struct {
	Product uint16
	Name    string
	// Presence: CARDINSERT drives a pin that the modem can watch.
	Presence bool
	// Reset: the modem's reset line is wired (PERST).
	Reset bool
	// SelectCycles: the firmware takes the modem's power away for 200 ms at
	// every SIM_SELECT.
	SelectCycles bool
}

// vendor is OpenMoko's USB id, which all boards use.
const vendor = 0x1d50

// boards are those whose firmware has a card emulation (simtrace2,
// firmware/libboard/*/include/board.h).
var boards = [...]Board{
	{Product: 0x60e3, Name: "SIMtrace2"},
	{Product: 0x4001, Name: "OWHW", Presence: true},
	{Product: 0x4004, Name: "sysmoQMOD", Reset: true},
	{Product: 0x616d, Name: "OCTSIMTEST", Presence: true},
	{Product: 0x616e, Name: "ngff-cardem", Presence: true, Reset: true, SelectCycles: true},
}

// BoardOf tells which board a USB vendor and product id mean.
func BoardOf(vendorID, productID uint16) (Board, bool) {
	for _, b := range boards {
		if vendorID == vendor && productID == b.Product {
			return b, true
		}
	}
	return Board{}, false
}

// Found is one card-emulation interface, which is one SIM slot.
type Found struct {
	Path      string // where it is plugged in: "2-1", "1-1.4"; stays over a re-plug
	Serial    string // may be empty
	Product   string // the device's own name, may be empty
	Board     Board
	Interface int

	node   string // device file
	config int    // the configuration that has the interface
	active bool   // it is the present one
	alt    int
	out    uint8 // endpoint addresses
	in     uint8
	irq    uint8
}

// Device is how the configuration names it.
func (f Found) Device() string { return fmt.Sprintf("usb:%s:%d", f.Path, f.Interface) }

// String is for people.
func (f Found) String() string {
	s := f.Board.Name
	if f.Serial != "" {
		s += " " + f.Serial
	}
	return fmt.Sprintf("%s at %s", s, f.Device())
}

// ErrNoDevice: nothing that fits is plugged in.
var ErrNoDevice = errors.New("no card emulator is plugged in")

// address is a parsed device string.
type address struct {
	by    string // "usb", "serial" or "": the only one there is
	value string
	iface int // -1: the only one there is
}

// parseAddress reads "usb:PATH[:INTERFACE]", "serial:TEXT[:INTERFACE]" or "".
func parseAddress(device string) (address, error) {
	if device == "" {
		return address{iface: -1}, nil
	}
	by, rest, _ := strings.Cut(device, ":")
	a := address{by: by, value: rest, iface: -1}
	if by != "usb" && by != "serial" {
		return address{}, fmt.Errorf("cardem device %q: expected usb:PATH[:INTERFACE] or serial:TEXT[:INTERFACE]", device)
	}
	if at := strings.LastIndexByte(rest, ':'); at >= 0 {
		n, err := strconv.ParseUint(rest[at+1:], 10, 8)
		if err != nil {
			return address{}, fmt.Errorf("cardem device %q: interface %q is not 0..255", device, rest[at+1:])
		}
		a.value, a.iface = rest[:at], int(n)
	}
	if a.value == "" {
		return address{}, fmt.Errorf("cardem device %q: nothing stands after %q", device, by+":")
	}
	return a, nil
}

func (a address) fits(f Found) bool {
	if a.iface >= 0 && a.iface != f.Interface {
		return false
	}
	switch a.by {
	case "usb":
		return a.value == f.Path
	case "serial":
		return a.value == f.Serial
	}
	return true
}

// pick finds the one interface that the address means.
func (a address) pick(all []Found) (Found, error) {
	var hits []Found
	for _, f := range all {
		if a.fits(f) {
			hits = append(hits, f)
		}
	}
	switch {
	case len(hits) == 1:
		return hits[0], nil
	case len(hits) > 1:
		return Found{}, fmt.Errorf("%d card emulators fit: %s", len(hits), list(hits))
	case len(all) > 0:
		return Found{}, fmt.Errorf("%w where the configuration says; there are %s", ErrNoDevice, list(all))
	}
	return Found{}, ErrNoDevice
}

func list(all []Found) string {
	names := make([]string, len(all))
	for i, f := range all {
		names[i] = f.Device() + " (" + f.Board.Name + ")"
	}
	return strings.Join(names, ", ")
}
