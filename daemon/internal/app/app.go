// Package app assembles the daemon: it makes the tasks from the configuration
// and a set of drivers, real ones or fakes, and runs them until it is told to
// stop. It is the only place that knows all parts.
package app

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/api"
	"github.com/terminills/remsim-openwrt/daemon/internal/at"
	"github.com/terminills/remsim-openwrt/daemon/internal/card"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/cardem"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/uimremote"
	"github.com/terminills/remsim-openwrt/daemon/internal/card/vpcd"
	"github.com/terminills/remsim-openwrt/daemon/internal/engine"
	"github.com/terminills/remsim-openwrt/daemon/internal/gpio"
	"github.com/terminills/remsim-openwrt/daemon/internal/hotplug"
	"github.com/terminills/remsim-openwrt/daemon/internal/ionmesh"
	"github.com/terminills/remsim-openwrt/daemon/internal/journal"
	"github.com/terminills/remsim-openwrt/daemon/internal/meter"
	"github.com/terminills/remsim-openwrt/daemon/internal/mm"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/netifd"
	"github.com/terminills/remsim-openwrt/daemon/internal/path"
	"github.com/terminills/remsim-openwrt/daemon/internal/probe"
	"github.com/terminills/remsim-openwrt/daemon/internal/route"
	"github.com/terminills/remsim-openwrt/daemon/internal/supervise"
	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// Options are what the command line and the system give.
type Options struct {
	Version   string
	ConfigDir string // holds the UCI file remsim
	StateDir  string // survives a reboot
	RunDir    string // survives a restart
	Ubus      string // socket of ubusd
	Hostname  string
	Logger    *slog.Logger
	LogLevel  *slog.LevelVar   // set from the configuration; nil: fixed
	Reload    <-chan os.Signal // reads the configuration again
	Sysinfo   string           // holds board_name; "" is /tmp/sysinfo
	Sysfs     string           // "" is /sys
	ProbeTime time.Duration    // how long a modem may be missing before that means anything; 0 is the engine's
	FlushTime time.Duration    // between two writes of history and cards to the state directory; 0 is an hour
}

// Drivers are the ways out of the process.
type Drivers struct {
	// Dial connects to a peer over a path; nil is the kernel's way.
	Dial func(ctx context.Context, via model.Path, purpose model.Purpose, network, address string) (net.Conn, error)
	// Front makes the card front of a kind for a device.
	Front func(kind, device string) (card.Front, error)
	// CardEmulators lists those that are plugged in.
	CardEmulators func() []cardem.Found
	// UIMRemote is how modems are asked for UIM Remote.
	UIMRemote uimremote.Options
	// Hotplug calls changed whenever a device comes or goes, until ctx ends. Nil:
	// what is there is only looked at every now and then.
	Hotplug func(ctx context.Context, changed func()) error
	// DBus is the address of the bus with ModemManager; "" is the system bus.
	DBus string
	// Probes ask a link's far ends for a sign of life; nil watches no link. Heard
	// is what the daemon's own connections tell of a link for nothing.
	Probes probe.World
	Heard  probe.Heard
	// GPIO are the kernel's verbs for lines.
	GPIO gpio.Kernel
	// ATPort opens a modem's AT port.
	ATPort func(path string) (at.Port, error)
	// Routes opens the kernel's routing; nil leaves routing alone.
	Routes func() (route.Kernel, error)
	// Meter is the packet filter that counts and fences links; nil: they are not.
	Meter meter.Kernel
}

// RealDrivers are those of a router. log is told once if connections cannot be
// bound to their links.
func RealDrivers(log *slog.Logger) Drivers {
	paths := path.New(path.Options{Log: log})
	return Drivers{
		Dial:   paths.Dial,
		Probes: probe.System("/sys", paths.Lookup),
		Heard:  paths,
		Front: func(kind, device string) (card.Front, error) {
			switch kind {
			case "cardem":
				return cardem.New(device)
			case "uim-remote":
				return uimremote.New(device, uimremote.Options{})
			case "vpcd":
				return vpcd.New(device)
			}
			return nil, fmt.Errorf("front %q is not in this version", kind)
		},
		CardEmulators: cardem.USB{}.Discover,
		Hotplug:       hotplug.Watch,
		GPIO:          gpio.NewSystem(),
		ATPort:        at.OpenPort,
		Routes:        func() (route.Kernel, error) { return route.OpenKernel() },
		Meter:         meter.NewSystem(),
	}
}

// App is the running daemon.
type App struct {
	opts       Options
	drivers    Drivers
	conf       configuration
	engine     *engine.Engine
	api        *api.API
	bus        *ubus.Client
	mm         *mm.Client
	ionmesh    *ionmesh.Client // nil: it cannot work here
	netifd     *netifd.Client
	neighbours *neighbours
	pulses     gpio.Memory
	cards      *supervise.Group
	modems     *supervise.Group

	stopping    atomic.Bool
	following   sync.Mutex // one at a time makes stacks and looks after modems
	credentials sync.Mutex // guards the files

	mu       sync.Mutex
	settings engine.Settings // as applied last
	stacks   map[string]*stack
	stored   cardStore
	looking  map[string]*looked                     // after modems that exist
	watching struct{ modems, networks, paths bool } // ModemManager and its neighbours, netifd, routes and probes
}

