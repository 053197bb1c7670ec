package app_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/app"
	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem/cardemfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/uimremote"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/uimremote/uimremotefake"
	"github.com/terminills/remsim-openwrt/daemon/internal/mm/mmfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// autoWorld is a world whose modem takes what there is: card emulators on a bus, and
// control ports, with a modem behind the first, below a /sys of its own.
type autoWorld struct {
	*world
	bus     cardemfake.Bus
	options uimremote.Options
	plug    chan struct{} // a word of the kernel
	mm      *mmfake.Fake  // which has not shown the modem yet
}

func newAutoWorld(t *testing.T, bus ...*cardemfake.Device) *autoWorld {
	w := &autoWorld{world: newWorld(t), bus: bus, plug: make(chan struct{}, 1)}
	w.options = uimremote.Options{Sysfs: t.TempDir(), QMIProxy: filepath.Join(shortDir(t), "qmi-proxy"), MBIMProxy: filepath.Join(shortDir(t), "mbim-proxy")}
	w.mm, w.probe = mmfake.New(mmfake.Options{}), time.Hour
	require.NoError(t, w.mm.Listen(filepath.Join(shortDir(t), "bus")))
	t.Cleanup(w.mm.Close)
	w.write(w.autoConfig(""))
	return w
}

// autoConfig is the configuration with front auto, and more options of the modem.
func (w *autoWorld) autoConfig(more string) string {
	text := strings.Replace(w.config(""), "option front 'vpcd'", "option match 'usb:9-1'\n"+more, 1)
	return strings.Replace(text, fmt.Sprintf("\toption front_device '%s'\n", w.reader.Addr()), "", 1)
}

// port gives the modem at usb:9-1 a QMI control port.
func (w *autoWorld) port(name string) {
	w.Helper()
	iface := filepath.Join(w.options.Sysfs, "devices", "9-1", "9-1:1.4")
	require.NoError(w, os.MkdirAll(iface, 0o755))
	require.NoError(w, os.WriteFile(filepath.Join(iface, "..", "idVendor"), []byte("2c7c\n"), 0o644))
	require.NoError(w, os.Symlink("../../../bus/usb/drivers/qmi_wwan", filepath.Join(iface, "driver")))
	class := filepath.Join(w.options.Sysfs, "class", "usbmisc", name)
	require.NoError(w, os.MkdirAll(class, 0o755))
	require.NoError(w, os.Symlink(iface, filepath.Join(class, "device")))
}

func (w *autoWorld) start() {
	w.startWith(func(d *app.Drivers) {
		d.DBus = w.mm.Address()
		d.CardEmulators, d.UIMRemote = w.bus.Discover, w.options
		d.Hotplug = func(ctx context.Context, changed func()) error {
			for {
				select {
				case <-ctx.Done():
					return nil
				case <-w.plug:
					changed()
				}
			}
		}
		d.Front = func(kind, device string) (card.Front, error) {
			if kind == "uim-remote" {
				return uimremote.New(device, w.options)
			}
			return cardem.NewOn(w.bus, device)
		}
	})
	w.assign()
}

func (w *autoWorld) hotplug() { w.plug <- struct{}{} }

// doctor is the verdict of `remsim doctor`.
func (w *world) doctor() string {
	w.Helper()
	var reply struct {
		Verdict string `json:"verdict"`
	}
	require.NoError(w, w.call("diagnose", nil, &reply))
	return reply.Verdict
}

