package mm_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/terminills/remsim-openwrt/daemon/internal/mm"
	"github.com/terminills/remsim-openwrt/daemon/internal/mm/mmfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

const (
	modemFace = "org.freedesktop.ModemManager1.Modem"
	propsFace = "org.freedesktop.DBus.Properties"
)

// fakeStage is a stage on mmfake with one registered modem.
func fakeStage(t *testing.T, version string) (*stage, *fakeWorld) {
	t.Helper()
	w := &fakeWorld{t: t, f: newFake(t, version)}
	s := setStage(t, w)
	s.registered(t)
	return s, w
}

// calls counts what the client has sent to ModemManager.
func calls(f *mmfake.Fake) int { return len(f.Calls()) }

func TestNothingIsSentWhileModemManagerReports(t *testing.T) {
	s, w := fakeStage(t, "1.24.0")
	s.modem(t, "signal", func(m model.ObservedModem) bool { return level(m.Signal) != 0 })
	before := calls(w.f)
	for i := range 500 {
		w.m.SetRSRP(float64(-60 - i%50))
	}
	w.m.LoseNetwork(false, 0)
	w.m.FindNetwork(true)
	s.modem(t, "roaming", func(m model.ObservedModem) bool { return m.Registration == "roaming" })
	require.Equal(t, before, calls(w.f))
}

func TestBearersAreNeverTouched(t *testing.T) {
	s, w := fakeStage(t, "1.24.0")
	require.NoError(t, w.m.Connect())
	m := s.modem(t, "connected modem", func(m model.ObservedModem) bool { return m.State == "connected" && len(m.Bearers) == 1 })
	require.Equal(t, "wwan9", m.Bearers[0].Interface)
	require.True(t, m.Bearers[0].Connected)
	w.m.Disconnect()
	s.modem(t, "registered modem without a bearer", func(m model.ObservedModem) bool { return m.State == "registered" && len(m.Bearers) == 0 })
	for _, c := range w.f.Calls() {
		require.NotContains(t, c.Method, "Bearer.")
		require.NotContains(t, c.Method, "Simple.")
		require.NotContains(t, c.Method, "CreateBearer")
	}
}

func TestVersionsShowWhatTheyHave(t *testing.T) {
	for version, want := range map[string]string{"1.20.4": "", "1.22.0": "", "1.24.0": "roaming not allowed in this area"} {
		t.Run(version, func(t *testing.T) {
			s, w := fakeStage(t, version)
			w.m.LoseNetwork(true, 13)
			m := s.modem(t, "denied", func(m model.ObservedModem) bool { return m.Registration == "denied" && m.RejectCause == want })
			require.Equal(t, s.device(), m.Physdev, "1.20 has no Physdev, but Device is a sysfs path there")
		})
	}
}

func TestSlots(t *testing.T) {
	f := newFake(t, "1.24.0")
	w := &fakeWorld{t: t, f: f}
	s := setStage(t, w)
	spec := fakeSpec
	spec.Slots, spec.Card = 2, &mmfake.Card{ICCID: iccid1, IMSI: "001010123456789"}
	w.m = f.Plug(spec)
	w.m.InsertSIMInto(2, mmfake.Card{ICCID: iccid2, IMSI: imsi2})
	first := s.modem(t, "two cards", func(m model.ObservedModem) bool { return m.PrimarySlot == 1 && len(m.Slots) == 2 && m.Slots[1] != nil })
	require.Equal(t, model.ICCID(iccid2), first.Slots[1].ICCID)
	require.False(t, first.Slots[1].Active)
	require.NoError(t, s.client.SetPrimarySimSlot(t.Context(), s.device(), 2))
	second := s.anew(t, first, "second slot", func(m model.ObservedModem) bool { return m.PrimarySlot == 2 && m.SIM != nil })
	require.Equal(t, model.ICCID(iccid2), second.SIM.ICCID)
	require.ErrorIs(t, s.client.SetPrimarySimSlot(t.Context(), s.device(), 3), mm.ErrUnsupported)
	require.ErrorIs(t, s.client.SetPrimarySimSlot(t.Context(), s.device(), 0), mm.ErrUnsupported)
}

func TestPowerState(t *testing.T) {
	for version, want := range map[string]error{"1.20.4": mm.ErrWrongState, "1.24.0": nil} {
		s, _ := fakeStage(t, version)
		require.ErrorIs(t, s.client.SetPowerState(t.Context(), s.device(), mm.PowerLow), want, version)
	}
}

