package model

import (
	"net/netip"
	"slices"
	"time"
)

// Purpose is what a packet of ours is for. It travels in the packet's mark, so
// that counters and limits can tell the purposes apart.
type Purpose uint8

// The purposes of control traffic. PurposeNone is what carries no mark of ours.
const (
	PurposeNone         Purpose = iota
	PurposeServer               // RSPRO server
	PurposeBank                 // RSPRO bank: the card
	PurposeOrchestrator         // IonMesh
	PurposeDNS                  // names of the above
	PurposeProbe                // is the path usable
)

// LastPurpose is the highest of them.
const LastPurpose = PurposeProbe

// purposes are the names.
var purposes = [...]string{"other", "server", "bank", "orchestrator", "dns", "probe"}

// String is the purpose's name in budget.purposes.
func (p Purpose) String() string {
	if int(p) < len(purposes) {
		return purposes[p]
	}
	return "other"
}

// MarkMask are the bits of a packet's mark that are ours: the top byte. mwan3
// uses 0x3f00 and pbr and others 0xff0000 by default.
const MarkMask uint32 = 0xff000000

// MaxLinks is how many links can have marks of their own.
const MaxLinks = 15

// Mark is the mark of one link's traffic for one purpose. Link numbers count
// from 1 (the order of the configuration); 0 is no link and has no mark.
func Mark(link int, p Purpose) uint32 {
	if link < 1 || link > MaxLinks {
		return 0
	}
	return uint32(link)<<28 | uint32(p)<<24
}

// MarkLinkMask are the bits of a mark that tell the link.
const MarkLinkMask uint32 = 0xf0000000

// Path is one way out of the router for control traffic.
type Path struct {
	Link   string // modem or link section
	Number int    // of the link, for Mark; 0: traffic is not marked
	Device string // connections are bound to it; "": the kernel's routes decide
	// DNS are the servers that netifd learned on this link; none: the system's.
	DNS []netip.Addr
	// Generation grows when connections made over the path before are stranded:
	// its device or address is another now.
	Generation int64
}

// Same tells whether connections over p are also connections over q.
func (p Path) Same(q Path) bool {
	return p.Link == q.Link && p.Device == q.Device && p.Number == q.Number && p.Generation == q.Generation
}

// UserTraffic says whether user traffic may use a link.
type UserTraffic string

// What user traffic may do.
const (
	UserNever     UserTraffic = "never"
	UserEmergency UserTraffic = "emergency" // when no other link is usable
	UserAlways    UserTraffic = "always"
)

// RouteLink is one link in a RoutePlan.
type RouteLink struct {
	Name   string
	Number int    // 1..MaxLinks: gives mark, table and rule
	Device string // kernel device; "": not up, no rule of it stays
	// Gateways are the default gateways by family; an invalid one with OnLink
	// of the family set is a point-to-point device.
	Gateway4, Gateway6 netip.Addr
	OnLink4, OnLink6   bool
	// Sources are the link's own addresses: what they send leaves by the link.
	Sources []netip.Prefix
}

// RoutePlan is the whole wanted state of rules and tables that are ours.
type RoutePlan struct {
	// Serial numbers the plans; Equal does not look at it.
	Serial int64
	// Known: somebody has said what there is. Until then nothing is touched: what
	// an earlier run has set may be in use.
	Known bool
	Links []RouteLink
	// Data is the link for user traffic; "" leaves it to the main table.
	Data string
	// LeaveData: another program (mwan3) decides over user traffic.
	LeaveData bool
	// Flush grows when connections that a switch has stranded shall be
	// forgotten (conntrack), FlushDevices tells of which devices.
	Flush        int64
	FlushDevices []string
}

// Equal tells whether two plans want the same.
func (p RoutePlan) Equal(q RoutePlan) bool {
	return p.Known == q.Known && p.Data == q.Data && p.LeaveData == q.LeaveData && p.Flush == q.Flush &&
		slices.Equal(p.FlushDevices, q.FlushDevices) && slices.EqualFunc(p.Links, q.Links, RouteLink.Equal)
}

