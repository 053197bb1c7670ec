// Package hotplug tells that the kernel's USB devices, or the control ports of modems,
// have come or gone. It owns one netlink socket and never says which device it was:
// whoever wants to know looks at sysfs, which is true even if a message was lost.
package hotplug

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// kernelGroup is the multicast group of the kernel's own uevents (udev's is 2).
const kernelGroup = 1

// Watch calls changed after each such event until ctx ends. changed must not block. An
// event that was lost for want of room counts as one.
func Watch(ctx context.Context, changed func()) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return fmt.Errorf("open the kernel's hotplug socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "hotplug")
	defer f.Close()
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		return fmt.Errorf("listen to the kernel's hotplug events: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = f.Close() }) // Read does not see ctx
	defer stop()
	b := make([]byte, 8192) // the kernel's own buffer of a uevent has 2 KiB
	for {
		n, err := f.Read(b)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && !relevant(b[:n]):
		case err == nil, errors.Is(err, unix.ENOBUFS):
			changed()
		default:
			return fmt.Errorf("read the kernel's hotplug events: %w", err)
		}
	}
}

// relevant tells whether a uevent is about a USB device or a modem's control port. It is
// a list of NAME=VALUE, each ended by a zero byte, after a first line of its own
// (Documentation/core-api/kobject.rst; lib/kobject_uevent.c).
func relevant(uevent []byte) bool {
	subsystem, action := "", ""
	for _, field := range bytes.Split(uevent, []byte{0}) {
		if v, ok := bytes.CutPrefix(field, []byte("SUBSYSTEM=")); ok {
			subsystem = string(v)
		}
		if v, ok := bytes.CutPrefix(field, []byte("ACTION=")); ok {
			action = string(v)
		}
	}
	switch subsystem {
	case "usb", "usbmisc", "wwan", "rpmsg":
		return action == "add" || action == "remove" || action == "bind" || action == "unbind"
	}
	return false
}
