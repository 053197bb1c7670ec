package app_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/app"
	"github.com/terminills/remsim-openwrt/daemon/internal/at"
	"github.com/terminills/remsim-openwrt/daemon/internal/at/atfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd/vpcdfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/mm/mmfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// TestNothingIsSentOverDBusWhenIdle listens to the whole bus of the real
// ModemManager, with a registered modem on its remote card, until the daemon has
// taken in a signal reading that came on its own: that is half a minute at most.
func TestNothingIsSentOverDBusWhenIdle(t *testing.T) {
	t.Parallel()
	w := newSwitchWorld(t, racks["real, AT"])
	w.onLocal("")
	w.choose(model.SourceRemote)
	w.settled(model.SourceRemote, remoteICCID)
	rsrp := func() *float64 { return modemNamed(w.status(), "primary").Signal.RSRP }
	w.wait("the first signal reading", func() bool { return rsrp() != nil })
	conn, err := dbus.Connect(w.address())
	require.NoError(t, err)
	defer func() {
		conn.Eavesdrop(nil) // Close would close the channel under a message that comes just then
		_ = conn.Close()
	}()
	messages := make(chan *dbus.Message, 10000)
	conn.Eavesdrop(messages)
	// BecomeMonitor has no reply to wait for: from then on all is eavesdropped.
	conn.BusObject().Go("org.freedesktop.DBus.Monitoring.BecomeMonitor", dbus.FlagNoReplyExpected, nil, []string{}, uint32(0))
	begun := time.Now()
	w.setRSRP(-100)
	w.wait("a signal reading", func() bool { v := rsrp(); return v != nil && *v == -100 })
	took := time.Since(begun)
	signals, calls := 0, []string{}
	for len(messages) > 0 {
		switch m := <-messages; m.Type {
		case dbus.TypeSignal:
			signals++
		case dbus.TypeMethodCall:
			calls = append(calls, m.String())
		}
	}
	require.Empty(t, calls, "calls while idle: of us, or of anybody")
	require.NotZero(t, signals, "nothing was overheard")
	t.Logf("idle for %v: 0 messages from us, %d signals of ModemManager", took.Round(time.Second), signals)
}

// TestMemoryPerModem measures what the daemon holds for a modem on a remote
// card, by what the heap grows with one and with four of them. The fakes' side of each
// connection is in it, so it is an upper bound. Not parallel: it is the heap of
// the whole process.
func TestMemoryPerModem(t *testing.T) {
	const most = 256 << 10 // bytes
	one, four := heapWith(t, 1), heapWith(t, 4)
	per := (four - one) / 3
	t.Logf("the heap grows by %d KiB with one modem, %d KiB with four: %d KiB a modem", one>>10, four>>10, per>>10)
	require.Less(t, per, int64(most))
}

