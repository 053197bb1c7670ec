package app_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/app"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/gpio/gpiofake"
	"github.com/terminills/remsim-openwrt/daemon/internal/mm/mmfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/netifd/netifdfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// The card that is built into the modem's own slot.
const localICCID = "8988211000000000037"

// Lines of the fake board.
const (
	simLine   = 3
	resetLine = 4
)

// modemWorld is a world with a modem behind ModemManager, a SIM line that puts
// either its local card or the reader's remote card into its slot, and netifd.
type modemWorld struct {
	*world
	mm     *mmfake.Fake
	modem  *mmfake.Modem
	gpio   *gpiofake.Kernel
	netifd *netifdfake.Fake
	chip   string
	// crossed: the SIM line selects a third card, as on a board whose slots are
	// swapped.
	crossed bool
}

var spec = mmfake.Spec{
	Device: "/sys/devices/platform/xhci/usb2/2-1", Maker: "Quectel", Model: "RM520N-GL", Revision: "R03",
	IMEI: "015550000000002", Plugin: "quectel", Drivers: []string{"qmi_wwan", "option"},
	Ports: []model.Port{{Name: "cdc-wdm0", Kind: model.PortQMI}, {Name: "ttyUSB2", Kind: model.PortAT}, {Name: "wwan0", Kind: model.PortNet}},
}

func newModemWorld(t testing.TB) *modemWorld {
	w := &modemWorld{world: newWorld(t)}
	w.mm = mmfake.New(mmfake.Options{Version: "1.24.0"})
	require.NoError(t, w.mm.Listen(filepath.Join(w.dir, "dbus.sock")))
	t.Cleanup(w.mm.Close)
	s := spec
	s.Card = &mmfake.Card{ICCID: localICCID, IMSI: "001010000000001"}
	w.modem = w.mm.Plug(s)
	w.gpio = gpiofake.New()
	w.chip = w.gpio.AddChip("pinctrl", false, gpiofake.Line{Name: "led"}, gpiofake.Line{Name: "wps"}, gpiofake.Line{Name: "spare"},
		gpiofake.Line{Name: "sim-select", Output: true}, gpiofake.Line{Name: "modem-reset", Output: true, High: true}, gpiofake.Line{Name: "modem-power", Output: true, High: true})
	var err error
	w.netifd, err = netifdfake.Start(w.broker.Path())
	require.NoError(t, err)
	t.Cleanup(w.netifd.Close)
	require.NoError(t, w.netifd.Add(netifdfake.Config{Name: "wwan0", Proto: "modemmanager", L3: "wwan0",
		Options: map[string]string{"device": spec.Device, "apn": "internet"}, Addresses: []string{"10.64.0.2/30"}}))
	w.netifd.SetAvailable("wwan0", true)
	w.wireSlot()
	return w
}

// wireSlot is the copper between the SIM line, the two cards and the modem: the
// modem's slot holds what the line selects, and a card in the reader only while
// the front shows one.
func (w *modemWorld) wireSlot() {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		in := localICCID
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now := localICCID
			if w.gpio.Level(w.chip, simLine) {
				now = w.remoteCard(ctx)
			}
			if now == in {
				continue
			}
			w.modem.RemoveSIM()
			if now != "" {
				w.modem.InsertSIM(mmfake.Card{ICCID: now, IMSI: "001010123456789"})
			}
			in = now
		}
	})
	w.Cleanup(func() { cancel(); done.Wait() })
}

// remoteCard reads the ICCID of the card in the reader, "" without one.
func (w *modemWorld) remoteCard(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := w.reader.WaitCard(ctx); err != nil {
		return ""
	}
	if w.crossed {
		return "8988211000000000045"
	}
	return cardfake.Default().ICCID.String()
}

// modemConfig is the configuration with the modem behind ModemManager.
func (w *modemWorld) modemConfig(more string) string {
	// A control path may not need the card that is reached over it.
	text := strings.Replace(w.config(""), "	list control_path 'primary'\n", "", 1)
	return strings.Replace(text, "	option source 'remote'\n",
		"	option source 'remote'\n	option match 'usb:2-1'\n	option network 'wwan0'\n	option sim_line 'sim-select'\n	option reset_line 'modem-reset'\n"+more, 1)
}

// startModems runs the daemon on the fakes of the modem's world.
func (w *modemWorld) startModems(configuration string) {
	w.Helper()
	w.write(configuration)
	w.startWith(func(d *app.Drivers) {
		d.DBus, d.GPIO = w.mm.Address(), w.gpio
	})
}

