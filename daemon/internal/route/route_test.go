package route_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/route"
	"github.com/terminills/remsim-openwrt/daemon/internal/route/routefake"
)

// TestAddsBeforeItRemoves: at no moment of a switch is user traffic without a way,
// and no rule leads into an empty table.
func TestAddsBeforeItRemoves(t *testing.T) {
	d, ok := newFakeDesk(t).(*fakeDesk)
	require.True(t, ok)
	r := drive(t, d, model.RoutePlan{Known: true, Links: []model.RouteLink{linkA(), linkB()}, Data: "wan"})
	r.until("applied", func() bool { return r.routes() != nil })
	first := d.k.Log()
	for i, line := range first {
		require.True(t, strings.HasPrefix(line, "+ "), line)
		if strings.Contains(line, " rule ") {
			table := line[strings.Index(line, "lookup "):][len("lookup "):]
			if table, _, _ = strings.Cut(table, " "); table == "254" {
				continue
			}
			family := line[2:6]
			require.Condition(t, func() bool {
				for _, before := range first[:i] {
					if strings.HasPrefix(before, "+ "+family+" route") && strings.Contains(before, "table "+table) {
						return true
					}
				}
				return false
			}, "%s leads into an empty table", line)
		}
	}
	r.plan.Set(model.RoutePlan{Known: true, Links: []model.RouteLink{linkA(), linkB()}, Data: "iot"})
	r.until("switched", func() bool { return strings.Contains(d.k.String(), "IPv4 rule 32001: from all lookup 17202") })
	r.until("the old way is gone", func() bool { return !strings.Contains(d.k.String(), "IPv4 rule 32001: from all lookup 17201") })
	log := d.k.Log()
	require.Equal(t, []string{
		"+ IPv4 rule 32001: from all lookup 17202",
		"- IPv4 rule 32001: from all lookup 17201",
	}, log[:2])
}

// TestAppliesNothingTwice: what is there is left alone, by the next process too.
func TestAppliesNothingTwice(t *testing.T) {
	d, ok := newFakeDesk(t).(*fakeDesk)
	require.True(t, ok)
	plan := model.RoutePlan{Known: true, Links: []model.RouteLink{linkA(), linkB()}, Data: "wan"}
	for i := range 2 {
		t.Run("process", func(t *testing.T) {
			r := drive(t, d, plan)
			r.until("applied", func() bool { return r.routes() != nil })
			if log := d.k.Log(); i == 1 {
				require.Empty(t, log)
			}
		})
	}
}

// TestFlushForgetsStrandedConnections: only those of the link that was left, and by
// its last address if the device is gone already.
func TestFlushForgetsStrandedConnections(t *testing.T) {
	d, ok := newFakeDesk(t).(*fakeDesk)
	require.True(t, ok)
	ip := netip.MustParseAddr
	d.k.Track(ip("192.168.1.50"), ip("10.0.1.2"))     // a host of the LAN behind NAT on wan
	d.k.Track(ip("10.0.1.2"), ip("10.0.1.2"))         // the router's own
	d.k.Track(ip("192.168.1.50"), ip("100.64.0.5"))   // on the other link
	d.k.Track(ip("192.168.1.50"), ip("192.168.1.50")) // within the LAN
	plan := model.RoutePlan{Known: true, Links: []model.RouteLink{linkA(), linkB()}, Data: "wan", Flush: 7}
	r := drive(t, d, plan)
	r.until("applied", func() bool { return r.routes() != nil })
	require.Len(t, d.k.Tracked(), 4, "the first plan flushes nothing: its number may be an old one")
	gone := linkA()
	gone.Device, gone.Sources = "", nil
	r.plan.Set(model.RoutePlan{Known: true, Links: []model.RouteLink{gone, linkB()}, Data: "iot", Flush: 8, FlushDevices: []string{"wana"}})
	r.until("they are forgotten", func() bool { return len(d.k.Tracked()) == 2 })
	for _, f := range d.k.Tracked() {
		require.NotEqual(t, ip("10.0.1.2"), f.Answer)
	}
}

