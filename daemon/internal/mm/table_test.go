package mm_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/mm"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// table is run in every world: the fake as three versions of ModemManager, and
// the real one with AT and with MBIM modems.
var table = map[string]func(t *testing.T, s *stage){
	"discovery":                                discovery,
	"signal changes":                           signalChanges,
	"registration is lost and found":           registrationLost,
	"card out and another in":                  cardOutAndIn,
	"PIN lock, never the last try":             pinLock,
	"inhibited and given back":                 inhibited,
	"reset brings it back under a new number":  reset,
	"unplugged and plugged again":              replugged,
	"ModemManager killed and started":          killed,
	"bus killed and started":                   busKilled,
	"inhibition outlives ModemManager's death": inhibitionHolds,
}

func TestTable(t *testing.T) {
	for name, build := range worlds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, play := range table {
				t.Run(what, func(t *testing.T) {
					play(t, setStage(t, build(t)))
				})
			}
		})
	}
}

func discovery(t *testing.T, s *stage) {
	s.plug()
	m := s.modem(t, "disabled modem", inState("disabled"))
	require.Equal(t, s.device(), m.Device)
	require.Equal(t, s.usbPath(), m.USBPath)
	require.Equal(t, model.IMEI(s.imei()), m.IMEI)
	require.Equal(t, s.model(), m.Model)
	require.NotEmpty(t, m.Revision)
	require.NotEmpty(t, m.Plugin)
	require.NotEmpty(t, m.Ports)
	require.NotEmpty(t, m.Primary)
	require.NotEmpty(t, m.Drivers)
	require.NotNil(t, m.SIM)
	require.Equal(t, model.ICCID(iccid1), m.SIM.ICCID)
	require.Equal(t, model.IMSI("001010123456789"), m.SIM.IMSI)
	require.Empty(t, m.Lock)
	require.Equal(t, 3, m.Retries["sim-pin"])
	require.Empty(t, m.Bearers)

	m = s.enable(t)
	require.NotEmpty(t, m.OperatorName)
	s.modem(t, "LTE", func(m model.ObservedModem) bool { return m.AccessTechnology == "lte" })
	require.Contains(t, s.rec.pic.service.Version, "1.2")
}

// level is RSRP as far as it can be told: 1.20 reads only RSSI over MBIM.
func level(s model.Signal) float64 {
	switch {
	case s.RSRP != nil:
		return *s.RSRP
	case s.RSSI != nil:
		return *s.RSSI - 20
	}
	return 0
}

func signalChanges(t *testing.T, s *stage) {
	s.registered(t)
	s.modem(t, "first signal", func(m model.ObservedModem) bool {
		return m.Signal.Quality != nil && level(m.Signal) < -70 && level(m.Signal) > -90
	})
	s.setRSRP(-110)
	s.modem(t, "weak signal", func(m model.ObservedModem) bool { return level(m.Signal) < -100 })
	s.setRSRP(-75)
	s.modem(t, "strong signal", func(m model.ObservedModem) bool { return level(m.Signal) > -85 && level(m.Signal) < -65 })
}

func registrationLost(t *testing.T, s *stage) {
	s.registered(t)
	s.loseNetwork()
	// Over MBIM 1.20 says idle of a modem that searches.
	m := s.modem(t, "no network", func(m model.ObservedModem) bool {
		return (m.Registration == "searching" || m.Registration == "idle") && m.State != "registered" && m.AccessTechnology == ""
	})
	require.Empty(t, m.OperatorCode)
	s.findNetwork()
	s.modem(t, "home again", func(m model.ObservedModem) bool { return m.Registration == "home" && m.State == "registered" })
}

func cardOutAndIn(t *testing.T, s *stage) {
	with := s.registered(t)
	s.removeSIM()
	without := s.anew(t, with, "modem without a card", func(m model.ObservedModem) bool { return m.State == "failed" && m.FailedReason == "sim-missing" })
	require.Nil(t, without.SIM)
	in := time.Now()
	s.insertSIM(iccid2, imsi2, "")
	again := s.anew(t, without, "modem with the other card", inState("disabled"))
	disabled := time.Since(in)
	require.NotNil(t, again.SIM)
	require.Equal(t, model.ICCID(iccid2), again.SIM.ICCID)
	require.Equal(t, model.IMSI(imsi2), again.SIM.IMSI)
	s.enable(t)
	t.Logf("from card in to disabled %v, to registered %v", disabled.Round(time.Millisecond), time.Since(in).Round(time.Millisecond))
	// The readings of the signal went with the old object and must be asked for again.
	s.modem(t, "signal after a reprobe", func(m model.ObservedModem) bool { return level(m.Signal) != 0 })
}

// lockedWith: the tries come a little after the lock.
func lockedWith(tries int) func(model.ObservedModem) bool {
	return func(m model.ObservedModem) bool { return m.State == "locked" && m.Retries["sim-pin"] == tries }
}