func modemNamed(s *model.Snapshot, name string) model.Modem {
	for _, m := range s.Modems {
		if m.Name == name {
			return m
		}
	}
	return model.Modem{}
}

func TestCardSwitchThereAndBack(t *testing.T) {
	w := newModemWorld(t)
	w.startModems(w.modemConfig(""))
	w.assign()
	s := w.untilState(model.StateOperational)
	require.True(t, w.gpio.Level(w.chip, simLine), "the SIM line stands on the remote card")
	m := modemNamed(s, "primary")
	require.Equal(t, "RM520N-GL", m.Model)
	require.Equal(t, "…0011", string(m.Card.ICCID))
	w.until("network up", func(*model.Snapshot) bool { return last(w.netifd.Calls("wwan0")) == "up" })

	var events struct {
		Events []struct {
			Text string            `json:"text"`
			Data map[string]string `json:"data"`
		} `json:"events"`
	}
	require.NoError(t, w.call("events", map[string]any{"kind": model.KindSwitch}, &events))
	steps := ""
	for _, e := range events.Events {
		steps += e.Text + "\n"
	}
	for _, want := range []string{"SIM line", "card in", "network up"} {
		require.Contains(t, steps, want)
	}

	require.NoError(t, w.call("sim", map[string]any{"source": "local"}, nil))
	w.until("back on the local card", func(s *model.Snapshot) bool {
		m := modemNamed(s, "primary")
		return m.Card.Source == model.SourceLocal && string(m.Card.ICCID) == "…0037" && s.State == model.StateOperational
	})
	require.False(t, w.gpio.Level(w.chip, simLine))
	var ids struct{ Modems []model.Identity }
	require.NoError(t, w.call("identities", nil, &struct {
		Modems *[]model.Identity `json:"modems"`
	}{&ids.Modems}))
	require.Equal(t, spec.IMEI, ids.Modems[0].IMEI)
	require.Equal(t, localICCID, ids.Modems[0].ICCID)
}

func last(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[len(words)-1]
}

func TestRestartOfTheDaemonLeavesTheSIMLine(t *testing.T) {
	w := newModemWorld(t)
	w.startModems(w.modemConfig(""))
	w.assign()
	w.untilState(model.StateOperational)
	before := len(w.gpio.History(w.chip, simLine))
	w.stop()
	require.True(t, w.gpio.Level(w.chip, simLine), "the level stays when the daemon ends")
	w.startModems(w.modemConfig(""))
	w.untilState(model.StateOperational)
	for _, step := range w.gpio.History(w.chip, simLine)[before:] {
		require.NotEqual(t, "low", step, "no glitch on the SIM line")
	}
}

