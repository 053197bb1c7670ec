// Package engine is the single writer of the daemon's state: it folds events
// and commands into it, decides what the drivers shall reach, and publishes an
// immutable snapshot for each change. It never talks to a device, a socket or
// the bus, and it waits for nothing but its queue and one timer.
package engine

import (
	"context"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/cell"
	"github.com/terminills/remsim-openwrt/daemon/internal/fronts"
	"github.com/terminills/remsim-openwrt/daemon/internal/history"
	"github.com/terminills/remsim-openwrt/daemon/internal/journal"
	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// queue is how many events may wait. Drivers report edges, not samples, so a
// full queue means that the engine hangs; Tell then waits, which slows the
// driver down instead of losing its event.
const queue = 256

// Options make an engine.
type Options struct {
	Version string
	// First is the first number for sequence and journal ids; it must be
	// above every number of earlier runs.
	First int64
	// Publish is called from the engine's goroutine after each change with
	// the new snapshot and the journal entries that go with it. It must not
	// block.
	Publish func(s *model.Snapshot, news []journal.Entry)
	// ProbeTime is how long a modem may take to appear, and ModemManager to come
	// back, before anything follows from its absence; 0 is 30 s.
	ProbeTime time.Duration
}

// Engine holds the state. Make it with New, run it with Run.
type Engine struct {
	opts    Options
	inbox   chan item
	current atomic.Pointer[model.Snapshot]
	looked  atomic.Int64 // when somebody looked last, in nanoseconds
	meter   *cell.Cell[model.MeterPlan]
	stopped chan struct{}

	// Below: only the goroutine of Run touches these.
	settings Settings
	applied  bool // settings were given
	started  time.Time
	sequence int64
	journal  *journal.Journal
	modems   []*modem
	failing  map[string]model.TaskFailed
	state    model.State
	findings []model.Finding
	news     []journal.Entry
	hardware hardware
	toldOnce bool // the drivers have told what there is
	history  *history.History
	spending spending
	links    links
	timeline timeline
	// frontMemory is what the choice of fronts remembers.
	frontMemory fronts.Memory

	cells      cells
	frontCells frontCells
	paths      PathPlans
	meshPlan   *cell.Cell[model.IonMeshPlan]
}

// item is what waits in the inbox: an event, or a call into the goroutine.
type item struct {
	event model.Event
	call  func(now time.Time)
}

// New makes an engine in state starting.
func New(opts Options) *Engine {
	if opts.Publish == nil {
		opts.Publish = func(*model.Snapshot, []journal.Entry) {}
	}
	if opts.ProbeTime <= 0 {
		opts.ProbeTime = probeTime
	}
	e := &Engine{
		opts:     opts,
		inbox:    make(chan item, queue),
		stopped:  make(chan struct{}),
		started:  time.Now(),
		sequence: opts.First,
		journal:  journal.New(opts.First),
		failing:  make(map[string]model.TaskFailed),
		state:    model.StateStarting,
		history:  history.New(),
		meter:    cell.New(model.MeterPlan{}, func(a, b model.MeterPlan) bool { return reflect.DeepEqual(a, b) }),
		paths:    newPathPlans(),
		meshPlan: newMeshPlan(),
	}
	e.frontCells = newFrontCells()
	e.cells.byModem = make(map[string]*Plans)
	e.current.Store(e.snapshot(e.started))
	return e
}

// Snapshot returns the newest published state. It is never nil and must not be
// changed.
func (e *Engine) Snapshot() *model.Snapshot { return e.current.Load() }

// Tell hands an event to the engine. It waits only while the queue is full.
func (e *Engine) Tell(ev model.Event) {
	select {
	case e.inbox <- item{event: ev}:
	case <-e.stopped:
	}
}

// Run folds events until ctx ends. It is the only writer: everything it calls
// is pure, except publish.
func (e *Engine) Run(ctx context.Context) error {
	defer close(e.stopped)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	e.step(nil, timer)
	for {
		select {
		case <-ctx.Done():
			return nil
		case it := <-e.inbox:
			e.step(&it, timer)
		case <-timer.C:
			e.step(nil, timer)
		}
	}
}

// step handles one item and all that wait behind it, then publishes once. The
// clock is read once, after waking.
func (e *Engine) step(first *item, timer *time.Timer) {
	now := time.Now()
	for it := first; it != nil; {
		if it.event != nil {
			e.fold(it.event)
		} else {
			it.call(now)
		}
		select {
		case next := <-e.inbox:
			it = &next
		default:
			it = nil
		}
	}
	wake := e.decide(now)
	e.publish(now)
	if wake.IsZero() {
		timer.Reset(time.Hour)
	} else {
		timer.Reset(max(0, wake.Sub(now)))
	}
}

// decide sets every plan and the overall state, and returns when to look again
// if nothing happens.
func (e *Engine) decide(now time.Time) (wake time.Time) {
	wake = e.judgeBudgets(now)
	wake = earliest(wake, e.decideLinks(now))
	e.planLinks()
	e.meter.Set(e.meterPlan())
	e.planMesh()
	wake = earliest(wake, e.watchTimeline(now))
	wake = earliest(wake, e.chooseFronts(now))
	wake = earliest(wake, e.switchCards(now))
	for _, m := range e.modems {
		plans := e.cells.of(m.conf.Name)
		plans.Session.Set(e.overPath(m.sessionPlan(e.settings.Enabled)))
		plans.Card.Set(e.frugal(m.cardPlan(e.settings.Enabled)))
		plans.Switch.Set(m.plan)
		plans.Modem.Set(e.modemPlan(now, m))
		wake = earliest(wake, later(now, m.sickAt()))
		wake = earliest(wake, m.expireFaults(now))
		wake = earliest(wake, later(now, m.goneSince.Add(e.opts.ProbeTime)))
	}
	wake = earliest(wake, later(now, e.probedAt()))
	state, reason, at := e.judge(now)
	wake = earliest(wake, at)
	if state != e.state {
		e.note(now, model.KindState, "remsim", string(state)+": "+reason, nil)
		e.state = state
	}
	return wake
}

// publish makes a new snapshot if anything but the time changed.
func (e *Engine) publish(now time.Time) {
	s := e.snapshot(now)
	old := e.current.Load()
	s.Sequence, s.Time = old.Sequence, old.Time
	if reflect.DeepEqual(s, old) && len(e.news) == 0 {
		return
	}
	e.sequence++
	s.Sequence, s.Time = e.sequence, now
	e.current.Store(s)
	news := e.news
	e.news = nil
	e.opts.Publish(s, news)
}

// note writes a journal entry.
func (e *Engine) note(at time.Time, kind, subject, text string, data map[string]string) {
	e.news = append(e.news, e.journal.Add(at, kind, subject, text, data))
}

// do runs fn in the engine's goroutine and waits for it.
func (e *Engine) do(ctx context.Context, fn func(now time.Time)) error {
	done := make(chan struct{})
	select {
	case e.inbox <- item{call: func(now time.Time) { fn(now); close(done) }}:
	case <-ctx.Done():
		return ctx.Err()
	case <-e.stopped:
		return context.Canceled
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-e.stopped:
		return context.Canceled
	}
}

// Events returns journal entries after since (see journal.Journal.Since).
func (e *Engine) Events(ctx context.Context, since int64, limit int, kind string) (out []journal.Entry, err error) {
	err = e.do(ctx, func(time.Time) { out = e.journal.Since(since, limit, kind) })
	return out, err
}

// Identities are the numbers of all modems and cards, in whole.
func (e *Engine) Identities(ctx context.Context) (out []model.Identity, err error) {
	err = e.do(ctx, func(time.Time) {
		for _, m := range e.modems {
			out = append(out, m.identity())
		}
	})
	return out, err
}

// History answers what was measured of a modem or link.
func (e *Engine) History(ctx context.Context, metric, subject, span string) (a history.Answer, err error) {
	var refused error
	if err := e.do(ctx, func(now time.Time) { a, refused = e.history.Query(now, metric, subject, span) }); err != nil {
		return a, err
	}
	return a, refused
}

// KeepHistory gives the history as bytes, for the next start.
func (e *Engine) KeepHistory(ctx context.Context) (b []byte, err error) {
	err = e.do(ctx, func(time.Time) { b = e.history.Encode() })
	return b, err
}

// RestoreHistory takes over what an earlier run has kept. It is called before
// Run.
func (e *Engine) RestoreHistory(b []byte) error {
	h, err := history.Decode(b)
	if err == nil {
		e.history = h
	}
	return err
}

// Note writes an entry for something that happens outside the engine.
func (e *Engine) Note(ctx context.Context, kind, subject, text string) error {
	return e.do(ctx, func(now time.Time) { e.note(now, kind, subject, text, nil) })
}

// Apply makes s the settings. Modems that stay keep what is known of them.
func (e *Engine) Apply(ctx context.Context, s Settings) error {
	return e.do(ctx, func(now time.Time) {
		e.settings, e.applied = s, true
		e.rebuild()
		e.rebuildLinks()
		e.match(now)
		e.chooseFronts(now)
		e.note(now, model.KindConfig, "remsim", s.summary(), nil)
	})
}

// rebuild makes the list of modems from the settings, with the memory of those
// that were there before.
func (e *Engine) rebuild() {
	old := make(map[string]*modem)
	for _, m := range e.modems {
		old[m.conf.Name] = m
	}
	e.modems = nil
	for _, conf := range e.settings.Modems {
		m := old[conf.Name]
		if m == nil {
			m = newModem(conf)
		}
		m.reconfigure(conf)
		e.modems = append(e.modems, m)
	}
	e.enrollMesh()
}

// Plans are the mailboxes through which one modem's drivers learn what to do.
type Plans struct {
	Session *cell.Cell[model.SessionPlan]
	Card    *cell.Cell[model.CardPlan]
	Switch  *cell.Cell[model.SwitchPlan]
	Modem   *cell.Cell[model.ModemPlan]
}
