package engine

import (
	"fmt"
	"slices"

	"github.com/terminills/remsim-openwrt/daemon/internal/health"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// conditions lists what is wrong now, causes before what they cause. The words
// are in package health.
func (e *Engine) conditions(s *model.Snapshot) []health.Condition {
	var out []health.Condition
	add := func(c health.Condition) { out = append(out, c) }
	switch {
	case !e.applied:
		return nil // nothing was read yet
	case !e.settings.Valid:
		add(health.Condition{Code: health.ConfigInvalid, Subject: "config", Detail: first(e.settings.Errors)})
		return out
	case e.settings.OldConfig:
		add(health.Condition{Code: health.ConfigRefused, Subject: "config", Detail: first(e.settings.Errors)})
	}
	if len(e.settings.Warnings) > 0 {
		add(health.Condition{Code: health.ConfigWarning, Subject: "config", Detail: first(e.settings.Warnings)})
	}
	for _, name := range e.failingTasks() {
		add(health.Condition{Code: health.TaskFailing, Subject: name, Detail: e.failing[name].Err})
	}
	if !e.settings.Enabled {
		add(health.Condition{Code: health.Disabled, Subject: "remsim"})
		return out
	}
	for _, m := range e.modems {
		out = append(out, m.conditions(s.State)...)
	}
	return out
}

func (e *Engine) failingTasks() []string {
	var names []string
	for name := range e.failing {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// conditions lists what is wrong with one modem's remote card.
func (m *modem) conditions(state model.State) []health.Condition {
	if !m.wantsRemote() {
		return nil
	}
	var out []health.Condition
	add := func(code, detail, cause string) {
		out = append(out, health.Condition{Code: code, Subject: m.conf.Name, Detail: detail, Cause: cause})
	}
	for _, peer := range m.conf.ClearText {
		add(health.ClearText, peer, "")
	}
	if m.conf.Front == "" {
		add(health.FrontNone, m.conf.NoFront, "")
	} else if m.front.reported && !m.front.up {
		add(health.FrontDown, m.front.kind+" on "+m.front.device+": "+m.front.reason, "")
	}
	server := ""
	if m.server.code != "" && m.server.State != model.ConnConnected {
		server = health.Server + m.server.code
		out = append(out, health.Condition{Code: server, Subject: m.conf.Name, Text: fmt.Sprintf("RSPRO server %s: %s", m.server.Address, m.server.Reason)})
	}
	bank := ""
	if m.assigned != nil && m.bankd.code != "" && m.bankd.State != model.ConnConnected {
		bank = health.Bank + m.bankd.code
		out = append(out, health.Condition{Code: bank, Subject: m.conf.Name, Text: fmt.Sprintf("bank %s: %s", m.bankd.Address, m.bankd.Reason)})
	}
	switch {
	case m.unmapped:
		add(health.Unmapped, "", "")
	case m.assigned == nil:
		add(health.NoAssignment, "", server)
	case m.cardHeld() && state == model.StateDegraded:
		add(health.CardHeldLong, m.bankd.Reason, "") // an escalation: shown beside its cause
	case m.cardHeld() && m.bankd.State != model.ConnConnected:
		// While a new connection is made ready, within the relay's deadline,
		// there is nothing to tell.
		add(health.CardHeld, "", bank)
	case m.muted != "" && m.cardWorks():
		add(health.CardSilent, m.muted, bank)
	}
	return out
}

func first(lines []string) string {
	switch len(lines) {
	case 0:
		return ""
	case 1:
		return lines[0]
	}
	return lines[0] + " (and more, see `remsim config`)"
}
