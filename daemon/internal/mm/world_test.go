package mm_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/mm"
	"github.com/terminills/remsim-openwrt/daemon/internal/mm/mmfake"
	"github.com/terminills/remsim-openwrt/daemon/internal/mm/mmrig"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// bound is the longest wait for anything: the real ModemManager takes 16 s to
// find out that an MBIM modem has no card, on a free machine.
const bound = 90 * time.Second

const (
	iccid1 = "89861234567890123450"
	iccid2 = "89490200001234567897"
	imsi2  = "001010999999999"
)

// world is a ModemManager with one modem that is driven; others may be there.
type world interface {
	options() mm.Options
	device() string
	imei() string
	model() string
	// same tells whether a modem with the world's identity is expected to have
	// this USB path.
	usbPath() string
	resets() bool // ModemManager can reset this modem
	plug()
	unplug()
	insertSIM(iccid, imsi, pin string)
	removeSIM()
	refillTries()
	tries() int
	loseNetwork()
	findNetwork()
	setRSRP(dbm int)
	killMM()
	startMM()
	killBus()
	startBus()
	log() string
}

// fakeWorld is mmfake.
type fakeWorld struct {
	t *testing.T
	f *mmfake.Fake
	m *mmfake.Modem
}

// shortDir is a directory whose socket names fit into 107 bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mm")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func newFake(t *testing.T, version string) *mmfake.Fake {
	t.Helper()
	f := mmfake.New(mmfake.Options{Version: version})
	require.NoError(t, f.Listen(filepath.Join(shortDir(t), "bus")))
	t.Cleanup(f.Close)
	return f
}

var fakeSpec = mmfake.Spec{
	Device: "/sys/devices/platform/1e1c0000.xhci/usb2/2-1", Maker: "Fibocom Wireless Inc.", Model: "L850-GL", Revision: "18500.5001.00.05.27.30",
	IMEI: "015550000000002", Plugin: "fibocom", Drivers: []string{"cdc_mbim", "cdc_acm"},
	Ports: []model.Port{{Name: "cdc-wdm9", Kind: model.PortMBIM}, {Name: "ttyACM0", Kind: model.PortAT}, {Name: "wwan9", Kind: model.PortNet}},
}

func (w *fakeWorld) options() mm.Options {
	return mm.Options{Address: w.f.Address(), Sysfs: w.t.TempDir()}
}
func (w *fakeWorld) device() string  { return fakeSpec.Device }
func (w *fakeWorld) imei() string    { return fakeSpec.IMEI }
func (w *fakeWorld) model() string   { return fakeSpec.Model }
func (w *fakeWorld) usbPath() string { return "2-1" }
func (w *fakeWorld) resets() bool    { return true }
func (w *fakeWorld) plug() {
	if w.m == nil {
		spec := fakeSpec
		spec.Card = &mmfake.Card{ICCID: iccid1, IMSI: "001010123456789"}
		w.m = w.f.Plug(spec)
		return
	}
	w.m.Plug()
}
func (w *fakeWorld) unplug() { w.m.Unplug() }
func (w *fakeWorld) insertSIM(iccid, imsi, pin string) {
	w.m.InsertSIM(mmfake.Card{ICCID: iccid, IMSI: imsi, PIN: pin})
}
func (w *fakeWorld) removeSIM()      { w.m.RemoveSIM() }
func (w *fakeWorld) refillTries()    { w.m.RefillTries() }
func (w *fakeWorld) tries() int      { return w.m.Tries() }
func (w *fakeWorld) loseNetwork()    { w.m.LoseNetwork(false, 0) }
func (w *fakeWorld) findNetwork()    { w.m.FindNetwork(false) }
func (w *fakeWorld) setRSRP(dbm int) { w.m.SetRSRP(float64(dbm)) }
func (w *fakeWorld) killMM()         { w.f.KillMM() }
func (w *fakeWorld) startMM()        { w.f.StartMM() }
func (w *fakeWorld) killBus()        { w.f.KillBus() }
func (w *fakeWorld) startBus()       { require.NoError(w.t, w.f.StartBus()) }
func (w *fakeWorld) log() string     { return w.f.String() }

