// Package netifdfake is a netifd for tests and demonstrations. It publishes what
// netifd publishes on a bus (network.interface, an object per interface,
// network.device, rpcd's uci with `get`, and of procd's service that a file
// changed), keeps the states of openwrt/netifd's
// interface.c, and tells of changes as that does: an event and two notifications
// when an interface goes up or down, notifications alone when it is updated or
// fails, and nothing at all when it starts to be set up, is blocked, or when its
// device comes or goes while it is down. It can be driven and prints itself. It
// is never part of a router program.
package netifdfake

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// Config is one interface as a person configures it, and what it gets when it
// is up.
type Config struct {
	Name    string
	Proto   string            // "static" unless given
	Options map[string]string // device, apn, pincode … for `uci get`
	Device  string            // of protocols that have one; "" for modemmanager
	L3      string            // where traffic goes when it is up
	Metric  int
	Dynamic bool
	NoAuto  bool // option auto '0'
	// Addresses are "10.64.0.2/30"; DNS are plain, and Gateway, one a family, apart
	// by blanks.
	Addresses []string
	Gateway   string
	DNS       []string
}

// Failure is one of netifd's interface errors.
type Failure struct {
	Subsystem string   `json:"subsystem"`
	Code      string   `json:"code"`
	Data      []string `json:"data,omitempty"`
}

// iface is one interface, with the states of interface.c.
type iface struct {
	Config
	obj       *ubus.Object
	up        bool
	pending   bool // IFS_SETUP
	available bool
	autostart bool
	since     time.Time
	errors    []Failure
	held      bool    // setup waits for Release
	fails     Failure // next setup ends so; Code "": it succeeds
	blocks    bool    // and netifd does not try again
	refuses   ubus.Status
	calls     []string
}

// Section is a section of a configuration file, for `uci get`.
type Section struct {
	Type, Name string // no name: an anonymous one
	Options    map[string]string
}

// Fake is a netifd on a bus.
type Fake struct {
	client *ubus.Client
	main   *ubus.Object
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	ifaces map[string]*iface
	stats  map[string][2]int64  // rx and tx bytes by device
	gone   bool                 // Vanish
	files  map[string][]Section // besides network
	procd  *ubus.Object
}

// Start publishes the objects on the bus at a socket path, and keeps them there
// until Close, also through restarts of the bus.
func Start(socket string) (*Fake, error) { return start(socket, true) }

// StartWithoutUCI is Start for a bus on which somebody else has the object `uci`
// and asks GetUCI for what the fake knows.
func StartWithoutUCI(socket string) (*Fake, error) { return start(socket, false) }