func heapWith(t *testing.T, modems int) int64 {
	const most = 4
	w := newModemWorld(t)
	var b strings.Builder
	head, tail, _ := strings.Cut(w.config(""), "config modem 'primary'")
	_, tail, _ = strings.Cut(tail, "config server")
	b.WriteString(head)
	for i := range most {
		s := spec
		s.Device, s.IMEI = fmt.Sprintf("/sys/devices/platform/xhci/usb2/2-%d", 10+i), fmt.Sprintf("01555000000%d000", i)
		s.Card = &mmfake.Card{ICCID: remoteICCID, IMSI: "001010000000001"} // so that there is nothing to switch
		w.mm.Plug(s)
		reader, err := vpcdfake.Listen("127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = reader.Close() })
		w.bank.Insert(i, w.card)
		if i < modems {
			name := "primary"
			if i > 0 {
				name = fmt.Sprintf("modem%d", i)
			}
			fmt.Fprintf(&b, "config modem '%s'\n\toption source 'remote'\n\toption match 'usb:2-%d'\n\toption front 'vpcd'\n\toption front_device '%s'\n"+
				"\toption client_id '%d'\n\toption client_slot '1'\n\n", name, 10+i, reader.Addr(), 7+i)
			require.NoError(t, w.server.AddMap(model.BankSlot{ID: slot.ID, Slot: uint16(i)}, model.ClientSlot{ID: uint16(7 + i), Slot: 1}))
			w.background(func(ctx context.Context) {
				for ctx.Err() == nil {
					if _, err := reader.WaitCard(ctx); err == nil {
						_, _ = reader.PowerOn(ctx) // of a card that just went: it comes again
						_ = reader.WaitNoCard(ctx)
					}
				}
			})
		}
	}
	b.WriteString("config server" + tail)
	before := inUse()
	w.startModems(b.String())
	w.until("every modem on its card", func(s *model.Snapshot) bool {
		return len(s.Modems) == modems && !slices.ContainsFunc(s.Modems, func(m model.Modem) bool { return !m.Present || m.Card.State != model.CardReady })
	})
	grown := inUse() - before
	w.stop()
	return grown
}

func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestStoppingInTheMiddleOfAnActionLeaksNothing: ModemManager dies with a call
// under way, the AT port goes away amid a command, the daemon itself is stopped
// amid one. Not parallel: it counts goroutines and files of the whole process.
func TestStoppingInTheMiddleOfAnActionLeaksNothing(t *testing.T) {
	w := newModemWorld(t)
	port, err := atfake.New(t.TempDir(), "generic")
	require.NoError(t, err)
	t.Cleanup(port.Close)
	port.Hold(strings.TrimPrefix(at.Generic().Reset, "AT"))
	start := func() {
		w.write(strings.Replace(w.modemConfig(""), "source 'remote'", "source 'local'", 1))
		w.startWith(func(d *app.Drivers) {
			d.DBus, d.GPIO = w.mm.Address(), w.gpio
			d.ATPort = func(string) (at.Port, error) { return at.OpenPort(port.Path()) }
		})
		w.until("modem seen", func(s *model.Snapshot) bool { return modemNamed(s, "primary").Present })
	}
	const resetCall = "org.freedesktop.ModemManager1.Modem.Reset"
	w.mm.Hang(resetCall, true)
	reset := func(method string) {
		w.until("reset accepted", func(s *model.Snapshot) bool {
			return modemNamed(s, "primary").Present && w.call("reset", map[string]any{"method": method}, nil) == nil
		})
	}
	callHangs := func() {
		tries := 0
		w.until("a call hangs", func(s *model.Snapshot) bool {
			// A reset that came too early after the last one fails at once.
			if tries++; tries%5 == 1 && modemNamed(s, "primary").Present {
				require.NoError(t, w.call("reset", map[string]any{"method": "modemmanager"}, nil))
			}
			return w.mm.Hanging() > 0
		})
	}
	start()
	callHangs()
	w.mm.KillMM()
	w.mm.StartMM()
	w.until("modem back", func(s *model.Snapshot) bool { return modemNamed(s, "primary").Present })
	goroutines, files := runtime.NumGoroutine(), descriptors(t)
	for range 100 {
		callHangs()
		w.mm.KillMM()
		w.mm.StartMM()
	}
	for i := range 10 {
		reset("soft")
		tries := 0
		w.until("the AT port is asked for a reset", func(*model.Snapshot) bool {
			// As above: one that came too early after the last one fails at once.
			if tries++; tries%250 == 0 {
				_ = w.call("reset", map[string]any{"method": "soft"}, nil) // refused while the modem is away
			}
			return len(slices.DeleteFunc(port.Received(), func(c string) bool { return c != strings.TrimPrefix(at.Generic().Reset, "AT") })) > i
		})
		port.Unplug()
		require.NoError(t, port.Plug())
	}
	for range 3 {
		callHangs()
		w.stop()
		start()
	}
	w.until("no goroutine and no file more", func(*model.Snapshot) bool {
		return runtime.NumGoroutine() <= goroutines && descriptors(t) <= files
	})
}

// descriptors counts the open files of this process.
func descriptors(t testing.TB) int {
	all, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(all)
}
