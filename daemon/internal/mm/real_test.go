package mm_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/inventory"
	"github.com/terminills/remsim-openwrt/daemon/internal/mm"
	"github.com/terminills/remsim-openwrt/daemon/internal/mm/mmrig"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// TestRealBearerIsSeen: netifd (here: the rig) connects and disconnects over
// MBIM; we see it, with its interface and no part in it.
func TestRealBearerIsSeen(t *testing.T) {
	t.Parallel()
	w := realDevices(t, mmrig.L850(), mmrig.FM350(), true).(*realWorld)
	s := setStage(t, w)
	m := s.registered(t)
	path := dbus.ObjectPath(m.Path)
	require.NoError(t, w.r.Call(path, modemFace+".Simple.Connect", map[string]dbus.Variant{"apn": dbus.MakeVariant("internet")}).Err, w.log())
	m = s.modem(t, "connected modem", func(m model.ObservedModem) bool {
		return m.State == "connected" && len(m.Bearers) == 1 && m.Bearers[0].Connected
	})
	require.Equal(t, "wwan9", m.Bearers[0].Interface)
	require.Equal(t, "internet", w.m.APN())
	require.NoError(t, w.r.Call(path, modemFace+".Simple.Disconnect", dbus.ObjectPath("/")).Err)
	s.modem(t, "registered modem", func(m model.ObservedModem) bool {
		return m.State == "registered" && (len(m.Bearers) == 0 || !m.Bearers[0].Connected)
	})
}

// TestRealTwoModemsKeepTheirNames: both modems at once, told apart by inventory
// through unplugging and a restart of ModemManager.
func TestRealTwoModemsKeepTheirNames(t *testing.T) {
	t.Parallel()
	w := realDevices(t, mmrig.L850(), mmrig.FM350(), true).(*realWorld)
	fm350 := w.others[0]
	s := setStage(t, w)
	s.plug()
	entries := []inventory.Entry{
		{Name: "iot", By: inventory.ByUSB, Value: "2-1"}, {Name: "primary", By: inventory.ByDev, Value: "/dev/wwan8mbim0"},
		{Name: "also", By: inventory.BySerial, Value: mmrig.L850().Serial},
	}
	var memory inventory.Memory
	both := func(what string) {
		t.Helper()
		s.rec.wait(t, what, func(p picture) bool {
			seen := []model.ObservedModem{}
			for _, m := range p.modems {
				seen = append(seen, m)
			}
			r := inventory.Match(entries, seen, memory)
			memory = r.Memory
			iot, primary := r.Assigned["iot"], r.Assigned["primary"]
			return iot.IMEI == model.IMEI(mmrig.L850().IMEI) && primary.IMEI == model.IMEI(mmrig.FM350().IMEI) && primary.VendorID == "14c3" && iot.ProductID == "0007"
		})
	}
	both("both modems")
	w.r.Unplug(fm350)
	s.rec.wait(t, "one modem", func(p picture) bool { return len(p.modems) == 1 })
	w.r.Plug(fm350)
	both("both modems after a re-plug")
	w.killMM()
	s.rec.wait(t, "none", func(p picture) bool { return len(p.modems) == 0 })
	w.startMM()
	both("both modems of the new ModemManager")
}

// TestRealMuteModem: a modem that answers nothing holds up nobody for longer
// than the caller allows.
func TestRealMuteModem(t *testing.T) {
	t.Parallel()
	w := &realWorld{r: mmrig.Start(t), m: mmrig.NewModem(mmrig.Virtual("v"))}
	s := setStage(t, w)
	s.plug()
	s.modem(t, "disabled modem", inState("disabled"))
	w.m.Mute(true)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	require.ErrorIs(t, s.client.Enable(ctx, s.device()), mm.ErrTimeout)
	s.modem(t, "modem being enabled", inState("enabling"))
}

// TestRealNothingIsSentWhenIdle listens to the whole bus while ModemManager
// reads the signal three times: the only calls are others'.
func TestRealNothingIsSentWhenIdle(t *testing.T) {
	t.Parallel()
	w := &realWorld{r: mmrig.Start(t), m: mmrig.NewModem(mmrig.Virtual("v"))}
	s := setStage(t, w)
	s.registered(t)
	s.modem(t, "signal", func(m model.ObservedModem) bool { return level(m.Signal) != 0 })
	conn, err := dbus.Connect(w.r.Address())
	require.NoError(t, err)
	defer func() {
		conn.Eavesdrop(nil) // Close would close the channel under a message that comes just then
		_ = conn.Close()
	}()
	messages := make(chan *dbus.Message, 1000)
	conn.Eavesdrop(messages)
	// BecomeMonitor has no reply to wait for: from then on all is eavesdropped.
	conn.BusObject().Go("org.freedesktop.DBus.Monitoring.BecomeMonitor", dbus.FlagNoReplyExpected, nil, []string{}, uint32(0))
	signals := 0
	for _, rsrp := range []int{-100, -90, -70} {
		w.setRSRP(rsrp)
		s.modem(t, "new signal", func(m model.ObservedModem) bool { return level(m.Signal) == float64(rsrp) })
	}
	for len(messages) > 0 {
		m := <-messages
		switch m.Type {
		case dbus.TypeSignal:
			signals++
		case dbus.TypeMethodCall:
			t.Errorf("call while idle: %v", m)
		}
	}
	require.NotZero(t, signals, "nothing was overheard")
}

// TestRealSignalAfterDisabling: netifd disables a modem when its interface goes
// down; the readings must go on when it is enabled again.
func TestRealSignalAfterDisabling(t *testing.T) {
	for name, build := range worlds {
		if strings.HasPrefix(name, "fake") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := build(t).(*realWorld)
			s := setStage(t, w)
			m := s.registered(t)
			s.modem(t, "signal", func(m model.ObservedModem) bool { return level(m.Signal) != 0 })
			require.NoError(t, w.r.Call(dbus.ObjectPath(m.Path), modemFace+".Enable", false).Err)
			s.modem(t, "disabled modem", inState("disabled"))
			w.setRSRP(-105)
			s.enable(t)
			s.modem(t, "the new signal", func(m model.ObservedModem) bool { return level(m.Signal) < -100 })
		})
	}
}