func start(socket string, uci bool) (*Fake, error) {
	f := &Fake{ifaces: map[string]*iface{}, stats: map[string][2]int64{}, files: map[string][]Section{}, done: make(chan struct{})}
	f.client = ubus.NewClient(socket, ubus.Options{Backoff: func(int) time.Duration { return 20 * time.Millisecond }})
	f.main = f.mainObject()
	f.procd = &ubus.Object{Path: "service", Methods: []ubus.Method{{Name: "list", Handler: func(_ context.Context, req *ubus.Request) { reply(req, ubus.Table{}) }}}}
	objects := []*ubus.Object{f.main, f.deviceObject(), f.procd}
	if uci {
		objects = append(objects, f.uciObject())
	}
	for _, o := range objects {
		if err := f.client.AddObject(o); err != nil {
			return nil, fmt.Errorf("publish %s: %w", o.Path, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	go func() {
		defer close(f.done)
		_ = f.client.Run(ctx) // nil when ctx ends
	}()
	return f, nil
}

// Ready is closed when the objects are on the bus for the first time.
func (f *Fake) Ready() <-chan struct{} { return f.client.Ready() }

// Close takes everything off the bus.
func (f *Fake) Close() {
	f.cancel()
	<-f.done
}

// Add configures an interface, as a reload with a new section does. Its device
// is not there yet for modemmanager until SetAvailable; other protocols are
// available at once.
func (f *Fake) Add(c Config) error {
	if c.Proto == "" {
		c.Proto = "static"
	}
	f.mu.Lock()
	if f.ifaces[c.Name] != nil {
		f.mu.Unlock()
		return fmt.Errorf("interface %s is there already", c.Name)
	}
	i := &iface{Config: c, autostart: !c.NoAuto, available: c.Proto != "modemmanager"}
	f.ifaces[c.Name] = i
	i.obj = f.interfaceObject(c.Name)
	f.mu.Unlock()
	if err := f.client.AddObject(i.obj); err != nil {
		return err
	}
	f.change(c.Name, func(i *iface, out *outbox) {
		if i.autostart {
			i.setUp(out)
		}
	})
	return nil
}

// Remove takes an interface out of the configuration.
func (f *Fake) Remove(name string) error {
	f.change(name, func(i *iface, out *outbox) { i.goDown(out, "ifdown") })
	f.mu.Lock()
	i := f.ifaces[name]
	delete(f.ifaces, name)
	f.mu.Unlock()
	if i == nil {
		return fmt.Errorf("there is no interface %s", name)
	}
	return f.client.RemoveObject(i.obj)
}

// SetAvailable says whether the interface's device is there, as
// ModemManager-monitor does when a modem comes or goes.
func (f *Fake) SetAvailable(name string, yes bool) {
	f.change(name, func(i *iface, out *outbox) {
		if i.available == yes {
			return
		}
		i.available = yes
		switch {
		case yes && i.autostart:
			i.setUp(out)
		case !yes:
			i.goDown(out, "ifdown")
		}
	})
}

// Fail makes every setup of the interface end with an error from now on. With
// block netifd gives up then, as modemmanager.sh has it do; without it tries
// again with the next `up`. An empty code mends it.
func (f *Fake) Fail(name, code string, block bool) {
	f.change(name, func(i *iface, _ *outbox) {
		i.fails, i.blocks = Failure{Subsystem: i.Proto, Code: code}, block
	})
}

// Hold makes setups wait for Release.
func (f *Fake) Hold(name string) { f.change(name, func(i *iface, _ *outbox) { i.held = true }) }

// Release ends a Hold and finishes a setup that waits.
func (f *Fake) Release(name string) {
	f.change(name, func(i *iface, out *outbox) {
		i.held = false
		if i.pending {
			i.finishSetup(out)
		}
	})
}

// Refuse makes calls of the interface's verbs end with a status; OK ends that.
// The real netifd never refuses `up`: a blocked interface is unblocked by it.
func (f *Fake) Refuse(name string, status ubus.Status) {
	f.change(name, func(i *iface, _ *outbox) { i.refuses = status })
}

// SetAddresses changes what an interface has; one that is up tells so.
func (f *Fake) SetAddresses(name string, addrs []string, gateway string, dns []string) {
	f.change(name, func(i *iface, out *outbox) {
		i.Addresses, i.Gateway, i.DNS = addrs, gateway, dns
		if i.up {
			out.notify(i, "interface.update")
		}
	})
}

// SetStats sets the counters of a network device.
func (f *Fake) SetStats(device string, rx, tx int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats[device] = [2]int64{rx, tx}
}

// SetOption changes an option for `uci get`; "" removes it.
func (f *Fake) SetOption(name, option, value string) {
	f.change(name, func(i *iface, _ *outbox) {
		opts := map[string]string{}
		for k, v := range i.Options {
			opts[k] = v
		}
		if opts[option] = value; value == "" {
			delete(opts, option)
		}
		i.Options = opts
	})
}

// SetFile changes a configuration file besides network, as `uci commit` and
// `reload_config` do: procd tells of it. Without sections there is no such file.
func (f *Fake) SetFile(config string, sections ...Section) {
	f.ChangeFileQuietly(config, sections...)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	// Nobody hears it while the bus is away, as with procd.
	_ = f.procd.Notify(ctx, "config.change", ubus.Table{{Name: "config", Value: config}})
}

// ChangeFileQuietly is SetFile as an editor does it: nobody is told.
func (f *Fake) ChangeFileQuietly(config string, sections ...Section) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files[config] = sections
}

// Calls returns the verbs that were called on an interface, in order.
func (f *Fake) Calls(name string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := f.ifaces[name]; i != nil {
		return slices.Clone(i.calls)
	}
	return nil
}

// State is "up", "pending" (a setup waits for Release), "unavailable", "blocked"
// or "down"; "" of an interface that is not there.
func (f *Fake) State(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := f.ifaces[name]; i != nil {
		return i.state()
	}
	return ""
}

// Vanish takes network.interface off the bus, as a netifd that died; Return
// brings it back.
func (f *Fake) Vanish() error {
	f.mu.Lock()
	objs := f.objects()
	f.gone = true
	f.mu.Unlock()
	for _, o := range objs {
		if err := f.client.RemoveObject(o); err != nil {
			return err
		}
	}
	return nil
}

// Return ends a Vanish.
func (f *Fake) Return() error {
	f.mu.Lock()
	f.gone = false
	f.main = f.mainObject()
	for name, i := range f.ifaces {
		i.obj = f.interfaceObject(name)
	}
	objs := f.objects()
	f.mu.Unlock()
	for _, o := range objs {
		if err := f.client.AddObject(o); err != nil {
			return err
		}
	}
	return nil
}

// objects are those of netifd itself, the main one first.
func (f *Fake) objects() []*ubus.Object {
	objs := []*ubus.Object{f.main}
	for _, name := range f.names() {
		objs = append(objs, f.ifaces[name].obj)
	}
	return objs
}

func (f *Fake) names() []string {
	var names []string
	for n := range f.ifaces {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Print writes one line per interface.
func (f *Fake) Print(w io.Writer) error {
	_, err := io.WriteString(w, f.String())
	return err
}

// String lists the interfaces with their states.
func (f *Fake) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	for _, name := range f.names() {
		i := f.ifaces[name]
		fmt.Fprintf(&b, "%-8s %-12s %s", name, i.Proto, i.state())
		if i.up {
			fmt.Fprintf(&b, " on %s %s", i.L3, strings.Join(i.Addresses, " "))
			if i.Gateway != "" {
				fmt.Fprintf(&b, " via %s", i.Gateway)
			}
		}
		for _, e := range i.errors {
			fmt.Fprintf(&b, " !%s", e.Code)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (i *iface) state() string {
	switch {
	case i.up:
		return "up"
	case i.pending:
		return "pending"
	case !i.available:
		return "unavailable"
	case !i.autostart && len(i.errors) > 0:
		return "blocked"
	}
	return "down"
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
