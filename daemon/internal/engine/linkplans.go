package engine

import (
	"context"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// PathPlans are the mailboxes of the drivers that look after all links together.
type PathPlans struct {
	Routes *cell.Cell[model.RoutePlan]
	Probe  *cell.Cell[model.ProbePlan]
}

func newPathPlans() PathPlans {
	return PathPlans{
		Routes: cell.New(model.RoutePlan{}, model.RoutePlan.Equal),
		Probe:  cell.New(model.ProbePlan{}, func(a, b model.ProbePlan) bool { return reflect.DeepEqual(a, b) }),
	}
}

// PathPlans returns the mailboxes of routes and probes.
func (e *Engine) PathPlans() PathPlans { return e.paths }

// LookAtLinks has every link judged anew, at once.
func (e *Engine) LookAtLinks(ctx context.Context) error {
	return e.do(ctx, func(time.Time) { e.links.probeAgain++ })
}

// planLinks sets the plans of routes and probes.
func (e *Engine) planLinks() {
	routes, have := e.routePlan(), e.paths.Routes.Get()
	if routes.Serial = have.Serial; !routes.Equal(have) {
		routes.Serial++
		if !e.links.routes.When().IsZero() { // somebody sets them
			e.timeline.rerouted(routes.Serial)
		}
	}
	e.paths.Routes.Set(routes)
	e.paths.Probe.Set(e.probePlan())
}

// overPath adds the ways that are in use now. Before the links are known nothing
// is dialled: it would go anywhere.
func (e *Engine) overPath(p model.SessionPlan) model.SessionPlan {
	if len(e.links.list) > 0 && !e.links.told {
		p.Online = false
	}
	p.Path, p.PathLost = e.links.bank.path, e.links.bank.lost
	p.ServerPath, p.ServerPathLost = e.links.server.path, e.links.server.lost
	return p
}

// active tells that remsim may touch routes and send probes.
func (e *Engine) active() bool {
	return e.settings.Valid && e.settings.Enabled && len(e.links.list) > 0
}

// routePlan is the whole wanted state of rules and tables. User traffic is moved
// only where there is a choice: with one link it goes where it always went.
func (e *Engine) routePlan() model.RoutePlan {
	if !e.applied || e.active() && !(e.links.told && e.hardware.netifd.Up) && !e.paths.Routes.Get().Known {
		return model.RoutePlan{}
	}
	p := model.RoutePlan{Known: true}
	if !e.active() {
		return p
	}
	for _, l := range e.links.list {
		s := l.state
		r := model.RouteLink{Name: l.conf.Name, Number: l.number}
		if s.device != "" && (s.up || len(s.addresses) > 0) {
			r.Device, r.Sources = s.device, s.addresses
			r.Gateway4, r.Gateway6, r.OnLink4, r.OnLink6 = s.gateway4, s.gateway6, s.onLink4, s.onLink6
		}
		p.Links = append(p.Links, r)
	}
	p.LeaveData = e.links.routes.Neighbour != ""
	if users := e.userLinks(); users > 1 && !p.LeaveData {
		if l := e.link(e.links.decision.Data); l != nil && l.state.device != "" {
			p.Data = l.conf.Name
		}
	}
	p.Flush, p.FlushDevices = e.links.flush, e.links.flushDevices
	return p
}

// userLinks counts the links that user traffic may use.
func (e *Engine) userLinks() (n int) {
	for _, l := range e.links.list {
		if l.conf.User != model.UserNever {
			n++
		}
	}
	return n
}

// probePlan is what to watch.
func (e *Engine) probePlan() model.ProbePlan {
	p := model.ProbePlan{Detect: e.settings.Detect, Generation: e.links.probeAgain}
	if !e.active() {
		return p
	}
	targets, extra := e.controlHosts()
	for _, l := range e.links.list {
		if !l.state.up {
			continue
		}
		p.Links = append(p.Links, model.ProbeLink{
			Path: model.Path{Link: l.conf.Name, Number: l.number, Device: l.state.device, DNS: l.state.dns, Generation: l.generation}, Metered: l.conf.Metered,
			Targets: targets, Extra: extra,
			Carries: l.conf.Name == e.links.bank.path.Link || l.conf.Name == e.links.server.path.Link,
			Quiet:   e.quiet(l.conf.Name),
		})
	}
	return p
}

// controlHosts are the peers that a link has to reach: those that a TCP
// connection may be opened to, and those where only an echo may be asked for. A
// stock bank has few connections to give, so none is wasted on a probe.
func (e *Engine) controlHosts() (tcp, echo []string) {
	addTo := func(list *[]string, s string) {
		if s != "" && !slices.Contains(*list, s) {
			*list = append(*list, s)
		}
	}
	for _, m := range e.modems {
		if !m.wantsRemote() {
			continue
		}
		for _, s := range m.conf.Session.Servers {
			if !onThisMachine(s.Host) {
				addTo(&tcp, net.JoinHostPort(s.Host, strconv.Itoa(int(s.Port))))
			}
		}
		if p := m.sessionPlan(true); p.Bank != nil && !onThisMachine(p.Bank.Endpoint.Host) {
			addTo(&echo, p.Bank.Endpoint.Host)
		} else if host, _, err := net.SplitHostPort(m.bankd.Address); err == nil && !onThisMachine(host) {
			addTo(&echo, host)
		}
	}
	for _, host := range e.settings.Probes {
		addTo(&echo, host)
	}
	return tcp, echo
}

// onThisMachine tells that a host is reached without any link.
func onThisMachine(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "" || host == "localhost" || err == nil && a.IsLoopback()
}
