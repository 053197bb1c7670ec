package at_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/at"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// want is what a profile's modem must be found to be.
type want struct {
	usb        at.USBID
	port       int // interface of the AT port
	model      string
	rsrp, sinr float64 // NaN-free: 0 means not measured
	rssi       float64
	reset      string
	slot       int // 0: no slot commands
	slotTwo    string
	hotSwap    string
}

// TestProfiles plays every vendor's modem and asks it everything.
func TestProfiles(t *testing.T) {
	for name, w := range map[string]want{
		"generic":       {port: 0, model: "A1", rsrp: -95, rssi: -73, reset: "+CFUN=1,1"},
		"fibocom-fm350": {usb: at.USBID{Vendor: 0x0e8d, Product: 0x7127}, port: 6, model: "FM350-GL", rsrp: -86, sinr: 11, reset: "+CFUN=15", slot: 1, slotTwo: "+GTDUALSIM=1", hotSwap: "+MSMPD=1"},
		"fibocom-l850":  {usb: at.USBID{Vendor: 0x2cb7, Product: 0x0007}, port: 2, model: "L850-GL", rsrp: -95, sinr: 16, rssi: -73, reset: "+CFUN=15", hotSwap: "+MSMPD=1"},
		"quectel-5g":    {usb: at.USBID{Vendor: 0x2c7c, Product: 0x0801}, port: 2, model: "RM520N-GL", rsrp: -85, sinr: 18, rssi: -52, reset: "+CFUN=1,1", slot: 1, slotTwo: "+QUIMSLOT=2", hotSwap: "+QSIMDET=1,1"},
		"quectel-lte":   {usb: at.USBID{Vendor: 0x2c7c, Product: 0x0125}, port: 2, model: "EG25", rsrp: -81, sinr: 19, rssi: -52, reset: "+CFUN=1,1", hotSwap: "+QSIMDET=1,0"},
		"sierra-em91":   {usb: at.USBID{Vendor: 0x1199, Product: 0x90d3}, port: 3, model: "EM9191", rsrp: -87, sinr: 14.2, rssi: -55, reset: "!RESET", slot: 1, slotTwo: "!UIMS=1"},
		"sierra-lte":    {usb: at.USBID{Vendor: 0x1199, Product: 0x9091}, port: 3, model: "EM7565", rsrp: -87, sinr: 23.8, rssi: -55, reset: "!RESET", slot: 1, slotTwo: "!UIMS=1"},
	} {
		t.Run(name, func(t *testing.T) { askEverything(t, name, w) })
	}
	for _, p := range at.Profiles() {
		require.NotEmpty(t, p.Source, p.Name)
	}
}

func askEverything(t *testing.T, name string, w want) {
	b := newBench(t, name)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()

	id, err := at.ReadIdentity(ctx, b.conn)
	require.NoError(t, err)
	require.Equal(t, w.model, id.Model)
	require.NotEmpty(t, id.Manufacturer)
	require.NotEmpty(t, id.Revision)
	require.Equal(t, model.IMEI("490154203237518"), id.IMEI)
	p := at.ProfileFor(id)
	require.Equal(t, name, p.Name, "recognised by +CGMI and +CGMM")
	if w.usb.Vendor != 0 {
		byUSB, ok := at.ProfileForUSB(w.usb)
		require.True(t, ok)
		require.Equal(t, name, byUSB.Name, "recognised by its USB identity")
		require.Equal(t, w.port, p.Interfaces[0])
	}

	s, err := at.ReadSignal(ctx, b.conn, p)
	require.NoError(t, err)
	near(t, "rsrp", w.rsrp, s.RSRP)
	near(t, "sinr", w.sinr, s.SINR)
	near(t, "rssi", w.rssi, s.RSSI)

	sim, err := at.ReadSIM(ctx, b.conn, p)
	require.NoError(t, err)
	require.Equal(t, at.SIM{State: at.SIMReady, ICCID: "8988211000000000013", IMSI: "001010123456789"}, sim)

	fun, err := at.Functionality(ctx, b.conn)
	require.NoError(t, err)
	require.Equal(t, 1, fun)
	require.NoError(t, at.SetFunctionality(ctx, b.conn, 4))
	fun, err = at.Functionality(ctx, b.conn)
	require.NoError(t, err)
	require.Equal(t, 4, fun)
	require.ErrorIs(t, at.SetFunctionality(ctx, b.conn, 15), at.ErrUnsupported)

	ps, err := at.ReadPowerSaving(ctx, b.conn)
	require.NoError(t, err)
	require.Equal(t, at.PowerSaving{PSMKnown: true, EDRXKnown: true, TAUPeriod: 2 * time.Second, ActiveTime: 10 * time.Second}, ps)

	slots(ctx, t, b, p, w)
	require.NoError(t, at.Reset(ctx, b.conn, p))
	require.Contains(t, b.modem.Received(), w.reset)
}