// realWorld is Debian's ModemManager with played modems.
type realWorld struct {
	r      *mmrig.Rig
	m      *mmrig.Modem
	others []*mmrig.Modem
	reset  bool
}

func (w *realWorld) options() mm.Options {
	return mm.Options{Address: w.r.Address(), Sysfs: w.r.Sysfs()}
}
func (w *realWorld) device() string { return w.m.Spec.Physdev() }
func (w *realWorld) imei() string   { return w.m.Spec.IMEI }
func (w *realWorld) model() string {
	if w.m.Spec.PCI {
		return "MBIM [14C3:4D75]" // an MBIM modem cannot tell its name to 1.20's generic plugin
	}
	return w.m.Spec.Model
}
func (w *realWorld) usbPath() string {
	if w.m.Spec.Control == "" || w.m.Spec.PCI {
		return ""
	}
	return w.m.Spec.USBPath
}
func (w *realWorld) resets() bool { return w.reset }
func (w *realWorld) plug() {
	w.r.Plug(w.m)
	for _, m := range w.others {
		w.r.Plug(m)
	}
	w.others = nil
}
func (w *realWorld) unplug() { w.r.Unplug(w.m) }
func (w *realWorld) insertSIM(iccid, imsi, pin string) {
	w.m.InsertSIM(mmrig.Card{ICCID: iccid, IMSI: imsi, PIN: pin})
}
func (w *realWorld) removeSIM()      { w.m.RemoveSIM() }
func (w *realWorld) refillTries()    { w.m.RefillTries() }
func (w *realWorld) tries() int      { return w.m.Tries() }
func (w *realWorld) loseNetwork()    { w.m.Register(mmrig.Searching) }
func (w *realWorld) findNetwork()    { w.m.Register(mmrig.Home) }
func (w *realWorld) setRSRP(dbm int) { w.m.SetRSRP(dbm) }
func (w *realWorld) killMM()         { w.r.KillMM() }
func (w *realWorld) startMM()        { w.r.StartMM() }
func (w *realWorld) killBus()        { w.r.KillBus() }
func (w *realWorld) startBus()       { w.r.StartBus() }
func (w *realWorld) log() string {
	lines := strings.Split(w.r.Log(), "\n")
	return fmt.Sprintf("%v, not understood: %q\n%s", w.m, w.m.Unknown(), strings.Join(lines[max(0, len(lines)-60):], "\n"))
}

// worlds are the places that the one table runs in.
var worlds = map[string]func(t *testing.T) world{
	"fake 1.20": func(t *testing.T) world { return &fakeWorld{t: t, f: newFake(t, "1.20.4")} },
	"fake 1.22": func(t *testing.T) world { return &fakeWorld{t: t, f: newFake(t, "1.22.0")} },
	"fake 1.24": func(t *testing.T) world { return &fakeWorld{t: t, f: newFake(t, "1.24.0")} },
	"real, AT": func(t *testing.T) world {
		return &realWorld{r: mmrig.Start(t), m: mmrig.NewModem(mmrig.Virtual("v")), reset: true}
	},
	"real, L850 USB": func(t *testing.T) world { return realDevices(t, mmrig.L850(), mmrig.FM350(), true) },
	"real, FM350 PCIe": func(t *testing.T) world {
		return realDevices(t, mmrig.FM350(), mmrig.L850(), false)
	},
}

// realDevices drives one of two modems that are there at once.
func realDevices(t *testing.T, driven, other mmrig.Spec, reset bool) world {
	t.Helper()
	return &realWorld{r: mmrig.StartDevices(t), m: mmrig.NewModem(driven), others: []*mmrig.Modem{mmrig.NewModem(other)}, reset: reset}
}

// picture is what the events add up to.
type picture struct {
	service model.ModemsService
	modems  map[string]model.ObservedModem // by D-Bus path
	paths   []string                       // every path ever seen, in order
}

// recorder folds events and lets a test wait for them.
type recorder struct {
	t       *testing.T
	log     func() string
	mu      sync.Mutex
	pic     picture
	events  []string
	changed chan struct{}
}

