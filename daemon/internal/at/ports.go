package at

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// PortInfo is a serial port of a USB device.
type PortInfo struct {
	Path      string // /dev/ttyUSB2
	USBPath   string // 2-1: stays the same when numbers change
	USB       USBID
	Interface int // bInterfaceNumber
	Serial    string
}

// Ports lists the serial ports of USB devices below sysfs ("/sys"), by USB
// path and interface. It opens none of them. The library's enumerator is not
// asked: it opens every ttyS and ttyHS to see whether it is there, which sets
// a router's serial console to 9600 baud (library_test.go).
func Ports(sysfs string) ([]PortInfo, error) {
	class := filepath.Join(sysfs, "class", "tty")
	entries, err := os.ReadDir(class)
	if err != nil {
		return nil, fmt.Errorf("list serial ports: %w", err)
	}
	var out []PortInfo
	for _, e := range entries {
		dev, err := filepath.EvalSymlinks(filepath.Join(class, e.Name(), "device"))
		if err != nil {
			continue // a virtual tty, or unplugged since
		}
		if p, ok := usbPort(dev); ok {
			p.Path = "/dev/" + e.Name()
			out = append(out, p)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := &out[i], &out[j]
		return a.USBPath < b.USBPath || a.USBPath == b.USBPath && a.Interface < b.Interface
	})
	return out, nil
}

// usbPort walks up from the port to its interface and its device: ttyUSB has
// a usb-serial port in between, ttyACM has not.
func usbPort(dev string) (PortInfo, bool) {
	for range 3 {
		if n, err := strconv.ParseUint(attribute(dev, "bInterfaceNumber"), 16, 8); err == nil {
			parent := filepath.Dir(dev)
			vendor, err1 := strconv.ParseUint(attribute(parent, "idVendor"), 16, 16)
			product, err2 := strconv.ParseUint(attribute(parent, "idProduct"), 16, 16)
			if err1 != nil || err2 != nil {
				return PortInfo{}, false
			}
			return PortInfo{USBPath: filepath.Base(parent), USB: USBID{uint16(vendor), uint16(product)},
				Interface: int(n), Serial: attribute(parent, "serial")}, true
		}
		dev = filepath.Dir(dev)
	}
	return PortInfo{}, false
}

func attribute(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// ATPorts returns a device's ports that may answer AT commands, best first: by
// the profile's interfaces, or every port for a device without profile.
func ATPorts(all []PortInfo, usbPath string) ([]PortInfo, Profile) {
	var mine []PortInfo
	for _, p := range all {
		if p.USBPath == usbPath {
			mine = append(mine, p)
		}
	}
	if len(mine) == 0 {
		return nil, Generic()
	}
	profile, known := ProfileForUSB(mine[0].USB)
	if !known {
		return mine, profile
	}
	var out []PortInfo
	for _, n := range profile.Interfaces {
		for _, p := range mine {
			if p.Interface == n {
				out = append(out, p)
			}
		}
	}
	return out, profile
}

// User is a process that has a port open.
type User struct {
	PID  int
	Name string
}

// Users tells which other processes have a port open, from proc ("/proc"): two
// owners read each other's answers. Only what this process may see is seen;
// the daemon runs as root and sees all.
func Users(proc, path string) ([]User, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("look for users of %s: %w", path, err)
	}
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil, fmt.Errorf("look for users of %s: %w", path, err)
	}
	var out []User
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || !holds(filepath.Join(proc, e.Name(), "fd"), real) {
			continue
		}
		out = append(out, User{PID: pid, Name: attribute(filepath.Join(proc, e.Name()), "comm")})
	}
	return out, nil
}

func holds(fds, path string) bool {
	entries, err := os.ReadDir(fds)
	if err != nil {
		return false // ended, or not ours to see
	}
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(fds, e.Name())); err == nil && to == path {
			return true
		}
	}
	return false
}
