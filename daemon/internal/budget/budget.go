// Package budget keeps the account of what each link has carried this month, by
// purpose, and says what may still pass. It is pure: the engine gives it the
// time and the readings of the counters, and keeps what Encode writes.
package budget

import (
	"maps"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// What happens at the limit.
const (
	AtLimitWarn      = "warn"      // nothing but a finding
	AtLimitEssential = "essential" // only what keeps card and router in touch passes
	AtLimitStop      = "stop"      // nothing of ours or of users passes
)

// The states of an account.
const (
	StateUncounted = "uncounted" // no reading yet
	StateUnlimited = "unlimited" // counted, but there is no limit
	StateOK        = "ok"
	StateNear      = "near"    // the soft limit is reached
	StateReached   = "reached" // the limit is reached
)

// softPercent of the limit is the soft limit.
const softPercent = 80

// Policy is what the owner allows one link.
type Policy struct {
	Link     string
	Limit    int64  // bytes a month, both directions; 0: no limit
	ResetDay int    // day on which the month starts, 1..31; a shorter month starts anew on its last day
	AtLimit  string // AtLimitWarn, AtLimitEssential or AtLimitStop
}

// account is what one link has carried.
type account struct {
	Start    int64            `json:"start"`           // Unix time at which the month began; 0: the clock was never set
	First    int64            `json:"first"`           // Unix time from which on it was counted; 0: not known
	ResetDay int              `json:"day"`             // by which Start was found
	Purposes map[string]int64 `json:"purposes"`        // bytes of this month
	Undated  map[string]int64 `json:"undated"`         // those of them that came while the clock was not set
	Before   int64            `json:"before"`          // when the month before began; 0: not known
	BeforeBy map[string]int64 `json:"before_purposes"` // and what it carried
	Epoch    string           `json:"epoch"`           // the life of the counters that Seen is of
	Seen     map[string]int64 `json:"seen"`            // what they said last
}

// Book holds the accounts of all links. The zero value is an empty book. It is
// for one goroutine.
type Book struct{ accounts map[string]*account }

func (b *Book) of(link string) *account {
	if b.accounts == nil {
		b.accounts = make(map[string]*account)
	}
	a := b.accounts[link]
	if a == nil {
		a = &account{Purposes: make(map[string]int64), Undated: make(map[string]int64)}
		b.accounts[link] = a
	}
	return a
}

// Fold enters a reading. Policies are those of the links that are counted.
func (b *Book) Fold(now time.Time, policies []Policy, m model.Metered) {
	if m.Epoch == "" {
		return // no counters were read
	}
	for _, p := range policies {
		a := b.of(p.Link)
		a.roll(now, p.day())
		count := find(m.Counts, p.Link)
		if count == nil { // its counters start anew when they come back
			if a.Epoch == m.Epoch {
				a.Seen = nil
			}
			continue
		}
		if a.First == 0 && dated(now) {
			a.First = now.Unix()
		}
		a.take(now, m.Epoch, count.Purposes)
	}
}

func find(counts []model.MeterCount, link string) *model.MeterCount {
	for i := range counts {
		if counts[i].Link == link {
			return &counts[i]
		}
	}
	return nil
}

// take adds what the counters have grown by. Counters of another life, and those
// that are smaller than before, started at 0.
func (a *account) take(now time.Time, epoch string, purposes map[string]int64) {
	if a.Epoch != epoch || shrunk(a.Seen, purposes) {
		a.Seen = nil
	}
	for p, n := range purposes {
		grown := n - a.Seen[p]
		if grown == 0 {
			continue
		}
		a.Purposes[p] += grown
		if !dated(now) {
			a.Undated[p] += grown
		}
	}
	a.Epoch, a.Seen = epoch, maps.Clone(purposes)
}

func shrunk(before, now map[string]int64) bool {
	for p, n := range before {
		if now[p] < n {
			return true
		}
	}
	return false
}

func sum(purposes map[string]int64) (total int64) {
	for _, n := range purposes {
		total += n
	}
	return total
}

// Verdict is what follows from an account now.
type Verdict struct {
	model.Budget
	// Allow are the purposes that may pass now; nil: all. Then are those that
	// may once Left more bytes have passed; Limited tells that there is such an end.
	Allow, Then []model.Purpose
	Limited     bool
	Left        int64
	// Until is the same as a total of the counters in their life Epoch.
	Until int64
	Epoch string
	// Quiet: nothing active may be sent any more, and STATUS is answered here.
	Quiet bool
	// WakeAt is when the month ends; zero: nobody knows.
	WakeAt time.Time
}

// Judge says how a link does and what may still pass.
func (b *Book) Judge(now time.Time, p Policy) Verdict {
	a := b.of(p.Link)
	a.roll(now, p.day())
	month := sum(a.Purposes)
	v := Verdict{Budget: model.Budget{Link: p.Link, Month: month, Limit: p.Limit, Forecast: a.forecast(now, month, p.day()),
		State: StateUnlimited, Purposes: maps.Clone(a.Purposes)}}
	if a.Start > 0 && dated(now) {
		v.WakeAt = nextMonth(time.Unix(a.Start, 0), p.day())
	}
	if p.Limit > 0 {
		v.judge(p, month, sum(a.Seen), a.Epoch)
	}
	if a.Epoch == "" {
		v.State = StateUncounted
	}
	return v
}

func (v *Verdict) judge(p Policy, month, seen int64, epoch string) {
	rest := p.remains()
	switch {
	case month >= p.Limit:
		v.State, v.Allow, v.Quiet = StateReached, rest, p.AtLimit != AtLimitWarn
		return
	// Percent of the limit, without a product that could overflow.
	case month >= p.Limit/100*softPercent+p.Limit%100*softPercent/100:
		v.State = StateNear
	default:
		v.State = StateOK
	}
	v.Left = p.Limit - month
	if p.AtLimit != AtLimitWarn && epoch != "" {
		v.Limited, v.Then, v.Until, v.Epoch = true, rest, seen+v.Left, epoch
	}
}

// remains are the purposes that pass once the limit is reached; nil: all.
// Names have to be resolved to reach bank and orchestrator. Pings with a stock
// server are 15 MB a month and not needed by a card that works.
func (p Policy) remains() []model.Purpose {
	switch p.AtLimit {
	case AtLimitEssential:
		return []model.Purpose{model.PurposeBank, model.PurposeOrchestrator, model.PurposeDNS}
	case AtLimitStop:
		return []model.Purpose{}
	}
	return nil
}

func (p Policy) day() int { return min(max(1, p.ResetDay), 31) }
