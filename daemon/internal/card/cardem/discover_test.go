package cardem

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// configDesc is a configuration with these interfaces behind it.
func configDesc(value byte, interfaces ...[]byte) []byte {
	b := []byte{9, 2, 0, 0, byte(len(interfaces)), value, 0, 0x80, 50}
	for _, i := range interfaces {
		b = append(b, i...)
	}
	binary.LittleEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

// ifaceDesc is an interface with bulk out, bulk in and interrupt endpoints.
func ifaceDesc(number, class, subclass, out, in, irq byte) []byte {
	return []byte{
		9, 4, number, 0, 3, class, subclass, 0, 0,
		7, 5, out, 2, 64, 0, 0, 7, 5, in, 2, 64, 0, 0, 7, 5, irq, 3, 64, 0, 1,
	}
}

var (
	usim1   = ifaceDesc(0, 0xff, 2, 0x04, 0x85, 0x86)
	usim2   = ifaceDesc(1, 0xff, 2, 0x01, 0x82, 0x83)
	sniffer = ifaceDesc(0, 0xff, 1, 0x01, 0x82, 0x83)
	dfu     = []byte{9, 4, 1, 0, 0, 0xfe, 1, 1, 0, 9, 0x21, 0, 0, 0, 0, 0, 0, 1}
	devDesc = []byte{18, 1, 0, 2, 0, 0, 0, 64, 0x50, 0x1d, 0xe3, 0x60, 2, 0, 1, 2, 3, 1}
)

// plugIn writes what the kernel shows of a device.
func plugIn(t *testing.T, root, path string, files map[string]string, descriptors ...[]byte) {
	t.Helper()
	dir := filepath.Join(root, "bus/usb/devices", path)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	raw := devDesc
	for _, d := range descriptors {
		raw = append(raw[:len(raw):len(raw)], d...)
	}
	files["descriptors"] = string(raw)
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
}

func device(product, config, bus, dev, serial string) map[string]string {
	return map[string]string{
		"idVendor": "1d50\n", "idProduct": product + "\n", "bConfigurationValue": config + "\n",
		"busnum": bus + "\n", "devnum": dev + "\n", "serial": serial + "\n", "product": "A name\n",
	}
}

func TestDiscover(t *testing.T) {
	root := t.TempDir()
	plugIn(t, root, "2-1", device("60e3", "1", "2", "7", "ABC"), configDesc(1, usim1, dfu))
	plugIn(t, root, "1-1.4", device("4004", "1", "1", "112", ""), configDesc(1, usim1, usim2, dfu))
	plugIn(t, root, "1-2", device("60e3", "1", "1", "9", "TRACE"), configDesc(1, sniffer, dfu), configDesc(2, usim1, dfu))
	plugIn(t, root, "1-3", device("60e3", "1", "1", "10", ""), configDesc(1, sniffer, dfu)) // no emulation at all
	plugIn(t, root, "1-4", device("4002", "1", "1", "11", ""), configDesc(1, usim1))        // another device of the vendor
	plugIn(t, root, "1-5", map[string]string{"idVendor": "0bda\n", "idProduct": "60e3\n"}, configDesc(1, usim1))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "bus/usb/devices/2-1:1.0"), 0o755)) // an interface

	all := Discover(root)
	var names []string
	for _, f := range all {
		names = append(names, f.String())
	}
	require.Equal(t, []string{
		"sysmoQMOD at usb:1-1.4:0", "sysmoQMOD at usb:1-1.4:1", "SIMtrace2 TRACE at usb:1-2:0", "SIMtrace2 ABC at usb:2-1:0",
	}, names)
	require.Equal(t, Found{
		Path: "1-1.4", Product: "A name", Board: boards[2], Interface: 1,
		node: "bus/usb/001/112", config: 1, active: true, out: 0x01, in: 0x82, irq: 0x83,
	}, all[1])
	require.Equal(t, 2, all[2].config)
	require.False(t, all[2].active, "its sniffer is running")

	for device, want := range map[string]string{
		"usb:2-1":        "usb:2-1:0",
		"usb:2-1:0":      "usb:2-1:0",
		"serial:ABC":     "usb:2-1:0",
		"usb:1-1.4:1":    "usb:1-1.4:1",
		"serial:TRACE:0": "usb:1-2:0",
	} {
		a, err := parseAddress(device)
		require.NoError(t, err)
		f, err := a.pick(all)
		require.NoError(t, err)
		require.Equal(t, want, f.Device())
	}
	for device, want := range map[string]string{
		"":           "4 card emulators fit: usb:1-1.4:0 (sysmoQMOD), usb:1-1.4:1",
		"usb:1-1.4":  "2 card emulators fit: usb:1-1.4:0 (sysmoQMOD), usb:1-1.4:1 (sysmoQMOD)",
		"usb:2-1:1":  "where the configuration says; there are usb:1-1.4:0",
		"usb:3-1":    "no card emulator is plugged in",
		"serial:XYZ": "no card emulator is plugged in",
	} {
		a, err := parseAddress(device)
		require.NoError(t, err)
		_, err = a.pick(all)
		require.ErrorContains(t, err, want)
	}
	one, err := address{iface: -1}.pick(all[3:])
	require.NoError(t, err)
	require.Equal(t, "usb:2-1:0", one.Device())
	_, err = address{iface: -1}.pick(nil)
	require.ErrorIs(t, err, ErrNoDevice)
	require.Empty(t, Discover(filepath.Join(root, "nothing")))
}