func TestFrontAutoFindsAnEmulator(t *testing.T) {
	d := cardemfake.New(cardemfake.Config{Path: "2-1"})
	d.Unplug()
	w := newAutoWorld(t, d)
	w.start()
	f := w.untilFinding("front-none")
	require.Equal(t, "the modem has no way to take a remote card: the modem shows no QMI or MBIM port that fits, and no card emulator is plugged in", f.Text)
	require.Equal(t, "primary front: "+f.Text, w.doctor())
	s := w.status()
	require.Equal(t, model.StateDegraded, s.State)
	require.Empty(t, s.Modems[0].Card.Front)
	require.Contains(t, s.Modems[0].Card.Detail, "no card emulator is plugged in")
	require.Len(t, s.Health.Findings, 1, "what follows from it is not shown beside it: %v", s.Health.Findings)
	err := w.call("map", map[string]any{"bank_id": 1, "slot": 2, "host": "localhost"}, nil)
	require.Equal(t, ubus.StatusNotSupported, ubus.StatusOf(err))
	require.ErrorContains(t, err, "no card emulator is plugged in")

	d.Plug()
	w.hotplug()
	slotOn(withBound(t), t, w.world, d)
	s = w.untilState(model.StateOperational)
	require.Equal(t, "cardem", s.Modems[0].Card.Front)
	require.Equal(t, "usb:2-1:0", s.Modems[0].Card.FrontDevice)
	require.Equal(t, "SIMtrace2 at usb:2-1:0 is the only card emulator that is free", s.Modems[0].Card.FrontDetail)
	require.Contains(t, w.journal(), "front auto takes cardem at usb:2-1:0")
	w.until("no finding", func(s *model.Snapshot) bool { return len(s.Health.Findings) == 0 })

	// Another emulator that comes changes nothing for the modem.
	w.hotplug()
	_, err = d.TPDU(withBound(t), readICCID[0])
	require.NoError(t, err)
}

func TestFrontAutoPrefersTheModemsOwnService(t *testing.T) {
	d := cardemfake.New(cardemfake.Config{Path: "2-1"})
	w := newAutoWorld(t, d)
	w.port("cdc-wdm0")
	modem := uimremotefake.New(uimremotefake.Options{Offered: true})
	proxy, err := modem.ServeQMI(w.options.QMIProxy)
	require.NoError(t, err)
	t.Cleanup(func() { _ = proxy.Close(); modem.Close() })
	w.start()
	atr, err := modem.Attach(withBound(t))
	require.NoError(t, err, "%s", w.log)
	require.Equal(t, []byte(cardfake.Default().ATR), atr)
	s := w.untilState(model.StateOperational)
	require.Equal(t, "uim-remote", s.Modems[0].Card.Front)
	require.Equal(t, "qmi:/dev/cdc-wdm0", s.Modems[0].Card.FrontDevice)
	require.Equal(t, 1, modem.Clients(), "the probe's client was given back")
	require.False(t, d.Attached(), "the emulator is left alone")
}

func TestFrontAutoOfAModemWithoutTheService(t *testing.T) {
	w := newAutoWorld(t)
	w.port("cdc-wdm0")
	modem := uimremotefake.New(uimremotefake.Options{})
	proxy, err := modem.ServeQMI(w.options.QMIProxy)
	require.NoError(t, err)
	t.Cleanup(func() { _ = proxy.Close(); modem.Close() })
	w.start()
	f := w.untilFinding("front-none")
	require.Contains(t, f.Text, "qmi:/dev/cdc-wdm0: the modem does not offer QMI UIM Remote (service 0x32): it is not among the 3 services of its list, and no card emulator is plugged in")
	require.Contains(t, f.Fix, "remsim front enable")
	require.Zero(t, modem.Clients())
}

func TestFrontAutoOfALocalModemTouchesNothing(t *testing.T) {
	d := cardemfake.New(cardemfake.Config{Path: "2-1"})
	w := newAutoWorld(t, d)
	w.port("cdc-wdm0") // and no proxy: whoever asked would say so
	w.write(strings.Replace(w.autoConfig(""), "option source 'remote'", "option source 'local'", 1))
	w.start()
	s := w.untilState(model.StateOperational)
	require.Empty(t, s.Health.Findings)
	require.NotContains(t, w.journal(), "front")
	require.Empty(t, d.Log())

	require.NoError(t, w.call("sim", map[string]any{"source": "remote"}, nil), "there is one that could be used")
	slotOn(withBound(t), t, w.world, d)
	w.untilState(model.StateOperational)
}
