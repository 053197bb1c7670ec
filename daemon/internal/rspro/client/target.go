package client

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// assignment is a bank slot as a server announces it.
type assignment struct {
	slot model.BankSlot
	addr netip.AddrPort
}

func sameAssignment(a, b *assignment) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// target is what a link shall reach.
type target struct {
	endpoints []model.Endpoint // in order of preference, never empty
	client    model.ClientSlot // a plan with another one connects anew
	slot      model.BankSlot   // bank only
	renew     int64            // another number connects anew
	path      model.Path       // another one connects anew
	// stranded: the path of the connection before is lost; nobody waits for a FIN
	// that cannot come.
	stranded bool
}

func (t *target) equal(o *target) bool {
	if t == nil || o == nil {
		return t == o
	}
	return t.client == o.client && t.slot == o.slot && t.renew == o.renew && t.path.Same(o.path) && slices.EqualFunc(t.endpoints, o.endpoints, sameEndpoint)
}

func sameEndpoint(a, b model.Endpoint) bool {
	if (a.TLS == nil) != (b.TLS == nil) || a.TLS != nil && *a.TLS != *b.TLS {
		return false
	}
	a.TLS, b.TLS = nil, nil
	return a == b
}

func sameBank(a, b *model.BankAssignment) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Slot == b.Slot && a.By == b.By && sameEndpoint(a.Endpoint, b.Endpoint)
}

// SamePlan tells whether two plans ask for the same; it is the equality of the
// cell that carries them.
func SamePlan(a, b model.SessionPlan) bool {
	return a.Online == b.Online && a.Client == b.Client && a.Unmapped == b.Unmapped && a.PlainLoopback == b.PlainLoopback && a.Generation == b.Generation && a.Path.Same(b.Path) && a.ServerPath.Same(b.ServerPath) &&
		sameBank(a.Bank, b.Bank) && sameEndpoint(a.BankDefaults, b.BankDefaults) &&
		slices.EqualFunc(a.Servers, b.Servers, sameEndpoint) && maps.EqualFunc(a.Corrections, b.Corrections, sameEndpoint)
}

// onlyGeneration tells that b asks for nothing new but to connect again.
func onlyGeneration(a, b model.SessionPlan) bool {
	a.Generation = b.Generation
	return SamePlan(a, b)
}

// serverTarget is what the server link shall reach, and why it shall not. Call
// with the lock held.
func (s *Session) serverTarget() (*target, string) {
	switch {
	case !s.plan.Online:
		return nil, "switched off"
	case len(s.plan.Servers) == 0:
		return nil, "no server is configured"
	}
	return &target{endpoints: s.plan.Servers, client: s.plan.Client, renew: s.reconnects, path: s.plan.ServerPath, stranded: s.plan.ServerPathLost}, ""
}

// bankTarget is what the bank link shall reach, and why it shall not. Call with
// the lock held.
func (s *Session) bankTarget() (*target, string) {
	t := &target{client: s.plan.Client, renew: s.plan.Generation, path: s.plan.Path, stranded: s.plan.PathLost}
	switch {
	case !s.plan.Online:
		return nil, "switched off"
	case s.plan.Bank != nil:
		t.slot, t.endpoints = s.plan.Bank.Slot, []model.Endpoint{s.plan.Bank.Endpoint}
	case s.plan.Unmapped && !s.fresh:
		return nil, "unmapped by hand"
	case s.assigned == nil:
		return nil, "no bank is assigned"
	default:
		t.slot, t.endpoints = s.assigned.slot, []model.Endpoint{s.corrected(*s.assigned)}
	}
	return t, ""
}

// corrected is the endpoint of an announced bank, with what the configuration
// knows better: a server behind an address translator announces addresses that
// only it can reach, and every server announces port 9999.
func (s *Session) corrected(a assignment) model.Endpoint {
	ep := model.Endpoint{Host: a.addr.Addr().String(), Port: a.addr.Port(), TLS: s.plan.BankDefaults.TLS, Ping: s.plan.BankDefaults.Ping}
	c, ok := s.plan.Corrections[a.slot.ID]
	if !ok {
		if s.plan.PlainLoopback && a.addr.Addr().IsLoopback() {
			ep.TLS = nil
		}
		return ep
	}
	if c.Host != "" {
		ep.Host = c.Host
	}
	if c.Port != 0 {
		ep.Port = c.Port
	}
	ep.TLS, ep.Ping = c.TLS, c.Ping
	return ep
}

// assignment is the event that tells what is assigned now. Call with the lock
// held.
func (s *Session) assignment() model.Assigned {
	ev := model.Assigned{Modem: s.cfg.Modem, Client: s.effectiveClient()}
	switch {
	case s.plan.Bank != nil:
		ev.Bank, ev.By = &s.plan.Bank.Slot, s.plan.Bank.By
	case s.assigned != nil && (!s.plan.Unmapped || s.fresh):
		ev.Bank, ev.By = &s.assigned.slot, "server"
	}
	return ev
}

// sameAssigned compares but for the time. Without a bank, who said so is no
// matter.
func sameAssigned(a, b model.Assigned) bool {
	if a.Bank == nil || b.Bank == nil {
		return a.Bank == b.Bank
	}
	return *a.Bank == *b.Bank && a.By == b.By && a.Client == b.Client
}
