// Package route keeps rules and routing tables of the kernel as a plan wants them:
// one table per link, reached by mark, by the device that a socket is bound to and
// by source address, and, if the plan says so, the link for user traffic. IPv4 and
// IPv6 are treated alike. It also tells of network devices, and of another program
// that routes user traffic.
//
// What it makes carries a protocol number of its own, by which it is found again,
// by the next process as well. It never touches anything else, never decides which
// link to use, and leaves everything in place when it ends: see Cleanup.
package route

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// ErrUnsupported: the kernel has no such address family, or no rules for it.
var ErrUnsupported = errors.New("not supported by this kernel")

// Repairs: if somebody removes ours again and again, we do not join the fight at
// full speed.
const (
	firstRepair = 50 * time.Millisecond
	lastRepair  = 10 * time.Second
	calm        = time.Minute // after which the first repair is quick again
	retry       = 5 * time.Second
)

// Options say what to keep and whom to tell.
type Options struct {
	Kernel Kernel
	Plan   *cell.Cell[model.RoutePlan]
	// Events is told of model.RoutesChanged and model.DeviceChanged, in order,
	// from Run's goroutine.
	Events func(model.Event)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Driver applies plans. Make it with New.
type Driver struct {
	opts Options
	wake chan struct{}

	mu      sync.Mutex
	changes Change // since the loop looked

	// Below: only Run.
	looked  bool // at devices, at least once
	devices map[string]Device
	sources map[string][]netip.Addr // last known, by device
	last    *model.RoutesChanged
	serial  int64 // of the plan applied last
	flush   int64
	flushed bool // the first plan tells where counting starts
	repair  time.Duration
	mended  time.Time // when something was last put right
}

// New makes a driver; Run starts it.
func New(o Options) *Driver {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Driver{opts: o, wake: make(chan struct{}, 1), devices: make(map[string]Device), sources: make(map[string][]netip.Addr), repair: firstRepair}
}

// Run applies the plan, and applies it again when somebody disturbs it, until ctx
// ends; then it returns nil and leaves everything as it is. It returns an error if
// the kernel cannot be listened to.
func (d *Driver) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	watching := make(chan error, 1)
	go func() { watching <- d.opts.Kernel.Watch(ctx, d.changed) }()
	err := d.loop(ctx, watching)
	cancel()
	if err == nil {
		err = <-watching
	}
	return err
}

