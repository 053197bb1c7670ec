package hotplug

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func uevent(fields ...string) []byte { return []byte(strings.Join(fields, "\x00") + "\x00") }

func TestRelevantEvents(t *testing.T) {
	for _, tt := range []struct {
		name   string
		uevent []byte
		want   bool
	}{
		{"a USB device", uevent("add@/devices/usb1/1-1", "ACTION=add", "DEVPATH=/devices/usb1/1-1", "SUBSYSTEM=usb", "SEQNUM=1"), true},
		{"a control port that goes", uevent("remove@/x", "ACTION=remove", "SUBSYSTEM=usbmisc", "DEVNAME=cdc-wdm0"), true},
		{"a port of the wwan framework", uevent("add@/x", "ACTION=add", "SUBSYSTEM=wwan"), true},
		{"a change of an attribute", uevent("change@/x", "ACTION=change", "SUBSYSTEM=usb"), false},
		{"a disk", uevent("add@/x", "ACTION=add", "SUBSYSTEM=block"), false},
		{"a device that is only called so", uevent("add@/SUBSYSTEM=usb", "ACTION=add", "SUBSYSTEM=net"), false},
		{"nothing", nil, false},
		{"a message of udev's", append([]byte("libudev\x00"), 0xfe, 0xed, 0xca, 0xfe), false},
	} {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, relevant(tt.uevent)) })
	}
}

// FuzzRelevant: whatever the kernel sends, it is looked at without harm.
func FuzzRelevant(f *testing.F) {
	f.Add(uevent("add@/x", "ACTION=add", "SUBSYSTEM=usb"))
	f.Add([]byte("SUBSYSTEM=usb"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if relevant(b) && !strings.Contains(string(b), "SUBSYSTEM=") {
			t.Fatal("an event without a subsystem is about nothing")
		}
	})
}

func TestWatchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Watch(ctx, func() {}) }()
	cancel()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(time.Minute):
		t.Fatal("Watch does not end")
	}
}

// The kernel says it again about a device whose file uevent is written to.
func TestTheKernelsOwnEvents(t *testing.T) {
	devices, _ := filepath.Glob("/sys/bus/usb/devices/*/uevent")
	if len(devices) == 0 || os.Geteuid() != 0 {
		t.Skip("needs root and a USB device")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	seen, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- Watch(ctx, func() {
			select {
			case seen <- struct{}{}:
			default:
			}
		})
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for heard := false; !heard; {
		require.NoError(t, os.WriteFile(devices[0], []byte("add"), 0o200))
		select {
		case <-seen:
			heard = true
		case <-tick.C: // it may have come before Watch listened
		case <-ctx.Done():
			t.Fatal("no event")
		}
	}
	cancel()
	require.NoError(t, <-ended)
}