func slots(ctx context.Context, t *testing.T, b *bench, p at.Profile, w want) {
	t.Helper()
	slot, err := at.Slot(ctx, b.conn, p)
	if w.slot == 0 {
		require.ErrorIs(t, err, at.ErrUnsupported)
		require.ErrorIs(t, at.SetSlot(ctx, b.conn, p, 1), at.ErrUnsupported)
	} else {
		require.NoError(t, err)
		require.Equal(t, w.slot, slot)
		require.NoError(t, at.SetSlot(ctx, b.conn, p, 2))
		require.Contains(t, b.modem.Received(), w.slotTwo)
		slot, err = at.Slot(ctx, b.conn, p)
		require.NoError(t, err)
		require.Equal(t, 2, slot)
		require.ErrorIs(t, at.SetSlot(ctx, b.conn, p, 3), at.ErrUnsupported)
	}
	err = at.SetHotSwap(ctx, b.conn, p, true)
	if w.hotSwap == "" {
		require.ErrorIs(t, err, at.ErrUnsupported)
		return
	}
	require.NoError(t, err)
	require.Contains(t, b.modem.Received(), w.hotSwap)
	sent := len(b.modem.Received())
	require.NoError(t, at.SetHotSwap(ctx, b.conn, p, true))
	require.Len(t, b.modem.Received(), sent+1, "only asked: it is on already")
}

func near(t *testing.T, what string, want float64, got *float64) {
	t.Helper()
	if want == 0 {
		require.Nil(t, got, what)
		return
	}
	require.NotNil(t, got, what)
	require.InDelta(t, want, *got, 1e-6, what)
}

func TestSIMStates(t *testing.T) {
	b := newBench(t, "generic")
	for _, c := range []struct {
		answer string
		want   at.SIM
	}{
		{"+CME ERROR: 10", at.SIM{State: at.SIMAbsent}},
		{"+CME ERROR: 13", at.SIM{State: at.SIMFailure}},
		{"+CME ERROR: 14", at.SIM{State: at.SIMBusy}},
		{"+CPIN: NOT INSERTED", at.SIM{State: at.SIMAbsent}},
		{"+CPIN: SIM PIN", at.SIM{State: at.SIMPIN, Code: "SIM PIN", ICCID: "8988211000000000013"}},
		{"+CME ERROR: 12", at.SIM{State: at.SIMPUK, Code: "SIM PUK", ICCID: "8988211000000000013"}},
		{"+CPIN: PH-NET PIN", at.SIM{State: at.SIMLocked, Code: "PH-NET PIN", ICCID: "8988211000000000013"}},
	} {
		lines := []string{c.answer, "OK"}
		if c.answer[:5] != "+CPIN" {
			lines = lines[:1]
		}
		b.modem.Set("+CPIN?", lines...)
		got, err := at.ReadSIM(context.Background(), b.conn, at.Generic())
		require.NoError(t, err, c.answer)
		require.Equal(t, c.want, got, c.answer)
	}
	b.modem.Set("+CPIN?", "+CME ERROR: 100")
	_, err := at.ReadSIM(context.Background(), b.conn, at.Generic())
	require.ErrorContains(t, err, "unknown error")
}

func TestPowerSavingIsFound(t *testing.T) {
	b := newBench(t, "generic")
	b.modem.Set("+CPSMS?", `+CPSMS: 1,,,"00100100","00100011"`, "OK")
	b.modem.Set("+CEDRXS?", `+CEDRXS: 4,"0101"`, "OK")
	ps, err := at.ReadPowerSaving(context.Background(), b.conn)
	require.NoError(t, err)
	require.Equal(t, at.PowerSaving{PSM: true, EDRX: true, PSMKnown: true, EDRXKnown: true, TAUPeriod: 4 * time.Hour, ActiveTime: 3 * time.Minute}, ps)
	b.modem.Set("+CPSMS?", "+CME ERROR: 4")
	b.modem.Set("+CEDRXS?", "ERROR")
	ps, err = at.ReadPowerSaving(context.Background(), b.conn)
	require.NoError(t, err)
	require.Equal(t, at.PowerSaving{}, ps, "unknown, not off")
}

func TestResetThatTakesThePortAway(t *testing.T) {
	b := newBench(t, "sierra-lte")
	b.modem.Hold("!RESET")
	done := make(chan error, 1)
	p, _ := at.ProfileForUSB(at.USBID{Vendor: 0x1199, Product: 0x9091})
	go func() { done <- at.Reset(context.Background(), b.conn, p) }()
	waitFor(t, func() bool { return count(b.modem.Received(), "!RESET") == 1 })
	b.modem.Unplug()
	require.NoError(t, <-done)
}