// TestBrokenSetUpsEndInTheRightSentence holds, for each way in which a set-up
// can be broken, the finding and the next step that a person is told.
func TestBrokenSetUpsEndInTheRightSentence(t *testing.T) {
	local := func(w *modemWorld) string {
		return strings.Replace(w.modemConfig(""), "source 'remote'", "source 'local'", 1)
	}
	tests := []struct {
		name   string
		config func(w *modemWorld) string
		before func(w *modemWorld)
		after  func(w *modemWorld)
		code   string
		text   string
		fix    string
	}{
		{name: "no SIM", config: local, after: func(w *modemWorld) { w.modem.RemoveSIM() },
			code: "sim-missing", text: "the modem sees no card", fix: "SIM line"},
		{name: "PIN but none configured", config: local,
			before: func(w *modemWorld) {
				w.modem.RemoveSIM()
				w.modem.InsertSIM(mmfake.Card{ICCID: localICCID, IMSI: "001010000000001", PIN: "4321"})
			},
			code: "pin-missing", text: "interface wwan0 has no option pincode", fix: "option pincode"},
		{name: "the wrong PIN", config: local,
			before: func(w *modemWorld) {
				w.netifd.SetOption("wwan0", "pincode", "9999")
				w.modem.RemoveSIM()
				w.modem.InsertSIM(mmfake.Card{ICCID: localICCID, IMSI: "001010000000001", PIN: "4321"})
			},
			code: "pin-wrong", text: "the card refused", fix: "Correct option pincode"},
		{name: "one PIN try left", config: local,
			before: func(w *modemWorld) {
				w.netifd.SetOption("wwan0", "pincode", "4321")
				w.modem.RemoveSIM()
				w.modem.InsertSIM(mmfake.Card{ICCID: localICCID, IMSI: "001010000000001", PIN: "4321", Tries: 1})
			},
			code: "pin-last-try", text: "no PIN try to spare", fix: "by hand"},
		{name: "rejected registration", config: local, after: func(w *modemWorld) {
			require.NoError(w, w.modem.Connect())
			w.modem.LoseNetwork(true, 11)
		}, code: "registration-denied", text: "the network refuses the modem", fix: "subscription"},
		{name: "ModemManager missing", config: local, before: func(w *modemWorld) { w.mm.KillMM() },
			code: "modemmanager-missing", text: "ModemManager is not running", fix: "service modemmanager start"},
		{name: "line busy", config: func(w *modemWorld) string { return w.modemConfig("") },
			before: func(w *modemWorld) { w.gpio.Occupy(w.chip, simLine, "gpio-leds") },
			code:   "line-busy", text: "gpio-leds", fix: "remove"},
		{name: "line that is not there",
			config: func(w *modemWorld) string { return strings.Replace(w.modemConfig(""), "sim-select", "sim-selekt", 1) },
			code:   "line-missing", text: "sim-selekt", fix: "correct option sim_line"},
		{name: "wrong match", config: func(w *modemWorld) string { return strings.Replace(local(w), "usb:2-1", "imei:015550000000028", 1) },
			code: "modem-not-found", text: "imei", fix: "match"},
		{name: "wrong card after the switch", config: func(w *modemWorld) string { return w.modemConfig("") },
			before: func(w *modemWorld) { w.crossed = true; w.assign() },
			code:   "wrong-card", text: "the modem shows …0045, expected …0011", fix: "belong to this modem"},
		{name: "power line off",
			config: func(w *modemWorld) string { return w.modemConfig("	option power_line '!modem-power'\n") },
			code:   "power-off", text: "modem-power", fix: "--method power"},
		{name: "two owners", config: local,
			before: func(w *modemWorld) {
				require.NoError(w, w.netifd.Add(netifdfake.Config{Name: "wwan1", Proto: "qmi", Options: map[string]string{"device": "/dev/cdc-wdm0"}}))
			},
			code: "two-owners", text: "interface wwan1 uses protocol qmi on /dev/cdc-wdm0", fix: "only one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newModemWorld(t)
			if tt.before != nil {
				tt.before(w)
			}
			w.startModems(tt.config(w))
			if tt.after != nil {
				w.until("modem seen", func(s *model.Snapshot) bool { return modemNamed(s, "primary").Present })
				tt.after(w)
			}
			f := w.untilFinding(tt.code)
			require.Contains(t, f.Text, tt.text)
			require.Contains(t, f.Fix, tt.fix)
			var doctor struct {
				Verdict string `json:"verdict"`
			}
			require.NoError(t, w.call("diagnose", nil, &doctor))
			require.Contains(t, doctor.Verdict, tt.text, "the doctor's verdict")
		})
	}
}

func TestPINOfTheInterfaceUnlocksTheCardAndIsNeverShown(t *testing.T) {
	w := newModemWorld(t)
	w.netifd.SetOption("wwan0", "pincode", "86420135")
	w.modem.RemoveSIM()
	w.modem.InsertSIM(mmfake.Card{ICCID: localICCID, IMSI: "001010000000001", PIN: "86420135"})
	w.startModems(strings.Replace(w.modemConfig(""), "source 'remote'", "source 'local'", 1))
	w.until("unlocked", func(s *model.Snapshot) bool {
		m := modemNamed(s, "primary")
		return m.Present && m.State != "locked"
	})
	reply, err := w.conn.Call(withBound(t), "remsim", "events", map[string]any{"limit": 500})
	require.NoError(t, err)
	require.Contains(t, reply.String(), "unlocked with the PIN of interface wwan0")
	require.NotContains(t, reply.String()+w.log.String(), "86420135")
}

func TestResetLadderByCommand(t *testing.T) {
	w := newModemWorld(t)
	w.startModems(strings.Replace(w.modemConfig(""), "source 'remote'", "source 'local'", 1))
	w.until("seen", func(s *model.Snapshot) bool { return modemNamed(s, "primary").Present })
	err := w.call("reset", map[string]any{"method": "power"}, nil)
	require.Equal(t, ubus.StatusNotSupported, ubus.StatusOf(err))
	require.ErrorContains(t, err, "possible now: auto soft modemmanager gpio")

	require.NoError(t, w.call("reset", map[string]any{"method": "modemmanager"}, nil))
	w.until("reset by ModemManager", func(*model.Snapshot) bool {
		for _, c := range w.mm.Calls() {
			if strings.HasSuffix(c.Method, "Modem.Reset") {
				return true
			}
		}
		return false
	})
	w.until("the reset has ended", func(*model.Snapshot) bool {
		reply, err := w.conn.Call(withBound(t), "remsim", "events", map[string]any{"kind": model.KindReset})
		return err == nil && strings.Contains(reply.String(), "modem back")
	})

	require.NoError(t, w.call("reset", map[string]any{"method": "gpio"}, nil))
	w.until("pulse", func(*model.Snapshot) bool {
		return strings.Contains(fmt.Sprint(w.gpio.History(w.chip, resetLine)), "low high")
	})
}

