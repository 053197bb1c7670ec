package engine

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/budget"
	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/health"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// spending is what the links have carried and may still carry.
type spending struct {
	book     budget.Book
	verdicts []budget.Verdict // one per link, in their order
	last     model.Metered
	askings  int64 // generation of wishes to read the counters
}

// MeterPlan returns the mailbox of the meter.
func (e *Engine) MeterPlan() *cell.Cell[model.MeterPlan] { return e.meter }

// foldMetered takes a reading in.
func (e *Engine) foldMetered(ev model.Metered) {
	e.spending.book.Fold(ev.When(), e.policies(), ev)
	e.spending.last = ev
	if ev.Reason != "" {
		return // what was read before stays
	}
	for _, c := range ev.Counts {
		if l := e.link(c.Link); l != nil {
			l.rx, l.tx = c.Rx, c.Tx
			e.history.Add(ev.When(), "rx", c.Link, float64(c.Rx))
			e.history.Add(ev.When(), "tx", c.Link, float64(c.Tx))
		}
	}
}

// policies are the allowances of all links; one without a budget is counted.
func (e *Engine) policies() []budget.Policy {
	var out []budget.Policy
	for _, l := range e.links.list {
		p := budget.Policy{Link: l.conf.Name}
		for _, b := range e.settings.Budgets {
			if b.Link == p.Link {
				p = b
			}
		}
		out = append(out, p)
	}
	return out
}

// judgeBudgets brings the verdicts up to date, and returns when the next month
// begins.
func (e *Engine) judgeBudgets(now time.Time) (wake time.Time) {
	e.spending.verdicts = e.spending.verdicts[:0:0]
	for _, p := range e.policies() {
		v := e.spending.book.Judge(now, p)
		e.spending.verdicts = append(e.spending.verdicts, v)
		wake = earliest(wake, v.WakeAt)
	}
	return wake
}

func (e *Engine) verdict(link string) budget.Verdict {
	for _, v := range e.spending.verdicts {
		if v.Link == link {
			return v
		}
	}
	return budget.Verdict{}
}

// quiet tells that a link's budget is used up and only what is essential passes.
func (e *Engine) quiet(link string) bool { return e.verdict(link).Quiet }

// fenced tells that user traffic must not use a link now. Where another program
// decides over user traffic, nobody here knows when an emergency is.
func (e *Engine) fenced(l *link) bool {
	switch l.conf.User {
	case model.UserNever:
		return true
	case model.UserEmergency:
		return e.links.routes.Neighbour == "" && e.links.decision.Data != l.conf.Name
	}
	return false
}

// meterPlan is what to count and what to let pass. Nothing is said while there is
// no configuration in use, or netifd has not named its devices: what an earlier
// life has left stays, its fences above all.
func (e *Engine) meterPlan() model.MeterPlan {
	p := model.MeterPlan{Generation: e.spending.askings}
	if !e.applied || !e.settings.Valid || e.active() && !e.paths.Routes.Get().Known {
		return p
	}
	p.Links = []model.MeterLink{}
	if !e.active() {
		return p
	}
	for _, l := range e.links.list {
		if l.number == 0 {
			continue // more links than marks
		}
		v := e.verdict(l.conf.Name)
		m := model.MeterLink{Name: l.conf.Name, Number: l.number, Device: l.state.device, Fence: e.fenced(l), Allow: v.Allow}
		if v.Limited {
			m.Until, m.UntilEpoch, m.Then = v.Until, v.Epoch, v.Then
		}
		p.Links = append(p.Links, m)
	}
	return p
}

// statusNever keeps every STATUS that can be answered here from the card. It is a
// number of nanoseconds that can be added to any clock.
const statusNever = math.MaxInt64 / 4

// frugal is a card plan for a way whose budget is used up: AUTHENTICATE passes,
// STATUS is answered from what the card said last.
func (e *Engine) frugal(p model.CardPlan) model.CardPlan {
	if !e.quiet(e.links.bank.path.Link) {
		return p
	}
	p.StatusInterval = statusNever
	if p.Cache == "" || p.Cache == "off" {
		p.Cache = "safe"
	}
	return p
}

// viewBudget lists the accounts of links that have a budget, are metered or are
// closed to user traffic.
func (e *Engine) viewBudget() []model.Budget {
	out := []model.Budget{}
	for i, l := range e.links.list {
		if i >= len(e.spending.verdicts) {
			break // links that nobody has judged yet
		}
		if v := e.spending.verdicts[i]; v.Limit > 0 || l.conf.Metered || l.conf.User == model.UserNever {
			out = append(out, v.Budget)
		}
	}
	return out
}

