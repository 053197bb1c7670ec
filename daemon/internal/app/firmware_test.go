package app_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/app"
	"github.com/terminills/remsim-openwrt/daemon/internal/at"
	"github.com/terminills/remsim-openwrt/daemon/internal/at/atfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/mm/mmfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// uimItem is the switch in the firmware.
const uimItem = "/nv/item_files/modem/uim/remote/uim_remote_service_enable"

// switchable is a Quectel modem behind ModemManager, with its AT port.
func switchable(t *testing.T) (*modemWorld, *atfake.Modem) {
	w := newModemWorld(t)
	port, err := atfake.New(t.TempDir(), "quectel-5g")
	require.NoError(t, err)
	t.Cleanup(port.Close)
	port.SetItem(uimItem, "00")
	node, err := os.Readlink(port.Path())
	require.NoError(t, err)
	s := spec
	s.Device, s.IMEI = "/sys/devices/platform/xhci/usb2/2-2", "490154203237518"
	s.Card = &mmfake.Card{ICCID: localICCID, IMSI: "001010000000001"}
	s.Ports = []model.Port{{Name: "cdc-wdm0", Kind: model.PortQMI}, {Name: strings.TrimPrefix(node, "/dev/"), Kind: model.PortAT}, {Name: "wwan0", Kind: model.PortNet}}
	w.mm.Plug(s)
	w.write(strings.NewReplacer("source 'remote'", "source 'local'", "usb:2-1", "usb:2-2").Replace(w.modemConfig("")))
	w.startWith(func(d *app.Drivers) {
		d.DBus, d.GPIO, d.ATPort = w.mm.Address(), w.gpio, at.OpenPort
	})
	w.until("modem seen", func(s *model.Snapshot) bool { return modemNamed(s, "primary").Present })
	return w, port
}

func (w *modemWorld) firmware(args map[string]any) (s model.FirmwareSwitch, err error) {
	w.until("idle", func(*model.Snapshot) bool {
		err = w.call("front", args, &s)
		return err == nil || !strings.Contains(err.Error(), "is busy")
	})
	return s, err
}

func TestFirmwareSwitchOnAndBack(t *testing.T) {
	w, port := switchable(t)
	plan, err := w.firmware(map[string]any{"modem": "primary"})
	require.NoError(t, err)
	require.Equal(t, "00", port.Item(uimItem), "a plan only reads")
	require.True(t, plan.Needed)
	require.Equal(t, []string{"00", "01", uimItem, ""}, []string{plan.Old, plan.New, plan.Item, plan.Kept})
	require.Contains(t, plan.Text, "switch UIM Remote on in the firmware of this RM520N-GL")
	require.Equal(t, `AT+QNVFW="`+uimItem+`",01`, plan.Commands[0])

	_, err = w.firmware(map[string]any{"action": "enable"})
	require.ErrorContains(t, err, "argument old is missing")
	_, err = w.firmware(map[string]any{"action": "enable", "old": "02"})
	require.Equal(t, ubus.StatusInvalidArgument, ubus.StatusOf(err))
	require.ErrorContains(t, err, "the switch is at 00, the plan said 02")
	_, err = w.firmware(map[string]any{"action": "undo"})
	require.Equal(t, ubus.StatusNotFound, ubus.StatusOf(err))
	require.Equal(t, "00", port.Item(uimItem))

	done, err := w.firmware(map[string]any{"action": "enable", "old": plan.Old})
	require.NoError(t, err)
	require.Contains(t, done.Text, "it takes effect when the modem restarts")
	require.Equal(t, "01", port.Item(uimItem))
	require.Contains(t, w.journal(), "front: UIM Remote is switched on in the firmware")
	info, err := os.Stat(filepath.Join(w.dir, "state", "uim-remote-primary.json"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	again, err := w.firmware(map[string]any{})
	require.NoError(t, err)
	require.False(t, again.Needed)
	require.Equal(t, "00", again.Kept)

	back, err := w.firmware(map[string]any{"action": "undo"})
	require.NoError(t, err)
	require.Contains(t, back.Text, "as it was")
	require.Equal(t, "00", port.Item(uimItem))
	_, err = os.Stat(filepath.Join(w.dir, "state", "uim-remote-primary.json"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestFirmwareSwitchRefusals(t *testing.T) {
	w, port := switchable(t)
	_, err := w.firmware(map[string]any{"modem": "second"})
	require.ErrorContains(t, err, `there is no modem "second" with option match; these have: primary`)
	_, err = w.firmware(map[string]any{"action": "guess"})
	require.ErrorContains(t, err, `"guess" is not one of plan enable undo`)

	port.FreezeItems()
	_, err = w.firmware(map[string]any{"action": "enable", "old": "00"})
	require.ErrorContains(t, err, "the modem did not take the value: it is 00")

	port.Set("+CGMI", "Sierra Wireless, Incorporated", "OK")
	_, err = w.firmware(map[string]any{})
	require.Equal(t, ubus.StatusNotSupported, ubus.StatusOf(err))
	require.ErrorContains(t, err, "not from Quectel")
}

// ModemManager has the port open: it is made to let go only if that was allowed, and gets
// the modem back.
func TestFirmwareSwitchBesideModemManager(t *testing.T) {
	w, port := switchable(t)
	holder := filepath.Join(t.TempDir(), "ModemManager")
	text, err := os.ReadFile("/bin/sleep")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(holder, text, 0o755))
	tty, err := os.OpenFile(port.Path(), os.O_RDWR, 0)
	require.NoError(t, err)
	cmd := exec.Command(holder, "600")
	cmd.ExtraFiles = []*os.File{tty}
	require.NoError(t, cmd.Start())
	require.NoError(t, tty.Close())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })

	inhibited := func() (n int) {
		for _, c := range w.mm.Calls() {
			if strings.HasSuffix(c.Method, ".InhibitDevice") {
				n++
			}
		}
		return n
	}
	before := inhibited()
	_, err = w.firmware(map[string]any{})
	require.Equal(t, ubus.StatusNotSupported, ubus.StatusOf(err))
	require.ErrorContains(t, err, "which cuts its connection for about 20 s (argument interrupt)")
	require.Equal(t, before, inhibited())
	plan, err := w.firmware(map[string]any{"interrupt": true})
	require.NoError(t, err)
	require.Equal(t, "00", plan.Old)
	require.Equal(t, before+2, inhibited(), "let go, and taken back")
	w.until("the modem is ModemManager's again", func(s *model.Snapshot) bool { return modemNamed(s, "primary").Present })
}

// Without ModemManager the daemon itself asks the modem over the port now and then; it
// makes room.
func TestFirmwareSwitchWithoutModemManager(t *testing.T) {
	w := newPortWorld(t)
	w.at.Set("+CGMI", "Quectel", "OK")
	w.at.SetItem(uimItem, "00")
	w.startOn(w.node(), nil)
	w.untilThere()
	plan, err := w.firmware(map[string]any{})
	require.NoError(t, err)
	require.True(t, plan.Needed)
	_, err = w.firmware(map[string]any{"action": "enable", "old": "00"})
	require.NoError(t, err)
	require.Equal(t, "01", w.at.Item(uimItem))
	w.untilThere()
}
