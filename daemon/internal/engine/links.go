package engine

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/failover"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// Link is one configured way to the network: a modem with an interface, or a
// link section.
type Link struct {
	Name    string // of the modem or the section
	Modem   string // "" for one that is no modem of ours
	Network string // the netifd interface, unless the modem has its own say
	Metered bool
	User    model.UserTraffic
}

// link is what the engine knows of one.
type link struct {
	conf   Link
	number int // 1..model.MaxLinks, for marks and tables
	state  linkState
	// generation grows when connections over the link are stranded.
	generation int64
	judged     model.LinkJudged // zero: nobody has judged it yet
	usable     bool
	since      time.Time // of usable
	upAt       time.Time // when it last came up
	rx, tx     int64
}

// linkState is what netifd and the kernel say of a link now.
type linkState struct {
	device             string
	up                 bool
	addresses          []netip.Prefix
	gateway4, gateway6 netip.Addr
	onLink4, onLink6   bool
	dns                []netip.Addr
}

// links is everything about the ways out, and what was decided over them.
type links struct {
	list     []*link
	devices  map[string]model.DeviceChanged
	memory   failover.Memory
	decision failover.Decision
	forced   map[string]string // role -> link, by command
	routes   model.RoutesChanged
	// bank and server are the ways in use by control traffic.
	bank, server way
	told         bool // netifd has named its interfaces
	flush        int64
	flushDevices []string
	probeAgain   int64
}

// way is the path that a kind of control traffic takes.
type way struct {
	path model.Path
	lost bool // the path before it carries nothing any more
}

// rebuildLinks makes the links from the settings, with the memory of those that
// were there before.
func (e *Engine) rebuildLinks() {
	old := make(map[string]*link)
	for _, l := range e.links.list {
		old[l.conf.Name] = l
	}
	e.links.list = nil
	for i, conf := range e.settings.Links {
		l := old[conf.Name]
		if l == nil {
			l = &link{}
		}
		l.conf, l.number = conf, 0
		if i < model.MaxLinks {
			l.number = i + 1
		}
		e.links.list = append(e.links.list, l)
	}
}

func (e *Engine) link(name string) *link {
	for _, l := range e.links.list {
		if l.conf.Name == name {
			return l
		}
	}
	return nil
}

// foldLinks takes in what the drivers of paths report.
func (e *Engine) foldLinks(ev model.Event) {
	switch ev := ev.(type) {
	case model.DeviceChanged:
		if e.links.devices == nil {
			e.links.devices = make(map[string]model.DeviceChanged)
		}
		if !ev.Present {
			delete(e.links.devices, ev.Device)
			return
		}
		e.links.devices[ev.Device] = ev
	case model.LinkJudged:
		if l := e.link(ev.Link); l != nil {
			l.judged = ev
			e.measured(l, ev)
		}
	case model.RoutesChanged:
		e.links.routes = ev
		e.timeline.routed(ev)
	}
}

// measured keeps loss and round trip for the history.
func (e *Engine) measured(l *link, ev model.LinkJudged) {
	best, known := bestFamily(ev)
	if !known {
		return
	}
	e.history.Add(ev.When(), "loss", l.conf.Name, best.Loss*100)
	if best.RTT > 0 {
		e.history.Add(ev.When(), "rtt", l.conf.Name, float64(best.RTT)/float64(time.Millisecond))
	}
}

// bestFamily is the address family that makes a link usable.
func bestFamily(ev model.LinkJudged) (model.FamilyHealth, bool) {
	if ev.V6.Known && (ev.V6.Usable && !ev.V4.Usable || !ev.V4.Known) {
		return ev.V6, true
	}
	return ev.V4, ev.V4.Known
}

// decideLinks asks the failover what carries what, and returns when to look
// again.
func (e *Engine) decideLinks(now time.Time) time.Time {
	e.watchLinks(now)
	if len(e.links.list) == 0 || !e.settings.Enabled || !e.settings.Valid {
		e.links.decision = failover.Decision{}
		e.links.bank, e.links.server = way{}, way{}
		return time.Time{}
	}
	if ready, at := e.linksReady(now); !ready {
		return at
	}
	before := e.links.decision
	d, memory := failover.Decide(now, e.policy(), e.links.memory, e.failoverLinks())
	e.links.decision, e.links.memory = d, memory
	e.take(&e.links.bank, d.Control)
	e.take(&e.links.server, d.Server)
	e.noteMoves(now, before, d)
	e.sicken(now, d.Resets)
	return d.WakeAt
}

// settleTime is how long after its first word netifd may take to name all
// interfaces; they come in one burst.
const settleTime = 200 * time.Millisecond

