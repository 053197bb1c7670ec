package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/health"
	"github.com/terminills/remsim-openwrt/daemon/internal/inventory"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// conditions lists what is wrong now, causes before what they cause. The words
// are in package health.
func (e *Engine) conditions(now time.Time, s *model.Snapshot) []health.Condition {
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
		add(health.Condition{Code: health.TaskFailing, Subject: name, Detail: e.failing[name].Err, Cause: e.frontTrouble(name)})
	}
	if !e.settings.Enabled {
		add(health.Condition{Code: health.Disabled, Subject: "remsim"})
		return out
	}
	if what := e.settings.MeshClearText; what != "" {
		add(health.Condition{Code: health.IonMesh + model.MeshClearText, Subject: "ionmesh", Detail: what})
	}
	for _, m := range e.modems {
		out = append(out, m.frontConditions()...)
		out = append(out, m.meshConditions(now, e.settings.Grace)...)
		out = append(out, m.conditions(s.State)...)
		if m.managed() {
			out = append(out, m.hardwareConditions(e.missing())...)
			out = append(out, m.otherOwner(e.hardware.networks)...)
		}
	}
	out = append(out, e.linkConditions()...)
	out = append(out, e.budgetConditions()...)
	if why := e.missing(); why != "" {
		add(health.Condition{Code: health.ModemManagerMissing, Subject: "modemmanager", Detail: why})
	}
	return out
}

// missing says why ModemManager is not there, "" if it is, if nobody has told
// yet, or if no modem needs it.
func (e *Engine) missing() string {
	s := e.hardware.service
	if s.Up || s.When().IsZero() || !slices.ContainsFunc(e.modems, (*modem).managed) {
		return ""
	}
	return orElse(s.Reason, "it has stopped")
}

// otherOwner finds an interface of netifd whose protocol drives the modem past
// ModemManager.
func (m *modem) otherOwner(networks map[string]model.Interface) []health.Condition {
	if m.seen == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		i := networks[name]
		if i.ModemDevice == "" || i.Proto == "modemmanager" {
			continue
		}
		for _, p := range m.seen.Ports {
			if i.ModemDevice == "/dev/"+p.Name {
				return []health.Condition{{Code: health.TwoOwners, Subject: m.conf.Name,
					Detail: fmt.Sprintf("interface %s uses protocol %s on %s, which ModemManager manages", name, i.Proto, i.ModemDevice)}}
			}
		}
	}
	return nil
}

// probedAt is when modems that are not seen yet are really missing.
func (e *Engine) probedAt() time.Time {
	if !e.hardware.service.Up {
		return time.Time{}
	}
	return e.hardware.service.When().Add(e.opts.ProbeTime)
}

// inventoryFindings are those about the match of modems. One that is being
// probed, switched or reset is not missing.
func (e *Engine) inventoryFindings(now time.Time) []model.Finding {
	if !e.settings.Enabled || !e.hardware.service.Up {
		return nil
	}
	coming := now.Before(e.probedAt())
	for _, m := range e.modems {
		coming = coming || m.managed() && m.seen == nil && (m.status.Running || now.Before(m.goneSince.Add(e.opts.ProbeTime)))
	}
	return slices.DeleteFunc(slices.Clone(e.hardware.findings), func(f model.Finding) bool {
		return coming && (f.Code == inventory.CodeNotFound || f.Code == inventory.CodeUnclaimed)
	})
}

// hardwareConditions lists what is wrong with the modem itself. noMM is why
// ModemManager is missing, "" if it is not.
func (m *modem) hardwareConditions(noMM string) []health.Condition {
	var out []health.Condition
	add := func(code, detail string) {
		out = append(out, health.Condition{Code: code, Subject: m.conf.Name, Detail: detail})
	}
	for _, code := range slices.Sorted(maps.Keys(m.trouble)) {
		add(code, m.trouble[code])
	}
	failed := m.status.Failed
	if _, card, wrong := strings.Cut(failed, "wrong card: "); wrong {
		add(health.WrongCard, card)
	} else if failed != "" && !m.cannotSwitch() {
		add(health.SwitchFailed, failed)
	}
	o := m.seen
	if o == nil || noMM != "" || m.status.Running {
		return out
	}
	switch {
	case o.FailedReason == "sim-missing":
		add(health.SIMMissing, "")
	case o.FailedReason == "sim-error":
		add(health.SIMError, "")
	case o.State == "failed":
		add(health.ModemFailed, orElse(o.FailedReason, "it gives no reason"))
	}
	switch {
	case o.Lock == "sim-puk":
		add(health.PUKNeeded, "")
	case o.Lock == "sim-pin" && m.unlock.Code != "":
		add(m.unlock.Code, m.unlock.Reason)
	case o.Lock == "sim-pin" && m.network() == "":
		add(health.PINMissing, "the modem has no network interface that could name one")
	}
	if o.Registration == "denied" {
		add(health.RegistrationDenied, orElse(o.RejectCause, "the modem does not tell the cause"))
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
	case m.assigned == nil && m.frontKind() == "":
		add(health.NoAssignment, "", health.FrontNone) // nobody asks for one
	case m.assigned == nil:
		add(health.NoAssignment, "", orElse(m.meshCause(), server))
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