// TestTouchesNothingBeforeItKnows: what an earlier run has made stays until somebody
// has said what there is; then what is not wanted goes.
func TestTouchesNothingBeforeItKnows(t *testing.T) {
	d, ok := newFakeDesk(t).(*fakeDesk)
	require.True(t, ok)
	t.Run("earlier run", func(t *testing.T) {
		r := drive(t, d, model.RoutePlan{Known: true, Links: []model.RouteLink{linkA()}})
		r.holds(holdsA)
	})
	r := drive(t, d, model.RoutePlan{})
	r.until("it looked", func() bool { return r.device("wana") != nil })
	d.strip(1, 1) // wakes it once more
	r.plan.Set(model.RoutePlan{Data: "wan"})
	require.Equal(t, strings.Fields(holdsA), strings.Fields(strings.Join(ours(t, d.k), "\n")))
	r.plan.Set(model.RoutePlan{Known: true})
	r.until("what is not wanted is gone", func() bool { return len(ours(t, d.k)) == 0 })
}

// TestKernelWithoutTheDevice: a link whose device is away is as good as down; it is
// served when the device comes.
func TestKernelWithoutTheDevice(t *testing.T) {
	d, ok := newFakeDesk(t).(*fakeDesk)
	require.True(t, ok)
	d.k.Unset("wanb")
	r := drive(t, d, model.RoutePlan{Known: true, Links: []model.RouteLink{linkA(), linkB()}})
	r.until("it is reported", func() bool { c := r.routes(); return c != nil && !c.Applied })
	require.Equal(t, "link iot: there is no device wanb", r.routes().Reason)
	require.Equal(t, strings.Fields(holdsA), strings.Fields(strings.Join(ours(t, d.k), "\n")))
	d.k.Set(route.Device{Name: "wanb", Up: true, Carrier: true})
	r.until("it is served", func() bool { return r.routes().Applied })
	require.Contains(t, d.k.String(), "lookup 17202")
}

// TestKernelsThatLackSomething: IPv6 is named and done without; rules are needed.
func TestKernelsThatLackSomething(t *testing.T) {
	for _, tt := range []struct {
		name            string
		no6, noRules    bool
		applied         bool
		reason, holding string
	}{
		{"no IPv6", true, false, true, "IPv6: not supported", "IPv4 rule 400"},
		{"no rules", false, true, false, "IPv4: not supported", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, ok := newFakeDesk(t).(*fakeDesk)
			require.True(t, ok)
			d.k.Lack(tt.no6, tt.noRules)
			r := drive(t, d, model.RoutePlan{Known: true, Links: []model.RouteLink{linkA()}})
			r.until("it is reported", func() bool { return r.routes() != nil })
			require.Equal(t, tt.applied, r.routes().Applied)
			require.Contains(t, r.routes().Reason, tt.reason)
			require.Contains(t, d.k.String(), tt.holding)
			require.NotContains(t, d.k.String(), "IPv6 rule 400")
			_, err := route.Cleanup(d.k)
			require.NoError(t, err)
			require.NotContains(t, d.k.String(), "IPv4 rule 400")
		})
	}
}

// TestDoesNotFightAtFullSpeed: against a program that removes our rules whenever
// they come, repairs become rare; after a quiet minute the first is quick again.
func TestDoesNotFightAtFullSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := routefake.New()
		k.Set(route.Device{Name: "wana", Up: true, Carrier: true})
		plan := cell.New(model.RoutePlan{}, model.RoutePlan.Equal)
		plan.Set(model.RoutePlan{Known: true, Links: []model.RouteLink{linkA()}})
		driver := route.New(route.Options{Kernel: k, Plan: plan, Events: func(model.Event) {}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- driver.Run(ctx) }()
		present := func() bool { return strings.Contains(k.String(), "IPv4 rule 400") }
		attack := func() {
			k.Disturb(func(r route.Rule) bool { return r.Pref == route.PrefMark }, func(route.Route) bool { return false })
		}
		repairs := 0
		for range 60 * 20 { // a minute, twenty attacks a second
			synctest.Wait()
			if present() {
				repairs++
				attack()
			}
			time.Sleep(50 * time.Millisecond)
		}
		require.Greater(t, repairs, 5)
		require.Less(t, repairs, 20)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.True(t, present())
		attack()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		require.True(t, present())
		cancel()
		require.NoError(t, <-done)
	})
}
