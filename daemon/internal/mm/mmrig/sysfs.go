package mmrig

import (
	"os"
	"path/filepath"
)

// tree writes a made-up /sys: what ModemManager reads without udev (identity
// files, and the links "subsystem", "driver" and class entries).
type tree struct {
	root string
	err  error
}

func (t *tree) dir(path string, files map[string]string) {
	if t.err != nil {
		return
	}
	full := filepath.Join(t.root, path)
	if t.err = os.MkdirAll(full, 0o755); t.err != nil {
		return
	}
	for name, text := range files {
		if t.err = os.WriteFile(filepath.Join(full, name), []byte(text+"\n"), 0o644); t.err != nil {
			return
		}
	}
}

// link makes from (in the tree) a relative link to the directory to.
func (t *tree) link(from, to string) {
	if t.err != nil {
		return
	}
	full := filepath.Join(t.root, from)
	if t.err = os.MkdirAll(filepath.Dir(full), 0o755); t.err != nil {
		return
	}
	if t.err = os.MkdirAll(filepath.Join(t.root, to), 0o755); t.err != nil {
		return
	}
	rel, err := filepath.Rel(filepath.Dir(full), filepath.Join(t.root, to))
	if err != nil {
		t.err = err
		return
	}
	_ = os.Remove(full)
	t.err = os.Symlink(rel, full)
}

// port adds a class device below parent.
func (t *tree) port(parent, class, name string, files map[string]string) {
	path := filepath.Join(parent, class, name)
	t.dir(path, files)
	t.link(filepath.Join(path, "subsystem"), filepath.Join("class", class))
	t.link(filepath.Join(path, "device"), parent)
	t.link(filepath.Join("class", class, name), path)
}

// sysPath is the modem's place below /sys.
func (s Spec) sysPath() string {
	if s.PCI {
		return "devices/pci0000:00/0000:00:1c.0/" + s.USBPath
	}
	return "devices/platform/1e1c0000.xhci/usb2/" + s.USBPath
}

// Physdev is the sysfs path that ModemManager should show.
func (s Spec) Physdev() string {
	if s.Control == "" {
		return "/virtual/" + s.Name
	}
	return "/sys/" + s.sysPath()
}

func (r *Rig) buildSysfs(m *Modem) error {
	t := &tree{root: r.Sysfs()}
	if m.Spec.PCI {
		t.pci(m.Spec)
	} else {
		t.usb(m.Spec)
	}
	return t.err
}

func (r *Rig) removeSysfs(m *Modem) {
	for _, ev := range m.events() {
		_ = os.Remove(filepath.Join(r.Sysfs(), "class", ev.subsystem, ev.name))
	}
	_ = os.RemoveAll(filepath.Join(r.Sysfs(), m.Spec.sysPath()))
}

func (t *tree) pci(s Spec) {
	dev := s.sysPath()
	t.dir(dev, map[string]string{"vendor": "0x" + s.Vendor, "device": "0x" + s.Product, "subsystem_vendor": "0x" + s.Vendor, "subsystem_device": "0x" + s.Product, "revision": "0x01", "class": "0x0d4000"})
	t.link(dev+"/subsystem", "bus/pci")
	t.link(dev+"/driver", "bus/pci/drivers/"+s.Driver)
	t.port(dev, "wwan", s.Control, map[string]string{"type": "MBIM"})
	for _, p := range s.ATPorts {
		t.port(dev, "wwan", p, map[string]string{"type": "AT"})
	}
	t.port(dev, "net", s.Net, nil)
}

func (t *tree) usb(s Spec) {
	dev := s.sysPath()
	t.dir(dev, map[string]string{"idVendor": s.Vendor, "idProduct": s.Product, "bcdDevice": "0333", "manufacturer": s.Manufacturer, "product": s.Model, "serial": s.Serial})
	t.link(dev+"/subsystem", "bus/usb")
	t.link(dev+"/driver", "bus/usb/drivers/usb")
	mbim := t.usbInterface(s, "0", s.Driver, "02", "0e", "00")
	t.port(mbim, "usbmisc", s.Control, nil)
	t.port(mbim, "net", s.Net, nil)
	// The L850 has its AT ports on interfaces 2 and 6.
	for i, p := range s.ATPorts {
		t.port(t.usbInterface(s, []string{"2", "6", "8"}[i], "cdc_acm", "02", "02", "01"), "tty", p, nil)
	}
}

func (t *tree) usbInterface(s Spec, number, driver, class, subclass, protocol string) string {
	path := s.sysPath() + "/" + s.USBPath + ":1." + number
	t.dir(path, map[string]string{"bInterfaceClass": class, "bInterfaceSubClass": subclass, "bInterfaceProtocol": protocol, "bInterfaceNumber": "0" + number})
	t.link(path+"/subsystem", "bus/usb")
	t.link(path+"/driver", "bus/usb/drivers/"+driver)
	return path
}
