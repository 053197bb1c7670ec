// Package routefake is a kernel's routing for tests and demos: rules, routes,
// devices and tracked connections that can be driven and printed. It never touches
// a real kernel.
package routefake

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/terminills/remsim-openwrt/daemon/internal/route"
)

// ErrNoDevice is what adding a route over a device that is away or down comes to.
var ErrNoDevice = errors.New("network is down")

// Kernel is a fake kernel. Make it with New.
type Kernel struct {
	mu      sync.Mutex
	rules   []route.Rule // in the order in which they apply
	routes  []route.Route
	devices []route.Device
	flows   []route.Flow
	no6     bool
	noRules bool
	watcher func(route.Change)
	log     []string
}

// New makes a kernel with the rules that every kernel has, and no devices.
func New() *Kernel {
	k := &Kernel{}
	for _, f := range []route.Family{route.IPv4, route.IPv6} {
		k.rules = append(k.rules, route.Rule{Family: f, Pref: 0, Protocol: 2, Table: 255}, route.Rule{Family: f, Pref: 32766, Protocol: 2, Table: 254})
	}
	k.rules = append(k.rules, route.Rule{Family: route.IPv4, Pref: 32767, Protocol: 2, Table: 253})
	return k
}

// lacks tells what the kernel is missing. The caller locks.
func (k *Kernel) lacks(f route.Family) error {
	if k.noRules || k.no6 && f == route.IPv6 {
		return route.ErrUnsupported
	}
	return nil
}

// Rules lists the rules of a family.
func (k *Kernel) Rules(f route.Family) (list []route.Rule, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.lacks(f); err != nil {
		return nil, err
	}
	for _, r := range k.rules {
		if r.Family == f {
			list = append(list, r)
		}
	}
	return list, nil
}

// AddRule adds a rule behind those of its priority.
func (k *Kernel) AddRule(r route.Rule) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.lacks(r.Family); err != nil {
		return err
	}
	if slices.Contains(k.rules, r) {
		return nil
	}
	k.log = append(k.log, fmt.Sprintf("+ %v rule %v", r.Family, r))
	i := 0
	for i < len(k.rules) && k.rules[i].Pref <= r.Pref {
		i++
	}
	k.rules = slices.Insert(k.rules, i, r)
	return nil
}

// RemoveRule removes a rule.
func (k *Kernel) RemoveRule(r route.Rule) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dropRule(r)
	return nil
}

func (k *Kernel) dropRule(r route.Rule) {
	if i := slices.Index(k.rules, r); i >= 0 {
		k.rules = slices.Delete(k.rules, i, i+1)
		k.log = append(k.log, fmt.Sprintf("- %v rule %v", r.Family, r))
	}
}

// Routes lists our routes of a family.
func (k *Kernel) Routes(f route.Family) (list []route.Route, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.lacks(f); err != nil {
		return nil, err
	}
	for _, r := range k.routes {
		if r.Family == f {
			list = append(list, r)
		}
	}
	return list, nil
}

// PutRoute adds a route or replaces the one of the same table, target and metric.
func (k *Kernel) PutRoute(r route.Route) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.lacks(r.Family); err != nil {
		return err
	}
	if d := k.device(r.Device); !r.Unreachable && (d == nil || !d.Up) {
		return fmt.Errorf("add route %v: %w", r, ErrNoDevice)
	}
	k.log = append(k.log, fmt.Sprintf("+ %v route %v", r.Family, r))
	for i, have := range k.routes {
		if have.Family == r.Family && have.Table == r.Table && have.To == r.To && have.Metric == r.Metric {
			k.routes[i] = r
			return nil
		}
	}
	k.routes = append(k.routes, r)
	return nil
}

// RemoveRoute removes a route.
func (k *Kernel) RemoveRoute(r route.Route) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if i := slices.Index(k.routes, r); i >= 0 {
		k.routes = slices.Delete(k.routes, i, i+1)
		k.log = append(k.log, fmt.Sprintf("- %v route %v", r.Family, r))
	}
	return nil
}