func TestLinePlanTouchesNothing(t *testing.T) {
	w := newModemWorld(t)
	w.startModems(strings.Replace(w.modemConfig(""), "source 'remote'", "source 'local'", 1))
	w.until("seen", func(s *model.Snapshot) bool { return modemNamed(s, "primary").Present })
	before := w.gpio.String()
	var plan model.LinePlan
	require.NoError(t, w.call("gpio", map[string]any{"modem": "primary", "line": "reset"}, &plan))
	require.Equal(t, "modem-reset", plan.Line)
	require.NotEmpty(t, plan.Plan)
	require.Equal(t, before, w.gpio.String())
}

func TestSignalReachesStatusAndHistory(t *testing.T) {
	w := newModemWorld(t)
	w.startModems(strings.Replace(w.modemConfig(""), "source 'remote'", "source 'local'", 1))
	w.until("seen", func(s *model.Snapshot) bool { return modemNamed(s, "primary").Present })
	require.NoError(t, w.modem.Connect())
	w.modem.SetRSRP(-97)
	w.until("signal", func(s *model.Snapshot) bool {
		v := modemNamed(s, "primary").Signal.RSRP
		return v != nil && *v == -97
	})
	var a struct {
		Unit   string       `json:"unit"`
		Points [][4]float64 `json:"points"`
	}
	require.NoError(t, w.call("history", map[string]any{"metric": "rsrp", "subject": "primary", "range": "1h"}, &a))
	require.Equal(t, "dBm", a.Unit)
	require.NotEmpty(t, a.Points)

	w.stop() // the history outlives the process
	w.startModems(strings.Replace(w.modemConfig(""), "source 'remote'", "source 'local'", 1))
	w.until("seen again", func(s *model.Snapshot) bool { return modemNamed(s, "primary").Present })
	require.NoError(t, w.call("history", map[string]any{"metric": "rsrp", "subject": "primary", "range": "1h"}, &a))
	require.NotEmpty(t, a.Points)
}

func TestHistoryOutlivesAReboot(t *testing.T) {
	for _, keep := range []string{"0", "1"} {
		t.Run("history_keep "+keep, func(t *testing.T) {
			w := newModemWorld(t)
			w.flush = 50 * time.Millisecond
			text := strings.Replace(w.modemConfig(""), "source 'remote'", "source 'local'", 1)
			text = strings.Replace(text, "\toption enabled '1'\n", "\toption enabled '1'\n\toption history_keep '"+keep+"'\n", 1)
			w.startModems(text)
			w.until("seen", func(s *model.Snapshot) bool { return modemNamed(s, "primary").Present })
			require.NoError(t, w.modem.Connect())
			w.modem.SetRSRP(-97)
			var a struct {
				Points [][4]float64 `json:"points"`
			}
			measured := func(*model.Snapshot) bool {
				return w.call("history", map[string]any{"metric": "rsrp", "subject": "primary", "range": "1h"}, &a) == nil && len(a.Points) > 0
			}
			w.until("measured", measured)
			flash := filepath.Join(w.dir, "state", "history")
			if keep == "0" {
				w.stop()
				require.NoFileExists(t, flash, "flash is not worn unless the owner wants it")
				return
			}
			for range 2 { // the first one may have been under way before the value came
				require.NoError(t, os.RemoveAll(flash))
				require.Eventually(t, func() bool { _, err := os.Stat(flash); return err == nil }, bound, 10*time.Millisecond)
			}
			w.stop()
			require.NoError(t, os.RemoveAll(filepath.Join(w.dir, "run"))) // a reboot
			w.mm.KillMM()                                                 // so that nothing new is measured
			w.startModems(text)
			w.until("there after the reboot", measured)
			info, err := os.Stat(flash)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		})
	}
}

func TestSecondDaemonIsRefused(t *testing.T) {
	w := newWorld(t)
	w.write(w.config(""))
	w.start()
	w.until("on the bus", func(s *model.Snapshot) bool { return s.Sequence > 0 })
	err := app.Run(withBound(t), w.options(), app.RealDrivers(nil))
	require.ErrorContains(t, err, "another remsim daemon works with")
	w.hup <- syscall.SIGHUP // the first one goes on
	w.until("still there", func(s *model.Snapshot) bool { return s.Sequence > 0 })
}
