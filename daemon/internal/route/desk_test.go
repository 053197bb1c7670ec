package route_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/route"
	"github.com/terminills/remsim-openwrt/daemon/internal/route/routefake"
	"github.com/terminills/remsim-openwrt/tests/netrig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bound is how long a test waits for what must come.
const bound = 20 * time.Second

// desk is a kernel with two devices, wana and wanb, that the table is run on.
type desk interface {
	kernel() route.Kernel
	// address gives a device an address, another program would.
	address(device, prefix string)
	// up switches a device on or off.
	up(device string, on bool)
	// rename gives a device another name; it must be down.
	rename(from, to string)
	// strip removes our rules of a priority and empties a table.
	strip(pref, table uint32)
	// foreign adds the rule of somebody else, without protocol.
	foreign(r route.Rule)
	// leave removes it again.
	leave(r route.Rule)
}

// fakeDesk is the fake kernel.
type fakeDesk struct {
	t *testing.T
	k *routefake.Kernel
}

func newFakeDesk(t *testing.T) desk {
	d := &fakeDesk{t, routefake.New()}
	for _, name := range []string{"wana", "wanb"} {
		d.k.Set(route.Device{Name: name, Up: true, Carrier: true})
	}
	return d
}

func (d *fakeDesk) kernel() route.Kernel { return d.k }

func (d *fakeDesk) get(name string) route.Device {
	list, err := d.k.Devices()
	require.NoError(d.t, err)
	for _, dev := range list {
		if dev.Name == name {
			return dev
		}
	}
	d.t.Fatalf("no device %s", name)
	return route.Device{}
}

func (d *fakeDesk) address(device, p string) {
	dev := d.get(device)
	dev.Addresses = append(dev.Addresses, netip.MustParsePrefix(p))
	d.k.Set(dev)
}

func (d *fakeDesk) up(device string, on bool) {
	dev := d.get(device)
	dev.Up, dev.Carrier = on, on
	d.k.Set(dev)
}

func (d *fakeDesk) rename(from, to string) {
	dev := d.get(from)
	d.k.Unset(from)
	dev.Name = to
	d.k.Set(dev)
}

func (d *fakeDesk) strip(pref, table uint32) {
	d.k.Disturb(func(r route.Rule) bool { return r.Pref == pref && r.Protocol == route.Protocol }, func(r route.Route) bool { return r.Table == table })
}

func (d *fakeDesk) foreign(r route.Rule) { require.NoError(d.t, d.k.Foreign(r)) }

func (d *fakeDesk) leave(r route.Rule) {
	d.k.Disturb(func(have route.Rule) bool { return have == r }, func(route.Route) bool { return false })
}

// realDesk is the kernel of the namespace that the test is in.
type realDesk struct {
	t *testing.T
	k *route.Netlink
}

func newRealDesk(t *testing.T) desk {
	k, err := route.OpenKernel()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	space := netrig.New(t, "carriers")
	for _, name := range []string{"wana", "wanb"} {
		netrig.Wire(t, nil, name, space, "far-"+name)
	}
	t.Cleanup(func() {
		netrig.Run(t, "ip link del wana\nip link del wanb")
		_, err := route.Cleanup(k)
		require.NoError(t, err)
		for _, family := range []string{"-4", "-6"} {
			for line := range strings.Lines(netrig.Output(t, "ip "+family+" rule")) {
				if pref, _, _ := strings.Cut(line, ":"); pref != "0" && pref != "32766" && pref != "32767" {
					netrig.Run(t, "ip "+family+" rule del pref "+pref)
				}
			}
		}
	})
	return &realDesk{t, k}
}

func (d *realDesk) kernel() route.Kernel { return d.k }

func (d *realDesk) address(device, p string) {
	nodad := ""
	if strings.Contains(p, ":") {
		nodad = " nodad"
	}
	netrig.Run(d.t, "ip addr add "+p+" dev "+device+nodad)
}

func (d *realDesk) up(device string, on bool) {
	state := "down"
	if on {
		state = "up"
	}
	netrig.Run(d.t, "ip link set dev "+device+" "+state)
}

func (d *realDesk) rename(from, to string) {
	netrig.Run(d.t, "ip link set dev "+from+" name "+to)
	d.t.Cleanup(func() { netrig.Run(d.t, "ip link set dev "+to+" down\nip link set dev "+to+" name "+from) })
}

func (d *realDesk) strip(pref, table uint32) {
	for _, family := range []string{"-4", "-6"} {
		for strings.Contains(netrig.Output(d.t, "ip "+family+" rule"), fmt.Sprintf("%d:", pref)) {
			netrig.Run(d.t, fmt.Sprintf("ip %s rule del pref %d", family, pref))
		}
		netrig.Run(d.t, fmt.Sprintf("ip %s route flush table %d", family, table))
	}
}

func (d *realDesk) foreign(r route.Rule) { netrig.Run(d.t, "ip "+words(r, "add")) }

func (d *realDesk) leave(r route.Rule) { netrig.Run(d.t, "ip "+words(r, "del")) }

// words are how `ip` takes a rule.
func words(r route.Rule, verb string) string {
	family, words := "-4", fmt.Sprintf("pref %d table %d", r.Pref, r.Table)
	if r.Family == route.IPv6 {
		family = "-6"
	}
	if r.Mask != 0 {
		words += fmt.Sprintf(" fwmark %#x/%#x", r.Mark, r.Mask)
	}
	if r.In != "" {
		words += " iif " + r.In
	}
	return family + " rule " + verb + " " + words
}

// driven is a driver that runs.
type driven struct {
	desk
	t    *testing.T
	plan *cell.Cell[model.RoutePlan]

	mu     sync.Mutex
	events []model.Event
}

func drive(t *testing.T, d desk, plan model.RoutePlan) *driven {
	r := &driven{desk: d, t: t, plan: cell.New(model.RoutePlan{}, model.RoutePlan.Equal)}
	r.plan.Set(plan)
	driver := route.New(route.Options{Kernel: d.kernel(), Plan: r.plan, Events: r.note})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- driver.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return r
}

func (r *driven) note(e model.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// routes is the newest report, nil if there is none.
func (r *driven) routes() (last *model.RoutesChanged) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if c, ok := e.(model.RoutesChanged); ok {
			last = &c
		}
	}
	return last
}

// device is the newest report of a device, nil if there is none.
func (r *driven) device(name string) (last *model.DeviceChanged) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if c, ok := e.(model.DeviceChanged); ok && c.Device == name {
			last = &c
		}
	}
	return last
}

// holds waits until the kernel holds these lines and no other ones of ours.
func (r *driven) holds(want string) {
	r.t.Helper()
	lines := strings.Split(strings.TrimSpace(want), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	var got []string
	ok := false
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for begun := time.Now(); !ok && time.Since(begun) < bound; <-poll.C {
		got = ours(r.t, r.kernel())
		ok = len(got) == len(lines)
		for i := 0; ok && i < len(got); i++ {
			ok = got[i] == lines[i]
		}
	}
	require.Equal(r.t, strings.Join(lines, "\n"), strings.Join(got, "\n"))
	r.until("it is reported", func() bool { c := r.routes(); return c != nil && c.Applied })
}

func (r *driven) until(what string, so func() bool) {
	r.t.Helper()
	require.Eventually(r.t, so, bound, 5*time.Millisecond, what)
}