// A modem that restarts while it is inhibited, as a soft reset makes it do, may be
// given back before it is there again (mm-base-manager.c looks among the
// inhibitions, not among the devices).
func TestInhibitionIsLiftedWhileTheModemRestarts(t *testing.T) {
	s, w := fakeStage(t, "1.24.0")
	before := s.modem(t, "modem", func(model.ObservedModem) bool { return true })
	require.NoError(t, s.client.Inhibit(t.Context(), s.device()))
	s.gone(t, "inhibited modem")
	w.m.Unplug()
	require.NoError(t, s.client.Uninhibit(t.Context(), s.device()))
	w.m.Plug()
	s.anew(t, before, "restarted modem", inState("disabled"))
}

func TestVerbErrors(t *testing.T) {
	const prefix = "org.freedesktop.ModemManager1.Error."
	s, w := fakeStage(t, "1.24.0")
	for name, want := range map[string]error{
		prefix + "Core.Unsupported": mm.ErrUnsupported, prefix + "Core.WrongState": mm.ErrWrongState, prefix + "Core.InProgress": mm.ErrBusy,
		prefix + "Core.Unauthorized": mm.ErrRefused, prefix + "Serial.ResponseTimeout": mm.ErrTimeout, prefix + "MobileEquipment.SimNotInserted": mm.ErrNoSIM,
		"org.freedesktop.DBus.Error.AccessDenied": mm.ErrRefused, "org.freedesktop.DBus.Error.NoReply": mm.ErrDown,
	} {
		w.f.Fail(modemFace+".Reset", name, "because")
		err := s.client.Reset(t.Context(), s.device())
		require.ErrorIs(t, err, want)
		require.ErrorContains(t, err, "because")
	}
}

func TestPINIsNeverInAnError(t *testing.T) {
	const sendPin = "org.freedesktop.ModemManager1.Sim.SendPin"
	s, w := fakeStage(t, "1.24.0")
	w.insertSIM(iccid2, imsi2, "4711")
	s.modem(t, "locked modem", lockedWith(3))
	for _, name := range []string{"MobileEquipment.IncorrectPassword", "Core.Failed"} {
		w.f.Fail(sendPin, "org.freedesktop.ModemManager1.Error."+name, "the modem said: AT+CPIN=4711 failed")
		err := s.client.SendPIN(t.Context(), s.device(), "4711")
		require.Error(t, err)
		require.NotContains(t, err.Error(), "4711")
		require.Equal(t, name == "MobileEquipment.IncorrectPassword", errors.Is(err, mm.ErrWrongPIN))
	}
	require.Equal(t, 3, w.tries())
}

func TestPINIsNotSentWhileTheTriesAreUnknown(t *testing.T) {
	s, w := fakeStage(t, "1.24.0")
	w.insertSIM(iccid2, imsi2, "4711")
	locked := s.modem(t, "locked modem", lockedWith(3))
	w.f.Override(locked.Path, modemFace, "UnlockRetries", map[uint32]uint32{})
	require.ErrorIs(t, s.client.SendPIN(t.Context(), s.device(), "4711"), mm.ErrTriesUnknown)
	w.f.Override(locked.Path, modemFace, "UnlockRetries", map[uint32]uint32{4: 10})
	require.ErrorIs(t, s.client.SendPIN(t.Context(), s.device(), "4711"), mm.ErrTriesUnknown)
}

