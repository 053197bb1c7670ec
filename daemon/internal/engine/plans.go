package engine

import (
	"reflect"
	"sync"

	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// cells holds the mailboxes of all modems. They outlive a modem's section, so
// that a driver and the engine never hold different ones.
type cells struct {
	mu      sync.Mutex
	byModem map[string]*Plans
}

func (c *cells) of(name string) *Plans {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.byModem[name]
	if p == nil {
		p = &Plans{
			Session: cell.New(model.SessionPlan{}, func(a, b model.SessionPlan) bool { return reflect.DeepEqual(a, b) }),
			Card:    cell.New(model.CardPlan{}, func(a, b model.CardPlan) bool { return reflect.DeepEqual(a, b) }),
			Switch:  cell.New(model.SwitchPlan{}, func(a, b model.SwitchPlan) bool { return a == b }),
			Modem:   cell.New(model.ModemPlan{}, func(a, b model.ModemPlan) bool { return a == b }),
		}
		c.byModem[name] = p
	}
	return p
}

// Plans returns the mailboxes of a modem.
func (e *Engine) Plans(modem string) *Plans { return e.cells.of(modem) }

// summary says in one sentence what a configuration asks for.
func (s Settings) summary() string {
	switch {
	case !s.Valid:
		return "no configuration could be accepted; nothing is touched"
	case s.OldConfig:
		return "the new configuration was refused; the last accepted one stays in use"
	case !s.Enabled:
		return "configuration accepted; remsim is switched off (option enabled '0' in section main)"
	}
	return "configuration accepted"
}

// sessionPlan is what the RSPRO session of m shall reach.
func (m *modem) sessionPlan(enabled bool) model.SessionPlan {
	p := m.conf.Session
	p.Online = enabled && m.wantsRemote()
	if m.mesh.member {
		p = m.meshSession(p)
	}
	p.Generation = m.generation
	p.Unmapped = m.unmapped
	if m.mapped != nil {
		p.Bank = m.mapped
	}
	if m.unmapped {
		p.Bank = nil
	}
	return p
}

// cardPlan is what the front of m shall show. A lost bank never takes the card
// away from the modem: only an unmap, another card or another source does.
func (m *modem) cardPlan(enabled bool) model.CardPlan {
	show := m.wantsRemote()
	if m.managed() {
		show = m.plan.Show // the card switch decides when
	}
	return model.CardPlan{
		Show:        enabled && show && !m.unmapped && !m.withheld(),
		ATR:         m.conf.ATR,
		Hold:        m.assigned != nil && m.shownSlot == *m.assigned, // the card of another slot is not held
		TraceActive: m.tracing,
		Cache:       m.conf.Cache, StatusInterval: m.conf.StatusInterval, AuthPerHour: m.conf.AuthPerHour,
	}
}
