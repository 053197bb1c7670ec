package mm

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/godbus/dbus/v5"
)

// hardware is what sysfs tells of the device behind a modem.
type hardware struct {
	physdev         string // "/sys/…"
	path            string // USB: "2-1.3"
	serial          string
	vendor, product string
}

// usbPath is a device name of the kernel's usb core: bus, port, ports of hubs.
var usbPath = regexp.MustCompile(`^[0-9]+-[0-9]+(\.[0-9]+)*$`)

// hardware looks the device up. A uid given by a udev rule is no path: then it
// is found through the modem's ports, since Physdev exists only from 1.22 on.
func (c *Client) hardware(p map[string]dbus.Variant) hardware {
	h := hardware{physdev: text(p, "Physdev")}
	if h.physdev == "" {
		h.physdev = text(p, "Device")
	}
	if !strings.HasPrefix(h.physdev, "/sys/") {
		h.physdev = c.behindPorts(p)
	}
	if h.physdev == "" {
		return h
	}
	dir := filepath.Join(c.opts.Sysfs, filepath.Clean(strings.TrimPrefix(h.physdev, "/sys")))
	if usbPath.MatchString(filepath.Base(h.physdev)) {
		h.path = filepath.Base(h.physdev)
	}
	h.serial = attribute(dir, "serial")
	if h.vendor, h.product = attribute(dir, "idVendor"), attribute(dir, "idProduct"); h.vendor == "" {
		h.vendor = strings.TrimPrefix(attribute(dir, "vendor"), "0x")
		h.product = strings.TrimPrefix(attribute(dir, "device"), "0x")
	}
	return h
}

// behindPorts walks up from a port's class device to the first one with a
// vendor id.
func (c *Client) behindPorts(p map[string]dbus.Variant) string {
	all, _ := ports(p)
	for _, port := range all {
		if port.Name == "" || strings.ContainsRune(port.Name, '/') {
			continue // a socket of ModemManager's test interface
		}
		for _, class := range []string{"tty", "net", "usbmisc", "wwan"} {
			dir, err := filepath.EvalSymlinks(filepath.Join(c.opts.Sysfs, "class", class, port.Name))
			if err != nil {
				continue
			}
			for ; len(dir) > len(c.opts.Sysfs); dir = filepath.Dir(dir) {
				if attribute(dir, "idVendor") != "" || attribute(dir, "vendor") != "" {
					return "/sys" + strings.TrimPrefix(dir, c.opts.Sysfs)
				}
			}
		}
	}
	return ""
}

// maxAttribute bounds what is read of a sysfs file, which is a page at most.
const maxAttribute = 4096

func attribute(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil || len(b) > maxAttribute {
		return ""
	}
	return strings.TrimSpace(string(b))
}