func TestHostileSignalsAreIgnored(t *testing.T) {
	s, w := fakeStage(t, "1.24.0")
	before := s.modem(t, "registered modem", inState("registered"))
	v := func(x any) dbus.Variant { return dbus.MakeVariant(x) }
	for _, body := range [][]any{
		{}, {"x"}, {modemFace, "x", []string{}}, {modemFace, map[string]string{"Junk": "8"}, []string{}}, {uint32(1), uint32(2), uint32(3)},
	} {
		w.f.Emit(before.Path, propsFace, "PropertiesChanged", body...)
		w.f.Emit("/org/freedesktop/ModemManager1", "org.freedesktop.DBus.ObjectManager", "InterfacesAdded", body...)
		w.f.Emit("/org/freedesktop/ModemManager1", "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved", body...)
	}
	// StateChanged arrives nested and out of order; only the property counts.
	w.f.Emit(before.Path, modemFace, "StateChanged", int32(6), int32(4), uint32(1))
	w.f.Emit(before.Path, modemFace, "StateChanged", int32(5), int32(6), uint32(1))
	// Values of other types than they should be are taken for missing.
	w.f.Emit(before.Path, propsFace, "PropertiesChanged", modemFace, map[string]dbus.Variant{
		"Ports": v("none"), "SignalQuality": v([]string{"1"}), "UnlockRetries": v(uint32(3)), "Bearers": v([]dbus.ObjectPath{"/", "/org/freedesktop/Other/1"}),
		"Revision": v("last"),
	}, []string{"HardwareRevision"})
	w.f.Emit(before.Path, propsFace, "PropertiesChanged", modemFace+".Signal", map[string]dbus.Variant{
		"Lte": v(map[string]dbus.Variant{"rsrp": v(math.NaN()), "rssi": v("x"), "snr": v(1e300)}),
	}, []string{})
	after := s.modem(t, "last signal", func(m model.ObservedModem) bool { return m.Revision == "last" && m.Signals == nil })
	require.Equal(t, "registered", after.State)
	require.Empty(t, after.Ports)
	require.Nil(t, after.Signal.Quality)
	require.Len(t, after.Bearers, 2)
}

func TestRemovalInPieces(t *testing.T) {
	s, w := fakeStage(t, "1.24.0")
	w.f.Piecemeal(true)
	before := s.modem(t, "registered modem", inState("registered"))
	w.unplug()
	s.gone(t, "unplugged modem")
	w.plug()
	s.anew(t, before, "modem again", inState("disabled"))
}

func TestModemManagerStartsLater(t *testing.T) {
	w := &fakeWorld{t: t, f: newFake(t, "1.24.0")}
	w.killMM()
	w.plug()
	rec := &recorder{t: t, log: w.log, pic: picture{modems: map[string]model.ObservedModem{}}, changed: make(chan struct{})}
	opts := w.options()
	opts.Events = rec.event
	run(t, mm.New(opts))
	rec.wait(t, "word that it is not running", func(p picture) bool { return p.service.Reason == "ModemManager is not running" })
	w.startMM()
	rec.wait(t, "modem", func(p picture) bool { return p.service.Up && len(p.modems) == 1 })
}

func TestNoBusAtFirst(t *testing.T) {
	f := mmfake.New(mmfake.Options{})
	socket := filepath.Join(shortDir(t), "bus")
	rec := &recorder{t: t, log: f.String, pic: picture{modems: map[string]model.ObservedModem{}}, changed: make(chan struct{})}
	c := mm.New(mm.Options{Address: "unix:path=" + socket, Events: rec.event})
	require.ErrorIs(t, c.Reset(t.Context(), "/sys/x"), mm.ErrDown)
	require.ErrorIs(t, c.Inhibit(t.Context(), "/sys/x"), mm.ErrDown)
	require.NoError(t, c.Uninhibit(t.Context(), "/sys/x"))
	run(t, c)
	rec.wait(t, "word that there is no bus", func(p picture) bool { return !p.service.Up && p.service.Reason != "" })
	require.NoError(t, f.Listen(socket))
	t.Cleanup(f.Close)
	rec.wait(t, "ModemManager", func(p picture) bool { return p.service.Up })
}

func TestUSBFacts(t *testing.T) {
	sys := t.TempDir()
	dev := filepath.Join(sys, "devices/platform/usb2/2-1")
	port := filepath.Join(dev, "2-1:1.0/tty/ttyACM0")
	require.NoError(t, os.MkdirAll(port, 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(sys, "class/tty"), 0o755))
	require.NoError(t, os.Symlink(port, filepath.Join(sys, "class/tty/ttyACM0")))
	for name, text := range map[string]string{"serial": "ABC123\n", "idVendor": "2cb7\n", "idProduct": "0007\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(dev, name), []byte(text), 0o644))
	}
	for what, device := range map[string]string{"path": "/sys/devices/platform/usb2/2-1", "uid of a udev rule": "my-modem"} {
		t.Run(what, func(t *testing.T) {
			f := newFake(t, "1.20.4")
			rec := &recorder{t: t, log: f.String, pic: picture{modems: map[string]model.ObservedModem{}}, changed: make(chan struct{})}
			run(t, mm.New(mm.Options{Address: f.Address(), Sysfs: sys, Events: rec.event}))
			spec := fakeSpec
			spec.Device = device
			f.Plug(spec)
			rec.wait(t, "modem", func(p picture) bool { return len(p.modems) == 1 })
			m := rec.pic.modems["/org/freedesktop/ModemManager1/Modem/0"]
			require.Equal(t, []string{device, "/sys/devices/platform/usb2/2-1", "2-1", "ABC123", "2cb7", "0007"},
				[]string{m.Device, m.Physdev, m.USBPath, m.Serial, m.VendorID, m.ProductID})
		})
	}
}

