package engine

import (
	"fmt"
	"maps"
	"net"
	"strconv"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// fold takes one event into the state. Events of modems that are no longer
// configured are late and say nothing.
func (e *Engine) fold(ev model.Event) {
	switch ev := ev.(type) {
	case model.PeerChanged:
		if m := e.find(ev.Modem); m != nil {
			e.foldPeer(m, ev)
		}
	case model.Assigned:
		if m := e.find(ev.Modem); m != nil {
			e.foldAssigned(m, ev)
		}
	case model.FrontChanged:
		if m := e.find(ev.Modem); m != nil {
			e.foldFront(m, ev)
		}
	case model.FrontFault:
		if m := e.find(ev.Modem); m != nil {
			e.foldFault(m, ev)
		}
	case model.CardChanged:
		if m := e.find(ev.Modem); m != nil {
			e.foldCard(m, ev)
		}
	case model.CommandMuted:
		if m := e.find(ev.Modem); m != nil {
			m.muted = ev.Reason
			e.note(ev.When(), model.KindCard, ev.Modem, ev.Reason, nil)
		}
	case model.TPDUStats:
		if m := e.find(ev.Modem); m != nil {
			if ev.TPDU.Received > m.tpdu.Received {
				m.muted, m.answeredAt = "", ev.When()
			}
			m.tpdu = ev.TPDU
		}
	case model.Noted:
		e.note(ev.When(), ev.Kind, ev.Subject, ev.Text, maps.Clone(ev.Data))
	case model.TaskFailed:
		e.failing[ev.Task] = ev
		e.note(ev.When(), model.KindTask, ev.Task, ev.Err, map[string]string{"severity": string(model.Warning)})
	case model.TaskRecovered:
		delete(e.failing, ev.Task)
	case model.DeviceChanged, model.LinkJudged, model.RoutesChanged:
		e.foldLinks(ev)
	case model.Metered:
		e.foldMetered(ev)
	default:
		if !e.foldMesh(ev) {
			e.foldHardware(ev)
		}
	}
}

func (e *Engine) find(name string) *modem {
	for _, m := range e.modems {
		if m.conf.Name == name {
			return m
		}
	}
	return nil
}

func (e *Engine) foldPeer(m *modem, ev model.PeerChanged) {
	p, kind, name := &m.server, model.KindServer, "server"
	if ev.Peer == model.PeerBankd {
		p, kind, name = &m.bankd, model.KindBank, "bank"
	}
	was := p.State
	if was != ev.State || p.Address != ev.Address {
		p.Since = ev.When().Unix()
	}
	p.State, p.Address, p.TLS = ev.State, ev.Address, ev.TLS
	switch ev.State {
	case model.ConnConnected:
		p.Reason, p.code, p.upAt = "", "", ev.When()
		if ev.Peer == model.PeerBankd {
			m.bankUp = ev.When()
			m.noteBank(ev)
		}
		e.note(ev.When(), kind, ev.Modem, fmt.Sprintf("connected to %s %s", name, ev.Address), nil)
	case model.ConnIdle:
		p.Reason, p.code = "", "" // nobody wants the connection: that is no failure
		if was != model.ConnIdle {
			e.note(ev.When(), kind, ev.Modem, fmt.Sprintf("connection to %s closed: %s", name, orElse(ev.Reason, "no longer wanted")), nil)
		}
	case model.ConnRefused, model.ConnBackoff:
		p.Reason, p.code = ev.Reason, ev.Code
		e.note(ev.When(), kind, ev.Modem, fmt.Sprintf("%s %s: %s", name, ev.Address, ev.Reason), codeData(ev.Code))
	}
	// ConnConnecting keeps the reason of the failure before it: a peer that
	// refuses every attempt must not look healthy between two of them.
}

// noteBank keeps where the assigned bank was reached.
func (m *modem) noteBank(ev model.PeerChanged) {
	host, port, err := net.SplitHostPort(ev.Address)
	n, err2 := strconv.ParseUint(port, 10, 16)
	if m.assigned == nil || err != nil || err2 != nil {
		return
	}
	end := m.conf.DefaultBank
	end.Host, end.Port = host, uint16(n)
	if !ev.TLS {
		end.TLS = nil
	}
	if m.banks == nil {
		m.banks = make(map[uint16]model.Endpoint)
	}
	m.banks[m.assigned.ID] = end
}

func codeData(code string) map[string]string {
	if code == "" {
		return nil
	}
	return map[string]string{"code": code}
}

func (e *Engine) foldAssigned(m *modem, ev model.Assigned) {
	m.client = ev.Client
	if ev.Bank == nil {
		if m.assigned != nil {
			e.note(ev.When(), model.KindAssignment, ev.Modem, "no bank slot is assigned any more", nil)
		}
		m.assigned = nil
		return
	}
	bank := *ev.Bank
	m.assigned, m.unmapped = &bank, false // an assignment that is newer than `unmap`
	e.note(ev.When(), model.KindAssignment, ev.Modem,
		fmt.Sprintf("bank %d slot %d assigned to client %d slot %d (by %s)", bank.ID, bank.Slot, ev.Client.ID, ev.Client.Slot, ev.By), nil)
}

func (e *Engine) foldFront(m *modem, ev model.FrontChanged) {
	m.front = frontSeen{reported: true, up: ev.Up, removes: ev.Removes, kind: ev.Kind, device: ev.Device, reason: ev.Reason, since: ev.When()}
	text := fmt.Sprintf("front %s ready on %s", ev.Kind, ev.Device)
	if !ev.Up {
		text = fmt.Sprintf("front %s on %s is down: %s", ev.Kind, ev.Device, ev.Reason)
	}
	e.note(ev.When(), model.KindFront, ev.Modem, text, nil)
}

func (e *Engine) foldCard(m *modem, ev model.CardChanged) {
	was := m.card.State
	m.card.State, m.card.ATR, m.card.Detail = ev.State, ev.ATR, ev.Reason
	if ev.ICCID != "" || ev.State == model.CardAbsent || ev.State == model.CardNone {
		m.card.ICCID = ev.ICCID
	}
	if m.assigned != nil && m.bankd.State == model.ConnConnected && m.cardWorks() {
		m.shownSlot = *m.assigned
	}
	if was == model.CardLost || was == model.CardAbsent || was == model.CardNone {
		m.muted = "" // a card that came back or anew starts with a clean sheet
	}
	switch {
	case ev.State == model.CardLost && was != model.CardLost:
		m.lostSince = ev.When()
	case ev.State != model.CardLost:
		m.lostSince = zeroTime
	}
	if ev.Reason != "" {
		var data map[string]string
		if ev.ATR != "" {
			data = map[string]string{"atr": ev.ATR, "iccid": model.Masked(ev.ICCID.String())}
		}
		e.note(ev.When(), model.KindCard, ev.Modem, ev.Reason, data)
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
