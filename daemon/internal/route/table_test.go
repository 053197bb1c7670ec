package route_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
	"github.com/terminills/remsim-openwrt/daemon/internal/route"
	"github.com/terminills/remsim-openwrt/tests/netrig"
)

// ours lists what we have in the kernel, families and kinds apart, in order of
// priority or text.
func ours(t *testing.T, k route.Kernel) (lines []string) {
	t.Helper()
	for _, f := range []route.Family{route.IPv4, route.IPv6} {
		rules, err := k.Rules(f)
		require.NoError(t, err)
		for _, r := range rules {
			if r.Protocol == route.Protocol {
				lines = append(lines, f.String()+" "+r.String())
			}
		}
		routes, err := k.Routes(f)
		require.NoError(t, err)
		var list []string
		for _, r := range routes {
			list = append(list, f.String()+" "+r.String())
		}
		slices.Sort(list)
		lines = append(lines, list...)
	}
	return lines
}

// linkA has a gateway in its network, in both families.
func linkA() model.RouteLink {
	return model.RouteLink{
		Name: "wan", Number: 1, Device: "wana",
		Gateway4: netip.MustParseAddr("10.0.1.1"), Gateway6: netip.MustParseAddr("fe80::1"),
		Sources: []netip.Prefix{netip.MustParsePrefix("10.0.1.2/24"), netip.MustParsePrefix("2001:db8:a::2/64")},
	}
}

// linkB is a mobile link: its address alone, IPv4 only, the gateway elsewhere.
func linkB() model.RouteLink {
	return model.RouteLink{
		Name: "iot", Number: 2, Device: "wanb", Gateway4: netip.MustParseAddr("100.64.9.9"),
		Sources: []netip.Prefix{netip.MustParsePrefix("100.64.0.5/32")},
	}
}

const (
	holdsA4 = `
	IPv4 400: from all fwmark 0x10000000/0xf0000000 lookup 17201
	IPv4 410: from all oif wana lookup 254 suppress_prefixlength 0
	IPv4 411: from all oif wana lookup 17201
	IPv4 420: from 10.0.1.2/32 lookup 254 suppress_prefixlength 0
	IPv4 421: from 10.0.1.2/32 lookup 17201`
	routesA4 = `
	IPv4 10.0.1.0/24 dev wana table 17201 metric 1
	IPv4 default via 10.0.1.1 dev wana table 17201 metric 1`
	endA4   = "\n	IPv4 unreachable default table 17201 metric 4294967295"
	holdsA6 = `
	IPv6 400: from all fwmark 0x10000000/0xf0000000 lookup 17201
	IPv6 410: from all oif wana lookup 254 suppress_prefixlength 0
	IPv6 411: from all oif wana lookup 17201
	IPv6 420: from 2001:db8:a::2/128 lookup 254 suppress_prefixlength 0
	IPv6 421: from 2001:db8:a::2/128 lookup 17201`
	routesA6 = `
	IPv6 2001:db8:a::/64 dev wana table 17201 metric 1
	IPv6 default via fe80::1 dev wana table 17201 metric 1
	IPv6 fe80::/64 dev wana table 17201 metric 1
	IPv6 unreachable default table 17201 metric 4294967295`
	holdsA = holdsA4 + routesA4 + endA4 + holdsA6 + routesA6
	holdsB = `
	IPv4 400: from all fwmark 0x20000000/0xf0000000 lookup 17202
	IPv4 410: from all oif wanb lookup 254 suppress_prefixlength 0
	IPv4 411: from all oif wanb lookup 17202
	IPv4 420: from 100.64.0.5/32 lookup 254 suppress_prefixlength 0
	IPv4 421: from 100.64.0.5/32 lookup 17202
	IPv4 default via 100.64.9.9 dev wanb table 17202 metric 1 onlink
	IPv4 unreachable default table 17202 metric 4294967295
	IPv6 400: from all fwmark 0x20000000/0xf0000000 lookup 17202
	IPv6 410: from all oif wanb lookup 254 suppress_prefixlength 0
	IPv6 411: from all oif wanb lookup 17202
	IPv6 unreachable default table 17202 metric 4294967295`
	holdsData4 = `
	IPv4 32000: from all lookup 254 suppress_prefixlength 0
	IPv4 32001: from all lookup 17201`
	holdsData6 = `
	IPv6 32000: from all lookup 254 suppress_prefixlength 0
	IPv6 32001: from all lookup 17201`
)

