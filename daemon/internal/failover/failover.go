// Package failover decides which link carries user traffic and which carries
// control traffic, why, when the modem behind a dead link may be reset, and
// when to look again. It is asked with the time and with what is known of each
// link; it has no clock, does no I/O and never blocks. Whether a link is usable
// is for the caller to say (package probe), and so is what a modem does.
//
// The roles are decided apart, each over its own candidates in its own order:
//
//   - data: links whose owner lets user traffic use them, in the order given;
//     an `emergency` link only when no other is usable.
//   - control: the links of ControlOrder. One whose modem runs on the card that
//     comes over the path ranks behind those that do not, whatever the order
//     says: control traffic does not depend on the card it carries while there
//     is another way.
//   - server: as control, but an unmetered link ranks first where asked for.
//
// The link in use is left at once when it is unusable and another is usable. A
// better one takes over when it has been good for as long as Failback says. A
// link that fell twice within ten minutes has to prove itself for longer.
package failover

import (
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// The roles, as keys of Policy.Forced and in model.Candidate.
const (
	RoleData    = "data"
	RoleControl = "control"
)

// When a better link takes over again.
const (
	FailbackAfter     = "after"     // when it has been good for Hold
	FailbackImmediate = "immediate" // at once
	FailbackNever     = "never"     // when the one in use fails
)

// The states, for failover.state.
const (
	StateStarting = "starting"  // no control path has been usable yet, or the first one was not judged yet
	StateNormal   = "normal"    // each role is on its first link
	StateFailover = "failover"  // a role is on another link than its first
	StateHold     = "hold"      // as failover; the better link is usable and has to stay so
	StateDataLost = "data_lost" // no link for user traffic is usable
	StateGrace    = "grace"     // no control path is usable, grace runs
	StateLost     = "lost"      // and grace is over
)

// Policy is what the owner wants.
type Policy struct {
	ControlOrder []string // links that may carry control traffic, best first
	DataOrder    []string // preference for user traffic; links not named follow in their own order
	Grace        time.Duration
	Hold         time.Duration
	Failback     string // "": FailbackAfter
	// Forced is the link that somebody chose for a role. It ranks first; it is
	// left like any other when it is unusable.
	Forced map[string]string
	// PreferUnmetered: Decision.Server prefers a usable unmetered link, because
	// the pings of a stock server cost too much on a metered one.
	PreferUnmetered bool
}

// ModemState is what the modem of a link does, as far as resets go.
type ModemState string

// The states of a modem. ModemUnknown is also that of a link without a modem.
const (
	ModemUnknown      ModemState = ""
	ModemAbsent       ModemState = "absent"       // not on the bus; the reset ladder sees that by itself
	ModemHung         ModemState = "hung"         // it is there and does not answer
	ModemUnregistered ModemState = "unregistered" // it answers, and no network serves it
	ModemRegistered   ModemState = "registered"
)

// Link is what is known of one link now.
type Link struct {
	Name, Modem string
	Up          bool   // it has a device and an address
	Usable      bool   // the verdict of the probes, after hysteresis
	Reason      string // a clause in words why it is not usable
	LastGood    time.Time
	Metered     bool
	User        model.UserTraffic // "": always
	NeedsCard   bool              // its own modem runs on the remote card
	ModemState  ModemState
	Resettable  bool // there is a reset that may be used
	Quiet       bool // its budget is used up: user traffic and probes are stopped
}

// Reset asks for the reset of a modem. It stands in every Decision for as long
// as it is wanted: pacing and choosing the means is the reset ladder's work.
type Reset struct{ Modem, Reason string }

// Decision is what shall hold now. A link stays named when it is unusable and
// there is no better one; "" means that there never was one.
type Decision struct {
	Data, Control string
	// Server is the link for connections to stock RSPRO servers: Control, but
	// for Policy.PreferUnmetered.
	Server                    string
	DataReason, ControlReason string // one sentence each
	DataSince, ControlSince   time.Time
	State                     string
	Candidates                []model.Candidate // per role and link, the best first
	Resets                    []Reset
	GraceEnds                 time.Time // zero: a control path is usable
	Switches                  int64     // changes of Data and Control since the start, first choices not counted
	WakeAt                    time.Time // when to look again if nothing happens; zero: never
}

// Memory is what one decision leaves to the next. The zero value knows nothing.
// Copies are independent.
type Memory struct {
	started time.Time
	tracks  map[string]track // replaced, never changed
	roles   [roleCount]roleMemory
	// controlLost: no control path has been usable since then.
	controlLost time.Time
	controlEver bool // one was, once
}

// roleMemory is the link of a role.
type roleMemory struct {
	link     string
	since    time.Time
	why      string
	forced   string
	switches int64
}

type role int

const (
	data role = iota
	control
	server
	roleCount
)

// Decide looks at the links at now and says what shall hold.
func Decide(now time.Time, p Policy, m Memory, links []Link) (Decision, Memory) {
	if m.started.IsZero() {
		m.started = now
	}
	d := &decider{now: now, policy: p, links: links, Memory: m}
	d.tracks = follow(now, m.tracks, links)
	data := d.decide(data, d.dataCandidates())
	control := d.decide(control, d.controlCandidates(false))
	server := d.decide(server, d.controlCandidates(p.PreferUnmetered))
	d.grace(control)
	d.resets()

	d.out.Data, d.out.DataReason, d.out.DataSince = data.named()
	d.out.Control, d.out.ControlReason, d.out.ControlSince = control.named()
	d.out.Server, _, _ = server.named()
	d.out.Switches = data.mem.switches + control.mem.switches
	d.out.Candidates = append(data.verdicts(RoleData), control.verdicts(RoleControl)...)
	d.out.State = d.state(data, control)
	return d.out, d.Memory
}

// decider works out one decision.
type decider struct {
	now    time.Time
	policy Policy
	links  []Link
	Memory
	out Decision
}

// wake asks to be looked at again at t, if that lies ahead.
func (d *decider) wake(t time.Time) {
	if t.After(d.now) && (d.out.WakeAt.IsZero() || t.Before(d.out.WakeAt)) {
		d.out.WakeAt = t
	}
}

// grace counts down while no control path is usable.
func (d *decider) grace(c *choice) {
	if c.anyUsable() {
		d.controlLost, d.controlEver = time.Time{}, true
		return
	}
	if d.controlLost.IsZero() {
		d.controlLost = d.now
	}
	d.out.GraceEnds = d.controlLost.Add(d.policy.Grace)
	d.wake(d.out.GraceEnds)
}

func (d *decider) state(data, control *choice) string {
	switch {
	case !d.controlLost.IsZero() && !d.now.Before(d.out.GraceEnds):
		return StateLost
	case control.starting, !d.controlLost.IsZero() && !d.controlEver:
		return StateStarting
	case !d.controlLost.IsZero():
		return StateGrace
	case len(data.list) > 0 && !data.anyUsable():
		return StateDataLost
	case control.waiting() || data.waiting():
		return StateHold
	case !control.onFirst() || !data.onFirst():
		return StateFailover
	}
	return StateNormal
}