// sysTree lays out ports as sysfs has them.
func sysTree(t *testing.T, ports ...at.PortInfo) string {
	t.Helper()
	root := t.TempDir()
	put := func(path, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text+"\n"), 0o644))
	}
	hex := func(n uint16) string { return strconv.FormatUint(uint64(n)+0x10000, 16)[1:] }
	for _, p := range ports {
		dev := filepath.Join(root, "devices/usb2", p.USBPath)
		face := filepath.Join(dev, p.USBPath+":1."+strconv.Itoa(p.Interface))
		put(filepath.Join(dev, "idVendor"), hex(p.USB.Vendor))
		put(filepath.Join(dev, "idProduct"), hex(p.USB.Product))
		put(filepath.Join(dev, "serial"), p.Serial)
		put(filepath.Join(face, "bInterfaceNumber"), strconv.FormatInt(int64(p.Interface)+0x100, 16)[1:])
		name := filepath.Base(p.Path)
		target := face
		if name[:6] == "ttyUSB" { // usb-serial puts a port in between
			target = filepath.Join(face, name)
			require.NoError(t, os.MkdirAll(target, 0o755))
		}
		require.NoError(t, os.MkdirAll(filepath.Join(root, "class/tty", name), 0o755))
		require.NoError(t, os.Symlink(target, filepath.Join(root, "class/tty", name, "device")))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(root, "class/tty/ptmx"), 0o755)) // no device
	return root
}

func TestPortsAreChosenByProfile(t *testing.T) {
	quectel, l850, fm350, other := at.USBID{Vendor: 0x2c7c, Product: 0x0125}, at.USBID{Vendor: 0x2cb7, Product: 0x0007}, at.USBID{Vendor: 0x0e8d, Product: 0x7127}, at.USBID{Vendor: 1, Product: 2}
	var tree []at.PortInfo
	for i := range 4 {
		tree = append(tree, at.PortInfo{Path: "/dev/ttyUSB" + strconv.Itoa(i), USBPath: "2-1", USB: quectel, Interface: i, Serial: "q"})
	}
	for i, n := range []int{2, 4, 6} {
		tree = append(tree, at.PortInfo{Path: "/dev/ttyACM" + strconv.Itoa(i), USBPath: "2-2", USB: l850, Interface: n})
	}
	for i, n := range []int{2, 3, 4, 6, 7, 8, 9} {
		tree = append(tree, at.PortInfo{Path: "/dev/ttyUSB" + strconv.Itoa(10+i), USBPath: "2-3", USB: fm350, Interface: n})
	}
	tree = append(tree, at.PortInfo{Path: "/dev/ttyUSB30", USBPath: "2-4", USB: other, Interface: 0})
	all, err := at.Ports(sysTree(t, tree...))
	require.NoError(t, err)
	require.Equal(t, tree, all)
	for _, c := range []struct {
		usbPath, profile string
		want             []string
	}{
		{"2-1", "quectel-lte", []string{"/dev/ttyUSB2", "/dev/ttyUSB3"}},
		{"2-2", "fibocom-l850", []string{"/dev/ttyACM0", "/dev/ttyACM2"}},
		{"2-3", "fibocom-fm350", []string{"/dev/ttyUSB13"}},
		{"2-4", "generic", []string{"/dev/ttyUSB30"}},
		{"9-9", "generic", nil},
	} {
		got, p := at.ATPorts(all, c.usbPath)
		var paths []string
		for _, g := range got {
			paths = append(paths, g.Path)
		}
		require.Equal(t, c.want, paths, c.usbPath)
		require.Equal(t, c.profile, p.Name)
	}
	_, err = at.Ports(t.TempDir())
	require.Error(t, err)
}

func TestUsersOfAPort(t *testing.T) {
	dir := t.TempDir()
	port, link := filepath.Join(dir, "ttyUSB2"), filepath.Join(dir, "modem")
	require.NoError(t, os.WriteFile(port, nil, 0o600))
	require.NoError(t, os.Symlink(port, link))
	proc := t.TempDir()
	for pid, to := range map[string]string{"4711": port, "4712": "/dev/null", "self": port} {
		require.NoError(t, os.MkdirAll(filepath.Join(proc, pid, "fd"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(proc, pid, "comm"), []byte("sms_tool\n"), 0o644))
		require.NoError(t, os.Symlink(to, filepath.Join(proc, pid, "fd", "3")))
	}
	users, err := at.Users(proc, link)
	require.NoError(t, err)
	require.Equal(t, []at.User{{PID: 4711, Name: "sms_tool"}}, users)
	_, err = at.Users(proc, filepath.Join(dir, "gone"))
	require.ErrorIs(t, err, os.ErrNotExist)

	// The real proc: nobody but this test has the file open.
	f, err := os.Open(port)
	require.NoError(t, err)
	defer f.Close()
	users, err = at.Users("/proc", port)
	require.NoError(t, err)
	require.Empty(t, users)
}

func TestFakePrintsItself(t *testing.T) {
	b := newBench(t, "quectel-5g")
	b.modem.Hang(true)
	require.Equal(t, "modem RM520N-GL: plugged in, hung, 3 commands, last +CMEE=1, 0 answers kept back", b.modem.String())
	b.modem.Unplug()
	require.Contains(t, b.modem.String(), "unplugged")
}
