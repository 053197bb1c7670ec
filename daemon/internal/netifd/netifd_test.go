package netifd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/netifd"
	"github.com/terminills/remsim-openwrt/daemon/internal/netifd/netifdfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// watch is a running client and what it has told.
type watch struct {
	t      *testing.T
	client *netifd.Client
	bus    *ubus.Client

	mu     sync.Mutex
	events []model.Event
	up     bool
	ifaces map[string]model.Interface
	news   chan struct{}
}

func start(t *testing.T, socket string) *watch {
	w, _ := startWith(t, socket, "")
	return w
}

// startWith runs a client that keeps its memory in a file, until stop.
func startWith(t *testing.T, socket, memory string) (w *watch, stop func()) {
	w = &watch{t: t, ifaces: map[string]model.Interface{}, news: make(chan struct{}, 1)}
	w.bus = ubus.NewClient(socket, ubus.Options{Backoff: func(int) time.Duration { return 20 * time.Millisecond }})
	w.client = netifd.New(w.bus, netifd.Options{Events: w.tell, Memory: memory})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.bus.Run(ctx) })
	running.Go(func() {
		if err := w.client.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return w, stop
}

func (w *watch) tell(e model.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	switch e := e.(type) {
	case model.NetifdChanged:
		w.up = e.Up
	case model.InterfaceChanged:
		w.ifaces[e.Interface.Name] = e.Interface
	case model.InterfaceGone:
		delete(w.ifaces, e.Name)
	}
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// until waits for something to be true of what was told.
func (w *watch) until(what string, ok func() bool) {
	w.t.Helper()
	late := time.After(patience)
	for {
		w.mu.Lock()
		done := ok()
		w.mu.Unlock()
		if done {
			return
		}
		select {
		case <-w.news:
		case <-late:
			w.mu.Lock()
			defer w.mu.Unlock()
			require.Fail(w.t, "waited in vain for "+what, "up %v\n%+v", w.up, w.ifaces)
		}
	}
}

func (w *watch) iface(what, name string, ok func(i model.Interface) bool) (i model.Interface) {
	w.t.Helper()
	w.until(what, func() bool {
		var had bool
		i, had = w.ifaces[name]
		return had && ok(i)
	})
	return i
}

func isUp(i model.Interface) bool { return i.Up }

func TestLifeOfAModemsInterface(t *testing.T) {
	onEach(t, func(t *testing.T, r rig) {
		ctx := t.Context()
		w := start(t, r.socket)
		wan := w.iface("wan", "wan", isUp)
		require.Equal(t, []netip.Prefix{netip.MustParsePrefix("203.0.113.5/24")}, wan.Addresses)
		require.Equal(t, []model.Route{{Target: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("203.0.113.1")}}, wan.Routes)
		require.Equal(t, []netip.Addr{netip.MustParseAddr("203.0.113.53")}, wan.DNS)
		require.Equal(t, "eth1", wan.L3Device)

		none := w.iface("wwan0 without a modem", "wwan0", func(i model.Interface) bool { return !i.Available })
		require.Equal(t, "modemmanager", none.Proto)
		require.Equal(t, []model.InterfaceError{{Subsystem: "interface", Code: "NO_DEVICE"}}, none.Errors)
		require.False(t, none.Blocked(), "netifd brings it up by itself when the modem comes")

		r.available(true)
		up := w.iface("the modem's connection", "wwan0", isUp)
		require.Equal(t, "wwan0", up.L3Device)
		require.Equal(t, 20, up.Metric)
		require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.64.0.2/30")}, up.Addresses)
		require.Equal(t, netip.MustParseAddr("10.64.0.1"), up.Routes[0].Gateway)
		require.Empty(t, up.Errors)
		require.WithinDuration(t, time.Now(), up.UpSince, patience)

		require.NoError(t, w.client.Down(ctx, "wwan0"))
		w.iface("down", "wwan0", model.Interface.Idle)

		r.fail("MM_FAILED_REASON_SIM_MISSING")
		require.NoError(t, w.client.Up(ctx, "wwan0"))
		failed := w.iface("blocked", "wwan0", model.Interface.Blocked)
		require.Equal(t, []model.InterfaceError{{Subsystem: "modemmanager", Code: "MM_FAILED_REASON_SIM_MISSING"}}, failed.Errors)

		r.fail("")
		require.NoError(t, w.client.Up(ctx, "wwan0"))
		w.iface("up again after a block", "wwan0", isUp)

		r.available(false)
		w.iface("the modem gone", "wwan0", func(i model.Interface) bool { return !i.Up && !i.Available })
		require.NoError(t, w.client.Renew(ctx, "wan"))
		require.ErrorIs(t, w.client.Up(ctx, "wan7"), netifd.ErrNoInterface)
	})
}

func TestNetifdDiesAndComesBack(t *testing.T) {
	onEach(t, func(t *testing.T, r rig) {
		w := start(t, r.socket)
		w.iface("wan", "wan", isUp)
		r.die()
		w.until("netifd gone", func() bool { return !w.up })
		require.Contains(t, w.ifaces, "wan", "what it carried goes on")
		require.Error(t, w.client.Up(t.Context(), "wan"))
		r.revive()
		w.until("netifd back", func() bool { return w.up })
		w.iface("wan", "wan", isUp)
		r.available(true)
		w.iface("the modem's connection", "wwan0", isUp)
	})
}

func TestBusRestarts(t *testing.T) {
	onEach(t, func(t *testing.T, r rig) {
		w := start(t, r.socket)
		w.iface("wan", "wan", isUp)
		r.restartBus()
		w.until("the bus lost", func() bool {
			for _, e := range w.events {
				if c, is := e.(model.NetifdChanged); is && !c.Up {
					return true
				}
			}
			return false
		})
		w.until("netifd back", func() bool { return w.up })
		r.available(true)
		w.iface("the modem's connection", "wwan0", isUp)
	})
}

// fakeRig is the rig on which more can be driven.
func fakeRig(t *testing.T) (*watch, *netifdfake.Fake) {
	r := rigs[0].start(t)
	w := start(t, r.socket)
	w.iface("wan", "wan", isUp)
	return w, r.fake
}

func TestWhatChangesIsToldOnce(t *testing.T) {
	w, f := fakeRig(t)
	count := func() int { w.mu.Lock(); defer w.mu.Unlock(); return len(w.events) }
	before := count()
	f.SetAddresses("wan", []string{"203.0.113.77/24", "2001:db8::7/64"}, "203.0.113.254", nil)
	i := w.iface("another address", "wan", func(i model.Interface) bool { return len(i.Addresses) == 2 })
	require.Equal(t, "2001:db8::7/64", i.Addresses[1].String())
	require.Empty(t, i.DNS)
	// Asking again changes nothing. The next thing told comes after it.
	w.client.Refresh()
	require.NoError(t, f.Add(netifdfake.Config{Name: "guest", NoAuto: true}))
	w.iface("guest", "guest", model.Interface.Idle)
	require.Equal(t, before+2, count())
	require.NoError(t, f.Remove("guest"))
	w.until("guest gone", func() bool { _, had := w.ifaces["guest"]; return !had })
	require.Equal(t, before+3, count())
}

func TestInterfacesOfAModem(t *testing.T) {
	w, f := fakeRig(t)
	f.SetAvailable("wwan0", true)
	w.iface("up", "wwan0", isUp)
	require.NoError(t, f.Add(netifdfake.Config{Name: "wwan0_4", Proto: "dhcp", L3: "wwan0", Dynamic: true, Addresses: []string{"10.1.2.3/29"}}))
	require.NoError(t, f.Add(netifdfake.Config{Name: "lte", Proto: "qmi", Options: map[string]string{"device": "/dev/cdc-wdm0"}, NoAuto: true}))
	w.iface("child", "wwan0_4", isUp)
	w.iface("qmi", "lte", func(i model.Interface) bool { return i.ModemDevice != "" })
	w.mu.Lock()
	defer w.mu.Unlock()
	m := model.ObservedModem{Device: sysfs}
	require.True(t, w.ifaces["wwan0"].Serves(m))
	require.False(t, w.ifaces["wan"].Serves(m))
	require.False(t, w.ifaces["lte"].Serves(m))
	require.True(t, w.ifaces["lte"].Serves(model.ObservedModem{Ports: []model.Port{{Name: "cdc-wdm0"}}}))
	require.True(t, w.ifaces["wwan0_4"].ChildOf("wwan0"))
	require.False(t, w.ifaces["wan"].ChildOf("wwan0"))
}

func TestPINIsReadAndNeverShown(t *testing.T) {
	w, f := fakeRig(t)
	pin, err := w.client.PIN(t.Context(), "wwan0")
	require.NoError(t, err)
	require.Equal(t, "4711", pin.Reveal())
	js, err := json.Marshal(pin)
	require.NoError(t, err)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "pin", pin, "in", struct{ P netifd.PIN }{pin})
	for _, shown := range []string{fmt.Sprint(pin), fmt.Sprintf("%v %+v %#v %s %q", pin, pin, pin, pin, pin), string(js), log.String(),
		fmt.Sprintf("%v", w.ifaces["wwan0"])} {
		require.NotContains(t, shown, "4711")
	}
	pin, err = w.client.PIN(t.Context(), "wan")
	require.NoError(t, err)
	require.Empty(t, pin.Reveal())
	f.SetOption("wwan0", "pincode", "")
	pin, err = w.client.PIN(t.Context(), "wwan0")
	require.NoError(t, err)
	require.Empty(t, pin.Reveal())
	_, err = w.client.PIN(t.Context(), "wwan7")
	require.ErrorIs(t, err, netifd.ErrNoInterface)
	f.SetOption("wwan0", "device", "/sys/moved")
	w.client.Refresh()
	w.iface("moved", "wwan0", func(i model.Interface) bool { return i.ModemDevice == "/sys/moved" })
}

func TestVerbsReachNetifd(t *testing.T) {
	w, f := fakeRig(t)
	f.SetAvailable("wwan0", true)
	f.Hold("wwan0")
	require.NoError(t, w.client.Down(t.Context(), "wwan0"))
	require.NoError(t, w.client.Up(t.Context(), "wwan0"))
	w.iface("being set up", "wwan0", func(i model.Interface) bool { return i.Pending })
	f.Release("wwan0")
	w.iface("up", "wwan0", isUp)
	require.NoError(t, w.client.Renew(t.Context(), "wwan0"))
	require.Equal(t, []string{"down", "up", "renew"}, f.Calls("wwan0"))
	f.Refuse("wwan0", ubus.StatusPermissionDenied)
	require.ErrorIs(t, w.client.Up(t.Context(), "wwan0"), &ubus.StatusError{Status: ubus.StatusPermissionDenied})
	require.Equal(t, "wan      static       up on eth1 203.0.113.5/24 via 203.0.113.1\n"+
		"wwan0    modemmanager up on wwan0 10.64.0.2/30 via 10.64.0.1\n", f.String())
}

func TestVerbsWithoutABus(t *testing.T) {
	w := start(t, socketPath(t))
	w.until("the bus reported away", func() bool { return len(w.events) > 0 })
	require.IsType(t, model.NetifdChanged{}, w.events[0])
	require.ErrorIs(t, w.client.Up(t.Context(), "wan"), netifd.ErrDown)
	_, err := w.client.PIN(t.Context(), "wan")
	require.ErrorIs(t, err, netifd.ErrDown)
}
