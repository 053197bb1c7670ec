package meter

import (
	"fmt"
	"strings"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// The table, and what is in it. Everything that belongs to one link ends in its
// name, so that a link keeps its counters when its number changes.
//
//	prerouting  → in_LINK   what came: counted in rx and by purpose
//	output      → out_LINK  what the router itself sends: tx and purpose, or dropped
//	forward     → fwd_LINK  what others send
//	…l_LINK                 the same once the limit is reached (quota q_LINK)
//	…x_LINK                 what a fence lets pass without a mark: DHCP, RA, ND
const (
	family = "inet"
	table  = "remsim"
	// epochPrefix begins the name of a counter that counts nothing: the rest of
	// its name tells which life of the table this is. The digit is the version
	// of the table's layout.
	epochPrefix = "epoch1_"
)

// Priorities. What came is counted before anybody can drop it, after conntrack
// (-200) knows its connection and before NAT (-100). What leaves is judged
// after the firewall (0): what fw4 drops is never counted, and what it accepts
// is judged here again, since accept only ends the chain that says it.
const (
	inPriority  = -145
	outPriority = 10
)

// counters are the kinds of counters each link has, besides the purposes.
var counters = [...]string{"rx", "tx", "dropped", "unasked"}

// chains are the chains that each link has.
var chains = [...]string{"in", "inl", "inx", "out", "outl", "outx", "fwd", "fwdl"}

// script writes the nft commands of one transaction.
type script struct {
	b     strings.Builder
	quota bool // this kernel has quotas
}

func (s *script) line(format string, args ...any) {
	fmt.Fprintf(&s.b, format+"\n", args...)
}

func (s *script) rule(chain, format string, args ...any) {
	s.line("add rule %s %s %s %s", family, table, chain, fmt.Sprintf(format, args...))
}

// add makes something in the table; what is there already stays as it is.
func (s *script) object(verb, kind, name string) {
	s.line("%s %s %s %s %s", verb, kind, family, table, name)
}

// rules is one link with what is left until its limit.
type rules struct {
	model.MeterLink
	limited bool
	left    int64 // bytes
}

// write is the whole transaction: links is what shall be, old are the names of
// the links that the table holds.
func (s *script) write(epoch string, links []rules, old []string) string {
	s.line("add table %s %s", family, table)
	s.object("add", "counter", epochPrefix+epoch)
	for _, l := range links {
		eachCounter(l.Name, func(name string) { s.object("add", "counter", name) })
	}
	s.line("flush table %s %s", family, table) // rules only: counters and chains stay
	for _, name := range old {
		s.forget(name, links)
	}
	for _, l := range links {
		if s.quota {
			s.line("add quota %s %s q_%s { over %d bytes }", family, table, l.Name, max(0, l.left))
		}
		for _, c := range chains {
			s.object("add", "chain", c+"_"+l.Name)
		}
	}
	s.base("prerouting", inPriority, "iifname", "in", links)
	s.base("output", outPriority, "oifname", "out", links)
	s.base("forward", outPriority, "oifname", "fwd", links)
	for _, l := range links {
		s.in(l)
		s.out(l)
		s.fwd(l)
	}
	return s.b.String()
}

// eachCounter names the counters of a link.
func eachCounter(link string, fn func(name string)) {
	for _, c := range counters {
		fn(c + "_" + link)
	}
	for p := model.PurposeNone; p <= model.LastPurpose; p++ {
		fn(purposeCounter(p, link))
	}
}

func purposeCounter(p model.Purpose, link string) string { return fmt.Sprintf("p%d_%s", p, link) }

// forget removes what a link had: its quota always, which may be another now,
// the rest if it is not counted any more.
func (s *script) forget(link string, links []rules) {
	if s.quota {
		s.object("delete", "quota", "q_"+link)
	}
	for _, l := range links {
		if l.Name == link {
			return
		}
	}
	for _, c := range chains {
		s.object("delete", "chain", c+"_"+link)
	}
	eachCounter(link, func(name string) { s.object("delete", "counter", name) })
}

// base writes one base chain, which sends each device's packets to its link.
func (s *script) base(hook string, priority int, match, prefix string, links []rules) {
	s.line("add chain %s %s %s { type filter hook %s priority %d; policy accept; }", family, table, hook, hook, priority)
	var to []string
	for _, l := range links {
		if l.Device != "" {
			to = append(to, fmt.Sprintf("%q : goto %s_%s", l.Device, prefix, l.Name))
		}
	}
	if len(to) > 0 {
		s.rule(hook, "%s vmap { %s }", match, strings.Join(to, ", "))
	}
}

// A purpose's mark and how it is compared.
func ours(what string, l rules, p model.Purpose) string {
	return fmt.Sprintf("%s and 0x%08x == 0x%08x", what, model.MarkMask, model.Mark(l.Number, p))
}

func foreign(what string, l rules) string {
	return fmt.Sprintf("%s and 0x%08x != 0x%08x", what, model.MarkLinkMask, model.Mark(l.Number, 0))
}

func allowed(allow []model.Purpose, p model.Purpose) bool {
	if allow == nil {
		return true
	}
	for _, a := range allow {
		if a == p {
			return true
		}
	}
	return false
}

// over sends packets on once the limit is reached.
func (s *script) over(chain, to string, l rules) {
	if s.quota && l.limited {
		s.rule(chain, "quota name q_%s goto %s", l.Name, to)
	}
}

func (s *script) in(l rules) {
	chain, limited, fence := "in_"+l.Name, "inl_"+l.Name, "inx_"+l.Name
	s.rule(chain, "counter name rx_%s", l.Name)
	s.over(chain, limited, l)
	s.inBody(chain, l, l.Allow)
	s.inBody(limited, l, l.Then)
	if !l.Fence {
		return
	}
	pass := fmt.Sprintf("counter name %s accept", purposeCounter(model.PurposeNone, l.Name))
	s.rule(fence, "udp sport 67 udp dport 68 %s", pass)
	s.rule(fence, "ip6 saddr fe80::/10 udp sport 547 udp dport 546 %s", pass)
	// RFC 4861 §6.1, §7.1: neighbour discovery comes with hop limit 255.
	s.rule(fence, "icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect } ip6 hoplimit 255 %s", pass)
	s.rule(fence, "counter name %s counter name unasked_%s drop", purposeCounter(model.PurposeNone, l.Name), l.Name)
}

// inBody judges what came by the mark of its connection.
func (s *script) inBody(chain string, l rules, allow []model.Purpose) {
	verdict := func(p model.Purpose) string {
		if allowed(allow, p) {
			return fmt.Sprintf("counter name %s accept", purposeCounter(p, l.Name))
		}
		return fmt.Sprintf("counter name %s drop", purposeCounter(p, l.Name))
	}
	if !l.Fence { // user traffic is most of it
		s.rule(chain, "%s %s", foreign("ct mark", l), verdict(model.PurposeNone))
	}
	for p := model.PurposeNone + 1; p <= model.LastPurpose; p++ {
		s.rule(chain, "%s %s", ours("ct mark", l, p), verdict(p))
	}
	// The rest has no connection (neighbour discovery is not tracked), or one
	// that is not ours.
	if l.Fence {
		s.rule(chain, "goto inx_%s", l.Name)
	} else {
		s.rule(chain, "%s", verdict(model.PurposeNone))
	}
}

func (s *script) out(l rules) {
	chain, limited, fence := "out_"+l.Name, "outl_"+l.Name, "outx_"+l.Name
	if l.Fence { // what is dropped anyway is not held against the quota
		s.rule(chain, "%s %s goto %s", foreign("meta mark", l), foreign("ct mark", l), fence)
	}
	s.over(chain, limited, l)
	s.outBody(chain, l, l.Allow)
	s.outBody(limited, l, l.Then)
	if !l.Fence {
		return
	}
	pass := sends(l, nil, model.PurposeNone)
	s.rule(fence, "udp sport 68 udp dport 67 %s", pass)
	s.rule(fence, "udp sport 546 udp dport 547 %s", pass)
	s.rule(fence, "icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 %s", pass)
	s.rule(fence, "counter name dropped_%s drop", l.Name)
}

// sends is what happens to a packet of a purpose that wants to leave.
func sends(l rules, allow []model.Purpose, p model.Purpose) string {
	if allowed(allow, p) {
		return fmt.Sprintf("counter name tx_%s counter name %s accept", l.Name, purposeCounter(p, l.Name))
	}
	return fmt.Sprintf("counter name dropped_%s drop", l.Name)
}

// outBody judges what the router sends: by its mark, which its connection gets,
// else by its connection's: the kernel answers for sockets that are gone.
func (s *script) outBody(chain string, l rules, allow []model.Purpose) {
	for p := model.PurposeNone + 1; p <= model.LastPurpose; p++ {
		keep := ""
		if allowed(allow, p) {
			keep = fmt.Sprintf("ct mark set ct mark and 0x%08x or 0x%08x ", ^model.MarkMask, model.Mark(l.Number, p))
		}
		s.rule(chain, "%s %s%s", ours("meta mark", l, p), keep, sends(l, allow, p))
	}
	for p := model.PurposeNone + 1; p <= model.LastPurpose; p++ {
		s.rule(chain, "%s %s", ours("ct mark", l, p), sends(l, allow, p))
	}
	if l.Fence {
		s.rule(chain, "goto outx_%s", l.Name)
	} else {
		s.rule(chain, "%s", sends(l, allow, model.PurposeNone))
	}
}

// fwd judges what others send through the router: none of it is ours.
func (s *script) fwd(l rules) {
	chain, limited := "fwd_"+l.Name, "fwdl_"+l.Name
	if l.Fence {
		s.rule(chain, "counter name dropped_%s drop", l.Name)
		return
	}
	s.over(chain, limited, l)
	s.rule(chain, "%s", sends(l, l.Allow, model.PurposeNone))
	s.rule(limited, "%s", sends(l, l.Then, model.PurposeNone))
}
