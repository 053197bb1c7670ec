package engine

import (
	"fmt"
	"reflect"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/health"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// mesh is how one modem stands with the orchestrator.
type mesh struct {
	member bool // the orchestrator gives it its card
	said   model.IonMeshChanged
	lease  model.LeaseChanged
	silent time.Time           // since when it does not answer; zero: it does
	order  model.MeshOrderDone // the last command, if it came to nothing
}

func newMeshPlan() *cell.Cell[model.IonMeshPlan] {
	return cell.New(model.IonMeshPlan{}, func(a, b model.IonMeshPlan) bool { return reflect.DeepEqual(a, b) })
}

// IonMeshPlan is the mailbox of the orchestrator's client.
func (e *Engine) IonMeshPlan() *cell.Cell[model.IonMeshPlan] { return e.meshPlan }

// planMesh sets what the orchestrator's client shall reach. It goes the way of the
// server's connections: that of control traffic.
func (e *Engine) planMesh() {
	p := e.settings.IonMesh
	p.Online = e.settings.Valid && e.settings.Enabled && p.URL != "" && len(p.Members) > 0 && (len(e.links.list) == 0 || e.links.told)
	p.Path, p.PathLost = e.links.server.path, e.links.server.lost
	if !e.applied {
		return // nothing was read yet
	}
	e.meshPlan.Set(p)
}

// enrollMesh notes which modems the orchestrator gives a card to.
func (e *Engine) enrollMesh() {
	for _, m := range e.modems {
		m.mesh.member = false
		for _, mm := range e.settings.IonMesh.Members {
			m.mesh.member = m.mesh.member || mm.Modem == m.conf.Name && e.settings.IonMesh.URL != ""
		}
	}
}

func (e *Engine) foldMesh(ev model.Event) bool {
	switch ev := ev.(type) {
	case model.IonMeshChanged:
		if m := e.find(ev.Modem); m != nil {
			e.foldMeshState(m, ev)
		}
	case model.LeaseChanged:
		if m := e.find(ev.Modem); m != nil {
			e.foldLease(m, ev)
		}
	case model.MeshOrderDone:
		if m := e.find(ev.Modem); m != nil {
			e.foldOrder(m, ev)
		}
	default:
		return false
	}
	return true
}

func (e *Engine) foldMeshState(m *modem, ev model.IonMeshChanged) {
	was := m.mesh.said
	m.mesh.said = ev
	if ev.State != model.MeshSilent {
		m.mesh.silent = time.Time{}
	} else if m.mesh.silent.IsZero() {
		m.mesh.silent = ev.When()
	}
	if was.State == ev.State && was.Code == ev.Code && was.Transport == ev.Transport {
		return
	}
	switch {
	case ev.Reason != "":
		e.note(ev.When(), model.KindIonMesh, ev.Modem, ev.Reason, map[string]string{"code": health.IonMesh + ev.Code})
	case ev.State == model.MeshRegistered && was.State != ev.State:
		e.note(ev.When(), model.KindIonMesh, ev.Modem, fmt.Sprintf("registered as %s at %s", ev.ClientID, ev.URL), nil)
	case ev.State == model.MeshRegistered && ev.Transport == "lean":
		e.note(ev.When(), model.KindIonMesh, ev.Modem, "beats go over one connection that stays", nil)
	case ev.State == model.MeshRegistered && was.Transport == "lean":
		e.note(ev.When(), model.KindIonMesh, ev.Modem, "beats go by REST: the connection that stays cannot be had", nil)
	}
}

func (e *Engine) foldLease(m *modem, ev model.LeaseChanged) {
	was := m.mesh.lease
	m.mesh.lease = ev
	moved := !ev.Card.Same(was.Card)
	if ev.Card != nil && (moved || ev.Epoch > was.Epoch) {
		m.unmapped = false // an assignment that is newer than `unmap`
	}
	if moved {
		m.generation++
	}
	switch {
	case ev.Reason != "" && ev.Reason != was.Reason:
		e.note(ev.When(), model.KindIonMesh, ev.Modem, ev.Reason, map[string]string{"code": health.IonMesh + ev.Code})
	case ev.May && (moved || !was.May):
		text := fmt.Sprintf("the orchestrator gives it bank %d slot %d", ev.Card.Bank.ID, ev.Card.Bank.Slot)
		if !ev.Ends.IsZero() {
			text += fmt.Sprintf(", lease %s until %s", ev.ID, ev.Ends.UTC().Format(time.RFC3339))
		}
		e.note(ev.When(), model.KindIonMesh, ev.Modem, text, nil)
	}
}

func (e *Engine) foldOrder(m *modem, ev model.MeshOrderDone) {
	m.mesh.order = ev
	data := map[string]string{"id": ev.ID, "status": ev.Status}
	if ev.Status == "done" {
		m.mesh.order = model.MeshOrderDone{}
	} else {
		data["severity"] = string(model.Warning)
	}
	e.note(ev.When(), model.KindIonMesh, ev.Modem, fmt.Sprintf("command %s of the orchestrator: %s: %s", ev.Command, ev.Status, ev.Message), data)
}

// moved carries out the orchestrator's command `move`, which takes the same way as
// `map` and replaces what a person has mapped.
func (e *Engine) moved(now time.Time, m *modem, c model.MeshCard) error {
	switch {
	case !m.mesh.member:
		return refuse(model.NotSupported, "modem %s gets its card from elsewhere", m.conf.Name)
	case m.frontKind() == "":
		return refuse(model.NotSupported, "modem %s cannot take a remote card: %s", m.conf.Name, orElse(m.noFront(), "its source is local"))
	}
	m.mapped, m.unmapped = nil, false
	m.mesh.lease.Card = &c
	m.generation++
	e.note(now, model.KindIonMesh, m.conf.Name, fmt.Sprintf("move: the orchestrator gives it bank %d slot %d", c.Bank.ID, c.Bank.Slot), nil)
	return nil
}

// withheld tells that the orchestrator has given no card that may be used now.
func (m *modem) withheld() bool {
	return m.mesh.member && m.mapped == nil && !(m.mesh.lease.May && m.mesh.lease.Card != nil)
}

// meshSession makes a session plan that of the card which the orchestrator gave.
func (m *modem) meshSession(p model.SessionPlan) model.SessionPlan {
	p.Bank, p.Servers = nil, nil
	if m.withheld() {
		p.Online = false
		return p
	}
	c := m.mesh.lease.Card
	p.Client = m.meshClient(c)
	if c.Server != nil {
		p.Servers = []model.Endpoint{m.meshServer(*c.Server)}
		return p
	}
	p.Bank = &model.BankAssignment{Slot: c.Bank, Endpoint: m.meshBank(c), By: "ionmesh"}
	return p
}

// meshClient is who reaches the bank: whom the answer names, else whom the
// configuration does, else, as in the original project, the slot itself.
func (m *modem) meshClient(c *model.MeshCard) model.ClientSlot {
	switch {
	case c.Client != nil:
		return *c.Client
	case m.conf.HasClient:
		return m.conf.Session.Client
	}
	return model.ClientSlot{ID: c.Bank.ID, Slot: c.Bank.Slot}
}

// meshBank is where a bank is reached. A bank section with its id corrects what
// the orchestrator says, and tells of TLS; without one TLS is spoken off this
// machine.
func (m *modem) meshBank(c *model.MeshCard) model.Endpoint {
	end := m.conf.DefaultBank
	end.Host, end.Port = c.Bankd.Host, c.Bankd.Port
	if own, ok := m.conf.Banks[c.Bank.ID]; ok {
		end.TLS, end.Ping = own.TLS, own.Ping
		end.Host = orElse(own.Host, end.Host)
		if own.Port != 0 {
			end.Port = own.Port
		}
	} else if !c.Bankd.TLS && m.conf.Loopback != nil && m.conf.Loopback(end.Host) {
		end.TLS = nil
	}
	return end
}

// meshServer is where a server is reached. A server section with its host tells of
// TLS.
func (m *modem) meshServer(a model.MeshAddress) model.Endpoint {
	end := model.Endpoint{Host: a.Host, Port: a.Port, TLS: &model.TLSFiles{}, Ping: m.conf.ServerPing}
	for _, own := range m.conf.Session.Servers {
		if own.Host == a.Host {
			end.TLS = own.TLS
			return end
		}
	}
	if !a.TLS && m.conf.Loopback != nil && m.conf.Loopback(a.Host) {
		end.TLS = nil
	}
	return end
}

// judgeWithheld tells why there is no card.
func (m *modem) judgeWithheld(now, started time.Time) verdict {
	name, l := m.conf.Name, m.mesh.lease
	switch {
	case l.Reason != "":
		return verdict{state: model.StateWaiting, reason: fmt.Sprintf("%s: %s", name, l.Reason)}
	case m.mesh.said.Reason != "":
		return verdict{state: model.StateWaiting, reason: fmt.Sprintf("%s: no card from the orchestrator: %s", name, m.mesh.said.Reason)}
	case now.Before(started.Add(startGrace)):
		return verdict{state: model.StateStarting, reason: fmt.Sprintf("%s: asking the orchestrator for a card", name), wake: started.Add(startGrace)}
	}
	return verdict{state: model.StateWaiting, reason: fmt.Sprintf("%s: the orchestrator has given no card yet", name)}
}

// judgeSilent tells of an orchestrator that has been silent for longer than grace
// allows: the card stays, and a person should look.
func (m *modem) judgeSilent(now time.Time, grace time.Duration) (v verdict, late bool) {
	if !m.mesh.member || m.mesh.silent.IsZero() {
		return v, false
	}
	if end := m.mesh.silent.Add(grace); now.Before(end) {
		return verdict{wake: end}, false
	}
	return verdict{state: model.StateDegraded,
		reason: fmt.Sprintf("%s: the orchestrator has been silent for more than %s (%s), the card stays", m.conf.Name, grace, m.mesh.said.Reason)}, true
}

// meshCause is the finding that explains why there is no assignment, "" for none.
func (m *modem) meshCause() string {
	switch {
	case !m.mesh.member:
		return ""
	case m.mesh.lease.Code != "":
		return health.IonMesh + m.mesh.lease.Code
	case m.mesh.said.Code != "":
		return health.IonMesh + m.mesh.said.Code
	}
	return ""
}

// meshConditions lists what is wrong between a modem and the orchestrator.
func (m *modem) meshConditions(now time.Time, grace time.Duration) []health.Condition {
	if !m.mesh.member {
		return nil
	}
	var out []health.Condition
	add := func(code, text string) {
		out = append(out, health.Condition{Code: health.IonMesh + code, Subject: m.conf.Name, Text: text})
	}
	if m.mesh.said.Code != "" {
		add(m.mesh.said.Code, "orchestrator: "+m.mesh.said.Reason)
	}
	if _, late := m.judgeSilent(now, grace); late {
		out = append(out, health.Condition{Code: health.IonMesh + model.MeshSilentLong, Subject: m.conf.Name}) // an escalation: shown beside its cause
	}
	if m.mesh.lease.Code != "" {
		add(m.mesh.lease.Code, m.mesh.lease.Reason)
	}
	if m.mesh.lease.Near {
		out = append(out, health.Condition{Code: health.IonMesh + model.MeshLeaseNear, Subject: m.conf.Name, Detail: "it ends at " + m.mesh.lease.Ends.UTC().Format(time.RFC3339)})
	}
	if o := m.mesh.order; o.ID != "" {
		out = append(out, health.Condition{Code: health.IonMesh + model.MeshOrderRefused, Subject: m.conf.Name, Detail: o.Command + ": " + o.Message})
	}
	return out
}

// meshRank orders states by how much they need attention.
var meshRank = map[model.MeshState]int{model.MeshOff: 0, model.MeshRegistered: 1, model.MeshRegistering: 2, model.MeshSilent: 3, model.MeshRefused: 4}

// meshView is the state towards the orchestrator as published: the worst of all
// modems, the lease of the first.
func (e *Engine) meshView() model.IonMesh {
	v := model.IonMesh{State: string(model.MeshOff), URL: e.settings.IonMesh.URL}
	for _, m := range e.modems {
		s := m.mesh.said
		if !m.mesh.member || s.ClientID == "" {
			continue
		}
		c := model.MeshClient{Modem: m.conf.Name, ClientID: s.ClientID, State: s.State, Reason: s.Reason}
		if l := m.mesh.lease; l.Card != nil {
			bank := l.Card.Bank
			c.Bank = &bank
			if !l.Ends.IsZero() {
				c.Lease = &model.Lease{ID: l.ID, Until: l.Ends.Unix(), Epoch: l.Epoch}
			}
		}
		if len(v.Clients) == 0 {
			v.Lease = c.Lease
		}
		v.Clients = append(v.Clients, c)
		if meshRank[s.State] > meshRank[model.MeshState(v.State)] {
			v.State, v.Transport = string(s.State), s.Transport
		}
		v.LastBeat = max(v.LastBeat, unix(s.LastBeat))
		if v.NextBeatAt.IsZero() || s.NextBeat.Before(v.NextBeatAt) {
			v.NextBeatAt = s.NextBeat
		}
	}
	return v
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
