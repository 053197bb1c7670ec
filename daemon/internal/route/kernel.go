package route

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
)

// Family is an address family; the two are treated alike.
type Family uint8

// The families, by their numbers in the kernel.
const (
	IPv4 Family = 2
	IPv6 Family = 10
)

// families in the order in which they are applied.
var families = [...]Family{IPv4, IPv6}

// String is the family's name for people.
func (f Family) String() string {
	if f == IPv6 {
		return "IPv6"
	}
	return "IPv4"
}

// Protocol marks our rules and routes in the kernel: `ip rule` and `ip route` show
// "proto 173". It is in no rt_protos file. Nothing else is ever touched.
const Protocol uint8 = 173

// Tables of our links: link n has TableBase+n. mwan3 has 1 to 250, the kernel 253
// to 255, pbr goes on from 256.
const TableBase uint32 = 17200

// Tables that are the kernel's.
const tableMain uint32 = 254

// Priorities of our rules, clear of local (0), mwan3 (1000 to 3999), Tailscale
// (5210 to 5270), netifd (10000 and 20000), pbr (29000 to 30000) and main (32766).
// Traffic that is bound to a link comes before everybody's rules, user traffic after
// them: a policy that the owner has set up wins.
const (
	PrefMark       uint32 = 400 // by mark
	PrefDeviceNear uint32 = 410 // by the device that a socket is bound to: what main knows better than by its default
	PrefDevice     uint32 = 411
	PrefNear       uint32 = 420 // by source: what main knows better than by its default
	PrefSource     uint32 = 421
	PrefMain       uint32 = 32000 // user traffic: what main knows better than by its default
	PrefData       uint32 = 32001
)

// Rule is a routing rule. It compares with ==.
type Rule struct {
	Family   Family
	Pref     uint32
	Protocol uint8
	Mark     uint32 // with Mask; Mask 0: any
	Mask     uint32
	From     netip.Prefix // invalid: any
	In       string       // device that packets come in by; only others' rules have it
	Out      string       // device that the socket is bound to
	Table    uint32       // 0: no lookup
	// Suppress says that a route of the table whose prefix is a default one (length
	// 0) is passed over: suppress_prefixlength 0.
	Suppress bool
}

// ours tells whether the rule was made here.
func (r Rule) ours() bool { return r.Protocol == Protocol }

// String is the rule as `ip rule` shows it.
func (r Rule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d: from ", r.Pref)
	if r.From.IsValid() {
		b.WriteString(r.From.String())
	} else {
		b.WriteString("all")
	}
	if r.Mask != 0 {
		fmt.Fprintf(&b, " fwmark %#x/%#x", r.Mark, r.Mask)
	}
	if r.In != "" {
		b.WriteString(" iif " + r.In)
	}
	if r.Out != "" {
		b.WriteString(" oif " + r.Out)
	}
	if r.Table != 0 {
		fmt.Fprintf(&b, " lookup %d", r.Table)
	}
	if r.Suppress {
		b.WriteString(" suppress_prefixlength 0")
	}
	return b.String()
}

// Route is a route of one of our tables. It compares with ==.
type Route struct {
	Family      Family
	Table       uint32
	To          netip.Prefix
	Metric      uint32
	Unreachable bool       // instead of Device and Via
	Device      string     // "" with Unreachable
	Via         netip.Addr // invalid: on the link itself
	OnLink      bool       // Via is on the link though no prefix says so
}

// key is what the kernel keeps one route for.
type key struct {
	family Family
	table  uint32
	to     netip.Prefix
	metric uint32
}

func (r Route) key() key { return key{r.Family, r.Table, r.To, r.Metric} }

// String is the route as `ip route` shows it.
func (r Route) String() string {
	var b strings.Builder
	if r.Unreachable {
		b.WriteString("unreachable ")
	}
	if r.To.Bits() == 0 {
		b.WriteString("default")
	} else {
		b.WriteString(r.To.String())
	}
	if r.Via.IsValid() {
		b.WriteString(" via " + r.Via.String())
	}
	if r.Device != "" {
		b.WriteString(" dev " + r.Device)
	}
	fmt.Fprintf(&b, " table %d metric %d", r.Table, r.Metric)
	if r.OnLink {
		b.WriteString(" onlink")
	}
	return b.String()
}

// Device is a network device of the kernel.
type Device struct {
	Name      string
	Up        bool // by its owner
	Carrier   bool // IFF_LOWER_UP
	Addresses []netip.Prefix
}

// Flow is a connection that the kernel tracks, as far as it matters here.
type Flow struct {
	Source netip.Addr // of the first packet
	Answer netip.Addr // to which the answers come: the router's address behind NAT
	Mark   uint32
}

// Kernel is what is used of the kernel. Rules are all rules, everybody's; Routes
// only those of our tables that are ours. Adding what is there and removing what is
// not are no errors.
type Kernel interface {
	Rules(Family) ([]Rule, error)
	AddRule(Rule) error
	RemoveRule(Rule) error
	Routes(Family) ([]Route, error)
	// PutRoute adds a route or takes the place of the one with the same key.
	PutRoute(Route) error
	RemoveRoute(Route) error
	Devices() ([]Device, error)
	// Forget drops the tracked connections that are chosen and tells how many.
	Forget(chosen func(Flow) bool) (int, error)
	// Watch calls changed after anything changed that this package looks at, until
	// ctx ends or the kernel cannot be listened to. Before it returns the first time
	// it calls changed once: from then on nothing is missed. Changes that come close
	// together may be told as one.
	Watch(ctx context.Context, changed func(Change)) error
	Close() error
}

// Change tells what may be different. Both may be set.
type Change struct {
	Routing bool // one of our rules or routes is gone, or a rule of mwan3's came or went
	Devices bool
}