// Equal tells whether two links are the same.
func (l RouteLink) Equal(m RouteLink) bool {
	return l.Name == m.Name && l.Number == m.Number && l.Device == m.Device &&
		l.Gateway4 == m.Gateway4 && l.Gateway6 == m.Gateway6 && l.OnLink4 == m.OnLink4 && l.OnLink6 == m.OnLink6 &&
		slices.Equal(l.Sources, m.Sources)
}

// RoutesChanged: what the route driver sees in the kernel.
type RoutesChanged struct {
	At
	Serial  int64  // of the plan that was applied or refused
	Applied bool   // the kernel holds exactly the plan
	Reason  string // why not
	// Neighbour names another program that routes user traffic ("mwan3"), with
	// the evidence; "" for none.
	Neighbour, Evidence string
}

// DeviceChanged: a network device of the kernel appeared, changed or went.
type DeviceChanged struct {
	At
	Device    string
	Present   bool
	Carrier   bool // IFF_LOWER_UP
	Addresses []netip.Prefix
}

// ProbeLink is one link that is watched.
type ProbeLink struct {
	Path    Path
	Metered bool
	// Targets are host:port of the control peers; TCP to them is the probe that
	// proves most. Extra are hosts of option probe, tried with ICMP echo.
	Targets []string
	Extra   []string
	// Carries: control traffic goes over it now.
	Carries bool
	// Quiet: its budget is used up; nothing active is sent.
	Quiet bool
}

// ProbePlan is what to watch and how eagerly.
type ProbePlan struct {
	Detect string // fast, normal or frugal
	Links  []ProbeLink
	// Generation grows with each wish to look at once (`test path`, a fault).
	Generation int64
}

// FamilyHealth is how one address family of a link does.
type FamilyHealth struct {
	Known  bool // it was judged at all: the link has an address of the family and a target for it
	Usable bool
	Loss   float64 // of the window, 0..1
	RTT    time.Duration
}

// LinkJudged: what is thought of a link has changed. Usable is the verdict after
// hysteresis; a link is usable if one family is.
type LinkJudged struct {
	At
	Link     string
	Usable   bool
	Reason   string // one clause in words: "no answer from 10.0.0.1 for 3 s"
	LastGood time.Time
	V4, V6   FamilyHealth
	Passive  bool // judged by traffic that flowed anyway
}

// MeterLink is one link whose bytes are counted and, if metered, fenced.
type MeterLink struct {
	Name   string
	Number int
	Device string
	// Fence: only traffic with a mark of ours, DHCP, RA and ND leaves; what
	// comes unasked is dropped and counted.
	Fence bool
	// Allow are the purposes that may still pass; nil: all; empty: none.
	// PurposeNone is user traffic, which no fenced link lets pass.
	Allow []Purpose
	// Until is the total of Rx and Tx in epoch UntilEpoch from which on only the
	// purposes in Then may pass; the packet filter keeps to it between two
	// readings. UntilEpoch "": there is no limit.
	Until      int64
	UntilEpoch string
	Then       []Purpose
}

// MeterPlan is what to count and what to let pass. Links nil: nothing is said
// yet, all stays as it is; empty: nothing is counted.
type MeterPlan struct {
	Links []MeterLink
	// Generation grows with each wish to read the counters now.
	Generation int64
}

// MeterCount is what went over one link since Epoch, at the IP layer.
type MeterCount struct {
	Link     string
	Rx, Tx   int64
	Purposes map[string]int64 // both directions, together Rx+Tx; "other" is not ours
	Dropped  int64            // bytes that a fence or a limit kept from being sent: not in Tx
	Unasked  int64            // bytes that came without being asked for: in Rx and in "other"
}

// Metered: counters were read. They only grow within one Epoch; a new Epoch
// starts at 0 (the table was made anew).
type Metered struct {
	At
	Epoch  string
	Counts []MeterCount
	Reason string // why counting does not work; "" if it does
}
