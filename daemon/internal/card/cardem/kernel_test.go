package cardem_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem/cardemfake"
)

// TestFrontOnKernel runs the table through the kernel's USB: the fake is a USB device
// on vhci_hcd. tests/vm boots a virtual machine that has it (make vm-test).
func TestFrontOnKernel(t *testing.T) {
	needVHCI(t)
	runTable(t, func(t *testing.T, name string) *rig { return kernelRig(t, name, false) })
}

// TestUnplugOftenOnKernel is TestUnplugOftenOnFake, with half a second for each plug.
func TestUnplugOftenOnKernel(t *testing.T) {
	needVHCI(t)
	unplugOften(t, kernelRig(t, "", false), 20)
}

// TestConfigurationOnKernel: the device comes up as a sniffer, and is switched.
func TestConfigurationOnKernel(t *testing.T) {
	needVHCI(t)
	r := kernelRig(t, "", true)
	serve(t, r.front(t))
	powerOn(t, r)
	require.Equal(t, "9000", send(t, r, selectMF))
}

// TestBusyOnKernel: an interface belongs to one program.
func TestBusyOnKernel(t *testing.T) {
	needVHCI(t)
	r := kernelRig(t, "", false)
	serve(t, r.front(t))
	second, err := cardem.New(r.device)
	require.NoError(t, err)
	require.ErrorContains(t, second.Run(within(t), newDesk(second)), "in use by another program")
}

func needVHCI(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(cardemfake.VHCI); err == nil {
		return
	}
	const why = "needs the kernel's vhci_hcd: make vm-test boots a virtual machine that has it"
	if os.Getenv("REMSIM_VM") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func kernelRig(t *testing.T, name string, sniffer bool) *rig {
	d := cardemfake.New(cardemfake.Config{Board: name, Serial: "ABC"})
	r := &rig{Device: d, bus: cardem.USB{}, device: "serial:ABC:0"}
	var a *cardemfake.Attachment
	attach := func() {
		var err error
		a, err = cardemfake.Attach(d, sniffer)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			all := r.bus.Discover()
			if len(all) != 1 {
				return false
			}
			_, err := os.Stat("/dev/" + all[0].Node()) // comes after its entry in sysfs
			return err == nil
		}, patience, pollTime)
	}
	attach()
	r.plug = func() {
		a.Close()
		require.Eventually(t, func() bool { return len(r.bus.Discover()) == 0 }, patience, pollTime)
		d.Plug()
		attach()
	}
	t.Cleanup(func() {
		a.Close()
		require.Eventually(t, func() bool { return len(r.bus.Discover()) == 0 }, patience, pollTime)
	})
	return r
}
