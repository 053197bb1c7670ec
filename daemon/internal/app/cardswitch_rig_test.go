package app_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/app"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd/vpcdfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/gpio"
	"github.com/terminills/remsim-openwrt/daemon/internal/gpio/gpiofake"
	"github.com/terminills/remsim-openwrt/daemon/internal/mm"
	"github.com/terminills/remsim-openwrt/daemon/internal/mm/mmfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/mm/mmrig"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/netifd/netifdfake"
)

// rack is a ModemManager with one modem that has a slot: mmfake, or Debian's.
type rack interface {
	address() string
	sysfs() string
	device() string
	match() string // the modem's option match
	insert(iccid, imsi string)
	remove()
	replug()                      // the modem drops off its bus and comes back
	connect(path string) error    // as netifd's protocol handler does
	disconnect(path string) error // likewise
	replugsHidden() bool          // it can be replugged while ModemManager does not show it
	setRSRP(dbm int)              // dBm
	log() string
}

// racks are those that the table of card switches runs on.
var racks = map[string]func(t testing.TB) rack{
	"fake 1.24":        func(t testing.TB) rack { return newFakeRack(t, "1.24.0") },
	"real, AT":         func(t testing.TB) rack { return newRealRack(mmrig.Start(t), mmrig.Virtual("v"), "imei:") },
	"real, L850 USB":   func(t testing.TB) rack { return newRealRack(mmrig.StartDevices(t), mmrig.L850(), "usb:") },
	"real, FM350 PCIe": func(t testing.TB) rack { return newRealRack(mmrig.StartDevices(t), mmrig.FM350(), "dev:") },
}

type fakeRack struct {
	f *mmfake.Fake
	m *mmfake.Modem
}

// newFakeRack plays a ModemManager that takes a little to probe.
func newFakeRack(t testing.TB, version string) rack {
	f := mmfake.New(mmfake.Options{Version: version, Probe: 50 * time.Millisecond})
	require.NoError(t, f.Listen(filepath.Join(shortDir(t), "bus")))
	t.Cleanup(f.Close)
	s := spec
	s.Card = &mmfake.Card{ICCID: localICCID, IMSI: "001010000000001"}
	return &fakeRack{f: f, m: f.Plug(s)}
}

func (r *fakeRack) address() string           { return r.f.Address() }
func (r *fakeRack) sysfs() string             { return "" }
func (r *fakeRack) device() string            { return spec.Device }
func (r *fakeRack) match() string             { return "usb:2-1" }
func (r *fakeRack) insert(iccid, imsi string) { r.m.InsertSIM(mmfake.Card{ICCID: iccid, IMSI: imsi}) }
func (r *fakeRack) remove()                   { r.m.RemoveSIM() }
func (r *fakeRack) replug()                   { r.m.Unplug(); r.m.Plug() }
func (r *fakeRack) connect(string) error      { return r.m.Connect() }
func (r *fakeRack) disconnect(string) error   { r.m.Disconnect(); return nil }
func (r *fakeRack) replugsHidden() bool       { return true }
func (r *fakeRack) setRSRP(dbm int)           { r.m.SetRSRP(float64(dbm)) }
func (r *fakeRack) log() string               { return r.f.String() }

type realRack struct {
	r  *mmrig.Rig
	m  *mmrig.Modem
	by string
}

func newRealRack(r *mmrig.Rig, s mmrig.Spec, by string) rack {
	m := mmrig.NewModem(s)
	m.InsertSIM(mmrig.Card{ICCID: localICCID, IMSI: "001010000000001"})
	r.Plug(m)
	return &realRack{r: r, m: m, by: by}
}

func (r *realRack) address() string { return r.r.Address() }
func (r *realRack) sysfs() string   { return r.r.Sysfs() }
func (r *realRack) device() string  { return r.m.Spec.Physdev() }
func (r *realRack) match() string {
	return r.by + map[string]string{"imei:": r.m.Spec.IMEI, "usb:": r.m.Spec.USBPath, "dev:": "/dev/" + r.m.Spec.Control}[r.by]
}
func (r *realRack) insert(iccid, imsi string) { r.m.InsertSIM(mmrig.Card{ICCID: iccid, IMSI: imsi}) }
func (r *realRack) remove()                   { r.m.RemoveSIM() }
func (r *realRack) replug()                   { r.r.Unplug(r.m); r.r.Plug(r.m) }
func (r *realRack) replugsHidden() bool       { return r.m.Spec.MBIM }
func (r *realRack) setRSRP(dbm int)           { r.m.SetRSRP(dbm) }

