package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// see works out what a link is now, from netifd's interface and its children.
func (e *Engine) see(l *link) linkState {
	var s linkState
	network := e.networkOf(l)
	if network == "" {
		return s
	}
	for _, name := range []string{network, network + "_4", network + "_6"} {
		i, ok := e.hardware.networks[name]
		if !ok || !i.Up || name != network && !i.ChildOf(network) {
			continue
		}
		if s.device == "" {
			s.device = i.L3Device
		}
		s.addresses = append(s.addresses, i.Addresses...)
		s.dns = append(append(s.dns, i.DNS...), i.UnusedDNS...)
		for _, r := range slices.Concat(i.Routes, i.Unused) {
			s.route(r)
		}
	}
	s.addresses = slices.DeleteFunc(s.addresses, func(p netip.Prefix) bool { return p.Addr().IsLinkLocalUnicast() })
	s.up = s.device != "" && len(s.addresses) > 0
	if d, known := e.links.devices[s.device]; known && !d.Carrier {
		s.up = false
	}
	return s
}

// route takes a default route in; the first of a family counts.
func (s *linkState) route(r model.Route) {
	if !r.Target.IsValid() || r.Target.Bits() != 0 {
		return
	}
	gateway, onLink := &s.gateway4, &s.onLink4
	if r.Target.Addr().Is6() {
		gateway, onLink = &s.gateway6, &s.onLink6
	}
	switch {
	case gateway.IsValid() || *onLink:
	case r.Gateway.IsValid() && !r.Gateway.IsUnspecified():
		*gateway = r.Gateway
	default:
		*onLink = true
	}
}

// networkOf is the interface of a link; a modem's may depend on its card.
func (e *Engine) networkOf(l *link) string {
	if m := e.find(l.conf.Modem); m != nil && l.conf.Modem != "" {
		return m.network()
	}
	return l.conf.Network
}

// stranded tells that connections made when the link was as before are dead: the
// device is another, or an address is gone.
func stranded(before, now linkState) bool {
	if before.device == "" || now.device == "" {
		return false // gone is not another
	}
	gone := slices.ContainsFunc(before.addresses, func(p netip.Prefix) bool { return !slices.Contains(now.addresses, p) })
	return before.device != now.device || gone
}

// watchLinks brings every link up to date.
func (e *Engine) watchLinks(now time.Time) {
	for _, l := range e.links.list {
		s := e.see(l)
		if s.device == "" && l.state.device != "" {
			s.addresses = l.state.addresses // so that another address after the return is seen
			kept := l.state
			kept.up = false
			s = kept
		} else if stranded(l.state, s) {
			l.generation++
			e.links.flush++
			e.links.flushDevices = []string{s.device}
			e.note(now, model.KindLink, l.conf.Name, fmt.Sprintf("device %s has another address: connections over it are made anew", s.device), nil)
		}
		if s.up != l.state.up {
			if s.up {
				l.upAt = now
			}
			e.note(now, model.KindLink, l.conf.Name, upWord(s), nil)
		}
		l.state = s
		usable := s.up && (l.judged.When().IsZero() || l.judged.Usable)
		if usable != l.usable || l.since.IsZero() {
			if s.up && !l.since.IsZero() {
				e.note(now, model.KindLink, l.conf.Name, l.usableWord(usable), nil)
			}
			l.usable, l.since = usable, now
		}
	}
}

func upWord(s linkState) string {
	if !s.up {
		return "the link is down"
	}
	return fmt.Sprintf("the link is up on %s", s.device)
}

func (l *link) usableWord(usable bool) string {
	if usable {
		return "the link is usable again"
	}
	return "the link is not usable: " + orElse(l.judged.Reason, "no answer over it")
}

// reason says in a clause why the link is not usable.
func (l *link) reason() string {
	switch {
	case l.state.device == "":
		return "its interface is down"
	case !l.state.up:
		return "no carrier or no address on " + l.state.device
	case !l.usable:
		return orElse(l.judged.Reason, "no answer over it")
	}
	return ""
}
