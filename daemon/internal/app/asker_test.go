package app_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/app"
	"github.com/terminills/remsim-openwrt/daemon/internal/at"
	"github.com/terminills/remsim-openwrt/daemon/internal/at/atfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/mm/mmfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// portICCID is the card that the fake modem tells over its AT port.
const portICCID = "8988211000000000013"

// portWorld is a router whose ModemManager is dead, with a modem that is known by
// its AT port alone.
type portWorld struct {
	*modemWorld
	at *atfake.Modem
}

func newPortWorld(t testing.TB) *portWorld {
	w := &portWorld{modemWorld: newModemWorld(t)}
	w.probe = 50 * time.Millisecond
	w.mm.KillMM()
	var err error
	w.at, err = atfake.New(t.TempDir(), "quectel-lte")
	require.NoError(t, err)
	t.Cleanup(w.at.Close)
	w.at.Set("+ICCID", "+ICCID: "+portICCID, "OK")
	return w
}

// node is the device node behind the port's link.
func (w *portWorld) node() string {
	w.Helper()
	node, err := os.Readlink(w.at.Path())
	require.NoError(w, err)
	return node
}

// startOn runs the daemon with the modem known by a port, and its local card.
func (w *portWorld) startOn(port string, open func(string) (at.Port, error)) {
	w.Helper()
	text := strings.Replace(w.modemConfig(""), "match 'usb:2-1'", "match 'dev:"+port+"'", 1)
	w.write(strings.Replace(text, "source 'remote'", "source 'local'", 1))
	w.startWith(func(d *app.Drivers) {
		d.DBus, d.GPIO = w.mm.Address(), w.gpio
		if open != nil {
			d.ATPort = open
		}
	})
}

func (w *portWorld) untilThere() model.Modem {
	w.Helper()
	return modemNamed(w.until("modem asked", func(s *model.Snapshot) bool { return modemNamed(s, "primary").Present }), "primary")
}

func TestModemIsAskedOverItsATPortWhileModemManagerIsAway(t *testing.T) {
	t.Parallel()
	w := newPortWorld(t)
	w.startOn(w.node(), nil)
	m := w.untilThere()
	require.Equal(t, "EG25", m.Model)
	require.Equal(t, "Quectel", m.Manufacturer)
	require.Equal(t, "…0013", string(m.Card.ICCID))
	require.NotNil(t, m.Signal.RSRP)
	require.Equal(t, -81.0, *m.Signal.RSRP)
	reply, err := w.conn.Call(withBound(t), "remsim", "status", nil)
	require.NoError(t, err)
	require.NotContains(t, reply.String()+w.log.String(), portICCID)
	w.untilFinding("modemmanager-missing")
}

func TestPINLockIsSeenOverTheATPort(t *testing.T) {
	t.Parallel()
	w := newPortWorld(t)
	w.at.Set("+CPIN?", "+CPIN: SIM PIN", "OK")
	w.startOn(w.node(), nil)
	w.until("locked", func(s *model.Snapshot) bool { return modemNamed(s, "primary").State == "locked" })
}

func TestPortThatHangsIsNamed(t *testing.T) {
	t.Parallel()
	w := newPortWorld(t)
	w.at.Hang(true)
	w.startOn(w.node(), nil)
	f := w.untilFinding("at-port-hung")
	require.Contains(t, f.Text, "the modem's AT port does not answer")
	require.Contains(t, f.Text, w.node())
	require.Contains(t, f.Fix, "`remsim reset MODEM`")
	w.at.Hang(false)
	w.untilThere()
	w.untilNoFinding("at-port-hung")
}

// hold has another process lock and keep a port, and waits until it has it.
func hold(t *testing.T, path string) {
	t.Helper()
	cmd := exec.Command("flock", path, "sh", "-c", "echo held; exec sleep 600")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _, _ = cmd.Process.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "held\n", line)
}

func TestPortThatAnotherProgramHoldsNamesIt(t *testing.T) {
	t.Parallel()
	w := newPortWorld(t)
	hold(t, w.node())
	w.startOn(w.node(), nil)
	f := w.untilFinding("at-port-busy")
	require.Contains(t, f.Text, w.node()+" is in use by ")
	require.Regexp(t, `(flock|sleep) \(process [0-9]+\)`, f.Text)
	require.Contains(t, f.Fix, "Stop the program that the text names")
	require.Empty(t, w.at.Received(), "nothing was said into somebody else's conversation")
}

func TestPowerSavingIsFoundOverTheATPort(t *testing.T) {
	t.Parallel()
	w := newPortWorld(t)
	w.at.Set("+CPSMS?", `+CPSMS: 1,,,"01100001","00000101"`, "OK")
	w.startOn(w.node(), nil)
	f := w.untilFinding("power-saving")
	require.Contains(t, f.Text, "PSM is on")
	require.Contains(t, f.Fix, "AT+CPSMS=0")
}

// When ModemManager is back it has the port for itself.
func TestATPortIsLetGoWhenModemManagerReturns(t *testing.T) {
	t.Parallel()
	w := newPortWorld(t)
	s := spec
	s.Device, s.IMEI = "/sys/devices/platform/xhci/usb2/2-9", "490154203237518"
	s.Ports = []model.Port{{Name: strings.TrimPrefix(w.node(), "/dev/"), Kind: model.PortAT}}
	s.Card = &mmfake.Card{ICCID: portICCID, IMSI: "001010000000001"}
	w.mm.Plug(s)
	w.startOn(w.node(), nil)
	w.untilThere()
	_, err := at.OpenPort(w.node())
	require.ErrorIs(t, err, at.ErrBusy, "the daemon has it")
	w.mm.StartMM()
	w.until("shown by ModemManager", func(s *model.Snapshot) bool {
		return modemNamed(s, "primary").Device == "/sys/devices/platform/xhci/usb2/2-9"
	})
	w.until("port free", func(*model.Snapshot) bool {
		port, err := at.OpenPort(w.node())
		return err == nil && port.Close() == nil
	})
	w.untilNoFinding("modemmanager-missing")
}

// A port that goes away in the middle of a command leaves nothing behind. Not
// parallel: it counts goroutines and files of the whole process.
func TestUnpluggingInTheMiddleOfACommandLeaksNothing(t *testing.T) {
	times := 100
	if testing.Short() {
		times = 10
	}
	w := newPortWorld(t)
	w.at.Hold("+CGMM")
	const port = "/dev/ttyUSB99" // its node changes with each plug
	w.startOn(port, func(string) (at.Port, error) { return at.OpenPort(w.at.Path()) })
	asked := 0
	untilAsked := func() {
		before := asked
		w.until("asked again", func(*model.Snapshot) bool {
			asked = len(slices.DeleteFunc(w.at.Received(), func(c string) bool { return c != "+CGMM" }))
			return asked > before
		})
	}
	untilAsked()
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	for range times {
		w.at.Unplug()
		require.NoError(t, w.at.Plug())
		untilAsked()
	}
	w.until("no goroutine and no file more", func(*model.Snapshot) bool {
		return runtime.NumGoroutine() <= goroutines && openFiles(t) <= files
	})
	w.at.Release()
	require.Equal(t, "EG25", w.untilThere().Model)
}

func openFiles(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	n := 0
	for _, e := range entries {
		to, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		if err == nil && (strings.HasPrefix(to, "/dev/pts") || strings.HasPrefix(to, "/dev/ptmx")) {
			n++
		}
	}
	return n
}