func pinLock(t *testing.T, s *stage) {
	s.plug()
	first := s.modem(t, "disabled modem", inState("disabled"))
	s.unplug()
	s.gone(t, "unplugged modem")
	s.insertSIM(iccid2, imsi2, "4711")
	s.plug()
	locked := s.anew(t, first, "locked modem with its tries", lockedWith(3))
	require.Equal(t, "sim-pin", locked.Lock)

	err := s.client.SendPIN(t.Context(), s.device(), "0000")
	require.ErrorIs(t, err, mm.ErrWrongPIN)
	require.NotContains(t, err.Error(), "0000")
	s.modem(t, "two tries left", func(m model.ObservedModem) bool { return m.Retries["sim-pin"] == 2 })
	require.ErrorIs(t, s.client.SendPIN(t.Context(), s.device(), "0001"), mm.ErrWrongPIN)
	s.modem(t, "one try left", func(m model.ObservedModem) bool { return m.Retries["sim-pin"] == 1 })
	require.ErrorIs(t, s.client.SendPIN(t.Context(), s.device(), "4711"), mm.ErrLastTry, "even the right PIN")
	require.Equal(t, 1, s.tries())

	// Somebody else has entered it; the card counts from three again.
	s.unplug()
	s.gone(t, "unplugged modem")
	s.refillTries()
	s.plug()
	locked = s.anew(t, locked, "locked modem", lockedWith(3))
	require.NoError(t, s.client.SendPIN(t.Context(), s.device(), "4711"), s.log())
	open := s.modem(t, "unlocked modem", func(m model.ObservedModem) bool {
		return m.State == "disabled" && m.SIM != nil && m.SIM.ICCID == iccid2
	})
	require.Equal(t, locked.Path, open.Path, "unlocking is no reprobe")
	require.Empty(t, open.Lock)
	require.ErrorIs(t, s.client.SendPIN(t.Context(), s.device(), "4711"), mm.ErrNotLocked)
}

func inhibited(t *testing.T, s *stage) {
	before := s.registered(t)
	require.NoError(t, s.client.Inhibit(t.Context(), s.device()))
	s.gone(t, "inhibited modem")
	require.NoError(t, s.client.Inhibit(t.Context(), s.device()), "a level, not an edge")
	require.ErrorIs(t, s.client.Reset(t.Context(), s.device()), mm.ErrNoModem)
	require.NoError(t, s.client.Uninhibit(t.Context(), s.device()))
	after := s.anew(t, before, "modem after inhibition", inState("disabled"))
	require.Equal(t, before.IMEI, after.IMEI)
	require.ErrorIs(t, s.client.Inhibit(t.Context(), "/sys/devices/none"), mm.ErrNoModem)
}

func reset(t *testing.T, s *stage) {
	before := s.registered(t)
	err := s.client.Reset(t.Context(), s.device())
	if !s.resets() {
		require.ErrorIs(t, err, mm.ErrUnsupported)
		return
	}
	require.NoError(t, err, s.log())
	after := s.anew(t, before, "modem after reset", inState("disabled"))
	require.Equal(t, before.IMEI, after.IMEI)
	require.Equal(t, before.Device, after.Device)
}

func replugged(t *testing.T, s *stage) {
	before := s.registered(t)
	s.unplug()
	s.gone(t, "unplugged modem")
	require.ErrorIs(t, s.client.Enable(t.Context(), s.device()), mm.ErrNoModem)
	s.plug()
	after := s.anew(t, before, "modem plugged again", inState("disabled"))
	require.Equal(t, before.IMEI, after.IMEI)
	require.Equal(t, before.Device, after.Device)
	require.Equal(t, before.Ports, after.Ports)
}

func killed(t *testing.T, s *stage) {
	before := s.registered(t)
	s.killMM()
	s.rec.wait(t, "no ModemManager", func(p picture) bool { return !p.service.Up && len(p.modems) == 0 })
	require.ErrorIs(t, s.client.Reset(t.Context(), s.device()), mm.ErrDown)
	s.startMM()
	s.rec.wait(t, "ModemManager again", func(p picture) bool { return p.service.Up })
	// Numbers start anew, so the path may well be the old one.
	after := s.modem(t, "modem of the new ModemManager", inState("disabled"))
	require.Equal(t, before.IMEI, after.IMEI)
	require.Equal(t, before.Device, after.Device)
	s.enable(t)
	s.modem(t, "signal of the new ModemManager", func(m model.ObservedModem) bool { return level(m.Signal) != 0 })
}

func busKilled(t *testing.T, s *stage) {
	s.registered(t)
	s.killBus()
	s.rec.wait(t, "no bus", func(p picture) bool { return !p.service.Up && len(p.modems) == 0 })
	require.ErrorIs(t, s.client.Enable(t.Context(), s.device()), mm.ErrDown)
	s.startBus()
	s.startMM()
	s.rec.wait(t, "ModemManager again", func(p picture) bool { return p.service.Up })
	s.modem(t, "modem on the new bus", inState("disabled"))
	s.enable(t)
}

func inhibitionHolds(t *testing.T, s *stage) {
	before := s.registered(t)
	require.NoError(t, s.client.Inhibit(t.Context(), s.device()))
	s.gone(t, "inhibited modem")
	s.killMM()
	s.rec.wait(t, "no ModemManager", func(p picture) bool { return !p.service.Up })
	s.startMM()
	s.rec.wait(t, "ModemManager again", func(p picture) bool { return p.service.Up })
	s.gone(t, "modem inhibited again")
	require.NoError(t, s.client.Uninhibit(t.Context(), s.device()))
	after := s.modem(t, "modem after inhibition", inState("disabled"))
	require.Equal(t, before.IMEI, after.IMEI)
}