const modemFace = "org.freedesktop.ModemManager1.Modem"

// connect enables an AT modem only: the played ones have no data mode.
func (r *realRack) connect(path string) error {
	if !r.m.Spec.MBIM {
		return r.r.Call(dbus.ObjectPath(path), modemFace+".Enable", true).Err
	}
	return r.r.Call(dbus.ObjectPath(path), modemFace+".Simple.Connect", map[string]dbus.Variant{"apn": dbus.MakeVariant("internet")}).Err
}

// disconnect is the teardown of OpenWrt's modemmanager.sh.
func (r *realRack) disconnect(path string) error {
	if r.m.Spec.MBIM {
		if err := r.r.Call(dbus.ObjectPath(path), modemFace+".Simple.Disconnect", dbus.ObjectPath("/")).Err; err != nil {
			return err
		}
	}
	return r.r.Call(dbus.ObjectPath(path), modemFace+".Enable", false).Err
}

func (r *realRack) log() string {
	lines := strings.Split(r.r.Log(), "\n")
	return fmt.Sprintf("%v, not understood: %q\n%s", r.m, r.m.Unknown(), strings.Join(lines[max(0, len(lines)-80):], "\n"))
}

// shortDir is a directory whose socket names fit into 107 bytes.
func shortDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "app")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// eyes are what a bystander on the bus sees of the modem.
type eyes struct {
	device string
	mu     sync.Mutex
	now    *model.ObservedModem // nil: not there
	paths  []string             // in order
	cards  map[model.ICCID]time.Time
	home   map[model.ICCID]time.Time
}

func (e *eyes) event(ev model.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch ev := ev.(type) {
	case model.ModemGone:
		if e.now != nil && e.now.Path == ev.Path {
			e.now = nil
		}
	case model.ModemSeen:
		if ev.Seen.Device != e.device {
			return
		}
		e.now = &ev.Seen
		if len(e.paths) == 0 || e.paths[len(e.paths)-1] != ev.Seen.Path {
			e.paths = append(e.paths, ev.Seen.Path)
		}
		if ev.Seen.SIM == nil {
			return
		}
		note(e.cards, ev.Seen.SIM.ICCID, ev.When())
		if ev.Seen.Registration == "home" {
			note(e.home, ev.Seen.SIM.ICCID, ev.When())
		}
	}
}

func note(first map[model.ICCID]time.Time, card model.ICCID, at time.Time) {
	if _, known := first[card]; !known {
		first[card] = at
	}
}

// forget starts the times anew.
func (e *eyes) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cards, e.home = map[model.ICCID]time.Time{}, map[model.ICCID]time.Time{}
}

func (e *eyes) modem() *model.ObservedModem {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now
}

func (e *eyes) objects() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.paths)
}

// switchWorld is the whole product around a rack: the SIM line, the two cards,
// the reader between bank and slot, and netifd with its protocol handler.
type switchWorld struct {
	*world
	rack
	eyes   *eyes
	gpio   *gpiofake.Kernel
	chip   string
	netifd *netifdfake.Fake

	frozen  atomic.Bool // the slot takes no card now
	crossed atomic.Bool // the line selects a third card
	turning func()      // called before the SIM line is driven; nil: nothing
	mu      sync.Mutex
	in      string // ICCID of the card in the slot
}

const crossedICCID = "8988211000000000045"