// linksReady tells that netifd has named its interfaces, or has had its time to:
// a link that is merely not known yet must not look like one that is down.
func (e *Engine) linksReady(now time.Time) (ready bool, at time.Time) {
	if e.links.told {
		return true, at
	}
	at = e.started.Add(muteTime)
	if n := e.hardware.netifd; n.Up && !n.When().IsZero() {
		at = earliest(at, n.When().Add(settleTime))
	}
	e.links.told = !now.Before(at)
	return e.links.told, at
}

func (e *Engine) policy() failover.Policy {
	p := e.settings.Failover
	p.Forced, p.Grace = e.links.forced, e.settings.Grace
	return p
}

// failoverLinks are the links as the failover sees them.
func (e *Engine) failoverLinks() []failover.Link {
	out := make([]failover.Link, 0, len(e.links.list))
	for _, l := range e.links.list {
		f := failover.Link{
			Name: l.conf.Name, Modem: l.conf.Modem, Up: l.state.up, Usable: l.usable, Reason: l.reason(),
			LastGood: l.judged.LastGood, Metered: l.conf.Metered, User: l.conf.User,
			Quiet: e.quiet(l.conf.Name),
		}
		if m := e.find(l.conf.Modem); m != nil && l.conf.Modem != "" {
			f.NeedsCard = m.wantsRemote()
			f.ModemState = m.failoverState()
			f.Resettable = m.managed() && len(m.rungs()) > 0
		}
		out = append(out, f)
	}
	return out
}

// failoverState is what the modem does, as far as resets go.
func (m *modem) failoverState() failover.ModemState {
	switch o := m.seen; {
	case !m.managed():
		return failover.ModemUnknown
	case o == nil:
		return failover.ModemAbsent
	case m.hangs():
		return failover.ModemHung
	case registered(o):
		return failover.ModemRegistered
	}
	return failover.ModemUnregistered
}

// hangs tells that the modem is there and does not answer.
func (m *modem) hangs() bool {
	for code := range m.trouble {
		if strings.HasPrefix(code, "at-port-hung") {
			return true
		}
	}
	return false
}

// sicken tells the reset ladder which modems the failover calls ill, and which
// no longer.
func (e *Engine) sicken(now time.Time, resets []failover.Reset) {
	for _, m := range e.modems {
		why := ""
		for _, r := range resets {
			if r.Modem == m.conf.Name {
				why = r.Reason
			}
		}
		if why != "" && m.sick == "" {
			e.note(now, model.KindReset, m.conf.Name, "a reset is due: "+why, nil)
		}
		m.sick = why
	}
}

// take makes a link the way in use. A link that is named again and was stranded
// meanwhile is another path too.
func (e *Engine) take(w *way, name string) {
	l := e.link(name)
	if l == nil || l.state.device == "" {
		return // nothing better is known: what there is stays
	}
	p := model.Path{Link: name, Number: l.number, Device: l.state.device, DNS: l.state.dns, Generation: l.generation}
	if !p.Same(w.path) {
		before := e.link(w.path.Link)
		w.lost = before != nil && (!before.usable || before.generation != w.path.Generation)
	}
	w.path = p
}

// noteMoves writes down when a role changes its link, and begins a timeline.
func (e *Engine) noteMoves(now time.Time, before, after failover.Decision) {
	moves := []struct{ role, from, to, why string }{
		{failover.RoleData, before.Data, after.Data, after.DataReason},
		{failover.RoleControl, before.Control, after.Control, after.ControlReason},
	}
	for _, m := range moves {
		if m.from == m.to || m.to == "" {
			continue
		}
		if m.from == "" {
			e.note(now, model.KindLink, m.to, fmt.Sprintf("%s traffic uses %s: %s", m.role, m.to, m.why), nil)
			continue
		}
		e.note(now, model.KindLink, m.to, fmt.Sprintf("%s traffic moves from %s to %s: %s", m.role, m.from, m.to, m.why), nil)
		e.closeTimeline(now)
		e.timeline.begin(now, m.role, e.link(m.from), m.to, m.why)
		e.expect(m.role)
		if from := e.link(m.from); from != nil && m.role == failover.RoleData {
			e.links.flush++
			e.links.flushDevices = []string{from.state.device}
		}
	}
	if lost, was := !after.GraceEnds.IsZero(), !before.GraceEnds.IsZero(); lost != was && after.State != failover.StateStarting {
		text := "every control path is lost; the card is held, grace ends in " + e.settings.Grace.String()
		if !lost {
			text = "a control path is usable again"
		}
		e.note(now, model.KindLink, "remsim", text, nil)
	}
}
