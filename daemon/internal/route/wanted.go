package route

import (
	"net/netip"
	"slices"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// linkLocal is where every IPv6 link has neighbours.
var linkLocal = netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfe, 0x80}), 64)

func is6(p netip.Prefix) bool { return p.Addr().Is6() }

// metric of what leads somewhere, and of the end of a table.
const (
	metricWay uint32 = 1
	metricEnd uint32 = 0xffffffff
)

// state is a set of rules and routes, in the order in which they are added.
type state struct {
	rules  []Rule
	routes []Route
}

// anywhere is the default prefix of a family.
func anywhere(f Family) netip.Prefix {
	if f == IPv6 {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

func familyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// wanted is what the kernel shall hold of one family for a plan.
func wanted(p model.RoutePlan, f Family) state {
	var s state
	for _, l := range p.Links {
		if l.Device == "" || l.Number < 1 || l.Number > model.MaxLinks {
			continue
		}
		s.link(l, f)
		if l.Name == p.Data && !p.LeaveData && hasDefault(l, f) {
			// What the LAN, a VPN or a static route need is in main; only its
			// default is not followed. A family that the link does not have is
			// left to main as it is: it may be another link's, of which we know
			// nothing.
			s.rules = append(s.rules,
				Rule{Family: f, Pref: PrefMain, Protocol: Protocol, Table: tableMain, Suppress: true},
				Rule{Family: f, Pref: PrefData, Protocol: Protocol, Table: table(l)})
		}
	}
	return s
}

func table(l model.RouteLink) uint32 { return TableBase + uint32(l.Number) }

// hasDefault tells whether a link leads anywhere in a family.
func hasDefault(l model.RouteLink, f Family) bool {
	via, onLink := gateway(l, f)
	return via.IsValid() || onLink
}

func gateway(l model.RouteLink, f Family) (via netip.Addr, onLink bool) {
	if f == IPv6 {
		return l.Gateway6, l.OnLink6
	}
	return l.Gateway4, l.OnLink4
}

// link adds what one link needs. Its table ends with an unreachable default in both
// families: what is bound to a link that leads nowhere fails at once, and never
// leaves by another one.
func (s *state) link(l model.RouteLink, f Family) {
	t := table(l)
	s.rules = append(s.rules,
		Rule{Family: f, Pref: PrefMark, Protocol: Protocol, Mark: model.Mark(l.Number, model.PurposeNone), Mask: model.MarkLinkMask, Table: t},
		// Only routes of that device are found for a bound socket, in main as well.
		Rule{Family: f, Pref: PrefDeviceNear, Protocol: Protocol, Out: l.Device, Table: tableMain, Suppress: true},
		Rule{Family: f, Pref: PrefDevice, Protocol: Protocol, Out: l.Device, Table: t})
	add := func(r Route) {
		r.Family, r.Table = f, t
		for _, have := range s.routes {
			if have.key() == r.key() {
				return
			}
		}
		s.routes = append(s.routes, r)
	}
	add(Route{To: anywhere(f), Unreachable: true, Metric: metricEnd})
	via, onLink := gateway(l, f)
	if f == IPv6 && (via.IsValid() || onLink || slices.ContainsFunc(l.Sources, is6)) {
		add(Route{To: linkLocal, Device: l.Device, Metric: metricWay}) // a DNS server may be there
	}
	near := false
	for _, p := range l.Sources {
		if familyOf(p.Addr()) != f || p.Addr().IsLinkLocalUnicast() {
			continue
		}
		s.source(p, t)
		if p.Bits() > 0 && !p.IsSingleIP() && p != p.Masked() { // an address in its network
			add(Route{To: p.Masked(), Device: l.Device, Metric: metricWay})
			near = near || p.Contains(via)
		}
	}
	switch {
	case via.IsValid():
		// A gateway outside of all prefixes is common on mobile links.
		add(Route{To: anywhere(f), Device: l.Device, Via: via, Metric: metricWay, OnLink: !near && !via.IsLinkLocalUnicast()})
	case onLink:
		add(Route{To: anywhere(f), Device: l.Device, Metric: metricWay})
	}
}

// source has what an own address sends leave by its link. What main knows better
// than by its default comes first: the answers to a host of the LAN that asked the
// address of the WAN. A prefix without host part is a delegated one, and counts
// whole.
func (s *state) source(p netip.Prefix, t uint32) {
	f := familyOf(p.Addr())
	if p != p.Masked() || p.IsSingleIP() {
		p = netip.PrefixFrom(p.Addr(), p.Addr().BitLen())
	}
	s.rules = append(s.rules,
		Rule{Family: f, Pref: PrefNear, Protocol: Protocol, From: p, Table: tableMain, Suppress: true},
		Rule{Family: f, Pref: PrefSource, Protocol: Protocol, From: p, Table: t})
}

// apply brings the kernel from what it holds to what is wanted: routes before the
// rules that lead to them, additions before removals. It goes on after an error and
// returns the first one.
func apply(k Kernel, f Family, want state) error {
	rules, err := k.Rules(f)
	if err != nil {
		return err
	}
	routes, err := k.Routes(f)
	if err != nil {
		return err
	}
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	haveRoute, wantKey := setOf(routes), make(map[key]bool)
	for _, r := range want.routes {
		wantKey[r.key()] = true
		if !haveRoute[r] {
			keep(k.PutRoute(r))
		}
	}
	haveRule, wantRule := setOf(rules), setOf(want.rules)
	for _, r := range want.rules {
		if !haveRule[r] {
			keep(k.AddRule(r))
		}
	}
	for _, r := range rules {
		if r.ours() && !wantRule[r] {
			keep(k.RemoveRule(r))
		}
	}
	for _, r := range routes {
		if !wantKey[r.key()] {
			keep(k.RemoveRoute(r))
		}
	}
	return first
}

func setOf[T comparable](list []T) map[T]bool {
	set := make(map[T]bool, len(list))
	for _, v := range list {
		set[v] = true
	}
	return set
}