func newSwitchWorld(t testing.TB, build func(t testing.TB) rack) *switchWorld {
	w := &switchWorld{rack: build(t), world: newWorld(t), in: localICCID}
	w.gpio = gpiofake.New()
	w.chip = w.gpio.AddChip("pinctrl", false, gpiofake.Line{Name: "led"}, gpiofake.Line{Name: "wps"}, gpiofake.Line{Name: "spare"},
		gpiofake.Line{Name: "sim-select", Output: true})
	w.sys = w.sysfs()
	w.eyes = &eyes{device: w.rack.device()}
	w.eyes.forget()
	var err error
	w.netifd, err = netifdfake.Start(w.broker.Path())
	require.NoError(t, err)
	t.Cleanup(w.netifd.Close)
	require.NoError(t, w.netifd.Add(netifdfake.Config{Name: "wwan0", Proto: "modemmanager", L3: "wwan0",
		Options: map[string]string{"device": w.rack.device(), "apn": "internet"}, Addresses: []string{"10.64.0.2/30"}}))
	client := mm.New(mm.Options{Address: w.address(), Sysfs: w.sysfs(), Events: w.eyes.event})
	w.background(func(ctx context.Context) { _ = client.Run(ctx) }) // nil when ctx ends
	w.background(w.wireSlot)
	w.background(w.playProtocol)
	return w
}

// background runs fn until the test ends.
func (w *world) background(fn func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { fn(ctx) })
	w.Cleanup(func() { cancel(); done.Wait() })
}

// every calls fn again and again until ctx ends.
func every(ctx context.Context, d time.Duration, fn func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			fn()
		}
	}
}

// wireSlot is the copper between the SIM line, the two cards and the modem. The
// modem reads a remote card through the reader, by APDUs.
func (w *switchWorld) wireSlot(ctx context.Context) {
	every(ctx, 10*time.Millisecond, func() {
		in, want := w.slot(), localICCID
		if w.gpio.Level(w.chip, simLine) {
			want = w.remoteCard(ctx, in)
		}
		if want != in && in != "" {
			w.rack.remove()
			w.setSlot("")
			in = ""
		}
		if want != in && !w.frozen.Load() {
			w.rack.insert(want, "001010123456789")
			w.setSlot(want)
		}
	})
}

func (w *switchWorld) slot() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.in
}

func (w *switchWorld) setSlot(iccid string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.in = iccid
}

// remoteCard is the ICCID of the card in the reader, "" without one. in is the
// one that was read before: only whether it is still there is asked then.
func (w *switchWorld) remoteCard(ctx context.Context, in string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := w.reader.ATR(ctx); errors.Is(err, vpcdfake.ErrNoCard) {
		return ""
	} else if err != nil {
		return in // nobody knows
	}
	if w.crossed.Load() {
		return crossedICCID
	}
	if in == cardfake.Default().ICCID.String() {
		return in
	}
	if _, err := w.reader.PowerOn(ctx); err != nil {
		return ""
	}
	var answer []byte
	for _, tpdu := range readICCID {
		var err error
		if answer, err = w.reader.Transmit(ctx, tpdu); err != nil {
			return ""
		}
	}
	if len(answer) != 12 { // EF.ICCID has ten bytes (ETSI TS 102 221 §13.2), and the status word
		return ""
	}
	digits := []byte(fmt.Sprintf("%x", answer[:10]))
	for i := 0; i < len(digits); i += 2 {
		digits[i], digits[i+1] = digits[i+1], digits[i]
	}
	return strings.TrimRight(string(digits), "f")
}

// playProtocol is what OpenWrt runs beside netifd: ModemManager-monitor, which
// says when the interface's device is there, and modemmanager.sh, which
// connects the modem and lets go of it.
func (w *switchWorld) playProtocol(ctx context.Context) {
	calls, tried := 0, ""
	every(ctx, 20*time.Millisecond, func() {
		all := w.netifd.Calls("wwan0")
		m := w.eyes.modem()
		if len(all) > calls {
			tried = ""
			if last(all) == "down" {
				if m != nil {
					_ = w.rack.disconnect(m.Path) // a modem that is going has nothing to disconnect
				}
			}
			calls = len(all)
		}
		w.netifd.SetAvailable("wwan0", m != nil)
		if m == nil || last(all) == "down" || tried == m.Path || m.SIM == nil {
			return
		}
		if m.State == "disabled" || m.State == "registered" && tried == "" {
			if w.rack.connect(m.Path) == nil {
				tried = m.Path
			}
		}
	})
}