// Traffic that nobody asked for is a finding once it is that many bytes in one
// life of the counters, and at least that part of the month's limit.
const (
	unaskedLeast = 100_000
	unaskedPart  = 20
)

// budgetConditions lists what is wrong with what links carry.
func (e *Engine) budgetConditions() []health.Condition {
	var out []health.Condition
	add := func(code, subject, detail string) {
		out = append(out, health.Condition{Code: code, Subject: subject, Detail: detail})
	}
	if e.spending.last.Reason != "" {
		add(health.NotCounted, "meter", e.spending.last.Reason)
	}
	for i, v := range e.spending.verdicts {
		if i >= len(e.links.list) {
			break
		}
		switch v.State {
		case budget.StateReached:
			add(health.BudgetReached, v.Link, spent(v)+"; "+passes(v))
		case budget.StateNear:
			add(health.BudgetNear, v.Link, spent(v)+fmt.Sprintf(", and %s by the end of the month at this rate", megabytes(v.Forecast)))
		}
		l := e.links.list[i]
		if n := e.unasked(l); n >= unaskedLeast && n >= v.Limit/unaskedPart {
			add(health.Unasked, v.Link, megabytes(n)+" since the counters were made")
		}
		if l.conf.User == model.UserNever {
			out = append(out, e.leaks(l)...)
		}
	}
	return out
}

func spent(v budget.Verdict) string {
	return fmt.Sprintf("%s of %s", megabytes(v.Month), megabytes(v.Limit))
}

// passes says what still does at the limit.
func passes(v budget.Verdict) string {
	switch {
	case v.Allow == nil:
		return "everything still passes (at_limit warn)"
	case len(v.Allow) == 0:
		return "nothing passes any more (at_limit stop)"
	}
	return "only beats, AUTHENTICATE and its answer still pass (at_limit essential)"
}

// megabytes writes bytes in decimal megabytes, as carriers bill them.
func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func (e *Engine) unasked(l *link) int64 {
	for _, c := range e.spending.last.Counts {
		if c.Link == l.conf.Name {
			return c.Unasked
		}
	}
	return 0
}

// leaks finds what sends the router's own traffic to a link that is closed to
// users: there it is stopped, and what waits for an answer waits in vain.
func (e *Engine) leaks(l *link) []health.Condition {
	var out []health.Condition
	network := e.networkOf(l)
	for _, name := range []string{network, network + "_4", network + "_6"} {
		i, ok := e.hardware.networks[name]
		if network == "" || !ok || !i.Up || name != network && !i.ChildOf(network) {
			continue
		}
		add := func(code string) {
			if !slices.ContainsFunc(out, func(c health.Condition) bool { return c.Code == code }) {
				out = append(out, health.Condition{Code: code, Subject: l.conf.Name, Detail: "interface " + name})
			}
		}
		if len(i.DNS) > 0 {
			add(health.PeerDNS)
		}
		if slices.ContainsFunc(i.Routes, func(r model.Route) bool { return r.Target.IsValid() && r.Target.Bits() == 0 }) {
			add(health.DefaultRoute)
		}
	}
	return out
}

// lookPause is the shortest time between two readings that somebody's look at the
// status brings about.
const lookPause = 5 * time.Second

// Look tells that somebody looks at the status: the counters are read soon, so
// that the next look shows what is.
func (e *Engine) Look() {
	now := time.Now().UnixNano()
	last := e.looked.Load()
	if now >= last && now-last < int64(lookPause) || !e.looked.CompareAndSwap(last, now) {
		return
	}
	select {
	case e.inbox <- item{call: func(time.Time) { e.spending.askings++ }}:
	default: // busy enough
	}
}

// KeepBudget gives the accounts as bytes, for the next start.
func (e *Engine) KeepBudget(ctx context.Context) (b []byte, err error) {
	err = e.do(ctx, func(time.Time) { b = e.spending.book.Encode() })
	return b, err
}

// RestoreBudget takes over what an earlier run has kept. It is called before Run.
func (e *Engine) RestoreBudget(b []byte) error {
	book, err := budget.Decode(b)
	if err == nil {
		e.spending.book = *book
	}
	return err
}