// Run serves until ctx ends. It returns an error only if nothing can be served
// at all; a bad configuration is no reason to end.
func Run(ctx context.Context, o Options, d Drivers) error {
	for _, dir := range []string{o.StateDir, o.RunDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			o.Logger.WarnContext(ctx, "directory not made", "dir", dir, "err", err)
		}
	}
	first, err := firstNumber(o.StateDir, time.Now())
	if err != nil {
		o.Logger.WarnContext(ctx, "numbers start at the clock", "err", err)
	}
	a := &App{opts: o, drivers: d, conf: configuration{opts: o}, stacks: make(map[string]*stack), looking: make(map[string]*looked)}
	unlock, err := lockRun(o.RunDir)
	if err != nil {
		return err
	}
	defer unlock()
	a.api = api.New(o.Logger)
	a.engine = engine.New(engine.Options{Version: o.Version, First: first, Publish: a.publish, ProbeTime: o.ProbeTime})
	a.api.Bind(a.engine, a)
	a.bus = ubus.NewClient(o.Ubus, ubus.Options{Logger: o.Logger})
	if err := a.bus.AddObject(a.api.Object()); err != nil {
		return fmt.Errorf("make the ubus object: %w", err)
	}
	a.mm = mm.New(mm.Options{Address: d.DBus, Sysfs: o.Sysfs, SignalRate: signalRate, Events: a.engine.Tell})
	a.netifd = netifd.New(a.bus, netifd.Options{Events: a.engine.Tell, Memory: filepath.Join(o.RunDir, "networks-down.json")})
	if a.ionmesh, err = a.newIonMesh(); err != nil {
		o.Logger.WarnContext(ctx, "no client of the orchestrator", "err", err)
	}
	a.neighbours = newNeighbours(a)
	a.pulses = gpio.NewFileMemory(o.RunDir)
	a.restoreHistory(ctx)
	a.loadCards(ctx)
	a.restoreBudget(ctx)
	a.serve(ctx)
	return nil
}

// signalRate is how often ModemManager reads the signal of a modem: what a
// person who aims an antenna can live with, and two messages on the bus a time.
const signalRate = 30 * time.Second

// serve starts the tasks, from the core outwards, and stops them when ctx ends:
// the bus first, so that nobody is told of losses that are only the end.
func (a *App) serve(ctx context.Context) {
	core, outside := supervise.New(a.failed, a.recovered), supervise.New(a.failed, a.recovered)
	a.cards = supervise.New(a.failed, a.recovered)
	a.modems = supervise.New(a.failed, a.recovered)
	core.Start(supervise.Task{Name: "engine", Run: a.engine.Run})
	_ = a.engine.Note(ctx, model.KindDaemon, "remsim", "started, version "+a.opts.Version) // fails only when it stops already
	a.apply(ctx)
	outside.Start(supervise.Task{Name: "fronts", Run: a.lookForFronts})
	outside.Start(supervise.Task{Name: "ubus", Run: a.bus.Run})
	if a.ionmesh != nil {
		outside.Start(supervise.Task{Name: "ionmesh", Run: a.ionmesh.Run})
	}
	outside.Start(supervise.Task{Name: "announcements", Run: func(ctx context.Context) error { return a.api.Run(ctx, a.bus) }})
	if a.drivers.Routes != nil {
		outside.Start(supervise.Task{Name: "routes", Run: a.keepRoutes})
	}
	flush := time.NewTicker(cmp.Or(a.opts.FlushTime, flushTime))
	defer flush.Stop()
	for {
		select {
		case <-flush.C:
			a.flushHistory(ctx)
			a.storeCards(ctx)
			a.keepBudget(ctx)
		case <-ctx.Done():
			a.opts.Logger.InfoContext(ctx, "stopping; card, lease and modem stay as they are")
			a.stopping.Store(true)
			outside.Stop()
			a.keepHistory(ctx, a.opts.RunDir)
			a.storeCards(ctx)
			a.modems.Stop()
			a.keepBudget(ctx)
			a.mu.Lock()
			for name, st := range a.stacks {
				st.stop()
				delete(a.stacks, name)
			}
			a.mu.Unlock()
			core.Stop()
			return
		case <-a.opts.Reload:
			a.apply(ctx)
		case <-a.engine.FrontPlans().Changed():
			a.follow(ctx)
		}
	}
}

// apply reads the configuration and makes everything follow it.
func (a *App) apply(ctx context.Context) {
	s := a.conf.read(ctx)
	if err := a.engine.Apply(ctx, s); err != nil {
		return // the daemon is stopping
	}
	a.forgetCards(ctx)
	a.mu.Lock()
	a.settings = s
	a.mu.Unlock()
	a.follow(ctx)
}

// follow makes fronts, and whatever looks after modems, those that are wanted now.
func (a *App) follow(ctx context.Context) {
	a.following.Lock()
	defer a.following.Unlock()
	a.arrange(ctx)
	a.lookAfter()
}

// publish hands a change to the bus and to the system log. A repetition is
// logged when its count doubles, so that a peer that is away for a week does not
// fill the log.
func (a *App) publish(s *model.Snapshot, news []journal.Entry) {
	a.api.Publish(s, news)
	if a.stopping.Load() {
		return // what the end brings is no news
	}
	for _, e := range news {
		if e.Count&(e.Count-1) != 0 {
			continue
		}
		level := slog.LevelInfo
		switch model.Severity(e.Data["severity"]) {
		case model.Critical:
			level = slog.LevelError
		case model.Warning:
			level = slog.LevelWarn
		}
		a.opts.Logger.Log(context.Background(), level, e.Text, "kind", e.Kind, "subject", e.Subject, "count", e.Count)
	}
}

func (a *App) failed(f supervise.Failure) {
	a.engine.Tell(model.TaskFailed{At: model.At{Time: time.Now()}, Task: f.Task, Err: f.Err.Error(), Next: f.Next})
}

func (a *App) recovered(task string) {
	a.engine.Tell(model.TaskRecovered{At: model.At{Time: time.Now()}, Task: task})
}
