package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/failover"
	"github.com/terminills/remsim-openwrt/daemon/internal/health"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// viewLinks puts links and failover into a snapshot.
func (e *Engine) viewLinks(s *model.Snapshot) {
	d := e.links.decision
	for _, l := range e.links.list {
		s.Links = append(s.Links, e.viewLink(l, d))
	}
	s.Failover = model.Failover{
		Data: d.Data, Control: d.Control, State: orElse(d.State, "off"), Switches: d.Switches,
		Reason: orElse(d.ControlReason, "no link is configured"), Candidates: d.Candidates,
	}
	if since := latestOf(d.ControlSince, d.DataSince); !since.IsZero() {
		s.Failover.Since = since.Unix()
	}
	if s.Failover.Candidates == nil {
		s.Failover.Candidates = []model.Candidate{}
	}
}

func (e *Engine) viewLink(l *link, d failover.Decision) model.Link {
	v := model.Link{
		Name: l.conf.Name, Modem: l.conf.Modem, Device: l.state.device, Up: l.state.up, Usable: l.usable,
		Role: roleWord(l.conf.Name == d.Data, l.conf.Name == d.Control), Reason: l.reason(), Since: l.since.Unix(),
		RxBytes: l.rx, TxBytes: l.tx,
	}
	if best, known := bestFamily(l.judged); known && l.state.up {
		loss := best.Loss
		v.Loss = &loss
		if best.RTT > 0 {
			ms := float64(best.RTT.Microseconds()) / 1000
			v.RTT = &ms
		}
	}
	return v
}

func roleWord(data, control bool) string {
	switch {
	case data && control:
		return "both"
	case data:
		return failover.RoleData
	case control:
		return failover.RoleControl
	}
	return "none"
}

func latestOf(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// linkConditions lists what is wrong with the links.
func (e *Engine) linkConditions() []health.Condition {
	var out []health.Condition
	add := func(code, subject, detail, cause string) {
		out = append(out, health.Condition{Code: code, Subject: subject, Detail: detail, Cause: cause})
	}
	d := e.links.decision
	for _, l := range e.links.list {
		if why := l.reason(); why != "" && !e.excused(l) {
			add(health.LinkUnusable, l.conf.Name, why, "")
		}
	}
	if !d.GraceEnds.IsZero() && d.State != failover.StateStarting {
		add(health.ControlLost, "remsim", "", "")
	}
	if chain := e.deadlock(); chain != "" {
		add(health.Deadlock, "remsim", chain, "")
	} else if l := e.link(d.Control); l != nil && l.usable {
		if m := e.cardOf(l); m != nil {
			add(health.ControlOnCard, l.conf.Name, "the card of "+m.conf.Name+" is reached over "+m.conf.Name+" itself", "")
		}
	}
	switch r := e.links.routes; {
	case r.When().IsZero():
	case !r.Applied && r.Reason != "":
		add(health.RoutesFailed, "routes", r.Reason, "")
	case r.Neighbour != "":
		add(health.OtherRouter, r.Neighbour, r.Evidence, "")
	}
	return out
}

// excused tells that a link is down because its modem has no card yet or is just
// changing it, which has findings of its own.
func (e *Engine) excused(l *link) bool {
	m := e.find(l.conf.Modem)
	if m == nil || l.conf.Modem == "" || l.state.up {
		return false
	}
	return m.status.Running || m.wantsRemote() && !m.cardWorks() && !m.cardHeld()
}

// cardOf is the modem whose remote card a link needs to be online: the link's
// own, or that of whichever modem its device belongs to under another name. nil
// if the link needs none.
func (e *Engine) cardOf(l *link) *modem {
	if m := e.find(l.conf.Modem); m != nil && l.conf.Modem != "" {
		if m.wantsRemote() {
			return m
		}
		return nil
	}
	for _, m := range e.modems {
		if m.wantsRemote() && e.ownsDevice(m, l) {
			return m
		}
	}
	return nil
}

// ownsDevice tells that what l calls its own is the interface or the device of m.
func (e *Engine) ownsDevice(m *modem, l *link) bool {
	network := m.network()
	if network != "" && (l.conf.Network == network || l.conf.Network == network+"_4" || l.conf.Network == network+"_6") {
		return true
	}
	if l.state.device == "" {
		return false
	}
	own := e.link(m.conf.Name)
	return own != nil && own.state.device == l.state.device || m.netdev != "" && m.netdev == l.state.device
}

// deadlock proves that some control path does not need a card that comes over
// control paths. It returns the chain in words if there is none, else "".
func (e *Engine) deadlock() string {
	if !slices.ContainsFunc(e.modems, (*modem).wantsRemote) {
		return ""
	}
	var chain []string
	for _, name := range e.settings.Failover.ControlOrder {
		l := e.link(name)
		if l == nil {
			continue
		}
		m := e.cardOf(l)
		if m == nil {
			return ""
		}
		if m.conf.FallbackLocal {
			return "" // its own local card brings it online
		}
		word := name + " is online only with the remote card of " + m.conf.Name
		if l.conf.Modem == "" {
			word = fmt.Sprintf("%s is the modem %s under another name (%s), online only with its remote card", name, m.conf.Name, orElse(l.state.device, l.conf.Network))
		}
		chain = append(chain, word)
	}
	if len(chain) == 0 {
		return ""
	}
	return strings.Join(chain, "; ") + "; and each of these cards is reached only over them"
}
