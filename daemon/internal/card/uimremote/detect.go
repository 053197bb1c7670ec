package uimremote

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Transport is how QMI reaches a modem.
type Transport string

// The transports, named by the proxy that shares the control port.
const (
	QMIProxy  Transport = "qmi-proxy"
	MBIMProxy Transport = "mbim-proxy"
)

// transport finds how the control port takes QMI: by its USB driver, or by the kind
// that the kernel's wwan framework gives it (the same marks that libqmi goes by).
func (o Options) transport(device string) (Transport, error) {
	name := device
	if real, err := filepath.EvalSymlinks(device); err == nil {
		name = real // the proxies take the real path too
	}
	name = filepath.Base(name)
	for _, class := range []string{"usbmisc", "usb"} {
		driver, err := os.Readlink(filepath.Join(o.Sysfs, "class", class, name, "device", "driver"))
		if err != nil {
			continue
		}
		switch driver = filepath.Base(driver); driver {
		case "qmi_wwan":
			return QMIProxy, nil
		case "cdc_mbim":
			return MBIMProxy, nil
		default:
			return "", fmt.Errorf("control port %s has driver %s; QMI needs qmi_wwan or cdc_mbim", device, driver)
		}
	}
	wwan := filepath.Join(o.Sysfs, "class", "wwan", name)
	if _, err := os.Stat(wwan); err == nil {
		return wwanTransport(device, name, filepath.Join(wwan, "type"))
	}
	if _, err := os.Stat(filepath.Join(o.Sysfs, "class", "rpmsg", name)); err == nil {
		return QMIProxy, nil // a modem on the same chip
	}
	return "", fmt.Errorf("control port %s: %w", device, errNoPort)
}

// Ports lists the control ports that take QMI, by name: what a front without a device,
// and front auto, choose from.
func (o Options) Ports() []string {
	o.fill()
	var out []string
	for _, class := range []string{"usbmisc", "wwan"} {
		entries, err := os.ReadDir(filepath.Join(o.Sysfs, "class", class))
		if err != nil {
			continue // no such port on this machine
		}
		for _, e := range entries {
			device := "/dev/" + e.Name()
			if _, err := o.transport(device); err == nil {
				out = append(out, device)
			}
		}
	}
	return out
}

// USBPath is where the modem with a control port is plugged in, "2-1" say; "" for one that
// is not on USB, or where nothing tells.
func (o Options) USBPath(device string) string {
	o.fill()
	for _, class := range []string{"usbmisc", "wwan"} {
		dir, err := filepath.EvalSymlinks(filepath.Join(o.Sysfs, "class", class, filepath.Base(device), "device"))
		if err != nil {
			continue
		}
		// The port belongs to an interface, or to a wwan device that does; only the USB
		// device above has a vendor.
		for range 4 {
			if _, err := os.Stat(filepath.Join(dir, "idVendor")); err == nil {
				return filepath.Base(dir)
			}
			dir = filepath.Dir(dir)
		}
	}
	return ""
}

// port is the control port that device stands for.
func (o Options) port(device string) (string, error) {
	if device != anyPort {
		return device, nil
	}
	switch all := o.Ports(); len(all) {
	case 0:
		return "", errNoPort
	case 1:
		return all[0], nil
	default:
		return "", fmt.Errorf("there are several QMI or MBIM ports (%s); set front_device to one, as qmi:%s", strings.Join(all, ", "), all[0])
	}
}

// errNoPort: the kernel has no such control port, or not yet.
var errNoPort = errors.New("the kernel has no such QMI or MBIM port")

// wwanTransport reads the type of a wwan port; kernels before 5.14 have it in the
// name only.
func wwanTransport(device, name, file string) (Transport, error) {
	typ := name
	if b, err := os.ReadFile(file); err == nil {
		typ = strings.TrimSpace(string(b))
	}
	switch upper := strings.ToUpper(typ); {
	case strings.Contains(upper, "QMI"):
		return QMIProxy, nil
	case strings.Contains(upper, "MBIM"):
		return MBIMProxy, nil
	}
	return "", fmt.Errorf("control port %s is of type %s; QMI needs a QMI or MBIM port", device, typ)
}