// TestStopInTheMiddle stops a client, a hundred times, while calls of every
// kind are under way, and looks for what stays behind.
func TestStopInTheMiddle(t *testing.T) {
	before, files := goleak.IgnoreCurrent(), openFiles(t)
	f := newFake(t, "1.24.0")
	spec := fakeSpec
	spec.Card = &mmfake.Card{ICCID: iccid1, IMSI: "001010123456789"}
	m := f.Plug(spec)
	hangs := []string{modemFace + ".Reset", propsFace + ".GetAll", "org.freedesktop.DBus.ObjectManager.GetManagedObjects", "org.freedesktop.ModemManager1.InhibitDevice"}
	for i := range 100 {
		stopInTheMiddle(t, f, m, hangs[i%len(hangs)], i)
	}
	f.Close()
	goleak.VerifyNone(t, before)
	require.Eventually(t, func() bool { return openFiles(t) <= files }, bound, 10*time.Millisecond, "files left open: %d before, %d after", files, openFiles(t))
}

func stopInTheMiddle(t *testing.T, f *mmfake.Fake, m *mmfake.Modem, hang string, round int) {
	t.Helper()
	rec := &recorder{t: t, log: f.String, pic: picture{modems: map[string]model.ObservedModem{}}, changed: make(chan struct{})}
	c := mm.New(mm.Options{Address: f.Address(), Events: rec.event})
	duringRun := hang == propsFace+".GetAll" || hang == "org.freedesktop.DBus.ObjectManager.GetManagedObjects"
	f.Hang(hang, duringRun)
	ctx, cancel := context.WithCancel(context.Background())
	ran, called := make(chan error, 1), make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	if duringRun {
		called <- nil
	} else {
		rec.wait(t, "modem", func(p picture) bool { return len(p.modems) == 1 })
		f.Hang(hang, true)
		verb := c.Reset
		if hang == "org.freedesktop.ModemManager1.InhibitDevice" {
			verb = c.Inhibit
		}
		go func() { called <- verb(ctx, fakeSpec.Device) }()
	}
	require.Eventually(t, func() bool { return f.Hanging() > 0 }, bound, time.Millisecond)
	switch round / 4 % 3 {
	case 0: // the client stops
	case 1: // ModemManager dies under it
		f.KillMM()
		f.StartMM()
	case 2: // the bus dies under it
		f.KillBus()
		require.NoError(t, f.StartBus())
		f.StartMM()
	}
	f.Hang(hang, false)
	cancel()
	require.NoError(t, <-ran)
	if err := <-called; err == nil && !duringRun {
		t.Fatal("a call that was never answered succeeded")
	}
	// The fake has seen it go once the modem can be driven again.
	m.SetRSRP(float64(-70 - round%10))
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(files)
}

func Example_fake() {
	f := mmfake.New(mmfake.Options{Version: "1.24.0"})
	dir, err := os.MkdirTemp("", "mm")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	if err := f.Listen(filepath.Join(dir, "bus")); err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	m := f.Plug(mmfake.Spec{Device: "/sys/devices/usb2/2-1", Model: "L850-GL", IMEI: "015550000000002"})
	fmt.Print(f)
	m.InsertSIM(mmfake.Card{ICCID: iccid1, IMSI: "001010123456789"})
	fmt.Print(f)
	f.KillMM()
	fmt.Print(f)
	// Output:
	// bus up, ModemManager 1.24.0
	//   L850-GL at /sys/devices/usb2/2-1: Modem/0 failed, no card, registration 1, -80 dBm
	// bus up, ModemManager 1.24.0
	//   L850-GL at /sys/devices/usb2/2-1: Modem/1 disabled, card …3450, registration 1, -80 dBm
	// bus up, ModemManager down
	//   L850-GL at /sys/devices/usb2/2-1: not shown, card …3450, registration 1, -80 dBm
}