// Devices lists the devices.
func (k *Kernel) Devices() ([]route.Device, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.devices), nil
}

// Forget drops the tracked connections that are chosen.
func (k *Kernel) Forget(chosen func(route.Flow) bool) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := len(k.flows)
	k.flows = slices.DeleteFunc(k.flows, chosen)
	return n - len(k.flows), nil
}

// Watch has changed called after each Set, Unset, Disturb and Foreign.
func (k *Kernel) Watch(ctx context.Context, changed func(route.Change)) error {
	k.mu.Lock()
	k.watcher = changed
	k.mu.Unlock()
	changed(route.Change{Routing: true, Devices: true})
	<-ctx.Done()
	k.mu.Lock()
	k.watcher = nil
	k.mu.Unlock()
	return nil
}

// Close does nothing: what it holds stays, as in a kernel.
func (k *Kernel) Close() error { return nil }

func (k *Kernel) tell(c route.Change) {
	k.mu.Lock()
	watcher := k.watcher
	k.mu.Unlock()
	if watcher != nil {
		watcher(c)
	}
}

// device finds a device. The caller locks.
func (k *Kernel) device(name string) *route.Device {
	for i := range k.devices {
		if k.devices[i].Name == name {
			return &k.devices[i]
		}
	}
	return nil
}

// Set makes a device or changes it. One that is not up loses its routes.
func (k *Kernel) Set(d route.Device) {
	k.mu.Lock()
	if have := k.device(d.Name); have != nil {
		*have = d
	} else {
		k.devices = append(k.devices, d)
	}
	if !d.Up {
		k.flush(d.Name)
	}
	k.mu.Unlock()
	k.tell(route.Change{Devices: true})
}

// Unset takes a device away, and its routes with it.
func (k *Kernel) Unset(name string) {
	k.mu.Lock()
	k.devices = slices.DeleteFunc(k.devices, func(d route.Device) bool { return d.Name == name })
	k.flush(name)
	k.mu.Unlock()
	k.tell(route.Change{Devices: true})
}

func (k *Kernel) flush(device string) {
	k.routes = slices.DeleteFunc(k.routes, func(r route.Route) bool { return r.Device == device })
}

// Disturb removes every rule and route that is chosen, as another program would.
func (k *Kernel) Disturb(rule func(route.Rule) bool, way func(route.Route) bool) {
	k.mu.Lock()
	k.rules = slices.DeleteFunc(k.rules, rule)
	k.routes = slices.DeleteFunc(k.routes, way)
	k.mu.Unlock()
	k.tell(route.Change{Routing: true})
}

// Foreign adds a rule that somebody else made.
func (k *Kernel) Foreign(r route.Rule) error {
	err := k.AddRule(r)
	k.tell(route.Change{Routing: true})
	return err
}

// Track adds a tracked connection.
func (k *Kernel) Track(source, answer netip.Addr) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.flows = append(k.flows, route.Flow{Source: source, Answer: answer})
}

// Tracked lists the tracked connections.
func (k *Kernel) Tracked() []route.Flow {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.flows)
}

// Lack takes IPv6, or all rules, out of the kernel.
func (k *Kernel) Lack(ipv6, rules bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.no6, k.noRules = ipv6, rules
}

// Log returns what was changed by verbs since the last call, in order.
func (k *Kernel) Log() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	log := k.log
	k.log = nil
	return log
}

// String is what the kernel holds, as `ip` shows it.
func (k *Kernel) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var b strings.Builder
	for _, f := range []route.Family{route.IPv4, route.IPv6} {
		for _, r := range k.rules {
			if r.Family == f {
				fmt.Fprintf(&b, "%v rule %v\n", f, r)
			}
		}
		for _, r := range k.routes {
			if r.Family == f {
				fmt.Fprintf(&b, "%v route %v\n", f, r)
			}
		}
	}
	return b.String()
}