// changed notes what may be different and wakes the loop.
func (d *Driver) changed(c Change) {
	d.mu.Lock()
	d.changes.Routing = d.changes.Routing || c.Routing
	d.changes.Devices = d.changes.Devices || c.Devices
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (d *Driver) take() Change {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.changes
	d.changes = Change{}
	return c
}

func (d *Driver) loop(ctx context.Context, watching chan error) error {
	again := time.NewTimer(time.Hour)
	again.Stop()
	defer again.Stop()
	held := false // a repair waits for its time
	for {
		planned := false
		select {
		case <-ctx.Done():
			return nil
		case err := <-watching:
			watching <- nil
			return err
		case <-d.opts.Plan.Changed():
			planned = true
		case <-again.C:
			planned, held = true, false
		case <-d.wake:
		}
		c := d.take()
		if c.Devices || !d.looked {
			d.lookAtDevices()
		}
		switch {
		case planned || c.Devices && !held:
			if !d.apply() {
				again.Reset(retry)
			}
		case c.Routing && !held:
			if wait := d.disturbed(); wait > 0 {
				held = true
				again.Reset(wait)
			}
		}
	}
}

// disturbed finds out whether a change of routing concerns us, and when to put
// things right.
func (d *Driver) disturbed() time.Duration {
	if d.inOrder() {
		reason := ""
		if d.last != nil && d.last.Applied {
			reason = d.last.Reason // what the kernel lacks it still lacks
		}
		d.tell(true, reason) // the neighbour may be another
		return 0
	}
	now := d.opts.Now()
	if now.Sub(d.mended) > calm {
		d.repair = firstRepair
	}
	d.mended = now
	wait := d.repair
	d.repair = min(2*d.repair, lastRepair)
	return wait
}

// inOrder tells whether the kernel holds what is wanted.
func (d *Driver) inOrder() bool {
	plan, _ := d.present(d.opts.Plan.Get())
	if !plan.Known {
		return true
	}
	for _, f := range families {
		rules, err := d.opts.Kernel.Rules(f)
		if errors.Is(err, ErrUnsupported) {
			continue
		}
		routes, err2 := d.opts.Kernel.Routes(f)
		if err != nil || err2 != nil {
			return false
		}
		want := wanted(plan, f)
		ours := slices.DeleteFunc(rules, func(r Rule) bool { return !r.ours() })
		if !same(ours, want.rules) || !same(routes, want.routes) {
			return false
		}
	}
	return true
}

func same[T comparable](have, want []T) bool {
	h, w := setOf(have), setOf(want)
	if len(h) != len(w) {
		return false
	}
	for v := range w {
		if !h[v] {
			return false
		}
	}
	return true
}

// apply applies the plan in both families and tells how it went. It returns false
// if it should be tried again though nothing changes.
func (d *Driver) apply() bool {
	plan, reason := d.present(d.opts.Plan.Get())
	if !plan.Known {
		return true
	}
	applied := reason == ""
	for _, f := range families {
		err := apply(d.opts.Kernel, f, wanted(plan, f))
		switch {
		case err == nil:
		case errors.Is(err, ErrUnsupported) && f == IPv6:
			// IPv4 goes on alone, and that is said, if there is nothing worse to say.
			if applied {
				reason = fmt.Sprintf("%v: %v", f, err)
			}
		default:
			applied, reason = false, fmt.Sprintf("%v: %v", f, err)
		}
	}
	if applied {
		d.forget(plan)
	}
	d.remember(plan)
	d.serial = plan.Serial
	d.tell(applied, reason)
	return applied
}

// present is the plan without links whose device the kernel does not have: they are
// as good as down, and their return will be told.
func (d *Driver) present(plan model.RoutePlan) (_ model.RoutePlan, missing string) {
	plan.Links = slices.Clone(plan.Links)
	for i := range plan.Links {
		l := &plan.Links[i]
		if _, there := d.devices[l.Device]; l.Device != "" && !there {
			missing = fmt.Sprintf("link %s: there is no device %s", l.Name, l.Device)
			l.Device = ""
		}
	}
	return plan, missing
}

// tell reports, if anything is different from what was reported.
func (d *Driver) tell(applied bool, reason string) {
	e := model.RoutesChanged{Serial: d.serial, Applied: applied, Reason: reason}
	for _, f := range families {
		if rules, err := d.opts.Kernel.Rules(f); err == nil && e.Neighbour == "" {
			e.Neighbour, e.Evidence = neighbour(rules)
		}
	}
	if d.last != nil && *d.last == e {
		return
	}
	d.last = &e
	told := e
	told.Time = d.opts.Now()
	d.opts.Events(told)
}

// remember keeps the addresses of the links' devices for the time when they are
// gone.
func (d *Driver) remember(plan model.RoutePlan) {
	for _, l := range plan.Links {
		if l.Device == "" {
			continue
		}
		var list []netip.Addr
		for _, p := range l.Sources {
			list = append(list, p.Addr())
		}
		if len(list) > 0 {
			d.sources[l.Device] = list
		}
	}
}

// forget drops the tracked connections of devices that user traffic has left: their
// packets would go on to leave with an address of the other link.
func (d *Driver) forget(plan model.RoutePlan) {
	if !d.flushed || plan.Flush <= d.flush {
		d.flush, d.flushed = plan.Flush, true
		return
	}
	d.flush = plan.Flush
	stranded := d.stranded(plan)
	if len(stranded) == 0 {
		return
	}
	// A kernel without connection tracking has stranded nothing.
	_, _ = d.opts.Kernel.Forget(func(f Flow) bool {
		return stranded[f.Source] || stranded[f.Answer]
	})
}

// stranded are the router's own addresses on the devices to flush.
func (d *Driver) stranded(plan model.RoutePlan) map[netip.Addr]bool {
	set := make(map[netip.Addr]bool)
	for _, device := range plan.FlushDevices {
		for _, a := range d.sources[device] {
			set[a] = true
		}
		for _, p := range d.devices[device].Addresses {
			set[p.Addr()] = true
		}
		for _, l := range plan.Links {
			if l.Device != device {
				continue
			}
			for _, p := range l.Sources {
				set[p.Addr()] = true
			}
		}
	}
	return set
}

// lookAtDevices tells what is different about network devices.
func (d *Driver) lookAtDevices() {
	list, err := d.opts.Kernel.Devices()
	if err != nil {
		d.tell(false, fmt.Sprintf("list devices: %v", err))
		return
	}
	d.looked = true
	seen := make(map[string]bool)
	for _, dev := range list {
		seen[dev.Name] = true
		old, had := d.devices[dev.Name]
		if had && old.Carrier == dev.Carrier && old.Up == dev.Up && slices.Equal(old.Addresses, dev.Addresses) {
			continue
		}
		d.devices[dev.Name] = dev
		d.opts.Events(model.DeviceChanged{At: d.at(), Device: dev.Name, Present: true, Carrier: dev.Carrier, Addresses: dev.Addresses})
	}
	for name := range d.devices {
		if !seen[name] {
			delete(d.devices, name)
			d.opts.Events(model.DeviceChanged{At: d.at(), Device: name})
		}
	}
}

func (d *Driver) at() model.At { return model.At{Time: d.opts.Now()} }
