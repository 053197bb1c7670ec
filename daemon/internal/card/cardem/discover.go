package cardem

import (
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// DefaultSysfs is where the kernel shows its devices.
const DefaultSysfs = "/sys"

// Descriptor types and sizes (USB 2.0 §9.6, table 9-5).
const (
	descDevice    = 1
	descConfig    = 2
	descInterface = 4
	descEndpoint  = 5
	lenConfig     = 9
	lenInterface  = 9
	lenEndpoint   = 7
)

// A card-emulation interface: vendor-specific class, subclass 2. Subclass 1 is the
// sniffer of the same boards.
const (
	classVendor    = 0xff
	subclassCardem = 2
)

// Discover lists the card emulators that the kernel shows below sysfsRoot
// (DefaultSysfs), sorted by path and interface. It opens no device.
func Discover(sysfsRoot string) []Found {
	dirs, err := filepath.Glob(filepath.Join(sysfsRoot, "bus/usb/devices/*"))
	if err != nil {
		return nil // only a bad pattern
	}
	var out []Found
	for _, dir := range dirs {
		out = append(out, inspect(dir)...)
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := &out[i], &out[j]
		return a.Path < b.Path || a.Path == b.Path && a.Interface < b.Interface
	})
	return out
}

// inspect reads one device; what is no card emulator, or is just going away, gives
// nothing.
func inspect(dir string) []Found {
	board, ok := BoardOf(uint16(number(dir, "idVendor", 16)), uint16(number(dir, "idProduct", 16)))
	if !ok {
		return nil
	}
	raw, err := os.ReadFile(filepath.Join(dir, "descriptors"))
	if err != nil {
		return nil
	}
	bus, dev := number(dir, "busnum", 10), number(dir, "devnum", 10)
	active := int(number(dir, "bConfigurationValue", 10))
	var out []Found
	for _, f := range parseDescriptors(raw) {
		f.active = f.config == active
		f.Path, f.Board = filepath.Base(dir), board
		f.Serial, f.Product = text(dir, "serial"), text(dir, "product")
		f.node = "bus/usb/" + three(bus) + "/" + three(dev)
		out = append(out, f)
	}
	return firstConfig(out, active)
}

// firstConfig keeps the interfaces of the active configuration, or, if it has
// none, of the first one that has.
func firstConfig(all []Found, active int) []Found {
	if len(all) == 0 {
		return nil
	}
	want := all[0].config
	if hasConfig(all, active) {
		want = active
	}
	return slices.DeleteFunc(all, func(f Found) bool { return f.config != want })
}

func hasConfig(all []Found, config int) bool {
	return slices.ContainsFunc(all, func(f Found) bool { return f.config == config })
}

// parseDescriptors finds the card-emulation interfaces in what the kernel's file
// "descriptors" holds: the device descriptor and each configuration with all that
// belongs to it. It stops at the first descriptor that does not fit.
func parseDescriptors(b []byte) []Found {
	var out []Found
	var cur *Found // the interface whose endpoints are being read
	config := 0
	end := func() {
		if cur != nil && cur.out != 0 && cur.in != 0 && cur.irq != 0 {
			out = append(out, *cur)
		}
		cur = nil
	}
	for len(b) >= 2 && int(b[0]) >= 2 && int(b[0]) <= len(b) {
		d := b[:b[0]]
		b = b[b[0]:]
		switch {
		case d[1] == descConfig && len(d) >= lenConfig:
			end()
			config = int(d[5])
		case d[1] == descInterface && len(d) >= lenInterface:
			end()
			if d[5] == classVendor && d[6] == subclassCardem && !known(out, config, int(d[2])) {
				cur = &Found{Interface: int(d[2]), alt: int(d[3]), config: config}
			}
		case d[1] == descEndpoint && len(d) >= lenEndpoint && cur != nil:
			cur.endpoint(d[2], d[3])
		}
	}
	end()
	return out
}

// known tells whether an earlier alternate setting of the interface was taken.
func known(all []Found, config, iface int) bool {
	return slices.ContainsFunc(all, func(f Found) bool { return f.config == config && f.Interface == iface })
}

// endpoint takes an endpoint by direction and kind: their numbers differ from
// slot to slot, and behind some gadget drivers from board to board.
func (f *Found) endpoint(addr, attributes uint8) {
	const in, kind, bulk, interrupt = 0x80, 3, 2, 3
	switch {
	case attributes&kind == bulk && addr&in == 0 && f.out == 0:
		f.out = addr
	case attributes&kind == bulk && addr&in != 0 && f.in == 0:
		f.in = addr
	case attributes&kind == interrupt && addr&in != 0 && f.irq == 0:
		f.irq = addr
	}
}

func text(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return "" // devices need not have strings
	}
	return strings.TrimSpace(string(b))
}

func number(dir, name string, base int) uint64 {
	n, err := strconv.ParseUint(text(dir, name), base, 16)
	if err != nil {
		return 0
	}
	return n
}

// three writes a number as usbfs names its files.
func three(n uint64) string {
	s := strconv.FormatUint(n, 10)
	return strings.Repeat("0", max(0, 3-len(s))) + s
}