func TestNewNamesWhatIsWrongWithADevice(t *testing.T) {
	for device, want := range map[string]string{
		"2-1":          "expected usb:PATH[:INTERFACE] or serial:TEXT[:INTERFACE]",
		"usb:":         "nothing stands after",
		"serial::0":    "nothing stands after",
		"usb:2-1:x":    "interface \"x\" is not 0..255",
		"usb:2-1:256":  "not 0..255",
		"qmi:/dev/cdc": "expected usb:PATH",
	} {
		_, err := New(device)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, device)
	}
	f, err := New("serial:AB:CD:1")
	require.NoError(t, err)
	require.Equal(t, address{"serial", "AB:CD", 1}, f.address)
}

func TestDescriptorsTakeEndpointsByKind(t *testing.T) {
	// A gadget driver numbers them anew, and in another order.
	odd := []byte{
		9, 4, 3, 1, 3, 0xff, 2, 0, 0,
		7, 5, 0x81, 3, 8, 0, 4, 7, 5, 0x02, 2, 64, 0, 0, 7, 5, 0x83, 2, 64, 0, 0,
	}
	got := parseDescriptors(append(devDesc[:18:18], configDesc(5, odd)...))
	require.Equal(t, []Found{{Interface: 3, alt: 1, config: 5, out: 0x02, in: 0x83, irq: 0x81}}, got)
	without := append([]byte{}, usim1[:9+14]...)
	require.Empty(t, parseDescriptors(append(devDesc[:18:18], configDesc(1, without)...)), "an endpoint is missing")
}

// FuzzDescriptors: what a device says of itself does no harm.
func FuzzDescriptors(f *testing.F) {
	f.Add(append(devDesc[:18:18], configDesc(1, usim1, usim2, dfu)...))
	f.Add([]byte{9, 4, 0, 0, 3, 0xff, 2, 0, 0, 7, 5, 4, 2})
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, found := range parseDescriptors(b) {
			if found.out&0x80 != 0 || found.in&0x80 == 0 || found.irq&0x80 == 0 {
				t.Fatalf("endpoints out %#x in %#x interrupt %#x", found.out, found.in, found.irq)
			}
		}
	})
}

// TestRequestNumbers: <asm/ioctl.h> and struct usbdevfs_urb on each architecture.
func TestRequestNumbers(t *testing.T) {
	for _, tt := range []struct {
		arch    string
		pointer uintptr
		want    ioctls
	}{
		{"amd64", 8, ioctls{0x80085504, 0x80045505, 0x8004550f, 0x80045510, 0x8038550a, 0x550b, 0x4008550d, 0x80045515}},
		{"arm64", 8, ioctls{0x80085504, 0x80045505, 0x8004550f, 0x80045510, 0x8038550a, 0x550b, 0x4008550d, 0x80045515}},
		{"arm", 4, ioctls{0x80085504, 0x80045505, 0x8004550f, 0x80045510, 0x802c550a, 0x550b, 0x4004550d, 0x80045515}},
		{"386", 4, ioctls{0x80085504, 0x80045505, 0x8004550f, 0x80045510, 0x802c550a, 0x550b, 0x4004550d, 0x80045515}},
		{"mips", 4, ioctls{0x40085504, 0x40045505, 0x4004550f, 0x40045510, 0x402c550a, 0x2000550b, 0x8004550d, 0x40045515}},
		{"mipsle", 4, ioctls{0x40085504, 0x40045505, 0x4004550f, 0x40045510, 0x402c550a, 0x2000550b, 0x8004550d, 0x40045515}},
	} {
		require.Equal(t, tt.want, ioctlsOf(tt.arch, tt.pointer), tt.arch)
	}
	require.Equal(t, unsafe.Sizeof(urb{}), urbSize(unsafe.Sizeof(uintptr(0))), "Go lays the struct out as C")
}

func TestBoards(t *testing.T) {
	for _, b := range boards {
		got, ok := BoardOf(0x1d50, b.Product)
		require.True(t, ok)
		require.Equal(t, b, got)
		require.NotEmpty(t, strings.TrimSpace(b.Name))
	}
	_, ok := BoardOf(0x1d50, 0x4002) // the QMOD's hub
	require.False(t, ok)
	_, ok = BoardOf(0x1d51, 0x60e3)
	require.False(t, ok)
}