// table are the behaviours that the fake and the real kernel share.
var table = []struct {
	name string
	run  func(t *testing.T, d desk)
}{
	{"a link has its table by mark, device and source, in both families", func(t *testing.T, d desk) {
		drive(t, d, model.RoutePlan{Known: true, Links: []model.RouteLink{linkA()}}).holds(holdsA)
	}},
	{"a mobile link has its gateway elsewhere, and no IPv6 leaks away", func(t *testing.T, d desk) {
		drive(t, d, model.RoutePlan{Known: true, Links: []model.RouteLink{linkB()}}).holds(holdsB)
	}},
	{"a point-to-point link needs no gateway", func(t *testing.T, d desk) {
		b := linkB()
		b.Gateway4, b.OnLink4 = netip.Addr{}, true
		want := strings.Replace(holdsB, "via 100.64.9.9 dev wanb table 17202 metric 1 onlink", "dev wanb table 17202 metric 1", 1)
		drive(t, d, model.RoutePlan{Known: true, Links: []model.RouteLink{b}}).holds(want)
	}},
	{"a link that is not up has nothing", func(t *testing.T, d desk) {
		b := linkB()
		b.Device = ""
		drive(t, d, model.RoutePlan{Known: true, Links: []model.RouteLink{linkA(), b}}).holds(holdsA)
	}},
	{"user traffic follows the data link in the families that it has", func(t *testing.T, d desk) {
		r := drive(t, d, model.RoutePlan{Known: true, Links: []model.RouteLink{linkA()}, Data: "wan"})
		r.holds(holdsA4 + holdsData4 + routesA4 + endA4 + holdsA6 + holdsData6 + routesA6)
		r.plan.Set(model.RoutePlan{Known: true, Links: []model.RouteLink{linkB()}, Data: "iot"})
		want := strings.Replace(holdsB, "\n	IPv4 default", strings.Replace(holdsData4, "17201", "17202", 1)+"\n	IPv4 default", 1)
		r.holds(want)
	}},
	{"user traffic is left to another program", func(t *testing.T, d desk) {
		drive(t, d, model.RoutePlan{Known: true, Links: []model.RouteLink{linkA()}, Data: "wan", LeaveData: true}).holds(holdsA)
	}},
	{"another address and another gateway take the place of the old ones", func(t *testing.T, d desk) {
		r := drive(t, d, model.RoutePlan{Known: true, Links: []model.RouteLink{linkA()}})
		r.holds(holdsA)
		a := linkA()
		a.Gateway4, a.Gateway6 = netip.MustParseAddr("10.0.1.9"), netip.MustParseAddr("fe80::9")
		a.Sources[0] = netip.MustParsePrefix("10.0.1.77/24")
		r.plan.Set(model.RoutePlan{Known: true, Links: []model.RouteLink{a}})
		r.holds(strings.NewReplacer("via 10.0.1.1", "via 10.0.1.9", "via fe80::1", "via fe80::9", "from 10.0.1.2", "from 10.0.1.77").Replace(holdsA))
	}},
	{"a delegated prefix counts whole", func(t *testing.T, d desk) {
		a := linkA()
		a.Sources = append(a.Sources, netip.MustParsePrefix("2001:db8:a:100::/56"))
		r := drive(t, d, model.RoutePlan{Known: true, Links: []model.RouteLink{a}})
		r.until("the prefix has a rule", func() bool {
			return slices.Contains(ours(t, d.kernel()), "IPv6 421: from 2001:db8:a:100::/56 lookup 17201")
		})
	}},
	{"what somebody removes comes back", func(t *testing.T, d desk) {
		r := drive(t, d, model.RoutePlan{Known: true, Links: []model.RouteLink{linkA()}})
		r.holds(holdsA)
		for range 3 {
			d.strip(route.PrefMark, 17201)
			r.holds(holdsA)
		}
	}},
	{"a device that went down and came back has its routes again", func(t *testing.T, d desk) {
		d.address("wana", "10.0.1.2/24")
		r := drive(t, d, model.RoutePlan{Known: true, Links: []model.RouteLink{linkA()}})
		r.holds(holdsA)
		d.up("wana", false)
		r.until("the loss is seen", func() bool { c := r.device("wana"); return !c.Carrier })
		r.until("it is said that the plan cannot be had", func() bool { c := r.routes(); return !c.Applied && c.Reason != "" })
		require.Contains(t, ours(t, d.kernel()), strings.TrimSpace(endA4), "bound traffic does not leak meanwhile")
		d.up("wana", true)
		r.until("the return is seen", func() bool { c := r.device("wana"); return c.Carrier })
		r.holds(holdsA)
	}},
	{"a device that is renamed is another one", func(t *testing.T, d desk) {
		r := drive(t, d, model.RoutePlan{Known: true, Links: []model.RouteLink{linkA()}})
		r.holds(holdsA)
		d.up("wana", false)
		d.rename("wana", "wwan7")
		d.up("wwan7", true)
		r.until("it is told", func() bool {
			was, is := r.device("wana"), r.device("wwan7")
			return was != nil && !was.Present && is != nil && is.Present && is.Carrier
		})
		a := linkA()
		a.Device = "wwan7"
		r.plan.Set(model.RoutePlan{Known: true, Links: []model.RouteLink{a}})
		r.holds(strings.ReplaceAll(holdsA, "wana", "wwan7"))
	}},
	{"addresses of devices are told", func(t *testing.T, d desk) {
		r := drive(t, d, model.RoutePlan{Known: true})
		d.address("wanb", "100.64.0.5/30")
		r.until("the address is told", func() bool {
			c := r.device("wanb")
			return c != nil && slices.Contains(c.Addresses, netip.MustParsePrefix("100.64.0.5/30"))
		})
	}},
	{"mwan3 is noticed while it runs", func(t *testing.T, d desk) {
		r := drive(t, d, model.RoutePlan{Known: true, Links: []model.RouteLink{linkA()}})
		r.holds(holdsA)
		require.Empty(t, r.routes().Neighbour)
		mwan3 := route.Rule{Family: route.IPv4, Pref: 2001, Mark: 0x100, Mask: 0x3f00, Table: 1}
		d.foreign(mwan3)
		r.until("it is reported", func() bool { return r.routes().Neighbour == "mwan3" })
		require.Equal(t, "ip rule 2001: from all fwmark 0x100/0x3f00 lookup 1", r.routes().Evidence)
		d.leave(mwan3)
		r.until("it is gone", func() bool { return r.routes().Neighbour == "" })
		require.True(t, r.routes().Applied)
	}},
	{"cleaning up leaves nothing of ours and everything else", func(t *testing.T, d desk) {
		foreign := route.Rule{Family: route.IPv4, Pref: 400, Mark: 0x20, Mask: 0xff, Table: 100}
		d.foreign(foreign)
		before, err := d.kernel().Rules(route.IPv4)
		require.NoError(t, err)
		t.Run("driver", func(t *testing.T) { // it ends with this
			r := drive(t, d, model.RoutePlan{Known: true, Links: []model.RouteLink{linkA(), linkB()}, Data: "wan"})
			r.until("applied", func() bool { c := r.routes(); return c != nil && c.Applied })
		})
		n := len(ours(t, d.kernel()))
		require.Greater(t, n, 20, "the end of the driver leaves everything")
		removed, err := route.Cleanup(d.kernel())
		require.NoError(t, err)
		require.Len(t, removed, n)
		require.Empty(t, ours(t, d.kernel()))
		after, err := d.kernel().Rules(route.IPv4)
		require.NoError(t, err)
		require.Equal(t, before, after)
		removed, err = route.Cleanup(d.kernel())
		require.NoError(t, err)
		require.Empty(t, removed)
	}},
}

func TestTable(t *testing.T) {
	for _, tt := range table {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, newFakeDesk(t)) })
	}
}

func TestTableOnKernel(t *testing.T) {
	if !netrig.Alone(t) {
		return
	}
	for _, tt := range table {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, newRealDesk(t)) })
	}
}