func (r *recorder) event(ev model.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e := ev.(type) {
	case model.ModemsService:
		r.pic.service = e
		r.events = append(r.events, fmt.Sprintf("service up=%v %s %s", e.Up, e.Version, e.Reason))
	case model.ModemSeen:
		if _, known := r.pic.modems[e.Seen.Path]; !known {
			r.pic.paths = append(r.pic.paths, e.Seen.Path)
		}
		r.pic.modems[e.Seen.Path] = e.Seen
		r.events = append(r.events, fmt.Sprintf("seen %s %s %s%s lock=%q reg=%s op=%s tech=%s sim=%v", e.Seen.Path, e.Seen.Device, e.Seen.State, e.Seen.FailedReason, e.Seen.Lock,
			e.Seen.Registration, e.Seen.OperatorName, e.Seen.AccessTechnology, e.Seen.SIM))
	case model.ModemGone:
		_, known := r.pic.modems[e.Path]
		require.True(r.t, known, "gone without having been seen: %s", e.Path)
		delete(r.pic.modems, e.Path)
		r.events = append(r.events, "gone "+e.Path+" "+e.Device)
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

// wait returns once the picture satisfies ok.
func (r *recorder) wait(t *testing.T, what string, ok func(picture) bool) {
	t.Helper()
	deadline := time.NewTimer(bound)
	defer deadline.Stop()
	for {
		r.mu.Lock()
		good, changed := ok(r.pic), r.changed
		r.mu.Unlock()
		if good {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			r.mu.Lock()
			t.Fatalf("waited %v for: %s\nevents:\n%s\nworld:\n%s", bound, what, strings.Join(r.events, "\n"), r.log())
		}
	}
}

// stage is a world with a running client.
type stage struct {
	world
	rec    *recorder
	client *mm.Client
	known  map[string]bool // paths of earlier lives of the modem
}

func setStage(t *testing.T, w world) *stage {
	t.Helper()
	rec := &recorder{t: t, log: w.log, pic: picture{modems: map[string]model.ObservedModem{}}, changed: make(chan struct{})}
	opts := w.options()
	opts.SignalRate, opts.Events = time.Second, rec.event
	s := &stage{world: w, rec: rec, client: mm.New(opts), known: map[string]bool{}}
	run(t, s.client)
	rec.wait(t, "ModemManager", func(p picture) bool { return p.service.Up })
	return s
}

// run runs a client until the test ends.
func run(t *testing.T, c *mm.Client) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
}

// modem waits until the driven modem is seen so, and returns it.
func (s *stage) modem(t *testing.T, what string, ok func(model.ObservedModem) bool) (seen model.ObservedModem) {
	t.Helper()
	s.rec.wait(t, what, func(p picture) bool {
		for _, path := range slices.Sorted(maps.Keys(p.modems)) {
			if m := p.modems[path]; m.Device == s.device() && ok(m) {
				seen = m
				return true
			}
		}
		return false
	})
	return seen
}

// anew waits for the driven modem under a path that it did not have before.
func (s *stage) anew(t *testing.T, old model.ObservedModem, what string, ok func(model.ObservedModem) bool) model.ObservedModem {
	t.Helper()
	s.known[old.Path] = true
	return s.modem(t, what, func(m model.ObservedModem) bool { return !s.known[m.Path] && ok(m) })
}

// gone waits until the driven modem is not there.
func (s *stage) gone(t *testing.T, what string) {
	t.Helper()
	s.rec.wait(t, what, func(p picture) bool {
		for _, m := range p.modems {
			if m.Device == s.device() {
				return false
			}
		}
		return true
	})
}

func inState(state string) func(model.ObservedModem) bool {
	return func(m model.ObservedModem) bool { return m.State == state }
}

// registered plugs the modem in and enables it.
func (s *stage) registered(t *testing.T) model.ObservedModem {
	t.Helper()
	s.plug()
	s.modem(t, "disabled modem", inState("disabled"))
	return s.enable(t)
}

func (s *stage) enable(t *testing.T) model.ObservedModem {
	t.Helper()
	require.NoError(t, s.client.Enable(t.Context(), s.device()), s.log())
	return s.modem(t, "registered modem", func(m model.ObservedModem) bool {
		return m.State == "registered" && m.Registration == "home" && m.OperatorCode == "00101"
	})
}