// configure is the configuration of a modem whose card is to be from source.
func (w *switchWorld) configure(source, more string) string {
	text := strings.Replace(w.config(""), "	list control_path 'primary'\n", "", 1)
	return strings.Replace(text, "	option source 'remote'\n",
		fmt.Sprintf("	option source '%s'\n	option match '%s'\n	option network 'wwan0'\n	option sim_line 'sim-select'\n%s", source, w.match(), more), 1)
}

// startSwitch runs the daemon.
func (w *switchWorld) startSwitch() {
	w.Helper()
	w.startWith(func(d *app.Drivers) { d.DBus, d.GPIO = w.address(), watchedLines{w.gpio, w} })
}

// settled waits until the daemon and the world agree that the modem uses the
// card, registered and with its network up.
func (w *switchWorld) settled(source model.Source, iccid string) {
	w.Helper()
	w.wait("the "+string(source)+" card in use", func() bool {
		m := w.eyes.modem()
		var ids struct {
			Modems []model.Identity `json:"modems"`
		}
		if m == nil || m.SIM == nil || w.call("identities", nil, &ids) != nil || len(ids.Modems) != 1 {
			return false
		}
		return string(m.SIM.ICCID) == iccid && ids.Modems[0].ICCID == iccid && m.Registration == "home" &&
			w.gpio.Level(w.chip, simLine) == (source == model.SourceRemote) && w.networkUp() && !w.switching()
	})
}

// watchedLines tell the world before a line is driven.
type watchedLines struct {
	*gpiofake.Kernel
	w *switchWorld
}

func (l watchedLines) Request(chip string, offset int, consumer string) (gpio.Handle, error) {
	h, err := l.Kernel.Request(chip, offset, consumer)
	return watchedLine{h, l.w}, err
}

type watchedLine struct {
	gpio.Handle
	w *switchWorld
}

func (l watchedLine) Drive(high bool) error {
	if l.w.turning != nil {
		l.w.turning()
	}
	return l.Handle.Drive(high)
}

// networkUp asks by dump: a call of the interface itself would be in its Calls.
func (w *switchWorld) networkUp() bool {
	reply, err := w.conn.Call(withBound(w), "network.interface", "dump", nil)
	if err != nil {
		return false
	}
	var dump struct {
		Interfaces []struct {
			Name string `json:"interface"`
			Up   bool   `json:"up"`
		} `json:"interface"`
	}
	require.NoError(w, reply.Decode(&dump))
	return len(dump.Interfaces) == 1 && dump.Interfaces[0].Up
}

// switching tells that a card switch has begun and not ended.
func (w *switchWorld) switching() bool {
	steps := w.steps()
	return len(steps) > 0 && !ended(steps[len(steps)-1])
}

// ended tells that the journal's text is the last of a switch.
func ended(text string) bool {
	for _, s := range []string{"the modem uses", "the local card is back", "the switch to", "the local card did not", "the network was brought up"} {
		if strings.HasPrefix(text, s) {
			return true
		}
	}
	return false
}

// steps are the journal's entries of card switches, oldest first.
func (w *switchWorld) steps() (out []string) {
	var events struct {
		Events []struct {
			Text string `json:"text"`
		} `json:"events"`
	}
	_ = w.call("events", map[string]any{"kind": model.KindSwitch, "limit": 500}, &events)
	for _, e := range events.Events {
		out = append(out, e.Text)
	}
	return out
}

// wait waits for what must become true.
func (w *switchWorld) wait(what string, ok func() bool) {
	w.Helper()
	end := time.NewTimer(switchBound)
	defer end.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			require.FailNow(w, "not within the bound: "+what, "slot %q, line remote %v, seen %+v\nnetifd: %v\n%v\njournal:\n%s\nrack:\n%s",
				w.slot(), w.gpio.Level(w.chip, simLine), w.eyes.modem(), w.netifd.Calls("wwan0"), w.netifd, w.journal(), w.rack.log())
		}
	}
}

// switchBound is the longest wait: the real ModemManager takes 16 s to find out
// that an MBIM modem has no card, on a free machine.
const switchBound = 2 * time.Minute
